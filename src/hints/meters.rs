//! The meters of one response, packed: [`Meters`].

use core::{cmp::Ordering, fmt, iter::FusedIterator, time::Duration};

use super::{
    meter::{Family, Label, Meter, Remaining, Reset, ResetGiven, Unit},
    problems::Problems,
    unified::Status,
};
use crate::{
    time::{UnixTime, nanos},
    units::Dimension,
};

/// Up to 16 meters, no two of the same family, unit, window and pool.
///
/// Those of one family stand side by side, and in it those of one unit. Of
/// these the first is the one that speaks for the unit: one that says what
/// remains before one that says only when it is whole again, and that before one
/// that says neither; then an unknown window before a known one, short windows
/// before long.
///
/// Where a 17th comes, the least binding goes: that of which most remains, then
/// that with the largest limit, then the last. So no order of arrival matters.
///
/// ```
/// use sendwhen::{Dimension, Family, ServerHints};
///
/// let hints = ServerHints::parse([
///     ("x-ratelimit-remaining-tokens-month", "9999999893"),
///     ("x-ratelimit-remaining-tokens-minute", "1999893"),
/// ], None);
/// assert_eq!(hints.meters.len(), 2);
/// let minute = hints.meters.get(Family::Standard, Dimension::TotalTokens).unwrap();
/// assert_eq!(minute.remaining.unwrap().shown, 1_999_893);
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Meters {
    slots: [Slot; Self::CAPACITY],
    /// In order, without gaps, each once.
    labels: [Label; Self::LABELS],
    len: u8,
}

/// As the meters, one by one.
#[cfg(feature = "serde")]
impl serde::Serialize for Meters {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for Meters {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let all: alloc::vec::Vec<Meter> = serde::Deserialize::deserialize(deserializer)?;
        let (mut meters, mut problems) = (Self::EMPTY, Problems::default());
        for meter in &all {
            meters.insert(meter, &mut problems);
        }
        Ok(meters)
    }
}

/// A [`Meter`] at half its size, which is put together piece by piece.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot {
    limit: u64,
    remaining: i64,
    /// Milliseconds, of the epoch or a span.
    given: i64,
    after: i64,
    /// Nanoseconds.
    window: u64,
    rounding: u32,
    rank: Rank,
    /// Its place in the labels, counted from 1; 0 for none.
    label: u8,
    /// Its place in [`Status::ALL`], counted from 1; 0 for none.
    status: u8,
    known: Known,
}

/// Family and unit, in their order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Rank(u16);

impl Rank {
    #[inline]
    pub(crate) const fn of(family: Family, unit: Unit) -> Self {
        Self(u16::from_be_bytes([family as u8, unit.number()]))
    }

    #[inline]
    fn family(self) -> Family {
        let [family, _] = self.0.to_be_bytes();
        Family::numbered(family)
    }

    #[inline]
    pub(crate) fn unit(self) -> Unit {
        let [_, unit] = self.0.to_be_bytes();
        Unit::numbered(unit)
    }

    #[inline]
    pub(crate) const fn to_bytes(self) -> [u8; 2] {
        self.0.to_be_bytes()
    }

    #[inline]
    pub(crate) const fn from_bytes(bytes: [u8; 2]) -> Self {
        Self(u16::from_be_bytes(bytes))
    }

    /// Whether its unit is `unit`, without asking which it is.
    #[inline]
    pub(crate) const fn counts(self, unit: Unit) -> bool {
        let [_, number] = self.0.to_be_bytes();
        number == unit.number()
    }
}

/// Which members of a slot hold something. What holds nothing is 0, so that
/// equal slots are equal meters.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Known(u8);

impl Known {
    const LIMIT: u8 = 1;
    const REMAINING: u8 = 1 << 1;
    const RESET: u8 = 1 << 2;
    /// The reset is a point in time.
    const AT: u8 = 1 << 3;
    const AFTER: u8 = 1 << 4;
    const WINDOW: u8 = 1 << 5;

