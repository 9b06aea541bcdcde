//! What calls share of their retry policy, in virtual time: budget, breaker,
//! throttling, a learnt rate.

use std::time::Duration;

use proptest::prelude::*;
use sendwhen::{
    ActiveBudget, Backoff, Breaker, Budget, Call, Cause, Class, ClassRule, ClientThrottle, Cost,
    Decision, Denied, Dimension, ErrorDetails, Event, Failure, GiveUp, HalfBudget, Instant, Jitter,
    Limiter, Rate, RatioBudget, Refusal, Request, RetryPolicy, Sdk, ServerHints, ServerWait,
    TokenBudget, Usage,
};

const SECOND: Duration = Duration::from_secs(1);

/// A limiter that waits ten seconds after each failure, and calls by number.
struct Stage {
    limiter: Limiter,
    calls: Vec<Call>,
    now: Instant,
}

impl Stage {
    fn new(policy: impl FnOnce(RetryPolicy) -> RetryPolicy) -> Self {
        let plain = RetryPolicy::new().backoff(Backoff::constant(10 * SECOND).unwrap());
        Self {
            limiter: Limiter::new(1)
                .retry(policy(plain))
                .initial_window(1_000)
                .unwrap(),
            calls: Vec::new(),
            now: Instant::ZERO,
        }
    }

    fn call(&mut self, request: Request) -> usize {
        self.calls.push(self.limiter.call(request));
        self.calls.len() - 1
    }

    fn at(&mut self, seconds: u64) -> &mut Self {
        self.now = Instant::from_secs(seconds);
        self
    }

    fn tell(&mut self, call: usize, event: Event<'_>) -> Decision {
        self.calls[call].handle(&mut self.limiter, self.now, event)
    }

    fn status(&mut self, call: usize, status: u16) -> Decision {
        self.tell(
            call,
            Event::responded(status, &ServerHints::NONE, ErrorDetails::NONE),
        )
    }

    fn lost(&mut self, call: usize) -> Decision {
        self.tell(call, Event::Failed(Failure::Lost))
    }

    /// A new call, sent at once.
    fn sent(&mut self) -> usize {
        let call = self.call(Request::new());
        assert!(matches!(
            self.tell(call, Event::Submitted),
            Decision::Send(_)
        ));
        call
    }
}

fn waits(decision: Decision, seconds: u64, cause: Cause) {
    let Decision::Wait(wait) = decision else {
        panic!("{decision:?}");
    };
    assert_eq!(
        (wait.until, wait.cause),
        (Instant::from_secs(seconds), cause)
    );
}

const SPENT: Decision = Decision::GiveUp(GiveUp::BudgetSpent(Class::Transient));

#[test]
fn a_spent_token_budget_is_known_before_the_wait() {
    let tokens = Budget::Tokens(TokenBudget::new(20, 1).unwrap());
    let mut stage = Stage::new(|policy| policy.budget(tokens));
    let (a, b) = (stage.sent(), stage.sent());
    waits(stage.lost(a), 10, Cause::Backoff);
    assert_eq!(stage.lost(b), SPENT);
    // A refusal to throttle costs less.
    let c = stage.sent();
    waits(stage.status(c, 429), 10, Cause::Backoff);
    // Its success brings back what its retry cost, and 15 are there again.
    stage.at(10);
    assert!(matches!(stage.tell(a, Event::Woken), Decision::Send(_)));
    assert_eq!(stage.status(a, 200), Decision::Deliver);
    let d = stage.sent();
    waits(stage.lost(d), 20, Cause::Backoff);
    let e = stage.sent();
    assert_eq!(stage.lost(e), SPENT);
}

