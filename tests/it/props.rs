//! What must always hold of limiters and calls, with a clock that moves.

use std::time::Duration;

use proptest::prelude::*;
use sendwhen::{
    Backoff, Call, Cost, Decision, Denied, Dimension, ErrorDetails, Event, Failure, Family, GiveUp,
    Instant, Limiter, Meter, Permit, Profile, Rate, Request, Reset, ResetGiven, RetryPolicy,
    ServerHints, Usage,
};

/// More where `PROPTEST_CASES` says so, fewer where the arithmetic is checked
/// and slow.
pub(crate) fn config() -> ProptestConfig {
    let default = ProptestConfig::default();
    let least = if cfg!(debug_assertions) { 200 } else { 2_000 };
    ProptestConfig {
        cases: default.cases.max(least),
        ..default
    }
}

#[derive(Clone, Debug)]
enum Op {
    Acquire(Cost),
    /// The permit of this number is settled so.
    Settle(usize, Option<Cost>),
    /// The head of the response to this permit's request shows this.
    Observe(usize, Box<ServerHints>),
    Advance(u64),
    Back(u64),
}

fn cost() -> impl Strategy<Value = Cost> {
    (0..3_u64, 0..40_u64, 0..40_u64).prop_map(|(requests, input, output)| {
        Cost::ZERO
            .with(Dimension::Requests, requests)
            .with(Dimension::InputTokens, input)
            .with(Dimension::OutputTokens, output)
    })
}

fn hints() -> impl Strategy<Value = ServerHints> {
    let meter = |dimension| {
        let reset = prop::option::of(0..70_000_i64);
        (0..60_u64, -5..60_i64, 0..3_u32, reset).prop_map(move |(limit, shown, rounding, reset)| {
            let mut meter = Meter::new(Family::Standard, dimension)
                .limit(limit.max(1) * 10)
                .remaining(shown, rounding);
            meter.reset = reset.map(|millis| Reset::new(ResetGiven::In { millis }, None));
            meter
        })
    };
    (
        meter(Dimension::Requests),
        meter(Dimension::InputTokens),
        meter(Dimension::OutputTokens),
    )
        .prop_map(|(requests, input, output)| {
            ServerHints::NONE
                .with_meter(requests)
                .with_meter(input)
                .with_meter(output)
        })
}

/// Sequences of operations; with `heads`, also what responses show.
fn ops(heads: bool) -> impl Strategy<Value = Vec<Op>> {
    let act = prop_oneof![
        6 => cost().prop_map(Op::Acquire),
        3 => (any::<usize>(), prop::option::of(cost())).prop_map(|(i, c)| Op::Settle(i, c)),
        4 => (0..3_000_000_000_u64).prop_map(Op::Advance),
    ];
    let hear = (any::<usize>(), hints()).prop_map(|(i, h)| Op::Observe(i, Box::new(h)));
    let op = if heads {
        prop_oneof![13 => act, 3 => hear].boxed()
    } else {
        act.boxed()
    };
    prop::collection::vec(op, 1..50)
}

fn limiter() -> impl Strategy<Value = Limiter> {
    (1..100_u64, 1..30_u64, 1..4_u32, 1..6_u32).prop_map(|(rate, burst, window, cap)| {
        Limiter::new(3)
            .limit(
                Dimension::Requests,
                Rate::per_minute(rate).unwrap(),
                burst.min(5),
            )
            .and_then(|l| {
                l.limit(
                    Dimension::InputTokens,
                    Rate::per_second(rate).unwrap(),
                    burst,
                )
            })
            .and_then(|l| {
                l.limit(
                    Dimension::OutputTokens,
                    Rate::per(rate, Duration::from_secs(7)).unwrap(),
                    burst,
                )
            })
            .and_then(|l| l.initial_window(window))
            .and_then(|l| l.in_flight(cap))
            .unwrap()
    })
}

