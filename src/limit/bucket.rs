//! The token bucket, as the generic cell rate algorithm.
//!
//! Choose it where a server refills continuously, as the Claude API does. It
//! takes 80 bytes, and errs by nothing: what it lets pass in any span `w` is at
//! most `burst + rate * w`, in exact integers.
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

use crate::{error::ConfigError, limit::Refusal, time::Instant, units::Rate};

/// A token bucket: holds up to `burst`, refills at `rate`, starts full.
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
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
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
    /// How often it was found full, or its rate or burst was changed; wraps.
    era: u32,
    /// The number of the newest charge; wraps.
    serial: u32,
}

/// What [`TokenBucket`] remembers of one charge, so that it can be given back.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Charge {
    amount: u64,
    at: Instant,
    /// The latest instant of a charge before it.
    before: Instant,
    /// How far the bucket was from full right after it, in units; saturating.
    owed: u64,
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
    pub const fn amount(&self) -> u64 {
        self.amount
    }

    /// How far the bucket was from full right after it, in units; saturating.
    pub(crate) const fn owed(&self) -> u64 {
        self.owed
    }
}

impl TokenBucket {
    /// A full bucket that holds `burst` and refills at `rate`.
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
        })
    }

    /// Its rate of refill.
    pub const fn rate(&self) -> Rate {
        self.rate
    }

    /// The most that it holds.
    pub const fn burst(&self) -> u64 {
        self.burst
    }

    /// Whether `amount` would pass at `now`; changes nothing.
    ///
    /// # Errors
    /// As [`try_acquire`](Self::try_acquire).
    #[inline]
    pub fn peek(&self, now: Instant, amount: u64) -> Result<(), Refusal> {
        if amount > self.burst {
            return Err(Refusal::Never);
        }
        // Fits as it stands, or once the clock has caught up with what is due.
        let due = self.tat.saturating_add(tokens(self.rate, amount));
        let here = ticks(self.rate, now);
        let room = here.saturating_add(self.depth);
        if due <= room {
            return Ok(());
        }
        Err(Refusal::Until(
            self.instant_after(now, due.wrapping_sub(room)),
        ))
    }

    /// Takes `amount` at `now` if the bucket holds it; changes nothing if not.
    ///
    /// A `now` before that of an earlier call is answered as of `now`, with all
    /// that was charged since counted: it admits no more.
    ///
    /// # Errors
    /// [`Refusal::Until`] with the exact instant from which it passes, or
    /// [`Refusal::Never`] where `amount` is more than the burst.
    #[inline]
    pub fn try_acquire(&mut self, now: Instant, amount: u64) -> Result<Charge, Refusal> {
        self.peek(now, amount)?;
        Ok(self.charge(now, amount))
    }

    /// Takes `amount` at `now` whether the bucket holds it or not. What it does
    /// not hold is a debt that the refill pays off first.
    #[inline]
    pub fn charge(&mut self, now: Instant, amount: u64) -> Charge {
        let here = ticks(self.rate, now);
        if self.tat <= here {
            self.era = self.era.wrapping_add(1);
            self.since_full = 0;
        }
        let older = self.since_full;
        self.tat = self.tat.max(here).saturating_add(tokens(self.rate, amount));
        let before = self.last;
        self.serial = self.serial.wrapping_add(1);
        self.last = self.last.max(now);
        self.since_full = older.saturating_add(amount);
        Charge {
            amount,
            at: now,
            before,
            owed: u64::try_from(self.tat.wrapping_sub(here)).unwrap_or(u64::MAX),
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
    pub fn refund(&mut self, charge: &mut Charge, amount: u64) {
        let amount = amount.min(charge.amount);
        // Found full since, it would have been full without the charge too.
        if charge.era != self.era {
            return;
        }
        // Every later charge found the bucket at least this far from full: what
        // was owed then, less the refill until the last of them, less what
        // older charges gave back meanwhile. Without this charge it may have
        // been full where that is less than the charge, and refill was lost.
        let given_back = self.returned.wrapping_sub(charge.returned);
        let raised = self.raised.wrapping_sub(charge.raised);
        let still_owed = ticks(self.rate, charge.at)
            .saturating_add(u128::from(charge.owed))
            .saturating_sub(ticks(self.rate, self.last))
            .saturating_sub(given_back.min(tokens(self.rate, charge.older)))
            .saturating_sub(raised);
        let back = tokens(self.rate, amount);
        let given = back.min(still_owed).min(self.tat);
        self.tat = self.tat.wrapping_sub(given);
        self.returned = self.returned.wrapping_add(given);
        if amount == charge.amount && charge.serial == self.serial {
            // The newest charge, and all of it: as if it had never been.
            self.last = charge.before;
            if given_back == 0 {
                self.returned = charge.returned;
            }
        }
        self.since_full = self.since_full.saturating_sub(amount);
        // What is left of the charge is as if it had been that much less.
        charge.amount = charge.amount.saturating_sub(amount);
        charge.owed = charge
            .owed
            .saturating_sub(u64::try_from(back).unwrap_or(u64::MAX));
        charge.returned = charge.returned.wrapping_add(given);
    }

    /// What it holds at `now`, rounded down; 0 where it is in debt.
    pub fn available(&self, now: Instant) -> u64 {
        let level = self.depth.saturating_sub(self.owed(now));
        let whole = level.checked_div(u128::from(self.rate.period_nanos()));
        whole
            .and_then(|whole| u64::try_from(whole).ok())
            .unwrap_or(u64::MAX)
    }

    /// How far it is below empty at `now`, rounded up; 0 where it is not.
    pub fn debt(&self, now: Instant) -> u64 {
        self.tokens_in(self.owed(now).saturating_sub(self.depth))
    }

    /// Changes rate and burst at `now` and keeps what the bucket holds, as far
    /// as the new burst has room for it: no burst is given, no token is lost.
    /// What it holds is rounded down by less than one unit of the new rate.
    ///
    /// # Errors
    /// Where `burst` is 0; then nothing changes.
    pub fn set(&mut self, now: Instant, rate: Rate, burst: u64) -> Result<(), ConfigError> {
        let mut changed = Self::new(rate, burst)?;
        let owed = self.owed(now);
        // What it misses of the new burst: what it missed of the old one, and
        // the difference between them.
        let missing = convert(owed, self.rate, rate)
            .saturating_add(changed.depth)
            .saturating_sub(tokens(rate, self.burst));
        changed.tat = ticks(rate, now).saturating_add(missing);
        // Charges made at the old rate are not given back at the new one: their
        // units are others.
        changed.era = self.era.wrapping_add(1);
        changed.serial = self.serial;
        *self = changed;
        Ok(())
    }

    /// Moves the theoretical arrival time to between `least` and `most`, where
    /// it is not. Whatever raises the level is no longer there to be given
    /// back.
    pub(crate) fn clamp_tat(&mut self, least: u128, most: u128) {
        if self.tat > most {
            let lifted = self.tat.wrapping_sub(most);
            self.raised = self.raised.wrapping_add(lifted);
            self.tat = most;
        }
        self.tat = self.tat.max(least);
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

/// `units` of rate `from` in units of rate `to`, the same tokens, rounded up.
fn convert(units: u128, from: Rate, to: Rate) -> u128 {
    let (old, new) = (
        u128::from(from.period_nanos().max(1)),
        u128::from(to.period_nanos()),
    );
    let whole = units.checked_div(old).unwrap_or_default();
    let rest = units.checked_rem(old).unwrap_or_default();
    whole
        .saturating_mul(new)
        .saturating_add(rest.saturating_mul(new).div_ceil(old))
}

#[cfg(test)]
mod tests;
