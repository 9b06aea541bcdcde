//! What the recipes do that people copy: each as a policy or a limit, under the
//! name of where it comes from.
//!
//! A policy here is not set as verbatim, so that in a call a server's wait is
//! never undercut. With [`RetryPolicy::verbatim`] it waits as its recipe does,
//! to the nanosecond that chance gives.

use core::time::Duration;

use crate::{
    decision::Class,
    error::ConfigError,
    hints::{Family, ServerHints},
    limit::{InFlight, LogEntry, Refusal, SlidingLog, TokenBucket},
    request::Request,
    retry::{
        budget::{Budget, HalfBudget, TokenBudget},
        jitter::Jitter,
        policy::{ClassRule, RetryPolicy, ServerWait},
        schedule::Backoff,
    },
    time::Instant,
    units::{Dimension, Rate},
};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// `2^n` seconds, from 1 on.
const DOUBLED: Backoff<'static> = sure(Backoff::exponential(SECOND, Duration::MAX));

impl RetryPolicy {
    /// `2^n + U(0, 1)` seconds, n from 0, five retries: 1, 2, 4, 8, 16 and up to
    /// one more each. The loop that is in most tutorials; Google gave it to
    /// users of its APIs ("Implementing Exponential Backoff", Analytics Core
    /// Reporting API, 2012 and later). It looks at no header.
    ///
    /// ```
    /// use sendwhen::{Class, RetryPolicy};
    ///
    /// let seconds: Vec<u64> = RetryPolicy::GOOGLE_APIS
    ///     .delays(Class::Transient, 42)
    ///     .map(|delay| delay.as_secs())
    ///     .collect();
    /// assert_eq!(seconds, [1, 2, 4, 8, 16]);
    /// ```
    pub const GOOGLE_APIS: Self = sure(
        Self::new()
            .backoff(DOUBLED.jitter(Jitter::Additive(SECOND)))
            .attempts(6),
    );

    /// `max(retry_after, 2^n)` seconds and up to a quarter more, n from 0. What
    /// guides to the Claude API advise since its `retry-after` can be relied
    /// upon (July 2024): the server's word is a floor, and chance comes on top
    /// of it. How often, they leave open; here it is ten attempts.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Class, RetryPolicy};
    ///
    /// let policy = RetryPolicy::RETRY_AFTER_AND_A_QUARTER.verbatim(true);
    /// let wait = |asked| {
    ///     policy.delay(Class::Throttled(None), 3, Duration::ZERO, Some(Duration::from_secs(asked)), 7)
    /// };
    /// assert!((4..=5).contains(&wait(2).unwrap().as_secs()));
    /// assert!((100..=125).contains(&wait(100).unwrap().as_secs()));
    /// ```
    pub const RETRY_AFTER_AND_A_QUARTER: Self = Self::new()
        .backoff(DOUBLED.jitter(Jitter::Above { per_mille: 250 }))
        .server_wait(ServerWait::Raises);

    /// `min(2^n + U(0, 1), 60)` seconds, n from 0, up to seven attempts, after
    /// 429 and 529 only: 1, 2, 4, 8, 16, 32. As `GOOGLE_APIS` with a cap, in the
    /// form that scripts for the Claude API have it (it is the "truncated
    /// exponential backoff" of Google Cloud Storage, with a minute for its
    /// maximum).
    ///
    /// ```
    /// use sendwhen::{Class, RetryPolicy};
    ///
    /// let policy = RetryPolicy::CAPPED_AT_A_MINUTE;
    /// assert_eq!(policy.delays(Class::Overloaded, 42).count(), 6);
    /// assert_eq!(policy.delays(Class::Transient, 42).count(), 0);
    /// ```
    pub const CAPPED_AT_A_MINUTE: Self = {
        let wait = DOUBLED.jitter(Jitter::Additive(SECOND)).at_most(MINUTE);
        let never = ClassRule::new(wait).retries(0);
        let policy = sure(Self::new().backoff(wait).attempts(7));
        sure(policy.class(Class::Transient, never))
    };

