//! Client-side throttling as Google's site reliability engineers have it.
//!
//! A client that is refused most of what it sends keeps its server busy with
//! refusing. So it refuses some by itself, the more the fewer are accepted:
//! with probability `max(0, (requests - k * accepts) / (requests + 1))` over the
//! last two minutes. ("Site Reliability Engineering", 2016, chapter 21,
//! "Handling Overload".)
//!
//! Choose it instead of a breaker where a server is overloaded and not down: it
//! never stops asking. Requests are counted when they are asked for, those that
//! are refused here included, so that a slow answer delays nothing.

use core::time::Duration;

use crate::{error::ConfigError, retry::window::Window, rng::Rng, time::Instant};

/// Refuses by itself what the server would refuse. 400 bytes.
///
/// ```
/// use sendwhen::{ClientThrottle, Instant};
///
/// let mut throttle = ClientThrottle::SRE;
/// let now = Instant::ZERO;
/// // The server accepts none: soon almost all are refused here.
/// let sent = (0..1_000).filter(|&seed| throttle.admits(now, seed)).count();
/// assert!(sent < 20);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ClientThrottle {
    /// Thousandths.
    k: u32,
    requests: Window,
    accepts: Window,
}

impl ClientThrottle {
    /// `k` of 2, over two minutes: about one request is refused by the server
    /// for each that it accepts.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::ClientThrottle;
    ///
    /// assert_eq!(ClientThrottle::SRE, ClientThrottle::new(2_000, Duration::from_secs(120))?);
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub const SRE: Self = Self {
        k: 2_000,
        requests: Window::new(Duration::from_secs(120)),
        accepts: Window::new(Duration::from_secs(120)),
    };

    /// With a `k` in thousandths: the nearer to 1000, the fewer refusals the
    /// server is asked for.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{ClientThrottle, ConfigError};
    ///
    /// assert!(ClientThrottle::new(1_100, Duration::from_secs(60)).is_ok());
    /// let strict = ClientThrottle::new(999, Duration::from_secs(60));
    /// assert_eq!(strict, Err(ConfigError::ThrottleTooStrict));
    /// ```
    ///
    /// # Errors
    /// Where `k_per_mille` is below 1000: what the server accepts would be
    /// refused here; or `span` is 0.
    pub const fn new(k_per_mille: u32, span: Duration) -> Result<Self, ConfigError> {
        if k_per_mille < 1_000 || span.is_zero() {
            return Err(ConfigError::ThrottleTooStrict);
        }
        Ok(Self {
            k: k_per_mille,
            requests: Window::new(span),
            accepts: Window::new(span),
        })
    }

    /// What it is set to: `k`, and the nanoseconds of a slot.
    pub(crate) const fn rule(&self) -> (u32, u64) {
        (self.k, self.requests.slot())
    }

    /// One so set that has counted nothing yet.
    pub(crate) const fn fresh((k, slot): (u32, u64)) -> Self {
        Self {
            k,
            requests: Window::of_slots(slot),
            accepts: Window::of_slots(slot),
        }
    }

    /// Whether a request that is asked for at `now` is sent; counts it either
    /// way. The same `seed` gives the same answer.
    ///
    /// ```
    /// use sendwhen::{ClientThrottle, Instant};
    ///
    /// // Half of what is asked for is accepted: nothing is refused here.
    /// let mut throttle = ClientThrottle::SRE;
    /// for seed in 0..1_000 {
    ///     assert!(throttle.admits(Instant::ZERO, seed));
    ///     if seed % 2 == 0 {
    ///         throttle.accepted(Instant::ZERO);
    ///     }
    /// }
    /// ```
    pub fn admits(&mut self, now: Instant, seed: u64) -> bool {
        self.admits_by(now, &mut Rng::new(seed))
    }

    pub(crate) fn admits_by(&mut self, now: Instant, rng: &mut Rng) -> bool {
        let (over, under) = self.odds(now);
        self.requests.add(now, 1);
        over == 0 || rng.up_to(under.saturating_sub(1)) >= over
    }

