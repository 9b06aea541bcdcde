//! The slow and obvious twin of each limit algorithm: a list of what was
//! charged, walked through for each question, in rational numbers where the
//! algorithm has fractions.

use num_bigint::BigInt;
use num_rational::BigRational;

/// What must come of a question.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expect {
    Passes,
    NotYet,
    Never,
    /// It lies between what the rules demand and what they allow.
    NotYetOrPasses,
}

/// What was charged: when it was entered, and what of it was not given back.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    pub at: u64,
    pub amount: u64,
}

/// A limit in the terms of its definition.
pub trait Naive {
    fn expect(&self, now: u64, amount: u64) -> Expect;
    /// Enters a charge; it gets the next number, from 0.
    fn enter(&mut self, now: u64, amount: u64);
    /// So much of the charge of this number is given back.
    fn give_back(&mut self, now: u64, number: usize, amount: u64);
}

fn yes(passes: bool) -> Expect {
    if passes {
        Expect::Passes
    } else {
        Expect::NotYet
    }
}

pub fn int(n: impl Into<BigInt>) -> BigRational {
    BigRational::from_integer(n.into())
}

/// `count` in `period` nanoseconds, for each nanosecond.
pub fn rate(count: u64, period: u64) -> BigRational {
    BigRational::new(count.into(), period.into())
}

/// A token bucket: a level that rises to the burst, and falls by each charge.
#[derive(Clone, Debug)]
pub struct Bucket {
    pub rate: BigRational,
    pub burst: u64,
    /// Net of what was given back.
    pub net: Vec<Entry>,
    /// As if nothing had ever been given back.
    pub gross: Vec<Entry>,
}

impl Bucket {
    pub fn new(rate: BigRational, burst: u64) -> Self {
        Self {
            rate,
            burst,
            net: Vec::new(),
            gross: Vec::new(),
        }
    }

    pub fn level(&self, charges: &[Entry], now: u64) -> BigRational {
        let full = int(self.burst);
        let (mut level, mut then) = (full.clone(), 0);
        for charge in charges {
            if charge.at > then {
                level = (level + int(charge.at - then) * &self.rate).min(full.clone());
                then = charge.at;
            }
            level -= int(charge.amount);
        }
        (level + (int(now) - int(then)) * &self.rate).min(full)
    }
}

impl Naive for Bucket {
    fn expect(&self, now: u64, amount: u64) -> Expect {
        if amount > self.burst {
            return Expect::Never;
        }
        let holds = |charges: &[Entry]| self.level(charges, now) >= int(amount);
        // Of what was given back entirely there need not be a trace.
        let mut net = self.net.clone();
        net.retain(|charge| charge.amount > 0);
        match (holds(&self.gross), holds(&net)) {
            (true, _) => Expect::Passes,
            (false, false) => Expect::NotYet,
            (false, true) => Expect::NotYetOrPasses,
        }
    }

    fn enter(&mut self, at: u64, amount: u64) {
        self.net.push(Entry { at, amount });
        self.gross.push(Entry { at, amount });
    }

    fn give_back(&mut self, _now: u64, number: usize, amount: u64) {
        self.net[number].amount -= amount;
    }
}

/// Steady spacing: each begins when the one before it has had its time.
#[derive(Clone, Debug)]
pub struct Spacing {
    rate: BigRational,
    entries: Vec<Entry>,
    /// Those that were not given back entirely while they were the newest: when
    /// they began, and when they have had their time.
    queue: Vec<(usize, BigRational, BigRational)>,
}

impl Spacing {
    pub fn new(rate: BigRational) -> Self {
        Self {
            rate,
            entries: Vec::new(),
            queue: Vec::new(),
        }
    }

    fn free(&self) -> BigRational {
        self.queue
            .last()
            .map_or_else(|| int(0), |(_, _, end)| end.clone())
    }
}

impl Naive for Spacing {
    fn expect(&self, now: u64, _amount: u64) -> Expect {
        yes(int(now) >= self.free())
    }

