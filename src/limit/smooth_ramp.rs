//! The smooth ramp: a token bucket whose rate rises while it is used.
//!
//! Choose it where a server refuses steep rises of use, and where a start after
//! a rest shall be gentle without the edges of a
//! [`StepRamp`](crate::StepRamp). It takes 96 bytes.
//!
//! # The rule
//!
//! The rate rises by the step in each period while the bucket is not full, up
//! to the most, and falls as fast while it is full, down to the least: what is
//! not used was not needed. It rises in 64 equal steps a period, so that all
//! arithmetic stays in integers, and is exact: with `C(t)` as all that came in
//! since the ramp began, nothing passes that the bucket does not hold, so in any
//! span at most the burst and what came in.
//!
//! It is the generic cell rate algorithm of
//! [`TokenBucket`](crate::TokenBucket) with `C(t)` for its clock. One token is
//! 64 periods of nanoseconds in its units.

use core::time::Duration;

use crate::{
    error::ConfigError,
    limit::{Blocked, Limit, Refusal},
    time::{Instant, nanos},
};

/// The rate is raised so often in a period.
const STEPS: u64 = 64;

/// A token bucket whose rate rises while it is used, and falls while it is not.
///
/// Choose it where a server refuses steep rises of use, or for a gentle start. It
/// takes 96 bytes and is exact: nothing passes that has not come in.
///
/// ```
/// use core::time::Duration;
/// use sendwhen::{Instant, SmoothRamp};
///
/// // From 60 requests a minute by 60 more in each, to 600; ten at once.
/// let mut ramp = SmoothRamp::new(60, 60, 600, Duration::from_secs(60), 10)?;
/// let mut minute = |n: u64| {
///     let mut asks = (n * 60_000..(n + 1) * 60_000).map(Instant::from_millis);
///     asks.filter(|&at| ramp.try_acquire(at, 1).is_ok()).count()
/// };
/// assert_eq!([minute(0), minute(1), minute(2)], [10 + 89, 150, 209]);
/// # Ok::<(), sendwhen::ConfigError>(())
/// ```
///
/// ![what it lets pass](https://raw.githubusercontent.com/sendwhen/sendwhen/main/docs/shapes/smooth-ramp.svg)
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SmoothRamp {
    /// Per period.
    least: u64,
    step: u64,
    most: u64,
    /// Nanoseconds, at least 1, below 2^63.
    period: u64,
    burst: u64,
    /// When the ramp would have begun, had it only risen since.
    began: Instant,
    /// What must have come in since then for it to be full, in units.
    due: u128,
    /// The latest instant of a charge.
    last: Instant,
    /// All that was ever given back, in units; wraps.
    returned: u128,
    /// How often it was found full; wraps.
    era: u64,
}

/// What a [`SmoothRamp`] remembers of a charge, so that it can be given back.
///
/// ```
/// use core::time::Duration;
/// use sendwhen::{Instant, SmoothRamp};
///
/// let mut ramp = SmoothRamp::new(60, 30, 600, Duration::from_secs(60), 10)?;
/// let mut charge = ramp.try_acquire(Instant::ZERO, 8).unwrap();
/// ramp.refund(&mut charge, 3);
/// assert_eq!(charge.amount(), 5);
/// # Ok::<(), sendwhen::ConfigError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RampCharge {
    amount: u64,
    era: u64,
    due: u128,
    returned: u128,
}

impl RampCharge {
    /// How much was charged and has not been given back.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Instant, SmoothRamp};
    ///
    /// let mut ramp = SmoothRamp::new(60, 30, 600, Duration::from_secs(60), 10)?;
    /// assert_eq!(ramp.charge(Instant::ZERO, 8).amount(), 8);
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub const fn amount(&self) -> u64 {
        self.amount
    }
}

impl SmoothRamp {
    /// A full bucket that holds `burst` and refills at `least` in each `period`,
    /// rising by `step` in each, up to `most`.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{ConfigError, SmoothRamp};
    ///
    /// const MINUTE: Duration = Duration::from_secs(60);
    /// assert!(SmoothRamp::new(60, 30, 600, MINUTE, 10).is_ok());
    /// assert_eq!(SmoothRamp::new(60, 30, 59, MINUTE, 10), Err(ConfigError::EmptyRange));
    /// assert_eq!(SmoothRamp::new(60, 0, 600, MINUTE, 10), Err(ConfigError::ZeroStep));
    /// ```
    ///
    /// # Errors
    /// Where `least`, `step`, `period` or `burst` is 0, `most` below `least`,
    /// one of them 2^56 or more, or `period` 292 years or longer.
    pub const fn new(
        least: u64,
        step: u64,
        most: u64,
        period: Duration,
        burst: u64,
    ) -> Result<Self, ConfigError> {
        if least == 0 || most < least {
            return Err(ConfigError::EmptyRange);
        }
        if step == 0 {
            return Err(ConfigError::ZeroStep);
        }
        if burst == 0 {
            return Err(ConfigError::ZeroBurst);
        }
        if most >= 1 << 56 || step >= 1 << 56 || burst >= 1 << 56 {
            return Err(ConfigError::LimitOutOfRange);
        }
        if period.is_zero() {
            return Err(ConfigError::ZeroPeriod);
        }
        if period.as_nanos() > i64::MAX as u128 {
            return Err(ConfigError::WindowOutOfRange);
        }
        Ok(Self {
            least,
            step,
            most,
            period: nanos(period),
            burst,
            began: Instant::ZERO,
            due: 0,
            last: Instant::ZERO,
            returned: 0,
            era: 0,
        })
    }

