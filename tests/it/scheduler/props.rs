//! What must always hold of the scheduler, with a clock that moves.

use core::num::NonZeroU32;
use std::{collections::BTreeMap, time::Duration};

use proptest::prelude::*;
use sendwhen::{
    Bounds, CallId, Dimension, Dropped, ErrorDetails, Event, Failure, GiveUp, Instant, Job,
    Limiter, Next, Priority, Rate, Request, RouteId, Scheduler, ServerHints, Shed, TenantId, Usage,
    Verdict,
};

use super::{answered, at, pool};

fn config() -> ProptestConfig {
    let default = ProptestConfig::default();
    let least = if cfg!(debug_assertions) { 64 } else { 512 };
    ProptestConfig {
        cases: default.cases.max(least),
        ..default
    }
}

/// What a call came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    Delivered,
    GivenUp,
    Cancelled,
    Shed,
}

/// What is done with a call that was sent.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Answer,
    Refuse(u64),
    Overload,
    Lose,
    Break,
    Cancel,
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        6 => Just(Fate::Answer),
        1 => (0..20_u64).prop_map(Fate::Refuse),
        1 => Just(Fate::Overload),
        1 => Just(Fate::Lose),
        1 => Just(Fate::Break),
        1 => Just(Fate::Cancel),
    ]
}

#[derive(Clone, Debug)]
struct Wanted {
    after: u64,
    route: usize,
    tenant: u32,
    priority: usize,
    tokens: u64,
    images: u64,
    start_within: Option<u64>,
}

fn wanted() -> impl Strategy<Value = Wanted> {
    (
        0..3_000_u64,
        0..3_usize,
        0..4_u32,
        0..4_usize,
        1..3_000_u64,
        prop_oneof![3 => Just(0), 1 => 1..12_u64],
        prop::option::weighted(0.3, 0..60_000_u64),
    )
        .prop_map(
            |(after, route, tenant, priority, tokens, images, start_within)| Wanted {
                after,
                route,
                tenant,
                priority,
                tokens,
                images,
                start_within,
            },
        )
}

/// Three routes over three pools: one, two together, two to choose from.
fn three(seed: u64, bounds: (usize, usize, Shed)) -> (Scheduler, [RouteId; 3]) {
    let images = |limiter: Limiter| {
        let rate = Rate::per_minute(30).unwrap();
        limiter.limit(Dimension::Own1, rate, 10).unwrap()
    };
    let (all, each, shed) = bounds;
    let mut scheduler = Scheduler::new(seed).aging(Duration::from_secs(20)).bounds(
        Bounds::NONE.calls(all),
        Bounds::NONE.calls(each),
        shed,
    );
    let [a, b, c] = [
        pool(120, 3),
        images(pool(300, 5)),
        pool(60, 2).in_flight(2).unwrap(),
    ]
    .map(|limiter| scheduler.add_pool(limiter));
    let routes = [
        scheduler.add_route(&[&[a]]),
        scheduler.add_route(&[&[a, b]]),
        scheduler.add_route(&[&[b], &[c]]),
    ];
    (scheduler, routes.map(Result::unwrap))
}

/// What each call came to.
type Ends = BTreeMap<u64, Vec<End>>;

/// Which was sent when, and its latest start.
type Starts = Vec<(u64, Instant, Instant)>;

