//! When each call of a route is to be looked at for being late.
//!
//! # Theory of operation
//!
//! Most calls are sent long before they might be late, so that to keep all of
//! them in order would be for nothing. In order are only those of the present
//! span of the clock, 2^32 ns or 4.3 s, and of those before it; later ones are in
//! lists, one for each span, into and out of which a call comes in constant time
//! however many there are: a timing wheel that is as long as time is (Varghese
//! and Lauck, SOSP 1987, scheme 4). When its span begins a list is put in order,
//! each call once.
//!
//! Who asks when the first is due hears the beginning of its span where that has
//! not begun. That follows from calls and clock alone, so that a restored
//! scheduler says the same.

use alloc::{collections::BTreeMap, vec, vec::Vec};

use super::{entry::Entry, index, queue::Place, slab::Slab};
use crate::time::Instant;

/// The calls of one route that have a latest start.
#[derive(Clone, Debug)]
pub(super) struct Looks {
    /// By when they are to be looked at.
    ordered: BTreeMap<Place, u32>,
    /// The first slot of the list of each later span.
    later: BTreeMap<u32, u32>,
    /// The last span that is in order.
    until: u32,
}

/// Which calls are beside each other in the lists of all routes, by slot. It
/// grows by pieces, as calls do.
#[derive(Clone, Debug)]
pub(super) struct Links(Vec<Vec<Link>>);

const PIECE: usize = 1_024;

/// `NONE` and `OUT` are no slots: memory ends before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Link {
    before: u32,
    after: u32,
}

const NONE: u32 = u32::MAX;

/// It is in no list.
const OUT: Link = Link {
    before: u32::MAX - 1,
    after: u32::MAX - 1,
};

impl Looks {
    pub(super) const fn new() -> Self {
        Self {
            ordered: BTreeMap::new(),
            later: BTreeMap::new(),
            until: 0,
        }
    }

    /// Puts in a call that is not there.
    pub(super) fn insert(&mut self, links: &mut Links, place: Place, slot: u32) {
        let span = span(place.due);
        if span <= self.until {
            self.ordered.insert(place, slot);
            return;
        }
        let after = self.later.insert(span, slot).unwrap_or(NONE);
        if let Some(next) = links.get_mut(after) {
            next.before = slot;
        }
        links.put(
            slot,
            Link {
                before: NONE,
                after,
            },
        );
    }

    /// Takes a call out. False where that leaves the first as it was.
    pub(super) fn remove(&mut self, links: &mut Links, place: Place, slot: u32) -> bool {
        let Some(link) = links.take(slot) else {
            return self.ordered.remove(&place).is_some();
        };
        if let Some(next) = links.get_mut(link.after) {
            next.before = link.before;
        }
        if let Some(previous) = links.get_mut(link.before) {
            previous.after = link.after;
            return false;
        }
        if link.after == NONE {
            self.later.remove(&span(place.due));
            return true;
        }
        self.later.insert(span(place.due), link.after);
        false
    }

    /// Puts all in order that are due by `by`.
    pub(super) fn put_in_order(&mut self, links: &mut Links, calls: &Slab<Entry>, by: Instant) {
        let last = span(by);
        if last <= self.until {
            return;
        }
        while let Some(list) = self.later.first_entry() {
            if *list.key() > last {
                break;
            }
            let mut slot = list.remove();
            while let Some(link) = links.take(slot) {
                if let Some(call) = calls.get(slot) {
                    self.ordered.insert(call.critical_place(), slot);
                }
                slot = link.after;
            }
        }
        self.until = last;
    }

    /// Takes out the first of those that are in order, if it is due by `by`.
    pub(super) fn pop(&mut self, by: Instant) -> Option<u32> {
        let first = self.ordered.first_entry()?;
        (first.key().due <= by).then(|| first.remove())
    }

    /// None is to be looked at before that.
    pub(super) fn first(&self) -> Option<Instant> {
        let ordered = self.ordered.first_key_value().map(|(place, _)| place.due);
        let later = self.later.first_key_value().map(|(span, _)| start(*span));
        ordered.into_iter().chain(later).min()
    }

    /// All slots.
    pub(super) fn slots(&self, links: &Links) -> impl Iterator<Item = u32> {
        let later = self.later.values().flat_map(|first| {
            core::iter::successors(Some(*first), |slot| {
                let after = links.get(*slot)?.after;
                (after != NONE).then_some(after)
            })
        });
        self.ordered.values().copied().chain(later)
    }
}

