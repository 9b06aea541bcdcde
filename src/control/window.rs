//! A meter that gives back by the window: a fixed window, or a sliding log.

use core::time::Duration;

use super::kind::{Kind, Whole};
use crate::{hints::Remaining, time::Instant};

/// What was taken of a meter, and when it is there again: each charge a window
/// after it, or all of them at an edge.
///
/// # Theory of operation
///
/// What is taken is kept in a few cells, in the order of sending. One that
/// covers a span is given back with the newest of it; where there is no room,
/// those two are put together by which the least is lost, an amount times a
/// span. So the few cells are enough: what comes back together is sent together,
/// and bursts stay bursts.
///
/// Charges are kept by the best that is known of them: what was expected, then
/// what it was. A head says what is left of the meter, to an interval, and so by
/// how much that differs from what is kept of all requests up to its own. Within
/// the interval what is kept is believed. Where less is left than that, the rest
/// was taken by others, until the meter is whole; where more is left, the newest
/// were overestimated. A settlement of what a head had counted moves what is kept
/// and the difference against each other, and so credits nothing twice.
///
/// # The edge of a window
///
/// A charge belongs to the window in which it reaches the server. What is sent
/// shortly before the edge may come after it, and is counted in both until a
/// head tells. The edge is put where no request that is sent then is early, and
/// follows by the length of a window until a head shows the next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Window {
    is_log: bool,
    /// The most that may be taken in a window, and how long that is, in
    /// nanoseconds.
    capacity: u64,
    length: u64,
    /// Of a fixed window: what is sent from then on counts in the next, and
    /// before the other instant surely not.
    edge: Instant,
    near: Instant,
    /// When the one before it ended.
    began: Instant,
    /// Whether a head showed the edge.
    is_shown: bool,
    cells: [Cell; CELLS],
    len: u8,
    /// All that was sent before is given back; and how much that was, wrapping.
    ended: Instant,
    given: u64,
    beyond: Beyond,
    /// How many are not settled of those that count.
    open: u32,
    /// By how much a request may be faster than the one whose place it takes.
    jitter: Duration,
    /// What was refused and is kept all the same, and how often heads showed
    /// that it did not count.
    refused: u64,
    uncounted: u8,
}

/// What was taken until an instant.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Cell {
    /// When the newest of it was sent.
    sent: Instant,
    amount: u64,
}

/// By how much more was taken than is kept of it, as heads show.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Beyond {
    least: i64,
    most: i64,
    /// From then on it is given back.
    until: Instant,
}

impl Beyond {
    /// No head says anything of it.
    const UNKNOWN: Self = Self {
        least: i64::MIN >> 2,
        most: i64::MAX >> 2,
        until: Instant::ZERO,
    };

    fn taken(&self, at: Instant) -> u64 {
        if at < self.until {
            u64::try_from(self.least).unwrap_or(0)
        } else {
            0
        }
    }
}

/// What is remembered of one charge.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Place {
    sent: Instant,
    /// What was given back by then, and what was about to be.
    given: u64,
    soon: u64,
}

impl Place {
    /// Of what was sent then, before any was given back.
    pub(crate) const fn kept(sent: Instant) -> Self {
        Self {
            sent,
            given: 0,
            soon: 0,
        }
    }
}

/// What a head shows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Showing {
    pub(crate) sent: Instant,
    pub(crate) place: Place,
    pub(crate) left: Remaining,
    pub(crate) whole: Option<Whole>,
    /// What was charged since its request was sent; what of that was given back
    /// because nothing came of it; what was charged shortly before.
    pub(crate) since: u64,
    pub(crate) returned: u64,
    pub(crate) overtaken: u64,
    /// What is charged and may not be counted yet.
    pub(crate) uncounted: u64,
    /// Whether it may be of when the head was written.
    pub(crate) may_be_late: bool,
}

/// When what is charged is counted by the server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Counted {
    /// Not by a head that was read.
    No,
    /// The newest head that was read counted all of it.
    Yes,
    /// It may have counted some.
    Perhaps,
}

/// How many cells there are.
const CELLS: usize = 16;

/// By how much requests may close up on their way.
const SLACK: Duration = Duration::from_millis(200);

/// By how much a request may be faster than all whose heads were read.
const EARLY: Duration = Duration::from_millis(50);

/// What heads show so often is so.
const SURE: u8 = 2;

