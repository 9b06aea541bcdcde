//! Layer 3, a queue of calls over one or more pools: [`Scheduler`].
//!
//! In come jobs and what happens to them; out go orders to send, and what is
//! over without an answer. It allocates, and does no I/O.
//!
//! `mod` holds the verbs. `ask` decides whether the first of a route may go, and
//! whether another may pass it; `wake` says who is to be asked again and when;
//! `looks` when each is looked at for being late; `queue` is the order, `ordered` the
//! calls of one tenant in it, `route` a choice of pools and who waits for it, `pool`
//! a limiter with what surrounds it, `entry` what is kept of a call, `job` the
//! vocabulary. `bounds` says how much may wait, `notice` what somebody may want to
//! be told of, and `explain` answers questions.
//!
//! # Theory of operation
//!
//! Calls wait by route. Of each route only the first is asked for, and of the
//! routes that wait for a pool only the first one: a pool that lets nothing pass
//! is asked once, and again when the instant has come that it named or when a
//! report opened it. So a decision costs a few look-ups in ordered trees,
//! however many wait behind, and some more for each route of the pool.
//!
//! The first of a route that cannot go has a claim on the pools that it waits
//! for. What comes after it, on its own route or another, passes only if it is
//! let pass alone and if, on a copy of the pools with that charged, the first
//! would still go at the same instant.

mod ask;
mod bounds;
mod entry;
mod explain;
mod job;
mod looks;
mod notice;
mod ordered;
mod pool;
mod queue;
#[cfg(feature = "serde")]
mod replay;
mod route;
mod slab;
#[cfg(feature = "serde")]
mod snapshot;
mod wake;

use core::{num::NonZeroU32, time::Duration};

use alloc::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    vec::Vec,
};

use ask::Offer;
use bounds::{Load, Tenant};
use entry::{Active, At, Entry};
use job::Numbered;
use looks::Links;
use pool::Pool;
use queue::{CLASSES, Flows, Lane, Tag};
use route::{Block, Route, State};
use slab::Slab;
use wake::{Firsts, is_down};

pub use explain::{CallStanding, PoolStanding};
pub use job::{
    Bounds, CallId, Dropped, Full, Job, Next, PoolId, Priority, Rejected, RouteId, Shed, TenantId,
    Verdict,
};
pub use notice::Notice;
use notice::Notices;
#[cfg(feature = "serde")]
pub use replay::{Record, Recorder, Replay, ReplayError};
#[cfg(feature = "serde")]
pub use snapshot::{Snapshot, SnapshotError, SnapshotOf};

use crate::{
    attempt::{Holder, take_note},
    clock::Clock,
    decision::{Cause, Class, Event, GiveUp, Wait},
    error::ConfigError,
    hints::ServerHints,
    life::{Charge, Standing},
    limiter::{Limiter, Permit},
    pools::Told,
    request::{Request, Usage},
    retry::{Guard, RetryPolicy},
    rng::Rng,
    time::Instant,
    units::Cost,
};

/// A queue of calls over one or more pools: who goes first, over which pool, and
/// when.
///
/// It owns its pools. Jobs are [`submit`](Self::submit)ted;
/// [`next`](Self::next) is asked until it says `Wait` or `Idle`; what happens to
/// a call that was sent is told to [`handle`](Self::handle). One timer is
/// enough: `next` is asked again when its wait is over or after a report,
/// whichever comes first.
///
/// **Order.** Priority first. Within a priority tenants share by weight, by what
/// their calls cost and not by how many they are: the largest of cost over rate,
/// fixed at submission. Within a tenant, by the latest start or the aging bound
/// after submission, whichever is earlier.
///
/// **Nothing starves.** A call that has waited longer than the
/// [`aging`](Self::aging) bound takes part in one of every eight sendings of its
/// pools whatever its priority; within its priority its tenant has its share of
/// them, and within its tenant none goes before it that was submitted later than
/// the aging bound after it.
///
/// **Large calls are not passed for ever.** One that must wait for room keeps
/// its claim: what comes after it goes only if that delays it by nothing.
///
/// **During an outage** one call at a time asks whether the server is up again. One
/// that failed so lets others ask before it asks again, so that attempts are spent
/// evenly.
///
/// **What it costs.** The time of a decision grows as the logarithm of how many
/// calls wait, and with the number of routes over the pools that it is about; now
/// and then one takes longer that puts calls in order whose latest start comes
/// near, of each call once. A call that waits takes at most 200 bytes, the queue
/// included, where at least ten of its tenant wait on its route; where they are
/// fewer, 400 more for all of them; and 15 more where these ten must start more than
/// four seconds apart.
/// From its submission to its end, and the two waits that are asked for
/// meanwhile, a call costs at most 16 allocations over one pool, and 15 for each
/// more that what waits may be refused by. As long as calls are many take:
/// [`explain`](Self::explain), snapshots, and a limit that falls or is learnt,
/// after which each call with a latest start is looked at. To shed takes as long
/// as tenants and routes are many.
///
/// ```
/// use sendwhen::{
///     Cause, Dimension, Event, Instant, Job, Limiter, Next, Priority, Rate, Request, Scheduler,
///     ServerHints, ErrorDetails, Usage, Verdict,
/// };
///
/// let mut scheduler = Scheduler::new(42);
/// let pool = scheduler.add_pool(Limiter::new(7).limit(Dimension::Requests, Rate::per_minute(60)?, 1)?);
/// let route = scheduler.add_route(&[&[pool]]).unwrap();
/// let now = Instant::from_secs(5);
/// let first = scheduler.submit(now, Job::new(Request::new(), route))?;
/// let urgent = scheduler.submit(now, Job::new(Request::new(), route).priority(Priority::Urgent))?;
///
/// assert!(matches!(scheduler.next(now), Next::Send { id, .. } if id == urgent));
/// let Next::Wait(wait) = scheduler.next(now) else { panic!() };
/// assert_eq!(wait.cause, Cause::Limit(Dimension::Requests));
///
/// let head = Event::responded(200, &ServerHints::NONE, ErrorDetails::NONE);
/// assert_eq!(scheduler.handle(now, urgent, head), Verdict::Proceed);
/// let end = Event::Finished(Some(Usage::new(12, 340)));
/// assert_eq!(scheduler.handle(now, urgent, end), Verdict::Delivered);
///
/// let Next::Send { id, .. } = scheduler.next(wait.until) else { panic!() };
/// assert_eq!(id, first);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Scheduler {
    clock: Clock,
    rng: Rng,
    aging: Duration,
    pools: Vec<Option<Pool>>,
    /// By pool; they outlive their pools.
    sites: Vec<Site>,
    routes: Vec<Route>,
    /// Places that may be used again. The lowest is, so that nothing of them need
    /// be kept over a restart.
    vacant_pools: BTreeSet<u32>,
    vacant_routes: BTreeSet<u32>,
    tenants: BTreeMap<u32, Tenant>,
    bounds: Bounds,
    /// Of each tenant that has none of its own.
    tenant_bounds: Bounds,
    shed: Shed,
    /// What waits.
    load: Load,
    /// The number of the next call.
    submitted: u64,
    calls: Slab<Entry>,
    active: Slab<Active>,
    /// Those in backoff, by when it ends.
    held: BTreeMap<(Instant, u64), u32>,
    /// Those whose backoff is over, and who let others ask whether the server is up
    /// again: by route.
    aside: BTreeSet<(u32, u64, u32)>,
    /// How many are under way.
    flying: usize,
    /// Routes whose first is to be asked for.
    ready: Vec<u32>,
    /// Pools that may let something pass.
    open: Vec<u32>,
    /// When blocked routes are to be asked again.
    alarms: BTreeSet<(Instant, u32)>,
    /// When the first critical of a route is to be looked at.
    criticals: BTreeSet<(Instant, u32)>,
    links: Links,
    /// Room for what the alternatives of one route say; empty between decisions.
    offers: Vec<Offer>,
    firsts: Firsts,
    /// Room for the pools that a call goes over; empty between decisions.
    set: Vec<u32>,
    /// What is to be told.
    dropped: VecDeque<(CallId, Dropped)>,
    notices: Notices,
}