    /// Whether any of `flags` is set.
    #[inline]
    const fn has(self, flags: u8) -> bool {
        self.0 & flags != 0
    }

    #[inline]
    const fn set(&mut self, flag: u8) {
        self.0 |= flag;
    }
}

impl Slot {
    const EMPTY: Self = Self {
        limit: 0,
        remaining: 0,
        given: 0,
        after: 0,
        window: 0,
        rounding: 0,
        rank: Rank(0),
        label: 0,
        status: 0,
        known: Known(0),
    };

    /// Nothing is said of it yet.
    #[inline]
    pub(crate) const fn of(rank: Rank) -> Self {
        Self {
            rank,
            ..Self::EMPTY
        }
    }

    fn new(meter: &Meter) -> Self {
        let mut slot = Self::of(Rank::of(meter.family, meter.unit));
        if let Some(limit) = meter.limit {
            slot.limit(limit);
        }
        if let Some(remaining) = meter.remaining {
            slot.remaining(remaining);
        }
        if let Some(reset) = meter.reset {
            slot.reset(reset);
        }
        if let Some(window) = meter.window {
            slot.window(window);
        }
        if let Some(status) = meter.status {
            slot.status(status);
        }
        slot
    }

    #[inline]
    pub(crate) const fn limit(&mut self, limit: u64) {
        self.known.set(Known::LIMIT);
        self.limit = limit;
    }

    #[inline]
    pub(crate) const fn remaining(&mut self, remaining: Remaining) {
        self.known.set(Known::REMAINING);
        self.remaining = remaining.shown;
        self.rounding = remaining.rounding;
    }

    #[inline]
    pub(crate) const fn reset(&mut self, reset: Reset) {
        self.known.set(Known::RESET);
        self.given = match reset.given {
            ResetGiven::At(at) => {
                self.known.set(Known::AT);
                at.as_millis()
            }
            ResetGiven::In { millis } => millis,
        };
        if let Some(after) = reset.after_date_ms {
            self.known.set(Known::AFTER);
            self.after = after;
        }
    }

    #[inline]
    pub(crate) const fn window(&mut self, window: Duration) {
        self.known.set(Known::WINDOW);
        self.window = nanos(window);
    }

    #[inline]
    pub(crate) const fn status(&mut self, status: Status) {
        self.status = status.number();
    }

    /// Whether there is a limit.
    #[inline]
    pub(crate) const fn has_limit(&self) -> bool {
        self.known.has(Known::LIMIT)
    }

    /// Whether anything is said of it but its window.
    #[inline]
    pub(crate) const fn is_said(&self) -> bool {
        self.known
            .has(Known::LIMIT | Known::REMAINING | Known::RESET)
            || self.status != 0
    }

    #[inline]
    fn meter(&self, labels: &[Label]) -> Meter {
        let known = |flag| self.known.has(flag);
        let pool = usize::from(self.label)
            .checked_sub(1)
            .and_then(|place| labels.get(place));
        Meter {
            family: self.rank.family(),
            pool: pool.copied().unwrap_or_default(),
            unit: self.rank.unit(),
            limit: known(Known::LIMIT).then_some(self.limit),
            remaining: known(Known::REMAINING).then_some(Remaining {
                shown: self.remaining,
                rounding: self.rounding,
            }),
            reset: known(Known::RESET).then_some(Reset {
                given: if known(Known::AT) {
                    ResetGiven::At(UnixTime::from_millis(self.given))
                } else {
                    ResetGiven::In { millis: self.given }
                },
                after_date_ms: known(Known::AFTER).then_some(self.after),
            }),
            window: known(Known::WINDOW).then_some(Duration::from_nanos(self.window)),
            status: Status::numbered(self.status),
        }
    }

    /// Whether no two such can be held.
    #[inline]
    fn is_of(&self, other: &Self) -> bool {
        self.rank == other.rank && self.key() == other.key()
    }

