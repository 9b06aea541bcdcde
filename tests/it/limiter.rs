//! Corners of a limiter: what refusals, heads and ends say that is rarely said.

use core::time::Duration;

use sendwhen::{
    ActiveBudget, Backoff, Budget, Call, Cause, Class, Control, Cost, Decision, Denied, Dimension,
    ErrorDetails, Event, Failure, Family, GiveUp, Instant, Limiter, Meter, Rate, Request,
    RetryPolicy, ServerHints, Usage,
};

use Dimension::{InputTokens, OutputTokens, Requests, TotalTokens};

fn at(seconds: u64) -> Instant {
    Instant::from_secs(seconds)
}

/// One that knows no limit, and sends a hundred before the server is heard.
fn open() -> Limiter {
    let limiter = Limiter::new(1).initial_window(100).unwrap();
    limiter.control(Control::new().unheard(100))
}

fn limited(limiter: Limiter, dimension: Dimension, per_minute: u64, burst: u64) -> Limiter {
    let rate = Rate::per_minute(per_minute).unwrap();
    limiter.limit(dimension, rate, burst).unwrap()
}

fn sent(limiter: &mut Limiter, now: Instant, request: Request) -> Call {
    let mut call = limiter.call(request);
    let decision = call.handle(limiter, now, Event::Submitted);
    assert!(matches!(decision, Decision::Send(_)), "{decision:?}");
    call
}

fn refused(limiter: &mut Limiter, now: Instant, call: &mut Call, hints: &ServerHints) {
    let event = Event::responded(429, hints, ErrorDetails::NONE);
    let decision = call.handle(limiter, now, event);
    assert!(matches!(decision, Decision::Wait(_)), "{decision:?}");
}

/// What one who wants this waits for, and until when.
fn waits(limiter: &Limiter, now: Instant, cost: Cost) -> Option<(Instant, Cause)> {
    match limiter.peek(now, &cost) {
        Ok(()) => None,
        Err(Denied::Until { wait, .. }) => Some((wait.until, wait.cause)),
        Err(never) => panic!("{never:?}"),
    }
}

const fn shown(dimension: Dimension) -> Meter {
    Meter::new(Family::Standard, dimension)
}

#[test]
fn what_was_not_expected_is_charged_when_it_turns_out() {
    let mut limiter = open();
    let permit = limiter.try_acquire(at(0), &Cost::request()).unwrap();
    let rate = Rate::per_minute(60).unwrap();
    limiter.set_limit(at(0), InputTokens, rate, 600).unwrap();
    let took = Cost::request().with(InputTokens, 500);
    limiter.settle(at(0), permit, Some(took));
    let level = limiter.level(at(0), InputTokens).unwrap();
    assert_eq!(level.there, 100);
}

/// The Claude API shows the sum of both where one of them is what is shortest.
#[test]
fn a_sum_beside_one_of_its_parts_is_no_limit() {
    for part in [InputTokens, OutputTokens] {
        let mut limiter = open();
        let hints = ServerHints::NONE
            .with_meter(shown(part).limit(8_000).remaining(8_000, 0))
            .with_meter(shown(TotalTokens).limit(8_000).remaining(8_000, 0));
        limiter.observe(at(0), None, &hints);
        assert!(limiter.level(at(0), part).is_some());
        assert_eq!(limiter.level(at(0), TotalTokens), None);
    }
    let mut limiter = open();
    let alone = shown(TotalTokens).limit(8_000).remaining(8_000, 0);
    limiter.observe(at(0), None, &ServerHints::NONE.with_meter(alone));
    assert!(limiter.level(at(0), TotalTokens).is_some());
}

/// Where much is left, a refusal is for too many at once; a limit alone says nothing
/// of what is left.
#[test]
fn a_refusal_that_shows_limits_alone_stops_the_pool() {
    let cause_after = |meter: Meter| {
        let mut limiter = open();
        let request = Request::new().input_tokens(100);
        let mut first = sent(&mut limiter, at(0), request);
        let _second = sent(&mut limiter, at(0), request);
        let hints = ServerHints::NONE
            .with_meter(meter)
            .with_retry_after(Duration::from_secs(1));
        refused(&mut limiter, at(0), &mut first, &hints);
        waits(&limiter, at(0), Cost::request()).unwrap().1
    };
    assert_eq!(cause_after(shown(Requests).limit(50)), Cause::Pause);
    let left = shown(Requests).limit(50).remaining(40, 0);
    assert_eq!(cause_after(left), Cause::InFlight);
}