/// How long a call waits before its age counts, where nothing else is set.
const AGING: Duration = Duration::from_secs(300);

impl Scheduler {
    /// A scheduler without pools. The same seed and the same events give the
    /// same decisions.
    ///
    /// ```
    /// use sendwhen::{Instant, Next, Scheduler};
    ///
    /// assert_eq!(Scheduler::new(42).next(Instant::ZERO), Next::Idle);
    /// ```
    pub const fn new(seed: u64) -> Self {
        Self {
            clock: Clock::new(),
            rng: Rng::new(seed),
            aging: AGING,
            pools: Vec::new(),
            sites: Vec::new(),
            routes: Vec::new(),
            vacant_pools: BTreeSet::new(),
            vacant_routes: BTreeSet::new(),
            tenants: BTreeMap::new(),
            bounds: Bounds::NONE,
            tenant_bounds: Bounds::NONE,
            shed: Shed::New,
            load: Load::NONE,
            submitted: 0,
            calls: Slab::new(),
            active: Slab::new(),
            held: BTreeMap::new(),
            aside: BTreeSet::new(),
            flying: 0,
            ready: Vec::new(),
            open: Vec::new(),
            alarms: BTreeSet::new(),
            criticals: BTreeSet::new(),
            links: Links::new(),
            offers: Vec::new(),
            firsts: Firsts::NONE,
            set: Vec::new(),
            dropped: VecDeque::new(),
            notices: Notices::NONE,
        }
    }

    /// Sets how long a call waits before its age counts: 5 minutes where nothing
    /// else is set. Where calls wait already it changes nothing: their order is
    /// made.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::Scheduler;
    ///
    /// let scheduler = Scheduler::new(42).aging(Duration::from_secs(60));
    /// assert_eq!(scheduler.waiting(), 0);
    /// ```
    #[must_use]
    pub const fn aging(mut self, bound: Duration) -> Self {
        if self.waiting() == 0 {
            self.aging = bound;
        }
        self
    }

    /// Sets how much may wait in all and of each tenant, and what gives way where
    /// it is too much. There is no bound where none is set. What was sent once
    /// and comes back is counted, but never turned away.
    ///
    /// ```
    /// use sendwhen::{Bounds, Scheduler, Shed};
    ///
    /// let each = Bounds::NONE.calls(1_000);
    /// let scheduler = Scheduler::new(42).bounds(Bounds::NONE.calls(100_000), each, Shed::Lowest);
    /// # let _ = scheduler;
    /// ```
    #[must_use]
    pub const fn bounds(mut self, all: Bounds, each: Bounds, shed: Shed) -> Self {
        self.bounds = all;
        self.tenant_bounds = each;
        self.shed = shed;
        self
    }

    /// Adds a pool. Its limits are the limiter's, and so is how calls that go
    /// over it are retried.
    ///
    /// ```
    /// use sendwhen::{Dimension, Limiter, Rate, Scheduler};
    ///
    /// let mut scheduler = Scheduler::new(42);
    /// let limiter = Limiter::new(7).limit(Dimension::Requests, Rate::per_minute(50)?, 50)?;
    /// let pool = scheduler.add_pool(limiter);
    /// assert!(scheduler.pool(pool).is_some());
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub fn add_pool(&mut self, limiter: Limiter) -> PoolId {
        let vacant = self.vacant_pools.pop_first();
        let place = vacant.map_or(self.pools.len(), index);
        let pool = Some(Pool::new(limiter));
        match (self.pools.get_mut(place), self.sites.get_mut(place)) {
            (Some(old), Some(site)) => {
                *old = pool;
                *site = Site {
                    generation: site.generation.wrapping_add(1),
                    ..Site::NEW
                };
            }
            _ => {
                self.pools.push(pool);
                self.sites.push(Site::NEW);
            }
        }
        self.pool_id(number(place))
    }