    /// What no two meters share. Labels are in order, so their places are too.
    #[inline]
    fn key(&self) -> u128 {
        self.packed(0)
    }

    /// Where it stands among the others.
    #[inline]
    fn order(&self) -> u128 {
        self.packed(if self.known.has(Known::REMAINING) {
            0
        } else if self.known.has(Known::RESET) {
            1
        } else {
            2
        })
    }

    /// The rank, how little it says, whether there is a window, the window and
    /// the label, as one number.
    #[inline]
    fn packed(&self, silence: u8) -> u128 {
        let has_window = self.known.has(Known::WINDOW);
        (u128::from(self.rank.0) << 96)
            | (u128::from(silence) << 81)
            | (u128::from(has_window) << 80)
            | (u128::from(self.window) << 8)
            | u128::from(self.label)
    }

    /// The smaller, the more it binds. Total, so that no order of arrival
    /// matters.
    fn binding(&self) -> impl Ord + use<> {
        let known = |flag| self.known.has(flag);
        let or_most = |flag, value: i64| if known(flag) { value } else { i64::MAX };
        (
            or_most(Known::REMAINING, self.remaining),
            if known(Known::LIMIT) {
                self.limit
            } else {
                u64::MAX
            },
            or_most(Known::AFTER, self.after.saturating_neg()),
            or_most(Known::RESET, self.given.saturating_neg()),
            core::cmp::Reverse(self.status),
            (self.known.0, self.rounding),
        )
    }
}

impl Meters {
    /// How many find room.
    pub const CAPACITY: usize = 16;
    /// How many different names of pools find room: one more than there are meters,
    /// so that the name of one that comes does, too, before it is known what goes.
    const LABELS: usize = Self::CAPACITY + 1;
    /// None.
    pub const EMPTY: Self = Self {
        slots: [Slot::EMPTY; Self::CAPACITY],
        labels: [Label::NONE; Self::LABELS],
        len: 0,
    };

