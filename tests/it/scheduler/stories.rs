//! One behaviour a test.

use core::num::NonZeroU16;
use std::time::Duration;

use sendwhen::{
    Backoff, Bounds, Breaker, CallId, CallStanding, Cause, Class, ClientThrottle, ConfigError,
    Dimension, Dropped, Event, Failure, Full, GiveUp, Instant, Jitter, Job, Limiter, Next, Notice,
    PoolId, Priority, Rate, Rejected, Request, RetryPolicy, RouteId, Scheduler, ServerHints, Shed,
    TenantId, UnixTime, Usage, Verdict,
};

use super::{answered, at, done, head, ids, pool, sent};

fn job(route: RouteId) -> Job {
    Job::new(Request::new().input_tokens(100).max_tokens(100), route)
}

fn one_pool(limiter: Limiter) -> (Scheduler, RouteId) {
    let mut scheduler = Scheduler::new(42);
    let pool = scheduler.add_pool(limiter);
    let route = scheduler.add_route(&[&[pool]]).unwrap();
    (scheduler, route)
}

#[test]
fn calls_of_a_tenant_go_in_the_order_of_submission_and_the_wait_is_exact() {
    let (mut scheduler, route) = one_pool(pool(60, 2));
    let all: Vec<_> = (0..4)
        .map(|_| scheduler.submit(at(1), job(route)).unwrap())
        .collect();
    assert_eq!(ids(&mut scheduler, at(1)), all[..2]);
    let Next::Wait(wait) = scheduler.next(at(1)) else {
        panic!("the pool is empty");
    };
    assert_eq!(
        (wait.until, wait.cause),
        (at(2), Cause::Limit(Dimension::Requests))
    );
    let early = Instant::from_nanos(at(2).as_nanos() - 1);
    assert_eq!(ids(&mut scheduler, early), []);
    assert_eq!(ids(&mut scheduler, at(2)), all[2..3]);
    assert_eq!(ids(&mut scheduler, at(3)), all[3..]);
    assert_eq!(scheduler.next(at(4)), Next::Idle);
    assert_eq!((scheduler.waiting(), scheduler.flying()), (0, 4));
    assert_eq!(scheduler.flights().collect::<Vec<_>>(), all);
    for id in all {
        answered(&mut scheduler, at(4), id);
        let again = scheduler.handle(at(4), id, Event::Woken);
        assert_eq!(again, Verdict::Unknown, "it is forgotten");
    }
    assert_eq!(scheduler.flying(), 0);
}

#[test]
fn a_call_that_comes_back_keeps_its_place() {
    let (mut scheduler, route) = one_pool(pool(60, 1));
    let first = scheduler.submit(at(0), job(route)).unwrap();
    let others: Vec<_> = (0..5)
        .map(|_| scheduler.submit(at(0), job(route)).unwrap())
        .collect();
    assert_eq!(ids(&mut scheduler, at(0)), [first]);
    let unsent = Event::Failed(Failure::NotSent);
    assert_eq!(scheduler.handle(at(0), first, unsent), Verdict::Queued);
    assert_eq!(
        ids(&mut scheduler, at(0)),
        others[..1],
        "while it backs off"
    );
    assert_eq!(ids(&mut scheduler, at(1)), [first]);
    answered(&mut scheduler, at(1), first);
    assert_eq!(ids(&mut scheduler, at(2)), others[1..2]);
}

/// It does not let others ask first, as it would while the server is down.
#[test]
fn a_call_that_comes_back_goes_before_one_that_is_ready() {
    let (mut scheduler, route) = one_pool(pool(60, 1).retry(a_second_each()));
    let first = scheduler.submit(at(0), job(route)).unwrap();
    assert_eq!(ids(&mut scheduler, at(0)), [first]);
    let failed = head(500, &ServerHints::NONE);
    assert_eq!(scheduler.handle(at(1), first, failed), Verdict::Queued);
    assert_eq!(ids(&mut scheduler, at(1)), []);
    let other = scheduler.submit(at(2), job(route)).unwrap();
    assert_eq!(ids(&mut scheduler, at(2)), [first]);
    assert_eq!(ids(&mut scheduler, at(3)), [other]);
}

#[test]
fn a_full_pool_does_not_hold_up_the_others() {
    let mut scheduler = Scheduler::new(42);
    let full = scheduler.add_pool(pool(1, 1));
    let free = scheduler.add_pool(pool(60, 10));
    let full = scheduler.add_route(&[&[full]]).unwrap();
    let free = scheduler.add_route(&[&[free]]).unwrap();
    let stuck: Vec<_> = (0..3)
        .map(|_| {
            let urgent = job(full).priority(Priority::Urgent);
            scheduler.submit(at(0), urgent).unwrap()
        })
        .collect();
    let low: Vec<_> = (0..3)
        .map(|_| {
            let low = job(free).priority(Priority::Low);
            scheduler.submit(at(0), low).unwrap()
        })
        .collect();
    assert_eq!(ids(&mut scheduler, at(0)), [&stuck[..1], &low[..]].concat());
}

#[test]
fn the_pool_that_can_start_first_is_taken_within_the_patience_for_preference() {
    let mut scheduler = Scheduler::new(42);
    let preferred = scheduler.add_pool(pool(60, 1));
    let other = scheduler.add_pool(pool(60, 10));
    let route = scheduler.add_route(&[&[preferred], &[other]]).unwrap();
    for _ in 0..5 {
        scheduler.submit(at(0), job(route)).unwrap();
    }
    let over = |sent: Vec<(_, usize)>| sent.into_iter().map(|(_, over)| over).collect::<Vec<_>>();
    scheduler.set_patience(route, Duration::from_millis(999));
    assert_eq!(over(sent(&mut scheduler, at(0))), [0, 1, 1, 1, 1]);
    for _ in 0..3 {
        scheduler.submit(at(10), job(route)).unwrap();
    }
    scheduler.set_patience(route, Duration::from_secs(1));
    assert_eq!(
        over(sent(&mut scheduler, at(10))),
        [0],
        "it is worth a second"
    );
    assert_eq!(over(sent(&mut scheduler, at(11))), [0]);
    scheduler.set_patience(route, Duration::ZERO);
    assert_eq!(over(sent(&mut scheduler, at(11))), [1]);
}

#[test]
fn two_pools_are_passed_together_or_not_at_all() {
    let mut scheduler = Scheduler::new(42);
    let workspaces = [
        scheduler.add_pool(pool(60, 5)),
        scheduler.add_pool(pool(60, 5)),
    ];
    let organisation = scheduler.add_pool(pool(60, 3));
    let routes =
        workspaces.map(|workspace| scheduler.add_route(&[&[workspace, organisation]]).unwrap());
    for route in [routes[0], routes[1], routes[0], routes[1]] {
        scheduler.submit(at(0), job(route)).unwrap();
    }
    assert_eq!(sent(&mut scheduler, at(0)).len(), 3);
    let left = |scheduler: &Scheduler, pool| {
        let level = scheduler
            .pool(pool)
            .unwrap()
            .level(at(0), Dimension::Requests);
        level.unwrap().there
    };
    assert_eq!(left(&scheduler, organisation), 0);
    assert_eq!(left(&scheduler, workspaces[0]), 3);
    assert_eq!(left(&scheduler, workspaces[1]), 4);
    assert_eq!(sent(&mut scheduler, at(1)).len(), 1);
}

#[test]
fn a_call_may_be_cancelled_wherever_it_is() {
    let (mut scheduler, route) = one_pool(pool(60, 1));
    let flying = scheduler.submit(at(0), job(route)).unwrap();
    let held = scheduler.submit(at(0), job(route)).unwrap();
    let queued = scheduler.submit(at(0), job(route)).unwrap();
    assert_eq!(ids(&mut scheduler, at(0)), [flying]);
    assert_eq!(ids(&mut scheduler, at(1)), [held]);
    let unsent = Event::Failed(Failure::NotSent);
    assert_eq!(scheduler.handle(at(1), held, unsent), Verdict::Queued);
    for id in [flying, held, queued] {
        let cancelled = Verdict::GiveUp(GiveUp::Cancelled);
        assert_eq!(scheduler.handle(at(1), id, Event::Cancelled), cancelled);
        assert_eq!(
            scheduler.handle(at(1), id, Event::Cancelled),
            Verdict::Unknown
        );
    }
    assert_eq!(scheduler.next(at(2)), Next::Idle);
    assert_eq!((scheduler.waiting(), scheduler.flying()), (0, 0));
}

