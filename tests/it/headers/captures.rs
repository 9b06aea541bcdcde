//! Recorded responses: a golden file of all of them, and some of them by hand.

use core::{fmt::Write as _, time::Duration};
use std::fs;

use sendwhen::{
    Dialect, Dimension, Family, Field, HeaderParser, Meter, Problems, ResetGiven, Rfc3339,
    ServerHints,
};

use super::{Pairs, at, data, parse};

/// A recorded response, as a line of `tests/data/captures.jsonl` has it.
#[derive(serde::Deserialize)]
struct Capture {
    provider: String,
    status: u16,
    headers: Pairs,
}

impl Capture {
    fn all() -> Vec<Self> {
        let text = fs::read_to_string(data("captures.jsonl")).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// The one in this line of the file, counted from 1.
    fn line(line: usize) -> ServerHints {
        Self::all()[line - 1].hints()
    }

    fn hints(&self) -> ServerHints {
        parse(&self.headers)
    }
}

/// One line for each field and each thing said, to be read beside the recorded
/// values.
fn describe(capture: &Capture) -> String {
    let mut text = String::new();
    let mut parser = HeaderParser::new();
    for (name, value) in &capture.headers {
        let what = parser.field(name.as_bytes(), value.as_bytes());
        writeln!(text, "  {what:?}: {name}: {value}").unwrap();
    }
    let hints = parser.finish();
    writeln!(text, "  => dialect {}", hints.dialect).unwrap();
    if let Some(date) = hints.date {
        writeln!(text, "  => date {}", Rfc3339::new(date).unwrap()).unwrap();
    }
    for meter in &hints.meters {
        text.push_str(&describe_meter(&meter));
    }
    let said = hints.unified;
    if said != ServerHints::NONE.unified {
        writeln!(
            text,
            "  => claim {:?}, fallback {:?}, overage in use {:?}, disabled {:?}",
            said.claim, said.fallback, said.overage_in_use, said.overage_disabled
        )
        .unwrap();
    }
    if let Some(wait) = hints.retry_after {
        writeln!(text, "  => retry after {wait:?}").unwrap();
    }
    if let Some(should_retry) = hints.should_retry {
        writeln!(text, "  => should retry: {should_retry}").unwrap();
    }
    if let Some(millis) = hints.spent_until_ms() {
        writeln!(text, "  => spent until {millis} ms after date").unwrap();
    }
    for name in hints.problems.iter() {
        writeln!(text, "  => problem: {name}").unwrap();
    }
    text
}

fn describe_meter(meter: &Meter) -> String {
    let mut text = format!("  => {} {}", meter.family.as_str(), meter.unit.as_str());
    if !meter.pool.is_empty() {
        write!(text, " of {}", meter.pool).unwrap();
    }
    let mut say = |what: &str, value: Option<String>| {
        if let Some(value) = value {
            write!(text, ", {what} {value}").unwrap();
        }
    };
    say("limit", meter.limit.map(|limit| limit.to_string()));
    say(
        "remaining",
        meter.remaining.map(|left| match left.rounding {
            0 => left.shown.to_string(),
            rounding => format!("{} +-{rounding}", left.shown),
        }),
    );
    say(
        "reset",
        meter.reset.map(|reset| {
            let after = reset
                .after_date_ms
                .map_or_else(|| "unknown".into(), |ms| format!("{ms:+} ms"));
            match reset.given {
                ResetGiven::At(at) => {
                    format!("{} (after date: {after})", Rfc3339::new(at).unwrap())
                }
                _ => format!("in {after}"),
            }
        }),
    );
    say("window", meter.window.map(|window| format!("{window:?}")));
    say("status", meter.status.map(|status| status.as_str().into()));
    text.push('\n');
    text
}

/// Each capture, as the golden file has it. `UPDATE_GOLDEN=1` writes the file.
#[test]
fn captures_say_what_the_golden_file_has() {
    let mut golden = String::new();
    for (line, capture) in (1..).zip(Capture::all()) {
        let Capture {
            provider, status, ..
        } = &capture;
        writeln!(golden, "line {line}: {provider} {status}").unwrap();
        golden.push_str(&describe(&capture));
    }
    let path = data("captures.golden.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, &golden).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap();
    assert_eq!(
        golden,
        expected,
        "UPDATE_GOLDEN=1 writes {}",
        path.display()
    );
}

/// A meter as these captures show it: rounded unless it counts requests.
fn meter(dimension: Dimension, limit: u64, remaining: i64) -> Meter {
    let rounding = if dimension == Dimension::Requests {
        0
    } else {
        500
    };
    Meter::new(Family::Standard, dimension)
        .limit(limit)
        .remaining(remaining, rounding)
        .window(Duration::from_secs(60))
}

/// Compares the meters, and their resets as seconds after the date and as they
/// were given.
fn assert_meters(hints: &ServerHints, expected: &[(Meter, &str, Option<i64>)]) {
    assert_eq!(hints.meters.len(), expected.len());
    for (shown, &(expected, given, after)) in hints.meters.iter().zip(expected) {
        let reset = shown.reset.unwrap();
        assert_eq!(reset.given, ResetGiven::At(at(given)));
        assert_eq!(reset.after_date_ms, after.map(|seconds| seconds * 1_000));
        let mut without = shown;
        without.reset = None;
        assert_eq!(without, expected);
    }
}

#[test]
fn line_3_of_2024_has_two_meters() {
    let hints = Capture::line(3);
    assert_eq!(hints.dialect, Dialect::Claude);
    assert_eq!(hints.date, Some(at("2024-10-16T05:02:23Z")));
    assert_meters(
        &hints,
        &[
            (
                meter(Dimension::Requests, 50, 49),
                "2024-10-16T05:02:55Z",
                Some(32),
            ),
            (
                meter(Dimension::TotalTokens, 40_000, 40_000),
                "2024-10-16T05:02:23Z",
                Some(0),
            ),
        ],
    );
    assert_eq!(hints.retry_after, None);
    assert_eq!(hints.should_retry, None);
    assert_eq!(hints.problems, Problems::NONE);
}

#[test]
fn line_13_has_a_wait_and_nothing_else() {
    let wait = Duration::from_secs(34);
    assert_eq!(Capture::line(13), ServerHints::NONE.with_retry_after(wait));
}

#[test]
fn line_16_of_2024_is_a_refusal_without_a_wait() {
    let hints = Capture::line(16);
    assert_eq!(hints.date, Some(at("2024-03-26T19:59:59Z")));
    assert_meters(
        &hints,
        &[
            (
                meter(Dimension::Requests, 5, 0),
                "2024-03-26T20:00:00Z",
                Some(1),
            ),
            (
                meter(Dimension::TotalTokens, 25_000, 16_000),
                "2024-03-26T20:00:00Z",
                Some(1),
            ),
        ],
    );
    assert_eq!(hints.retry_after, None);
    assert_eq!(hints.should_retry, Some(true));
    assert_eq!(hints.problems, Problems::NONE);
}

#[test]
fn line_17_of_2025_has_no_date_to_measure_resets_by() {
    let hints = Capture::line(17);
    let now = "2025-06-02T15:14:45Z";
    assert_eq!(hints.date, None);
    assert_meters(
        &hints,
        &[
            (meter(Dimension::Requests, 4_000, 4_000), now, None),
            (
                meter(Dimension::InputTokens, 200_000, 0),
                "2025-06-02T15:15:48Z",
                None,
            ),
            (meter(Dimension::OutputTokens, 80_000, 80_000), now, None),
            (meter(Dimension::TotalTokens, 280_000, 80_000), now, None),
        ],
    );
    assert_eq!(hints.retry_after, Some(Duration::from_secs(16)));
    assert_eq!(hints.should_retry, Some(true));
    assert_eq!(hints.problems, Problems::NONE);
}

#[test]
fn line_18_of_2025_waits_less_than_its_reset() {
    let hints = Capture::line(18);
    let now = "2025-04-30T13:31:10Z";
    assert_eq!(hints.dialect, Dialect::Claude);
    assert_eq!(hints.date, Some(at(now)));
    assert_meters(
        &hints,
        &[
            (meter(Dimension::Requests, 1_000, 1_000), now, Some(0)),
            (
                meter(Dimension::InputTokens, 100_000, 0),
                "2025-04-30T13:32:11Z",
                Some(61),
            ),
            (meter(Dimension::OutputTokens, 20_000, 20_000), now, Some(0)),
            (meter(Dimension::TotalTokens, 120_000, 20_000), now, Some(0)),
        ],
    );
    assert_eq!(hints.retry_after, Some(Duration::from_secs(4)));
    assert_eq!(hints.should_retry, Some(true));
    assert_eq!(hints.problems, Problems::NONE);
}

/// What the parser says of each field, and that whose it is does not depend on
/// what can be read.
#[test]
fn the_parser_tells_what_became_of_each_field() {
    let mut parser = HeaderParser::new();
    for (name, value, outcome) in [
        ("date", "(value not given)", Field::Malformed),
        ("Date", "Wed, 30 Apr 2025 13:31:10 GMT", Field::Understood),
        ("date", "Wed, 30 Apr 2025 13:31:10 GMT", Field::Duplicate),
        ("retry-after", "4, 4", Field::Duplicate),
        ("retry-after", "4, x", Field::Malformed),
        ("x-should-retry", "yes", Field::Malformed),
        ("x-should-retry", "True", Field::Understood),
        (
            "anthropic-ratelimit-unified-5h-status",
            "rejected",
            Field::Understood,
        ),
        ("anthropic-organization-id", "x", Field::Identifies),
        (
            "ratelimit-policy",
            "\"fixed window\";\"api\";q=1000;w=300",
            Field::Tolerated,
        ),
        ("x-ratelimit-limit-tokens", "30,000", Field::Tolerated),
        ("anthropic-ratelimit-requests-limit", "5", Field::Understood),
        ("x-ratelimit-limit-requests", "60", Field::Duplicate),
        ("x-ratelimit-limit-frobs", "60", Field::Ignored),
        ("", "", Field::Ignored),
    ] {
        assert_eq!(
            parser.field(name.as_bytes(), value.as_bytes()),
            outcome,
            "{name}: {value}"
        );
    }
    let long = vec![b' '; 1 << 20];
    assert_eq!(parser.field(b"retry-after", &long), Field::TooLong);
    assert_eq!(parser.field(&long, b"5"), Field::Ignored);
    assert_eq!(parser.field(&[b'a'; 1 << 20], b"5"), Field::Ignored);
}
