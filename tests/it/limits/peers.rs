//! What peers publish and check of themselves, asked of this crate, and where
//! they can be asked, of both side by side. In own words; the origin of each is
//! named.

use std::{num::NonZeroU32, time::Duration};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, FakeRelativeClock},
};
use proptest::prelude::*;
use sendwhen::{Instant, Rate, Refusal, TokenBucket};

use super::{config, limits_ops};

fn bucket(count: u64, period: u64, burst: u64) -> TokenBucket {
    let rate = Rate::per(count, Duration::from_nanos(period)).unwrap();
    TokenBucket::new(rate, burst).unwrap()
}

const fn at(nanos: u64) -> Instant {
    Instant::from_nanos(nanos)
}

/// A setup of better-bucket's.
#[derive(Clone, Copy, Debug)]
struct Setup {
    count: u64,
    period: u64,
    burst: u64,
    /// What it holds at the beginning.
    initial: u64,
}

impl Setup {
    fn bucket(self) -> TokenBucket {
        let mut bucket = bucket(self.count, self.period, self.burst);
        let _missing = bucket.charge(at(0), self.burst - self.initial);
        bucket
    }

    /// Mostly up to a quarter of the burst, sometimes more than it.
    fn amount(self, raw: u32) -> u64 {
        match u64::from(raw) {
            raw if raw % 16 == 0 => self.burst + 1 + raw % 7,
            raw => 1 + raw % (self.burst / 4 + 1),
        }
    }

    /// That many are at most the initial ones, and what came in by then.
    fn within(self, granted: u128, now: u64) -> bool {
        let period = u128::from(self.period);
        let most = u128::from(self.initial) * period + u128::from(now) * u128::from(self.count);
        granted * period <= most
    }
}

/// The setups of better-bucket's `tests/core_properties.rs`: rates from one a
/// month to 4e18 a second, bursts to the end of 32 bits.
fn setups() -> impl Strategy<Value = Setup> {
    let few_or_many = || prop_oneof![1..=5_000_u64, 1..=u64::from(u32::MAX)];
    let period = prop_oneof![
        1..=999_u64,
        1_000..=10_000_000_000_u64,
        86_400_000_000_000..=30 * 86_400_000_000_000_u64,
    ];
    (few_or_many(), period, few_or_many(), any::<u64>()).prop_map(
        |(count, period, burst, initial)| Setup {
            count,
            period,
            burst,
            initial: initial % (burst + 1),
        },
    )
}

