//! The scheduler's vocabulary: what goes in, and what comes out.

use core::{fmt, num::NonZeroU16, time::Duration};

use thiserror::Error;

use crate::{
    decision::{Attempt, GiveUp, Wait},
    request::Request,
};

/// A request that is wanted, and for whom.
///
/// ```
/// use sendwhen::{Job, Priority, Request, RouteId, TenantId};
///
/// # fn job(route: RouteId) -> Job {
/// Job::new(Request::new().input_tokens(1_800).max_tokens(1_024), route)
///     .tenant(TenantId::new(7))
///     .priority(Priority::Urgent)
/// # }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Job {
    /// What is to be sent. Its `start_by` is the latest start.
    pub request: Request,
    /// Over which pools it may go.
    pub route: RouteId,
    /// What goes first.
    pub priority: Priority,
    /// Who shares with whom.
    pub tenant: TenantId,
    /// How often it is sent at most, where that is not its pool's to say.
    pub attempts: Option<NonZeroU16>,
}

impl Job {
    /// `request` over `route`, of normal priority, for tenant 0.
    ///
    /// ```
    /// use sendwhen::{Job, Priority, Request, RouteId, TenantId};
    ///
    /// # fn job(route: RouteId) {
    /// let job = Job::new(Request::new(), route);
    /// assert_eq!((job.priority, job.tenant), (Priority::Normal, TenantId::new(0)));
    /// # }
    /// ```
    pub const fn new(request: Request, route: RouteId) -> Self {
        Self {
            request,
            route,
            priority: Priority::Normal,
            tenant: TenantId::new(0),
            attempts: None,
        }
    }

    /// Sets the priority.
    ///
    /// ```
    /// use sendwhen::{Job, Priority, Request, RouteId};
    ///
    /// # fn job(route: RouteId) {
    /// let job = Job::new(Request::new(), route).priority(Priority::Low);
    /// assert_eq!(job.priority, Priority::Low);
    /// # }
    /// ```
    #[must_use]
    pub const fn priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    /// Sets the tenant.
    ///
    /// ```
    /// use sendwhen::{Job, Request, RouteId, TenantId};
    ///
    /// # fn job(route: RouteId) {
    /// let job = Job::new(Request::new(), route).tenant(TenantId::new(7));
    /// assert_eq!(job.tenant.number(), 7);
    /// # }
    /// ```
    #[must_use]
    pub const fn tenant(mut self, tenant: TenantId) -> Self {
        self.tenant = tenant;
        self
    }

    /// Sets how often it is sent at most, the first time included: as the retry
    /// policy of its pool says where nothing is set.
    ///
    /// ```
    /// use core::num::NonZeroU16;
    /// use sendwhen::{Job, Request, RouteId};
    ///
    /// # fn job(route: RouteId) -> Job {
    /// Job::new(Request::new(), route).attempts(NonZeroU16::MIN)
    /// # }
    /// ```
    #[must_use]
    pub const fn attempts(mut self, most: NonZeroU16) -> Self {
        self.attempts = Some(most);
        self
    }
}

/// What goes first. A higher one always goes before a lower one, but that of
/// eight sendings one is left to those who have waited longer than the aging
/// bound.
///
/// ```
/// use sendwhen::Priority;
///
/// assert!(Priority::Low < Priority::Normal && Priority::High < Priority::Urgent);
/// assert_eq!(Priority::ALL[3], Priority::Urgent);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[expect(
    clippy::exhaustive_enums,
    reason = "the classes are four: each has its place in the order"
)]
pub enum Priority {
    /// When nothing else is there.
    Low,
    /// Ordinary work.
    #[default]
    Normal,
    /// Before ordinary work.
    High,
    /// Somebody waits for it: the others leave room, so that it need not wait
    /// for what they just took.
    Urgent,
}

impl Priority {
    /// All of them, the lowest first.
    pub const ALL: [Self; 4] = [Self::Low, Self::Normal, Self::High, Self::Urgent];

    /// Its place in [`ALL`](Self::ALL).
    pub(super) const fn class(self) -> usize {
        self as usize
    }
}

