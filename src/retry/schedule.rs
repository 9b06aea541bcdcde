//! How long to wait after the n-th failure.

use core::time::Duration;

use crate::{error::ConfigError, retry::jitter::Jitter, rng::Rng, time::nanos};

/// A schedule of delays: a curve, a cap on it, and [`Jitter`] on top.
///
/// | curve | after the n-th failure | choose it |
/// |---|---|---|
/// | [`constant`](Self::constant) | base | where the server's own pace is known |
/// | [`linear`](Self::linear) | base + step (n - 1) | for a few tries in a short time |
/// | [`polynomial`](Self::polynomial) | base n^d | between linear and exponential |
/// | [`exponential`](Self::exponential) | base f^(n - 1) | where nothing is known |
/// | [`fibonacci`](Self::fibonacci) | base F(n): 1, 1, 2, 3, 5, .. | as exponential with f = 1.618 |
/// | [`list`](Self::list) | the n-th of the caller's own | where somebody prescribes them |
///
/// The curve is cut at its cap before jitter is added; [`at_most`](Self::at_most)
/// cuts what comes out. Any number of failures has a delay: arithmetic
/// saturates at a `u64` of nanoseconds, 584 years. 0 failures are taken for 1.
/// It takes some 70 bytes and no state: who wants delays one after another
/// keeps the number, the previous delay and the seed, or takes
/// [`delays`](Self::delays).
///
/// ```
/// use core::time::Duration;
/// use sendwhen::{Backoff, Jitter};
///
/// const SECOND: Duration = Duration::from_secs(1);
/// let plain = Backoff::exponential(SECOND, 8 * SECOND)?.jitter(Jitter::None);
/// let first_five: Vec<_> = plain.delays(0).take(5).collect();
/// assert_eq!(first_five, [1, 2, 4, 8, 8].map(Duration::from_secs));
/// assert_eq!(plain.delay(u32::MAX, SECOND, 0), 8 * SECOND);
///
/// let spread = plain.jitter(Jitter::Full);
/// assert!(spread.delay(3, SECOND, 42) <= 4 * SECOND);
/// assert_eq!(spread.delay(3, SECOND, 42), spread.delay(3, SECOND, 42));
/// # Ok::<(), sendwhen::ConfigError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Backoff<'a> {
    curve: Curve<'a>,
    /// Nanoseconds, as the two below.
    base: u64,
    /// The most that the curve gives.
    cap: u64,
    /// The most that comes out.
    longest: u64,
    jitter: Jitter,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum Curve<'a> {
    Linear { step: u64 },
    Polynomial { degree: u32 },
    Exponential { per_mille: u32 },
    Fibonacci,
    List(#[cfg_attr(feature = "serde", serde(with = "list"))] &'a [Duration]),
}

/// A list in a text. What is read stays in memory to the end of the program, as
/// a list that is written into it does.
#[cfg(feature = "serde")]
mod list {
    use core::time::Duration;

    use alloc::vec::Vec;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(
        list: &[Duration],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        list.serialize(serializer)
    }

    pub(super) fn deserialize<'de, 'a, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<&'a [Duration], D::Error> {
        Vec::<Duration>::deserialize(deserializer).map(|list| &*list.leak())
    }
}

impl<'a> Backoff<'a> {
    /// From 500 ms to 8 s, the base and the cap of Anthropic's official SDKs,
    /// with full jitter.
    pub(crate) const SDK: Self = Self {
        curve: Curve::Exponential { per_mille: 2_000 },
        base: 500_000_000,
        cap: 8_000_000_000,
        longest: u64::MAX,
        jitter: Jitter::Full,
    };

    /// Always `delay`, without jitter.
    ///
    /// # Errors
    /// Where `delay` is zero.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::Backoff;
    ///
    /// let backoff = Backoff::constant(Duration::from_secs(10))?;
    /// assert_eq!(backoff.delay(7, Duration::ZERO, 0), Duration::from_secs(10));
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub const fn constant(delay: Duration) -> Result<Self, ConfigError> {
        match Self::new(Curve::Linear { step: 0 }, delay, delay) {
            Ok(backoff) => Ok(backoff.jitter(Jitter::None)),
            Err(error) => Err(error),
        }
    }

