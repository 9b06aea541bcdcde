//! What a server said of its limits, as plain data: [`ServerHints`].
//!
//! `headers` fills it; the limiter reads it. It borrows nothing, and what was
//! wrong in the fields is in it as [`Problems`], not as an error.

use core::time::Duration;

use crate::{time::UnixTime, units::Dimension};

/// What one response's header fields say of limits and waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct ServerHints {
    /// Which server's names the fields bear.
    pub dialect: Dialect,
    /// The meters shown, those of one family side by side.
    pub meters: Meters,
    /// How long to wait before the next attempt, the longer of `retry-after`
    /// and `retry-after-ms` where both are there.
    pub retry_after: Option<Duration>,
    /// `x-should-retry`, where it is exactly `true` or `false`.
    pub should_retry: Option<bool>,
    /// The response's own `Date`.
    pub date: Option<UnixTime>,
    /// What was wrong in the fields.
    pub problems: Problems,
}

impl ServerHints {
    /// Of a response that says nothing.
    pub const NONE: Self = Self {
        dialect: Dialect::Unknown,
        meters: Meters::EMPTY,
        retry_after: None,
        should_retry: None,
        date: None,
        problems: Problems::NONE,
    };

    /// Hints that say only how long to wait: for a server that tells it in the
    /// body.
    #[must_use]
    pub const fn with_retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// The same with one meter more. Where there is no room for it, or its
    /// place is taken, [`Problems::CONFLICT`] is set and the stricter stays.
    #[must_use]
    pub fn with_meter(mut self, meter: Meter) -> Self {
        if !self.meters.insert(meter) {
            self.problems.set(Problems::CONFLICT);
        }
        self
    }
}

impl ServerHints {
    /// These hints in two: without the meters that `theirs` picks, and with
    /// only those.
    pub(crate) fn split(&self, theirs: impl Fn(&Meter) -> bool) -> (Self, Self) {
        let mut halves = (*self, *self);
        halves.0.meters = Meters::EMPTY;
        halves.1.meters = Meters::EMPTY;
        for meter in &self.meters {
            let half = if theirs(meter) {
                &mut halves.1
            } else {
                &mut halves.0
            };
            half.meters.insert(*meter);
        }
        halves
    }
}

/// Whose header names a response bears.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[non_exhaustive]
pub enum Dialect {
    /// None that is known.
    #[default]
    Unknown,
    /// The Claude API's `anthropic-ratelimit-*` and its relatives.
    Claude,
}

/// Which of a server's pools a meter belongs to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[non_exhaustive]
pub enum Family {
    /// The pool that ordinary requests draw from.
    #[default]
    Standard,
    /// The Claude API's Priority Tier.
    Priority,
    /// The Claude API's fast mode.
    Fast,
}

/// One limit as a server shows it. What it did not send is `None`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Meter {
    /// The pool it belongs to.
    pub family: Family,
    /// What it counts.
    pub dimension: Dimension,
    /// The most that the pool holds. 0 means that the account may not use it.
    pub limit: Option<u64>,
    /// What is left.
    pub remaining: Option<Remaining>,
    /// When the server says that it is whole again.
    pub reset: Option<Reset>,
    /// The time in which `limit` comes in, where it is known.
    pub window: Option<Duration>,
}

impl Meter {
    /// A meter of `dimension` in `family` of which nothing is said yet.
    pub const fn new(family: Family, dimension: Dimension) -> Self {
        Self {
            family,
            dimension,
            limit: None,
            remaining: None,
            reset: None,
            window: None,
        }
    }

    /// Sets the most that the pool holds.
    #[must_use]
    pub const fn limit(mut self, limit: u64) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Sets what is left, as shown and rounded to `rounding` either way.
    #[must_use]
    pub const fn remaining(mut self, shown: i64, rounding: u32) -> Self {
        self.remaining = Some(Remaining { shown, rounding });
        self
    }

    /// Sets the time in which `limit` comes in.
    #[must_use]
    pub const fn window(mut self, window: Duration) -> Self {
        self.window = Some(window);
        self
    }

    const fn key(&self) -> (Family, Dimension) {
        (self.family, self.dimension)
    }
}

/// What is left, known only to an interval where the server rounds it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[non_exhaustive]
pub struct Remaining {
    /// As the server shows it. A server may clamp a debt to 0, or show it as a
    /// negative number.
    pub shown: i64,
    /// The true value lies at most this far off, either way.
    pub rounding: u32,
}

