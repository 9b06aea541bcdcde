//! Any list of operations on each limit algorithm: it says what its slow and
//! obvious twin says, with a clock that moves.
//!
//! The first byte picks the algorithm, the next eight its settings, and then
//! each three bytes are an operation.

#[path = "limits_ops/drive.rs"]
pub mod drive;
#[path = "limits_ops/oracle.rs"]
pub mod oracle;

use core::time::Duration;

use sendwhen::{
    Blocked, FixedWindow, InFlight, Instant, Limit, LogEntry, Quota, Rate, SlidingCounter,
    SlidingLog, Slot, SmoothRamp, Spacing, StepRamp, Together, TokenBucket,
};

use drive::{Op, drive};
use oracle::{Align, Windows};

/// How many algorithms there are to pick from.
pub const KINDS: u8 = 13;

/// Panics where something does not hold.
pub fn check(data: &[u8]) {
    let Some((&kind, rest)) = data.split_first() else {
        return;
    };
    let (settings, rest) = rest.split_at(rest.len().min(8));
    run(kind % KINDS, &Settings::decode(settings), rest);
}

/// What a limit is made with.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    pub count: u64,
    /// In nanoseconds.
    pub period: u64,
    pub burst: u64,
    pub edge: u64,
}

impl Settings {
    pub fn decode(bytes: &[u8]) -> Self {
        let byte = |place: usize| u64::from(bytes.get(place).copied().unwrap_or(1));
        Self {
            count: 1 + byte(0) % 40,
            // From one nanosecond to a minute, and rarely round.
            period: 1 + ((byte(1) << 8 | byte(2)) << (byte(3) % 21)),
            burst: 1 + byte(4) % 40,
            edge: (byte(5) << 8 | byte(6)) << (byte(7) % 24),
        }
    }

    pub fn period(&self) -> Duration {
        Duration::from_nanos(self.period)
    }

    pub fn rate(&self) -> Rate {
        Rate::per(self.count, self.period()).unwrap()
    }

    pub fn naive_rate(&self) -> num_rational::BigRational {
        oracle::rate(self.count, self.period)
    }

    pub fn edge(&self) -> Instant {
        Instant::from_nanos(self.edge)
    }
}

/// Three bytes are what is done, and to how much.
pub fn operations(bytes: &[u8], period: u64, may: May) -> Vec<Op> {
    let operation = |bytes: &[u8]| {
        let &[verb, a, b] = bytes else {
            return None;
        };
        let amount = u64::from(a % 50);
        // In sixteenths of the period, and some nanoseconds.
        let span = (u64::from(a) * period / 16).saturating_add(u64::from(b));
        Some(match verb % 16 {
            0..=5 => Op::Acquire(amount),
            6 if may.charge => Op::Charge(amount),
            7..=9 if may.refund => Op::Refund(b.into(), amount),
            10 if may.go_back => Op::Back(span),
            _ => Op::Advance(span),
        })
    };
    bytes.chunks(3).filter_map(operation).collect()
}

/// What may be done to an algorithm so that its twin knows exactly what it does.
#[derive(Clone, Copy)]
pub struct May {
    pub charge: bool,
    pub refund: bool,
    pub go_back: bool,
}

pub const ALL: May = May {
    charge: true,
    refund: true,
    go_back: true,
};

