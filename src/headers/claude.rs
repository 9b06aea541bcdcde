//! The Claude API's rate-limit fields: a limit, what remains and a reset for
//! each meter of each pool.
//!
//! The names are those of its documentation (API reference, "Rate limits",
//! "Service tiers", "Fast mode"). The documentation says that what remains of
//! tokens is rounded to the nearest thousand, and that a reset is when the
//! limit is whole again, in RFC 3339.

use core::time::Duration;

use super::{
    Tally, keep, list,
    number::{signed, unsigned},
    rfc3339::parse_rfc3339,
    same, trim,
};
use crate::{
    hints::{Dialect, Family, Meter, Problems, Remaining, Reset, ResetGiven, ServerHints},
    time::UnixTime,
    units::Dimension,
};

/// What each name of this server begins with.
const PREFIX: &[u8] = b"anthropic-";

/// The names of one meter's members, in the order of [`Member`].
macro_rules! members {
    ($meter:literal) => {
        [
            concat!("anthropic-", $meter, "-limit"),
            concat!("anthropic-", $meter, "-remaining"),
            concat!("anthropic-", $meter, "-reset"),
        ]
    };
}

/// The names of each meter, in the order in which hints hold meters.
#[rustfmt::skip]
const METERS: [([&str; 3], Family, Dimension); 8] = [
    (members!("ratelimit-requests"), Family::Standard, Dimension::Requests),
    (members!("ratelimit-input-tokens"), Family::Standard, Dimension::InputTokens),
    (members!("ratelimit-output-tokens"), Family::Standard, Dimension::OutputTokens),
    (members!("ratelimit-tokens"), Family::Standard, Dimension::TotalTokens),
    (members!("priority-input-tokens"), Family::Priority, Dimension::InputTokens),
    (members!("priority-output-tokens"), Family::Priority, Dimension::OutputTokens),
    (members!("fast-input-tokens"), Family::Fast, Dimension::InputTokens),
    (members!("fast-output-tokens"), Family::Fast, Dimension::OutputTokens),
];

/// All limits are per minute, though a bucket is filled all the time.
const WINDOW: Duration = Duration::from_secs(60);
/// What remains of tokens is a multiple of this.
const STEP: i64 = 1_000;

/// Which member of which meter a field is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Name {
    /// Its place in [`METERS`].
    meter: usize,
    member: Member,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Member {
    Limit,
    Remaining,
    Reset,
}

/// Whether `name` is one of this server's at all, and the meter's member that
/// it is. What is not, as the unified limits of subscriptions, is `None`.
pub(super) fn name(name: &[u8]) -> Option<Option<Name>> {
    let &[b'a' | b'A', .., last_but_one, _] = name else {
        return None;
    };
    let member = match last_but_one {
        b'i' | b'I' => Member::Limit,
        b'n' | b'N' => Member::Remaining,
        _ => Member::Reset,
    };
    let meter = METERS.iter().position(|([limit, remaining, reset], ..)| {
        let known = match member {
            Member::Limit => limit,
            Member::Remaining => remaining,
            Member::Reset => reset,
        };
        // The length goes first, because few share it.
        known.len() == name.len() && same(name, known.as_bytes())
    });
    match meter {
        Some(meter) => Some(Some(Name { meter, member })),
        None => same(name.get(..PREFIX.len())?, PREFIX).then_some(None),
    }
}

/// What was kept of the fields.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Claude {
    /// Whether any field with this server's prefix came.
    pub(super) seen: bool,
    meters: [Kept; METERS.len()],
}

#[derive(Clone, Copy, Debug, Default)]
struct Kept {
    limit: Option<Limit>,
    remaining: Option<i64>,
    reset: Option<UnixTime>,
}

/// The order is that of strictness.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Limit {
    Known(u64),
    /// Written as a negative number.
    Unknown,
}

impl Kept {
    /// `None` where `text` cannot be read.
    fn take(&mut self, member: Member, text: &[u8], tally: &mut Tally) -> Option<()> {
        match member {
            Member::Limit => keep(&mut self.limit, limit(text)?, Ord::min, tally),
            Member::Remaining => keep(&mut self.remaining, signed(text)?, Ord::min, tally),
            Member::Reset => keep(&mut self.reset, parse_rfc3339(text)?, Ord::max, tally),
        }
        Some(())
    }
}

