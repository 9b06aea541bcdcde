//! Whether the server is down, and who may ask.

use core::time::Duration;

use crate::{
    rng::Rng,
    time::{Instant, nanos},
};

/// Tells an outage from lone failures, and lets one probe at a time ask whether
/// it is over.
///
/// Overload failures are counted since the latest survivor: whoever was answered
/// otherwise, or met with silence for longer than failures take to come back.
/// With p the fading rate of failures, a run of n comes about by chance with
/// p^n; from the n on for which that is a thousandth or less nothing more is
/// sent until those under way have come to an end. If none of them survives,
/// the server is down. A probe then goes when a sixteenth of the time that it
/// has been down has passed since the last one came back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Outage {
    rng: Rng,
    /// The fading rate of failures, in [`WHOLE`]ths.
    rate: u32,
    /// How many failed since a survivor, and of the first of them that came back
    /// when it did and its number.
    failed: u32,
    first: Instant,
    began: u64,
    /// How many had survived then.
    survived: i64,
    /// The longest that one of them took to come back.
    slowest: Duration,
    down: Option<Down>,
}

/// What is known of it while it is down.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum Down {
    /// The next probe may go then.
    Until(Instant),
    /// A probe of this number is out; if nothing is heard of it until then, it
    /// was let in.
    Probed { number: u64, silent: Instant },
}

/// What the limiter knows of those that it sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Fates {
    /// How many were ever sent and not refused, nor are young.
    pub(crate) survived: i64,
    /// How many are young: may yet fail.
    pub(crate) young: u32,
    /// When the first of these is young no more, if nothing is heard of it.
    pub(crate) decided: Option<Instant>,
}

/// Parts of a whole, in which a rate is kept.
const WHOLE: u32 = 1 << 16;

/// A rate fades by one in so many.
const FADE: u32 = 64;

/// A run of fewer is no outage, and one of so many is.
const LEAST: u32 = 3;
const MOST: u32 = 12;

/// Between two probes.
const SOONEST: Duration = Duration::from_millis(500);
const LATEST: Duration = Duration::from_secs(8);

/// The least that silence must last to say something.
const SILENCE: Duration = Duration::from_millis(300);

impl Outage {
    pub(crate) const fn new(seed: u64) -> Self {
        Self {
            // Far from the numbers that calls are given.
            rng: Rng::new(seed).skip(1 << 63),
            rate: 0,
            failed: 0,
            first: Instant::ZERO,
            began: 0,
            survived: 0,
            slowest: Duration::ZERO,
            down: None,
        }
    }

    /// `None` where one may be sent, else until when none may if nothing is
    /// heard.
    pub(crate) fn bound(&self, now: Instant, fates: Fates) -> Option<Instant> {
        match self.down {
            Some(Down::Until(until) | Down::Probed { silent: until, .. }) => {
                Some(until).filter(|&until| now < until)
            }
            // The first of the young that is met with silence has survived. If
            // the last of them says nothing, the next one is asked.
            None if fates.young > 0 && self.is_suspected(fates) => fates.decided,
            None => None,
        }
    }

    /// Whether nothing but probes is sent.
    #[cfg(feature = "alloc")]
    pub(crate) fn is_down(&self, now: Instant) -> bool {
        match self.down {
            Some(Down::Until(_)) => true,
            Some(Down::Probed { silent, .. }) => now < silent,
            None => false,
        }
    }

    /// Whether all that came to an end lately failed, and too many for chance.
    const fn is_suspected(&self, fates: Fates) -> bool {
        self.failed >= self.enough() && fates.survived <= self.survived
    }

    /// So many failures in a row are an outage: the least n for which p^n is a
    /// thousandth or less.
    const fn enough(&self) -> u32 {
        let rate = self.rate as u64;
        let (mut chance, mut run) = (rate, 1);
        while run < MOST && (run < LEAST || chance.saturating_mul(1_000) > WHOLE as u64) {
            chance = chance.saturating_mul(rate) >> 16;
            run = run.saturating_add(1);
        }
        run
    }

    /// One is sent: while it is down, a probe, unless one was met with silence
    /// and so has ended it.
    pub(crate) fn sent(&mut self, now: Instant, number: u64) {
        self.down = match self.down {
            Some(Down::Until(_)) => Some(Down::Probed {
                number,
                silent: now.saturating_add(self.silence()),
            }),
            Some(Down::Probed { .. }) | None => None,
        };
    }

    /// Twice what a failure takes to come back.
    fn silence(&self) -> Duration {
        self.slowest.saturating_mul(2).max(SILENCE)
    }