/// A tenant, by a number of the caller's own.
///
/// ```
/// use sendwhen::TenantId;
///
/// assert_eq!(TenantId::new(7).number(), 7);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TenantId(u32);

impl TenantId {
    /// The tenant that the caller calls `number`.
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// Its number.
    pub const fn number(self) -> u32 {
        self.0
    }
}

/// A pool of a scheduler, as [`add_pool`](crate::Scheduler::add_pool) named it.
///
/// ```
/// use sendwhen::{Limiter, Scheduler};
///
/// let mut scheduler = Scheduler::new(42);
/// let pools = [1, 2].map(|seed| scheduler.add_pool(Limiter::new(seed)));
/// assert_eq!(pools.map(|pool| pool.index()), [0, 1]);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PoolId(pub(super) Numbered);

impl PoolId {
    /// Counts from 0, in the order in which pools were added. The number of a pool
    /// that was taken away is given to a later one once no route goes over it.
    pub const fn index(self) -> usize {
        super::index(self.0.place())
    }
}

/// A place, in the lower half, and which of those it is that had it one after the
/// other.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Numbered(u64);

impl Numbered {
    pub(super) const fn new(place: u32, generation: u32) -> Self {
        Self((generation as u64).wrapping_shl(32) | place as u64)
    }

    #[expect(clippy::cast_possible_truncation, reason = "the lower half")]
    pub(super) const fn place(self) -> u32 {
        self.0 as u32
    }

    #[expect(clippy::cast_possible_truncation, reason = "the upper half")]
    pub(super) const fn generation(self) -> u32 {
        self.0.wrapping_shr(32) as u32
    }
}

/// A choice of pools, as [`add_route`](crate::Scheduler::add_route) named it.
///
/// ```
/// use sendwhen::{Limiter, Scheduler};
///
/// let mut scheduler = Scheduler::new(42);
/// let pool = scheduler.add_pool(Limiter::new(7));
/// assert_eq!(scheduler.add_route(&[&[pool]])?.index(), 0);
/// # Ok::<(), sendwhen::ConfigError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct RouteId(pub(super) Numbered);

impl RouteId {
    /// Counts from 0, in the order in which routes were added. The number of a
    /// route that was taken away is given to a later one once the last of its calls
    /// is over.
    pub const fn index(self) -> usize {
        super::index(self.0.place())
    }
}

/// A call of a scheduler. No two calls ever bear the same.
///
/// ```
/// # use sendwhen::{Limiter, Scheduler};
/// # let mut scheduler = Scheduler::new(42);
/// # let pool = scheduler.add_pool(Limiter::new(7));
/// # let route = scheduler.add_route(&[&[pool]])?;
/// use sendwhen::{Instant, Job, Request};
///
/// let job = Job::new(Request::new(), route);
/// let ids = [(); 2].map(|()| scheduler.submit(Instant::ZERO, job).unwrap());
/// assert_eq!(ids.map(|id| id.number()), [0, 1]);
/// assert_eq!(ids[1].to_string(), "1");
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct CallId {
    pub(super) number: u64,
    pub(super) slot: u32,
}

impl CallId {
    /// Counts from 0, in the order in which calls were submitted.
    pub const fn number(self) -> u64 {
        self.number
    }
}

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.number.fmt(f)
    }
}

/// What to do next, as [`Scheduler::next`](crate::Scheduler::next) says.
///
/// ```
/// # use sendwhen::{Limiter, Scheduler};
/// # let mut scheduler = Scheduler::new(42);
/// # let pool = scheduler.add_pool(Limiter::new(7));
/// # let route = scheduler.add_route(&[&[pool]])?;
/// use sendwhen::{Instant, Job, Next, Request};
///
/// let now = Instant::from_secs(5);
/// assert_eq!(scheduler.next(now), Next::Idle);
/// let id = scheduler.submit(now, Job::new(Request::new(), route))?;
/// assert!(matches!(scheduler.next(now), Next::Send { id: first, .. } if first == id));
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[expect(
    clippy::exhaustive_enums,
    reason = "a driver must answer each of these; a fifth would be a new major version"
)]
#[must_use]
pub enum Next {
    /// Send this call now, and report what comes of it with
    /// [`Scheduler::handle`](crate::Scheduler::handle).
    Send {
        /// Which.
        id: CallId,
        /// Over which alternative of its route, counted from 0 in the order of
        /// preference.
        alternative: usize,
        /// Its number.
        attempt: Attempt,
    },
    /// This call is over without an answer.
    Drop {
        /// Which.
        id: CallId,
        /// Why.
        why: Dropped,
    },
    /// Nothing may be sent before this instant, if nothing is reported or
    /// submitted meanwhile. Then ask again.
    Wait(Wait),
    /// Nothing waits.
    Idle,
}