    /// The AWS SDKs' standard mode, version 2.1: three attempts; from 50 ms to
    /// 20 s with full jitter, after a refusal to throttle from 1 s; a server's
    /// wait is taken up to 5 s above that; a quota of 500 tokens, 5 for a
    /// throttled retry and 14 for another (botocore's `retries/standard.py` and
    /// `quota.py`; smithy-rs's `strategy/standard.rs`).
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Class, RetryPolicy};
    ///
    /// let rule = RetryPolicy::AWS_STANDARD.rule(Class::Transient).unwrap();
    /// assert_eq!(rule.wait.ceiling(1), Duration::from_millis(50));
    /// assert_eq!(rule.cost, 14);
    /// ```
    pub const AWS_STANDARD: Self = {
        let longest = Duration::from_secs(20);
        let slow = sure(Backoff::exponential(SECOND, longest));
        let quick = sure(Backoff::exponential(Duration::from_millis(50), longest));
        let policy = sure(Self::new().attempts(3))
            .backoff(quick)
            .server_wait(ServerWait::Within(Duration::from_secs(5)))
            .budget(Budget::Tokens(TokenBudget::AWS));
        let throttled = ClassRule::new(slow).cost(5);
        let policy = sure(policy.class(Class::Throttled(None), throttled));
        let policy = sure(policy.class(Class::Concurrency, throttled));
        sure(policy.class(Class::Acceleration, throttled))
    };

    /// The AWS SDKs' adaptive mode: as standard, and a rate that is learnt from
    /// refusals, the [`CubicRate`](crate::CubicRate).
    ///
    /// ```
    /// use sendwhen::RetryPolicy;
    ///
    /// assert_eq!(RetryPolicy::AWS_ADAPTIVE, RetryPolicy::AWS_STANDARD.adaptive(true));
    /// ```
    pub const AWS_ADAPTIVE: Self = Self::AWS_STANDARD.adaptive(true);

    /// gRPC with the settings of its proposal's example (A6, "gRPC Retry
    /// Design"): four attempts; `U(0, min(0.1 * 2^(n - 1), 1))` seconds after
    /// the n-th failure; the server's pushback instead, where it comes, after
    /// which the curve starts over; ten tokens of which half must be left, a
    /// tenth back for each success.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Class, RetryPolicy};
    ///
    /// let rule = RetryPolicy::GRPC.rule(Class::Overloaded).unwrap();
    /// let millis = [1, 2, 3, 4, 5].map(|n| rule.wait.ceiling(n).as_millis());
    /// assert_eq!(millis, [100, 200, 400, 800, 1_000]);
    /// ```
    pub const GRPC: Self = {
        let wait = sure(Backoff::exponential(Duration::from_millis(100), SECOND));
        sure(Self::new().backoff(wait).attempts(4))
            .server_wait(ServerWait::Replaces)
            .budget(Budget::Half(sure(HalfBudget::new(10, 100))))
    };
}

impl TokenBucket {
    /// A bucket for requests at 80 % of a limit per minute, of which ten may go
    /// at once: what guides to the Claude API put before their loop, so that
    /// refusals stay rare where a limit is known by its tier.
    ///
    /// # Errors
    /// Where `per_minute` is 0, or above 2^61.
    ///
    /// ```
    /// use sendwhen::{Instant, TokenBucket};
    ///
    /// // 50 a minute: after ten at once one each 1.5 s.
    /// let mut bucket = TokenBucket::four_fifths_of(50)?;
    /// assert!(bucket.try_acquire(Instant::ZERO, 10).is_ok());
    /// assert!(bucket.try_acquire(Instant::from_millis(1_499), 1).is_err());
    /// assert!(bucket.try_acquire(Instant::from_millis(1_500), 1).is_ok());
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub const fn four_fifths_of(per_minute: u64) -> Result<Self, ConfigError> {
        let Some(count) = per_minute.checked_mul(4) else {
            return Err(ConfigError::RateOutOfRange);
        };
        match Rate::per(count, Duration::from_secs(300)) {
            Ok(rate) => Self::new(rate, 10),
            Err(error) => Err(error),
        }
    }
}