    /// The server answered this one, or refused it for the caller's own limits.
    /// True where one may be sent earlier for it.
    pub(crate) const fn survived(&mut self, number: u64) -> bool {
        self.fade(0);
        match self.down {
            Some(Down::Probed { number: probe, .. }) if probe == number => {
                self.down = None;
                true
            }
            None if self.failed > 0 && self.began <= number => {
                // Sent after one of those that failed: it was up then.
                self.failed = 0;
                true
            }
            _ => false,
        }
    }

    /// The server was too busy for this one, which was sent so long ago. True
    /// where that makes it an outage.
    pub(crate) fn failed(
        &mut self,
        now: Instant,
        number: u64,
        took: Duration,
        fates: Fates,
    ) -> bool {
        self.fade(WHOLE);
        if self.down.is_some() {
            self.slowest = self.slowest.max(took);
            self.undecided(now, number);
            return false;
        }
        if self.failed == 0 || fates.survived > self.survived {
            (self.failed, self.first, self.began) = (0, now, number);
            (self.survived, self.slowest) = (fates.survived, Duration::ZERO);
        }
        self.survived = fates.survived;
        self.failed = self.failed.saturating_add(1);
        self.slowest = self.slowest.max(took);
        if fates.young > 0 || !self.is_suspected(fates) {
            return false;
        }
        self.failed = 0;
        self.down = Some(Down::Until(self.next(now)));
        true
    }

    /// Nobody knows what the server would have said to this one, or it said
    /// nothing of being up.
    pub(crate) fn undecided(&mut self, now: Instant, number: u64) {
        if let Some(Down::Probed { number: probe, .. }) = self.down {
            if probe == number {
                self.down = Some(Down::Until(self.next(now)));
            }
        }
    }

    /// When the next probe may go.
    fn next(&mut self, now: Instant) -> Instant {
        let so_far = nanos(now.saturating_duration_since(self.first));
        let wait = (so_far >> 4).clamp(nanos(SOONEST), nanos(LATEST));
        // A quarter less, and up to a half more than that.
        let least = wait.saturating_sub(wait >> 2);
        let wait = least.saturating_add(self.rng.up_to(wait >> 1));
        now.saturating_add(Duration::from_nanos(wait))
    }