/// By how much more after a refusal.
const STEP: Duration = Duration::from_millis(25);

impl Window {
    /// One that is not known to be any, and only keeps what is charged.
    pub(crate) const fn new() -> Self {
        let now = Instant::ZERO;
        Self {
            is_log: true,
            capacity: 1,
            length: 1,
            edge: now,
            near: now,
            began: now,
            is_shown: false,
            cells: [Cell {
                sent: Instant::ZERO,
                amount: 0,
            }; CELLS],
            len: 0,
            ended: now,
            given: 0,
            beyond: Beyond::UNKNOWN,
            open: 0,
            jitter: EARLY,
            refused: 0,
            uncounted: 0,
        }
    }

    pub(crate) const fn kind(&self) -> Kind {
        if self.is_log { Kind::Log } else { Kind::Window }
    }

    /// It turns out at `now` to be of this kind; until then what was charged was
    /// only kept. A head shows that of what was sent by `sent` only `taken` is
    /// taken: if more is kept, what was charged first was less.
    pub(crate) fn begin(&mut self, now: Instant, kind: Kind, sent: Instant, taken: u64) {
        self.turn(kind);
        let length = Duration::from_nanos(self.length);
        self.give_back_to(now.saturating_sub(length));
        (self.edge, self.near) = (now.saturating_add(length), now);
        self.began = Instant::ZERO;
        self.beyond = Beyond::UNKNOWN;
        (self.open, self.given) = (0, 0);
        let mut counted = 0_u64;
        for cell in self.live().filter(|cell| cell.sent <= sent) {
            counted = counted.saturating_add(cell.amount);
        }
        let mut over = counted.saturating_sub(taken);
        for cell in self.cells.iter_mut().take(usize::from(self.len)) {
            let less = cell.amount.min(over);
            cell.amount = cell.amount.saturating_sub(less);
            over = over.saturating_sub(less);
        }
    }

    /// It is of this kind after all.
    pub(crate) const fn turn(&mut self, kind: Kind) {
        self.is_log = matches!(kind, Kind::Log);
        self.is_shown = false;
    }

    pub(crate) const fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Whether heads show that at `at` more is taken than is kept.
    pub(crate) fn is_short(&self, at: Instant) -> bool {
        self.beyond.taken(at) > 0
    }

    /// How many of those that are kept at `at` are not settled, as far as that is
    /// known.
    pub(crate) fn open(&self, at: Instant) -> u32 {
        if self.is_log || at < self.edge {
            self.open
        } else {
            0
        }
    }

    /// When [`is_short`](Self::is_short) and [`open`](Self::open) change if nothing
    /// is heard.
    pub(crate) const fn eases(&self) -> [Instant; 2] {
        [self.beyond.until, self.edge]
    }

    /// How long a window is, in nanoseconds, and how much may be taken in it.
    pub(crate) const fn set(&mut self, (length, capacity): (u64, u64)) {
        self.length = length;
        self.capacity = capacity;
    }

    /// What is left at `at` if nothing more is taken, below 0 where more was.
    pub(crate) fn level(&self, at: Instant) -> i64 {
        let kept = self.live().filter(|cell| self.back(cell.sent) > at);
        let kept = kept.fold(self.beyond.taken(at), |sum, cell| {
            sum.saturating_add(cell.amount)
        });
        signed(self.capacity).saturating_sub(signed(kept))
    }

    /// From when on as much as `need` is left: `now`, if it is.
    pub(crate) fn when(&self, now: Instant, need: u64) -> Instant {
        let need = signed(need.min(self.capacity));
        if self.level(now) >= need {
            return now;
        }
        let cells = self.live().map(|cell| self.back(cell.sent));
        cells
            .chain([self.beyond.until])
            .filter(|&at| at > now && self.level(at) >= need)
            .min()
            .unwrap_or(Instant::MAX)
    }

    /// Takes `amount`.
    pub(crate) fn take(&mut self, now: Instant, amount: u64) -> Place {
        self.pass(now);
        self.open = self.open.saturating_add(1);
        let edge = now.saturating_add(SLACK);
        let soon = self.live().take_while(|cell| self.back(cell.sent) <= edge);
        let soon = soon.fold(0_u64, |sum, cell| sum.saturating_add(cell.amount));
        self.keep(now, amount);
        Place {
            sent: now,
            given: self.given,
            soon: if self.is_log { soon } else { 0 },
        }
    }

