//! The header parser against recorded responses, hostile input, and other
//! crates' parsers.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "in a test, a panic is a failure, and numbers are small"
)]

use core::{fmt::Write as _, ops::Range, time::Duration};
use std::{
    fs,
    path::{Path, PathBuf},
};

use proptest::prelude::*;
use sendwhen::{
    Dialect, Dimension, Family, Field, HeaderParser, HttpDate, Meter, Problems, ResetGiven,
    Rfc3339, ServerHints, UnixTime, parse_http_date, parse_rfc3339,
};

type Pairs = Vec<(String, String)>;

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

    /// Whether it came from the Claude API, from whomever passes its fields on,
    /// or from what takes its names.
    fn is_claude(&self) -> bool {
        self.provider.contains("anthropic")
    }
}

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name)
}

fn parse(fields: &[(String, String)]) -> ServerHints {
    ServerHints::parse(fields.iter().map(|(name, value)| (name, value)), None)
}

fn at(text: &str) -> UnixTime {
    parse_rfc3339(text.as_bytes()).unwrap()
}

// ---------------------------------------------------------------------------
// Recorded responses
// ---------------------------------------------------------------------------

/// One line for each thing said, to be read beside the recorded values.
fn describe(hints: &ServerHints) -> String {
    let mut text = String::new();
    if hints.dialect != Dialect::Unknown {
        writeln!(text, "  dialect {:?}", hints.dialect).unwrap();
    }
    if let Some(date) = hints.date {
        writeln!(text, "  date {}", Rfc3339::new(date).unwrap()).unwrap();
    }
    for meter in &hints.meters {
        let or_none = |value: Option<String>| value.unwrap_or_else(|| "none".into());
        let limit = or_none(meter.limit.map(|limit| limit.to_string()));
        let remaining = or_none(meter.remaining.map(|r| match r.rounding {
            0 => r.shown.to_string(),
            rounding => format!("{} +-{rounding}", r.shown),
        }));
        let reset = or_none(meter.reset.map(|reset| {
            let ResetGiven::At(at) = reset.given else {
                panic!("the Claude API gives points in time");
            };
            let after = reset
                .after_date_ms
                .map_or_else(|| "unknown".into(), |ms| format!("{ms:+} ms"));
            format!("{} (after date: {after})", Rfc3339::new(at).unwrap())
        }));
        let window = or_none(meter.window.map(|w| format!("{w:?}")));
        writeln!(
            text,
            "  {:?} {}: limit {limit}, remaining {remaining}, reset {reset}, window {window}",
            meter.family,
            meter.dimension().unwrap()
        )
        .unwrap();
    }
    if let Some(wait) = hints.retry_after {
        writeln!(text, "  retry after {wait:?}").unwrap();
    }
    if let Some(should_retry) = hints.should_retry {
        writeln!(text, "  should retry: {should_retry}").unwrap();
    }
    for (flag, name) in [
        (Problems::MALFORMED, "malformed"),
        (Problems::CONFLICT, "conflict"),
        (Problems::TOO_LONG, "too long"),
        (Problems::WAITS_DISAGREE, "waits disagree"),
        (Problems::NO_DATE, "no date"),
    ] {
        if hints.problems.contains(flag) {
            writeln!(text, "  problem: {name}").unwrap();
        }
    }
    text
}