proptest! {
    #![proptest_config(config())]

    /// better-bucket: `core_never_over_grants_in_any_window`. There with a slack
    /// of four nanoseconds and 2^-28 of a token, here with none.
    #[test]
    fn better_bucket_never_over_grants_in_any_window(
        setup in setups(),
        steps in prop::collection::vec((any::<u32>(), 0..=200_000_000_u64), 1..64),
    ) {
        let mut bucket = setup.bucket();
        let (mut now, mut total) = (0, 0);
        let mut admitted = vec![];
        for (raw, step) in steps {
            let amount = setup.amount(raw);
            now += step;
            if bucket.try_acquire(at(now), amount).is_ok() {
                admitted.push((now, amount));
                total += u128::from(amount);
            }
            prop_assert!(bucket.available(at(now)) <= setup.burst);
        }
        prop_assert!(setup.within(total, now));
        limits_ops::within(&admitted, setup.burst, setup.count, setup.period);
    }

    /// better-bucket: `core_backward_readings_never_add_tokens`.
    #[test]
    fn better_bucket_backward_readings_never_add_tokens(
        setup in setups(),
        steps in prop::collection::vec((any::<u32>(), -50_000_000..=200_000_000_i64), 1..64),
    ) {
        let mut bucket = setup.bucket();
        let (mut now, mut latest, mut total) = (0_u64, 0, 0);
        for (raw, step) in steps {
            let amount = setup.amount(raw);
            now = now.saturating_add_signed(step);
            latest = latest.max(now);
            if bucket.try_acquire(at(now), amount).is_ok() {
                total += u128::from(amount);
            }
            prop_assert!(bucket.available(at(now)) <= setup.burst);
        }
        prop_assert!(setup.within(total, latest));
    }

    /// better-bucket: `core_frozen_clock_conserves_every_token`, there at rates
    /// up to 4.3e9 a second, here at all.
    #[test]
    fn better_bucket_frozen_clock_conserves_every_token(
        setup in setups(), now in 0..=5_000_000_000_u64,
        steps in prop::collection::vec((0..3_u8, 1..=600_u64), 0..96),
    ) {
        let now = at(now);
        let mut bucket = setup.bucket();
        let initial = bucket.available(now);
        let mut held = vec![];
        for (kind, amount) in steps {
            match kind {
                0 => held.extend(bucket.try_acquire(now, amount)),
                1 => held.extend(bucket.acquire_up_to(now, amount)),
                _ => if let Some(mut charge) = held.pop() {
                    bucket.refund(&mut charge, amount);
                    held.push(charge);
                }
            }
            let sum: u64 = held.iter().map(|charge| charge.amount()).sum();
            prop_assert_eq!(sum + bucket.available(now), initial);
        }
    }

    /// better-bucket: `core_available_is_the_exact_grant_boundary`.
    #[test]
    fn better_bucket_available_is_the_exact_grant_boundary(
        setup in setups(), drain in 0..=5_000_u64, later in 0..=20_000_000_000_u64,
    ) {
        let mut bucket = setup.bucket();
        let _drained = bucket.acquire_up_to(at(0), drain);
        let there = bucket.available(at(later));
        if there < setup.burst {
            prop_assert!(bucket.peek(at(later), there + 1).is_err());
        }
        prop_assert!(bucket.try_acquire(at(later), there).is_ok());
    }

    /// better-bucket: `core_retry_after_is_honest_and_matches_time_until`. There
    /// to wait as long is enough, here it is also no longer than it must be.
    #[test]
    fn better_bucket_retry_after_is_honest(
        setup in setups(), drain in 0..=5_000_u64, raw in any::<u32>(),
        start in 0..=5_000_000_000_u64,
    ) {
        let (mut bucket, start) = (setup.bucket(), at(start));
        let amount = 1 + u64::from(raw) % setup.burst;
        let _drained = bucket.acquire_up_to(start, drain);
        let predicted = bucket.peek(start, amount);
        let before = bucket;
        prop_assert_eq!(bucket.try_acquire(start, amount).map(drop), predicted);
        match predicted {
            Ok(()) => {}
            // The wait outlasts the clock.
            Err(Refusal::Until(Instant::MAX)) => prop_assert_eq!(bucket, before),
            Err(Refusal::Until(until)) => {
                prop_assert_eq!(bucket, before);
                prop_assert!(bucket.peek(at(until.as_nanos() - 1), amount).is_err());
                prop_assert!(bucket.try_acquire(until, amount).is_ok());
            }
            Err(Refusal::Never) => panic!("it is no more than the burst"),
        }
    }

    /// better-bucket: `core_reservations_never_over_commit`, there with a token
    /// of slack.
    #[test]
    fn better_bucket_reservations_never_over_commit(
        setup in setups(),
        steps in prop::collection::vec((1..=5_000_u64, 0..=100_000_000_u64), 1..48),
    ) {
        let mut bucket = setup.bucket();
        let longest = Duration::from_secs(30);
        let (mut now, mut total, mut committed) = (0, 0, vec![]);
        for (amount, step) in steps {
            now += step;
            if let Ok(reserved) = bucket.reserve(at(now), amount, longest) {
                let when = reserved.at().as_nanos();
                prop_assert!(when - now <= 30_000_000_000);
                total += u128::from(amount);
                prop_assert!(setup.within(total, when));
                committed.push((when, amount));
            }
        }
        limits_ops::within(&committed, setup.burst, setup.count, setup.period);
    }

    /// governor: `accurate_not_until`. Drained, it refuses on the way to the
    /// promised instant and admits at it.
    #[test]
    fn governor_accurate_not_until(
        capacity in 1..10_000_u64, additional in 1..100_u64, parts in 1..50_u64,
    ) {
        let mut bucket = bucket(capacity, 1_000_000_000, capacity);
        prop_assert!(bucket.try_acquire(at(0), capacity).is_ok());
        let step = 1_000_000_000_u64.div_ceil(capacity);
        let mut now = 0;
        for _ in 0..additional {
            now += step;
            prop_assert!(bucket.try_acquire(at(now), 1).is_ok());
        }
        let mut now = at(now);
        while bucket.try_acquire(now, 1).is_ok() {}
        let Err(Refusal::Until(until)) = bucket.peek(now, 1) else {
            panic!("it was drained");
        };
        let way = until.saturating_duration_since(now) / (parts as u32 + 1);
        for _ in 0..parts {
            now = now.saturating_add(way);
            prop_assert!(now == until || bucket.peek(now, 1).is_err());
        }
        prop_assert!(bucket.try_acquire(until, 1).is_ok());
    }

    /// Where governor's interval is a whole number of nanoseconds, the two
    /// decide alike, and name the same instants.
    #[test]
    fn governor_decides_alike_where_it_does_not_round(
        interval in 1..1_000_000_u32, burst in 1..50_u32,
        steps in prop::collection::vec((1..50_u32, 0..3_000_000_u32), 1..40),
    ) {
        let clock = FakeRelativeClock::default();
        let quota = Quota::with_period(Duration::from_nanos(interval.into())).unwrap()
            .allow_burst(NonZeroU32::new(burst).unwrap());
        let governor = RateLimiter::direct_with_clock(quota, clock.clone());
        let mut bucket = bucket(1, interval.into(), burst.into());
        let mut now = 0;
        for (amount, step) in steps {
            now += u64::from(step);
            clock.advance(Duration::from_nanos(step.into()));
            let ours = bucket.try_acquire(at(now), amount.into());
            match (governor.check_n(NonZeroU32::new(amount).unwrap()), ours) {
                (Ok(Ok(())), Ok(_)) => {}
                (Err(_), Err(Refusal::Never)) => {}
                (Ok(Err(not_until)), Err(Refusal::Until(until))) => {
                    let wait = not_until.wait_time_from(clock.now());
                    prop_assert_eq!(until, at(now).saturating_add(wait));
                }
                (theirs, ours) => panic!("{theirs:?} and {ours:?}"),
            }
        }
    }

    /// better-bucket and this decide alike, but for what it rounds: it never
    /// refuses what this admits a moment earlier, nor the other way round.
    #[test]
    fn better_bucket_decides_alike_but_for_its_rounding(
        count in 1..10_000_u32, burst in 1..1_000_u32,
        steps in prop::collection::vec((1..50_u32, 0..3_000_000_u64), 1..40),
    ) {
        let second = Duration::from_secs(1);
        let config = better_bucket::BucketConfig::new(burst, count, second, burst).unwrap();
        let theirs = better_bucket::BucketCore::new(config, Duration::ZERO);
        let mut ours = bucket(count.into(), 1_000_000_000, burst.into());
        let mut now = 0;
        for (amount, step) in steps {
            now += step;
            let admits = |now: u64| ours.peek(at(now), amount.into()).is_ok();
            let (earlier, later) = (admits(now.saturating_sub(40)), admits(now + 40));
            let passed = theirs.try_acquire_at(amount, Duration::from_nanos(now));
            prop_assert!(passed || !earlier, "it refuses what was there before");
            prop_assert!(!passed || later, "it admits what is not there soon");
            if passed {
                let _charged = ours.charge(at(now), amount.into());
            }
        }
    }
}