    /// What was sent by `now` and is not kept yet took `amount` in all.
    pub(crate) fn keep(&mut self, now: Instant, amount: u64) {
        if amount == 0 {
            return;
        }
        let last = usize::from(self.len).checked_sub(1);
        if let Some(cell) = last.and_then(|last| self.cells.get_mut(last)) {
            if cell.sent >= now {
                cell.amount = cell.amount.saturating_add(amount);
                return;
            }
        }
        if usize::from(self.len) >= CELLS {
            self.put_two_together();
        }
        if let Some(cell) = self.cells.get_mut(usize::from(self.len)) {
            *cell = Cell { sent: now, amount };
            self.len = self.len.saturating_add(1);
        }
    }

    /// It took `actual` and not `amount`, or is known to be going to.
    pub(crate) fn correct(&mut self, place: Place, amount: u64, actual: u64, counted: Counted) {
        if place.sent < self.ended {
            return;
        }
        let len = usize::from(self.len);
        let cells = self.cells.iter_mut().take(len);
        let Some(cell) = cells.into_iter().find(|cell| cell.sent >= place.sent) else {
            return;
        };
        let kept = cell.amount;
        cell.amount = if actual >= amount {
            kept.saturating_add(actual.saturating_sub(amount))
        } else {
            kept.saturating_sub(amount.saturating_sub(actual))
        };
        let moved = signed(cell.amount).saturating_sub(signed(kept));
        let beyond = &mut self.beyond;
        if counted != Counted::No {
            // What the head counted was taken, whatever is known of it now.
            beyond.least = beyond.least.saturating_sub(moved);
        }
        if counted == Counted::Yes {
            beyond.most = beyond.most.saturating_sub(moved);
        }
        self.lower(Instant::MAX);
    }

    /// As much was refused, and may count. Whether it is kept.
    pub(crate) const fn keeps_refused(&mut self, amount: u64) -> bool {
        if self.uncounted >= SURE {
            return false;
        }
        self.refused = self.refused.saturating_add(amount);
        true
    }

    /// One that was taken is settled. False where that was known.
    pub(crate) fn close(&mut self, place: Place) -> bool {
        let is_open = (self.is_log || place.sent >= self.ended) && self.open > 0;
        self.open = self.open.saturating_sub(is_open.into());
        is_open
    }

    /// A head shows this. False where it is of a window that is over.
    pub(crate) fn observe(&mut self, now: Instant, showing: &Showing) -> bool {
        self.pass(now);
        if !self.is_log && !self.see_edge(showing) {
            return false;
        }
        let Showing { left, since, .. } = *showing;
        // What came back since then was shown as taken; what was about to may be.
        let place = showing.place;
        let (given, soon) = if self.is_log {
            (self.given.wrapping_sub(place.given), place.soon)
        } else {
            (0, 0)
        };
        let sure = if showing.may_be_late {
            0
        } else {
            since.saturating_sub(showing.returned)
        };
        let kept = self
            .live()
            .fold(0_u64, |sum, cell| sum.saturating_add(cell.amount));
        let taken = |left: i64| signed(self.capacity).saturating_sub(left);
        let least = taken(left.at_most())
            .saturating_add(signed(sure))
            .saturating_sub(signed(given));
        let most = taken(left.at_least())
            .saturating_add(signed(since))
            .saturating_sub(signed(given))
            .saturating_add(signed(soon))
            .saturating_add(signed(showing.overtaken))
            .saturating_add(signed(showing.uncounted));
        let until = match showing.whole {
            _ if !self.is_log => self.edge,
            Some(whole) => whole.to,
            None => now.saturating_add(Duration::from_nanos(self.length)),
        };
        self.beyond = Beyond {
            least: least.saturating_sub(signed(kept)),
            most: most.saturating_sub(signed(kept)),
            until,
        };
        self.lower(showing.sent);
        true
    }

    /// A request for `amount` was refused, to come again after `wait`.
    pub(crate) fn refused(&mut self, now: Instant, amount: u64, wait: Duration) {
        self.pass(now);
        self.jitter = self.jitter.saturating_add(STEP).min(SLACK);
        let again = now.saturating_add(wait);
        let until = if self.is_log {
            again
        } else {
            again.min(self.edge)
        };
        // A wait is given in whole seconds, rounded up.
        let just_before = until.saturating_sub(Duration::from_secs(1)).max(now);
        let there = self.level(just_before);
        let more = there
            .saturating_sub(signed(amount))
            .saturating_add(1)
            .max(0);
        if more == 0 {
            return;
        }
        let taken = signed(self.beyond.taken(just_before));
        let least = taken.saturating_add(more);
        self.beyond = Beyond {
            least,
            most: self.beyond.most.max(least),
            until,
        };
    }

