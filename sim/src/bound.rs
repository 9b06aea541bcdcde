//! The client that sees the server's meters and every true cost.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap},
};

use crate::{
    Time,
    outcome::{Mark, Outcome},
    seconds,
    server::{OutputRule, Reception, Server},
    work::Job,
    world::World,
};

/// What could be done at best, in the same world and seed: each job, in order,
/// reaches the server at the first instant at which that admits it and output
/// does not fall further into debt than planned. The best of several plans, or
/// one that takes 0.3 % longer and borrows less. It needs no answer to know what
/// to do next, and is never refused.
///
/// What it does not know is the future: which answers will be lost, what others
/// will take, when an outage ends; and that a place among those under way is
/// free it learns at the instant, and what takes it is a way away.
pub fn bound(world: &World, seed: u64) -> Outcome {
    let jobs = world.jobs(seed);
    // In minutes of output.
    let plans = [0.0, 0.25, 1.0, 4.0, f64::INFINITY];
    // It borrows nothing against a sleep, an outage or a change of limits.
    let server = &world.server;
    let foreseen = world.sleep.is_some() || server.change.is_some() || !server.outages.is_empty();
    let charged_late = matches!(world.server.output, OutputRule::Live | OutputRule::AtEnd);
    let borrows = charged_late && !foreseen;
    let plans = &plans[..if borrows { plans.len() } else { 1 }];
    let outcomes = plans
        .iter()
        .map(|&debt| Plan::new(world, seed, &jobs).go(debt));
    let outcomes: Vec<Outcome> = outcomes.collect();
    let best = outcomes.iter().map(|outcome| outcome.makespan).min();
    // Of those that are as good, the one that borrows least.
    let good = best.unwrap_or_default() / 1_000 * 1_003;
    let mut outcomes = outcomes.into_iter();
    outcomes
        .find(|outcome| outcome.makespan <= good)
        .unwrap_or_default()
}

/// The same for one who keeps out of debt: at no time is more under way than the
/// meter of output bears to the end. Who borrows spends, at the end of the work,
/// what comes in later; for that one must know which job is the last.
pub fn bound_without_debt(world: &World, seed: u64) -> Outcome {
    let jobs = world.jobs(seed);
    Plan::new(world, seed, &jobs).go(0.0)
}

/// The same for one who, where limits are not known, sends no more than four
/// before the first head tells them: whoever sends more cannot know that they
/// are not refused.
pub fn bound_when_told(world: &World, seed: u64) -> Outcome {
    let jobs = world.jobs(seed);
    let mut plan = Plan::new(world, seed, &jobs);
    plan.untold = if world.limits_known { 0 } else { 4 };
    plan.go(0.0)
}

struct Plan<'a> {
    world: &'a World,
    seed: u64,
    jobs: &'a [Job],
    server: Server,
    way: Time,
    /// Jobs that can arrive from then on.
    later: BinaryHeap<Reverse<(Time, usize)>>,
    /// Those that can arrive now, urgent ones first.
    ready: BTreeSet<(bool, usize)>,
    /// How often each was admitted.
    admitted: Vec<u64>,
    client: Places,
    streams: Places,
    /// How many may be sent before the first head is back, if not any number,
    /// and when it is.
    untold: usize,
    told: Time,
    out: Outcome,
}

impl<'a> Plan<'a> {
    fn new(world: &'a World, seed: u64, jobs: &'a [Job]) -> Self {
        let mut spec = world.server.clone();
        // Overloads cost it nothing: it sees them coming.
        spec.overloaded = 0.0;
        let way = seconds(world.round_trip / 2.0);
        let later = jobs.iter().enumerate();
        let later = later.map(|(id, job)| Reverse((job.at + way, id)));
        Self {
            world,
            seed,
            jobs,
            way,
            later: later.collect(),
            ready: BTreeSet::new(),
            admitted: vec![0; jobs.len()],
            client: Places::new(world.in_flight.saturating_mul(world.clients)),
            streams: Places::new(spec.concurrency.unwrap_or(usize::MAX)),
            untold: 0,
            told: Time::MAX,
            server: Server::new(spec),
            out: Outcome {
                client: String::from("bound"),
                ..Outcome::default()
            },
        }
    }

