//! What each part is not made of, what it tells of itself, and windows that are
//! counted from the wall clock.

use std::time::Duration;

use sendwhen::{
    AdaptiveInFlight, Attempt, Blocked, ConfigError, Control, CubicRate, Dimension, Family,
    FixedWindow, InFlight, Instant, Limit, Limiter, LogEntry, LowWater, Meter, Outcome, OutputRule,
    Pushback, Quota, Rate, Refusal, Request, ServerHints, SlidingCounter, SlidingLog,
    SlidingMinute, SmoothRamp, Spacing, StepRamp, Tier, TierLimits, TokenBucket, UnixTime, Usage,
};

const MINUTE: Duration = Duration::from_secs(60);
/// 292 years, and longer than arithmetic is exact for.
const AGES: Duration = Duration::from_nanos(1 << 63);

fn secs(secs: u64) -> Instant {
    Instant::from_secs(secs)
}

/// What a refusal of settings says, and nothing where they are taken.
fn refused<T>(made: Result<T, ConfigError>) -> Option<ConfigError> {
    made.err()
}

#[test]
fn what_cannot_be_meant_is_refused() {
    use ConfigError::{
        BurstNotBelowLimit, EmptyRange, LifetimeTooShort, LimitOutOfRange, WindowOutOfRange,
        ZeroBurst, ZeroInFlight, ZeroLimit, ZeroPeriod, ZeroStep, ZeroWindow,
    };
    let log = |limit, window| refused(SlidingLog::new(limit, window, [LogEntry::EMPTY; 2]));
    let smooth = |least, step, most, period, burst| {
        refused(SmoothRamp::new(least, step, most, period, burst))
    };
    let adaptive =
        |start, least, most, life| refused(AdaptiveInFlight::new(start, least, most, life));
    let wide = 1 << 56;
    for (said, expected) in [
        (refused(FixedWindow::new(0, MINUTE)), ZeroLimit),
        (refused(FixedWindow::new(1, Duration::ZERO)), ZeroWindow),
        (refused(FixedWindow::new(1, AGES)), WindowOutOfRange),
        (refused(Quota::new(0, MINUTE)), ZeroLimit),
        (refused(Quota::new(1, Duration::ZERO)), ZeroWindow),
        (refused(Quota::new(1, AGES)), WindowOutOfRange),
        (refused(SlidingCounter::new(0, MINUTE)), ZeroLimit),
        (refused(SlidingCounter::new(1, Duration::ZERO)), ZeroWindow),
        (refused(SlidingCounter::new(1, AGES)), WindowOutOfRange),
        (log(0, MINUTE), ZeroLimit),
        (log(1, Duration::ZERO), ZeroWindow),
        (log(1, AGES), WindowOutOfRange),
        (
            refused(SlidingMinute::new(0, [LogEntry::EMPTY; 1])),
            ZeroLimit,
        ),
        (refused(StepRamp::new(0, 1, 1, MINUTE)), EmptyRange),
        (refused(StepRamp::new(2, 1, 1, MINUTE)), EmptyRange),
        (refused(StepRamp::new(1, 0, 1, MINUTE)), ZeroStep),
        (refused(StepRamp::new(1, 1, 1, Duration::ZERO)), ZeroWindow),
        (refused(StepRamp::new(1, 1, 1, AGES)), WindowOutOfRange),
        (smooth(0, 1, 1, MINUTE, 1), EmptyRange),
        (smooth(2, 1, 1, MINUTE, 1), EmptyRange),
        (smooth(1, 0, 1, MINUTE, 1), ZeroStep),
        (smooth(1, 1, 1, MINUTE, 0), ZeroBurst),
        (smooth(1, 1, 1, Duration::ZERO, 1), ZeroPeriod),
        (smooth(1, 1, 1, AGES, 1), WindowOutOfRange),
        (smooth(1, 1, wide, MINUTE, 1), LimitOutOfRange),
        (smooth(1, wide, 1, MINUTE, 1), LimitOutOfRange),
        (smooth(1, 1, 1, MINUTE, wide), LimitOutOfRange),
        (
            refused(TokenBucket::strict(5, MINUTE, 5)),
            BurstNotBelowLimit,
        ),
        (refused(InFlight::new(0, MINUTE)), ZeroInFlight),
        (refused(InFlight::new(1, Duration::ZERO)), LifetimeTooShort),
        (
            refused(InFlight::new(1, MINUTE).and_then(|mut cap| cap.set(0))),
            ZeroInFlight,
        ),
        (adaptive(1, 0, 1, MINUTE), EmptyRange),
        (adaptive(1, 2, 3, MINUTE), EmptyRange),
        (adaptive(4, 2, 3, MINUTE), EmptyRange),
        (adaptive(2, 3, 2, MINUTE), EmptyRange),
        (adaptive(1, 1, 1, Duration::ZERO), LifetimeTooShort),
    ] {
        assert_eq!(said, Some(expected));
    }
    let last = Duration::from_nanos((1 << 63) - 1);
    assert_eq!(refused(FixedWindow::new(u64::MAX, last)), None);
    assert_eq!(smooth(wide - 1, wide - 1, wide - 1, last, wide - 1), None);
}