/// Plays it all to the end, and says what each came to and when it was sent.
fn play(
    (mut scheduler, routes): (Scheduler, [RouteId; 3]),
    wanted: &[Wanted],
    fates: &[Fate],
) -> (Ends, Starts) {
    let mut ends = Ends::new();
    let mut starts = vec![];
    let mut latest: BTreeMap<u64, Instant> = BTreeMap::new();
    let mut flying: Vec<(Instant, CallId)> = vec![];
    let mut coming = wanted.iter();
    let mut due = coming.next();
    let mut now = Instant::from_secs(1);
    let mut arrival = now;
    let mut fate = fates.iter().copied().cycle();
    if let Some(first) = due {
        arrival = now.saturating_add(Duration::from_millis(first.after));
    }
    for _ in 0..100_000 {
        while let Some(job) = due.filter(|_| arrival <= now) {
            let own = if job.route == 0 { 0 } else { job.images };
            let mut request = Request::new().input_tokens(job.tokens).own([own, 0, 0]);
            if let Some(within) = job.start_within {
                let by = now.saturating_add(Duration::from_millis(within));
                request = request.start_by(by);
            }
            let job = Job::new(request, routes[job.route])
                .tenant(TenantId::new(job.tenant))
                .priority(Priority::ALL[job.priority]);
            if let Ok(id) = scheduler.submit(now, job) {
                assert!(ends.insert(id.number(), vec![]).is_none());
                latest.insert(id.number(), request.start_by.unwrap_or(Instant::MAX));
            }
            due = coming.next();
            if let Some(next) = due {
                arrival = arrival.saturating_add(Duration::from_millis(next.after));
            }
        }
        let mut landed = vec![];
        flying.retain(|(at, id)| {
            let lands = *at <= now;
            if lands {
                landed.push(*id);
            }
            !lands
        });
        for id in landed {
            let none = ServerHints::NONE;
            let event = match fate.next().unwrap() {
                Fate::Answer => {
                    answered(&mut scheduler, now, id);
                    ends.get_mut(&id.number()).unwrap().push(End::Delivered);
                    continue;
                }
                Fate::Refuse(secs) => {
                    let hints = none.with_retry_after(Duration::from_secs(secs));
                    let refused = Event::responded(429, &hints, ErrorDetails::NONE);
                    tell(&mut scheduler, now, id, refused, &mut ends);
                    continue;
                }
                Fate::Overload => Event::responded(529, &none, ErrorDetails::NONE),
                Fate::Lose => Event::Failed(Failure::Lost),
                Fate::Break => {
                    let head = Event::responded(200, &none, ErrorDetails::NONE);
                    assert_eq!(scheduler.handle(now, id, head), Verdict::Proceed);
                    let shown = Event::progressed(Usage::new(1, 1), true);
                    assert_eq!(scheduler.handle(now, id, shown), Verdict::Proceed);
                    Event::Failed(Failure::Lost)
                }
                Fate::Cancel => Event::Cancelled,
            };
            tell(&mut scheduler, now, id, event, &mut ends);
        }
        let until = loop {
            match scheduler.next(now) {
                Next::Send { id, .. } => {
                    starts.push((id.number(), now, latest[&id.number()]));
                    flying.push((now.saturating_add(Duration::from_millis(700)), id));
                }
                Next::Drop { id, why } => {
                    let end = match why {
                        Dropped::Shed(_) => End::Shed,
                        _ => End::GivenUp,
                    };
                    ends.get_mut(&id.number()).unwrap().push(end);
                }
                Next::Wait(wait) => {
                    assert!(wait.until > now, "a wait is always in the future");
                    break wait.until;
                }
                Next::Idle => break Instant::MAX,
            }
        };
        let landing = flying.iter().map(|(at, _)| *at).min();
        let arrival = due.map(|_| arrival);
        let next = [Some(until), landing, arrival].into_iter().flatten().min();
        match next {
            Some(Instant::MAX) | None => return (ends, starts),
            Some(next) => now = next.max(now),
        }
    }
    panic!(
        "it does not end: {} wait, {:?}",
        scheduler.waiting(),
        flying
    );
}