/// What becomes of a call after an event, as
/// [`Scheduler::handle`](crate::Scheduler::handle) says.
///
/// ```
/// # use sendwhen::{Limiter, Scheduler};
/// # let mut scheduler = Scheduler::new(42);
/// # let pool = scheduler.add_pool(Limiter::new(7));
/// # let route = scheduler.add_route(&[&[pool]])?;
/// use sendwhen::{Event, Failure, GiveUp, Instant, Job, Next, Request, Verdict};
///
/// let now = Instant::from_secs(5);
/// let id = scheduler.submit(now, Job::new(Request::new(), route))?;
/// assert!(matches!(scheduler.next(now), Next::Send { .. }));
/// assert_eq!(scheduler.handle(now, id, Event::Failed(Failure::Lost)), Verdict::Queued);
/// let cancelled = Verdict::GiveUp(GiveUp::Cancelled);
/// assert_eq!(scheduler.handle(now, id, Event::Cancelled), cancelled);
/// assert_eq!(scheduler.handle(now, id, Event::Cancelled), Verdict::Unknown);
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[expect(
    clippy::exhaustive_enums,
    reason = "a driver must answer each of these; a sixth would be a new major version"
)]
#[must_use]
pub enum Verdict {
    /// It is under way: go on with it. After a good head, read the body.
    Proceed,
    /// It waits, or waits again: [`next`](crate::Scheduler::next) says when it
    /// is to be sent.
    Queued,
    /// It ended well, and is forgotten.
    Delivered,
    /// It is over without an answer, and is forgotten.
    GiveUp(GiveUp),
    /// There is no such call, or no longer.
    Unknown,
}

/// Why a call that was waiting is over.
///
/// ```
/// # use sendwhen::{Limiter, Scheduler};
/// # let mut scheduler = Scheduler::new(42);
/// # let pool = scheduler.add_pool(Limiter::new(7));
/// # let route = scheduler.add_route(&[&[pool]])?;
/// use sendwhen::{Cause, Dropped, GiveUp, Instant, Job, Next, Request};
///
/// let at = Instant::from_secs;
/// let id = scheduler.submit(at(0), Job::new(Request::new().start_by(at(1)), route))?;
/// let (earliest, cause) = (at(2), Cause::AskedLate);
/// let why = Dropped::GivenUp(GiveUp::DeadlineTooClose { earliest, cause });
/// assert_eq!(scheduler.next(at(2)), Next::Drop { id, why });
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Dropped {
    /// There is no use in waiting.
    #[error(transparent)]
    GivenUp(GiveUp),
    /// It had to make room in a queue that was full.
    #[error("it was shed: {0}")]
    Shed(Full),
    /// Each of its alternatives has lost a pool.
    #[error("no alternative of its route has all its pools any more")]
    NoPool,
    /// Its route was taken away.
    #[error("its route was taken away")]
    NoRoute,
}

/// Which bound of a queue was reached.
///
/// ```
/// use sendwhen::{Bounds, Full, Instant, Job, Limiter, Rejected, Request, Scheduler, Shed};
///
/// let one = Bounds::NONE.calls(1);
/// let mut scheduler = Scheduler::new(42).bounds(one, Bounds::NONE, Shed::New);
/// let pool = scheduler.add_pool(Limiter::new(7));
/// let route = scheduler.add_route(&[&[pool]])?;
/// let job = Job::new(Request::new(), route);
/// assert!(scheduler.submit(Instant::ZERO, job).is_ok());
/// let refused = scheduler.submit(Instant::ZERO, job).unwrap_err();
/// assert_eq!(refused, Rejected::Full(Full::Calls));
/// assert_eq!(refused.to_string(), "it was not taken: as many calls wait as may");
/// # Ok::<(), sendwhen::ConfigError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Full {
    /// As many of its tenant's calls wait as may.
    #[error("its tenant has as many calls waiting as it may")]
    TenantCalls,
    /// What its tenant has waiting costs as much as it may.
    #[error("what its tenant has waiting costs as much as it may")]
    TenantCost,
    /// As many calls wait as may.
    #[error("as many calls wait as may")]
    Calls,
    /// What waits costs as much as it may.
    #[error("what waits costs as much as it may")]
    Cost,
}

