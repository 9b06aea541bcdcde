//! Chance from a seed.

use core::time::Duration;

use crate::time::nanos;

/// `SplitMix64`: a counter and a mixing function (Steele, Lea, Flood, "Fast
/// splittable pseudorandom number generators", OOPSLA 2014). One word of state,
/// good enough for jitter, and any seed will do, 0 included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Rng(u64);

/// The odd number next to 2^64 over the golden ratio.
const GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;

impl Rng {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The state `count` numbers later.
    pub(crate) const fn skip(self, count: u64) -> Self {
        Self(self.0.wrapping_add(GAMMA.wrapping_mul(count)))
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GAMMA);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number from 0 to `most`, both included. By multiplication (Lemire,
    /// "Fast random integer generation in an interval", 2019), without his
    /// rejection: a bias below `most` / 2^64 does not matter to jitter.
    #[expect(
        clippy::arithmetic_side_effects,
        reason = "u64 times (u64 + 1) fits a u128, and its upper half a u64"
    )]
    pub(crate) const fn up_to(&mut self, most: u64) -> u64 {
        ((self.next() as u128 * (most as u128 + 1)) >> 64) as u64
    }

    /// A span from nothing to `most`, both included.
    pub(crate) const fn span_up_to(&mut self, most: Duration) -> Duration {
        Duration::from_nanos(self.up_to(nanos(most)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_sequence_comes_out() {
        // The first outputs for seed 1234567, as the reference implementation
        // in C gives them.
        let mut rng = Rng::new(1_234_567);
        assert_eq!(rng.next(), 6_457_827_717_110_365_317);
        assert_eq!(Rng::new(1_234_567).skip(1), rng);
        assert_eq!(rng.next(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn a_number_stays_within_its_bounds() {
        let mut rng = Rng::new(0);
        let mut seen = [false; 4];
        for _ in 0..100 {
            let n = rng.up_to(3);
            seen[usize::try_from(n).unwrap()] = true;
        }
        assert_eq!(seen, [true; 4]);
        assert_eq!(rng.up_to(0), 0);
        let _any = rng.up_to(u64::MAX);
    }
}