/// It is half a minute past a full one when the clock stands at 100 s.
#[test]
fn windows_are_counted_from_1970_where_that_is_told() {
    let (now, wall) = (secs(100), UnixTime::from_secs(1_655_120_930 - 20));
    assert_eq!(wall.as_millis() % 60_000, 30_000);
    let next = Err(Refusal::Until(secs(130)));

    let mut fixed = FixedWindow::new(5, MINUTE).unwrap();
    let _forgotten = fixed.charge(Instant::ZERO, 5);
    let mut fixed = fixed.aligned_to_epoch(now, wall);
    assert_eq!((fixed.used(now), fixed.resets(now)), (0, Some(secs(130))));
    let mut taken = fixed.try_acquire(now, 5).unwrap();
    assert_eq!((fixed.used(now), fixed.peek(now, 1)), (5, next));
    fixed.refund(&mut taken, 2);
    assert_eq!((taken.amount(), fixed.used(now)), (3, 3));
    assert_eq!(
        (fixed.used(secs(130)), fixed.resets(secs(200))),
        (0, Some(secs(250)))
    );

    let mut quota = Quota::new(5, MINUTE).unwrap().aligned_to_epoch(now, wall);
    let taken = quota.try_acquire(now, 5).unwrap();
    assert_eq!(
        (taken.amount(), quota.limit(), quota.peek(now, 1)),
        (5, 5, next)
    );
    assert_eq!(quota.resets(now), Some(secs(130)));

    let mut ramp = StepRamp::new(5, 5, 20, MINUTE)
        .unwrap()
        .aligned_to_epoch(now, wall);
    assert!(ramp.try_acquire(now, 5).is_ok());
    assert_eq!(
        (ramp.used(now), ramp.allowed(now), ramp.peek(now, 1)),
        (5, 5, next)
    );
    assert_eq!((ramp.used(secs(130)), ramp.allowed(secs(130))), (0, 10));

    let mut counter = SlidingCounter::new(5, MINUTE)
        .unwrap()
        .aligned_to_epoch(now, wall);
    assert!(counter.try_acquire(now, 5).is_ok());
    // A fifth of it has left when the next window is a fifth over.
    assert_eq!([130, 142, 190].map(|at| counter.used(secs(at))), [5, 4, 0]);
}

#[test]
fn a_window_that_nobody_began_resets_at_no_time() {
    let mut fixed = FixedWindow::new(5, MINUTE).unwrap();
    let mut quota = Quota::new(5, MINUTE).unwrap();
    assert_eq!((fixed.resets(secs(3)), quota.resets(secs(3))), (None, None));
    let _first = (fixed.charge(secs(3), 1), quota.charge(secs(3), 1));
    assert_eq!(fixed.resets(secs(4)), Some(secs(63)));
    assert_eq!(quota.resets(secs(4)), Some(secs(63)));
}

#[test]
fn what_a_log_counts_leaves_it_one_by_one() {
    let mut log = SlidingLog::new(9, MINUTE, [LogEntry::EMPTY; 4]).unwrap();
    let mut first = log.try_acquire(Instant::ZERO, 4).unwrap();
    let _second = log.try_acquire(secs(10), 3).unwrap();
    assert_eq!(
        [0, 10, 59, 60, 70].map(|at| log.used(secs(at))),
        [7, 7, 7, 3, 0]
    );
    log.refund(&mut first, 3);
    assert_eq!((first.amount(), log.used(secs(10))), (1, 4));
}

