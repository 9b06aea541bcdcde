//! The rate controller of the AWS SDKs' adaptive mode, in integers.
//!
//! Off until the first refusal; from then on a token bucket whose rate falls to
//! 7/10 of what was measured with each refusal, and grows back along a cubic
//! curve that is flat around the rate at which refusals came (CUBIC, RFC 9438;
//! the SDK reference guide calls the mode "adaptive"; the same constants in
//! botocore's `throttling.py` and smithy-rs's `client_rate_limiter.rs`):
//!
//! ```text
//! K    = cbrt(last * 3/10 / (4/10))      seconds
//! rate = 4/10 * (t - K)^3 + last         t since the last refusal, in seconds
//! ```
//!
//! The rate is never above twice what was measured: the requests in each half
//! second, smoothed by 8/10. Never below one in two seconds.
//!
//! Choose it where a server says nothing but that it was too much. Rates are
//! kept in thousand-millionths of a request per second; a step is off by a few
//! of them, and the trace that the SDKs publish comes out to seven digits. The
//! bucket itself does not round.

use core::time::Duration;

use crate::{limit::Refusal, time::Instant};

/// A token bucket that learns its rate from refusals. 120 bytes.
///
/// ```
/// use sendwhen::{CubicRate, Instant};
///
/// let mut rate = CubicRate::new();
/// let at = |tenths: u64| Instant::from_millis(tenths * 100);
/// for tenths in 0..10 {
///     assert!(rate.try_acquire(at(tenths)).is_ok());
///     rate.answered(at(tenths), false);
/// }
/// assert_eq!(rate.per_second_nano(), None, "off until the first refusal");
/// rate.answered(at(10), true);
/// assert!(rate.per_second_nano().is_some());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct CubicRate {
    /// Whether there was a refusal.
    on: bool,
    /// Requests a second, as are all rates here, in [`NANO`].
    fill: u64,
    measured: u64,
    /// What it was at the last refusal.
    last_max: u64,
    last_throttle: Instant,
    /// Requests of the current half second, and the half seconds before it.
    count: u64,
    halves: u64,
    /// In units of [`ATTO`], as of `at`.
    level: u128,
    capacity: u128,
    at: Instant,
}

/// A request a second, in units of a rate.
const NANO: u64 = 1_000_000_000;
/// A request, in units of a level: nanoseconds times rates.
const ATTO: u128 = 1_000_000_000_000_000_000;
/// Half a request a second.
const LEAST: u64 = NANO / 2;
const HALF_SECOND: u64 = 500_000_000;

impl CubicRate {
    /// One that lets all pass until the first refusal.
    ///
    /// ```
    /// use sendwhen::{CubicRate, Instant};
    ///
    /// assert_eq!(CubicRate::new().peek(Instant::ZERO), Ok(()));
    /// ```
    pub const fn new() -> Self {
        Self {
            on: false,
            fill: LEAST,
            measured: 0,
            last_max: 0,
            last_throttle: Instant::ZERO,
            count: 0,
            halves: 0,
            level: 0,
            capacity: ATTO,
            at: Instant::ZERO,
        }
    }

    /// Whether a request may be sent at `now`.
    ///
    /// ```
    /// use sendwhen::{CubicRate, Instant, Refusal};
    ///
    /// let mut rate = CubicRate::new();
    /// rate.answered(Instant::from_secs(1), true);
    /// let Err(Refusal::Until(until)) = rate.peek(Instant::from_secs(1)) else { panic!() };
    /// assert_eq!(rate.peek(until), Ok(()));
    /// ```
    ///
    /// # Errors
    /// [`Refusal::Until`] the instant from which it may, if nothing is reported
    /// meanwhile.
    pub fn peek(&self, now: Instant) -> Result<(), Refusal> {
        if !self.on {
            return Ok(());
        }
        let now = now.max(self.at);
        let short = ATTO.saturating_sub(self.level_at(now));
        if short == 0 {
            return Ok(());
        }
        let wait = short.div_ceil(u128::from(self.fill.max(1)));
        let wait = u64::try_from(wait).unwrap_or(u64::MAX);
        let until = Instant::from_nanos(now.as_nanos().saturating_add(wait));
        Err(Refusal::Until(until))
    }

    /// Takes a request at `now`.
    ///
    /// ```
    /// use sendwhen::{CubicRate, Instant};
    ///
    /// let mut rate = CubicRate::new();
    /// rate.answered(Instant::from_secs(1), true);
    /// let now = Instant::from_secs(10);
    /// assert!(rate.try_acquire(now).is_ok());
    /// assert!(rate.try_acquire(now).is_err(), "one at once, after a single request");
    /// ```
    ///
    /// # Errors
    /// As [`peek`](Self::peek); then nothing changes.
    pub fn try_acquire(&mut self, now: Instant) -> Result<(), Refusal> {
        self.peek(now)?;
        self.take(now);
        Ok(())
    }