    /// `base`, and `step` longer each time, never longer than `cap`; with full
    /// jitter.
    ///
    /// # Errors
    /// Where `base` is zero, or `cap` lies below it.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Backoff, Jitter};
    ///
    /// let second = Duration::from_secs(1);
    /// let backoff = Backoff::linear(2 * second, 3 * second, 60 * second)?.jitter(Jitter::None);
    /// assert_eq!(backoff.delay(3, second, 0), 8 * second);
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub const fn linear(
        base: Duration,
        step: Duration,
        cap: Duration,
    ) -> Result<Self, ConfigError> {
        Self::new(Curve::Linear { step: nanos(step) }, base, cap)
    }

    /// `base` times `n` to the power of `degree`, never longer than `cap`; with
    /// full jitter. Of degree 2 it is what octokit's plugin-retry does.
    ///
    /// # Errors
    /// Where `base` is zero, or `cap` lies below it.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Backoff, Jitter};
    ///
    /// let second = Duration::from_secs(1);
    /// let backoff = Backoff::polynomial(second, 2, 60 * second)?.jitter(Jitter::None);
    /// assert_eq!(backoff.delay(3, second, 0), 9 * second);
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub const fn polynomial(
        base: Duration,
        degree: u32,
        cap: Duration,
    ) -> Result<Self, ConfigError> {
        Self::new(Curve::Polynomial { degree }, base, cap)
    }

    /// From `base` on, twice as long each time, never longer than `cap`; with
    /// full jitter.
    ///
    /// # Errors
    /// Where `base` is zero, or `cap` lies below it.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Backoff, Jitter};
    ///
    /// let second = Duration::from_secs(1);
    /// let backoff = Backoff::exponential(second, 60 * second)?.jitter(Jitter::None);
    /// assert_eq!(backoff.delay(6, second, 0), 32 * second);
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub const fn exponential(base: Duration, cap: Duration) -> Result<Self, ConfigError> {
        Self::new(Curve::Exponential { per_mille: 2_000 }, base, cap)
    }

    /// `base` times the numbers of Fibonacci, 1, 1, 2, 3, 5, .., never longer
    /// than `cap`; with full jitter.
    ///
    /// # Errors
    /// Where `base` is zero, or `cap` lies below it.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Backoff, Jitter};
    ///
    /// let second = Duration::from_secs(1);
    /// let backoff = Backoff::fibonacci(second, 60 * second)?.jitter(Jitter::None);
    /// assert_eq!(backoff.delay(6, second, 0), 8 * second);
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub const fn fibonacci(base: Duration, cap: Duration) -> Result<Self, ConfigError> {
        Self::new(Curve::Fibonacci, base, cap)
    }

    /// The caller's own delays, the last of them for ever; without jitter.
    ///
    /// # Errors
    /// Where there are none.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::Backoff;
    ///
    /// let delays = [1, 5, 25].map(Duration::from_secs);
    /// let backoff = Backoff::list(&delays)?;
    /// assert_eq!(backoff.delay(2, Duration::ZERO, 0), Duration::from_secs(5));
    /// assert_eq!(backoff.delay(9, Duration::ZERO, 0), Duration::from_secs(25));
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub const fn list(delays: &'a [Duration]) -> Result<Self, ConfigError> {
        let Some(first) = delays.first() else {
            return Err(ConfigError::NoDelays);
        };
        Ok(Self {
            curve: Curve::List(delays),
            base: nanos(*first),
            cap: u64::MAX,
            longest: u64::MAX,
            jitter: Jitter::None,
        })
    }

    /// Half a second times `retries` squared, cut at 8 s after jitter.
    pub(crate) const fn half_second_squares(retries: u32) -> Self {
        let half = Self::SDK.base;
        let squared = (retries as u64).saturating_mul(retries as u64);
        Self {
            curve: Curve::Linear { step: 0 },
            base: half.saturating_mul(squared),
            cap: u64::MAX,
            longest: Self::SDK.cap,
            jitter: Jitter::None,
        }
    }

