//! A choice of pools, and who waits for it.

use core::time::Duration;

use alloc::vec::Vec;

use super::{
    entry::LACKING,
    index,
    looks::Looks,
    pool::Pool,
    queue::{CLASSES, First, Lane, Place, Tag},
};
use crate::{decision::Cause, request::Request, time::Instant, units::Dimension};

#[derive(Clone, Debug)]
pub(super) struct Route {
    /// Sets of pools, in the order of preference.
    pub(super) alternatives: Vec<Vec<u32>>,
    /// Which it is of those that were at this place one after the other.
    pub(super) generation: u32,
    /// It was taken away; there are calls of it that are under way.
    pub(super) is_gone: bool,
    /// How many calls are of it, wherever they are.
    pub(super) calls: usize,
    /// How much later than the first possible a preferred one may be.
    pub(super) patience: Duration,
    /// The pool by which its tenants share: the last of its first alternative.
    pub(super) home: u32,
    /// By class, the lowest first.
    lanes: [Lane; CLASSES],
    /// The first, whatever has waited long, and what of the lower classes has
    /// waited longest.
    first: Option<Top>,
    oldest: Option<Top>,
    /// How many of those that wait take nothing of each dimension that one may
    /// take nothing of.
    lacking: [u32; LACKING],
    /// Those with a latest start, by when they are to be looked at.
    pub(super) looks: Looks,
    /// When the scheduler is to look at the first of these.
    pub(super) alarm: Option<Instant>,
    pub(super) state: State,
    /// The claim that its first had when it was last refused.
    pub(super) claim: Option<Block>,
    /// The pools that refused its first.
    pub(super) waits: Vec<u32>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum State {
    /// Nothing waits.
    Empty,
    /// Its first is to be asked for.
    Ready,
    /// Its first was refused.
    Blocked(Block),
}

/// Why the first of a route was not sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Block {
    pub(super) slot: u32,
    /// It was first because it has waited long.
    pub(super) aged: bool,
    /// When it may be sent if nothing is reported.
    pub(super) start: Instant,
    /// When it is worth to ask again: no later than `start`.
    pub(super) again: Instant,
    pub(super) cause: Cause,
    /// The pool that binds.
    pub(super) pool: u32,
    /// The alternative that can start first, as far as the preference allows.
    pub(super) alternative: usize,
    /// It would pass, and would delay one that goes before it.
    pub(super) behind: bool,
    /// So it is with it, or with another of its route that was looked at.
    pub(super) held_up: bool,
}

impl Block {
    /// Whether the same is to be kept free.
    pub(super) fn is_same_claim(&self, other: &Self) -> bool {
        (self.slot, self.start, self.alternative) == (other.slot, other.start, other.alternative)
    }
}

/// The first of a route, as it compares with those of others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Top {
    /// It goes before higher classes, because it has waited long.
    pub(super) aged: bool,
    pub(super) class: u8,
    pub(super) tag: Tag,
    pub(super) place: Place,
    pub(super) slot: u32,
}

impl Top {
    /// Whether this goes before `other`. Tags compare where both share by the
    /// same pool; else the one that is due first goes first.
    pub(super) fn goes_before(&self, other: &Self, same_home: bool) -> bool {
        if self.aged != other.aged {
            return self.aged;
        }
        if !self.aged && self.class != other.class {
            return self.class > other.class;
        }
        if !self.aged && same_home && self.tag != other.tag {
            return self.tag < other.tag;
        }
        self.place < other.place
    }
}

impl Route {
    pub(super) fn new(alternatives: Vec<Vec<u32>>, home: u32) -> Self {
        Self {
            alternatives,
            generation: 0,
            is_gone: false,
            calls: 0,
            patience: Duration::ZERO,
            home,
            lanes: [const { Lane::new() }; CLASSES],
            first: None,
            oldest: None,
            lacking: [0; LACKING],
            looks: Looks::new(),
            alarm: None,
            state: State::Empty,
            claim: None,
            waits: Vec::new(),
        }
    }

    /// Whether this is a place without a route.
    pub(super) fn is_vacant(&self) -> bool {
        self.alternatives.is_empty()
    }

    /// Whether nothing waits here.
    pub(super) const fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// Counts what calls that wait take nothing of.
    pub(super) fn count_lacking(&mut self, lacks: [bool; LACKING], more: bool) {
        for (count, lacks) in self.lacking.iter_mut().zip(lacks) {
            let step = u32::from(lacks);
            *count = if more {
                count.saturating_add(step)
            } else {
                count.saturating_sub(step)
            };
        }
    }