    /// The server accepted a request.
    ///
    /// ```
    /// use sendwhen::{ClientThrottle, Instant};
    ///
    /// let mut throttle = ClientThrottle::SRE;
    /// assert!(throttle.admits(Instant::ZERO, 1));
    /// assert_ne!(throttle.odds(Instant::ZERO).0, 0);
    /// throttle.accepted(Instant::ZERO);
    /// assert_eq!(throttle.odds(Instant::ZERO).0, 0);
    /// ```
    pub fn accepted(&mut self, now: Instant) {
        self.accepts.add(now, 1);
    }

    /// The probability with which a request at `now` is refused here, as a
    /// fraction.
    ///
    /// ```
    /// use sendwhen::{ClientThrottle, Instant};
    ///
    /// let mut throttle = ClientThrottle::SRE;
    /// assert_eq!(throttle.odds(Instant::ZERO).0, 0);
    /// throttle.admits(Instant::ZERO, 1);
    /// let (over, under) = throttle.odds(Instant::ZERO);
    /// assert_eq!(2 * over, under);
    /// ```
    pub fn odds(&self, now: Instant) -> (u64, u64) {
        let count = |window: &Window| u64::try_from(window.sum(now)).unwrap_or_default();
        let (requests, accepts) = (count(&self.requests), count(&self.accepts));
        let over = requests
            .saturating_mul(1_000)
            .saturating_sub(accepts.saturating_mul(u64::from(self.k)));
        (over, requests.saturating_add(1).saturating_mul(1_000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;
    use proptest::prelude::*;
    use std::vec::Vec;

    #[test]
    fn one_that_would_refuse_what_is_accepted_is_refused() {
        let (zero, second) = (Duration::ZERO, Duration::from_secs(1));
        let error = Err(ConfigError::ThrottleTooStrict);
        assert_eq!(ClientThrottle::new(999, second).map(drop), error);
        assert_eq!(ClientThrottle::new(2_000, zero).map(drop), error);
    }

    /// A server that accepts `of_a_thousand`, and what is sent to it in the
    /// long run: about `k` for each that it accepts, but never more than all.
    #[test]
    fn about_one_is_refused_for_each_that_is_accepted() {
        for of_a_thousand in [1_000_u64, 700, 400, 100] {
            let mut throttle = ClientThrottle::SRE;
            let (mut rng, mut sent, mut accepted) = (Rng::new(5), 0_u64, 0_u64);
            // 100 are asked for each second, and so many of a thousand of those
            // are within the server's capacity.
            for ms in 0..120_000 {
                let now = Instant::from_millis(ms * 10);
                if throttle.admits_by(now, &mut rng) {
                    sent += 1;
                    if accepted * 1_000 < ms * of_a_thousand {
                        accepted += 1;
                        throttle.accepted(now);
                    }
                }
            }
            let want = (2 * accepted).min(120_000);
            assert!(
                sent.abs_diff(want) * 20 < want,
                "{of_a_thousand}: {sent} sent, {accepted} accepted"
            );
        }
    }

    proptest! {
        #![proptest_config(crate::retry::ten_thousand_cases())]

        /// Against the formula over lists of all requests and accepts.
        #[test]
        fn the_odds_are_those_of_the_formula(
            k in 1_000..4_000_u32,
            steps in prop::collection::vec((0..4_u64, any::<bool>(), any::<u64>()), 1..50),
        ) {
            let mut throttle = ClientThrottle::new(k, Duration::from_secs(20)).unwrap();
            let (mut now, mut requests, mut accepts) = (0_u64, Vec::new(), Vec::new());
            for (ahead, accept, seed) in steps {
                now += ahead;
                let live = |list: &Vec<u64>| {
                    list.iter().filter(|&&at| now / 2 - at / 2 < 10).count()
                };
                let (asked, took) = (live(&requests), live(&accepts));
                let (asked, took) = (asked as u64, took as u64);
                let over = (asked * 1_000).saturating_sub(took * u64::from(k));
                let under = (asked + 1) * 1_000;
                let at = Instant::from_secs(now);
                prop_assert_eq!(throttle.odds(at), (over, under));
                if accept {
                    accepts.push(now);
                    throttle.accepted(at);
                } else {
                    let drawn = Rng::new(seed).up_to(under - 1);
                    prop_assert_eq!(throttle.admits(at, seed), drawn >= over);
                    requests.push(now);
                }
            }
        }
    }
}