    const fn new(curve: Curve<'a>, base: Duration, cap: Duration) -> Result<Self, ConfigError> {
        if base.is_zero() {
            return Err(ConfigError::ZeroBase);
        }
        if cap.as_nanos() < base.as_nanos() {
            return Err(ConfigError::CapBelowBase);
        }
        Ok(Self {
            curve,
            base: nanos(base),
            cap: nanos(cap),
            longest: u64::MAX,
            jitter: Jitter::Full,
        })
    }

    /// Sets by how many thousandths an exponential curve grows from one delay
    /// to the next: 2000 where nothing is set, which doubles. Of another curve
    /// it changes nothing. Delays are right to the nearest nanosecond below a
    /// quarter of an hour.
    ///
    /// # Errors
    /// Where it is below 1000: such delays would shrink.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Backoff, Jitter};
    ///
    /// let half = Duration::from_millis(500);
    /// let backoff = Backoff::exponential(half, 60 * half)?.factor_per_mille(1_500)?.jitter(Jitter::None);
    /// assert_eq!(backoff.delay(4, half, 0), Duration::from_micros(1_687_500));
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub const fn factor_per_mille(mut self, factor: u32) -> Result<Self, ConfigError> {
        if factor < 1_000 {
            return Err(ConfigError::FactorBelowOne);
        }
        if let Curve::Exponential { .. } = self.curve {
            self.curve = Curve::Exponential { per_mille: factor };
        }
        Ok(self)
    }

    /// Sets how chance spreads the delays.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Backoff, Jitter};
    ///
    /// let second = Duration::from_secs(1);
    /// let backoff = Backoff::exponential(second, 60 * second)?;
    /// assert_eq!(backoff.jitter(Jitter::Full).band(3, second), (Duration::ZERO, 4 * second));
    /// assert_eq!(backoff.jitter(Jitter::None).band(3, second), (4 * second, 4 * second));
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    #[must_use]
    pub const fn jitter(mut self, jitter: Jitter) -> Self {
        self.jitter = jitter;
        self
    }

    /// Sets the most that comes out, jitter included.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Backoff, Jitter};
    ///
    /// let second = Duration::from_secs(1);
    /// let above = Backoff::constant(60 * second)?.jitter(Jitter::Additive(second));
    /// assert_eq!(above.at_most(60 * second).delay(1, second, 42), 60 * second);
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    #[must_use]
    pub const fn at_most(mut self, longest: Duration) -> Self {
        self.longest = nanos(longest);
        self
    }

    /// The delay after the `failures`-th failure, counted from 1, where the one
    /// before it was `previous` (which only [`Jitter::Decorrelated`] asks for).
    /// The same `seed` gives the same delay, and another one after each
    /// failure.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Backoff, Jitter};
    ///
    /// let second = Duration::from_secs(1);
    /// let backoff = Backoff::exponential(second, 60 * second)?.jitter(Jitter::Equal);
    /// let delay = backoff.delay(3, second, 42);
    /// assert!((2 * second..=4 * second).contains(&delay));
    /// assert_eq!(backoff.delay(3, second, 42), delay);
    /// assert_ne!(backoff.delay(3, second, 43), delay);
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub const fn delay(&self, failures: u32, previous: Duration, seed: u64) -> Duration {
        let mut rng = Rng::new(seed).skip(failures.saturating_sub(1) as u64);
        self.draw(failures, previous, &mut rng)
    }

    /// The delay before jitter.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::Backoff;
    ///
    /// let second = Duration::from_secs(1);
    /// let backoff = Backoff::exponential(second, 8 * second)?;
    /// assert_eq!(backoff.ceiling(3), 4 * second);
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub const fn ceiling(&self, failures: u32) -> Duration {
        Duration::from_nanos(self.ceiling_nanos(failures))
    }

    /// The least and the most that [`delay`](Self::delay) gives.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Backoff, Jitter};
    ///
    /// let second = Duration::from_secs(1);
    /// let backoff = Backoff::exponential(second, 8 * second)?.jitter(Jitter::Equal);
    /// assert_eq!(backoff.band(3, second), (2 * second, 4 * second));
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub const fn band(&self, failures: u32, previous: Duration) -> (Duration, Duration) {
        let (least, most) = self.band_nanos(failures, previous);
        let cut = self.cut();
        (
            Duration::from_nanos(min(least, cut)),
            Duration::from_nanos(min(most, cut)),
        )
    }

