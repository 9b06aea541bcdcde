//! The IETF draft "RateLimit header fields for HTTP", in its four shapes.
//!
//! | drafts | fields |
//! |---|---|
//! | 01 to 03 | `RateLimit-Limit: 100, 100;w=10`, `RateLimit-Remaining: 50`, `RateLimit-Reset: 50` |
//! | 05, 06 | `RateLimit-Limit: 100`, `RateLimit-Policy: 10;w=1, 50;w=60`, and the same two |
//! | 07 | `RateLimit: limit=100, remaining=50, reset=5`, `RateLimit-Policy: 100;w=10` |
//! | 08 to 10 | `RateLimit: "default";r=50;t=30`, `RateLimit-Policy: "default";q=100;w=60` |
//!
//! They are lists or dictionaries of structured fields, over as many lines as
//! the server likes. As the drafts demand, a line that breaks that grammar says
//! nothing, but for one form: Hugging Face puts a second name where a parameter
//! should be, `"fixed window";"api";q=1000;w=300`. The last name is then the
//! policy's.
//!
//! Parameters: `q` the quota, `w` the window in seconds, `qu` what is counted
//! (`requests` where it is not said, `content-bytes`, `concurrent-requests`),
//! `r` what remains, `t` the seconds until there is more. `pk`, the key of a
//! partition, and all that is not known say nothing about limits.
//!
//! A limit belongs to the policy of the same name. Where policies have no names,
//! it belongs to the policy of the same quota. The same shape as in the first
//! drafts is also sent as `x-ratelimit-*`, by Envoy for one.

use core::{cmp::Reverse, time::Duration};

use super::{
    Tally,
    kept::{Kept, Key, Member},
    marks::Marks,
    reset::Raw,
    structured::{SfDictionary, SfItem, SfList, SfParams},
    table::Table,
    trim,
};
use crate::{
    hints::{Family, Label, Meter, Problems, Remaining, Reset, ResetGiven, ServerHints, Unit},
    units::Dimension,
};

/// As many different names as hints hold.
const POLICIES: usize = 7;

const REQUESTS: Unit = Unit::Of(Dimension::Requests);

/// Which of the draft's fields one is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum IetfName {
    /// `RateLimit-Limit`
    Limit,
    /// `RateLimit-Policy`
    Policy,
    /// `RateLimit`
    RateLimit,
}

/// What was kept of the draft's fields beside the plain numbers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ietf {
    /// Quotas by their windows.
    unnamed: Table<u32, u64, POLICIES>,
    policies: Table<Label, Policy, POLICIES>,
    left: Table<Label, Left, POLICIES>,
}

/// The order is that of strictness.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Policy {
    quota: u64,
    /// In seconds; 0 where there is none.
    window: u32,
    unit: Unit,
}

/// The order is that of strictness.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Left {
    remaining: i64,
    /// Seconds.
    reset: Reverse<Option<i64>>,
}

impl Ietf {
    pub(super) const fn new() -> Self {
        const POLICY: Policy = Policy {
            quota: 0,
            window: 0,
            unit: REQUESTS,
        };
        const LEFT: Left = Left {
            remaining: 0,
            reset: Reverse(None),
        };
        Self {
            unnamed: Table::new((0, 0)),
            policies: Table::new((Label::NONE, POLICY)),
            left: Table::new((Label::NONE, LEFT)),
        }
    }

    pub(super) fn take(
        &mut self,
        name: IetfName,
        value: &[u8],
        kept: &mut Kept,
        tally: &mut Tally,
    ) {
        let value = trim(value);
        let taken = match name {
            IetfName::Limit => self.take_limits(value, kept, tally),
            IetfName::Policy => self.take_policies(value, tally),
            IetfName::RateLimit => self.take_left(value, kept, tally),
        };
        if taken.is_none() {
            tally.problems.set(Problems::MALFORMED);
        }
    }