    /// Takes a pool away. What waits for it goes over the other alternatives of
    /// its route, or is dropped where there are none; what is under way goes on,
    /// and is told to the pools that are left. Its room is used again once the
    /// routes over it are taken away too.
    ///
    /// ```
    /// # use sendwhen::{Limiter, Scheduler};
    /// # let mut scheduler = Scheduler::new(42);
    /// # let pool = scheduler.add_pool(Limiter::new(7));
    /// # let route = scheduler.add_route(&[&[pool]])?;
    /// use sendwhen::{Dropped, Instant, Job, Next, Request};
    ///
    /// let now = Instant::from_secs(5);
    /// let id = scheduler.submit(now, Job::new(Request::new(), route))?;
    /// assert!(scheduler.remove_pool(pool).is_some());
    /// assert_eq!(scheduler.next(now), Next::Drop { id, why: Dropped::NoPool });
    /// assert!(scheduler.remove_pool(pool).is_none());
    /// # Ok::<(), Box<dyn core::error::Error>>(())
    /// ```
    pub fn remove_pool(&mut self, pool: PoolId) -> Option<Limiter> {
        let number = self.pool_at(pool)?;
        let removed = self.pools.get_mut(index(number))?.take()?;
        self.wake_all_of(number);
        self.reconsider(number);
        self.vacate_pool(number);
        Some(removed.limiter)
    }

    /// The limiter of a pool.
    ///
    /// ```
    /// # use sendwhen::{Limiter, Scheduler};
    /// # let mut scheduler = Scheduler::new(42);
    /// # let pool = scheduler.add_pool(Limiter::new(7));
    /// # let route = scheduler.add_route(&[&[pool]])?;
    /// use sendwhen::Instant;
    ///
    /// assert_eq!(scheduler.pool(pool).map(|limiter| limiter.flying(Instant::ZERO)), Some(0));
    /// # Ok::<(), Box<dyn core::error::Error>>(())
    /// ```
    pub fn pool(&self, pool: PoolId) -> Option<&Limiter> {
        let pool = self.pools.get(index(self.pool_at(pool)?))?.as_ref()?;
        Some(&pool.limiter)
    }

    /// Changes a pool: its limits, or whether it is closed. Whatever waits for it
    /// is looked at again.
    ///
    /// ```
    /// # use sendwhen::{Dimension, Instant, Limiter, Rate, Scheduler};
    /// # let (mut scheduler, now) = (Scheduler::new(1), Instant::ZERO);
    /// # let pool = scheduler.add_pool(Limiter::new(1));
    /// let twice = Rate::per_minute(100)?;
    /// scheduler.change_pool(pool, |limiter| limiter.set_limit(now, Dimension::Requests, twice, 100));
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub fn change_pool<T>(
        &mut self,
        pool: PoolId,
        change: impl FnOnce(&mut Limiter) -> T,
    ) -> Option<T> {
        let number = self.pool_at(pool)?;
        let place = self.pools.get_mut(index(number))?.as_mut()?;
        let changed = change(&mut place.limiter);
        self.wake_all_of(number);
        self.reconsider(number);
        Some(changed)
    }

    /// Adds a choice of pools: alternatives in the order of preference, each a
    /// set of pools that a request must pass together. `[&[workspace,
    /// organisation]]` is one alternative of two pools, `[&[model], &[other]]` a
    /// choice between two.
    ///
    /// The first pool of a set is the inner: response fields go to the pool whose
    /// known limit equals the one sent, else to this; retries go by its policy.
    /// The last of the first set is the one by which tenants share.
    ///
    /// ```
    /// use sendwhen::{ConfigError, Limiter, Scheduler};
    ///
    /// let mut scheduler = Scheduler::new(42);
    /// let [workspace, organisation, other] =
    ///     [1, 2, 3].map(|seed| scheduler.add_pool(Limiter::new(seed)));
    /// let together = scheduler.add_route(&[&[workspace, organisation]])?;
    /// let choice = scheduler.add_route(&[&[workspace, organisation], &[other]])?;
    /// assert_ne!(together, choice);
    /// assert_eq!(scheduler.add_route(&[&[]]), Err(ConfigError::EmptyRoute));
    /// # Ok::<(), ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// Where there is no alternative, or one without a pool, or a pool that is not
    /// there.
    pub fn add_route(&mut self, alternatives: &[&[PoolId]]) -> Result<RouteId, ConfigError> {
        let home = alternatives.first().and_then(|set| set.last());
        let Some(home) = home else {
            return Err(ConfigError::EmptyRoute);
        };
        let mut sets = Vec::new();
        for set in alternatives {
            if set.is_empty() {
                return Err(ConfigError::EmptyRoute);
            }
            if set.iter().any(|pool| self.pool(*pool).is_none()) {
                return Err(ConfigError::UnknownPool);
            }
            // A pool that is named twice is passed once.
            let mut pools: Vec<u32> = Vec::new();
            for pool in *set {
                if !pools.contains(&pool.0.place()) {
                    pools.push(pool.0.place());
                }
            }
            sets.push(pools);
        }
        let mut new = Route::new(sets, home.0.place());
        let vacant = self.vacant_routes.pop_first();
        let place = vacant.map_or(self.routes.len(), index);
        if let Some(old) = self.routes.get_mut(place) {
            new.generation = old.generation.wrapping_add(1);
        }
        let id = RouteId(Numbered::new(number(place), new.generation));
        match self.routes.get_mut(place) {
            Some(old) => *old = new,
            None => self.routes.push(new),
        }
        self.place(id.0.place());
        Ok(id)
    }