    const fn fade(&mut self, towards: u32) {
        let rate = self.rate.saturating_sub(self.rate.div_ceil(FADE));
        self.rate = rate.saturating_add(towards >> FADE.trailing_zeros());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    const RTT: Duration = Duration::from_millis(50);

    const fn none_out(survived: i64) -> Fates {
        Fates {
            survived,
            young: 0,
            decided: None,
        }
    }

    /// Three that fail in a row, none other being out.
    fn down(seed: u64) -> Outage {
        let mut outage = Outage::new(seed);
        for number in 0..3 {
            outage.sent(at(0), number);
            let is_down = outage.failed(at(50), number, RTT, none_out(7));
            assert_eq!(is_down, number == 2);
        }
        outage
    }

    #[test]
    fn lone_failures_are_no_outage() {
        let mut outage = Outage::new(1);
        for number in 0..1_000_u64 {
            let now = at(number * 100);
            let fates = none_out(i64::try_from(number).unwrap());
            assert_eq!(outage.bound(now, fates), None);
            outage.sent(now, number);
            // Two of three fail, and each third survives.
            if number % 3 == 0 {
                let _ends_a_run = outage.survived(number);
            } else {
                let survived = i64::try_from(number / 3).unwrap();
                assert!(!outage.failed(now, number, RTT, none_out(survived)));
            }
        }
    }

    #[test]
    fn the_more_fail_by_chance_the_longer_a_run_must_be() {
        let mut outage = Outage::new(1);
        let table = [
            (0, 3),
            (1, 3),
            (10, 3),
            (20, 5),
            (30, 6),
            (50, 10),
            (70, 12),
            (100, 12),
        ];
        for (percent, run) in table {
            outage.rate = WHOLE * percent / 100;
            assert_eq!(outage.enough(), run, "{percent} %");
        }
        assert!(outage.enough() <= MOST);
    }

    #[test]
    fn the_rate_follows_what_happens() {
        let mut outage = Outage::new(1);
        for _ in 0..1_000 {
            outage.fade(WHOLE);
        }
        assert!((WHOLE - FADE..=WHOLE).contains(&outage.rate));
        for _ in 0..1_000 {
            outage.fade(0);
        }
        assert_eq!(outage.rate, 0);
    }

    #[test]
    fn a_run_waits_for_those_that_may_survive() {
        let mut outage = Outage::new(1);
        let young = |young| Fates {
            survived: 7,
            young,
            decided: Some(at(400)),
        };
        for number in 0..5 {
            assert!(!outage.failed(at(50), number, RTT, young(9)));
        }
        assert_eq!(outage.bound(at(60), young(4)), Some(at(400)));
        // One of them was met with silence.
        let after = Fates {
            survived: 8,
            ..young(3)
        };
        assert_eq!(outage.bound(at(400), after), None);
        // Or the last of them failed too.
        assert!(outage.failed(at(60), 9, RTT, none_out(7)));
    }

    #[test]
    fn a_refusal_among_failures_says_that_the_server_is_up() {
        let mut outage = Outage::new(1);
        for number in 4..6 {
            assert!(!outage.failed(at(50), number, RTT, none_out(7)));
        }
        assert!(!outage.survived(3), "it was sent before");
        assert!(outage.survived(4));
        assert!(!outage.failed(at(60), 6, RTT, none_out(7)));
        assert_eq!(outage.failed, 1);
    }

    /// Nothing was sent any more for ever.
    #[test]
    fn a_run_whose_last_says_nothing_is_asked_about_by_another() {
        let mut outage = Outage::new(1);
        let young = Fates {
            survived: 7,
            young: 1,
            decided: Some(at(400)),
        };
        for number in 0..3 {
            assert!(!outage.failed(at(50), number, RTT, young));
        }
        assert_eq!(outage.bound(at(60), young), Some(at(400)));
        assert_eq!(outage.bound(at(60), none_out(7)), None);
        outage.sent(at(60), 4);
        assert!(outage.failed(at(110), 4, RTT, none_out(7)));
    }

    #[test]
    fn one_probe_goes_at_a_time_and_later_and_later() {
        for seed in 0..50 {
            let mut outage = down(seed);
            let (mut now, mut number) = (at(50), 3);
            let mut waits = std::vec::Vec::new();
            for _ in 0..120 {
                let next = outage.bound(now, none_out(7)).unwrap();
                let just_before = Instant::from_nanos(next.as_nanos() - 1);
                assert_eq!(outage.bound(just_before, none_out(7)), Some(next));
                assert_eq!(outage.bound(next, none_out(7)), None);
                waits.push(next.saturating_duration_since(now).as_millis());
                outage.sent(next, number);
                assert!(outage.bound(next, none_out(7)).is_some(), "a second probe");
                now = next.saturating_add(RTT);
                assert!(!outage.failed(now, number, RTT, none_out(7)));
                number += 1;
            }
            assert!((375..=625).contains(&waits[0]), "{waits:?}");
            assert!((6_000..=10_000).contains(&waits[119]), "{waits:?}");
        }
    }

    #[test]
    fn a_survivor_ends_it_by_a_word_or_by_silence() {
        let mut outage = down(1);
        let next = outage.bound(at(50), none_out(7)).unwrap();
        outage.sent(next, 3);
        assert!(!outage.survived(1), "it was sent before");
        assert!(outage.bound(next, none_out(7)).is_some());
        assert!(outage.survived(3));
        assert_eq!(outage.bound(next, none_out(8)), None);

        let mut outage = down(1);
        let next = outage.bound(at(50), none_out(7)).unwrap();
        outage.sent(next, 3);
        let silent = next.saturating_add(Duration::from_millis(300));
        assert_eq!(outage.bound(next, none_out(7)), Some(silent));
        assert_eq!(outage.bound(silent, none_out(8)), None);
        outage.sent(silent, 4);
        assert_eq!(outage.down, None);
    }

    #[test]
    fn a_probe_that_nobody_waits_for_is_followed_by_another() {
        let mut outage = down(1);
        let next = outage.bound(at(50), none_out(7)).unwrap();
        outage.sent(next, 3);
        outage.undecided(next, 2);
        let silent = next.saturating_add(Duration::from_millis(300));
        assert_eq!(outage.bound(next, none_out(7)), Some(silent));
        outage.undecided(next, 3);
        let again = outage.bound(next, none_out(7)).unwrap();
        assert!(again > silent);
    }

    #[cfg(feature = "alloc")]
    #[test]
    fn it_is_down_until_a_probe_survives() {
        assert!(!Outage::new(1).is_down(at(0)));
        let mut outage = down(1);
        let next = outage.bound(at(50), none_out(7)).unwrap();
        assert!(outage.is_down(next));
        outage.sent(next, 3);
        let silent = next.saturating_add(Duration::from_millis(300));
        let before = Instant::from_nanos(silent.as_nanos() - 1);
        assert!(outage.is_down(before));
        assert!(!outage.is_down(silent));
    }

    #[test]
    fn to_survive_where_none_failed_says_nothing() {
        let mut outage = Outage::new(1);
        assert!(!outage.survived(0));
    }
}
