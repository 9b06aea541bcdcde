//! Long times and large numbers: a year without drift, five hundred years, and
//! the largest costs.

use std::time::Duration;

use num_bigint::BigUint;
use sendwhen::{
    AdaptiveInFlight, FixedWindow, InFlight, Instant, Limit, LogEntry, Outcome, Pause, Quota, Rate,
    Refusal, SlidingCounter, SlidingLog, SmoothRamp, Spacing, StepRamp, TokenBucket,
};

const YEAR: u64 = 365 * 86_400 * 1_000_000_000;

/// Goes from promised instant to promised instant until a year is over.
fn admitted_in_a_year(mut limit: impl Limit<Amount = u64>, amount: u64) -> u64 {
    let (mut now, mut admitted) = (Instant::ZERO, 0);
    while now.as_nanos() < YEAR {
        match limit.try_acquire(now, amount) {
            Ok(_) => admitted += 1,
            Err(blocked) => match blocked.refusal {
                Refusal::Until(until) => now = until,
                Refusal::Never => panic!("it fits"),
            },
        }
    }
    admitted
}

/// How many come in a year, and those of the burst: each at the first instant
/// at which it is there, so that nothing but rounding could lose one.
fn exactly(count: u64, period: u64, burst: u64) -> u64 {
    let refill = BigUint::from(count) * (YEAR - 1) / period;
    u64::try_from(refill).unwrap() + burst
}

/// Rates whose intervals are no whole numbers of nanoseconds, at each of which
/// some hundred thousand pass in a year.
#[test]
fn rational_rates_do_not_drift() {
    const MINUTE: u64 = 60_000_000_000;
    for (count, period) in [
        (3, 7 * MINUTE),
        (7, 1_000 * MINUTE + 1),
        (1, 9 * MINUTE / 7),
    ] {
        let rate = Rate::per(count, Duration::from_nanos(period)).unwrap();
        for burst in [1, 5] {
            let bucket = TokenBucket::new(rate, burst).unwrap();
            let exact = exactly(count, period, burst);
            assert_eq!(admitted_in_a_year(bucket, 1), exact, "{count} in {period}");
        }
        let spacing = Spacing::new(rate);
        assert_eq!(admitted_in_a_year(spacing, 1), exactly(count, period, 1));
    }
}

/// Three a second for an hour are 10 800, and ten thousand after a burst of as
/// many; a peer that rounds the interval lets 10 801 pass.
#[test]
fn three_a_second_for_an_hour_are_10_800() {
    let mut bucket = TokenBucket::new(Rate::per_second(3).unwrap(), 1).unwrap();
    let (mut now, mut admitted) = (Instant::ZERO, 0);
    while now < Instant::from_secs(3_600) {
        match bucket.try_acquire(now, 1) {
            Ok(_) => admitted += 1,
            Err(Refusal::Until(until)) => now = until,
            Err(Refusal::Never) => panic!("it fits"),
        }
    }
    assert_eq!(admitted, 10_800);
}

#[test]
fn windows_do_not_drift_in_a_year() {
    let window = Duration::from_nanos(5 * 3_600 * 1_000_000_000 + 7);
    let windows = YEAR.div_ceil(window.as_nanos() as u64);
    let fixed = FixedWindow::new(20, window).unwrap();
    let quota = Quota::new(20, window).unwrap();
    let log = SlidingLog::new(20, window, [LogEntry::EMPTY; 20]).unwrap();
    let aligned = fixed.aligned_to(Instant::ZERO);
    assert_eq!(admitted_in_a_year(fixed, 1), 20 * windows);
    assert_eq!(admitted_in_a_year(aligned, 1), 20 * windows);
    assert_eq!(admitted_in_a_year(quota, 1), 20 * windows);
    assert_eq!(admitted_in_a_year(log, 1), 20 * windows);
    // Evenly, and at once in the first window.
    let counter = SlidingCounter::new(20, window).unwrap();
    let admitted = admitted_in_a_year(counter, 1);
    assert!(
        (19 * windows..=20 * windows).contains(&admitted),
        "{admitted}"
    );
}

