//! What golang.org/x/time/rate checks of itself in `rate_test.go`, row by row, and
//! what its users found wrong with it. In own words; where the two differ it is
//! said why.

use std::time::Duration;

use sendwhen::{ConfigError, Instant, Limit, Rate, Refusal, Reservation, TokenBucket};

const ENDLESS: Duration = Duration::MAX;

/// Tenths of a second: a token of ten a second.
const fn t(tenths: u64) -> Instant {
    Instant::from_millis(100 * tenths)
}

fn per_second(count: u64) -> Rate {
    Rate::per_second(count).unwrap()
}

fn ten_a_second(burst: u64) -> TokenBucket {
    TokenBucket::new(per_second(10), burst).unwrap()
}

/// When, what is there before, what is asked, whether it passes.
fn run(burst: u64, rows: &[(u64, u64, u64, bool)]) {
    let mut bucket = ten_a_second(burst);
    for (row, &(at, before, amount, passes)) in rows.iter().enumerate() {
        assert_eq!(bucket.available(t(at)), before, "before row {row}");
        let passed = bucket.try_acquire(t(at), amount).is_ok();
        assert_eq!(passed, passes, "row {row}");
    }
}

/// `TestLimiterBurst1`, `TestLimiterBurst3` and `TestLimiterJumpBackwards` of
/// x/time/rate. In the last one that limiter moves its clock back and hands out
/// the time between twice; here an earlier instant has less.
#[test]
fn x_time_rate_allows() {
    run(
        1,
        &[
            (0, 1, 1, true),
            (0, 0, 1, false),
            (0, 0, 1, false),
            (1, 1, 1, true),
            (1, 0, 1, false),
            (1, 0, 1, false),
            (2, 1, 2, false),
            (2, 1, 1, true),
            (2, 0, 1, false),
        ],
    );
    run(
        3,
        &[
            (0, 3, 2, true),
            (0, 1, 2, false),
            (0, 1, 1, true),
            (0, 0, 1, false),
            (1, 1, 4, false),
            (2, 2, 1, true),
            (3, 2, 1, true),
            (4, 2, 1, true),
            (4, 1, 1, true),
            (4, 0, 1, false),
            (4, 0, 1, false),
            (9, 3, 3, true),
            (9, 0, 0, true),
        ],
    );
    run(
        3,
        &[
            (1, 3, 1, true),
            (0, 1, 1, true),
            (0, 0, 1, false),
            (0, 0, 1, false),
            (1, 1, 1, true),
            (1, 0, 1, false),
            (2, 1, 1, true),
            (2, 0, 1, false),
        ],
    );
}

/// Reserves, and checks for when.
fn reserve(bucket: &mut TokenBucket, at: u64, amount: u64, for_when: u64) -> Reservation {
    let reserved = bucket.reserve(t(at), amount, ENDLESS).unwrap();
    assert_eq!(reserved.at(), t(for_when), "{amount} at {at}");
    reserved
}

/// `TestSimpleReserve` and `TestMix` of x/time/rate.
#[test]
fn x_time_rate_reserves() {
    let mut bucket = ten_a_second(2);
    let _now = reserve(&mut bucket, 0, 2, 0);
    let _later = reserve(&mut bucket, 0, 2, 2);
    let _last = reserve(&mut bucket, 3, 2, 4);

    let mut bucket = ten_a_second(2);
    assert_eq!(bucket.reserve(t(0), 3, ENDLESS), Err(Refusal::Never));
    let _now = reserve(&mut bucket, 0, 2, 0);
    assert!(bucket.try_acquire(t(1), 2).is_err());
    let _later = reserve(&mut bucket, 1, 2, 2);
    assert!(bucket.try_acquire(t(1), 1).is_err(), "it is in debt");
    assert!(bucket.try_acquire(t(3), 1).is_ok());
}

/// `TestReserveJumpBack` of x/time/rate. Where that limiter says that it breaks
/// its own limit, this one does not.
#[test]
fn x_time_rate_reserves_while_the_clock_goes_back() {
    let mut bucket = ten_a_second(2);
    let _start = reserve(&mut bucket, 1, 2, 1);
    let _earlier = reserve(&mut bucket, 0, 1, 2);
    let _later = reserve(&mut bucket, 2, 2, 4);
    let before = bucket;
    assert_eq!(bucket.reserve(t(0), 3, ENDLESS), Err(Refusal::Never));
    let too_long = bucket.reserve(t(2), 1, Duration::from_millis(100));
    assert_eq!(too_long, Err(Refusal::Until(t(5))));
    assert_eq!(bucket, before);
    let _last = reserve(&mut bucket, 2, 1, 5);
}