    /// Takes a route away. What waits on it is dropped; what is under way goes on,
    /// and is dropped where it would be sent again. False where there is no such
    /// route. Takes as long as calls are many that wait on it, or anywhere for a
    /// backoff to end.
    ///
    /// ```
    /// # use sendwhen::{Limiter, Scheduler};
    /// # let mut scheduler = Scheduler::new(42);
    /// # let pool = scheduler.add_pool(Limiter::new(7));
    /// # let route = scheduler.add_route(&[&[pool]])?;
    /// use sendwhen::{Dropped, Instant, Job, Next, Rejected, Request};
    ///
    /// let (now, job) = (Instant::from_secs(5), Job::new(Request::new(), route));
    /// let id = scheduler.submit(now, job)?;
    /// assert!(scheduler.remove_route(route));
    /// assert_eq!(scheduler.next(now), Next::Drop { id, why: Dropped::NoRoute });
    /// assert_eq!(scheduler.submit(now, job), Err(Rejected::UnknownRoute));
    /// # Ok::<(), Box<dyn core::error::Error>>(())
    /// ```
    pub fn remove_route(&mut self, route: RouteId) -> bool {
        let Some(number) = self.route_at(route) else {
            return false;
        };
        let mut waiting = Vec::new();
        if let Some(route) = self.routes.get_mut(index(number)) {
            route.is_gone = true;
            waiting.extend(route.lanes().rev().flat_map(Lane::iter));
        }
        let of_it = |slot: &u32| {
            self.calls
                .get(*slot)
                .is_some_and(|call| call.route == number)
        };
        let held = self.held.values().copied();
        let aside = self.aside.iter().map(|(.., slot)| *slot);
        waiting.extend(held.chain(aside).filter(of_it));
        for slot in waiting {
            self.drop_call(slot, Dropped::NoRoute);
        }
        self.vacate(number);
        true
    }

    /// Sets how much later than the first possible a preferred alternative of
    /// `route` may be: not at all where nothing is set.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Dimension, Instant, Job, Limiter, Next, Rate, Request, Scheduler};
    ///
    /// let mut scheduler = Scheduler::new(42);
    /// let limiter = Limiter::new(7).limit(Dimension::Requests, Rate::per_minute(60)?, 1)?;
    /// let [preferred, other] = [(); 2].map(|()| scheduler.add_pool(limiter.clone()));
    /// let route = scheduler.add_route(&[&[preferred], &[other]])?;
    /// // It is worth a second.
    /// scheduler.set_patience(route, Duration::from_secs(1));
    /// let at = Instant::from_secs;
    /// for _ in 0..2 {
    ///     scheduler.submit(at(0), Job::new(Request::new(), route)).unwrap();
    /// }
    /// assert!(matches!(scheduler.next(at(0)), Next::Send { alternative: 0, .. }));
    /// assert!(matches!(scheduler.next(at(0)), Next::Wait(wait) if wait.until == at(1)));
    /// assert!(matches!(scheduler.next(at(1)), Next::Send { alternative: 0, .. }));
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub fn set_patience(&mut self, route: RouteId, patience: Duration) {
        let Some(number) = self.route_at(route) else {
            return;
        };
        if let Some(route) = self.routes.get_mut(index(number)) {
            route.patience = patience;
        }
        self.wake(number);
    }

    /// Sets the weight of a tenant: 1 where nothing is set.
    ///
    /// ```
    /// # use sendwhen::{Limiter, Scheduler};
    /// # let mut scheduler = Scheduler::new(42);
    /// # let pool = scheduler.add_pool(Limiter::new(7));
    /// # let route = scheduler.add_route(&[&[pool]])?;
    /// use core::num::NonZeroU32;
    /// use sendwhen::TenantId;
    ///
    /// // Three times as much as each of the others.
    /// scheduler.set_weight(TenantId::new(7), NonZeroU32::new(3).unwrap());
    /// # Ok::<(), Box<dyn core::error::Error>>(())
    /// ```
    pub fn set_weight(&mut self, tenant: TenantId, weight: NonZeroU32) {
        let number = tenant.number();
        let known = self.tenants.entry(number).or_insert(Tenant::NEW);
        known.weight = weight;
        if known.is_new() {
            self.tenants.remove(&number);
        }
    }

    /// Sets how much of a tenant may wait: as much as
    /// [`bounds`](Self::bounds) says for each where nothing is set.
    ///
    /// ```
    /// # use sendwhen::{Limiter, Scheduler};
    /// # let mut scheduler = Scheduler::new(42);
    /// # let pool = scheduler.add_pool(Limiter::new(7));
    /// # let route = scheduler.add_route(&[&[pool]])?;
    /// use sendwhen::{Bounds, Instant, Job, Request, TenantId};
    ///
    /// scheduler.set_bounds(TenantId::new(7), Bounds::NONE.calls(0));
    /// let job = Job::new(Request::new(), route);
    /// assert!(scheduler.submit(Instant::ZERO, job.tenant(TenantId::new(7))).is_err());
    /// assert!(scheduler.submit(Instant::ZERO, job).is_ok());
    /// # Ok::<(), Box<dyn core::error::Error>>(())
    /// ```
    pub fn set_bounds(&mut self, tenant: TenantId, bounds: Bounds) {
        let known = self.tenants.entry(tenant.number()).or_insert(Tenant::NEW);
        known.bounds = Some(bounds);
    }

    /// How many calls wait, those in backoff included.
    ///
    /// ```
    /// # use sendwhen::{Limiter, Scheduler};
    /// # let mut scheduler = Scheduler::new(42);
    /// # let pool = scheduler.add_pool(Limiter::new(7));
    /// # let route = scheduler.add_route(&[&[pool]])?;
    /// use sendwhen::{Instant, Job, Next, Request};
    ///
    /// let id = scheduler.submit(Instant::ZERO, Job::new(Request::new(), route))?;
    /// assert_eq!((scheduler.waiting(), scheduler.flying()), (1, 0));
    /// assert!(matches!(scheduler.next(Instant::ZERO), Next::Send { .. }));
    /// assert_eq!((scheduler.waiting(), scheduler.flying()), (0, 1));
    /// assert_eq!(scheduler.flights().collect::<Vec<_>>(), [id]);
    /// # Ok::<(), Box<dyn core::error::Error>>(())
    /// ```
    pub const fn waiting(&self) -> usize {
        self.calls.len().saturating_sub(self.flying)
    }

    /// How many calls are under way.
    ///
    /// The example is at [`waiting`](Self::waiting).
    pub const fn flying(&self) -> usize {
        self.flying
    }

    /// The calls that are under way. After a restart nobody will report of them:
    /// then each is to be reported as lost.
    ///
    /// The example is at [`waiting`](Self::waiting).
    pub fn flights(&self) -> impl Iterator<Item = CallId> {
        let calls = self.calls.iter();
        calls
            .filter(|(_, call)| call.at == At::Flying)
            .map(|(slot, call)| call.id(slot))
    }