impl InFlight {
    /// At most five at once, each for at most ten minutes: the semaphore of most
    /// asynchronous examples, with the time-out of the official SDKs.
    ///
    /// ```
    /// use sendwhen::{InFlight, Instant};
    ///
    /// let mut cap = InFlight::FIVE;
    /// let held: Vec<_> = (0..5).map(|_| cap.try_acquire(Instant::ZERO).unwrap()).collect();
    /// assert!(cap.try_acquire(Instant::ZERO).is_err());
    /// # drop(held);
    /// ```
    pub const FIVE: Self = sure(Self::new(5, Duration::from_secs(600)));
}

/// A sliding minute of tokens, with `max_tokens` taken for what an answer will
/// produce: the limiter that scripts for the Claude API write beside their loop.
///
/// A log of the last 60 seconds, in which each request counts as its estimated
/// input and all of `max_tokens` from the moment it is sent. It never lets
/// through more than the limit in any minute, and, where answers are shorter
/// than they might be, much less: a tenth of `max_tokens` produced means a tenth
/// of the limit used. A [`Limiter`](crate::Limiter) forecasts instead, and
/// settles.
///
/// ```
/// use sendwhen::{Instant, LogEntry, Refusal, Request, SlidingMinute};
///
/// let mut minute = SlidingMinute::new(10_000, [LogEntry::EMPTY; 64])?;
/// let request = Request::new().input_tokens(1_000).max_tokens(4_000);
/// assert!(minute.try_acquire(Instant::ZERO, &request).is_ok());
/// assert!(minute.try_acquire(Instant::from_secs(20), &request).is_ok());
/// assert_eq!(
///     minute.try_acquire(Instant::from_secs(30), &request),
///     Err(Refusal::Until(Instant::from_secs(60))),
/// );
/// # Ok::<(), sendwhen::ConfigError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SlidingMinute<S>(SlidingLog<S>);

impl<S> SlidingMinute<S> {
    /// At most `tokens_per_minute` in any minute, remembered in `entries`: one
    /// for each request of a minute.
    ///
    /// ```
    /// use sendwhen::{ConfigError, LogEntry, SlidingMinute};
    ///
    /// assert!(SlidingMinute::new(10_000, [LogEntry::EMPTY; 64]).is_ok());
    /// let none = SlidingMinute::new(0, [LogEntry::EMPTY; 64]);
    /// assert_eq!(none, Err(ConfigError::ZeroLimit));
    /// ```
    ///
    /// # Errors
    /// Where `tokens_per_minute` is 0.
    pub const fn new(tokens_per_minute: u64, entries: S) -> Result<Self, ConfigError> {
        if tokens_per_minute == 0 {
            // As in a log: a constant function cannot drop what it was given.
            core::mem::forget(entries);
            return Err(ConfigError::ZeroLimit);
        }
        Ok(Self(SlidingLog::empty(tokens_per_minute, MINUTE, entries)))
    }
}

impl<S: AsRef<[LogEntry]> + AsMut<[LogEntry]>> SlidingMinute<S> {
    /// Lets `request` pass at `now`, or not.
    ///
    /// ```
    /// use sendwhen::{Instant, LogEntry, Refusal, Request, SlidingMinute};
    ///
    /// let mut minute = SlidingMinute::new(10_000, [LogEntry::EMPTY; 64])?;
    /// let most = Request::new().input_tokens(6_000).max_tokens(4_000);
    /// assert_eq!(minute.try_acquire(Instant::ZERO, &most), Ok(()));
    /// let one = Request::new().input_tokens(1);
    /// let refused = minute.try_acquire(Instant::from_secs(59), &one);
    /// assert_eq!(refused, Err(Refusal::Until(Instant::from_secs(60))));
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// [`Refusal::Until`] the exact instant from which it passes;
    /// [`Refusal::Never`] where it assumes more than the limit.
    pub fn try_acquire(&mut self, now: Instant, request: &Request) -> Result<(), Refusal> {
        let assumed = request.input_tokens.saturating_add(request.max_tokens);
        self.0.try_acquire(now, assumed).map(drop)
    }
}