/// The cancellations that x/time/rate tests. Each row: what is reserved (when,
/// how much, for when), which of them is cancelled, and what is reserved then.
/// In the comments, what that limiter gives instead.
#[test]
fn x_time_rate_cancels() {
    type Row = (u64, u64, u64);
    let rows: &[(u64, &[Row], &[usize], Row)] = &[
        // The last one comes back.
        (2, &[(0, 2, 0), (0, 2, 2)], &[1], (1, 2, 2)),
        // It was not used, though its time is past: nothing there (t4).
        (2, &[(0, 2, 0), (0, 2, 2)], &[1], (3, 2, 3)),
        // One was promised after it: what could not be lost comes back (t3).
        (2, &[(0, 2, 0), (0, 1, 1), (0, 1, 2)], &[1], (0, 1, 2)),
        // Of two tokens one would have been lost: the bucket was full at t2.
        (2, &[(0, 2, 0), (0, 2, 2), (0, 1, 3)], &[1], (2, 2, 4)),
        // As if neither had been reserved (t5).
        (
            4,
            &[(0, 4, 0), (0, 3, 3), (0, 1, 4), (0, 1, 5)],
            &[3, 1],
            (1, 3, 4),
        ),
    ];
    for &(burst, reserved, cancelled, (at, amount, for_when)) in rows {
        let mut bucket = ten_a_second(burst);
        let made: Vec<Reservation> = reserved
            .iter()
            .map(|&(at, amount, for_when)| reserve(&mut bucket, at, amount, for_when))
            .collect();
        for &which in cancelled {
            bucket.cancel(made[which]);
        }
        let _next = reserve(&mut bucket, at, amount, for_when);
    }
}

/// `TestCancelInvalid`: what was refused has nothing to cancel, and left nothing.
#[test]
fn x_time_rate_refuses_without_a_trace() {
    let mut bucket = ten_a_second(2);
    let _now = reserve(&mut bucket, 0, 2, 0);
    assert_eq!(bucket.reserve(t(0), 3, ENDLESS), Err(Refusal::Never));
    let _later = reserve(&mut bucket, 0, 2, 2);
}

/// `TestReserveJumpBackCancel`. Told at an earlier instant, a cancellation gives
/// back the same. That limiter hands the next two out for t4 then, and says that
/// it breaks its own limit; here, where the bucket would have been full before
/// t4, they go at t5.
#[test]
fn x_time_rate_cancels_while_the_clock_goes_back() {
    let mut bucket = ten_a_second(2);
    let _start = reserve(&mut bucket, 1, 2, 1);
    let two = reserve(&mut bucket, 1, 2, 3);
    let _one = reserve(&mut bucket, 1, 1, 4);
    bucket.cancel(two);
    let _next = reserve(&mut bucket, 1, 2, 5);
}

/// `TestReserveSetLimit`, `TestReserveSetBurst` and `TestReserveSetLimitCancel`.
/// In the second, that limiter takes the question at t0 after a change at t3 for
/// one at t0; here nothing came in before the change.
#[test]
fn x_time_rate_changes_while_something_is_reserved() {
    let five = || {
        let mut bucket = TokenBucket::new(per_second(5), 2).unwrap();
        let _now = reserve(&mut bucket, 0, 2, 0);
        let later = reserve(&mut bucket, 0, 2, 4);
        (bucket, later)
    };
    let (mut bucket, _later) = five();
    bucket.set(t(2), per_second(10), 2).unwrap();
    let _next = reserve(&mut bucket, 2, 1, 4);

    let (mut bucket, _later) = five();
    bucket.set(t(3), per_second(5), 4).unwrap();
    let _next = reserve(&mut bucket, 0, 4, 12);

    let (mut bucket, later) = five();
    bucket.set(t(2), per_second(10), 2).unwrap();
    bucket.cancel(later);
    let _next = reserve(&mut bucket, 2, 2, 3);
}

/// `TestReserveMax`, `TestWaitSimple`, `TestWaitTimeout` and `TestWaitCancel`:
/// who waits there with a time limit asks here for a longest wait, and who is
/// cancelled while waiting gives back all.
#[test]
fn x_time_rate_waits() {
    let tenth = Duration::from_millis(100);
    let mut bucket = ten_a_second(2);
    for (amount, for_when) in [(2, Ok(t(0))), (1, Ok(t(1))), (1, Err(Refusal::Until(t(2))))] {
        let reserved = bucket.reserve(t(0), amount, tenth);
        assert_eq!(reserved.map(|turn| turn.at()), for_when);
    }

    let mut bucket = ten_a_second(3);
    assert_eq!(bucket.reserve(t(0), 4, ENDLESS), Err(Refusal::Never));
    let _now = reserve(&mut bucket, 0, 2, 0);
    let before = bucket;
    let _later = reserve(&mut bucket, 0, 3, 2);

    let mut bucket = before;
    assert_eq!(bucket.reserve(t(0), 3, tenth), Err(Refusal::Until(t(2))));
    assert_eq!(bucket, before);

    let waiting = reserve(&mut bucket, 0, 3, 2);
    bucket.cancel(waiting);
    assert_eq!(bucket.available(t(1)), 2);
    let _after = reserve(&mut bucket, 1, 2, 1);
}

