//! Tables, corners and properties of the token bucket.

use core::time::Duration;
use std::{vec, vec::Vec};

use super::*;
use proptest::prelude::*;

const fn at(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

fn bucket(per_second: u64, burst: u64) -> TokenBucket {
    TokenBucket::new(Rate::per_second(per_second).unwrap(), burst).unwrap()
}

/// Milliseconds, what is there before, what is asked, whether it passes.
/// In the manner of golang.org/x/time/rate's tests.
#[test]
fn each_row_of_the_table_comes_out_so() {
    let steps: &[(u64, u64, u64, bool)] = &[
        (0, 2, 1, true),
        (0, 1, 1, true),
        (0, 0, 1, false),
        (99, 0, 1, false),
        (100, 1, 1, true),
        (100, 0, 1, false),
        (250, 1, 2, false),
        (250, 1, 1, true),
        (300, 1, 1, true),
        (1_000, 2, 2, true),
        (1_000, 0, 1, false),
    ];
    let mut bucket = bucket(10, 2);
    for &(ms, before, amount, passes) in steps {
        assert_eq!(bucket.available(at(ms)), before, "at {ms} ms");
        assert_eq!(
            bucket.try_acquire(at(ms), amount).is_ok(),
            passes,
            "at {ms} ms"
        );
    }
}

#[test]
fn rational_rates_do_not_drift() {
    let mut bucket = bucket(3, 1);
    let (mut now, mut admitted) = (Instant::ZERO, 0);
    while now < Instant::from_secs(3_600) {
        match bucket.try_acquire(now, 1) {
            Ok(_) => admitted += 1,
            Err(Refusal::Until(until)) => now = until,
            Err(Refusal::Never) => unreachable!(),
        }
    }
    assert_eq!(admitted, 10_800);
}

#[test]
fn many_small_ticks_equal_one_large_tick() {
    let mut often = bucket(3, 5);
    let mut seldom = often;
    let _all = (often.charge(at(0), 5), seldom.charge(at(0), 5));
    for ms in 0..1_000 {
        let _asked = often.try_acquire(at(ms), 4);
    }
    assert_eq!(often.available(at(1_000)), seldom.available(at(1_000)));
    assert_eq!(often, seldom, "refusals leave no trace");
}

#[test]
fn time_going_back_admits_no_more() {
    let mut bucket = bucket(1, 1);
    assert!(bucket.try_acquire(Instant::from_secs(3_600), 1).is_ok());
    for secs in [0, 1, 3_599, 3_600] {
        assert!(bucket.try_acquire(Instant::from_secs(secs), 1).is_err());
    }
    assert!(bucket.try_acquire(Instant::from_secs(3_601), 1).is_ok());
}

#[test]
fn a_debt_is_paid_off_first() {
    let mut bucket = bucket(10, 2);
    let _charged = bucket.charge(at(0), 12);
    assert_eq!((bucket.available(at(0)), bucket.debt(at(0))), (0, 10));
    assert_eq!(bucket.debt(at(950)), 1);
    assert_eq!(bucket.peek(at(0), 1), Err(Refusal::Until(at(1_100))));
}

#[test]
fn a_refund_after_refill_admits_nothing_twice() {
    let mut bucket = bucket(1, 10);
    let mut charge = bucket.charge(at(0), 10);
    // Ten seconds later it is full without the refund.
    let _next = bucket.charge(at(10_000), 10);
    bucket.refund(&mut charge, 10);
    assert_eq!(bucket.available(at(10_000)), 0);
}

#[test]
fn a_refund_at_once_undoes_the_charge() {
    let mut bucket = bucket(1, 10);
    let _other = bucket.charge(at(0), 3);
    let before = bucket;
    let mut charge = bucket.try_acquire(at(500), 7).unwrap();
    bucket.refund(&mut charge, u64::MAX);
    assert_eq!(bucket.tat, before.tat);
}

/// The cases of golang/go issues 56924 and 69419: what is cancelled out of
/// order, or after its time, comes back all the same while the bucket
/// cannot have been full.
#[test]
fn what_is_cancelled_out_of_order_comes_back() {
    let mut bucket = bucket(10, 10);
    let _drained = bucket.charge(at(0), 10);
    let mut first = bucket.charge(at(0), 1);
    let mut second = bucket.charge(at(0), 1);
    bucket.refund(&mut first, 1);
    bucket.refund(&mut second, 1);
    assert_eq!(bucket.debt(at(0)), 0);
    assert_eq!(bucket.peek(at(100), 1), Ok(()));
}

#[test]
fn what_is_there_of_it_is_taken_or_nothing() {
    let mut bucket = bucket(1, 3);
    assert_eq!(bucket.acquire_up_to(at(0), 2).unwrap().amount(), 2);
    assert_eq!(bucket.acquire_up_to(at(0), 2).unwrap().amount(), 1);
    let before = bucket;
    let none = bucket.acquire_up_to(at(0), 2);
    assert_eq!(none, Err(Refusal::Until(at(1_000))));
    assert_eq!(bucket, before);
    assert_eq!(bucket.acquire_up_to(at(0), 0).unwrap().amount(), 0);
}

/// The promise is a third of a second, rounded up to a nanosecond.
#[test]
fn a_promise_that_is_cancelled_leaves_no_trace() {
    let mut bucket = bucket(3, 1);
    let _there = bucket.charge(at(0), 1);
    let before = bucket.tat();
    let promise = bucket.reserve(at(0), 1, Duration::MAX).unwrap();
    assert_eq!(promise.at(), Instant::from_nanos(333_333_334));
    bucket.cancel(promise);
    assert_eq!(bucket.tat(), before);
}

/// It was refilled, or its burst was cut to what was left.
#[test]
fn what_was_charged_before_a_change_at_which_it_is_full_is_gone() {
    for (then, burst, there) in [(10_000, 20, 10), (0, 5, 5)] {
        let mut bucket = bucket(1, 10);
        let mut charge = bucket.charge(at(0), 4);
        let rate = Rate::per_second(1).unwrap();
        bucket.set(at(then), rate, burst).unwrap();
        let _younger = bucket.charge(at(then), 3);
        bucket.refund(&mut charge, 4);
        assert_eq!(bucket.available(at(then)), there - 3);
    }
}

/// It was full when its burst became eleven: nothing older can be given back, so
/// that what a younger charge gives back is not taken for that.
#[test]
fn charges_after_a_change_at_which_it_was_full_are_the_oldest() {
    let mut bucket = bucket(1, 10);
    let _before = bucket.charge(at(0), 4);
    let now = at(10_000);
    bucket.set(now, Rate::per_second(1).unwrap(), 11).unwrap();
    let mut first = bucket.charge(now, 3);
    let mut second = bucket.charge(now, 5);
    bucket.refund(&mut second, 4);
    bucket.refund(&mut first, 3);
    assert_eq!(bucket.available(now), 10 - 1);
}

/// Units are nanoseconds where one comes in each second: 10^9 for a token.
#[test]
fn the_level_can_be_moved_and_asked_as_if_it_were_another() {
    const TOKEN: u128 = 1_000_000_000;
    let mut bucket = bucket(1, 10);
    let charge = bucket.charge(at(0), 4);
    assert_eq!((charge.tat(), bucket.tat()), (4 * TOKEN, 4 * TOKEN));
    assert_eq!(Charge::NONE.tat(), 0);

    // At a level of its own, and at others. A part of a token is none.
    let levels = [0, 1, 4 * TOKEN, 10 * TOKEN, 12 * TOKEN].map(|tat| bucket.level_at(tat, at(0)));
    assert_eq!(levels, [10, 9, 6, 0, -2]);
    assert_eq!(bucket.level_at(4 * TOKEN, at(3_000)), 9);
    let until = |millis| Err(Refusal::Until(at(millis)));
    for (tat, amount, owing, passes) in [
        (4 * TOKEN, 6, 0, Ok(())),
        (4 * TOKEN, 7, 0, until(1_000)),
        (4 * TOKEN, 7, 1, Ok(())),
        (4 * TOKEN, 9, 1, until(2_000)),
        (0, 10, 0, Ok(())),
        (10 * TOKEN, 1, 0, until(1_000)),
    ] {
        assert_eq!(bucket.peek_at(tat, at(0), amount, owing), passes);
    }
    assert!(!bucket.is_full(at(3_999)) && bucket.is_full(at(4_000)));

    bucket.clamp_tat(2 * TOKEN, 5 * TOKEN);
    assert_eq!(bucket.tat(), 4 * TOKEN, "it is between them");
    bucket.clamp_tat(5 * TOKEN, 8 * TOKEN);
    assert_eq!(bucket.tat(), 5 * TOKEN);
    bucket.clamp_tat(0, 3 * TOKEN);
    assert_eq!(bucket.tat(), 3 * TOKEN);
    bucket.put(1);
    assert_eq!(bucket.tat(), 2 * TOKEN);
}

/// Of a charge of four under one of five: what raised the level meanwhile, to
/// what, and what it can still give back.
#[test]
fn what_raised_the_level_is_not_given_back_again() {
    type Raise = fn(&mut TokenBucket);
    const TOKEN: u128 = 1_000_000_000;
    let raises: [(Raise, u128, u128); 4] = [
        (|_| (), 9, 4),
        (|bucket| bucket.put(3), 6, 1),
        (|bucket| bucket.clamp_tat(0, 7 * TOKEN), 7, 2),
        (|bucket| bucket.clamp_tat(0, TOKEN), 1, 0),
    ];
    for (raise, left, given) in raises {
        let mut bucket = bucket(1, 10);
        let mut charge = bucket.charge(at(0), 4);
        let _younger = bucket.charge(at(0), 5);
        raise(&mut bucket);
        assert_eq!(bucket.tat(), left * TOKEN);
        bucket.refund(&mut charge, 4);
        assert_eq!(bucket.tat(), (left - given) * TOKEN);
    }
}

/// What was given back of an older charge and charged since may sum to
/// nothing: the charge between them is not the newest for that.
#[test]
fn a_refund_does_not_mistake_a_charge_for_the_newest() {
    let mut bucket = TokenBucket::new(Rate::per_second(1).unwrap(), 25).unwrap();
    let mut oldest = bucket.charge(at(0), 16);
    let mut second = bucket.charge(at(2_000), 1);
    bucket.refund(&mut oldest, 7);
    let _third = bucket.charge(at(4_000), 7);
    bucket.refund(&mut second, 1);
    // Of the nine that are left, the refill until the third charge was
    // four: without them the bucket would have been full by then.
    bucket.refund(&mut oldest, 9);
    assert_eq!(bucket.available(at(4_000)), 25 - 7);
}

#[test]
fn a_change_of_limit_keeps_what_is_there() {
    let mut bucket = bucket(10, 10);
    let _charged = bucket.charge(at(0), 4);
    bucket.set(at(0), Rate::per_second(1).unwrap(), 20).unwrap();
    assert_eq!(bucket.available(at(0)), 6, "no burst is given");
    bucket.set(at(0), Rate::per_second(7).unwrap(), 5).unwrap();
    assert_eq!(bucket.available(at(0)), 5);
    assert_eq!(
        bucket.set(at(0), Rate::per_second(7).unwrap(), 0),
        Err(ConfigError::ZeroBurst)
    );
}

/// What was charged before a change of burst and gave a part of itself back
/// after it could give back the rest after another: together more than the
/// bucket missed at the first.
#[test]
fn a_charge_is_not_carried_over_two_changes() {
    let rate = Rate::per_second(1).unwrap();
    let mut bucket = TokenBucket::new(rate, 23).unwrap();
    let mut charges = [(); 2].map(|()| bucket.charge(at(0), 2));
    // Three are missing, and four were charged.
    bucket.set(at(0), rate, 22).unwrap();
    for charge in &mut charges {
        bucket.refund(charge, 1);
    }
    assert_eq!(bucket.available(at(0)), 21);
    bucket.set(at(0), rate, 23).unwrap();
    for charge in &mut charges {
        bucket.refund(charge, 1);
    }
    // Without them it would have held 23, then 22, and 22 since.
    assert!(bucket.available(at(0)) <= 22);
}

#[test]
fn the_largest_numbers_are_borne() {
    let most = (1 << 63) - 1;
    for count in [1, most] {
        for period in [1, most] {
            let rate = Rate::per(count, Duration::from_nanos(period)).unwrap();
            for burst in [1, u64::MAX] {
                let mut bucket = TokenBucket::new(rate, burst).unwrap();
                for now in [Instant::ZERO, Instant::from_nanos(1), Instant::MAX] {
                    for amount in [0, 1, u64::MAX - 1, u64::MAX] {
                        let _any = bucket.try_acquire(now, amount);
                        let mut charge = bucket.charge(now, amount);
                        bucket.refund(&mut charge, amount);
                        let _any = (bucket.available(now), bucket.debt(now));
                        let mut other = bucket;
                        other.set(now, Rate::per_second(1).unwrap(), 1).unwrap();
                    }
                }
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Op {
    Acquire(u64),
    Charge(u64),
    Refund(usize, u64),
    Advance(u64),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        3 => (1..30_u64).prop_map(Op::Acquire),
        1 => (0..30_u64).prop_map(Op::Charge),
        2 => (any::<usize>(), 0..30_u64).prop_map(|(i, n)| Op::Refund(i, n)),
        3 => (0..4_000_000_000_u64).prop_map(Op::Advance),
    ];
    prop::collection::vec(op, 1..60)
}

fn rates() -> impl Strategy<Value = Rate> {
    (1..50_u64, 1..5_000_000_000_u64)
        .prop_map(|(n, p)| Rate::per(n, Duration::from_nanos(p)).unwrap())
}

/// The level of a bucket with these net charges, by walking through them:
/// slow and obvious. In units of 1/period token.
fn naive_level(rate: Rate, burst: u64, charges: &[(u64, u64)], now: u64) -> i128 {
    let (count, period) = (i128::from(rate.count()), i128::from(rate.period_nanos()));
    let full = i128::from(burst) * period;
    let (mut level, mut then) = (full, 0);
    for &(at, amount) in charges {
        level = (level + i128::from(at - then) * count).min(full);
        level -= i128::from(amount) * period;
        then = at;
    }
    (level + i128::from(now - then) * count).min(full)
}

proptest! {
    #![proptest_config(crate::retry::ten_thousand_cases())]

    /// Over every window, refunds included: what was let pass and not given
    /// back is at most the burst and what came in.
    #[test]
    fn admitted_never_exceeds_burst_plus_rate(rate in rates(), burst in 1..40_u64, ops in ops()) {
        let mut bucket = TokenBucket::new(rate, burst).unwrap();
        let mut now = 0_u64;
        let mut admitted: Vec<(u64, u64, Charge)> = vec![];
        for op in ops {
            match op {
                Op::Acquire(n) | Op::Charge(n) => {
                    if let Ok(charge) = bucket.try_acquire(Instant::from_nanos(now), n) {
                        admitted.push((now, n, charge));
                    }
                }
                Op::Refund(i, n) if !admitted.is_empty() => {
                    let i = i % admitted.len();
                    let (_, left, charge) = &mut admitted[i];
                    let back = n.min(*left);
                    bucket.refund(charge, back);
                    *left -= back;
                }
                Op::Refund(..) => {}
                Op::Advance(by) => now += by,
            }
        }
        for from in 0..admitted.len() {
            let mut sum = 0_u128;
            for &(at, n, _) in &admitted[from..] {
                sum += u128::from(n);
                let span = u128::from(at - admitted[from].0);
                let most = u128::from(burst) * u128::from(rate.period_nanos())
                    + span * u128::from(rate.count());
                prop_assert!(sum * u128::from(rate.period_nanos()) <= most);
            }
        }
    }

    /// Refused one nanosecond before the promised instant, admitted at it.
    #[test]
    fn until_is_exact(rate in rates(), burst in 1..40_u64, ops in ops(), n in 1..40_u64) {
        let mut bucket = TokenBucket::new(rate, burst).unwrap();
        let mut now = 0;
        for op in ops {
            match op {
                Op::Acquire(n) => { let _any = bucket.try_acquire(Instant::from_nanos(now), n); }
                Op::Charge(n) => { let _any = bucket.charge(Instant::from_nanos(now), n); }
                Op::Refund(..) => {}
                Op::Advance(by) => now += by,
            }
            let here = Instant::from_nanos(now);
            match bucket.peek(here, n) {
                Ok(()) => prop_assert!(n <= burst),
                Err(Refusal::Never) => prop_assert!(n > burst),
                Err(Refusal::Until(until)) => {
                    prop_assert!(until > here, "a wait is always in the future");
                    prop_assert_eq!(bucket.peek(until, n), Ok(()));
                    let before = Instant::from_nanos(until.as_nanos() - 1);
                    prop_assert!(bucket.peek(before, n).is_err());
                }
            }
        }
    }

    /// The level is that of the slow oracle; after refunds it is at most
    /// what it would be without the charge, and what is lost is at most the
    /// refill since the charge, or since the beginning where younger ones
    /// were given back before older.
    #[test]
    fn the_level_is_that_of_a_walk_through_all_charges(
        rate in rates(), burst in 1..40_u64, ops in ops(), oldest_first: bool
    ) {
        let mut bucket = TokenBucket::new(rate, burst).unwrap();
        let mut next = 0;
        let mut now = 0_u64;
        let mut charges: Vec<(u64, u64)> = vec![];
        let mut tickets: Vec<Charge> = vec![];
        let mut may_have_lost = 0_i128;
        for op in ops {
            let here = Instant::from_nanos(now);
            match op {
                Op::Acquire(n) => if let Ok(charge) = bucket.try_acquire(here, n) {
                    charges.push((now, n));
                    tickets.push(charge);
                },
                Op::Charge(n) => {
                    tickets.push(bucket.charge(here, n));
                    charges.push((now, n));
                }
                Op::Refund(i, n) if !tickets.is_empty() => {
                    let i = if oldest_first { next % tickets.len() } else { i % tickets.len() };
                    next += 1;
                    let back = n.min(charges[i].1);
                    bucket.refund(&mut tickets[i], back);
                    charges[i].1 -= back;
                    let since = if oldest_first { now - charges[i].0 } else { now };
                    may_have_lost += i128::from(since) * i128::from(rate.count());
                }
                Op::Refund(..) => {}
                Op::Advance(by) => now += by,
            }
            let naive = naive_level(rate, burst, &charges, now);
            let owed = i128::try_from(bucket.owed(Instant::from_nanos(now))).unwrap();
            let level = i128::try_from(bucket.depth).unwrap() - owed;
            prop_assert!(level <= naive, "lifted above: {level} > {naive}");
            prop_assert!(level + may_have_lost >= naive, "lost too much");
        }
    }
}
