//! What was recorded replays to the same decisions, and what was tampered with is
//! found.

use core::num::NonZeroU32;
use std::time::Duration;

use proptest::prelude::*;
use sendwhen::{
    Backoff, Bounds, Breaker, Budget, CallId, ErrorDetails, Event, Failure, Job, Next, Priority,
    Record, Recorder, Replay, ReplayError, Request, RetryPolicy, Scheduler, Sdk, ServerHints,
    ServerWait, TenantId, TokenBudget, Usage,
};

use super::{at, head, pool};

/// A run of so many seconds in which every third answer is another.
fn recorded(secs: u64, every: u64) -> Vec<String> {
    let mut log = vec![];
    let mut recorder = Recorder::new(Scheduler::new(5), |record| {
        log.push(serde_json::to_string(record).unwrap());
    });
    let pools = recorder
        .change(|scheduler| [pool(60, 2), pool(30, 1)].map(|limiter| scheduler.add_pool(limiter)));
    let [a, b] = pools;
    let route = recorder.change(|scheduler| scheduler.add_route(&[&[a], &[b]]).unwrap());
    let mut last: Option<CallId> = None;
    for second in 1..=secs {
        let now = at(second);
        let request = Request::new()
            .input_tokens(second * 10)
            .start_by(at(second + 20));
        let job =
            Job::new(request, route).tenant(TenantId::new(u32::try_from(second % 3).unwrap()));
        let Ok(id) = recorder.submit(now, job) else {
            continue;
        };
        let _waits = recorder.submit(now, job.priority(Priority::Low));
        while recorder.notice().is_some() {}
        if second % every == 0 {
            let some = TenantId::new(u32::try_from(second % 2).unwrap());
            recorder.set_weight(some, NonZeroU32::new(1 + some.number()).unwrap());
            recorder.set_bounds(some, Bounds::NONE.calls(50));
            recorder.set_patience(route, Duration::from_millis(second));
            recorder.prioritise(id, Priority::High);
            recorder.postpone(id, Some(at(second + 30)));
        }
        loop {
            match recorder.next(now) {
                Next::Send { id, .. } => answer(&mut recorder, second, every, id),
                Next::Drop { .. } => {}
                Next::Wait(_) | Next::Idle => break,
            }
        }
        if let Some(last) = last.replace(id).filter(|_| second % every == 1) {
            let _over = recorder.handle(now, last, Event::Cancelled);
        }
    }
    recorder.rebase(at(1));
    let _wait = recorder.next(at(2));
    log
}

fn answer<F>(recorder: &mut Recorder<F>, second: u64, every: u64, id: CallId)
where
    F: FnMut(&Record<sendwhen::SnapshotOf<'_>>),
{
    let now = at(second);
    let fields = [
        ("anthropic-ratelimit-requests-limit", "60"),
        ("anthropic-ratelimit-requests-remaining", "17"),
        ("anthropic-ratelimit-requests-reset", "2026-01-02T00:00:30Z"),
        ("date", "Fri, 02 Jan 2026 00:00:00 GMT"),
    ];
    let shown = ServerHints::parse(fields, None);
    let none = ServerHints::NONE;
    match second % every {
        0 => {
            let hints = none.with_retry_after(Duration::from_secs(3));
            let error = ErrorDetails::new("rate_limit_error").message("a \"line\"\nof two");
            let _queued = recorder.handle(now, id, Event::responded(429, &hints, error));
        }
        1 => {
            let _queued = recorder.handle(now, id, Event::Failed(Failure::Lost));
        }
        _ => {
            let _head = recorder.handle(now, id, head(200, &shown));
            let usage = Usage::new(100, 5);
            let _more = recorder.handle(now, id, Event::progressed(usage, true));
            let _end = recorder.handle(now, id, Event::Finished(Some(usage)));
        }
    }
}

/// The number of the first record that does not replay, and why.
fn first_difference(log: &[String]) -> Option<(usize, ReplayError)> {
    let mut replay = Replay::new();
    log.iter().enumerate().find_map(|(number, line)| {
        let record: Record = serde_json::from_str(line).unwrap();
        Some((number, replay.step(record).err()?))
    })
}

proptest! {
    #[test]
    fn a_recorded_run_replays_to_the_same_decisions(secs in 1..80_u64, every in 2..6_u64) {
        let log = recorded(secs, every);
        prop_assert_eq!(first_difference(&log), None);
    }
}

/// A policy with a list of waits, a budget and a breaker.
fn own_policy() -> RetryPolicy {
    const WAITS: [Duration; 2] = [Duration::from_secs(3), Duration::from_secs(7)];
    RetryPolicy::new()
        .backoff(Backoff::list(&WAITS).unwrap())
        .attempts(3)
        .unwrap()
        .budget(Budget::Tokens(TokenBudget::AWS))
        .breaker(Breaker::after_run(5, Duration::from_secs(30)).unwrap())
        .server_wait(ServerWait::As(Sdk::Python))
}

#[test]
fn a_log_holds_how_calls_are_retried() {
    let mut log = vec![];
    let mut recorder = Recorder::new(Scheduler::new(5), |record| {
        log.push(serde_json::to_string(record).unwrap());
    });
    let limiter = pool(60, 2).retry(own_policy());
    let pool = recorder.change(|scheduler| scheduler.add_pool(limiter));
    let route = recorder.change(|scheduler| scheduler.add_route(&[&[pool]]).unwrap());
    let id = recorder.submit(at(0), Job::new(Request::new(), route));
    for now in [at(0), at(5), at(20), at(60)] {
        while let Next::Send { id, .. } = recorder.next(now) {
            let _queued = recorder.handle(now, id, Event::Failed(Failure::Lost));
        }
    }
    let _ended = recorder.handle(at(61), id.unwrap(), Event::Cancelled);
    assert_eq!(first_difference(&log), None);
    let start = log.iter().rposition(|line| line.starts_with(r#"{"start""#));
    let start = start.unwrap();
    log[start] = log[start].replace(r#"{"attempts":3,"#, r#"{"attempts":2,"#);
    let (found, why) = first_difference(&log).unwrap();
    assert!(found > start, "{why}");
}

#[test]
fn a_line_that_was_tampered_with_is_found() {
    let mut log = recorded(40, 4);
    let place = log
        .iter()
        .rposition(|line| line.contains(r#"{"Wait":"#))
        .unwrap();
    let wait = log[place].clone();
    log[place] = wait.replace(r#""until":"#, r#""until":1"#);
    let (found, why) = first_difference(&log).unwrap();
    assert_eq!(found, place);
    assert!(matches!(why, ReplayError::Differs { .. }), "{why}");
    log[place] = wait;
    assert_eq!(first_difference(&log), None);

    // A sending that is left out shows in what comes after it.
    let sent = log
        .iter()
        .position(|line| line.contains(r#"{"Send":"#))
        .unwrap();
    log.remove(sent);
    let (found, _) = first_difference(&log).unwrap();
    assert!(found >= sent && found < sent + 3, "{found} after {sent}");
    assert_eq!(first_difference(&log[3..]).unwrap().1, ReplayError::NoStart);
}

#[test]
fn lines_are_short_and_few_begin_anew() {
    let log = recorded(40, 4);
    let start = |line: &&String| line.starts_with(r#"{"start""#);
    assert_eq!(log.iter().filter(start).count(), 3);
    let lines = log.iter().filter(|line| !start(line));
    let longest = lines.map(String::len).max().unwrap();
    assert!(longest < 1_200, "{longest} bytes");
}
