//! The server: meters for requests, input and output, what else it refuses for,
//! and what its response heads show.

mod meter;
mod others;
mod ramp;
mod spec;

use std::{cmp::Reverse, collections::BinaryHeap};

use self::{
    meter::{Counts, Meter},
    others::Others,
    ramp::Ramp,
};
use crate::{
    SECOND, Time,
    head::{Answer, Shown},
    seconds,
    work::Job,
};

pub use self::{
    meter::Kind,
    spec::{Acceleration, Heads, OthersSpec, OutputRule, ServerSpec},
};

/// When the world begins, by a true clock, in Unix seconds: in 2026.
pub const EPOCH: f64 = 1_780_000_000.0;

/// The state of a server.
#[derive(Debug)]
pub struct Server {
    spec: ServerSpec,
    now: Time,
    /// The workspace's, then the organisation's.
    meters: Vec<Meter>,
    /// From which on others take.
    shared: usize,
    others: Option<Others>,
    ramp: Option<Ramp>,
    /// When each of those under way is through.
    streams: BinaryHeap<Reverse<Time>>,
    spent: f64,
    changed: bool,
    /// Tokens a second that all streams together produce.
    producing: f64,
    /// Output admitted and not charged yet, under rules that charge it later.
    unproduced: f64,
    changes: BinaryHeap<Reverse<(Time, usize)>>,
    due: Vec<Due>,
    /// Since the start: charged of requests, input and output.
    pub charged: [f64; 3],
}

/// What becomes of output later.
#[derive(Clone, Copy, Debug)]
enum Due {
    /// So many more tokens a second are produced, or less.
    Speed(f64),
    /// It is charged.
    Taken(f64),
    /// It was reserved then, and is given back.
    Back(Time, f64),
}

/// What the server does with a request.
#[derive(Clone, Copy, Debug)]
pub enum Reception {
    /// It answers. What its head will show of requests and input; of output it
    /// shows what is true when it is [written](Server::write).
    Admitted(Option<Shown>),
    /// It refuses: 429, with the seconds to wait.
    Refused(Option<Shown>, Option<u64>, Why),
    /// It is overloaded: 529.
    Overloaded,
}

/// Why the server refuses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Why {
    /// For want of requests, input or output; it may lack several.
    Short([bool; 3]),
    /// Too many are under way.
    Concurrency,
    /// Use grows too fast: what it may be a minute, now and from the next
    /// minute on.
    Acceleration([u64; 2]),
    /// All that may be spent is spent.
    Spent,
}

/// Not before then, and why.
#[derive(Clone, Copy, Debug)]
struct Denial {
    until: Time,
    why: Why,
}

impl Server {
    /// A server whose buckets hold `levels`.
    pub fn holding(spec: ServerSpec, levels: [f64; 3]) -> Self {
        let mut server = Self::new(spec);
        for (meter, level) in server.meters.iter_mut().zip(levels) {
            meter.fill(level);
        }
        server
    }

    /// A server of which nothing was taken.
    pub fn new(spec: ServerSpec) -> Self {
        let clock = EPOCH + spec.skew;
        let counts: &[Counts] = if spec.together {
            &[Counts::Requests, Counts::Tokens]
        } else {
            &[Counts::Requests, Counts::Input, Counts::Output]
        };
        let pool = |limits: [f64; 3]| {
            let limits = counts.iter().copied().zip(limits);
            limits.map(|(counts, limit)| Meter::new(spec.kind, counts, limit, spec.capacity, clock))
        };
        let mut meters: Vec<Meter> = pool(spec.limits).collect();
        let mut shared = 0;
        if let Some(limits) = spec.organisation {
            shared = meters.len();
            meters.extend(pool(limits));
        }
        Self {
            now: 0,
            meters,
            shared,
            others: spec.others.map(Others::new),
            ramp: spec.acceleration.map(|spec| Ramp::new(spec, clock)),
            streams: BinaryHeap::new(),
            spent: 0.0,
            changed: false,
            producing: 0.0,
            unproduced: 0.0,
            changes: BinaryHeap::new(),
            due: Vec::new(),
            charged: [0.0; 3],
            spec,
        }
    }

    /// Lets time pass.
    pub fn advance(&mut self, to: Time) {
        loop {
            let due = self.next_change();
            let others = self.others.as_ref().map(Others::next);
            let change = self.next_limits();
            let Some(next) = [due, others, change].into_iter().flatten().min() else {
                break;
            };
            if next > to {
                break;
            }
            self.flow(next);
            if change == Some(next) {
                self.change_limits();
            } else if due == Some(next) {
                self.fall_due();
            } else if let Some(others) = &mut self.others {
                let span = others.take();
                for meter in self.meters.iter_mut().skip(self.shared) {
                    meter.claim(next, meter.limit / 60.0 * span);
                }
            }
        }
        self.flow(to);
        while self.streams.peek().is_some_and(|end| end.0 <= self.now) {
            self.streams.pop();
        }
    }

    /// When limits change, if they will.
    fn next_limits(&self) -> Option<Time> {
        let (from, _) = self.spec.change.filter(|_| !self.changed)?;
        Some(seconds(from))
    }

