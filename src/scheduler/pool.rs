//! One pool of a scheduler: its limiter, who waits for it, what is kept free
//! for the urgent, and how it comes back after a stop.

use core::time::Duration;

use alloc::vec::Vec;

use super::notice::Watch;
use crate::{
    decision::{Cause, Denied, Never, Wait},
    limiter::{Limiter, Permit, Wanted},
    request::Request,
    time::{Instant, nanos},
    units::{Cost, Dimension},
};

#[derive(Clone, Debug)]
pub(super) struct Pool {
    pub(super) limiter: Limiter,
    /// The limiter's counter as it was last seen.
    pub(super) opened: u64,
    /// Something may pass that was refused before: the first of those who wait
    /// is to be asked again.
    pub(super) open: bool,
    /// The route that was woken for it.
    pub(super) woken: Option<u32>,
    /// Routes that were refused here.
    pub(super) waiters: Vec<u32>,
    /// Routes whose first is to go over this pool as soon as it can: what comes
    /// after it must not delay it.
    pub(super) claims: Vec<u32>,
    /// Sendings since the last of one that had waited beyond the aging bound.
    pub(super) turn: u8,
    pub(super) headroom: Headroom,
    pub(super) release: Release,
    pub(super) watch: Watch,
}

/// One sending in so many is left to those that have waited beyond the aging
/// bound.
pub(super) const AGED_TURN: u8 = 8;

impl Pool {
    pub(super) fn new(limiter: Limiter) -> Self {
        Self {
            opened: limiter.opened(),
            limiter,
            open: false,
            woken: None,
            waiters: Vec::new(),
            claims: Vec::new(),
            turn: 0,
            headroom: Headroom::NONE,
            release: Release::NONE,
            watch: Watch::NONE,
        }
    }

    /// Whether one that has waited beyond the aging bound may go before those
    /// of higher priority.
    pub(super) const fn is_aged_turn(&self) -> bool {
        self.turn.saturating_add(1) >= AGED_TURN
    }

    /// What `request` is expected to take of it.
    pub(super) fn wanted(&self, request: &Request) -> Wanted {
        self.limiter.wanted(request)
    }

    /// The longest time in which what `request` is expected to take comes in, in
    /// nanoseconds. Of limits that are not known: at [`UNKNOWN`].
    pub(super) fn time_of(&self, now: Instant, request: &Request) -> u64 {
        let cost = self.limiter.forecast(request);
        let mut known = None;
        for (dimension, amount) in cost.iter() {
            if let Some(level) = self.limiter.level(now, dimension) {
                let (count, period) = (level.rate.count(), level.rate.period());
                known = known.max(Some(time_of(amount, count, period)));
            }
        }
        let guessed = UNKNOWN.map(|(dimension, per_minute)| {
            time_of(cost.get(dimension), per_minute, Duration::from_secs(60))
        });
        known.unwrap_or_else(|| guessed.into_iter().max().unwrap_or_default())
    }

    /// Whether `request` would pass; unless it is urgent, whether it would leave
    /// room for those that are.
    pub(super) fn check(
        &mut self,
        now: Instant,
        request: &Request,
        urgent: bool,
    ) -> Result<(), Denied> {
        let here = self.limiter.advance(now);
        let wanted = self.wanted(request);
        let refused = self
            .limiter
            .check(here, &wanted)
            .and_then(|()| {
                if urgent {
                    return Ok(());
                }
                self.headroom.check(&self.limiter, here, &wanted)
            })
            .inspect_err(|denied| self.limiter.tell(denied))
            .map_err(|denied| self.outside(denied));
        match (refused, self.release.bound(now)) {
            (refused, None) => refused,
            (Err(Denied::Until { wait, earliest }), Some(until)) if wait.until < until => {
                Err(Denied::Until {
                    wait: stop(until),
                    earliest,
                })
            }
            (Ok(()), Some(until)) => Err(Denied::Until {
                wait: stop(until),
                earliest: now,
            }),
            (refused @ Err(_), Some(_)) => refused,
        }
    }

    /// From when `request` may pass, whatever those in flight report, and what
    /// binds until then: nothing where it passes at `now`.
    pub(super) fn earliest(
        &mut self,
        now: Instant,
        request: &Request,
    ) -> Result<(Instant, Option<Cause>), Never> {
        let here = self.limiter.advance(now);
        let bound = self.limiter.earliest(here, &self.wanted(request))?;
        Ok(bound.map_or((now, None), |(earliest, cause)| {
            let earliest = self.limiter.clock().outside(earliest);
            (earliest.max(now), Some(cause))
        }))
    }