fn tell(scheduler: &mut Scheduler, now: Instant, id: CallId, event: Event<'_>, ends: &mut Ends) {
    match scheduler.handle(now, id, event) {
        Verdict::GiveUp(why) => {
            let end = match why {
                GiveUp::Cancelled => End::Cancelled,
                _ => End::GivenUp,
            };
            ends.get_mut(&id.number()).unwrap().push(end);
        }
        Verdict::Queued => {}
        other => panic!("{other:?} after {event:?}"),
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn every_call_ends_once_and_none_starts_late(
        seed in any::<u64>(),
        wanted in prop::collection::vec(wanted(), 1..60),
        fates in prop::collection::vec(fate(), 1..20),
        bounds in (1..30_usize, 1..15_usize, prop::sample::select(&[
            Shed::New, Shed::Lowest, Shed::Oldest,
        ][..])),
    ) {
        let (ends, starts) = play(three(seed, bounds), &wanted, &fates);
        for (number, ends) in ends {
            prop_assert_eq!(ends.len(), 1, "call {} came to {:?}", number, ends);
        }
        for (number, start, latest) in starts {
            prop_assert!(start <= latest, "call {} started late", number);
        }
    }

    #[test]
    fn same_seed_same_decisions(
        seed in any::<u64>(),
        wanted in prop::collection::vec(wanted(), 1..40),
        fates in prop::collection::vec(fate(), 1..20),
    ) {
        let bounds = (20, 10, Shed::Lowest);
        let once = play(three(seed, bounds), &wanted, &fates);
        prop_assert_eq!(once, play(three(seed, bounds), &wanted, &fates));
    }

    /// A low call among urgent ones of several tenants without end. Once it has
    /// waited as long as the aging bound, one sending in eight goes to its class,
    /// in which its tenant has its share and it is the first.
    #[test]
    fn none_starves_within_the_stated_bound(
        per_minute in 30..600_u64,
        aging in 1..120_u64,
        others in 0..4_u32,
        ahead in 0..5_u64,
    ) {
        let mut scheduler = Scheduler::new(1).aging(Duration::from_secs(aging));
        let pool = scheduler.add_pool(pool(per_minute, 1));
        let route = scheduler.add_route(&[&[pool]]).unwrap();
        let job = |tenant, priority| {
            Job::new(Request::new(), route).tenant(TenantId::new(tenant)).priority(priority)
        };
        let mut now = at(0);
        for tenant in 0..4 {
            scheduler.submit(now, job(tenant, Priority::Urgent)).unwrap();
        }
        for _ in 0..ahead {
            scheduler.submit(now, job(9, Priority::Low)).unwrap();
        }
        let low = scheduler.submit(now, job(9, Priority::Low)).unwrap();
        for tenant in 0..others {
            for _ in 0..100 {
                scheduler.submit(now, job(tenant, Priority::Low)).unwrap();
            }
        }
        let mut sent_since = 0;
        loop {
            match scheduler.next(now) {
                Next::Send { id, .. } if id == low => break,
                Next::Send { id, .. } => {
                    answered(&mut scheduler, now, id);
                    let tenant = u32::try_from(id.number() % 4).unwrap();
                    scheduler.submit(now, job(tenant, Priority::Urgent)).unwrap();
                    sent_since += u64::from(now >= at(aging));
                }
                Next::Wait(wait) => now = wait.until,
                other => panic!("{other:?}"),
            }
        }
        let tenants = u64::from(others) + 1;
        let bound = 8 * (ahead + 1) * tenants + 8;
        prop_assert!(sent_since <= bound, "{} of {}", sent_since, bound);
    }

    /// Calls of one tenant that come one after the other, some with a latest
    /// start: none is passed by one that was submitted later than the aging bound
    /// after it.
    #[test]
    fn within_a_tenant_none_is_passed_by_what_comes_an_aging_bound_later(
        aging in 1..60_u64,
        per_minute in 20..120_u64,
        coming in prop::collection::vec(
            (0..4_000_u64, prop::option::weighted(0.5, 0..200_000_u64)), 1..80,
        ),
    ) {
        let mut scheduler = Scheduler::new(1).aging(Duration::from_secs(aging));
        let pool = scheduler.add_pool(pool(per_minute, 2));
        let route = scheduler.add_route(&[&[pool]]).unwrap();
        let mut submitted = BTreeMap::new();
        let mut started = vec![];
        let (mut coming, mut now, mut arrival) = (coming.into_iter().peekable(), at(0), at(0));
        loop {
            while let Some((after, within)) = coming.next_if(|_| arrival <= now) {
                let mut request = Request::new();
                if let Some(within) = within {
                    request = request.start_by(now.saturating_add(Duration::from_millis(within)));
                }
                let id = scheduler.submit(now, Job::new(request, route)).unwrap();
                submitted.insert(id, now);
                arrival = now.saturating_add(Duration::from_millis(after));
            }
            now = match scheduler.next(now) {
                Next::Send { id, .. } => {
                    answered(&mut scheduler, now, id);
                    started.push(submitted[&id]);
                    now
                }
                Next::Drop { .. } => now,
                Next::Wait(wait) if coming.peek().is_some() => wait.until.min(arrival),
                Next::Wait(wait) => wait.until,
                Next::Idle if coming.peek().is_some() => arrival,
                Next::Idle => break,
            };
        }
        let mut latest = at(0);
        for start in started {
            let bound = start.saturating_add(Duration::from_secs(aging));
            prop_assert!(latest <= bound, "{:?} went before {:?}", latest, start);
            latest = latest.max(start);
        }
    }

    /// A large call, blocked for want of images, beside any number of others that
    /// come later: it starts when it would have started alone.
    #[test]
    fn backfill_never_delays_the_blocked_call(
        first in 1..10_u64,
        large in 1..11_u64,
        later in prop::collection::vec((0..4_000_u64, 0..4_u64, 0..2_usize), 0..40),
    ) {
        let start = |later: &[(u64, u64, usize)]| {
            let mut scheduler = Scheduler::new(1);
            let images = pool(300, 20)
                .limit(Dimension::Own1, Rate::per_minute(20).unwrap(), 10)
                .unwrap();
            let inner = scheduler.add_pool(pool(120, 4));
            let outer = scheduler.add_pool(images);
            let routes = [
                scheduler.add_route(&[&[inner, outer]]).unwrap(),
                scheduler.add_route(&[&[inner]]).unwrap(),
            ];
            let job = |images, route: usize| {
                Job::new(Request::new().own([images, 0, 0]), routes[route])
            };
            let mut now = at(0);
            scheduler.submit(now, job(first, 0)).unwrap();
            let blocked = scheduler.submit(now, job(large, 0)).unwrap();
            let mut later = later.iter();
            let mut next = later.next();
            let mut arrival = next.map_or(Instant::MAX, |(after, ..)| Instant::from_millis(*after));
            loop {
                while let Some((_, images, route)) = next.filter(|_| arrival <= now) {
                    let images = if *route == 0 { *images } else { 0 };
                    let low = job(images, *route).priority(Priority::Low);
                    scheduler.submit(now, low).unwrap();
                    next = later.next();
                    let after = next.map_or(u64::MAX / 2_000_000, |(after, ..)| *after);
                    arrival = arrival.saturating_add(Duration::from_millis(after));
                }
                match scheduler.next(now) {
                    Next::Send { id, .. } if id == blocked => return now,
                    Next::Send { id, .. } => answered(&mut scheduler, now, id),
                    Next::Wait(wait) => now = wait.until.min(arrival),
                    other => panic!("{other:?}"),
                }
            }
        };
        prop_assert_eq!(start(&later), start(&[]));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(config().cases / 8))]

    /// Tenants that want more than there is, with calls of their own size each:
    /// what each gets in a minute is its weight's share, within 2 %.
    #[test]
    fn shares_are_those_of_the_weights(
        tenants in prop::collection::vec((1..6_u32, 1..20_u64), 2..6),
    ) {
        let rate = Rate::per_minute(600_000).unwrap();
        let limiter = Limiter::new(7)
            .limit(Dimension::InputTokens, rate, 1_000)
            .and_then(|pool| pool.initial_window(1_000))
            .unwrap()
            .learn_limits(false);
        let mut scheduler = Scheduler::new(1);
        let pool = scheduler.add_pool(limiter);
        let route = scheduler.add_route(&[&[pool]]).unwrap();
        let mut of = BTreeMap::new();
        for (tenant, (weight, size)) in (0..).zip(&tenants) {
            scheduler.set_weight(TenantId::new(tenant), NonZeroU32::new(*weight).unwrap());
            for _ in 0..(600_000 / (size * 20) + 1) {
                let request = Request::new().input_tokens(size * 20).max_tokens(1);
                let job = Job::new(request, route).tenant(TenantId::new(tenant));
                of.insert(scheduler.submit(at(0), job).unwrap(), (tenant, size * 20));
            }
        }
        let mut had = vec![0_u64; tenants.len()];
        let mut now = at(0);
        while now < at(60) {
            match scheduler.next(now) {
                Next::Send { id, .. } => {
                    let (tenant, tokens) = of[&id];
                    had[tenant as usize] += tokens;
                    let head = Event::responded(200, &ServerHints::NONE, ErrorDetails::NONE);
                    let _head = scheduler.handle(now, id, head);
                    let end = Event::Finished(Some(Usage::new(tokens, 1)));
                    let _end = scheduler.handle(now, id, end);
                }
                Next::Wait(wait) => now = wait.until,
                other => panic!("{other:?}"),
            }
        }
        let weights: u64 = tenants.iter().map(|(weight, _)| u64::from(*weight)).sum();
        let all: u64 = had.iter().sum();
        for ((weight, _), had) in tenants.iter().zip(had) {
            let share = all * u64::from(*weight) / weights;
            prop_assert!(had.abs_diff(share) <= share / 50, "{had} of {share}");
        }
    }
}

