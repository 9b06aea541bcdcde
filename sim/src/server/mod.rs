//! The server: token buckets for requests, input and output, and what its
//! response heads show of them.

use std::{cmp::Reverse, collections::BinaryHeap};

use crate::{
    SECOND, Time,
    head::{Answer, Shown},
    work::Job,
};

/// When the world begins, by a true clock, in Unix seconds: in 2026.
pub const EPOCH: f64 = 1_780_000_000.0;

/// What a server is like.
#[derive(Clone, Debug)]
pub struct ServerSpec {
    /// Requests, input tokens and output tokens a minute.
    pub limits: [f64; 3],
    /// What the buckets hold, as a part of what comes in a minute. Servers
    /// enforce limits over shorter intervals without saying so.
    pub capacity: f64,
    /// When output is charged.
    pub output: OutputRule,
    /// The step in which token meters are shown.
    pub rounding: f64,
    /// Whether heads show meters at all.
    pub headers: bool,
    /// Whether input, too, is shown as it is when the head is written: there
    /// are captures of both.
    pub input_shown_late: bool,
    /// Whether output, too, is shown as it was when the request was admitted.
    pub output_shown_early: bool,
    /// The server's clock less the client's, in seconds.
    pub skew: f64,
    /// From when on, in seconds, the server's clock shows this much more.
    pub skew_step: Option<(f64, f64)>,
    /// How many of all requests meet an overload.
    pub overloaded: f64,
    /// How many good answers bear a `retry-after` that means nothing.
    pub stray_retry_after: f64,
    /// From when on, in seconds, limits are this many times what they were.
    pub change: Option<(f64, f64)>,
}

impl Default for ServerSpec {
    /// The smallest tier of the Claude API of 2025, with headers.
    fn default() -> Self {
        Self {
            limits: [50.0, 30_000.0, 8_000.0],
            capacity: 1.0,
            output: OutputRule::Live,
            rounding: 1_000.0,
            headers: true,
            input_shown_late: false,
            output_shown_early: false,
            skew: 0.0,
            skew_step: None,
            overloaded: 0.0,
            stray_retry_after: 0.0,
            change: None,
        }
    }
}

/// When a server charges output.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OutputRule {
    /// All that will be produced, when the request is admitted.
    Upfront,
    /// Token by token, as they are produced.
    Live,
    /// All at once, when the last was produced.
    AtEnd,
    /// `max_tokens` when the request is admitted; what was not produced is given
    /// back at the end.
    Reserved,
}

/// The state of a server.
#[derive(Debug)]
pub struct Server {
    spec: ServerSpec,
    now: Time,
    levels: [f64; 3],
    /// Tokens a second that all streams together produce.
    producing: f64,
    /// Output admitted and not charged yet, under rules that charge it later.
    unproduced: f64,
    /// What changes then: the speed of production, and the output level.
    changes: BinaryHeap<Reverse<(Time, u64)>>,
    due: Vec<(f64, f64)>,
    /// Since the start: charged of requests, input and output.
    pub charged: [f64; 3],
}

/// What the server does with a request.
#[derive(Clone, Copy, Debug)]
pub enum Reception {
    /// It answers. What its head will show of requests and input; of output it
    /// shows what is true when it is [written](Server::write).
    Admitted(Option<Shown>),
    /// It refuses: 429, with the seconds to wait, for want of these.
    Refused(Option<Shown>, u64, [bool; 3]),
    /// It is overloaded: 529.
    Overloaded,
}

impl Server {
    /// A server whose buckets hold `levels`.
    pub fn holding(spec: ServerSpec, levels: [f64; 3]) -> Self {
        let mut server = Self::new(spec);
        server.levels = levels;
        server
    }

    /// A server whose buckets are full.
    pub fn new(spec: ServerSpec) -> Self {
        let mut server = Self {
            spec,
            now: 0,
            levels: [0.0; 3],
            producing: 0.0,
            unproduced: 0.0,
            changes: BinaryHeap::new(),
            due: Vec::new(),
            charged: [0.0; 3],
        };
        server.levels = server.capacities();
        server
    }