    /// Until when `request` would wait at `now`, and for what; `None` where it
    /// would pass, or never will.
    pub(super) fn wait(&self, now: Instant, request: &Request) -> Option<Wait> {
        let here = self.limiter.clock().peek(now);
        let checked = self.limiter.check(here, &self.wanted(request));
        match checked.map_err(|denied| self.outside(denied)) {
            Err(Denied::Until { wait, .. }) => Some(wait),
            Ok(()) | Err(Denied::Never(_)) => None,
        }
    }

    /// Lets `request` pass.
    pub(super) fn admit(&mut self, now: Instant, request: &Request) -> Permit {
        let here = self.limiter.advance(now);
        let wanted = self.wanted(request);
        self.release.sent(now);
        self.limiter.admit(here, &wanted)
    }

    /// Takes note of a stop that the server asked for: until when, where it is
    /// to be told.
    pub(super) fn notice_stop(&mut self, now: Instant) -> Option<Instant> {
        let until = self.limiter.paused_until(now)?;
        self.release.stop(now, until).then_some(until)
    }

    /// Until when the breaker of its retry policy is open, where it is.
    pub(super) fn open_breaker(&mut self, now: Instant) -> Option<Instant> {
        let here = self.limiter.advance(now);
        // Half-open, a report may close it at once.
        let mut bounds = self.limiter.retry_guard().bounds(here);
        let bound = bounds.find(|bound| bound.cause == Cause::Breaker && bound.earliest > here)?;
        drop(bounds);
        Some(self.limiter.clock().outside(bound.until))
    }

    /// A denial on the scheduler's clock.
    fn outside(&self, denied: Denied) -> Denied {
        let clock = self.limiter.clock();
        match denied {
            Denied::Until { wait, earliest } => Denied::Until {
                wait: Wait {
                    until: clock.outside(wait.until),
                    cause: wait.cause,
                },
                earliest: clock.outside(earliest),
            },
            never @ Denied::Never(_) => never,
        }
    }
}

/// What a pool of which no limit is known yet is taken to let through in a
/// minute: the Claude API's smallest published limits. Only their proportions
/// matter.
const UNKNOWN: [(Dimension, u64); 3] = [
    (Dimension::Requests, 50),
    (Dimension::InputTokens, 30_000),
    (Dimension::OutputTokens, 8_000),
];

/// In which time `amount` comes in, in nanoseconds.
fn time_of(amount: u64, count: u64, period: Duration) -> u64 {
    let wide = u128::from(amount).saturating_mul(u128::from(nanos(period)));
    let time = wide.div_ceil(u128::from(count.max(1)));
    u64::try_from(time).unwrap_or(u64::MAX)
}

const fn stop(until: Instant) -> Wait {
    Wait {
        until,
        cause: Cause::Pause,
    }
}

/// What is left free so that urgent calls find room: a count of their mean
/// cost. It grows by one each time that one cannot go at once, and shrinks by
/// 1/128 each time that one can, so that it settles where about one in a hundred
/// waits. It costs the others its size once, and no throughput after that.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Headroom {
    /// In 128ths; 0 until there was an urgent call.
    count: u32,
    mean: Cost,
}

impl Headroom {
    const NONE: Self = Self {
        count: 0,
        mean: Cost::ZERO,
    };
    const ONE: u32 = 128;
    const MOST: u32 = 16;

    /// An urgent call was asked for the first time, and could go, or not.
    pub(super) fn learn(&mut self, cost: &Cost, could_go: bool) {
        self.count = if could_go {
            self.count.saturating_sub(1).max(Self::ONE)
        } else {
            let most = Self::ONE.saturating_mul(Self::MOST);
            self.count.saturating_add(Self::ONE).min(most)
        };
        let mut mean = Cost::ZERO;
        for dimension in Dimension::ALL {
            let (old, new) = (self.mean.get(dimension), cost.get(dimension));
            // Rounded up, so that one request stays one request.
            let faded = u128::from(old)
                .saturating_mul(7)
                .saturating_add(u128::from(new))
                .div_ceil(8);
            let first = self.mean == Cost::ZERO;
            let amount = if first {
                new
            } else {
                u64::try_from(faded).unwrap_or(u64::MAX)
            };
            mean = mean.with(dimension, amount);
        }
        self.mean = mean;
    }

    pub(super) const fn count(&self) -> u32 {
        self.count.div_ceil(Self::ONE)
    }

    /// Whether `wanted`, which would pass, leaves as much; where the pool never
    /// holds that much, half of it, and so on.
    fn check(&self, limiter: &Limiter, here: Instant, wanted: &Wanted) -> Result<(), Denied> {
        let mut count = self.count();
        while count > 0 {
            let mut more = Cost::ZERO;
            for (dimension, amount) in self.mean.iter() {
                more = more.with(dimension, amount.saturating_mul(u64::from(count)));
            }
            match limiter.check(here, &wanted.leaving(&more, count)) {
                Err(Denied::Never(_)) => count = count.checked_div(2).unwrap_or_default(),
                answer => return answer,
            }
        }
        Ok(())
    }
}