    /// All delays, one after another, without end: the n-th is
    /// [`delay`](Self::delay) of `n`, of the one before it and of `seed`.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Backoff, Jitter};
    ///
    /// let second = Duration::from_secs(1);
    /// let backoff = Backoff::exponential(second, 60 * second)?.jitter(Jitter::Decorrelated);
    /// let mut previous = second;
    /// for delay in backoff.delays(42).take(20) {
    ///     assert!(delay >= second && delay <= 3 * previous);
    ///     previous = delay;
    /// }
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub const fn delays(&self, seed: u64) -> Delays<'a> {
        Delays {
            backoff: *self,
            failures: 0,
            previous: Duration::ZERO,
            seed,
        }
    }

    pub(crate) const fn draw(&self, failures: u32, previous: Duration, rng: &mut Rng) -> Duration {
        self.draw_around(self.ceiling_nanos(failures), previous, rng)
    }

    /// As [`draw`](Self::draw), with `delay` in place of the curve's.
    pub(crate) const fn draw_around(
        &self,
        delay: u64,
        previous: Duration,
        rng: &mut Rng,
    ) -> Duration {
        let (least, most) = self.jitter.band(delay, self.base, nanos(previous));
        let drawn = least.saturating_add(rng.up_to(most.saturating_sub(least)));
        Duration::from_nanos(min(drawn, self.cut()))
    }

    /// The same with another base and cap, in nanoseconds, the latter not below
    /// the former.
    pub(crate) const fn scaled(mut self, base: u64, cap: u64) -> Self {
        self.base = base;
        self.cap = cap;
        self
    }

    /// Before the cut: of decorrelated jitter it comes after the draw.
    const fn band_nanos(&self, failures: u32, previous: Duration) -> (u64, u64) {
        let ceiling = self.ceiling_nanos(failures);
        self.jitter.band(ceiling, self.base, nanos(previous))
    }

    const fn cut(&self) -> u64 {
        match self.jitter {
            // It has no curve that the cap could cut.
            Jitter::Decorrelated => min(self.cap, self.longest),
            _ => self.longest,
        }
    }

    const fn ceiling_nanos(&self, failures: u32) -> u64 {
        let before = failures.saturating_sub(1);
        let nth = before.saturating_add(1);
        let grown = match self.curve {
            Curve::Linear { step } => {
                let steps = step.saturating_mul(before as u64);
                self.base.saturating_add(steps)
            }
            Curve::Polynomial { degree } => {
                let power = (nth as u64).saturating_pow(degree);
                self.base.saturating_mul(power)
            }
            Curve::Exponential { per_mille } => grown(self.base, per_mille, before),
            Curve::Fibonacci => self.base.saturating_mul(fibonacci(nth)),
            Curve::List(delays) => nth_or_last(delays, before),
        };
        min(grown, self.cap)
    }
}

/// The delays of a [`Backoff`], one after another. Made by
/// [`Backoff::delays`].
///
/// ```
/// use core::time::Duration;
/// use sendwhen::{Backoff, Jitter};
///
/// let second = Duration::from_secs(1);
/// let backoff = Backoff::fibonacci(second, 60 * second)?.jitter(Jitter::None);
/// let first: Vec<u64> = backoff.delays(0).map(|delay| delay.as_secs()).take(6).collect();
/// assert_eq!(first, [1, 1, 2, 3, 5, 8]);
/// # Ok::<(), sendwhen::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Delays<'a> {
    backoff: Backoff<'a>,
    failures: u32,
    previous: Duration,
    seed: u64,
}

impl Iterator for Delays<'_> {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.failures = self.failures.saturating_add(1);
        self.previous = self.backoff.delay(self.failures, self.previous, self.seed);
        Some(self.previous)
    }
}

impl core::iter::FusedIterator for Delays<'_> {}

const fn min(a: u64, b: u64) -> u64 {
    if a < b { a } else { b }
}