    /// `100`, `100, 100;w=10`
    fn take_limits(&mut self, value: &[u8], kept: &mut Kept, tally: &mut Tally) -> Option<()> {
        if !value.contains(&b';') {
            kept.take(Key::REQUESTS, Member::Limit, value, tally);
            return Some(());
        }
        for (item, params) in SfList::parse(value)? {
            match (natural(item), window(&params)) {
                (Some(quota), Some(window)) if window > 0 => {
                    self.unnamed.take(window, quota, tally)
                }
                (Some(limit), Some(_)) => kept.take_limit(Key::REQUESTS, limit, tally),
                _ => tally.problems.set(Problems::MALFORMED),
            }
        }
        Some(())
    }

    fn take_policies(&mut self, value: &[u8], tally: &mut Tally) -> Option<()> {
        if let Some(members) = SfList::parse(value).filter(|_| !value.is_empty()) {
            for (item, params) in members {
                self.take_policy(item, &params, tally);
            }
            return Some(());
        }
        let doubly_named = || Pieces(Some(value)).map(second_name);
        if !doubly_named().all(|piece| piece.is_some()) {
            return None;
        }
        tally.tolerated = true;
        tally.marks.set(Marks::HUGGING_FACE);
        for (item, params) in doubly_named().flatten().flatten() {
            self.take_policy(item, &params, tally);
        }
        Some(())
    }

    fn take_policy(&mut self, item: SfItem<'_>, params: &SfParams<'_>, tally: &mut Tally) {
        let quota = params.get(b"q").and_then(natural);
        let taken = match (natural(item), label(item), quota, window(params)) {
            (Some(quota), _, _, Some(window)) if window > 0 => {
                self.unnamed.take(window, quota, tally);
                Some(())
            }
            (None, Some(name), Some(quota), Some(window)) => {
                let policy = Policy {
                    quota,
                    window,
                    unit: unit(params),
                };
                self.policies.take(name, policy, tally);
                Some(())
            }
            _ => None,
        };
        if taken.is_none() {
            tally.problems.set(Problems::MALFORMED);
        }
    }

    fn take_left(&mut self, value: &[u8], kept: &mut Kept, tally: &mut Tally) -> Option<()> {
        if value.is_empty() {
            return None;
        }
        let Some(members) = SfList::parse(value) else {
            for (key, item, _) in SfDictionary::parse(value)? {
                let taken = match key {
                    b"limit" => natural(item).map(|n| kept.take_limit(Key::REQUESTS, n, tally)),
                    b"remaining" => {
                        natural(item).map(|n| kept.take_remaining(Key::REQUESTS, n, tally))
                    }
                    b"reset" => span(item)
                        .map(|span| kept.take_reset(Key::REQUESTS, Raw::Span(span), tally)),
                    _ => Some(()),
                };
                if taken.is_none() {
                    tally.problems.set(Problems::MALFORMED);
                }
            }
            return Some(());
        };
        for (item, params) in members {
            let remaining = params.get(b"r").and_then(natural);
            let reset = params.get(b"t").map(span);
            match (label(item), remaining, reset) {
                (Some(name), Some(remaining), None | Some(Some(_))) => {
                    let left = Left {
                        remaining: i64::try_from(remaining).unwrap_or(i64::MAX),
                        reset: Reverse(reset.flatten()),
                    };
                    self.left.take(name, left, tally);
                }
                _ => tally.problems.set(Problems::MALFORMED),
            }
        }
        Some(())
    }

    /// What belongs to the limit that has no name: a quota and its seconds.
    pub(super) fn of_the_unnamed(&self, limit: Option<u64>) -> Option<(u64, u32)> {
        let all = || self.unnamed.iter().map(|&(window, quota)| (quota, window));
        match limit {
            Some(limit) => all().filter(|&(quota, _)| quota == limit).min(),
            None => all().next().filter(|_| all().count() == 1),
        }
    }

