//! Any end of an attempt: what must hold of its class whatever it says.
//!
//! The first four lines are the status, the error's type, its code and its
//! message; all further ones are header fields, `name: value`.

use core::time::Duration;

use sendwhen::{
    Class, Dimension, ErrorDetails, LimitKind, LimitMessage, Phase, ServerHints, classify,
};

/// Panics where something does not hold.
pub fn check(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut lines = text.split('\n');
    let mut line = || lines.next().unwrap_or_default();
    let status: u16 = line().trim().parse().unwrap_or(0);
    let error = ErrorDetails::new(line()).code(line()).message(line());
    let fields: Vec<(&str, &str)> = lines.filter_map(|field| field.split_once(':')).collect();
    let hints = ServerHints::parse(fields, None);

    check_class(status, error, &hints);
    check_message(error.message);
    let delay = Duration::from_millis(u64::from(status));
    let printed = format!("{}.{:09}s", delay.as_secs(), delay.subsec_nanos());
    assert_eq!(ErrorDetails::NONE.retry_delay(&printed).delay, Some(delay));
    let _any = ErrorDetails::NONE.retry_delay(error.message);
}

fn check_class(status: u16, error: ErrorDetails<'_>, hints: &ServerHints) {
    const SPENT: [&str; 3] = [
        "enforced_spend_limit_reached",
        "out_of_credits",
        "insufficient_quota",
    ];
    let class = classify(status, error, hints, Phase::Head);
    assert_eq!(class, classify(status, error, hints, Phase::Head));
    let streamed = classify(status, error, hints, Phase::Stream);
    assert_eq!(streamed, classify(status, error, hints, Phase::HandedOn));
    assert_ne!(streamed, Class::Success, "an error in a stream");

    let silent = error.kind.is_empty() && error.code.is_empty();
    let fine = (200..400).contains(&status) && silent;
    let refused = hints.dialect.refuses_under_success()
        && hints.retry_after.is_some()
        && hints
            .meters
            .iter()
            .any(|meter| meter.remaining.is_some_and(|left| left.shown <= 0));
    assert!(fine || class != Class::Success);
    assert!(!fine || refused || class == Class::Success);
    assert!(
        !fine
            || matches!(
                class,
                Class::Success | Class::Throttled(_) | Class::CallerError
            )
    );

    let told = |should_retry| {
        let mut told = *hints;
        told.should_retry = should_retry;
        classify(status, error, &told, Phase::Head)
    };
    let free = told(None);
    assert!(!told(Some(false)).is_retryable(), "the server forbids it");
    if SPENT.contains(&error.code) || error.kind == "billing_error" {
        assert_eq!([free, told(Some(true)), streamed], [Class::Exhausted; 3]);
    }
    match free {
        Class::Success | Class::Exhausted | Class::NotEntitled => {
            assert_eq!(told(Some(true)), free)
        }
        _ => assert!(told(Some(true)).is_retryable(), "the server wants it"),
    }
    if let Class::Throttled(Some(blamed)) = class {
        let shown = hints.meters.get(sendwhen::Family::Standard, blamed);
        let named = LimitMessage::read(error.message).and_then(|said| said.dimension);
        assert!(named == Some(blamed) || shown.is_none_or(|meter| meter.remaining.is_some()));
        assert!(Dimension::ALL.contains(&blamed));
    }
}

fn check_message(message: &str) {
    let said = LimitMessage::read(message);
    if let Some(said) = said {
        assert!(said.next_limit.is_none() || said.kind == LimitKind::Acceleration);
        assert!(said.dimension.is_none() || said.kind != LimitKind::Concurrency);
        assert!(said.window.is_none_or(|window| !window.is_zero()));
    }
    // Of a longer one the end is not looked at, and another apostrophe moves it.
    if message.len() <= 300 {
        assert_eq!(LimitMessage::read(&message.replace('\'', "\u{2019}")), said);
        assert_eq!(
            LimitMessage::read(&message.to_ascii_lowercase()).map(|s| s.kind),
            said.map(|s| s.kind)
        );
    }
}
