//! Dates against other crates' parsers.

use core::{ops::Range, time::Duration};

use proptest::prelude::*;
use sendwhen::{Rfc3339, UnixTime, parse_http_date, parse_rfc3339};

use super::{at, imf};

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