    /// What comes in a minute, now.
    pub fn limits(&self) -> [f64; 3] {
        let factor = match self.spec.change {
            Some((from, factor)) if self.now as f64 >= from * SECOND as f64 => factor,
            _ => 1.0,
        };
        self.spec.limits.map(|limit| (limit * factor).round())
    }

    fn capacities(&self) -> [f64; 3] {
        self.limits()
            .map(|limit| (limit * self.spec.capacity).max(1.0))
    }

    /// Lets time pass.
    pub fn advance(&mut self, to: Time) {
        while let Some(&Reverse((at, id))) = self.changes.peek() {
            if at > to {
                break;
            }
            self.changes.pop();
            self.flow(at);
            let (speed, taken) = self.due[id as usize];
            self.producing += speed;
            self.levels[2] -= taken;
            self.charged[2] += taken;
            self.unproduced -= taken.max(0.0);
        }
        self.flow(to);
    }

    /// Refill and production, at constant speeds.
    fn flow(&mut self, to: Time) {
        if let Some((from, _)) = self.spec.change {
            let edge = (from * SECOND as f64) as Time;
            if self.now < edge && edge < to {
                self.flow_on(edge);
            }
        }
        self.flow_on(to);
    }

    fn flow_on(&mut self, to: Time) {
        let span = to.saturating_sub(self.now) as f64 / SECOND as f64;
        let (limits, capacities) = (self.limits(), self.capacities());
        let produced = [0.0, 0.0, self.producing.max(0.0) * span];
        for i in 0..3 {
            let level = self.levels[i] + limits[i] / 60.0 * span - produced[i];
            self.levels[i] = level.min(capacities[i]);
        }
        self.charged[2] += produced[2];
        self.unproduced -= produced[2];
        self.now = self.now.max(to);
    }

    /// When no meter is below zero any more, if nothing else arrives.
    pub fn settled(&mut self) -> Time {
        loop {
            let limits = self.limits();
            let spans = (0..3).map(|i| -self.levels[i] / (limits[i] / 60.0));
            let then = self.now + crate::seconds(spans.fold(0.0, f64::max));
            match self.spec.change.map(|(from, _)| crate::seconds(from)) {
                Some(edge) if self.now < edge && edge < then => self.advance(edge),
                _ => return then,
            }
        }
    }

    /// When it next charges or gives back something.
    pub fn next_change(&self) -> Option<Time> {
        self.changes.peek().map(|&Reverse((at, _))| at)
    }

    /// What the job needs to be there.
    fn needs(&self, job: &Job) -> [f64; 3] {
        let output = match self.spec.output {
            OutputRule::Upfront => job.output as f64,
            OutputRule::Reserved => job.max_tokens as f64,
            OutputRule::Live | OutputRule::AtEnd => f64::MIN_POSITIVE,
        };
        [1.0, job.counted_input() as f64, output]
    }

    /// Whether `job` can be sent so that it arrives at `at` and output never
    /// falls into a debt of more than what comes in `debt` minutes, for one who
    /// knows what all will produce; if not, when it might. A server that counts output as it is produced admits as long as
    /// anything is left: whoever sent all at once would be through before the
    /// meter shows it, and in debt for long.
    pub fn sustains_at(&mut self, at: Time, job: &Job, debt: f64) -> Result<(), Time> {
        self.admits_at(at, job)?;
        if matches!(self.spec.output, OutputRule::Upfront | OutputRule::Reserved) {
            return Ok(());
        }
        // All that is under way is through when this is, or later.
        let rate = self.limits()[2] / 60.0;
        let until_end = (job.silence + job.span) as f64 / SECOND as f64;
        let then = (self.levels[2] + rate * until_end).min(self.capacities()[2]);
        let short = self.unproduced + job.output as f64 - then - debt * rate * 60.0;
        if short > 0.0 {
            let wait = ((short / rate * SECOND as f64) as Time).max(1_000_000);
            return Err(at + wait);
        }
        Ok(())
    }

    /// Whether `job` would be admitted if it arrived at `at`, and if not, when
    /// it might be.
    pub fn admits_at(&mut self, at: Time, job: &Job) -> Result<(), Time> {
        self.advance(at);
        let (needs, limits) = (self.needs(job), self.limits());
        let mut wait = 0.0_f64;
        for i in 0..3 {
            let short = needs[i] - self.levels[i];
            if short > 0.0 {
                wait = wait.max(short / (limits[i] / 60.0));
            }
        }
        if wait > 0.0 {
            Err(at + ((wait * SECOND as f64) as Time).max(1_000_000))
        } else {
            Ok(())
        }
    }

