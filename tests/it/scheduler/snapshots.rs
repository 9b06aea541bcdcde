//! A snapshot continues as if nothing had happened, and what is not one is
//! refused.

use core::num::NonZeroU32;
use std::time::Duration;

use proptest::prelude::*;
use sendwhen::{
    Bounds, CallId, Dimension, Event, Failure, GiveUp, Instant, Job, Limiter, LimiterSnapshot,
    Next, PoolId, Priority, Rate, Request, RetryPolicy, RouteId, Scheduler, ServerHints, Shed,
    Snapshot, TenantId, Usage, Verdict,
};

use super::{at, done, head, ids, pool};

fn policy(_: PoolId) -> RetryPolicy {
    RetryPolicy::new()
}

fn again(scheduler: &Scheduler, now: Instant, asleep: Duration) -> Scheduler {
    let text = serde_json::to_string(&scheduler.snapshot()).unwrap();
    let snapshot: Snapshot = serde_json::from_str(&text).unwrap();
    snapshot.restore(now, asleep, policy).unwrap()
}

#[derive(Clone, Debug)]
enum Op {
    Submit(usize, u32, usize, u64, Option<u64>),
    Pass(u64),
    Answer(usize),
    Refuse(usize, u64),
    Overload(usize),
    Stream(usize),
    Cancel(usize),
    Weight(u32, u32),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let submit = (
        0..2_usize,
        0..3_u32,
        0..4_usize,
        1..4_000_u64,
        prop::option::weighted(0.2, 0..30_000_u64),
    );
    let op = prop_oneof![
        8 => submit.prop_map(|(r, t, p, n, by)| Op::Submit(r, t, p, n, by)),
        6 => (0..5_000_u64).prop_map(Op::Pass),
        5 => any::<usize>().prop_map(Op::Answer),
        1 => (any::<usize>(), 0..20_u64).prop_map(|(i, secs)| Op::Refuse(i, secs)),
        1 => any::<usize>().prop_map(Op::Overload),
        2 => any::<usize>().prop_map(Op::Stream),
        1 => any::<usize>().prop_map(Op::Cancel),
        1 => (0..3_u32, 1..9_u32).prop_map(|(t, w)| Op::Weight(t, w)),
    ];
    prop::collection::vec(op, 1..60)
}

/// A scheduler and where its world stands.
struct World {
    scheduler: Scheduler,
    routes: Vec<RouteId>,
    now: Instant,
    calls: Vec<CallId>,
}

impl World {
    fn new() -> Self {
        let mut scheduler = Scheduler::new(3).aging(Duration::from_secs(20)).bounds(
            Bounds::NONE.calls(30),
            Bounds::NONE.calls(20),
            Shed::Oldest,
        );
        let tokens = Rate::per_minute(60_000).unwrap();
        let first = pool(120, 3)
            .limit(Dimension::InputTokens, tokens, 8_000)
            .unwrap();
        let pools = [first, pool(60, 2).in_flight(3).unwrap()];
        let [a, b] = pools.map(|limiter| scheduler.add_pool(limiter));
        let routes = vec![
            scheduler.add_route(&[&[a, b]]).unwrap(),
            scheduler.add_route(&[&[a], &[b]]).unwrap(),
        ];
        Self {
            scheduler,
            routes,
            now: at(1),
            calls: vec![],
        }
    }

