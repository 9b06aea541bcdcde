//! The pause: "not before T", as a server says with `retry-after`.
//!
//! Choose it beside whatever else limits. It takes 8 bytes and errs by nothing.
//! All who wait for it wait for the same instant, and would come back in it; a
//! [`SpreadPause`], of 24 bytes, gives each an instant of its own.

use core::time::Duration;

use crate::{
    limit::{Blocked, Limit, Refusal},
    rng::Rng,
    time::{Instant, nanos},
};

/// A stop until an instant. Several stops overlap: the latest binds.
///
/// Choose it beside whatever else limits. It takes 8 bytes and is exact.
///
/// ```
/// use sendwhen::{Instant, Pause, Refusal};
///
/// let mut pause = Pause::new();
/// pause.until(Instant::from_secs(505));
/// pause.until(Instant::from_secs(16));
/// assert_eq!(
///     pause.peek(Instant::from_secs(10)),
///     Err(Refusal::Until(Instant::from_secs(505))),
/// );
/// assert_eq!(pause.peek(Instant::from_secs(505)), Ok(()));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Pause(Instant);

impl Pause {
    /// No stop.
    ///
    /// ```
    /// use sendwhen::{Instant, Pause};
    ///
    /// assert_eq!(Pause::new().peek(Instant::ZERO), Ok(()));
    /// ```
    pub const fn new() -> Self {
        Self(Instant::ZERO)
    }

    /// Stops until `at`, or longer if that was said before.
    ///
    /// ```
    /// use sendwhen::{Instant, Pause, Refusal};
    ///
    /// let mut pause = Pause::new();
    /// for secs in [20, 30, 10] {
    ///     pause.until(Instant::from_secs(secs));
    /// }
    /// assert_eq!(pause.peek(Instant::ZERO), Err(Refusal::Until(Instant::from_secs(30))));
    /// ```
    pub fn until(&mut self, at: Instant) {
        self.0 = self.0.max(at);
    }

    /// Ends the stop.
    ///
    /// ```
    /// use sendwhen::{Instant, Pause};
    ///
    /// let mut pause = Pause::new();
    /// pause.until(Instant::from_secs(30));
    /// pause.lift();
    /// assert_eq!(pause.peek(Instant::ZERO), Ok(()));
    /// ```
    pub const fn lift(&mut self) {
        self.0 = Instant::ZERO;
    }

    /// Whether something may pass at `now`.
    ///
    /// ```
    /// use sendwhen::{Instant, Pause, Refusal};
    ///
    /// let mut pause = Pause::new();
    /// let end = Instant::from_secs(30);
    /// pause.until(end);
    /// assert_eq!(pause.peek(Instant::from_secs(29)), Err(Refusal::Until(end)));
    /// assert_eq!(pause.peek(end), Ok(()));
    /// ```
    ///
    /// # Errors
    /// [`Refusal::Until`] the end of the stop.
    pub fn peek(&self, now: Instant) -> Result<(), Refusal> {
        if now < self.0 {
            return Err(Refusal::Until(self.0));
        }
        Ok(())
    }
}

/// It takes no amounts: while it stops, it stops all of them.
impl Limit for Pause {
    type Amount = ();
    type Charge = ();

    fn peek(&self, now: Instant, _amount: ()) -> Result<(), Blocked> {
        self.peek(now).map_err(Blocked::alone)
    }

    fn charge(&mut self, _now: Instant, _amount: ()) {}

    fn refund(&mut self, _now: Instant, _charge: &mut (), _amount: ()) {}
}

/// A stop until an instant, from which those who wait come back one by one over
/// a span.
///
/// Choose it where many wait for one stop. It takes 24 bytes and is exact.
///
/// Each waiter has a number, and by it an instant of its own: the same whenever
/// it asks, and none before the stop ends. Numbers that follow each other are
/// spread evenly, as multiples of the golden ratio are (Knuth, "The Art of
/// Computer Programming", volume 3, section 6.4, theorem S): of `n` of them no
/// two are closer than a third of an `n`th of the span. Where the numbers begin
/// follows from the seed, so that several clients do not meet.
///
/// ```
/// use core::time::Duration;
/// use sendwhen::{Instant, Refusal, SpreadPause};
///
/// let mut pause = SpreadPause::new(Duration::from_secs(10), 42);
/// let end = Instant::from_secs(505);
/// pause.until(end);
///
/// let mut back: Vec<Instant> = (0..10)
///     .map(|waiter| match pause.of(waiter).peek(Instant::ZERO) {
///         Err(Refusal::Until(at)) => at,
///         other => panic!("all wait, and not {other:?}"),
///     })
///     .collect();
/// back.sort();
/// assert!(back[0] >= end && back[9] <= Instant::from_secs(515));
/// let apart = |pair: &[Instant]| pair[1].saturating_duration_since(pair[0]);
/// assert!(back.windows(2).all(|pair| apart(pair) > Duration::from_millis(333)));
/// ```
///
/// ![what it lets pass](https://raw.githubusercontent.com/sendwhen/sendwhen/main/docs/shapes/pause.svg)
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SpreadPause {
    end: Pause,
    /// In nanoseconds.
    over: u64,
    /// What the spread begins with, as a fraction of 2^64 of the span.
    from: u64,
}