    fn change_limits(&mut self) {
        self.changed = true;
        let factor = self.spec.change.map_or(1.0, |(_, factor)| factor);
        for meter in &mut self.meters {
            meter.limit = (meter.limit * factor).round();
        }
        // What a smaller one cannot hold is lost at once.
        self.flow(self.now);
    }

    /// The first that is due: charged, given back, or another speed.
    fn fall_due(&mut self) {
        let Some(Reverse((at, place))) = self.changes.pop() else {
            return;
        };
        match self.due[place] {
            Due::Speed(speed) => self.producing += speed,
            Due::Taken(output) => {
                self.take([0.0, 0.0, output]);
                self.unproduced -= output;
            }
            Due::Back(then, output) => {
                debug_assert!(then <= at);
                for meter in &mut self.meters {
                    meter.give_back(then, meter.counts.of([0.0, 0.0, output]));
                }
                self.charged[2] -= output;
            }
        }
    }

    /// Refill and production, at constant speeds.
    fn flow(&mut self, to: Time) {
        let to = to.max(self.now);
        let span = (to - self.now) as f64 / SECOND as f64;
        let produced = self.producing.max(0.0) * span;
        for meter in &mut self.meters {
            let taken = meter.counts.of([0.0, 0.0, produced]);
            meter.flow(self.now, to, taken);
        }
        if let Some(ramp) = &mut self.ramp {
            ramp.advance(to);
        }
        self.charged[2] += produced;
        self.unproduced -= produced;
        self.now = to;
    }

    fn take(&mut self, amounts: [f64; 3]) {
        for meter in &mut self.meters {
            meter.take(self.now, meter.counts.of(amounts));
        }
        for (charged, amount) in self.charged.iter_mut().zip(amounts) {
            *charged += amount;
        }
    }

    /// When no meter is below zero any more, if nothing else arrives.
    pub fn settled(&mut self) -> Time {
        loop {
            let meters = self.meters.iter().enumerate();
            let spans =
                meters.map(|(place, meter)| meter.settled_in(self.now, self.others_share(place)));
            let then = self.now + seconds(spans.fold(0.0, f64::max));
            match self.next_limits() {
                Some(edge) if edge < then => self.advance(edge),
                _ => return then,
            }
        }
    }

    /// Which part others take of what comes in to a meter.
    fn others_share(&self, place: usize) -> f64 {
        let others = self.spec.others.filter(|_| place >= self.shared);
        others.map_or(0.0, |others| others.share)
    }

    /// When it next charges or gives back something.
    pub fn next_change(&self) -> Option<Time> {
        self.changes.peek().map(|&Reverse((at, _))| at)
    }

    /// What the job needs to be there.
    fn needs(&self, job: &Job) -> [f64; 3] {
        let output = match self.spec.output {
            OutputRule::Upfront => job.output as f64,
            OutputRule::Reserved | OutputRule::Asked => job.max_tokens as f64,
            OutputRule::Live | OutputRule::AtEnd => f64::MIN_POSITIVE,
        };
        [1.0, job.counted_input() as f64, output]
    }

    /// Whether `job` can be sent so that it arrives at `at` and output never
    /// falls into a debt of more than what comes in `debt` minutes, for one who
    /// knows what all will produce; if not, when it might. A server that counts
    /// output as it is produced admits as long as anything is left: whoever sent
    /// all at once would be through before the meter shows it, and in debt for
    /// long.
    pub fn sustains_at(&mut self, at: Time, job: &Job, debt: f64) -> Result<(), Time> {
        self.admits_at(at, job)?;
        if !matches!(self.spec.output, OutputRule::Live | OutputRule::AtEnd) {
            return Ok(());
        }
        // All that is under way is through when this is, or later.
        let until_end = (job.silence + job.span) as f64 / SECOND as f64;
        for (place, meter) in self.meters.iter().enumerate() {
            if !matches!(meter.counts, Counts::Output | Counts::Tokens) {
                continue;
            }
            let rate = meter.limit / 60.0 * (1.0 - self.others_share(place));
            let then = (meter.level() + rate * until_end).min(meter.capacity());
            let short = self.unproduced + job.output as f64 - then - debt * rate * 60.0;
            if short > 0.0 {
                return Err(at + seconds(short / rate).max(1_000_000));
            }
        }
        Ok(())
    }

    /// Whether `job` would be admitted if it arrived at `at`, and if not, when
    /// it might be; the end of time where it never would.
    pub fn admits_at(&mut self, at: Time, job: &Job) -> Result<(), Time> {
        self.advance(at);
        if let Some(end) = self.outage(self.now) {
            return Err(end);
        }
        self.check(job).map_err(|denial| denial.until)
    }

    /// Whether there is an outage at that time.
    pub fn is_down(&self, at: Time) -> bool {
        self.outage(at).is_some()
    }

    /// When the outage at that time ends, if there is one.
    fn outage(&self, at: Time) -> Option<Time> {
        let outages = self.spec.outages.iter().copied();
        let mut spans = outages.map(|(from, span)| (seconds(from), seconds(from + span)));
        spans.find_map(|(from, to)| (from..to).contains(&at).then_some(to))
    }

