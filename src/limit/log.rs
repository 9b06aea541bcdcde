//! The sliding window log: what passed, remembered one by one.
//!
//! Choose it where no window may see more than the limit, wherever it begins,
//! and all of the limit is wanted at once. It errs by nothing. It takes the
//! memory that the caller hands over, 16 bytes an entry, and 64 bytes for
//! itself; where that is full it refuses until the oldest entry expires. To let
//! a limit of single requests pass it needs as many entries as the limit; with
//! fewer it is as a log of fewer, larger requests. What passes at the same
//! nanosecond is one entry. Each question walks what is in it.
//!
//! A window of length `w` that begins at `t` ends before `t + w`: what passed at
//! `t` no longer counts then.

use core::time::Duration;

use crate::{
    error::ConfigError,
    limit::{Blocked, Limit, Refusal},
    time::{Instant, nanos},
};

/// At most a limit in any window, wherever it begins.
///
/// Choose it where every window counts and all of the limit is wanted at once. It
/// takes 64 bytes, and 16 for each entry of the storage that it is given; while
/// that is full it refuses. It is exact.
///
/// The entries are an array, a `&mut` slice, or whatever else is a slice.
///
/// ```
/// use core::time::Duration;
/// use sendwhen::{Instant, LogEntry, Refusal, SlidingLog};
///
/// let mut log = SlidingLog::new(3, Duration::from_secs(60), [LogEntry::EMPTY; 3])?;
/// for secs in [10, 20, 30] {
///     assert!(log.try_acquire(Instant::from_secs(secs), 1).is_ok());
/// }
/// let refused = log.try_acquire(Instant::from_secs(30), 2);
/// assert_eq!(refused, Err(Refusal::Until(Instant::from_secs(80))));
/// assert!(log.try_acquire(Instant::from_secs(70), 1).is_ok());
///
/// // With room for two, the third waits until the first is forgotten.
/// let mut entries = [LogEntry::EMPTY; 2];
/// let mut log = SlidingLog::new(3, Duration::from_secs(60), &mut entries[..])?;
/// for secs in [10, 20] {
///     assert!(log.try_acquire(Instant::from_secs(secs), 1).is_ok());
/// }
/// let full = log.try_acquire(Instant::from_secs(30), 1);
/// assert_eq!(full, Err(Refusal::Until(Instant::from_secs(70))));
/// # Ok::<(), sendwhen::ConfigError>(())
/// ```
///
/// ![what it lets pass](https://raw.githubusercontent.com/sendwhen/sendwhen/main/docs/shapes/log.svg)
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SlidingLog<S> {
    limit: u64,
    window: Duration,
    /// A ring: `len` of them, from `first` on, in the order of time.
    entries: S,
    first: usize,
    len: usize,
    /// The latest instant of a charge: entries are in the order of time.
    latest: Instant,
}

/// What passed at one instant.
///
/// ```
/// use core::time::Duration;
/// use sendwhen::{LogEntry, SlidingLog};
///
/// // As many as requests may pass in the window.
/// let mut room = [LogEntry::EMPTY; 50];
/// assert!(SlidingLog::new(50, Duration::from_secs(60), &mut room[..]).is_ok());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LogEntry {
    at: Instant,
    amount: u64,
}

impl LogEntry {
    /// Nothing yet.
    ///
    /// ```
    /// use sendwhen::LogEntry;
    ///
    /// assert_eq!(LogEntry::EMPTY, LogEntry::default());
    /// ```
    pub const EMPTY: Self = Self {
        at: Instant::ZERO,
        amount: 0,
    };
}

/// What a [`SlidingLog`] remembers of a charge, so that it can be given back.
///
/// ```
/// use core::time::Duration;
/// use sendwhen::{Instant, LogEntry, SlidingLog};
///
/// let mut log = SlidingLog::new(9, Duration::from_secs(60), [LogEntry::EMPTY; 8])?;
/// let mut charge = log.try_acquire(Instant::ZERO, 9).unwrap();
/// log.refund(&mut charge, 4);
/// assert_eq!(charge.amount(), 5);
/// # Ok::<(), sendwhen::ConfigError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LogCharge {
    amount: u64,
    at: Instant,
}

impl LogCharge {
    /// How much was charged and has not been given back.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Instant, LogEntry, SlidingLog};
    ///
    /// let mut log = SlidingLog::new(9, Duration::from_secs(60), [LogEntry::EMPTY; 8])?;
    /// assert_eq!(log.charge(Instant::ZERO, 7).amount(), 7);
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub const fn amount(&self) -> u64 {
        self.amount
    }
}