/// Plays `ops` and tells how each was answered. `before` sees the limiter ahead
/// of each.
fn play(
    limiter: &mut Limiter,
    ops: &[Op],
    mut before: impl FnMut(&mut Limiter, Instant),
) -> (Vec<Result<Cost, Denied>>, Vec<Permit>, Instant) {
    let (mut log, mut permits, mut now) = (vec![], vec![], 0_u64);
    for op in ops {
        let here = Instant::from_nanos(now);
        before(limiter, here);
        match op {
            Op::Acquire(cost) => match limiter.try_acquire(here, cost) {
                Ok(permit) => {
                    log.push(Ok(*permit.cost()));
                    permits.push(permit);
                }
                Err(denied) => log.push(Err(denied)),
            },
            Op::Settle(i, actual) if !permits.is_empty() => {
                let permit = permits.swap_remove(i % permits.len());
                limiter.settle(here, permit, *actual);
            }
            Op::Observe(i, hints) if !permits.is_empty() => {
                limiter.observe(here, permits.get(i % permits.len()), hints);
            }
            Op::Settle(..) | Op::Observe(..) => {}
            Op::Advance(by) => now += by,
            Op::Back(by) => now = now.saturating_sub(*by),
        }
    }
    (log, permits, Instant::from_nanos(now))
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn peek_agrees_with_acquire(mut limiter in limiter(), ops in ops(true), cost in cost()) {
        play(&mut limiter, &ops, |limiter, now| {
            let peeked = limiter.peek(now, &cost);
            let acquired = limiter.clone().try_acquire(now, &cost).map(drop);
            assert_eq!(peeked, acquired);
        });
    }

    /// At the promised instant it passes, a nanosecond earlier it does not, and
    /// the wait is always in the future.
    #[test]
    fn until_is_exact(mut limiter in limiter(), ops in ops(true), cost in cost()) {
        play(&mut limiter, &ops, |limiter, now| {
            if let Err(Denied::Until { wait, earliest }) = limiter.peek(now, &cost) {
                assert!(wait.until > now, "a wait is always in the future");
                assert!(earliest <= wait.until);
                assert_eq!(limiter.peek(wait.until, &cost), Ok(()));
                let just_before = Instant::from_nanos(wait.until.as_nanos() - 1);
                assert!(limiter.peek(just_before, &cost).is_err(), "{wait:?}");
            }
        });
    }

    /// Whatever those in flight turn out to cost, nothing passes before the
    /// earliest instant that was told.
    #[test]
    fn earliest_is_a_bound(mut limiter in limiter(), ops in ops(false), cost in cost()) {
        let (_, permits, now) = play(&mut limiter, &ops, |_, _| ());
        if let Err(Denied::Until { earliest, .. }) = limiter.peek(now, &cost) {
            for permit in permits {
                limiter.settle(now, permit, Some(Cost::ZERO));
            }
            if earliest > now {
                let just_before = Instant::from_nanos(earliest.as_nanos() - 1);
                prop_assert!(limiter.peek(just_before, &cost).is_err());
            }
        }
    }

    #[test]
    fn refusal_changes_nothing(limiter in limiter(), ops in ops(true), other in cost()) {
        let plain = play(&mut limiter.clone(), &ops, |_, _| ()).0;
        let asked_often = play(&mut limiter.clone(), &ops, |limiter, now| {
            if limiter.peek(now, &other).is_err() {
                assert!(limiter.try_acquire(now, &other).is_err());
            }
        }).0;
        prop_assert_eq!(plain, asked_often);
    }

    #[test]
    fn settle_undoes_acquire(limiter in limiter(), ops in ops(false), other in cost()) {
        let plain = play(&mut limiter.clone(), &ops, |_, _| ()).0;
        let undone = play(&mut limiter.clone(), &ops, |limiter, now| {
            if let Ok(permit) = limiter.try_acquire(now, &other) {
                limiter.settle(now, permit, Some(Cost::ZERO));
            }
        }).0;
        prop_assert_eq!(plain, undone);
    }

    /// As if the clock had stood still while it was behind.
    #[test]
    fn time_going_back_admits_no_more_and_never_panics(
        limiter in limiter(),
        ops in ops(true),
        backs in prop::collection::vec((any::<prop::sample::Index>(), 0..9_000_000_000_u64), 0..5),
    ) {
        let mut jumpy = ops.clone();
        for (place, by) in backs {
            let place = place.index(jumpy.len() + 1);
            jumpy.insert(place, Op::Back(by));
        }
        // The same, with the running maximum of its clock.
        let (mut now, mut most, mut steady) = (0_u64, 0_u64, vec![]);
        for op in &jumpy {
            match op {
                Op::Advance(by) => now += by,
                Op::Back(by) => now = now.saturating_sub(*by),
                other => steady.push(other.clone()),
            }
            steady.push(Op::Advance(now.saturating_sub(most)));
            most = most.max(now);
        }
        let look = |limiter: &mut Limiter, now| limiter.observe(now, None, &ServerHints::NONE);
        prop_assert_eq!(
            play(&mut limiter.clone(), &jumpy, look).0,
            play(&mut limiter.clone(), &steady, look).0
        );
    }

    /// Over every window and dimension, settlements included: what passed and
    /// was not given back is at most the burst and what came in.
    #[test]
    fn admitted_never_exceeds_burst_plus_rate(
        rate in 1..50_u64, burst in 1..40_u64, ops in ops(false)
    ) {
        let dimension = Dimension::InputTokens;
        let mut limiter = Limiter::new(3)
            .limit(dimension, Rate::per_second(rate).unwrap(), burst)
            .and_then(|limiter| limiter.initial_window(100))
            .unwrap();
        let mut now = 0_u64;
        let mut out: Vec<(u64, u64, Option<Permit>)> = vec![];
        for op in &ops {
            let here = Instant::from_nanos(now);
            match op {
                Op::Acquire(cost) => if let Ok(permit) = limiter.try_acquire(here, cost) {
                    out.push((now, cost.get(dimension), Some(permit)));
                },
                Op::Settle(i, Some(actual)) if !out.is_empty() => {
                    let i = i % out.len();
                    let (_, cost, permit) = &mut out[i];
                    if let Some(permit) = permit.take() {
                        // More than was charged is a debt that did not pass.
                        *cost = (*cost).min(actual.get(dimension));
                        limiter.settle(here, permit, Some(*actual));
                    }
                }
                Op::Advance(by) => now += by,
                _ => {}
            }
        }
        for from in 0..out.len() {
            let mut sum = 0_u128;
            for (at, cost, _) in &out[from..] {
                sum += u128::from(*cost);
                let span = u128::from(at - out[from].0);
                let most = u128::from(burst) * 1_000_000_000 + span * u128::from(rate);
                prop_assert!(sum * 1_000_000_000 <= most);
            }
        }
    }
}