    /// Says that the caller's clock was reset, as
    /// [`Limiter::rebase`](crate::Limiter::rebase).
    ///
    /// ```
    /// use sendwhen::{Dimension, Instant, Job, Limiter, Next, Rate, Request, Scheduler};
    ///
    /// let mut scheduler = Scheduler::new(42);
    /// let limiter = Limiter::new(7).limit(Dimension::Requests, Rate::per_minute(60)?, 1)?;
    /// let pool = scheduler.add_pool(limiter);
    /// let route = scheduler.add_route(&[&[pool]])?;
    /// let at = Instant::from_secs;
    /// for _ in 0..2 {
    ///     scheduler.submit(at(500), Job::new(Request::new(), route)).unwrap();
    /// }
    /// assert!(matches!(scheduler.next(at(500)), Next::Send { .. }));
    /// scheduler.rebase(at(3));
    /// assert!(matches!(scheduler.next(at(3)), Next::Wait(wait) if wait.until == at(4)));
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub const fn rebase(&mut self, now: Instant) {
        self.clock.rebase(now);
    }

    /// Takes a job into the queue.
    ///
    /// ```
    /// # use sendwhen::{Limiter, Scheduler};
    /// # let mut scheduler = Scheduler::new(42);
    /// # let pool = scheduler.add_pool(Limiter::new(7));
    /// # let route = scheduler.add_route(&[&[pool]])?;
    /// use sendwhen::{Instant, Job, Request, TenantId};
    ///
    /// let request = Request::new().input_tokens(1_800).max_tokens(1_024);
    /// let job = Job::new(request, route).tenant(TenantId::new(7));
    /// let id = scheduler.submit(Instant::from_secs(5), job)?;
    /// assert_eq!(id.number(), 0);
    /// # Ok::<(), Box<dyn core::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Where its route is not one of this scheduler, or there is no room for it.
    pub fn submit(&mut self, now: Instant, job: Job) -> Result<CallId, Rejected> {
        let now = self.clock.advance(now);
        if self.route_at(job.route).is_none() {
            return Err(Rejected::UnknownRoute);
        }
        let start_by = job.request.start_by;
        let start_by = start_by.map_or(Instant::MAX, |latest| self.clock.inside(latest));
        let mut call = Entry::new(&job, self.submitted, now, start_by);
        call.cost = self.weigh(now, &call);
        self.make_room(&call).map_err(Rejected::Full)?;
        let (tenant, cost, id) = (call.tenant, call.cost, self.submitted);
        let Some(slot) = self.calls.insert(call) else {
            return Err(Rejected::Full(Full::Calls));
        };
        self.submitted = self.submitted.saturating_add(1);
        self.count_of(job.route.0.place(), true);
        self.load(tenant, cost);
        self.enqueue(slot);
        Ok(CallId { number: id, slot })
    }

    /// Takes note of what happened to a call.
    ///
    /// An event that does not fit changes nothing, and is answered by what
    /// stands. [`Event::Cancelled`] ends a call wherever it is.
    ///
    /// The example is at [`Scheduler`]; what comes back, at [`Verdict`].
    pub fn handle(&mut self, now: Instant, id: CallId, event: Event<'_>) -> Verdict {
        let now = self.clock.advance(now);
        let Some(call) = self.calls.get(id.slot).filter(|c| c.number == id.number) else {
            return Verdict::Unknown;
        };
        if call.at == At::Flying {
            return self.hear(now, id.slot, &event);
        }
        if matches!(event, Event::Cancelled) {
            self.withdraw(id.slot);
            self.forget(id.slot);
            return Verdict::GiveUp(GiveUp::Cancelled);
        }
        Verdict::Queued
    }

    /// What to do next. To be asked until it says `Wait` or `Idle`, and again
    /// when that wait is over, or after anything was submitted, reported or
    /// changed. To ask more often does no harm.
    ///
    /// The example is at [`Scheduler`]; what comes back, at [`Next`].
    pub fn next(&mut self, now: Instant) -> Next {
        let now = self.clock.advance(now);
        self.fall_due(now);
        loop {
            self.come_back_from_aside(now);
            if let Some((id, why)) = self.dropped.pop_front() {
                return Next::Drop {
                    id,
                    why: self.told(why),
                };
            }
            let Some(route) = self.pick(now) else {
                return self.standing(now);
            };
            if let Some(order) = self.ask(now, route) {
                return order;
            }
        }
    }

    /// Changes the priority of a call that waits. False where it does not.
    ///
    /// ```
    /// # use sendwhen::{Limiter, Scheduler};
    /// # let mut scheduler = Scheduler::new(42);
    /// # let pool = scheduler.add_pool(Limiter::new(7));
    /// # let route = scheduler.add_route(&[&[pool]])?;
    /// use sendwhen::{Instant, Job, Next, Priority, Request};
    ///
    /// let now = Instant::from_secs(5);
    /// let [first, second] =
    ///     [(); 2].map(|()| scheduler.submit(now, Job::new(Request::new(), route)).unwrap());
    /// assert!(scheduler.prioritise(second, Priority::High));
    /// assert!(matches!(scheduler.next(now), Next::Send { id, .. } if id == second));
    /// assert!(!scheduler.prioritise(second, Priority::Low), "it is under way");
    /// # Ok::<(), Box<dyn core::error::Error>>(())
    /// ```
    pub fn prioritise(&mut self, id: CallId, priority: Priority) -> bool {
        self.requeue(id, |call| call.set_priority(priority))
    }

    /// Changes the latest start of a call that waits; with `None` it may wait for
    /// ever. False where it does not wait.
    ///
    /// ```
    /// # use sendwhen::{Limiter, Scheduler};
    /// # let mut scheduler = Scheduler::new(42);
    /// # let pool = scheduler.add_pool(Limiter::new(7));
    /// # let route = scheduler.add_route(&[&[pool]])?;
    /// use sendwhen::{Instant, Job, Next, Request};
    ///
    /// let at = Instant::from_secs;
    /// let soon = Job::new(Request::new().start_by(at(1)), route);
    /// let id = scheduler.submit(at(0), soon)?;
    /// assert!(scheduler.postpone(id, Some(at(9))));
    /// assert!(matches!(scheduler.next(at(5)), Next::Send { .. }));
    /// # Ok::<(), Box<dyn core::error::Error>>(())
    /// ```
    pub fn postpone(&mut self, id: CallId, start_by: Option<Instant>) -> bool {
        let start_by = start_by.map_or(Instant::MAX, |latest| self.clock.inside(latest));
        let changed = self.requeue(id, |call| call.start_by = start_by);
        let active = self.calls.get(id.slot).and_then(|call| call.active);
        if let Some(active) = active.filter(|_| changed) {
            if let Some(active) = self.active.get_mut(active) {
                let latest = (start_by < Instant::MAX).then_some(start_by);
                active.life.set_deadline(latest);
            }
        }
        changed
    }
}