#[test]
fn half_of_the_tokens_must_be_left() {
    let half = Budget::Half(HalfBudget::new(4, 1_000).unwrap());
    let mut stage = Stage::new(|policy| policy.budget(half));
    let (a, b) = (stage.sent(), stage.sent());
    waits(stage.lost(a), 10, Cause::Backoff);
    assert_eq!(stage.lost(b), SPENT);
    let c = stage.sent();
    assert_eq!(stage.status(c, 200), Decision::Deliver);
    // An error of the caller's own takes nothing.
    let d = stage.sent();
    let _given_up = stage.status(d, 400);
    let e = stage.sent();
    assert_eq!(stage.status(e, 200), Decision::Deliver);
    let f = stage.sent();
    waits(stage.lost(f), 10, Cause::Backoff);
}

#[test]
fn retries_are_a_share_of_recent_first_attempts() {
    let ratio = Budget::Ratio(RatioBudget::new(250, 0, 100 * SECOND).unwrap());
    let mut stage = Stage::new(|policy| policy.budget(ratio));
    let calls: Vec<usize> = (0..4).map(|_| stage.sent()).collect();
    waits(stage.lost(calls[0]), 10, Cause::Backoff);
    assert_eq!(stage.lost(calls[1]), SPENT);
    // A retry is no request, so that it earns none.
    stage.at(10);
    assert!(matches!(
        stage.tell(calls[0], Event::Woken),
        Decision::Send(_)
    ));
    assert_eq!(stage.lost(calls[0]), SPENT);
}

#[test]
fn retries_that_wait_are_a_share_of_what_is_under_way() {
    let active = Budget::Active(ActiveBudget::new(0, 1, 600 * SECOND).unwrap());
    let mut stage = Stage::new(|policy| policy.budget(active));
    // The server is heard, so that more than a few may be sent.
    let first = stage.sent();
    assert_eq!(stage.status(first, 200), Decision::Deliver);
    let (a, b, c) = (stage.sent(), stage.sent(), stage.sent());
    waits(stage.lost(a), 10, Cause::Backoff);
    assert_eq!(stage.lost(b), SPENT);
    // One that is cancelled while it waits makes room for another.
    let _given_up = stage.tell(a, Event::Cancelled);
    waits(stage.lost(c), 10, Cause::Backoff);
    // And so does the end of the retried attempt.
    stage.at(10);
    assert!(matches!(stage.tell(c, Event::Woken), Decision::Send(_)));
    let d = stage.sent();
    assert_eq!(stage.lost(d), SPENT);
    assert_eq!(stage.status(c, 200), Decision::Deliver);
    let e = stage.sent();
    waits(stage.lost(e), 20, Cause::Backoff);
}

#[test]
fn an_open_breaker_makes_calls_wait_for_one_probe() {
    let breaker = Breaker::after_run(2, 30 * SECOND).unwrap();
    let mut stage = Stage::new(|policy| policy.breaker(breaker));
    let (a, b) = (stage.sent(), stage.sent());
    // A refusal to throttle shows a server that works.
    let c = stage.sent();
    waits(stage.status(a, 529), 10, Cause::Backoff);
    waits(stage.status(c, 429), 10, Cause::Backoff);
    waits(stage.status(b, 529), 10, Cause::Backoff);
    let d = stage.sent();
    waits(stage.status(d, 529), 10, Cause::Backoff);

    let e = stage.call(Request::new());
    waits(stage.tell(e, Event::Submitted), 30, Cause::Breaker);
    let hurried = stage.call(Request::new().start_by(Instant::from_secs(29)));
    let too_late = GiveUp::DeadlineTooClose {
        earliest: Instant::from_secs(30),
        cause: Cause::Breaker,
    };
    assert_eq!(
        stage.tell(hurried, Event::Submitted),
        Decision::GiveUp(too_late)
    );

    stage.at(30);
    assert!(matches!(stage.tell(a, Event::Woken), Decision::Send(_)));
    // All others wait for it, at most for as long as it may take.
    waits(stage.tell(e, Event::Woken), 630, Cause::Breaker);
    let opened = stage.limiter.opened();
    stage.at(31);
    assert_eq!(stage.status(a, 200), Decision::Deliver);
    assert_ne!(stage.limiter.opened(), opened, "those who wait are woken");
    assert!(matches!(stage.tell(e, Event::Woken), Decision::Send(_)));
}