/// One event for one of a few calls, some time after the last.
#[derive(Clone, Debug)]
struct Step {
    after: u64,
    call: usize,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    Submitted,
    Woken,
    Responded(u16, Box<ServerHints>, Option<u64>),
    Progressed(u64, bool),
    Finished(Option<u64>),
    Failed(u8),
    Cancelled,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let status = prop::sample::select(vec![
        200_u16, 200, 200, 400, 408, 429, 429, 500, 503, 529, 0,
    ]);
    let what = prop_oneof![
        6 => Just(What::Submitted),
        6 => Just(What::Woken),
        8 => (status, hints(), prop::option::of(0..30_u64))
            .prop_map(|(status, hints, wait)| What::Responded(status, Box::new(hints), wait)),
        2 => (0..100_u64, any::<bool>()).prop_map(|(n, h)| What::Progressed(n, h)),
        4 => prop::option::of(0..100_u64).prop_map(What::Finished),
        2 => (0..4_u8).prop_map(What::Failed),
        1 => Just(What::Cancelled),
    ];
    let step = (0..5_000_000_000_u64, 0..6_usize, what).prop_map(|(after, call, what)| Step {
        after,
        call,
        what,
    });
    prop::collection::vec(step, 1..120)
}

struct Played {
    limiter: Limiter,
    calls: Vec<Call>,
    now: Instant,
    log: Vec<Decision>,
}

