//! The leaky bucket as a queue: one by one, evenly.
//!
//! Choose it where requests shall not come in bursts at all. It takes 48 bytes,
//! and errs by nothing: after each request it lets nothing pass for as long as
//! the request's amount takes at the rate. An amount of any size passes; the
//! next one waits for it.
//!
//! A token bucket of burst 1 spaces single requests too; this one also spaces
//! amounts, as bytes down a wire, and hands out turns in a queue.

use core::time::Duration;

use crate::{
    limit::{Blocked, Limit, Refusal, ticks, tokens},
    time::Instant,
    units::Rate,
};

/// Lets amounts pass one after the other, each taking its time at a rate.
///
/// Choose it where requests shall not come in bursts at all. It takes 48 bytes
/// and is exact.
///
/// ```
/// use core::time::Duration;
/// use sendwhen::{Instant, Rate, Refusal, Spacing};
///
/// let mut spacing = Spacing::new(Rate::per_second(3)?);
/// assert!(spacing.try_acquire(Instant::ZERO, 1).is_ok());
/// let refused = spacing.try_acquire(Instant::ZERO, 1);
/// assert_eq!(refused, Err(Refusal::Until(Instant::from_nanos(333_333_334))));
///
/// // As a queue: each gets its turn, if it is not too far away.
/// let longest = Duration::from_millis(700);
/// let turns = [(); 3].map(|()| spacing.reserve(Instant::ZERO, 1, longest).ok());
/// let at = turns.map(|turn| turn.map(|turn| turn.at().as_nanos()));
/// assert_eq!(at, [Some(333_333_334), Some(666_666_667), None]);
/// # Ok::<(), sendwhen::ConfigError>(())
/// ```
///
/// ![what it lets pass](https://raw.githubusercontent.com/sendwhen/sendwhen/main/docs/shapes/spacing.svg)
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Spacing {
    rate: Rate,
    /// When the next may pass, in units of 1 / count nanoseconds, as in
    /// [`TokenBucket`](crate::TokenBucket).
    next: u128,
    /// The number of the newest charge; wraps.
    serial: u64,
}

/// What [`Spacing`] remembers of a charge, so that it can be given back.
///
/// ```
/// use sendwhen::{Instant, Rate, Spacing};
///
/// let mut spacing = Spacing::new(Rate::per_second(1)?);
/// let mut charge = spacing.try_acquire(Instant::ZERO, 5).unwrap();
/// spacing.refund(&mut charge, 3);
/// assert_eq!(charge.amount(), 2);
/// # Ok::<(), sendwhen::ConfigError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SpacingCharge {
    amount: u64,
    serial: u64,
    /// When the next might have passed before it.
    before: u128,
    /// When it began to take its time.
    began: u128,
}

impl SpacingCharge {
    /// How much was charged and has not been given back.
    ///
    /// ```
    /// use sendwhen::{Instant, Rate, Spacing};
    ///
    /// let mut spacing = Spacing::new(Rate::per_second(1)?);
    /// assert_eq!(spacing.charge(Instant::ZERO, 5).amount(), 5);
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub const fn amount(&self) -> u64 {
        self.amount
    }
}

/// A turn in the queue, taken already.
///
/// ```
/// use core::time::Duration;
/// use sendwhen::{Instant, Rate, Spacing};
///
/// let mut spacing = Spacing::new(Rate::per_second(1)?);
/// let turns = [(); 3].map(|()| spacing.reserve(Instant::ZERO, 1, Duration::MAX).unwrap());
/// assert_eq!(turns.map(|turn| turn.at()), [0, 1, 2].map(Instant::from_secs));
/// # Ok::<(), sendwhen::ConfigError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use = "a turn that is not used is lost until it is cancelled"]
pub struct Turn {
    at: Instant,
    charge: SpacingCharge,
}

impl Turn {
    /// When it comes.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Instant, Rate, Spacing};
    ///
    /// let mut spacing = Spacing::new(Rate::per_second(1)?);
    /// let _first = spacing.charge(Instant::ZERO, 4);
    /// let turn = spacing.reserve(Instant::ZERO, 1, Duration::MAX).unwrap();
    /// assert_eq!(turn.at(), Instant::from_secs(4));
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub const fn at(&self) -> Instant {
        self.at
    }

