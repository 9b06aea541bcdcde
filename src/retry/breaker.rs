//! A breaker: after too many failures nothing is sent for a while, then one to
//! see.
//!
//! ```text
//! closed     --a run of failures, or a share of them-->  open
//! open       --time-->                                   half-open
//! half-open  --the one probe went well-->                closed
//!            --it failed-->                              open
//! ```
//!
//! Choose it against outages, where each attempt costs something and the server
//! recovers sooner if left alone. It is no answer to rate limits: a refusal to
//! throttle shows a server that works. (Michael Nygard, "Release It!", 2007.)

use core::time::Duration;

use crate::{error::ConfigError, limit::Refusal, retry::window::Window, time::Instant};

/// A breaker over all attempts to one server. 400 bytes.
///
/// ```
/// use core::time::Duration;
/// use sendwhen::{Breaker, Instant, Refusal};
///
/// let mut breaker = Breaker::after_run(2, Duration::from_secs(30))?;
/// let at = Instant::from_secs;
/// for attempt in [1, 2] {
///     breaker.sent(at(0), attempt);
///     breaker.ended(at(1), attempt, false);
/// }
/// assert_eq!(breaker.peek(at(2)), Err(Refusal::Until(at(31))));
///
/// // One probe; all others wait for it.
/// assert_eq!(breaker.peek(at(31)), Ok(()));
/// breaker.sent(at(31), 3);
/// assert!(breaker.peek(at(31)).is_err());
/// breaker.ended(at(32), 3, true);
/// assert_eq!(breaker.peek(at(32)), Ok(()));
/// # Ok::<(), sendwhen::ConfigError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Breaker {
    rule: BreakerRule,
    state: State,
    /// Counted where the rule has a share.
    results: Window,
    failures: Window,
}

/// What a breaker is set to, without what it has counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct BreakerRule {
    /// The length of a run that opens it.
    run: Option<u32>,
    share: Option<Share>,
    open_for: Duration,
    probe_for: Duration,
}

/// A share of failures that opens it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Share {
    per_mille: u16,
    /// Of how many results at least.
    least: u32,
    /// Nanoseconds of a slot of the windows.
    slot: u64,
}

impl BreakerRule {
    const fn new(open_for: Duration) -> Self {
        Self {
            run: None,
            share: None,
            open_for,
            probe_for: Duration::from_secs(600),
        }
    }

