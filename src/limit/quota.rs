//! The long window: so much until the reset, and how much of it is spent.
//!
//! Choose it for what is counted over five hours, days or a month, where a
//! server says what share of it is spent and when it begins anew. It takes 64
//! bytes. It errs at its resets as a [`FixedWindow`](crate::FixedWindow) does:
//! across one, twice the limit passes.
//!
//! What is spent may be more than the limit: others spend of it too, and a
//! server tells of utilisations above 1. Then nothing passes until the reset.
//!
//! # Pacing
//!
//! A window that is spent in its first hour is spent for the rest of it. Paced,
//! a quota lets something pass only while what was spent before is at most what
//! would be by now if all of it were spent evenly, and a head start:
//!
//! ```text
//! spent <= ahead + limit * (now - start) / window
//! ```
//!
//! What is left unspent in quiet hours is there for busy ones. It is at most
//! one amount ahead of that line.

use core::time::Duration;

use crate::{
    error::ConfigError,
    limit::{
        Blocked, Limit, Refusal,
        windows::{Place, Windows},
    },
    time::{Instant, UnixTime},
};

/// At most a limit until the reset; spent at once, or evenly.
///
/// Choose it for five hours, seven days, a day, a month, where a server says what
/// share is spent and when it begins anew. It takes 64 bytes. It errs at its
/// resets: across one, twice the limit passes.
///
/// ```
/// use core::time::Duration;
/// use sendwhen::{Instant, Quota, Refusal};
///
/// const HOUR: u64 = 3_600;
/// const FIVE_HOURS: Duration = Duration::from_secs(5 * HOUR);
///
/// // In millionths, because only the share is told: 43.21 % are spent, and in
/// // two hours it begins anew.
/// let mut quota = Quota::shares(FIVE_HOURS)?;
/// let now = Instant::from_secs(100 * HOUR);
/// let reset = Instant::from_secs(102 * HOUR);
/// quota.observe(432_100, reset);
/// assert!(quota.peek(now, 1).is_ok());
///
/// quota.observe(1_070_000, reset);
/// assert_eq!(quota.peek(now, 1), Err(Refusal::Until(reset)));
///
/// // Paced, with a head start of a tenth: three of five hours have passed.
/// let mut paced = quota.paced(100_000);
/// paced.observe(750_000, reset);
/// let on_the_line = Instant::from_secs(100 * HOUR + 15 * 60);
/// assert_eq!(paced.peek(now, 1), Err(Refusal::Until(on_the_line)));
/// # Ok::<(), sendwhen::ConfigError>(())
/// ```
///
/// ![what it lets pass](https://raw.githubusercontent.com/sendwhen/sendwhen/main/docs/shapes/quota.svg)
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Quota {
    limit: u64,
    windows: Windows,
    spent: u64,
    /// How much may be spent before its time; the limit where it is not paced.
    ahead: u64,
    /// How often it was observed; wraps. What was charged before an observation
    /// is in it.
    observed: u64,
}

/// What a [`Quota`] remembers of a charge, so that it can be given back.
///
/// ```
/// use core::time::Duration;
/// use sendwhen::{Instant, Quota};
///
/// let mut day = Quota::new(2_000, Duration::from_secs(86_400))?;
/// let mut charge = day.try_acquire(Instant::ZERO, 300).unwrap();
/// day.refund(&mut charge, 100);
/// assert_eq!(charge.amount(), 200);
/// # Ok::<(), sendwhen::ConfigError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct QuotaCharge {
    amount: u64,
    observed: u64,
    start: u128,
}

impl QuotaCharge {
    /// How much was charged and has not been given back.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Instant, Quota};
    ///
    /// let mut day = Quota::new(2_000, Duration::from_secs(86_400))?;
    /// assert_eq!(day.charge(Instant::ZERO, 300).amount(), 300);
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub const fn amount(&self) -> u64 {
        self.amount
    }
}