#[test]
fn an_event_that_does_not_fit_is_answered_by_what_stands() {
    let (mut scheduler, route) = one_pool(pool(60, 1));
    let id = scheduler.submit(at(0), job(route)).unwrap();
    let early = scheduler.handle(at(0), id, head(200, &ServerHints::NONE));
    assert_eq!(early, Verdict::Queued);
    assert_eq!(ids(&mut scheduler, at(0)), [id]);
    assert_eq!(scheduler.handle(at(0), id, Event::Woken), Verdict::Proceed);
    let early = scheduler.handle(at(0), id, Event::Finished(None));
    assert_eq!(early, Verdict::Proceed);
    answered(&mut scheduler, at(0), id);
}

#[test]
fn a_waiting_call_changes_its_priority_and_its_latest_start() {
    let (mut scheduler, route) = one_pool(pool(60, 1));
    let first = scheduler.submit(at(0), job(route)).unwrap();
    let [second, third] = [(); 2].map(|()| scheduler.submit(at(0), job(route)).unwrap());
    let request = Request::new().start_by(at(1));
    let late = scheduler.submit(at(0), Job::new(request, route)).unwrap();
    assert_eq!(ids(&mut scheduler, at(0)), [late], "it is due first");
    assert!(
        !scheduler.prioritise(late, Priority::High),
        "it is under way"
    );
    assert!(scheduler.prioritise(third, Priority::High));
    assert!(scheduler.postpone(second, Some(at(30))));
    assert_eq!(ids(&mut scheduler, at(1)), [third]);
    assert_eq!(ids(&mut scheduler, at(2)), [second]);
    assert_eq!(ids(&mut scheduler, at(3)), [first]);
}

#[test]
fn a_call_that_cannot_start_in_time_is_given_up_at_once() {
    let (mut scheduler, route) = one_pool(pool(60, 2));
    let by = |secs| Job::new(Request::new().start_by(at(secs)), route);
    for _ in 0..2 {
        scheduler.submit(at(0), by(10)).unwrap();
    }
    assert_eq!(sent(&mut scheduler, at(0)).len(), 2);
    // Those under way may turn out to have cost nothing: it is not late yet.
    let hopeful = scheduler.submit(at(0), by(1)).unwrap();
    assert!(matches!(scheduler.next(at(0)), Next::Wait(_)));
    let pools = scheduler.flights().collect::<Vec<_>>();
    for id in pools {
        answered(&mut scheduler, at(0), id);
    }
    // Now they cannot; one comes in a second, and is too late for a second call.
    let late = scheduler.submit(at(0), by(1)).unwrap();
    assert!(matches!(scheduler.next(at(1)), Next::Send { id, .. } if id == hopeful));
    let Next::Drop { id, why } = scheduler.next(at(1)) else {
        panic!("it cannot start at 1 s any more");
    };
    assert_eq!(id, late);
    let cause = Cause::Limit(Dimension::Requests);
    let earliest = at(1);
    assert_eq!(
        why,
        Dropped::GivenUp(GiveUp::DeadlineTooClose { earliest, cause })
    );
    assert_eq!(scheduler.next(at(1)), Next::Idle);
}

#[test]
fn a_stop_of_the_pool_gives_up_all_whose_time_it_takes_and_stops_it_once() {
    let (mut scheduler, route) = one_pool(pool(6_000, 100));
    let first = scheduler.submit(at(0), job(route)).unwrap();
    assert_eq!(ids(&mut scheduler, at(0)), [first]);
    let by = |secs| Job::new(Request::new().start_by(at(secs)), route);
    let [early, late] = [by(20), by(60)].map(|job| scheduler.submit(at(0), job).unwrap());
    let hints = ServerHints::NONE.with_retry_after(Duration::from_secs(40));
    let refused = scheduler.handle(at(0), first, head(429, &hints));
    assert_eq!(refused, Verdict::Queued);
    let Next::Drop { id, .. } = scheduler.next(at(0)) else {
        panic!("40 s are too long for it");
    };
    assert_eq!(id, early);
    assert_eq!(ids(&mut scheduler, Instant::from_millis(39_999)), []);
    // The stop is over: release is spread over a second.
    for _ in 0..50 {
        scheduler.submit(at(40), job(route)).unwrap();
    }
    assert_eq!(done(&mut scheduler, at(40)), [late]);
    let mut in_a_second = 0;
    for millis in (40_000..41_000).step_by(10) {
        in_a_second += done(&mut scheduler, Instant::from_millis(millis)).len();
    }
    assert!((10..=16).contains(&in_a_second), "{in_a_second}");
    let mut rest = 0;
    for millis in (41_000..42_000).step_by(10) {
        rest += done(&mut scheduler, Instant::from_millis(millis)).len();
    }
    assert_eq!(in_a_second + rest, 51);
}

/// A pool in which requests are plenty and there are ten images a minute.
fn images() -> Limiter {
    let limiter = pool(6_000, 100);
    limiter
        .limit(Dimension::Own1, Rate::per_minute(10).unwrap(), 10)
        .unwrap()
}

#[test]
fn a_small_call_passes_a_large_one_that_waits_for_something_else() {
    let (mut scheduler, route) = one_pool(images());
    let with = |images| Job::new(Request::new().own([images, 0, 0]), route);
    let first = scheduler.submit(at(0), with(5)).unwrap();
    let large = scheduler.submit(at(0), with(10)).unwrap();
    let like_it = scheduler.submit(at(0), with(1)).unwrap();
    let small = scheduler.submit(at(0), with(0)).unwrap();
    assert_eq!(ids(&mut scheduler, at(0)), [first, small]);
    assert_eq!(ids(&mut scheduler, at(29)), [], "one image would delay it");
    assert_eq!(ids(&mut scheduler, at(30)), [large]);
    assert_eq!(ids(&mut scheduler, at(36)), [like_it]);
}

/// Half the images of a pool are taken by calls of low priority, and the next of
/// its sendings is left to those that have waited for ten seconds.
fn half_the_images_and_an_aged_turn() -> (Scheduler, [RouteId; 2], CallId) {
    let mut scheduler = Scheduler::new(42).aging(Duration::from_secs(10));
    let second = Duration::from_secs(1);
    let backoff = Backoff::exponential(second, second).unwrap();
    let policy = RetryPolicy::new().backoff(backoff.jitter(Jitter::None));
    let inner = scheduler.add_pool(images().retry(policy));
    let outer = scheduler.add_pool(pool(6_000, 100));
    let both = scheduler.add_route(&[&[inner, outer]]).unwrap();
    let alone = scheduler.add_route(&[&[outer]]).unwrap();
    let low = |images| with_images(both, images).priority(Priority::Low);
    for images in [4, 0, 0, 0, 0, 0] {
        scheduler.submit(at(0), low(images)).unwrap();
    }
    assert_eq!(done(&mut scheduler, at(0)).len(), 6);
    let last = scheduler.submit(at(0), low(1)).unwrap();
    assert_eq!(ids(&mut scheduler, at(0)), [last]);
    (scheduler, [both, alone], last)
}

fn with_images(route: RouteId, images: u64) -> Job {
    Job::new(Request::new().own([images, 0, 0]), route)
}

/// Found by the machine: all slept until the large call could start.
#[test]
fn a_call_that_comes_back_goes_first_once_it_has_waited_long() {
    let (mut scheduler, [route, _], last) = half_the_images_and_an_aged_turn();
    let large = scheduler.submit(at(1), with_images(route, 10)).unwrap();
    assert_eq!(ids(&mut scheduler, at(1)), []);
    let unsent = Event::Failed(Failure::NotSent);
    assert_eq!(scheduler.handle(at(8), last, unsent), Verdict::Queued);
    assert_eq!(ids(&mut scheduler, at(8)), [], "it backs off");
    assert_eq!(ids(&mut scheduler, at(9)), [], "the large one goes first");
    let Next::Wait(wait) = scheduler.next(at(9)) else {
        panic!("nothing may go");
    };
    assert_eq!(wait.until, at(10), "then it is due");
    assert_eq!(ids(&mut scheduler, at(10)), [last]);
    assert_eq!(ids(&mut scheduler, at(29)), []);
    assert_eq!(ids(&mut scheduler, at(30)), [large]);
}

