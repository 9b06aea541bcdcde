//! The sliding window counter: a sliding window from two numbers.
//!
//! Choose it where a window shall slide and a log of every request is too much.
//! It takes 64 bytes: what was charged in this window and in the one before.
//!
//! # Its error
//!
//! It takes what was charged in the window before as spread evenly over it, and
//! counts as much of it as the sliding window still covers (the rule that
//! Cloudflare described in "How we built rate limiting capable of scaling to
//! millions of domains", 2017). In truth all of it may have come at the end, or
//! at the beginning. With `f` as the share of the present window that has
//! passed, and `before` as what was charged in the one before:
//!
//! - it counts too little by at most `before * f`. So in any span `w` at most
//!   `limit + limit * w / window` passes, as of a token bucket of that burst and
//!   rate, and in a window twice the limit at worst; where requests come evenly,
//!   the limit.
//! - it counts too much by at most `before * (1 - f)`: it refuses what a log
//!   would let pass, until the window before is forgotten.
//!
//! In itself it is exact: the share is a fraction, and is not rounded.

use core::time::Duration;

use crate::{
    error::ConfigError,
    limit::{
        Blocked, Limit, Refusal, WindowCharge,
        windows::{Place, Windows},
    },
    time::{Instant, UnixTime},
};

/// About a limit in any window, wherever it begins; never more than twice that.
///
/// Choose it where a window shall slide and a log of every request is too much.
/// It takes 64 bytes. It errs, since it takes the window before as spent evenly:
/// in any span `w` up to `limit + limit * w / window` pass.
///
/// ```
/// use core::time::Duration;
/// use sendwhen::{Instant, Refusal, SlidingCounter};
///
/// let mut counter = SlidingCounter::new(60, Duration::from_secs(60))?;
/// assert!(counter.try_acquire(Instant::ZERO, 60).is_ok());
///
/// // A quarter into the next minute, a quarter of the first is forgotten.
/// let now = Instant::from_secs(75);
/// assert_eq!(counter.used(now), 45);
/// assert!(counter.try_acquire(now, 15).is_ok());
/// let refused = counter.try_acquire(now, 1);
/// assert_eq!(refused, Err(Refusal::Until(Instant::from_secs(76))));
/// # Ok::<(), sendwhen::ConfigError>(())
/// ```
///
/// ![what it lets pass](https://raw.githubusercontent.com/sendwhen/sendwhen/main/docs/shapes/counter.svg)
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SlidingCounter {
    limit: u64,
    windows: Windows,
    /// What was charged in the newest window, and in the one before it.
    cells: Cells,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Cells {
    before: u64,
    newest: u64,
}

impl Cells {
    const EMPTY: Self = Self {
        before: 0,
        newest: 0,
    };
}

impl SlidingCounter {
    /// About `limit` in any `window`; the first begins with the first use.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{ConfigError, SlidingCounter};
    ///
    /// const MINUTE: Duration = Duration::from_secs(60);
    /// assert!(SlidingCounter::new(60, MINUTE).is_ok());
    /// assert_eq!(SlidingCounter::new(0, MINUTE), Err(ConfigError::ZeroLimit));
    /// ```
    ///
    /// # Errors
    /// Where `limit` or `window` is 0, or `window` 292 years or longer.
    pub const fn new(limit: u64, window: Duration) -> Result<Self, ConfigError> {
        if limit == 0 {
            return Err(ConfigError::ZeroLimit);
        }
        match Windows::new(window) {
            Ok(windows) => Ok(Self {
                limit,
                windows,
                cells: Cells::EMPTY,
            }),
            Err(error) => Err(error),
        }
    }

    /// The same, empty, with a window that begins at `edge`.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Instant, SlidingCounter};
    ///
    /// let counter = SlidingCounter::new(60, Duration::from_secs(60))?;
    /// let mut counter = counter.aligned_to(Instant::from_secs(30));
    /// let _all = counter.charge(Instant::from_secs(20), 60);
    /// assert_eq!(counter.used(Instant::from_secs(60)), 30);
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    #[must_use]
    pub const fn aligned_to(mut self, edge: Instant) -> Self {
        self.windows = self.windows.aligned_to(edge);
        self.cells = Cells::EMPTY;
        self
    }

    /// The same, empty, with windows that begin where the wall clock shows a
    /// whole multiple of their length since 1970. At `now` it shows `wall`.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Instant, SlidingCounter, UnixTime};
    ///
    /// // 20 seconds before a full minute.
    /// let (now, wall) = (Instant::from_secs(7), UnixTime::from_secs(1_779_141_640));
    /// let mut counter = SlidingCounter::new(60, Duration::from_secs(60))?.aligned_to_epoch(now, wall);
    /// let _all = counter.charge(now, 60);
    /// assert_eq!(counter.used(Instant::from_secs(27 + 15)), 45);
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    #[must_use]
    pub const fn aligned_to_epoch(mut self, now: Instant, wall: UnixTime) -> Self {
        self.windows = self.windows.aligned_to_epoch(now, wall);
        self.cells = Cells::EMPTY;
        self
    }

    /// Whether `amount` would pass at `now`; changes nothing.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Instant, Refusal, SlidingCounter};
    ///
    /// let counter = SlidingCounter::new(60, Duration::from_secs(60))?;
    /// assert_eq!(counter.peek(Instant::ZERO, 60), Ok(()));
    /// assert_eq!(counter.peek(Instant::ZERO, 61), Err(Refusal::Never));
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// As [`try_acquire`](Self::try_acquire).
    pub fn peek(&self, now: Instant, amount: u64) -> Result<(), Refusal> {
        if amount > self.limit {
            return Err(Refusal::Never);
        }
        let (start, cells) = self.seen_at(now);
        let into = self.windows.elapsed(start, now);
        // Through the rest of this window, else through the next one, in which
        // what is new now is what came before.
        if let Some(least) = self.fits_from(cells, amount) {
            if u128::from(into) >= least {
                return Ok(());
            }
            return Err(Refusal::Until(self.windows.instant(start, least)));
        }
        let length = u128::from(self.windows.length());
        let moved = Cells {
            before: cells.newest,
            newest: 0,
        };
        // Empty in front, it fits at its end at the latest.
        let least = self.fits_from(moved, amount).unwrap_or(length);
        let at = start.saturating_add(length);
        Err(Refusal::Until(self.windows.instant(at, least)))
    }

    /// Takes `amount` at `now` if it passes; changes nothing if not. Where the
    /// clock went back, the newest window counts, and no more passes than would
    /// have passed then.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Instant, Refusal, SlidingCounter};
    ///
    /// let mut counter = SlidingCounter::new(60, Duration::from_secs(60))?;
    /// assert!(counter.try_acquire(Instant::ZERO, 60).is_ok());
    /// let refused = counter.try_acquire(Instant::from_secs(30), 30);
    /// assert_eq!(refused, Err(Refusal::Until(Instant::from_secs(90))));
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// [`Refusal::Until`] with the exact instant from which it passes, or
    /// [`Refusal::Never`] where `amount` is more than the limit.
    pub fn try_acquire(&mut self, now: Instant, amount: u64) -> Result<WindowCharge, Refusal> {
        self.peek(now, amount)?;
        Ok(self.charge(now, amount))
    }

    /// Takes `amount` at `now` whether it passes or not. What is beyond the
    /// limit counts in this window and the next.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Instant, SlidingCounter};
    ///
    /// let mut counter = SlidingCounter::new(60, Duration::from_secs(60))?;
    /// let _more_than_thought = counter.charge(Instant::ZERO, 90);
    /// assert_eq!(counter.used(Instant::ZERO), 90);
    /// assert_eq!(counter.used(Instant::from_secs(90)), 45);
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub fn charge(&mut self, now: Instant, amount: u64) -> WindowCharge {
        if self.windows.place(now) == Place::None {
            self.windows.begin_for_ever(now);
        }
        let (start, cells) = self.seen_at(now);
        self.windows.move_to(start);
        self.cells = Cells {
            newest: cells.newest.saturating_add(amount),
            ..cells
        };
        WindowCharge { amount, start }
    }

    /// Gives `amount` of a charge back, or all of it where that is less: it is
    /// as if it had not been charged. Nothing, once the window after its own has
    /// ended.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Instant, SlidingCounter};
    ///
    /// let mut counter = SlidingCounter::new(60, Duration::from_secs(60))?;
    /// let mut charge = counter.charge(Instant::ZERO, 60);
    /// counter.refund(&mut charge, 20);
    /// assert_eq!(counter.used(Instant::ZERO), 40);
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub fn refund(&mut self, charge: &mut WindowCharge, amount: u64) {
        let amount = amount.min(charge.amount);
        charge.amount = charge.amount.saturating_sub(amount);
        let newest = self.windows.start();
        let length = u128::from(self.windows.length());
        if charge.start == newest {
            self.cells.newest = self.cells.newest.saturating_sub(amount);
        } else if charge.start.saturating_add(length) == newest {
            self.cells.before = self.cells.before.saturating_sub(amount);
        }
    }

    /// What it counts in the window that ends at `now`, rounded up; saturating.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Instant, SlidingCounter};
    ///
    /// let mut counter = SlidingCounter::new(60, Duration::from_secs(60))?;
    /// let _some = counter.charge(Instant::ZERO, 10);
    /// let after = |secs| counter.used(Instant::from_secs(secs));
    /// assert_eq!([after(59), after(60), after(93), after(120)], [10, 10, 5, 0]);
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub fn used(&self, now: Instant) -> u64 {
        let (start, cells) = self.seen_at(now);
        let length = self.windows.length();
        let left = length.saturating_sub(self.windows.elapsed(start, now));
        let share = u128::from(cells.before).saturating_mul(u128::from(left));
        let share = share.div_ceil(u128::from(length.max(1)));
        cells
            .newest
            .saturating_add(u64::try_from(share).unwrap_or(u64::MAX))
    }

    /// The start of the window of `now`, and what the two cells are in it.
    fn seen_at(&self, now: Instant) -> (u128, Cells) {
        match self.windows.place(now) {
            Place::Same => (self.windows.start(), self.cells),
            Place::Next(start) => {
                let moved = Cells {
                    before: self.cells.newest,
                    newest: 0,
                };
                (start, moved)
            }
            Place::Later(start) => (start, Cells::EMPTY),
            Place::None => (self.windows.late(now), Cells::EMPTY),
        }
    }

    /// How far into the window `amount` fits, with these cells; `None` where
    /// the window has no room for it at all.
    fn fits_from(&self, cells: Cells, amount: u64) -> Option<u128> {
        let room = self
            .limit
            .checked_sub(cells.newest)
            .and_then(|room| room.checked_sub(amount))?;
        // before * (length - into) / length <= room
        let length = u128::from(self.windows.length());
        let covered = u128::from(room)
            .saturating_mul(length)
            .checked_div(u128::from(cells.before))
            .unwrap_or(length);
        Some(length.saturating_sub(covered))
    }
}

impl Limit for SlidingCounter {
    type Amount = u64;
    type Charge = WindowCharge;

    fn peek(&self, now: Instant, amount: u64) -> Result<(), Blocked> {
        self.peek(now, amount).map_err(Blocked::alone)
    }

    fn charge(&mut self, now: Instant, amount: u64) -> WindowCharge {
        self.charge(now, amount)
    }

    fn refund(&mut self, _now: Instant, charge: &mut WindowCharge, amount: u64) {
        self.refund(charge, amount);
    }
}