impl<S> SlidingLog<S> {
    /// An empty log of at most `limit` in any `window`, in the room of
    /// `entries`, whose contents do not matter.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{ConfigError, LogEntry, SlidingLog};
    ///
    /// let none = SlidingLog::new(0, Duration::from_secs(60), [LogEntry::EMPTY; 8]);
    /// assert_eq!(none, Err(ConfigError::ZeroLimit));
    /// ```
    ///
    /// # Errors
    /// Where `limit` or `window` is 0, or `window` 292 years or longer.
    pub const fn new(limit: u64, window: Duration, entries: S) -> Result<Self, ConfigError> {
        let error = if limit == 0 {
            ConfigError::ZeroLimit
        } else if window.is_zero() {
            ConfigError::ZeroWindow
        } else if window.as_nanos() > i64::MAX as u128 {
            ConfigError::WindowOutOfRange
        } else {
            return Ok(Self::empty(limit, window, entries));
        };
        // A constant function cannot drop what it was given; entries need no
        // dropping, and what holds them is at worst leaked.
        core::mem::forget(entries);
        Err(error)
    }

    /// One whose limit and window are known to be such as [`new`](Self::new)
    /// takes.
    pub(crate) const fn empty(limit: u64, window: Duration, entries: S) -> Self {
        Self {
            limit,
            window,
            entries,
            first: 0,
            len: 0,
            latest: Instant::ZERO,
        }
    }
}

impl<S: AsRef<[LogEntry]> + AsMut<[LogEntry]>> SlidingLog<S> {
    /// Whether `amount` would pass at `now`; changes nothing.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Instant, LogEntry, Refusal, SlidingLog};
    ///
    /// let mut log = SlidingLog::new(9, Duration::from_secs(60), [LogEntry::EMPTY; 8])?;
    /// let _some = log.charge(Instant::ZERO, 5);
    /// assert_eq!(log.peek(Instant::ZERO, 4), Ok(()));
    /// assert_eq!(log.peek(Instant::ZERO, 5), Err(Refusal::Until(Instant::from_secs(60))));
    /// assert_eq!(log.peek(Instant::ZERO, 10), Err(Refusal::Never));
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// As [`try_acquire`](Self::try_acquire).
    pub fn peek(&self, now: Instant, amount: u64) -> Result<(), Refusal> {
        if amount == 0 {
            return self.room(now, 0);
        }
        if amount > self.limit || self.capacity() == 0 {
            return Err(Refusal::Never);
        }
        self.room(now, amount)
    }

    /// Takes `amount` at `now` if it passes; changes nothing if not. Where the
    /// clock went back, it counts as of the latest instant.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Instant, LogEntry, Refusal, SlidingLog};
    ///
    /// let mut log = SlidingLog::new(9, Duration::from_secs(60), [LogEntry::EMPTY; 8])?;
    /// assert!(log.try_acquire(Instant::from_secs(10), 9).is_ok());
    /// let refused = log.try_acquire(Instant::from_secs(69), 1);
    /// assert_eq!(refused, Err(Refusal::Until(Instant::from_secs(70))));
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// [`Refusal::Until`] with the exact instant from which it passes, or
    /// [`Refusal::Never`] where `amount` is more than the limit or there is no
    /// room for any entry.
    pub fn try_acquire(&mut self, now: Instant, amount: u64) -> Result<LogCharge, Refusal> {
        self.peek(now, amount)?;
        Ok(self.charge(now, amount))
    }

    /// Takes `amount` at `now` whether it passes or not. Where there is no room
    /// for another entry it is added to the newest, which then counts as of
    /// now: more is held to be new than is.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Instant, LogEntry, SlidingLog};
    ///
    /// let mut log = SlidingLog::new(9, Duration::from_secs(60), [LogEntry::EMPTY; 8])?;
    /// let _more_than_thought = log.charge(Instant::ZERO, 12);
    /// assert_eq!(log.used(Instant::from_secs(59)), 12);
    /// assert_eq!(log.used(Instant::from_secs(60)), 0);
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub fn charge(&mut self, now: Instant, amount: u64) -> LogCharge {
        self.latest = self.latest.max(now);
        let at = self.latest;
        while self.get(0).is_some_and(|oldest| self.expiry(oldest) <= at) {
            self.first = self.slot(1);
            self.len = self.len.saturating_sub(1);
        }
        if amount > 0 {
            let newest = self.len.checked_sub(1).and_then(|last| self.get(last));
            let full = self.len >= self.capacity();
            match newest {
                Some(entry) if full || entry.at == at => {
                    let sum = entry.amount.saturating_add(amount);
                    self.put(self.len.saturating_sub(1), LogEntry { at, amount: sum });
                }
                _ => {
                    self.put(self.len, LogEntry { at, amount });
                    self.len = self.len.saturating_add(1).min(self.capacity());
                }
            }
        }
        LogCharge { amount, at }
    }

