//! The stepwise ramp: each minute, what the one before used and a step more.
//!
//! Choose it where a server refuses steep rises of use, as the Claude API's
//! acceleration limits do ("maximum usage increase rate", which grows at each
//! minute boundary). It takes 80 bytes. It errs as a
//! [`FixedWindow`](crate::FixedWindow) does: across an edge, two windows' worth
//! passes at once. [`SmoothRamp`](crate::SmoothRamp) has no edges.
//!
//! # The rule
//!
//! ```text
//! allowed = the least .. what the window before used + step .. the most
//! ```
//!
//! What is larger than what is allowed, and not than the most, passes alone in
//! a window: it cannot be cut, and would wait for ever. So no more than that is
//! used in a window, or one amount.

use core::time::Duration;

use crate::{
    error::ConfigError,
    limit::{
        Blocked, Limit, Refusal, WindowCharge,
        windows::{Place, Windows},
    },
    time::{Instant, UnixTime},
};

/// In each window at most a step more than in the one before.
///
/// Choose it where a server refuses steep rises of use and looks at each minute.
/// It takes 80 bytes. It errs at its edges: across one, two windows' worth passes
/// at once.
///
/// ```
/// use core::time::Duration;
/// use sendwhen::{Instant, Refusal, StepRamp};
///
/// // From 50 000 tokens in a minute by 10 000 more in each, to a million.
/// let mut ramp = StepRamp::new(50_000, 10_000, 1_000_000, Duration::from_secs(60))?;
/// let minute = |n: u64| Instant::from_secs(60 * n);
/// assert!(ramp.try_acquire(minute(0), 50_000).is_ok());
/// assert_eq!(ramp.try_acquire(minute(0), 1), Err(Refusal::Until(minute(1))));
/// assert_eq!(ramp.allowed(minute(1)), 60_000);
/// assert!(ramp.try_acquire(minute(1), 60_000).is_ok());
/// assert_eq!(ramp.allowed(minute(2)), 70_000);
///
/// // After a quiet minute it begins anew.
/// assert_eq!(ramp.allowed(minute(3)), 50_000);
/// # Ok::<(), sendwhen::ConfigError>(())
/// ```
///
/// ![what it lets pass](https://raw.githubusercontent.com/sendwhen/sendwhen/main/docs/shapes/step-ramp.svg)
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StepRamp {
    least: u64,
    step: u64,
    most: u64,
    windows: Windows,
    used: u64,
    /// What the window before used.
    before: u64,
}

impl StepRamp {
    /// At least `least` and at most `most` in each `window`, and between them
    /// `step` more than the window before used. The first begins with the first
    /// use.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{ConfigError, StepRamp};
    ///
    /// const MINUTE: Duration = Duration::from_secs(60);
    /// assert!(StepRamp::new(50, 10, 1_000, MINUTE).is_ok());
    /// assert_eq!(StepRamp::new(50, 10, 49, MINUTE), Err(ConfigError::EmptyRange));
    /// assert_eq!(StepRamp::new(50, 0, 1_000, MINUTE), Err(ConfigError::ZeroStep));
    /// ```
    ///
    /// # Errors
    /// Where `least`, `step` or `window` is 0, `most` below `least`, or `window`
    /// 292 years or longer.
    pub const fn new(
        least: u64,
        step: u64,
        most: u64,
        window: Duration,
    ) -> Result<Self, ConfigError> {
        if least == 0 || most < least {
            return Err(ConfigError::EmptyRange);
        }
        if step == 0 {
            return Err(ConfigError::ZeroStep);
        }
        match Windows::new(window) {
            Ok(windows) => Ok(Self {
                least,
                step,
                most,
                windows,
                used: 0,
                before: 0,
            }),
            Err(error) => Err(error),
        }
    }

    /// The same, from the beginning, with a window that begins at `edge`.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Instant, StepRamp};
    ///
    /// let ramp = StepRamp::new(50, 10, 1_000, Duration::from_secs(60))?;
    /// let mut ramp = ramp.aligned_to(Instant::from_secs(30));
    /// let _some = ramp.charge(Instant::from_secs(29), 50);
    /// assert_eq!(ramp.allowed(Instant::from_secs(30)), 60);
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    #[must_use]
    pub const fn aligned_to(mut self, edge: Instant) -> Self {
        self.windows = self.windows.aligned_to(edge);
        self.used = 0;
        self.before = 0;
        self
    }

    /// The same, from the beginning, with windows that begin where the wall
    /// clock shows a whole multiple of their length since 1970. At `now` it
    /// shows `wall`.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Instant, StepRamp, UnixTime};
    ///
    /// // 20 seconds before a full minute.
    /// let (now, wall) = (Instant::from_secs(7), UnixTime::from_secs(1_779_141_640));
    /// let ramp = StepRamp::new(50, 10, 1_000, Duration::from_secs(60))?;
    /// let mut ramp = ramp.aligned_to_epoch(now, wall);
    /// let _some = ramp.charge(now, 50);
    /// assert_eq!(ramp.allowed(Instant::from_secs(27)), 60);
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    #[must_use]
    pub const fn aligned_to_epoch(mut self, now: Instant, wall: UnixTime) -> Self {
        self.windows = self.windows.aligned_to_epoch(now, wall);
        self.used = 0;
        self.before = 0;
        self
    }