/// `F(n)`, counted from `F(1) = F(2) = 1`; saturating, which it is from the
/// 94th on.
const fn fibonacci(n: u32) -> u64 {
    let (mut this, mut next, mut at) = (1_u64, 1_u64, 1);
    while at < n && this < u64::MAX {
        (this, next) = (next, this.saturating_add(next));
        at = at.saturating_add(1);
    }
    this
}

const fn nth_or_last(delays: &[Duration], place: u32) -> u64 {
    let mut rest = delays;
    let mut place = place;
    while let [first, tail @ ..] = rest {
        if place == 0 || tail.is_empty() {
            return nanos(*first);
        }
        (rest, place) = (tail, place.saturating_sub(1));
    }
    0
}

/// `base` times `per_mille` thousandths to the power of `n`, to the nearest;
/// saturating.
const fn grown(base: u64, per_mille: u32, n: u32) -> u64 {
    if per_mille == 2_000 {
        // Shifting by more than the leading zeros would pass the end of a u64,
        // and so any cap that a u64 of nanoseconds can hold.
        return if n > base.leading_zeros() {
            u64::MAX
        } else {
            base.wrapping_shl(n)
        };
    }
    let (mut power, mut square, mut left) = (Scaled::ONE, Scaled::thousandths(per_mille), n);
    while left > 0 {
        if left & 1 == 1 {
            power = power.times(square);
        }
        square = square.times(square);
        left >>= 1;
    }
    power.of(base)
}

/// `mantissa / 2^63 * 2^exponent`, the mantissa with its top bit set: 64 bits
/// of precision at any size. A power by squaring of up to 2^32 takes 64
/// products, each cut by less than 2^-63; the error of the first is multiplied
/// by the power, and where a delay has not passed the end of a `u64` a factor
/// of 1.001 was raised to less than 2^16.
#[derive(Clone, Copy)]
struct Scaled {
    mantissa: u64,
    exponent: i64,
}

impl Scaled {
    const ONE: Self = Self {
        mantissa: 1 << 63,
        exponent: 0,
    };