    fn enter(&mut self, at: u64, amount: u64) {
        let began = self.free().max(int(at));
        let end = &began + int(amount) / &self.rate;
        self.queue.push((self.entries.len(), began, end));
        self.entries.push(Entry { at, amount });
    }

    fn give_back(&mut self, _now: u64, number: usize, amount: u64) {
        let entry = &mut self.entries[number];
        entry.amount -= amount;
        let left = entry.amount;
        if amount == 0 || self.queue.last().is_none_or(|newest| newest.0 != number) {
            return;
        }
        if left == 0 {
            self.queue.pop();
        } else if let Some((_, began, end)) = self.queue.last_mut() {
            *end = &*began + int(left) / &self.rate;
        }
    }
}

/// A sliding log: the sum over the window that ends now, and as many entries.
#[derive(Clone, Debug)]
pub struct Log {
    pub limit: u64,
    pub window: u64,
    pub room: usize,
    entries: Vec<Entry>,
}

impl Log {
    pub fn new(limit: u64, window: u64, room: usize) -> Self {
        Self {
            limit,
            window,
            room,
            entries: Vec::new(),
        }
    }

    fn latest(&self) -> u64 {
        self.entries.iter().map(|e| e.at).max().unwrap_or(0)
    }

    /// Whether no entry is free; what passed at one instant is one.
    pub fn is_full(&self, now: u64) -> bool {
        let mut times: Vec<u64> = self.live(now).map(|entry| entry.at).collect();
        times.dedup();
        times.len() >= self.room
    }

    fn live(&self, now: u64) -> impl Iterator<Item = &Entry> {
        let alive = move |e: &&Entry| e.amount > 0 && e.at + self.window > now;
        self.entries.iter().filter(alive)
    }
}

impl Naive for Log {
    fn expect(&self, now: u64, amount: u64) -> Expect {
        let now = now.max(self.latest());
        if amount > self.limit || (amount > 0 && self.room == 0) {
            return Expect::Never;
        }
        let sum: u128 = self.live(now).map(|entry| u128::from(entry.amount)).sum();
        let fits = sum + u128::from(amount) <= u128::from(self.limit);
        yes(fits && (amount == 0 || !self.is_full(now)))
    }

    fn enter(&mut self, now: u64, amount: u64) {
        let at = now.max(self.latest());
        self.entries.push(Entry { at, amount });
    }

    fn give_back(&mut self, _now: u64, number: usize, amount: u64) {
        self.entries[number].amount -= amount;
    }
}

/// Where windows begin.
#[derive(Clone, Copy, Debug)]
pub enum Align {
    /// Before and after this instant, for ever.
    Edge(u64),
    /// With the first use, for ever after.
    First,
    /// With the first use after each.
    Each,
}

/// Windows of one length, and what was charged in each.
#[derive(Clone, Debug)]
pub struct Windows {
    pub length: u64,
    pub align: Align,
    /// The start of the window that it was charged in, and what is left of it.
    entries: Vec<(i128, u64)>,
    newest: Option<i128>,
}

impl Windows {
    pub fn new(length: u64, align: Align) -> Self {
        Self {
            length,
            align,
            entries: Vec::new(),
            newest: None,
        }
    }

    /// The start of the window of `now`; where the clock went back, of the
    /// newest that was used.
    pub fn start(&self, now: u64) -> i128 {
        let (now, length) = (i128::from(now), i128::from(self.length));
        let start = match (self.align, self.newest) {
            (Align::Edge(edge), _) => {
                let edge = i128::from(edge);
                edge + (now - edge).div_euclid(length) * length
            }
            (Align::First, Some(first)) => first + (now - first).div_euclid(length) * length,
            (Align::Each, Some(newest)) if now < newest + length => newest,
            (Align::First | Align::Each, _) => now,
        };
        self.newest.map_or(start, |newest| start.max(newest))
    }

