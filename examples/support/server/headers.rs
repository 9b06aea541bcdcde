//! How the meters look from outside: the header fields of an answer, in the
//! exact names, roundings and clampings of the Claude API.

use std::time::{Duration, SystemTime};

use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::meters::{Gauge, Gauges};

/// Header fields, lower-case names as the Claude API sends them.
pub(crate) type Fields = Vec<(&'static str, String)>;

/// The 12 rate-limit fields, for buckets seen at the wall time `at`.
///
/// Token counts are rounded to the nearest thousand, and never shown above the
/// limit. A reset is when the bucket is full again, in whole seconds. The
/// combined `tokens` family adds the other two up, and bears the earlier of
/// their resets.
pub(crate) fn rate_limits(gauges: &Gauges, at: SystemTime) -> Fields {
    let Gauges {
        requests,
        input,
        output,
    } = gauges;
    let (input_left, output_left) = (rounded(input), rounded(output));
    let reset = |gauge: &Gauge| rfc3339(at, gauge.full_in);
    let earlier = input.full_in.min(output.full_in);
    let both = |a: u64, b: u64| a.saturating_add(b).to_string();
    vec![
        (
            "anthropic-ratelimit-input-tokens-limit",
            input.limit.to_string(),
        ),
        (
            "anthropic-ratelimit-input-tokens-remaining",
            input_left.to_string(),
        ),
        ("anthropic-ratelimit-input-tokens-reset", reset(input)),
        (
            "anthropic-ratelimit-output-tokens-limit",
            output.limit.to_string(),
        ),
        (
            "anthropic-ratelimit-output-tokens-remaining",
            output_left.to_string(),
        ),
        ("anthropic-ratelimit-output-tokens-reset", reset(output)),
        (
            "anthropic-ratelimit-requests-limit",
            requests.limit.to_string(),
        ),
        (
            "anthropic-ratelimit-requests-remaining",
            requests.left.to_string(),
        ),
        ("anthropic-ratelimit-requests-reset", reset(requests)),
        (
            "anthropic-ratelimit-tokens-limit",
            both(input.limit, output.limit),
        ),
        (
            "anthropic-ratelimit-tokens-remaining",
            both(input_left, output_left),
        ),
        ("anthropic-ratelimit-tokens-reset", rfc3339(at, earlier)),
    ]
}

/// Whole seconds until `wait` is over, at least one.
pub(crate) fn retry_after(wait: Duration) -> String {
    let part = u64::from(wait.subsec_nanos() > 0);
    wait.as_secs().saturating_add(part).max(1).to_string()
}

/// The `date` field of an answer that leaves at `at`.
pub(crate) fn date(at: SystemTime) -> String {
    httpdate::fmt_http_date(at)
}

/// `limit` with a comma before every third digit, as in the refusals' words.
pub(crate) fn with_commas(limit: u64) -> String {
    let digits = limit.to_string();
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && digits.len().saturating_sub(place) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn rounded(gauge: &Gauge) -> u64 {
    let nearest = gauge.left.saturating_add(500) / 1_000;
    nearest.saturating_mul(1_000).min(gauge.limit)
}

fn rfc3339(at: SystemTime, span: Duration) -> String {
    let then = at.checked_add(span).unwrap_or(at);
    let whole = OffsetDateTime::from(then)
        .replace_nanosecond(0)
        .unwrap_or(OffsetDateTime::UNIX_EPOCH);
    whole.format(&Rfc3339).unwrap_or_default()
}
