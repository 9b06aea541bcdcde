//! How long to wait after the n-th failure.

use core::time::Duration;

use crate::{error::ConfigError, rng::Rng, time::nanos};

/// Exponential backoff with a cap: `min(cap, base * 2^(n - 1))` after the n-th
/// failure, with [`Jitter`].
///
/// ```
/// use core::time::Duration;
/// use sendwhen::{Backoff, Jitter};
///
/// const SECOND: Duration = Duration::from_secs(1);
/// let plain = Backoff::exponential(SECOND, 8 * SECOND)?.jitter(Jitter::None);
/// assert_eq!(plain.delay(1, 0), SECOND);
/// assert_eq!(plain.delay(3, 0), 4 * SECOND);
/// assert_eq!(plain.delay(u32::MAX, 0), 8 * SECOND);
///
/// let spread = plain.jitter(Jitter::Full);
/// assert!(spread.delay(3, 42) <= 4 * SECOND);
/// assert_eq!(spread.delay(3, 42), spread.delay(3, 42));
/// # Ok::<(), sendwhen::ConfigError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Backoff {
    base: Duration,
    cap: Duration,
    jitter: Jitter,
}

impl Backoff {
    /// From 500 ms to 8 s, the base and the cap of Anthropic's official SDKs,
    /// with full jitter.
    pub(crate) const SDK: Self = Self {
        base: Duration::from_millis(500),
        cap: Duration::from_secs(8),
        jitter: Jitter::Full,
    };

    /// From `base` on, twice as long each time, never longer than `cap`, with
    /// full jitter.
    ///
    /// # Errors
    /// Where `base` is zero, or `cap` lies below it.
    pub const fn exponential(base: Duration, cap: Duration) -> Result<Self, ConfigError> {
        if base.is_zero() {
            return Err(ConfigError::ZeroBase);
        }
        if cap.as_nanos() < base.as_nanos() {
            return Err(ConfigError::CapBelowBase);
        }
        Ok(Self {
            base,
            cap,
            jitter: Jitter::Full,
        })
    }

    /// Sets how chance spreads the delays.
    #[must_use]
    pub const fn jitter(mut self, jitter: Jitter) -> Self {
        self.jitter = jitter;
        self
    }

    /// The delay after the `failures`-th failure, counted from 1. Total: any
    /// number has an answer. The same `seed` gives the same delay.
    pub const fn delay(&self, failures: u32, seed: u64) -> Duration {
        self.draw(failures, &mut Rng::new(seed))
    }

    pub(crate) const fn draw(&self, failures: u32, rng: &mut Rng) -> Duration {
        let ceiling = self.ceiling(failures);
        match self.jitter {
            Jitter::None => ceiling,
            Jitter::Full => rng.span_up_to(ceiling),
        }
    }

    /// The delay without jitter.
    const fn ceiling(&self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1);
        let base = nanos(self.base);
        // Shifting by more than the leading zeros would pass the end of a u64,
        // and so any cap that a u64 of nanoseconds can hold.
        let grown = if doublings > base.leading_zeros() {
            u64::MAX
        } else {
            base.wrapping_shl(doublings)
        };
        let cap = nanos(self.cap);
        Duration::from_nanos(if grown < cap { grown } else { cap })
    }
}

/// How chance spreads delays, so that those who failed together do not come
/// back together.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Jitter {
    /// Not at all.
    None,
    /// Uniform between nothing and the whole delay: "full jitter" (Marc Brooker,
    /// "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).
    Full,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_schedule_that_cannot_be_meant_is_refused() {
        let second = Duration::from_secs(1);
        assert_eq!(
            Backoff::exponential(Duration::ZERO, second),
            Err(ConfigError::ZeroBase)
        );
        assert_eq!(
            Backoff::exponential(second, Duration::from_millis(999)),
            Err(ConfigError::CapBelowBase)
        );
    }

    proptest! {
        #[test]
        fn backoff_is_total_and_monotone_to_its_cap(
            base in 1..u64::MAX, above in 0..u64::MAX, n in any::<u32>(), seed in any::<u64>()
        ) {
            let base = Duration::from_nanos(base);
            let cap = base.saturating_add(Duration::from_nanos(above));
            let plain = Backoff::exponential(base, cap).unwrap().jitter(Jitter::None);
            let here = plain.delay(n, seed);
            prop_assert!(here <= cap && here >= base.min(cap));
            prop_assert!(plain.delay(n.saturating_add(1), seed) >= here);
            if (1..64).contains(&n) {
                let wide = base.as_nanos() << (n - 1);
                let want = wide.min(cap.as_nanos()).min(u128::from(u64::MAX));
                prop_assert_eq!(here.as_nanos(), want);
            }
        }

        #[test]
        fn jitter_stays_in_its_band(n in any::<u32>(), seed in any::<u64>()) {
            let plain = Backoff::exponential(Duration::from_millis(500), Duration::from_secs(8))
                .unwrap();
            let ceiling = plain.jitter(Jitter::None).delay(n, seed);
            prop_assert!(plain.delay(n, seed) <= ceiling);
        }
    }
}
