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
mod tests {
    use core::time::Duration;
    use std::{vec, vec::Vec};

    use super::*;
    use proptest::prelude::*;

    const fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    fn bucket(per_second: u64, burst: u64) -> TokenBucket {
        TokenBucket::new(Rate::per_second(per_second).unwrap(), burst).unwrap()
    }

    /// Milliseconds, what is there before, what is asked, whether it passes.
    /// In the manner of golang.org/x/time/rate's tests.
    #[test]
    fn each_row_of_the_table_comes_out_so() {
        let steps: &[(u64, u64, u64, bool)] = &[
            (0, 2, 1, true),
            (0, 1, 1, true),
            (0, 0, 1, false),
            (99, 0, 1, false),
            (100, 1, 1, true),
            (100, 0, 1, false),
            (250, 1, 2, false),
            (250, 1, 1, true),
            (300, 1, 1, true),
            (1_000, 2, 2, true),
            (1_000, 0, 1, false),
        ];
        let mut bucket = bucket(10, 2);
        for &(ms, before, amount, passes) in steps {
            assert_eq!(bucket.available(at(ms)), before, "at {ms} ms");
            assert_eq!(
                bucket.try_acquire(at(ms), amount).is_ok(),
                passes,
                "at {ms} ms"
            );
        }
    }

    #[test]
    fn rational_rates_do_not_drift() {
        let mut bucket = bucket(3, 1);
        let (mut now, mut admitted) = (Instant::ZERO, 0);
        while now < Instant::from_secs(3_600) {
            match bucket.try_acquire(now, 1) {
                Ok(_) => admitted += 1,
                Err(Refusal::Until(until)) => now = until,
                Err(Refusal::Never) => unreachable!(),
            }
        }
        assert_eq!(admitted, 10_800);
    }

    #[test]
    fn many_small_ticks_equal_one_large_tick() {
        let mut often = bucket(3, 5);
        let mut seldom = often;
        let _all = (often.charge(at(0), 5), seldom.charge(at(0), 5));
        for ms in 0..1_000 {
            let _asked = often.try_acquire(at(ms), 4);
        }
        assert_eq!(often.available(at(1_000)), seldom.available(at(1_000)));
        assert_eq!(often, seldom, "refusals leave no trace");
    }

    #[test]
    fn time_going_back_admits_no_more() {
        let mut bucket = bucket(1, 1);
        assert!(bucket.try_acquire(Instant::from_secs(3_600), 1).is_ok());
        for secs in [0, 1, 3_599, 3_600] {
            assert!(bucket.try_acquire(Instant::from_secs(secs), 1).is_err());
        }
        assert!(bucket.try_acquire(Instant::from_secs(3_601), 1).is_ok());
    }

    #[test]
    fn a_debt_is_paid_off_first() {
        let mut bucket = bucket(10, 2);
        let _charged = bucket.charge(at(0), 12);
        assert_eq!((bucket.available(at(0)), bucket.debt(at(0))), (0, 10));
        assert_eq!(bucket.debt(at(950)), 1);
        assert_eq!(bucket.peek(at(0), 1), Err(Refusal::Until(at(1_100))));
    }

    #[test]
    fn a_refund_after_refill_admits_nothing_twice() {
        let mut bucket = bucket(1, 10);
        let mut charge = bucket.charge(at(0), 10);
        // Ten seconds later it is full without the refund.
        let _next = bucket.charge(at(10_000), 10);
        bucket.refund(&mut charge, 10);
        assert_eq!(bucket.available(at(10_000)), 0);
    }

    #[test]
    fn a_refund_at_once_undoes_the_charge() {
        let mut bucket = bucket(1, 10);
        let _other = bucket.charge(at(0), 3);
        let before = bucket;
        let mut charge = bucket.try_acquire(at(500), 7).unwrap();
        bucket.refund(&mut charge, u64::MAX);
        assert_eq!(bucket.tat, before.tat);
    }

    /// The cases of golang/go issues 56924 and 69419: what is cancelled out of
    /// order, or after its time, comes back all the same while the bucket
    /// cannot have been full.
    #[test]
    fn what_is_cancelled_out_of_order_comes_back() {
        let mut bucket = bucket(10, 10);
        let _drained = bucket.charge(at(0), 10);
        let mut first = bucket.charge(at(0), 1);
        let mut second = bucket.charge(at(0), 1);
        bucket.refund(&mut first, 1);
        bucket.refund(&mut second, 1);
        assert_eq!(bucket.debt(at(0)), 0);
        assert_eq!(bucket.peek(at(100), 1), Ok(()));
    }

