//! What a decision costs, by how many calls wait, tenants share and pools there
//! are.
//!
//! Each round lets one call pass and refuses the next: a call is submitted, the
//! first is sent, answered and settled, and the scheduler says how long to wait.
//! The pools let through what is asked, so that as many wait at the end as at
//! the beginning. `blocked` has all but a few wait for a pool that lets nothing
//! pass, beside one that is free.

#![expect(
    missing_docs,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a program whose functions nobody calls; it may panic"
)]

use core::{hint::black_box, time::Duration};

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
    fn new(waiting: u32, tenants: u32, pools: u32) -> Self {
        let mut scheduler = Scheduler::new(42).aging(Duration::from_secs(100_000));
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
        };
        for _ in 0..waiting {
            world.submit();
        }
        // Past the start, in which pools have a burst.
        for _ in 0..10_000 {
            world.round();
        }
        world
    }

    fn submit(&mut self) {
        let route = self.routes[self.submitted as usize % self.routes.len()];
        // Of each tenant some on each route.
        let tenant = self.submitted / self.routes.len() as u32 % self.tenants;
        self.submitted += 1;
        let request = Request::new().input_tokens(1_000).max_tokens(200);
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
        self.submit();
        let mut sent = 0;
        while let Next::Send { id, .. } = self.scheduler.next(Instant::from_nanos(self.now)) {
            self.answer(id);
            sent += 1;
        }
        sent
    }
}

fn waiting(c: &mut Criterion) {
    let mut group = c.benchmark_group("schedule");
    group.sample_size(30);
    for (waiting, tenants, pools) in [
        (1_000, 1, 1),
        (10_000, 1, 1),
        (100_000, 1, 1),
        (1_000_000, 1, 1),
        (1_000, 10, 1),
        (1_000_000, 10, 1),
        (1_000, 1_000, 1),
        (1_000_000, 1_000, 1),
        (1_000, 1, 100),
        (1_000_000, 1, 100),
        (100_000, 1_000, 100),
        (1_000_000, 1_000, 100),
    ] {
        let name = format!("{waiting} waiting, {tenants} tenants, {pools} pools");
        let mut world = World::new(waiting, tenants, pools);
        group.bench_function(BenchmarkId::from_parameter(name), |b| {
            b.iter(|| black_box(world.round()));
        });
    }
    group.finish();
}

fn blocked(c: &mut Criterion) {
    let mut group = c.benchmark_group("blocked");
    group.sample_size(30);
    for blocked in [1_000, 1_000_000] {
        let mut world = World::new(0, 1, 1);
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
            || World::new(0, 10, 1),
            |mut world| {
                for _ in 0..100_000 {
                    world.submit();
                }
                world
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group!(benches, waiting, blocked, submit);
criterion_main!(benches);
