//! A limiter and a call over a restart, in formats with names and without.

use std::time::Duration;

use sendwhen::{
    Call, CallSnapshot, Cause, Cost, Decision, Denied, Dimension, ErrorDetails, Event, Failure,
    Instant, Limiter, LimiterSnapshot, Rate, Request, RetryPolicy, ServerHints, Usage,
};
use serde_json::{Value, json};

const REQUESTS: Dimension = Dimension::Requests;

/// One a second, five at once, and none left.
fn empty() -> Limiter {
    let mut limiter = Limiter::new(1)
        .limit(REQUESTS, Rate::per_second(1).unwrap(), 5)
        .and_then(|limiter| limiter.initial_window(100))
        .unwrap();
    for _ in 0..5 {
        let permit = limiter.try_acquire(Instant::from_secs(100), &Cost::request());
        limiter.settle(Instant::from_secs(100), permit.unwrap(), None);
    }
    limiter
}

/// The fields of a snapshot without their names, as formats that are not
/// self-describing have them.
fn unnamed(written: &Value) -> Value {
    json!([written["version"], written["state"]])
}

fn until(limiter: &Limiter, now: Instant) -> Option<Instant> {
    match limiter.peek(now, &Cost::request()) {
        Ok(()) => None,
        Err(Denied::Until { wait, .. }) => Some(wait.until),
        Err(denied) => panic!("{denied}"),
    }
}

#[test]
fn a_limiter_goes_on_where_it_was() {
    let written = serde_json::to_value(empty().snapshot()).unwrap();
    for form in [written.clone(), unnamed(&written)] {
        let restore = |now, asleep| {
            let snapshot: LimiterSnapshot = serde_json::from_value(form.clone()).unwrap();
            let policy = RetryPolicy::new();
            snapshot.restore(Instant::from_secs(now), Duration::from_secs(asleep), policy)
        };
        // Whatever the clock says now, a second is missing.
        for now in [0, 7, 100, 5_000] {
            let here = Instant::from_secs(now);
            assert_eq!(
                until(&restore(now, 0), here),
                Some(Instant::from_secs(now + 1))
            );
        }
        // In three seconds three came in.
        let mut rested = restore(7, 3);
        let here = Instant::from_secs(7);
        let passed = (0..9).take_while(|_| {
            let permit = rested.try_acquire(here, &Cost::request());
            permit
                .map(|permit| rested.settle(here, permit, None))
                .is_ok()
        });
        assert_eq!(passed.count(), 3);
    }
}

#[test]
fn a_call_goes_on_where_it_was() {
    let (mut limiter, now) = (Limiter::new(1), Instant::from_secs(9));
    let mut call = limiter.call(Request::new().max_tokens(10));
    let restored = |call: &Call, limiter: &Limiter| -> (Call, Limiter) {
        let written = serde_json::to_value(call.snapshot()).unwrap();
        let snapshot: CallSnapshot = serde_json::from_value(unnamed(&written)).unwrap();
        let again: CallSnapshot = serde_json::from_value(written.clone()).unwrap();
        let call = snapshot.restore();
        assert_eq!(
            serde_json::to_value(again.restore().snapshot()).unwrap(),
            written
        );
        let pool = limiter
            .snapshot()
            .restore(now, Duration::ZERO, RetryPolicy::new());
        (call, pool)
    };
    let Decision::Send(first) = call.handle(&mut limiter, now, Event::Submitted) else {
        panic!("nothing limits it");
    };
    assert_eq!((first.number, limiter.flying(now)), (1, 1));

    // Its answer cannot come any more.
    let (mut lost, mut pool) = restored(&call, &limiter);
    assert_eq!((lost.attempts(), pool.flying(now)), (1, 1));
    let decision = lost.handle(&mut pool, now, Event::Failed(Failure::Lost));
    let Decision::Wait(wait) = decision else {
        panic!("it is sent again: {decision:?}");
    };
    assert_eq!((wait.cause, pool.flying(now)), (Cause::Backoff, 0));

    // It can.
    let (mut heard, mut pool) = restored(&call, &limiter);
    let head = Event::responded(200, &ServerHints::NONE, ErrorDetails::NONE);
    assert_eq!(heard.handle(&mut pool, now, head), Decision::Deliver);
    let (mut read, mut pool) = restored(&heard, &pool);
    let end = Event::Finished(Some(Usage::new(1, 1)));
    assert_eq!(read.handle(&mut pool, now, end), Decision::Deliver);
    assert_eq!(pool.flying(now), 0);
}

#[test]
fn a_snapshot_is_read_in_any_order_of_its_fields() {
    let good = serde_json::to_value(empty().snapshot()).unwrap();
    let (version, state) = (&good["version"], &good["state"]);
    for text in [
        format!("{{\"version\":{version},\"state\":{state}}}"),
        format!("{{\"state\":{state},\"version\":{version}}}"),
        format!("{{\"by\":[1,{{}}],\"state\":{state},\"at\":5,\"version\":{version}}}"),
    ] {
        let read: LimiterSnapshot = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_value(read).unwrap(), good);
    }
}

#[test]
fn another_version_is_refused() {
    let good = serde_json::to_value(empty().snapshot()).unwrap();
    let state = || good["state"].clone();
    let read = |text: String| {
        let read = serde_json::from_str::<LimiterSnapshot>(&text);
        read.map(drop).map_err(|error| error.to_string())
    };
    assert_eq!(read(good.to_string()), Ok(()));
    for (value, says) in [
        (json!([2, state()]).to_string(), "version 2"),
        (json!([1]).to_string(), "1"),
        (json!([]).to_string(), "0"),
        (json!("text").to_string(), "its version and its state"),
        (format!("{{\"state\":{}}}", state()), "version"),
        (
            format!("{{\"state\":{},\"version\":7}}", state()),
            "version 7",
        ),
        (String::from("{\"version\":1}"), "state"),
        (
            format!("{{\"version\":7,\"state\":{}}}", state()),
            "version 7",
        ),
    ] {
        let error = read(value).unwrap_err();
        assert!(error.contains(says), "{error}: {says}");
    }
}
