//! How many the server lets be under way at once, where only refusals tell.

use core::time::Duration;

use crate::time::Instant;

/// A cap on those in flight that refusals teach.
///
/// When the server refuses one for too many at once, as many were let in as are
/// then in flight, less those of the same volley that it refuses too and whose
/// refusals are still to come. So nothing is sent for one and a half times what
/// the refusal took to come back, and each refusal in that time lowers the cap
/// to those in flight and those that were through meanwhile. Later, one more is
/// tried when so many were answered near the cap that a refusal is rare among
/// them, and four times as many each time that it failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Concurrency {
    cap: Option<u32>,
    /// Until when the refusals of one volley come in.
    settles: Instant,
    /// How many were through since the first of them.
    through: u32,
    /// How many were through near the cap since it last moved.
    near: u64,
    /// How often one more was refused in a row.
    fails: u32,
}

/// How many are answered at least before one more is tried.
const BEFORE_ONE_MORE: u64 = 60;

/// A wait that a server asks for is short up to this: a place is free as soon as
/// any answer ends.
const SHORT: Duration = Duration::from_secs(2);

/// A wait between volleys is never longer.
const LONGEST: Duration = Duration::from_secs(2);

/// How long after the first refusal of a volley, which `took` so long to come
/// back, the others may still come in.
pub(super) fn volley(took: Duration) -> Duration {
    took.saturating_mul(3)
        .checked_div(2)
        .unwrap_or(LONGEST)
        .min(LONGEST)
}

impl Concurrency {
    pub(crate) const fn new() -> Self {
        Self {
            cap: None,
            settles: Instant::ZERO,
            through: 0,
            near: 0,
            fails: 0,
        }
    }

    /// Whether a refusal that no meter explains, with this wait, is one for too
    /// many at once.
    pub(crate) fn is_likely(wait: Duration) -> bool {
        wait <= SHORT
    }

    /// How many may be in flight, if that is known.
    pub(crate) const fn cap(&self) -> Option<u32> {
        self.cap
    }

    /// Until when nothing is sent.
    pub(crate) fn bound(&self, now: Instant) -> Option<Instant> {
        Some(self.settles).filter(|&until| now < until)
    }

    /// One was refused for it, which was sent so long ago; so many others are
    /// in flight.
    pub(crate) fn refused(&mut self, now: Instant, took: Duration, flying: u32) {
        if now < self.settles {
            let let_in = flying.saturating_add(self.through).max(1);
            self.cap = Some(self.cap.unwrap_or(u32::MAX).min(let_in));
            return;
        }
        self.settles = now.saturating_add(volley(took));
        self.fails = match self.cap {
            Some(_) => self.fails.saturating_add(1).min(16),
            None => 0,
        };
        let flying = flying.max(1);
        self.cap = Some(self.cap.unwrap_or(u32::MAX).min(flying));
        (self.through, self.near) = (0, 0);
    }

    /// One came to its end; so many others are in flight. True where there is
    /// room for one more than before.
    pub(crate) fn ended(&mut self, now: Instant, flying: u32) -> bool {
        if now < self.settles {
            self.through = self.through.saturating_add(1);
            return false;
        }
        let Some(cap) = self.cap else {
            return false;
        };
        if flying.saturating_add(2) < cap {
            return false;
        }
        self.near = self.near.saturating_add(1);
        let least = BEFORE_ONE_MORE.max(u64::from(cap).saturating_mul(2));
        if self.near < least.saturating_mul(1 << self.fails.saturating_mul(2)) {
            return false;
        }
        self.near = 0;
        self.cap = Some(cap.saturating_add(1));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    const RTT: Duration = Duration::from_millis(100);

    #[test]
    fn a_volley_shows_how_many_were_let_in() {
        let mut cap = Concurrency::new();
        assert_eq!((cap.cap(), cap.bound(at(1_000))), (None, None));
        // 20 were sent, 12 are let in, and 8 refusals come back; meanwhile two
        // end.
        let mut flying = 20;
        for refusal in 0..8_u64 {
            flying -= 1;
            cap.refused(at(1_000 + refusal), RTT, flying);
            if refusal == 3 || refusal == 5 {
                flying -= 1;
                assert!(!cap.ended(at(1_000 + refusal), flying));
            }
        }
        assert_eq!(cap.cap(), Some(12));
        assert_eq!(cap.bound(at(1_149)), Some(at(1_150)));
        assert_eq!(cap.bound(at(1_150)), None);
    }

    #[test]
    fn one_more_is_tried_ever_more_rarely() {
        let mut cap = Concurrency::new();
        cap.refused(at(0), RTT, 40);
        let mut now = 1_000;
        for least in [80, 320, 1_280] {
            for count in 1..=least {
                assert_eq!(cap.ended(at(now), 39), count == least, "{count} of {least}");
            }
            assert_eq!(cap.cap(), Some(41));
            cap.refused(at(now), RTT, 40);
            assert_eq!(cap.cap(), Some(40));
            now += 1_000;
        }
        // Far from the cap nothing is learnt.
        for _ in 0..10_000 {
            assert!(!cap.ended(at(now), 30));
        }
    }

    #[test]
    fn there_is_always_room_for_one() {
        let mut cap = Concurrency::new();
        cap.refused(at(0), RTT, 0);
        cap.refused(at(1), RTT, 0);
        assert_eq!(cap.cap(), Some(1));
        cap.refused(Instant::MAX, Duration::MAX, u32::MAX);
        assert_eq!(cap.cap(), Some(1));
    }

    #[test]
    fn a_short_wait_alone_is_one_for_a_place() {
        assert!(Concurrency::is_likely(Duration::from_secs(1)));
        assert!(!Concurrency::is_likely(Duration::from_secs(3)));
    }

    #[test]
    fn what_comes_when_a_volley_has_settled_is_after_it() {
        let mut cap = Concurrency::new();
        cap.refused(at(0), RTT, 40);
        let settled = cap.bound(at(0)).unwrap();
        let mut another = cap;
        another.refused(settled, RTT, 40);
        assert!(another.bound(settled).is_some());
        // With two less in flight than there may be it is near the cap.
        for count in 1..=80 {
            assert_eq!(cap.ended(settled, 38), count == 80, "{count}");
        }
    }
}
