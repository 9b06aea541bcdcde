//! Events that do not fit a call's state tell its limiter nothing.

use sendwhen::{
    Decision, Dimension, ErrorDetails, Event, Family, Instant, Limiter, Meter, Rate, Request,
    ServerHints, Usage,
};

const NOW: Instant = Instant::from_secs(1);

#[test]
fn a_second_head_teaches_nothing() {
    let mut limiter = Limiter::new(1);
    let mut call = limiter.call(Request::new());
    let shown = Meter::new(Family::Standard, Dimension::Requests).limit(50);
    let hints = ServerHints::NONE.with_meter(shown.remaining(49, 0));
    let head = Event::responded(200, &hints, ErrorDetails::NONE);

    // Before it is sent, and after it was answered.
    let _over = call.handle(&mut limiter, NOW, Event::Cancelled);
    let _stands = call.handle(&mut limiter, NOW, head);
    assert_eq!(limiter.level(NOW, Dimension::Requests), None);

    let mut call = limiter.call(Request::new());
    assert!(matches!(
        call.handle(&mut limiter, NOW, Event::Submitted),
        Decision::Send(_)
    ));
    let bare = Event::responded(200, &ServerHints::NONE, ErrorDetails::NONE);
    assert_eq!(call.handle(&mut limiter, NOW, bare), Decision::Deliver);
    assert_eq!(call.handle(&mut limiter, NOW, head), Decision::Deliver);
    assert_eq!(limiter.level(NOW, Dimension::Requests), None);

    let mut call = limiter.call(Request::new());
    let _sent = call.handle(&mut limiter, NOW, Event::Submitted);
    assert_eq!(call.handle(&mut limiter, NOW, head), Decision::Deliver);
    assert!(limiter.level(NOW, Dimension::Requests).is_some());
}

#[test]
fn progress_counts_only_while_it_streams() {
    let mut limiter = Limiter::new(1)
        .learn_limits(false)
        .limit(Dimension::OutputTokens, Rate::per_minute(1).unwrap(), 1_000)
        .unwrap();
    let there = |limiter: &Limiter| limiter.level(NOW, Dimension::OutputTokens).unwrap().there;
    let mut call = limiter.call(Request::new().max_tokens(10));
    let more = Event::progressed(Usage::new(0, 500), false);

    let _sent = call.handle(&mut limiter, NOW, Event::Submitted);
    let charged = there(&limiter);
    let _stands = call.handle(&mut limiter, NOW, more);
    assert_eq!(there(&limiter), charged, "no head was read yet");

    let bare = Event::responded(200, &ServerHints::NONE, ErrorDetails::NONE);
    assert_eq!(call.handle(&mut limiter, NOW, bare), Decision::Deliver);
    assert_eq!(call.handle(&mut limiter, NOW, more), Decision::Deliver);
    assert_eq!(there(&limiter), 500);

    let end = Event::Finished(Some(Usage::new(0, 500)));
    assert_eq!(call.handle(&mut limiter, NOW, end), Decision::Deliver);
    let most = Event::progressed(Usage::new(0, 900), false);
    assert_eq!(call.handle(&mut limiter, NOW, most), Decision::Deliver);
    assert_eq!(there(&limiter), 500, "it is over");
}