    /// What comes of `op`, in words.
    fn play(&mut self, op: &Op) -> Vec<String> {
        let mut log = vec![];
        let some = |calls: &[CallId], which: usize| {
            let place = which.checked_rem(calls.len())?;
            calls.get(place).copied()
        };
        let none = ServerHints::NONE;
        let mut tell = |scheduler: &mut Scheduler, now, id, event: Event<'_>| {
            log.push(format!("{:?}", scheduler.handle(now, id, event)));
        };
        let (scheduler, now, calls) = (&mut self.scheduler, self.now, &mut self.calls);
        match *op {
            Op::Submit(route, tenant, priority, tokens, by) => {
                let mut request = Request::new().input_tokens(tokens);
                if let Some(by) = by {
                    let latest = now.saturating_add(Duration::from_millis(by));
                    request = request.start_by(latest);
                }
                let job = Job::new(request, self.routes[route])
                    .tenant(TenantId::new(tenant))
                    .priority(Priority::ALL[priority]);
                let submitted = scheduler.submit(now, job);
                log.push(format!("{submitted:?}"));
                calls.extend(submitted.ok());
            }
            Op::Pass(millis) => self.now = now.saturating_add(Duration::from_millis(millis)),
            Op::Answer(which) => {
                if let Some(id) = some(calls, which) {
                    tell(scheduler, now, id, head(200, &none));
                    let end = Event::Finished(Some(Usage::new(500, 50)));
                    tell(scheduler, now, id, end);
                }
            }
            Op::Refuse(which, secs) => {
                if let Some(id) = some(calls, which) {
                    let hints = none.with_retry_after(Duration::from_secs(secs));
                    tell(scheduler, now, id, head(429, &hints));
                }
            }
            Op::Overload(which) => {
                if let Some(id) = some(calls, which) {
                    tell(scheduler, now, id, head(529, &none));
                }
            }
            Op::Stream(which) => {
                if let Some(id) = some(calls, which) {
                    tell(scheduler, now, id, head(200, &none));
                    let usage = Usage::new(400, 7);
                    tell(scheduler, now, id, Event::progressed(usage, false));
                }
            }
            Op::Cancel(which) => {
                if let Some(id) = some(calls, which) {
                    tell(scheduler, now, id, Event::Cancelled);
                }
            }
            Op::Weight(tenant, weight) => {
                let weight = NonZeroU32::new(weight).unwrap();
                scheduler.set_weight(TenantId::new(tenant), weight);
            }
        }
        loop {
            let next = self.scheduler.next(self.now);
            log.push(format!("{next:?}"));
            if matches!(next, Next::Wait(_) | Next::Idle) {
                break;
            }
        }
        log.extend(core::iter::from_fn(|| self.scheduler.notice()).map(|n| format!("{n:?}")));
        log
    }
}

proptest! {
    #[test]
    fn restored_it_continues_as_if_nothing_had_happened(
        before in ops(), after in ops()
    ) {
        let mut world = World::new();
        for op in &before {
            let _log = world.play(op);
        }
        let mut other = World {
            scheduler: again(&world.scheduler, world.now, Duration::ZERO),
            routes: world.routes.clone(),
            now: world.now,
            calls: world.calls.clone(),
        };
        for op in &after {
            prop_assert_eq!(world.play(op), other.play(op), "at {:?}", op);
        }
    }

    #[test]
    fn a_corrupted_snapshot_never_panics(
        before in ops(), after in ops(), place in any::<prop::sample::Index>(), byte in any::<u8>()
    ) {
        let mut world = World::new();
        for op in &before {
            let _log = world.play(op);
        }
        let mut bytes = serde_json::to_vec(&world.scheduler.snapshot()).unwrap();
        // Most often another digit: what can be read is the harder case.
        let place = place.index(bytes.len());
        bytes[place] = if bytes[place].is_ascii_digit() { b'0' + byte % 10 } else { byte };
        let read: Result<Snapshot, _> = serde_json::from_slice(&bytes);
        let restored = read.ok().and_then(|snapshot| {
            snapshot.restore(world.now, Duration::from_secs(u64::from(byte)), policy).ok()
        });
        if let Some(scheduler) = restored {
            world.scheduler = scheduler;
            for op in after.iter().filter(|op| !matches!(op, Op::Submit(..))) {
                let _log = world.play(op);
            }
        }
    }
}

