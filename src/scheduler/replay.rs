//! What was asked of a scheduler and what it answered, line by line, and the
//! same again later: [`Recorder`] and [`Replay`].

use core::{fmt, num::NonZeroU32, time::Duration};

use alloc::{
    boxed::Box,
    format,
    string::{String, ToString},
    vec::Vec,
};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{
    Bounds, CallId, Job, Next, Notice, PoolId, Priority, Rejected, RouteId, Scheduler, Snapshot,
    SnapshotError, SnapshotOf, TenantId, Verdict,
};
use crate::{
    decision::{ErrorDetails, Event, Failure},
    hints::ServerHints,
    request::Usage,
    retry::RetryPolicy,
    time::Instant,
};

/// A scheduler whose every decision is written down: what a user attaches to a
/// report of a fault. It begins with a snapshot and the retry policy of each
/// pool; what follows is one short record for each verb. `write` is handed the
/// records, to be put down in any format of `serde`; as JSON, one a line, the
/// example `replay` reads them.
///
/// ```
/// use sendwhen::{Instant, Job, Limiter, Record, Recorder, Replay, Request, Scheduler};
///
/// let mut log: Vec<String> = vec![];
/// let mut recorder = Recorder::new(Scheduler::new(42), |record| {
///     log.push(serde_json::to_string(record).unwrap());
/// });
/// let now = Instant::from_secs(5);
/// let pool = recorder.change(|scheduler| scheduler.add_pool(Limiter::new(7)));
/// let route = recorder.change(|scheduler| scheduler.add_route(&[&[pool]]))?;
/// let _id = recorder.submit(now, Job::new(Request::new(), route))?;
/// let _send = recorder.next(now);
///
/// let mut replay = Replay::new();
/// for line in &log {
///     let record: Record = serde_json::from_str(line)?;
///     replay.step(record)?;
/// }
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
pub struct Recorder<F> {
    scheduler: Scheduler,
    write: F,
}

/// One verb and what it answered, or a scheduler to go on from. Of records that
/// are read `S` is a [`Snapshot`], of those that are written a [`SnapshotOf`].
///
/// The example is at [`Recorder`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Record<S = Snapshot>(Said<S>);

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Said<S> {
    /// Then, pool by pool, how calls are retried.
    Start(Instant, S, Vec<Option<RetryPolicy>>),
    Submit(Instant, Job, Result<CallId, Rejected>),
    Handle(Instant, CallId, Heard, Verdict),
    Next(Instant, Next),
    Prioritise(CallId, Priority, bool),
    Postpone(CallId, Option<Instant>, bool),
    Rebase(Instant),
    Notice(Option<Notice>),
    Weight(TenantId, NonZeroU32),
    Bounds(TenantId, Bounds),
    Patience(RouteId, Duration),
}

/// An event with what it borrows.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Heard {
    Submitted,
    Woken,
    Responded(u16, Box<ServerHints>, Details),
    Progressed(Usage, bool),
    Finished(Option<Usage>),
    NotSent,
    TimedOut,
    Lost,
    InStream(Details),
    Cancelled,
}

#[derive(Debug, Serialize, Deserialize)]
struct Details(String, String, String, Option<Duration>);

/// Goes through the records of a [`Recorder`] and does the same again, however
/// that scheduler was set up: see there for an example.
///
/// ```
/// use sendwhen::{Record, Recorder, Replay, ReplayError, Scheduler};
///
/// let mut log = String::new();
/// drop(Recorder::new(Scheduler::new(42), |record| {
///     log = serde_json::to_string(record).unwrap();
/// }));
/// let mut replay = Replay::new();
/// assert!(replay.scheduler().is_none());
/// replay.step(serde_json::from_str(&log)?)?;
/// assert_eq!(replay.scheduler().unwrap().waiting(), 0);
///
/// let record: Record = serde_json::from_str(r#"{"rebase":5}"#)?;
/// assert_eq!(Replay::new().step(record), Err(ReplayError::NoStart));
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct Replay {
    scheduler: Option<Scheduler>,
}