impl Remaining {
    /// The least that is left.
    pub const fn at_least(self) -> i64 {
        self.shown.saturating_sub(self.rounding as i64)
    }

    /// The most that is left.
    pub const fn at_most(self) -> i64 {
        self.shown.saturating_add(self.rounding as i64)
    }
}

/// When a limit is whole again, as the server gave it and as a span.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Reset {
    /// The value in its own form.
    pub given: ResetGiven,
    /// Milliseconds after the response's own `Date`, negative where it is past.
    /// `None` where the value is a date and the response has none.
    pub after_date_ms: Option<i64>,
}

impl Reset {
    /// A reset given as `given` in a response dated `date`.
    pub const fn new(given: ResetGiven, date: Option<UnixTime>) -> Self {
        let after_date_ms = match (given, date) {
            (ResetGiven::In { millis }, _) => Some(millis),
            (ResetGiven::At(at), Some(date)) => Some(at.millis_since(date)),
            (ResetGiven::At(_), None) => None,
        };
        Self {
            given,
            after_date_ms,
        }
    }
}

/// The two forms in which servers give a reset.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ResetGiven {
    /// A point in time.
    At(UnixTime),
    /// A span from the response on.
    In {
        /// In milliseconds.
        millis: i64,
    },
}

/// Up to 16 meters, in the order of family and dimension, each pair once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Meters {
    slots: [Meter; Self::CAPACITY],
    len: u8,
}

impl Meters {
    /// How many find room.
    pub const CAPACITY: usize = 16;
    /// None.
    pub const EMPTY: Self = Self {
        slots: [Meter::new(Family::Standard, Dimension::Requests); Self::CAPACITY],
        len: 0,
    };

    /// The meters as a slice.
    pub fn as_slice(&self) -> &[Meter] {
        self.slots.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// The meters one by one.
    pub fn iter(&self) -> core::slice::Iter<'_, Meter> {
        self.as_slice().iter()
    }

    /// The meter of `dimension` in `family`, if it was shown.
    pub fn get(&self, family: Family, dimension: Dimension) -> Option<&Meter> {
        self.iter().find(|m| m.key() == (family, dimension))
    }

    /// Puts `meter` in its place. Where that place is taken, or there is no
    /// room, the stricter stays and the answer is `false`.
    pub(crate) fn insert(&mut self, meter: Meter) -> bool {
        let len = usize::from(self.len);
        let place = self
            .iter()
            .position(|m| m.key() >= meter.key())
            .unwrap_or(len);
        if let Some(same) = self
            .slots
            .get_mut(..len)
            .and_then(|held| held.get_mut(place))
            .filter(|m| m.key() == meter.key())
        {
            if strictness(&meter) < strictness(same) {
                *same = meter;
            }
            return false;
        }
        if len == Self::CAPACITY {
            return false;
        }
        if let Some(tail) = self.slots.get_mut(place..=len) {
            tail.rotate_right(1);
            if let Some(first) = tail.first_mut() {
                *first = meter;
            }
        }
        self.len = self.len.saturating_add(1);
        true
    }
}

/// The smaller, the stricter. Total, so that no order of arrival matters.
fn strictness(meter: &Meter) -> (i64, u64, i64) {
    (
        meter.remaining.map_or(i64::MAX, |r| r.shown),
        meter.limit.unwrap_or(u64::MAX),
        meter
            .reset
            .and_then(|r| r.after_date_ms)
            .map_or(i64::MAX, i64::saturating_neg),
    )
}

impl Default for Meters {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl<'a> IntoIterator for &'a Meters {
    type Item = &'a Meter;
    type IntoIter = core::slice::Iter<'a, Meter>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// A set of flags: what was wrong in a response's fields.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Problems(u16);

impl Problems {
    /// Nothing was wrong.
    pub const NONE: Self = Self(0);
    /// A value could not be read and was left out.
    pub const MALFORMED: Self = Self(1);
    /// A field came twice with different values; the stricter was taken.
    pub const CONFLICT: Self = Self(1 << 1);
    /// A value was longer than any that is meant, and was left out.
    pub const TOO_LONG: Self = Self(1 << 2);
    /// `retry-after` and `retry-after-ms` disagree by more than a second.
    pub const WAITS_DISAGREE: Self = Self(1 << 3);
    /// A date could not be placed, because neither the response nor the caller
    /// says what time it is.
    pub const NO_DATE: Self = Self(1 << 4);

    /// Whether all of `flags` are set.
    pub const fn contains(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// Whether none is set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) const fn set(&mut self, flags: Self) {
        self.0 |= flags.0;
    }
}