#[test]
fn an_hour_asleep_grants_no_free_burst_and_loses_no_waiting_call() {
    let mut scheduler = Scheduler::new(1);
    let pool = scheduler.add_pool(pool(60, 10));
    let route = scheduler.add_route(&[&[pool]]).unwrap();
    for _ in 0..100 {
        scheduler
            .submit(at(1_000), Job::new(Request::new(), route))
            .unwrap();
    }
    let burst = done(&mut scheduler, at(1_000)).len();
    assert_eq!(burst, 10);
    // Nobody knows for how long: nothing has come in.
    let mut soon = again(&scheduler, at(5), Duration::ZERO);
    assert_eq!(soon.waiting(), 90);
    assert_eq!(ids(&mut soon, at(5)).len(), 0);
    assert_eq!(done(&mut soon, at(6)).len(), 1);
    // An hour: no more than there is room for.
    let mut late = again(&scheduler, at(5), Duration::from_secs(3_600));
    assert_eq!(done(&mut late, at(5)).len(), 10);
    let mut all = 10;
    for second in 6..200 {
        all += done(&mut late, at(second)).len();
    }
    assert_eq!(all, 90);
}

#[test]
fn a_flight_is_told_of_after_a_restart() {
    let mut scheduler = Scheduler::new(1);
    let pool = scheduler.add_pool(pool(60, 10));
    let route = scheduler.add_route(&[&[pool]]).unwrap();
    let id = scheduler
        .submit(at(9), Job::new(Request::new(), route))
        .unwrap();
    assert_eq!(ids(&mut scheduler, at(9)), [id]);
    let mut restored = again(&scheduler, at(1), Duration::from_secs(60));
    let flights: Vec<CallId> = restored.flights().collect();
    assert_eq!(flights, [id]);
    for id in flights {
        let _queued = restored.handle(at(1), id, Event::Failed(Failure::Lost));
    }
    assert_eq!(ids(&mut restored, at(20)), [id], "it is sent again");
}

