//! What is counted: [`Dimension`], [`Cost`], [`Rate`].

use core::{fmt, time::Duration};

use crate::{error::ConfigError, time::nanos};

/// One thing that a server counts and limits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Dimension {
    /// Requests; each counts as one.
    Requests,
    /// Input tokens as the Claude API counts them for most models: what is
    /// written to the cache counts, what is read from it does not.
    InputTokens,
    /// Input tokens, cache reads included.
    RawInputTokens,
    /// Output tokens.
    OutputTokens,
    /// Input and output together, cache reads included.
    TotalTokens,
    /// The caller's own, first of three.
    Own1,
    /// The caller's own, second of three.
    Own2,
    /// The caller's own, third of three.
    Own3,
}

impl Dimension {
    /// How many there are.
    pub const COUNT: usize = 8;

    /// All of them, in the order of [`index`](Self::index).
    pub const ALL: [Self; Self::COUNT] = [
        Self::Requests,
        Self::InputTokens,
        Self::RawInputTokens,
        Self::OutputTokens,
        Self::TotalTokens,
        Self::Own1,
        Self::Own2,
        Self::Own3,
    ];

    /// Its place in [`ALL`](Self::ALL), below [`COUNT`](Self::COUNT).
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Dimension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Requests => "requests",
            Self::InputTokens => "input tokens",
            Self::RawInputTokens => "raw input tokens",
            Self::OutputTokens => "output tokens",
            Self::TotalTokens => "total tokens",
            Self::Own1 => "own 1",
            Self::Own2 => "own 2",
            Self::Own3 => "own 3",
        })
    }
}

/// How much of each [`Dimension`] something takes. A dimension at zero is not
/// asked.
///
/// ```
/// use sendwhen::{Cost, Dimension};
///
/// let cost = Cost::request().with(Dimension::InputTokens, 1_200);
/// assert_eq!(cost.get(Dimension::Requests), 1);
/// assert_eq!(cost.get(Dimension::OutputTokens), 0);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Cost([u64; Dimension::COUNT]);

impl Cost {
    /// Nothing of anything.
    pub const ZERO: Self = Self([0; Dimension::COUNT]);

    /// One request and nothing else.
    pub const fn request() -> Self {
        Self::ZERO.with(Dimension::Requests, 1)
    }

    /// The same with `amount` of `dimension`.
    #[must_use]
    #[expect(
        clippy::indexing_slicing,
        reason = "an index is below COUNT, and the compiler is told so"
    )]
    pub const fn with(mut self, dimension: Dimension, amount: u64) -> Self {
        self.0[dimension.index() % Dimension::COUNT] = amount;
        self
    }

    /// How much of `dimension`.
    #[expect(
        clippy::indexing_slicing,
        reason = "an index is below COUNT, and the compiler is told so"
    )]
    #[inline]
    pub const fn get(&self, dimension: Dimension) -> u64 {
        self.0[dimension.index() % Dimension::COUNT]
    }

    /// The sum, dimension by dimension; saturating.
    #[must_use]
    pub fn saturating_add(mut self, other: &Self) -> Self {
        self.raise_by(other);
        self
    }

    /// The difference, dimension by dimension; never below 0.
    #[must_use]
    pub fn saturating_sub(mut self, other: &Self) -> Self {
        self.lower_by(other);
        self
    }

    /// As [`saturating_add`](Self::saturating_add), in place.
    #[inline]
    pub(crate) fn raise_by(&mut self, other: &Self) {
        for (here, there) in self.0.iter_mut().zip(&other.0) {
            *here = here.saturating_add(*there);
        }
    }

    /// As [`saturating_sub`](Self::saturating_sub), in place.
    #[inline]
    pub(crate) fn lower_by(&mut self, other: &Self) {
        for (here, there) in self.0.iter_mut().zip(&other.0) {
            *here = here.saturating_sub(*there);
        }
    }

    /// The dimensions that it takes something of.
    pub fn iter(&self) -> impl Iterator<Item = (Dimension, u64)> + '_ {
        Dimension::ALL
            .iter()
            .zip(&self.0)
            .filter_map(|(&dimension, &amount)| (amount > 0).then_some((dimension, amount)))
    }
}

/// A count per period, kept as a fraction in lowest terms: three per second
/// stays three per second for ever.
///
/// ```
/// use core::time::Duration;
/// use sendwhen::Rate;
///
/// let rate = Rate::per_minute(50)?;
/// assert_eq!(rate, Rate::per(100, Duration::from_secs(120))?);
/// # Ok::<(), sendwhen::ConfigError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(try_from = "(u64, u64)", into = "(u64, u64)")
)]
pub struct Rate {
    /// At least 1, below 2^63.
    count: u64,
    /// Nanoseconds, at least 1, below 2^63.
    period: u64,
}

