//! Why a call waits, and how a pool stands: questions, which change nothing.

use core::{cmp::Reverse, time::Duration};

use alloc::{
    collections::{BTreeSet, BinaryHeap},
    vec::Vec,
};

use super::{
    Scheduler,
    entry::{At, Entry},
    index,
    job::{CallId, PoolId},
    ordered::Calls,
    queue::{Lane, Place, Tag, share},
    route::{Route, State},
    wake::is_down,
};
use crate::{
    decision::{Cause, Wait},
    explain::Level,
    time::Instant,
    units::Dimension,
};

/// How a call stands, as [`Scheduler::explain`] says.
///
/// ```
/// use sendwhen::{
///     CallStanding, Cause, Dimension, Instant, Job, Limiter, Next, Rate, Request, Scheduler,
/// };
///
/// let mut scheduler = Scheduler::new(42);
/// let limiter = Limiter::new(7).limit(Dimension::Requests, Rate::per_minute(60)?, 1)?;
/// let pool = scheduler.add_pool(limiter);
/// let route = scheduler.add_route(&[&[pool]])?;
/// let now = Instant::from_secs(5);
/// let [sent, _, last] =
///     [(); 3].map(|()| scheduler.submit(now, Job::new(Request::new(), route)).unwrap());
/// while let Next::Send { .. } = scheduler.next(now) {}
///
/// assert_eq!(scheduler.explain(now, sent), Some(CallStanding::Flying));
/// let Some(CallStanding::Queued { before, expected, cause }) = scheduler.explain(now, last) else {
///     panic!();
/// };
/// // One goes before it, in a second.
/// assert_eq!((before, expected), (1, Instant::from_secs(7)));
/// assert_eq!(cause, Some(Cause::Limit(Dimension::Requests)));
/// # Ok::<(), sendwhen::ConfigError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum CallStanding {
    /// It is in the queue.
    Queued {
        /// How many go before it, if nothing else comes: of its route, and of
        /// those that share by the same pool and wait for no other.
        before: usize,
        /// When it is expected to start: when the first of its route can, and
        /// what is before it has come in.
        expected: Instant,
        /// What the first of its route waits for.
        cause: Option<Cause>,
    },
    /// It failed, and comes back then; or, where the cause is an outage, when the
    /// server is up again, for which the next of the others that wait asks then.
    Held(Wait),
    /// It is under way.
    Flying,
}

/// How a pool stands, as [`Scheduler::explain_pool`] says. What a request is
/// expected to take of it is its limiter's to say:
/// [`Limiter::forecast`](crate::Limiter::forecast).
///
/// ```
/// use sendwhen::{Dimension, Instant, Limiter, Rate, Scheduler};
///
/// let mut scheduler = Scheduler::new(42);
/// let limiter = Limiter::new(7).limit(Dimension::Requests, Rate::per_minute(60)?, 9)?;
/// let pool = scheduler.add_pool(limiter);
/// let standing = scheduler.explain_pool(Instant::ZERO, pool).unwrap();
/// let requests = standing.levels[Dimension::Requests.index()].unwrap();
/// assert_eq!((requests.there, requests.capacity), (9, 9));
/// assert_eq!((standing.paused, standing.flying, standing.first), (None, 0, None));
/// # Ok::<(), sendwhen::ConfigError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct PoolStanding {
    /// What is there of each limit that is known, in the order of
    /// [`Dimension::ALL`].
    pub levels: [Option<Level>; Dimension::COUNT],
    /// Until when the server told it to stop.
    pub paused: Option<Instant>,
    /// How many are under way.
    pub flying: u32,
    /// For how many urgent calls others leave room.
    pub headroom: u32,
    /// Which call is the first that waits for it, until when if nothing is
    /// reported, and for what.
    pub first: Option<(CallId, Wait)>,
}

impl Scheduler {
    /// How a call stands at `now`; `None` where there is no such call. What goes
    /// before it is counted one by one, so that this takes as long as they are many.
    ///
    /// The example is at [`CallStanding`].
    pub fn explain(&self, now: Instant, id: CallId) -> Option<CallStanding> {
        let now = self.clock.peek(now);
        let call = self.calls.get(id.slot).filter(|c| c.number == id.number)?;
        Some(match call.at {
            At::Flying => CallStanding::Flying,
            At::Held if self.aside.contains(&(call.route, call.number, id.slot)) => {
                CallStanding::Held(Wait {
                    until: self.clock.outside(self.next_asks(now, call.route)),
                    cause: Cause::Outage,
                })
            }
            At::Held => {
                let active = call.active.and_then(|active| self.active.get(active));
                let hold = active?.hold;
                CallStanding::Held(Wait {
                    until: self.clock.outside(hold.until),
                    cause: hold.cause,
                })
            }
            At::Queued => {
                let route = self.routes.get(index(call.route))?;
                let (before, cost) = self.before(call);
                let (start, cause) = match route.state {
                    State::Blocked(block) => (block.start.max(now), Some(block.cause)),
                    State::Empty | State::Ready => (now, None),
                };
                let expected = start.saturating_add(Duration::from_nanos(cost));
                CallStanding::Queued {
                    before,
                    expected: self.clock.outside(expected),
                    cause,
                }
            }
        })
    }