/// Plays `steps` with six calls, the odd ones with a deadline, and checks each
/// decision.
fn drive(mut limiter: Limiter, steps: &[Step]) -> Played {
    let deadline = |call: usize| Instant::from_secs(5 * call as u64);
    let mut calls: Vec<Call> = (0..6)
        .map(|i| {
            let request = Request::new()
                .input_tokens(5)
                .max_tokens(20)
                .profile(Profile::new(i as u8));
            limiter.call(if i % 2 == 1 {
                request.start_by(deadline(i))
            } else {
                request
            })
        })
        .collect();
    let (mut now, mut log) = (Instant::ZERO, vec![]);
    let mut last: Vec<Option<Decision>> = vec![None; 6];
    let mut finished = [false; 6];
    for step in steps {
        now = now.saturating_add(Duration::from_nanos(step.after));
        let mut heard;
        let event = match &step.what {
            What::Submitted => Event::Submitted,
            What::Woken => Event::Woken,
            What::Responded(status, hints, wait) => {
                heard = **hints;
                if let Some(wait) = wait {
                    heard = heard.with_retry_after(Duration::from_secs(*wait));
                }
                Event::Responded {
                    status: *status,
                    hints: &heard,
                    error: ErrorDetails::NONE,
                }
            }
            What::Progressed(n, handed_on) => Event::Progressed {
                usage: Usage::new(1, *n),
                handed_on: *handed_on,
            },
            What::Finished(n) => Event::Finished(n.map(|n| Usage::new(5, n))),
            What::Failed(0) => Event::Failed(Failure::NotSent),
            What::Failed(1) => Event::Failed(Failure::Lost),
            What::Failed(2) => Event::Failed(Failure::TimedOut),
            What::Failed(_) => {
                Event::Failed(Failure::InStream(ErrorDetails::new("overloaded_error")))
            }
            What::Cancelled => Event::Cancelled,
        };
        let id = step.call;
        let decision = calls[id].handle(&mut limiter, now, event);
        match last[id] {
            Some(over @ Decision::GiveUp(_)) => assert_eq!(decision, over, "terminal is sticky"),
            Some(Decision::Deliver) if finished[id] => {
                assert_eq!(decision, Decision::Deliver, "terminal is sticky");
            }
            Some(Decision::Deliver) => {
                finished[id] = matches!(step.what, What::Finished(_));
            }
            _ => {}
        }
        match decision {
            Decision::Wait(wait) => assert!(wait.until > now, "a wait is always in the future"),
            Decision::Send(_) if id % 2 == 1 => {
                assert!(now <= deadline(id), "a start never passes its deadline");
            }
            _ => {}
        }
        last[id] = Some(decision);
        log.push(decision);
    }
    Played {
        limiter,
        calls,
        now,
        log,
    }
}