/// Found by the machine: he slept until the other had started.
#[test]
fn who_was_held_up_goes_at_once_when_it_is_his_turn() {
    let mut scheduler = Scheduler::new(1);
    let shared = scheduler.add_pool(pool(10, 3));
    let inner = scheduler.add_pool(pool(11, 2));
    let other = scheduler.add_pool(pool(10, 1));
    let both = scheduler.add_route(&[&[inner, shared]]).unwrap();
    let alone = scheduler.add_route(&[&[shared]]).unwrap();
    let either = scheduler.add_route(&[&[shared], &[other]]).unwrap();
    let mut submit = |route, tenant, priority| {
        let job = job(route).tenant(TenantId::new(tenant));
        scheduler.submit(at(0), job.priority(priority)).unwrap()
    };
    let first = [1, 1].map(|tenant| submit(both, tenant, Priority::High));
    // The inner pool has room in 5.5 s; the shared one must have it then, too.
    let blocked = submit(both, 2, Priority::Normal);
    let held_up = submit(alone, 3, Priority::Normal);
    // But as this goes elsewhere, its tenant has had its turn.
    let elsewhere = submit(either, 2, Priority::Normal);
    let all = [first[0], first[1], elsewhere, held_up];
    assert_eq!(ids(&mut scheduler, at(0)), all);
    assert_eq!(ids(&mut scheduler, at(6)), [blocked]);
}

/// What was first because another of its class had waited long, is first no
/// longer when that is cancelled.
#[test]
fn who_goes_first_is_asked_anew_when_the_oldest_is_cancelled() {
    let (mut scheduler, [route, _], _) = half_the_images_and_an_aged_turn();
    let large = |tenant| {
        let job = with_images(route, 10).priority(Priority::Low);
        job.tenant(TenantId::new(tenant))
    };
    let oldest = scheduler.submit(at(1), large(2)).unwrap();
    let before_it = scheduler.submit(at(5), large(1)).unwrap();
    assert_eq!(ids(&mut scheduler, at(11)), []);
    let small = scheduler.submit(at(12), with_images(route, 1)).unwrap();
    assert_eq!(ids(&mut scheduler, at(12)), []);
    let _given_up = scheduler.handle(at(13), oldest, Event::Cancelled);
    assert_eq!(ids(&mut scheduler, at(13)), [small]);
    assert_eq!(ids(&mut scheduler, at(36)), [before_it]);
}

/// What was first because it has waited long, is first no longer when a call of
/// another route has had that turn.
#[test]
fn who_goes_first_is_asked_anew_when_the_turn_of_the_oldest_is_over() {
    let (mut scheduler, [route, other], _) = half_the_images_and_an_aged_turn();
    let large = with_images(route, 10).priority(Priority::Low);
    let large = scheduler.submit(at(1), large).unwrap();
    assert_eq!(ids(&mut scheduler, at(11)), []);
    let small = scheduler.submit(at(12), with_images(route, 1)).unwrap();
    assert_eq!(ids(&mut scheduler, at(12)), []);
    let due_now = Request::new().start_by(at(13));
    let due_now = Job::new(due_now, other).priority(Priority::Low);
    let due_now = scheduler.submit(at(13), due_now).unwrap();
    assert_eq!(ids(&mut scheduler, at(13)), [due_now, small]);
    assert_eq!(ids(&mut scheduler, at(36)), [large]);
}

#[test]
fn a_call_of_another_route_passes_only_if_it_delays_nothing() {
    let mut scheduler = Scheduler::new(42);
    let workspace = scheduler.add_pool(pool(60, 2));
    let organisation = scheduler.add_pool(pool(1, 1));
    let both = scheduler.add_route(&[&[workspace, organisation]]).unwrap();
    let alone = scheduler.add_route(&[&[workspace]]).unwrap();
    let first = scheduler.submit(at(0), job(both)).unwrap();
    // Its organisation has room in 60 s; until then a workspace of 60 a minute
    // may serve others, but must have one left then.
    let blocked = scheduler.submit(at(0), job(both)).unwrap();
    let others: Vec<_> = (0..70)
        .map(|_| {
            let low = job(alone).priority(Priority::Low);
            scheduler.submit(at(0), low).unwrap()
        })
        .collect();
    let mut log = vec![];
    for tenth in 0..=620 {
        let now = Instant::from_millis(tenth * 100);
        log.extend(ids(&mut scheduler, now).into_iter().map(|id| (id, now)));
    }
    let (started, _) = log
        .iter()
        .map(|(id, now)| (*now, *id))
        .find(|(_, id)| *id == blocked)
        .unwrap();
    assert_eq!(started, at(60));
    assert_eq!(log[0].0, first);
    let before = log
        .iter()
        .filter(|(id, now)| others.contains(id) && *now < at(60));
    assert!(before.count() >= 58);
}

/// Found by the machine: what was kept free was what it no longer wanted.
#[test]
fn a_blocked_call_keeps_its_claim_where_it_would_start_now() {
    let mut scheduler = Scheduler::new(42);
    let inner = scheduler.add_pool(pool(12, 1));
    let preferred = scheduler.add_pool(pool(10, 2));
    let other = scheduler.add_pool(pool(10, 1));
    let choice = scheduler
        .add_route(&[&[inner, preferred], &[inner, other]])
        .unwrap();
    let [on_preferred, on_other] = [
        scheduler.add_route(&[&[preferred]]).unwrap(),
        scheduler.add_route(&[&[other]]).unwrap(),
    ];
    let first = scheduler.submit(at(0), job(choice)).unwrap();
    let blocked = scheduler.submit(at(0), job(choice)).unwrap();
    assert_eq!(sent(&mut scheduler, at(0)), [(first, 0)]);
    let high = job(on_preferred).priority(Priority::High);
    let high = scheduler.submit(at(0), high).unwrap();
    let low = job(on_other).priority(Priority::Low);
    let low = scheduler.submit(at(0), low).unwrap();
    // In 5 s, when the inner has room, only the other will have any.
    assert_eq!(sent(&mut scheduler, at(0)), [(high, 0)]);
    assert_eq!(sent(&mut scheduler, at(5)), [(blocked, 1)]);
    assert_eq!(sent(&mut scheduler, at(11)), [(low, 0)]);
}

/// Found by the machine: what opened was told to the first, who went elsewhere,
/// and the next slept on.
#[test]
fn a_pool_that_opened_is_open_to_the_next_when_the_first_goes_elsewhere() {
    let mut scheduler = Scheduler::new(42);
    let inner = scheduler.add_pool(pool(12, 1));
    let three = Rate::per_minute(3).unwrap();
    let once = RetryPolicy::new().attempts(1).unwrap();
    let images = pool(6_000, 100).limit(Dimension::Own1, three, 3).unwrap();
    let images = scheduler.add_pool(images.retry(once));
    let [only_inner, only_images, both, choice] = [
        &[&[inner][..]][..],
        &[&[images][..]][..],
        &[&[inner, images][..]][..],
        &[&[inner, images][..], &[inner][..]][..],
    ]
    .map(|sets| scheduler.add_route(sets).unwrap());
    for job in [job(only_inner), with_images(only_images, 2)] {
        scheduler.submit(at(0), job).unwrap();
    }
    let unsent = scheduler.submit(at(0), with_images(only_images, 1));
    assert_eq!(ids(&mut scheduler, at(0)).len(), 3);
    let high = with_images(choice, 3).priority(Priority::High);
    let high = scheduler.submit(at(1), high).unwrap();
    let low = scheduler.submit(at(1), with_images(both, 1)).unwrap();
    assert_eq!(ids(&mut scheduler, at(1)), []);
    // Now there is an image, but the inner pool has room in 3 s, for the first.
    let failed = Event::Failed(Failure::NotSent);
    let _given_up = scheduler.handle(at(2), unsent.unwrap(), failed);
    assert_eq!(ids(&mut scheduler, at(2)), []);
    assert_eq!(sent(&mut scheduler, at(5)), [(high, 1)]);
    let Next::Wait(wait) = scheduler.next(at(5)) else {
        panic!("the other waits");
    };
    assert_eq!(wait.until, at(10), "for the inner pool alone");
    assert_eq!(ids(&mut scheduler, at(10)), [low]);
}

#[test]
fn a_pool_that_is_taken_away_leaves_the_alternatives() {
    let mut scheduler = Scheduler::new(42);
    let [gone, kept] = [
        scheduler.add_pool(pool(1, 1)),
        scheduler.add_pool(pool(60, 9)),
    ];
    let both = scheduler.add_route(&[&[gone], &[kept]]).unwrap();
    let only = scheduler.add_route(&[&[gone]]).unwrap();
    scheduler.set_patience(both, Duration::from_secs(3_600));
    let flying = scheduler.submit(at(0), job(only)).unwrap();
    assert_eq!(ids(&mut scheduler, at(0)), [flying]);
    let saved = scheduler.submit(at(0), job(both)).unwrap();
    let lost = scheduler.submit(at(0), job(only)).unwrap();
    assert_eq!(ids(&mut scheduler, at(1)), []);
    assert!(scheduler.remove_pool(gone).is_some());
    let mut told = [scheduler.next(at(1)), scheduler.next(at(1))];
    told.sort_by_key(|next| matches!(next, Next::Drop { .. }));
    assert!(matches!(told[0], Next::Send { id, alternative: 1, .. } if id == saved));
    let why = Dropped::NoPool;
    assert_eq!(told[1], Next::Drop { id: lost, why });
    answered(&mut scheduler, at(2), flying);
    assert_eq!(
        scheduler.add_route(&[&[gone]]),
        Err(ConfigError::UnknownPool)
    );
    assert_eq!(scheduler.add_route(&[]), Err(ConfigError::EmptyRoute));
    assert_eq!(scheduler.add_route(&[&[]]), Err(ConfigError::EmptyRoute));
}

