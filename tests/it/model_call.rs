//! A few calls over one pool beside slow and obvious ones: the same decisions,
//! whatever events come, fitting or not, in whatever order.

use std::time::Duration;

use proptest::prelude::*;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};
use sendwhen::{
    Backoff, Call, Cause, Class, Control, Decision, Dimension, ErrorDetails, Event, Failure,
    GiveUp, Instant, Limiter, Never, Request, RetryPolicy, ServerHints, Usage,
};

use super::model_pool::{self, Answer, Bucket, Pool, Setting, Ticket};

/// What is not forecast, but known of each request.
const LIMITED: [Dimension; 2] = [Dimension::Requests, Dimension::Own1];

const CALLS: usize = 5;

/// What both are built from, and what happens to them; knows nothing of what
/// comes of it.
#[derive(Clone, Debug)]
struct Drawn {
    limits: [Setting; 2],
    cap: Option<u32>,
    lifetime: u64,
    policy: Policy,
    /// What each takes of the second limit, and its latest start.
    requests: Vec<(u64, Option<u64>)>,
}

#[derive(Clone, Copy, Debug)]
struct Policy {
    attempts: u32,
    backoff: u64,
    total: Option<u64>,
    longest: Option<u64>,
}

#[derive(Clone, Debug)]
struct Op {
    after: u64,
    /// At the very instant that the call was told to wait for, if it was.
    is_on_time: bool,
    call: usize,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    Submitted,
    Woken,
    /// A status, and the wait that the head asks for.
    Responded(u16, Option<u64>),
    Progressed(bool),
    Finished(bool),
    Failed(Fault),
    Cancelled,
}

#[derive(Clone, Copy, Debug)]
enum Fault {
    NotSent,
    Lost,
    TimedOut,
    Overloaded,
    Throttled,
}

fn setting() -> impl Strategy<Value = Setting> {
    model_pool::setting(9_000_000_000, 8)
}

struct Machine;

impl ReferenceStateMachine for Machine {
    type State = Drawn;
    type Transition = Op;

    fn init_state() -> BoxedStrategy<Drawn> {
        let span = 1..6_000_000_000_u64;
        let policy = (
            1..5_u32,
            span.clone(),
            prop::option::weighted(0.3, span.clone()),
            prop::option::weighted(0.3, span),
        )
            .prop_map(|(attempts, backoff, total, longest)| Policy {
                attempts,
                backoff,
                total,
                longest,
            });
        let request = (0..6_u64, prop::option::of(0..15_000_000_000_u64));
        (
            [setting(), setting()],
            prop::option::of(1..4_u32),
            1_000_000..20_000_000_000_u64,
            policy,
            prop::collection::vec(request, CALLS),
        )
            .prop_map(|(limits, cap, lifetime, policy, requests)| Drawn {
                limits,
                cap,
                lifetime,
                policy,
                requests,
            })
            .boxed()
    }

    fn transitions(_: &Drawn) -> BoxedStrategy<Op> {
        let status =
            prop::sample::select(&[200, 200, 200, 400, 402, 408, 429, 429, 500, 503, 529, 0][..]);
        let wait = prop::option::of(prop_oneof![Just(0), 0..5_000_000_000_u64]);
        let fault = prop::sample::select(
            &[
                Fault::NotSent,
                Fault::Lost,
                Fault::TimedOut,
                Fault::Overloaded,
                Fault::Throttled,
            ][..],
        );
        let what = prop_oneof![
            3 => Just(What::Submitted),
            8 => Just(What::Woken),
            8 => (status, wait).prop_map(|(status, wait)| What::Responded(status, wait)),
            2 => any::<bool>().prop_map(What::Progressed),
            4 => any::<bool>().prop_map(What::Finished),
            2 => fault.prop_map(What::Failed),
            1 => Just(What::Cancelled),
        ];
        let after = prop_oneof![2 => Just(0), 1 => Just(1), 4 => 0..4_000_000_000_u64];
        let is_on_time = prop::bool::weighted(0.2);
        (after, is_on_time, 0..CALLS, what)
            .prop_map(|(after, is_on_time, call, what)| Op {
                after,
                is_on_time,
                call,
                what,
            })
            .boxed()
    }