/// Whatever is asked for, charged and given back, whenever.
fn bears<L: Limit<Amount = u64>>(make: impl Fn() -> L) {
    const AMOUNTS: [u64; 5] = [0, 1, 1 << 55, u64::MAX - 1, u64::MAX];
    let times = [0, 1, 500 * YEAR, u64::MAX - 1, u64::MAX];
    for first in times {
        for second in times {
            let mut limit = make();
            for amount in AMOUNTS {
                let (one, other) = (Instant::from_nanos(first), Instant::from_nanos(second));
                let _any = limit.try_acquire(one, amount);
                let mut charge = limit.charge(other, amount);
                for ask in AMOUNTS {
                    check_refusal(&limit, one, ask);
                    check_refusal(&limit, other, ask);
                }
                limit.refund(one, &mut charge, amount / 2);
                limit.refund(other, &mut charge, u64::MAX);
            }
        }
    }
}

/// A wait ends later than `now`, but at the end of the clock, and is exact but
/// where the clock ends before it does.
fn check_refusal(limit: &impl Limit<Amount = u64>, now: Instant, amount: u64) {
    let refusal = |at| limit.peek(at, amount).map_err(|blocked| blocked.refusal);
    if let Err(Refusal::Until(until)) = refusal(now) {
        assert!(until > now || now == Instant::MAX);
        if until < Instant::MAX {
            assert_eq!(refusal(until), Ok(()));
            let before = Instant::from_nanos(until.as_nanos() - 1);
            assert!(before == now || refusal(before).is_err());
        }
    }
}

#[test]
fn the_largest_numbers_are_borne() {
    const MOST: u64 = (1 << 63) - 1;
    for period in [1, 60_000_000_000, MOST] {
        let window = Duration::from_nanos(period);
        for limit in [1, 1 << 40, MOST] {
            let rate = Rate::per(limit, window).unwrap();
            bears(|| Spacing::new(rate));
            for burst in [1, 1 << 40, u64::MAX] {
                bears(|| TokenBucket::new(rate, burst).unwrap());
            }
        }
        for limit in [1, 1 << 40, u64::MAX] {
            bears(|| SlidingLog::new(limit, window, [LogEntry::EMPTY; 3]).unwrap());
            let counter = SlidingCounter::new(limit, window).unwrap();
            bears(|| counter);
            bears(|| counter.aligned_to(Instant::MAX));
            let fixed = FixedWindow::new(limit, window).unwrap();
            bears(|| fixed);
            bears(|| fixed.aligned_to(Instant::MAX));
            let quota = Quota::new(limit, window).unwrap();
            bears(|| quota);
            bears(|| quota.paced(limit / 3).aligned_to(Instant::MAX));
            bears(|| StepRamp::new(1, limit, limit, window).unwrap());
        }
        const WIDEST: u64 = (1 << 56) - 1;
        for step in [1, WIDEST] {
            for [least, most] in [[1, 1], [1, WIDEST], [WIDEST, WIDEST]] {
                for burst in [1, WIDEST] {
                    bears(|| SmoothRamp::new(least, step, most, window, burst).unwrap());
                }
            }
        }
    }
}

/// The level of a bucket as large as one can be, in exact numbers.
#[test]
fn a_bucket_as_large_as_one_can_be_is_exact() {
    const MOST: u64 = (1 << 63) - 1;
    let rate = Rate::per(MOST, Duration::from_nanos(MOST - 1)).unwrap();
    let mut bucket = TokenBucket::new(rate, u64::MAX).unwrap();
    let mut charge = bucket.charge(Instant::ZERO, u64::MAX);
    let mut debt = bucket.charge(Instant::ZERO, u64::MAX);
    assert_eq!(bucket.debt(Instant::ZERO), u64::MAX);
    for now in [1, MOST - 1, 2 * (MOST - 1), u64::MAX] {
        let refill = BigUint::from(now) * MOST / (MOST - 1);
        let missing = BigUint::from(u64::MAX) - refill.min(BigUint::from(u64::MAX));
        assert_eq!(
            BigUint::from(bucket.debt(Instant::from_nanos(now))),
            missing
        );
    }
    bucket.refund(&mut debt, u64::MAX);
    assert_eq!(bucket.debt(Instant::ZERO), 0);
    bucket.refund(&mut charge, u64::MAX);
    assert_eq!(bucket.available(Instant::ZERO), u64::MAX);
}

