//! What somebody may want to be told of, as data: [`Notice`].

use core::time::Duration;

use alloc::collections::VecDeque;

use super::{Scheduler, index, job::PoolId, pool::Pool};
use crate::{
    decision::Class,
    explain::Level,
    hints::{Problems, ServerHints},
    time::Instant,
    units::Dimension,
};

/// Something about a pool that somebody may want to be told of.
///
/// ```
/// # use sendwhen::{Limiter, Scheduler};
/// # let mut scheduler = Scheduler::new(42);
/// # let pool = scheduler.add_pool(Limiter::new(7));
/// # let route = scheduler.add_route(&[&[pool]])?;
/// use core::time::Duration;
/// use sendwhen::{ErrorDetails, Event, Instant, Job, Next, Notice, Request, ServerHints};
///
/// let at = Instant::from_secs;
/// let id = scheduler.submit(at(5), Job::new(Request::new(), route))?;
/// assert!(matches!(scheduler.next(at(5)), Next::Send { .. }));
/// let hints = ServerHints::NONE.with_retry_after(Duration::from_secs(9));
/// let _queued = scheduler.handle(at(5), id, Event::responded(429, &hints, ErrorDetails::NONE));
/// assert_eq!(scheduler.notice(), Some(Notice::Stopped { pool, until: at(14) }));
/// assert_eq!(scheduler.notice(), None);
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Notice {
    /// Of this, less than a fifth of what can be there was there for five
    /// minutes. Told again only after it was not so.
    Scarce {
        /// Which pool.
        pool: PoolId,
        /// Of what.
        dimension: Dimension,
        /// Since when.
        since: Instant,
    },
    /// A limit was learnt, or is another than it was.
    LimitChanged {
        /// Which pool.
        pool: PoolId,
        /// Of what.
        dimension: Dimension,
        /// What was known before.
        from: Option<Level>,
        /// What is known now.
        to: Level,
    },
    /// The server told the whole pool to stop.
    Stopped {
        /// Which pool.
        pool: PoolId,
        /// Until when.
        until: Instant,
    },
    /// The breaker of the pool's retry policy opened, or opened again after a
    /// probe failed.
    BreakerOpened {
        /// Which pool.
        pool: PoolId,
        /// Until when.
        until: Instant,
    },
    /// Ten attempts in a row ended as an overload or an accident.
    Failing {
        /// Which pool.
        pool: PoolId,
        /// How the last of them ended.
        class: Class,
    },
    /// The server's clock moved against the caller's by more than five seconds
    /// since it was last looked at: one of them was set.
    ClockSkew {
        /// Which pool.
        pool: PoolId,
        /// By how many milliseconds the server's gained.
        gained_ms: i64,
    },
    /// Something is wrong in the fields of a response that was not wrong in those
    /// of the last.
    Malformed {
        /// Which pool.
        pool: PoolId,
        /// What.
        problems: Problems,
    },
    /// So many notices were never taken, and gave way to later ones.
    Lost(u64),
}

/// How long something must be scarce.
const SCARCE: Duration = Duration::from_secs(300);

/// So many failures in a row are no accident.
const RUN: u32 = 10;

/// Response dates are whole seconds, and heads take a while to come.
const SKEW_MS: i64 = 5_000;

/// So many notices are kept.
const KEPT: usize = 256;

/// Those that were not taken yet.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Notices {
    ring: VecDeque<Notice>,
    lost: u64,
}

impl Notices {
    pub(super) const NONE: Self = Self {
        ring: VecDeque::new(),
        lost: 0,
    };

    fn tell(&mut self, notice: Notice) {
        if self.ring.len() >= KEPT {
            self.ring.pop_front();
            self.lost = self.lost.saturating_add(1);
        }
        self.ring.push_back(notice);
    }

    fn take(&mut self) -> Option<Notice> {
        if self.lost > 0 {
            return Some(Notice::Lost(core::mem::take(&mut self.lost)));
        }
        self.ring.pop_front()
    }
}

/// What is watched of a pool.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Watch {
    limits: [Option<Level>; Dimension::COUNT],
    /// Since when each is scarce.
    scarce: [Option<Instant>; Dimension::COUNT],
    told_scarce: [bool; Dimension::COUNT],
    /// The server's clock less the caller's, in milliseconds.
    offset: Option<i64>,
    problems: Problems,
    failures: u32,
    /// Until when the breaker is open that was told of last.
    breaker: Option<Instant>,
}

impl Watch {
    pub(super) const NONE: Self = Self {
        limits: [None; Dimension::COUNT],
        scarce: [None; Dimension::COUNT],
        told_scarce: [false; Dimension::COUNT],
        offset: None,
        problems: Problems::NONE,
        failures: 0,
        breaker: None,
    };
}

impl Scheduler {
    /// The oldest notice that was not taken yet. 256 are kept.
    ///
    /// ```
    /// # use sendwhen::Scheduler;
    /// # let mut scheduler = Scheduler::new(42);
    /// while let Some(notice) = scheduler.notice() {
    ///     println!("{notice:?}");
    /// }
    /// ```
    pub fn notice(&mut self) -> Option<Notice> {
        self.notices.take()
    }

