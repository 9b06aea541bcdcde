//! What a caller is told of a decision, and that it is the decision.

use core::time::Duration;

use sendwhen::{
    Call, Cause, Control, Cost, Decision, Denied, Dimension, ErrorDetails, Event, Family, Instant,
    Limiter, Meter, Rate, Request, ServerHints, Stance,
};

const fn at(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

fn said(call: &Call, limiter: &Limiter, now: Instant) -> String {
    call.explain(limiter, now).to_string()
}

fn limited() -> Limiter {
    Limiter::new(1)
        .limit(
            Dimension::InputTokens,
            Rate::per_minute(6_000).unwrap(),
            1_000,
        )
        .unwrap()
}

#[test]
fn a_limit_is_named_with_its_numbers() {
    let mut limiter = limited();
    let mut first = limiter.call(Request::new().input_tokens(900));
    let mut second = limiter.call(Request::new().input_tokens(350));
    let _sent = first.handle(&mut limiter, at(0), Event::Submitted);
    let _waits = second.handle(&mut limiter, at(0), Event::Submitted);
    assert_eq!(
        said(&second, &limiter, at(0)),
        "wait 2.500 s for the limit of input tokens: 100 of 1000 there, 350 wanted, 6000 a minute"
    );
}

#[test]
fn the_limit_that_binds_longest_is_named_not_the_one_that_lacks_most() {
    let requests = Rate::per_minute(1).unwrap();
    let mut limiter = limited().limit(Dimension::Requests, requests, 1).unwrap();
    let mut first = limiter.call(Request::new().input_tokens(900));
    let mut second = limiter.call(Request::new().input_tokens(350));
    let _sent = first.handle(&mut limiter, at(0), Event::Submitted);
    let _waits = second.handle(&mut limiter, at(0), Event::Submitted);
    assert_eq!(
        said(&second, &limiter, at(0)),
        "wait 60.000 s for the limit of requests: 0 of 1 there, 1 wanted, 1 a minute"
    );
}

#[test]
fn what_is_held_back_is_told() {
    let mut limiter = limited();
    let now = at(0);
    let permit = limiter.try_acquire(now, &Cost::request()).unwrap();
    let meter = Meter::new(Family::Standard, Dimension::InputTokens)
        .limit(6_000)
        .remaining(2_000, 500);
    limiter.observe(now, Some(&permit), &ServerHints::NONE.with_meter(meter));
    let explained = limiter.explain(now, &Request::new().input_tokens(800));
    let level = explained.level.unwrap();
    assert_eq!(level.rounding, 500);
    assert_eq!(level.needed(), 800 + level.held());
    assert!(
        explained.to_string().contains("held back (rounding 500"),
        "{explained}"
    );
}

#[test]
fn waits_of_a_calls_own_are_named() {
    let mut limiter = Limiter::new(1);
    let mut call = limiter.call(Request::new());
    let _sent = call.handle(&mut limiter, at(0), Event::Submitted);
    let hints = ServerHints::NONE.with_retry_after(Duration::from_secs(7));
    let overloaded = Event::responded(529, &hints, ErrorDetails::new("overloaded_error"));
    let Decision::Wait(wait) = call.handle(&mut limiter, at(500), overloaded) else {
        panic!("an overload passes");
    };
    let line = said(&call, &limiter, at(500));
    assert!(
        line.starts_with("wait ") && line.contains(&wait.cause.to_string()),
        "{line}"
    );
    let _over = call.handle(&mut limiter, at(600), Event::Cancelled);
    assert_eq!(said(&call, &limiter, at(600)), "given up: it was cancelled");
}

#[test]
fn caps_and_pauses_tell_how_many_are_out() {
    let mut limiter = Limiter::new(1).in_flight(1).unwrap();
    let mut first = limiter.call(Request::new());
    let second = limiter.call(Request::new());
    let _sent = first.handle(&mut limiter, at(0), Event::Submitted);
    let line = said(&second, &limiter, at(0));
    assert!(
        line.contains("for the in-flight cap: 1 in flight, the newest 1 unheard"),
        "{line}"
    );
}

#[test]
fn never_is_told_with_the_reason() {
    let limiter = limited();
    let explained = limiter.explain(at(0), &Request::new().input_tokens(1_001));
    assert!(matches!(explained.stance, Stance::Never(_)));
    assert_eq!(
        explained.to_string(),
        "never: it takes 1001 input tokens, and at most 1000 can ever be there at once"
    );
}

/// Asked of a limiter in any of many states, the stance is what `peek` says.
#[test]
fn explain_agrees_with_peek() {
    let mut limiter = limited();
    for step in 0_u64..200 {
        let now = at(step * 137);
        let request = Request::new().input_tokens((step * 71) % 1_200);
        let cost = limiter.forecast(&request);
        let stance = limiter.explain(now, &request).stance;
        match (limiter.peek(now, &cost), stance) {
            (Ok(()), Stance::Send) | (Err(Denied::Never(_)), Stance::Never(_)) => {}
            (Err(Denied::Until { wait, .. }), Stance::Wait(told)) => assert_eq!(told, wait),
            (peeked, stance) => panic!("{peeked:?}, but {stance:?}"),
        }
        if let Ok(permit) = limiter.try_acquire(now, &cost) {
            limiter.settle(now, permit, Some(cost));
        }
    }
}

/// A request each second under a limit of two a second, of which heads show that
/// `others` are taken each second by somebody else.
fn beside(others: i64, control: Control) -> (Limiter, Instant) {
    let rate = Rate::per_minute(120).unwrap();
    let mut limiter = Limiter::new(1)
        .control(control)
        .limit(Dimension::Requests, rate, 120)
        .unwrap();
    let mut left = 60;
    let mut now = at(0);
    for second in 0..25 {
        now = at(second * 1_000);
        left += 2 - 1 - others;
        let permit = limiter.try_acquire(now, &Cost::request()).unwrap();
        let meter = Meter::new(Family::Standard, Dimension::Requests)
            .limit(120)
            .remaining(left, 0);
        limiter.observe(now, Some(&permit), &ServerHints::NONE.with_meter(meter));
        limiter.settle(now, permit, None);
    }
    (limiter, now)
}

#[test]
fn others_on_the_same_limit_are_named() {
    let (mut limiter, now) = beside(3, Control::new());
    let explained = limiter.explain(now, &Request::new());
    let level = explained.level.unwrap();
    assert!((1_300..=1_600).contains(&level.others), "{level:?}");
    let Stance::Wait(wait) = explained.stance else {
        panic!("{explained}")
    };
    assert_eq!(wait.cause, Cause::Others(Dimension::Requests));
    assert!(
        explained
            .to_string()
            .contains("for others who share the limit of requests"),
        "{explained}"
    );
    // What it says is when it passes, to the nanosecond.
    let before = Instant::from_nanos(wait.until.as_nanos() - 1);
    assert!(limiter.try_acquire(before, &Cost::request()).is_err());
    assert!(limiter.try_acquire(wait.until, &Cost::request()).is_ok());
}

#[test]
fn who_is_alone_waits_for_nobody() {
    let (limiter, now) = beside(0, Control::new());
    let explained = limiter.explain(now, &Request::new());
    assert_eq!(explained.stance, Stance::Send);
    assert_eq!(explained.level.unwrap().others, 0);
}

#[test]
fn others_are_not_looked_for_where_that_is_set() {
    let (limiter, now) = beside(3, Control::new().share_with_others(false));
    let explained = limiter.explain(now, &Request::new());
    assert_eq!(explained.level.unwrap().others, 0, "{explained}");
}

/// Whether anybody waits for a rate that refusals taught, of a server that lets
/// five pass each second, shows nothing, and refuses with these words.
fn learns_a_rate(mut limiter: Limiter, words: &str) -> bool {
    let refused = ErrorDetails::new("rate_limit_error").message(words);
    let mut waits = false;
    for tenth in 0..600 {
        let mut call = limiter.call(Request::new());
        let later = at(tenth * 100 + 50);
        let mut tell = |event| call.handle(&mut limiter, later, event);
        match tell(Event::Submitted) {
            Decision::Send(_) if tenth % 10 < 5 => {
                let head = Event::responded(200, &ServerHints::NONE, ErrorDetails::NONE);
                assert_eq!(tell(head), Decision::Deliver);
                assert_eq!(tell(Event::Finished(None)), Decision::Deliver);
            }
            Decision::Send(_) => {
                let again = tell(Event::responded(429, &ServerHints::NONE, refused));
                assert!(matches!(again, Decision::Wait(_)), "{again:?}");
            }
            Decision::Wait(wait) => waits |= wait.cause == Cause::SendRate,
            other => panic!("{other:?}"),
        }
    }
    waits
}

#[test]
fn a_rate_is_learnt_from_refusals_only_where_limits_are() {
    let acceleration = "This request would exceed your organization's maximum usage increase rate";
    assert!(learns_a_rate(Limiter::new(1), ""));
    assert!(!learns_a_rate(Limiter::new(1), acceleration));
    assert!(!learns_a_rate(Limiter::new(1).learn_limits(false), ""));
    let deaf = Control::new().learn_from_refusals(false);
    assert!(!learns_a_rate(Limiter::new(1).control(deaf), ""));
}
