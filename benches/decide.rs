//! What a decision costs, side by side with the nearest peers, none of them
//! reading a clock: the time is a number that moves.
//!
//! Each bench asks as often as its limit lets through, so that what is measured
//! is a decision and not a saturated corner; `refused` asks of an empty one.

#![expect(
    missing_docs,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    reason = "a program whose functions nobody calls; it may panic"
)]

use core::{hint::black_box, num::NonZeroU32, time::Duration};

use criterion::{Criterion, criterion_group, criterion_main};
use sendwhen::{
    Cost, Decision, Dimension, ErrorDetails, Event, Family, Instant, Limit, Limiter, Meter, Rate,
    Request, ServerHints, TokenBucket, Usage,
};

/// Between two questions. A thousand a millisecond, and each is let through.
const STEP: u64 = 1_000;

fn one_bucket(c: &mut Criterion) {
    let mut group = c.benchmark_group("one bucket");
    // What is asked, and how many come in a second: a third of what is asked
    // for in `refused`.
    for (name, amount, per_second) in [
        ("admitted", 1_u32, 3_000_000_u32),
        ("weighted", 3, 3_000_000),
        ("refused", 9, 3_000_000),
    ] {
        group.bench_function(format!("{name}/sendwhen"), |b| {
            let rate = Rate::per_second(u64::from(per_second)).unwrap();
            let mut bucket = TokenBucket::new(rate, 1_000).unwrap();
            // In memory, as a limiter's are.
            let bucket = black_box(&mut bucket);
            let mut now = 0;
            b.iter(|| {
                now += STEP;
                let at = Instant::from_nanos(black_box(now));
                bucket.try_acquire(at, u64::from(black_box(amount))).is_ok()
            });
        });
        group.bench_function(format!("{name}/governor"), |b| {
            let clock = governor::clock::FakeRelativeClock::default();
            let quota = governor::Quota::per_second(NonZeroU32::new(per_second).unwrap())
                .allow_burst(NonZeroU32::new(1_000).unwrap());
            let limiter = governor::RateLimiter::direct_with_clock(quota, clock.clone());
            let amount = NonZeroU32::new(amount).unwrap();
            b.iter(|| {
                clock.advance(Duration::from_nanos(black_box(STEP)));
                limiter.check_n(black_box(amount)).is_ok()
            });
        });
        group.bench_function(format!("{name}/better-bucket"), |b| {
            let second = Duration::from_secs(1);
            let config =
                better_bucket::BucketConfig::new(1_000, per_second, second, 1_000).unwrap();
            let bucket = better_bucket::BucketCore::new(config, Duration::ZERO);
            let mut now = 0;
            b.iter(|| {
                now += STEP;
                bucket.try_acquire_at(black_box(amount), Duration::from_nanos(black_box(now)))
            });
        });
    }
    group.finish();
}

fn three_buckets(c: &mut Criterion) {
    let mut group = c.benchmark_group("three buckets at once");
    group.bench_function("sendwhen", |b| {
        let rate = Rate::per_second(3_000_000).unwrap();
        let mut buckets = [TokenBucket::new(rate, 1_000).unwrap(); 3];
        let buckets = black_box(&mut buckets);
        let mut now = 0;
        b.iter(|| {
            now += STEP;
            let at = Instant::from_nanos(black_box(now));
            buckets.try_acquire(at, black_box([1, 2, 3])).is_ok()
        });
    });
    group.bench_function("governor", |b| {
        let clock = governor::clock::FakeRelativeClock::default();
        let quota = governor::Quota::per_second(NonZeroU32::new(3_000_000).unwrap())
            .allow_burst(NonZeroU32::new(1_000).unwrap());
        let limiters =
            [(); 3].map(|()| governor::RateLimiter::direct_with_clock(quota, clock.clone()));
        let amounts = [1, 2, 3].map(|n| NonZeroU32::new(n).unwrap());
        b.iter(|| {
            clock.advance(Duration::from_nanos(black_box(STEP)));
            let amounts = black_box(amounts);
            limiters
                .iter()
                .zip(amounts)
                .all(|(limiter, n)| limiter.check_n(n).is_ok())
        });
    });
    group.finish();
}

/// The limits of a large account: a call a microsecond is within them.
fn limiter() -> Limiter {
    let per_second = |n| Rate::per_second(n).unwrap();
    Limiter::new(42)
        .limit(Dimension::Requests, per_second(2_000_000), 10_000_000)
        .and_then(|l| {
            l.limit(
                Dimension::InputTokens,
                per_second(3_000_000_000),
                10_000_000_000,
            )
        })
        .and_then(|l| {
            l.limit(
                Dimension::OutputTokens,
                per_second(800_000_000),
                10_000_000_000,
            )
        })
        .and_then(|l| l.initial_window(1_000_000))
        .unwrap()
}

fn limiter_alone(c: &mut Criterion) {
    let mut group = c.benchmark_group("limiter");
    group.bench_function("try_acquire and settle", |b| {
        let mut limiter = limiter();
        let cost = Cost::request()
            .with(Dimension::InputTokens, 1_200)
            .with(Dimension::OutputTokens, 300);
        let mut now = 0;
        b.iter(|| {
            now += STEP;
            let at = Instant::from_nanos(black_box(now));
            let permit = limiter.try_acquire(at, black_box(&cost)).unwrap();
            limiter.settle(at, permit, Some(cost));
        });
    });
    group.finish();
}

fn shown() -> ServerHints {
    let meter = |dimension, limit, left| {
        Meter::new(Family::Standard, dimension)
            .limit(limit)
            .remaining(left, 500)
            .window(Duration::from_secs(60))
    };
    ServerHints::NONE
        .with_meter(meter(Dimension::Requests, 120_000_000, 9_000_000))
        .with_meter(meter(
            Dimension::InputTokens,
            180_000_000_000,
            9_000_000_000,
        ))
        .with_meter(meter(
            Dimension::OutputTokens,
            48_000_000_000,
            9_000_000_000,
        ))
}

fn one_call(c: &mut Criterion) {
    let mut group = c.benchmark_group("call");
    for (name, hints) in [
        ("submitted to settled", ServerHints::NONE),
        ("with three meters", shown()),
    ] {
        group.bench_function(name, |b| {
            let mut limiter = limiter();
            let request = Request::new().input_tokens(1_200).max_tokens(600);
            let mut now = 0;
            b.iter(|| {
                now += STEP;
                let at = Instant::from_nanos(black_box(now));
                let mut call = limiter.call(black_box(request));
                let sent = call.handle(&mut limiter, at, Event::Submitted);
                assert!(matches!(sent, Decision::Send(_)));
                let head = Event::Responded {
                    status: 200,
                    hints: black_box(&hints),
                    error: ErrorDetails::NONE,
                };
                let _deliver = call.handle(&mut limiter, at, head);
                let end = Event::Finished(Some(Usage::new(1_180, 300)));
                call.handle(&mut limiter, at, end)
            });
        });
    }
    group.finish();
}

criterion_group!(benches, one_bucket, three_buckets, limiter_alone, one_call);
criterion_main!(benches);