/// What there is at a pool, whether it is there or gone.
#[derive(Debug)]
struct Site {
    /// Which pool it is of those that were here one after the other.
    generation: u32,
    /// What those had that share by it, by class.
    flows: [Flows; CLASSES],
    /// The routes that share by it.
    sharing: Vec<u32>,
    /// The routes that go over it.
    over: Vec<u32>,
}

impl Site {
    const NEW: Self = Self {
        generation: 0,
        flows: [const { Flows::new() }; CLASSES],
        sharing: Vec::new(),
        over: Vec::new(),
    };
}

/// The place of what bears `number`.
const fn index(number: u32) -> usize {
    number as usize
}

/// The number of what is put at `place`. Memory ends before numbers do.
fn number(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}

/// Calls, from one place to the next.
impl Scheduler {
    /// What a call weighs in the sharing: the longest time in which what it is
    /// expected to take comes in, over the pools of its first alternative.
    fn weigh(&self, now: Instant, call: &Entry) -> u64 {
        self.time_of(now, call, 1).max(1)
    }

    /// The longest time in which what a call is expected to take comes in, over
    /// the pools of so many of its alternatives, in nanoseconds.
    fn time_of(&self, now: Instant, call: &Entry, alternatives: usize) -> u64 {
        let request = call.request();
        let route = self.routes.get(index(call.route));
        let sets = route.into_iter().flat_map(|route| &route.alternatives);
        let pools = sets.take(alternatives).flatten();
        let pools = pools.filter_map(|pool| self.pools.get(index(*pool))?.as_ref());
        pools
            .map(|pool| pool.time_of(now, &request))
            .max()
            .unwrap_or_default()
    }

    /// Says at its pools that there is a route.
    fn place(&mut self, number: u32) {
        let route = self.routes.get(index(number));
        let Some(route) = route.filter(|route| !route.is_vacant()) else {
            return;
        };
        if let Some(site) = self.sites.get_mut(index(route.home)) {
            site.sharing.push(number);
        }
        for pool in route.alternatives.iter().flatten() {
            let site = self.sites.get_mut(index(*pool));
            if let Some(site) = site.filter(|site| !site.over.contains(&number)) {
                site.over.push(number);
            }
        }
    }

    /// The place of a pool, if it was not given to another since.
    fn pool_at(&self, pool: PoolId) -> Option<u32> {
        let site = self.sites.get(pool.index())?;
        (site.generation == pool.0.generation()).then(|| pool.0.place())
    }

    fn pool_id(&self, number: u32) -> PoolId {
        let site = self.sites.get(index(number));
        PoolId(Numbered::new(
            number,
            site.map_or(0, |site| site.generation),
        ))
    }

    /// The place of a route that was not taken away.
    fn route_at(&self, route: RouteId) -> Option<u32> {
        let there = self.routes.get(route.index())?;
        let same = there.generation == route.0.generation();
        (same && !there.is_gone && !there.is_vacant()).then(|| route.0.place())
    }

    /// There is a call more of a route, or one less.
    fn count_of(&mut self, number: u32, more: bool) {
        if let Some(route) = self.routes.get_mut(index(number)) {
            route.calls = if more {
                route.calls.saturating_add(1)
            } else {
                route.calls.saturating_sub(1)
            };
        }
    }

    /// Makes room where a route was that was taken away, once there is no call of
    /// it. Only then may the places of its pools be used again: until then calls
    /// have permits of them.
    fn vacate(&mut self, number: u32) {
        let route = self.routes.get_mut(index(number));
        let Some(route) = route.filter(|route| route.is_gone && route.calls == 0) else {
            return;
        };
        let mut new = Route::new(Vec::new(), 0);
        new.generation = route.generation;
        let old = core::mem::replace(route, new);
        for pool in old.alternatives.iter().flatten() {
            if let Some(site) = self.sites.get_mut(index(*pool)) {
                site.over.retain(|route| *route != number);
                site.sharing.retain(|route| *route != number);
            }
            self.vacate_pool(*pool);
        }
        self.vacant_routes.insert(number);
    }

    /// Makes room where a pool was that was taken away, once no route goes over it.
    fn vacate_pool(&mut self, number: u32) {
        let is_there = self.pools.get(index(number)).is_none_or(Option::is_some);
        let site = self.sites.get(index(number));
        if !is_there && site.is_some_and(|site| site.over.is_empty()) {
            self.vacant_pools.insert(number);
        }
    }

    /// Puts a call into the queue of its route.
    fn enqueue(&mut self, slot: u32) {
        self.join(slot, Flows::begin);
        self.watch_start(slot);
    }

    /// Puts a call back that was in the queue when the snapshot was taken.
    #[cfg(feature = "serde")]
    fn resume(&mut self, slot: u32) {
        self.join(slot, Flows::resume);
        self.watch_on(slot);
    }

    /// Puts a call into the queue of its route. `begin` gives the tag of a tenant
    /// of which nothing waits there.
    fn join(&mut self, slot: u32, begin: impl FnOnce(&mut Flows, u32) -> Tag) {
        let Some(call) = self.calls.get_mut(slot) else {
            return;
        };
        call.at = At::Queued;
        let (tenant, class, place) = (call.tenant, call.class(), call.place(self.aging));
        let Some(route) = self.routes.get_mut(index(call.route)) else {
            return;
        };
        let site = self.sites.get_mut(index(route.home));
        let flow = site.and_then(|site| site.flows.get_mut(class));
        let Some(flow) = flow else {
            return;
        };
        route.change(class, |lane| {
            lane.insert(tenant, place, slot, || begin(flow, tenant));
        });
        route.count_lacking(call.lacks(), true);
        let route = call.route;
        if let Some(known) = self.tenants.get_mut(&tenant) {
            known.count(class, true);
        }
        self.news_of(route);
    }