/// How a pool that was stopped comes back: not all at once. Within a quarter of
/// the stop's length, and at most a second, sixteen are sent at even distances:
/// time for the first of them to be refused again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Release {
    /// The end of the stop.
    stopped: Instant,
    end: Instant,
    gap: Duration,
    next: Instant,
}

impl Release {
    const NONE: Self = Self {
        stopped: Instant::ZERO,
        end: Instant::ZERO,
        gap: Duration::ZERO,
        next: Instant::ZERO,
    };
    const LONGEST: Duration = Duration::from_secs(1);
    const STEPS: u32 = 16;

    /// The pool is stopped until `until`. True where that is news: it was not
    /// stopped, or stays so for longer by more than what refusals of one volley
    /// differ by, an eighth.
    fn stop(&mut self, now: Instant, until: Instant) -> bool {
        if until <= self.stopped {
            return false;
        }
        let length = until.saturating_duration_since(now);
        let longer = until.saturating_duration_since(self.stopped);
        let eighth = length.checked_div(8).unwrap_or_default();
        let is_news = self.stopped <= now || longer > eighth;
        let span = length.checked_div(4).unwrap_or_default().min(Self::LONGEST);
        *self = Self {
            stopped: until,
            end: until.saturating_add(span),
            gap: span.checked_div(Self::STEPS).unwrap_or_default(),
            next: until,
        };
        is_news
    }

    fn bound(&self, now: Instant) -> Option<Instant> {
        // At its end it binds nobody, wherever the next step would be.
        let until = self.next.min(self.end);
        (now < until).then_some(until)
    }

    /// Whether it is still coming back.
    pub(super) fn is_under_way(&self, now: Instant) -> bool {
        now < self.end
    }

    fn sent(&mut self, now: Instant) {
        if now < self.end {
            self.next = now.saturating_add(self.gap);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Rate;

    #[test]
    fn a_stop_ends_in_sixteen_steps() {
        let mut release = Release::NONE;
        let at = Instant::from_millis;
        assert!(release.stop(at(0), at(1_600)));
        assert!(
            !release.stop(at(10), at(1_500)),
            "a shorter stop is no news"
        );
        let mut now = at(1_600);
        let mut sent = 0;
        while release.is_under_way(now) {
            now = release.bound(now).unwrap_or(now);
            release.sent(now);
            sent += 1;
            now = release.bound(now).unwrap_or(now);
        }
        assert_eq!((sent, now), (16, at(2_000)));
        assert_eq!(release.bound(at(2_000)), None);
    }

    /// Who waited for a step after the end was told that, though all could go at the
    /// end; and who came behind was told to ask again each nanosecond till then.
    #[test]
    fn no_step_is_after_the_end() {
        let mut release = Release::NONE;
        let at = Instant::from_millis;
        assert!(release.stop(at(0), at(1_600)));
        release.sent(at(1_990));
        assert_eq!(release.bound(at(1_990)), Some(at(2_000)));
        assert_eq!(release.bound(at(2_000)), None);
    }

    #[test]
    fn ordinary_calls_leave_room_for_urgent_ones_once_there_were_any() {
        let limiter = Limiter::new(1)
            .limit(Dimension::Requests, Rate::per_minute(60).unwrap(), 3)
            .and_then(|limiter| limiter.initial_window(100))
            .unwrap();
        let mut pool = Pool::new(limiter);
        let (now, request) = (Instant::ZERO, Request::new());
        assert_eq!(pool.check(now, &request, false), Ok(()));
        pool.headroom.learn(&Cost::request(), false);
        let mut left = 3;
        while pool.check(now, &request, false).is_ok() {
            let _permit = pool.admit(now, &request);
            left -= 1;
        }
        assert_eq!(left, 1, "one is left");
        assert_eq!(pool.check(now, &request, true), Ok(()));
    }

    #[test]
    fn room_that_a_pool_never_has_is_not_asked_for() {
        let limiter = Limiter::new(1)
            .limit(Dimension::Requests, Rate::per_minute(60).unwrap(), 1)
            .unwrap();
        let mut pool = Pool::new(limiter);
        for _ in 0..100 {
            pool.headroom.learn(&Cost::request(), false);
        }
        assert_eq!(pool.headroom.count(), 16);
        assert_eq!(pool.check(Instant::ZERO, &Request::new(), false), Ok(()));
    }
}