/// When a look is due of which `first` is known, at `now`.
pub(super) fn due(first: Instant, now: Instant) -> Instant {
    let span = span(first);
    if span <= self::span(now) {
        first
    } else {
        start(span)
    }
}

impl Links {
    pub(super) const fn new() -> Self {
        Self(Vec::new())
    }

    fn get(&self, slot: u32) -> Option<&Link> {
        let slot = index(slot);
        self.0.get(slot / PIECE)?.get(slot % PIECE)
    }

    fn get_mut(&mut self, slot: u32) -> Option<&mut Link> {
        let slot = index(slot);
        self.0.get_mut(slot / PIECE)?.get_mut(slot % PIECE)
    }

    fn put(&mut self, slot: u32, link: Link) {
        while self.0.len() <= index(slot) / PIECE {
            self.0.push(vec![OUT; PIECE]);
        }
        if let Some(old) = self.get_mut(slot) {
            *old = link;
        }
    }

    /// Where a call was; `None` where it was in no list.
    fn take(&mut self, slot: u32) -> Option<Link> {
        let link = core::mem::replace(self.get_mut(slot)?, OUT);
        (link != OUT).then_some(link)
    }
}

/// The span that an instant is in.
fn span(at: Instant) -> u32 {
    u32::try_from(at.as_nanos().wrapping_shr(SPAN)).unwrap_or(u32::MAX)
}

/// When a span begins.
fn start(span: u32) -> Instant {
    Instant::from_nanos(u64::from(span).wrapping_shl(SPAN))
}

/// A span is 2 to the power of so many nanoseconds.
const SPAN: u32 = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        request::Request,
        scheduler::job::{Job, Numbered, RouteId},
    };

    /// A call that is to be looked at then.
    fn call(calls: &mut Slab<Entry>, number: u64, critical: Instant) -> (Place, u32) {
        let job = Job::new(Request::new(), RouteId(Numbered::new(0, 0)));
        let mut call = Entry::new(&job, number, Instant::ZERO, Instant::MAX);
        call.critical = critical;
        (call.critical_place(), calls.insert(call).unwrap())
    }

    #[test]
    fn whatever_is_taken_out_the_others_come_in_order() {
        let (mut looks, mut links, mut calls) = (Looks::new(), Links::new(), Slab::new());
        let mut expected = vec![];
        let mut all = vec![];
        for number in 0..2_000_u64 {
            let at = Instant::from_millis(number.wrapping_mul(7_919) % 60_000);
            let (place, slot) = call(&mut calls, number, at);
            looks.insert(&mut links, place, slot);
            all.push((place, slot));
        }
        for (turn, (place, slot)) in all.into_iter().enumerate() {
            if turn % 3 == 0 {
                looks.remove(&mut links, place, slot);
                assert!(!looks.remove(&mut links, place, slot), "only once");
            } else {
                expected.push((place, slot));
            }
        }
        expected.sort_unstable();
        assert_eq!(looks.slots(&links).count(), expected.len());
        let mut now = 0;
        for (place, slot) in expected {
            while looks
                .pop(Instant::from_secs(now))
                .map(|first| assert_eq!(first, slot))
                .is_none()
            {
                assert!(looks.first().unwrap() <= place.due);
                now += 1;
                looks.put_in_order(&mut links, &calls, Instant::from_secs(now));
            }
            assert!(place.due <= Instant::from_secs(now));
        }
        assert_eq!(looks.first(), None);
        assert_eq!(looks.slots(&links).count(), 0);
    }

    #[test]
    fn the_first_of_a_later_span_is_due_when_that_begins() {
        let (mut looks, mut links, mut calls) = (Looks::new(), Links::new(), Slab::new());
        let at = Instant::from_secs(10);
        let (place, slot) = call(&mut calls, 0, at);
        looks.insert(&mut links, place, slot);
        let begins = due(looks.first().unwrap(), Instant::ZERO);
        assert_eq!(begins, Instant::from_nanos(2 << SPAN));
        assert_eq!(due(at, Instant::ZERO), begins);
        looks.put_in_order(&mut links, &calls, begins);
        assert_eq!(due(looks.first().unwrap(), begins), at);
        let (last, slot) = call(&mut calls, 1, Instant::MAX);
        looks.insert(&mut links, last, slot);
        looks.put_in_order(&mut links, &calls, Instant::MAX);
        assert_eq!(looks.slots(&links).count(), 2);
    }
}