#[test]
fn what_is_under_way_on_a_route_that_is_taken_away_goes_on_to_its_end() {
    let (mut scheduler, route) = one_pool(pool(60, 2));
    let [well, ill, waits] = [(); 3].map(|()| scheduler.submit(at(0), job(route)).unwrap());
    assert_eq!(ids(&mut scheduler, at(0)), [well, ill]);
    assert!(scheduler.remove_route(route));
    assert!(!scheduler.remove_route(route), "it is gone");
    let why = Dropped::NoRoute;
    assert_eq!(scheduler.next(at(0)), Next::Drop { id: waits, why });
    assert_eq!(
        scheduler.submit(at(0), job(route)),
        Err(Rejected::UnknownRoute)
    );
    answered(&mut scheduler, at(0), well);
    let lost = Event::Failed(Failure::Lost);
    assert_eq!(scheduler.handle(at(0), ill, lost), Verdict::Queued);
    assert_eq!(scheduler.next(at(0)), Next::Drop { id: ill, why });
    assert_eq!(
        (scheduler.next(at(9)), scheduler.waiting()),
        (Next::Idle, 0)
    );
}

#[test]
fn a_place_that_is_used_again_is_not_taken_for_what_was_there() {
    let mut scheduler = Scheduler::new(1);
    let first = scheduler.add_pool(pool(60, 1));
    let route = scheduler.add_route(&[&[first]]).unwrap();
    let flying = scheduler.submit(at(0), job(route)).unwrap();
    assert_eq!(ids(&mut scheduler, at(0)), [flying]);
    assert!(scheduler.remove_pool(first).is_some());
    let second = scheduler.add_pool(pool(60, 1));
    assert_ne!(first.index(), second.index(), "a route goes over it");
    assert!(scheduler.remove_route(route));
    let third = scheduler.add_pool(pool(60, 1));
    assert_ne!(first.index(), third.index(), "a call has a permit of it");
    answered(&mut scheduler, at(0), flying);
    let fourth = scheduler.add_pool(pool(60, 1));
    assert_eq!(first.index(), fourth.index());
    assert!(scheduler.pool(first).is_none() && scheduler.pool(fourth).is_some());
    assert!(scheduler.remove_pool(first).is_none());
    let again = scheduler.add_route(&[&[fourth]]).unwrap();
    assert_eq!(again.index(), route.index());
    assert!(!scheduler.remove_route(route), "that is another one");
    assert_eq!(
        scheduler.submit(at(0), job(route)),
        Err(Rejected::UnknownRoute)
    );
    assert!(scheduler.submit(at(0), job(again)).is_ok());
}

/// A gateway that runs for years.
#[test]
fn pools_and_routes_that_come_and_go_leave_nothing_behind() {
    let mut scheduler = Scheduler::new(1);
    let kept = scheduler.add_pool(pool(60_000, 1_000));
    let mut now = 0;
    let mut come_and_go = |times: u32| {
        for tenant in 0..times {
            now += 1;
            let now = at(now);
            let own = scheduler.add_pool(pool(60, 1));
            let route = scheduler.add_route(&[&[own, kept], &[own]]).unwrap();
            let job = job(route).tenant(TenantId::new(tenant));
            let sent = scheduler.submit(now, job).unwrap();
            let waits = scheduler.submit(now, job).unwrap();
            assert_eq!(ids(&mut scheduler, now), [sent]);
            assert!(scheduler.remove_pool(own).is_some());
            assert!(scheduler.remove_route(route));
            let why = Dropped::NoRoute;
            assert_eq!(scheduler.next(now), Next::Drop { id: waits, why });
            answered(&mut scheduler, now, sent);
        }
    };
    come_and_go(1_000);
    let taken = allocation_counter::measure(|| come_and_go(100_000));
    assert!(taken.bytes_current.abs() <= 10_000, "{taken:?}");
    assert!(taken.bytes_max <= 100_000, "{taken:?}");
}

#[test]
fn of_many_vacant_places_the_lowest_is_used_again_at_once() {
    const MANY: usize = 10_000;
    let mut scheduler = Scheduler::new(1);
    let limiter = pool(60, 1);
    let pools: Vec<PoolId> = (0..MANY)
        .map(|_| scheduler.add_pool(limiter.clone()))
        .collect();
    let route = |scheduler: &mut Scheduler, pool: PoolId| scheduler.add_route(&[&[pool]]).unwrap();
    let routes: Vec<RouteId> = pools.iter().map(|p| route(&mut scheduler, *p)).collect();
    let is_gone = |place: &usize| place % 3 == 1 || *place >= MANY / 2;
    // From the end to the beginning, so that places do not come free in order.
    for place in (0..MANY).rev().filter(is_gone) {
        assert!(scheduler.remove_pool(pools[place]).is_some());
        assert!(scheduler.remove_route(routes[place]));
    }
    for place in (0..MANY).filter(is_gone) {
        let pool = scheduler.add_pool(limiter.clone());
        let route = route(&mut scheduler, pool);
        assert_eq!((pool.index(), route.index()), (place, place));
        assert_ne!((pool, route), (pools[place], routes[place]));
    }
    assert_eq!(scheduler.add_pool(limiter).index(), MANY);
}

#[test]
fn a_route_of_another_scheduler_is_refused() {
    let (_, route) = one_pool(pool(1, 1));
    let refused = Scheduler::new(42).submit(at(0), job(route));
    assert_eq!(refused, Err(Rejected::UnknownRoute));
}

#[test]
fn a_closed_pool_gives_up_what_comes_and_serves_again_once_it_is_reopened() {
    let mut scheduler = Scheduler::new(42);
    let pool = scheduler.add_pool(pool(60, 3));
    let route = scheduler.add_route(&[&[pool]]).unwrap();
    scheduler.change_pool(pool, |limiter| limiter.close(at(0), None));
    scheduler.submit(at(0), job(route)).unwrap();
    assert!(matches!(
        scheduler.next(at(0)),
        Next::Drop {
            why: Dropped::GivenUp(GiveUp::Never(_)),
            ..
        }
    ));
    scheduler.change_pool(pool, Limiter::reopen);
    let id = scheduler.submit(at(0), job(route)).unwrap();
    assert_eq!(ids(&mut scheduler, at(0)), [id]);
}

#[test]
fn urgent_calls_find_room_after_the_first_of_them_did_not() {
    let (mut scheduler, route) = one_pool(pool(60, 3));
    let bulk = |scheduler: &mut Scheduler, now| scheduler.submit(now, job(route)).unwrap();
    for _ in 0..100 {
        bulk(&mut scheduler, at(0));
    }
    assert_eq!(done(&mut scheduler, at(0)).len(), 3);
    let urgent = |scheduler: &mut Scheduler, now| {
        let job = job(route).priority(Priority::Urgent);
        scheduler.submit(now, job).unwrap()
    };
    let first = urgent(&mut scheduler, at(0));
    assert_eq!(ids(&mut scheduler, at(0)), [], "there is no room yet");
    assert_eq!(ids(&mut scheduler, at(1)), [first]);
    assert_eq!(ids(&mut scheduler, at(2)), [], "one place is left free");
    assert_eq!(sent(&mut scheduler, at(3)).len(), 1);
    let second = urgent(&mut scheduler, at(3));
    assert_eq!(ids(&mut scheduler, at(3)), [second], "and taken at once");
}

/// The calls that are dropped at `now`, and which bound they had to make room
/// for.
fn shed(scheduler: &mut Scheduler, now: Instant) -> Vec<(CallId, Full)> {
    let mut all = vec![];
    loop {
        match scheduler.next(now) {
            Next::Drop {
                id,
                why: Dropped::Shed(full),
            } => all.push((id, full)),
            Next::Drop { why, .. } => panic!("{why}"),
            Next::Send { .. } => {}
            Next::Wait(_) | Next::Idle => return all,
        }
    }
}