/// Why a record is not replayed.
///
/// ```
/// use sendwhen::{Record, Recorder, Replay, ReplayError, Scheduler};
///
/// let mut log = vec![];
/// let mut recorder = Recorder::new(Scheduler::new(42), |record| {
///     log.push(serde_json::to_string(record).unwrap());
/// });
/// let _idle = recorder.next(sendwhen::Instant::ZERO);
/// // Somebody claims that it said something else.
/// log[1] = log[1].replace("\"Idle\"", r#"{"Wait":{"until":9,"cause":"Backoff"}}"#);
/// let mut replay = Replay::new();
/// replay.step(serde_json::from_str(&log[0])?)?;
/// let record: Record = serde_json::from_str(&log[1])?;
/// assert!(matches!(replay.step(record), Err(ReplayError::Differs { .. })));
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// The scheduler decided otherwise.
    #[error("it was {recorded}, and is {replayed}")]
    Differs {
        /// What was written down.
        recorded: String,
        /// What came of it now.
        replayed: String,
    },
    /// No snapshot came before it.
    #[error("a record before the first snapshot")]
    NoStart,
    /// A snapshot was tampered with.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
}

impl<F: FnMut(&Record<SnapshotOf<'_>>)> Recorder<F> {
    /// Records `scheduler` from here on.
    pub fn new(scheduler: Scheduler, write: F) -> Self {
        let mut recorder = Self { scheduler, write };
        recorder.start();
        recorder
    }

    /// As [`Scheduler::submit`].
    ///
    /// # Errors
    /// As there.
    pub fn submit(&mut self, now: Instant, job: Job) -> Result<CallId, Rejected> {
        let answer = self.scheduler.submit(now, job);
        self.write(Said::Submit(now, job, answer));
        answer
    }

    /// As [`Scheduler::handle`].
    pub fn handle(&mut self, now: Instant, id: CallId, event: Event<'_>) -> Verdict {
        let heard = Heard::of(&event);
        let answer = self.scheduler.handle(now, id, event);
        self.write(Said::Handle(now, id, heard, answer));
        answer
    }

    /// As [`Scheduler::next`].
    pub fn next(&mut self, now: Instant) -> Next {
        let answer = self.scheduler.next(now);
        self.write(Said::Next(now, answer));
        answer
    }

    /// As [`Scheduler::prioritise`].
    pub fn prioritise(&mut self, id: CallId, priority: Priority) -> bool {
        let answer = self.scheduler.prioritise(id, priority);
        self.write(Said::Prioritise(id, priority, answer));
        answer
    }

    /// As [`Scheduler::postpone`].
    pub fn postpone(&mut self, id: CallId, start_by: Option<Instant>) -> bool {
        let answer = self.scheduler.postpone(id, start_by);
        self.write(Said::Postpone(id, start_by, answer));
        answer
    }

    /// As [`Scheduler::rebase`].
    pub fn rebase(&mut self, now: Instant) {
        self.scheduler.rebase(now);
        self.write(Said::Rebase(now));
    }

    /// As [`Scheduler::notice`].
    pub fn notice(&mut self) -> Option<Notice> {
        let answer = self.scheduler.notice();
        self.write(Said::Notice(answer));
        answer
    }

    /// As [`Scheduler::set_weight`].
    pub fn set_weight(&mut self, tenant: TenantId, weight: NonZeroU32) {
        self.scheduler.set_weight(tenant, weight);
        self.write(Said::Weight(tenant, weight));
    }

    /// As [`Scheduler::set_bounds`].
    pub fn set_bounds(&mut self, tenant: TenantId, bounds: Bounds) {
        self.scheduler.set_bounds(tenant, bounds);
        self.write(Said::Bounds(tenant, bounds));
    }

    /// As [`Scheduler::set_patience`].
    pub fn set_patience(&mut self, route: RouteId, patience: Duration) {
        self.scheduler.set_patience(route, patience);
        self.write(Said::Patience(route, patience));
    }

    /// Changes the scheduler by any other verb: its pools and routes. What comes
    /// of it is recorded as another snapshot, of all that waits.
    pub fn change<T>(&mut self, change: impl FnOnce(&mut Scheduler) -> T) -> T {
        let changed = change(&mut self.scheduler);
        self.start();
        changed
    }

    /// The scheduler, to be asked.
    pub const fn scheduler(&self) -> &Scheduler {
        &self.scheduler
    }

    /// The scheduler, no longer recorded.
    pub fn into_scheduler(self) -> Scheduler {
        self.scheduler
    }

    fn start(&mut self) {
        let clock = &self.scheduler.clock;
        let now = clock.outside(clock.latest());
        let pools = self.scheduler.pools.iter().map(Option::as_ref);
        let policies = pools.map(|pool| Some(*pool?.limiter.retry_policy()));
        let said = Said::Start(now, self.scheduler.snapshot(), policies.collect());
        (self.write)(&Record(said));
    }

    fn write(&mut self, said: Said<SnapshotOf<'_>>) {
        (self.write)(&Record(said));
    }
}

impl Replay {
    /// Before the first record.
    pub const fn new() -> Self {
        Self { scheduler: None }
    }

