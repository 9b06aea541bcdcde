//! When a limit is whole again: the forms in which servers say it, told apart.
//!
//! | form | who | read as |
//! |---|---|---|
//! | `2026-06-08T18:45:44Z` | the Claude API | RFC 3339 |
//! | `Sun, 06 Nov 1994 08:49:37 GMT` | some | an HTTP-date |
//! | `Tue Feb 16 2021 09:02:42 GMT+0100 (CET)` | lemlist | a JavaScript date |
//! | `6m0s`, `39ms` | OpenAI, Groq | a Go duration |
//! | `295` | the IETF draft, Together, Cerebras | seconds from now |
//! | `500` | Azure | see [`BareReset`] |
//! | `1655120964` | GitHub | seconds of the Unix clock |
//! | `1655120964000` | OpenRouter | milliseconds of the Unix clock |
//! | `600000` | some | milliseconds from now |
//!
//! A bare number is told by its size. Below 10^8 it is a span: three years in
//! seconds, and a point of the Unix clock before 1973. From there to 10^11 it
//! is a point in seconds, up to 10^14 one in milliseconds; both reach past the
//! year 5000.

use super::{
    go_duration::parse_go_duration, http_date::parse_http_date, js_date, marks::Marks,
    number::thousandths, rfc3339::parse_rfc3339,
};
use crate::{hints::ResetGiven, time::UnixTime};

/// What a reset that is a bare number below 10^8 counts.
///
/// Where a dialect's documents or all that was seen of it settle the unit, it
/// is not asked for. Azure's hosts differ: the same names come with
/// milliseconds from one and with seconds from another.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[non_exhaustive]
pub enum BareReset {
    /// Found out from the limit and what remains of it, because a reset is when
    /// that is whole again; where they do not settle it, seconds, which is the
    /// longer, and [`Problems::IN_DOUBT`](crate::Problems::IN_DOUBT) is set.
    #[default]
    Auto,
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Millis,
}

/// A reset as it was sent. The order is that of time within one form; where a
/// field has more than one form, a point in time goes before a span.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Raw {
    /// A bare number, in thousandths.
    Number(i64),
    /// Milliseconds.
    Span(i64),
    At(UnixTime),
}

impl Raw {
    /// `None` where `text` has none of the forms.
    #[inline]
    pub(super) fn read(text: &[u8]) -> Option<Self> {
        // What the Claude API sends goes first.
        if let Some(at) = parse_rfc3339(text) {
            return Some(Self::At(at));
        }
        if let Some(number) = thousandths(text) {
            return (number.unsigned_abs() < MOST).then_some(Self::Number(number));
        }
        if let Some(nanos) = parse_go_duration(text) {
            return Some(Self::Span(millis(nanos)));
        }
        parse_http_date(text, None)
            .or_else(|| js_date::parse(text))
            .map(Self::At)
    }

    /// A number of seconds.
    pub(super) fn seconds(text: &[u8]) -> Option<Self> {
        thousandths(text).map(Self::Span)
    }
}

/// Nanoseconds to milliseconds, away from zero.
#[expect(clippy::arithmetic_side_effects, reason = "a quotient and one more")]
const fn millis(nanos: i64) -> i64 {
    let rest = nanos % 1_000_000;
    nanos / 1_000_000 + rest.signum()
}

/// What a bare number tells of its sender.
pub(super) const fn marks(number: i64) -> Marks {
    match number.unsigned_abs() {
        EPOCH_MILLIS.. => Marks::EPOCH_MILLIS,
        EPOCH_SECONDS.. => Marks::NONE,
        _ => Marks::NUMBER,
    }
}

/// What a bare number may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Bare {
    /// A span in seconds.
    Seconds,
    /// A span in milliseconds.
    Millis,
    /// A span in one of the two.
    Either,
}

/// Numbers from here on are points in seconds of the Unix clock. In
/// thousandths, as the next three are.
const EPOCH_SECONDS: u64 = 100_000_000_000;
const EPOCH_MILLIS: u64 = 100_000_000_000_000;
/// What is no less is no reset at all.
const MOST: u64 = 100_000_000_000_000_000;
/// No usual window is longer than a day.
const DAY: u64 = 86_400_000;
/// Points further from now than this are not believed.
const YEAR_MILLIS: u64 = 366 * 86_400_000;

/// What `number` thousandths mean at `now`, and whether that is in doubt.
pub(super) fn resolve(number: i64, bare: Bare, now: Option<UnixTime>) -> (ResetGiven, bool) {
    let size = number.unsigned_abs();
    if number > 0 && size >= EPOCH_SECONDS {
        // Thousandths of a second are milliseconds.
        let at = UnixTime::from_millis(if size < EPOCH_MILLIS {
            number
        } else {
            up(number)
        });
        let is_far = now.is_some_and(|now| at.millis_since(now).unsigned_abs() > YEAR_MILLIS);
        return (ResetGiven::At(at), is_far);
    }
    let seconds = ResetGiven::In { millis: number };
    let millis = ResetGiven::In { millis: up(number) };
    match bare {
        Bare::Seconds => (seconds, false),
        Bare::Millis => (millis, false),
        // Nothing is nothing in either.
        Bare::Either if number <= 0 => (seconds, number < 0),
        Bare::Either if size <= DAY => {
            // Whole seconds, if it is in milliseconds.
            let may_be_millis = number % 1_000_000 == 0;
            (seconds, may_be_millis)
        }
        Bare::Either => (millis, true),
    }
}

