//! Long times and large numbers: a year without drift, five hundred years, and
//! the largest costs.

use std::time::Duration;

use num_bigint::BigUint;
use sendwhen::{
    AdaptiveInFlight, AdaptiveSlot, Blocked, CubicRate, FixedWindow, InFlight, Instant, Limit,
    LogEntry, Outcome, Pause, Quota, Rate, Refusal, SlidingCounter, SlidingLog, SlidingMinute,
    SmoothRamp, Spacing, SpreadPause, StepRamp, Together, TokenBucket,
};

use super::limits_ops::Places;

const YEAR: u64 = 365 * 86_400 * 1_000_000_000;

/// Goes from promised instant to promised instant until a year is over.
fn admitted_in_a_year<L: Limit>(mut limit: L, amount: L::Amount) -> u64 {
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
        let strict = TokenBucket::strict(count + 5, Duration::from_nanos(period), 5).unwrap();
        assert_eq!(admitted_in_a_year(strict, 1), exactly(count, period, 5));
        // Put together, all of them are as exact as the slowest.
        let slower = TokenBucket::new(rate, 3).unwrap();
        let both = Together((TokenBucket::new(rate, 5).unwrap(), slower));
        assert_eq!(admitted_in_a_year(both, 1), exactly(count, period, 3));
    }
}

/// Ramps rise to their most and are used to the end: what came in is a sum of
/// fractions, and is none too large or too small after a year. The step is more
/// than the least, so that it is what the first window has.
#[test]
fn ramps_do_not_drift_in_a_year() {
    const HOUR: u64 = 3_600 * 1_000_000_000;
    let (least, step, most, burst) = (3, 7, 31, 4);
    for period in [HOUR, 7 * HOUR + 1] {
        let length = Duration::from_nanos(period);
        // In 64 steps a period, each for a 64th of it in whole nanoseconds.
        let rises = u64::div_ceil(64 * (most - least), step);
        let rates = (0..rises).map(|n| BigUint::from(64 * least + step * n));
        let risen = rates.sum::<BigUint>() * (period / 64);
        let rest = BigUint::from(YEAR - 1 - rises * (period / 64)) * (64 * most);
        let exact =
            u64::try_from((risen + rest) / (BigUint::from(period) * 64_u64)).unwrap() + burst;
        let smooth = SmoothRamp::new(least, step, most, length, burst).unwrap();
        assert_eq!(admitted_in_a_year(smooth, 1), exact);

        let windows = YEAR.div_ceil(period);
        let exact: u64 = (1..=windows).map(|n| most.min(step * n)).sum();
        let steps = StepRamp::new(least, step, most, length).unwrap();
        assert_eq!(admitted_in_a_year(steps, 1), exact);
        let aligned = steps.aligned_to(Instant::ZERO);
        assert_eq!(admitted_in_a_year(aligned, 1), exact);
    }
}

/// Places that are all lost come back together, a lifetime and an eighth after
/// the slice in which they were taken began.
#[test]
fn lost_places_do_not_drift_in_a_year() {
    let slice = 1_234_567_890_123;
    let lifetime = Duration::from_nanos(8 * slice);
    let exact = 5 * YEAR.div_ceil(9 * slice);
    let fixed = InFlight::new(5, lifetime).unwrap();
    assert_eq!(admitted_in_a_year(fixed, 1), exact);
    let adaptive = AdaptiveInFlight::new(5, 1, 9, lifetime).unwrap();
    assert_eq!(admitted_in_a_year(adaptive, 1), exact);
}

