//! A table of bounded size whose content does not depend on the order in which
//! it was filled.

use super::Tally;

/// The `N` strictest values, each under its own key. The smaller a value, the
/// stricter.
///
/// A key that comes again keeps the stricter of its values. Where another key
/// comes than find room, the least strict value goes, and of equal ones the one
/// with the greatest key. What stays is the same in any order: a value is
/// dropped only where `N` keys have a stricter one, and no value ever grows
/// less strict.
#[derive(Clone, Copy, Debug)]
pub(super) struct Table<K, V, const N: usize> {
    entries: [(K, V); N],
    len: usize,
    /// A key came again with another value.
    conflict: bool,
    overflow: bool,
}

impl<K: Copy + Ord, V: Copy + Ord, const N: usize> Table<K, V, N> {
    /// An empty one. What it is filled with is never seen.
    pub(super) const fn new(filling: (K, V)) -> Self {
        Self {
            entries: [filling; N],
            len: 0,
            conflict: false,
            overflow: false,
        }
    }

    #[inline(always)]
    pub(super) fn take(&mut self, key: K, value: V, tally: &mut Tally) {
        let held = self.entries.get_mut(..self.len).unwrap_or_default();
        if let Some((_, old)) = held.iter_mut().find(|(held, _)| *held == key) {
            tally.again = true;
            if *old != value {
                self.conflict = true;
                *old = value.min(*old);
            }
        } else if let Some(free) = self.entries.get_mut(self.len) {
            *free = (key, value);
            self.len = self.len.saturating_add(1);
        } else {
            self.take_for_another(key, value);
        }
    }

    /// Where there is no room.
    #[cold]
    fn take_for_another(&mut self, key: K, value: V) {
        self.overflow = true;
        let least = self
            .entries
            .iter_mut()
            .max_by_key(|(key, value)| (*value, *key));
        if let Some(least) = least.filter(|(k, v)| (value, key) < (*v, *k)) {
            *least = (key, value);
        }
    }

    #[inline]
    pub(super) fn get(&self, key: K) -> Option<V> {
        self.iter()
            .find_map(|&(held, value)| (held == key).then_some(value))
    }

    /// The same, where the key is likely to stand at `place`.
    #[inline]
    pub(super) fn near(&self, place: usize, key: K) -> Option<V> {
        match self.iter().as_slice().get(place) {
            Some(&(held, value)) if held == key => Some(value),
            _ => self.get(key),
        }
    }

    #[inline]
    pub(super) fn iter(&self) -> core::slice::Iter<'_, (K, V)> {
        self.entries.get(..self.len).unwrap_or_default().iter()
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Whether values differed. What went for want of room is not compared with
    /// what came later, so this is said only where nothing went.
    pub(super) const fn conflicts(&self) -> bool {
        self.conflict && !self.overflow
    }

    pub(super) const fn overflows(&self) -> bool {
        self.overflow
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, vec::Vec};

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against a map that is as large as it likes.
        #[test]
        fn the_strictest_stay(values in prop::collection::vec((0_u8..12, 0_u8..9), 0..40)) {
            let mut table = Table::<u8, u8, 4>::new((0, 0));
            let mut all = BTreeMap::new();
            let mut conflict = false;
            for &(key, value) in &values {
                table.take(key, value, &mut Tally::default());
                let held = all.entry(key).or_insert(value);
                conflict |= *held != value;
                *held = value.min(*held);
            }
            let overflow = all.len() > 4;
            let mut all: Vec<_> = all.into_iter().map(|(key, value)| (value, key)).collect();
            all.sort_unstable();
            all.truncate(4);
            let mut kept: Vec<_> = table.iter().map(|&(key, value)| (value, key)).collect();
            kept.sort_unstable();
            prop_assert_eq!(kept, all);
            prop_assert_eq!(table.overflows(), overflow);
            prop_assert_eq!(table.conflicts(), conflict && !overflow);
        }
    }
}