    /// Time has passed: gives back what is due.
    fn pass(&mut self, now: Instant) {
        if self.beyond.until <= now {
            self.beyond = Beyond::UNKNOWN;
        }
        if !self.is_log && self.edge <= now {
            let over = now.as_nanos().saturating_sub(self.edge.as_nanos());
            let more = over.checked_div(self.length).unwrap_or_default();
            if more > 0 {
                // Not even what was sent near the edge is of this one.
                self.give_back_to(Instant::MAX);
            } else {
                self.give_back_to(self.near);
            }
            let on = Duration::from_nanos(more.saturating_add(1).saturating_mul(self.length));
            self.began = self.edge;
            self.edge = self.edge.saturating_add(on);
            self.near = self.near.saturating_add(on);
            self.is_shown = false;
            self.open = 0;
        }
        if self.is_log {
            let due = self.live().take_while(|cell| self.back(cell.sent) <= now);
            if let Some(last) = due.last() {
                self.give_back_to(last.sent.just_after());
            }
        }
    }

    /// Gives back what was sent before `end`.
    fn give_back_to(&mut self, end: Instant) {
        let over = self.live().take_while(|cell| cell.sent < end);
        let (mut count, mut ended) = (0, self.ended);
        let mut given = self.given;
        for cell in over {
            count = usize::saturating_add(count, 1);
            ended = cell.sent.just_after();
            given = given.wrapping_add(cell.amount);
        }
        self.given = given;
        self.ended = ended;
        for place in 0..CELLS {
            let from = self.cells.get(place.saturating_add(count)).copied();
            if let Some(cell) = self.cells.get_mut(place) {
                *cell = from.unwrap_or_default();
            }
        }
        let count = u8::try_from(count).unwrap_or(u8::MAX);
        self.len = self.len.saturating_sub(count);
    }

    /// A head shows when the window ends in which its request was counted. False
    /// where that is over.
    fn see_edge(&mut self, showing: &Showing) -> bool {
        let Some(whole) = showing.whole else {
            return showing.sent >= self.began;
        };
        if whole.from <= self.began {
            return false;
        }
        // From a span on, whatever is sent after it is not early; a date is
        // known from when it arrives.
        let is_span = whole.span.is_some() && !showing.may_be_late;
        let edge = if is_span {
            whole.from.saturating_add(EARLY)
        } else {
            whole.to
        };
        let near = whole.from.saturating_sub(SLACK);
        if self.is_shown && whole.from > self.edge.saturating_add(SLACK) {
            // The next began earlier than was believed.
            self.give_back_to(self.near);
            self.began = self.edge;
            self.beyond = Beyond::UNKNOWN;
            self.open = 0;
            self.is_shown = false;
        }
        let is_near = |at: Instant| {
            at.saturating_add(SLACK) >= whole.from && whole.to.saturating_add(SLACK) >= at
        };
        if !self.is_shown && !is_near(self.edge) {
            (self.edge, self.near) = (edge, near);
        } else if is_span {
            self.edge = self.edge.max(edge);
            self.near = self.near.max(near);
        } else {
            self.edge = self.edge.min(edge);
            self.near = self.near.max(near).min(self.edge);
        }
        self.is_shown = true;
        true
    }

    /// More is kept than was taken: keeps less of the newest that was sent by
    /// `sent`.
    fn lower(&mut self, sent: Instant) {
        let over = self.beyond.most.saturating_neg();
        let Ok(mut over) = u64::try_from(over) else {
            return;
        };
        let len = usize::from(self.len);
        let mut lowered = 0_u64;
        let counted = self.cells.iter_mut().take(len);
        for cell in counted.rev().filter(|cell| cell.sent <= sent) {
            let less = cell.amount.min(over);
            cell.amount = cell.amount.saturating_sub(less);
            over = over.saturating_sub(less);
            lowered = lowered.saturating_add(less);
        }
        if self.refused > 0 && lowered > 0 {
            self.refused = self.refused.saturating_sub(lowered);
            self.uncounted = self.uncounted.saturating_add(1);
        }
        let beyond = &mut self.beyond;
        beyond.least = beyond.least.saturating_add(signed(lowered));
        beyond.most = beyond.most.saturating_add(signed(lowered)).max(0);
    }