    fn apply(state: Drawn, _: &Op) -> Drawn {
        state
    }
}

/// A call, told as a story.
#[derive(Debug)]
struct Story {
    images: u64,
    start_by: Option<u64>,
    begun: Option<u64>,
    attempts: u32,
    stage: Stage,
    /// The last wait that it was told, for something that others share, and
    /// what `opened` was then.
    told: Option<(u64, u64)>,
    /// When the last wait ends, if it was told to wait.
    until: Option<u64>,
}

#[derive(Debug)]
enum Stage {
    /// Not before the instant, where there is one.
    Queued(Option<(u64, Cause)>),
    Sent(Ticket),
    /// Its ticket, and whether something was handed on.
    Streaming(Ticket, bool),
    Delivered,
    Over(GiveUp),
}

/// What an event makes of an attempt.
enum End {
    /// It failed as this; the server asks for a wait; and whether it took
    /// nothing.
    Failed(Class, Option<u64>, bool),
    Cancelled,
}

impl Story {
    fn amount(&self) -> impl Fn(Dimension) -> u64 + use<> {
        let images = self.images;
        move |dimension| match dimension {
            Dimension::Requests => 1,
            Dimension::Own1 => images,
            _ => 0,
        }
    }
}

/// How a status is understood, where nothing else is known, and whether a
/// request that met it took nothing.
fn class_of(status: u16) -> (Class, bool) {
    match status {
        200 => (Class::Success, false),
        402 => (Class::Exhausted, true),
        408 => (Class::Transient, true),
        429 => (Class::Throttled(None), true),
        500 => (Class::Transient, false),
        503 | 529 => (Class::Overloaded, true),
        _ => (Class::CallerError, true),
    }
}

/// Both, side by side.
struct Pair {
    limiter: Limiter,
    calls: Vec<Call>,
    pool: Pool,
    policy: Policy,
    stories: Vec<Story>,
    now: u64,
}

impl Pair {
    fn new(drawn: &Drawn) -> Self {
        let policy = drawn.policy;
        let nanos = Duration::from_nanos;
        let mut retry = RetryPolicy::new()
            .attempts(policy.attempts)
            .unwrap()
            .backoff(Backoff::constant(nanos(policy.backoff)).unwrap());
        if let Some(total) = policy.total {
            retry = retry.total(nanos(total));
        }
        if let Some(longest) = policy.longest {
            retry = retry.longest_wait(nanos(longest));
        }
        // Nobody waits for a first answer.
        let mut limiter = Limiter::new(5)
            .learn_limits(false)
            .control(
                Control::new()
                    .tenths_of_deviations(0)
                    .unheard(u32::MAX)
                    .detect_outages(false)
                    .learn_from_refusals(false),
            )
            .retry(retry)
            .initial_window(1_000)
            .and_then(|limiter| limiter.permit_lifetime(nanos(drawn.lifetime)))
            .unwrap();
        let mut limits = vec![];
        for (dimension, setting) in LIMITED.into_iter().zip(drawn.limits) {
            limiter = limiter
                .limit(dimension, setting.rate(), setting.burst)
                .unwrap();
            limits.push(Bucket::new(dimension, setting));
        }
        if let Some(cap) = drawn.cap {
            limiter = limiter.in_flight(cap).unwrap();
        }
        let (mut calls, mut stories) = (vec![], vec![]);
        for &(images, start_by) in &drawn.requests {
            let mut request = Request::new().max_tokens(0).own([images, 0, 0]);
            if let Some(latest) = start_by {
                request = request.start_by(Instant::from_nanos(latest));
            }
            calls.push(limiter.call(request));
            stories.push(Story {
                images,
                start_by,
                begun: None,
                attempts: 0,
                stage: Stage::Queued(None),
                told: None,
                until: None,
            });
        }
        let cap = drawn.cap.map(|cap| cap as usize);
        Self {
            limiter,
            calls,
            pool: Pool::new(limits, cap, drawn.lifetime),
            policy,
            stories,
            now: 0,
        }
    }

