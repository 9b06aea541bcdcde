//! A sum over the last so many seconds, in constant space.

use core::time::Duration;

use crate::time::{Instant, nanos};

/// How many slots the span is cut into.
const SLOTS: u64 = CELLS as u64;
const CELLS: usize = 10;

/// A sum of what was added in the last `span`. Time is cut into slots of a
/// tenth of it; a slot expires at once, so that what was added is forgotten
/// after the span at the latest, and not before nine tenths of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Window {
    /// Nanoseconds of a slot, at least 1.
    slot: u64,
    /// Where the clock stood at the latest, in slots.
    latest: u64,
    cells: [Cell; CELLS],
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Cell {
    /// The number of its slot.
    number: u64,
    sum: i64,
}

impl Window {
    pub(crate) const fn new(span: Duration) -> Self {
        let slot = nanos(span).div_ceil(SLOTS);
        Self::of_slots(if slot == 0 { 1 } else { slot })
    }

    /// One with slots of so many nanoseconds, at least 1.
    pub(crate) const fn of_slots(slot: u64) -> Self {
        Self {
            slot,
            latest: 0,
            cells: [Cell { number: 0, sum: 0 }; CELLS],
        }
    }

    /// Nanoseconds of a slot.
    pub(crate) const fn slot(&self) -> u64 {
        self.slot
    }

    /// Adds `amount` at `now`; saturating. Gives the number of the slot.
    pub(crate) fn add(&mut self, now: Instant, amount: i64) -> u64 {
        self.latest = self.current(now);
        let number = self.latest;
        if let Some(cell) = self.cell(number) {
            if cell.number != number {
                *cell = Cell { number, sum: 0 };
            }
            cell.sum = cell.sum.saturating_add(amount);
        }
        number
    }

    /// Takes `amount` back out of slot `number`; nothing where that has
    /// expired.
    pub(crate) fn take_back(&mut self, number: u64, amount: i64) {
        if let Some(cell) = self.cell(number).filter(|cell| cell.number == number) {
            cell.sum = cell.sum.saturating_sub(amount);
        }
    }

    /// What was added and has not expired at `now`.
    pub(crate) fn sum(&self, now: Instant) -> i64 {
        let current = self.current(now);
        self.cells
            .iter()
            .filter(|cell| current.saturating_sub(cell.number) < SLOTS)
            .fold(0, |sum, cell| sum.saturating_add(cell.sum))
    }

    /// Forgets all.
    pub(crate) const fn clear(&mut self) {
        self.cells = [Cell { number: 0, sum: 0 }; CELLS];
    }

    /// The number of the slot that `now` is in; where the clock goes back, the
    /// latest.
    fn current(&self, now: Instant) -> u64 {
        let number = now.as_nanos().checked_div(self.slot).unwrap_or_default();
        number.max(self.latest)
    }

    fn cell(&mut self, number: u64) -> Option<&mut Cell> {
        let place = number.checked_rem(SLOTS).unwrap_or_default();
        usize::try_from(place)
            .ok()
            .and_then(|place| self.cells.get_mut(place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    proptest! {
        #![proptest_config(crate::retry::ten_thousand_cases())]

        /// Against a list of all that was added, with a clock that moves and
        /// goes back.
        #[test]
        fn the_sum_is_that_of_a_list(
            span in 1..1_000_u64, steps in prop::collection::vec((0..90_u64, 0..9_u64, -3..4_i64), 1..60),
        ) {
            let mut window = Window::new(Duration::from_nanos(span));
            let slot = span.div_ceil(10);
            let (mut now, mut latest, mut list) = (0_u64, 0_u64, Vec::new());
            for (ahead, back, amount) in steps {
                now = (now + ahead).saturating_sub(back);
                latest = latest.max(now / slot);
                let number = window.add(Instant::from_nanos(now), amount);
                prop_assert_eq!(number, latest);
                list.push((latest, amount));
                if amount == 3 {
                    window.take_back(number, amount);
                    list.pop();
                }
                let current = Instant::from_nanos(now);
                let want: i64 = list.iter().filter(|(at, _)| latest - at < 10).map(|(_, n)| n).sum();
                prop_assert_eq!(window.sum(current), want);
            }
        }
    }

    #[test]
    fn what_was_added_lives_for_nine_to_ten_tenths() {
        let mut window = Window::new(Duration::from_secs(10));
        window.add(Instant::from_millis(500), 1);
        assert_eq!(window.sum(Instant::from_millis(9_999)), 1);
        assert_eq!(window.sum(Instant::from_secs(10)), 0);
        window.clear();
        assert_eq!(window.sum(Instant::from_millis(500)), 0);
    }
}