#[test]
fn an_unknown_version_is_refused_with_a_clear_error() {
    let text = serde_json::to_string(&Scheduler::new(1).snapshot()).unwrap();
    assert!(text.starts_with(r#"{"version":1,"#));
    let newer = text.replace(r#"{"version":1,"#, r#"{"version":7,"#);
    let error = serde_json::from_str::<Snapshot>(&newer).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("a snapshot of version 7; this release reads version 1 alone"),
        "{error}"
    );
    let nothing = serde_json::from_str::<Snapshot>("{}").unwrap_err();
    assert!(nothing.to_string().contains("version"), "{nothing}");
    let limiter = serde_json::to_string(&Limiter::new(1).snapshot()).unwrap();
    let newer = limiter.replace(r#"{"version":1,"#, r#"{"version":2,"#);
    let error = serde_json::from_str::<LimiterSnapshot>(&newer).unwrap_err();
    assert!(error.to_string().contains("version 2"), "{error}");
}

/// It was written before routes could be taken away: places have no generations in
/// it. Eight calls, of which one was delivered, one is in backoff, two are under
/// way and four wait; one of a latest start of 1 030 s.
#[test]
fn an_image_of_an_earlier_release_is_restored_and_goes_on() {
    let text = include_str!("image-of-version-1.json");
    assert!(text.starts_with(r#"{"version":1,"#) && !text.contains("generation"));
    let snapshot: Snapshot = serde_json::from_str(text).unwrap();
    let mut scheduler = snapshot.restore(at(1_001), Duration::ZERO, policy).unwrap();
    assert_eq!((scheduler.waiting(), scheduler.flying()), (5, 2));
    let mut flying: Vec<CallId> = scheduler.flights().collect();
    let known: Vec<u64> = flying.iter().map(|id| id.number()).collect();
    assert_eq!(known, [1, 7]);
    let mut delivered = vec![];
    let mut now = at(1_001);
    while scheduler.waiting() + scheduler.flying() > 0 {
        for id in flying.drain(..) {
            assert_eq!(
                scheduler.handle(now, id, head(200, &ServerHints::NONE)),
                Verdict::Proceed
            );
            let end = Event::Finished(Some(Usage::new(1_000, 150)));
            assert_eq!(scheduler.handle(now, id, end), Verdict::Delivered);
            delivered.push(id.number());
        }
        match scheduler.next(now) {
            Next::Send { id, .. } => flying.push(id),
            Next::Wait(wait) => now = wait.until,
            Next::Idle => {}
            Next::Drop { id, why } => panic!("{id} was dropped: {why}"),
        }
    }
    delivered.sort_unstable();
    assert_eq!(delivered, [0, 1, 3, 4, 5, 6, 7]);
    assert!(now <= at(1_030), "{now:?}");
    // And comes and goes as what was written since.
    let new = scheduler.add_pool(pool(60, 1));
    let route = scheduler.add_route(&[&[new]]).unwrap();
    assert_eq!((new.index(), route.index()), (2, 2));
    assert!(scheduler.remove_pool(new).is_some() && scheduler.remove_route(route));
    let mut scheduler = again(&scheduler, now, Duration::ZERO);
    assert_eq!(scheduler.add_pool(pool(60, 1)).index(), 2);
}

#[test]
fn what_was_taken_away_stays_away() {
    let mut scheduler = Scheduler::new(1);
    let old = scheduler.add_pool(pool(60, 1));
    let removed = scheduler.add_route(&[&[old]]).unwrap();
    let flying = scheduler
        .submit(at(9), Job::new(Request::new(), removed))
        .unwrap();
    assert_eq!(ids(&mut scheduler, at(9)), [flying]);
    assert!(scheduler.remove_pool(old).is_some() && scheduler.remove_route(removed));
    // Its place is kept for the call that is under way.
    let mut scheduler = again(&scheduler, at(9), Duration::ZERO);
    assert!(!scheduler.remove_route(removed));
    let other = scheduler.add_pool(pool(60, 1));
    assert_ne!(old.index(), other.index());
    let cancelled = scheduler.handle(at(9), flying, Event::Cancelled);
    assert_eq!(cancelled, Verdict::GiveUp(GiveUp::Cancelled));
    let mut scheduler = again(&scheduler, at(9), Duration::ZERO);
    let new = scheduler.add_pool(pool(60, 1));
    let route = scheduler.add_route(&[&[new]]).unwrap();
    let mut scheduler = again(&scheduler, at(9), Duration::ZERO);
    assert_eq!((old.index(), removed.index()), (new.index(), route.index()));
    assert!(scheduler.pool(old).is_none() && scheduler.pool(new).is_some());
    assert!(!scheduler.remove_route(removed) && scheduler.remove_route(route));
}

#[test]
fn a_snapshot_that_contradicts_itself_is_refused() {
    let mut scheduler = Scheduler::new(1);
    let pool = scheduler.add_pool(Limiter::new(1));
    let route = scheduler.add_route(&[&[pool]]).unwrap();
    for _ in 0..2 {
        scheduler
            .submit(at(9), Job::new(Request::new(), route))
            .unwrap();
    }
    let text = serde_json::to_string(&scheduler.snapshot()).unwrap();
    let changed = |from: &str, to: &str| {
        assert!(text.contains(from), "{from} in {text}");
        let snapshot: Result<Snapshot, _> = serde_json::from_str(&text.replace(from, to));
        match snapshot {
            Err(error) => error.to_string(),
            Ok(snapshot) => match snapshot.restore(at(9), Duration::ZERO, policy) {
                Err(error) => error.to_string(),
                Ok(_) => panic!("{to} is restored"),
            },
        }
    };
    for (from, to, why) in [
        (
            r#""alternatives":[[0]]"#,
            r#""alternatives":[[1]]"#,
            "pools that are not there",
        ),
        (
            r#""alternatives":[[0]]"#,
            r#""alternatives":[]"#,
            "without a route",
        ),
        (r#""is_gone":false"#, r#""is_gone":true"#, "without a route"),
        (r#""submitted":2"#, r#""submitted":1"#, "from the future"),
        (r#""number":1"#, r#""number":0"#, "two calls of one number"),
        (r#""at":"Queued""#, r#""at":"Flying""#, "without a life"),
        (r#""class":1"#, r#""class":4"#, "without a route"),
        (r#""calls":[1,[255,"#, r#""calls":[1,[0,"#, "taken twice"),
        (r#""calls":[1,"#, r#""calls":[9,"#, "neither taken nor free"),
    ] {
        let error = changed(from, to);
        assert!(error.contains(why), "{to}: {error}");
    }
}