    /// How many there are.
    #[inline]
    pub const fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether there is none.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The meters one by one.
    #[inline]
    pub fn iter(&self) -> MetersIter<'_> {
        MetersIter {
            slots: self.held().iter(),
            labels: &self.labels,
        }
    }

    /// The meters that speak for their family and unit, one by one.
    ///
    /// ```
    /// use sendwhen::ServerHints;
    ///
    /// let fields = [("ratelimit-policy", "\"burst\";q=100;w=60,\"daily\";q=1000;w=86400")];
    /// let hints = ServerHints::parse(fields, None);
    /// assert_eq!(hints.meters.len(), 2);
    /// assert!(hints.meters.leading().map(|meter| meter.limit).eq([Some(100)]));
    /// ```
    pub fn leading(&self) -> impl Iterator<Item = Meter> + '_ {
        let mut last = None;
        self.held().iter().filter_map(move |slot| {
            let of = slot.rank;
            let is_first = last.replace(of) != Some(of);
            is_first.then(|| slot.meter(&self.labels))
        })
    }

    /// The meter that speaks for `dimension` in `family`, if one was shown.
    #[inline]
    pub fn get(&self, family: Family, dimension: Dimension) -> Option<Meter> {
        self.find(family, Unit::Of(dimension))
    }

    /// The meter that speaks for `unit` in `family`, if one was shown.
    #[inline]
    pub fn find(&self, family: Family, unit: Unit) -> Option<Meter> {
        let rank = Rank::of(family, unit);
        self.held()
            .iter()
            .find(|slot| slot.rank == rank)
            .map(|slot| slot.meter(&self.labels))
    }

    /// Puts `meter` in its place, by the rules above. Where that place is taken
    /// by another, the more binding stays.
    pub(crate) fn insert(&mut self, meter: &Meter, problems: &mut Problems) {
        self.insert_slot(Slot::new(meter), &meter.pool, problems);
    }

    /// The same with what `pool` is the name of.
    #[inline(always)]
    pub(crate) fn insert_slot(&mut self, mut slot: Slot, pool: &Label, problems: &mut Problems) {
        slot.label = self.intern(pool);
        let held = self.held();
        let before = held.iter().rposition(|held| held.rank <= slot.rank);
        let last = before.and_then(|before| held.get(before));
        // Most are the only ones of their family and unit.
        let is_alone = last.is_none_or(|last| last.rank != slot.rank);
        if is_alone && self.len() < Self::CAPACITY {
            self.put_at(before.map_or(0, |before| before.saturating_add(1)), slot);
        } else {
            self.settle(slot, pool, problems);
        }
    }

    /// Its place may be taken, or there may be no room.
    #[cold]
    fn settle(&mut self, mut slot: Slot, pool: &Label, problems: &mut Problems) {
        let same = self.held().iter().position(|held| held.is_of(&slot));
        if let Some(held) = same.and_then(|place| self.slots.get(place).copied()) {
            if held == slot {
                return;
            }
            problems.set(Problems::CONFLICT);
            if held.binding() <= slot.binding() {
                return;
            }
            self.remove(same);
        } else if self.len() == Self::CAPACITY {
            problems.set(Problems::OVERFLOW);
            let least = (0..)
                .zip(self.held())
                .max_by_key(|(_, slot)| (slot.binding(), slot.key()))
                .filter(|(_, least)| (slot.binding(), slot.key()) < (least.binding(), least.key()));
            let Some((place, _)) = least else {
                self.forget_label(slot.label);
                return;
            };
            self.remove(Some(place));
        }
        // With what went, its label may have gone.
        slot.label = self.intern(pool);
        self.put(slot);
    }

    /// Where there is room, and its place is free.
    fn put(&mut self, slot: Slot) {
        let (rank, order) = (slot.rank, slot.order());
        let place = self
            .held()
            .iter()
            .rposition(|held| match held.rank.cmp(&rank) {
                Ordering::Less => true,
                Ordering::Equal => held.order() < order,
                Ordering::Greater => false,
            })
            .map_or(0, |before| before.saturating_add(1));
        self.put_at(place, slot);
    }

    /// Where there is room, and `place` is its own.
    #[inline(always)]
    fn put_at(&mut self, place: usize, slot: Slot) {
        let room = self.len().saturating_add(1).min(Self::CAPACITY);
        if let Some(tail) = self.slots.get_mut(place..room) {
            match tail {
                [last] => *last = slot,
                tail => enter(tail, slot),
            }
            self.len = self.len.saturating_add(1);
        }
    }

    #[inline]
    fn held(&self) -> &[Slot] {
        self.slots.get(..self.len()).unwrap_or_default()
    }

    fn remove(&mut self, place: Option<usize>) {
        let Some(tail) = place.and_then(|place| self.slots.get_mut(place..)) else {
            return;
        };
        let gone = leave(tail, Slot::EMPTY);
        self.len = self.len.saturating_sub(1);
        if let Some(gone) = gone {
            self.forget_label(gone.label);
        }
    }

    /// The place of `label`, counted from 1; it is put there where it is not.
    #[inline(always)]
    fn intern(&mut self, label: &Label) -> u8 {
        if label.is_empty() {
            0
        } else {
            self.place(label)
        }
    }

    #[inline(never)]
    fn place(&mut self, label: &Label) -> u8 {
        let used = self.labels.iter().take_while(|held| !held.is_empty());
        let place = used.take_while(|held| *held < label).count();
        let number = u8::try_from(place.saturating_add(1)).unwrap_or(u8::MAX);
        let tail = self.labels.get_mut(place..).unwrap_or_default();
        if tail.first() == Some(label) {
            return number;
        }
        // The last is empty: fewer are held than there is room for.
        enter(tail, *label);
        for slot in &mut self.slots {
            if slot.label >= number {
                slot.label = slot.label.saturating_add(1);
            }
        }
        number
    }

    /// Drops the label at `number` where no meter bears it.
    fn forget_label(&mut self, number: u8) {
        if number == 0 || self.held().iter().any(|slot| slot.label == number) {
            return;
        }
        let place = usize::from(number).saturating_sub(1);
        if let Some(tail) = self.labels.get_mut(place..) {
            let _gone = leave(tail, Label::NONE);
        }
        for slot in &mut self.slots {
            if slot.label > number {
                slot.label = slot.label.saturating_sub(1);
            }
        }
    }
}