    /// Does what a record says that was done.
    ///
    /// # Errors
    /// Where something else comes of it, or a snapshot is not sound. After that
    /// what follows means nothing until the next snapshot.
    pub fn step(&mut self, record: Record) -> Result<(), ReplayError> {
        let said = match record.0 {
            Said::Start(now, snapshot, policies) => {
                let policy = |pool: PoolId| policies.get(pool.index()).copied().flatten();
                let restored = snapshot
                    .restore(now, Duration::ZERO, |pool| policy(pool).unwrap_or_default())?;
                self.scheduler = Some(restored);
                return Ok(());
            }
            said => said,
        };
        let scheduler = self.scheduler.as_mut().ok_or(ReplayError::NoStart)?;
        match said {
            Said::Start(..) => Ok(()),
            Said::Submit(now, job, answer) => same(&answer, &scheduler.submit(now, job)),
            Said::Handle(now, id, heard, answer) => same(
                &answer,
                &heard.told(|event| scheduler.handle(now, id, event)),
            ),
            Said::Next(now, answer) => same(&answer, &scheduler.next(now)),
            Said::Prioritise(id, priority, answer) => {
                same(&answer, &scheduler.prioritise(id, priority))
            }
            Said::Postpone(id, start_by, answer) => {
                same(&answer, &scheduler.postpone(id, start_by))
            }
            Said::Rebase(now) => {
                scheduler.rebase(now);
                Ok(())
            }
            Said::Notice(answer) => same(&answer, &scheduler.notice()),
            Said::Weight(tenant, weight) => {
                scheduler.set_weight(tenant, weight);
                Ok(())
            }
            Said::Bounds(tenant, bounds) => {
                scheduler.set_bounds(tenant, bounds);
                Ok(())
            }
            Said::Patience(route, patience) => {
                scheduler.set_patience(route, patience);
                Ok(())
            }
        }
    }

    /// The scheduler as it stands, to be asked.
    pub const fn scheduler(&self) -> Option<&Scheduler> {
        self.scheduler.as_ref()
    }
}

fn same<T: PartialEq + fmt::Debug>(recorded: &T, replayed: &T) -> Result<(), ReplayError> {
    if recorded == replayed {
        return Ok(());
    }
    Err(ReplayError::Differs {
        recorded: format!("{recorded:?}"),
        replayed: format!("{replayed:?}"),
    })
}

impl Heard {
    fn of(event: &Event<'_>) -> Self {
        match event {
            Event::Submitted => Self::Submitted,
            Event::Woken => Self::Woken,
            Event::Responded {
                status,
                hints,
                error,
            } => Self::Responded(*status, Box::new(**hints), Details::of(error)),
            Event::Progressed { usage, handed_on } => Self::Progressed(*usage, *handed_on),
            Event::Finished(usage) => Self::Finished(*usage),
            Event::Failed(Failure::NotSent) => Self::NotSent,
            Event::Failed(Failure::TimedOut) => Self::TimedOut,
            Event::Failed(Failure::Lost) => Self::Lost,
            Event::Failed(Failure::InStream(error)) => Self::InStream(Details::of(error)),
            Event::Cancelled => Self::Cancelled,
        }
    }

    fn told<T>(&self, tell: impl FnOnce(Event<'_>) -> T) -> T {
        tell(match self {
            Self::Submitted => Event::Submitted,
            Self::Woken => Event::Woken,
            Self::Responded(status, hints, error) => {
                Event::responded(*status, hints, error.borrowed())
            }
            Self::Progressed(usage, handed_on) => Event::progressed(*usage, *handed_on),
            Self::Finished(usage) => Event::Finished(*usage),
            Self::NotSent => Event::Failed(Failure::NotSent),
            Self::TimedOut => Event::Failed(Failure::TimedOut),
            Self::Lost => Event::Failed(Failure::Lost),
            Self::InStream(error) => Event::Failed(Failure::InStream(error.borrowed())),
            Self::Cancelled => Event::Cancelled,
        })
    }
}

impl Details {
    fn of(error: &ErrorDetails<'_>) -> Self {
        Self(
            error.kind.to_string(),
            error.code.to_string(),
            error.message.to_string(),
            error.delay,
        )
    }

    fn borrowed(&self) -> ErrorDetails<'_> {
        let Self(kind, code, message, delay) = self;
        let details = ErrorDetails::new(kind).code(code).message(message);
        match delay {
            Some(delay) => details.delay(*delay),
            None => details,
        }
    }
}

impl<F> fmt::Debug for Recorder<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Recorder");
        debug.field("scheduler", &self.scheduler);
        debug.finish_non_exhaustive()
    }
}