/// What is not asked for is not short, however little there is of it, nor plenty.
#[test]
fn a_refusal_is_not_for_want_of_what_was_not_asked() {
    let cause_after = |meter: Meter| {
        let mut limiter = open();
        let mut first = sent(&mut limiter, at(0), Request::new());
        let _second = sent(&mut limiter, at(0), Request::new());
        let hints = ServerHints::NONE
            .with_meter(meter)
            .with_retry_after(Duration::from_secs(1));
        refused(&mut limiter, at(0), &mut first, &hints);
        waits(&limiter, at(0), Cost::request()).unwrap()
    };
    let pause = (at(1), Cause::Pause);
    let in_debt = shown(Dimension::Own1).limit(30).remaining(-5, 0);
    assert_eq!(cause_after(in_debt), pause);
    let full = shown(Dimension::Own1).limit(30).remaining(30, 0);
    assert_eq!(cause_after(full), pause);
}

/// A limit that nobody knows cannot be waited for.
#[test]
fn a_refusal_that_names_an_unknown_limit_stops_the_pool() {
    let mut limiter = open();
    let request = Request::new().input_tokens(100);
    let mut call = sent(&mut limiter, at(0), request);
    let words = ErrorDetails::new("rate_limit_error")
        .message("This would exceed the rate limit of 30,000 input tokens per minute.");
    let hints = ServerHints::NONE.with_retry_after(Duration::from_secs(5));
    let event = Event::responded(429, &hints, words);
    let decision = call.handle(&mut limiter, at(0), event);
    assert!(matches!(decision, Decision::Wait(_)), "{decision:?}");
    let next = Cost::request().with(InputTokens, 1);
    assert_eq!(waits(&limiter, at(0), next), Some((at(5), Cause::Pause)));
}

/// Of several that bind as long, the first is named, and stays so.
#[test]
fn of_waits_of_equal_length_the_first_is_named() {
    let limiter = limited(Limiter::new(1), Requests, 60, 10);
    let mut limiter = limited(limiter, InputTokens, 60, 10);
    let all = Cost::request().with(Requests, 10).with(InputTokens, 10);
    let _permit = limiter.try_acquire(at(0), &all).unwrap();
    let both = Cost::request().with(InputTokens, 1);
    let cause = waits(&limiter, at(0), both);
    assert_eq!(cause, Some((at(1), Cause::Limit(Requests))));
}

/// A head without a call, as of another client's answer, tells of limits: who waits
/// to hear of them is asked again.
#[test]
fn a_head_of_others_opens_to_who_waits_to_hear_of_limits() {
    let mut limiter = Limiter::new(1).initial_window(2).unwrap();
    let _sent = [(); 2].map(|()| limiter.try_acquire(at(0), &Cost::request()).unwrap());
    let denied = limiter.try_acquire(at(0), &Cost::request());
    let waits = |denied: &Denied| matches!(denied, Denied::Until { wait, .. } if wait.cause == Cause::Confirmation);
    assert!(denied.as_ref().is_err_and(waits), "{denied:?}");
    let opened = limiter.opened();
    limiter.observe(at(0), None, &ServerHints::NONE);
    assert_eq!(limiter.opened(), opened, "it tells of nothing");
    let full = shown(Requests).limit(50).remaining(50, 0);
    limiter.observe(at(0), None, &ServerHints::NONE.with_meter(full));
    assert_ne!(limiter.opened(), opened);
}