    /// The charge, to give a part of it back by [`Spacing::refund`].
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Instant, Rate, Spacing};
    ///
    /// let mut spacing = Spacing::new(Rate::per_second(1)?);
    /// let mut charge = spacing.reserve(Instant::ZERO, 5, Duration::ZERO).unwrap().charge();
    /// spacing.refund(&mut charge, 3);
    /// assert_eq!(spacing.peek(Instant::from_secs(2), 1), Ok(()));
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub const fn charge(self) -> SpacingCharge {
        self.charge
    }
}

impl Spacing {
    /// Amounts that take their time at `rate`.
    ///
    /// ```
    /// use sendwhen::{Instant, Rate, Spacing};
    ///
    /// let spacing = Spacing::new(Rate::per_second(3)?);
    /// assert_eq!(spacing.peek(Instant::ZERO, 1), Ok(()));
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub const fn new(rate: Rate) -> Self {
        Self {
            rate,
            next: 0,
            serial: 0,
        }
    }

    /// Its rate.
    ///
    /// ```
    /// use sendwhen::{Rate, Spacing};
    ///
    /// assert_eq!(Spacing::new(Rate::per_minute(60)?).rate(), Rate::per_second(1)?);
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub const fn rate(&self) -> Rate {
        self.rate
    }

    /// Whether `amount` would pass at `now`; changes nothing.
    ///
    /// ```
    /// use sendwhen::{Instant, Rate, Refusal, Spacing};
    ///
    /// let mut spacing = Spacing::new(Rate::per_second(1)?);
    /// let _some = spacing.charge(Instant::ZERO, 3);
    /// assert_eq!(spacing.peek(Instant::ZERO, 1), Err(Refusal::Until(Instant::from_secs(3))));
    /// assert_eq!(spacing.peek(Instant::from_secs(3), u64::MAX), Ok(()));
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// As [`try_acquire`](Self::try_acquire).
    #[inline]
    pub fn peek(&self, now: Instant, _amount: u64) -> Result<(), Refusal> {
        match self.next_turn(now) {
            at if at == now => Ok(()),
            at => Err(Refusal::Until(at)),
        }
    }

    /// Takes `amount` at `now` if nothing is in its way; changes nothing if
    /// something is.
    ///
    /// ```
    /// use sendwhen::{Instant, Rate, Refusal, Spacing};
    ///
    /// let mut spacing = Spacing::new(Rate::per_second(1)?);
    /// assert!(spacing.try_acquire(Instant::ZERO, 2).is_ok());
    /// let refused = spacing.try_acquire(Instant::from_secs(1), 1);
    /// assert_eq!(refused, Err(Refusal::Until(Instant::from_secs(2))));
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// [`Refusal::Until`] the exact instant from which the way is free.
    #[inline]
    pub fn try_acquire(&mut self, now: Instant, amount: u64) -> Result<SpacingCharge, Refusal> {
        self.peek(now, amount)?;
        Ok(self.charge(now, amount))
    }

    /// Takes the next turn for `amount`, and says when it comes: no later than
    /// `longest` from `now`. Changes nothing if refused.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Instant, Rate, Refusal, Spacing};
    ///
    /// let mut spacing = Spacing::new(Rate::per_second(1)?);
    /// let longest = Duration::from_secs(1);
    /// let turns = [(); 3].map(|()| spacing.reserve(Instant::ZERO, 1, longest).map(|turn| turn.at()));
    /// let at = Instant::from_secs;
    /// assert_eq!(turns, [Ok(at(0)), Ok(at(1)), Err(Refusal::Until(at(2)))]);
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// [`Refusal::Until`] where it comes later.
    pub fn reserve(
        &mut self,
        now: Instant,
        amount: u64,
        longest: Duration,
    ) -> Result<Turn, Refusal> {
        let at = self.next_turn(now);
        if at > now.saturating_add(longest) {
            return Err(Refusal::Until(at));
        }
        let charge = self.charge(now, amount);
        Ok(Turn { at, charge })
    }

