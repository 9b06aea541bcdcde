//! A scheduler as a value that outlives its process: [`Snapshot`].
//!
//! What follows from something else is not in it: the trees of the queue, who
//! waits at which pool and what is claimed there are made anew from calls and
//! routes, so that nothing in it can contradict itself but what is checked here.

use core::time::Duration;

use alloc::{
    collections::{BTreeMap, VecDeque},
    vec::Vec,
};

use serde::{Deserialize, Serialize, Serializer};
use thiserror::Error;

use super::{
    Scheduler, Site,
    bounds::Tenant,
    entry::{Active, At, Entry},
    index,
    job::{Bounds, CallId, Dropped, PoolId, Shed},
    notice::{Notices, Watch},
    number,
    pool::{Headroom, Pool, Release},
    queue::{CLASSES, Flows},
    route::{self, Block, Route},
    slab::Slab,
};
use crate::{
    clock::Clock, limiter::Limiter, retry::RetryPolicy, rng::Rng, snapshot::Versioned,
    time::Instant,
};

/// A scheduler with its calls and pools, to be restored later, perhaps by
/// another process. From [`Scheduler::snapshot`]; serializes with any format of
/// `serde`, and is read by the release that wrote it and those that know its
/// version; others refuse it.
///
/// ```
/// use core::time::Duration;
/// use sendwhen::{Instant, Job, Limiter, Next, Request, RetryPolicy, Scheduler, Snapshot};
///
/// let mut scheduler = Scheduler::new(42);
/// let pool = scheduler.add_pool(Limiter::new(7));
/// let route = scheduler.add_route(&[&[pool]])?;
/// let id = scheduler.submit(Instant::from_secs(500), Job::new(Request::new(), route))?;
/// let text = serde_json::to_string(&scheduler.snapshot())?;
///
/// // Another process, whose clock begins anew, a minute later:
/// let snapshot: Snapshot = serde_json::from_str(&text)?;
/// let (now, asleep) = (Instant::from_secs(1), Duration::from_secs(60));
/// let mut scheduler = snapshot.restore(now, asleep, |_| RetryPolicy::new())?;
/// assert!(matches!(scheduler.next(now), Next::Send { id: first, .. } if first == id));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub struct Snapshot(Versioned<State>);

/// What [`Scheduler::snapshot`] gives: a snapshot to be written, which borrows
/// the scheduler.
///
/// The example is at [`Snapshot`].
#[derive(Clone, Copy, Debug)]
pub struct SnapshotOf<'a>(&'a Scheduler);

/// Why a snapshot is not restored. What cannot be read at all is an error of the
/// format's.
///
/// ```
/// use core::time::Duration;
/// use sendwhen::{Instant, RetryPolicy, Scheduler, Snapshot};
///
/// let text = serde_json::to_string(&Scheduler::new(42).snapshot())?;
/// let tampered = text.replace(r#""flows":[]"#, r#""flows":[null]"#);
/// assert!(serde_json::from_str::<Snapshot>(&tampered).is_err(), "it cannot be read");
/// let tampered = text.replace(r#""pools":[]"#, r#""pools":[null]"#);
/// let snapshot: Snapshot = serde_json::from_str(&tampered)?;
/// let error = snapshot.restore(Instant::ZERO, Duration::ZERO, |_| RetryPolicy::new()).unwrap_err();
/// assert!(error.to_string().starts_with("the snapshot contradicts itself"));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("the snapshot contradicts itself: {0}")]
pub struct SnapshotError(&'static str);

/// What is written and read. The calls, of which there may be a million, are
/// only lent to be written.
#[derive(Debug, Serialize, Deserialize)]
struct State<C = Slab<Entry>, A = Slab<Active>> {
    clock: Clock,
    rng: Rng,
    aging: Duration,
    pools: Vec<Option<PoolState>>,
    /// Of each place of a pool, which pool it is of those that were there.
    #[serde(default)]
    generations: Vec<u32>,
    flows: Vec<[Flows; CLASSES]>,
    routes: Vec<RouteState>,
    tenants: BTreeMap<u32, Tenant>,
    bounds: [Bounds; 2],
    shed: Shed,
    submitted: u64,
    calls: C,
    active: A,
    dropped: VecDeque<(CallId, Dropped)>,
    notices: Notices,
}

#[derive(Debug, Serialize, Deserialize)]
struct PoolState {
    limiter: Limiter,
    opened: u64,
    open: bool,
    woken: Option<u32>,
    turn: u8,
    headroom: Headroom,
    release: Release,
    watch: Watch,
}

#[derive(Debug, Serialize, Deserialize)]
struct RouteState {
    /// None where there is no route any more.
    alternatives: Vec<Vec<u32>>,
    #[serde(default)]
    generation: u32,
    #[serde(default)]
    is_gone: bool,
    patience: Duration,
    home: u32,
    /// What it waits for, where it sleeps.
    sleeps: Option<Block>,
    claim: Option<Block>,
    waits: Vec<u32>,
}

impl Scheduler {
    /// All that is to be kept over a restart: the calls, those under way
    /// included, and what is known of the pools. Not in it: how calls are
    /// retried, which code sets.
    pub const fn snapshot(&self) -> SnapshotOf<'_> {
        SnapshotOf(self)
    }
}

