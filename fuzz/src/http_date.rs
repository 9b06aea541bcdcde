//! Any bytes as a date of HTTP, beside `httpdate`, and beside what the `time`
//! crate prints.
//!
//! What `httpdate` reads, this crate reads as the same; but it trims blanks,
//! sets two-digit years by another rule, and does not look at each byte between
//! the parts of a date. What this crate reads is one of
//! the three forms, letter by letter, of the time that it gives, but that names
//! may be in any case and the day of the week may be another.

use sendwhen::{HttpDate, UnixTime, parse_http_date};
use time::{OffsetDateTime, format_description::BorrowedFormatItem, macros::format_description};

const IMF: &[BorrowedFormatItem<'_>] =
    format_description!(", [day] [month repr:short] [year] [hour]:[minute]:[second] GMT");
const RFC850: &[BorrowedFormatItem<'_>] = format_description!(
    ", [day]-[month repr:short]-[year repr:last_two] [hour]:[minute]:[second] GMT"
);
const ASCTIME: &[BorrowedFormatItem<'_>] =
    format_description!(" [month repr:short] [day padding:space] [hour]:[minute]:[second] [year]");
const ASCTIME_ZERO: &[BorrowedFormatItem<'_>] =
    format_description!(" [month repr:short] [day] [hour]:[minute]:[second] [year]");

const DAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];

/// Panics where something does not hold.
pub fn check(data: &[u8]) {
    let now = UnixTime::from_secs(1_779_141_660);
    let ours = parse_http_date(data, Some(now));
    let text = core::str::from_utf8(data).ok();
    let theirs = text
        .and_then(httpdate)
        .filter(|&theirs| is_a_form_of(theirs, data));
    if let Some(theirs) = theirs {
        // From when a date names its year, the century is no question.
        let same = parse_http_date(data, Some(theirs));
        assert_eq!(same, Some(theirs), "{}", data.escape_ascii());
    }
    let Some(ours) = ours else {
        assert_eq!(theirs, None, "{}", data.escape_ascii());
        return;
    };
    assert!(is_a_form_of(ours, data), "{}", data.escape_ascii());
    let printed = HttpDate::new(ours).expect("four digits can say it");
    let second = UnixTime::from_secs(ours.as_millis().div_euclid(1_000));
    let printed = printed.to_string();
    assert_eq!(parse_http_date(printed.as_bytes(), None), Some(second));
}

fn httpdate(text: &str) -> Option<UnixTime> {
    let time = httpdate::parse_http_date(text).ok()?;
    let span = time.duration_since(std::time::UNIX_EPOCH).ok()?;
    i64::try_from(span.as_secs()).ok().map(UnixTime::from_secs)
}

fn is_a_form_of(time: UnixTime, data: &[u8]) -> bool {
    let nanos = i128::from(time.as_millis()) * 1_000_000;
    let time = OffsetDateTime::from_unix_timestamp_nanos(nanos).expect("four digits can say it");
    let is_leap = time.millisecond() == 999;
    DAYS.iter().any(|day| {
        [
            (&day[..3], IMF),
            (day, RFC850),
            (&day[..3], ASCTIME),
            (&day[..3], ASCTIME_ZERO),
        ]
        .iter()
        .any(|(day, form)| {
            let mut printed = format!("{day}{}", time.format(form).expect("it has all parts"));
            if is_leap {
                printed = printed.replace(":59:59", ":59:60");
            }
            printed.as_bytes().eq_ignore_ascii_case(data)
        })
    })
}