#[test]
fn a_full_queue_turns_away_what_comes_unless_something_else_is_to_give_way() {
    let bounded = |all, each, shed| {
        let mut scheduler = Scheduler::new(42).bounds(all, each, shed);
        let pool = scheduler.add_pool(pool(1, 1));
        let route = scheduler.add_route(&[&[pool]]).unwrap();
        // The one place of the pool is taken.
        scheduler.submit(at(0), job(route)).unwrap();
        assert_eq!(ids(&mut scheduler, at(0)).len(), 1);
        (scheduler, route)
    };
    let by = |route, tenant, priority| job(route).tenant(TenantId::new(tenant)).priority(priority);
    let two = Bounds::NONE.calls(2);
    let four = Bounds::NONE.calls(4);

    let (mut scheduler, route) = bounded(four, two, Shed::New);
    for tenant in [1, 1, 2, 2] {
        let low = by(route, tenant, Priority::Low);
        scheduler.submit(at(0), low).unwrap();
    }
    let urgent = |tenant| by(route, tenant, Priority::Urgent);
    let full = |full| Err(Rejected::Full(full));
    assert_eq!(scheduler.submit(at(0), urgent(1)), full(Full::TenantCalls));
    assert_eq!(scheduler.submit(at(0), urgent(3)), full(Full::Calls));
    scheduler.set_bounds(TenantId::new(3), Bounds::NONE.calls(0));
    assert_eq!(scheduler.submit(at(0), urgent(3)), full(Full::TenantCalls));
    assert_eq!(shed(&mut scheduler, at(0)), []);

    let (mut scheduler, route) = bounded(four, two, Shed::Lowest);
    let low: Vec<_> = [1, 2, 2]
        .map(|tenant| {
            scheduler
                .submit(at(0), by(route, tenant, Priority::Low))
                .unwrap()
        })
        .into();
    let high = by(route, 1, Priority::High);
    scheduler.submit(at(0), high).unwrap();
    assert_eq!(
        scheduler.submit(at(0), by(route, 3, Priority::Low)),
        full(Full::Calls)
    );
    assert!(
        scheduler
            .submit(at(0), by(route, 3, Priority::Normal))
            .is_ok()
    );
    assert_eq!(
        shed(&mut scheduler, at(0)),
        [(low[2], Full::Calls)],
        "who has most"
    );
    assert!(
        scheduler
            .submit(at(0), by(route, 1, Priority::High))
            .is_ok()
    );
    assert_eq!(shed(&mut scheduler, at(0)), [(low[0], Full::TenantCalls)]);
    assert_eq!(
        scheduler.submit(at(0), by(route, 1, Priority::High)),
        full(Full::TenantCalls)
    );

    let (mut scheduler, route) = bounded(four, two, Shed::Oldest);
    let all = [1, 2, 2, 3, 2, 4].map(|tenant| {
        let job = by(route, tenant, Priority::Normal);
        scheduler.submit(at(0), job).unwrap()
    });
    let gone = [(all[1], Full::TenantCalls), (all[0], Full::Calls)];
    assert_eq!(shed(&mut scheduler, at(0)), gone);
    assert_eq!(scheduler.waiting(), 4);
}

#[test]
fn the_cost_of_what_waits_is_bounded_as_the_time_that_it_takes() {
    let minute = Bounds::NONE.cost(Duration::from_secs(60));
    let mut scheduler = Scheduler::new(42).bounds(minute, Bounds::NONE, Shed::New);
    let limiter = pool(600, 1)
        .limit(
            Dimension::OutputTokens,
            Rate::per_minute(1_000).unwrap(),
            1_000,
        )
        .unwrap();
    let pool = scheduler.add_pool(limiter);
    let route = scheduler.add_route(&[&[pool]]).unwrap();
    let of = |tokens| Job::new(Request::new().max_tokens(tokens), route);
    // A quarter of `max_tokens` is expected: 24 s each.
    assert!(scheduler.submit(at(0), of(1_600)).is_ok());
    assert!(scheduler.submit(at(0), of(1_600)).is_ok());
    let full = Err(Rejected::Full(Full::Cost));
    assert_eq!(scheduler.submit(at(0), of(1_600)), full);
    assert!(scheduler.submit(at(0), of(780)).is_ok());
}

#[test]
fn a_waiting_call_is_told_its_place_and_when_it_will_start_and_starts_then() {
    let (mut scheduler, route) = one_pool(pool(60, 1));
    let mut submit = |tenant, priority| {
        let job = job(route).tenant(TenantId::new(tenant)).priority(priority);
        scheduler.submit(at(0), job).unwrap()
    };
    let first = submit(1, Priority::Normal);
    let mut all = vec![];
    for (tenant, priority) in [
        (1, Priority::Normal),
        (1, Priority::Normal),
        (2, Priority::Normal),
        (3, Priority::High),
        (2, Priority::Normal),
        (2, Priority::Low),
        (1, Priority::Normal),
    ] {
        all.push(submit(tenant, priority));
    }
    // The one of high priority goes at once.
    let high = all.remove(3);
    assert_eq!(ids(&mut scheduler, at(0)), [high]);
    assert_eq!(scheduler.explain(at(0), high), Some(CallStanding::Flying));
    all.push(first);
    let told: Vec<_> = all
        .iter()
        .map(|id| match scheduler.explain(at(0), *id) {
            Some(CallStanding::Queued {
                before,
                expected,
                cause: Some(Cause::Limit(Dimension::Requests)),
                ..
            }) => (before, expected),
            other => panic!("{other:?}"),
        })
        .collect();
    for (before, start) in (0..7).zip(1..8) {
        let place = told.iter().position(|(b, _)| *b == before).unwrap();
        assert_eq!(told[place].1, at(start));
        assert_eq!(ids(&mut scheduler, at(start)), [all[place]]);
    }
    answered(&mut scheduler, at(8), high);
    assert_eq!(scheduler.explain(at(8), high), None);
}

#[test]
fn a_pool_tells_how_it_stands() {
    let mut scheduler = Scheduler::new(42);
    let id = scheduler.add_pool(pool(60, 1));
    let route = scheduler.add_route(&[&[id]]).unwrap();
    let [first, second] = [(); 2].map(|()| scheduler.submit(at(0), job(route)).unwrap());
    assert_eq!(ids(&mut scheduler, at(0)), [first]);
    let standing = scheduler.explain_pool(at(0), id).unwrap();
    let [requests, ..] = standing.levels;
    assert_eq!(requests.unwrap().there, 0);
    let (waits, wait) = standing.first.unwrap();
    assert_eq!((waits, wait.until), (second, at(1)));
    assert_eq!((standing.flying, standing.paused), (1, None));
    let hints = ServerHints::NONE.with_retry_after(Duration::from_secs(9));
    let _queued = scheduler.handle(at(0), first, head(429, &hints));
    let standing = scheduler.explain_pool(at(0), id).unwrap();
    assert_eq!((standing.flying, standing.paused), (0, Some(at(9))));
    assert!(matches!(
        scheduler.explain(at(0), first),
        Some(CallStanding::Held(wait)) if wait.until >= at(9)
    ));
    assert_eq!(
        scheduler.notice(),
        Some(Notice::Stopped {
            pool: id,
            until: at(9)
        })
    );
}

#[test]
fn what_somebody_may_want_to_know_is_told_once() {
    let mut scheduler = Scheduler::new(42);
    let id = scheduler.add_pool(pool(6_000, 100));
    let route = scheduler.add_route(&[&[id]]).unwrap();
    let mut now = 0;
    let mut heads = |scheduler: &mut Scheduler, secs: u64, hints: &ServerHints, status| {
        now += secs;
        let call = scheduler.submit(at(now), job(route)).unwrap();
        assert_eq!(ids(scheduler, at(now)), [call]);
        let _verdict = scheduler.handle(at(now), call, head(status, hints));
        let _verdict = scheduler.handle(at(now), call, Event::Cancelled);
        let all = core::iter::from_fn(|| scheduler.notice());
        all.collect::<Vec<_>>()
    };
    let date = |secs| {
        let mut hints = ServerHints::NONE;
        hints.date = Some(UnixTime::from_secs(secs));
        hints
    };
    let told = heads(&mut scheduler, 10, &date(1_000), 200);
    assert!(matches!(
        told[..],
        [Notice::LimitChanged {
            dimension: Dimension::Requests,
            from: None,
            ..
        }]
    ));
    assert_eq!(heads(&mut scheduler, 10, &date(1_011), 200), []);
    let gained_ms = 89_000;
    let skew = Notice::ClockSkew {
        pool: id,
        gained_ms,
    };
    assert_eq!(heads(&mut scheduler, 10, &date(1_109), 200), [skew]);
    assert_eq!(heads(&mut scheduler, 10, &date(1_119), 200), []);

    let fields = [("retry-after", "soon")];
    let malformed = ServerHints::parse(fields, None);
    let problems = malformed.problems;
    let notice = Notice::Malformed { pool: id, problems };
    assert_eq!(heads(&mut scheduler, 1, &malformed, 200), [notice]);
    assert_eq!(heads(&mut scheduler, 1, &malformed, 200), []);

    let mut failing = vec![];
    for _ in 0..12 {
        failing.extend(heads(&mut scheduler, 1, &ServerHints::NONE, 529));
    }
    let class = Class::Overloaded;
    assert_eq!(failing, [Notice::Failing { pool: id, class }]);
}