#[test]
fn a_smooth_ramp_tells_its_level_and_rate() {
    let mut ramp = SmoothRamp::new(60, 60, 120, MINUTE, 10).unwrap();
    assert_eq!(
        (ramp.available(Instant::ZERO), ramp.rate(Instant::ZERO)),
        (10, 60)
    );
    let mut charge = ramp.try_acquire(Instant::ZERO, 10).unwrap();
    assert_eq!(ramp.available(Instant::ZERO), 0);
    assert_eq!(ramp.peek(Instant::ZERO, 11), Err(Refusal::Never));
    ramp.refund(&mut charge, 4);
    assert_eq!((charge.amount(), ramp.available(Instant::ZERO)), (6, 4));
    // Far below full for a minute and more: it rises to its most, and is full
    // and back at its least long after.
    let _debt = ramp.charge(Instant::ZERO, 400);
    assert_eq!((ramp.available(secs(60)), ramp.rate(secs(60))), (0, 120));
    assert_eq!(ramp.rate(secs(120)), 120);
    assert_eq!(
        (ramp.available(secs(3_600)), ramp.rate(secs(3_600))),
        (10, 60)
    );
}

#[test]
fn spacing_tells_what_it_took() {
    let mut spacing = Spacing::new(Rate::per_second(2).unwrap());
    assert_eq!(spacing.rate(), Rate::per_second(2).unwrap());
    assert_eq!(spacing.try_acquire(Instant::ZERO, 4).unwrap().amount(), 4);
    assert_eq!(spacing.peek(Instant::ZERO, 1), Err(Refusal::Until(secs(2))));
    let too_late = spacing.reserve(Instant::ZERO, 1, Duration::from_secs(1));
    assert_eq!(too_late, Err(Refusal::Until(secs(2))));
    let turn = spacing
        .reserve(Instant::ZERO, 3, Duration::from_secs(2))
        .unwrap();
    assert_eq!((turn.at(), turn.charge().amount()), (secs(2), 3));
}

#[test]
fn a_cap_that_is_set_lower_waits_for_those_above_it() {
    let mut cap = InFlight::new(3, MINUTE).unwrap();
    let slots = [0, 1, 2].map(|_| cap.try_acquire(Instant::ZERO).unwrap());
    cap.set(1).unwrap();
    assert!(cap.peek(Instant::ZERO).is_err());
    for (left, slot) in [2, 1, 0].into_iter().zip(slots) {
        cap.release(Instant::ZERO, slot);
        assert_eq!(cap.taken(Instant::ZERO), left);
        assert_eq!(cap.peek(Instant::ZERO).is_ok(), left < 1);
    }
}

/// As one of several limits it is asked for a count, and gives back a part.
#[test]
fn an_adaptive_cap_is_a_limit_of_several_at_once() {
    let mut cap = AdaptiveInFlight::new(4, 1, 8, MINUTE).unwrap();
    let mut slot = Limit::charge(&mut cap, Instant::ZERO, 3);
    assert_eq!(cap.taken(Instant::ZERO), 3);
    let blocked = Limit::peek(&cap, Instant::ZERO, 2).unwrap_err();
    assert_eq!(blocked.by, 0);
    assert!(matches!(blocked.refusal, Refusal::Until(until) if until > Instant::ZERO));
    let never = Limit::peek(&cap, Instant::ZERO, 9);
    assert_eq!(never, Err(Blocked::alone(Refusal::Never)));
    cap.refund(Instant::ZERO, &mut slot, 2);
    assert_eq!(cap.taken(Instant::ZERO), 1);
    assert_eq!(Limit::peek(&cap, Instant::ZERO, 3), Ok(()));
    cap.refund(Instant::ZERO, &mut slot, u32::MAX);
    assert_eq!(cap.taken(Instant::ZERO), 0);
    let slot = cap.try_acquire(Instant::ZERO).unwrap();
    cap.release(Instant::ZERO, slot, Outcome::Refused);
    assert_eq!(cap.cap(), 3, "nine tenths of four, rounded down");
}

#[test]
fn little_is_less_than_the_mark() {
    let brake = LowWater::new(100, MINUTE);
    let wait = |dimension, shown| {
        let meter = Meter::new(Family::Standard, dimension).remaining(shown, 0);
        brake.wait(&ServerHints::NONE.with_meter(meter))
    };
    assert_eq!(brake.wait(&ServerHints::NONE), None);
    for dimension in [
        Dimension::InputTokens,
        Dimension::OutputTokens,
        Dimension::TotalTokens,
    ] {
        let said = [-5, 0, 99, 100, i64::MAX].map(|shown| wait(dimension, shown));
        assert_eq!(said, [Some(MINUTE), Some(MINUTE), Some(MINUTE), None, None]);
    }
    assert_eq!(wait(Dimension::Requests, 0), None, "tokens only");
}