    pub fn used(&self, start: i128) -> u128 {
        let there = self.entries.iter().filter(|entry| entry.0 == start);
        there.map(|entry| u128::from(entry.1)).sum()
    }

    fn enter(&mut self, now: u64, amount: u64) {
        let start = self.start(now);
        self.newest = Some(start);
        self.entries.push((start, amount));
    }

    fn give_back(&mut self, number: usize, amount: u64) {
        self.entries[number].1 -= amount;
    }
}

/// A fixed window: a sum, and a line that it must not be ahead of.
#[derive(Clone, Debug)]
pub struct Fixed {
    pub limit: u64,
    /// How much may be spent before its time; the limit where it is not paced.
    pub ahead: u64,
    pub windows: Windows,
}

impl Naive for Fixed {
    fn expect(&self, now: u64, amount: u64) -> Expect {
        if amount > self.limit {
            return Expect::Never;
        }
        let start = self.windows.start(now);
        let used = int(self.windows.used(start));
        let passed = (int(now) - int(start)).max(int(0)) / int(self.windows.length);
        let line = int(self.ahead) + int(self.limit) * passed;
        yes(&used + int(amount) <= int(self.limit) && used <= line)
    }

    fn enter(&mut self, now: u64, amount: u64) {
        self.windows.enter(now, amount);
    }

    fn give_back(&mut self, _now: u64, number: usize, amount: u64) {
        self.windows.give_back(number, amount);
    }
}

/// A sliding counter: this window, and of the one before what is still covered.
#[derive(Clone, Debug)]
pub struct Counter {
    pub limit: u64,
    pub windows: Windows,
}

impl Naive for Counter {
    fn expect(&self, now: u64, amount: u64) -> Expect {
        if amount > self.limit {
            return Expect::Never;
        }
        let start = self.windows.start(now);
        let length = int(self.windows.length);
        let passed = (int(now) - int(start)).max(int(0)) / &length;
        let before = int(self.windows.used(start - i128::from(self.windows.length)));
        let count = before * (int(1) - passed) + int(self.windows.used(start));
        yes(count + int(amount) <= int(self.limit))
    }

    fn enter(&mut self, now: u64, amount: u64) {
        self.windows.enter(now, amount);
    }

    fn give_back(&mut self, _now: u64, number: usize, amount: u64) {
        self.windows.give_back(number, amount);
    }
}

/// A ramp by windows: what the one before used, and a step.
#[derive(Clone, Debug)]
pub struct Steps {
    pub least: u64,
    pub step: u64,
    pub most: u64,
    pub windows: Windows,
}

impl Naive for Steps {
    fn expect(&self, now: u64, amount: u64) -> Expect {
        if amount > self.most {
            return Expect::Never;
        }
        let start = self.windows.start(now);
        let used = self.windows.used(start);
        let before = self.windows.used(start - i128::from(self.windows.length));
        let allowed = (before + u128::from(self.step))
            .max(u128::from(self.least))
            .min(u128::from(self.most));
        yes(used == 0 || used + u128::from(amount) <= allowed)
    }

    fn enter(&mut self, now: u64, amount: u64) {
        self.windows.enter(now, amount);
    }

    fn give_back(&mut self, _now: u64, number: usize, amount: u64) {
        self.windows.give_back(number, amount);
    }
}

/// A smooth ramp, nanosecond by nanosecond: for short times only, and a clock
/// that does not go back.
#[derive(Clone, Debug)]
pub struct Smooth {
    pub least: u64,
    pub step: u64,
    pub most: u64,
    pub period: u64,
    pub burst: u64,
    /// In parts of a token, 64 a nanosecond of the period.
    level: i128,
    then: u64,
    /// How many nanoseconds it has risen.
    risen: u64,
}

impl Smooth {
    pub fn new([least, step, most, period, burst]: [u64; 5]) -> Self {
        Self {
            least,
            step,
            most,
            period,
            burst,
            level: i128::from(burst) * i128::from(64 * period),
            then: 0,
            risen: 0,
        }
    }

