//! Who goes first: the order of those that wait on one route, and what each
//! tenant has had of one pool.
//!
//! # Theory of operation
//!
//! Between tenants: start-time fair queueing (Goyal, Vin, Cheng, SIGCOMM 1996).
//! Each tenant that waits has a start tag; the lowest goes first, and moves on
//! by the cost of what was sent over the tenant's weight. The virtual time is
//! the start tag of what was sent last; a tenant that comes, or comes back,
//! starts there, so that nobody saves up turns.
//!
//! Within a tenant: by when it is due, which is the latest start or the aging
//! bound after submission, whichever is earlier, then by number. What is
//! submitted later than the aging bound after another is due later too, so that
//! within a tenant nothing is passed for ever.

use core::{cmp::Ordering, fmt};

use alloc::collections::{BTreeMap, BTreeSet, btree_map::Entry};

use super::{
    job::Priority,
    ordered::{Calls, Ordered},
};
use crate::time::Instant;

/// How many classes of priority there are.
pub(super) const CLASSES: usize = Priority::ALL.len();

/// The place of a call among those of its tenant.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Place {
    pub(super) due: Instant,
    pub(super) number: u64,
}

/// Virtual time: nanoseconds of a pool, times 2^16, over a tenant's weight. Kept
/// as bytes, because a `u128` takes up room to the next multiple of 16.
#[derive(Clone, Copy, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(from = "u128", into = "u128")
)]
pub(super) struct Tag([u8; 16]);

impl Tag {
    const ZERO: Self = Self::new(0);
    pub(super) const MAX: Self = Self::new(u128::MAX);

    const fn new(tag: u128) -> Self {
        Self(tag.to_ne_bytes())
    }

    const fn get(self) -> u128 {
        u128::from_ne_bytes(self.0)
    }

    /// It, moved on by so much.
    pub(super) const fn and(self, more: u128) -> Self {
        Self::new(self.get().saturating_add(more))
    }
}

impl Ord for Tag {
    fn cmp(&self, other: &Self) -> Ordering {
        self.get().cmp(&other.get())
    }
}

impl PartialOrd for Tag {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

impl From<u128> for Tag {
    fn from(tag: u128) -> Self {
        Self::new(tag)
    }
}

impl From<Tag> for u128 {
    fn from(tag: Tag) -> Self {
        tag.get()
    }
}

/// What waits on one route in one class.
#[derive(Clone, Debug)]
pub(super) struct Lane {
    queues: BTreeMap<u32, Queue>,
    /// Tenants by their start tags.
    by_tag: BTreeSet<(Tag, u32)>,
    /// Tenants by when their first is due.
    by_age: BTreeMap<Place, u32>,
    /// The first of the tenant whose turn it is, and the place of the one that is
    /// due first. Kept beside the trees because they are asked for far more often
    /// than they change, and the trees of a million calls are not in the cache.
    first: Option<First>,
    oldest: Option<Place>,
}

/// What one tenant has waiting there, and never nothing.
#[derive(Clone, Debug)]
struct Queue {
    /// As it stands in `by_tag`.
    tag: Tag,
    /// The first of its calls.
    place: Place,
    slot: u32,
    /// The slots of the others.
    rest: Ordered,
}

/// The first of a lane.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct First {
    pub(super) tag: Tag,
    pub(super) place: Place,
    pub(super) slot: u32,
}

impl Lane {
    pub(super) const fn new() -> Self {
        Self {
            queues: BTreeMap::new(),
            by_tag: BTreeSet::new(),
            by_age: BTreeMap::new(),
            first: None,
            oldest: None,
        }
    }

    /// Whether `tenant` has something waiting here.
    pub(super) fn has(&self, tenant: u32) -> bool {
        self.queues.contains_key(&tenant)
    }

    /// Puts a call in; `begin` gives the tag of its tenant where nothing of that
    /// waits here yet.
    pub(super) fn insert(
        &mut self,
        tenant: u32,
        place: Place,
        slot: u32,
        begin: impl FnOnce() -> Tag,
    ) {
        match self.queues.entry(tenant) {
            Entry::Occupied(queue) => {
                let queue = queue.into_mut();
                if queue.place < place {
                    queue.rest.insert(place, slot);
                    return;
                }
                self.by_age.remove(&queue.place);
                queue.rest.insert(queue.place, queue.slot);
                (queue.place, queue.slot) = (place, slot);
            }
            Entry::Vacant(none) => {
                let (tag, rest) = (begin(), Ordered::new());
                self.by_tag.insert((tag, tenant));
                none.insert(Queue {
                    tag,
                    place,
                    slot,
                    rest,
                });
            }
        }
        self.by_age.insert(place, tenant);
        self.look();
    }