/// A learnt rate is off by what one step rounds, and not by more for each.
#[test]
fn a_learnt_rate_does_not_drift_in_a_year() {
    let mut rate = CubicRate::new();
    rate.answered(Instant::ZERO, true);
    let (mut now, mut admitted) = (Instant::ZERO, 0_u64);
    while now.as_nanos() < YEAR {
        match rate.try_acquire(now) {
            Ok(()) => admitted += 1,
            Err(Refusal::Until(until)) => now = until,
            Err(Refusal::Never) => panic!("one always fits"),
        }
    }
    assert_eq!(
        admitted,
        YEAR / 2_000_000_000 - 1,
        "one in two seconds, from nothing"
    );
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

/// An adaptive cap whose amounts are as wide as the others'.
#[derive(Clone, Copy)]
struct Learnt(AdaptiveInFlight);

impl Limit for Learnt {
    type Amount = u64;
    type Charge = AdaptiveSlot;

    fn peek(&self, now: Instant, amount: u64) -> Result<(), Blocked> {
        Limit::peek(&self.0, now, u32::try_from(amount).unwrap_or(u32::MAX))
    }

    fn charge(&mut self, now: Instant, amount: u64) -> AdaptiveSlot {
        self.0
            .charge(now, u32::try_from(amount).unwrap_or(u32::MAX))
    }

    fn refund(&mut self, now: Instant, slot: &mut AdaptiveSlot, amount: u64) {
        let amount = u32::try_from(amount).unwrap_or(u32::MAX);
        self.0.refund(now, slot, amount);
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
            // A limit of one has no place for a burst below it.
            if let Ok(strict) = TokenBucket::strict(limit, window, limit.div_ceil(2)) {
                bears(|| strict);
            }
            bears(|| Together((fixed, counter, Together([quota; 2]))));
        }
        let lifetime = window.max(Duration::from_millis(1));
        for cap in [1, 1 << 20, u32::MAX] {
            bears(|| Places(InFlight::new(cap, lifetime).unwrap()));
            bears(|| Learnt(AdaptiveInFlight::new(cap, 1, u32::MAX, lifetime).unwrap()));
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

/// Turns, parts of an amount and changes of settings, at any time and of any size:
/// what a bucket holds is never more than its burst, nor a debt besides.
#[test]
fn the_largest_numbers_are_borne_by_every_verb() {
    const MOST: u64 = (1 << 63) - 1;
    let times = [0, 1, 500 * YEAR, u64::MAX - 1, u64::MAX].map(Instant::from_nanos);
    let amounts = [0, 1, 1 << 55, u64::MAX - 1, u64::MAX];
    let mut all = vec![];
    for count in [1, 1 << 40, MOST] {
        for period in [1, 60_000_000_000, MOST] {
            let rate = Rate::per(count, Duration::from_nanos(period)).unwrap();
            all.extend([1, 1 << 40, u64::MAX].map(|burst| (rate, burst)));
        }
    }
    let holds = |bucket: &TokenBucket, at| {
        let (there, debt) = (bucket.available(at), bucket.debt(at));
        assert!(
            there <= bucket.burst() && (there == 0 || debt == 0),
            "{bucket:?}"
        );
    };
    for &(rate, burst) in &all {
        for first in times {
            for amount in amounts {
                let mut bucket = TokenBucket::new(rate, burst).unwrap();
                let mut some = bucket.acquire_up_to(first, amount).unwrap_or_default();
                let turns = times.map(|at| bucket.reserve(at, amount, Duration::MAX).ok());
                for at in times {
                    holds(&bucket, at);
                }
                let mut spacing = Spacing::new(rate);
                let places = times.map(|at| spacing.reserve(at, amount, Duration::MAX).ok());
                places
                    .into_iter()
                    .flatten()
                    .for_each(|turn| spacing.cancel(turn));
                for &(rate, burst) in &all {
                    let mut changed = bucket;
                    changed.set(first, rate, burst).unwrap();
                    holds(&changed, first);
                    changed.refund(&mut some.clone(), u64::MAX);
                    turns
                        .into_iter()
                        .flatten()
                        .for_each(|turn| changed.cancel(turn));
                    times.into_iter().for_each(|at| holds(&changed, at));
                    check_refusal(&changed, first, amount);
                }
                bucket.refund(&mut some, u64::MAX);
                turns
                    .into_iter()
                    .flatten()
                    .rev()
                    .for_each(|turn| bucket.cancel(turn));
                times.into_iter().for_each(|at| holds(&bucket, at));
            }
        }
    }
}

/// A quota of which any share is said to be spent, until any instant.
#[test]
fn the_largest_shares_are_borne() {
    let times = [0, 1, 500 * YEAR, u64::MAX - 1, u64::MAX].map(Instant::from_nanos);
    let amounts = [0, 1, 1 << 55, u64::MAX - 1, u64::MAX];
    for window in [1, 60_000_000_000, (1 << 63) - 1] {
        for limit in [1, 1 << 40, u64::MAX] {
            let quota = Quota::new(limit, Duration::from_nanos(window)).unwrap();
            for resets in times {
                for spent in amounts {
                    for mut quota in [quota, quota.paced(spent / 3)] {
                        quota.observe(spent, resets);
                        for now in times {
                            for amount in amounts {
                                check_refusal(&quota, now, amount);
                            }
                            let _any = (quota.utilisation(now), quota.resets(now));
                        }
                        bears(|| quota);
                    }
                }
            }
        }
    }
}

/// A stop ends when it was said to, up to the end of the clock, and spread over
/// any time no earlier than that.
#[test]
fn a_pause_is_exact_to_the_end_of_the_clock() {
    for end in [1, 500 * YEAR, u64::MAX - 1, u64::MAX] {
        let (end, before) = (Instant::from_nanos(end), Instant::from_nanos(end - 1));
        let mut pause = Pause::new();
        pause.until(end);
        assert_eq!(pause.peek(before), Err(Refusal::Until(end)));
        assert_eq!(pause.peek(end), Ok(()));
        for over in [0, 1, YEAR, u64::MAX] {
            let over = Duration::from_nanos(over);
            let mut spread = SpreadPause::new(over, 7);
            spread.until(end);
            for waiter in [0, 1, u64::MAX] {
                let own = spread.of(waiter);
                assert!(own.peek(before).is_err());
                assert_eq!(own.peek(end.saturating_add(over)), Ok(()));
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
    const MADE: [bool; 12] = [
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
        SlidingMinute::new(50, [LogEntry::EMPTY; 50]).is_ok(),
        TokenBucket::four_fifths_of(50).is_ok(),
    ];
    const NO_ERRORS: (Spacing, Pause) = (Spacing::new(RATE), Pause::new());
    const SPREAD: SpreadPause = SpreadPause::new(MINUTE, 7);
    assert_eq!(MADE, [true; 12]);
    assert_eq!(NO_ERRORS.0.rate(), RATE);
    assert_eq!(SPREAD.of(1), NO_ERRORS.1);
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