    /// A request is sent at `now`, whether there is room for it or not.
    pub(crate) fn take(&mut self, now: Instant) {
        if self.on {
            self.refill(now);
            self.level = self.level.saturating_sub(ATTO);
        }
    }

    /// A request was answered at `now`; `throttled` where it was refused for a
    /// limit. True where those who wait may go earlier than they were told.
    ///
    /// ```
    /// use sendwhen::{CubicRate, Instant};
    ///
    /// // Ten a second, until one is refused.
    /// let mut rate = CubicRate::new();
    /// for tenths in 0..100 {
    ///     rate.answered(Instant::from_millis(100 * tenths), false);
    /// }
    /// rate.answered(Instant::from_secs(10), true);
    /// let tenths = rate.per_second_nano().unwrap() / 100_000_000;
    /// assert!((68..=70).contains(&tenths), "seven tenths of what was measured");
    /// ```
    pub fn answered(&mut self, now: Instant, throttled: bool) -> bool {
        let now = now.max(self.at);
        let before = self.fill;
        self.measure(now);
        let wanted = if throttled {
            let rate = if self.on {
                self.measured.min(self.fill)
            } else {
                self.measured
            };
            self.last_max = rate;
            self.last_throttle = now;
            self.on = true;
            share(rate, 7)
        } else {
            self.grown(now)
        };
        let rate = wanted.min(self.measured.saturating_mul(2));
        self.refill(now);
        self.fill = rate.max(LEAST);
        self.capacity = u128::from(rate.max(NANO)).saturating_mul(u128::from(NANO));
        self.level = self.level.min(self.capacity);
        self.on && self.fill > before
    }

    /// Its rate, in thousand-millionths of a request per second; `None` while
    /// it is off.
    ///
    /// ```
    /// use sendwhen::{CubicRate, Instant};
    ///
    /// let mut rate = CubicRate::new();
    /// assert_eq!(rate.per_second_nano(), None);
    /// rate.answered(Instant::ZERO, true);
    /// assert_eq!(rate.per_second_nano(), Some(500_000_000), "one in two seconds at least");
    /// ```
    pub const fn per_second_nano(&self) -> Option<u64> {
        if self.on { Some(self.fill) } else { None }
    }

    /// How long after a refusal at `per_second_nano` the rate is back at it, if
    /// that much is sent.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::CubicRate;
    ///
    /// let back = CubicRate::recovers_in(10_000_000_000);
    /// assert_eq!(back, Duration::from_nanos(1_957_433_820));
    /// ```
    pub fn recovers_in(per_second_nano: u64) -> Duration {
        Duration::from_nanos(plateau(per_second_nano))
    }

    /// Where the curve is at `now`.
    fn grown(&self, now: Instant) -> u64 {
        // Beyond this the curve is past any rate, and its cube fits an i128.
        const FAR: i128 = 5_000_000_000_000;
        // 10/4 of a second cubed, in nanoseconds, over the unit of a rate.
        const SCALE: i128 = 2_500_000_000_000_000_000;
        let since = now.saturating_duration_since(self.last_throttle).as_nanos();
        let since = i128::try_from(since).unwrap_or(FAR);
        let window = i128::from(plateau(self.last_max));
        let t = since.saturating_sub(window).clamp(-FAR, FAR);
        let cubed = t.saturating_mul(t).saturating_mul(t) / SCALE;
        let rate = cubed.saturating_add(i128::from(self.last_max)).max(0);
        u64::try_from(rate).unwrap_or(u64::MAX)
    }

    /// Counts a request, and measures what was sent in the half seconds before.
    fn measure(&mut self, now: Instant) {
        self.count = self.count.saturating_add(1);
        let halves = now.as_nanos().checked_div(HALF_SECOND).unwrap_or_default();
        let passed = halves.saturating_sub(self.halves);
        if let Some(rate) = self
            .count
            .saturating_mul(NANO.saturating_mul(2))
            .checked_div(passed)
        {
            self.measured = share(rate, 8).saturating_add(share(self.measured, 2));
            self.count = 0;
            self.halves = halves;
        }
    }

    fn refill(&mut self, now: Instant) {
        let now = now.max(self.at);
        self.level = self.level_at(now);
        self.at = now;
    }

    fn level_at(&self, now: Instant) -> u128 {
        let span = now.saturating_duration_since(self.at).as_nanos();
        self.level
            .saturating_add(span.saturating_mul(u128::from(self.fill)))
            .min(self.capacity)
    }
}

impl Default for CubicRate {
    fn default() -> Self {
        Self::new()
    }
}