    /// Whether `amount` would pass at `now`; changes nothing.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Instant, Refusal, SmoothRamp};
    ///
    /// let mut ramp = SmoothRamp::new(60, 30, 600, Duration::from_secs(60), 10)?;
    /// assert_eq!(ramp.peek(Instant::ZERO, 10), Ok(()));
    /// assert_eq!(ramp.peek(Instant::ZERO, 11), Err(Refusal::Never));
    /// let _all = ramp.charge(Instant::ZERO, 10);
    /// assert!(matches!(ramp.peek(Instant::ZERO, 1), Err(Refusal::Until(_))));
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// As [`try_acquire`](Self::try_acquire).
    pub fn peek(&self, now: Instant, amount: u64) -> Result<(), Refusal> {
        if amount > self.burst {
            return Err(Refusal::Never);
        }
        let due = self.due.saturating_add(self.units(amount));
        let least = due.saturating_sub(self.units(self.burst));
        if self.came_in(self.since(now)) >= least {
            return Ok(());
        }
        let at = self.began.as_nanos().saturating_add(self.reaches(least));
        Err(Refusal::Until(Instant::from_nanos(at)))
    }

    /// Takes `amount` at `now` if the bucket holds it; changes nothing if not.
    /// Where the clock went back, it stands at the latest charge.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Instant, Refusal, SmoothRamp};
    ///
    /// let mut ramp = SmoothRamp::new(60, 30, 600, Duration::from_secs(60), 10)?;
    /// assert!(ramp.try_acquire(Instant::ZERO, 10).is_ok());
    /// let Err(Refusal::Until(until)) = ramp.try_acquire(Instant::ZERO, 1) else { panic!() };
    /// // At one a second, and already a little faster.
    /// assert!(until < Instant::from_secs(1));
    /// assert!(ramp.try_acquire(until, 1).is_ok());
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// [`Refusal::Until`] with the exact instant from which it passes, or
    /// [`Refusal::Never`] where `amount` is more than the burst.
    pub fn try_acquire(&mut self, now: Instant, amount: u64) -> Result<RampCharge, Refusal> {
        self.peek(now, amount)?;
        Ok(self.charge(now, amount))
    }

    /// Takes `amount` at `now` whether the bucket holds it or not. What it does
    /// not hold is a debt that the refill pays off first.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Instant, SmoothRamp};
    ///
    /// let mut ramp = SmoothRamp::new(60, 30, 600, Duration::from_secs(60), 10)?;
    /// let _debt = ramp.charge(Instant::ZERO, 12);
    /// assert_eq!(ramp.available(Instant::from_secs(1)), 0);
    /// assert_eq!(ramp.available(Instant::from_secs(3)), 1);
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub fn charge(&mut self, now: Instant, amount: u64) -> RampCharge {
        self.last = self.last.max(now);
        let now = self.last;
        let since = self.since(now);
        if self.came_in(since) >= self.due {
            // Full: the ramp has fallen for as long as it was.
            let full = self.reaches(self.due);
            let idle = since.saturating_sub(full);
            let risen = full.min(self.rise()).saturating_sub(idle);
            self.began = Instant::from_nanos(now.as_nanos().saturating_sub(risen));
            self.due = self.came_in(self.since(now));
            self.era = self.era.wrapping_add(1);
        }
        self.due = self.due.saturating_add(self.units(amount));
        RampCharge {
            amount,
            era: self.era,
            due: self.due,
            returned: self.returned,
        }
    }