    /// Takes a call out of the queue, wherever in it it is.
    fn withdraw(&mut self, slot: u32) {
        let Some(call) = self.calls.get(slot) else {
            return;
        };
        if call.at == At::Held {
            let until = call.active.and_then(|active| self.active.get(active));
            if let Some(until) = until.map(|active| active.hold.until) {
                self.held.remove(&(until, call.number));
            }
            self.aside.remove(&(call.route, call.number, slot));
            self.watch_no_more(slot);
            return;
        }
        let (tenant, class, place) = (call.tenant, call.class(), call.place(self.aging));
        let Some(route) = self.routes.get_mut(index(call.route)) else {
            return;
        };
        let removed = route.change(class, |lane| {
            let removed = lane.remove(tenant, place);
            (removed, !lane.has(tenant))
        });
        if let Some((true, last)) = removed {
            route.count_lacking(call.lacks(), false);
            if let Some(known) = self.tenants.get_mut(&tenant) {
                known.count(class, false);
            }
            if last {
                let site = self.sites.get_mut(index(route.home));
                if let Some(flow) = site.and_then(|site| site.flows.get_mut(class)) {
                    flow.end(tenant);
                }
            }
        }
        let route = call.route;
        self.watch_no_more(slot);
        self.loss_of(route);
    }

    /// Keeps a call that is not queued from going until a later instant.
    fn hold(&mut self, slot: u32, wait: Wait) {
        let Some(call) = self.calls.get_mut(slot) else {
            return;
        };
        call.at = At::Held;
        if let Some(active) = call.active.and_then(|active| self.active.get_mut(active)) {
            active.hold = wait;
        }
        self.held.insert((wait.until, call.number), slot);
        self.watch_start(slot);
    }

    /// Takes a call that waits out, changes it, and puts it back.
    fn requeue(&mut self, id: CallId, change: impl FnOnce(&mut Entry)) -> bool {
        let waits = |call: &&Entry| call.number == id.number && call.at != At::Flying;
        let Some(call) = self.calls.get(id.slot).filter(waits) else {
            return false;
        };
        let was = call.at;
        if was == At::Queued {
            self.withdraw(id.slot);
        } else {
            self.watch_no_more(id.slot);
        }
        if let Some(call) = self.calls.get_mut(id.slot) {
            change(call);
        }
        if was == At::Queued {
            self.enqueue(id.slot);
        } else {
            self.watch_start(id.slot);
        }
        true
    }

    /// A call that is nowhere any more.
    fn forget(&mut self, slot: u32) {
        if let Some(call) = self.calls.remove(slot) {
            self.count_of(call.route, false);
            self.vacate(call.route);
            if let Some(active) = call.active {
                self.active.remove(active);
            }
            if call.at == At::Flying {
                self.flying = self.flying.saturating_sub(1);
            } else {
                self.unload(call.tenant, call.cost);
            }
        }
    }

    /// A call that waits is over.
    fn drop_call(&mut self, slot: u32, why: Dropped) {
        let Some(call) = self.calls.get(slot) else {
            return;
        };
        self.dropped.push_back((call.id(slot), why));
        self.withdraw(slot);
        self.forget(slot);
    }

    /// Something happened to a call that is under way.
    fn hear(&mut self, now: Instant, slot: u32, event: &Event<'_>) -> Verdict {
        let Some(call) = self.calls.get_mut(slot) else {
            return Verdict::Unknown;
        };
        let Some(active) = call.active.and_then(|active| self.active.get_mut(active)) else {
            return Verdict::Unknown;
        };
        let mut held = Held {
            pools: &mut self.pools,
            permits: &mut active.permits,
            call,
        };
        let mut used = core::mem::take(&mut self.set);
        used.extend(held.permits.iter().map(|(pool, _)| *pool));
        let effect = take_note(&mut active.life, &call.request(), &mut held, now, event);
        if effect.charge == Charge::Nothing {
            call.paid = false;
        }
        let pools = &self.pools;
        active.lets_others_ask = used.iter().any(|pool| is_down(pools, now, *pool));
        let failed = effect.class.is_some_and(|class| class != Class::Success);
        let (tenant, cost) = (call.tenant, call.cost);
        let verdict = match active.life.standing(now) {
            Standing::Hold(wait) => {
                self.flying = self.flying.saturating_sub(1);
                self.load(tenant, cost);
                self.hold(slot, wait);
                Verdict::Queued
            }
            Standing::Ask => {
                self.flying = self.flying.saturating_sub(1);
                self.load(tenant, cost);
                self.enqueue(slot);
                Verdict::Queued
            }
            Standing::Deliver if active.life.is_delivered() => Verdict::Delivered,
            Standing::Sent(_) | Standing::Deliver => Verdict::Proceed,
            Standing::GiveUp(why) => Verdict::GiveUp(self.told_give_up(why)),
        };
        if matches!(verdict, Verdict::Delivered | Verdict::GiveUp(_)) {
            self.forget(slot);
        } else if verdict == Verdict::Queued && self.is_gone(slot) {
            self.drop_call(slot, Dropped::NoRoute);
        }
        let hints = match event {
            Event::Responded { hints, .. } if effect.class.is_some() => Some(*hints),
            _ => None,
        };
        for &pool in &used {
            self.look_at(now, pool, failed);
            if self.watch(now, pool, hints, effect.class) {
                self.reconsider(pool);
            }
        }
        used.clear();
        self.set = used;
        verdict
    }

    /// Whether the route of a call was taken away.
    fn is_gone(&self, slot: u32) -> bool {
        let call = self.calls.get(slot);
        let route = call.and_then(|call| self.routes.get(index(call.route)));
        route.is_some_and(|route| route.is_gone)
    }