/// Waits where a head shows that little is left: "remaining below 5000: wait
/// 10 s", the brake that scripts for the Claude API put behind each answer.
///
/// It knows nothing of what is in flight, nor how fast the level grows, so that
/// it stops too late and for too long. A [`Limiter`](crate::Limiter) reads the
/// same field better.
///
/// ```
/// use core::time::Duration;
/// use sendwhen::{LowWater, ServerHints};
///
/// let wait = |left| {
///     let fields = [("anthropic-ratelimit-tokens-remaining", left)];
///     LowWater::SCRIPTS.wait(&ServerHints::parse(fields, None))
/// };
/// assert_eq!(wait("4000"), Some(Duration::from_secs(10)));
/// assert_eq!(wait("5000"), None);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct LowWater {
    /// The mark: less than this of any kind of tokens is little.
    pub below: u64,
    /// How long it waits then.
    pub wait: Duration,
}

impl LowWater {
    /// Below 5000 tokens it waits for ten seconds.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::LowWater;
    ///
    /// assert_eq!(LowWater::SCRIPTS, LowWater::new(5_000, Duration::from_secs(10)));
    /// ```
    pub const SCRIPTS: Self = Self::new(5_000, Duration::from_secs(10));

    /// Below `below` tokens it waits for `wait`.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::LowWater;
    ///
    /// let mark = LowWater::new(1_000, Duration::from_secs(5));
    /// assert_eq!((mark.below, mark.wait), (1_000, Duration::from_secs(5)));
    /// ```
    pub const fn new(below: u64, wait: Duration) -> Self {
        Self { below, wait }
    }

    /// How long to wait after a response with these fields, if at all.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{LowWater, ServerHints};
    ///
    /// let head = [
    ///     ("anthropic-ratelimit-input-tokens-remaining", "900000"),
    ///     ("anthropic-ratelimit-output-tokens-remaining", "2000"),
    /// ];
    /// let wait = LowWater::SCRIPTS.wait(&ServerHints::parse(head, None));
    /// assert_eq!(wait, Some(Duration::from_secs(10)));
    /// assert_eq!(LowWater::SCRIPTS.wait(&ServerHints::NONE), None);
    /// ```
    pub fn wait(&self, hints: &ServerHints) -> Option<Duration> {
        const TOKENS: [Dimension; 4] = [
            Dimension::TotalTokens,
            Dimension::InputTokens,
            Dimension::RawInputTokens,
            Dimension::OutputTokens,
        ];
        let little = TOKENS.into_iter().any(|dimension| {
            hints
                .meters
                .get(Family::Standard, dimension)
                .and_then(|meter| meter.remaining)
                .is_some_and(|left| u64::try_from(left.shown).unwrap_or(0) < self.below)
        });
        little.then_some(self.wait)
    }
}