    #[expect(
        clippy::arithmetic_side_effects,
        clippy::cast_possible_truncation,
        reason = "a u32 shifted by 95 fits a u128; a normal number shifted to 64 bits fits a u64"
    )]
    const fn thousandths(count: u32) -> Self {
        let wide = ((count as u128) << 95) / 1_000;
        let extra = 64 - wide.leading_zeros() as i64;
        Self {
            mantissa: (wide >> extra) as u64,
            exponent: extra - 32,
        }
    }

    #[expect(
        clippy::arithmetic_side_effects,
        clippy::cast_possible_truncation,
        reason = "two u64 multiplied fit a u128, whose upper half fits a u64; exponents double 32 times at most"
    )]
    const fn times(self, other: Self) -> Self {
        let wide = self.mantissa as u128 * other.mantissa as u128;
        let carry = (wide >> 127) as u32;
        Self {
            mantissa: (wide >> (63 + carry)) as u64,
            exponent: self.exponent + other.exponent + carry as i64,
        }
    }

    /// This times `base`, to the nearest; saturating. It is not below 1.
    #[expect(
        clippy::arithmetic_side_effects,
        clippy::cast_possible_truncation,
        reason = "two u64 multiplied leave room for half a unit in a u128; bounds are tested"
    )]
    const fn of(self, base: u64) -> u64 {
        if self.exponent > 63 {
            return u64::MAX;
        }
        let shift = 63 - self.exponent;
        let half = if shift == 0 { 0 } else { 1_u128 << (shift - 1) };
        let wide = (self.mantissa as u128 * base as u128 + half) >> shift;
        if wide > u64::MAX as u128 {
            u64::MAX
        } else {
            wide as u64
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_schedule_that_cannot_be_meant_is_refused() {
        let short = Duration::from_millis(999);
        assert_eq!(
            Backoff::exponential(Duration::ZERO, SECOND),
            Err(ConfigError::ZeroBase)
        );
        assert_eq!(
            Backoff::exponential(SECOND, short),
            Err(ConfigError::CapBelowBase)
        );
        assert_eq!(
            Backoff::constant(Duration::ZERO),
            Err(ConfigError::ZeroBase)
        );
        assert_eq!(
            Backoff::linear(SECOND, SECOND, short),
            Err(ConfigError::CapBelowBase)
        );
        assert_eq!(
            Backoff::polynomial(SECOND, 2, short),
            Err(ConfigError::CapBelowBase)
        );
        assert_eq!(
            Backoff::fibonacci(SECOND, short),
            Err(ConfigError::CapBelowBase)
        );
        assert_eq!(Backoff::list(&[]), Err(ConfigError::NoDelays));
        let plain = Backoff::exponential(SECOND, SECOND).unwrap();
        assert_eq!(
            plain.factor_per_mille(999),
            Err(ConfigError::FactorBelowOne)
        );
    }

    #[test]
    fn each_curve_gives_its_delays() {
        let hour = 3_600 * SECOND;
        let list = [7, 0, 3].map(Duration::from_secs);
        let rows: [(Backoff<'_>, [u64; 7]); 7] = [
            (Backoff::constant(SECOND).unwrap(), [1; 7]),
            (
                Backoff::linear(SECOND, 2 * SECOND, hour).unwrap(),
                [1, 3, 5, 7, 9, 11, 13],
            ),
            (
                Backoff::polynomial(SECOND, 3, hour).unwrap(),
                [1, 8, 27, 64, 125, 216, 343],
            ),
            (
                Backoff::exponential(SECOND, 20 * SECOND).unwrap(),
                [1, 2, 4, 8, 16, 20, 20],
            ),
            (
                Backoff::exponential(SECOND, hour)
                    .unwrap()
                    .factor_per_mille(3_000)
                    .unwrap(),
                [1, 3, 9, 27, 81, 243, 729],
            ),
            (
                Backoff::fibonacci(SECOND, hour).unwrap(),
                [1, 1, 2, 3, 5, 8, 13],
            ),
            (Backoff::list(&list).unwrap(), [7, 0, 3, 3, 3, 3, 3]),
        ];
        for (backoff, want) in rows {
            let want = want.map(Duration::from_secs);
            let plain = backoff.jitter(Jitter::None);
            assert!(plain.delays(3).take(7).eq(want), "{backoff:?}");
            assert_eq!(
                plain.delay(0, SECOND, 3),
                want[0],
                "none is taken for the first"
            );
        }
    }

    /// The one of Rust's `backoff` crate: 500 ms, by half as much again.
    #[test]
    fn a_factor_of_one_and_a_half_is_exact() {
        let backoff = Backoff::exponential(Duration::from_millis(500), 60 * SECOND)
            .unwrap()
            .factor_per_mille(1_500)
            .unwrap();
        let micros = [500_000, 750_000, 1_125_000, 1_687_500, 2_531_250, 3_796_875];
        for (n, micros) in (1..).zip(micros) {
            assert_eq!(backoff.ceiling(n), Duration::from_micros(micros));
        }
    }

    fn any_backoff() -> impl Strategy<Value = Backoff<'static>> {
        let base = (1..u64::MAX, 0..u32::BITS * 2).prop_map(|(n, cut)| (n >> cut).max(1));
        (base, any::<u64>(), 0..5_u8, any::<u32>(), any::<u64>()).prop_map(
            |(base, above, curve, power, step)| {
                let base = Duration::from_nanos(base);
                let cap = base.saturating_add(Duration::from_nanos(above));
                let made = match curve {
                    0 => Backoff::constant(base),
                    1 => Backoff::linear(base, Duration::from_nanos(step), cap),
                    2 => Backoff::polynomial(base, power % 9, cap),
                    3 => Backoff::exponential(base, cap)
                        .and_then(|b| b.factor_per_mille(1_000 + power % 9_000)),
                    _ => Backoff::fibonacci(base, cap),
                };
                made.unwrap()
            },
        )
    }

    proptest! {
        #![proptest_config(crate::retry::ten_thousand_cases())]

        #[test]
        fn backoff_is_total_and_monotone_to_its_cap(
            backoff in any_backoff(), n in any::<u32>(), small in 1..100_u32,
        ) {
            for n in [n, small, u32::MAX] {
                let here = backoff.ceiling(n);
                prop_assert!(here.as_nanos() <= u128::from(backoff.cap));
                prop_assert!(here.as_nanos() >= u128::from(backoff.base.min(backoff.cap)));
                prop_assert!(backoff.ceiling(n.saturating_add(1)) >= here);
            }
        }

        /// Against arithmetic in 128 bits, step by step.
        #[test]
        fn each_curve_is_what_its_formula_says(
            base in 1..1_u64 << 24, n in 1..9_u32, step in 0..1_u64 << 40, power in 0..6_u32,
            thousandths in 1_000..4_000_u32,
        ) {
            let (span, end) = (Duration::from_nanos, Duration::from_nanos(u64::MAX));
            let (wide, nth) = (u128::from(base), u128::from(n));
            let linear = Backoff::linear(span(base), span(step), end).unwrap();
            prop_assert_eq!(linear.ceiling(n).as_nanos(), wide + u128::from(step) * (nth - 1));
            let polynomial = Backoff::polynomial(span(base), power, end).unwrap();
            prop_assert_eq!(polynomial.ceiling(n).as_nanos(), wide * nth.pow(power));
            let doubled = Backoff::exponential(span(base), end).unwrap();
            prop_assert_eq!(doubled.ceiling(n).as_nanos(), wide << (n - 1));
            let exponential = doubled.factor_per_mille(thousandths).unwrap();
            let (over, under) = (u128::from(thousandths).pow(n - 1), 1_000_u128.pow(n - 1));
            let exact = (wide * over + under / 2) / under;
            prop_assert!(exponential.ceiling(n).as_nanos().abs_diff(exact) <= 1);
            let mut pair = (0, wide);
            for _ in 1..n {
                pair = (pair.1, pair.0 + pair.1);
            }
            let fibonacci = Backoff::fibonacci(span(base), end).unwrap();
            prop_assert_eq!(fibonacci.ceiling(n).as_nanos(), pair.1);
        }

        /// A tiny factor to a large power, against doubling in steps.
        #[test]
        fn a_long_power_stays_close(n in 1..20_000_u32) {
            let base = Duration::from_nanos(1_000);
            let backoff = Backoff::exponential(base, Duration::from_secs(900)).unwrap()
                .factor_per_mille(1_001).unwrap();
            // In steps of 2^-64 of a nanosecond.
            let (mut exact, cap) = (1_000_u128 << 64, 900_000_000_000_u128 << 64);
            for _ in 1..n {
                exact = (exact + exact / 1_000).min(cap);
            }
            let exact = (exact + (1 << 63)) >> 64;
            prop_assert!(backoff.ceiling(n).as_nanos().abs_diff(exact) <= 1);
        }

        #[test]
        fn the_iterator_agrees_with_the_function(backoff in any_backoff(), seed in any::<u64>()) {
            for jitter in [Jitter::Full, Jitter::Equal, Jitter::Decorrelated, Jitter::None] {
                let backoff = backoff.jitter(jitter);
                let mut previous = Duration::ZERO;
                for (n, delay) in (1..).zip(backoff.delays(seed).take(12)) {
                    prop_assert_eq!(delay, backoff.delay(n, previous, seed));
                    previous = delay;
                }
            }
        }

        /// And both ends of the band are reached, or nearly.
        #[test]
        fn jitter_stays_in_its_band(
            backoff in any_backoff(), n in any::<u32>(), previous in any::<u64>(), seed in any::<u64>(),
            share in any::<u16>(), longest in any::<u64>(),
        ) {
            let previous = Duration::from_nanos(previous);
            for jitter in [
                Jitter::None, Jitter::Full, Jitter::Equal, Jitter::Decorrelated,
                Jitter::Additive(Duration::from_nanos(longest)),
                Jitter::Above { per_mille: share }, Jitter::Below { per_mille: share },
            ] {
                let backoff = backoff.jitter(jitter).at_most(Duration::from_nanos(longest));
                let (least, most) = backoff.band(n, previous);
                let delay = backoff.delay(n, previous, seed);
                prop_assert!(least <= delay && delay <= most, "{:?}", jitter);
                prop_assert!(most <= Duration::from_nanos(longest));
            }
        }
    }
}