/// Thousandths to the whole, away from zero.
#[expect(clippy::arithmetic_side_effects, reason = "a quotient and one more")]
const fn up(thousandths: i64) -> i64 {
    let rest = thousandths % 1_000;
    thousandths / 1_000 + rest.signum()
}

/// Which unit fits a bare number of `number` thousandths that says when `used`
/// of `limit` are there again, where `limit` come in `window` milliseconds.
/// `None` where it may be either.
///
/// The time that it takes is compared with both readings. One fits if neither
/// is more than twice the other, give or take what is lost to rounding.
pub(super) fn unit_that_fits(number: i64, used: u64, limit: u64, window: u64) -> Option<Bare> {
    if used == 0 || number <= 0 {
        return None;
    }
    let needs = u128::from(used)
        .saturating_mul(u128::from(window))
        .checked_div(u128::from(limit))?;
    let fits = |millis: u64, rounding: u128| {
        let millis = u128::from(millis);
        let near = |a: u128, b: u128| a <= b.saturating_mul(2).saturating_add(rounding);
        near(millis, needs) && near(needs, millis)
    };
    let number = number.unsigned_abs();
    match (fits(number, 1_000), fits(number / 1_000, 1)) {
        (true, false) => Some(Bare::Seconds),
        (false, true) => Some(Bare::Millis),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime::from_secs(1_655_120_933);

    #[test]
    fn each_form_is_told_by_its_look() {
        let at = |seconds| Some(Raw::At(UnixTime::from_secs(seconds)));
        for (text, raw) in [
            ("2026-06-08T18:45:44Z", at(1_780_944_344)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", at(784_111_777)),
            ("Tue Feb 16 2021 09:02:42 GMT+0100 (CET)", at(1_613_462_562)),
            ("6m0s", Some(Raw::Span(360_000))),
            ("39ms", Some(Raw::Span(39))),
            ("17.399999999s", Some(Raw::Span(17_400))),
            ("295", Some(Raw::Number(295_000))),
            ("33011.382867813", Some(Raw::Number(33_011_383))),
            ("-3", Some(Raw::Number(-3_000))),
            ("1655120964", Some(Raw::Number(1_655_120_964_000))),
            ("100000000000000", None),
            ("soon", None),
            ("", None),
            ("1m", Some(Raw::Span(60_000))),
            ("Sunday, 06-Nov-94 08:49:37 GMT", None),
        ] {
            assert_eq!(Raw::read(text.as_bytes()), raw, "{text}");
        }
    }

    #[test]
    fn a_bare_number_is_told_by_its_size() {
        let at = |millis| ResetGiven::At(UnixTime::from_millis(millis));
        let span = |millis| ResetGiven::In { millis };
        for (text, given, is_doubtful) in [
            ("0", span(0), false),
            ("1", span(1_000), false),
            ("1.5", span(1_500), false),
            ("60", span(60_000), false),
            ("86400", span(86_400_000), false),
            ("-5", span(-5_000), true),
            ("60000", span(60_000_000), true),
            ("600000", span(600_000), true),
            ("99999999", span(99_999_999), true),
            ("100000000", at(100_000_000_000), true),
            ("1655120964", at(1_655_120_964_000), false),
            ("1655120964.5", at(1_655_120_964_500), false),
            ("1655120964123", at(1_655_120_964_123), false),
            ("1792152901", at(1_792_152_901_000), true),
            ("99999999999999", at(99_999_999_999_999), true),
        ] {
            let Some(Raw::Number(number)) = Raw::read(text.as_bytes()) else {
                panic!("{text}");
            };
            assert_eq!(
                resolve(number, Bare::Either, Some(NOW)),
                (given, is_doubtful),
                "{text}"
            );
        }
        assert_eq!(
            resolve(600_000_000, Bare::Seconds, None),
            (span(600_000_000), false)
        );
        assert_eq!(resolve(500_000, Bare::Millis, None), (span(500), false));
        // Without a clock, a point in time is taken as it is.
        assert!(!resolve(1_792_152_901_000, Bare::Either, None).1);
    }

    #[test]
    fn the_unit_is_found_out_from_what_was_used() {
        // 1 of 120 a minute, and 14 of 120 000.
        assert_eq!(unit_that_fits(500_000, 1, 120, 60_000), Some(Bare::Millis));
        assert_eq!(
            unit_that_fits(7_000, 14, 120_000, 60_000),
            Some(Bare::Millis)
        );
        // 30 of 50 a minute.
        assert_eq!(unit_that_fits(36_000, 30, 50, 60_000), Some(Bare::Seconds));
        // 1 of 50 a minute, cut to a second.
        assert_eq!(unit_that_fits(1_000, 1, 50, 60_000), Some(Bare::Seconds));
        // Neither fits: the server counts something else.
        assert_eq!(unit_that_fits(90_000_000, 1, 50, 60_000), None);
        // Both fit: 1 of 60 000 a minute.
        assert_eq!(unit_that_fits(1_000, 1, 60_000, 60_000), None);
        assert_eq!(unit_that_fits(1_000, 0, 50, 60_000), None);
        assert_eq!(unit_that_fits(1_000, 1, 0, 60_000), None);
        assert_eq!(unit_that_fits(0, 1, 50, 60_000), None);
    }
}