#[test]
fn a_pushback_is_what_a_server_says() {
    let hints = |field: Option<&[u8]>| Pushback::read(field).hints(ServerHints::NONE);
    assert_eq!(hints(None), ServerHints::NONE);
    assert_eq!(
        hints(Some(b"250")).retry_after,
        Some(Duration::from_millis(250))
    );
    assert_eq!(hints(Some(b"250")).should_retry, None);
    assert_eq!(hints(Some(b"-1")).should_retry, Some(false));
    assert_eq!(hints(Some(b"-1")).retry_after, None);
}

/// The larger a tier, the more of everything.
#[test]
fn tiers_grow() {
    let tiers = [Tier::Start, Tier::Build, Tier::Scale];
    let figures = tiers.map(|tier| {
        let (batches, waiting) = tier.batches().unwrap();
        [
            tier.dollars_per_month().unwrap(),
            tier.token_counts_per_minute().unwrap(),
            batches,
            waiting,
        ]
    });
    for pair in figures.windows(2) {
        for (less, more) in pair[0].iter().zip(pair[1]) {
            assert!(*less < more, "{figures:?}");
        }
    }
    let old = Tier::Tier1;
    assert_eq!(old.dollars_per_month(), None);
    assert_eq!((old.token_counts_per_minute(), old.batches()), (None, None));
    let mut changed = TierLimits::of(Tier::Start, "claude-opus-5").unwrap();
    assert!(changed.rates().is_ok());
    changed.input_tokens_per_minute = 0;
    assert_eq!(changed.rates(), Err(ConfigError::ZeroRate));
}

/// An answer, the first event of a stream, and its last.
#[test]
fn usage_is_found_where_apis_report_it() {
    let find = |reported: &[(&str, u64)]| {
        Usage::find(|at| {
            let found = reported.iter().find(|(name, _)| *name == at);
            found.map(|(_, count)| *count)
        })
    };
    assert_eq!(find(&[]), None);
    assert_eq!(find(&[("/usage/other", 5)]), None);
    assert_eq!(
        find(&[("/usage/output_tokens", 15)]),
        Some(Usage::new(0, 15))
    );
    let answer = [
        ("/usage/input_tokens", 1),
        ("/usage/cache_creation_input_tokens", 2),
        ("/usage/cache_read_input_tokens", 3),
        ("/usage/output_tokens", 4),
    ];
    assert_eq!(find(&answer), Some(Usage::new(1, 4).cache(2, 3)));
    let start = answer.map(|(at, count)| (["/message", at].concat(), count));
    let start: Vec<(&str, u64)> = start.iter().map(|(at, count)| (&**at, *count)).collect();
    assert_eq!(find(&start), Some(Usage::new(1, 4).cache(2, 3)));
    // Where both are there, an answer's own counts.
    let both = [&answer[..1], &[("/message/usage/input_tokens", 9)]].concat();
    assert_eq!(find(&both), Some(Usage::new(1, 0)));
}

#[test]
fn instants_are_told_apart_at_the_ends_of_the_clock() {
    let last = Instant::MAX;
    assert_eq!(
        last.checked_duration_since(Instant::ZERO),
        Some(Duration::from_nanos(u64::MAX))
    );
    assert_eq!(Instant::ZERO.checked_duration_since(last), None);
    assert_eq!(last.checked_add(Duration::from_nanos(1)), None);
    assert_eq!(Instant::ZERO.checked_add(Duration::MAX), None);
    assert_eq!(
        Instant::ZERO.checked_add(Duration::from_nanos(u64::MAX)),
        Some(last)
    );
    assert_eq!(last.saturating_add(Duration::MAX), last);
    assert_eq!(last.saturating_sub(Duration::MAX), Instant::ZERO);
}

#[cfg(feature = "std")]
#[test]
fn instants_go_to_the_standard_library_and_back() {
    let origin = std::time::Instant::now();
    let at = secs(5).to_std(origin).unwrap();
    assert_eq!(Instant::from_std(origin, at), secs(5));
    assert_eq!(
        Instant::from_std(at, origin),
        Instant::ZERO,
        "before the origin"
    );
}

#[test]
fn a_rate_learnt_from_refusals_is_off_until_one_comes() {
    let mut rate = CubicRate::default();
    assert_eq!(rate, CubicRate::new());
    assert!((0..1_000).all(|_| rate.try_acquire(Instant::ZERO).is_ok()));
    assert_eq!(rate.per_second_nano(), None);
    assert!(!rate.answered(Instant::ZERO, true));
    let learnt = rate.per_second_nano().unwrap();
    assert_eq!(learnt, 500_000_000, "the least: one in two seconds");
    let recovers = CubicRate::recovers_in(learnt);
    assert!(recovers > Duration::ZERO && recovers < CubicRate::recovers_in(2 * learnt));
}

