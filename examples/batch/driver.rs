//! The scheduler in an async runtime: one loop, one timer, and no task for a call
//! that waits.
//!
//! Calls that wait are in the scheduler and nowhere else. The [loop](Driver::run)
//! asks it what to do, and sleeps until it said or until there is news; whoever
//! is told to send a call reports of it by a [`Flight`]. This file is what another
//! program would take over: it knows neither HTTP nor what the calls are for.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sendwhen::{CallId, Event, Instant, Job, Next, Notice, Rejected, Scheduler, Verdict};
use tokio::{sync::Notify, time};

/// A scheduler, and who asks it.
#[derive(Debug)]
pub(crate) struct Driver {
    origin: time::Instant,
    desk: Mutex<Desk>,
    /// The scheduler is to be asked again, whatever it said.
    news: Notify,
}

#[derive(Debug)]
struct Desk {
    scheduler: Scheduler,
    /// No more calls will be submitted.
    closed: bool,
    /// No more calls are to be sent.
    stopped: bool,
}

impl Driver {
    pub(crate) fn new(scheduler: Scheduler) -> Self {
        Self {
            origin: time::Instant::now(),
            desk: Mutex::new(Desk {
                scheduler,
                closed: false,
                stopped: false,
            }),
            news: Notify::new(),
        }
    }

    /// The time on the clock that all waits are given in.
    pub(crate) fn now(&self) -> Instant {
        Instant::ZERO.saturating_add(self.origin.elapsed())
    }

    /// Takes a call into the queue.
    pub(crate) fn submit(&self, job: Job) -> Result<CallId, Rejected> {
        self.change(|desk, now| desk.scheduler.submit(now, job))
    }

    /// Says that nothing more will be submitted: the loop ends with the last call.
    pub(crate) fn close(&self) {
        self.change(|desk, _| desk.closed = true);
    }

    /// From now on nothing is sent. Calls that wait are left; those that are under
    /// way are heard to their end.
    pub(crate) fn stop(&self) {
        self.change(|desk, _| desk.stopped = true);
    }

    /// The oldest notice that was not taken yet.
    pub(crate) fn notice(&self) -> Option<Notice> {
        self.desk().scheduler.notice()
    }

    /// Does what the scheduler says, until there is nothing left to do. `obey` is
    /// given each of its orders, and must not block; waiting is done here.
    pub(crate) async fn run(&self, mut obey: impl FnMut(Next)) {
        while let Some(next) = self.next() {
            obey(next);
            match next {
                Next::Send { .. } | Next::Drop { .. } => {}
                Next::Wait(wait) => {
                    let span = wait.until.saturating_duration_since(self.now());
                    let _early = time::timeout(span, self.news.notified()).await;
                }
                Next::Idle => self.news.notified().await,
            }
        }
    }

    /// What to do next; `None` where all is done.
    fn next(&self) -> Option<Next> {
        let mut desk = self.desk();
        let next = if desk.stopped {
            Next::Idle
        } else {
            desk.scheduler.next(self.now())
        };
        let ends = desk.stopped || desk.closed;
        let done = ends && next == Next::Idle && desk.scheduler.flying() == 0;
        (!done).then_some(next)
    }

    /// Changes something of which the loop must know. A notification that comes
    /// while it is busy is kept for it, so that none is lost.
    fn change<T>(&self, change: impl FnOnce(&mut Desk, Instant) -> T) -> T {
        let changed = change(&mut self.desk(), self.now());
        self.news.notify_one();
        changed
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call that is under way. Where it is dropped before its end, because its task
/// was aborted or panicked, the call is cancelled, and what it holds is free again.
#[derive(Debug)]
pub(crate) struct Flight {
    driver: Arc<Driver>,
    id: CallId,
    open: bool,
}

impl Flight {
    /// Of a call that the loop said is to be sent.
    pub(crate) fn new(driver: &Arc<Driver>, id: CallId) -> Self {
        Self {
            driver: Arc::clone(driver),
            id,
            open: true,
        }
    }

    /// Reports what happened to it, and says how it goes on: with `Proceed` it is
    /// still under way, with `Queued` it will be sent again by the loop.
    pub(crate) fn tell(&mut self, event: Event<'_>) -> Verdict {
        let id = self.id;
        let verdict = self
            .driver
            .change(|desk, now| desk.scheduler.handle(now, id, event));
        self.open = verdict == Verdict::Proceed;
        verdict
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if self.open {
            let _ended = self.tell(Event::Cancelled);
        }
    }
}