    /// When what was sent then comes back.
    fn back(&self, sent: Instant) -> Instant {
        let length = Duration::from_nanos(self.length);
        if self.is_log {
            sent.saturating_add(length).saturating_add(self.jitter)
        } else if sent < self.near {
            self.edge
        } else {
            self.edge.saturating_add(length)
        }
    }

    /// Puts the two neighbours together by which the least is lost.
    fn put_two_together(&mut self) {
        let pairs = self.cells.iter().zip(self.cells.iter().skip(1));
        let costs = pairs.enumerate().map(|(place, (one, next))| {
            let later = self.back(next.sent).as_nanos();
            let span = later.saturating_sub(self.back(one.sent).as_nanos());
            (
                u128::from(span).saturating_mul(u128::from(one.amount)),
                place,
            )
        });
        let Some((_, first)) = costs.min() else {
            return;
        };
        let amount = self.cells.get(first).map_or(0, |cell| cell.amount);
        for place in first..CELLS {
            let from = self.cells.get(place.saturating_add(1)).copied();
            if let Some(cell) = self.cells.get_mut(place) {
                *cell = from.unwrap_or_default();
            }
        }
        if let Some(cell) = self.cells.get_mut(first) {
            cell.amount = cell.amount.saturating_add(amount);
        }
        self.len = self.len.saturating_sub(1);
    }

    /// The cells that are in use, oldest first.
    fn live(&self) -> impl Iterator<Item = Cell> {
        self.cells.iter().take(usize::from(self.len)).copied()
    }
}

