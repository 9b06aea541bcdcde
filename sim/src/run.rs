//! One run of a client in a world.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap, VecDeque},
};

use crate::{
    Time,
    client::{Ask, Client, Verdict},
    head::Answer,
    seconds,
    server::{Reception, Server},
    work::{Job, lognormal},
    world::World,
};

/// What came of a run.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Who did it.
    pub client: String,
    /// Until the last answer was whole and no meter of the server below zero:
    /// what was borrowed is not won.
    pub makespan: Time,
    /// Jobs answered.
    pub completed: usize,
    /// Jobs given up.
    pub given_up: usize,
    /// 429s.
    pub refused: usize,
    /// Those for want of requests, input and output; one may lack several.
    pub short_of: [usize; 3],
    /// 529s.
    pub overloaded: usize,
    /// Of each completed job, in no order: from when it was wanted to when its
    /// last attempt was sent.
    pub waits: Vec<Time>,
    /// How often the client was asked.
    pub asked: usize,
    /// Completed and refused over time.
    pub marks: Vec<Mark>,
}

/// Something to draw.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    /// When.
    pub at: Time,
    /// A completion, not a refusal.
    pub completed: bool,
}

impl Outcome {
    /// Refusals for each completed job.
    pub fn refusals(&self) -> f64 {
        self.refused as f64 / self.completed.max(1) as f64
    }

    /// The wait that `part` of all jobs did not exceed, in seconds.
    pub fn wait(&self, part: f64) -> f64 {
        let mut waits = self.waits.clone();
        waits.sort_unstable();
        let place = (waits.len() as f64 * part) as usize;
        let wait = waits.get(place.min(waits.len().saturating_sub(1)));
        wait.map_or(0.0, |&wait| wait as f64 / 1e9)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum What {
    /// It reaches the server.
    Arrives,
    /// The server writes the head of a good answer: which.
    Writes(usize),
    /// Its head reaches the client: which of the answers.
    Heard(usize),
    /// It is whole.
    Ends,
    /// It may ask again.
    Asks,
    /// The first in the queue may ask again.
    Queue,
}

/// Lets `client` do the work of `world`, as drawn from `seed`.
pub fn run(world: &World, seed: u64, client: &mut dyn Client) -> Outcome {
    Run::new(world, seed).go(client)
}

struct Run<'a> {
    world: &'a World,
    jobs: Vec<Job>,
    server: Server,
    chance: fastrand::Rng,
    events: BinaryHeap<Reverse<(Time, u64, usize, What)>>,
    count: u64,
    answers: Vec<Answer>,
    queue: VecDeque<usize>,
    /// Jobs that came back from a wait of their own go first.
    returned: BTreeSet<usize>,
    blocked_until: Time,
    under_way: usize,
    /// When each job was sent last.
    sent: Vec<Time>,
    /// When the server has produced all of each answer.
    whole: Vec<Time>,
    out: Outcome,
}

impl<'a> Run<'a> {
    fn new(world: &'a World, seed: u64) -> Self {
        let jobs = world.work.draw(seed);
        let mut run = Self {
            world,
            server: Server::new(world.server.clone()),
            chance: fastrand::Rng::with_seed(seed),
            events: BinaryHeap::new(),
            count: 0,
            answers: Vec::new(),
            queue: VecDeque::new(),
            returned: BTreeSet::new(),
            blocked_until: 0,
            under_way: 0,
            sent: vec![0; jobs.len()],
            whole: vec![0; jobs.len()],
            out: Outcome::default(),
            jobs,
        };
        for id in 0..run.jobs.len() {
            run.at(run.jobs[id].at, id, What::Asks);
        }
        run
    }

    fn at(&mut self, time: Time, id: usize, what: What) {
        self.count += 1;
        // A process that sleeps hears everything when it wakes.
        let time = match (self.world.sleep, what) {
            (Some((from, span)), What::Heard(..) | What::Ends | What::Asks | What::Queue)
                if (seconds(from)..seconds(from + span)).contains(&time) =>
            {
                seconds(from + span)
            }
            _ => time,
        };
        self.events.push(Reverse((time, self.count, id, what)));
    }

    fn one_way(&mut self) -> Time {
        let half = self.world.round_trip / 2.0;
        seconds(half * lognormal(&mut self.chance, self.world.jitter))
    }

