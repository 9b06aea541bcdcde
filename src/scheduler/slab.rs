//! Numbered places for values, in pieces.

use alloc::vec::Vec;

/// Values under small numbers that are used again once they are free.
///
/// It grows by [`PIECE`] places and never moves a value: a vector that doubles
/// would for a moment need three times the room, and leave up to half unused.
#[derive(Clone, Debug)]
pub(super) struct Slab<T> {
    pieces: Vec<Vec<Option<T>>>,
    /// Numbers that are free, the next to be used last.
    free: Vec<u32>,
    len: usize,
}

const PIECE: usize = 256;

impl<T> Slab<T> {
    pub(super) const fn new() -> Self {
        Self {
            pieces: Vec::new(),
            free: Vec::new(),
            len: 0,
        }
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Puts `value` in, and says under which number. `None` where all numbers
    /// are taken.
    pub(super) fn insert(&mut self, value: T) -> Option<u32> {
        if self.free.is_empty() {
            self.grow()?;
        }
        let number = self.free.pop()?;
        *self.place(number)? = Some(value);
        self.len = self.len.saturating_add(1);
        Some(number)
    }

    pub(super) fn remove(&mut self, number: u32) -> Option<T> {
        let value = self.place(number)?.take()?;
        self.free.push(number);
        self.len = self.len.saturating_sub(1);
        Some(value)
    }

    pub(super) fn get(&self, number: u32) -> Option<&T> {
        let (piece, place) = split(number);
        self.pieces.get(piece)?.get(place)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, number: u32) -> Option<&mut T> {
        self.place(number)?.as_mut()
    }

    /// All values with their numbers, in the order of these.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        let places = self.pieces.iter().flatten();
        (0_u32..)
            .zip(places)
            .filter_map(|(number, place)| Some((number, place.as_ref()?)))
    }

    fn place(&mut self, number: u32) -> Option<&mut Option<T>> {
        let (piece, place) = split(number);
        self.pieces.get_mut(piece)?.get_mut(place)
    }

    fn grow(&mut self) -> Option<()> {
        let first = self.pieces.len().checked_mul(PIECE)?;
        let end = first.checked_add(PIECE)?;
        let (first, end) = (u32::try_from(first).ok()?, u32::try_from(end).ok()?);
        let mut piece = Vec::new();
        piece.resize_with(PIECE, || None);
        self.pieces.push(piece);
        self.free.extend((first..end).rev());
        Some(())
    }
}

/// How many places there are, those that are free in their order, and the
/// values with their numbers.
#[cfg(feature = "serde")]
impl<T: serde::Serialize> serde::Serialize for Slab<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let values: Vec<(u32, &T)> = self.iter().collect();
        (self.pieces.len(), &self.free, values).serialize(serializer)
    }
}

#[cfg(feature = "serde")]
impl<'de, T: serde::Deserialize<'de>> serde::Deserialize<'de> for Slab<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (pieces, free, values): (usize, Vec<u32>, Vec<(u32, T)>) =
            serde::Deserialize::deserialize(deserializer)?;
        Self::of(pieces, &free, values).ok_or_else(|| {
            serde::de::Error::custom("numbers that are taken twice, or neither taken nor free")
        })
    }
}

#[cfg(feature = "serde")]
impl<T> Slab<T> {
    /// `None` where not each number is either free or taken.
    fn of(pieces: usize, free: &[u32], values: Vec<(u32, T)>) -> Option<Self> {
        // Before anything is allocated: so many numbers must have been told.
        let told = free.len().checked_add(values.len())?;
        if pieces.checked_mul(PIECE)? != told {
            return None;
        }
        let mut slab = Self::new();
        for _ in 0..pieces {
            slab.grow()?;
        }
        slab.free.clear();
        slab.len = values.len();
        for (number, value) in values {
            if slab.place(number)?.replace(value).is_some() {
                return None;
            }
        }
        let mut sorted = free.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        let sound = sorted.len() == free.len()
            && sorted.iter().all(|number| {
                let (piece, place) = split(*number);
                let place = slab.pieces.get(piece).and_then(|piece| piece.get(place));
                place.is_some_and(Option::is_none)
            });
        slab.free = free.to_vec();
        sound.then_some(slab)
    }
}

/// The piece that `number` is in, and its place there.
fn split(number: u32) -> (usize, usize) {
    let number = usize::try_from(number).unwrap_or(usize::MAX);
    (
        number.checked_div(PIECE).unwrap_or_default(),
        number.checked_rem(PIECE).unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_used_again_and_no_value_is_lost() {
        let mut slab = Slab::new();
        let numbers: Vec<u32> = (0..1_000).filter_map(|n| slab.insert(n)).collect();
        assert_eq!(numbers, (0..1_000).collect::<Vec<u32>>());
        assert_eq!(slab.remove(300), Some(300));
        assert_eq!(slab.remove(300), None);
        assert_eq!(slab.get(300), None);
        assert_eq!(slab.insert(7), Some(300));
        assert_eq!(slab.len(), 1_000);
        assert_eq!(slab.iter().count(), 1_000);
        assert_eq!(slab.get(1_023), None);
        assert_eq!(slab.get(u32::MAX), None);
    }
}