    /// An attempt over `pool` was answered with these hints, or ended so. True
    /// where a limit is stricter than it was.
    pub(super) fn watch(
        &mut self,
        now: Instant,
        number: u32,
        hints: Option<&ServerHints>,
        class: Option<Class>,
    ) -> bool {
        let id = self.pool_id(number);
        let Some(pool) = self.pools.get_mut(index(number)).and_then(Option::as_mut) else {
            return false;
        };
        let notices = &mut self.notices;
        if let Some(class) = class {
            watch_failures(pool, id, class, notices);
            let open = pool.open_breaker(now);
            if let Some(until) = open.filter(|_| open != pool.watch.breaker) {
                let until = self.clock.outside(until);
                notices.tell(Notice::BreakerOpened { pool: id, until });
            }
            pool.watch.breaker = open;
        }
        let Some(hints) = hints else {
            return false;
        };
        let outside = self.clock.outside(now);
        watch_clock(pool, id, outside, hints, notices);
        if hints.problems != pool.watch.problems && !hints.problems.is_empty() {
            let problems = hints.problems;
            notices.tell(Notice::Malformed { pool: id, problems });
        }
        pool.watch.problems = hints.problems;
        watch_levels(pool, id, now, outside, notices)
    }

    /// Something is about to be sent over `pool`: what was scarce may not have
    /// been since the last answer, and will be again.
    pub(super) fn watch_before(&mut self, now: Instant, number: u32) {
        let id = self.pool_id(number);
        let Some(pool) = self.pools.get_mut(index(number)).and_then(Option::as_mut) else {
            return;
        };
        let outside = self.clock.outside(now);
        let watch = &mut pool.watch;
        let held = watch.scarce.iter_mut().zip(&mut watch.told_scarce);
        for ((scarce, told), dimension) in held.zip(Dimension::ALL) {
            if scarce.is_none() {
                continue;
            }
            if let Some(level) = pool.limiter.level(now, dimension) {
                let scarcity = (scarce, told);
                watch_scarcity(id, outside, &level, scarcity, &mut self.notices);
            }
        }
    }

    pub(super) fn tell_of_stop(&mut self, pool: u32, until: Instant) {
        self.notices.tell(Notice::Stopped {
            pool: self.pool_id(pool),
            until: self.clock.outside(until),
        });
    }
}

fn watch_failures(pool: &mut Pool, id: PoolId, class: Class, notices: &mut Notices) {
    let failures = &mut pool.watch.failures;
    match class {
        Class::Overloaded | Class::Transient => {
            *failures = failures.saturating_add(1);
            if *failures == RUN {
                notices.tell(Notice::Failing { pool: id, class });
            }
        }
        _ => *failures = 0,
    }
}

fn watch_clock(
    pool: &mut Pool,
    id: PoolId,
    now: Instant,
    hints: &ServerHints,
    notices: &mut Notices,
) {
    let Some(date) = hints.date else {
        return;
    };
    let millis = now.as_nanos().checked_div(1_000_000).unwrap_or_default();
    let here = i64::try_from(millis).unwrap_or(i64::MAX);
    let offset = date.as_millis().saturating_sub(here);
    match pool.watch.offset {
        Some(before) if offset.abs_diff(before) <= SKEW_MS.unsigned_abs() => {}
        before => {
            pool.watch.offset = Some(offset);
            if let Some(before) = before {
                let gained_ms = offset.saturating_sub(before);
                notices.tell(Notice::ClockSkew {
                    pool: id,
                    gained_ms,
                });
            }
        }
    }
}

fn watch_levels(
    pool: &mut Pool,
    id: PoolId,
    now: Instant,
    outside: Instant,
    notices: &mut Notices,
) -> bool {
    let mut stricter = false;
    let watch = &mut pool.watch;
    let held = watch.limits.iter_mut().zip(&mut watch.scarce);
    let held = held.zip(&mut watch.told_scarce).zip(Dimension::ALL);
    for (((limit, scarce), told), dimension) in held {
        let Some(level) = pool.limiter.level(now, dimension) else {
            continue;
        };
        let same = |old: &Level| (old.rate, old.capacity) == (level.rate, level.capacity);
        if !limit.as_ref().is_some_and(same) {
            notices.tell(Notice::LimitChanged {
                pool: id,
                dimension,
                from: *limit,
                to: level,
            });
            let hour = |level: &Level| level.rate.in_span(Duration::from_secs(3_600));
            stricter |= limit.as_ref().is_none_or(|old| hour(old) > hour(&level));
        }
        *limit = Some(level);
        let scarcity = (scarce, told);
        watch_scarcity(id, outside, &level, scarcity, notices);
    }
    stricter
}

fn watch_scarcity(
    pool: PoolId,
    now: Instant,
    level: &Level,
    (scarce, told): (&mut Option<Instant>, &mut bool),
    notices: &mut Notices,
) {
    if i128::from(level.there).saturating_mul(5) >= level.capacity.into() {
        (*scarce, *told) = (None, false);
        return;
    }
    let since = *scarce.get_or_insert(now);
    if !*told && now.saturating_duration_since(since) >= SCARCE {
        *told = true;
        notices.tell(Notice::Scarce {
            pool,
            dimension: level.dimension,
            since,
        });
    }
}