    fn parts(&self, amount: u64) -> i128 {
        i128::from(amount) * i128::from(64 * self.period)
    }

    /// For how long each rate holds.
    fn slice(&self) -> u64 {
        (self.period / 64).max(1)
    }

    /// The nanoseconds in which it rises to the most.
    fn rise(&self) -> u64 {
        (64 * (self.most - self.least)).div_ceil(self.step) * self.slice()
    }

    fn run(&mut self, now: u64) {
        let full = self.parts(self.burst);
        while self.then < now {
            if self.level >= full && self.risen == 0 {
                self.then = now;
                return;
            }
            self.then += 1;
            if self.level >= full {
                self.risen -= 1;
                continue;
            }
            let rate = 64 * self.least + self.step * (self.risen / self.slice());
            self.level += i128::from(rate.min(64 * self.most));
            self.level = self.level.min(full);
            self.risen = (self.risen + 1).min(self.rise());
        }
    }
}

impl Naive for Smooth {
    fn expect(&self, now: u64, amount: u64) -> Expect {
        if amount > self.burst {
            return Expect::Never;
        }
        let mut then = self.clone();
        then.run(now);
        yes(then.level >= self.parts(amount))
    }

    fn enter(&mut self, now: u64, amount: u64) {
        self.run(now);
        self.level -= self.parts(amount);
    }

    fn give_back(&mut self, _now: u64, _number: usize, amount: u64) {
        assert_eq!(amount, 0, "what the ramp rose to for it is not undone");
    }
}

/// Places under way: each until it is given back, or its slice has expired.
#[derive(Clone, Debug)]
pub struct Places {
    pub cap: u64,
    /// Nanoseconds.
    pub lifetime: u64,
    entries: Vec<Entry>,
    /// The latest instant of anything: it never goes back inside.
    latest: u64,
}

impl Places {
    pub fn new(cap: u64, lifetime: u64) -> Self {
        Self {
            cap,
            lifetime,
            entries: Vec::new(),
            latest: 0,
        }
    }

    pub fn taken(&self, now: u64) -> u64 {
        let now = now.max(self.latest);
        let slice = self.lifetime.div_ceil(8);
        let live = |e: &&Entry| (e.at / slice + 9) * slice > now;
        self.entries.iter().filter(live).map(|e| e.amount).sum()
    }
}

impl Naive for Places {
    fn expect(&self, now: u64, amount: u64) -> Expect {
        if amount > self.cap {
            return Expect::Never;
        }
        yes(self.taken(now) + amount <= self.cap)
    }

    fn enter(&mut self, now: u64, amount: u64) {
        let at = now.max(self.latest);
        self.latest = at;
        self.entries.push(Entry { at, amount });
    }

    fn give_back(&mut self, now: u64, number: usize, amount: u64) {
        self.latest = self.latest.max(now);
        self.entries[number].amount -= amount;
    }
}

/// Several: what all of them let pass.
#[derive(Debug)]
pub struct All(pub Vec<Box<dyn Twin>>);

/// A twin of any kind.
pub trait Twin: Naive + core::fmt::Debug {}

impl<N: Naive + core::fmt::Debug> Twin for N {}

impl Naive for All {
    fn expect(&self, now: u64, amount: u64) -> Expect {
        let all = self.0.iter().map(|naive| naive.expect(now, amount));
        all.fold(Expect::Passes, |so_far, next| match (so_far, next) {
            (Expect::Never, _) | (_, Expect::Never) => Expect::Never,
            (Expect::NotYet, _) | (_, Expect::NotYet) => Expect::NotYet,
            (Expect::Passes, next) => next,
            (so_far, _) => so_far,
        })
    }

    fn enter(&mut self, now: u64, amount: u64) {
        for naive in &mut self.0 {
            naive.enter(now, amount);
        }
    }

    fn give_back(&mut self, now: u64, number: usize, amount: u64) {
        for naive in &mut self.0 {
            naive.give_back(now, number, amount);
        }
    }
}