#[test]
fn what_is_scarce_for_five_minutes_is_told_once() {
    let mut scheduler = Scheduler::new(42);
    let id = scheduler.add_pool(pool(60, 10));
    let route = scheduler.add_route(&[&[id]]).unwrap();
    let mut told = vec![];
    for second in 0..1_000 {
        while scheduler.waiting() < 20 {
            scheduler.submit(at(second), job(route)).unwrap();
        }
        for id in ids(&mut scheduler, at(second)) {
            answered(&mut scheduler, at(second), id);
        }
        while let Some(notice) = scheduler.notice() {
            if let Notice::Scarce { since, .. } = notice {
                told.push((at(second), since));
            }
        }
    }
    let [(told, since)] = told[..] else {
        panic!("{told:?}");
    };
    assert!(since < at(10), "as soon as the burst is gone");
    assert_eq!(
        told.saturating_duration_since(since),
        Duration::from_secs(300)
    );
}

#[test]
fn notices_that_nobody_takes_are_bounded() {
    let mut scheduler = Scheduler::new(42);
    for _ in 0..300 {
        let pool = scheduler.add_pool(pool(60, 10));
        let route = scheduler.add_route(&[&[pool]]).unwrap();
        scheduler.submit(at(0), job(route)).unwrap();
    }
    for id in ids(&mut scheduler, at(0)) {
        answered(&mut scheduler, at(0), id);
    }
    assert_eq!(scheduler.notice(), Some(Notice::Lost(44)));
    let rest = core::iter::from_fn(|| scheduler.notice());
    assert_eq!(rest.count(), 256);
}

/// Nothing between two attempts but a second.
fn a_second_each() -> RetryPolicy {
    let second = Backoff::constant(Duration::from_secs(1)).unwrap();
    RetryPolicy::new().backoff(second)
}

#[test]
fn a_call_is_sent_no_more_often_than_it_may_be() {
    let (mut scheduler, route) = one_pool(pool(60, 9).retry(a_second_each()));
    let twice = job(route).attempts(NonZeroU16::new(2).unwrap());
    let id = scheduler.submit(at(0), twice).unwrap();
    let overloaded = || head(529, &ServerHints::NONE);
    assert_eq!(ids(&mut scheduler, at(0)), [id]);
    assert_eq!(scheduler.handle(at(0), id, overloaded()), Verdict::Queued);
    assert_eq!(ids(&mut scheduler, at(1)), [id]);
    let why = GiveUp::AttemptsSpent {
        attempts: 2,
        class: Class::Overloaded,
    };
    let over = scheduler.handle(at(1), id, overloaded());
    assert_eq!(over, Verdict::GiveUp(why));
}

#[test]
fn client_side_throttling_keeps_calls_back_and_counts_as_an_attempt() {
    let policy = a_second_each().throttle(ClientThrottle::SRE);
    let (mut scheduler, route) = one_pool(pool(60_000, 1_000).retry(policy.attempts(3).unwrap()));
    let mut sent = 0;
    let mut dropped = 0;
    for second in 0..100 {
        scheduler.submit(at(second), job(route)).unwrap();
        loop {
            match scheduler.next(at(second)) {
                Next::Send { id, .. } => {
                    sent += 1;
                    let refused = ServerHints::NONE.with_retry_after(Duration::ZERO);
                    let _verdict = scheduler.handle(at(second), id, head(429, &refused));
                }
                Next::Drop { why, .. } => {
                    let class = Class::Overloaded;
                    let spent = GiveUp::AttemptsSpent { attempts: 3, class };
                    assert_eq!(why, Dropped::GivenUp(spent), "it was kept back last");
                    dropped += 1;
                }
                Next::Wait(wait) => {
                    assert!(wait.until > at(second));
                    break;
                }
                Next::Idle => break,
            }
        }
    }
    assert!(sent < 100, "{sent} of 300 attempts were sent");
    assert!(dropped > 50, "{dropped}");
}

#[test]
fn a_wait_names_what_binds_even_after_a_backoff() {
    let limiter = pool(600, 100).in_flight(1).unwrap().retry(a_second_each());
    let (mut scheduler, route) = one_pool(limiter);
    let [first, second] = [(); 2].map(|()| scheduler.submit(at(0), job(route)).unwrap());
    assert_eq!(ids(&mut scheduler, at(0)), [first]);
    let unsent = Event::Failed(Failure::NotSent);
    assert_eq!(scheduler.handle(at(0), first, unsent), Verdict::Queued);
    assert_eq!(ids(&mut scheduler, at(0)), [second]);
    // The first comes back in a second, and finds the one place taken.
    let Next::Wait(wait) = scheduler.next(at(0)) else {
        panic!("it waits");
    };
    assert_eq!((wait.until, wait.cause), (at(1), Cause::InFlight));
    answered(&mut scheduler, at(0), second);
    let Next::Wait(wait) = scheduler.next(at(0)) else {
        panic!("it waits");
    };
    assert_eq!((wait.until, wait.cause), (at(1), Cause::Backoff));
    assert_eq!(ids(&mut scheduler, at(1)), [first]);
}