#[test]
fn a_probe_that_is_cancelled_makes_room_for_another() {
    let breaker = Breaker::after_run(1, 30 * SECOND).unwrap();
    let mut stage = Stage::new(|policy| policy.breaker(breaker));
    let a = stage.sent();
    let _wait = stage.lost(a);
    stage.at(30);
    let probe = stage.sent();
    waits(stage.tell(a, Event::Woken), 630, Cause::Breaker);
    let opened = stage.limiter.opened();
    let _given_up = stage.tell(probe, Event::Cancelled);
    assert_ne!(stage.limiter.opened(), opened);
    assert!(matches!(stage.tell(a, Event::Woken), Decision::Send(_)));
}

/// A server that fails for all: after a while little is sent to it, and calls
/// end by themselves.
#[test]
fn throttling_here_spares_the_server() {
    let mut stage = Stage::new(|policy| policy.throttle(ClientThrottle::SRE));
    let first = stage.sent();
    assert_eq!(stage.status(first, 200), Decision::Deliver);
    let (mut sent, mut asked) = (0, 0);
    for n in 0..1_000 {
        stage.now = Instant::from_millis(n * 10);
        let call = stage.call(Request::new());
        asked += 1;
        match stage.tell(call, Event::Submitted) {
            Decision::Send(_) => {
                sent += 1;
                // It fails and does not say that it is busy, so this is no outage.
                let _wait = stage.status(call, 500);
            }
            Decision::Wait(wait) => {
                assert_eq!(wait.cause, Cause::Backoff);
                assert_eq!(stage.calls[call].attempts(), 1, "it counts as an attempt");
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(sent < 30, "{sent} of {asked}");
}

#[test]
fn a_refusal_teaches_a_rate() {
    let mut stage = Stage::new(|policy| policy.adaptive(true));
    for _ in 0..12 {
        let call = stage.sent();
        assert_eq!(stage.status(call, 200), Decision::Deliver);
    }
    // Off until now. The level starts at nothing, and grows at the rate.
    let last = stage.sent();
    stage.at(1);
    waits(stage.status(last, 429), 11, Cause::Backoff);
    let next = stage.call(Request::new());
    let Decision::Wait(wait) = stage.tell(next, Event::Submitted) else {
        panic!("there is no level yet");
    };
    assert_eq!(wait.cause, Cause::SendRate);
    let just_before = Instant::from_nanos(wait.until.as_nanos() - 1);
    stage.now = just_before;
    assert!(matches!(stage.tell(next, Event::Woken), Decision::Wait(_)));
    stage.now = wait.until;
    assert!(matches!(stage.tell(next, Event::Woken), Decision::Send(_)));
}

/// GitHub's secondary limits tell neither when they end nor that they were hit,
/// but in words.
#[test]
fn a_secondary_limit_is_left_alone_for_a_minute() {
    let mut stage = Stage::new(|policy| policy);
    let call = stage.sent();
    let fields = [
        ("x-github-request-id", "x"),
        ("x-ratelimit-limit", "30"),
        ("x-ratelimit-remaining", "14"),
    ];
    let hints = ServerHints::parse(fields, None);
    let error = ErrorDetails::NONE.message("You have exceeded a secondary rate limit.");
    let decision = stage.tell(call, Event::responded(403, &hints, error));
    let Decision::Wait(wait) = decision else {
        panic!("{decision:?}");
    };
    assert!(wait.until >= Instant::from_secs(60), "{wait:?}");
}

/// With `retry-after: 505` Python's SDK waits half a second, twice, and fails.
#[test]
fn a_verbatim_policy_waits_as_its_sdk() {
    let hints = ServerHints::NONE.with_retry_after(Duration::from_secs(505));
    let refused = Event::responded(429, &hints, ErrorDetails::NONE);
    let mut stage = Stage::new(|policy| policy.sdk(Sdk::Python).verbatim(true));
    let a = stage.sent();
    for (least, most) in [(375, 500), (750, 1_000)] {
        let before = stage.now;
        let Decision::Wait(wait) = stage.tell(a, refused) else {
            panic!("it has retries left");
        };
        let span = wait.until.saturating_duration_since(before).as_millis();
        assert!((least..=most).contains(&span), "{span}");
        assert_eq!(wait.cause, Cause::Backoff);
        // The pool stopped all the same, because the server said so.
        stage.at(2_000 + before.as_nanos() / 1_000_000_000);
        assert!(matches!(stage.tell(a, Event::Woken), Decision::Send(_)));
    }
    let spent = GiveUp::AttemptsSpent {
        attempts: 3,
        class: Class::Throttled(None),
    };
    assert_eq!(stage.tell(a, refused), Decision::GiveUp(spent));

    let mut stage = Stage::new(|policy| policy.sdk(Sdk::Python));
    let a = stage.sent();
    let Decision::Wait(wait) = stage.tell(a, refused) else {
        panic!("it has retries left");
    };
    assert!(wait.until >= Instant::from_secs(505));
    assert_eq!(wait.cause, Cause::RetryAfter);
}

/// gRPC's pushback: exactly that long, and the curve starts over.
#[test]
fn pushback_starts_the_curve_over() {
    let curve = Backoff::exponential(SECOND, 60 * SECOND)
        .unwrap()
        .jitter(Jitter::None);
    let mut stage = Stage::new(|policy| {
        policy
            .backoff(curve)
            .server_wait(ServerWait::Replaces)
            .verbatim(true)
    });
    let pushed = ServerHints::NONE.with_retry_after(Duration::from_secs(3));
    let a = stage.sent();
    let mut at = 0;
    for (hints, wait) in [
        (&ServerHints::NONE, 1),
        (&ServerHints::NONE, 2),
        (&ServerHints::NONE, 4),
        (&pushed, 3),
        (&ServerHints::NONE, 1),
        (&ServerHints::NONE, 2),
    ] {
        stage.at(at);
        let decision = stage.tell(a, Event::responded(503, hints, ErrorDetails::NONE));
        let Decision::Wait(told) = decision else {
            panic!("{decision:?}");
        };
        at += wait;
        assert_eq!(told.until, Instant::from_secs(at));
        stage.at(at);
        assert!(matches!(stage.tell(a, Event::Woken), Decision::Send(_)));
    }
}

#[test]
fn a_call_has_so_many_retries_of_a_class() {
    let rule = ClassRule::new(Backoff::constant(SECOND).unwrap()).retries(1);
    let mut stage = Stage::new(|policy| policy.class(Class::Overloaded, rule).unwrap());
    let a = stage.sent();
    for (at, status) in [(0, 500), (20, 529), (40, 500)] {
        stage.at(at);
        assert!(matches!(stage.status(a, status), Decision::Wait(_)));
        stage.at(at + 19);
        assert!(matches!(stage.tell(a, Event::Woken), Decision::Send(_)));
    }
    let spent = GiveUp::AttemptsSpent {
        attempts: 4,
        class: Class::Overloaded,
    };
    assert_eq!(stage.status(a, 529), Decision::GiveUp(spent));
}

#[test]
fn a_call_is_sent_at_its_latest_start_and_not_later() {
    let latest = Request::new().start_by(Instant::from_secs(5));
    let mut stage = Stage::new(|policy| policy);
    let a = stage.call(latest);
    stage.at(5);
    assert!(matches!(stage.tell(a, Event::Submitted), Decision::Send(_)));
    let b = stage.call(latest);
    stage.now = Instant::from_nanos(5_000_000_001);
    let too_late = GiveUp::DeadlineTooClose {
        earliest: stage.now,
        cause: Cause::AskedLate,
    };
    assert_eq!(stage.tell(b, Event::Submitted), Decision::GiveUp(too_late));
}

/// The wait is ten seconds.
#[test]
fn a_retry_may_come_at_the_latest_start() {
    let mut stage = Stage::new(|policy| policy);
    for (latest, waits_for_it) in [(10, true), (9, false)] {
        let a = stage.call(Request::new().start_by(Instant::from_secs(latest)));
        assert!(matches!(stage.tell(a, Event::Submitted), Decision::Send(_)));
        let decision = stage.lost(a);
        assert_eq!(matches!(decision, Decision::Wait(_)), waits_for_it);
    }
}

#[test]
fn a_retry_may_come_when_the_time_for_all_is_just_over() {
    for (total, waits_for_it) in [(10, true), (9, false)] {
        let mut stage = Stage::new(|policy| policy.total(total * SECOND));
        let a = stage.sent();
        let spent = Decision::GiveUp(GiveUp::TimeSpent(Class::Transient));
        assert_eq!(stage.lost(a) != spent, waits_for_it);
    }
}

/// What a server refuses before it does any work is given back. After a fault
/// inside it nobody knows.
#[test]
fn a_refusal_takes_nothing_and_a_fault_may() {
    for (status, left) in [
        (400, 100),
        (429, 100),
        (503, 100),
        (529, 100),
        (500, 60),
        (502, 60),
        (504, 60),
        (528, 60),
    ] {
        let rate = Rate::per_second(1).unwrap();
        let mut stage = Stage::new(|policy| policy);
        stage.limiter = stage
            .limiter
            .limit(Dimension::InputTokens, rate, 100)
            .unwrap();
        let call = stage.call(Request::new().input_tokens(40));
        assert!(matches!(
            stage.tell(call, Event::Submitted),
            Decision::Send(_)
        ));
        let _decision = stage.status(call, status);
        let level = stage.limiter.level(stage.now, Dimension::InputTokens);
        assert_eq!(level.unwrap().there, left, "after {status}");
    }
}

/// The odds are for those that would be sent.
#[test]
fn throttling_here_leaves_alone_who_has_to_wait_anyhow() {
    let mut stage = Stage::new(|policy| policy.throttle(ClientThrottle::SRE));
    let _held = stage.sent();
    for _ in 0..200 {
        let call = stage.call(Request::new());
        if let Decision::Send(_) = stage.tell(call, Event::Submitted) {
            let _wait = stage.status(call, 500);
        }
    }
    stage.limiter = stage.limiter.in_flight(1).unwrap();
    for _ in 0..200 {
        let call = stage.call(Request::new());
        let Decision::Wait(wait) = stage.tell(call, Event::Submitted) else {
            panic!("there is no place");
        };
        assert_eq!(wait.cause, Cause::InFlight);
        assert_eq!(stage.calls[call].attempts(), 0);
    }
}

#[test]
fn what_a_call_took_is_learnt() {
    let request = Request::new().input_tokens(100).max_tokens(1_000);
    let mut stage = Stage::new(|policy| policy);
    for _ in 0..50 {
        let call = stage.call(request);
        assert!(matches!(
            stage.tell(call, Event::Submitted),
            Decision::Send(_)
        ));
        assert_eq!(stage.status(call, 200), Decision::Deliver);
        let _end = stage.tell(call, Event::Finished(Some(Usage::new(100, 7))));
    }
    let output = stage
        .limiter
        .forecast(&request)
        .get(Dimension::OutputTokens);
    assert!(output < 20, "{output}");
}

#[test]
fn a_call_prints_what_became_of_it_and_of_what() {
    let mut stage = Stage::new(|policy| policy);
    let sent = stage.sent();
    let said = format!("{:?}", stage.calls[sent]);
    assert!(
        said.contains("InFlight") && said.contains("input_tokens"),
        "{said}"
    );
}

fn instants() -> impl Strategy<Value = Instant> {
    const YEAR: u64 = 365 * 86_400 * 1_000_000_000;
    let ends = prop::sample::select(vec![0, 1, 500 * YEAR, u64::MAX - 1, u64::MAX]);
    prop_oneof![ends, any::<u64>(), 0..10 * YEAR].prop_map(Instant::from_nanos)
}

fn policy() -> impl Strategy<Value = RetryPolicy> {
    let budget = prop_oneof![
        (1..60_u32).prop_map(|n| Some(Budget::Tokens(TokenBudget::new(n, 1).unwrap()))),
        (2..9_u32).prop_map(|n| Some(Budget::Half(HalfBudget::new(n, 300).unwrap()))),
        (1..900_u32)
            .prop_map(|n| Some(Budget::Ratio(RatioBudget::new(n, 1, 10 * SECOND).unwrap()))),
        (1..900_u32).prop_map(|n| Some(Budget::Active(
            ActiveBudget::new(n, 1, 100 * SECOND).unwrap()
        ))),
        Just(None),
    ];
    let rule = prop::sample::select(vec![
        ServerWait::Apart,
        ServerWait::Raises,
        ServerWait::Replaces,
        ServerWait::Within(SECOND),
        ServerWait::As(Sdk::Go),
        ServerWait::As(Sdk::Ruby),
    ]);
    (budget, 0..5_u32, any::<[bool; 3]>(), rule).prop_map(
        |(budget, run, [throttle, adaptive, verbatim], rule)| {
            let mut policy = RetryPolicy::new()
                .server_wait(rule)
                .verbatim(verbatim)
                .adaptive(adaptive);
            if let Some(budget) = budget {
                policy = policy.budget(budget);
            }
            if run > 0 {
                policy = policy.breaker(Breaker::after_run(run, 7 * SECOND).unwrap());
            }
            if throttle {
                policy = policy.throttle(ClientThrottle::SRE);
            }
            policy
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: ProptestConfig::default().cases.max(10_000),
        ..ProptestConfig::default()
    })]

    /// With any policy and any server: waits are in the future, ends are final,
    /// a wait for what is shared is exact, and all comes to an end.
    #[test]
    fn any_policy_gives_a_defined_answer(
        policy in policy(),
        statuses in prop::collection::vec(prop::sample::select(vec![200_u16, 429, 500, 529, 0]), 1..12),
        asked in prop::option::of(0..20_u64), seed in any::<u64>(),
    ) {
        let mut limiter = Limiter::new(seed).retry(policy);
        let hints = asked.map_or(ServerHints::NONE, |seconds| {
            ServerHints::NONE.with_retry_after(Duration::from_secs(seconds))
        });
        let mut calls: Vec<Call> = (0..4).map(|_| limiter.call(Request::new())).collect();
        let mut over = [false; 4];
        let (mut now, mut statuses, mut steps) = (Instant::ZERO, statuses.iter().cycle(), 0);
        while over.iter().any(|over| !over) {
            steps += 1;
            prop_assert!(steps < 3_000, "it never ends");
            let mut next: Option<Instant> = None;
            for (call, over) in calls.iter_mut().zip(&mut over) {
                if *over {
                    continue;
                }
                let mut decision = call.handle(&mut limiter, now, Event::Woken);
                while let Decision::Send(_) = decision {
                    decision = match statuses.next().unwrap() {
                        0 => call.handle(&mut limiter, now, Event::Failed(Failure::Lost)),
                        status => {
                            let head = Event::responded(*status, &hints, ErrorDetails::NONE);
                            call.handle(&mut limiter, now, head)
                        }
                    };
                }
                match decision {
                    Decision::Wait(wait) => {
                        prop_assert!(wait.until > now, "a wait is always in the future");
                        next = Some(next.map_or(wait.until, |at| at.min(wait.until)));
                    }
                    Decision::Deliver => {
                        let end = call.handle(&mut limiter, now, Event::Finished(None));
                        prop_assert_eq!(end, Decision::Deliver);
                        *over = true;
                    }
                    Decision::GiveUp(why) => {
                        let again = call.handle(&mut limiter, now, Event::Woken);
                        prop_assert_eq!(again, Decision::GiveUp(why));
                        *over = true;
                    }
                    Decision::Send(_) => {}
                }
            }
            now = next.unwrap_or(now);
        }
        prop_assert_eq!(limiter.flying(now), 0);
    }

    /// What calls share binds as every limit does: refused a nanosecond before
    /// the promised instant, let pass at it, and not before the earliest.
    #[test]
    fn until_is_exact_with_a_breaker_and_a_learnt_rate(
        run in 1..4_u32, steps in prop::collection::vec((0..4_000_000_000_u64, 0..6_u8), 1..60),
    ) {
        let breaker = Breaker::after_run(run, 7 * SECOND)
            .and_then(|breaker| breaker.probe_for(20 * SECOND))
            .unwrap();
        let policy = RetryPolicy::new().adaptive(true).breaker(breaker);
        let mut limiter = Limiter::new(1).retry(policy).initial_window(1_000).unwrap();
        let cost = Cost::request();
        let (mut now, mut open) = (0_u64, Vec::<Call>::new());
        for (ahead, what) in steps {
            now += ahead;
            let at = Instant::from_nanos(now);
            if let Err(Denied::Until { wait, earliest }) = limiter.peek(at, &cost) {
                prop_assert!(wait.until > at && earliest <= wait.until);
                prop_assert_eq!(limiter.peek(wait.until, &cost), Ok(()));
                let just_before = Instant::from_nanos(wait.until.as_nanos() - 1);
                prop_assert!(limiter.peek(just_before, &cost).is_err());
                let refused = limiter.clone().try_acquire(at, &cost).map(drop);
                prop_assert_eq!(refused, Err(Denied::Until { wait, earliest }));
            }
            if what == 0 || open.is_empty() {
                let mut call = limiter.call(Request::new());
                let sent = call.handle(&mut limiter, at, Event::Submitted);
                if matches!(sent, Decision::Send(_)) {
                    open.push(call);
                }
                continue;
            }
            let mut call = open.swap_remove(usize::from(what) % open.len());
            let status = [200, 429, 500, 529, 400, 0][usize::from(what)];
            let event = match status {
                0 => Event::Cancelled,
                status => Event::responded(status, &ServerHints::NONE, ErrorDetails::NONE),
            };
            let bound = match limiter.peek(at, &cost) {
                Err(Denied::Until { earliest, .. }) => earliest,
                _ => at,
            };
            // It is not asked again: only what it tells the others counts.
            let mut later = limiter.clone();
            let _decision = call.handle(&mut later, at, event);
            if bound > at {
                let just_before = Instant::from_nanos(bound.as_nanos() - 1);
                prop_assert!(later.peek(just_before, &cost).is_err(), "earliest is a bound");
            }
            limiter = later;
        }
    }

    /// The parts, each alone, at any instants in any order, the ends of the clock
    /// and five hundred years between: no answer overflows, and each is one that
    /// can be given.
    #[test]
    fn the_shared_parts_bear_any_clock(
        steps in prop::collection::vec((instants(), 0..4_u64, any::<u32>()), 1..60),
        open_for in instants(), span in instants(), seed in any::<u64>(),
    ) {
        let nanos = |at: Instant| Duration::from_nanos(at.as_nanos().max(1));
        let (open_for, span) = (nanos(open_for), nanos(span));
        let breaker = Breaker::after_share(500, 2, span, open_for).unwrap();
        let mut breaker = breaker.or_after_run(3).unwrap().probe_for(span).unwrap();
        let mut ratio = RatioBudget::new(u32::MAX, u32::MAX, span).unwrap();
        let mut active = ActiveBudget::new(u32::MAX, 1, span).unwrap();
        let mut throttle = ClientThrottle::new(u32::MAX, span).unwrap();
        let mut grants = vec![];
        for (at, what, number) in steps {
            match breaker.peek(at) {
                Ok(()) => breaker.sent(at, what),
                Err(Refusal::Until(until)) => {
                    prop_assert!(until > at && breaker.peek(until).is_ok());
                    prop_assert!(breaker.earliest(at) >= at && breaker.earliest(at) <= until);
                }
                Err(Refusal::Never) => panic!("a breaker is not closed for good"),
            }
            breaker.ended(at, what, number % 3 == 0);
            let admits = throttle.odds(at).0 == 0;
            prop_assert!(throttle.admits(at, seed) || !admits);
            let (over, under) = throttle.odds(at);
            prop_assert!(over < under);
            if what == 0 {
                throttle.accepted(at);
                ratio.request(at);
            }
            let _any = ratio.try_retry(at);
            grants.extend(active.try_retry(at, number));
            if what == 1 {
                grants.pop().into_iter().for_each(|grant| active.ended(grant));
            }
        }
    }

    /// However many calls fail, and however often, retries stay within the
    /// budget of tokens.
    #[test]
    fn retries_never_exceed_the_budget(
        capacity in 1..300_u32, cost in 1..30_u32, calls in 1..30_usize, seed in any::<u64>(),
    ) {
        let rule = ClassRule::new(Backoff::constant(SECOND).unwrap()).cost(cost);
        let policy = RetryPolicy::new()
            .class(Class::Overloaded, rule)
            .unwrap()
            .budget(Budget::Tokens(TokenBudget::new(capacity, 1).unwrap()));
        let mut limiter = Limiter::new(seed).retry(policy).initial_window(1_000).unwrap();
        let (mut retries, mut refused) = (0, 0);
        for n in 0..calls {
            let mut call = limiter.call(Request::new());
            let mut now = Instant::from_secs(1_000 * n as u64);
            let mut decision = call.handle(&mut limiter, now, Event::Submitted);
            loop {
                decision = match decision {
                    Decision::Send(attempt) => {
                        retries += u32::from(attempt.number > 1);
                        let head = Event::responded(529, &ServerHints::NONE, ErrorDetails::NONE);
                        call.handle(&mut limiter, now, head)
                    }
                    Decision::Wait(wait) => {
                        now = wait.until;
                        call.handle(&mut limiter, now, Event::Woken)
                    }
                    Decision::GiveUp(GiveUp::BudgetSpent(class)) => {
                        prop_assert_eq!(class, Class::Overloaded);
                        refused += 1;
                        break;
                    }
                    _ => break,
                };
            }
        }
        prop_assert_eq!(retries, (capacity / cost).min(9 * calls as u32));
        prop_assert_eq!(refused > 0, capacity / cost < 9 * calls as u32);
    }
}

#[test]
fn delays_are_rounded_to_the_nearest_nanosecond() {
    let nano = Duration::from_nanos(1);
    let delay = |factor, failures| {
        let curve = Backoff::exponential(nano, Duration::MAX).unwrap();
        let curve = curve.factor_per_mille(factor).unwrap();
        curve.jitter(Jitter::None).delay(failures, nano, 0)
    };
    assert_eq!(delay(1_500, 2), 2 * nano);
    assert_eq!(delay(1_400, 2), nano);
    assert_eq!(delay(1_000, 9), nano);
    assert_eq!(delay(2_000, 64), Duration::from_nanos(1 << 63));
    assert_eq!(delay(8_000, 22), Duration::from_nanos(1 << 63));
}

#[test]
fn a_policy_waits_as_long_in_all_as_it_may() {
    let tens = Backoff::constant(10 * SECOND).unwrap();
    let count = |total| {
        let policy = RetryPolicy::new().backoff(tens).total(total);
        policy.delays(Class::Transient, 1).count()
    };
    assert_eq!(count(30 * SECOND), 3);
    assert_eq!(count(30 * SECOND - Duration::from_nanos(1)), 2);
}

#[test]
fn a_wait_is_the_servers_where_the_policy_takes_it_in() {
    let hints = ServerHints::NONE.with_retry_after(5 * SECOND);
    let refused = Event::responded(429, &hints, ErrorDetails::NONE);
    for (how, cause) in [
        (ServerWait::Raises, Cause::RetryAfter),
        (ServerWait::Apart, Cause::Backoff),
    ] {
        let mut stage = Stage::new(|policy| policy.server_wait(how));
        let call = stage.sent();
        waits(stage.tell(call, refused), 10, cause);
    }
}