    /// Whether `amount` would pass at `now`; changes nothing.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Instant, Refusal, StepRamp};
    ///
    /// let mut ramp = StepRamp::new(50, 10, 1_000, Duration::from_secs(60))?;
    /// let _some = ramp.charge(Instant::ZERO, 40);
    /// assert_eq!(ramp.peek(Instant::ZERO, 10), Ok(()));
    /// assert_eq!(ramp.peek(Instant::ZERO, 11), Err(Refusal::Until(Instant::from_secs(60))));
    /// assert_eq!(ramp.peek(Instant::ZERO, 1_001), Err(Refusal::Never));
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// As [`try_acquire`](Self::try_acquire).
    pub fn peek(&self, now: Instant, amount: u64) -> Result<(), Refusal> {
        if amount > self.most {
            return Err(Refusal::Never);
        }
        let (start, used, before) = self.seen_at(now);
        let sum = used.checked_add(amount);
        if used == 0 || sum.is_some_and(|sum| sum <= self.allowed_after(before)) {
            return Ok(());
        }
        Err(Refusal::Until(self.windows.end(start)))
    }

    /// Takes `amount` at `now` if it passes; changes nothing if not. Where the
    /// clock went back, the newest window counts.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Instant, StepRamp};
    ///
    /// let mut ramp = StepRamp::new(50, 10, 1_000, Duration::from_secs(60))?;
    /// assert!(ramp.try_acquire(Instant::ZERO, 50).is_ok());
    /// assert!(ramp.try_acquire(Instant::ZERO, 1).is_err());
    /// assert!(ramp.try_acquire(Instant::from_secs(60), 60).is_ok());
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// [`Refusal::Until`] the end of the window, or [`Refusal::Never`] where
    /// `amount` is more than the most.
    pub fn try_acquire(&mut self, now: Instant, amount: u64) -> Result<WindowCharge, Refusal> {
        self.peek(now, amount)?;
        Ok(self.charge(now, amount))
    }

    /// Takes `amount` at `now` whether it passes or not.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Instant, StepRamp};
    ///
    /// let mut ramp = StepRamp::new(50, 10, 1_000, Duration::from_secs(60))?;
    /// let _more_than_allowed = ramp.charge(Instant::ZERO, 90);
    /// assert_eq!(ramp.used(Instant::ZERO), 90);
    /// assert_eq!(ramp.allowed(Instant::from_secs(60)), 100);
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub fn charge(&mut self, now: Instant, amount: u64) -> WindowCharge {
        if self.windows.place(now) == Place::None {
            self.windows.begin_for_ever(now);
        }
        let (start, used, before) = self.seen_at(now);
        self.windows.move_to(start);
        self.used = used.saturating_add(amount);
        self.before = before;
        WindowCharge { amount, start }
    }

    /// Gives `amount` of a charge back, or all of it where that is less: it is
    /// as if it had not been charged, so that the window after its own is
    /// allowed less for it.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Instant, StepRamp};
    ///
    /// let mut ramp = StepRamp::new(50, 10, 1_000, Duration::from_secs(60))?;
    /// let mut charge = ramp.charge(Instant::ZERO, 90);
    /// ramp.refund(&mut charge, 30);
    /// assert_eq!(ramp.allowed(Instant::from_secs(60)), 70);
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub fn refund(&mut self, charge: &mut WindowCharge, amount: u64) {
        let amount = amount.min(charge.amount);
        charge.amount = charge.amount.saturating_sub(amount);
        let newest = self.windows.start();
        let length = u128::from(self.windows.length());
        if charge.start == newest {
            self.used = self.used.saturating_sub(amount);
        } else if charge.start.saturating_add(length) == newest {
            self.before = self.before.saturating_sub(amount);
        }
    }

    /// How much the window of `now` is allowed.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Instant, StepRamp};
    ///
    /// let mut ramp = StepRamp::new(50, 10, 1_000, Duration::from_secs(60))?;
    /// assert_eq!(ramp.allowed(Instant::ZERO), 50);
    /// let _all = ramp.charge(Instant::ZERO, 50);
    /// assert_eq!(ramp.allowed(Instant::from_secs(60)), 60);
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub fn allowed(&self, now: Instant) -> u64 {
        let (_, _, before) = self.seen_at(now);
        self.allowed_after(before)
    }

    /// What was used in the window of `now`.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Instant, StepRamp};
    ///
    /// let mut ramp = StepRamp::new(50, 10, 1_000, Duration::from_secs(60))?;
    /// let _some = ramp.charge(Instant::ZERO, 20);
    /// assert_eq!(ramp.used(Instant::from_secs(59)), 20);
    /// assert_eq!(ramp.used(Instant::from_secs(60)), 0);
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub fn used(&self, now: Instant) -> u64 {
        let (_, used, _) = self.seen_at(now);
        used
    }

    fn allowed_after(&self, before: u64) -> u64 {
        before
            .saturating_add(self.step)
            .min(self.most)
            .max(self.least)
    }

    /// The start of the window of `now`, what it used, and the one before it.
    fn seen_at(&self, now: Instant) -> (u128, u64, u64) {
        match self.windows.place(now) {
            Place::Same => (self.windows.start(), self.used, self.before),
            Place::Next(start) => (start, 0, self.used),
            Place::Later(start) => (start, 0, 0),
            Place::None => (self.windows.late(now), 0, 0),
        }
    }
}

impl Limit for StepRamp {
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