    /// Takes a call out. False where it is not here.
    pub(super) fn remove(&mut self, tenant: u32, place: Place) -> bool {
        let Some(queue) = self.queues.get_mut(&tenant) else {
            return false;
        };
        if queue.place != place {
            return queue.rest.remove(place);
        }
        self.by_age.remove(&place);
        if let Some((next, slot)) = queue.rest.pop_first() {
            (queue.place, queue.slot) = (next, slot);
            self.by_age.insert(next, tenant);
        } else {
            self.by_tag.remove(&(queue.tag, tenant));
            self.queues.remove(&tenant);
        }
        self.look();
        true
    }

    /// Moves `tenant` to `tag`, where it waits here.
    pub(super) fn retag(&mut self, tenant: u32, tag: Tag) {
        if let Some(queue) = self.queues.get_mut(&tenant) {
            self.by_tag.remove(&(queue.tag, tenant));
            queue.tag = tag;
            self.by_tag.insert((tag, tenant));
            self.look();
        }
    }

    /// Who is first may have changed.
    fn look(&mut self) {
        let turn = self.by_tag.first();
        self.first = turn.and_then(|&(_, tenant)| self.first_of(tenant));
        self.oldest = self.by_age.first_key_value().map(|(place, _)| *place);
    }

    /// The first of the tenant whose turn it is.
    pub(super) const fn first(&self) -> Option<First> {
        self.first
    }

    /// The place of the one that is due first, whoever's turn it is.
    pub(super) const fn oldest(&self) -> Option<Place> {
        self.oldest
    }

    /// The one that is due first, whoever's turn it is, and its place.
    pub(super) fn oldest_call(&self) -> Option<First> {
        let (_, tenant) = self.by_age.first_key_value()?;
        self.first_of(*tenant)
    }

    /// The first of `tenant`.
    pub(super) fn first_of(&self, tenant: u32) -> Option<First> {
        let queue = self.queues.get(&tenant)?;
        Some(First {
            tag: queue.tag,
            place: queue.place,
            slot: queue.slot,
        })
    }

    /// The last of `tenant`.
    pub(super) fn last_of(&self, tenant: u32) -> Option<(Place, u32)> {
        let queue = self.queues.get(&tenant)?;
        queue.rest.last().or(Some((queue.place, queue.slot)))
    }

    /// All slots, tenants by their tags, the calls of each by their places.
    pub(super) fn iter(&self) -> impl Iterator<Item = u32> {
        self.by_tag
            .iter()
            .filter_map(|(_, tenant)| self.queues.get(tenant))
            .flat_map(Queue::iter)
            .map(|(_, slot)| slot)
    }

    /// The tenants that wait here.
    pub(super) fn tenants(&self) -> impl Iterator<Item = u32> {
        self.queues.keys().copied()
    }

    /// The calls of `tenant` with their places, in order.
    pub(super) fn of(&self, tenant: u32) -> Calls<'_> {
        let queue = self.queues.get(&tenant);
        queue.map_or_else(Calls::none, Queue::iter)
    }
}

impl Queue {
    fn iter(&self) -> Calls<'_> {
        self.rest.after((self.place, self.slot))
    }
}

/// What the tenants of one class have had of a pool.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Flows {
    /// The virtual time.
    clock: Tag,
    flows: BTreeMap<u32, Flow>,
    /// The latest that any of them was moved to.
    latest: Tag,
    /// How many of them wait.
    waiting: usize,
    /// At so many, those are forgotten that the virtual time has passed.
    full: usize,
}

#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Flow {
    pub(super) tag: Tag,
    /// On how many routes it waits.
    pub(super) routes: u32,
}

/// Fewer are not worth looking through.
const FEW: usize = 64;

impl Flows {
    pub(super) const fn new() -> Self {
        Self {
            clock: Tag::ZERO,
            flows: BTreeMap::new(),
            latest: Tag::ZERO,
            waiting: 0,
            full: FEW,
        }
    }

    /// `tenant` begins to wait on one route more; gives its tag.
    pub(super) fn begin(&mut self, tenant: u32) -> Tag {
        if self.flows.len() >= self.full {
            let clock = self.clock;
            self.flows
                .retain(|_, flow| flow.routes > 0 || flow.tag > clock);
            self.full = self.flows.len().saturating_mul(2).max(FEW);
        }
        let clock = self.clock;
        let flow = self.flows.entry(tenant).or_insert(Flow {
            tag: clock,
            routes: 0,
        });
        if flow.routes == 0 {
            flow.tag = flow.tag.max(clock);
            self.waiting = self.waiting.saturating_add(1);
        }
        flow.routes = flow.routes.saturating_add(1);
        flow.tag
    }