/// The golden ratio's fraction, as one of 2^64.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

impl SpreadPause {
    /// No stop; those to come are spread over `over` at their ends.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Instant, SpreadPause};
    ///
    /// let pause = SpreadPause::new(Duration::from_secs(10), 42);
    /// assert_eq!(pause.of(0).peek(Instant::ZERO), Ok(()));
    /// ```
    pub const fn new(over: Duration, seed: u64) -> Self {
        Self {
            end: Pause::new(),
            over: nanos(over),
            from: Rng::new(seed).next(),
        }
    }

    /// Stops until `at`, or longer if that was said before.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Instant, SpreadPause};
    ///
    /// let mut pause = SpreadPause::new(Duration::from_secs(10), 42);
    /// pause.until(Instant::from_secs(505));
    /// pause.until(Instant::from_secs(16));
    /// assert!(pause.of(3).peek(Instant::from_secs(504)).is_err());
    /// assert!(pause.of(3).peek(Instant::from_secs(515)).is_ok());
    /// ```
    pub fn until(&mut self, at: Instant) {
        self.end.until(at);
    }

    /// Ends the stop, for all at once.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Instant, SpreadPause};
    ///
    /// let mut pause = SpreadPause::new(Duration::from_secs(10), 42);
    /// pause.until(Instant::from_secs(505));
    /// pause.lift();
    /// assert!((0..100).all(|waiter| pause.of(waiter).peek(Instant::ZERO).is_ok()));
    /// ```
    pub const fn lift(&mut self) {
        self.end.lift();
    }

    /// The stop as it is for the waiter of this number.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Instant, SpreadPause};
    ///
    /// let mut pause = SpreadPause::new(Duration::from_secs(10), 42);
    /// pause.until(Instant::from_secs(505));
    /// assert_eq!(pause.of(1), pause.of(1));
    /// assert_ne!(pause.of(1), pause.of(2));
    /// ```
    #[must_use]
    pub const fn of(&self, waiter: u64) -> Pause {
        let Pause(end) = self.end;
        if end.as_nanos() == 0 {
            return self.end;
        }
        let share = self.from.wrapping_add(waiter.wrapping_mul(GOLDEN));
        let after = (share as u128).saturating_mul(self.over as u128) >> 64;
        Pause(end.saturating_add(Duration::from_nanos(after as u64)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn waiters_do_not_come_back_in_one_instant() {
        let over = 1_000_000_000;
        for seed in 0..100 {
            let mut pause = SpreadPause::new(Duration::from_nanos(over), seed);
            pause.until(Instant::from_secs(1));
            for waiters in [2, 3, 10, 100, 1_000] {
                // Any that follow each other, past the end of numbers too.
                for first in [0, 12_345, u64::MAX - 5] {
                    let numbers = (0..waiters).map(|n: u64| first.wrapping_add(n));
                    let mut back: Vec<u64> = numbers.map(|n| pause.of(n).0.as_nanos()).collect();
                    back.sort_unstable();
                    let apart = back.windows(2).map(|pair| pair[1] - pair[0]);
                    assert!(apart.min() >= Some(over / waiters / 3));
                    assert!(back[0] >= over);
                    assert!(back[back.len() - 1] <= 2 * over);
                }
            }
        }
    }

    #[test]
    fn a_lifted_stop_stops_nobody() {
        let mut pause = SpreadPause::new(Duration::from_secs(9), 7);
        assert_eq!(pause.of(3), Pause::new());
        pause.until(Instant::MAX);
        assert_eq!(pause.of(3), Pause(Instant::MAX));
        pause.lift();
        assert_eq!(pause.of(3).peek(Instant::ZERO), Ok(()));
    }
}
