//! The Claude API's fields.
//!
//! | name | what |
//! |---|---|
//! | `anthropic-ratelimit-{requests,tokens,input-tokens,output-tokens}-{limit,remaining,reset}` | the standard pool |
//! | `anthropic-priority-{input,output}-tokens-{limit,remaining,reset}` | the Priority Tier |
//! | `anthropic-fast-{input,output}-tokens-{limit,remaining,reset}` | fast mode |
//! | `anthropic-ratelimit-unified-*` | a subscription's windows, see [`WINDOWS`] |
//!
//! The first three are those of its documentation (API reference, "Rate
//! limits", "Service tiers", "Fast mode"): what remains of tokens is rounded to
//! the nearest thousand, and a reset is when the limit is whole again, in RFC
//! 3339. The unified fields stand in no document; their resets are seconds of
//! the Unix clock, and RFC 3339 was seen once. Some proxies write `claude-` for
//! `anthropic-`.

use super::{
    Name, Tally, keep,
    kept::{Kept, Key, Member, Reading},
    list,
    number::millionths,
    truth,
};
use crate::{
    hints::{Claim, Family, OverageDisabled, Problems, ServerHints, Status, Unified, Unit},
    units::Dimension,
};

/// The whole of a share.
const WHOLE: i64 = 1_000_000;

/// A subscription's windows: how their names begin, the pool, and seconds.
const WINDOWS: [(&[u8], Key); 7] = [
    (b"7d_sonnet-", share(Family::UnifiedSonnet, 604_800)),
    (b"7d_opus-", share(Family::UnifiedOpus, 604_800)),
    (b"7d_oi-", share(Family::UnifiedOverageIncluded, 604_800)),
    (b"5h-", share(Family::Unified, 18_000)),
    (b"7d-", share(Family::Unified, 604_800)),
    (b"overage-", share(Family::Overage, 0)),
    // What speaks for all of them.
    (b"", share(Family::Unified, 0)),
];

const fn share(family: Family, window: u32) -> Key {
    Key::of(family, Unit::Share).window(window)
}

/// Which of the unified fields one is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum UnifiedName {
    /// Of the window at this place in [`WINDOWS`].
    Status(usize),
    /// What was used of it.
    Utilization(usize),
    Claim,
    Fallback,
    OverageInUse,
    OverageDisabled,
}

/// The meter and the member that a whole name in small letters means, which
/// says nothing else.
#[inline(always)]
pub(super) fn meter_name(name: &[u8]) -> Option<(Key, Member)> {
    let (family, rest) = if let Some(rest) = name.strip_prefix(b"anthropic-ratelimit-") {
        (Family::Standard, rest)
    } else if let Some(rest) = name.strip_prefix(b"anthropic-priority-") {
        (Family::Priority, rest)
    } else {
        (Family::Fast, name.strip_prefix(b"anthropic-fast-")?)
    };
    meter(family, rest)
}

/// What a name says that begins with `anthropic-`. `None` where it tells only
/// whose it is.
pub(super) fn name(name: &[u8]) -> Option<Name> {
    match name.strip_prefix(b"anthropic-ratelimit-unified-") {
        Some(rest) => unified(rest),
        None => meter_name(name).map(|(key, member)| Name::Meter(key, member)),
    }
}

/// What follows the name of a pool. Its first letter tells which of the four
/// units it can be.
#[inline(always)]
pub(super) fn meter(family: Family, rest: &[u8]) -> Option<(Key, Member)> {
    let (dimension, member) = match rest {
        [b'r', ..] => (Dimension::Requests, rest.strip_prefix(b"requests-")?),
        [b'i', ..] => (Dimension::InputTokens, rest.strip_prefix(b"input-tokens-")?),
        [b'o', ..] => (
            Dimension::OutputTokens,
            rest.strip_prefix(b"output-tokens-")?,
        ),
        _ => (Dimension::TotalTokens, rest.strip_prefix(b"tokens-")?),
    };
    let member = match member {
        b"limit" => Member::Limit,
        b"remaining" => Member::Remaining,
        b"reset" => Member::Reset,
        _ => return None,
    };
    Some((Key::of(family, Unit::Of(dimension)), member))
}

/// What a unified field's name says, without what they all begin with.
#[inline(never)]
pub(super) fn unified(rest: &[u8]) -> Option<Name> {
    let unified = match rest {
        b"representative-claim" => UnifiedName::Claim,
        b"fallback" => UnifiedName::Fallback,
        b"overage-in-use" => UnifiedName::OverageInUse,
        b"overage-disabled-reason" => UnifiedName::OverageDisabled,
        _ => {
            let (place, key, member) = (0..).zip(&WINDOWS).find_map(|(place, (begins, key))| {
                Some((place, *key, rest.strip_prefix(*begins)?))
            })?;
            match member {
                b"status" => UnifiedName::Status(place),
                b"utilization" => UnifiedName::Utilization(place),
                b"reset" => return Some(Name::Meter(key, Member::Reset)),
                _ => return None,
            }
        }
    };
    Some(Name::Unified(unified))
}

