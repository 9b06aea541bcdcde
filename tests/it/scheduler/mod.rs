//! The scheduler.

mod machine;
#[expect(unreachable_pub, reason = "the fuzz crate exports the same file")]
#[path = "../../../fuzz/src/naive.rs"]
mod naive;
mod props;
#[cfg(feature = "serde")]
mod replays;
#[expect(unreachable_pub, reason = "the fuzz crate exports the same file")]
#[path = "../../../fuzz/src/scheduler_ops.rs"]
pub(crate) mod scheduler_ops;
#[cfg(feature = "serde")]
mod snapshots;
mod stories;

use sendwhen::{
    CallId, Dimension, ErrorDetails, Event, Instant, Limiter, Next, Rate, Scheduler, ServerHints,
    Usage, Verdict,
};

/// A pool that lets so many requests pass in a minute and so many at once, and
/// bounds nothing else.
fn pool(per_minute: u64, burst: u64) -> Limiter {
    Limiter::new(7)
        .limit(
            Dimension::Requests,
            Rate::per_minute(per_minute).unwrap(),
            burst,
        )
        .and_then(|pool| pool.initial_window(1_000))
        .unwrap()
        .learn_limits(false)
}

fn at(secs: u64) -> Instant {
    Instant::from_secs(secs)
}

/// All that is sent at `now`, with the alternatives.
fn sent(scheduler: &mut Scheduler, now: Instant) -> Vec<(CallId, usize)> {
    let mut all = vec![];
    loop {
        match scheduler.next(now) {
            Next::Send {
                id, alternative, ..
            } => all.push((id, alternative)),
            Next::Drop { id, why } => panic!("{id} was dropped: {why}"),
            Next::Wait(_) | Next::Idle => return all,
        }
    }
}

/// The ids of all that is sent at `now`.
fn ids(scheduler: &mut Scheduler, now: Instant) -> Vec<CallId> {
    sent(scheduler, now).into_iter().map(|(id, _)| id).collect()
}

/// The ids of all that is sent at `now` and answered well and at once.
fn done(scheduler: &mut Scheduler, now: Instant) -> Vec<CallId> {
    let mut all = vec![];
    while let Next::Send { id, .. } = scheduler.next(now) {
        answered(scheduler, now, id);
        all.push(id);
    }
    all
}

/// It is answered well and at once.
fn answered(scheduler: &mut Scheduler, now: Instant, id: CallId) {
    assert_eq!(
        scheduler.handle(now, id, head(200, &ServerHints::NONE)),
        Verdict::Proceed
    );
    let end = Event::Finished(Some(Usage::new(100, 100)));
    assert_eq!(scheduler.handle(now, id, end), Verdict::Delivered);
}

const fn head<'a>(status: u16, hints: &'a ServerHints) -> Event<'a> {
    Event::responded(status, hints, ErrorDetails::NONE)
}
