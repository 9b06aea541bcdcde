//! How many may be sent before the server is heard.

use core::time::Duration;

use super::outage::Fates;
use crate::{
    limit::Flights,
    time::{Instant, nanos},
};

/// Slow start: a few at first, one more for each that the server did not
/// refuse.
///
/// Refusals and errors come back in a network round trip, long before answers
/// do. So a request counts as admitted when its head is good, or when it has
/// met with silence for twice that time; only younger ones are bounded, and the
/// length of answers does not slow the start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct SlowStart {
    /// Sent less than [`SILENCE`] ago and not heard of.
    young: Flights,
    /// All that were ever sent and not refused.
    sent: i64,
    /// The bound is this and all that are no longer young: `base + sent - young`.
    base: i64,
    /// At the start, and after a cut, at least so many.
    first: u32,
    /// When it was last cut.
    cut: Option<Instant>,
    /// Whether something refused lately that no head shows.
    wary: bool,
    /// When the next would be due at an even pace, and from when on it may be
    /// sent.
    due: Instant,
    next: Instant,
}

/// Twice the time in which a refusal comes back, where nothing is known of it
/// yet.
const SILENCE: Duration = Duration::from_millis(300);

/// Where nothing is known of limits, or of what refuses, no more than such a part
/// of those that were borne, of two to this power, are sent in that time, and so
/// many always, an eighth of them and four at once: what is sent in the round trip
/// of the first refusal is refused with it.
const BLIND: u32 = 4;
const WARY: u32 = 3;
const AT_LEAST: i64 = 16;

/// A burst of refusals is one piece of news.
const BETWEEN_CUTS: Duration = Duration::from_secs(1);

impl SlowStart {
    pub(crate) const fn new(first: u32) -> Self {
        Self {
            young: Flights::over(SILENCE),
            sent: 0,
            base: first as i64,
            first,
            cut: None,
            wary: false,
            due: Instant::ZERO,
            next: Instant::ZERO,
        }
    }

    /// `None` where one more may be sent, else the instant from which it may if
    /// nothing is heard.
    pub(crate) fn bound(&self, now: Instant) -> Option<Instant> {
        // young < base + sent - young, where only young depends on time.
        let cap = self.total().saturating_add(1).checked_div(2).unwrap_or(1);
        let young = self
            .young
            .below(now, u32::try_from(cap).unwrap_or(u32::MAX));
        young.max(Some(self.next).filter(|&next| now < next))
    }

    /// One is sent. Gives what [`heard`](Self::heard) wants to know of it. Who
    /// is `blind` knows nothing of limits.
    pub(crate) fn take(&mut self, now: Instant, blind: bool) -> u64 {
        if blind || self.wary {
            self.space(now, if blind { BLIND } else { WARY });
        }
        self.sent = self.sent.saturating_add(1);
        self.young.take_some(now, 1)
    }

    /// Spaces out those after one that is sent now.
    fn space(&mut self, now: Instant, part: u32) {
        let first = self.first.into();
        let count = (self.total() >> part).max(AT_LEAST.max(first));
        let count = count.unsigned_abs();
        let spacing = nanos(SILENCE).checked_div(count).unwrap_or(1);
        let burst = (count >> 3).saturating_add(4).max(first.unsigned_abs());
        let due = self.due.max(now).as_nanos().saturating_add(spacing);
        self.due = Instant::from_nanos(due);
        let early = spacing.saturating_mul(burst.saturating_sub(1));
        self.next = Instant::from_nanos(due.saturating_sub(early));
    }

    /// What the bound is made of: twice those that are young may not be more.
    fn total(&self) -> i64 {
        self.base.saturating_add(self.sent).max(1)
    }

    /// The server answered one. True where the bound was looser for it.
    pub(crate) fn heard(&mut self, now: Instant, mark: u64) -> bool {
        self.young.give_back_some(now, mark, 1)
    }

    /// What became of those sent so far.
    pub(crate) fn fates(&self, now: Instant) -> Fates {
        let young = self.young.count(now);
        Fates {
            survived: self.sent.saturating_sub(young.into()),
            young,
            decided: self.young.below(now, young),
        }
    }

    /// As at the start, but at an even pace: something refuses that no head
    /// shows, and what is sent before it is heard comes to nothing.
    pub(crate) fn tread(&mut self) {
        self.restart();
        self.wary = true;
    }

    /// As at the start: whatever was borne before, or is out, may not be now.
    pub(crate) fn restart(&mut self) {
        self.base = i64::from(self.first).saturating_sub(self.sent);
    }

    /// One came to nothing, and says nothing of limits.
    pub(crate) fn forget(&mut self, now: Instant, mark: u64) {
        if self.young.give_back_some(now, mark, 1) {
            self.sent = self.sent.saturating_sub(1);
        }
    }

