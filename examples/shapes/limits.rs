//! What is drawn: each algorithm with its settings, asked in the same way.

use std::{collections::VecDeque, time::Duration};

use sendwhen::{
    AdaptiveInFlight, FixedWindow, InFlight, Instant, Limit, LogEntry, Outcome, Quota, Rate,
    Refusal, SlidingCounter, SlidingLog, SmoothRamp, Spacing, SpreadPause, StepRamp, TokenBucket,
};

/// What one algorithm let pass.
pub(crate) struct Shape {
    pub(crate) file: &'static str,
    pub(crate) title: &'static str,
    /// When one passed each time, in nanoseconds, in the order of time.
    pub(crate) admitted: Vec<u64>,
}

const SECOND: u64 = 1_000_000_000;

/// When it is quiet, in seconds.
pub(crate) const QUIET: (u64, u64) = (45, 75);
/// When it ends, in seconds.
pub(crate) const END: u64 = 120;

/// All of them, each of about 60 a minute where it has a rate.
pub(crate) fn all() -> Vec<Shape> {
    const MINUTE: Duration = Duration::from_secs(60);
    let rate = Rate::per_minute(60).unwrap();
    let edge = Instant::from_secs(30);
    let shape = |file, title, admitted| Shape {
        file,
        title,
        admitted,
    };
    vec![
        shape(
            "bucket",
            "TokenBucket: 60 a minute, 20 at once",
            greedy(TokenBucket::new(rate, 20).unwrap()),
        ),
        shape(
            "strict",
            "TokenBucket::strict: 60 in any minute, 20 at once",
            greedy(TokenBucket::strict(60, MINUTE, 20).unwrap()),
        ),
        shape(
            "spacing",
            "Spacing: 60 a minute",
            greedy(Spacing::new(rate)),
        ),
        shape(
            "log",
            "SlidingLog: 60 in any minute",
            greedy(SlidingLog::new(60, MINUTE, [LogEntry::EMPTY; 60]).unwrap()),
        ),
        shape(
            "counter",
            "SlidingCounter: about 60 in any minute",
            greedy(SlidingCounter::new(60, MINUTE).unwrap().aligned_to(edge)),
        ),
        shape(
            "fixed",
            "FixedWindow: 60 a minute, from 30 s on the clock",
            greedy(FixedWindow::new(60, MINUTE).unwrap().aligned_to(edge)),
        ),
        shape(
            "quota",
            "Quota: 120 in two minutes, paced, 10 ahead",
            greedy(Quota::new(120, 2 * MINUTE).unwrap().paced(10)),
        ),
        shape("in-flight", "InFlight: 8 at once, each for 7 s", flights(8)),
        shape(
            "adaptive",
            "AdaptiveInFlight: from 2; the server takes 12, each for 3 s",
            adaptive(12),
        ),
        shape(
            "pause",
            "SpreadPause: 60 wait from 15 s to 40 s, spread over 20 s",
            paused(60),
        ),
        shape(
            "step-ramp",
            "StepRamp: from 10 in 10 s by 10 more, to 60",
            greedy(StepRamp::new(10, 10, 60, MINUTE / 6).unwrap()),
        ),
        shape(
            "smooth-ramp",
            "SmoothRamp: from 30 a minute by 120 more, to 300; 5 at once",
            greedy(SmoothRamp::new(30, 120, 300, MINUTE, 5).unwrap()),
        ),
    ]
}

/// Somebody asks for one whenever one passes, but while it is quiet.
fn greedy(mut limit: impl Limit<Amount = u64>) -> Vec<u64> {
    let mut admitted = vec![];
    let mut now = 0;
    while now < END * SECOND {
        match limit.try_acquire(Instant::from_nanos(now), 1) {
            Ok(_) => admitted.push(now),
            Err(blocked) => match blocked.refusal {
                Refusal::Until(until) => now = until.as_nanos(),
                Refusal::Never => break,
            },
        }
        now = awake(now);
    }
    admitted
}

/// The end of the quiet time for what falls into it.
fn awake(now: u64) -> u64 {
    let (from, to) = QUIET;
    if (from * SECOND..to * SECOND).contains(&now) {
        to * SECOND
    } else {
        now
    }
}

/// Steps of a tenth of a second, none while it is quiet.
fn steps() -> impl Iterator<Item = u64> {
    (0..END * 10)
        .map(|tenth| tenth * SECOND / 10)
        .filter(|&now| awake(now) == now)
}

fn flights(cap: u32) -> Vec<u64> {
    let mut limit = InFlight::new(cap, Duration::from_secs(600)).unwrap();
    let mut under_way = VecDeque::new();
    let mut admitted = vec![];
    for now in steps() {
        let here = Instant::from_nanos(now);
        while under_way
            .front()
            .is_some_and(|(sent, _)| now - sent >= 7 * SECOND)
        {
            if let Some((_, slot)) = under_way.pop_front() {
                limit.release(here, slot);
            }
        }
        while let Ok(slot) = limit.try_acquire(here) {
            under_way.push_back((now, slot));
            admitted.push(now);
        }
    }
    admitted
}

/// The server refuses what is beyond `takes` at once.
fn adaptive(takes: usize) -> Vec<u64> {
    let mut limit = AdaptiveInFlight::new(2, 1, 100, Duration::from_secs(600)).unwrap();
    let mut under_way = VecDeque::new();
    let mut admitted = vec![];
    for now in steps() {
        let here = Instant::from_nanos(now);
        while under_way
            .front()
            .is_some_and(|(sent, _)| now - sent >= 3 * SECOND)
        {
            if let Some((_, slot)) = under_way.pop_front() {
                limit.release(here, slot, Outcome::Admitted);
            }
        }
        while let Ok(slot) = limit.try_acquire(here) {
            if under_way.len() >= takes {
                limit.release(here, slot, Outcome::Refused);
                break;
            }
            under_way.push_back((now, slot));
            admitted.push(now);
        }
    }
    admitted
}

/// Two a second pass, until a server says to wait; those who wait come back.
fn paused(waiters: u64) -> Vec<u64> {
    let before = (0..30).map(|half| half * SECOND / 2);
    let mut pause = SpreadPause::new(Duration::from_secs(20), 42);
    pause.until(Instant::from_secs(40));
    let back =
        (0..waiters).filter_map(
            |waiter| match pause.of(waiter).peek(Instant::from_secs(15)) {
                Err(Refusal::Until(at)) => Some(at.as_nanos()),
                Err(Refusal::Never) | Ok(()) => None,
            },
        );
    let mut admitted: Vec<u64> = before.chain(back).collect();
    admitted.sort_unstable();
    admitted
}