/// A limit of a month whose tokens are fractions of no whole nanosecond: what
/// is charged and given back is exact beyond 64 bits.
#[test]
fn a_month_is_given_back_exactly() {
    let month = Duration::from_secs(30 * 86_400);
    let rate = Rate::per(1_000_001, month).unwrap();
    let mut bucket = TokenBucket::new(rate, 1_000_001).unwrap();
    let mut charge = bucket.charge(Instant::ZERO, 900_000);
    let _other = bucket.charge(Instant::from_secs(1), 1_000);
    bucket.refund(&mut charge, 900_000);
    assert_eq!(bucket.available(Instant::from_secs(1)), 999_001);
}

/// All of them can be made where nothing runs yet.
#[test]
fn all_are_made_in_constants() {
    const MINUTE: Duration = Duration::from_secs(60);
    const RATE: Rate = match Rate::per_minute(50) {
        Ok(rate) => rate,
        Err(_) => panic!("fifty a minute are a rate"),
    };
    const MADE: [bool; 10] = [
        TokenBucket::new(RATE, 50).is_ok(),
        TokenBucket::strict(50, MINUTE, 5).is_ok(),
        SlidingLog::new(50, MINUTE, [LogEntry::EMPTY; 50]).is_ok(),
        SlidingCounter::new(50, MINUTE).is_ok(),
        FixedWindow::new(50, MINUTE).is_ok(),
        Quota::shares(MINUTE).is_ok(),
        InFlight::new(5, MINUTE).is_ok(),
        AdaptiveInFlight::new(5, 1, 10, MINUTE).is_ok(),
        StepRamp::new(50, 10, 100, MINUTE).is_ok(),
        SmoothRamp::new(50, 10, 100, MINUTE, 5).is_ok(),
    ];
    const NO_ERRORS: (Spacing, Pause) = (Spacing::new(RATE), Pause::new());
    assert_eq!(MADE, [true; 10]);
    assert_eq!(NO_ERRORS.0.rate(), RATE);
}

/// An adaptive cap against a server that admits so many at once, in rounds: it
/// comes near the cap from either side, and stays.
#[test]
fn an_adaptive_cap_finds_what_the_server_admits() {
    for (start, server) in [(1, 40), (100, 40), (5, 5), (64, 1)] {
        let mut cap = AdaptiveInFlight::new(start, 1, 200, Duration::from_secs(600)).unwrap();
        let (mut sent, mut refused) = (0, 0);
        for round in 0..2_000 {
            let now = Instant::from_secs(round);
            let slots: Vec<_> = std::iter::from_fn(|| cap.try_acquire(now).ok()).collect();
            for (place, slot) in slots.into_iter().enumerate() {
                let admitted = place < server;
                let outcome = if admitted {
                    Outcome::Admitted
                } else {
                    Outcome::Refused
                };
                if round > 200 {
                    sent += 1;
                    refused += u32::from(!admitted);
                }
                cap.release(now, slot, outcome);
            }
        }
        let near = (server * 8 / 10) as u32..=server as u32 + 1;
        assert!(near.contains(&cap.cap()), "{} of {server}", cap.cap());
        assert!(server < 5 || refused * 15 < sent, "{refused} of {sent}");
    }
}

/// Lost places come back, and what is said of them afterwards changes nothing.
#[test]
fn an_adaptive_cap_outlives_those_who_vanish() {
    let lifetime = Duration::from_secs(8);
    let mut cap = AdaptiveInFlight::new(2, 1, 4, lifetime).unwrap();
    let lost = [(); 2].map(|()| cap.try_acquire(Instant::ZERO).unwrap());
    let Err(Refusal::Until(until)) = cap.peek(Instant::ZERO) else {
        panic!("both places are taken");
    };
    assert_eq!(until, Instant::from_secs(9));
    let held = cap.try_acquire(until).unwrap();
    for slot in lost {
        cap.release(until, slot, Outcome::Unknown);
    }
    assert_eq!(cap.taken(until), 1);
    cap.release(until, held, Outcome::Admitted);
    assert_eq!((cap.taken(until), cap.cap()), (0, 2));
}