    /// The server refused one.
    pub(crate) fn refused(&mut self, now: Instant, mark: u64) {
        let _was_young = self.young.give_back_some(now, mark, 1);
        self.sent = self.sent.saturating_sub(1);
        let recent = |at: Instant| now.saturating_duration_since(at) < BETWEEN_CUTS;
        if self.cut.is_some_and(recent) {
            return;
        }
        self.cut = Some(now);
        let young = i64::from(self.young.count(now));
        let survived = self.sent.saturating_sub(young);
        let bound = young
            .checked_div(2)
            .unwrap_or_default()
            .max(i64::from(self.first));
        self.base = bound.saturating_sub(survived);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn send_all(start: &mut SlowStart, now: Instant) -> std::vec::Vec<u64> {
        let mut marks = std::vec::Vec::new();
        while start.bound(now).is_none() && marks.len() < 1_000 {
            marks.push(start.take(now, false));
        }
        marks
    }

    /// Sends what it may until `end`, all of which is heard 50 ms later.
    fn run(start: &mut SlowStart, from: Instant, end: Instant) -> u64 {
        let (mut now, mut sent) = (from, 0);
        let mut out = std::collections::VecDeque::new();
        while now < end {
            while let Some(&(at, mark)) = out.front().filter(|&&(at, _)| at <= now) {
                start.heard(at, mark);
                out.pop_front();
            }
            match start.bound(now) {
                Some(until) => now = out.front().map_or(until, |&(at, _)| at.min(until)),
                None => {
                    let mark = start.take(now, true);
                    out.push_back((now.saturating_add(Duration::from_millis(50)), mark));
                    sent += 1;
                }
            }
        }
        sent
    }

    #[test]
    fn who_sees_no_limit_sends_a_sixteenth_of_what_was_borne() {
        let mut start = SlowStart::new(2);
        let (mut now, mut borne) = (Instant::ZERO, 0_u64);
        for _ in 0..100 {
            let end = now.saturating_add(SILENCE);
            let sent = run(&mut start, now, end);
            // An eighth of them at once, and what is borne meanwhile.
            let most = 16.max(borne / 15) * 5 / 4 + 4;
            assert!(sent <= most, "{sent} after {borne}");
            (now, borne) = (end, borne + sent);
        }
        assert!(borne > 10_000, "{borne}");
        // Whoever asked for more to begin with gets it.
        let mut start = SlowStart::new(40);
        for _ in 0..40 {
            assert_eq!(start.bound(now), None);
            start.take(now, true);
        }
        assert!(start.bound(now).is_some());
    }

    #[test]
    fn whoever_was_refused_for_what_no_head_shows_goes_at_an_even_pace() {
        let mut start = SlowStart::new(2);
        let mut now = Instant::ZERO;
        for _ in 0..8 {
            for mark in send_all(&mut start, now) {
                start.heard(now, mark);
            }
        }
        start.tread();
        // Sixteen in 300 ms, one each 18.75 ms, after six at once.
        let mut sent = 0;
        for _ in 0..200 {
            for mark in send_all(&mut start, now) {
                start.heard(now, mark);
                sent += 1;
            }
            now = now.saturating_add(Duration::from_millis(1));
        }
        assert_eq!(sent, 5 + 200_000 / 18_750 + 1);
    }

    #[test]
    fn it_doubles_with_each_round_of_good_heads() {
        let mut start = SlowStart::new(2);
        let mut now = Instant::ZERO;
        let mut rounds = std::vec::Vec::new();
        for _ in 0..5 {
            let marks = send_all(&mut start, now);
            rounds.push(marks.len());
            now = now.saturating_add(Duration::from_millis(50));
            for mark in marks {
                assert!(start.heard(now, mark));
            }
        }
        assert_eq!(rounds, [2, 4, 8, 16, 32]);
    }

    #[test]
    fn silence_counts_as_admitted() {
        let mut start = SlowStart::new(2);
        assert_eq!(send_all(&mut start, Instant::ZERO).len(), 2);
        let until = start.bound(Instant::ZERO).unwrap();
        assert!(until >= Instant::from_millis(300));
        assert!(
            start
                .bound(Instant::from_nanos(until.as_nanos() - 1))
                .is_some()
        );
        assert_eq!(send_all(&mut start, until).len(), 4);
    }

    #[test]
    fn a_burst_of_refusals_cuts_once() {
        let mut start = SlowStart::new(2);
        let mut now = Instant::ZERO;
        for _ in 0..6 {
            for mark in send_all(&mut start, now) {
                start.heard(now, mark);
            }
            now = now.saturating_add(Duration::from_millis(50));
        }
        let marks = send_all(&mut start, now);
        assert_eq!(marks.len(), 128);
        let mut refused = marks.into_iter();
        start.refused(now, refused.next().unwrap());
        assert!(start.bound(now).is_some(), "127 are out, and 63 may be");
        for mark in refused.by_ref().take(64) {
            start.refused(now, mark);
        }
        assert!(start.bound(now).is_some(), "63 are out");
        start.refused(now, refused.next().unwrap());
        assert!(start.bound(now).is_none());
    }

    #[test]
    fn refusals_within_a_second_are_one() {
        let cut_again_after = |span| {
            let mut start = SlowStart::new(2);
            let marks: [u64; 3] = [(); 3].map(|()| start.take(Instant::ZERO, false));
            start.refused(Instant::ZERO, marks[0]);
            let first = start.cut;
            start.refused(Instant::ZERO.saturating_add(span), marks[1]);
            start.cut != first
        };
        assert!(cut_again_after(BETWEEN_CUTS));
        assert!(!cut_again_after(BETWEEN_CUTS - Duration::from_nanos(1)));
    }
}