/// When calls are due that are submitted one after the other.
#[derive(Clone, Copy, Debug)]
enum Due {
    Never,
    InTurn,
    Scattered,
    /// Seconds after each other.
    Apart,
}

/// How many bytes 50 000 waiting calls take at most, and each in the end.
fn bytes(due: Due, tenants: u32, routes: usize) -> (u64, u64) {
    let calls = 50_000;
    let mut scheduler = Scheduler::new(1);
    let routes: Vec<_> = (0..routes)
        .map(|_| {
            let pool = scheduler.add_pool(pool(1, 1));
            scheduler.add_route(&[&[pool]]).unwrap()
        })
        .collect();
    let taken = allocation_counter::measure(|| {
        for number in 0..calls {
            let now = number * 1_000;
            let mut request = Request::new().input_tokens(1_000).own([1, 2, 3]);
            let after = match due {
                Due::Never => None,
                Due::InTurn => Some(1_000_000_000_000),
                // 7 919 is prime to 50 000.
                Due::Scattered => Some(1_000_000_000_000 + number * 7_919 % calls * 1_000_000),
                Due::Apart => Some(1_000_000_000_000 + number * 5_000_000_000),
            };
            if let Some(after) = after {
                request = request.start_by(Instant::from_nanos(now + after));
            }
            let number = usize::try_from(number).unwrap();
            let route = routes[number % routes.len()];
            let tenant = u32::try_from(number / routes.len()).unwrap() % tenants;
            let job = Job::new(request, route).tenant(TenantId::new(tenant));
            scheduler.submit(Instant::from_nanos(now), job).unwrap();
        }
    });
    let most = taken.bytes_max;
    let each = u64::try_from(taken.bytes_current).unwrap() / calls;
    println!(
        "{each} bytes, {due:?}, {tenants} tenants, {} routes",
        routes.len()
    );
    (most, calls)
}