/// Why a job was not taken.
///
/// ```
/// use sendwhen::{Bounds, Full, Instant, Job, Limiter, Rejected, Request, Scheduler, Shed};
///
/// let one = Bounds::NONE.calls(1);
/// let mut scheduler = Scheduler::new(42).bounds(one, Bounds::NONE, Shed::New);
/// let pool = scheduler.add_pool(Limiter::new(7));
/// let route = scheduler.add_route(&[&[pool]])?;
/// let job = Job::new(Request::new(), route);
/// assert!(scheduler.submit(Instant::ZERO, job).is_ok());
/// let refused = scheduler.submit(Instant::ZERO, job).unwrap_err();
/// assert_eq!(refused, Rejected::Full(Full::Calls));
/// assert_eq!(refused.to_string(), "it was not taken: as many calls wait as may");
/// # Ok::<(), sendwhen::ConfigError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Rejected {
    /// There is no such route.
    #[error("the scheduler has no route of this number; add_route names them")]
    UnknownRoute,
    /// There is no room for it.
    #[error("it was not taken: {0}")]
    Full(Full),
}

/// How much may wait. Without a bound set there is none.
///
/// ```
/// use core::time::Duration;
/// use sendwhen::Bounds;
///
/// let bounds = Bounds::NONE.calls(1_000).cost(Duration::from_secs(600));
/// assert_ne!(bounds, Bounds::NONE);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Bounds {
    pub(super) calls: usize,
    pub(super) cost: Duration,
}

impl Bounds {
    /// No bound.
    pub const NONE: Self = Self {
        calls: usize::MAX,
        cost: Duration::MAX,
    };

    /// Sets how many calls may wait.
    ///
    /// ```
    /// use sendwhen::Bounds;
    ///
    /// assert_eq!(Bounds::NONE.calls(usize::MAX), Bounds::NONE);
    /// ```
    #[must_use]
    pub const fn calls(mut self, most: usize) -> Self {
        self.calls = most;
        self
    }

    /// Sets how much may wait, as the time in which the limits let it through.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::Bounds;
    ///
    /// assert_eq!(Bounds::NONE.cost(Duration::MAX), Bounds::NONE);
    /// ```
    #[must_use]
    pub const fn cost(mut self, most: Duration) -> Self {
        self.cost = most;
        self
    }
}

/// What gives way where a bound is reached.
///
/// ```
/// use sendwhen::{Bounds, Dropped, Full, Instant, Job, Limiter, Next, Request, Scheduler, Shed};
///
/// let one = Bounds::NONE.calls(1);
/// let mut scheduler = Scheduler::new(42).bounds(one, Bounds::NONE, Shed::Oldest);
/// let pool = scheduler.add_pool(Limiter::new(7));
/// let route = scheduler.add_route(&[&[pool]])?;
/// let [id, _] = [(); 2].map(|()| scheduler.submit(Instant::ZERO, Job::new(Request::new(), route)));
/// let (id, why) = (id.unwrap(), Dropped::Shed(Full::Calls));
/// assert_eq!(scheduler.next(Instant::ZERO), Next::Drop { id, why });
/// # Ok::<(), sendwhen::ConfigError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Shed {
    /// The one that comes.
    #[default]
    New,
    /// One of lower priority than the one that comes, where there is one: the
    /// last to go of the tenant that has most waiting. Else the one that comes.
    Lowest,
    /// The one whose turn by age is first: it is the likeliest to be of no use
    /// any more.
    Oldest,
}