impl Snapshot {
    /// The scheduler as it was. `now` is the present instant on the caller's
    /// clock, whose origin may be another than before. `asleep` is how long ago
    /// the snapshot was taken, as far as it is known: so much refills, and waits
    /// are so much shorter. Where it is not known, nothing: then no pool lets
    /// more pass than it would have at once.
    ///
    /// `policy` says how calls over each pool are retried. Calls that were under
    /// way still are; if their answers cannot come any more, report each of
    /// [`flights`](Scheduler::flights) as [`Lost`](crate::Failure::Lost).
    ///
    /// # Errors
    /// Where the snapshot was tampered with, so that it contradicts itself.
    pub fn restore(
        self,
        now: Instant,
        asleep: Duration,
        policy: impl Fn(PoolId) -> RetryPolicy,
    ) -> Result<Scheduler, SnapshotError> {
        let Versioned(state) = self.0;
        state.check()?;
        let mut scheduler = Scheduler::new(0);
        scheduler.clock = state.clock;
        scheduler.clock.resume(now, asleep);
        scheduler.rng = state.rng;
        scheduler.aging = state.aging;
        let generations = state.generations.into_iter().chain(core::iter::repeat(0));
        for mut flows in state.flows {
            flows.iter_mut().for_each(Flows::nobody_waits);
            scheduler.sites.push(Site { flows, ..Site::NEW });
        }
        for (site, generation) in scheduler.sites.iter_mut().zip(generations) {
            site.generation = generation;
        }
        for (number, pool) in (0..).zip(state.pools) {
            let pool = pool.map(|pool| pool.restored(policy(scheduler.pool_id(number))));
            if pool.as_ref().is_some_and(|pool| pool.open) {
                scheduler.open.push(number);
            }
            scheduler.pools.push(pool);
        }
        let mut asleep = Vec::new();
        for (number, route) in (0..).zip(state.routes) {
            let mut restored = Route::new(route.alternatives, route.home);
            restored.generation = route.generation;
            restored.is_gone = route.is_gone;
            restored.patience = route.patience;
            restored.claim = route.claim;
            scheduler.routes.push(restored);
            scheduler.place(number);
            asleep.extend(route.sleeps.map(|block| (number, block, route.waits)));
        }
        scheduler.tenants = state.tenants;
        let tenants = scheduler.tenants.values_mut();
        tenants.for_each(Tenant::nothing_waits);
        [scheduler.bounds, scheduler.tenant_bounds] = state.bounds;
        scheduler.shed = state.shed;
        scheduler.submitted = state.submitted;
        scheduler.calls = state.calls;
        scheduler.active = state.active;
        scheduler.dropped = state.dropped;
        scheduler.notices = state.notices;
        scheduler.put_back();
        for number in 0..number(scheduler.routes.len()) {
            scheduler.vacate(number);
        }
        scheduler.look_for_vacant();
        for (number, block, waits) in asleep {
            scheduler.sleep_on(number, block, waits);
        }
        Ok(scheduler)
    }
}

impl Scheduler {
    /// Says which places of pools and routes may be used again.
    fn look_for_vacant(&mut self) {
        for number in 0..number(self.pools.len()) {
            self.vacate_pool(number);
        }
        let routes = (0..).zip(&self.routes);
        let vacant = routes.filter(|(_, route)| route.is_vacant());
        self.vacant_routes = vacant.map(|(number, _)| number).collect();
    }

