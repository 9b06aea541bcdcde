//! How chance spreads delays.

use core::time::Duration;

use crate::time::nanos;

/// How chance spreads delays, so that those who failed together do not come
/// back together. All are uniform; `d` is the delay before jitter.
///
/// Against a crowd full jitter spreads best and asks soonest; equal and
/// proportional jitter keep a floor under each delay. Against a server that said
/// when to come again nothing below `d` is right, so that there only
/// [`Additive`](Self::Additive) and [`Above`](Self::Above) are.
///
/// ```
/// use core::time::Duration;
/// use sendwhen::{Backoff, Jitter};
///
/// let second = Duration::from_secs(1);
/// let backoff = Backoff::constant(4 * second)?;
/// let band = |jitter| backoff.jitter(jitter).band(1, 2 * second);
/// assert_eq!(band(Jitter::None), (4 * second, 4 * second));
/// assert_eq!(band(Jitter::Full), (0 * second, 4 * second));
/// assert_eq!(band(Jitter::Equal), (2 * second, 4 * second));
/// assert_eq!(band(Jitter::Additive(second)), (4 * second, 5 * second));
/// assert_eq!(band(Jitter::Above { per_mille: 250 }), (4 * second, 5 * second));
/// assert_eq!(band(Jitter::Below { per_mille: 250 }), (3 * second, 4 * second));
///
/// let backoff = Backoff::exponential(second, 60 * second)?.jitter(Jitter::Decorrelated);
/// assert_eq!(backoff.band(5, 2 * second), (second, 6 * second));
/// # Ok::<(), sendwhen::ConfigError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Jitter {
    /// Not at all.
    None,
    /// From nothing to `d`. This, `Equal` and `Decorrelated` are from Marc
    /// Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
    Full,
    /// From half of `d` to `d`.
    Equal,
    /// From the schedule's first delay to three times the previous one, cut at
    /// the cap after the draw. The curve plays no part.
    Decorrelated,
    /// From `d` to `d` and so much more.
    Additive(Duration),
    /// From `d` to so many thousandths more.
    Above {
        /// Thousandths of `d`.
        per_mille: u16,
    },
    /// From so many thousandths less to `d`.
    Below {
        /// Thousandths of `d`; more than 1000 are taken for 1000.
        per_mille: u16,
    },
}

impl Jitter {
    /// The least and the most, in nanoseconds, as the arguments: the delay
    /// before jitter, the schedule's first, the one before this.
    pub(crate) const fn band(self, delay: u64, base: u64, previous: u64) -> (u64, u64) {
        match self {
            Self::None => (delay, delay),
            Self::Full => (0, delay),
            Self::Equal => (delay >> 1, delay),
            Self::Decorrelated => {
                // Before the first delay there was none: as if it had been base.
                let most = previous.saturating_mul(3);
                let first = base.saturating_mul(3);
                let most = if previous == 0 { first } else { most };
                (base, if most < base { base } else { most })
            }
            Self::Additive(more) => (delay, delay.saturating_add(nanos(more))),
            Self::Above { per_mille } => (delay, delay.saturating_add(share(delay, per_mille))),
            Self::Below { per_mille } => (delay.saturating_sub(share(delay, per_mille)), delay),
        }
    }
}

/// So many thousandths of `whole`, rounded down; saturating.
#[expect(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    reason = "a u64 times a u16 fits a u128; the bound is tested"
)]
const fn share(whole: u64, per_mille: u16) -> u64 {
    let wide = whole as u128 * per_mille as u128 / 1_000;
    if wide > u64::MAX as u128 {
        u64::MAX
    } else {
        wide as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{retry::Backoff, rng::Rng};

    /// Each fifth of the band is drawn about a fifth of the time.
    #[test]
    fn draws_are_uniform_over_the_band() {
        let backoff = Backoff::constant(Duration::from_secs(10)).unwrap();
        for jitter in [
            Jitter::Full,
            Jitter::Equal,
            Jitter::Additive(Duration::from_secs(1)),
            Jitter::Above { per_mille: 250 },
            Jitter::Below { per_mille: 250 },
        ] {
            let backoff = backoff.jitter(jitter);
            let (least, most) = backoff.band(1, Duration::ZERO);
            let fifth = (most - least) / 5;
            let (mut rng, mut counts) = (Rng::new(9), [0_u32; 6]);
            for _ in 0..10_000 {
                let drawn = backoff.draw(1, Duration::ZERO, &mut rng) - least;
                counts[(drawn.as_nanos() / fifth.as_nanos()) as usize] += 1;
            }
            // Five standard deviations of a binomial of 10 000 and a fifth.
            assert!(
                counts[..5].iter().all(|&n| n.abs_diff(2_000) < 200),
                "{jitter:?} {counts:?}"
            );
        }
    }

    /// Brooker's: drawn up to three times the previous, then cut, so that the
    /// cap itself is drawn often.
    #[test]
    fn decorrelated_delays_are_cut_after_the_draw() {
        let backoff = Backoff::exponential(Duration::from_secs(1), Duration::from_secs(10))
            .unwrap()
            .jitter(Jitter::Decorrelated);
        let at_cap = backoff
            .delays(1)
            .take(1_000)
            .filter(|delay| delay.as_secs() == 10)
            .count();
        assert!((400..900).contains(&at_cap), "{at_cap}");
    }
}