/// Puts `new` first and moves the others on; the last goes. As `rotate_right`,
/// but that this has no panic for the compiler to leave in.
fn enter<T>(list: &mut [T], mut new: T) {
    for place in list {
        core::mem::swap(place, &mut new);
    }
}

/// Takes the first out and moves the others up; `fill` is last.
fn leave<T>(list: &mut [T], mut fill: T) -> Option<T> {
    for place in list.iter_mut().rev() {
        core::mem::swap(place, &mut fill);
    }
    (!list.is_empty()).then_some(fill)
}

impl Default for Meters {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl fmt::Debug for Meters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self).finish()
    }
}

impl<'a> IntoIterator for &'a Meters {
    type Item = Meter;
    type IntoIter = MetersIter<'a>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// The meters of a [`Meters`], one by one.
#[derive(Clone)]
pub struct MetersIter<'a> {
    slots: core::slice::Iter<'a, Slot>,
    labels: &'a [Label],
}

impl Iterator for MetersIter<'_> {
    type Item = Meter;

    #[inline]
    fn next(&mut self) -> Option<Meter> {
        Some(self.slots.next()?.meter(self.labels))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.slots.size_hint()
    }
}

impl ExactSizeIterator for MetersIter<'_> {}
impl FusedIterator for MetersIter<'_> {}