/// What was kept of the unified fields beside their resets and shares.
#[derive(Clone, Copy, Debug)]
pub(super) struct UnifiedKept {
    statuses: [Option<Status>; WINDOWS.len()],
    said: Unified,
}

impl UnifiedKept {
    pub(super) const NONE: Self = Self {
        statuses: [None; WINDOWS.len()],
        said: Unified::NONE,
    };

    pub(super) fn take(
        &mut self,
        name: UnifiedName,
        value: &[u8],
        kept: &mut Kept,
        tally: &mut Tally,
    ) {
        for text in list(value) {
            if self.take_one(name, text, kept, tally).is_none() {
                tally.problems.set(Problems::MALFORMED);
            }
        }
    }

    /// `None` where `text` cannot be read.
    fn take_one(
        &mut self,
        name: UnifiedName,
        text: &[u8],
        kept: &mut Kept,
        tally: &mut Tally,
    ) -> Option<()> {
        if text.is_empty() {
            return None;
        }
        // Of two words the one that stands later in its list is the stricter.
        match name {
            UnifiedName::Status(place) => {
                keep(self.statuses.get_mut(place)?, status(text), Ord::max, tally);
            }
            UnifiedName::Utilization(place) => {
                let &(_, key) = WINDOWS.get(place)?;
                kept.take_signed(key, WHOLE.saturating_sub(millionths(text)?), tally);
            }
            UnifiedName::Claim => keep(&mut self.said.claim, claim(text), Ord::max, tally),
            UnifiedName::Fallback => {
                let offered = text.eq_ignore_ascii_case(b"available");
                keep(&mut self.said.fallback, offered, Ord::min, tally);
            }
            UnifiedName::OverageInUse => {
                let in_use = truth(text)?;
                keep(&mut self.said.overage_in_use, in_use, Ord::max, tally);
            }
            UnifiedName::OverageDisabled => {
                keep(
                    &mut self.said.overage_disabled,
                    disabled(text),
                    Ord::max,
                    tally,
                );
            }
        }
        Some(())
    }

    /// Puts the windows into `hints`, which has its date already.
    pub(super) fn finish(&self, kept: &Kept, reading: &Reading, hints: &mut ServerHints) {
        hints.unified = self.said;
        for (&(_, key), &status) in WINDOWS.iter().zip(&self.statuses) {
            let mut slot = kept.share(key, WHOLE, reading, hints);
            if let Some(status) = status {
                slot.status(status);
            }
            if slot.is_said() {
                let problems = &mut hints.problems;
                hints.meters.insert_slot(slot, &reading.pool, problems);
            }
        }
    }
}

fn status(text: &[u8]) -> Status {
    match text {
        b"allowed" => Status::Allowed,
        b"allowed_warning" => Status::AllowedWarning,
        b"queueing_hard" => Status::Queueing,
        b"rate_limited" => Status::RateLimited,
        b"payment_required" => Status::PaymentRequired,
        b"blocked" => Status::Blocked,
        b"rejected" => Status::Rejected,
        _ => Status::Other,
    }
}

fn claim(text: &[u8]) -> Claim {
    match text {
        b"five_hour" => Claim::FiveHour,
        b"seven_day" => Claim::SevenDay,
        b"seven_day_opus" => Claim::SevenDayOpus,
        b"seven_day_sonnet" => Claim::SevenDaySonnet,
        b"seven_day_overage_included" => Claim::SevenDayOverageIncluded,
        b"overage" => Claim::Overage,
        _ => Claim::Other,
    }
}

fn disabled(text: &[u8]) -> OverageDisabled {
    match text {
        b"out_of_credits" => OverageDisabled::OutOfCredits,
        b"org_spend_cap_reached" => OverageDisabled::OrgSpendCapReached,
        b"org_level_disabled" => OverageDisabled::OrgLevelDisabled,
        b"fetch_error" => OverageDisabled::FetchError,
        _ => OverageDisabled::Other,
    }
}
#[cfg(test)]
mod tests {
    use core::time::Duration;
    use std::{format, string::String};

    use super::*;
    use crate::{
        hints::{Dialect, Meter, ResetGiven},
        time::UnixTime,
    };

    fn at(seconds: i64) -> ResetGiven {
        ResetGiven::At(UnixTime::from_secs(seconds))
    }

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
        assert!(both.problems.is_empty());
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
        assert_eq!(reset.given, at(1_729_054_975));
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
            ("remaining", ""),
            ("reset", "soon"),
            ("reset", "100000000000000"),
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
            "anthropic-ratelimit-unified-fallback-percentage",
            "anthropic-ratelimit-unified-5h-surpassed-threshold",
            "anthropic-ratelimit-unified-upgrade-paths",
            "anthropic-ratelimit-unified-7d_unheard-of-status",
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