/// Each setting changes something, and says nothing of the others.
#[test]
fn settings_of_control_start_as_documented() {
    assert_eq!(Control::default(), Control::new());
    let plain = Control::new();
    for changed in [
        plain.patience(Duration::from_secs(1_234)),
        plain.unheard(77),
        plain.tenths_of_deviations(77),
        plain.output_rule(OutputRule::Reserved),
        plain.detect_outages(false),
        plain.hold_back_surprises(false),
        plain.learn_from_refusals(false),
    ] {
        assert_ne!(changed, plain);
    }
}

/// Fields of another family teach a limiter nothing.
#[test]
fn a_limiter_reads_the_meters_of_its_family() {
    let level = |family| {
        let mut limiter = Limiter::new(1).family(Family::Fast);
        let meter = Meter::new(family, Dimension::Requests)
            .limit(50)
            .remaining(49, 0);
        limiter.observe(Instant::ZERO, None, &ServerHints::NONE.with_meter(meter));
        limiter
            .level(Instant::ZERO, Dimension::Requests)
            .map(|level| level.capacity)
    };
    assert_eq!(
        (level(Family::Standard), level(Family::Fast)),
        (None, Some(50))
    );
}

/// So that reports can say which attempt of which call it was.
#[test]
fn the_first_attempt_has_number_one() {
    use sendwhen::{Decision, Event};
    let mut limiter = Limiter::new(1);
    let mut call = limiter.call(Request::new());
    let Decision::Send(Attempt { number, .. }) =
        call.handle(&mut limiter, Instant::ZERO, Event::Submitted)
    else {
        panic!("nothing limits it");
    };
    assert_eq!((number, call.attempts()), (1, 1));
}

/// Its place in the queue followed from the bound, and was not found under
/// another: it was sent, stayed in the queue, and was sent again.
#[cfg(feature = "alloc")]
#[test]
fn an_aging_bound_that_is_set_late_sends_no_call_twice() {
    use sendwhen::{Job, Next, Scheduler};
    for bound in [0, 1, 600, u64::MAX] {
        let mut scheduler = Scheduler::new(1);
        let pool = scheduler.add_pool(Limiter::new(1));
        let route = scheduler.add_route(&[&[pool]]).unwrap();
        let job = Job::new(Request::new(), route);
        let id = scheduler.submit(Instant::ZERO, job).unwrap();
        let mut scheduler = scheduler.aging(Duration::from_secs(bound));
        let first = scheduler.next(Instant::ZERO);
        assert!(matches!(first, Next::Send { id: sent, .. } if sent == id));
        assert_eq!(scheduler.next(Instant::ZERO), Next::Idle);
        assert_eq!((scheduler.waiting(), scheduler.flying()), (0, 1));
    }
}

#[cfg(feature = "alloc")]
#[test]
fn a_call_that_backs_off_goes_by_its_new_latest_start() {
    use sendwhen::{Backoff, Event, Failure, Jitter, Job, Next, RetryPolicy, Scheduler};
    let ten = Backoff::constant(Duration::from_secs(10)).unwrap();
    let policy = RetryPolicy::new().backoff(ten.jitter(Jitter::None));
    for (latest, asked, goes) in [
        (None, 15, true),
        (Some(secs(20)), 15, true),
        (Some(secs(20)), 21, false),
        (Some(secs(5)), 15, false),
    ] {
        let mut scheduler = Scheduler::new(1);
        let pool = scheduler.add_pool(Limiter::new(1).retry(policy));
        let route = scheduler.add_route(&[&[pool]]).unwrap();
        let job = Job::new(Request::new().start_by(secs(12)), route);
        let id = scheduler.submit(secs(0), job).unwrap();
        assert!(matches!(scheduler.next(secs(0)), Next::Send { .. }));
        let _backs_off = scheduler.handle(secs(0), id, Event::Failed(Failure::NotSent));
        assert!(scheduler.postpone(id, latest));
        let next = scheduler.next(secs(asked));
        let sent = matches!(next, Next::Send { .. });
        assert!(sent || matches!(next, Next::Drop { .. }), "{next:?}");
        assert_eq!(sent, goes, "{latest:?} at {asked} s: {next:?}");
    }
}
