//! The fixed window: so many in each minute of the clock.
//!
//! Choose it where a server counts that way, by the minute on the clock or from
//! the first request on. It takes 48 bytes. It errs at its edges: in a span
//! across one, however short, twice the limit passes. Where that must not be,
//! choose [`SlidingLog`](crate::SlidingLog) or
//! [`SlidingCounter`](crate::SlidingCounter).

use core::time::Duration;

use crate::{
    error::ConfigError,
    limit::{
        Blocked, Limit, Refusal, WindowCharge,
        windows::{Place, Windows},
    },
    time::{Instant, UnixTime},
};

/// At most a limit in each window; windows follow each other and each begins
/// anew.
///
/// Choose it where a server counts by the minute on the clock, or from the first
/// request on. It takes 48 bytes. It errs at its edges: across one, twice the
/// limit passes.
///
/// ```
/// use core::time::Duration;
/// use sendwhen::{FixedWindow, Instant, Refusal};
///
/// const MINUTE: Duration = Duration::from_secs(60);
/// let mut window = FixedWindow::new(50, MINUTE)?.aligned_to(Instant::ZERO);
/// assert!(window.try_acquire(Instant::from_secs(59), 50).is_ok());
/// let refused = window.try_acquire(Instant::from_secs(59), 1);
/// assert_eq!(refused, Err(Refusal::Until(Instant::from_secs(60))));
/// assert!(window.try_acquire(Instant::from_secs(60), 50).is_ok());
///
/// // Without an edge, the first use begins a window.
/// let mut window = FixedWindow::new(50, MINUTE)?;
/// assert!(window.try_acquire(Instant::from_secs(59), 50).is_ok());
/// let refused = window.try_acquire(Instant::from_secs(60), 1);
/// assert_eq!(refused, Err(Refusal::Until(Instant::from_secs(119))));
/// # Ok::<(), sendwhen::ConfigError>(())
/// ```
///
/// ![what it lets pass](https://raw.githubusercontent.com/sendwhen/sendwhen/main/docs/shapes/fixed.svg)
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FixedWindow {
    limit: u64,
    windows: Windows,
    used: u64,
}