    fn check(&self, job: &Job) -> Result<(), Denial> {
        let deny = |until: Time, why| Err(Denial { until, why });
        if self.spec.spend.is_some_and(|most| self.spent >= most) {
            return deny(Time::MAX, Why::Spent);
        }
        let most = self.spec.concurrency.unwrap_or(usize::MAX);
        if let Some(&Reverse(end)) = self.streams.peek().filter(|_| self.streams.len() >= most) {
            return deny(end, Why::Concurrency);
        }
        if let Some(ramp) = &self.ramp {
            let limit = self.spec.limits[1];
            if let Err(edge) = ramp.admits(limit, job.counted_input() as f64) {
                let allowed = ramp.allowed(limit).map(|allowed| allowed.min(limit) as u64);
                return deny(edge, Why::Acceleration(allowed));
            }
        }
        let needs = self.needs(job);
        let mut short = [false; 3];
        let mut wait = 0.0_f64;
        for meter in &self.meters {
            let missing = meter.wait(self.now, meter.counts.of(needs));
            if missing > 0.0 {
                wait = wait.max(missing);
                short[meter.counts.place()] = true;
            }
        }
        if wait > 0.0 {
            return deny(self.now + seconds(wait).max(1_000_000), Why::Short(short));
        }
        Ok(())
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
        let by_chance = chance.f64() < self.spec.overloaded;
        if by_chance || self.outage(self.now).is_some() {
            return Reception::Overloaded;
        }
        if let Err(denial) = self.check(job) {
            if self.spec.refusals_count && matches!(denial.why, Why::Short(_)) {
                self.take([1.0, 0.0, 0.0]);
            }
            let wait = match denial.why {
                Why::Spent => None,
                Why::Concurrency => Some(1),
                Why::Short(_) | Why::Acceleration(_) => Some((denial.until - at).div_ceil(SECOND)),
            };
            let wait = wait.filter(|_| self.spec.retry_after);
            return Reception::Refused(self.shown(), wait, denial.why);
        }
        self.admit(at, job, silence, span);
        Reception::Admitted(self.shown())
    }

    fn admit(&mut self, at: Time, job: &Job, silence: Time, span: Time) {
        let (input, output) = (job.counted_input() as f64, job.output as f64);
        let end = at + silence + span;
        self.take([1.0, input, 0.0]);
        self.spent += input + 5.0 * output;
        self.streams.push(Reverse(end));
        if let Some(ramp) = &mut self.ramp {
            ramp.take(input);
        }
        match self.spec.output {
            OutputRule::Upfront => self.take([0.0, 0.0, output]),
            OutputRule::AtEnd => {
                self.unproduced += output;
                self.then(end, Due::Taken(output));
            }
            OutputRule::Live => {
                self.unproduced += output;
                let speed = output / (span.max(1) as f64 / SECOND as f64);
                self.then(at + silence, Due::Speed(speed));
                self.then(end, Due::Speed(-speed));
            }
            OutputRule::Reserved => {
                let reserved = job.max_tokens as f64;
                self.take([0.0, 0.0, reserved]);
                self.then(end, Due::Back(at, reserved - output));
            }
            OutputRule::Asked => self.take([0.0, 0.0, job.max_tokens as f64]),
        }
    }

    fn then(&mut self, at: Time, due: Due) {
        self.changes.push(Reverse((at, self.due.len())));
        self.due.push(due);
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
        if self.spec.heads == Heads::Bare {
            return None;
        }
        let mut shown = Shown::default();
        for place in 0..3 {
            self.show(&mut shown, place);
        }
        Some(shown)
    }

    /// The head of an answer to a request that arrives now.
    pub fn answer(&self, status: u16) -> Answer {
        Answer {
            status,
            heads: self.spec.heads,
            shown: None,
            retry_after: None,
            date: self.date(),
            why: None,
            says_why: self.spec.says_why,
        }
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

    /// The most restrictive at `place` is shown.
    fn show(&self, shown: &mut Shown, place: usize) {
        let meters = self.meters.iter();
        let there = meters.filter(|meter| meter.counts.place() == place);
        let Some(meter) = there.min_by(|a, b| a.level().total_cmp(&b.level())) else {
            return;
        };
        let level = meter.level().max(0.0);
        let rounded = if place == 0 {
            level.floor()
        } else {
            (level / self.spec.rounding).round() * self.spec.rounding
        };
        let whole_in = meter.whole_in(self.now);
        shown.limits[place] = meter.limit as u64;
        shown.remaining[place] = (rounded as u64).min(shown.limits[place]);
        shown.reset[place] = (self.clock() + whole_in).floor() as i64;
        shown.whole_in_ms[place] = (whole_in * 1_000.0).ceil() as u64;
    }

    /// Whether a good answer bears a `retry-after`, and which.
    pub fn stray(&self, chance: &mut fastrand::Rng) -> Option<u64> {
        (chance.f64() < self.spec.stray_retry_after).then(|| chance.u64(3..61))
    }
}