/// governor issues 107 and 249: after a rest longer than the burst takes to
/// refill, the burst passes and not one more.
#[test]
fn governor_does_not_allow_one_extra_cell_after_longer_interval() {
    let mut bucket = bucket(5, 1_000_000_000, 5);
    for second in [0, 2, 100] {
        let now = Instant::from_secs(second);
        for _ in 0..5 {
            assert!(bucket.try_acquire(now, 1).is_ok());
        }
        assert!(bucket.try_acquire(now, 1).is_err());
    }
}

/// governor's `tests/direct.rs`, `accepts_first_cell`, `rejects_too_many`,
/// `all_1_identical_to_1`, `never_allows_more_than_capacity_all` and
/// `rejects_too_many_all`, row by row and beside it: how long after the row
/// before, how many are asked for, whether they pass.
#[test]
fn governors_own_tables() {
    const YES: bool = true;
    type Row = (u64, u32, bool);
    let tables: [(u32, &[Row]); 5] = [
        (5, &[(0, 1, YES)]),
        (
            2,
            &[
                (0, 1, YES),
                (1, 1, YES),
                (1, 1, false),
                (1_000, 1, YES),
                (1, 1, YES),
                (1, 1, false),
            ],
        ),
        (
            2,
            &[
                (0, 1, YES),
                (0, 1, YES),
                (1, 1, false),
                (2_000, 1, YES),
                (0, 1, YES),
                (1, 1, false),
            ],
        ),
        (
            4,
            &[
                (0, 2, YES),
                (0, 2, YES),
                (1, 2, false),
                (1_000, 2, YES),
                (1, 2, YES),
                (1, 2, false),
            ],
        ),
        (
            5,
            &[
                (0, 15, false),
                (3_000, 15, false),
                (20_000, 15, false),
                (0, 5, YES),
            ],
        ),
    ];
    for (a_second, rows) in tables {
        let clock = FakeRelativeClock::default();
        let count = |n| NonZeroU32::new(n).unwrap();
        let quota = Quota::per_second(count(a_second));
        let governor = RateLimiter::direct_with_clock(quota, clock.clone());
        let mut bucket = bucket(a_second.into(), 1_000_000_000, a_second.into());
        let mut now = Instant::ZERO;
        for (row, &(millis, amount, passes)) in rows.iter().enumerate() {
            let later = Duration::from_millis(millis);
            (now, _) = (now.saturating_add(later), clock.advance(later));
            let theirs = governor
                .check_n(count(amount))
                .is_ok_and(|passed| passed.is_ok());
            let ours = bucket.try_acquire(now, amount.into()).is_ok();
            assert_eq!((ours, theirs), (passes, passes), "{a_second}: row {row}");
        }
    }
}

/// governor's `all_capacity_check_rejects_excess` and `correct_wait_time`.
#[test]
fn governor_tells_never_from_not_yet() {
    let mut bucket = bucket(5, 1_000_000_000, 5);
    for amount in [15, 7, 6] {
        assert_eq!(bucket.peek(at(0), amount), Err(Refusal::Never));
    }
    assert!(bucket.try_acquire(at(0), 5).is_ok());
    let (mut now, mut conforming) = (Instant::ZERO, 0);
    for _ in 0..20 {
        now = now.saturating_add(Duration::from_millis(1));
        if let Err(Refusal::Until(until)) = bucket.try_acquire(now, 1) {
            now = until;
            assert!(bucket.try_acquire(now, 1).is_ok());
        }
        conforming += 1;
    }
    assert_eq!(conforming, 20);
    assert_eq!(now, Instant::from_secs(4), "twenty at five a second");
}
