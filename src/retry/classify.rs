//! What kind of end an attempt came to.

use crate::decision::{Class, ErrorDetails};

/// Where in its life an answer was when it ended as it did.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Phase {
    /// The head has just been read; its status speaks.
    Head,
    /// Inside the body of a 200, where only the error's type can speak.
    Stream,
}

/// Says what an attempt's end means, from the HTTP status, what the body says,
/// `x-should-retry`, and where in the answer it happened.
///
/// The error's own words go before the status, because some servers refuse
/// under a status of 200 and some call an overload a 500. Spend, credit and
/// entitlement go before everything, because `x-should-retry: true` comes with
/// those too.
///
/// ```
/// use sendwhen::{Class, ErrorDetails, Phase, classify};
///
/// let none = ErrorDetails::NONE;
/// assert_eq!(classify(200, none, None, Phase::Head), Class::Success);
/// assert_eq!(classify(429, none, None, Phase::Head), Class::Throttled);
/// assert_eq!(classify(529, none, None, Phase::Head), Class::Overloaded);
/// assert_eq!(classify(400, none, None, Phase::Head), Class::CallerError);
///
/// let spent = ErrorDetails::new("rate_limit_error").code("enforced_spend_limit_reached");
/// assert_eq!(classify(429, spent, Some(true), Phase::Head), Class::Exhausted);
/// ```
pub fn classify(
    status: u16,
    error: ErrorDetails<'_>,
    should_retry: Option<bool>,
    phase: Phase,
) -> Class {
    if let Some(class) = by_account(status, &error) {
        return class;
    }
    let by_words = by_kind(error.kind, error.message);
    if phase == Phase::Stream {
        return by_words.unwrap_or(Class::Transient);
    }
    let by_status = by_status(status);
    if by_status == Class::Success {
        // A 200 is a success unless the caller read an error out of its body.
        return match (error.kind, error.code) {
            ("", "") => Class::Success,
            (_, code) => by_words
                .or_else(|| by_code(code))
                .unwrap_or(Class::Transient),
        };
    }
    let class = match by_words {
        Some(class) if class.is_retryable() => class,
        _ => by_status,
    };
    match should_retry {
        Some(true) if !class.is_retryable() => Class::Transient,
        Some(false) if class.is_retryable() => Class::CallerError,
        _ => class,
    }
}

fn by_status(status: u16) -> Class {
    match status {
        200..=399 => Class::Success,
        429 => Class::Throttled,
        503 | 529 => Class::Overloaded,
        // The SDKs retry 408 and 409, which are lock time-outs.
        408 | 409 | 500..=599 => Class::Transient,
        _ => Class::CallerError,
    }
}

fn by_kind(kind: &str, message: &str) -> Option<Class> {
    Some(match kind {
        "overloaded_error" => Class::Overloaded,
        // Seen under a status of 500.
        "api_error" if message.starts_with("Overloaded") => Class::Overloaded,
        "api_error" | "timeout_error" | "conflict_error" => Class::Transient,
        "rate_limit_error" => Class::Throttled,
        "invalid_request_error"
        | "authentication_error"
        | "permission_error"
        | "not_found_error"
        | "request_too_large" => Class::CallerError,
        _ => return None,
    })
}

fn by_code(code: &str) -> Option<Class> {
    (code == "rate_limit_exceeded").then_some(Class::Throttled)
}