    /// A breaker that has counted nothing yet.
    pub(crate) const fn fresh(self) -> Breaker {
        let window = match self.share {
            Some(share) => Window::of_slots(share.slot),
            None => Window::new(Duration::ZERO),
        };
        Breaker {
            rule: self,
            state: State::Closed { run: 0 },
            results: window,
            failures: window,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum State {
    /// Failures since the last success.
    Closed {
        run: u32,
    },
    Open {
        until: Instant,
    },
    /// The probe under way, and when it counts as lost.
    HalfOpen {
        probe: u64,
        until: Instant,
    },
}

impl Breaker {
    /// Opens after `run` failures without a success between them, for
    /// `open_for`.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Breaker, Instant};
    ///
    /// let mut breaker = Breaker::after_run(3, Duration::from_secs(30))?;
    /// for (attempt, went_well) in [false, false, true, false, false].into_iter().enumerate() {
    ///     breaker.ended(Instant::ZERO, attempt as u64, went_well);
    /// }
    /// assert!(breaker.is_closed(), "no three in a row");
    /// breaker.ended(Instant::ZERO, 5, false);
    /// assert!(!breaker.is_closed());
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// Where either is 0.
    pub const fn after_run(run: u32, open_for: Duration) -> Result<Self, ConfigError> {
        if run == 0 || open_for.is_zero() {
            return Err(ConfigError::BreakerAlwaysOpen);
        }
        let mut rule = BreakerRule::new(open_for);
        rule.run = Some(run);
        Ok(rule.fresh())
    }

    /// Opens for `open_for` when `per_mille` thousandths or more of the results
    /// of the last `span` are failures, and there are `least` or more of them.
    ///
    /// # Errors
    /// Where any of the four is 0.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Breaker, Instant};
    ///
    /// let second = Duration::from_secs(1);
    /// let mut breaker = Breaker::after_share(500, 4, 10 * second, 30 * second)?;
    /// for (attempt, went_well) in [true, false, true, false].into_iter().enumerate() {
    ///     assert!(breaker.peek(Instant::ZERO).is_ok());
    ///     breaker.ended(Instant::ZERO, attempt as u64, went_well);
    /// }
    /// assert!(breaker.peek(Instant::ZERO).is_err());
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub const fn after_share(
        per_mille: u16,
        least: u32,
        span: Duration,
        open_for: Duration,
    ) -> Result<Self, ConfigError> {
        if per_mille == 0 || least == 0 || span.is_zero() || open_for.is_zero() {
            return Err(ConfigError::BreakerAlwaysOpen);
        }
        let mut rule = BreakerRule::new(open_for);
        rule.share = Some(Share {
            per_mille,
            least,
            slot: Window::new(span).slot(),
        });
        Ok(rule.fresh())
    }

    pub(crate) const fn rule(&self) -> BreakerRule {
        self.rule
    }

    /// Lets it open after a run of failures too, whichever comes first.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Breaker, Instant};
    ///
    /// let second = Duration::from_secs(1);
    /// let mut breaker = Breaker::after_share(500, 100, 10 * second, 30 * second)?.or_after_run(2)?;
    /// breaker.ended(Instant::ZERO, 0, false);
    /// breaker.ended(Instant::ZERO, 1, false);
    /// assert!(!breaker.is_closed());
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// Where `run` is 0.
    pub const fn or_after_run(mut self, run: u32) -> Result<Self, ConfigError> {
        if run == 0 {
            return Err(ConfigError::BreakerAlwaysOpen);
        }
        self.rule.run = Some(run);
        Ok(self)
    }

    /// Sets after how long a probe of which nothing is heard counts as lost, so
    /// that another may be sent: 600 s where nothing is set.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Breaker, Instant, Refusal};
    ///
    /// let at = Instant::from_secs;
    /// let breaker = Breaker::after_run(1, Duration::from_secs(30))?;
    /// let mut breaker = breaker.probe_for(Duration::from_secs(5))?;
    /// breaker.ended(at(0), 1, false);
    /// breaker.sent(at(30), 2);
    /// assert_eq!(breaker.peek(at(31)), Err(Refusal::Until(at(35))));
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// Where it is 0.
    pub const fn probe_for(mut self, lifetime: Duration) -> Result<Self, ConfigError> {
        if lifetime.is_zero() {
            return Err(ConfigError::BreakerAlwaysOpen);
        }
        self.rule.probe_for = lifetime;
        Ok(self)
    }

    /// Whether an attempt may be sent at `now`.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Breaker, Instant, Refusal};
    ///
    /// let mut breaker = Breaker::after_run(1, Duration::from_secs(30))?;
    /// let at = Instant::from_secs;
    /// assert_eq!(breaker.peek(at(0)), Ok(()));
    /// breaker.ended(at(0), 1, false);
    /// assert_eq!(breaker.peek(at(29)), Err(Refusal::Until(at(30))));
    /// assert_eq!(breaker.peek(at(30)), Ok(()));
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// [`Refusal::Until`] the instant at which the next probe may go: the end
    /// of the time for which it is open, or that at which the probe under way
    /// counts as lost.
    pub fn peek(&self, now: Instant) -> Result<(), Refusal> {
        match self.state {
            State::Open { until } | State::HalfOpen { until, .. } if now < until => {
                Err(Refusal::Until(until))
            }
            _ => Ok(()),
        }
    }

    /// No attempt goes before this, whatever is reported meanwhile; `now` where
    /// one might go at once.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Breaker, Instant};
    ///
    /// let mut breaker = Breaker::after_run(1, Duration::from_secs(30))?;
    /// let at = Instant::from_secs;
    /// breaker.ended(at(0), 1, false);
    /// assert_eq!(breaker.earliest(at(10)), at(30));
    /// // The probe may come back at any time.
    /// breaker.sent(at(30), 2);
    /// assert_eq!(breaker.earliest(at(31)), at(31));
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub fn earliest(&self, now: Instant) -> Instant {
        match self.state {
            State::Open { until } => until.max(now),
            State::Closed { .. } | State::HalfOpen { .. } => now,
        }
    }

    /// An attempt is sent at `now`; `attempt` is any number by which the caller
    /// knows it again. Where the breaker was open, it is the probe.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Breaker, Instant, Refusal};
    ///
    /// let mut breaker = Breaker::after_run(1, Duration::from_secs(30))?;
    /// let at = Instant::from_secs;
    /// breaker.ended(at(0), 1, false);
    /// breaker.sent(at(30), 2);
    /// assert_eq!(breaker.peek(at(30)), Err(Refusal::Until(at(630))), "it is the probe");
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub fn sent(&mut self, now: Instant, attempt: u64) {
        match self.state {
            State::Open { until } | State::HalfOpen { until, .. } if now >= until => {
                self.state = State::HalfOpen {
                    probe: attempt,
                    until: now.saturating_add(self.rule.probe_for),
                };
            }
            _ => {}
        }
    }

    /// An attempt came to an end. While open, only the probe's counts. True
    /// where those who wait may go earlier than they were told.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Breaker, Instant};
    ///
    /// let mut breaker = Breaker::after_run(1, Duration::from_secs(30))?;
    /// let at = Instant::from_secs;
    /// breaker.ended(at(0), 1, false);
    /// breaker.sent(at(30), 3);
    /// assert!(!breaker.ended(at(31), 2, true), "that was not the probe");
    /// assert!(breaker.ended(at(31), 3, true), "those who wait may go");
    /// assert!(breaker.is_closed());
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub fn ended(&mut self, now: Instant, attempt: u64, went_well: bool) -> bool {
        match self.state {
            State::Closed { run } => {
                let run = if went_well { 0 } else { run.saturating_add(1) };
                self.state = State::Closed { run };
                let too_many = self.count(now, went_well);
                if too_many || self.rule.run.is_some_and(|most| run >= most) {
                    self.open(now);
                }
                false
            }
            State::HalfOpen { probe, .. } if probe == attempt => {
                if went_well {
                    self.state = State::Closed { run: 0 };
                } else {
                    self.open(now);
                }
                went_well
            }
            State::HalfOpen { .. } | State::Open { .. } => false,
        }
    }

    /// Nobody knows how this attempt ended: if it was the probe, another may
    /// go. True as for [`ended`](Self::ended).
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Breaker, Instant};
    ///
    /// let mut breaker = Breaker::after_run(1, Duration::from_secs(30))?;
    /// let at = Instant::from_secs;
    /// breaker.ended(at(0), 1, false);
    /// breaker.sent(at(30), 2);
    /// assert!(breaker.forgotten(at(31), 2));
    /// assert!(breaker.peek(at(31)).is_ok() && !breaker.is_closed());
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub fn forgotten(&mut self, now: Instant, attempt: u64) -> bool {
        match self.state {
            State::HalfOpen { probe, until } if probe == attempt && now < until => {
                self.state = State::HalfOpen { probe, until: now };
                true
            }
            _ => false,
        }
    }

    /// Whether it lets everything pass.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Breaker, Instant};
    ///
    /// let mut breaker = Breaker::after_run(1, Duration::from_secs(30))?;
    /// assert!(breaker.is_closed());
    /// breaker.ended(Instant::ZERO, 1, false);
    /// assert!(!breaker.is_closed());
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub const fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed { .. })
    }