    /// An event for both; what the real one decides must be what the story
    /// tells.
    fn tell(&mut self, which: usize, what: &What) {
        let now = Instant::from_nanos(self.now);
        let hints;
        let event = match *what {
            What::Submitted => Event::Submitted,
            What::Woken => Event::Woken,
            What::Responded(status, wait) => {
                hints = wait.map_or(ServerHints::NONE, |wait| {
                    ServerHints::NONE.with_retry_after(Duration::from_nanos(wait))
                });
                Event::responded(status, &hints, ErrorDetails::NONE)
            }
            What::Progressed(handed_on) => Event::progressed(Usage::new(3, 4), handed_on),
            What::Finished(told) => Event::Finished(told.then(|| Usage::new(5, 6))),
            What::Failed(fault) => Event::Failed(match fault {
                Fault::NotSent => Failure::NotSent,
                Fault::Lost => Failure::Lost,
                Fault::TimedOut => Failure::TimedOut,
                Fault::Overloaded => Failure::InStream(ErrorDetails::new("overloaded_error")),
                Fault::Throttled => Failure::InStream(ErrorDetails::new("rate_limit_error")),
            }),
            What::Cancelled => Event::Cancelled,
        };
        let decision = self.calls[which].handle(&mut self.limiter, now, event);
        self.stories[which].until = match decision {
            Decision::Wait(wait) => Some(wait.until.as_nanos()),
            _ => None,
        };
        let begun = self.stories[which].begun.get_or_insert(self.now);
        let begun = *begun;
        if let Some(end) = self.note(which, what) {
            self.end(which, begun, end, decision);
        }
        self.stands(which, decision);
        assert_eq!(self.calls[which].attempts(), self.stories[which].attempts);
        assert_eq!(
            self.limiter.flying(now) as usize,
            self.pool.flying(self.now),
            "no permit is leaked, nor given back twice"
        );
    }

    /// What the event does to the story; the end of an attempt, if it is one
    /// that is not good.
    fn note(&mut self, which: usize, what: &What) -> Option<End> {
        let (now, pool) = (self.now, &mut self.pool);
        let story = &mut self.stories[which];
        let (stage, end) = match (std::mem::replace(&mut story.stage, Stage::Delivered), what) {
            (Stage::Queued(_), What::Cancelled) => (Stage::Over(GiveUp::Cancelled), None),
            (Stage::Sent(ticket), &What::Responded(200, _)) => {
                (Stage::Streaming(ticket, false), None)
            }
            (Stage::Sent(ticket), &What::Responded(status, wait)) => {
                let (class, took_nothing) = class_of(status);
                (
                    Stage::Sent(ticket),
                    Some(End::Failed(class, wait, took_nothing)),
                )
            }
            (Stage::Streaming(ticket, before), What::Progressed(handed_on)) => {
                (Stage::Streaming(ticket, before || *handed_on), None)
            }
            (Stage::Streaming(ticket, _), What::Finished(_)) => {
                pool.settle(now, ticket, None);
                (Stage::Delivered, None)
            }
            (stage @ (Stage::Sent(_) | Stage::Streaming(..)), What::Failed(fault)) => {
                let is_sent = matches!(stage, Stage::Sent(_));
                let class = match fault {
                    Fault::Overloaded => Class::Overloaded,
                    Fault::Throttled => Class::Throttled(None),
                    Fault::NotSent | Fault::Lost | Fault::TimedOut => Class::Transient,
                };
                let took_nothing = is_sent && matches!(fault, Fault::NotSent);
                (stage, Some(End::Failed(class, None, took_nothing)))
            }
            (stage @ (Stage::Sent(_) | Stage::Streaming(..)), What::Cancelled) => {
                (stage, Some(End::Cancelled))
            }
            // It does not fit.
            (stage, _) => (stage, None),
        };
        story.stage = stage;
        end
    }