impl FixedWindow {
    /// At most `limit` in each `window`; one begins with the first use after
    /// the last one ended.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{ConfigError, FixedWindow};
    ///
    /// assert!(FixedWindow::new(50, Duration::from_secs(60)).is_ok());
    /// assert_eq!(FixedWindow::new(50, Duration::ZERO), Err(ConfigError::ZeroWindow));
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
                used: 0,
            }),
            Err(error) => Err(error),
        }
    }

    /// The same, empty, with windows that follow each other without a gap; one
    /// of them begins at `edge`.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{FixedWindow, Instant};
    ///
    /// let at = Instant::from_secs;
    /// let window = FixedWindow::new(50, Duration::from_secs(60))?.aligned_to(at(90));
    /// assert_eq!(window.resets(at(0)), Some(at(30)));
    /// assert_eq!(window.resets(at(30)), Some(at(90)));
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    #[must_use]
    pub const fn aligned_to(mut self, edge: Instant) -> Self {
        self.windows = self.windows.aligned_to(edge);
        self.used = 0;
        self
    }

    /// The same, empty, with windows that begin where the wall clock shows a
    /// whole multiple of their length since 1970: at full minutes, full hours,
    /// midnights in UTC. At `now` it shows `wall`.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{FixedWindow, Instant, UnixTime};
    ///
    /// // 20 seconds before a full minute.
    /// let (now, wall) = (Instant::from_secs(7), UnixTime::from_secs(1_779_141_640));
    /// let window = FixedWindow::new(50, Duration::from_secs(60))?.aligned_to_epoch(now, wall);
    /// assert_eq!(window.resets(now), Some(Instant::from_secs(27)));
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    #[must_use]
    pub const fn aligned_to_epoch(mut self, now: Instant, wall: UnixTime) -> Self {
        self.windows = self.windows.aligned_to_epoch(now, wall);
        self.used = 0;
        self
    }

    /// Whether `amount` would pass at `now`; changes nothing.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{FixedWindow, Instant, Refusal};
    ///
    /// let mut window = FixedWindow::new(50, Duration::from_secs(60))?;
    /// let _some = window.charge(Instant::ZERO, 30);
    /// assert_eq!(window.peek(Instant::ZERO, 20), Ok(()));
    /// assert_eq!(window.peek(Instant::ZERO, 21), Err(Refusal::Until(Instant::from_secs(60))));
    /// assert_eq!(window.peek(Instant::ZERO, 51), Err(Refusal::Never));
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// As [`try_acquire`](Self::try_acquire).
    #[inline]
    pub fn peek(&self, now: Instant, amount: u64) -> Result<(), Refusal> {
        if amount > self.limit {
            return Err(Refusal::Never);
        }
        let fits = self.used.checked_add(amount);
        if fits.is_some_and(|sum| sum <= self.limit) || self.windows.place(now) != Place::Same {
            return Ok(());
        }
        Err(Refusal::Until(self.windows.end(self.windows.start())))
    }

    /// Takes `amount` at `now` if the window has room for it; changes nothing
    /// if not. Where the clock went back, the newest window counts.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{FixedWindow, Instant, Refusal};
    ///
    /// let mut window = FixedWindow::new(50, Duration::from_secs(60))?;
    /// assert!(window.try_acquire(Instant::ZERO, 50).is_ok());
    /// let refused = window.try_acquire(Instant::from_secs(59), 1);
    /// assert_eq!(refused, Err(Refusal::Until(Instant::from_secs(60))));
    /// assert_eq!(window.used(Instant::from_secs(59)), 50);
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// [`Refusal::Until`] the end of the window, or [`Refusal::Never`] where
    /// `amount` is more than the limit.
    #[inline]
    pub fn try_acquire(&mut self, now: Instant, amount: u64) -> Result<WindowCharge, Refusal> {
        self.peek(now, amount)?;
        Ok(self.charge(now, amount))
    }

    /// Takes `amount` at `now` whether the window has room for it or not. What
    /// is beyond the limit is forgotten with the window.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{FixedWindow, Instant};
    ///
    /// let mut window = FixedWindow::new(50, Duration::from_secs(60))?;
    /// let _more_than_thought = window.charge(Instant::ZERO, 80);
    /// assert_eq!(window.used(Instant::ZERO), 80);
    /// assert_eq!(window.peek(Instant::from_secs(60), 50), Ok(()));
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    #[inline]
    pub fn charge(&mut self, now: Instant, amount: u64) -> WindowCharge {
        match self.windows.place(now) {
            Place::Same => {}
            Place::Next(start) | Place::Later(start) => {
                self.windows.move_to(start);
                self.used = 0;
            }
            Place::None => {
                self.windows.begin(now);
                self.used = 0;
            }
        }
        self.used = self.used.saturating_add(amount);
        WindowCharge {
            amount,
            start: self.windows.start(),
        }
    }

    /// Gives `amount` of a charge back, or all of it where that is less: it is
    /// as if it had not been charged. Nothing, once the window has ended.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{FixedWindow, Instant};
    ///
    /// let mut window = FixedWindow::new(50, Duration::from_secs(60))?;
    /// let mut first = window.charge(Instant::ZERO, 30);
    /// window.refund(&mut first, 10);
    /// assert_eq!(window.used(Instant::ZERO), 20);
    ///
    /// let _second = window.charge(Instant::from_secs(60), 5);
    /// window.refund(&mut first, 20);
    /// assert_eq!(window.used(Instant::from_secs(60)), 5);
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub const fn refund(&mut self, charge: &mut WindowCharge, amount: u64) {
        let amount = if amount < charge.amount {
            amount
        } else {
            charge.amount
        };
        charge.amount = charge.amount.saturating_sub(amount);
        if charge.start == self.windows.start() {
            self.used = self.used.saturating_sub(amount);
        }
    }

    /// What was charged in the window of `now`.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{FixedWindow, Instant};
    ///
    /// let mut window = FixedWindow::new(50, Duration::from_secs(60))?;
    /// let _some = window.charge(Instant::ZERO, 30);
    /// assert_eq!(window.used(Instant::from_secs(59)), 30);
    /// assert_eq!(window.used(Instant::from_secs(60)), 0);
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub fn used(&self, now: Instant) -> u64 {
        match self.windows.place(now) {
            Place::Same => self.used,
            Place::Next(_) | Place::Later(_) | Place::None => 0,
        }
    }

    /// When the window of `now` ends; `None` where it has not begun.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{FixedWindow, Instant};
    ///
    /// let mut window = FixedWindow::new(50, Duration::from_secs(60))?;
    /// let now = Instant::from_secs(7);
    /// assert_eq!(window.resets(now), None, "the first use begins it");
    /// let _first = window.charge(now, 1);
    /// assert_eq!(window.resets(now), Some(Instant::from_secs(67)));
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub fn resets(&self, now: Instant) -> Option<Instant> {
        match self.windows.place(now) {
            Place::Same => Some(self.windows.end(self.windows.start())),
            Place::Next(start) | Place::Later(start) => Some(self.windows.end(start)),
            Place::None => None,
        }
    }
}

impl Limit for FixedWindow {
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