    fn go(mut self, client: &mut dyn Client) -> Outcome {
        self.out.client = client.name();
        let mut opened = client.opened();
        while let Some(Reverse((now, _, id, what))) = self.events.pop() {
            match what {
                What::Asks => {
                    if self.jobs[id].at == now {
                        self.queue.push_back(id);
                    } else {
                        // It need not wait behind others that were told to.
                        self.returned.insert(id);
                        self.blocked_until = 0;
                    }
                }
                What::Queue => {}
                What::Arrives => {
                    self.arrives(now, id);
                    continue;
                }
                What::Writes(place) => {
                    self.server.write(now, &mut self.answers[place]);
                    let back = self.one_way();
                    let whole = self.whole[id].max(now);
                    self.at(now + back, id, What::Heard(place));
                    self.at(whole + back, id, What::Ends);
                    continue;
                }
                What::Heard(place) => {
                    let answer = self.answers[place];
                    self.heard(now, id, &answer, client);
                }
                What::Ends => {
                    client.end(now, id, &self.jobs[id]);
                    self.under_way -= 1;
                    self.out.completed += 1;
                    self.out.makespan = self.out.makespan.max(now);
                    self.out.waits.push(self.sent[id] - self.jobs[id].at);
                    self.out.marks.push(Mark {
                        at: now,
                        completed: true,
                    });
                }
            }
            if client.opened() != opened {
                self.blocked_until = 0;
            }
            self.ask_all(now, client);
            opened = client.opened();
        }
        self.server.advance(self.out.makespan);
        self.out.makespan = self.server.settled();
        // Jobs that the client never asked for again are not done either.
        self.out.given_up = self.jobs.len() - self.out.completed;
        self.out
    }

    /// Those who wait ask, one after another, until one is told to wait.
    fn ask_all(&mut self, now: Time, client: &mut dyn Client) {
        while now >= self.blocked_until && self.under_way < self.world.in_flight {
            let Some(id) = self
                .returned
                .first()
                .copied()
                .or(self.queue.front().copied())
            else {
                return;
            };
            self.out.asked += 1;
            let ask = client.ask(now, id, &self.jobs[id]);
            if let Ask::Wait(until) = ask {
                self.blocked_until = until.max(now.saturating_add(1));
                if until < Time::MAX {
                    self.at(self.blocked_until, id, What::Queue);
                }
                return;
            }
            if !self.returned.remove(&id) {
                self.queue.pop_front();
            }
            match ask {
                Ask::Send => {
                    self.under_way += 1;
                    let way = self.one_way();
                    self.sent[id] = now;
                    self.at(now + way, id, What::Arrives);
                }
                Ask::Hold(until) => self.at(until.max(now + 1), id, What::Asks),
                Ask::GiveUp => self.out.given_up += 1,
                Ask::Wait(_) => {}
            }
        }
    }

    fn arrives(&mut self, now: Time, id: usize) {
        let job = self.jobs[id];
        let reception = self
            .server
            .receive(now, &job, job.silence, job.span, &mut self.chance);
        let mut answer = Answer {
            status: 200,
            shown: None,
            retry_after: None,
            date: self.server.date(),
        };
        match reception {
            Reception::Admitted(shown) => {
                answer.shown = shown;
                answer.retry_after = self.server.stray(&mut self.chance);
                let whole = now + job.silence + job.span;
                self.whole[id] = whole;
                let written = if self.world.streaming {
                    now + job.silence
                } else {
                    whole
                };
                self.answers.push(answer);
                self.at(written, id, What::Writes(self.answers.len() - 1));
                return;
            }
            Reception::Refused(shown, wait, short) => {
                for (count, short) in self.out.short_of.iter_mut().zip(short) {
                    *count += usize::from(short);
                }
                answer.status = 429;
                answer.shown = shown;
                answer.retry_after = Some(wait);
            }
            Reception::Overloaded => answer.status = 529,
        }
        let back = self.one_way();
        self.answers.push(answer);
        self.at(now + back, id, What::Heard(self.answers.len() - 1));
    }

    fn heard(&mut self, now: Time, id: usize, answer: &Answer, client: &mut dyn Client) {
        match answer.status {
            429 => {
                self.out.refused += 1;
                self.out.marks.push(Mark {
                    at: now,
                    completed: false,
                });
            }
            529 => self.out.overloaded += 1,
            _ => {}
        }
        match client.head(now, id, answer) {
            Verdict::Deliver => {}
            Verdict::Again(at) => {
                self.under_way -= 1;
                if at <= now {
                    self.returned.insert(id);
                } else {
                    self.at(at, id, What::Asks);
                }
            }
            Verdict::GiveUp => {
                self.under_way -= 1;
                self.out.given_up += 1;
            }
        }
    }
}
