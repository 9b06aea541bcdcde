//! `retry-after` (RFC 9110, section 10.2.3), `retry-after-ms`, and the dates
//! that they and `date` hold.

use core::time::Duration;

use super::{
    Tally,
    http_date::{HttpDateRead, ShortDate, read},
    keep, list,
    number::{millis, seconds},
    rfc3339::parse_rfc3339,
    split_comma, trim,
};
use crate::{
    hints::{Problems, ServerHints},
    time::UnixTime,
};

/// The dates of one field. Which of them is the stricter depends on the field.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dates {
    exact: Option<UnixTime>,
    short: Short,
}

/// What is kept of dates that leave the century open.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Short {
    None,
    One(ShortDate),
    /// Different ones. Which comes first depends on a century that may be known
    /// only after the last of them, so none is kept, in whatever order they
    /// came.
    Many,
}

impl Dates {
    pub(super) const NONE: Self = Self {
        exact: None,
        short: Short::None,
    };

    pub(super) fn take(
        &mut self,
        read: HttpDateRead,
        stricter: fn(UnixTime, UnixTime) -> UnixTime,
        tally: &mut Tally,
    ) {
        match (read, self.short) {
            (HttpDateRead::At(time), _) => keep(&mut self.exact, time, stricter, tally),
            (HttpDateRead::Short(date), Short::None) => self.short = Short::One(date),
            (HttpDateRead::Short(date), Short::One(held)) if held == date => tally.again = true,
            (HttpDateRead::Short(_), _) => {
                self.short = Short::Many;
                tally.again = true;
                tally.problems.set(Problems::CONFLICT);
            }
        }
    }

    /// Whether any was taken.
    pub(super) fn any(&self) -> bool {
        self.exact.is_some() || self.short != Short::None
    }

    /// The date they come to, where it is `now` if nothing better is known.
    pub(super) fn place(
        &self,
        now: Option<UnixTime>,
        stricter: fn(UnixTime, UnixTime) -> UnixTime,
        problems: &mut Problems,
    ) -> Option<UnixTime> {
        let Short::One(date) = self.short else {
            return self.exact;
        };
        let placed = now.and_then(|now| date.place(now));
        if placed.is_none() {
            problems.set(Problems::NO_DATE);
        }
        merge(self.exact, placed, stricter, problems)
    }

    /// The date that says its century itself.
    pub(super) const fn exact(&self) -> Option<UnixTime> {
        self.exact
    }
}

/// Which of `retry-after` and `retry-after-ms` counts where both are there.
///
/// Servers that send both do not always mean the same by them: Azure sent a
/// second beside 0 milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[non_exhaustive]
pub enum WaitRule {
    /// The longer: whoever comes early is refused again.
    #[default]
    Longer,
    /// `retry-after-ms`, as the official SDKs of the Claude API and of OpenAI
    /// have it.
    Millis,
    /// `retry-after`, which alone stands in a standard.
    Seconds,
}

/// What `retry-after` and `retry-after-ms` say, before it is known what time it
/// is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waits {
    span: Option<Duration>,
    at: Dates,
    precise: Option<Duration>,
}

impl Waits {
    pub(super) const NONE: Self = Self {
        span: None,
        at: Dates::NONE,
        precise: None,
    };

    /// `retry-after`: seconds or a date.
    pub(super) fn take(&mut self, value: &[u8], tally: &mut Tally) {
        for member in Members::of(value) {
            // The first of each kind is not the first of the field.
            tally.again |= self.span.is_some() || self.at.any();
            match member {
                Member::Date(read) => self.at.take(read, Ord::max, tally),
                Member::Other(text) => {
                    if let Some(span) = seconds(text) {
                        keep(&mut self.span, span, Ord::max, tally);
                    } else if let Some(at) = parse_rfc3339(text) {
                        self.at.take(HttpDateRead::At(at), Ord::max, tally);
                    } else {
                        tally.problems.set(Problems::MALFORMED);
                    }
                }
            }
        }
    }

    /// `retry-after-ms`.
    pub(super) fn take_millis(&mut self, value: &[u8], tally: &mut Tally) {
        for text in list(value) {
            match millis(text) {
                Some(span) => keep(&mut self.precise, span, Ord::max, tally),
                None => tally.problems.set(Problems::MALFORMED),
            }
        }
    }