#[test]
fn a_waiting_call_takes_at_most_200_bytes() {
    for due in [Due::Never, Due::InTurn, Due::Scattered] {
        // Of each tenant ten on each route at the least.
        for (tenants, routes) in [
            (1, 1),
            (100, 1),
            (250, 1),
            (2_000, 1),
            (3_000, 1),
            (4_000, 1),
            (5_000, 1),
            (2, 100),
            (50, 100),
            (500, 10),
        ] {
            let (most, calls) = bytes(due, tenants, routes);
            assert!(most <= 200 * calls, "{most} bytes at the most");
        }
    }
}

/// Of calls that are seconds apart each is looked at in a span of its own.
#[test]
fn of_calls_that_are_seconds_apart_one_takes_at_most_215_bytes() {
    for (tenants, routes, limit) in [(1, 1, 200), (2_000, 1, 200), (5_000, 1, 215)] {
        let (most, calls) = bytes(Due::Apart, tenants, routes);
        assert!(most <= limit * calls, "{most} bytes at the most");
    }
}

#[test]
fn a_tenant_takes_at_most_400_bytes_more_on_each_route() {
    for (tenants, routes) in [(50_000, 1), (25_000, 1), (500, 100)] {
        let (most, calls) = bytes(Due::Scattered, tenants, routes);
        let queues = u64::from(tenants) * u64::try_from(routes).unwrap();
        assert!(
            most <= 200 * calls + 400 * queues,
            "{most} bytes at the most"
        );
    }
}