    /// After a snapshot was read: all are to be counted anew.
    #[cfg(feature = "serde")]
    pub(super) fn nobody_waits(&mut self) {
        self.waiting = 0;
        self.full = FEW;
        for flow in self.flows.values_mut() {
            flow.routes = 0;
        }
    }

    /// `tenant` waits on one route more, as it did when the snapshot was taken;
    /// gives its tag, which stays.
    #[cfg(feature = "serde")]
    pub(super) fn resume(&mut self, tenant: u32) -> Tag {
        let clock = self.clock;
        let flow = self.flows.entry(tenant).or_insert(Flow {
            tag: clock,
            routes: 0,
        });
        if flow.routes == 0 {
            self.waiting = self.waiting.saturating_add(1);
        }
        flow.routes = flow.routes.saturating_add(1);
        flow.tag
    }

    /// `tenant` waits on one route less.
    pub(super) fn end(&mut self, tenant: u32) {
        let Some(flow) = self.flows.get_mut(&tenant).filter(|flow| flow.routes > 0) else {
            return;
        };
        flow.routes = flow.routes.saturating_sub(1);
        if flow.routes == 0 {
            self.waiting = self.waiting.saturating_sub(1);
        }
        if self.waiting == 0 {
            // Who comes next begins where all have been.
            self.clock = self.clock.max(self.latest);
            self.flows.clear();
        }
    }

    /// A call of `tenant` was sent that cost so much; gives its new tag, and on
    /// how many routes it waits.
    pub(super) fn serve(&mut self, tenant: u32, cost: u64, weight: u32) -> Flow {
        let flow = self.flows.entry(tenant).or_insert(Flow {
            tag: self.clock,
            routes: 0,
        });
        self.clock = self.clock.max(flow.tag);
        flow.tag = flow.tag.and(share(cost, weight));
        self.latest = self.latest.max(flow.tag);
        *flow
    }
}

/// By how much `cost` moves a tenant of `weight` on.
pub(super) fn share(cost: u64, weight: u32) -> u128 {
    let wide = u128::from(cost).wrapping_shl(16);
    wide.checked_div(u128::from(weight)).unwrap_or(wide)
}

#[cfg(test)]
mod tests {
    use alloc::{vec, vec::Vec};

    use super::*;

    fn place(due: u64, number: u64) -> Place {
        Place {
            due: Instant::from_secs(due),
            number,
        }
    }

    #[test]
    fn the_lowest_tag_goes_first_and_within_a_tenant_the_first_due() {
        let mut lane = Lane::new();
        lane.insert(1, place(9, 0), 10, || Tag::new(5));
        lane.insert(1, place(3, 1), 11, || Tag::new(6));
        lane.insert(2, place(7, 2), 12, || Tag::new(4));
        assert_eq!(lane.first().map(|first| first.slot), Some(12));
        assert_eq!(lane.oldest_call().map(|first| first.slot), Some(11));
        lane.retag(2, Tag::new(6));
        assert_eq!(lane.iter().collect::<Vec<u32>>(), vec![11, 10, 12]);
        assert!(lane.remove(1, place(3, 1)));
        assert!(!lane.remove(1, place(3, 1)));
        assert_eq!(lane.oldest_call().map(|first| first.slot), Some(12));
        assert!(lane.remove(1, place(9, 0)));
        assert!(!lane.has(1));
        assert_eq!(lane.iter().count(), 1);
    }

    #[test]
    fn nobody_saves_up_turns() {
        let mut flows = Flows::new();
        assert_eq!(flows.begin(1), Tag::ZERO);
        for _ in 0..10 {
            let _moved_on = flows.serve(1, 100, 1);
        }
        // The tenth began at 900 of these.
        assert_eq!(flows.begin(2).get(), share(900, 1));
        let flow = flows.serve(2, 100, 4);
        assert_eq!(flow.tag.get(), share(925, 1));
        let _one_more = flows.begin(1);
        flows.end(2);
        assert_eq!(
            flows.begin(2).get(),
            share(925, 1),
            "what it had is not forgotten"
        );
    }

    #[test]
    fn tenants_that_come_and_go_leave_nothing_behind() {
        let mut flows = Flows::new();
        for tenant in 0..100_000 {
            let _tag = flows.begin(tenant);
            let _moved_on = flows.serve(tenant, 1_000, 1);
            flows.end(tenant);
        }
        assert!(flows.flows.len() <= 2 * FEW, "{}", flows.flows.len());
    }
}
