//! Dates as HTTP writes them (RFC 9110, section 5.6.7), read and printed.
//!
//! All three forms are read, each letter by letter as the grammar has it, but
//! for two things on which no wait should fail:
//!
//! - The names of days and months, and `GMT`, may be in any case. RFC 9111,
//!   section 4.2, asks that much of caches.
//! - The name of the day must be one, but it need not be the right one. It says
//!   nothing that the date does not.
//!
//! Where other crates differ:
//!
//! - `httpdate` is strict in both, begins in 1970, and reads no second of 60,
//!   which the grammar has. It sets two-digit years by a fixed rule, as it asks
//!   for no "now". It reads blanks around the date, and in the second form any
//!   byte between date and time.
//! - `time`'s `Rfc2822` reads another grammar, which has the first form in
//!   common with this one, from 1900 on. It wants a second of 60 on the last
//!   day of a month.

use core::fmt;

use super::{
    calendar::{Civil, Clock, year},
    number::{Form, four, two},
    same,
};
use crate::time::UnixTime;

const DAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// Reads a date in one of the three forms of RFC 9110, section 5.6.7.
///
/// The form with a two-digit year needs `now`: it is the latest year with those
/// digits in which there is such a day and which is not more than 50 years
/// ahead. Without `now`, that form is `None`. The other two forms can say the
/// years 0000 to 9999.
///
/// Names may be in any case, and the day of the week may be the wrong one. A
/// second of 60 is the last millisecond of second 59, and is read only at
/// 23:59. `None` for all else that is not exactly such a date, blanks around it
/// included.
///
/// ```
/// use sendwhen::{UnixTime, parse_http_date};
///
/// let time = Some(UnixTime::from_secs(784_111_777));
/// let now = Some(UnixTime::from_secs(1_779_141_660));
/// assert_eq!(parse_http_date(b"Sun, 06 Nov 1994 08:49:37 GMT", None), time);
/// assert_eq!(parse_http_date(b"Sunday, 06-Nov-94 08:49:37 GMT", now), time);
/// assert_eq!(parse_http_date(b"Sunday, 06-Nov-94 08:49:37 GMT", None), None);
/// assert_eq!(parse_http_date(b"Sun Nov  6 08:49:37 1994", None), time);
/// ```
pub fn parse_http_date(text: &[u8], now: Option<UnixTime>) -> Option<UnixTime> {
    match read(text)? {
        HttpDateRead::At(time) => Some(time),
        HttpDateRead::Short(date) => date.place(now?),
    }
}

/// What a date says by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum HttpDateRead {
    At(UnixTime),
    Short(ShortDate),
}

/// A date that leaves the century open.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct ShortDate {
    /// Its year is of two digits.
    civil: Civil,
}

impl ShortDate {
    /// The date it means at `now`; `None` where that is not in the years 0000
    /// to 9999.
    #[expect(
        clippy::arithmetic_side_effects,
        reason = "the years of an i64 of milliseconds are few"
    )]
    pub(super) fn place(self, now: UnixTime) -> Option<UnixTime> {
        let now = Civil::from_unix(now);
        let latest = Civil {
            year: now.year + 50,
            ..now
        };
        // A leap day may be missing in three centuries running.
        (0..5).find_map(|centuries| {
            let century = latest.year.div_euclid(100) - centuries;
            let civil = Civil {
                year: century * 100 + self.civil.year,
                ..self.civil
            };
            civil.to_unix(0).filter(|_| civil <= latest)
        })
    }
}