/// A scheduler with so many waiting calls of so many tenants over so many pools,
/// of which each call may go over two.
fn crowd(waiting: u64, tenants: u64, pools: u64) -> (Scheduler, impl Fn(u64) -> Job) {
    let mut scheduler = Scheduler::new(1);
    let pools: Vec<_> = (0..pools)
        .map(|_| scheduler.add_pool(pool(60_000 / pools, 1)))
        .collect();
    let routes: Vec<_> = pools
        .iter()
        .zip(pools.iter().cycle().skip(1))
        .map(|(a, b)| scheduler.add_route(&[&[*a], &[*b]]).unwrap())
        .collect();
    let job = move |n: u64| {
        let request = Request::new()
            .input_tokens(1_000)
            .start_by(Instant::from_secs(1_000_000 + n));
        let route = routes[usize::try_from(n).unwrap() % routes.len()];
        let tenant = u32::try_from(n % tenants).unwrap();
        Job::new(request, route).tenant(TenantId::new(tenant))
    };
    for n in 0..waiting {
        scheduler.submit(at(0), job(n)).unwrap();
    }
    (scheduler, job)
}

/// How many allocations a call costs from its submission to its end, with the
/// two waits that the scheduler is asked for meanwhile.
fn allocations_a_call(waiting: u64, tenants: u64, pools: u64) -> u64 {
    let (mut scheduler, job) = crowd(waiting, tenants, pools);
    let mut now = 1_000_000_000;
    let mut sent = 0;
    let mut run = |calls: u64| {
        for n in 0..calls {
            now += 1_000_000;
            let at = Instant::from_nanos(now);
            scheduler.submit(at, job(n)).unwrap();
            while let Next::Send { id, .. } = scheduler.next(at) {
                answered(&mut scheduler, at, id);
                sent += 1;
            }
        }
        core::mem::take(&mut sent)
    };
    run(1_000);
    let mut all = 0;
    let taken = allocation_counter::measure(|| all = run(1_000));
    assert!(all > 900, "{all} were sent");
    taken.count_total / all
}

/// From its submission to its end: 16 over one pool, and 15 for each more that
/// may refuse those that wait.
#[test]
fn a_call_costs_a_bounded_number_of_allocations_however_many_wait() {
    for (waiting, tenants, pools) in [
        (1, 1, 1),
        (10_000, 1, 1),
        (1_000, 100, 1),
        (10_000, 100, 1),
        (1_000, 10, 10),
        (10_000, 10, 10),
    ] {
        let each = allocations_a_call(waiting, tenants, pools);
        println!("{each} allocations, {waiting} wait, {tenants} tenants, {pools} pools");
        let most = 16 + 15 * (pools - 1);
        assert!(each <= most, "{each} allocations, {most} at the most");
    }
}
