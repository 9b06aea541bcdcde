//! The scheduler beside one that is slow and plain: the same decisions, whatever
//! happens to both.

use core::num::NonZeroU32;
use std::time::Duration;

use sendwhen::{
    Backoff, CallId, Dimension, ErrorDetails, Event, Failure, Instant, Jitter, Job, Limiter, Next,
    PoolId, Priority, Rate, Request, RetryPolicy, Scheduler, ServerHints, TenantId, Usage,
};

use super::naive::{Naive, Step};

/// The first bytes make a setting, each eight more an operation.
pub fn check(data: &[u8]) {
    let mut bytes = data.iter().map(|byte| u64::from(*byte));
    let mut pair = Pair::new(&setting(&mut bytes));
    let routes = pair.naive.route_ids().len();
    while let Some(op) = op(&mut bytes, routes) {
        pair.apply(&op);
    }
}

fn setting(bytes: &mut impl Iterator<Item = u64>) -> Setting {
    let mut byte = || bytes.next().unwrap_or_default();
    let pools = (0..3)
        .map(|_| {
            (
                10 + byte() * 2,
                1 + byte() % 5,
                5 + byte() % 55,
                5 + byte() % 7,
            )
        })
        .collect();
    let pool = |byte: u64| usize::try_from(byte % 3).unwrap();
    let routes = (0..1 + byte() % 3)
        .map(|_| {
            let sets = (0..1 + byte() % 2)
                .map(|_| {
                    let outer = byte();
                    (pool(byte()), (outer % 3 == 0).then_some(pool(outer / 3)))
                })
                .collect();
            (sets, byte() * 12)
        })
        .collect();
    Setting {
        aging: 1 + byte() % 59,
        pools,
        routes,
        weights: (0..3)
            .map(|_| 1 + u32::try_from(byte() % 4).unwrap())
            .collect(),
    }
}

fn op(bytes: &mut impl Iterator<Item = u64>, routes: usize) -> Option<Op> {
    let kind = bytes.next()?;
    let mut byte = || bytes.next().unwrap_or_default();
    Some(match kind % 21 {
        0..8 => Op::Submit {
            route: usize::try_from(byte()).unwrap() % routes,
            tenant: u32::try_from(byte() % 3).unwrap(),
            priority: Priority::ALL[usize::try_from(byte() % 3).unwrap()],
            tokens: 1 + byte() * 20,
            images: (byte() % 18).saturating_sub(12),
        },
        8..14 => Op::Pass(byte() * 16 + byte() % 16),
        14..19 => Op::Answer(byte()),
        19 => Op::Fail(byte()),
        _ => Op::Cancel(byte()),
    })
}

/// One pool or two.
pub type Set = (usize, Option<usize>);

/// What both are built from.
#[derive(Clone, Debug)]
pub struct Setting {
    pub aging: u64,
    /// Requests and images a minute, and at once.
    pub pools: Vec<(u64, u64, u64, u64)>,
    /// Alternatives of one pool or two, and the patience in milliseconds.
    pub routes: Vec<(Vec<Set>, u64)>,
    pub weights: Vec<u32>,
}

#[derive(Clone, Debug)]
pub enum Op {
    Submit {
        route: usize,
        tenant: u32,
        priority: Priority,
        tokens: u64,
        images: u64,
    },
    /// Milliseconds pass, and all is sent that may be.
    Pass(u64),
    /// One of those under way is answered.
    Answer(u64),
    /// One of those under way was not sent.
    Fail(u64),
    /// Any call ends.
    Cancel(u64),
}

/// Both, side by side.
pub struct Pair {
    real: Scheduler,
    naive: Naive,
    now: u64,
    calls: Vec<CallId>,
}

impl Pair {
    pub fn new(setting: &Setting) -> Self {
        let aging = Duration::from_secs(setting.aging);
        let mut real = Scheduler::new(1).aging(aging);
        let mut naive = Naive::new(aging);
        let mut pools: Vec<PoolId> = vec![];
        for &(requests, burst, images, most) in &setting.pools {
            let limiter = limiter(requests, burst, images, most);
            naive.add_pool(limiter.clone());
            pools.push(real.add_pool(limiter));
        }
        for (alternatives, patience) in &setting.routes {
            let mut sets: Vec<Vec<usize>> = alternatives
                .iter()
                .map(|&(inner, outer)| {
                    let outer = outer.filter(|outer| *outer != inner);
                    core::iter::once(inner).chain(outer).collect()
                })
                .collect();
            // All share by the same pool. Between those that do not, it is age
            // that counts among the ones awake: the naive one knows no sleep.
            sets[0].retain(|pool| *pool != 0);
            sets[0].truncate(1);
            sets[0].push(0);
            let named: Vec<Vec<PoolId>> = sets
                .iter()
                .map(|set| set.iter().map(|pool| pools[*pool]).collect())
                .collect();
            let named: Vec<&[PoolId]> = named.iter().map(|set| &set[..]).collect();
            let route = real.add_route(&named).unwrap();
            // Beside others, what a preferred pool is worth to wait for follows
            // from claims as they were when last asked for.
            let alone = setting.routes.len() == 1;
            let patience = Duration::from_millis(if alone { *patience } else { 0 });
            real.set_patience(route, patience);
            naive.add_route(sets, patience, route);
        }
        for (tenant, weight) in (0..).zip(&setting.weights) {
            let weight = NonZeroU32::new(*weight).unwrap();
            real.set_weight(TenantId::new(tenant), weight);
            naive.set_weight(tenant, weight);
        }
        Self {
            real,
            naive,
            now: 1_000_000_000,
            calls: vec![],
        }
    }