impl fmt::Debug for MetersIter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.clone()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::{string::String, vec::Vec};

    use proptest::prelude::*;

    use super::*;

    fn any_reset() -> impl Strategy<Value = Reset> {
        let date = prop::option::of(any::<i64>()).prop_map(|ms| ms.map(UnixTime::from_millis));
        let given = prop_oneof![
            any::<i64>().prop_map(|ms| ResetGiven::At(UnixTime::from_millis(ms))),
            any::<i64>().prop_map(|millis| ResetGiven::In { millis }),
        ];
        (given, date).prop_map(|(given, date)| Reset::new(given, date))
    }

    fn any_meter() -> impl Strategy<Value = Meter> {
        let family = prop::sample::select(&[Family::Standard, Family::Fast, Family::Overage][..]);
        let unit = prop::sample::select(
            &[
                Unit::Of(Dimension::Requests),
                Unit::Of(Dimension::Own3),
                Unit::Images,
                Unit::Share,
            ][..],
        );
        let few = prop::sample::select(&["", "", "", "a", "b", "core", "default"][..]);
        let label = prop_oneof![3 => few.prop_map(String::from), 1 => "[a-z]{1,2}"];
        (
            (family, unit, label),
            prop::option::of(0_u64..4),
            prop::option::of((-2_i64..4, 0_u32..2)),
            prop::option::of(any_reset()),
            prop::option::of(0_u64..3),
            prop::option::of(prop::sample::select(
                &[Status::Allowed, Status::Rejected][..],
            )),
        )
            .prop_map(
                |((family, unit, label), limit, remaining, reset, window, status)| Meter {
                    family,
                    pool: Label::new(label.as_bytes()),
                    unit,
                    limit,
                    remaining: remaining.map(|(shown, rounding)| Remaining { shown, rounding }),
                    reset,
                    window: window.map(Duration::from_secs),
                    status,
                },
            )
    }

    fn filled(meters: &[Meter]) -> (Meters, Problems) {
        let (mut all, mut problems) = (Meters::EMPTY, Problems::NONE);
        for &meter in meters {
            all.insert(&meter, &mut problems);
        }
        (all, problems)
    }

    proptest! {
        #[test]
        fn a_meter_comes_back_as_it_was(meter in any_meter()) {
            let (meters, problems) = filled(&[meter]);
            prop_assert!(meters.iter().eq([meter]));
            prop_assert_eq!(meters.find(meter.family, meter.unit), Some(meter));
            prop_assert!(problems.is_empty());
        }

        #[test]
        fn no_order_of_arrival_matters(
            (meters, shuffled) in prop::collection::vec(any_meter(), 0..60)
                .prop_flat_map(|m| (Just(m.clone()), Just(m).prop_shuffle())),
        ) {
            let (one, other) = (filled(&meters), filled(&shuffled));
            prop_assert_eq!(one.0, other.0);
            // What goes for want of room is not compared with what comes later.
            if !one.1.contains(Problems::OVERFLOW) {
                prop_assert_eq!(one.1, other.1);
            }
        }

        /// Against a list that is as long as it likes.
        #[test]
        fn the_most_binding_stay(meters in prop::collection::vec(any_meter(), 0..60)) {
            let slots = |meters: &[Meter]| -> Vec<Slot> {
                let (all, _) = filled(meters);
                all.held().to_vec()
            };
            let mut best: Vec<Meter> = Vec::new();
            for &meter in &meters {
                let same = |held: &Meter| {
                    (held.family, held.unit, held.window, held.pool)
                        == (meter.family, meter.unit, meter.window, meter.pool)
                };
                match best.iter().position(same) {
                    None => best.push(meter),
                    Some(place) => {
                        let two = slots(&[best[place], meter]);
                        assert_eq!(two.len(), 1);
                        best[place] = filled(&[best[place], meter]).0.iter().next().unwrap();
                    }
                }
            }
            let one = Slot::new;
            let key = |meter: &Meter| {
                (meter.family, meter.unit, meter.window.is_some(), meter.window, meter.pool)
            };
            best.sort_by_key(|meter| (one(meter).binding(), key(meter)));
            let overflows = best.len() > Meters::CAPACITY;
            best.truncate(Meters::CAPACITY);
            best.sort_by_key(|meter| {
                let (family, unit, has_window, window, pool) = key(meter);
                let silence = match (meter.remaining, meter.reset) {
                    (Some(_), _) => 0,
                    (None, Some(_)) => 1,
                    (None, None) => 2,
                };
                (family, unit, silence, has_window, window, pool)
            });
            let (kept, problems) = filled(&meters);
            prop_assert!(kept.iter().eq(best));
            prop_assert_eq!(problems.contains(Problems::OVERFLOW), overflows);
        }
    }

    /// Of more than seven it was once those that came first.
    #[test]
    fn each_meter_may_be_of_a_pool_of_its_own() {
        let named = |name: u8| Meter {
            pool: Label::new(&[name]),
            ..Meter::new(Family::Standard, Dimension::Requests).remaining(name.into(), 0)
        };
        let all: Vec<Meter> = (b'a'..=b'p').rev().map(named).collect();
        let (mut meters, mut problems) = filled(&all);
        assert_eq!((meters.len(), problems), (16, Problems::NONE));
        // Of the last most remains.
        meters.insert(&named(b'q'), &mut problems);
        assert_eq!((meters, problems), (filled(&all).0, Problems::OVERFLOW));
        meters.insert(&named(b'A'), &mut problems);
        let pools: Vec<Label> = meters.iter().map(|meter| meter.pool).collect();
        let kept = [b'A'].into_iter().chain(b'a'..=b'o');
        assert!(
            pools
                .iter()
                .eq(&kept.map(|name| Label::new(&[name])).collect::<Vec<_>>())
        );
    }
}
