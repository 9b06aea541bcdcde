//! The calls of one tenant on one route, in order, but for the first.

use alloc::{
    collections::{BTreeMap, btree_map},
    vec::Vec,
};

use super::queue::Place;

/// Slots of calls by their places. Few are in a list that is as long as they are
/// many: each node of a tree has room for eleven, whether they are there or not.
/// None takes up no room at all.
#[derive(Clone, Debug)]
pub(super) enum Ordered {
    Few(Vec<(Place, u32)>),
    Many(BTreeMap<Place, u32>),
}

/// So many are in a list at the most.
const FEW: usize = 16;

/// By so many places it grows at the most, and so many it keeps free.
const STEP: usize = 4;

impl Ordered {
    pub(super) const fn new() -> Self {
        Self::Few(Vec::new())
    }

    /// Puts in a call that is not there.
    pub(super) fn insert(&mut self, place: Place, slot: u32) {
        match self {
            Self::Few(calls) if calls.len() < FEW => {
                if calls.len() == calls.capacity() {
                    calls.reserve_exact(calls.len().clamp(1, STEP));
                }
                let at = calls.partition_point(|(other, _)| *other < place);
                calls.insert(at, (place, slot));
            }
            Self::Few(calls) => {
                let mut many: BTreeMap<Place, u32> = calls.drain(..).collect();
                many.insert(place, slot);
                *self = Self::Many(many);
            }
            Self::Many(calls) => {
                calls.insert(place, slot);
            }
        }
    }

    /// Takes a call out. False where it is not here.
    pub(super) fn remove(&mut self, place: Place) -> bool {
        match self {
            Self::Few(calls) => {
                let Ok(at) = calls.binary_search_by_key(&place, |(other, _)| *other) else {
                    return false;
                };
                calls.remove(at);
                let enough = calls.len().saturating_add(STEP);
                if enough.saturating_mul(2) < calls.capacity() {
                    calls.shrink_to(enough);
                }
                true
            }
            Self::Many(calls) => {
                let removed = calls.remove(&place).is_some();
                // Half as many, so that one that comes and goes costs no more.
                if calls.len() <= FEW / 2 {
                    *self = Self::Few(core::mem::take(calls).into_iter().collect());
                }
                removed
            }
        }
    }

    pub(super) fn pop_first(&mut self) -> Option<(Place, u32)> {
        let first = match self {
            Self::Few(calls) => calls.first().copied(),
            Self::Many(calls) => calls.first_key_value().map(|(place, slot)| (*place, *slot)),
        };
        self.remove(first?.0);
        first
    }

    pub(super) fn last(&self) -> Option<(Place, u32)> {
        match self {
            Self::Few(calls) => calls.last().copied(),
            Self::Many(calls) => calls.last_key_value().map(|(place, slot)| (*place, *slot)),
        }
    }

    /// All of them, after a first.
    pub(super) fn after(&self, first: (Place, u32)) -> Calls<'_> {
        Calls {
            first: Some(first),
            rest: match self {
                Self::Few(calls) => Rest::Few(calls.iter()),
                Self::Many(calls) => Rest::Many(calls.iter()),
            },
        }
    }
}

/// Calls with their places, in order.
#[derive(Debug)]
pub(super) struct Calls<'a> {
    first: Option<(Place, u32)>,
    rest: Rest<'a>,
}

#[derive(Debug)]
enum Rest<'a> {
    Few(core::slice::Iter<'a, (Place, u32)>),
    Many(btree_map::Iter<'a, Place, u32>),
}

impl Calls<'_> {
    pub(super) fn none() -> Self {
        Self {
            first: None,
            rest: Rest::Few([].iter()),
        }
    }
}

impl Iterator for Calls<'_> {
    type Item = (Place, u32);

    fn next(&mut self) -> Option<Self::Item> {
        self.first.take().or_else(|| match &mut self.rest {
            Rest::Few(calls) => calls.next().copied(),
            Rest::Many(calls) => calls.next().map(|(place, slot)| (*place, *slot)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Instant;

    #[test]
    fn few_and_many_are_in_the_same_order() {
        let place = |number: u64| Place {
            due: Instant::from_nanos(number.wrapping_mul(7) % 40),
            number,
        };
        let mut calls = Ordered::new();
        let mut plain = BTreeMap::new();
        // Up to forty and down again, three times.
        for step in 0..240_u64 {
            let number = if step % 80 < 40 { step } else { step - 40 };
            if step % 80 < 40 {
                calls.insert(place(number), 1);
                plain.insert(place(number), 1);
            } else {
                assert!(calls.remove(place(number)));
                assert!(!calls.remove(place(number)));
                plain.remove(&place(number));
            }
            let first = (place(u64::MAX), 0);
            let rest = plain.iter().map(|(place, slot)| (*place, *slot));
            assert!(calls.after(first).eq(core::iter::once(first).chain(rest)));
            let [mut popped, mut left] = [calls.clone(), calls.clone()];
            let first = plain.first_key_value().map(|(place, slot)| (*place, *slot));
            let last = plain.last_key_value().map(|(place, slot)| (*place, *slot));
            assert_eq!((popped.pop_first(), calls.last()), (first, last));
            if let Some((place, _)) = first {
                left.remove(place);
            }
            let end = || (place(u64::MAX), 0);
            assert!(popped.after(end()).eq(left.after(end())));
            assert_eq!(
                matches!(calls, Ordered::Few(_)),
                plain.len() <= FEW / 2 || { step % 80 < 40 && plain.len() <= FEW }
            );
        }
    }
}