/// A head that shows nothing that is left frees nobody who waits for a level.
#[test]
fn a_limit_alone_that_was_known_opens_to_nobody() {
    let mut limiter = limited(open(), Requests, 60, 1);
    let permit = limiter.try_acquire(at(0), &Cost::request()).unwrap();
    assert!(limiter.try_acquire(at(0), &Cost::request()).is_err());
    let opened = limiter.opened();
    let same = shown(Requests).limit(60).window(Duration::from_secs(60));
    let hints = ServerHints::NONE.with_meter(same);
    limiter.observe(at(0), None, &hints);
    limiter.observe(at(0), Some(&permit), &hints);
    assert_eq!(limiter.opened(), opened);
}

/// Ten overloads in a row, a second apart: when the next may be sent.
fn after_overloads(limiter: &mut Limiter) -> Option<(Instant, Cause)> {
    for second in 0..10 {
        let mut call = sent(limiter, at(second), Request::new());
        let event = Event::responded(529, &ServerHints::NONE, ErrorDetails::NONE);
        let _waits = call.handle(limiter, at(second), event);
        let cause = waits(limiter, at(second), Cost::request());
        if cause.is_some() {
            return cause;
        }
    }
    None
}

#[test]
fn outages_are_looked_for_unless_that_is_switched_off() {
    let cause = after_overloads(&mut open()).map(|(_, cause)| cause);
    assert_eq!(cause, Some(Cause::Outage));
    let mut blind = open().control(Control::new().detect_outages(false));
    assert_eq!(after_overloads(&mut blind), None);
}

/// A probe that is lost on its way says nothing of the server.
#[test]
fn a_probe_that_is_lost_ends_no_outage() {
    let fate = |event: Event<'_>| {
        let mut limiter = open();
        let (until, _) = after_overloads(&mut limiter).unwrap();
        let mut probe = sent(&mut limiter, until, Request::new());
        let _end = probe.handle(&mut limiter, until, event);
        waits(&limiter, until, Cost::request()).map(|(_, cause)| cause)
    };
    let lost = fate(Event::Failed(Failure::Lost));
    assert_eq!(lost, Some(Cause::Outage));
    let broken = Event::responded(500, &ServerHints::NONE, ErrorDetails::NONE);
    assert_eq!(fate(broken), Some(Cause::Outage));
    let good = Event::responded(200, &ServerHints::NONE, ErrorDetails::NONE);
    assert_eq!(fate(good), None);
}

/// What one produces that no longer counts as in flight is nobody's.
#[test]
fn nothing_is_charged_for_a_permit_that_expired() {
    let charged_after = |seconds| {
        let lifetime = Duration::from_secs(60);
        let limiter = open().permit_lifetime(lifetime).unwrap();
        let mut limiter = limited(limiter, OutputTokens, 1, 6_000);
        let mut call = sent(&mut limiter, at(0), Request::new().max_tokens(1));
        let good = Event::responded(200, &ServerHints::NONE, ErrorDetails::NONE);
        assert_eq!(call.handle(&mut limiter, at(0), good), Decision::Deliver);
        let _goes_on = call.handle(
            &mut limiter,
            at(seconds),
            Event::Progressed {
                usage: Usage::new(0, 3_000),
                handed_on: true,
            },
        );
        6_000 - limiter.level(at(seconds), OutputTokens).unwrap().there
    };
    assert_eq!(charged_after(1), 3_000);
    assert_eq!(charged_after(3_600), 0);
}

/// A share of none is none, of ten is one.
#[test]
fn retries_are_a_share_of_all_that_are_under_way() {
    let tenth = Budget::Active(ActiveBudget::new(100, 0, Duration::from_secs(600)).unwrap());
    let backoff = Backoff::constant(Duration::from_secs(10)).unwrap();
    let policy = RetryPolicy::new().backoff(backoff).budget(tenth);
    let fate = |others| {
        let mut limiter = open().retry(policy);
        let mut call = sent(&mut limiter, at(0), Request::new());
        let _others: Vec<Call> = (0..others)
            .map(|_| sent(&mut limiter, at(0), Request::new()))
            .collect();
        call.handle(&mut limiter, at(0), Event::Failed(Failure::Lost))
    };
    let spent = Decision::GiveUp(GiveUp::BudgetSpent(Class::Transient));
    assert_eq!(fate(8), spent);
    assert!(matches!(fate(10), Decision::Wait(_)));
}