    /// A request arrives. `silence` and `span` are how long it takes to its
    /// first token and from there to its last.
    pub fn receive(
        &mut self,
        at: Time,
        job: &Job,
        silence: Time,
        span: Time,
        chance: &mut fastrand::Rng,
    ) -> Reception {
        self.advance(at);
        if chance.f64() < self.spec.overloaded {
            return Reception::Overloaded;
        }
        if let Err(then) = self.admits_at(at, job) {
            let seconds = (then - at).div_ceil(SECOND);
            let needs = self.needs(job);
            let short = [0, 1, 2].map(|i| needs[i] > self.levels[i]);
            return Reception::Refused(self.shown(), seconds, short);
        }
        self.levels[0] -= 1.0;
        self.levels[1] -= job.counted_input() as f64;
        self.charged[0] += 1.0;
        self.charged[1] += job.counted_input() as f64;
        let output = job.output as f64;
        match self.spec.output {
            OutputRule::Upfront => {
                self.levels[2] -= output;
                self.charged[2] += output;
            }
            OutputRule::AtEnd => {
                self.unproduced += output;
                self.then(at + silence + span, 0.0, output);
            }
            OutputRule::Live => {
                self.unproduced += output;
                let speed = output / (span.max(1) as f64 / SECOND as f64);
                self.then(at + silence, speed, 0.0);
                self.then(at + silence + span, -speed, 0.0);
            }
            OutputRule::Reserved => {
                let reserved = job.max_tokens as f64;
                self.levels[2] -= reserved;
                self.charged[2] += reserved;
                self.then(at + silence + span, 0.0, output - reserved);
            }
        }
        Reception::Admitted(self.shown())
    }

    fn then(&mut self, at: Time, speed: f64, taken: f64) {
        self.changes.push(Reverse((at, self.due.len() as u64)));
        self.due.push((speed, taken));
    }

    /// What the server's clock shows now, in Unix seconds.
    fn clock(&self) -> f64 {
        let now = self.now as f64 / SECOND as f64;
        let step = match self.spec.skew_step {
            Some((from, step)) if now >= from => step,
            _ => 0.0,
        };
        EPOCH + now + self.spec.skew + step
    }

    /// What the server's clock shows now, in whole seconds.
    pub fn date(&self) -> i64 {
        self.clock().floor() as i64
    }

    /// What meters show now.
    pub fn shown(&self) -> Option<Shown> {
        if !self.spec.headers {
            return None;
        }
        let mut shown = Shown {
            limits: [0; 3],
            remaining: [0; 3],
            reset: [0; 3],
        };
        for i in 0..3 {
            self.show(&mut shown, i);
        }
        Some(shown)
    }

    /// A head is written that was begun when its request was admitted.
    pub fn write(&mut self, at: Time, answer: &mut Answer) {
        self.advance(at);
        answer.date = self.date();
        if let Some(shown) = &mut answer.shown {
            if !self.spec.output_shown_early {
                self.show(shown, 2);
            }
            if self.spec.input_shown_late {
                self.show(shown, 1);
            }
        }
    }

    fn show(&self, shown: &mut Shown, i: usize) {
        let (limit, capacity) = (self.limits()[i], self.capacities()[i]);
        let level = self.levels[i].max(0.0);
        let rounded = if i == 0 {
            level.floor()
        } else {
            (level / self.spec.rounding).round() * self.spec.rounding
        };
        let missing = (capacity - self.levels[i]).max(0.0);
        shown.limits[i] = limit as u64;
        shown.remaining[i] = (rounded as u64).min(shown.limits[i]);
        shown.reset[i] = (self.clock() + missing / (limit / 60.0)).floor() as i64;
    }

    /// Whether a good answer bears a `retry-after`, and which.
    pub fn stray(&self, chance: &mut fastrand::Rng) -> Option<u64> {
        (chance.f64() < self.spec.stray_retry_after).then(|| chance.u64(3..61))
    }
}
