//! What the server's clock shows, from the dates of its response heads.

use crate::time::{Instant, UnixTime};

/// The server's clock less the limiter's own, known to an interval, and when it
/// last jumped.
///
/// A head dated D, in whole seconds, was written after its request was sent at
/// s and before it came at h, so the difference lies between D - h and
/// D + 1 s - s; all heads together leave what they have in common. Where they
/// have nothing in common the clock was set, and spans between two of its times
/// mean nothing for requests that were under way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct ServerClock {
    /// The least and the most that the difference may be, in milliseconds.
    ahead: Option<(i64, i64)>,
    /// When the last jump was seen.
    jumped: Option<Instant>,
}

/// The seconds in which dates are given, in milliseconds.
const SECOND: i64 = 1_000;

impl ServerClock {
    pub(crate) const fn new() -> Self {
        Self {
            ahead: None,
            jumped: None,
        }
    }

    /// The head of a response to what was sent at `sent`, read at `now`, is
    /// dated `date`.
    pub(crate) fn observe(&mut self, sent: Instant, now: Instant, date: UnixTime) {
        let least = date.as_millis().saturating_sub(millis(now));
        let most = date.as_millis().saturating_sub(millis(sent));
        let most = most.saturating_add(SECOND);
        let Some((low, high)) = self.ahead else {
            self.ahead = Some((least, most));
            return;
        };
        let common = (low.max(least), high.min(most));
        self.ahead = Some(if common.0 <= common.1 {
            common
        } else {
            // Clocks run apart slowly; further than this they were set.
            let apart = common.0.saturating_sub(common.1);
            if apart > SECOND {
                self.jumped = Some(now);
            }
            (least, most)
        });
    }

    /// Between which of the limiter's instants the second lies that this time of
    /// the server's names, rounded down to it. `None` where nothing is known of
    /// its clock, or that is before the limiter's time.
    pub(crate) fn second(&self, at: UnixTime) -> Option<(Instant, Instant)> {
        let (low, high) = self.ahead?;
        let earliest = at.as_millis().checked_sub(high)?;
        let latest = at.as_millis().checked_sub(low)?.checked_add(SECOND)?;
        let local = |millis| u64::try_from(millis).ok().map(Instant::from_millis);
        Some((local(earliest)?, local(latest)?))
    }

    /// Whether it ran evenly since what was sent at `sent`.
    pub(crate) fn ran_evenly_since(&self, sent: Instant) -> bool {
        self.jumped.is_none_or(|at| sent > at)
    }
}

fn millis(at: Instant) -> i64 {
    let millis = at.as_nanos().checked_div(1_000_000).unwrap_or_default();
    i64::try_from(millis).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    /// Heads a second apart, each half a second on its way, from a server that
    /// is `ahead` by so many seconds.
    fn heads(clock: &mut ServerClock, seconds: core::ops::Range<u64>, ahead: i64) {
        for second in seconds {
            let sent = second * 1_000 + 37 * second;
            let written = i64::try_from(sent + 250).unwrap() + ahead * 1_000;
            let date = UnixTime::from_secs(written.div_euclid(1_000));
            clock.observe(at(sent), at(sent + 500), date);
        }
    }

    #[test]
    fn heads_narrow_the_difference_down() {
        let mut clock = ServerClock::new();
        heads(&mut clock, 0..100, -600);
        let (low, high) = clock.ahead.unwrap();
        assert!(low <= -600_000 && -600_000 <= high);
        assert!(high - low <= 600, "{low} to {high}");
        // Ten minutes behind: 100 s of the limiter's are 500 s before the epoch.
        let (from, to) = clock.second(UnixTime::from_secs(-500)).unwrap();
        assert!(from <= at(100_000) && at(101_000) <= to);
        assert!(to.saturating_duration_since(from).as_millis() <= 1_600);
        assert_eq!(clock.second(UnixTime::from_secs(-700)), None);
        assert!(clock.ran_evenly_since(at(0)));
    }

    #[test]
    fn a_clock_that_is_set_is_found_out_once() {
        let mut clock = ServerClock::new();
        heads(&mut clock, 0..20, 90);
        heads(&mut clock, 20..40, 85);
        let seen = clock.jumped.unwrap();
        assert!(seen >= at(20_000) && seen < at(22_000));
        assert!(!clock.ran_evenly_since(at(20_000)));
        assert!(clock.ran_evenly_since(at(23_000)));
        let (low, high) = clock.ahead.unwrap();
        assert!(low <= 85_000 && 85_000 <= high);
    }

    #[test]
    fn a_slow_drift_is_no_jump() {
        let mut clock = ServerClock::new();
        for second in 0..10_000_u64 {
            let sent = second * 1_000;
            // A millisecond a second.
            let written = i64::try_from(sent + 25 + second).unwrap();
            let date = UnixTime::from_secs(written.div_euclid(1_000));
            clock.observe(at(sent), at(sent + 50), date);
        }
        assert_eq!(clock.jumped, None);
    }

    #[test]
    fn the_ends_of_time_are_borne() {
        let mut clock = ServerClock::new();
        for date in [i64::MIN, i64::MAX, 0] {
            clock.observe(
                Instant::ZERO,
                Instant::from_nanos(u64::MAX),
                UnixTime::from_millis(date),
            );
            clock.observe(
                Instant::from_nanos(u64::MAX),
                Instant::ZERO,
                UnixTime::from_millis(date),
            );
        }
    }

    #[test]
    fn clocks_that_are_a_second_apart_may_be_one() {
        let evenly = |later: i64| {
            let mut clock = ServerClock::new();
            clock.observe(at(0), at(0), UnixTime::from_secs(10));
            // It was between 10 s and 11 s ahead.
            clock.observe(at(1_000), at(1_000), UnixTime::from_secs(later));
            clock.ran_evenly_since(at(0))
        };
        assert!(evenly(13));
        assert!(!evenly(14));
    }

    #[test]
    fn what_was_sent_as_a_clock_was_set_may_be_of_the_one_before() {
        let mut clock = ServerClock::new();
        clock.observe(at(0), at(0), UnixTime::from_secs(10));
        clock.observe(at(1_000), at(2_000), UnixTime::from_secs(600));
        assert!(!clock.ran_evenly_since(at(2_000)));
        assert!(clock.ran_evenly_since(at(2_001)));
    }
}