    /// Gives a turn back that was not used: as [`refund`](Self::refund) of all
    /// of it.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Instant, Rate, Spacing};
    ///
    /// let mut spacing = Spacing::new(Rate::per_second(1)?);
    /// let turns = [(); 2].map(|()| spacing.reserve(Instant::ZERO, 1, Duration::MAX).unwrap());
    /// spacing.cancel(turns[1]);
    /// assert!(spacing.peek(Instant::from_secs(1), 1).is_ok());
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub fn cancel(&mut self, mut turn: Turn) {
        self.refund(&mut turn.charge, u64::MAX);
    }

    /// Takes `amount` behind all that was taken before, at `now` or after.
    ///
    /// ```
    /// use sendwhen::{Instant, Rate, Spacing};
    ///
    /// let mut spacing = Spacing::new(Rate::per_second(1)?);
    /// let _two = [(); 2].map(|()| spacing.charge(Instant::ZERO, 1));
    /// assert!(spacing.peek(Instant::from_secs(1), 1).is_err());
    /// assert!(spacing.peek(Instant::from_secs(2), 1).is_ok());
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    #[inline]
    pub fn charge(&mut self, now: Instant, amount: u64) -> SpacingCharge {
        let before = self.next;
        let began = before.max(ticks(self.rate, now));
        self.next = began.saturating_add(tokens(self.rate, amount));
        self.serial = self.serial.wrapping_add(1);
        SpacingCharge {
            amount,
            serial: self.serial,
            before,
            began,
        }
    }

    /// Gives `amount` of a charge back, or all of it where that is less. It
    /// comes back where nothing was charged after it, or where that was
    /// cancelled: those behind it were told their turns already, and its time
    /// passes unused.
    ///
    /// ```
    /// use sendwhen::{Instant, Rate, Spacing};
    ///
    /// let mut spacing = Spacing::new(Rate::per_second(1)?);
    /// let mut charge = spacing.charge(Instant::ZERO, 5);
    /// spacing.refund(&mut charge, 3);
    /// assert!(spacing.peek(Instant::from_secs(2), 1).is_ok());
    ///
    /// // Who is behind it was told when to come.
    /// let _behind = spacing.charge(Instant::ZERO, 1);
    /// spacing.refund(&mut charge, 2);
    /// assert!(spacing.peek(Instant::from_secs(2), 1).is_err());
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub fn refund(&mut self, charge: &mut SpacingCharge, amount: u64) {
        let amount = amount.min(charge.amount);
        charge.amount = charge.amount.saturating_sub(amount);
        if amount == 0 || charge.serial != self.serial {
            return;
        }
        if charge.amount == 0 {
            // As if it had never been; the one before it is the newest again.
            self.next = charge.before;
            self.serial = self.serial.wrapping_sub(1);
        } else {
            let left = tokens(self.rate, charge.amount);
            self.next = charge.began.saturating_add(left);
        }
    }

    /// The first instant from `now` on at which the way is free.
    fn next_turn(&self, now: Instant) -> Instant {
        let units = self.next.saturating_sub(ticks(self.rate, now));
        let span = match u64::try_from(units) {
            Ok(units) => units.div_ceil(self.rate.count().max(1)),
            Err(_) => u64::try_from(units.div_ceil(u128::from(self.rate.count().max(1))))
                .unwrap_or(u64::MAX),
        };
        Instant::from_nanos(now.as_nanos().saturating_add(span))
    }
}

impl Limit for Spacing {
    type Amount = u64;
    type Charge = SpacingCharge;

    fn peek(&self, now: Instant, amount: u64) -> Result<(), Blocked> {
        self.peek(now, amount).map_err(Blocked::alone)
    }

    fn charge(&mut self, now: Instant, amount: u64) -> SpacingCharge {
        self.charge(now, amount)
    }

    fn refund(&mut self, _now: Instant, charge: &mut SpacingCharge, amount: u64) {
        self.refund(charge, amount);
    }
}