    /// An attempt came to an end that is not good: what is next.
    fn end(&mut self, which: usize, begun: u64, end: End, decision: Decision) {
        let (now, policy) = (self.now, self.policy);
        let story = &mut self.stories[which];
        let (ticket, handed_on) =
            match std::mem::replace(&mut story.stage, Stage::Over(GiveUp::Cancelled)) {
                Stage::Sent(ticket) => (ticket, false),
                Stage::Streaming(ticket, handed_on) => (ticket, handed_on),
                other => panic!("no attempt: {other:?}"),
            };
        let End::Failed(class, asked, took_nothing) = end else {
            self.pool.settle(now, ticket, None);
            return;
        };
        if took_nothing {
            self.pool.take_back(now, ticket);
        } else {
            self.pool.settle(now, ticket, None);
        }
        if class == Class::Exhausted {
            self.pool.closed = Some(None);
        }
        if let (Class::Throttled(_), Some(asked)) = (class, asked) {
            self.pool.pause(now + asked);
        }
        story.stage = Stage::Over(if handed_on {
            GiveUp::HandedOn(class)
        } else if !class.is_retryable() {
            GiveUp::NotRetryable(class)
        } else if story.attempts >= policy.attempts {
            let attempts = story.attempts;
            GiveUp::AttemptsSpent { attempts, class }
        } else if let Some(asked) = asked.filter(|asked| policy.longest.is_some_and(|m| *asked > m))
        {
            GiveUp::WaitTooLong(Duration::from_nanos(asked))
        } else {
            // What the server asks for is never undercut; up to a quarter of it
            // is added, at most a second.
            let most = asked.map(|asked| asked + (asked / 4).min(1_000_000_000));
            let (soonest, latest) = (
                now + policy.backoff.max(asked.unwrap_or(0)),
                now + policy.backoff.max(most.unwrap_or(0)),
            );
            match decision {
                Decision::Wait(wait) => {
                    let until = wait.until.as_nanos();
                    assert!((soonest..=latest).contains(&until), "{wait:?}");
                    let by_server = asked.is_some_and(|_| until > now + policy.backoff);
                    let by_policy = asked.is_none_or(|asked| asked < policy.backoff);
                    match wait.cause {
                        Cause::RetryAfter => assert!(by_server || !by_policy),
                        Cause::Backoff => assert!(!by_server),
                        cause => panic!("{cause:?}"),
                    }
                    assert!(policy.total.is_none_or(|total| until - begun <= total));
                    assert!(story.start_by.is_none_or(|latest| until <= latest));
                    story.stage = Stage::Queued(Some((until, wait.cause)));
                    return;
                }
                Decision::GiveUp(why @ GiveUp::TimeSpent(of)) => {
                    assert_eq!(of, class);
                    assert!(latest - begun > policy.total.unwrap());
                    why
                }
                Decision::GiveUp(why @ GiveUp::DeadlineTooClose { earliest, .. }) => {
                    let earliest = earliest.as_nanos();
                    assert!((soonest..=latest).contains(&earliest), "{why:?}");
                    assert!(earliest > story.start_by.unwrap());
                    why
                }
                other => panic!("{other:?}, after {class:?} and {asked:?}"),
            }
        });
    }

    /// What stands for the story is what was decided.
    fn stands(&mut self, which: usize, decision: Decision) {
        let now = self.now;
        let expected = match &self.stories[which].stage {
            Stage::Queued(Some((until, cause))) if now < *until => {
                let Decision::Wait(wait) = decision else {
                    panic!("{decision:?}, and should wait until {until} for {cause:?}");
                };
                assert_eq!((wait.until.as_nanos(), wait.cause), (*until, *cause));
                return;
            }
            Stage::Queued(_) => return self.asks(which, decision),
            Stage::Sent(ticket) => {
                let Decision::Wait(wait) = decision else {
                    panic!("{decision:?}, and is on its way");
                };
                let expiry = self.pool.expiry(ticket.sent);
                let until = if expiry > now {
                    expiry
                } else {
                    self.pool.expiry(now)
                };
                assert_eq!(
                    (wait.until.as_nanos(), wait.cause),
                    (until, Cause::Response)
                );
                return;
            }
            Stage::Streaming(..) | Stage::Delivered => Decision::Deliver,
            Stage::Over(why) => Decision::GiveUp(*why),
        };
        assert_eq!(decision, expected);
    }

