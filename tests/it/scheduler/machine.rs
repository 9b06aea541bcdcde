//! The scheduler beside one that is slow and plain: the same decisions, whatever
//! happens to both.

use core::num::NonZeroU32;
use std::time::Duration;

use proptest::prelude::*;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest};
use sendwhen::{
    Backoff, CallId, Dimension, ErrorDetails, Event, Failure, Instant, Jitter, Job, Limiter, Next,
    PoolId, Priority, Rate, Request, RetryPolicy, Scheduler, ServerHints, TenantId, Usage,
};

use super::naive::{Naive, Step};

/// One pool or two.
type Set = (usize, Option<usize>);

/// What both are built from.
#[derive(Clone, Debug)]
struct Setting {
    aging: u64,
    /// Requests and images a minute, and at once.
    pools: Vec<(u64, u64, u64, u64)>,
    /// Alternatives of one pool or two, and the patience in milliseconds.
    routes: Vec<(Vec<Set>, u64)>,
    weights: Vec<u32>,
}

#[derive(Clone, Debug)]
enum Op {
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
    Answer(prop::sample::Index),
    /// One of those under way was not sent.
    Fail(prop::sample::Index),
    /// Any call ends.
    Cancel(prop::sample::Index),
}

/// Draws what happens; knows nothing of what comes of it.
#[derive(Clone, Debug)]
struct Drawn {
    setting: Setting,
}

struct Machine;

impl ReferenceStateMachine for Machine {
    type State = Drawn;
    type Transition = Op;

    fn init_state() -> BoxedStrategy<Drawn> {
        let pool = (10..600_u64, 1..6_u64, 5..60_u64, 5..12_u64);
        let set = (0..3_usize, prop::option::weighted(0.3, 0..3_usize));
        let route = (prop::collection::vec(set, 1..3), 0..3_000_u64);
        (
            1..60_u64,
            prop::collection::vec(pool, 3),
            prop::collection::vec(route, 1..4),
            prop::collection::vec(1..5_u32, 3),
        )
            .prop_map(|(aging, pools, routes, weights)| Drawn {
                setting: Setting {
                    aging,
                    pools,
                    routes,
                    weights,
                },
            })
            .boxed()
    }

    fn transitions(state: &Drawn) -> BoxedStrategy<Op> {
        let routes = state.setting.routes.len();
        let priority = prop::sample::select(&[Priority::Low, Priority::Normal, Priority::High][..]);
        let submit = (
            0..routes,
            0..3_u32,
            priority,
            1..5_000_u64,
            prop_oneof![2 => Just(0), 1 => 1..6_u64],
        )
            .prop_map(|(route, tenant, priority, tokens, images)| Op::Submit {
                route,
                tenant,
                priority,
                tokens,
                images,
            });
        prop_oneof![
            8 => submit,
            6 => (0..4_000_u64).prop_map(Op::Pass),
            5 => any::<prop::sample::Index>().prop_map(Op::Answer),
            1 => any::<prop::sample::Index>().prop_map(Op::Fail),
            1 => any::<prop::sample::Index>().prop_map(Op::Cancel),
        ]
        .boxed()
    }

    fn apply(state: Drawn, _: &Op) -> Drawn {
        state
    }
}

/// Both, side by side.
struct Pair {
    real: Scheduler,
    naive: Naive,
    now: u64,
    calls: Vec<CallId>,
}

impl Pair {
    fn new(setting: &Setting) -> Self {
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

    fn check(&self) {
        assert_eq!(self.real.waiting(), self.naive.waiting());
        let flying: Vec<u64> = self.naive.flying();
        assert_eq!(self.real.flying(), flying.len());
    }
}

impl StateMachineTest for Machine {
    type SystemUnderTest = Pair;
    type Reference = Self;

    fn init_test(state: &Drawn) -> Pair {
        Pair::new(&state.setting)
    }

    fn apply(mut pair: Pair, _: &Drawn, op: Op) -> Pair {
        match op {
            Op::Submit {
                route,
                tenant,
                priority,
                tokens,
                images,
            } => {
                let routes = pair.naive.route_ids();
                let route = route % routes.len();
                // Where routes share pools, whether one may pass another follows
                // from claims as they were when last asked for.
                let images = if routes.len() > 1 { 0 } else { images };
                let request = Request::new().input_tokens(tokens).own([images, 0, 0]);
                let job = Job::new(request, routes[route])
                    .tenant(TenantId::new(tenant))
                    .priority(priority);
                let now = pair.now();
                let id = pair.real.submit(now, job).unwrap();
                pair.calls.push(id);
                pair.naive
                    .submit(now, id.number(), request, (route, tenant, priority));
            }
            Op::Pass(millis) => pair.pass(millis),
            Op::Answer(which) => {
                let flying = pair.naive.flying();
                if !flying.is_empty() {
                    let number = *which.get(&flying);
                    let head = Event::responded(200, &ServerHints::NONE, ErrorDetails::NONE);
                    pair.tell(number, head);
                    pair.tell(number, Event::Finished(Some(Usage::new(100, 100))));
                    pair.send_all();
                }
            }
            Op::Fail(which) => {
                let flying = pair.naive.flying();
                if !flying.is_empty() {
                    pair.tell(*which.get(&flying), Event::Failed(Failure::NotSent));
                    pair.send_all();
                }
            }
            Op::Cancel(which) => {
                if !pair.calls.is_empty() {
                    let number = which.get(&pair.calls).number();
                    pair.tell(number, Event::Cancelled);
                    pair.send_all();
                }
            }
        }
        pair.check();
        pair
    }
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

fn config() -> ProptestConfig {
    let default = ProptestConfig::default();
    let least = if cfg!(debug_assertions) { 100 } else { 1_000 };
    ProptestConfig {
        cases: default.cases.max(least),
        max_shrink_iters: 4_000,
        ..default
    }
}

proptest_state_machine::prop_state_machine! {
    #![proptest_config(config())]

    #[test]
    fn it_decides_as_the_naive_one_does(sequential 1..80 => Machine);
}
