//! Dates as RFC 3339 writes them, read and printed.
//!
//! Read strictly, with the freedoms that section 5.6 of the RFC gives: `t` and
//! `z` in either case, a space for the `T`, any offset, any number of digits
//! after the point. Where the `time` crate differs:
//!
//! - Between date and time, `time` takes any byte.
//! - A second of 60 is read on every day, where it is 23:59 in UTC; `time`
//!   wants the last day of a month as well.
//! - A fraction is cut to milliseconds, towards the past. `time` cuts to
//!   nanoseconds.

use core::fmt;

use super::{
    calendar::{Civil, Clock, year},
    number::{Form, four, two},
};
use crate::time::UnixTime;

/// Reads a date in the form of RFC 3339, section 5.6: `2026-05-18T22:01:00Z`.
///
/// The years 0000 to 9999 can be said; a fraction is cut to milliseconds
/// towards the past. A second of 60 is the last millisecond of second 59, and
/// is read only where it is the last of a day in UTC. `None` for all that is
/// not exactly such a date, blanks around it included.
///
/// ```
/// use sendwhen::{UnixTime, parse_rfc3339};
///
/// let time = UnixTime::from_secs(1_779_141_660);
/// assert_eq!(parse_rfc3339(b"2026-05-18T22:01:00Z"), Some(time));
/// assert_eq!(parse_rfc3339(b"2026-05-19 00:01:00.000+02:00"), Some(time));
/// assert_eq!(parse_rfc3339(b"2026-05-18T22:01:00"), None);
/// ```
pub fn parse_rfc3339(text: &[u8]) -> Option<UnixTime> {
    const DATE: Form = Form::of(*b"0000-00-");
    const TIME: Form = Form::of(*b"00_00:00");
    let (date, rest) = text.split_first_chunk()?;
    let (time, rest) = rest.split_first_chunk()?;
    let [century, _, years, _, _, month, ..] = DATE.pairs(*date)?;
    let [day, _, _, hour, _, _, minute, _] = TIME.pairs(*time)?;
    let ([_, _, b'T' | b't' | b' ', ..], [b':', s0, s1, rest @ ..]) = (time, rest) else {
        return None;
    };
    let (milli, rest) = match rest {
        [b'.', rest @ ..] => fraction(rest)?,
        _ => (0, rest),
    };
    let second = two([*s0, *s1])?;
    Civil {
        year: year(century, years),
        month: month.into(),
        day: day.into(),
        clock: Clock::new(hour.into(), minute.into(), second, milli)?,
    }
    .to_unix(offset(rest)?)
}

/// The hour of a date that was read: the dates of one response mostly lie in the
/// same, and then only minute and second are left to read.
#[derive(Clone, Copy, Debug)]
pub(super) struct LastHour {
    /// `2026-05-18T22:`
    text: [u8; 14],
    /// When it began, in milliseconds.
    start: i64,
}

impl LastHour {
    /// No date begins so.
    pub(super) const NONE: Self = Self {
        text: [0; 14],
        start: 0,
    };

    /// As [`parse_rfc3339`].
    #[expect(
        clippy::arithmetic_side_effects,
        reason = "dates of four-digit years are far from the ends of an i64"
    )]
    #[inline]
    pub(super) fn read(&mut self, text: &[u8]) -> Option<UnixTime> {
        match self.of_hour(text) {
            Some(millis) => Some(UnixTime::from_millis(self.start + millis)),
            None => self.read_whole(text),
        }
    }

    /// Milliseconds into the hour, if that is it.
    #[inline]
    fn of_hour(&self, text: &[u8]) -> Option<i64> {
        const REST: Form = Form::of(*b"_:00:00Z");
        let text: &[u8; 20] = text.try_into().ok()?;
        if *text.first_chunk()? != self.text {
            return None;
        }
        let [_, _, minute, _, _, second, ..] = REST.pairs(*text.last_chunk()?)?;
        if minute > 59 || second > 59 {
            return None;
        }
        let seconds = i64::from(minute)
            .wrapping_mul(60)
            .wrapping_add(second.into());
        Some(seconds.wrapping_mul(1_000))
    }

    #[expect(
        clippy::arithmetic_side_effects,
        reason = "a multiple that is no further from 0 than an hour"
    )]
    #[inline(never)]
    fn read_whole(&mut self, text: &[u8]) -> Option<UnixTime> {
        const HOUR: i64 = 3_600_000;
        let at = parse_rfc3339(text)?;
        if let ([b'Z'], Some(begins)) = (text.get(19..)?, text.first_chunk()) {
            self.text = *begins;
            self.start = at.as_millis().div_euclid(HOUR) * HOUR;
        }
        Some(at)
    }
}