    /// It asks the pool.
    fn asks(&mut self, which: usize, decision: Decision) {
        let now = self.now;
        let story = &mut self.stories[which];
        let (amount, deadline) = (story.amount(), story.start_by);
        let is_late = deadline.is_some_and(|latest| now > latest);
        let window = match self.pool.ask(now, story.amount()) {
            Answer::Passes(window) => window,
            answer => {
                let Decision::GiveUp(GiveUp::Never(never)) = decision else {
                    panic!("{decision:?}, and should be {answer:?}");
                };
                match never {
                    Never::Spend => assert_eq!(answer, Answer::Closed),
                    Never::ExceedsBurst { .. } => assert_eq!(answer, Answer::ExceedsBurst),
                    other => panic!("{other:?}, and should be {answer:?}"),
                }
                story.stage = Stage::Over(GiveUp::Never(never));
                return;
            }
        };
        match decision {
            Decision::Send(attempt) => {
                assert!(window.soonest <= now, "sent, and not before {window:?}");
                assert!(!is_late, "a start never passes its deadline");
                if let Some((until, opened)) = story.told {
                    let is_told = now >= until || opened != self.limiter.opened();
                    assert!(is_told, "who could be admitted is told so");
                }
                story.told = None;
                story.attempts += 1;
                assert_eq!(attempt.number, story.attempts);
                let ticket = self.pool.send(now, amount);
                self.stories[which].stage = Stage::Sent(ticket);
            }
            Decision::Wait(wait) => {
                let until = wait.until.as_nanos();
                assert!(until > now, "a wait is always in the future");
                assert!(window.latest > now, "waits, and may go: {window:?}");
                let cut = |at: u64| deadline.map_or(at, |latest| at.min(latest));
                let window = cut(window.soonest)..=cut(window.latest);
                assert!(window.contains(&until), "{window:?}, and told {wait:?}");
                assert!(wait.cause.is_shared());
                story.told = Some((until, self.limiter.opened()));
            }
            Decision::GiveUp(why @ GiveUp::DeadlineTooClose { earliest, .. }) => {
                let latest = deadline.unwrap();
                assert!(earliest.as_nanos() > latest || now >= latest, "{why:?}");
                let open: Vec<&Ticket> = self
                    .stories
                    .iter()
                    .filter_map(|story| match &story.stage {
                        Stage::Sent(ticket) | Stage::Streaming(ticket, _) => Some(ticket),
                        _ => None,
                    })
                    .filter(|ticket| self.pool.expiry(ticket.sent) > now)
                    .collect();
                let soon = self.pool.if_all_took_nothing(now, &open, amount);
                assert!(soon > latest || now >= latest, "given up early: {why:?}");
                self.stories[which].stage = Stage::Over(why);
            }
            other => panic!("{other:?}, and should be {window:?}"),
        }
        if let (Decision::Wait(_), Some(latest), 0) = (decision, deadline, self.pool.flying(now)) {
            assert!(
                window.soonest <= latest,
                "it cannot start in time: {window:?}"
            );
        }
    }
}

impl StateMachineTest for Machine {
    type SystemUnderTest = Pair;
    type Reference = Self;

    fn init_test(drawn: &Drawn) -> Pair {
        Pair::new(drawn)
    }

    fn apply(mut pair: Pair, _: &Drawn, op: Op) -> Pair {
        match pair.stories[op.call].until {
            Some(until) if op.is_on_time => pair.now = pair.now.max(until),
            _ => pair.now += op.after,
        }
        pair.tell(op.call, &op.what);
        pair
    }

    /// When all are over nothing is held.
    fn teardown(mut pair: Pair, _: Drawn) {
        for which in 0..CALLS {
            pair.tell(which, &What::Cancelled);
        }
        assert_eq!(pair.limiter.flying(Instant::from_nanos(pair.now)), 0);
    }
}

prop_state_machine! {
    #![proptest_config(super::props::config())]

    #[test]
    fn a_call_does_what_its_model_does(sequential 1..80 => Machine);
}