/// Each of the Claude API's captures, as the golden file has it.
/// `UPDATE_GOLDEN=1` writes the file.
#[test]
fn captures_say_what_the_golden_file_has() {
    let mut golden = String::new();
    for (line, capture) in (1..).zip(Capture::all()) {
        if capture.is_claude() {
            let Capture {
                provider, status, ..
            } = &capture;
            writeln!(golden, "line {line}: {provider} {status}").unwrap();
            golden.push_str(&describe(&capture.hints()));
        }
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

#[test]
fn other_servers_show_no_meters_yet() {
    for capture in Capture::all() {
        if !capture.is_claude() {
            let hints = capture.hints();
            assert_eq!(hints.dialect, Dialect::Unknown);
            assert!(hints.meters.is_empty());
            assert!(hints.problems.is_empty());
        }
    }
    // Azure's contradictory pair: a second is still no disagreement.
    assert_eq!(Capture::line(42).retry_after, Some(Duration::from_secs(1)));
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
            Field::Ignored,
        ),
        ("anthropic-ratelimit-requests-limit", "5", Field::Understood),
        ("x-ratelimit-limit-requests", "60", Field::Ignored),
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

// ---------------------------------------------------------------------------
// Any input
// ---------------------------------------------------------------------------

#[test]
fn parsers_accept_any_bytes() {
    fn holds(fields: Vec<(Vec<u8>, Vec<u8>)>, name: u8, now: i64) -> bool {
        let known = NAMES[usize::from(name) % NAMES.len()];
        let now = UnixTime::from_millis(now);
        let mut parser = HeaderParser::new().received(now);
        for (name, value) in &fields {
            parser.field(name, value);
            parser.field(known.as_bytes(), value);
            parse_rfc3339(value);
            parse_http_date(value, Some(now));
        }
        parser.finish() == parser.clone().finish()
    }
    quickcheck::quickcheck(holds as fn(_, _, _) -> _);
}

const NAMES: [&str; 11] = [
    "date",
    "retry-after",
    "retry-after-ms",
    "x-should-retry",
    "anthropic-ratelimit-requests-limit",
    "anthropic-ratelimit-requests-remaining",
    "anthropic-ratelimit-requests-reset",
    "anthropic-ratelimit-tokens-remaining",
    "anthropic-priority-input-tokens-limit",
    "anthropic-fast-output-tokens-reset",
    "anthropic-ratelimit-unified-status",
];

/// A value that some field may take for its own.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "-?[0-9]{1,6}(\\.[0-9]{1,3})?",
        1 => "[0-9]{18,22}",
        2 => (0..4_000_000_000_i64).prop_map(|s| imf(UnixTime::from_secs(s))),
        2 => (0..4_000_000_000_000_i64).prop_map(|ms| {
            Rfc3339::new(UnixTime::from_millis(ms)).unwrap().to_string()
        }),
        1 => "(Sun|Mon)day, (0[1-9]|1[0-9])-(Jan|Nov)-[0-9]{2} 08:49:37 GMT",
        1 => "(Sun|Mon) (Jan|Nov) ( [1-9]|1[0-9]) 08:49:37 (19|20)[0-9]{2}",
        1 => "(true|false)",
        1 => "[ -~]{0,12}",
    ]
}

fn fields() -> impl Strategy<Value = Vec<(String, String)>> {
    let list = prop::collection::vec(value(), 1..3).prop_map(|values| values.join(", "));
    let name = prop::sample::select(NAMES.as_slice()).prop_map(String::from);
    prop::collection::vec((name, list), 0..12)
}

proptest! {
    #[test]
    fn any_order_gives_equal_hints(
        (fields, shuffled) in fields().prop_flat_map(|f| (Just(f.clone()), Just(f).prop_shuffle())),
        received in prop::option::of(0..4_000_000_000_i64),
    ) {
        let received = received.map(UnixTime::from_secs);
        let parse = |fields: &Pairs| {
            ServerHints::parse(fields.iter().map(|(n, v)| (n, v)), received)
        };
        prop_assert_eq!(parse(&fields), parse(&shuffled));
    }

    #[test]
    fn the_case_of_names_is_irrelevant(fields in fields(), capitals in any::<u64>()) {
        let recased: Pairs = fields
            .iter()
            .map(|(name, value)| {
                let recase = |(place, letter): (usize, char)| {
                    if capitals.rotate_right(place as u32) & 1 == 1 {
                        letter.to_ascii_uppercase()
                    } else {
                        letter
                    }
                };
                (name.chars().enumerate().map(recase).collect(), value.clone())
            })
            .collect();
        prop_assert_eq!(parse(&recased), parse(&fields));
    }

    #[test]
    fn unknown_fields_change_nothing(
        fields in fields(),
        unknown in prop::collection::vec(("[b-zB-Z][!-~]{0,80}", ".{0,300}"), 1..9),
    ) {
        let is_known = |name: &str| NAMES.iter().any(|known| known.eq_ignore_ascii_case(name));
        let mut more = fields.clone();
        for (place, field) in unknown.into_iter().enumerate() {
            if !is_known(&field.0) {
                more.insert((place * 2).min(more.len()), field);
            }
        }
        prop_assert_eq!(parse(&more), parse(&fields));
    }

    #[test]
    fn a_list_says_what_its_members_say_one_by_one(
        values in prop::collection::vec(value(), 1..6),
        date in prop::option::of(0..4_000_000_000_i64),
        name in prop::sample::select(NAMES.as_slice()),
    ) {
        let date: Pairs = date
            .map(|date| ("date".into(), imf(UnixTime::from_secs(date))))
            .into_iter()
            .collect();
        let mut split = date.clone();
        split.extend(values.iter().map(|value| (name.into(), value.clone())));
        let mut joined = date;
        joined.push((name.into(), values.join(", ")));
        prop_assert_eq!(parse(&joined), parse(&split));
    }
}