/// The one call that is dropped at `now`, and why.
fn given_up(scheduler: &mut Scheduler, now: Instant) -> (CallId, Instant, Cause) {
    match scheduler.next(now) {
        Next::Drop {
            id,
            why: Dropped::GivenUp(GiveUp::DeadlineTooClose { earliest, cause }),
        } => (id, earliest, cause),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_call_whose_turn_does_not_come_is_told_what_held_it_up() {
    let (mut scheduler, route) = one_pool(pool(6, 1));
    let high = || job(route).priority(Priority::High);
    for _ in 0..3 {
        scheduler.submit(at(0), high()).unwrap();
    }
    let request = Request::new().start_by(at(15));
    let late = scheduler.submit(at(0), Job::new(request, route)).unwrap();
    // While they are under way they may turn out to have cost nothing.
    assert_eq!(ids(&mut scheduler, at(0)).len(), 1);
    assert_eq!(ids(&mut scheduler, at(10)).len(), 1);
    assert_eq!(ids(&mut scheduler, at(15)), []);
    let just_after = Instant::from_nanos(at(15).as_nanos() + 1);
    let cause = Cause::Limit(Dimension::Requests);
    let told = given_up(&mut scheduler, just_after);
    assert_eq!(told, (late, at(20), cause));
}

#[test]
fn a_call_that_was_asked_for_too_late_is_told_that() {
    let (mut scheduler, route) = one_pool(pool(60, 1));
    let request = Request::new().start_by(at(1));
    let late = scheduler.submit(at(0), Job::new(request, route)).unwrap();
    let told = given_up(&mut scheduler, at(2));
    assert_eq!(told, (late, at(2), Cause::AskedLate));
}

/// It was found only when its time had come, because another went before it.
#[test]
fn a_call_that_comes_while_the_pool_is_stopped_is_given_up_at_once() {
    let (mut scheduler, route) = one_pool(pool(6_000, 100));
    let first = scheduler.submit(at(0), job(route)).unwrap();
    assert_eq!(ids(&mut scheduler, at(0)), [first]);
    let hints = ServerHints::NONE.with_retry_after(Duration::from_secs(40));
    let refused = scheduler.handle(at(0), first, head(429, &hints));
    assert_eq!(refused, Verdict::Queued);
    scheduler
        .submit(at(0), job(route).priority(Priority::High))
        .unwrap();
    assert_eq!(ids(&mut scheduler, at(0)), []);
    let low = |secs| {
        let request = Request::new().start_by(at(secs));
        Job::new(request, route).priority(Priority::Low)
    };
    let late = scheduler.submit(at(1), low(20)).unwrap();
    assert_eq!(
        given_up(&mut scheduler, at(1)),
        (late, at(40), Cause::Pause)
    );
    let in_time = scheduler.submit(at(1), low(60)).unwrap();
    assert_eq!(ids(&mut scheduler, at(1)), []);
    assert!(scheduler.postpone(in_time, Some(at(30))));
    assert_eq!(given_up(&mut scheduler, at(1)).0, in_time);
}

#[test]
fn a_call_in_backoff_is_given_up_when_its_pool_is_stopped_for_too_long() {
    let ten = Backoff::constant(Duration::from_secs(10)).unwrap();
    let (mut scheduler, route) = one_pool(pool(6_000, 100).retry(RetryPolicy::new().backoff(ten)));
    let by = Job::new(Request::new().start_by(at(20)), route);
    let held = scheduler.submit(at(0), by).unwrap();
    let other = scheduler.submit(at(0), job(route)).unwrap();
    assert_eq!(ids(&mut scheduler, at(0)), [held, other]);
    let unsent = Event::Failed(Failure::NotSent);
    assert_eq!(scheduler.handle(at(0), held, unsent), Verdict::Queued);
    assert_eq!(ids(&mut scheduler, at(1)), []);
    let hints = ServerHints::NONE.with_retry_after(Duration::from_secs(40));
    let refused = scheduler.handle(at(1), other, head(429, &hints));
    assert_eq!(refused, Verdict::Queued);
    assert_eq!(
        given_up(&mut scheduler, at(1)),
        (held, at(41), Cause::Pause)
    );
}

#[test]
fn a_limit_that_falls_gives_up_what_it_makes_late() {
    let minute = |count| Rate::per_minute(count).unwrap();
    let limiter = pool(6_000, 100)
        .limit(Dimension::InputTokens, minute(60_000), 60_000)
        .unwrap();
    let mut scheduler = Scheduler::new(42);
    let pool = scheduler.add_pool(limiter);
    let route = scheduler.add_route(&[&[pool]]).unwrap();
    let wants = |tokens| Request::new().input_tokens(tokens).max_tokens(1);
    // It takes all, and what comes after it another ten seconds.
    let first = Job::new(wants(60_000), route);
    let first = scheduler.submit(at(0), first).unwrap();
    assert_eq!(ids(&mut scheduler, at(0)), [first]);
    let head = head(200, &ServerHints::NONE);
    assert_eq!(scheduler.handle(at(0), first, head), Verdict::Proceed);
    let end = Event::Finished(Some(Usage::new(60_000, 1)));
    assert_eq!(scheduler.handle(at(0), first, end), Verdict::Delivered);
    let high = Job::new(wants(20_000), route).priority(Priority::High);
    let high = scheduler.submit(at(0), high).unwrap();
    let by = Job::new(wants(10_000).start_by(at(15)), route);
    let late = scheduler.submit(at(0), by).unwrap();
    assert_eq!(ids(&mut scheduler, at(0)), []);
    scheduler.change_pool(pool, |limiter| {
        limiter.set_limit(at(0), Dimension::InputTokens, minute(30_000), 60_000)
    });
    let cause = Cause::Limit(Dimension::InputTokens);
    assert_eq!(given_up(&mut scheduler, at(0)), (late, at(20), cause));
    assert_eq!(ids(&mut scheduler, at(40)), [high]);
}

#[test]
fn a_breaker_that_opens_is_told_once_each_time() {
    let half_minute = Duration::from_secs(30);
    let breaker = Breaker::after_run(2, half_minute).unwrap();
    let mut scheduler = Scheduler::new(42);
    let id = scheduler.add_pool(pool(6_000, 100).retry(a_second_each().breaker(breaker)));
    let route = scheduler.add_route(&[&[id]]).unwrap();
    let mut told = vec![];
    let mut overload = |scheduler: &mut Scheduler, now| {
        let call = scheduler.submit(now, job(route)).unwrap();
        for id in ids(scheduler, now) {
            let _verdict = scheduler.handle(now, id, head(529, &ServerHints::NONE));
        }
        let _cancelled = scheduler.handle(now, call, Event::Cancelled);
        let breakers = |notice: &Notice| matches!(notice, Notice::BreakerOpened { .. });
        told.extend(core::iter::from_fn(|| scheduler.notice()).filter(breakers));
    };
    for second in [0, 1, 2, 31, 32] {
        overload(&mut scheduler, at(second));
    }
    let opened = |secs| Notice::BreakerOpened {
        pool: id,
        until: at(secs),
    };
    assert_eq!(told, [opened(31), opened(61)]);
}

/// It was told, because only what answers showed was looked at.
#[test]
fn what_was_there_between_two_answers_is_not_scarce() {
    let mut scheduler = Scheduler::new(42);
    let id = scheduler.add_pool(pool(60, 10));
    let route = scheduler.add_route(&[&[id]]).unwrap();
    for second in [0, 301] {
        for _ in 0..10 {
            scheduler.submit(at(second), job(route)).unwrap();
        }
        assert_eq!(done(&mut scheduler, at(second)).len(), 10);
    }
    let scarce = |notice: &Notice| matches!(notice, Notice::Scarce { .. });
    let told = core::iter::from_fn(|| scheduler.notice()).filter(scarce);
    assert_eq!(told.count(), 0, "for 290 s the burst was there");
}

/// Each of them was told, because each asked for a little longer.
#[test]
fn a_volley_of_refusals_is_told_as_one_stop() {
    let mut scheduler = Scheduler::new(42);
    let pool = scheduler.add_pool(pool(6_000, 100));
    let route = scheduler.add_route(&[&[pool]]).unwrap();
    for _ in 0..3 {
        scheduler.submit(at(0), job(route)).unwrap();
    }
    let mut flying = ids(&mut scheduler, at(0));
    let longer = flying.pop().unwrap();
    let refuse = |scheduler: &mut Scheduler, now, id, secs| {
        let hints = ServerHints::NONE.with_retry_after(Duration::from_secs(secs));
        let refused = scheduler.handle(now, id, head(429, &hints));
        assert_eq!(refused, Verdict::Queued);
    };
    for (millis, id) in (0..).zip(flying) {
        refuse(&mut scheduler, Instant::from_millis(millis), id, 40);
    }
    let told = |scheduler: &mut Scheduler| {
        let stops = |notice| match notice {
            Notice::Stopped { until, .. } => Some(until),
            _ => None,
        };
        let all = core::iter::from_fn(|| scheduler.notice());
        all.filter_map(stops).collect::<Vec<_>>()
    };
    assert_eq!(told(&mut scheduler), [at(40)]);
    let standing = scheduler.explain_pool(at(1), pool).unwrap();
    assert_eq!(standing.paused, Some(Instant::from_millis(40_001)));
    refuse(&mut scheduler, at(1), longer, 99);
    assert_eq!(told(&mut scheduler), [at(100)], "it is another stop");
}

#[test]
fn an_outage_stops_the_pool_and_not_each_call_and_one_at_a_time_asks() {
    let (mut scheduler, route) = one_pool(pool(60_000, 1_000));
    for _ in 0..200 {
        scheduler.submit(at(0), job(route)).unwrap();
    }
    assert_eq!(done(&mut scheduler, at(0)).len(), 200);
    for _ in 0..1_000 {
        scheduler.submit(at(0), job(route)).unwrap();
    }
    let mut asked = 0;
    let overload = |scheduler: &mut Scheduler, now, flying: Vec<CallId>| {
        for id in flying {
            let verdict = scheduler.handle(now, id, head(529, &ServerHints::NONE));
            assert_eq!(verdict, Verdict::Queued);
        }
    };
    let mut flying = ids(&mut scheduler, at(0));
    assert!(flying.len() > 20, "{}", flying.len());
    for millis in (0..30_000).step_by(50) {
        let now = Instant::from_millis(millis);
        let was = core::mem::take(&mut flying);
        overload(&mut scheduler, now, was);
        flying = ids(&mut scheduler, now);
        if millis >= 1_000 {
            assert!(flying.len() <= 1, "{} at {now:?}", flying.len());
            asked += flying.len();
        }
    }
    assert!((3..40).contains(&asked), "{asked} asked in half a minute");
    assert_eq!(scheduler.waiting() + scheduler.flying(), 1_000);
}

/// It was the same call that asked each time, until its attempts were spent.
#[test]
fn an_outage_spends_the_attempts_of_all_that_wait_and_not_of_one() {
    for routes in [1, 3] {
        let mut scheduler = Scheduler::new(42);
        let more = scheduler.add_pool(pool(60_000, 1_000));
        let down = scheduler.add_pool(pool(60_000, 1_000).retry(a_second_each()));
        let set = |route| {
            if route == 0 {
                vec![down]
            } else {
                vec![down, more]
            }
        };
        let all: Vec<RouteId> = (0..routes)
            .map(|route| scheduler.add_route(&[&set(route)]).unwrap())
            .collect();
        let calls: Vec<CallId> = (0..24)
            .map(|n| scheduler.submit(at(0), job(all[n % routes])).unwrap())
            .collect();
        let mut attempts = vec![0_u32; calls.len()];
        let mut now = at(0);
        let mut sent = 0;
        while sent < 120 {
            match scheduler.next(now) {
                Next::Send { id, .. } => {
                    sent += 1;
                    attempts[calls.iter().position(|call| *call == id).unwrap()] += 1;
                    let refused = head(529, &ServerHints::NONE);
                    assert_eq!(scheduler.handle(now, id, refused), Verdict::Queued);
                }
                Next::Wait(wait) => now = wait.until,
                other => panic!("{other:?}"),
            }
        }
        let (least, most) = (attempts.iter().min(), attempts.iter().max());
        assert!(
            most <= least.map(|least| least + 4).as_ref(),
            "{attempts:?}"
        );
        // It is up again: all of them are through at once.
        let mut through = 0;
        for _ in 0..1_000 {
            match scheduler.next(now) {
                Next::Send { id, .. } => {
                    answered(&mut scheduler, now, id);
                    through += 1;
                }
                Next::Wait(wait) => now = wait.until,
                other => {
                    assert_eq!(other, Next::Idle);
                    break;
                }
            }
        }
        assert_eq!(through, calls.len());
    }
}

/// It was told to come back at an instant that was past.
#[test]
fn a_call_that_lets_others_ask_is_told_when_they_do() {
    let mut scheduler = Scheduler::new(42);
    let down = scheduler.add_pool(pool(60_000, 1_000).retry(a_second_each()));
    let route = scheduler.add_route(&[&[down]]).unwrap();
    let calls: Vec<CallId> = (0..24)
        .map(|_| scheduler.submit(at(0), job(route)).unwrap())
        .collect();
    let mut now = at(0);
    let mut aside = 0;
    for _ in 0..200 {
        match scheduler.next(now) {
            Next::Send { id, .. } => {
                let refused = head(529, &ServerHints::NONE);
                assert_eq!(scheduler.handle(now, id, refused), Verdict::Queued);
            }
            Next::Wait(wait) => {
                for call in &calls {
                    if let Some(CallStanding::Held(held)) = scheduler.explain(now, *call) {
                        assert!(held.until > now, "{held:?} at {now:?}");
                        if held.cause == Cause::Outage {
                            assert!(held.until >= wait.until, "{held:?}, asked {wait:?}");
                            aside += 1;
                        }
                    }
                }
                now = wait.until;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(aside > 100, "{aside}");
}

/// A thousand tokens and ten images a second, and plenty of requests.
fn tokens_and_images(tokens_a_minute: u64) -> Limiter {
    let minute = |count| Rate::per_minute(count).unwrap();
    pool(6_000, 10)
        .limit(Dimension::InputTokens, minute(tokens_a_minute), 1_000)
        .and_then(|pool| pool.limit(Dimension::Own1, minute(600), 10))
        .unwrap()
}

/// How many each of four tenants has had when so many were sent.
fn had(scheduler: &mut Scheduler, of: &[(CallId, u32, u64)], calls: usize) -> [usize; 4] {
    let mut had = [0; 4];
    let mut now = at(0);
    while had.iter().sum::<usize>() < calls {
        match scheduler.next(now) {
            Next::Send { id, .. } => {
                let (_, tenant, tokens) = of.iter().find(|(call, ..)| *call == id).unwrap();
                had[usize::try_from(*tenant).unwrap()] += 1;
                let _proceed = scheduler.handle(now, id, head(200, &ServerHints::NONE));
                let end = Event::Finished(Some(Usage::new(*tokens, 1)));
                let _delivered = scheduler.handle(now, id, end);
            }
            Next::Wait(wait) => now = wait.until,
            other => panic!("{other:?}"),
        }
    }
    had
}

#[test]
fn tenants_share_by_the_largest_of_cost_over_rate() {
    let (mut scheduler, route) = one_pool(tokens_and_images(60_000));
    let mut of = vec![];
    // A second of tokens, of images, of both, and half a second of tokens.
    let wants = [(1_000, 1), (100, 10), (1_000, 10), (500, 1)];
    for (tenant, (tokens, images)) in (0..).zip(wants) {
        for _ in 0..100 {
            let request = Request::new().input_tokens(tokens).max_tokens(1);
            let job = Job::new(request.own([images, 0, 0]), route);
            let job = job.tenant(TenantId::new(tenant));
            of.push((scheduler.submit(at(0), job).unwrap(), tenant, tokens));
        }
    }
    assert_eq!(had(&mut scheduler, &of, 100), [20, 20, 20, 40]);
}

#[test]
fn what_a_call_weighs_is_fixed_when_it_is_submitted() {
    let mut scheduler = Scheduler::new(42);
    let pool = scheduler.add_pool(tokens_and_images(60_000));
    let route = scheduler.add_route(&[&[pool]]).unwrap();
    let mut of = vec![];
    for tenant in 0..2 {
        for _ in 0..100 {
            let request = Request::new().input_tokens(500).max_tokens(1);
            let job = Job::new(request, route).tenant(TenantId::new(tenant));
            of.push((scheduler.submit(at(0), job).unwrap(), tenant, 500));
        }
        // The second tenant's are submitted when half as much comes in.
        let half = Rate::per_minute(30_000).unwrap();
        scheduler.change_pool(pool, |limiter| {
            limiter.set_limit(at(0), Dimension::InputTokens, half, 1_000)
        });
    }
    assert_eq!(had(&mut scheduler, &of, 90), [60, 30, 0, 0]);
}

#[test]
fn a_limit_that_a_head_shows_to_be_less_gives_up_what_it_makes_late() {
    let minute = |count| Rate::per_minute(count).unwrap();
    let limiter = Limiter::new(7)
        .limit(Dimension::InputTokens, minute(60_000), 60_000)
        .and_then(|limiter| limiter.initial_window(1_000))
        .unwrap();
    let (mut scheduler, route) = one_pool(limiter);
    let wants = |tokens| Request::new().input_tokens(tokens).max_tokens(1);
    let mut submit = |request| scheduler.submit(at(0), Job::new(request, route)).unwrap();
    let [large, small] = [59_000, 1_000].map(|tokens| submit(wants(tokens)));
    assert_eq!(ids(&mut scheduler, at(0)), [large, small]);
    let proceed = scheduler.handle(at(0), large, head(200, &ServerHints::NONE));
    assert_eq!(proceed, Verdict::Proceed);
    let end = Event::Finished(Some(Usage::new(59_000, 1)));
    assert_eq!(scheduler.handle(at(0), large, end), Verdict::Delivered);
    let by = Job::new(wants(10_000).start_by(at(15)), route);
    let late = scheduler.submit(at(0), by).unwrap();
    assert_eq!(ids(&mut scheduler, at(0)), []);
    // The server has had 30 000 a minute all along.
    let fields = [
        ("anthropic-ratelimit-input-tokens-limit", "30000"),
        ("anthropic-ratelimit-input-tokens-remaining", "0"),
        (
            "anthropic-ratelimit-input-tokens-reset",
            "2026-01-02T00:01:00Z",
        ),
        ("date", "Fri, 02 Jan 2026 00:00:00 GMT"),
    ];
    let shown = ServerHints::parse(fields, None);
    let proceed = scheduler.handle(at(0), small, head(200, &shown));
    assert_eq!(proceed, Verdict::Proceed);
    let (id, earliest, cause) = given_up(&mut scheduler, at(0));
    assert_eq!((id, cause), (late, Cause::Limit(Dimension::InputTokens)));
    assert!(earliest > at(15), "{earliest:?}");
}

/// They were not counted, and the answer was seconds too early.
#[test]
fn a_place_counts_the_calls_of_other_routes_over_the_same_pool() {
    let mut scheduler = Scheduler::new(42);
    let [one, two] = [(); 2].map(|()| scheduler.add_pool(pool(6_000, 100)));
    let organisation = scheduler.add_pool(pool(60, 1));
    let routes = [one, two].map(|workspace| {
        let route = scheduler.add_route(&[&[workspace, organisation]]);
        route.unwrap()
    });
    let mut all = vec![];
    for (route, tenant) in [(0, 1), (0, 1), (1, 2), (1, 1), (0, 2), (1, 2), (0, 1)] {
        let job = job(routes[route]).tenant(TenantId::new(tenant));
        all.push(scheduler.submit(at(0), job).unwrap());
    }
    assert_eq!(ids(&mut scheduler, at(0)), all[..1]);
    let mut told: Vec<_> = all[1..]
        .iter()
        .map(|id| match scheduler.explain(at(0), *id) {
            Some(CallStanding::Queued {
                before, expected, ..
            }) => (before, expected, *id),
            other => panic!("{other:?}"),
        })
        .collect();
    told.sort_by_key(|(before, ..)| *before);
    for (place, (before, expected, id)) in told.into_iter().enumerate() {
        assert_eq!(before, place);
        assert_eq!(ids(&mut scheduler, expected), [id], "at {expected:?}");
    }
}