    fn go(mut self, debt: f64) -> Outcome {
        let mut at = self.way;
        while let Some(id) = self.first(&mut at) {
            let then = self.client.free(self.streams.free(at));
            let then = self.awake(self.informed(then));
            let admits = if then > at {
                Err(then)
            } else {
                self.server.sustains_at(at, &self.jobs[id], debt)
            };
            match admits {
                Ok(()) => self.send(at, id),
                Err(Time::MAX) => break,
                // What is given back may come before what refills.
                Err(then) => {
                    let next = self.server.next_change().filter(|&next| next > at);
                    at = next.map_or(then, |next| then.min(next));
                }
            }
        }
        self.out.given_up = self.jobs.len() - self.out.completed;
        self.server.advance(self.out.makespan);
        self.out.makespan = self.server.settled();
        self.out
    }

    /// The first of those that can arrive at `at`, or at the first time after it
    /// when one can.
    fn first(&mut self, at: &mut Time) -> Option<usize> {
        if self.ready.is_empty() {
            let Reverse((then, _)) = self.later.peek()?;
            *at = (*at).max(*then);
        }
        while let Some(&Reverse((_, id))) = self.later.peek().filter(|next| next.0.0 <= *at) {
            self.later.pop();
            self.ready.insert((!self.jobs[id].urgent, id));
        }
        self.ready.first().map(|&(_, id)| id)
    }

    /// What arrives at `at` was sent by one who may send so many.
    fn informed(&self, at: Time) -> Time {
        if self.untold > 0 && self.out.completed >= self.untold {
            at.max(self.told.saturating_add(self.way))
        } else {
            at
        }
    }

    /// What arrives at `at` was sent by a process that did not sleep.
    fn awake(&self, at: Time) -> Time {
        let Some((from, span)) = self.world.sleep else {
            return at;
        };
        let asleep = seconds(from) + self.way..seconds(from + span) + self.way;
        if asleep.contains(&at) { asleep.end } else { at }
    }

    fn send(&mut self, at: Time, id: usize) {
        let job = &self.jobs[id];
        let mut chance = fastrand::Rng::with_seed(self.seed);
        match self
            .server
            .receive(at, job, job.silence, job.span, &mut chance)
        {
            Reception::Admitted(_) => {}
            other => unreachable!("the bound was answered {other:?}"),
        }
        self.ready.remove(&(!job.urgent, id));
        self.admitted[id] += 1;
        let whole = at + job.silence + job.span;
        self.streams.take(whole + self.way);
        let lost = self.world.loses(self.seed, id, self.admitted[id]);
        let end = if lost {
            at - self.way + seconds(self.world.timeout)
        } else {
            whole + self.way
        };
        self.client.take(end + self.way);
        if lost {
            self.out.lost += 1;
            self.later.push(Reverse((end + self.way, id)));
            return;
        }
        let streams = self.world.streaming;
        let head = if streams { at + job.silence } else { whole };
        self.told = self.told.min(head + self.way);
        self.out.completed += 1;
        self.out.makespan = self.out.makespan.max(end);
        let wait = at - self.way - job.at;
        self.out.waits.push(wait);
        if job.urgent {
            self.out.urgent.push(wait);
        }
        self.out.marks.push(Mark {
            at: end,
            completed: true,
        });
    }
}

/// Places of which there are only so many.
struct Places {
    most: usize,
    /// When what takes the place of each can arrive.
    freed: BinaryHeap<Reverse<Time>>,
}

impl Places {
    fn new(most: usize) -> Self {
        Self {
            most,
            freed: BinaryHeap::new(),
        }
    }

    /// When there is one, from `at` on.
    fn free(&mut self, at: Time) -> Time {
        while self.freed.peek().is_some_and(|free| free.0 <= at) {
            self.freed.pop();
        }
        match self.freed.peek() {
            Some(&Reverse(free)) if self.freed.len() >= self.most => free,
            _ => at,
        }
    }

    fn take(&mut self, until: Time) {
        if self.most < usize::MAX {
            self.freed.push(Reverse(until));
        }
    }
}
