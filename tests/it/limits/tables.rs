//! Rows of instants and what must come of them, in the manner of the tests of
//! golang.org/x/time/rate.

use std::time::Duration;

use sendwhen::{
    FixedWindow, Instant, Limit, LogEntry, Quota, Rate, Refusal, SlidingCounter, SlidingLog,
    Spacing, StepRamp, TokenBucket,
};

const ENDLESS: Duration = Duration::MAX;

/// Tenths of a second: a token of ten a second.
const fn t(tenths: u64) -> Instant {
    Instant::from_millis(100 * tenths)
}

fn ten_a_second(burst: u64) -> TokenBucket {
    TokenBucket::new(Rate::per_second(10).unwrap(), burst).unwrap()
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
    let _drawn = bucket.charge(t(0), 10);
    let mut charge = bucket.reserve(t(0), 8, ENDLESS).unwrap().charge();
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

#[test]
fn a_ramp_gives_back_what_was_taken_of_this_window_and_the_one_before() {
    let minutes = |minutes: u64| Instant::from_secs(60 * minutes);
    let mut ramp = StepRamp::new(50, 10, 1_000, Duration::from_secs(60)).unwrap();
    let mut first = ramp.charge(minutes(0), 90);
    let _one = ramp.charge(minutes(1), 60);
    assert_eq!(ramp.allowed(minutes(1)), 100);
    ramp.refund(&mut first, 30);
    assert_eq!(ramp.allowed(minutes(1)), 70);
    // What was taken earlier says nothing of what is allowed.
    let _one = ramp.charge(minutes(2), 1);
    let before = ramp.allowed(minutes(2));
    ramp.refund(&mut first, 30);
    assert_eq!(ramp.allowed(minutes(2)), before);
}

#[test]
fn what_is_charged_nothing_takes_no_entry_of_a_log() {
    let mut log = SlidingLog::new(9, Duration::from_secs(60), [LogEntry::EMPTY; 1]).unwrap();
    let nothing = log.charge(Instant::ZERO, 0);
    assert_eq!(nothing.amount(), 0);
    assert_eq!(log.peek(Instant::from_secs(1), 1), Ok(()));
    assert_eq!(log.charge(Instant::from_secs(1), 7).amount(), 7);
}