    /// Gives `amount` of a charge back, or all of it where that is less: it is
    /// as if it had not been charged. Nothing, once it has expired, or where a
    /// charge without room for it was added to it.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Instant, LogEntry, SlidingLog};
    ///
    /// let mut log = SlidingLog::new(9, Duration::from_secs(60), [LogEntry::EMPTY; 8])?;
    /// let mut charge = log.charge(Instant::ZERO, 9);
    /// log.refund(&mut charge, 4);
    /// assert_eq!(log.used(Instant::from_secs(1)), 5);
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub fn refund(&mut self, charge: &mut LogCharge, amount: u64) {
        let amount = amount.min(charge.amount);
        charge.amount = charge.amount.saturating_sub(amount);
        let Some((place, entry)) = (0..self.len)
            .filter_map(|place| Some((place, self.get(place)?)))
            .find(|(_, entry)| entry.at == charge.at)
        else {
            return;
        };
        let left = entry.amount.saturating_sub(amount);
        if left > 0 {
            let entry = LogEntry {
                amount: left,
                ..entry
            };
            self.put(place, entry);
            return;
        }
        // Close the gap.
        for place in place..self.len.saturating_sub(1) {
            if let Some(next) = self.get(place.saturating_add(1)) {
                self.put(place, next);
            }
        }
        self.len = self.len.saturating_sub(1);
    }

    /// What counts at `now`; saturating.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Instant, LogEntry, SlidingLog};
    ///
    /// let mut log = SlidingLog::new(9, Duration::from_secs(60), [LogEntry::EMPTY; 8])?;
    /// let _two = [10, 30].map(|secs| log.charge(Instant::from_secs(secs), 3));
    /// assert_eq!(log.used(Instant::from_secs(69)), 6);
    /// assert_eq!(log.used(Instant::from_secs(70)), 3);
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub fn used(&self, now: Instant) -> u64 {
        let now = now.max(self.latest);
        self.iter()
            .filter(|entry| self.expiry(*entry) > now)
            .fold(0, |sum, entry| sum.saturating_add(entry.amount))
    }

    /// Whether there is room for `amount` at `now`, and a free entry.
    fn room(&self, now: Instant, amount: u64) -> Result<(), Refusal> {
        let now = now.max(self.latest);
        let mut sum = self.iter().fold(u128::from(amount), |sum, entry| {
            sum.saturating_add(u128::from(entry.amount))
        });
        let mut count = self.len;
        let mut until = now;
        for entry in self.iter() {
            let fits = sum <= u128::from(self.limit);
            // Full is full, though an entry of this very instant would take
            // more: a nanosecond later it would not, and what passes must go on
            // passing.
            let stays = count < self.capacity() || amount == 0;
            if self.expiry(entry) > now && fits && stays {
                break;
            }
            until = until.max(self.expiry(entry));
            sum = sum.saturating_sub(u128::from(entry.amount));
            count = count.saturating_sub(1);
        }
        if until == now {
            Ok(())
        } else {
            Err(Refusal::Until(until))
        }
    }

    fn capacity(&self) -> usize {
        self.entries.as_ref().len()
    }

    fn expiry(&self, entry: LogEntry) -> Instant {
        let at = entry.at.as_nanos().saturating_add(nanos(self.window));
        Instant::from_nanos(at)
    }

    /// Where the entry `place` after the oldest lies.
    fn slot(&self, place: usize) -> usize {
        self.first
            .saturating_add(place)
            .checked_rem(self.capacity())
            .unwrap_or_default()
    }

    fn get(&self, place: usize) -> Option<LogEntry> {
        if place >= self.len {
            return None;
        }
        self.entries.as_ref().get(self.slot(place)).copied()
    }

    fn put(&mut self, place: usize, entry: LogEntry) {
        let slot = self.slot(place);
        if let Some(there) = self.entries.as_mut().get_mut(slot) {
            *there = entry;
        }
    }

    /// From the oldest to the newest.
    fn iter(&self) -> impl Iterator<Item = LogEntry> + '_ {
        (0..self.len).filter_map(|place| self.get(place))
    }
}

impl<S: AsRef<[LogEntry]> + AsMut<[LogEntry]>> Limit for SlidingLog<S> {
    type Amount = u64;
    type Charge = LogCharge;

    fn peek(&self, now: Instant, amount: u64) -> Result<(), Blocked> {
        self.peek(now, amount).map_err(Blocked::alone)
    }

    fn charge(&mut self, now: Instant, amount: u64) -> LogCharge {
        self.charge(now, amount)
    }

    fn refund(&mut self, _now: Instant, charge: &mut LogCharge, amount: u64) {
        self.refund(charge, amount);
    }
}