/// Milliseconds from the digits at the start of `text`, and what follows them.
fn fraction(text: &[u8]) -> Option<(u32, &[u8])> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = text.split_at_checked(digits)?;
    let milli = match *digits {
        [] => return None,
        [a] => four([b'0', a, b'0', b'0']),
        [a, b] => four([b'0', a, b, b'0']),
        [a, b, c, ..] => four([b'0', a, b, c]),
    };
    Some((milli?, rest))
}

/// Seconds ahead of UTC.
fn offset(text: &[u8]) -> Option<i64> {
    let &[sign, h0, h1, b':', m0, m1] = text else {
        return matches!(text, [b'Z' | b'z']).then_some(0);
    };
    let (hours, minutes) = (two([h0, h1])?, two([m0, m1])?);
    if hours > 23 || minutes > 59 {
        return None;
    }
    let ahead = i64::from(hours.checked_mul(60)?.checked_add(minutes)?).checked_mul(60)?;
    match sign {
        b'+' => Some(ahead),
        b'-' => ahead.checked_neg(),
        _ => None,
    }
}

/// Prints a time as [`parse_rfc3339`] reads it: in UTC, with milliseconds where
/// there are any.
///
/// ```
/// use sendwhen::{Rfc3339, UnixTime};
///
/// let text = Rfc3339::new(UnixTime::from_millis(1_779_141_660_250)).unwrap();
/// assert_eq!(text.to_string(), "2026-05-18T22:01:00.250Z");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Rfc3339(UnixTime);

impl Rfc3339 {
    /// `None` outside of the years 0 to 9999, which four digits cannot say.
    ///
    /// ```
    /// use sendwhen::{Rfc3339, UnixTime};
    ///
    /// assert!(Rfc3339::new(UnixTime::from_secs(0)).is_some());
    /// assert!(Rfc3339::new(UnixTime::from_secs(253_402_300_800)).is_none());
    /// ```
    pub fn new(time: UnixTime) -> Option<Self> {
        let year = Civil::from_unix(time).year;
        (0..=9_999).contains(&year).then_some(Self(time))
    }
}