/// Runs the operations that `bytes` are on the algorithm of this number.
pub fn run(kind: u8, s: &Settings, bytes: &[u8]) {
    let ops = operations(bytes, s.period, ALL);
    let edge = |windows| oracle::Fixed {
        limit: s.burst,
        ahead: s.burst,
        windows,
    };
    let ahead = s.edge % (s.burst + 1);
    match kind {
        0 => {
            let mut limit = TokenBucket::new(s.rate(), s.burst).unwrap();
            let mut naive = oracle::Bucket::new(s.naive_rate(), s.burst);
            let admitted = drive(
                &mut limit,
                &mut naive,
                &operations(bytes, s.period, REFUSING),
            );
            within(&admitted, s.burst, s.count, s.period);
        }
        1 => {
            let mut limit = TokenBucket::new(s.rate(), s.burst).unwrap();
            let mut naive = oracle::Bucket::new(s.naive_rate(), s.burst);
            drive(&mut limit, &mut naive, &ops);
        }
        2 => {
            let limit = s.count + s.burst;
            let mut strict = TokenBucket::strict(limit, s.period(), s.burst).unwrap();
            let mut naive = oracle::Bucket::new(s.naive_rate(), s.burst);
            let ops = operations(bytes, s.period, REFUSING);
            let admitted = drive(&mut strict, &mut naive, &ops);
            in_each_window(&admitted, limit, s.period + 1);
        }
        3 => {
            let mut limit = Spacing::new(s.rate());
            drive(&mut limit, &mut oracle::Spacing::new(s.naive_rate()), &ops);
        }
        4 => {
            let may = May {
                charge: false,
                ..ALL
            };
            let room = usize::try_from(s.count).unwrap() % 8;
            let mut limit = log(s, room);
            let mut naive = oracle::Log::new(s.burst, s.period, room);
            drive(&mut limit, &mut naive, &operations(bytes, s.period, may));
        }
        5 => {
            let mut limit = log(s, 6);
            let mut naive = oracle::Log::new(s.burst, s.period, 6);
            let admitted = drive(
                &mut limit,
                &mut naive,
                &operations(bytes, s.period, REFUSING),
            );
            in_each_window(&admitted, s.burst, s.period);
        }
        6 => {
            let limit = SlidingCounter::new(s.burst, s.period()).unwrap();
            let naive = |align| oracle::Counter {
                limit: s.burst,
                windows: Windows::new(s.period, align),
            };
            drive(&mut limit.clone(), &mut naive(Align::First), &ops);
            let mut aligned = limit.aligned_to(s.edge());
            drive(&mut aligned.clone(), &mut naive(Align::Edge(s.edge)), &ops);
            let ops = operations(bytes, s.period, REFUSING);
            let admitted = drive(&mut aligned, &mut naive(Align::Edge(s.edge)), &ops);
            within(&admitted, s.burst, s.burst, s.period);
        }
        7 => {
            let limit = FixedWindow::new(s.burst, s.period()).unwrap();
            let windows = |align| Windows::new(s.period, align);
            drive(&mut limit.clone(), &mut edge(windows(Align::Each)), &ops);
            let mut aligned = limit.aligned_to(s.edge());
            drive(
                &mut aligned.clone(),
                &mut edge(windows(Align::Edge(s.edge))),
                &ops,
            );
            let ops = operations(bytes, s.period, REFUSING);
            let admitted = drive(&mut aligned, &mut edge(windows(Align::Edge(s.edge))), &ops);
            in_each_window(&admitted, 2 * s.burst, s.period);
        }
        8 => {
            let quota = Quota::new(s.burst, s.period()).unwrap().paced(ahead);
            let naive = |align| oracle::Fixed {
                limit: s.burst,
                ahead,
                windows: Windows::new(s.period, align),
            };
            drive(&mut quota.clone(), &mut naive(Align::Each), &ops);
            let mut aligned = quota.aligned_to(s.edge());
            drive(&mut aligned, &mut naive(Align::Edge(s.edge)), &ops);
        }
        9 => {
            let most = s.burst + s.count;
            let step = 1 + s.edge % 9;
            let limit = StepRamp::new(s.burst, step, most, s.period()).unwrap();
            let naive = |align| oracle::Steps {
                least: s.burst,
                step,
                most,
                windows: Windows::new(s.period, align),
            };
            drive(&mut limit.clone(), &mut naive(Align::First), &ops);
            let mut aligned = limit.aligned_to(s.edge());
            drive(&mut aligned, &mut naive(Align::Edge(s.edge)), &ops);
        }
        10 => {
            // Short, since its twin goes nanosecond by nanosecond.
            let period = 1 + s.period % 100;
            let burst = 1 + s.burst % 10;
            let settings = [1 + s.edge % 5, s.count, 5 + s.count, period, burst];
            let [least, step, most, period, burst] = settings;
            let length = Duration::from_nanos(period);
            let mut limit = SmoothRamp::new(least, step, most, length, burst).unwrap();
            let may = May {
                refund: false,
                go_back: false,
                charge: true,
            };
            let mut naive = oracle::Smooth::new(settings);
            drive(&mut limit, &mut naive, &operations(bytes, period, may));
        }
        11 => {
            let lifetime = s.period.max(1_000_000);
            let cap = u32::try_from(s.burst).unwrap();
            let mut limit = Places(InFlight::new(cap, Duration::from_nanos(lifetime)).unwrap());
            let may = May {
                charge: false,
                ..ALL
            };
            let ops = operations(bytes, lifetime, may);
            drive(
                &mut limit,
                &mut oracle::Places::new(s.burst, lifetime),
                &ops,
            );
        }
        _ => {
            // A pool within a pool, of unlike limits.
            let mut limit = Together((
                Some(SlidingCounter::new(s.burst, s.period()).unwrap()),
                Together([FixedWindow::new(s.burst, s.period()).unwrap(); 2]),
                Together((Spacing::new(s.rate()), log(s, 5))),
            ));
            let mut naive = oracle::All(vec![
                Box::new(oracle::Counter {
                    limit: s.burst,
                    windows: Windows::new(s.period, Align::First),
                }),
                Box::new(edge(Windows::new(s.period, Align::Each))),
                Box::new(edge(Windows::new(s.period, Align::Each))),
                Box::new(oracle::Spacing::new(s.naive_rate())),
                Box::new(oracle::Log::new(s.burst, s.period, 5)),
            ]);
            let may = May {
                charge: false,
                ..ALL
            };
            drive(&mut limit, &mut naive, &operations(bytes, s.period, may));
        }
    }
}

