//! The token bucket, as the generic cell rate algorithm.
//!
//! Choose it where a server refills continuously, as the Claude API does. It
//! takes 224 bytes, and errs by nothing: what it lets pass in any span `w` is at
//! most `burst + rate * w`, in exact integers. That is nearly twice the rate in
//! the first minute after a rest; where a server counts every minute for itself,
//! choose [`strict`](TokenBucket::strict).
//!
//! # Theory of operation
//!
//! GCRA (ITU-T I.371, 1993) keeps one number, the theoretical arrival time
//! (TAT): the instant at which the bucket would be full again. A cost moves it
//! later, the clock catches up with it, and the level is what is missing
//! between them:
//!
//! ```text
//! level = burst - max(0, TAT - now) * rate
//! ```
//!
//! A rate is a fraction, count / period, and an interval between two tokens
//! need not be a whole number of nanoseconds. So TAT is kept in units of
//! 1 / count nanoseconds: one nanosecond is `count` units, one token is
//! `period` units, and no step of the algorithm rounds. Counts and periods lie
//! below 2^63 and amounts and instants below 2^64, so each product fits a u128;
//! sums saturate, which only debts of more than 2^63 times the burst can reach.
//! The only division, rounded up, turns units back into the instant that a
//! refusal names.
//!
//! # Giving back
//!
//! A level is never lifted above what it would be without the charge that is
//! given back. Without it the bucket may have been full at some time since, and
//! then refill was lost that the charge had kept from being lost. How far from
//! full it was at the latest charge bounds what may be given back, and the
//! bucket keeps just enough to know that bound: the instant of the latest
//! charge, and running totals of what was given back and raised. A reservation
//! counts as charged at the instant for which it was promised. Where rate or
//! burst change, what older charges still hold is converted, exactly, and
//! rounded down by less than one unit.

use core::time::Duration;

use crate::{
    error::ConfigError,
    limit::{Blocked, Limit, Refusal},
    time::Instant,
    units::Rate,
};

/// A token bucket: holds up to `burst`, refills at `rate`, starts full.
///
/// Choose it where a server refills continuously, as the Claude API does. It
/// takes 224 bytes and is exact: in any span `w` at most `burst + rate * w`
/// passes.
///
/// ```
/// use sendwhen::{Instant, Rate, Refusal, TokenBucket};
///
/// // Three per second, two at once.
/// let mut bucket = TokenBucket::new(Rate::per_second(3)?, 2)?;
/// let now = Instant::from_secs(100);
/// assert!(bucket.try_acquire(now, 2).is_ok());
///
/// let Err(Refusal::Until(t)) = bucket.try_acquire(now, 1) else { panic!() };
/// assert_eq!(t.as_nanos() - now.as_nanos(), 333_333_334);
/// assert!(bucket.try_acquire(Instant::from_nanos(t.as_nanos() - 1), 1).is_err());
/// assert!(bucket.try_acquire(t, 1).is_ok());
///
/// assert_eq!(bucket.try_acquire(now, 3).err(), Some(Refusal::Never));
/// # Ok::<(), sendwhen::ConfigError>(())
/// ```
///
/// ![what it lets pass](https://raw.githubusercontent.com/sendwhen/sendwhen/main/docs/shapes/bucket.svg)
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TokenBucket {
    rate: Rate,
    burst: u64,
    /// The burst, in units.
    depth: u128,
    /// The theoretical arrival time, in units.
    tat: u128,
    /// The latest instant of a charge.
    last: Instant,
    /// All that was ever given back, in units; wraps.
    returned: u128,
    /// What was charged and not given back since it was last found full, in
    /// tokens; saturating.
    since_full: u64,
    /// By how much its level was ever raised otherwise, in units; wraps.
    raised: u128,
    /// How often it was found full, and twice how often its rate or burst was
    /// changed; wraps.
    era: u32,
    /// The number of the newest charge; wraps.
    serial: u32,
    /// How it was before rate and burst last changed.
    earlier: Option<Earlier>,
}

/// What the charges from before a change of rate and burst are converted by: how
/// it was before the change, and right after it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Earlier {
    rate: Rate,
    last: Instant,
    returned: u128,
    raised: u128,
    era: u32,
    /// The theoretical arrival time right after it, in units of the new rate.
    tat: u128,
    /// What all charges could still give back, in tokens.
    since_full: u64,
}

