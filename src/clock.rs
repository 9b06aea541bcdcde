//! The limiter's own clock: the caller's, but that it never goes back.

#[cfg(feature = "serde")]
use core::time::Duration;

use crate::time::Instant;

/// Translates the caller's instants into instants that never go back.
///
/// Where the caller's clock goes back the inner one stands still until it has
/// caught up, unless the caller says that it was [`rebase`](Self::rebase)d.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Clock {
    latest: Instant,
    /// What is added to the caller's nanoseconds.
    offset: i128,
}

impl Clock {
    pub(crate) const fn new() -> Self {
        Self {
            latest: Instant::ZERO,
            offset: 0,
        }
    }

    /// The latest instant seen.
    pub(crate) const fn latest(&self) -> Instant {
        self.latest
    }

    /// The caller's `now`, inside: never before the latest seen.
    pub(crate) fn peek(&self, now: Instant) -> Instant {
        self.inside(now).max(self.latest)
    }

    /// As [`peek`](Self::peek), and remembers it.
    pub(crate) fn advance(&mut self, now: Instant) -> Instant {
        self.latest = self.peek(now);
        self.latest
    }

    /// From here on the caller's `now` is so much later than the latest instant
    /// seen.
    #[cfg(feature = "serde")]
    pub(crate) fn resume(&mut self, now: Instant, asleep: Duration) {
        self.latest = self.latest.saturating_add(asleep);
        self.rebase(now);
    }

    /// From here on the caller's `now` is the latest instant seen.
    pub(crate) const fn rebase(&mut self, now: Instant) {
        self.offset = (self.latest.as_nanos() as i128).wrapping_sub(now.as_nanos() as i128);
    }

    /// A caller's instant, inside; at either end of the clock, its end.
    pub(crate) fn inside(&self, at: Instant) -> Instant {
        shift(at, self.offset)
    }

    /// An inner instant, as the caller's; at either end of the clock, its end.
    pub(crate) fn outside(&self, at: Instant) -> Instant {
        // It stands for all that is beyond it, and so lies ahead of any `now`.
        if at == Instant::MAX {
            return at;
        }
        shift(at, self.offset.wrapping_neg())
    }
}

/// Offsets are differences of two u64, so that no sum here wraps.
fn shift(at: Instant, by: i128) -> Instant {
    let wide = i128::from(at.as_nanos()).wrapping_add(by).max(0);
    Instant::from_nanos(u64::try_from(wide).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stands_still_while_the_callers_goes_back() {
        let mut clock = Clock::new();
        assert_eq!(
            clock.advance(Instant::from_secs(10)),
            Instant::from_secs(10)
        );
        assert_eq!(clock.advance(Instant::from_secs(4)), Instant::from_secs(10));
        assert_eq!(
            clock.advance(Instant::from_secs(11)),
            Instant::from_secs(11)
        );
    }

    #[test]
    fn after_a_rebase_it_goes_on_from_where_it_was() {
        for now in [0, 4, 7_200, u64::MAX / 1_000_000_000] {
            let now = Instant::from_secs(now);
            let mut clock = Clock::new();
            clock.advance(Instant::from_secs(3_600));
            clock.rebase(now);
            assert_eq!(clock.advance(now), Instant::from_secs(3_600));
            assert_eq!(clock.outside(Instant::from_secs(3_600)), now);
        }
    }

    #[test]
    fn the_ends_of_the_clock_hold() {
        let mut clock = Clock::new();
        clock.advance(Instant::MAX);
        clock.rebase(Instant::ZERO);
        assert_eq!(clock.advance(Instant::MAX), Instant::MAX);
        assert_eq!(clock.outside(Instant::ZERO), Instant::ZERO);
    }

    #[test]
    fn the_end_of_the_inner_clock_is_the_end_of_the_callers() {
        let mut clock = Clock::new();
        clock.advance(Instant::from_secs(60));
        clock.rebase(Instant::ZERO);
        assert_eq!(clock.outside(Instant::MAX), Instant::MAX);
    }
}