/// The length tells the form.
pub(super) fn read(text: &[u8]) -> Option<HttpDateRead> {
    match text.len() {
        29 => imf_fixdate(text).map(HttpDateRead::At),
        24 => asctime(text).map(HttpDateRead::At),
        30..=33 => rfc850(text).map(HttpDateRead::Short),
        _ => None,
    }
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`
fn imf_fixdate(text: &[u8]) -> Option<UnixTime> {
    const DAY: Form = Form::of(*b"___, 00 ");
    const YEAR: Form = Form::of(*b"___ 0000");
    const TIME: Form = Form::of(*b" 00:00:_");
    let (day, rest) = text.split_first_chunk::<8>()?;
    let (month_year, rest) = rest.split_first_chunk::<8>()?;
    let (time, rest) = rest.split_first_chunk::<8>()?;
    let &[w0, w1, w2, ..] = day;
    let &[o0, o1, o2, ..] = month_year;
    let &[.., tens] = time;
    let [_, _, _, _, _, day, ..] = DAY.pairs(*day)?;
    let [_, _, _, _, century, _, years, _] = YEAR.pairs(*month_year)?;
    let [_, hour, _, _, minute, ..] = TIME.pairs(*time)?;
    let (ones, zone) = rest.split_first()?;
    let second = two([tens, *ones])?;
    same(zone, b" GMT").then_some(())?;
    is_short_day([w0, w1, w2]).then_some(())?;
    Civil {
        year: year(century, years),
        month: month([o0, o1, o2])?,
        day: day.into(),
        clock: Clock::new(hour.into(), minute.into(), second, 0)?,
    }
    .to_unix(0)
}

/// `Sunday, 06-Nov-94 08:49:37 GMT`
fn rfc850(text: &[u8]) -> Option<ShortDate> {
    let (weekday, rest) = text.split_at_checked(text.len().checked_sub(24)?)?;
    let &[
        b',',
        b' ',
        d0,
        d1,
        b'-',
        o0,
        o1,
        o2,
        b'-',
        y0,
        y1,
        b' ',
        ref rest @ ..,
    ] = rest
    else {
        return None;
    };
    let civil = Civil {
        year: two([y0, y1])?.into(),
        month: month([o0, o1, o2])?,
        day: two([d0, d1])?,
        clock: clock_gmt(rest)?,
    };
    DAYS.iter()
        .any(|name| same(weekday, name.as_bytes()))
        .then_some(())?;
    // The year 0 is a leap year as 2000 is: what no century has is refused.
    civil.to_unix(0)?;
    Some(ShortDate { civil })
}

/// `Sun Nov  6 08:49:37 1994`
fn asctime(text: &[u8]) -> Option<UnixTime> {
    let (weekday, rest) = text.split_first_chunk::<3>()?;
    let &[
        b' ',
        o0,
        o1,
        o2,
        b' ',
        d0,
        d1,
        b' ',
        ref clock @ ..,
        b' ',
        y0,
        y1,
        y2,
        y3,
    ] = rest
    else {
        return None;
    };
    let d0 = if d0 == b' ' { b'0' } else { d0 };
    let civil = Civil {
        year: four([y0, y1, y2, y3])?.into(),
        month: month([o0, o1, o2])?,
        day: two([d0, d1])?,
        clock: self::clock(clock)?,
    };
    is_short_day(*weekday).then_some(())?;
    civil.to_unix(0)
}

fn clock_gmt(text: &[u8]) -> Option<Clock> {
    let (time, zone) = text.split_at_checked(8)?;
    same(zone, b" GMT").then_some(())?;
    clock(time)
}

/// `08:49:37`
fn clock(text: &[u8]) -> Option<Clock> {
    let &[h0, h1, b':', m0, m1, b':', s0, s1] = text else {
        return None;
    };
    Clock::new(two([h0, h1])?, two([m0, m1])?, two([s0, s1])?, 0)
}

pub(super) fn month(name: [u8; 3]) -> Option<u32> {
    Some(match &name.map(|letter| letter | 0x20) {
        b"jan" => 1,
        b"feb" => 2,
        b"mar" => 3,
        b"apr" => 4,
        b"may" => 5,
        b"jun" => 6,
        b"jul" => 7,
        b"aug" => 8,
        b"sep" => 9,
        b"oct" => 10,
        b"nov" => 11,
        b"dec" => 12,
        _ => return None,
    })
}

pub(super) fn is_short_day(name: [u8; 3]) -> bool {
    matches!(
        &name.map(|letter| letter | 0x20),
        b"sun" | b"mon" | b"tue" | b"wed" | b"thu" | b"fri" | b"sat"
    )
}

/// Prints a time in the form that senders of HTTP-dates must use, to the second
/// towards the past.
///
/// ```
/// use sendwhen::{HttpDate, UnixTime};
///
/// let text = HttpDate::new(UnixTime::from_secs(784_111_777)).unwrap();
/// assert_eq!(text.to_string(), "Sun, 06 Nov 1994 08:49:37 GMT");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct HttpDate(UnixTime);

impl HttpDate {
    /// `None` outside of the years 0 to 9999, which four digits cannot say.
    ///
    /// ```
    /// use sendwhen::{HttpDate, UnixTime};
    ///
    /// assert!(HttpDate::new(UnixTime::from_secs(0)).is_some());
    /// assert!(HttpDate::new(UnixTime::from_secs(253_402_300_800)).is_none());
    /// ```
    pub fn new(time: UnixTime) -> Option<Self> {
        let year = Civil::from_unix(time).year;
        (0..=9_999).contains(&year).then_some(Self(time))
    }
}

impl fmt::Display for HttpDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let civil = Civil::from_unix(self.0);
        let weekday = DAYS
            .get(Civil::weekday(self.0))
            .and_then(|name| name.get(..3))
            .ok_or(fmt::Error)?;
        let month = MONTHS
            .iter()
            .zip(1..)
            .find_map(|(name, number)| (number == civil.month).then_some(name))
            .ok_or(fmt::Error)?;
        let (hour, minute, second) = civil.clock.parts();
        let Civil { year, day, .. } = civil;
        write!(
            f,
            "{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT"
        )
    }
}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use super::*;

    const TIME: UnixTime = UnixTime::from_secs(784_111_777);

    fn at(text: &str) -> UnixTime {
        parse_http_date(text.as_bytes(), None).unwrap()
    }

    #[test]
    fn names_in_any_case_and_the_wrong_day_are_read() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "sun, 06 nov 1994 08:49:37 gmt",
            "SUN, 06 NOV 1994 08:49:37 GMT",
            "Wed, 06 Nov 1994 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "Sun Nov 06 08:49:37 1994",
            "Mon nov  6 08:49:37 1994",
        ] {
            assert_eq!(at(text), TIME, "{text}");
        }
    }

    #[test]
    fn what_is_not_quite_a_date_is_not_read() {
        let now = Some(TIME);
        for text in [
            "",
            "Sun",
            "Zun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06 Nov 1994 08:49:37 GMT",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "Sun,  6 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun, 06 Nov 1994 08:49:37 +0000",
            "Sun, 06 Nov 1994 08:49:37GMT ",
            "Sun, 06 Nov 1994 08:49:37 GMT ",
            " Sun, 06 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 8:49:37 GMT",
            "Sun, 06 Nov 1994 24:00:00 GMT",
            "Sun, 06 Nov 1994 08:60:37 GMT",
            "Sun, 06 Nov 1994 08:49:60 GMT",
            "Sun, 06 Nov 1994 23:59:61 GMT",
            "Sun, 00 Nov 1994 08:49:37 GMT",
            "Sun, 31 Nov 1994 08:49:37 GMT",
            "Sun, 29 Feb 1994 08:49:37 GMT",
            "Sun, 06 Foo 1994 08:49:37 GMT",
            "Sun, 06 Nov -994 08:49:37 GMT",
            "Sun, 06-Nov-94 08:49:37 GMT",
            "Zunday, 06-Nov-94 08:49:37 GMT",
            "Sunday, 06-Nov-1994 08:49:37 GMT",
            "Sunday, 31-Nov-94 08:49:37 GMT",
            "Sunday, 29-Feb-94 08:49:37 GMT",
            "Sunday, 06 Nov 94 08:49:37 GMT",
            "Sun Nov 6 08:49:37 1994",
            "Sun Nov 0  08:49:37 1994",
            "Sun Nov  6 08:49:37 1994 ",
            "Sun Nov  6  8:49:37 1994",
            "Zun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(parse_http_date(text.as_bytes(), now), None, "{text}");
        }
    }

    #[test]
    fn a_second_60_is_the_last_millisecond_of_the_day() {
        let last = UnixTime::from_millis(1_483_228_799_999);
        assert_eq!(at("Sat, 31 Dec 2016 23:59:60 GMT"), last);
        assert_eq!(at("Sat Dec 31 23:59:60 2016"), last);
        let now = Some(last);
        let short = parse_http_date(b"Saturday, 31-Dec-16 23:59:60 GMT", now);
        assert_eq!(short, now);
    }

    #[test]
    fn a_two_digit_year_is_at_most_fifty_years_ahead() {
        let date = |text: &str, now: &str| {
            let text = std::format!("Monday, {text} 08:49:37 GMT");
            let time = parse_http_date(text.as_bytes(), Some(at(now)))?;
            Some(Civil::from_unix(time).year)
        };
        const NOW: &str = "Sun, 06 Nov 2026 08:49:37 GMT";
        assert_eq!(date("06-Nov-26", NOW), Some(2026));
        assert_eq!(date("06-Nov-94", NOW), Some(1994));
        assert_eq!(date("06-Nov-76", NOW), Some(2076), "exactly 50");
        assert_eq!(date("07-Nov-76", NOW), Some(1976), "a day more");
        // In the last years of a century, the next is ahead.
        assert_eq!(
            date("06-Nov-05", "Sun, 06 Nov 2099 08:49:37 GMT"),
            Some(2105)
        );
        // A day that the latest such year lacks.
        assert_eq!(
            date("29-Feb-00", "Sun, 06 Nov 2060 08:49:37 GMT"),
            Some(2000)
        );
        assert_eq!(
            date("29-Feb-00", "Sun, 06 Nov 2360 08:49:37 GMT"),
            Some(2400)
        );
        assert_eq!(
            date("29-Feb-00", "Sun, 06 Nov 2340 08:49:37 GMT"),
            Some(2000)
        );
        // The ends.
        assert_eq!(date("06-Nov-99", "Sun, 06 Nov 0010 08:49:37 GMT"), None);
        assert_eq!(
            date("06-Nov-01", "Sun, 06 Nov 9999 08:49:37 GMT"),
            Some(9901)
        );
        for now in [i64::MIN, i64::MAX] {
            let now = Some(UnixTime::from_millis(now));
            assert_eq!(
                parse_http_date(b"Sunday, 06-Nov-94 08:49:37 GMT", now),
                None
            );
        }
    }

    #[test]
    fn the_first_form_is_printed() {
        for (millis, text) in [
            (784_111_777_999, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (-1, "Wed, 31 Dec 1969 23:59:59 GMT"),
            (-62_167_219_200_000, "Sat, 01 Jan 0000 00:00:00 GMT"),
            (253_402_300_799_999, "Fri, 31 Dec 9999 23:59:59 GMT"),
        ] {
            let printed = HttpDate::new(UnixTime::from_millis(millis)).unwrap();
            assert_eq!(printed.to_string(), text);
        }
        assert_eq!(HttpDate::new(UnixTime::from_millis(i64::MAX)), None);
    }
}