/// What [`TokenBucket`] remembers of one charge, so that it can be given back.
///
/// ```
/// use sendwhen::{Instant, Rate, TokenBucket};
///
/// // 1 000 tokens were thought of, and 400 used.
/// let mut bucket = TokenBucket::new(Rate::per_minute(1_000)?, 1_000)?;
/// let mut charge = bucket.try_acquire(Instant::ZERO, 1_000).unwrap();
/// bucket.refund(&mut charge, 600);
/// assert_eq!(charge.amount(), 400);
/// assert_eq!(bucket.available(Instant::ZERO), 600);
/// # Ok::<(), sendwhen::ConfigError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Charge {
    amount: u64,
    /// The latest instant of a charge before it.
    before: Instant,
    /// The theoretical arrival time right after it, in units.
    tat: u128,
    /// What had been given back by then, in units.
    returned: u128,
    /// What older charges could still give back.
    older: u64,
    raised: u128,
    era: u32,
    serial: u32,
}

impl Charge {
    /// How much was charged and has not been given back.
    ///
    /// ```
    /// use sendwhen::{Instant, Rate, TokenBucket};
    ///
    /// let mut bucket = TokenBucket::new(Rate::per_second(1)?, 10)?;
    /// let mut charge = bucket.charge(Instant::ZERO, 7);
    /// bucket.refund(&mut charge, 2);
    /// assert_eq!(charge.amount(), 5);
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub const fn amount(&self) -> u64 {
        self.amount
    }

    /// Of nothing.
    pub(crate) const NONE: Self = Self {
        amount: 0,
        before: Instant::ZERO,
        tat: 0,
        returned: 0,
        older: 0,
        raised: 0,
        era: 0,
        serial: 0,
    };

    /// The theoretical arrival time right after it, in units; 0 where nothing
    /// was charged.
    pub(crate) const fn tat(&self) -> u128 {
        self.tat
    }
}

/// Leave to go at an instant, charged already.
///
/// ```
/// use core::time::Duration;
/// use sendwhen::{Instant, Rate, TokenBucket};
///
/// let mut bucket = TokenBucket::new(Rate::per_second(1)?, 2)?;
/// let _all = bucket.charge(Instant::ZERO, 2);
/// let turn = bucket.reserve(Instant::ZERO, 1, Duration::from_secs(5)).unwrap();
/// assert_eq!(turn.at(), Instant::from_secs(1));
/// assert_eq!(turn.charge().amount(), 1);
/// # Ok::<(), sendwhen::ConfigError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use = "what is reserved and not used is lost until it is cancelled"]
pub struct Reservation {
    at: Instant,
    charge: Charge,
    /// The theoretical arrival time before it, in units.
    before: u128,
}

impl Reservation {
    /// When it may go.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Instant, Rate, TokenBucket};
    ///
    /// let mut bucket = TokenBucket::new(Rate::per_second(1)?, 2)?;
    /// let now = bucket.reserve(Instant::ZERO, 2, Duration::ZERO).unwrap();
    /// assert_eq!(now.at(), Instant::ZERO);
    /// let later = bucket.reserve(Instant::ZERO, 2, Duration::MAX).unwrap();
    /// assert_eq!(later.at(), Instant::from_secs(2));
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub const fn at(&self) -> Instant {
        self.at
    }

    /// The charge, to give a part of it back by [`TokenBucket::refund`].
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Instant, Rate, TokenBucket};
    ///
    /// let mut bucket = TokenBucket::new(Rate::per_second(1)?, 10)?;
    /// let mut charge = bucket.reserve(Instant::ZERO, 8, Duration::ZERO).unwrap().charge();
    /// bucket.refund(&mut charge, 5);
    /// assert_eq!(bucket.available(Instant::ZERO), 7);
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub const fn charge(self) -> Charge {
        self.charge
    }
}