impl Claude {
    pub(super) fn take(&mut self, name: Name, value: &[u8], tally: &mut Tally) {
        let Some(kept) = self.meters.get_mut(name.meter) else {
            return;
        };
        // Most values are no list, and to find that out costs as much as to
        // read them.
        if kept.take(name.member, trim(value), tally).is_some() {
            return;
        }
        for text in list(value) {
            if kept.take(name.member, text, tally).is_none() {
                tally.problems.set(Problems::MALFORMED);
            }
        }
    }

    /// Puts the meters in `hints`, which has its date already.
    pub(super) fn finish(&self, hints: &mut ServerHints) {
        if !self.seen {
            return;
        }
        hints.dialect = Dialect::Claude;
        for (kept, &(_, family, dimension)) in self.meters.iter().zip(&METERS) {
            let limit = match kept.limit {
                Some(Limit::Known(limit)) => Some(limit),
                Some(Limit::Unknown) | None => None,
            };
            if limit.is_none() && kept.remaining.is_none() && kept.reset.is_none() {
                continue;
            }
            let mut meter = Meter::new(family, dimension).window(WINDOW);
            meter.limit = limit;
            meter.remaining = kept.remaining.map(|shown| Remaining {
                shown,
                rounding: rounding(dimension, shown),
            });
            meter.reset = kept
                .reset
                .map(|at| Reset::new(ResetGiven::At(at), hints.date));
            hints.meters.insert(meter, &mut hints.problems);
        }
    }
}

fn limit(text: &[u8]) -> Option<Limit> {
    match text {
        [b'-', magnitude @ ..] => unsigned(magnitude).map(|_| Limit::Unknown),
        _ => unsigned(text).map(Limit::Known),
    }
}