    fn now(&self) -> Instant {
        Instant::from_nanos(self.now)
    }

    /// Both send what they can; the one sends what the other does.
    fn send_all(&mut self) -> Instant {
        let now = self.now();
        loop {
            let step = self.naive.next(now);
            match (self.real.next(now), step) {
                (
                    Next::Send {
                        id, alternative, ..
                    },
                    Step::Send(..),
                ) => assert_eq!(Step::Send(id.number(), alternative), step),
                (Next::Drop { id, .. }, Step::Drop(..)) => {
                    assert_eq!(Step::Drop(id.number()), step);
                }
                (Next::Wait(wait), Step::Wait(until)) => {
                    assert!(wait.until > now);
                    return wait.until.min(until);
                }
                (Next::Idle, Step::Idle) => return Instant::MAX,
                (next, step) => panic!("{next:?}, and should be {step:?}, at {now:?}"),
            }
        }
    }

    /// Time goes on, from one instant that either of them names to the next.
    fn pass(&mut self, millis: u64) {
        let end = self.now + millis * 1_000_000;
        loop {
            let next = self.send_all();
            if next.as_nanos() > end {
                break;
            }
            self.now = next.as_nanos();
        }
        self.now = end;
        self.send_all();
    }

    fn tell(&mut self, number: u64, event: Event<'_>) {
        let (now, id) = (self.now(), self.calls[usize::try_from(number).unwrap()]);
        let _verdict = self.real.handle(now, id, event);
        self.naive.handle(now, number, event);
    }

    /// Does it to both.
    pub fn apply(&mut self, op: &Op) {
        match *op {
            Op::Submit {
                route,
                tenant,
                priority,
                tokens,
                images,
            } => {
                let routes = self.naive.route_ids();
                let route = route % routes.len();
                // Where routes share pools, whether one may pass another follows
                // from claims as they were when last asked for.
                let images = if routes.len() > 1 { 0 } else { images };
                let request = Request::new().input_tokens(tokens).own([images, 0, 0]);
                let job = Job::new(request, routes[route])
                    .tenant(TenantId::new(tenant))
                    .priority(priority);
                let now = self.now();
                let id = self.real.submit(now, job).unwrap();
                self.calls.push(id);
                self.naive
                    .submit(now, id.number(), request, (route, tenant, priority));
            }
            Op::Pass(millis) => self.pass(millis),
            Op::Answer(which) => {
                let flying = self.naive.flying();
                if !flying.is_empty() {
                    let number = pick(&flying, which);
                    let head = Event::responded(200, &ServerHints::NONE, ErrorDetails::NONE);
                    self.tell(number, head);
                    self.tell(number, Event::Finished(Some(Usage::new(100, 100))));
                    self.send_all();
                }
            }
            Op::Fail(which) => {
                let flying = self.naive.flying();
                if !flying.is_empty() {
                    self.tell(pick(&flying, which), Event::Failed(Failure::NotSent));
                    self.send_all();
                }
            }
            Op::Cancel(which) => {
                if !self.calls.is_empty() {
                    let number = pick(&self.calls, which).number();
                    self.tell(number, Event::Cancelled);
                    self.send_all();
                }
            }
        }
        self.check();
    }

    fn check(&self) {
        assert_eq!(self.real.waiting(), self.naive.waiting());
        let flying: Vec<u64> = self.naive.flying();
        assert_eq!(self.real.flying(), flying.len());
    }
}

fn pick<T: Copy>(all: &[T], which: u64) -> T {
    all[usize::try_from(which % all.len() as u64).unwrap()]
}

/// A pool of requests and images. Its calls come back after a second, every
/// time, and as often as they like.
fn limiter(requests: u64, burst: u64, images: u64, most: u64) -> Limiter {
    let second = Duration::from_secs(1);
    let backoff = Backoff::exponential(second, second).unwrap();
    let policy = RetryPolicy::new().backoff(backoff.jitter(Jitter::None));
    Limiter::new(1)
        .limit(
            Dimension::Requests,
            Rate::per_minute(requests).unwrap(),
            burst,
        )
        .and_then(|l| l.limit(Dimension::Own1, Rate::per_minute(images).unwrap(), most))
        .and_then(|l| l.initial_window(1_000_000))
        .unwrap()
        .learn_limits(false)
        .retry(policy.attempts(1_000).unwrap())
}