    /// Puts each call where it says that it is.
    fn put_back(&mut self) {
        let calls = self.calls.iter();
        let all: Vec<(u32, At, u32, u64, u64, u32)> = calls
            .map(|(slot, call)| {
                let (tenant, cost, number) = (call.tenant, call.cost, call.number);
                (slot, call.at, tenant, cost, number, call.route)
            })
            .collect();
        for (slot, at, tenant, cost, number, route) in all {
            self.count_of(route, true);
            match at {
                At::Queued => {
                    self.load(tenant, cost);
                    self.resume(slot);
                }
                At::Held => {
                    self.load(tenant, cost);
                    let call = self.calls.get(slot);
                    let active = call.and_then(|call| self.active.get(call.active?));
                    if let Some(until) = active.map(|active| active.hold.until) {
                        self.held.insert((until, number), slot);
                    }
                    self.watch_on(slot);
                }
                At::Flying => self.flying = self.flying.saturating_add(1),
            }
        }
    }
}

impl State {
    /// What the rest of the scheduler relies on.
    fn check(&self) -> Result<(), SnapshotError> {
        let is = |sound: bool, why| sound.then_some(()).ok_or(SnapshotError(why));
        let pools = self.pools.len();
        is(
            self.flows.len() == pools,
            "shares of another number of pools than there are",
        )?;
        for route in &self.routes {
            let sets = &route.alternatives;
            let mut named = sets.iter().flatten().chain([&route.home]);
            let known = sets.is_empty() || named.all(|pool| index(*pool) < pools);
            let filled = sets.iter().all(|set| !set.is_empty());
            is(known && filled, "a route over pools that are not there")?;
        }
        let mut numbers = Vec::new();
        let mut owned = Vec::new();
        for (_, call) in self.calls.iter() {
            numbers.push(call.number);
            let route = self.routes.get(index(call.route));
            let goes_on = |route: &RouteState| !route.is_gone || matches!(call.at, At::Flying);
            let route = route.is_some_and(|route| !route.alternatives.is_empty() && goes_on(route));
            is(route && call.class() < CLASSES, "a call without a route")?;
            let needs_life = call.at != At::Queued;
            is(
                !needs_life || call.active.is_some(),
                "a flight without a life",
            )?;
            owned.extend(call.active);
        }
        numbers.sort_unstable();
        let last = numbers.last().copied();
        is(
            last.is_none_or(|last| last < self.submitted),
            "a call from the future",
        )?;
        let lives = owned.len();
        owned.sort_unstable();
        owned.dedup();
        let mut all = owned.iter();
        let sound = owned.len() == lives && all.all(|life| self.active.get(*life).is_some());
        is(
            sound && self.active.len() == lives,
            "lives that no call leads",
        )?;
        let count = numbers.len();
        numbers.dedup();
        is(numbers.len() == count, "two calls of one number")
    }
}

impl Serialize for SnapshotOf<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Versioned(State::of(self.0)).serialize(serializer)
    }
}

impl<'a> State<&'a Slab<Entry>, &'a Slab<Active>> {
    fn of(all: &'a Scheduler) -> Self {
        let pools = all.pools.iter();
        Self {
            clock: all.clock,
            rng: all.rng,
            aging: all.aging,
            pools: pools.map(|pool| pool.as_ref().map(PoolState::of)).collect(),
            generations: all.sites.iter().map(|site| site.generation).collect(),
            flows: all.sites.iter().map(|site| site.flows.clone()).collect(),
            routes: all.routes.iter().map(RouteState::of).collect(),
            tenants: all.tenants.clone(),
            bounds: [all.bounds, all.tenant_bounds],
            shed: all.shed,
            submitted: all.submitted,
            calls: &all.calls,
            active: &all.active,
            dropped: all.dropped.clone(),
            notices: all.notices.clone(),
        }
    }
}

impl PoolState {
    fn of(pool: &Pool) -> Self {
        Self {
            limiter: pool.limiter.clone(),
            opened: pool.opened,
            open: pool.open,
            woken: pool.woken,
            turn: pool.turn,
            headroom: pool.headroom,
            release: pool.release,
            watch: pool.watch,
        }
    }

    fn restored(self, policy: RetryPolicy) -> Pool {
        let mut pool = Pool::new(self.limiter.with_policy(policy));
        pool.opened = self.opened;
        pool.open = self.open;
        pool.woken = self.woken;
        pool.turn = self.turn;
        pool.headroom = self.headroom;
        pool.release = self.release;
        pool.watch = self.watch;
        pool
    }
}

impl RouteState {
    fn of(route: &Route) -> Self {
        Self {
            alternatives: route.alternatives.clone(),
            generation: route.generation,
            is_gone: route.is_gone,
            patience: route.patience,
            home: route.home,
            sleeps: match route.state {
                route::State::Blocked(block) => Some(block),
                route::State::Empty | route::State::Ready => None,
            },
            claim: route.claim,
            waits: route.waits.clone(),
        }
    }
}
