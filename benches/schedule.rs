//! What a decision costs, by how many calls wait, tenants share and pools there
//! are.
//!
//! Each round lets one call pass and refuses the next: a call is submitted, the
//! first is sent, answered and settled, and the scheduler says how long to wait.
//! The pools let through what is asked, so that as many wait at the end as at
//! the beginning. `blocked` has all but a few wait for a pool that lets nothing
//! pass, beside one that is free.
//!
//! In `schedule` calls go in the order in which they came, and so memory is
//! walked through from end to end, which caches like. In `scattered` each has a
//! latest start drawn at random, its tenant and its route too: what comes goes
//! anywhere in the order, and what is sent lies anywhere in memory. `bare` is what
//! the memory alone takes of that: a tree and a list of as many.

#![expect(
    missing_docs,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a program whose functions nobody calls; it may panic"
)]

use core::{hint::black_box, time::Duration};
use std::collections::BTreeMap;

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use sendwhen::{
    CallId, Dimension, ErrorDetails, Event, Instant, Job, Limiter, Next, PoolId, Rate, Request,
    RouteId, Scheduler, ServerHints, TenantId, Usage,
};

/// Between two sendings.
const STEP: u64 = 1_000;

/// A scheduler with so much waiting, and what asks it.
struct World {
    scheduler: Scheduler,
    routes: Vec<RouteId>,
    tenants: u32,
    now: u64,
    submitted: u32,
    order: Order,
}

/// When calls are due.
enum Order {
    /// As they come.
    InTurn,
    Scattered(Scatter),
}

/// Each is due within a span that moves on as fast as calls come. As many are
/// due early in it as were drawn into it since it began there, so that as many
/// wait all the time.
struct Scatter {
    start: u64,
    span: u64,
    chance: u64,
}

impl Scatter {
    const EACH: u64 = 1_000_000;

    fn new(waiting: u32) -> Self {
        Self {
            start: 1_000_000_000_000_000,
            span: 2 * u64::from(waiting) * Self::EACH,
            chance: 88_172_645_463_325_252,
        }
    }

    /// Marsaglia's xorshift.
    fn draw(&mut self) -> u64 {
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        self.chance
    }

    /// Of the first ones the earlier of two draws.
    fn due(&mut self, is_first: bool) -> Instant {
        let mut place = self.draw() % self.span;
        if is_first {
            place = place.min(self.draw() % self.span);
        } else {
            self.start += Self::EACH;
        }
        Instant::from_nanos(self.start + place)
    }
}

/// A pool that lets `per_second` pass, one at a time.
fn pool(per_second: u64) -> Limiter {
    let tokens = Rate::per_second(1_000_000_000_000).unwrap();
    Limiter::new(7)
        .limit(
            Dimension::Requests,
            Rate::per_second(per_second).unwrap(),
            1,
        )
        .and_then(|pool| pool.limit(Dimension::InputTokens, tokens, 1_000_000_000_000))
        .and_then(|pool| pool.limit(Dimension::OutputTokens, tokens, 1_000_000_000_000))
        .and_then(|pool| pool.initial_window(1_000_000))
        .unwrap()
        .learn_limits(false)
}

impl World {
    fn new(waiting: u32, tenants: u32, pools: u32, order: Order) -> Self {
        let mut scheduler = Scheduler::new(42).aging(Duration::from_secs(100_000_000));
        let per_second = 1_000_000_000 / STEP / u64::from(pools);
        let pools: Vec<PoolId> = (0..pools)
            .map(|_| scheduler.add_pool(pool(per_second)))
            .collect();
        let routes = pools
            .iter()
            .map(|pool| scheduler.add_route(&[&[*pool]]).unwrap())
            .collect();
        let mut world = Self {
            scheduler,
            routes,
            tenants,
            now: 0,
            submitted: 0,
            order,
        };
        for _ in 0..waiting {
            world.submit(true);
        }
        // Past the start, in which pools have a burst.
        for _ in 0..10_000 {
            world.round();
        }
        world
    }

    fn submit(&mut self, is_first: bool) {
        let mut request = Request::new().input_tokens(1_000).max_tokens(200);
        // Of each tenant some on each route.
        let mut place = self.submitted;
        self.submitted += 1;
        if let Order::Scattered(scatter) = &mut self.order {
            place = (scatter.draw() >> 32) as u32;
            request = request.start_by(scatter.due(is_first));
        }
        let route = self.routes[place as usize % self.routes.len()];
        let tenant = place / self.routes.len() as u32 % self.tenants;
        let job = Job::new(request, route).tenant(TenantId::new(tenant));
        let now = Instant::from_nanos(self.now);
        self.scheduler.submit(now, job).unwrap();
    }