/// Only what passes is taken, and the clock does not go back.
pub const REFUSING: May = May {
    charge: false,
    refund: true,
    go_back: false,
};

fn log(s: &Settings, room: usize) -> SlidingLog<Vec<LogEntry>> {
    SlidingLog::new(s.burst, s.period(), vec![LogEntry::EMPTY; room]).unwrap()
}

/// In each span, at most the burst and what came in.
pub fn within(admitted: &[(u64, u64)], burst: u64, count: u64, period: u64) {
    for (first, from) in admitted.iter().enumerate() {
        let mut sum = 0;
        for to in &admitted[first..] {
            sum += u128::from(to.1);
            let span = u128::from(to.0 - from.0);
            let most = u128::from(burst) * u128::from(period) + span * u128::from(count);
            assert!(sum * u128::from(period) <= most, "{sum} in {span} ns");
        }
    }
}

/// In each span shorter than the window, at most the limit.
pub fn in_each_window(admitted: &[(u64, u64)], limit: u64, window: u64) {
    for (first, from) in admitted.iter().enumerate() {
        let inside = admitted[first..].iter().filter(|to| to.0 - from.0 < window);
        let sum: u64 = inside.map(|to| to.1).sum();
        assert!(sum <= limit, "{sum} in a window from {}", from.0);
    }
}

/// An in-flight cap whose amounts are as wide as the others'.
#[derive(Clone, PartialEq, Debug)]
pub struct Places(pub InFlight);

fn narrow(amount: u64) -> u32 {
    u32::try_from(amount).unwrap_or(u32::MAX)
}

impl Limit for Places {
    type Amount = u64;
    type Charge = Slot;

    fn peek(&self, now: Instant, amount: u64) -> Result<(), Blocked> {
        Limit::peek(&self.0, now, narrow(amount))
    }

    fn charge(&mut self, now: Instant, amount: u64) -> Slot {
        self.0.charge(now, narrow(amount))
    }

    fn refund(&mut self, now: Instant, slot: &mut Slot, amount: u64) {
        self.0.refund(now, slot, narrow(amount));
    }
}