    /// Gives `amount` of a charge back, or all of it where that is less.
    ///
    /// The level is never lifted above what it would be without the charge at
    /// the rates that were reached with it. At most the refill since the charge
    /// is lost in this, and what others gave back since; nothing where neither
    /// is.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Instant, SmoothRamp};
    ///
    /// let mut ramp = SmoothRamp::new(60, 30, 600, Duration::from_secs(60), 10)?;
    /// let mut charge = ramp.charge(Instant::ZERO, 8);
    /// ramp.refund(&mut charge, 3);
    /// assert_eq!(ramp.available(Instant::ZERO), 5);
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub fn refund(&mut self, charge: &mut RampCharge, amount: u64) {
        let amount = amount.min(charge.amount);
        charge.amount = charge.amount.saturating_sub(amount);
        if charge.era != self.era {
            return;
        }
        let back = self.units(amount);
        let still_owed = charge
            .due
            .saturating_sub(self.came_in(self.since(self.last)))
            .saturating_sub(self.returned.wrapping_sub(charge.returned));
        let given = back.min(still_owed).min(self.due);
        self.due = self.due.saturating_sub(given);
        self.returned = self.returned.wrapping_add(given);
        charge.due = charge.due.saturating_sub(back);
        charge.returned = charge.returned.wrapping_add(given);
    }

    /// What it holds at `now`, rounded down; 0 where it is in debt.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Instant, SmoothRamp};
    ///
    /// let mut ramp = SmoothRamp::new(60, 30, 600, Duration::from_secs(60), 10)?;
    /// let _some = ramp.charge(Instant::ZERO, 8);
    /// assert_eq!(ramp.available(Instant::ZERO), 2);
    /// assert_eq!(ramp.available(Instant::from_secs(60)), 10);
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub fn available(&self, now: Instant) -> u64 {
        let missing = self.due.saturating_sub(self.came_in(self.since(now)));
        let level = self.units(self.burst).saturating_sub(missing);
        let whole = level.checked_div(self.units(1)).unwrap_or_default();
        u64::try_from(whole).unwrap_or(u64::MAX)
    }

    /// The rate at `now` if it is used then, per period and rounded down.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Instant, SmoothRamp};
    ///
    /// let mut ramp = SmoothRamp::new(60, 30, 600, Duration::from_secs(60), 10)?;
    /// assert_eq!(ramp.rate(Instant::ZERO), 60);
    /// let _a_minute_and_a_half = ramp.charge(Instant::ZERO, 120);
    /// assert_eq!(ramp.rate(Instant::from_secs(60)), 90);
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub fn rate(&self, now: Instant) -> u64 {
        let since = self.since(now);
        let full = self.reaches(self.due).min(since);
        let idle = since.saturating_sub(full);
        let risen = full.min(self.rise()).saturating_sub(idle);
        let steps = risen.checked_div(self.slice()).unwrap_or_default();
        let rate = self.units_a_nano(steps).checked_div(u128::from(STEPS));
        rate.and_then(|rate| u64::try_from(rate).ok())
            .unwrap_or(self.most)
    }

    /// How long the ramp has lasted; where the clock went back, until the latest
    /// charge.
    fn since(&self, now: Instant) -> u64 {
        let now = now.max(self.last);
        now.as_nanos().saturating_sub(self.began.as_nanos())
    }

    /// An amount in units.
    fn units(&self, amount: u64) -> u128 {
        u128::from(amount)
            .saturating_mul(u128::from(STEPS))
            .saturating_mul(u128::from(self.period))
    }

    /// How long each rate lasts while it rises, in nanoseconds.
    fn slice(&self) -> u64 {
        self.period.checked_div(STEPS).unwrap_or(1).max(1)
    }

    /// How many steps lead to the most.
    fn steps(&self) -> u64 {
        self.most
            .saturating_sub(self.least)
            .saturating_mul(STEPS)
            .div_ceil(self.step.max(1))
    }

    /// How long it rises.
    fn rise(&self) -> u64 {
        self.steps().saturating_mul(self.slice())
    }

    /// The rate after so many steps: units that come in each nanosecond. Below
    /// 2^63.
    fn units_a_nano(&self, steps: u64) -> u128 {
        let risen = u128::from(self.step).saturating_mul(u128::from(steps));
        let most = u128::from(self.most).saturating_mul(u128::from(STEPS));
        u128::from(self.least)
            .saturating_mul(u128::from(STEPS))
            .saturating_add(risen)
            .min(most)
    }

    /// What comes in over the first `since` nanoseconds of the ramp, in units:
    /// the rates so far, each for its slice, and the present one. Rates lie
    /// below 2^63 and spans below 2^64, so that all fits.
    fn came_in(&self, since: u64) -> u128 {
        let slice = self.slice();
        let steps = since.checked_div(slice).unwrap_or_default();
        let steps = steps.min(self.steps());
        // 0 + 1 + .. + (steps - 1).
        let sum = u128::from(steps).saturating_mul(u128::from(steps.saturating_sub(1))) >> 1;
        let risen = u128::from(self.step).saturating_mul(sum);
        let level = u128::from(self.least)
            .saturating_mul(u128::from(STEPS))
            .saturating_mul(u128::from(steps));
        let whole = level.saturating_add(risen);
        let rest = since.saturating_sub(steps.saturating_mul(slice));
        whole
            .saturating_mul(u128::from(slice))
            .saturating_add(self.units_a_nano(steps).saturating_mul(u128::from(rest)))
    }