/// Refusals that no wait mends, under whatever status they come.
fn by_account(status: u16, error: &ErrorDetails<'_>) -> Option<Class> {
    const SPENT: [&str; 2] = [
        "You have reached your specified API usage limits",
        "You have reached your specified workspace API usage limits",
    ];
    const NOT_ENTITLED: [&str; 2] = ["Extra usage is required", "Usage credits are required"];
    let begins = |starts: &[&str]| starts.iter().any(|start| error.message.starts_with(start));

    let spent = status == 402
        || error.kind == "billing_error"
        || matches!(
            error.code,
            "enforced_spend_limit_reached"
                | "out_of_credits"
                | "org_spend_cap_reached"
                | "insufficient_quota"
        )
        || begins(&SPENT);
    if spent {
        return Some(Class::Exhausted);
    }
    begins(&NOT_ENTITLED).then_some(Class::NotEntitled)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Status, type, code, message, `x-should-retry`, phase, class.
    type Row = (
        u16,
        &'static str,
        &'static str,
        &'static str,
        Option<bool>,
        Phase,
        Class,
    );

    use Class::{CallerError, Exhausted, NotEntitled, Overloaded, Success, Throttled, Transient};
    use Phase::{Head, Stream};

    const ROWS: &[Row] = &[
        (200, "", "", "", None, Head, Success),
        (204, "", "", "", None, Head, Success),
        (
            400,
            "invalid_request_error",
            "",
            "max_tokens: too large",
            Some(false),
            Head,
            CallerError,
        ),
        (
            400,
            "invalid_request_error",
            "",
            "You have reached your specified API usage limits. You will regain access on 2026-09-01",
            None,
            Head,
            Exhausted,
        ),
        (401, "authentication_error", "", "", None, Head, CallerError),
        (402, "", "", "", None, Head, Exhausted),
        (403, "permission_error", "", "", None, Head, CallerError),
        (404, "not_found_error", "", "", None, Head, CallerError),
        (408, "", "", "", None, Head, Transient),
        (409, "conflict_error", "", "", None, Head, Transient),
        (413, "", "", "", None, Head, CallerError),
        (429, "", "", "", None, Head, Throttled),
        (429, "rate_limit_error", "", "", Some(true), Head, Throttled),
        (
            429,
            "rate_limit_error",
            "",
            "",
            Some(false),
            Head,
            CallerError,
        ),
        (
            429,
            "rate_limit_error",
            "enforced_spend_limit_reached",
            "",
            Some(true),
            Head,
            Exhausted,
        ),
        (
            429,
            "rate_limit_error",
            "out_of_credits",
            "",
            Some(true),
            Head,
            Exhausted,
        ),
        (
            429,
            "rate_limit_error",
            "",
            "Extra usage is required for long context requests.",
            None,
            Head,
            NotEntitled,
        ),
        (
            500,
            "api_error",
            "",
            "Internal server error",
            None,
            Head,
            Transient,
        ),
        (500, "api_error", "", "Overloaded", None, Head, Overloaded),
        (502, "", "", "", None, Head, Transient),
        (503, "", "", "", None, Head, Overloaded),
        (504, "timeout_error", "", "", None, Head, Transient),
        (
            529,
            "overloaded_error",
            "",
            "Overloaded",
            Some(true),
            Head,
            Overloaded,
        ),
        (529, "", "", "", None, Head, Overloaded),
        (418, "", "", "", Some(true), Head, Transient),
        (500, "", "", "", Some(false), Head, CallerError),
        (200, "", "rate_limit_exceeded", "", None, Head, Throttled),
        (
            200,
            "overloaded_error",
            "",
            "Overloaded",
            None,
            Stream,
            Overloaded,
        ),
        (
            200,
            "invalid_request_error",
            "",
            "",
            None,
            Stream,
            CallerError,
        ),
        (200, "", "", "", None, Stream, Transient),
        (999, "", "", "", None, Head, CallerError),
        (0, "", "", "", None, Head, CallerError),
    ];

    #[test]
    fn each_row_of_the_table_is_classified_so() {
        for &(status, kind, code, message, should_retry, phase, class) in ROWS {
            let error = ErrorDetails::new(kind).code(code).message(message);
            assert_eq!(
                classify(status, error, should_retry, phase),
                class,
                "{status} {kind} {code} {message} {should_retry:?} {phase:?}"
            );
        }
    }
}