    fn answer(&mut self, id: CallId) {
        let now = Instant::from_nanos(self.now);
        let head = Event::responded(200, &ServerHints::NONE, ErrorDetails::NONE);
        let _proceed = self.scheduler.handle(now, id, head);
        let end = Event::Finished(Some(Usage::new(1_000, 200)));
        let _delivered = self.scheduler.handle(now, id, end);
    }

    /// One call more, one call sent, one answer to wait.
    fn round(&mut self) -> u32 {
        self.now += STEP;
        self.submit(false);
        let mut sent = 0;
        while let Next::Send { id, .. } = self.scheduler.next(Instant::from_nanos(self.now)) {
            self.answer(id);
            sent += 1;
        }
        sent
    }
}

/// Waiting calls, tenants and pools.
const SIZES: [(u32, u32, u32); 10] = [
    (1_000, 1, 1),
    (1_000_000, 1, 1),
    (1_000, 10, 1),
    (1_000_000, 10, 1),
    (1_000, 1_000, 1),
    (1_000_000, 1_000, 1),
    (1_000, 1, 100),
    (1_000_000, 1, 100),
    (1_000, 1_000, 100),
    (1_000_000, 1_000, 100),
];

fn rounds(c: &mut Criterion, name: &str, sizes: &[(u32, u32, u32)], order: fn(u32) -> Order) {
    let mut group = c.benchmark_group(name);
    group.sample_size(30);
    for &(waiting, tenants, pools) in sizes {
        let name = format!("{waiting} waiting, {tenants} tenants, {pools} pools");
        let mut world = World::new(waiting, tenants, pools, order(waiting));
        group.bench_function(BenchmarkId::from_parameter(name), |b| {
            b.iter(|| black_box(world.round()));
        });
    }
    group.finish();
}

fn waiting(c: &mut Criterion) {
    rounds(c, "schedule", &SIZES, |_| Order::InTurn);
    let between = [(10_000, 1, 1), (100_000, 1, 1)];
    rounds(c, "schedule", &between, |_| Order::InTurn);
}

fn scattered(c: &mut Criterion) {
    rounds(c, "scattered", &SIZES, |waiting| {
        Order::Scattered(Scatter::new(waiting))
    });
}

/// The first is taken out of a tree, its entry read and written where that lies,
/// and it is put in again at random.
fn bare(c: &mut Criterion) {
    let mut group = c.benchmark_group("bare");
    for waiting in [1_000_u32, 1_000_000] {
        let mut scatter = Scatter::new(waiting);
        // As large as what the scheduler keeps of a call.
        let mut entries = vec![[0_u64; 14]; waiting as usize];
        let first = (0..waiting).map(|slot| ((scatter.due(true), u64::from(slot)), slot));
        let mut order: BTreeMap<(Instant, u64), u32> = first.collect();
        let mut number = u64::from(waiting);
        group.bench_function(BenchmarkId::from_parameter(waiting), |b| {
            b.iter(|| {
                let (_, slot) = order.pop_first().unwrap();
                for part in &mut entries[slot as usize] {
                    *part = part.wrapping_add(number);
                }
                order.insert((scatter.due(false), number), slot);
                number += 1;
            });
        });
    }
    group.finish();
}

fn blocked(c: &mut Criterion) {
    let mut group = c.benchmark_group("blocked");
    group.sample_size(30);
    for blocked in [1_000, 1_000_000] {
        let mut world = World::new(0, 1, 1, Order::InTurn);
        // A pool that lets one pass in a year, and the first has passed.
        let shut = Limiter::new(7)
            .limit(
                Dimension::Requests,
                Rate::per(1, Duration::from_secs(31_536_000)).unwrap(),
                1,
            )
            .unwrap();
        let shut = world.scheduler.add_pool(shut);
        let shut = world.scheduler.add_route(&[&[shut]]).unwrap();
        let now = Instant::from_nanos(world.now);
        for n in 0..blocked {
            let job = Job::new(Request::new(), shut).tenant(TenantId::new(n % 100));
            world.scheduler.submit(now, job).unwrap();
        }
        group.bench_function(BenchmarkId::from_parameter(blocked), |b| {
            b.iter(|| black_box(world.round()));
        });
    }
    group.finish();
}

fn submit(c: &mut Criterion) {
    let mut group = c.benchmark_group("submit");
    group.sample_size(10);
    group.bench_function("100000 calls", |b| {
        b.iter_batched(
            || World::new(0, 10, 1, Order::InTurn),
            |mut world| {
                for _ in 0..100_000 {
                    world.submit(true);
                }
                world
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group!(benches, waiting, scattered, bare, blocked, submit);
criterion_main!(benches);