/// For constants alone: a preset that cannot be meant does not compile.
#[expect(clippy::panic, reason = "it is only called while compiling")]
const fn sure<T: Copy>(made: Result<T, ConfigError>) -> T {
    match made {
        Ok(made) => made,
        Err(_) => panic!("a preset that cannot be meant"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::retry::Sdk;
    use std::vec::Vec;

    const THROTTLED: Class = Class::Throttled(None);

    /// The bands of all delays of a policy as it is by itself, in milliseconds,
    /// found by many seeds, and checked to be filled.
    fn bands(policy: RetryPolicy, class: Class) -> Vec<(u64, u64)> {
        let policy = policy.verbatim(true);
        let runs: Vec<Vec<Duration>> = (0..2_000)
            .map(|seed| policy.delays(class, seed).collect())
            .collect();
        (0..runs[0].len())
            .map(|n| {
                let of_all = || runs.iter().map(|run| run[n]);
                let (least, most) = (of_all().min().unwrap(), of_all().max().unwrap());
                let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap();
                (millis(least), millis(most))
            })
            .collect()
    }

    /// Each preset's delays after each failure, as the recipe's formula gives
    /// them for the least and the most of chance, to a hundredth of the band.
    #[test]
    fn each_preset_gives_the_delays_of_its_recipe() {
        let half = Sdk::Go;
        /// A policy, the class of all failures, the bands of its delays.
        type Row = (RetryPolicy, Class, &'static [(u64, u64)]);
        let rows: [Row; 10] = [
            (
                RetryPolicy::GOOGLE_APIS,
                Class::Transient,
                &[
                    (1_000, 2_000),
                    (2_000, 3_000),
                    (4_000, 5_000),
                    (8_000, 9_000),
                    (16_000, 17_000),
                ],
            ),
            (
                RetryPolicy::CAPPED_AT_A_MINUTE,
                THROTTLED,
                &[
                    (1_000, 2_000),
                    (2_000, 3_000),
                    (4_000, 5_000),
                    (8_000, 9_000),
                    (16_000, 17_000),
                    (32_000, 33_000),
                ],
            ),
            (RetryPolicy::CAPPED_AT_A_MINUTE, Class::Transient, &[]),
            (
                RetryPolicy::RETRY_AFTER_AND_A_QUARTER,
                THROTTLED,
                &[
                    (1_000, 1_250),
                    (2_000, 2_500),
                    (4_000, 5_000),
                    (8_000, 10_000),
                    (16_000, 20_000),
                    (32_000, 40_000),
                    (64_000, 80_000),
                    (128_000, 160_000),
                    (256_000, 320_000),
                ],
            ),
            (
                RetryPolicy::AWS_STANDARD,
                Class::Transient,
                &[(0, 50), (0, 100)],
            ),
            (
                RetryPolicy::AWS_STANDARD,
                THROTTLED,
                &[(0, 1_000), (0, 2_000)],
            ),
            (
                RetryPolicy::AWS_ADAPTIVE,
                Class::Overloaded,
                &[(0, 50), (0, 100)],
            ),
            (
                RetryPolicy::GRPC,
                Class::Overloaded,
                &[(0, 100), (0, 200), (0, 400)],
            ),
            (
                RetryPolicy::new().sdk(half),
                THROTTLED,
                &[(375, 500), (750, 1_000)],
            ),
            (
                RetryPolicy::new().sdk(Sdk::Ruby),
                THROTTLED,
                &[(0, 0), (375, 500)],
            ),
        ];
        for (place, (policy, class, want)) in rows.into_iter().enumerate() {
            let found = bands(policy, class);
            assert_eq!(found.len(), want.len(), "{place}");
            for (&(least, most), &(from, to)) in found.iter().zip(want) {
                let near = (to - from) / 100 + 1;
                assert!(from <= least && least <= from + near, "{place}: {found:?}");
                assert!(most <= to && to <= most + near, "{place}: {found:?}");
            }
        }
    }

    /// `TestRetryAfterHeaderInRetries` in botocore, where chance is at its most.
    #[test]
    fn botocore_takes_a_servers_wait_within_five_seconds() {
        let aws = RetryPolicy::AWS_STANDARD.verbatim(true);
        let rule = *aws.rule(Class::Transient).unwrap();
        let certain = ClassRule {
            wait: rule.wait.jitter(Jitter::None),
            ..rule
        };
        let aws = aws.class(Class::Transient, certain).unwrap();
        for (asked, want) in [
            (Some(1_500), 1_500),
            (Some(0), 50),
            (Some(10_000), 5_050),
            (None, 50),
        ] {
            let asked = asked.map(Duration::from_millis);
            let delay = aws.delay(Class::Transient, 1, Duration::ZERO, asked, 1);
            assert_eq!(delay, Some(Duration::from_millis(want)));
        }
    }

    /// `TestExponentialBackoff` in botocore, likewise.
    #[test]
    fn botocores_curve_is_capped_at_twenty_seconds() {
        let rule = RetryPolicy::AWS_STANDARD.rule(Class::Transient).unwrap();
        let millis: Vec<u128> = (1..=11).map(|n| rule.wait.ceiling(n).as_millis()).collect();
        let want = [
            50, 100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 20_000, 20_000,
        ];
        assert_eq!(millis, want);
    }

    #[test]
    fn a_servers_wait_is_raised_by_up_to_a_quarter() {
        let policy = RetryPolicy::RETRY_AFTER_AND_A_QUARTER.verbatim(true);
        let mut most = Duration::ZERO;
        for seed in 0..1_000 {
            let asked = Some(Duration::from_secs(505));
            let delay = policy
                .delay(THROTTLED, 1, Duration::ZERO, asked, seed)
                .unwrap();
            assert!(delay >= Duration::from_secs(505) && delay <= Duration::from_millis(631_250));
            most = most.max(delay);
        }
        assert!(most > Duration::from_secs(630));
    }

    #[test]
    fn a_capped_delay_is_never_longer_than_a_minute() {
        let wait = RetryPolicy::CAPPED_AT_A_MINUTE
            .rule(THROTTLED)
            .unwrap()
            .wait;
        assert_eq!(wait.band(7, Duration::ZERO), (MINUTE, MINUTE));
        assert_eq!(
            wait.band(6, Duration::ZERO),
            (Duration::from_secs(32), Duration::from_secs(33))
        );
    }

    /// With answers of up to a tenth of what they might be, a tenth of the limit
    /// is used; and in no minute more than the limit.
    #[test]
    fn a_sliding_minute_wastes_what_is_not_produced() {
        let mut minute = SlidingMinute::new(100_000, [LogEntry::EMPTY; 64]).unwrap();
        let request = Request::new().input_tokens(0).max_tokens(4_000);
        let (mut now, mut sent) = (Instant::ZERO, Vec::new());
        while now < Instant::from_secs(600) {
            match minute.try_acquire(now, &request) {
                Ok(()) => sent.push(now),
                Err(Refusal::Until(until)) => now = until,
                Err(Refusal::Never) => panic!("one always fits"),
            }
        }
        for (place, from) in sent.iter().enumerate() {
            let end = from.saturating_add(MINUTE);
            let within = sent[place..].iter().take_while(|at| **at < end).count();
            assert!(within <= 25, "25 of 4000 are 100 000");
        }
        assert_eq!(sent.len(), 250);
        let large = Request::new().max_tokens(100_001);
        assert_eq!(minute.try_acquire(now, &large), Err(Refusal::Never));
    }

    #[test]
    fn a_bucket_at_four_fifths_lets_through_so_many_in_an_hour() {
        let mut bucket = TokenBucket::four_fifths_of(1_000).unwrap();
        let (mut now, mut count) = (Instant::ZERO, 0);
        while now < Instant::from_secs(3_600) {
            match bucket.try_acquire(now, 1) {
                Ok(_) => count += 1,
                Err(Refusal::Until(until)) => now = until,
                Err(Refusal::Never) => panic!("one always fits"),
            }
        }
        // Ten at once, and 800 a minute.
        assert_eq!(count, 10 + 48_000 - 1);
        assert!(TokenBucket::four_fifths_of(0).is_err());
        assert!(TokenBucket::four_fifths_of(u64::MAX).is_err());
    }
}