impl fmt::Display for Rfc3339 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let civil = Civil::from_unix(self.0);
        let Civil {
            year,
            month,
            day,
            clock,
        } = civil;
        let (hour, minute, second) = clock.parts();
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"
        )?;
        match clock.milli() {
            0 => f.write_str("Z"),
            milli => write!(f, ".{milli:03}Z"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use super::*;

    const TIME: i64 = 1_779_141_660_000;

    #[test]
    fn each_freedom_of_the_rfc_is_taken() {
        for (text, millis) in [
            ("2026-05-18T22:01:00Z", TIME),
            ("2026-05-18t22:01:00z", TIME),
            ("2026-05-18 22:01:00z", TIME),
            ("2026-05-18T22:01:00-00:00", TIME),
            ("2026-05-18T22:01:00.1Z", TIME + 100),
            ("2026-05-18T22:01:00.12Z", TIME + 120),
            ("2026-05-18T22:01:00.123Z", TIME + 123),
            ("2026-05-18T22:01:00.123999999999999Z", TIME + 123),
            ("2026-05-18T22:01:00.5+23:59", TIME + 500 - 86_340_000),
            ("2026-05-18T22:01:00-23:59", TIME + 86_340_000),
            ("2016-12-31T23:59:60Z", 1_483_228_799_999),
            ("2016-12-31T23:59:60.25Z", 1_483_228_799_999),
            ("2017-01-01T05:29:60+05:30", 1_483_228_799_999),
            ("1969-12-31T23:59:59.9999Z", -1),
            ("0000-01-01T00:00:00Z", -62_167_219_200_000),
            ("9999-12-31T23:59:59.999Z", 253_402_300_799_999),
            ("2024-02-29T00:00:00Z", 1_709_164_800_000),
        ] {
            let time = UnixTime::from_millis(millis);
            assert_eq!(parse_rfc3339(text.as_bytes()), Some(time), "{text}");
        }
    }

    /// In whatever hour the one before lay.
    #[test]
    fn after_one_date_each_is_read_as_alone() {
        let texts = [
            "2026-05-18T22:01:00Z",
            "2026-05-18T22:59:59Z",
            "2026-05-18T22:60:00Z",
            "2026-05-18T22:59:60Z",
            "2026-05-18T22:5x:00Z",
            "2026-05-18T22:01:00z",
            "2026-05-18t22:01:00Z",
            "2026-05-18T22:01:00.5Z",
            "2026-05-18T22:01:00+01:00",
            "2026-05-18T23:59:60Z",
            "2026-05-18T23:59:59Z",
            "2026-05-18T23:00:00Z",
            "2026-05-18T22:01:00",
            "2026-05-18T22:01:0Z",
            "2026-05-18T22:01_00Z",
            "2026-05-18T22_01:00Z",
            "1969-12-31T23:59:60Z",
            "1969-12-31T23:00:01Z",
            "0000-01-01T00:00:00Z",
            "0000-01-01T00:59:01Z",
            "\0\0\0\0\0\0\0\0\0\0\0\0\0:00:00Z",
            "\0\0\0\0\0\0\0\0\0\0\0\0\0\x0000:00Z",
        ];
        for first in texts {
            for second in texts {
                let mut hour = LastHour::NONE;
                for text in [first, second, first] {
                    let text = text.as_bytes();
                    assert_eq!(hour.read(text), parse_rfc3339(text), "{first} {second}");
                }
            }
        }
    }

    #[test]
    fn what_is_not_quite_a_date_is_not_read() {
        for text in [
            "",
            "2026-05-18",
            "2026-05-18T22:01:00",
            "2026-05-18T22:01Z",
            "20260518T220100Z",
            "2026-05-18T22:01:00.Z",
            "2026-05-18T22:01:00,5Z",
            "2026-05-18_22:01:00Z",
            "2026-05-18T22:01:00Z ",
            " 2026-05-18T22:01:00Z",
            "2026-05-18T22:01:00ZZ",
            "2026-05-18T22:01:00+0200",
            "2026-05-18T22:01:00+02",
            "2026-05-18T22:01:00+24:00",
            "2026-05-18T22:01:00+02:60",
            "2026-05-18T22:01:00\u{2212}02:00",
            "2026-05-18T24:00:00Z",
            "2026-05-18T22:60:00Z",
            "2026-05-18T22:01:60Z",
            "2026-05-18T23:59:60+01:00",
            "2026-05-18T23:59:61Z",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-01-00T00:00:00Z",
            "2026-04-31T00:00:00Z",
            "-026-04-30T00:00:00Z",
            "+2026-04-30T00:00:00Z",
            "10000-04-30T00:00:00Z",
            "1771470000",
        ] {
            assert_eq!(parse_rfc3339(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn milliseconds_are_printed_where_there_are_any() {
        for (millis, text) in [
            (TIME, "2026-05-18T22:01:00Z"),
            (TIME + 7, "2026-05-18T22:01:00.007Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (-62_167_219_200_000, "0000-01-01T00:00:00Z"),
        ] {
            let printed = Rfc3339::new(UnixTime::from_millis(millis)).unwrap();
            assert_eq!(printed.to_string(), text);
        }
        assert_eq!(Rfc3339::new(UnixTime::from_millis(i64::MIN)), None);
        assert_eq!(
            Rfc3339::new(UnixTime::from_millis(-62_167_219_200_001)),
            None
        );
    }
}