// ---------------------------------------------------------------------------
// Dates
// ---------------------------------------------------------------------------

fn imf(time: UnixTime) -> String {
    HttpDate::new(time).unwrap().to_string()
}

/// The years 0000 to 9999.
const MILLIS: Range<i64> = -62_167_219_200_000..253_402_300_800_000;

proptest! {
    #[test]
    fn parse_print_parse_is_identity(millis in MILLIS) {
        let time = UnixTime::from_millis(millis);
        let text = Rfc3339::new(time).unwrap().to_string();
        prop_assert_eq!(parse_rfc3339(text.as_bytes()), Some(time));
        let again = Rfc3339::new(at(&text)).unwrap().to_string();
        prop_assert_eq!(&again, &text);

        let second = UnixTime::from_secs(millis.div_euclid(1_000));
        let text = imf(time);
        prop_assert_eq!(parse_http_date(text.as_bytes(), None), Some(second));
        prop_assert_eq!(imf(second), text);
    }

    /// What is printed here, others read the same; and the other way round.
    #[test]
    fn printed_dates_are_what_others_read_and_print(millis in MILLIS) {
        let time = UnixTime::from_millis(millis);
        let theirs = theirs(millis);

        let text = Rfc3339::new(time).unwrap().to_string();
        prop_assert_eq!(time_rfc3339(&text), Some(millis));
        let printed = theirs.format(&time::format_description::well_known::Rfc3339).unwrap();
        prop_assert_eq!(parse_rfc3339(printed.as_bytes()), Some(time));

        let second = millis.div_euclid(1_000) * 1_000;
        let text = imf(time);
        // `time` prints and reads this form from 1900 on, `httpdate` from 1970.
        if theirs.year() >= 1900 {
            prop_assert_eq!(time_rfc2822(&text), Some(second));
        }
        if theirs.year() >= 1970 {
            prop_assert_eq!(httpdate(&text), Some(second));
            let system = std::time::UNIX_EPOCH + Duration::from_millis(millis as u64);
            prop_assert_eq!(httpdate::fmt_http_date(system), text);
        }
    }

    /// Texts that are dates, or nearly so.
    #[test]
    fn the_same_texts_are_read_as_rfc3339(
        text in "(19|20|00|99)[0-9]{2}-(0[0-9]|1[0-3])-([0-2][0-9]|3[0-2])[Tt ]([01][0-9]|2[0-4]):[0-6][0-9]:([0-5][0-9]|6[01])(\\.[0-9]{0,12})?([Zz]|[+-]([01][0-9]|2[0-5]):[0-6][0-9]|)",
    ) {
        let ours = parse_rfc3339(text.as_bytes()).map(UnixTime::as_millis);
        let theirs = time_rfc3339(&text);
        // `time` reads a second of 60 on the last day of a month only.
        let leap = text.as_bytes()[17] == b'6';
        if !(leap && theirs.is_none()) {
            prop_assert_eq!(ours, theirs);
        }
    }

    #[test]
    fn the_same_texts_are_read_as_http_dates(
        text in "(Sun|Mon|Sat), ([0-2][0-9]|3[0-2]) (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec|Foo) (19[7-9]|20[0-9]|99[0-9])[0-9] ([01][0-9]|2[0-4]):[0-6][0-9]:([0-5][0-9]|6[01]) GMT",
    ) {
        let ours = parse_http_date(text.as_bytes(), None).map(UnixTime::as_millis);
        let leap = text.as_bytes()[23] == b'6';
        if !leap {
            prop_assert_eq!(ours, time_rfc2822(&text));
            // `httpdate` wants the right day of the week.
            if let Some(theirs) = httpdate(&text) {
                prop_assert_eq!(ours, Some(theirs));
            }
        }
    }

    /// A date with one letter changed is read as others read it, or for one of
    /// the reasons that are listed below.
    #[test]
    fn a_changed_letter_is_taken_as_others_take_it(
        millis in MILLIS,
        place in 0_usize..33,
        letter in prop_oneof![any::<u8>(), prop::sample::select(b"0123456789 :-TZtzgSAa".as_slice())],
    ) {
        let change = |text: String| {
            let mut text = text.into_bytes();
            if let Some(byte) = text.get_mut(place) {
                *byte = letter & 0x7f;
            }
            String::from_utf8(text).unwrap()
        };
        let time = UnixTime::from_millis(millis);

        let text = change(Rfc3339::new(time).unwrap().to_string());
        let ours = parse_rfc3339(text.as_bytes()).map(UnixTime::as_millis);
        let theirs = time_rfc3339(&text);
        let other_separator = place == 10 && !matches!(text.as_bytes()[10], b'T' | b't' | b' ');
        let leap = text.as_bytes()[17] == b'6';
        if !(other_separator || leap) {
            prop_assert_eq!(ours, theirs, "{}", text);
        }

        let text = change(imf(time));
        let ours = parse_http_date(text.as_bytes(), None);
        let theirs = httpdate(&text);
        if theirs.is_some() && text.trim() == text {
            prop_assert_eq!(ours.map(UnixTime::as_millis), theirs, "{}", text);
        }
        if let (Some(ours), None) = (ours, theirs) {
            let printed = imf(ours);
            let early = millis < 0 || ours.as_millis() < 0;
            let leap = text.as_bytes()[23] == b'6';
            let same_but_for_the_day = printed[3..].eq_ignore_ascii_case(&text[3..]);
            prop_assert!(early || leap || same_but_for_the_day, "{} {}", text, printed);
        }
    }

    #[test]
    fn the_same_texts_are_read_in_the_old_forms(millis in 0_i64..253_402_300_800_000) {
        let text = imf(UnixTime::from_millis(millis));
        let [weekday, day, month, year, clock, _] = text.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{text}");
        };
        let weekday = weekday.trim_end_matches(',');
        let asctime = format!("{weekday} {month} {:>2} {clock} {year}", day.trim_start_matches('0'));
        let expected = Some(millis.div_euclid(1_000) * 1_000);
        prop_assert_eq!(httpdate(&asctime), expected);
        let ours = parse_http_date(asctime.as_bytes(), None).map(UnixTime::as_millis);
        prop_assert_eq!(ours, expected);

        let long = DAYS.iter().find(|name| name.starts_with(weekday)).unwrap();
        let short = format!("{long}, {day}-{month}-{} {clock} GMT", &year[2..]);
        let now = Some(UnixTime::from_millis(millis));
        let ours = parse_http_date(short.as_bytes(), now).map(UnixTime::as_millis);
        prop_assert_eq!(ours, expected, "at the time itself, the year is this one");
        // `httpdate` takes 70 to 99 as 1970 to 1999, and the rest as 20xx.
        if (1970..=2069).contains(&year.parse().unwrap()) {
            prop_assert_eq!(httpdate(&short), expected);
        }
    }
}

const DAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];

fn theirs(millis: i64) -> time::OffsetDateTime {
    time::OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000).unwrap()
}

fn time_millis(time: time::OffsetDateTime) -> i64 {
    time.unix_timestamp_nanos().div_euclid(1_000_000) as i64
}

fn time_rfc3339(text: &str) -> Option<i64> {
    let format = &time::format_description::well_known::Rfc3339;
    time::OffsetDateTime::parse(text, format)
        .ok()
        .map(time_millis)
}

fn time_rfc2822(text: &str) -> Option<i64> {
    let format = &time::format_description::well_known::Rfc2822;
    time::OffsetDateTime::parse(text, format)
        .ok()
        .map(time_millis)
}

fn httpdate(text: &str) -> Option<i64> {
    let time = httpdate::parse_http_date(text).ok()?;
    let span = time.duration_since(std::time::UNIX_EPOCH).unwrap();
    Some(span.as_millis() as i64)
}

/// The differences that are meant, one by one: the text, then what this crate,
/// `time` and `httpdate` read, in seconds.
#[test]
fn each_difference_to_other_parsers_is_meant() {
    type Row = (&'static str, Option<i64>, Option<i64>, Option<i64>);
    const RIGHT: Option<i64> = Some(784_111_777);
    #[rustfmt::skip]
    const HTTP: &[Row] = &[
        // The wrong day of the week says nothing that the date does not.
        ("Mon, 06 Nov 1994 08:49:37 GMT", RIGHT, RIGHT, None),
        // Names in any case, as RFC 9111 asks of caches.
        ("sun, 06 nov 1994 08:49:37 gmt", RIGHT, RIGHT, None),
        // What RFC 2822 has and RFC 9110 has not.
        ("06 Nov 1994 08:49:37 GMT", None, RIGHT, None),
        ("Sun, 6 Nov 1994 08:49:37 GMT", None, RIGHT, None),
        ("Sun, 06 Nov 94 08:49:37 GMT", None, RIGHT, None),
        ("Sun, 06 Nov 1994 08:49:37 +0000", None, RIGHT, None),
        ("Sun, 06 Nov 1994 03:49:37 EST", None, RIGHT, None),
        // Blanks are trimmed from fields, not from dates.
        ("Sun, 06 Nov 1994 08:49:37 GMT ", None, RIGHT, RIGHT),
        // A leap second: the grammar has it.
        ("Sat, 31 Dec 2016 23:59:60 GMT", Some(1_483_228_799), Some(1_483_228_799), None),
        ("Fri, 30 Dec 2016 23:59:60 GMT", Some(1_483_142_399), None, None),
        // Before others begin.
        ("Wed, 31 Dec 1969 23:59:59 GMT", Some(-1), Some(-1), None),
        ("Sun, 31 Dec 1899 23:59:59 GMT", Some(-2_208_988_801), None, None),
    ];
    for &(text, ours, time, http) in HTTP {
        let seconds = |millis: Option<i64>| millis.map(|millis| millis.div_euclid(1_000));
        let read = parse_http_date(text.as_bytes(), None).map(UnixTime::as_millis);
        assert_eq!(seconds(read), ours, "{text}");
        assert_eq!(seconds(time_rfc2822(text)), time, "{text}");
        assert_eq!(seconds(httpdate(text)), http, "{text}");
    }
    #[rustfmt::skip]
    const RFC3339: &[(&str, Option<i64>, Option<i64>)] = &[
        // What stands between date and time.
        ("2016-12-31_23:59:59Z", None, Some(1_483_228_799_000)),
        // A leap second on a day that cannot have one.
        ("2016-12-30T23:59:60Z", Some(1_483_142_399_999), None),
        ("2016-12-31T23:59:60Z", Some(1_483_228_799_999), Some(1_483_228_799_999)),
    ];
    for &(text, ours, time) in RFC3339 {
        let read = parse_rfc3339(text.as_bytes()).map(UnixTime::as_millis);
        assert_eq!(read, ours, "{text}");
        assert_eq!(time_rfc3339(text), time, "{text}");
    }
}