impl TokenBucket {
    /// A full bucket that holds `burst` and refills at `rate`.
    ///
    /// ```
    /// use sendwhen::{ConfigError, Instant, Rate, TokenBucket};
    ///
    /// const FIFTY: Result<Rate, ConfigError> = Rate::per_minute(50);
    /// let bucket = TokenBucket::new(FIFTY?, 10)?;
    /// assert_eq!(bucket.available(Instant::ZERO), 10);
    /// assert_eq!(TokenBucket::new(FIFTY?, 0), Err(ConfigError::ZeroBurst));
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// Where `burst` is 0.
    pub const fn new(rate: Rate, burst: u64) -> Result<Self, ConfigError> {
        if burst == 0 {
            return Err(ConfigError::ZeroBurst);
        }
        Ok(Self {
            rate,
            burst,
            depth: tokens(rate, burst),
            tat: 0,
            last: Instant::ZERO,
            returned: 0,
            since_full: 0,
            raised: 0,
            era: 0,
            serial: 0,
            earlier: None,
        })
    }

    /// A full bucket that lets at most `limit` pass in any `window`, wherever
    /// it begins, and at most `burst` at once: what is not burst comes in over
    /// the window.
    ///
    /// The larger the burst, the slower it refills: with half of the limit as
    /// burst, half of the limit is the steady rate.
    ///
    /// ![what it lets pass](https://raw.githubusercontent.com/sendwhen/sendwhen/main/docs/shapes/strict.svg)
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Rate, TokenBucket};
    ///
    /// const BUCKET: Result<TokenBucket, sendwhen::ConfigError> =
    ///     TokenBucket::strict(50, Duration::from_secs(60), 10);
    /// assert_eq!(BUCKET?.rate(), Rate::per_minute(40)?);
    /// assert_eq!(BUCKET?.burst(), 10);
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// Where `burst` is 0 or not below `limit`, or the rate that is left is one
    /// that [`Rate::per`] refuses.
    pub const fn strict(limit: u64, window: Duration, burst: u64) -> Result<Self, ConfigError> {
        let Some(refill) = limit.checked_sub(burst) else {
            return Err(ConfigError::BurstNotBelowLimit);
        };
        if refill == 0 {
            return Err(ConfigError::BurstNotBelowLimit);
        }
        match Rate::per(refill, window) {
            Ok(rate) => Self::new(rate, burst),
            Err(error) => Err(error),
        }
    }

    /// Its rate of refill.
    ///
    /// ```
    /// use sendwhen::{Rate, TokenBucket};
    ///
    /// let bucket = TokenBucket::new(Rate::per_minute(60)?, 10)?;
    /// assert_eq!(bucket.rate(), Rate::per_second(1)?);
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub const fn rate(&self) -> Rate {
        self.rate
    }

    /// The most that it holds.
    ///
    /// ```
    /// use sendwhen::{Rate, TokenBucket};
    ///
    /// let bucket = TokenBucket::new(Rate::per_minute(60)?, 10)?;
    /// assert_eq!(bucket.burst(), 10);
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub const fn burst(&self) -> u64 {
        self.burst
    }

    /// Whether `amount` would pass at `now`; changes nothing.
    ///
    /// ```
    /// use sendwhen::{Instant, Rate, Refusal, TokenBucket};
    ///
    /// let mut bucket = TokenBucket::new(Rate::per_second(1)?, 10)?;
    /// let _most = bucket.charge(Instant::ZERO, 8);
    /// assert_eq!(bucket.peek(Instant::ZERO, 2), Ok(()));
    /// assert_eq!(bucket.peek(Instant::ZERO, 5), Err(Refusal::Until(Instant::from_secs(3))));
    /// assert_eq!(bucket.peek(Instant::ZERO, 11), Err(Refusal::Never));
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// As [`try_acquire`](Self::try_acquire).
    #[inline]
    pub fn peek(&self, now: Instant, amount: u64) -> Result<(), Refusal> {
        if amount > self.burst {
            return Err(Refusal::Never);
        }
        // Fits as it stands, or once the clock has caught up with what is due.
        let room = self.room(now, amount);
        if self.tat <= room {
            return Ok(());
        }
        Err(Refusal::Until(
            self.instant_after(now, self.tat.wrapping_sub(room)),
        ))
    }

    /// The latest theoretical arrival time with which `amount`, which is at most
    /// the burst, passes at `now`.
    #[expect(
        clippy::arithmetic_side_effects,
        reason = "ticks and depth are below 2^127, and tokens of at most the burst are at most the depth"
    )]
    #[inline]
    const fn room(&self, now: Instant, amount: u64) -> u128 {
        ticks(self.rate, now) + (self.depth - tokens(self.rate, amount))
    }

    /// Takes `amount` at `now` if the bucket holds it; changes nothing if not.
    ///
    /// A `now` before that of an earlier call is answered as of `now`, with all
    /// that was charged since counted: it admits no more.
    ///
    /// ```
    /// use sendwhen::{Instant, Rate, Refusal, TokenBucket};
    ///
    /// let mut bucket = TokenBucket::new(Rate::per_second(1)?, 10)?;
    /// assert!(bucket.try_acquire(Instant::ZERO, 10).is_ok());
    /// let refused = bucket.try_acquire(Instant::ZERO, 1);
    /// assert_eq!(refused, Err(Refusal::Until(Instant::from_secs(1))));
    /// assert!(bucket.try_acquire(Instant::from_secs(1), 1).is_ok());
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// [`Refusal::Until`] with the exact instant from which it passes, or
    /// [`Refusal::Never`] where `amount` is more than the burst.
    #[inline]
    pub fn try_acquire(&mut self, now: Instant, amount: u64) -> Result<Charge, Refusal> {
        self.peek(now, amount)?;
        Ok(self.charge(now, amount))
    }

    /// Takes what is there of `amount` at `now`: [`Charge::amount`] says how
    /// much that was.
    ///
    /// ```
    /// use sendwhen::{Instant, Rate, Refusal, TokenBucket};
    ///
    /// let mut bucket = TokenBucket::new(Rate::per_second(1)?, 10)?;
    /// let now = Instant::ZERO;
    /// assert_eq!(bucket.acquire_up_to(now, 7).unwrap().amount(), 7);
    /// assert_eq!(bucket.acquire_up_to(now, 7).unwrap().amount(), 3);
    /// let none = bucket.acquire_up_to(now, 7);
    /// assert_eq!(none, Err(Refusal::Until(Instant::from_secs(1))));
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// [`Refusal::Until`] the exact instant from which one is there, where
    /// none is.
    pub fn acquire_up_to(&mut self, now: Instant, amount: u64) -> Result<Charge, Refusal> {
        let there = amount.min(self.available(now));
        if there == 0 {
            self.peek(now, amount.min(1))?;
        }
        Ok(self.charge(now, there))
    }

    /// Takes `amount` ahead of its coming in, and says when it may go: at once
    /// where the bucket holds it, and no later than `longest` from `now`. Who
    /// asks later waits behind it. Changes nothing if refused.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Instant, Rate, Refusal, TokenBucket};
    ///
    /// let mut bucket = TokenBucket::new(Rate::per_second(1)?, 2)?;
    /// let (now, longest) = (Instant::ZERO, Duration::from_secs(2));
    /// assert_eq!(bucket.reserve(now, 2, longest).unwrap().at(), now);
    /// let second = bucket.reserve(now, 2, longest).unwrap();
    /// assert_eq!(second.at(), Instant::from_secs(2));
    /// let third = bucket.reserve(now, 1, longest);
    /// assert_eq!(third, Err(Refusal::Until(Instant::from_secs(3))));
    ///
    /// bucket.cancel(second);
    /// assert_eq!(bucket.reserve(now, 1, longest).unwrap().at(), Instant::from_secs(1));
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// [`Refusal::Until`] where that is later than the longest wait,
    /// [`Refusal::Never`] where `amount` is more than the burst.
    pub fn reserve(
        &mut self,
        now: Instant,
        amount: u64,
        longest: Duration,
    ) -> Result<Reservation, Refusal> {
        let before = self.tat;
        let at = match self.peek(now, amount) {
            Ok(()) => now,
            Err(Refusal::Until(at)) if at <= now.saturating_add(longest) => at,
            Err(refusal) => return Err(refusal),
        };
        let charge = if at == now {
            self.charge(now, amount)
        } else {
            // Not found full, though it may be by then: that is in `last`. It
            // holds no more than the burst.
            self.tat = self.tat.max(ticks(self.rate, at));
            self.enter(at, amount)
        };
        Ok(Reservation { at, charge, before })
    }

    /// Gives a reservation back that was not used, whenever and in whatever
    /// order: as [`refund`](Self::refund) of all of it, charged at the instant
    /// that was promised, and without a trace where nothing was charged or given
    /// back since. Else what the promise was rounded up by, less than a
    /// nanosecond's refill, may be lost.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Instant, Rate, TokenBucket};
    ///
    /// let mut bucket = TokenBucket::new(Rate::per_second(1)?, 10)?;
    /// let _all = bucket.charge(Instant::ZERO, 10);
    /// let [first, second] = [3, 4].map(|n| bucket.reserve(Instant::ZERO, n, Duration::MAX).unwrap());
    /// bucket.cancel(first);
    /// bucket.cancel(second);
    /// assert_eq!(bucket.peek(Instant::from_secs(1), 1), Ok(()));
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub fn cancel(&mut self, mut reservation: Reservation) {
        let charge = &mut reservation.charge;
        let untouched = charge.serial == self.serial
            && charge.era == self.era
            && charge.tat == self.tat
            && charge.returned == self.returned
            && charge.raised == self.raised;
        self.refund(charge, u64::MAX);
        if untouched {
            self.tat = reservation.before;
        }
    }

    /// Takes `amount` at `now` whether the bucket holds it or not. What it does
    /// not hold is a debt that the refill pays off first.
    ///
    /// ```
    /// use sendwhen::{Instant, Rate, Refusal, TokenBucket};
    ///
    /// let mut bucket = TokenBucket::new(Rate::per_second(10)?, 20)?;
    /// let _more_than_thought = bucket.charge(Instant::ZERO, 50);
    /// assert_eq!(bucket.debt(Instant::ZERO), 30);
    /// assert_eq!(bucket.peek(Instant::ZERO, 1), Err(Refusal::Until(Instant::from_millis(3_100))));
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    #[inline]
    pub fn charge(&mut self, now: Instant, amount: u64) -> Charge {
        let here = ticks(self.rate, now);
        if self.tat <= here {
            self.era = self.era.wrapping_add(1);
            self.since_full = 0;
            self.tat = here;
        }
        self.enter(now, amount)
    }

    /// Enters a charge of `amount` at `at`, at which it holds no more than the
    /// burst.
    #[inline]
    fn enter(&mut self, at: Instant, amount: u64) -> Charge {
        let older = self.since_full;
        self.tat = self.tat.saturating_add(tokens(self.rate, amount));
        let before = self.last;
        self.serial = self.serial.wrapping_add(1);
        self.last = self.last.max(at);
        self.since_full = older.saturating_add(amount);
        Charge {
            amount,
            before,
            tat: self.tat,
            returned: self.returned,
            older,
            raised: self.raised,
            era: self.era,
            serial: self.serial,
        }
    }

    /// Gives `amount` of a charge back, or all of it where that is less.
    ///
    /// The level is never lifted above what it would be without the charge. At
    /// most the refill since the charge is lost in this, and nothing where the
    /// bucket cannot have been full since. Where younger charges were given
    /// back before it, what is lost is at most the refill since the bucket was
    /// last full: in constant space it is not known whose refunds they were.
    /// Nothing comes back of a charge from before the last change but one of
    /// rate or burst.
    ///
    /// ```
    /// use sendwhen::{Instant, Rate, TokenBucket};
    ///
    /// let mut bucket = TokenBucket::new(Rate::per_second(1)?, 10)?;
    /// let mut charge = bucket.charge(Instant::ZERO, 10);
    /// bucket.refund(&mut charge, 4);
    /// assert_eq!(bucket.available(Instant::ZERO), 4);
    ///
    /// // Without the rest of the charge it would have been full all the time.
    /// let _full = bucket.charge(Instant::from_secs(6), 10);
    /// bucket.refund(&mut charge, 6);
    /// assert_eq!(bucket.available(Instant::from_secs(6)), 0);
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub fn refund(&mut self, charge: &mut Charge, amount: u64) {
        let amount = amount.min(charge.amount);
        if amount == 0 {
            return;
        }
        let most = self.convert_charge(charge);
        // Found full since, it would have been full without the charge too.
        if !self.is_of_this_era(charge) {
            charge.amount = charge.amount.saturating_sub(amount);
            return;
        }
        // Every later charge found the bucket at least this far from full: what
        // was owed then, less the refill until the last of them, less what
        // older charges gave back meanwhile. Without this charge it may have
        // been full where that is less than the charge, and refill was lost.
        let given_back = self.returned.wrapping_sub(charge.returned);
        let raised = self.raised.wrapping_sub(charge.raised);
        let still_owed = charge
            .tat
            .saturating_sub(ticks(self.rate, self.last))
            .saturating_sub(given_back.min(tokens(self.rate, charge.older)))
            .saturating_sub(raised);
        let back = tokens(self.rate, amount);
        let given = back.min(still_owed).min(most).min(self.tat);
        self.tat = self.tat.wrapping_sub(given);
        self.returned = self.returned.wrapping_add(given);
        if amount == charge.amount && charge.serial == self.serial {
            // The newest charge, and all of it: as if it had never been, and
            // the one before it is the newest again.
            self.last = charge.before;
            self.serial = self.serial.wrapping_sub(1);
            if given_back == 0 {
                self.returned = charge.returned;
            }
        }
        self.since_full = self.since_full.saturating_sub(amount);
        // What is left of the charge is as if it had been that much less.
        let most = most.saturating_sub(given);
        charge.amount = charge.amount.saturating_sub(amount).min(self.whole(most));
        charge.tat = charge.tat.saturating_sub(back);
        charge.returned = charge.returned.wrapping_add(given);
    }

    /// Whether the bucket has not been found full since the charge, nor changed
    /// since it was converted.
    fn is_of_this_era(&self, charge: &Charge) -> bool {
        match self.earlier {
            Some(earlier) if charge.era == earlier.era.wrapping_add(1) => {
                self.era == earlier.era.wrapping_add(2)
            }
            _ => charge.era == self.era,
        }
    }

    /// Makes of a charge from before the last change of rate and burst the last
    /// one that was made before it, and tells how much of it the bucket was
    /// still owed by then, in units: no more of it can be given back. Its era
    /// is one that no charge is made in, so that the next change does not take
    /// it for one from before: what several of them can still give back
    /// together is not known then.
    fn convert_charge(&self, charge: &mut Charge) -> u128 {
        let Some(earlier) = self.earlier.filter(|earlier| earlier.era == charge.era) else {
            return u128::MAX;
        };
        let given_back = earlier.returned.wrapping_sub(charge.returned);
        let still_owed = charge
            .tat
            .saturating_sub(ticks(earlier.rate, earlier.last))
            .saturating_sub(given_back.min(tokens(earlier.rate, charge.older)))
            .saturating_sub(earlier.raised.wrapping_sub(charge.raised));
        charge.tat = earlier.tat;
        charge.older = earlier.since_full.saturating_sub(charge.amount);
        charge.returned = 0;
        charge.raised = 0;
        charge.era = charge.era.wrapping_add(1);
        convert(still_owed, earlier.rate, self.rate, Round::Down)
    }

    /// What it holds at `now`, rounded down; 0 where it is in debt.
    ///
    /// ```
    /// use sendwhen::{Instant, Rate, TokenBucket};
    ///
    /// let mut bucket = TokenBucket::new(Rate::per_second(2)?, 10)?;
    /// let _some = bucket.charge(Instant::ZERO, 8);
    /// assert_eq!(bucket.available(Instant::from_millis(999)), 3);
    /// assert_eq!(bucket.available(Instant::from_secs(60)), 10);
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub fn available(&self, now: Instant) -> u64 {
        self.whole(self.depth.saturating_sub(self.owed(now)))
    }

    /// How far it is below empty at `now`, rounded up; 0 where it is not.
    ///
    /// ```
    /// use sendwhen::{Instant, Rate, TokenBucket};
    ///
    /// let mut bucket = TokenBucket::new(Rate::per_second(2)?, 10)?;
    /// let _more = bucket.charge(Instant::ZERO, 15);
    /// assert_eq!(bucket.debt(Instant::ZERO), 5);
    /// assert_eq!(bucket.debt(Instant::from_millis(100)), 5);
    /// assert_eq!(bucket.debt(Instant::from_secs(3)), 0);
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub fn debt(&self, now: Instant) -> u64 {
        self.tokens_in(self.owed(now).saturating_sub(self.depth))
    }

    /// Changes rate and burst at `now` and keeps what the bucket holds, as far
    /// as the new burst has room for it: no burst is given, no token is lost.
    /// What it holds is rounded down by less than one unit of the new rate.
    /// Instants that were promised before stand.
    ///
    /// ```
    /// use sendwhen::{Instant, Rate, TokenBucket};
    ///
    /// let mut bucket = TokenBucket::new(Rate::per_minute(50)?, 50)?;
    /// let mut charge = bucket.charge(Instant::ZERO, 30);
    /// bucket.set(Instant::ZERO, Rate::per_minute(1_000)?, 1_000)?;
    /// assert_eq!(bucket.available(Instant::ZERO), 20);
    /// bucket.refund(&mut charge, 30);
    /// assert_eq!(bucket.available(Instant::ZERO), 50);
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// Where `burst` is 0; then nothing changes.
    pub fn set(&mut self, now: Instant, rate: Rate, burst: u64) -> Result<(), ConfigError> {
        let mut changed = Self::new(rate, burst)?;
        let owed = self.owed(now);
        // What it misses of the new burst: what it missed of the old one, and
        // the difference between them.
        let missing = convert(owed, self.rate, rate, Round::Up)
            .saturating_add(changed.depth)
            .saturating_sub(tokens(rate, self.burst));
        changed.tat = ticks(rate, now).saturating_add(missing);
        // What was reserved ahead is a debt from here on.
        changed.last = now;
        // None from before it is the newest any more.
        changed.serial = self.serial.wrapping_add(1);
        changed.era = self.era.wrapping_add(2);
        if owed == 0 || missing == 0 {
            // Full at the change: nothing from before it is given back.
            changed.era = changed.era.wrapping_add(1);
        } else {
            changed.since_full = self.since_full;
        }
        changed.earlier = Some(Earlier {
            rate: self.rate,
            last: self.last.max(now),
            returned: self.returned,
            raised: self.raised,
            era: self.era,
            tat: changed.tat,
            since_full: self.since_full,
        });
        *self = changed;
        Ok(())
    }

    /// Moves the theoretical arrival time to between `least` and `most`, where
    /// it is not. Whatever raises the level is no longer there to be given
    /// back.
    pub(crate) fn clamp_tat(&mut self, least: u128, most: u128) {
        let lifted = self.tat.saturating_sub(most);
        self.raised = self.raised.wrapping_add(lifted);
        self.tat = self.tat.min(most).max(least);
    }

    /// Puts `amount` in, as far as there is room for it.
    pub(crate) const fn put(&mut self, amount: u64) {
        let units = tokens(self.rate, amount);
        self.tat = self.tat.saturating_sub(units);
        self.raised = self.raised.wrapping_add(units);
    }

    /// Whether `amount` would pass at `now` if the theoretical arrival time were
    /// `tat` and the level might fall `owing` below 0.
    #[inline]
    pub(crate) fn peek_at(
        &self,
        tat: u128,
        now: Instant,
        amount: u64,
        owing: u64,
    ) -> Result<(), Refusal> {
        let due = tat.saturating_add(tokens(self.rate, amount));
        let room = ticks(self.rate, now)
            .saturating_add(self.depth)
            .saturating_add(tokens(self.rate, owing));
        if due <= room {
            return Ok(());
        }
        Err(Refusal::Until(
            self.instant_after(now, due.wrapping_sub(room)),
        ))
    }

    /// What it would hold at `now` if the theoretical arrival time were `tat`,
    /// rounded down; negative where that is a debt.
    pub(crate) fn level_at(&self, tat: u128, now: Instant) -> i128 {
        let owed = tat.saturating_sub(ticks(self.rate, now));
        let missing = owed.div_ceil(u128::from(self.rate.period_nanos().max(1)));
        let missing = i128::try_from(missing).unwrap_or(i128::MAX);
        i128::from(self.burst).saturating_sub(missing)
    }

    /// The theoretical arrival time, in units.
    pub(crate) const fn tat(&self) -> u128 {
        self.tat
    }

    /// Whether it is full at `now`.
    pub(crate) const fn is_full(&self, now: Instant) -> bool {
        self.tat <= ticks(self.rate, now)
    }

    /// The instant from which `amount` would pass if `back` were given back
    /// now: `now` itself where that is past.
    pub(crate) fn passes_after_refund(&self, now: Instant, amount: u64, back: u64) -> Instant {
        let due = self
            .tat
            .saturating_sub(tokens(self.rate, back))
            .saturating_add(tokens(self.rate, amount))
            .saturating_sub(self.depth);
        let here = ticks(self.rate, now);
        self.instant_after(now, due.saturating_sub(here))
    }

    /// How far it is from full at `now`, in units.
    const fn owed(&self, now: Instant) -> u128 {
        self.tat.saturating_sub(ticks(self.rate, now))
    }

    /// How many tokens `units` are, rounded down; saturating.
    fn whole(&self, units: u128) -> u64 {
        let whole = units.checked_div(u128::from(self.rate.period_nanos()));
        whole
            .and_then(|whole| u64::try_from(whole).ok())
            .unwrap_or(u64::MAX)
    }

    /// How many tokens `units` are, rounded up; saturating.
    pub(crate) fn tokens_in(&self, units: u128) -> u64 {
        let whole = units.div_ceil(u128::from(self.rate.period_nanos().max(1)));
        u64::try_from(whole).unwrap_or(u64::MAX)
    }

    /// The instant `units` after `now`, rounded up: the one place where units
    /// become time. Most fit 64 bits, in which division is several times
    /// faster.
    #[inline]
    fn instant_after(&self, now: Instant, units: u128) -> Instant {
        let count = self.rate.count().max(1);
        let span = match u64::try_from(units) {
            Ok(units) => units.div_ceil(count),
            Err(_) => u64::try_from(units.div_ceil(u128::from(count))).unwrap_or(u64::MAX),
        };
        Instant::from_nanos(now.as_nanos().saturating_add(span))
    }
}

