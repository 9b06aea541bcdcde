//! One run of a client, or of several alike, in a world.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap},
};

use crate::{
    Time,
    client::{Ask, Client, Verdict},
    head::Answer,
    outcome::{Mark, Outcome, jain},
    seconds,
    server::{Reception, Server, Why},
    work::{Job, lognormal},
    world::World,
};

/// Lets `client` do the work of `world`, as drawn from `seed`.
pub fn run(world: &World, seed: u64, client: &mut dyn Client) -> Outcome {
    Run::new(world, seed, 1).go(&mut [client])
}

/// Lets `team` do it: each does its part, and none knows of the others.
pub fn run_team(world: &World, seed: u64, team: &mut [Box<dyn Client>]) -> Outcome {
    let mut team: Vec<&mut dyn Client> =
        team.iter_mut().map(|client| client.as_mut() as _).collect();
    Run::new(world, seed, team.len()).go(&mut team)
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum What {
    /// It is wanted.
    Wanted,
    /// It reaches the server.
    Arrives,
    /// The server writes the head of a good answer: which.
    Writes(usize),
    /// Its head reaches the client: which of the answers.
    Heard(usize),
    /// It is whole.
    Ends,
    /// Nothing of it came in the transport's time.
    TimesOut,
    /// It may ask again.
    Asks,
    /// The first in its client's queue may ask again.
    Queue,
}

/// Who asks first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Rank {
    Urgent,
    /// It comes back from a wait of its own, and need not stand behind others
    /// that were told to wait.
    Returned,
    New,
}

/// A client's place in the run.
#[derive(Debug, Default)]
struct Seat {
    queue: BTreeSet<(Rank, usize)>,
    blocked_until: Time,
    under_way: usize,
    opened: u64,
    /// How many overloads it heard of since the last good head.
    overloads: usize,
    /// How many it has under way that it sent when it had heard of so many.
    probes: usize,
    /// Whether it heard that all is spent.
    knows_spent: bool,
}

/// Who heard of so many overloads in a row can know that the server is down.
const DOWN: usize = 12;

/// What is known of a job.
#[derive(Clone, Copy, Debug, Default)]
struct Trace {
    /// When it was sent last.
    sent: Time,
    /// How often it was admitted.
    admitted: u64,
    /// When the server has produced all of its answer.
    whole: Time,
    /// Whether it is under way as a probe.
    probes: bool,
}

struct Run<'a> {
    world: &'a World,
    seed: u64,
    jobs: Vec<Job>,
    traces: Vec<Trace>,
    server: Server,
    chance: fastrand::Rng,
    events: BinaryHeap<Reverse<(Time, u64, usize, What)>>,
    count: u64,
    answers: Vec<Answer>,
    /// Places of answers that were heard: a storm has millions.
    heard: Vec<usize>,
    seats: Vec<Seat>,
    /// When a job of which seat was admitted.
    admissions: Vec<(Time, usize)>,
    out: Outcome,
}

impl<'a> Run<'a> {
    fn new(world: &'a World, seed: u64, seats: usize) -> Self {
        let jobs = world.jobs(seed);
        let mut run = Self {
            world,
            seed,
            traces: vec![Trace::default(); jobs.len()],
            server: Server::new(world.server.clone()),
            chance: fastrand::Rng::with_seed(seed),
            events: BinaryHeap::new(),
            count: 0,
            answers: Vec::new(),
            heard: Vec::new(),
            seats: (0..seats).map(|_| Seat::default()).collect(),
            admissions: Vec::new(),
            out: Outcome::default(),
            jobs,
        };
        run.out.probes = (!world.server.outages.is_empty()).then_some(0);
        run.out.sent_in_vain = world.server.spend.map(|_| 0);
        for id in 0..run.jobs.len() {
            run.at(run.jobs[id].at, id, What::Wanted);
        }
        run
    }

    fn seat_of(&self, id: usize) -> usize {
        self.jobs[id].owner % self.seats.len()
    }