    fn open(&mut self, now: Instant) {
        self.results.clear();
        self.failures.clear();
        self.state = State::Open {
            until: now.saturating_add(self.rule.open_for),
        };
    }

    /// Counts a result; whether too many are failures now.
    fn count(&mut self, now: Instant, went_well: bool) -> bool {
        let Some(share) = self.rule.share else {
            return false;
        };
        self.results.add(now, 1);
        self.failures.add(now, i64::from(!went_well));
        let (all, failed) = (self.results.sum(now), self.failures.sum(now));
        all >= i64::from(share.least)
            && failed.saturating_mul(1_000) >= all.saturating_mul(i64::from(share.per_mille))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    const HALF_MINUTE: Duration = Duration::from_secs(30);

    #[test]
    fn a_breaker_that_is_always_open_is_refused() {
        let (zero, second) = (Duration::ZERO, Duration::from_secs(1));
        let always = Err(ConfigError::BreakerAlwaysOpen);
        assert_eq!(Breaker::after_run(0, second).map(drop), always);
        assert_eq!(Breaker::after_run(1, zero).map(drop), always);
        assert_eq!(Breaker::after_share(0, 1, second, second).map(drop), always);
        assert_eq!(Breaker::after_share(1, 0, second, second).map(drop), always);
        assert_eq!(Breaker::after_share(1, 1, zero, second).map(drop), always);
        assert_eq!(Breaker::after_share(1, 1, second, zero).map(drop), always);
        let good = Breaker::after_run(1, second).unwrap();
        assert_eq!(good.or_after_run(0).map(drop), always);
        assert_eq!(good.probe_for(zero).map(drop), always);
    }

    #[test]
    fn a_failed_probe_opens_it_again() {
        let mut breaker = Breaker::after_run(1, HALF_MINUTE).unwrap();
        let at = Instant::from_secs;
        breaker.ended(at(0), 1, false);
        assert_eq!(breaker.peek(at(29)), Err(Refusal::Until(at(30))));
        breaker.sent(at(30), 2);
        // Those that were sent before it opened say nothing about now.
        assert!(!breaker.ended(at(31), 1, true));
        assert!(!breaker.is_closed());
        assert!(!breaker.ended(at(32), 2, false));
        assert_eq!(breaker.peek(at(33)), Err(Refusal::Until(at(62))));
    }

    /// What was let pass before it opened may be sent after.
    #[test]
    fn what_is_sent_while_it_is_open_is_no_probe() {
        let mut breaker = Breaker::after_run(1, HALF_MINUTE).unwrap();
        let at = Instant::from_secs;
        breaker.ended(at(0), 1, false);
        breaker.sent(at(29), 2);
        assert_eq!(breaker.peek(at(29)), Err(Refusal::Until(at(30))));
        assert!(!breaker.ended(at(29), 2, true));
        assert_eq!(breaker.peek(at(30)), Ok(()));
        breaker.sent(at(30), 3);
        breaker.sent(at(31), 4);
        assert!(breaker.ended(at(32), 3, true), "the first is the probe");
    }

    /// Those who wait may go at that instant without it.
    #[test]
    fn a_probe_that_is_forgotten_when_it_expires_opens_nothing() {
        let mut breaker = Breaker::after_run(1, HALF_MINUTE).unwrap();
        let at = Instant::from_secs;
        breaker.ended(at(0), 1, false);
        breaker.sent(at(30), 2);
        assert!(!breaker.forgotten(at(630), 2));
        assert!(breaker.forgotten(at(629), 2));
    }

    #[test]
    fn a_lost_probe_blocks_nobody_for_ever() {
        let mut breaker = Breaker::after_run(1, HALF_MINUTE).unwrap();
        let at = Instant::from_secs;
        breaker.ended(at(0), 1, false);
        breaker.sent(at(30), 2);
        assert_eq!(breaker.peek(at(31)), Err(Refusal::Until(at(630))));
        assert_eq!(breaker.peek(at(630)), Ok(()));
        // Nor one that was given up.
        assert!(breaker.forgotten(at(40), 2));
        assert_eq!(breaker.peek(at(40)), Ok(()));
        breaker.sent(at(41), 3);
        assert!(breaker.peek(at(41)).is_err());
        assert!(!breaker.forgotten(at(42), 2));
        assert!(breaker.ended(at(43), 3, true));
        assert!(breaker.is_closed());
    }

    /// The same, as simply as it can be said: results in a list.
    struct Oracle {
        run: u32,
        share: (u64, usize),
        results: Vec<(u64, bool)>,
        open_until: Option<u64>,
        probe: Option<(u64, u64)>,
    }

    impl Oracle {
        fn passes(&self, now: u64) -> bool {
            match (self.open_until, self.probe) {
                (None, _) => true,
                (Some(until), None) => now >= until,
                (Some(_), Some((_, lost))) => now >= lost,
            }
        }

        fn ended(&mut self, now: u64, id: u64, went_well: bool) {
            if self.open_until.is_some() {
                if self.probe.is_some_and(|(probe, _)| probe == id) {
                    self.probe = None;
                    self.results.clear();
                    self.open_until = (!went_well).then_some(now + 30);
                }
                return;
            }
            self.results.push((now, went_well));
            let run = self
                .results
                .iter()
                .rev()
                .take_while(|(_, well)| !well)
                .count();
            let live = self.results.iter().filter(|(at, _)| now - at < 10);
            let (all, failed) = live.fold((0, 0), |(all, failed), (_, well)| {
                (all + 1, failed + u64::from(!well))
            });
            let (per_mille, least) = self.share;
            let too_many = all >= least && failed > 0 && failed * 1_000 >= all as u64 * per_mille;
            if run >= self.run as usize || too_many {
                self.open_until = Some(now + 30);
                self.results.clear();
            }
        }
    }

    proptest! {
        #![proptest_config(crate::retry::ten_thousand_cases())]

        #[test]
        fn it_does_what_a_list_of_results_does(
            run in 1..6_u32, per_mille in 1..1_001_u16, least in 1..9_u32,
            steps in prop::collection::vec((0..12_u64, 0..3_u8, any::<usize>()), 1..50),
        ) {
            let second = Duration::from_secs(1);
            let mut breaker = Breaker::after_share(per_mille, least, 10 * second, 30 * second)
                .and_then(|breaker| breaker.or_after_run(run))
                .and_then(|breaker| breaker.probe_for(50 * second))
                .unwrap();
            let mut oracle = Oracle {
                run,
                share: (u64::from(per_mille), least as usize),
                results: Vec::new(),
                open_until: None,
                probe: None,
            };
            let (mut now, mut id, mut out) = (0_u64, 0_u64, Vec::<u64>::new());
            for (ahead, what, pick) in steps {
                now += ahead;
                let at = Instant::from_secs(now);
                let passes = oracle.passes(now);
                prop_assert_eq!(breaker.peek(at).is_ok(), passes);
                if let Err(Refusal::Until(until)) = breaker.peek(at) {
                    prop_assert!(until > at);
                    prop_assert!(breaker.peek(until).is_ok());
                    prop_assert!(breaker.peek(Instant::from_nanos(until.as_nanos() - 1)).is_err());
                }
                if what == 0 && passes {
                    id += 1;
                    out.push(id);
                    breaker.sent(at, id);
                    if oracle.open_until.is_some() {
                        oracle.probe = Some((id, now + 50));
                    }
                } else if !out.is_empty() {
                    let ended = out.swap_remove(pick % out.len());
                    breaker.ended(at, ended, what == 1);
                    oracle.ended(now, ended, what == 1);
                }
            }
        }
    }
}