impl Limit for TokenBucket {
    type Amount = u64;
    type Charge = Charge;

    #[inline]
    fn peek(&self, now: Instant, amount: u64) -> Result<(), Blocked> {
        self.peek(now, amount).map_err(Blocked::alone)
    }

    #[inline]
    fn charge(&mut self, now: Instant, amount: u64) -> Charge {
        self.charge(now, amount)
    }

    fn refund(&mut self, _now: Instant, charge: &mut Charge, amount: u64) {
        self.refund(charge, amount);
    }
}

/// An instant in units of `rate`.
#[expect(
    clippy::arithmetic_side_effects,
    reason = "two factors below 2^64 and 2^63 multiply to less than 2^127"
)]
#[inline]
pub(crate) const fn ticks(rate: Rate, at: Instant) -> u128 {
    at.as_nanos() as u128 * rate.count() as u128
}

/// An amount in units of `rate`.
#[expect(
    clippy::arithmetic_side_effects,
    reason = "two factors below 2^64 and 2^63 multiply to less than 2^127"
)]
#[inline]
pub(crate) const fn tokens(rate: Rate, amount: u64) -> u128 {
    amount as u128 * rate.period_nanos() as u128
}

#[derive(Clone, Copy)]
enum Round {
    Up,
    Down,
}

/// `units` of rate `from` in units of rate `to`, the same tokens.
fn convert(units: u128, from: Rate, to: Rate, round: Round) -> u128 {
    let (old, new) = (
        u128::from(from.period_nanos().max(1)),
        u128::from(to.period_nanos()),
    );
    let whole = units.checked_div(old).unwrap_or_default();
    let rest = units.checked_rem(old).unwrap_or_default();
    let part = rest.saturating_mul(new);
    let part = match round {
        Round::Up => part.div_ceil(old),
        Round::Down => part.checked_div(old).unwrap_or_default(),
    };
    whole.saturating_mul(new).saturating_add(part)
}

#[cfg(test)]
mod tests;