impl Rate {
    /// `count` in each `period`.
    ///
    /// # Errors
    /// Where either is zero, or not below 2^63 (for the period, 292 years in
    /// nanoseconds).
    pub const fn per(count: u64, period: Duration) -> Result<Self, ConfigError> {
        if count == 0 {
            return Err(ConfigError::ZeroRate);
        }
        let wide = period.as_nanos();
        if wide == 0 {
            return Err(ConfigError::ZeroPeriod);
        }
        if count > i64::MAX as u64 || wide > i64::MAX as u128 {
            return Err(ConfigError::RateOutOfRange);
        }
        let period = nanos(period);
        let common = gcd(count, period);
        Ok(Self {
            count: divide(count, common),
            period: divide(period, common),
        })
    }

    /// `count` in each second.
    ///
    /// # Errors
    /// As [`per`](Self::per).
    pub const fn per_second(count: u64) -> Result<Self, ConfigError> {
        Self::per(count, Duration::from_secs(1))
    }

    /// `count` in each minute.
    ///
    /// # Errors
    /// As [`per`](Self::per).
    pub const fn per_minute(count: u64) -> Result<Self, ConfigError> {
        Self::per(count, Duration::from_secs(60))
    }

    /// The numerator, in lowest terms.
    #[inline]
    pub const fn count(self) -> u64 {
        self.count
    }

    /// The denominator, in lowest terms.
    pub const fn period(self) -> Duration {
        Duration::from_nanos(self.period)
    }

    /// The denominator in nanoseconds.
    #[inline]
    pub(crate) const fn period_nanos(self) -> u64 {
        self.period
    }

    /// What comes in `span`, rounded down; saturating.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::arithmetic_side_effects,
        reason = "two u64 multiplied fit a u128; the bound is tested"
    )]
    pub const fn in_span(self, span: Duration) -> u64 {
        let wide = self.count as u128 * nanos(span) as u128;
        // The period is never 0; so written, no panic is left in for it.
        let Some(wide) = wide.checked_div(self.period as u128) else {
            return u64::MAX;
        };
        if wide > u64::MAX as u128 {
            u64::MAX
        } else {
            wide as u64
        }
    }
}

/// The count, and the period in nanoseconds.
#[cfg(feature = "serde")]
impl From<Rate> for (u64, u64) {
    fn from(rate: Rate) -> Self {
        (rate.count, rate.period)
    }
}

#[cfg(feature = "serde")]
impl TryFrom<(u64, u64)> for Rate {
    type Error = ConfigError;

    fn try_from((count, period): (u64, u64)) -> Result<Self, ConfigError> {
        Self::per(count, Duration::from_nanos(period))
    }
}

/// Greatest common divisor, by Euclid. Not zero where either is not.
const fn gcd(mut a: u64, mut b: u64) -> u64 {
    while let Some(rest) = a.checked_rem(b) {
        (a, b) = (b, rest);
    }
    a
}

/// `a / b`; a divisor of 0, which [`gcd`] never gives, leaves `a`.
const fn divide(a: u64, b: u64) -> u64 {
    match a.checked_div(b) {
        Some(quotient) => quotient,
        None => a,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_lists_every_dimension_at_its_index() {
        for (place, dimension) in Dimension::ALL.into_iter().enumerate() {
            assert_eq!(dimension.index(), place);
        }
    }

    #[test]
    fn a_rate_is_kept_in_lowest_terms() {
        let rate = Rate::per_minute(50).unwrap();
        assert_eq!((rate.count(), rate.period_nanos()), (1, 1_200_000_000));
    }

    #[test]
    fn a_rate_that_cannot_be_meant_is_refused() {
        let second = Duration::from_secs(1);
        assert_eq!(Rate::per(0, second), Err(ConfigError::ZeroRate));
        assert_eq!(Rate::per(1, Duration::ZERO), Err(ConfigError::ZeroPeriod));
        assert_eq!(Rate::per(1 << 63, second), Err(ConfigError::RateOutOfRange));
        assert_eq!(
            Rate::per(1, Duration::MAX),
            Err(ConfigError::RateOutOfRange)
        );
        assert!(Rate::per((1 << 63) - 1, Duration::from_nanos(1)).is_ok());
    }

    #[test]
    fn what_comes_in_a_span_is_rounded_down() {
        let rate = Rate::per_second(3).unwrap();
        assert_eq!(rate.in_span(Duration::from_millis(333)), 0);
        assert_eq!(rate.in_span(Duration::from_millis(334)), 1);
        let fast = Rate::per(u64::MAX >> 1, Duration::from_nanos(1)).unwrap();
        assert_eq!(fast.in_span(Duration::from_secs(1)), u64::MAX);
    }
}