    fn windows(fields: &[(&str, &str)]) -> (ServerHints, std::vec::Vec<Meter>) {
        let fields = fields
            .iter()
            .map(|(name, value)| (format!("anthropic-ratelimit-unified-{name}"), *value));
        let hints = ServerHints::parse(fields, None);
        (hints, hints.meters.iter().collect())
    }

    #[test]
    fn a_subscription_has_windows_of_which_shares_are_used() {
        let (hints, meters) = windows(&[
            ("status", "allowed_warning"),
            ("reset", "1771470000"),
            ("5h-status", "allowed"),
            ("5h-reset", "1771470000"),
            ("5h-utilization", "0.07"),
            ("7d-status", "rejected"),
            ("7d-utilization", "1.003354090909091"),
            ("7d_sonnet-utilization", "0.0"),
            ("7d_opus-status", "blocked"),
            ("7d_oi-reset", "2026-09-17T09:13:32Z"),
            ("overage-status", "rejected"),
            ("overage-disabled-reason", "org_level_disabled"),
            ("overage-in-use", "false"),
            ("representative-claim", "seven_day"),
            ("fallback", "available"),
        ]);
        let day = 86_400;
        let rows: std::vec::Vec<_> = meters
            .iter()
            .map(|meter| {
                let seconds = meter.window.map_or(0, |window| window.as_secs());
                let left = meter.remaining.map(|left| left.shown);
                (
                    meter.family,
                    seconds,
                    left,
                    meter.status,
                    meter.reset.map(|r| r.given),
                )
            })
            .collect();
        let soon = Some(at(1_771_470_000));
        assert_eq!(
            rows,
            [
                (
                    Family::Unified,
                    18_000,
                    Some(930_000),
                    Some(Status::Allowed),
                    soon
                ),
                (
                    Family::Unified,
                    7 * day,
                    Some(-3_355),
                    Some(Status::Rejected),
                    None
                ),
                (Family::Unified, 0, None, Some(Status::AllowedWarning), soon),
                (Family::UnifiedSonnet, 7 * day, Some(1_000_000), None, None),
                (
                    Family::UnifiedOpus,
                    7 * day,
                    None,
                    Some(Status::Blocked),
                    None
                ),
                (
                    Family::UnifiedOverageIncluded,
                    7 * day,
                    None,
                    None,
                    Some(at(1_789_636_412))
                ),
                (Family::Overage, 0, None, Some(Status::Rejected), None),
            ]
        );
        assert!(meters.iter().all(|meter| meter.unit == Unit::Share));
        assert_eq!(meters[0].limit, Some(1_000_000));
        assert_eq!(hints.unified.claim, Some(Claim::SevenDay));
        assert_eq!(hints.unified.fallback, Some(true));
        assert_eq!(hints.unified.overage_in_use, Some(false));
        assert_eq!(
            hints.unified.overage_disabled,
            Some(OverageDisabled::OrgLevelDisabled)
        );
        assert!(hints.problems.is_empty());
    }

    /// Windows hold at once, so the latest reset of those that refuse binds;
    /// and an overage that is turned off refuses nothing.
    #[test]
    fn of_windows_that_refuse_the_latest_reset_binds() {
        let date = ("date", "Thu, 19 Feb 2026 03:00:00 GMT");
        let unified = |name: &str| format!("anthropic-ratelimit-unified-{name}");
        let fields = [
            (unified("5h-status"), "rejected"),
            (unified("5h-reset"), "1771470060"),
            (unified("7d-status"), "rejected"),
            (unified("7d-reset"), "1771470600"),
            (unified("7d_opus-status"), "allowed"),
            (unified("7d_opus-reset"), "1771990000"),
            (unified("overage-status"), "rejected"),
            (unified("overage-reset"), "1771999999"),
            ("anthropic-ratelimit-requests-remaining".into(), "0"),
            (
                "anthropic-ratelimit-requests-reset".into(),
                "2026-03-01T00:00:00Z",
            ),
            (date.0.into(), date.1),
        ];
        let hints = ServerHints::parse(fields, None);
        assert_eq!(hints.spent_until_ms(), Some(600_000));
        let served = ServerHints::parse(
            [
                (unified("overage-status"), "rejected"),
                (unified("overage-reset"), "1771999999"),
                (date.0.into(), date.1),
            ],
            None,
        );
        assert_eq!(served.spent_until_ms(), None);
    }

    #[test]
    fn of_statuses_that_differ_the_stricter_stays() {
        let (hints, meters) = windows(&[
            ("5h-status", "allowed, rejected"),
            ("5h-status", "something new"),
            ("5h-utilization", "0.5, 0.75"),
            ("overage-in-use", "maybe"),
        ]);
        assert_eq!(meters[0].status, Some(Status::Rejected));
        assert_eq!(meters[0].remaining.unwrap().shown, 250_000);
        assert!(hints.problems.contains(Problems::CONFLICT));
        assert!(hints.problems.contains(Problems::MALFORMED));
    }
}