/// How far off `shown` may be. Tokens that are no whole thousands were not
/// rounded; that has been seen from proxies and in the documentation's samples.
const fn rounding(dimension: Dimension, shown: i64) -> u32 {
    match dimension {
        Dimension::Requests => 0,
        _ if shown % STEP == 0 => 500,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use std::{format, string::String};

    use super::*;

    fn hints(fields: &[(&str, &str)]) -> ServerHints {
        ServerHints::parse(fields.iter().copied(), None)
    }

    #[test]
    fn each_documented_name_finds_its_place() {
        let names = [
            ("ratelimit-requests", Family::Standard, Dimension::Requests),
            ("ratelimit-tokens", Family::Standard, Dimension::TotalTokens),
            (
                "ratelimit-input-tokens",
                Family::Standard,
                Dimension::InputTokens,
            ),
            (
                "ratelimit-output-tokens",
                Family::Standard,
                Dimension::OutputTokens,
            ),
            (
                "priority-input-tokens",
                Family::Priority,
                Dimension::InputTokens,
            ),
            (
                "priority-output-tokens",
                Family::Priority,
                Dimension::OutputTokens,
            ),
            ("fast-input-tokens", Family::Fast, Dimension::InputTokens),
            ("fast-output-tokens", Family::Fast, Dimension::OutputTokens),
        ];
        for (name, family, dimension) in names {
            let name = |member| format!("Anthropic-{name}-{member}");
            let hints = hints(&[
                (&name("limit"), "50"),
                (&name("remaining"), "49"),
                (&name("reset"), "2024-10-16T05:02:55Z"),
                ("date", "Wed, 16 Oct 2024 05:02:23 GMT"),
            ]);
            assert_eq!(hints.dialect, Dialect::Claude);
            assert_eq!(hints.meters.len(), 1);
            let meter = hints.meters.get(family, dimension).unwrap();
            assert_eq!(meter.limit, Some(50));
            assert_eq!(meter.remaining.unwrap().shown, 49);
            assert_eq!(meter.remaining.unwrap().rounding, 0);
            assert_eq!(meter.reset.unwrap().after_date_ms, Some(32_000));
            assert_eq!(meter.window, Some(Duration::from_secs(60)));
            assert!(hints.problems.is_empty());
        }
    }

    #[test]
    fn meters_are_listed_in_the_order_of_hints() {
        let keys = METERS.map(|(_, family, dimension)| (family, dimension));
        assert!(keys.is_sorted());
    }

    #[test]
    fn whole_thousands_of_tokens_are_taken_as_rounded() {
        for (name, shown, rounding) in [
            ("tokens", "8000", 500),
            ("tokens", "0", 500),
            ("tokens", "-3000", 500),
            ("tokens", "9618", 0),
            ("tokens", "-27689", 0),
            ("requests", "1000", 0),
        ] {
            let name = format!("anthropic-ratelimit-{name}-remaining");
            let hints = hints(&[(&name, shown)]);
            let remaining = hints.meters.iter().next().unwrap().remaining.unwrap();
            assert_eq!(remaining.shown, shown.parse::<i64>().unwrap());
            assert_eq!(remaining.rounding, rounding, "{shown}");
        }
    }

    #[test]
    fn a_negative_limit_is_unknown_and_zero_is_zero() {
        const NAME: &str = "anthropic-fast-input-tokens-limit";
        assert!(hints(&[(NAME, "-1")]).meters.is_empty());
        assert!(hints(&[(NAME, "-1")]).problems.is_empty());
        assert_eq!(
            hints(&[(NAME, "0")]).meters.iter().next().unwrap().limit,
            Some(0)
        );
        let both = hints(&[(NAME, "-1"), (NAME, "7")]);
        assert_eq!(both.meters.iter().next().unwrap().limit, Some(7));
        assert_eq!(both.problems, Problems::CONFLICT);
    }

    #[test]
    fn of_two_values_the_stricter_stays() {
        const LIMIT: &str = "anthropic-ratelimit-requests-limit";
        const REMAINING: &str = "anthropic-ratelimit-requests-remaining";
        const RESET: &str = "anthropic-ratelimit-requests-reset";
        let early = "2024-10-16T05:02:23Z";
        let late = "2024-10-16T05:02:55Z";
        let split = hints(&[
            (LIMIT, "50"),
            (LIMIT, "40"),
            (REMAINING, "3"),
            (REMAINING, "-4"),
            (RESET, late),
            (RESET, early),
        ]);
        let joined: String = [early, late].join(" , ");
        assert_eq!(
            split,
            hints(&[(RESET, &joined), (REMAINING, "3,-4"), (LIMIT, "40,50")])
        );
        let meter = split.meters.iter().next().unwrap();
        assert_eq!(meter.limit, Some(40));
        assert_eq!(meter.remaining.unwrap().shown, -4);
        let reset = meter.reset.unwrap();
        assert_eq!(
            reset.given,
            ResetGiven::At(parse_rfc3339(late.as_bytes()).unwrap())
        );
        assert_eq!(reset.after_date_ms, None);
        assert_eq!(split.problems, Problems::CONFLICT);
    }

    #[test]
    fn what_cannot_be_read_leaves_the_rest_standing() {
        for (member, value) in [
            ("limit", "1,5x"),
            ("limit", "18446744073709551616"),
            ("limit", "+5"),
            ("remaining", "9223372036854775808"),
            ("remaining", "0x10"),
            ("remaining", "4.0"),
            ("remaining", ""),
            ("reset", "1771470000"),
            ("reset", "2024-10-16"),
        ] {
            let name = format!("anthropic-ratelimit-requests-{member}");
            let hints = hints(&[(&name, value), ("retry-after", "1")]);
            assert_eq!(hints.problems, Problems::MALFORMED, "{value}");
            assert_eq!(hints.retry_after, Some(Duration::from_secs(1)));
            assert_eq!(hints.meters.len(), usize::from(value == "1,5x"));
        }
        let most = hints(&[("anthropic-ratelimit-requests-limit", "18446744073709551615")]);
        assert_eq!(most.meters.iter().next().unwrap().limit, Some(u64::MAX));
    }

    #[test]
    fn other_names_of_this_server_tell_only_whose_they_are() {
        for name in [
            "anthropic-ratelimit-unified-status",
            "anthropic-ratelimit-unified-7d_sonnet-reset",
            "anthropic-ratelimit-pages-limit",
            "anthropic-ratelimit-limit",
            "anthropic-organization-id",
            "Anthropic-Workspace-Id",
        ] {
            let mut expected = ServerHints::NONE;
            expected.dialect = Dialect::Claude;
            assert_eq!(hints(&[(name, "5")]), expected, "{name}");
        }
        assert_eq!(hints(&[("anthropic_ratelimit", "5")]), ServerHints::NONE);
    }
}