    /// Whether one that waits here may take nothing of what binds.
    pub(super) fn lacks(&self, cause: Cause) -> bool {
        let [output, own1, own2, own3] = self.lacking;
        let count = match cause {
            Cause::Limit(Dimension::OutputTokens) => output,
            Cause::Limit(Dimension::Own1) => own1,
            Cause::Limit(Dimension::Own2) => own2,
            Cause::Limit(Dimension::Own3) => own3,
            _ => 0,
        };
        count > 0
    }

    /// A request that takes no more of anything than each that waits here.
    pub(super) fn least(&self) -> Request {
        let [output, own @ ..] = self.lacking.map(|count| u64::from(count == 0));
        Request::new().max_tokens(output).own(own)
    }

    /// Whether something that waits here may go though `block` has a claim: it
    /// may take nothing of what binds, or go elsewhere.
    pub(super) fn may_avoid(&self, block: &Block) -> bool {
        let uses = |set: &Vec<u32>| set.contains(&block.pool);
        self.lacks(block.cause) || !self.alternatives.iter().all(uses)
    }

    /// Whether another that waits here may pass its first, which `block` holds.
    pub(super) fn may_be_passed(&self, block: &Block) -> bool {
        self.alternatives.len() > 1 || self.lacks(block.cause)
    }

    /// What waits in each class, the lowest first.
    pub(super) fn lanes(&self) -> impl DoubleEndedIterator<Item = &Lane> {
        self.lanes.iter()
    }

    pub(super) fn lane(&self, class: usize) -> Option<&Lane> {
        self.lanes.get(class)
    }

    /// Changes what waits in a class.
    pub(super) fn change<T>(
        &mut self,
        class: usize,
        change: impl FnOnce(&mut Lane) -> T,
    ) -> Option<T> {
        let changed = change(self.lanes.get_mut(class)?);
        let lanes = || self.lanes.iter().enumerate();
        self.first = lanes()
            .rev()
            .filter_map(|(class, lane)| Some(Top::new(class, lane.first()?)))
            .next();
        // Within its class it is still the turn of the tenant with the lowest
        // tag, or one with a long backlog would have all turns of its age.
        self.oldest = lanes()
            .take(URGENT)
            .filter_map(|(class, lane)| {
                Some(Top {
                    aged: true,
                    place: lane.oldest()?,
                    ..Top::new(class, lane.first()?)
                })
            })
            .min_by_key(|top| top.place);
        Some(changed)
    }

    /// Its first at `now`.
    pub(super) fn top(&self, now: Instant, pools: &[Option<Pool>]) -> Option<Top> {
        let aged = self.oldest.filter(|oldest| oldest.place.due <= now);
        aged.filter(|_| self.is_aged_turn(pools)).or(self.first)
    }

    /// Whether its first is still the one that `block` holds, for the same
    /// reason.
    pub(super) fn is_still_first(
        &self,
        block: &Block,
        now: Instant,
        pools: &[Option<Pool>],
    ) -> bool {
        let top = self.top(now, pools);
        top.is_some_and(|top| (top.slot, top.aged) == (block.slot, block.aged))
    }

    /// When its first is another for its age, though nothing happens.
    pub(super) fn comes_of_age(&self, now: Instant, pools: &[Option<Pool>]) -> Option<Instant> {
        let due = self.oldest?.place.due;
        (due > now && self.is_aged_turn(pools)).then_some(due)
    }

    /// Whether in all pools of an alternative it is the turn of those that have
    /// waited long.
    fn is_aged_turn(&self, pools: &[Option<Pool>]) -> bool {
        let turn = |pool: &u32| {
            let pool = pools.get(index(*pool)).and_then(Option::as_ref);
            pool.is_some_and(Pool::is_aged_turn)
        };
        self.alternatives.iter().any(|set| set.iter().all(turn))
    }
}

/// The highest class: nothing goes before it but what has waited long.
const URGENT: usize = CLASSES - 1;

impl Top {
    const fn new(class: usize, first: First) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "there are four classes")]
        let class = class as u8;
        Self {
            aged: false,
            class,
            tag: first.tag,
            place: first.place,
            slot: first.slot,
        }
    }
}