    /// When the next of those that wait over pools of a route whose server is down
    /// asks whether it is up again.
    fn next_asks(&self, now: Instant, number: u32) -> Instant {
        let pools = self.routes.get(index(number)).into_iter();
        let pools = pools.flat_map(|route| route.alternatives.iter().flatten());
        pools
            .filter(|pool| is_down(&self.pools, now, **pool))
            .filter_map(|pool| self.sites.get(index(*pool)))
            .flat_map(|site| &site.over)
            .filter_map(|route| match self.routes.get(index(*route))?.state {
                State::Blocked(block) if block.cause == Cause::Outage => Some(block.start),
                State::Ready | State::Blocked(_) | State::Empty => None,
            })
            .min()
            .map_or(now, |start| start.max(now))
    }

    /// How a pool stands at `now`; `None` where there is no such pool.
    ///
    /// The example is at [`PoolStanding`].
    pub fn explain_pool(&self, now: Instant, pool: PoolId) -> Option<PoolStanding> {
        let now = self.clock.peek(now);
        let place = self.pools.get(index(self.pool_at(pool)?))?.as_ref()?;
        let limiter = &place.limiter;
        let sleeping = place.waiters.iter().chain(&place.claims);
        let first = sleeping
            .filter_map(|route| self.routes.get(index(*route)))
            .filter_map(|route| match route.state {
                State::Blocked(block) => Some((block, self.calls.get(block.slot)?)),
                State::Empty | State::Ready => None,
            })
            .min_by_key(|(block, _)| block.start);
        Some(PoolStanding {
            levels: Dimension::ALL.map(|dimension| limiter.level(now, dimension)),
            paused: limiter
                .paused_until(now)
                .map(|until| self.clock.outside(until)),
            flying: limiter.flying(now),
            headroom: place.headroom.count(),
            first: first.map(|(block, call)| {
                let wait = Wait {
                    until: self.clock.outside(block.start),
                    cause: block.cause,
                };
                (call.id(block.slot), wait)
            }),
        })
    }

    /// How many go before a call, and what they cost, in nanoseconds.
    fn before(&self, call: &Entry) -> (usize, u64) {
        let (mut count, mut cost) = (0_usize, 0_u64);
        let mut add = |more: u64| {
            count = count.saturating_add(1);
            cost = cost.saturating_add(more);
        };
        let class = call.class();
        for route in self.rivals(call.route) {
            let above = route.lanes().skip(class.saturating_add(1));
            for slot in above.flat_map(Lane::iter) {
                add(self.cost_of(slot));
            }
        }
        // The tag at which it is its turn: that of its tenant, moved on by those
        // of its tenant that go before it.
        let place = call.place(self.aging);
        let (mut turn, own) = self.line(call.route, class, call.tenant);
        for slot in own {
            let other = self.calls.get(slot);
            if other.is_none_or(|other| other.place(self.aging) >= place) {
                break;
            }
            let cost = self.cost_of(slot);
            add(cost);
            turn = turn.and(share(cost, self.weight_of(call.tenant)));
        }
        let lanes = self
            .rivals(call.route)
            .filter_map(|route| route.lane(class));
        let tenants: BTreeSet<u32> = lanes.flat_map(Lane::tenants).collect();
        for tenant in tenants.into_iter().filter(|other| *other != call.tenant) {
            let (mut start, line) = self.line(call.route, class, tenant);
            for slot in line {
                if (start, tenant) > (turn, call.tenant) {
                    break;
                }
                let cost = self.cost_of(slot);
                add(cost);
                start = start.and(share(cost, self.weight_of(tenant)));
            }
        }
        (count, cost)
    }

    /// A route, and those that share with it and are not held up elsewhere.
    fn rivals(&self, number: u32) -> impl Iterator<Item = &Route> {
        let own = self.routes.get(index(number));
        let site = own.and_then(|own| self.sites.get(index(own.home)));
        let sharing = site.into_iter().flat_map(|site| &site.sharing);
        sharing
            .filter_map(|other| Some((*other, self.routes.get(index(*other))?)))
            .filter(move |(other, route)| {
                let state = own.map(|own| own.state);
                match (state, route.state) {
                    (Some(State::Blocked(own)), State::Blocked(theirs)) => {
                        *other == number || own.pool == theirs.pool
                    }
                    _ => true,
                }
            })
            .map(|(_, route)| route)
    }

    /// What a tenant has waiting in a class on the rivals of a route, in order,
    /// and its tag.
    fn line(&self, number: u32, class: usize, tenant: u32) -> (Tag, Line<'_>) {
        let mut tag = Tag::MAX;
        let mut line = Line {
            lanes: Vec::new(),
            heads: BinaryHeap::new(),
        };
        for lane in self.rivals(number).filter_map(|route| route.lane(class)) {
            let Some(first) = lane.first_of(tenant) else {
                continue;
            };
            tag = first.tag;
            let mut calls = lane.of(tenant);
            if let Some((place, slot)) = calls.next() {
                line.heads.push(Reverse((place, slot, line.lanes.len())));
                line.lanes.push(calls);
            }
        }
        (tag, line)
    }

    fn cost_of(&self, slot: u32) -> u64 {
        self.calls.get(slot).map_or(0, |call| call.cost)
    }

    pub(super) fn weight_of(&self, tenant: u32) -> u32 {
        self.tenants.get(&tenant).map_or(1, |t| t.weight.get())
    }
}

/// The calls of one tenant on several routes, in order.
struct Line<'a> {
    lanes: Vec<Calls<'a>>,
    /// The first of each that has not come yet.
    heads: BinaryHeap<Reverse<(Place, u32, usize)>>,
}

impl Iterator for Line<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let Reverse((_, slot, lane)) = self.heads.pop()?;
        if let Some((place, next)) = self.lanes.get_mut(lane).and_then(Iterator::next) {
            self.heads.push(Reverse((place, next, lane)));
        }
        Some(slot)
    }
}