/// `TestSimultaneousRequests`: of fifteen at once five pass.
#[test]
fn x_time_rate_lets_a_burst_of_those_at_once_pass() {
    let mut bucket = TokenBucket::new(per_second(1), 5).unwrap();
    let passed = (0..15).filter(|_| bucket.try_acquire(t(0), 1).is_ok());
    assert_eq!(passed.count(), 5);
}

/// `TestEvery`, `TestZeroLimit` and `TestWaitInf`: an interval is a rate; no rate
/// at all is refused when it is made, and no limit at all is `None`.
#[test]
fn x_time_rate_has_rates_of_nothing_and_of_all() {
    let every = |millis| Rate::per(1, Duration::from_millis(millis)).unwrap();
    let halves = |count| Rate::per(count, Duration::from_secs(20)).unwrap();
    for (millis, twentieths) in [
        (100, 200),
        (1_000, 20),
        (2_000, 10),
        (2_500, 8),
        (4_000, 5),
        (10_000, 2),
    ] {
        assert_eq!(every(millis), halves(twentieths));
    }
    assert_eq!(every(1), per_second(1_000));
    assert_eq!(Rate::per_second(0), Err(ConfigError::ZeroRate));
    assert_eq!(Rate::per(1, Duration::ZERO), Err(ConfigError::ZeroPeriod));
    assert!(None::<TokenBucket>.try_acquire(t(0), u64::MAX).is_ok());
}

/// golang/go issue 56924: ten a second, twenty at once; 15 at t0, ten at t1,
/// which must wait, two more at t2, and at t3 the ten are cancelled. That
/// limiter gives eight back, the ten less what was reserved after them. The
/// bucket cannot have been full meanwhile, so all ten are there.
#[test]
fn go_issue_56924_gives_all_of_it_back() {
    let mut bucket = ten_a_second(20);
    let _drawn = reserve(&mut bucket, 0, 15, 0);
    let ten = reserve(&mut bucket, 1, 10, 5);
    let _two = reserve(&mut bucket, 2, 2, 7);
    bucket.cancel(ten);
    assert_eq!(bucket.available(t(3)), 20 - 15 + 3 - 2);
}

/// golang/go issue 69419: what is reserved after a reservation is not taken off
/// what comes back of it, in whatever order they are cancelled.
#[test]
fn go_issue_69419_gives_all_of_it_back_in_any_order() {
    for order in [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ] {
        let mut bucket = ten_a_second(10);
        let _drawn = reserve(&mut bucket, 0, 10, 0);
        let three = [(1, 1), (2, 3), (4, 7)].map(|(n, at)| reserve(&mut bucket, 0, n, at));
        for which in order {
            bucket.cancel(three[which]);
        }
        assert_eq!(bucket.available(t(0)), 0);
        assert_eq!(bucket.peek(t(1), 1), Ok(()));
    }
}

/// golang/go issue 34861, x/time/rate's `TestLimiter_noTruncationErrors`: at
/// 0.7692307692307693 a second with a burst of one, waiting the promised time is
/// enough.
#[test]
fn go_issue_34861_promises_no_instant_too_early() {
    let rate = Rate::per(7_692_307_692_307_693, Duration::from_secs(10_000_000)).unwrap();
    let mut bucket = TokenBucket::new(rate, 1).unwrap();
    let mut now = Instant::ZERO;
    for _ in 0..1_000 {
        assert!(bucket.try_acquire(now, 1).is_ok());
        let Err(Refusal::Until(until)) = bucket.try_acquire(now, 1) else {
            panic!("one at a time");
        };
        now = until;
    }
}

/// x/time/rate's `TestLongRunningQPS`: a hundred a second, asked five hundred
/// times a second for five seconds.
#[test]
fn x_time_rate_long_running_qps() {
    let mut bucket = TokenBucket::new(per_second(100), 100).unwrap();
    let asked = (0..2_500).map(|n| Instant::from_millis(2 * n));
    let admitted = asked.filter(|&now| bucket.try_acquire(now, 1).is_ok());
    assert_eq!(admitted.count(), 599);
}