    /// What was given back of an older charge and charged since may sum to
    /// nothing: the charge between them is not the newest for that.
    #[test]
    fn a_refund_does_not_mistake_a_charge_for_the_newest() {
        let mut bucket = TokenBucket::new(Rate::per_second(1).unwrap(), 25).unwrap();
        let mut oldest = bucket.charge(at(0), 16);
        let mut second = bucket.charge(at(2_000), 1);
        bucket.refund(&mut oldest, 7);
        let _third = bucket.charge(at(4_000), 7);
        bucket.refund(&mut second, 1);
        // Of the nine that are left, the refill until the third charge was
        // four: without them the bucket would have been full by then.
        bucket.refund(&mut oldest, 9);
        assert_eq!(bucket.available(at(4_000)), 25 - 7);
    }

    #[test]
    fn a_change_of_limit_keeps_what_is_there() {
        let mut bucket = bucket(10, 10);
        let _charged = bucket.charge(at(0), 4);
        bucket.set(at(0), Rate::per_second(1).unwrap(), 20).unwrap();
        assert_eq!(bucket.available(at(0)), 6, "no burst is given");
        bucket.set(at(0), Rate::per_second(7).unwrap(), 5).unwrap();
        assert_eq!(bucket.available(at(0)), 5);
        assert_eq!(
            bucket.set(at(0), Rate::per_second(7).unwrap(), 0),
            Err(ConfigError::ZeroBurst)
        );
    }

    #[test]
    fn the_largest_numbers_are_borne() {
        let most = (1 << 63) - 1;
        for count in [1, most] {
            for period in [1, most] {
                let rate = Rate::per(count, Duration::from_nanos(period)).unwrap();
                for burst in [1, u64::MAX] {
                    let mut bucket = TokenBucket::new(rate, burst).unwrap();
                    for now in [Instant::ZERO, Instant::from_nanos(1), Instant::MAX] {
                        for amount in [0, 1, u64::MAX - 1, u64::MAX] {
                            let _any = bucket.try_acquire(now, amount);
                            let mut charge = bucket.charge(now, amount);
                            bucket.refund(&mut charge, amount);
                            let _any = (bucket.available(now), bucket.debt(now));
                            let mut other = bucket;
                            other.set(now, Rate::per_second(1).unwrap(), 1).unwrap();
                        }
                    }
                }
            }
        }
    }

    #[derive(Clone, Debug)]
    enum Op {
        Acquire(u64),
        Charge(u64),
        Refund(usize, u64),
        Advance(u64),
    }

    fn ops() -> impl Strategy<Value = Vec<Op>> {
        let op = prop_oneof![
            3 => (1..30_u64).prop_map(Op::Acquire),
            1 => (0..30_u64).prop_map(Op::Charge),
            2 => (any::<usize>(), 0..30_u64).prop_map(|(i, n)| Op::Refund(i, n)),
            3 => (0..4_000_000_000_u64).prop_map(Op::Advance),
        ];
        prop::collection::vec(op, 1..60)
    }

    fn rates() -> impl Strategy<Value = Rate> {
        (1..50_u64, 1..5_000_000_000_u64)
            .prop_map(|(n, p)| Rate::per(n, Duration::from_nanos(p)).unwrap())
    }

    /// The level of a bucket with these net charges, by walking through them:
    /// slow and obvious. In units of 1/period token.
    fn naive_level(rate: Rate, burst: u64, charges: &[(u64, u64)], now: u64) -> i128 {
        let (count, period) = (i128::from(rate.count()), i128::from(rate.period_nanos()));
        let full = i128::from(burst) * period;
        let (mut level, mut then) = (full, 0);
        for &(at, amount) in charges {
            level = (level + i128::from(at - then) * count).min(full);
            level -= i128::from(amount) * period;
            then = at;
        }
        (level + i128::from(now - then) * count).min(full)
    }

    /// More where `PROPTEST_CASES` says so.
    fn config() -> ProptestConfig {
        let default = ProptestConfig::default();
        ProptestConfig {
            cases: default.cases.max(2_000),
            ..default
        }
    }