    /// Says in `hints`, which has its date already, how long to wait.
    pub(super) fn finish(
        &self,
        received: Option<UnixTime>,
        rule: WaitRule,
        hints: &mut ServerHints,
    ) {
        let now = hints.date.or(received);
        let problems = &mut hints.problems;
        let until = match (self.at.place(now, Ord::max, problems), now) {
            (Some(at), Some(now)) => {
                let millis = u64::try_from(at.millis_since(now)).unwrap_or(0);
                Some(Duration::from_millis(millis))
            }
            (Some(_), None) => {
                problems.set(Problems::NO_DATE);
                None
            }
            (None, _) => None,
        };
        let wait = merge(self.span, until, Ord::max, problems);
        if let (Some(wait), Some(precise)) = (wait, self.precise) {
            // In nanoseconds, because `Duration::abs_diff` has a panic in it.
            if wait.as_nanos().abs_diff(precise.as_nanos()) > 1_000_000_000 {
                problems.set(Problems::WAITS_DISAGREE);
            }
        }
        hints.retry_after = match rule {
            WaitRule::Longer => wait.max(self.precise),
            WaitRule::Millis => self.precise.or(wait),
            WaitRule::Seconds => wait.or(self.precise),
        };
    }
}

/// The stricter of two forms of one value, where they differ.
fn merge<T: Copy + PartialEq>(
    one: Option<T>,
    other: Option<T>,
    stricter: fn(T, T) -> T,
    problems: &mut Problems,
) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => {
            if one != other {
                problems.set(Problems::CONFLICT);
            }
            Some(stricter(one, other))
        }
        _ => one.or(other),
    }
}

/// The members of a list in which HTTP-dates may stand, two forms of which have
/// a comma in them. Each byte is looked at a bounded number of times.
pub(super) struct Members<'a>(Option<&'a [u8]>);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Member<'a> {
    Date(HttpDateRead),
    /// What is no HTTP-date, without the blanks around it.
    Other(&'a [u8]),
}