    fn at(&mut self, time: Time, id: usize, what: What) {
        self.count += 1;
        let is_servers = matches!(what, What::Arrives | What::Writes(_));
        // A process that sleeps hears everything when it wakes.
        let time = match self.world.sleep {
            Some((from, span))
                if !is_servers && (seconds(from)..seconds(from + span)).contains(&time) =>
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

    fn go(mut self, team: &mut [&mut dyn Client]) -> Outcome {
        self.out.client = team.first().map(|client| client.name()).unwrap_or_default();
        for (seat, client) in self.seats.iter_mut().zip(team.iter()) {
            seat.opened = client.opened();
        }
        while let Some(Reverse((now, _, id, what))) = self.events.pop() {
            if self.is_hopeless() {
                break;
            }
            match what {
                What::Arrives => self.arrives(now, id),
                What::Writes(place) => self.writes(now, id, place),
                _ => {
                    let seat = self.seat_of(id);
                    self.happens(now, id, what, team[seat]);
                    if team[seat].opened() != self.seats[seat].opened {
                        self.seats[seat].blocked_until = 0;
                    }
                    self.ask_all(now, seat, team[seat]);
                    self.seats[seat].opened = team[seat].opened();
                }
            }
        }
        self.server.advance(self.out.makespan);
        self.out.makespan = self.server.settled();
        // Jobs that the client never asked for again are not done either.
        self.out.given_up = self.jobs.len() - self.out.completed;
        self.out.fairness = self.fairness();
        self.out
    }

    /// Something that a client knows of.
    fn happens(&mut self, now: Time, id: usize, what: What, client: &mut dyn Client) {
        let seat = self.seat_of(id);
        let urgent = self.jobs[id].urgent;
        match what {
            What::Wanted => {
                let rank = if urgent { Rank::Urgent } else { Rank::New };
                self.seats[seat].queue.insert((rank, id));
                if urgent {
                    self.seats[seat].blocked_until = 0;
                }
            }
            What::Asks => self.returns(id),
            What::Heard(place) => {
                let answer = self.answers[place];
                self.heard.push(place);
                self.heard(id, &answer);
                self.mark(now, answer.status);
                let verdict = client.head(now, id, &answer);
                self.obey(now, id, verdict);
            }
            What::TimesOut => {
                self.landed(id);
                self.out.lost += 1;
                let verdict = client.lost(now, id);
                self.obey(now, id, verdict);
            }
            What::Ends => {
                client.end(now, id, &self.jobs[id]);
                self.seats[seat].under_way -= 1;
                self.out.completed += 1;
                self.out.makespan = self.out.makespan.max(now);
                let wait = self.traces[id].sent - self.jobs[id].at;
                self.out.waits.push(wait);
                if urgent {
                    self.out.urgent.push(wait);
                }
                self.mark(now, 200);
            }
            What::Queue | What::Arrives | What::Writes(_) => {}
        }
    }

    /// A job comes back from a wait of its own.
    fn returns(&mut self, id: usize) {
        let urgent = self.jobs[id].urgent;
        let rank = if urgent { Rank::Urgent } else { Rank::Returned };
        let seat = self.seat_of(id);
        self.seats[seat].queue.insert((rank, id));
        self.seats[seat].blocked_until = 0;
    }

    /// It is not under way as a probe any more.
    fn landed(&mut self, id: usize) {
        let seat = self.seat_of(id);
        if std::mem::take(&mut self.traces[id].probes) {
            self.seats[seat].probes -= 1;
        }
    }

    fn heard(&mut self, id: usize, answer: &Answer) {
        self.landed(id);
        let seat = self.seat_of(id);
        let seat = &mut self.seats[seat];
        match answer.status {
            529 => seat.overloads += 1,
            200 => seat.overloads = 0,
            _ => {}
        }
        seat.knows_spent |= answer.why == Some(Why::Spent);
    }

    fn mark(&mut self, at: Time, status: u16) {
        match status {
            429 => self.out.refused += 1,
            529 => self.out.overloaded += 1,
            _ => {}
        }
        if status == 429 || status == 200 {
            let completed = status == 200;
            self.out.marks.push(Mark { at, completed });
        }
    }

    fn obey(&mut self, now: Time, id: usize, verdict: Verdict) {
        let seat = self.seat_of(id);
        match verdict {
            Verdict::Deliver => {}
            Verdict::Again(at) => {
                self.seats[seat].under_way -= 1;
                if at <= now {
                    let urgent = self.jobs[id].urgent;
                    let rank = if urgent { Rank::Urgent } else { Rank::Returned };
                    self.seats[seat].queue.insert((rank, id));
                } else {
                    self.at(at, id, What::Asks);
                }
            }
            Verdict::GiveUp => self.seats[seat].under_way -= 1,
        }
    }

    /// Those who wait ask, one after another, until one is told to wait.
    fn ask_all(&mut self, now: Time, place: usize, client: &mut dyn Client) {
        loop {
            let seat = &mut self.seats[place];
            if now < seat.blocked_until || seat.under_way >= self.world.in_flight {
                return;
            }
            let Some(&(rank, id)) = seat.queue.first() else {
                return;
            };
            self.out.asked += 1;
            let ask = client.ask(now, id, &self.jobs[id]);
            if let Ask::Wait(until) = ask {
                let until = until.max(now.saturating_add(1));
                seat.blocked_until = until;
                if until < Time::MAX {
                    self.at(until, id, What::Queue);
                }
                return;
            }
            seat.queue.remove(&(rank, id));
            match ask {
                Ask::Send => self.send(now, id),
                Ask::Hold(until) => self.at(until.max(now + 1), id, What::Asks),
                Ask::GiveUp | Ask::Wait(_) => {}
            }
        }
    }

    fn send(&mut self, now: Time, id: usize) {
        let way = self.one_way();
        self.at(now + way, id, What::Arrives);
        let seat = self.seat_of(id);
        let seat = &mut self.seats[seat];
        seat.under_way += 1;
        self.traces[id].sent = now;
        if seat.overloads >= DOWN && self.server.is_down(now) {
            self.traces[id].probes = true;
            seat.probes += 1;
            self.out.probes = self.out.probes.map(|most| most.max(seat.probes));
        }
        if seat.knows_spent {
            self.out.sent_in_vain = self.out.sent_in_vain.map(|count| count + 1);
        }
    }

    /// Whether all is spent, and that was told twenty times for each job to one
    /// that does not listen: it would go on for ever.
    fn is_hopeless(&self) -> bool {
        let in_vain = self.out.sent_in_vain.unwrap_or(0);
        in_vain > self.jobs.len().saturating_mul(20)
    }

    /// Where it is kept until it was heard.
    fn keep(&mut self, answer: Answer) -> usize {
        match self.heard.pop() {
            Some(place) => {
                self.answers[place] = answer;
                place
            }
            None => {
                self.answers.push(answer);
                self.answers.len() - 1
            }
        }
    }

    fn arrives(&mut self, now: Time, id: usize) {
        let job = self.jobs[id];
        let reception = self
            .server
            .receive(now, &job, job.silence, job.span, &mut self.chance);
        let mut answer = self.server.answer(200);
        match reception {
            Reception::Admitted(shown) => {
                answer.shown = shown;
                answer.retry_after = self.server.stray(&mut self.chance);
                self.admitted(now, id, answer);
                return;
            }
            Reception::Refused(shown, wait, why) => {
                if let Why::Short(short) = why {
                    for (count, short) in self.out.short_of.iter_mut().zip(short) {
                        *count += usize::from(short);
                    }
                }
                answer.status = 429;
                answer.shown = shown;
                answer.retry_after = wait;
                answer.why = Some(why);
            }
            Reception::Overloaded => answer.status = 529,
        }
        let back = self.one_way();
        let place = self.keep(answer);
        self.at(now + back, id, What::Heard(place));
    }

    fn admitted(&mut self, now: Time, id: usize, answer: Answer) {
        let job = self.jobs[id];
        self.admissions.push((now, self.seat_of(id)));
        let trace = &mut self.traces[id];
        trace.admitted += 1;
        if self.world.loses(self.seed, id, trace.admitted) {
            let at = trace.sent + seconds(self.world.timeout);
            self.at(at, id, What::TimesOut);
            return;
        }
        trace.whole = now + job.silence + job.span;
        let written = if self.world.streaming {
            now + job.silence
        } else {
            trace.whole
        };
        let place = self.keep(answer);
        self.at(written, id, What::Writes(place));
    }

    fn writes(&mut self, now: Time, id: usize, place: usize) {
        self.server.write(now, &mut self.answers[place]);
        let back = self.one_way();
        let whole = self.traces[id].whole.max(now);
        self.at(now + back, id, What::Heard(place));
        self.at(whole + back, id, What::Ends);
    }

    /// How even the shares of several clients are while all of them have work,
    /// if there is such a time.
    fn fairness(&self) -> Option<f64> {
        if self.seats.len() < 2 {
            return None;
        }
        let seats = 0..self.seats.len();
        let begins = seats.clone().map(|seat| {
            let own = (0..self.jobs.len()).filter(|&id| self.seat_of(id) == seat);
            own.map(|id| self.jobs[id].at).min().unwrap_or(0)
        });
        let ends = seats.clone().map(|seat| {
            let own = self.admissions.iter().filter(|(_, of)| *of == seat);
            own.map(|(at, _)| *at).max().unwrap_or(0)
        });
        let (from, to) = (begins.max()?, ends.min()?);
        let mut shares = vec![0.0; self.seats.len()];
        for &(at, seat) in &self.admissions {
            if (from..=to).contains(&at) {
                shares[seat] += 1.0;
            }
        }
        let measured = shares.iter().sum::<f64>() > 0.0;
        measured.then(|| jain(&shares))
    }
}