    /// The first instant of the ramp by which `units` have come in, by halving:
    /// what comes in never falls.
    fn reaches(&self, units: u128) -> u64 {
        let (mut before, mut by) = (0, u64::MAX);
        while before < by {
            let middle = before.saturating_add(by.saturating_sub(before) >> 1);
            if self.came_in(middle) >= units {
                by = middle;
            } else {
                before = middle.saturating_add(1);
            }
        }
        by
    }
}

impl Limit for SmoothRamp {
    type Amount = u64;
    type Charge = RampCharge;

    fn peek(&self, now: Instant, amount: u64) -> Result<(), Blocked> {
        self.peek(now, amount).map_err(Blocked::alone)
    }

    fn charge(&mut self, now: Instant, amount: u64) -> RampCharge {
        self.charge(now, amount)
    }

    fn refund(&mut self, _now: Instant, charge: &mut RampCharge, amount: u64) {
        self.refund(charge, amount);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::{vec, vec::Vec};

    #[derive(Clone, Copy, Debug)]
    enum Op {
        Acquire(u64),
        Charge(u64),
        Refund(usize, u64),
        Advance(u64),
    }

    fn ops() -> impl Strategy<Value = Vec<Op>> {
        let op = prop_oneof![
            4 => (1..12_u64).prop_map(Op::Acquire),
            1 => (1..20_u64).prop_map(Op::Charge),
            3 => (any::<usize>(), 1..12_u64).prop_map(|(which, n)| Op::Refund(which, n)),
            4 => (1..60_u64).prop_map(Op::Advance),
        ];
        prop::collection::vec(op, 1..24)
    }

    /// What a bucket that begins full would hold, in units: what came in each
    /// nanosecond, and what was charged at which.
    fn walk(full: i128, came_in: &[i128], charges: &[(usize, i128)]) -> i128 {
        let mut level = full;
        let mut charges = charges.iter().peekable();
        for at in 0..=came_in.len() {
            while let Some((_, units)) = charges.next_if(|charge| charge.0 <= at) {
                level -= units;
            }
            if let Some(more) = came_in.get(at) {
                level = (level + more).min(full);
            }
        }
        level
    }

    proptest! {
        #![proptest_config(crate::retry::ten_thousand_cases())]

        /// At the rates that were reached it holds no more than if what was given
        /// back had never been charged, and no less than if it had not been given
        /// back: beside both, nanosecond by nanosecond.
        #[test]
        fn a_refund_lifts_the_level_to_between_the_two(
            least in 1..6_u64, step in 1..40_u64, more in 0..40_u64, period in 1..200_u64,
            burst in 1..12_u64, ops in ops(),
        ) {
            let length = Duration::from_nanos(period);
            let mut ramp = SmoothRamp::new(least, step, least + more, length, burst).unwrap();
            let wide = |units: u128| i128::try_from(units).unwrap();
            let (one, full) = (wide(ramp.units(1)), wide(ramp.units(burst)));
            let (mut came_in, mut tickets) = (vec![], Vec::<RampCharge>::new());
            // With what was given back, and without.
            let (mut gross, mut net) = (vec![], vec![]);
            for op in ops {
                let now = Instant::from_nanos(came_in.len() as u64);
                match op {
                    Op::Acquire(amount) | Op::Charge(amount) => {
                        if matches!(op, Op::Acquire(_)) && ramp.peek(now, amount).is_err() {
                            continue;
                        }
                        tickets.push(ramp.charge(now, amount));
                        let entry = (came_in.len(), i128::from(amount) * one);
                        gross.push(entry);
                        net.push(entry);
                    }
                    Op::Refund(..) if tickets.is_empty() => {}
                    Op::Refund(which, amount) => {
                        let which = which % tickets.len();
                        let back = amount.min(tickets[which].amount());
                        ramp.refund(&mut tickets[which], back);
                        net[which].1 -= i128::from(back) * one;
                    }
                    Op::Advance(by) => for _ in 0..by {
                        let since = ramp.since(Instant::from_nanos(came_in.len() as u64));
                        let (here, next) = (ramp.came_in(since), ramp.came_in(since + 1));
                        // While it is full nothing does.
                        came_in.push(if here < ramp.due { wide(next - here) } else { 0 });
                    },
                }
                let here = ramp.came_in(ramp.since(Instant::from_nanos(came_in.len() as u64)));
                let level = full - wide(ramp.due.saturating_sub(here));
                prop_assert!(level <= walk(full, &came_in, &net), "lifted above");
                prop_assert!(level >= walk(full, &came_in, &gross), "lost more than was given");
            }
        }
    }
}
