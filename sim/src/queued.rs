//! This crate's scheduler as a client.

use std::collections::HashSet;

use sendwhen::{
    CallId, CallStanding, Event, Failure, Instant, Next, Priority, RouteId, Scheduler, Usage,
    Verdict as After,
};

use crate::{
    Time,
    client::{Ask, Client, Verdict},
    head::Answer,
    ours::{self, answered},
    work::Job,
    world::World,
};

/// A [`Scheduler`] over one pool, where some jobs are urgent: it leaves room for
/// them. It is told of a job when that is asked for.
#[derive(Debug)]
pub struct Queued {
    scheduler: Scheduler,
    route: RouteId,
    calls: Vec<Option<CallId>>,
    /// Those that the scheduler sends and nobody asked for since.
    ready: HashSet<CallId>,
    /// Those that it ended.
    over: HashSet<CallId>,
    /// How much was reported: after each of it there may be something to send.
    heard: u64,
}

impl Queued {
    /// With the limits of `world` if those are known.
    pub fn new(world: &World, seed: u64) -> Self {
        let mut scheduler = Scheduler::new(seed);
        let pool = scheduler.add_pool(ours::limiter(world, seed));
        let route = scheduler.add_route(&[&[pool]]).expect("one pool");
        Self {
            scheduler,
            route,
            calls: Vec::new(),
            ready: HashSet::new(),
            over: HashSet::new(),
            heard: 0,
        }
    }

    fn call(&mut self, now: Instant, id: usize, job: &Job) -> CallId {
        if self.calls.len() <= id {
            self.calls.resize_with(id + 1, || None);
        }
        *self.calls[id].get_or_insert_with(|| {
            let priority = if job.urgent {
                Priority::High
            } else {
                Priority::Normal
            };
            let wanted = sendwhen::Job::new(ours::request(job), self.route).priority(priority);
            self.scheduler.submit(now, wanted).expect("no bound is set")
        })
    }

    /// Takes what the scheduler sends; gives until when it waits.
    fn turn(&mut self, now: Instant) -> Time {
        loop {
            match self.scheduler.next(now) {
                Next::Send { id, .. } => drop(self.ready.insert(id)),
                Next::Drop { id, .. } => drop(self.over.insert(id)),
                Next::Wait(wait) => return wait.until.as_nanos(),
                Next::Idle => return Time::MAX,
            }
        }
    }

    fn tell(&mut self, now: Time, id: usize, event: Event<'_>) -> Verdict {
        let call = self.calls[id].expect("asked for before");
        let now = Instant::from_nanos(now);
        self.heard += 1;
        match self.scheduler.handle(now, call, event) {
            After::Proceed | After::Delivered => Verdict::Deliver,
            After::Queued => Verdict::Again(match self.scheduler.explain(now, call) {
                Some(CallStanding::Held(wait)) => wait.until.as_nanos(),
                _ => now.as_nanos(),
            }),
            After::GiveUp(_) | After::Unknown => Verdict::GiveUp,
        }
    }
}

impl Client for Queued {
    fn name(&self) -> String {
        String::from("sendwhen")
    }

    fn ask(&mut self, now: Time, id: usize, job: &Job) -> Ask {
        let at = Instant::from_nanos(now);
        let call = self.call(at, id, job);
        let until = self.turn(at);
        if self.ready.remove(&call) {
            return Ask::Send;
        }
        if self.over.remove(&call) {
            return Ask::GiveUp;
        }
        match self.scheduler.explain(at, call) {
            Some(CallStanding::Held(wait)) => Ask::Hold(wait.until.as_nanos()),
            _ => Ask::Wait(until),
        }
    }

    fn head(&mut self, now: Time, id: usize, answer: &Answer) -> Verdict {
        answered(answer, |event| self.tell(now, id, event))
    }

    fn lost(&mut self, now: Time, id: usize) -> Verdict {
        self.tell(now, id, Event::Failed(Failure::TimedOut))
    }

    fn end(&mut self, now: Time, id: usize, job: &Job) {
        let usage = Usage::new(job.input, job.output).cache(0, job.cached);
        let _end = self.tell(now, id, Event::Finished(Some(usage)));
        self.calls[id] = None;
    }

    fn opened(&self) -> u64 {
        self.heard
    }
}
