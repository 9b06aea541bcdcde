//! Rows of instants and what must come of them, in the manner of the tests of
//! golang.org/x/time/rate.

use std::time::Duration;

use sendwhen::{
    Charge, FixedWindow, Instant, Limit, LogEntry, Quota, Rate, Refusal, Reservation,
    SlidingCounter, SlidingLog, Spacing, StepRamp, TokenBucket,
};

const ENDLESS: Duration = Duration::MAX;

/// Tenths of a second: a token of ten a second.
const fn t(tenths: u64) -> Instant {
    Instant::from_millis(100 * tenths)
}

fn ten_a_second(burst: u64) -> TokenBucket {
    TokenBucket::new(Rate::per_second(10).unwrap(), burst).unwrap()
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

/// thrasher-corp/gocryptotrader issue 2371: sixty a second are no whole number
/// of nanoseconds; what is cancelled from the end comes back to the last bit.
#[test]
fn what_is_cancelled_from_the_end_leaves_no_trace() {
    for per_second in [30, 60, 100, 7] {
        let rate = Rate::per_second(per_second).unwrap();
        let mut bucket = TokenBucket::new(rate, 1).unwrap();
        let before = bucket;
        let made = [(); 3].map(|()| bucket.reserve(t(3), 1, ENDLESS).unwrap());
        for reservation in made.into_iter().rev() {
            bucket.cancel(reservation);
        }
        assert_eq!(bucket.available(t(3)), before.available(t(3)));
        assert!(bucket.try_acquire(t(3), 1).is_ok());
    }
}

#[test]
fn a_reservation_that_was_used_is_settled_as_a_charge() {
    let mut bucket = ten_a_second(10);
    let _drawn = reserve(&mut bucket, 0, 10, 0);
    let mut charge: Charge = reserve(&mut bucket, 0, 8, 8).charge();
    bucket.refund(&mut charge, 5);
    assert_eq!(bucket.available(t(8)), 5);
    assert_eq!(charge.amount(), 3);
}

/// A minute of a limit, whenever it begins: the first after a rest sees twice
/// the limit with a full burst, and the limit in strict mode.
#[test]
fn strict_mode_keeps_the_first_minute() {
    fn admitted(mut bucket: TokenBucket) -> usize {
        let asked = (0..60_000).map(Instant::from_millis);
        let passed = asked.filter(|&at| bucket.try_acquire(at, 1).is_ok());
        passed.count()
    }
    let minute = Duration::from_secs(60);
    let rate = Rate::per_minute(60).unwrap();
    assert_eq!(admitted(TokenBucket::new(rate, 60).unwrap()), 119);
    for burst in [1, 10, 59] {
        let strict = TokenBucket::strict(60, minute, burst).unwrap();
        let admitted = admitted(strict);
        assert!((58..=60).contains(&admitted), "{admitted} with {burst}");
    }
}

/// Settings change as the Claude API's do in the middle of a run: up, down, and
/// back. What was charged before comes back after.
#[test]
fn what_was_charged_before_a_change_comes_back_after_it() {
    let per_minute = |n| Rate::per_minute(n).unwrap();
    let at = Instant::from_secs;
    let mut bucket = TokenBucket::new(per_minute(60), 60).unwrap();
    let _drawn = bucket.charge(at(0), 60);
    let mut charge = bucket.charge(at(0), 40);
    bucket.set(at(10), per_minute(600), 100).unwrap();
    assert_eq!(bucket.debt(at(10)), 30);
    bucket.refund(&mut charge, 15);
    assert_eq!(bucket.debt(at(10)), 15);
    bucket.refund(&mut charge, u64::MAX);
    assert_eq!(bucket.available(at(10)), 10);

    // Where the bucket was full at the change without it, nothing is owed.
    let mut bucket = TokenBucket::new(per_minute(60), 60).unwrap();
    let mut charge = bucket.charge(at(0), 20);
    bucket.set(at(5), per_minute(600), 600).unwrap();
    assert_eq!(bucket.available(at(5)), 45);
    bucket.refund(&mut charge, 20);
    assert_eq!(bucket.available(at(5)), 60, "five of the twenty came in");
}

/// Ten a minute, asked for six at 10 s, four at 20 s, one at 59 s.
#[test]
fn each_window_has_its_own_edges() {
    fn asked(mut limit: impl Limit<Amount = u64>) -> Refusal {
        let at = Instant::from_secs;
        assert!(limit.try_acquire(at(10), 6).is_ok());
        assert!(limit.try_acquire(at(20), 4).is_ok());
        limit.peek(at(59), 1).unwrap_err().refusal
    }
    let minute = Duration::from_secs(60);
    let until = |secs| Refusal::Until(Instant::from_secs(secs));
    let fixed = FixedWindow::new(10, minute).unwrap();
    let counter = SlidingCounter::new(10, minute).unwrap();
    let log = SlidingLog::new(10, minute, [LogEntry::EMPTY; 2]).unwrap();
    let midnight = Instant::ZERO;
    assert_eq!(
        asked(fixed.aligned_to(midnight)),
        until(60),
        "the next minute"
    );
    assert_eq!(asked(fixed), until(70), "a minute after the first use");
    assert_eq!(asked(log), until(70), "when the six are forgotten");
    assert_eq!(asked(counter), until(76), "when a tenth of the window is");
    assert_eq!(asked(counter.aligned_to(midnight)), until(66));
}

/// Found by fuzzing: full of entries, a log let more of the newest one's instant
/// pass, and a nanosecond later did not; so the instant that was named for it
/// and others together was too early.
#[test]
fn a_full_log_is_full_at_the_instant_of_its_newest_entry() {
    let second = Duration::from_secs(1);
    let mut limits = (
        SlidingLog::new(9, second, [LogEntry::EMPTY; 2]).unwrap(),
        Spacing::new(Rate::per_second(10).unwrap()),
    );
    for at in [t(0), t(1)] {
        assert!(limits.try_acquire(at, (1, 1)).is_ok());
    }
    let blocked = limits.peek(t(1), (1, 1)).unwrap_err();
    assert_eq!((blocked.by, blocked.refusal), (0, Refusal::Until(t(10))));
    assert!(limits.try_acquire(t(10), (1, 1)).is_ok());
}

#[test]
fn a_quota_is_paced_to_its_reset() {
    let hour = |n: u64| Instant::from_secs(3_600 * n);
    let day = Duration::from_secs(86_400);
    let quota = Quota::new(2_400, day).unwrap().aligned_to(hour(0));
    let mut paced = quota.paced(200);
    assert!(
        paced.try_acquire(hour(0), 300).is_ok(),
        "once ahead of the line"
    );
    assert_eq!(paced.peek(hour(0), 1), Err(Refusal::Until(hour(1))));
    // What quiet hours left is there.
    assert!(paced.try_acquire(hour(12), 1_100).is_ok());
    assert_eq!(paced.peek(hour(11), 1), Err(Refusal::Until(hour(12))));
    assert_eq!(paced.utilisation(hour(12)), 583_334);
    let _beyond = paced.charge(hour(20), 1_100);
    assert_eq!(paced.utilisation(hour(20)), 1_041_667);
    assert_eq!(paced.peek(hour(20), 1), Err(Refusal::Until(hour(24))));
    assert_eq!(paced.peek(hour(20), 2_401), Err(Refusal::Never));
    assert_eq!(paced.utilisation(hour(24)), 0);
    assert_eq!(paced.resets(hour(24)), Some(hour(48)));

    // A month has its own length: the server says when it ends.
    let mut month = Quota::shares(30 * day).unwrap();
    month.observe(990_000, hour(31 * 24));
    let mut charge = month.charge(hour(24), 20_000);
    assert_eq!(month.peek(hour(24), 1), Err(Refusal::Until(hour(31 * 24))));
    month.observe(400_000, hour(31 * 24));
    month.refund(&mut charge, 20_000);
    assert_eq!(
        month.spent(hour(25)),
        400_000,
        "it is in what the server said"
    );
}

#[test]
fn a_ramp_rises_by_what_was_used() {
    let minute = |n: u64| Instant::from_secs(60 * n);
    let mut ramp = StepRamp::new(50, 10, 75, Duration::from_secs(60)).unwrap();
    for (when, allowed, uses) in [
        (0, 50, 50),
        (1, 60, 60),
        (2, 70, 70),
        (3, 75, 20),
        (4, 50, 0),
    ] {
        assert_eq!(ramp.allowed(minute(when)), allowed, "{when}");
        assert!(ramp.try_acquire(minute(when), uses).is_ok());
    }
    // One that is larger than what is allowed passes alone, if ever.
    assert!(ramp.try_acquire(minute(6), 70).is_ok());
    assert_eq!(ramp.peek(minute(6), 1), Err(Refusal::Until(minute(7))));
    assert_eq!(ramp.peek(minute(7), 76), Err(Refusal::Never));
}

/// mvanhorn/cli-printing-press pull request 4441: two waiters
/// cancel in the order in which they reserved, or in the other; neither leaves
/// the queue where an abandoned turn was, and nobody's turn comes twice.
#[test]
fn turns_in_a_queue_are_cancelled_in_any_order() {
    let second = Rate::per_second(1).unwrap();
    let at = Instant::from_secs;
    let mut spacing = Spacing::new(second);
    let _first = spacing.charge(at(0), 1);
    let [one, two] = [(); 2].map(|()| spacing.reserve(at(0), 1, ENDLESS).unwrap());
    assert_eq!([one.at(), two.at()], [at(1), at(2)]);
    let before = spacing;
    spacing.cancel(two);
    spacing.cancel(one);
    assert_eq!(spacing.peek(at(1), 1), Ok(()));

    let mut spacing = before;
    spacing.cancel(one);
    assert_eq!(
        spacing.peek(at(1), 1),
        Err(Refusal::Until(at(3))),
        "two goes at 2"
    );
    spacing.cancel(two);
    assert_eq!(
        spacing.peek(at(1), 1),
        Err(Refusal::Until(at(2))),
        "its place is lost"
    );
}