/// As a signed number; the largest where it is none.
fn signed(amount: u64) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;
    use crate::{
        hints::{Family, Meter},
        units::Dimension,
    };

    const fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    /// A hundred in ten seconds, known from the beginning.
    fn window(kind: Kind) -> Window {
        let mut window = Window::new();
        window.set((10_000_000_000, 100));
        window.begin(at(0), kind, at(0), 0);
        window
    }

    /// What a head says that shows `left`, and the edge at that many
    /// milliseconds, of what was sent at `sent`.
    fn showing(sent: u64, place: Place, left: i64, edge: u64, since: u64) -> Showing {
        let meter = Meter::new(Family::Standard, Dimension::Requests).remaining(left, 0);
        Showing {
            sent: at(sent),
            place,
            left: meter.remaining.unwrap(),
            whole: Some(Whole {
                from: at(edge),
                to: at(edge + 1_000),
                span: None,
            }),
            since,
            returned: 0,
            overtaken: 0,
            uncounted: 0,
            may_be_late: false,
        }
    }

    /// A window whose edge is at ten seconds, of which nothing is taken.
    fn until_ten() -> Window {
        let mut window = window(Kind::Window);
        let place = window.take(at(0), 0);
        window.close(place);
        assert!(window.observe(at(10), &showing(0, place, 100, 9_000, 0)));
        window
    }

    #[test]
    fn all_of_a_window_comes_back_at_its_edge() {
        let mut window = until_ten();
        window.take(at(1_000), 60);
        window.take(at(2_000), 40);
        assert_eq!(window.level(at(9_999)), 0);
        assert_eq!(window.when(at(2_000), 1), at(10_000));
        assert_eq!(window.level(at(10_000)), 100);
        window.take(at(10_000), 100);
        assert_eq!(window.when(at(10_000), 1), at(20_000));
    }

    #[test]
    fn what_is_sent_near_the_edge_counts_in_both_until_a_head_tells() {
        let mut window = until_ten();
        let place = window.take(at(9_500), 30);
        assert_eq!(window.level(at(10_000)), 70);
        window.take(at(10_000), 20);
        assert_eq!(window.level(at(10_000)), 50);
        // Its head shows the next edge and all but itself left: it counted there.
        assert!(window.observe(at(10_100), &showing(9_500, place, 70, 19_000, 20)));
        assert_eq!(window.level(at(10_100)), 50);
        // Had it counted in the one before, the next would show more.
        let place = window.take(at(10_200), 10);
        assert!(window.observe(at(10_300), &showing(10_200, place, 70, 19_000, 0)));
        assert_eq!(window.level(at(10_300)), 70);
    }

    #[test]
    fn a_late_head_of_the_window_before_is_not_used() {
        let mut window = until_ten();
        let place = window.take(at(5_000), 100);
        window.take(at(10_000), 10);
        assert!(!window.observe(at(10_100), &showing(5_000, place, 0, 9_000, 10)));
        assert_eq!(window.level(at(10_100)), 90);
    }

    #[test]
    fn an_edge_that_came_earlier_than_was_believed_is_seen() {
        let mut window = until_ten();
        let place = window.take(at(8_000), 100);
        assert!(window.observe(at(8_100), &showing(8_000, place, 0, 9_000, 0)));
        let place = window.take(at(9_400), 0);
        assert!(window.observe(at(9_500), &showing(9_400, place, 100, 19_000, 0)));
        assert_eq!(window.level(at(9_500)), 100);
        window.take(at(9_600), 100);
        assert_eq!(window.when(at(9_600), 1), at(20_000));
    }

    #[test]
    fn an_edge_that_is_far_from_what_was_believed_is_believed() {
        let mut window = window(Kind::Window);
        let place = window.take(at(0), 100);
        assert!(window.observe(at(10), &showing(0, place, 0, 15_000, 0)));
        assert_eq!(window.when(at(10), 1), at(16_000));
    }

    #[test]
    fn without_an_edge_a_head_counts_if_it_was_sent_in_this_window() {
        let mut window = until_ten();
        let place = window.take(at(5_000), 10);
        window.pass(at(10_000));
        let at_edge = window.take(at(10_000), 10);
        let without = |sent, place, left| Showing {
            whole: None,
            ..showing(sent, place, left, 0, 0)
        };
        assert!(!window.observe(at(10_100), &without(5_000, place, 0)));
        assert_eq!(window.level(at(10_100)), 90);
        assert!(window.observe(at(10_100), &without(10_000, at_edge, 50)));
        assert_eq!(window.level(at(10_100)), 50);
    }

    #[test]
    fn what_is_sent_long_before_the_edge_comes_back_there() {
        let near = until_ten().near;
        for (sent, left) in [(near, 70), (Instant::from_nanos(near.as_nanos() - 1), 100)] {
            let mut window = until_ten();
            window.take(sent, 30);
            assert_eq!(window.level(at(10_000)), left);
        }
    }

    #[test]
    fn what_is_open_is_so_until_it_is_closed_or_its_window_ends() {
        let mut window = until_ten();
        let place = window.take(at(1_000), 10);
        assert_eq!(window.eases(), [at(10_000); 2]);
        assert_eq!(window.open(at(9_999)), 1);
        assert_eq!(window.open(at(10_000)), 0);
        assert!(window.close(place));
        assert_eq!(window.open(at(9_999)), 0);
        assert!(!window.close(place), "it was known");
    }

    /// Heads tell whether a server counts what it refuses.
    #[test]
    fn what_is_refused_is_kept_unless_heads_show_again_and_again_that_it_did_not_count() {
        // Of so many times that a request for twenty was refused, its head showing
        // so much: whether the next is kept.
        let kept = |times, keeps: bool, left: &dyn Fn(i64) -> i64| {
            let mut window = until_ten();
            for time in 1..=times {
                if keeps {
                    window.keeps_refused(20);
                }
                let place = window.take(at(1_000), 20);
                let left = left(time.into());
                assert!(window.observe(at(1_100), &showing(1_000, place, left, 9_000, 0)));
            }
            window.keeps_refused(20)
        };
        assert!(kept(SURE - 1, true, &|_| 100));
        assert!(!kept(SURE, true, &|_| 100));
        assert!(kept(SURE, false, &|_| 100), "those were not refused");
        assert!(kept(SURE, true, &|times| 100 - 20 * times), "they counted");
        assert!(kept(SURE, true, &|_| 0), "more did");
    }

    #[test]
    fn a_log_gives_back_each_charge_a_window_after_it() {
        let mut log = window(Kind::Log);
        log.take(at(0), 60);
        log.take(at(3_000), 40);
        assert_eq!(log.when(at(3_000), 1), at(10_050));
        assert_eq!(log.level(at(10_050)), 60);
        assert_eq!(log.when(at(3_000), 61), at(13_050));
    }

    #[test]
    fn a_settlement_of_what_a_head_counted_credits_nothing() {
        let mut log = window(Kind::Log);
        let place = log.take(at(0), 50);
        // It took only thirty, and the head shows it.
        assert!(log.observe(at(100), &showing(0, place, 70, 10_000, 0)));
        assert_eq!(log.level(at(100)), 70);
        log.correct(place, 50, 30, Counted::Yes);
        assert_eq!(log.level(at(200)), 70);
        // Of what no head counted, it does.
        let place = log.take(at(300), 50);
        log.correct(place, 50, 30, Counted::No);
        assert_eq!(log.level(at(300)), 40);
    }

    #[test]
    fn what_others_took_is_there_again_when_all_is() {
        for kind in [Kind::Log, Kind::Window] {
            let mut window = window(kind);
            let place = window.take(at(1_000), 10);
            assert!(window.observe(at(1_100), &showing(1_000, place, 40, 9_000, 0)));
            assert_eq!(window.level(at(1_100)), 40, "{kind:?}");
            assert_eq!(window.level(at(9_999)), 40, "{kind:?}");
            assert!(window.level(at(10_000)) >= 90, "{kind:?}");
            assert_eq!(window.when(at(1_100), 41), at(10_000), "{kind:?}");
        }
    }

    #[test]
    fn a_refusal_says_that_it_is_not_there_before() {
        let mut log = window(Kind::Log);
        log.take(at(0), 50);
        log.refused(at(2_000), 20, Duration::from_secs(5));
        // The wait may have been rounded up by a second.
        assert!(log.level(at(6_000)) < 20);
        assert_eq!(log.when(at(2_000), 20), at(7_000));
        let mut window = until_ten();
        window.refused(at(9_500), 20, Duration::from_secs(5));
        assert_eq!(window.when(at(9_500), 20), at(10_000));
    }

    #[test]
    fn few_cells_are_enough_for_bursts() {
        let mut log = window(Kind::Log);
        // Ten bursts of ten, a millisecond apart each.
        for burst in 0..10 {
            for number in 0..10 {
                log.take(at(burst * 1_000 + number), 1);
            }
        }
        for burst in 0..10_i64 {
            let back = at(u64::try_from(burst).unwrap() * 1_000 + 10_059);
            assert_eq!(log.level(back), 10 * (burst + 1));
        }
    }

    proptest! {
        #[test]
        fn a_log_never_shows_more_than_one_that_forgets_nothing(
            charges in prop::collection::vec((0..2_000_u64, 0..20_u64), 1..80),
        ) {
            let mut log = window(Kind::Log);
            let mut kept: Vec<(u64, u64)> = Vec::new();
            let mut now = 0;
            for (gap, amount) in charges {
                now += gap;
                log.take(at(now), amount);
                kept.push((now, amount));
                for later in [0, 1_000, 5_000, 10_000] {
                    let live = kept.iter().filter(|(sent, _)| sent + 10_000 > now + later);
                    let used: u64 = live.map(|(_, amount)| amount).sum();
                    let most = 100 - i64::try_from(used).unwrap();
                    prop_assert!(log.level(at(now + later)) <= most);
                }
                let whole = at(now + 10_050);
                prop_assert_eq!(log.level(whole), 100);
            }
        }

        #[test]
        fn when_is_exact_and_nothing_is_borne_badly(
            kind in prop_oneof![Just(Kind::Log), Just(Kind::Window)],
            ops in prop::collection::vec((0..6_000_u64, 0..50_u64, -20..120_i64, 0..5_u8), 1..60),
            need in 1..100_u64,
        ) {
            let mut window = window(kind);
            let mut now = 0;
            let mut last = Place::kept(at(0));
            for (gap, amount, left, op) in ops {
                now += gap;
                match op {
                    0 | 1 => last = window.take(at(now), amount),
                    2 => {
                        let edge = now + amount * 200;
                        window.observe(at(now), &showing(now, last, left, edge, 0));
                    }
                    3 => window.correct(last, amount, 25, Counted::Perhaps),
                    _ => window.refused(at(now), amount, Duration::from_millis(gap)),
                }
                let until = window.when(at(now), need);
                prop_assert!(window.level(until) >= i64::try_from(need).unwrap());
                if until > at(now) {
                    let before = Instant::from_nanos(until.as_nanos() - 1);
                    prop_assert!(window.level(before) < i64::try_from(need).unwrap());
                }
                // To let time pass changes no level.
                let mut passed = window;
                passed.pass(until);
                prop_assert_eq!(passed.level(until), window.level(until));
            }
        }
    }
}