impl Quota {
    /// At most `limit` in a `window` that begins with the first use, and the
    /// next with the first use after it.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{ConfigError, Instant, Quota};
    ///
    /// const DAY: Duration = Duration::from_secs(86_400);
    /// let mut day = Quota::new(2_000, DAY)?;
    /// assert!(day.try_acquire(Instant::from_secs(60), 2_000).is_ok());
    /// assert_eq!(day.resets(Instant::from_secs(60)), Some(Instant::from_secs(86_460)));
    /// assert_eq!(Quota::new(0, DAY), Err(ConfigError::ZeroLimit));
    /// # Ok::<(), sendwhen::ConfigError>(())
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
                spent: 0,
                ahead: limit,
                observed: 0,
            }),
            Err(error) => Err(error),
        }
    }

    /// A quota counted in millionths of a window whose size is not told.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::Quota;
    ///
    /// let week = Quota::shares(Duration::from_secs(7 * 86_400))?;
    /// assert_eq!(week.limit(), 1_000_000);
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// Where `window` is 0, or 292 years or longer.
    pub const fn shares(window: Duration) -> Result<Self, ConfigError> {
        Self::new(1_000_000, window)
    }

    /// The same, spent evenly over the window, but for a head start of `ahead`.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Instant, Quota, Refusal};
    ///
    /// // 2 400 a day are 100 an hour.
    /// let mut day = Quota::new(2_400, Duration::from_secs(86_400))?.paced(200);
    /// assert!(day.try_acquire(Instant::ZERO, 300).is_ok());
    /// let in_an_hour = Instant::from_secs(3_600);
    /// assert_eq!(day.peek(Instant::ZERO, 1), Err(Refusal::Until(in_an_hour)));
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    #[must_use]
    pub const fn paced(mut self, ahead: u64) -> Self {
        self.ahead = if ahead < self.limit {
            ahead
        } else {
            self.limit
        };
        self
    }

    /// The same, with nothing spent and windows that follow each other without
    /// a gap; one of them begins at `edge`.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Instant, Quota};
    ///
    /// let hours = |n: u64| Instant::from_secs(3_600 * n);
    /// let day = Quota::new(2_000, Duration::from_secs(86_400))?.aligned_to(hours(5));
    /// assert_eq!(day.resets(hours(0)), Some(hours(5)));
    /// assert_eq!(day.resets(hours(5)), Some(hours(29)));
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    #[must_use]
    pub const fn aligned_to(mut self, edge: Instant) -> Self {
        self.windows = self.windows.aligned_to(edge);
        self.spent = 0;
        self
    }

    /// The same, with nothing spent and windows that begin where the wall clock
    /// shows a whole multiple of their length since 1970: days at midnight in
    /// UTC. At `now` it shows `wall`.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Instant, Quota, UnixTime};
    ///
    /// // An hour before midnight.
    /// let (now, wall) = (Instant::ZERO, UnixTime::from_secs(20_000 * 86_400 - 3_600));
    /// let day = Quota::new(2_000, Duration::from_secs(86_400))?.aligned_to_epoch(now, wall);
    /// assert_eq!(day.resets(now), Some(Instant::from_secs(3_600)));
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    #[must_use]
    pub const fn aligned_to_epoch(mut self, now: Instant, wall: UnixTime) -> Self {
        self.windows = self.windows.aligned_to_epoch(now, wall);
        self.spent = 0;
        self
    }

    /// A server says that `spent` is spent and that it begins anew at `resets`.
    /// This replaces what was counted here, and what was charged before is no
    /// longer given back. A reset need not be where it would be by the window's
    /// length, as with months; once it is past, the window is over.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Instant, Quota, Refusal};
    ///
    /// // The 5 h window is spent, and a little more; it begins anew in an hour.
    /// let mut quota = Quota::shares(Duration::from_secs(5 * 3_600))?;
    /// let reset = Instant::from_secs(3_600);
    /// quota.observe(1_010_000, reset);
    /// assert_eq!(quota.peek(Instant::ZERO, 1), Err(Refusal::Until(reset)));
    /// assert_eq!(quota.peek(reset, 1), Ok(()));
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub fn observe(&mut self, spent: u64, resets: Instant) {
        // One length late, as all starts: it began a length before.
        self.windows.move_to(u128::from(resets.as_nanos()));
        self.spent = spent;
        self.observed = self.observed.wrapping_add(1);
    }

    /// Whether `amount` would pass at `now`; changes nothing.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Instant, Quota, Refusal};
    ///
    /// let mut day = Quota::new(2_000, Duration::from_secs(86_400))?;
    /// let _most = day.charge(Instant::ZERO, 1_900);
    /// assert_eq!(day.peek(Instant::ZERO, 100), Ok(()));
    /// assert_eq!(day.peek(Instant::ZERO, 101), Err(Refusal::Until(Instant::from_secs(86_400))));
    /// assert_eq!(day.peek(Instant::ZERO, 2_001), Err(Refusal::Never));
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// As [`try_acquire`](Self::try_acquire).
    pub fn peek(&self, now: Instant, amount: u64) -> Result<(), Refusal> {
        if amount > self.limit {
            return Err(Refusal::Never);
        }
        if self.windows.place(now) != Place::Same {
            return Ok(());
        }
        let start = self.windows.start();
        let sum = self.spent.checked_add(amount);
        if sum.is_none_or(|sum| sum > self.limit) {
            return Err(Refusal::Until(self.windows.end(start)));
        }
        // How far into the window the line has caught up with what is spent.
        let least = u128::from(self.spent.saturating_sub(self.ahead))
            .saturating_mul(u128::from(self.windows.length()))
            .div_ceil(u128::from(self.limit.max(1)));
        if u128::from(self.windows.elapsed(start, now)) >= least {
            return Ok(());
        }
        Err(Refusal::Until(self.windows.instant(start, least)))
    }

    /// Takes `amount` at `now` if it passes; changes nothing if not. Where the
    /// clock went back, the newest window counts.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Instant, Quota};
    ///
    /// let mut day = Quota::new(2_000, Duration::from_secs(86_400))?;
    /// assert!(day.try_acquire(Instant::ZERO, 1_500).is_ok());
    /// assert!(day.try_acquire(Instant::ZERO, 501).is_err());
    /// assert_eq!(day.spent(Instant::ZERO), 1_500);
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// [`Refusal::Until`] the reset, or the exact instant at which the line
    /// has caught up; [`Refusal::Never`] where `amount` is more than the limit.
    pub fn try_acquire(&mut self, now: Instant, amount: u64) -> Result<QuotaCharge, Refusal> {
        self.peek(now, amount)?;
        Ok(self.charge(now, amount))
    }

    /// Takes `amount` at `now` whether it passes or not.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Instant, Quota};
    ///
    /// let mut day = Quota::new(2_000, Duration::from_secs(86_400))?;
    /// let _more_than_there_is = day.charge(Instant::ZERO, 2_500);
    /// assert_eq!(day.spent(Instant::ZERO), 2_500);
    /// assert_eq!(day.spent(Instant::from_secs(86_400)), 0);
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub fn charge(&mut self, now: Instant, amount: u64) -> QuotaCharge {
        match self.windows.place(now) {
            Place::Same => {}
            Place::Next(start) | Place::Later(start) => {
                self.windows.move_to(start);
                self.spent = 0;
            }
            Place::None => {
                self.windows.begin(now);
                self.spent = 0;
            }
        }
        self.spent = self.spent.saturating_add(amount);
        QuotaCharge {
            amount,
            observed: self.observed,
            start: self.windows.start(),
        }
    }

    /// Gives `amount` of a charge back, or all of it where that is less: it is
    /// as if it had not been charged. Nothing, once the window has ended or the
    /// server has said what is spent.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Instant, Quota};
    ///
    /// let mut day = Quota::new(2_000, Duration::from_secs(86_400))?;
    /// let mut charge = day.charge(Instant::ZERO, 500);
    /// day.refund(&mut charge, 200);
    /// assert_eq!(day.spent(Instant::ZERO), 300);
    ///
    /// // What the server says is spent has the rest in it.
    /// day.observe(350, Instant::from_secs(86_400));
    /// day.refund(&mut charge, 300);
    /// assert_eq!(day.spent(Instant::ZERO), 350);
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub fn refund(&mut self, charge: &mut QuotaCharge, amount: u64) {
        let amount = amount.min(charge.amount);
        charge.amount = charge.amount.saturating_sub(amount);
        if charge.start == self.windows.start() && charge.observed == self.observed {
            self.spent = self.spent.saturating_sub(amount);
        }
    }

    /// The limit.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::Quota;
    ///
    /// assert_eq!(Quota::new(2_000, Duration::from_secs(86_400))?.limit(), 2_000);
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub const fn limit(&self) -> u64 {
        self.limit
    }

    /// What is spent in the window of `now`; more than the limit, perhaps.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Instant, Quota};
    ///
    /// let mut day = Quota::new(2_000, Duration::from_secs(86_400))?;
    /// let _some = day.charge(Instant::ZERO, 500);
    /// assert_eq!(day.spent(Instant::from_secs(86_399)), 500);
    /// assert_eq!(day.spent(Instant::from_secs(86_400)), 0);
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub fn spent(&self, now: Instant) -> u64 {
        match self.windows.place(now) {
            Place::Same => self.spent,
            Place::Next(_) | Place::Later(_) | Place::None => 0,
        }
    }

    /// The share that is spent in the window of `now`, in millionths, rounded
    /// up; more than a million where it is more than the limit. Saturating.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Instant, Quota};
    ///
    /// let mut day = Quota::new(2_000, Duration::from_secs(86_400))?;
    /// let _debt = day.charge(Instant::ZERO, 2_140);
    /// assert_eq!(day.utilisation(Instant::ZERO), 1_070_000);
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub fn utilisation(&self, now: Instant) -> u64 {
        let millionths = u128::from(self.spent(now)).saturating_mul(1_000_000);
        let share = millionths.div_ceil(u128::from(self.limit.max(1)));
        u64::try_from(share).unwrap_or(u64::MAX)
    }

    /// When the window of `now` ends; `None` where it has not begun.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Instant, Quota};
    ///
    /// let mut day = Quota::new(2_000, Duration::from_secs(86_400))?;
    /// assert_eq!(day.resets(Instant::ZERO), None, "the first use begins it");
    /// day.observe(500, Instant::from_secs(3_600));
    /// assert_eq!(day.resets(Instant::ZERO), Some(Instant::from_secs(3_600)));
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

impl Limit for Quota {
    type Amount = u64;
    type Charge = QuotaCharge;

    fn peek(&self, now: Instant, amount: u64) -> Result<(), Blocked> {
        self.peek(now, amount).map_err(Blocked::alone)
    }

    fn charge(&mut self, now: Instant, amount: u64) -> QuotaCharge {
        self.charge(now, amount)
    }

    fn refund(&mut self, _now: Instant, charge: &mut QuotaCharge, amount: u64) {
        self.refund(charge, amount);
    }
}