proptest! {
    #![proptest_config(config())]

    /// Terminal is sticky, waits are in the future, no start passes its
    /// deadline (all in `drive`), and when all calls are over nothing is held.
    #[test]
    fn no_order_of_events_leaks_a_permit(limiter in limiter(), steps in steps()) {
        let mut played = drive(limiter, &steps);
        for call in &mut played.calls {
            let _over = call.handle(&mut played.limiter, played.now, Event::Cancelled);
        }
        prop_assert_eq!(played.limiter.flying(played.now), 0);
    }

    /// The same end for ever, whatever comes, and it holds nothing.
    #[test]
    fn terminal_is_sticky(limiter in limiter(), steps in steps(), later in 0..9_000_000_000_u64) {
        let Played { mut limiter, mut calls, now, .. } = drive(limiter, &steps);
        let bare = ServerHints::NONE;
        let events = [
            Event::Submitted,
            Event::Woken,
            Event::responded(200, &bare, ErrorDetails::NONE),
            Event::responded(429, &bare, ErrorDetails::NONE),
            Event::progressed(Usage::new(7, 7), true),
            Event::Finished(Some(Usage::new(9, 9))),
            Event::Failed(Failure::Lost),
            Event::Cancelled,
        ];
        let later = now.saturating_add(Duration::from_nanos(later));
        for call in &mut calls {
            let end = call.handle(&mut limiter, now, Event::Cancelled);
            for event in events.iter().chain(&events) {
                prop_assert_eq!(call.handle(&mut limiter, later, *event), end);
            }
        }
        prop_assert_eq!(limiter.flying(later), 0);
    }

    /// And no call that could have started in time is given up early: if it is,
    /// it could not even if all in flight were over now and took nothing.
    #[test]
    fn a_start_never_passes_its_deadline(
        mut limiter in limiter(),
        ops in ops(false),
        patience in 0..20_000_000_000_u64,
        pauses in prop::collection::vec(0..4_000_000_000_u64, 1..9),
    ) {
        let (_, permits, now) = play(&mut limiter, &ops, |_, _| ());
        let latest = now.saturating_add(Duration::from_nanos(patience));
        let mut call = limiter.call(Request::new().input_tokens(3).max_tokens(1).start_by(latest));
        let mut then = now;
        for pause in pauses {
            then = then.saturating_add(Duration::from_nanos(pause));
            match call.handle(&mut limiter, then, Event::Woken) {
                Decision::Send(_) => {
                    prop_assert!(then <= latest);
                    break;
                }
                Decision::Wait(wait) => prop_assert!(then < wait.until && wait.until <= latest),
                Decision::GiveUp(GiveUp::DeadlineTooClose { earliest, .. }) => {
                    prop_assert!(earliest > latest || then >= latest);
                    for permit in permits {
                        limiter.settle(then, permit, Some(Cost::ZERO));
                    }
                    let cost = limiter.forecast(call.request());
                    prop_assert!(then >= latest || limiter.peek(latest, &cost).is_err());
                    break;
                }
                Decision::GiveUp(GiveUp::Never(_)) => break,
                other => panic!("{other:?}"),
            }
        }
    }

    /// Looked at often or seldom, it is the same.
    #[test]
    fn many_small_ticks_equal_one_large_tick(limiter in limiter(), ops in ops(true)) {
        let plain = play(&mut limiter.clone(), &ops, |_, _| ()).0;
        let mut before = Instant::ZERO;
        let often = play(&mut limiter.clone(), &ops, |limiter, now| {
            let span = now.as_nanos() - before.as_nanos();
            for tick in 1..5 {
                let at = before.saturating_add(Duration::from_nanos(span / 5 * tick));
                limiter.observe(at, None, &ServerHints::NONE);
            }
            before = now;
        }).0;
        prop_assert_eq!(plain, often);
    }

    #[test]
    fn same_seed_same_decisions(limiter in limiter(), steps in steps()) {
        prop_assert_eq!(drive(limiter.clone(), &steps).log, drive(limiter, &steps).log);
    }

    /// Woken between all that happens, calls decide no differently.
    #[test]
    fn a_spurious_wake_up_is_harmless(steps in steps()) {
        let limiter = Limiter::new(1);
        let plain = drive(limiter.clone(), &steps).log;
        let mut woken_often = vec![];
        for step in &steps {
            woken_often.push(step.clone());
            let in_flight_or_over = !matches!(step.what, What::Submitted | What::Woken);
            if in_flight_or_over {
                woken_often.push(Step { after: 0, what: What::Woken, ..step.clone() });
            }
        }
        let often = drive(limiter, &woken_often).log;
        // A wake-up may send what waited; it never makes anything end otherwise.
        let ends = |log: &[Decision]| log.iter().filter(|d| matches!(
            d, Decision::GiveUp(GiveUp::NotRetryable(_))
        )).count();
        prop_assert!(ends(&often) >= ends(&plain));
    }

    /// No event at any instant, in any state, with any policy, panics; at the
    /// ends of the clock too.
    #[test]
    fn any_clock_gives_a_defined_answer(steps in steps(), edges in prop::collection::vec(
        prop::sample::select(vec![0, 1, u64::MAX / 2, u64::MAX - 1, u64::MAX]), 1..20,
    )) {
        let backoff = Backoff::exponential(Duration::from_nanos(1), Duration::MAX).unwrap();
        let policy = RetryPolicy::new().attempts(u32::MAX).unwrap().backoff(backoff);
        let mut limiter = Limiter::new(u64::MAX)
            .limit(Dimension::InputTokens, Rate::per(u64::MAX >> 1, Duration::from_nanos(1)).unwrap(), u64::MAX)
            .unwrap()
            .retry(policy);
        let mut call = limiter.call(Request::new().input_tokens(u64::MAX).max_tokens(u64::MAX));
        for (step, at) in steps.iter().zip(edges.iter().cycle()) {
            let now = Instant::from_nanos(*at);
            let hints = ServerHints::NONE.with_retry_after(Duration::MAX);
            let event = match &step.what {
                What::Responded(status, ..) => Event::Responded {
                    status: *status, hints: &hints, error: ErrorDetails::NONE,
                },
                What::Finished(_) => Event::Finished(Some(Usage::new(u64::MAX, u64::MAX))),
                What::Failed(_) => Event::Failed(Failure::Lost),
                _ => Event::Woken,
            };
            let _any = call.handle(&mut limiter, now, event);
            if step.after % 7 == 0 {
                limiter.rebase(Instant::from_nanos(step.after));
            }
        }
    }
}