    proptest! {
        #![proptest_config(config())]

        /// Over every window, refunds included: what was let pass and not given
        /// back is at most the burst and what came in.
        #[test]
        fn admitted_never_exceeds_burst_plus_rate(rate in rates(), burst in 1..40_u64, ops in ops()) {
            let mut bucket = TokenBucket::new(rate, burst).unwrap();
            let mut now = 0_u64;
            let mut admitted: Vec<(u64, u64, Charge)> = vec![];
            for op in ops {
                match op {
                    Op::Acquire(n) | Op::Charge(n) => {
                        if let Ok(charge) = bucket.try_acquire(Instant::from_nanos(now), n) {
                            admitted.push((now, n, charge));
                        }
                    }
                    Op::Refund(i, n) if !admitted.is_empty() => {
                        let i = i % admitted.len();
                        let (_, left, charge) = &mut admitted[i];
                        let back = n.min(*left);
                        bucket.refund(charge, back);
                        *left -= back;
                    }
                    Op::Refund(..) => {}
                    Op::Advance(by) => now += by,
                }
            }
            for from in 0..admitted.len() {
                let mut sum = 0_u128;
                for &(at, n, _) in &admitted[from..] {
                    sum += u128::from(n);
                    let span = u128::from(at - admitted[from].0);
                    let most = u128::from(burst) * u128::from(rate.period_nanos())
                        + span * u128::from(rate.count());
                    prop_assert!(sum * u128::from(rate.period_nanos()) <= most);
                }
            }
        }

        /// Refused one nanosecond before the promised instant, admitted at it.
        #[test]
        fn until_is_exact(rate in rates(), burst in 1..40_u64, ops in ops(), n in 1..40_u64) {
            let mut bucket = TokenBucket::new(rate, burst).unwrap();
            let mut now = 0;
            for op in ops {
                match op {
                    Op::Acquire(n) => { let _any = bucket.try_acquire(Instant::from_nanos(now), n); }
                    Op::Charge(n) => { let _any = bucket.charge(Instant::from_nanos(now), n); }
                    Op::Refund(..) => {}
                    Op::Advance(by) => now += by,
                }
                let here = Instant::from_nanos(now);
                match bucket.peek(here, n) {
                    Ok(()) => prop_assert!(n <= burst),
                    Err(Refusal::Never) => prop_assert!(n > burst),
                    Err(Refusal::Until(until)) => {
                        prop_assert!(until > here, "a wait is always in the future");
                        prop_assert_eq!(bucket.peek(until, n), Ok(()));
                        let before = Instant::from_nanos(until.as_nanos() - 1);
                        prop_assert!(bucket.peek(before, n).is_err());
                    }
                }
            }
        }

        /// The level is that of the slow oracle; after refunds it is at most
        /// what it would be without the charge, and what is lost is at most the
        /// refill since the charge, or since the beginning where younger ones
        /// were given back before older.
        #[test]
        fn the_level_is_that_of_a_walk_through_all_charges(
            rate in rates(), burst in 1..40_u64, ops in ops(), oldest_first: bool
        ) {
            let mut bucket = TokenBucket::new(rate, burst).unwrap();
            let mut next = 0;
            let mut now = 0_u64;
            let mut charges: Vec<(u64, u64)> = vec![];
            let mut tickets: Vec<Charge> = vec![];
            let mut may_have_lost = 0_i128;
            for op in ops {
                let here = Instant::from_nanos(now);
                match op {
                    Op::Acquire(n) => if let Ok(charge) = bucket.try_acquire(here, n) {
                        charges.push((now, n));
                        tickets.push(charge);
                    },
                    Op::Charge(n) => {
                        tickets.push(bucket.charge(here, n));
                        charges.push((now, n));
                    }
                    Op::Refund(i, n) if !tickets.is_empty() => {
                        let i = if oldest_first { next % tickets.len() } else { i % tickets.len() };
                        next += 1;
                        let back = n.min(charges[i].1);
                        bucket.refund(&mut tickets[i], back);
                        charges[i].1 -= back;
                        let since = if oldest_first { now - charges[i].0 } else { now };
                        may_have_lost += i128::from(since) * i128::from(rate.count());
                    }
                    Op::Refund(..) => {}
                    Op::Advance(by) => now += by,
                }
                let naive = naive_level(rate, burst, &charges, now);
                let owed = i128::try_from(bucket.owed(Instant::from_nanos(now))).unwrap();
                let level = i128::try_from(bucket.depth).unwrap() - owed;
                prop_assert!(level <= naive, "lifted above: {level} > {naive}");
                prop_assert!(level + may_have_lost >= naive, "lost too much");
            }
        }
    }
}