    /// Puts the policies, and what remains of them, into `hints`. `taken` is
    /// what [`of_the_unnamed`](Self::of_the_unnamed) gave, if it was used.
    pub(super) fn finish(&self, taken: Option<(u64, u32)>, hints: &mut ServerHints) {
        let conflicts =
            self.unnamed.conflicts() || self.policies.conflicts() || self.left.conflicts();
        if conflicts {
            hints.problems.set(Problems::CONFLICT);
        }
        let overflows =
            self.unnamed.overflows() || self.policies.overflows() || self.left.overflows();
        if overflows {
            hints.problems.set(Problems::OVERFLOW);
        }
        // What is known to be left goes first: there is room for so many names.
        for &(name, left) in self.left.iter() {
            let policy = self.policies.get(name);
            if policy.is_none() && !self.policies.is_empty() {
                hints.problems.set(Problems::UNMATCHED);
            }
            insert(name, policy, Some(left), hints);
        }
        for &(name, policy) in self.policies.iter() {
            if self.left.get(name).is_none() {
                insert(name, Some(policy), None, hints);
            }
        }
        for &(window, quota) in self.unnamed.iter() {
            if taken != Some((quota, window)) {
                let policy = Policy {
                    quota,
                    window,
                    unit: REQUESTS,
                };
                insert(Label::NONE, Some(policy), None, hints);
            }
        }
    }
}

fn insert(name: Label, policy: Option<Policy>, left: Option<Left>, hints: &mut ServerHints) {
    let unit = policy.map_or(REQUESTS, |policy| policy.unit);
    let mut meter = Meter::of(Family::Standard, unit);
    meter.pool = name;
    if let Some(policy) = policy {
        meter.limit = Some(policy.quota);
        meter.window = Some(policy.window)
            .filter(|&seconds| seconds > 0)
            .map(|seconds| Duration::from_secs(seconds.into()));
    }
    if let Some(left) = left {
        meter.remaining = Some(Remaining {
            shown: left.remaining,
            rounding: 0,
        });
        let Reverse(reset) = left.reset;
        meter.reset = reset.map(|millis| Reset::new(ResetGiven::In { millis }, hints.date));
    }
    hints.meters.insert(&meter, &mut hints.problems);
}

/// A count. The drafts allow whole numbers only.
fn natural(item: SfItem<'_>) -> Option<u64> {
    match item {
        SfItem::Integer(number) => u64::try_from(number).ok(),
        _ => None,
    }
}

/// Seconds, as milliseconds.
fn span(item: SfItem<'_>) -> Option<i64> {
    i64::try_from(natural(item)?).ok()?.checked_mul(1_000)
}

/// Seconds; 0 where there is none.
fn window(params: &SfParams<'_>) -> Option<u32> {
    match params.get(b"w") {
        Some(item) => u32::try_from(natural(item)?).ok(),
        None => Some(0),
    }
}

fn label(item: SfItem<'_>) -> Option<Label> {
    match item {
        SfItem::String(name) | SfItem::Token(name) => Some(Label::new(name)),
        _ => None,
    }
}

fn unit(params: &SfParams<'_>) -> Unit {
    match params.get(b"qu").map(label) {
        None => REQUESTS,
        Some(Some(unit)) => match unit.as_bytes() {
            b"requests" => REQUESTS,
            // The first draft that had it called it so.
            b"content-bytes" | b"bytes" => Unit::Bytes,
            b"concurrent-requests" => Unit::Concurrent,
            _ => Unit::Other,
        },
        Some(None) => Unit::Other,
    }
}

/// The members of a list, without looking into them but for quotes.
struct Pieces<'a>(Option<&'a [u8]>);

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let text = self.0?;
        let (mut is_quoted, mut is_escaped) = (false, false);
        let comma = text.iter().position(|&byte| {
            let ends = byte == b',' && !is_quoted;
            is_quoted ^= byte == b'"' && !is_escaped;
            is_escaped = byte == b'\\' && is_quoted && !is_escaped;
            ends
        });
        let (piece, rest) = match comma.and_then(|place| text.split_at_checked(place)) {
            Some((piece, rest)) => (piece, rest.get(1..)),
            None => (text, None),
        };
        self.0 = rest;
        Some(trim(piece))
    }
}

/// The member that begins with a second name.
fn second_name(piece: &[u8]) -> Option<SfList<'_>> {
    let SfItem::String(kind) = SfList::first(piece)? else {
        return None;
    };
    let rest = piece.get(kind.len().checked_add(2)?..)?;
    let rest = rest
        .strip_prefix(b";")
        .filter(|rest| rest.starts_with(b"\""))?;
    SfList::parse(rest)
}