/// So many tenths of `rate`, rounded down.
fn share(rate: u64, tenths: u64) -> u64 {
    let wide = u128::from(rate).saturating_mul(u128::from(tenths));
    let part = wide.checked_div(10).unwrap_or_default();
    u64::try_from(part).unwrap_or(u64::MAX)
}

/// How long after a refusal at `rate` the curve is back at it, in nanoseconds:
/// the cube root of 3/4 of the rate, in seconds.
fn plateau(rate: u64) -> u64 {
    // The cube of a nanosecond count is 10^27 times that of seconds, a rate
    // already 10^9 times.
    const SCALE: u128 = 750_000_000_000_000_000;
    cube_root(u128::from(rate).saturating_mul(SCALE))
}

/// The whole part of the cube root, bit by bit from the top.
fn cube_root(of: u128) -> u64 {
    let mut root = 0_u128;
    for bit in (0..43).rev() {
        let more = root | (1 << bit);
        let cube = more
            .checked_mul(more)
            .and_then(|square| square.checked_mul(more));
        if cube.is_some_and(|cube| cube <= of) {
            root = more;
        }
    }
    u64::try_from(root).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[expect(
    clippy::float_arithmetic,
    clippy::cast_precision_loss,
    reason = "the oracle is the formula, in floating point"
)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn close(nano: u64, want: f64) {
        let is = nano as f64 / 1e9;
        assert!((is - want).abs() <= want.abs() * 1e-7, "{is} for {want}");
    }

    /// `test_client_sending_rates` in smithy-rs, which has it from the Go SDK;
    /// the trace is that of the specification of the adaptive mode. Time in
    /// tenths of a second, refused or not, measured rate, fill rate.
    #[test]
    fn the_published_trace_comes_out() {
        const TRACE: [(u64, bool, f64, f64); 17] = [
            (2, false, 0.0, 0.5),
            (4, false, 0.0, 0.5),
            (6, false, 4.8, 0.5),
            (8, false, 4.8, 0.5),
            (10, false, 4.16, 0.5),
            (12, false, 4.16, 0.6912),
            (14, false, 4.16, 1.0976),
            (16, false, 5.632, 1.6384),
            (18, false, 5.632, 2.3328),
            (20, true, 4.3264, 3.02848),
            (22, false, 4.3264, 3.486_639_173_470_26),
            (24, false, 4.3264, 3.821_874_416_040_255),
            (26, false, 5.66528, 4.053_385_727_709_987),
            (28, false, 5.66528, 4.200_373_108_479_454),
            (30, false, 4.333_056, 4.282_036_558_348_658),
            (32, true, 4.333_056, 2.997_425_590_844_06),
            (34, false, 4.333_056, 3.452_226_394_386_346_3),
        ];
        let mut rate = CubicRate::new();
        for (tenths, throttled, measured, fill) in TRACE {
            rate.answered(Instant::from_millis(tenths * 100), throttled);
            close(rate.measured, measured);
            close(rate.fill, fill);
        }
    }

    /// `RateLimitingTokenBucketCubicTest` in aws-sdk-java-v2: the curve from a
    /// refusal at ten a second on.
    #[test]
    fn the_curve_is_that_of_the_java_sdk() {
        let mut rate = CubicRate::new();
        rate.last_max = 10 * NANO;
        rate.last_throttle = Instant::from_secs(5);
        let at = |rate: &CubicRate, second| rate.grown(Instant::from_secs(second));
        for (second, want) in [
            (5, 7.0),
            (6, 9.648_936_009_66),
            (7, 10.000_030_849_917_364),
            (8, 10.453_284_520_772_092),
            (9, 13.408_697_022_224_185),
            (10, 21.266_268_354_273_64),
            (11, 36.425_998_516_920_465),
        ] {
            close(at(&rate, second), want);
        }
        // The mixed group: refused at seven and at eight.
        let mut last = at(&rate, 6);
        for (second, want) in [(7, 6.754_255_206_761_999), (8, 4.727_978_644_733_399)] {
            rate.last_max = last;
            rate.last_throttle = Instant::from_secs(second);
            last = share(last, 7);
            close(last, want);
        }
        for (second, want) in [
            (9, 6.606_547_753_887_045),
            (10, 6.763_279_816_944_947),
            (11, 7.598_174_833_907_107),
            (12, 11.511_232_804_773_524),
        ] {
            close(at(&rate, second), want);
        }
    }

    /// `TestCubicCalculator` in botocore.
    #[test]
    fn the_plateau_is_that_of_botocore() {
        for (rate, want) in [(10, 1.957_433_820_584_431_7), (8, 1.817_120_592_832_139_7)] {
            close(plateau(rate * NANO), want);
        }
    }

    #[test]
    fn who_waits_is_asked_again_where_the_rate_rose() {
        let mut rate = CubicRate::new();
        let at = |tenth: u64| Instant::from_millis(100 * tenth);
        for tenth in 0..100 {
            assert!(!rate.answered(at(tenth), false), "it is off");
        }
        assert!(!rate.answered(at(100), true));
        assert!(rate.answered(at(101), false));
        assert!(!rate.answered(at(102), true));
    }

    #[test]
    fn the_cube_root_is_exact() {
        for root in [0, 1, 2, 9, 1_000, 4_398_046_511_103_u128] {
            let cube = root * root * root;
            assert_eq!(u128::from(cube_root(cube)), root);
            if cube > 1 {
                assert_eq!(u128::from(cube_root(cube - 1)), root - 1);
            }
        }
    }

    /// The formulas in floating point, as the SDKs have them.
    #[derive(Default)]
    struct Oracle {
        on: bool,
        fill: f64,
        measured: f64,
        last_max: f64,
        last_throttle: f64,
        count: f64,
        bucket: f64,
    }

    impl Oracle {
        fn answered(&mut self, now: f64, throttled: bool) {
            self.count += 1.0;
            let bucket = (now * 2.0).floor() / 2.0;
            if bucket > self.bucket {
                let rate = self.count / (bucket - self.bucket);
                self.measured = rate * 0.8 + self.measured * 0.2;
                self.count = 0.0;
                self.bucket = bucket;
            }
            let rate = if throttled {
                self.last_max = if self.on {
                    self.measured.min(self.fill)
                } else {
                    self.measured
                };
                self.last_throttle = now;
                self.on = true;
                self.last_max * 0.7
            } else {
                let k = (self.last_max * 0.3 / 0.4).cbrt();
                0.4 * (now - self.last_throttle - k).powi(3) + self.last_max
            };
            self.fill = rate.min(2.0 * self.measured).max(0.5);
        }
    }

    proptest! {
        #![proptest_config(crate::retry::ten_thousand_cases())]

        /// With a clock that moves. Sixteenths of a second are exact in both.
        #[test]
        fn it_follows_the_formula(
            steps in prop::collection::vec((0..40_u64, prop::bool::weighted(0.2)), 1..60),
        ) {
            let (mut rate, mut oracle) = (CubicRate::new(), Oracle { fill: 0.5, ..Oracle::default() });
            let mut now = 0_u64;
            for (ahead, throttled) in steps {
                now += ahead;
                rate.answered(Instant::from_nanos(now * 62_500_000), throttled);
                oracle.answered(now as f64 / 16.0, throttled);
                let off = (rate.fill as f64 / 1e9 - oracle.fill).abs();
                prop_assert!(off <= 1e-7 * (1.0 + oracle.fill), "{} {}", rate.fill, oracle.fill);
            }
        }

        /// At the promised instant one passes, a nanosecond earlier it does
        /// not; a refusal changes nothing; and however often it is asked, no
        /// more passes than its rate lets through.
        #[test]
        fn until_is_exact_and_no_tick_is_lost(
            steps in prop::collection::vec((0..3_000_000_000_u64, 0..3_u8), 1..60),
        ) {
            let mut rate = CubicRate::new();
            rate.answered(Instant::ZERO, true);
            let (mut now, mut often) = (0_u64, rate);
            for (ahead, what) in steps {
                for part in 1..=4 {
                    often.refill(Instant::from_nanos(now + ahead / 4 * part));
                }
                now += ahead;
                let at = Instant::from_nanos(now);
                let (before, peeked) = (rate, rate.peek(at));
                prop_assert_eq!(often.peek(at), peeked);
                match what {
                    0 => {
                        rate.answered(at, false);
                        often.answered(at, false);
                    }
                    _ => {
                        prop_assert_eq!(rate.try_acquire(at), peeked);
                        let _same = often.try_acquire(at);
                    }
                }
                if let Err(Refusal::Until(until)) = peeked {
                    prop_assert!(until > at);
                    prop_assert!(before.peek(until).is_ok());
                    prop_assert!(before.peek(Instant::from_nanos(until.as_nanos() - 1)).is_err());
                    if what > 0 {
                        prop_assert_eq!(rate, before);
                    }
                }
            }
        }

        #[test]
        fn no_answer_at_any_instant_overflows(
            steps in prop::collection::vec((any::<u64>(), any::<bool>()), 1..40),
        ) {
            let mut rate = CubicRate::new();
            for (at, throttled) in steps {
                let at = Instant::from_nanos(at);
                rate.answered(at, throttled);
                let _any = rate.try_acquire(at);
                prop_assert!(rate.fill >= LEAST);
            }
        }
    }
}