impl<'a> Members<'a> {
    pub(super) fn of(value: &'a [u8]) -> Self {
        Self(Some(trim(value)))
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = Member<'a>;

    fn next(&mut self) -> Option<Member<'a>> {
        let value = self.0.take()?;
        // The whole, in most cases. Its length is looked at before anything
        // else, so that to try costs little.
        if let Some(date) = read(trim(value)) {
            return Some(Member::Date(date));
        }
        let (member, rest) = split_comma(value);
        if let Some(second) = rest {
            // With one comma in it, what is a date has it after its day.
            let (second, rest) = split_comma(second);
            let whole = value.get(..member.len().saturating_add(second.len()).saturating_add(1));
            if let Some(date) = whole.and_then(|whole| read(trim(whole))) {
                self.0 = rest;
                return Some(Member::Date(date));
            }
        }
        self.0 = rest;
        let member = trim(member);
        Some(read(member).map_or(Member::Other(member), Member::Date))
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;
    use crate::headers::HeaderParser;

    const NOW: UnixTime = UnixTime::from_secs(784_111_777);
    const DATE: (&str, &str) = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");

    fn hints(fields: &[(&str, &str)]) -> ServerHints {
        ServerHints::parse(fields.iter().copied(), None)
    }

    /// What one value says in a response that is dated.
    fn said(value: &str) -> (Option<Duration>, Problems) {
        let hints = hints(&[("retry-after", value), DATE]);
        (hints.retry_after, hints.problems)
    }

    #[test]
    fn each_form_is_read() {
        for (value, millis) in [
            ("0", 0),
            ("505", 505_000),
            ("007", 7_000),
            (" \t5 ", 5_000),
            ("1.5", 1_500),
            ("Sun, 06 Nov 1994 08:49:57 GMT", 20_000),
            ("Sunday, 06-Nov-94 08:49:57 GMT", 20_000),
            ("Sun Nov  6 08:49:57 1994", 20_000),
            ("1994-11-06T08:49:57.250Z", 20_250),
            ("Sun, 06 Nov 1994 08:49:37 GMT", 0),
            ("Sun, 06 Nov 1994 08:49:36 GMT", 0),
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ] {
            let wait = Some(Duration::from_millis(millis));
            assert_eq!(said(value), (wait, Problems::NONE), "{value}");
        }
        let all = Some(Duration::from_secs(u64::MAX));
        assert_eq!(
            said("99999999999999999999999999999999999"),
            (all, Problems::NONE)
        );
    }

    #[test]
    fn what_no_server_should_send_is_left_out() {
        for value in [
            "",
            " ",
            ",",
            "-10",
            "+5",
            "5s",
            "5 s",
            "1.",
            ".5",
            "inf",
            "nan",
            "1e3",
            "0x10",
            "Sun",
            "Zun, 29 Sep 2023 16:26:27 GMT",
            "soon",
        ] {
            assert_eq!(said(value), (None, Problems::MALFORMED), "{value}");
        }
    }

    #[test]
    fn of_a_list_the_longest_stays() {
        let conflict = Problems::CONFLICT;
        let seconds = |s| Some(Duration::from_secs(s));
        assert_eq!(said("5, 10"), (seconds(10), conflict));
        assert_eq!(said("10,5"), (seconds(10), conflict));
        assert_eq!(said("5,5"), (seconds(5), Problems::NONE));
        assert_eq!(
            said("5, Sun, 06 Nov 1994 08:49:57 GMT, Sunday, 06-Nov-94 08:49:47 GMT"),
            (seconds(20), conflict)
        );
        assert_eq!(
            said("Sun, 06 Nov 1994 08:49:47 GMT,10, Sun Nov  6 08:49:47 1994"),
            (seconds(10), Problems::NONE)
        );
        let mut both = Problems::MALFORMED;
        assert_eq!(said("5, x"), (seconds(5), both));
        assert_eq!(said("Sun, 5"), (seconds(5), both));
        both.set(conflict);
        assert_eq!(said("5, Sunday, Mon, 7,"), (seconds(7), both));
    }

    #[test]
    fn a_date_needs_to_know_what_time_it_is() {
        let at = ("retry-after", "Sun, 06 Nov 1994 08:49:57 GMT");
        let bare = hints(&[at]);
        assert_eq!((bare.retry_after, bare.problems), (None, Problems::NO_DATE));
        let received = ServerHints::parse([at], Some(NOW));
        assert_eq!(received.retry_after, Some(Duration::from_secs(20)));
        assert!(received.problems.is_empty());
        // The response's own clock goes before the caller's.
        let late = UnixTime::from_secs(2_000_000_000);
        let dated = ServerHints::parse([at, DATE], Some(late));
        assert_eq!(dated.retry_after, Some(Duration::from_secs(20)));
    }

    #[test]
    fn the_longer_of_the_two_fields_stays() {
        for (seconds, millis, wait, problems) in [
            ("2", "50", 2_000, Problems::WAITS_DISAGREE),
            ("1", "0", 1_000, Problems::NONE),
            ("1", "1300", 1_300, Problems::NONE),
            ("1", "2000.5", 2_001, Problems::WAITS_DISAGREE),
            ("x", "10", 10, Problems::MALFORMED),
            ("1", "", 1_000, Problems::MALFORMED),
            ("1", "1000, 2000", 2_000, Problems::CONFLICT),
        ] {
            let fields = [("retry-after", seconds), ("retry-after-ms", millis)];
            let hints = hints(&fields);
            let whole = hints.retry_after.map(|w| w.as_micros().div_ceil(1_000));
            assert_eq!(
                (whole, hints.problems),
                (Some(wait), problems),
                "{fields:?}"
            );
        }
    }

    #[test]
    fn short_dates_that_differ_say_nothing_in_any_order() {
        let early = ("retry-after", "Sunday, 06-Nov-94 08:49:57 GMT");
        let late = ("retry-after", "Sunday, 06-Nov-20 08:49:57 GMT");
        for fields in [[early, late, DATE, late], [DATE, late, late, early]] {
            let hints = hints(&fields);
            assert_eq!(
                (hints.retry_after, hints.problems),
                (None, Problems::CONFLICT)
            );
        }
    }

    #[test]
    fn a_date_in_a_list_is_one_member() {
        let members = |value| Members::of(value).collect::<Vec<_>>();
        let other = |text: &'static str| Member::Other(text.as_bytes());
        let date = Member::Date(HttpDateRead::At(NOW));
        assert_eq!(members(b""), [other("")]);
        assert_eq!(members(b"5"), [other("5")]);
        assert_eq!(members(b" 5 ,\t6,"), [other("5"), other("6"), other("")]);
        assert_eq!(members(b"Sun, 5"), [other("Sun"), other("5")]);
        assert_eq!(members(b"Sun,"), [other("Sun"), other("")]);
        assert_eq!(
            members(b"1, Sun, 06 Nov 1994 08:49:37 GMT , 2"),
            [other("1"), date, other("2")]
        );
        assert_eq!(
            members(b"Mon,Sun, 06 Nov 1994 08:49:37 GMT,Sun Nov  6 08:49:37 1994,"),
            [other("Mon"), date, date, other("")]
        );
        assert!(matches!(
            members(b"Sunday, 06-Nov-94 08:49:37 GMT")[..],
            [Member::Date(HttpDateRead::Short(_))]
        ));
    }

    #[test]
    fn the_caller_may_tell_the_time_at_any_point() {
        let short = (
            b"date".as_slice(),
            b"Sunday, 06-Nov-94 08:49:37 GMT".as_slice(),
        );
        let mut before = HeaderParser::new().received(NOW);
        before.field(short.0, short.1);
        let mut after = HeaderParser::new();
        after.field(short.0, short.1);
        assert_eq!(after.finish().problems, Problems::NO_DATE);
        assert_eq!(before.finish(), after.received(NOW).finish());
        assert_eq!(before.finish().date, Some(NOW));
    }
}