    /// What is told of an end, on the caller's clock.
    fn told(&self, why: Dropped) -> Dropped {
        match why {
            Dropped::GivenUp(why) => Dropped::GivenUp(self.told_give_up(why)),
            why => why,
        }
    }

    fn told_give_up(&self, why: GiveUp) -> GiveUp {
        match why {
            GiveUp::DeadlineTooClose { earliest, cause } => GiveUp::DeadlineTooClose {
                earliest: self.clock.outside(earliest),
                cause,
            },
            why => why,
        }
    }

    /// What to wait for, where nothing can be done.
    fn standing(&self, now: Instant) -> Next {
        let held = self
            .held
            .first_key_value()
            .and_then(|(&(until, _), &slot)| {
                let call = self.calls.get(slot)?;
                let hold = self.active.get(call.active?)?.hold.cause;
                let cause = self.binds_until(now, call, until).unwrap_or(hold);
                Some(Wait { until, cause })
            });
        // What has an alarm is blocked: all else would be asked for first.
        let wait_of = |&(until, route): &(Instant, u32)| match self.routes.get(index(route))?.state
        {
            State::Blocked(Block { cause, .. }) => Some(Wait { until, cause }),
            State::Empty | State::Ready => None,
        };
        let alarm = self.alarms.first().and_then(wait_of);
        let critical = self.criticals.first().and_then(wait_of);
        let first = [alarm, critical, held]
            .into_iter()
            .flatten()
            .min_by_key(|wait| wait.until);
        match first {
            None => Next::Idle,
            Some(wait) => Next::Wait(Wait {
                until: self.clock.outside(wait.until.max(now.just_after())),
                cause: wait.cause,
            }),
        }
    }

    /// What keeps a call that is held until `until` from being sent even then,
    /// if nothing is reported.
    fn binds_until(&self, now: Instant, call: &Entry, until: Instant) -> Option<Cause> {
        let request = call.request();
        let mut soonest: Option<(Instant, Cause)> = None;
        for set in &self.routes.get(index(call.route))?.alternatives {
            let pools = set
                .iter()
                .map(|pool| self.pools.get(index(*pool))?.as_ref());
            let waits = pools.map(|pool| pool?.wait(now, &request));
            // One that may go over this alternative is held by nothing else.
            let wait = waits.flatten().max_by_key(|wait| wait.until)?;
            if soonest.is_none_or(|(soonest, _)| wait.until < soonest) {
                soonest = Some((wait.until, wait.cause));
            }
        }
        soonest
            .filter(|(soonest, _)| *soonest > until)
            .map(|(_, cause)| cause)
    }
}

/// The permits of a call that is under way, and the pools that gave them; some
/// of these may be gone.
struct Held<'a> {
    pools: &'a mut [Option<Pool>],
    permits: &'a mut Vec<(u32, Permit)>,
    call: &'a Entry,
}

impl Held<'_> {
    /// The limiters with what each gave, and its own instant.
    fn each(&mut self, now: Instant, mut tell: impl FnMut(&mut Limiter, Instant, &mut Permit)) {
        for (pool, permit) in self.permits.iter_mut() {
            let place = self.pools.get_mut(index(*pool));
            if let Some(pool) = place.and_then(Option::as_mut) {
                let here = pool.limiter.advance(now);
                tell(&mut pool.limiter, here, permit);
            }
        }
    }

    fn limiter(&self, place: usize) -> Option<&Limiter> {
        let (pool, _) = self.permits.get(place)?;
        let pool = self.pools.get(index(*pool))?.as_ref()?;
        Some(&pool.limiter)
    }
}

impl Holder for Held<'_> {
    fn policy(&self) -> RetryPolicy {
        let policy = self.limiter(0).map(|limiter| *limiter.retry_policy());
        self.call.policy(policy.unwrap_or_default())
    }

    /// That of the innermost pool.
    fn guard(&mut self, now: Instant) -> Option<(&mut Guard, u32)> {
        let &(pool, _) = self.permits.first()?;
        let pool = self.pools.get_mut(index(pool))?.as_mut()?;
        let here = pool.limiter.advance(now);
        let active = if pool.limiter.retry_guard().counts_active() {
            pool.limiter.flying_inside(here)
        } else {
            0
        };
        Some((pool.limiter.retry_guard(), active))
    }

    fn refund(&mut self) {
        self.each(Instant::ZERO, |limiter, _, permit| {
            limiter.refund_permit(permit);
        });
    }

    fn observe(&mut self, now: Instant, hints: &ServerHints) {
        // From the outermost in: each takes the meters whose limit it knows and
        // none before it does; the inner takes the rest.
        let mut rest = *hints;
        for place in (0..self.permits.len()).rev() {
            let (mine, others) = if place == 0 {
                (rest, ServerHints::NONE)
            } else {
                let knows = |place: usize, meter: &_| {
                    let limiter = self.limiter(place);
                    limiter.is_some_and(|limiter| limiter.knows_limit(meter))
                };
                let inner = |meter: &_| (0..place).any(|place| knows(place, meter));
                let (others, mine) = rest.split(|meter| knows(place, meter) && !inner(meter));
                (mine, others)
            };
            rest = others;
            if let Some((pool, permit)) = self.permits.get(place) {
                let place = self.pools.get_mut(index(*pool));
                if let Some(pool) = place.and_then(Option::as_mut) {
                    let here = pool.limiter.advance(now);
                    pool.limiter.observe_inside(here, Some(permit), &mine);
                }
            }
        }
    }

    fn report(&mut self, now: Instant, class: Class, told: Told<'_>) {
        self.each(now, |limiter, here, permit| {
            limiter.report_inside(here, permit, class, told);
        });
    }

    fn progress(&mut self, now: Instant, taken: &Cost) {
        self.each(now, |limiter, here, permit| {
            limiter.progress_inside(here, permit, taken);
        });
    }

    fn learn(&mut self, request: &Request, usage: &Usage) {
        self.each(Instant::ZERO, |limiter, _, _| {
            limiter.learn_usage(request, usage);
        });
    }

    fn settle(&mut self, now: Instant, actual: Option<Cost>) {
        self.each(now, |limiter, here, permit| {
            limiter.settle_inside(here, permit, actual);
        });
        self.permits.clear();
    }
}
