//! What a server said of its limits, as plain data: [`ServerHints`].
//!
//! `headers` fills it; the limiter reads it. It borrows nothing, and what was
//! wrong in the fields is in it as [`Problems`], not as an error.

mod dialect;
mod meter;
mod meters;
mod problems;
mod unified;

use core::time::Duration;

use crate::time::UnixTime;

pub(crate) use self::meters::{Rank, Slot};
pub use self::{
    dialect::Dialect,
    meter::{Family, Label, Meter, Remaining, Reset, ResetGiven, Unit},
    meters::{Meters, MetersIter},
    problems::Problems,
    unified::{Claim, OverageDisabled, Status, Unified},
};

/// What one response's header fields say of limits and waits.
///
/// ```
/// use core::time::Duration;
/// use sendwhen::ServerHints;
///
/// let hints = ServerHints::NONE.with_retry_after(Duration::from_secs(48));
/// assert_eq!(hints.retry_after, Some(Duration::from_secs(48)));
/// assert!(hints.meters.is_empty());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct ServerHints {
    /// Which server's names the fields bear.
    pub dialect: Dialect,
    /// The meters shown, those of one family side by side.
    pub meters: Meters,
    /// What else the Claude API says of a subscription's limits.
    pub unified: Unified,
    /// How long to wait before the next attempt, the longer of `retry-after`
    /// and `retry-after-ms` where both are there and nothing else was set.
    pub retry_after: Option<Duration>,
    /// `x-should-retry`, where it is exactly `true` or `false`.
    pub should_retry: Option<bool>,
    /// The response's own `Date`.
    pub date: Option<UnixTime>,
    /// What was wrong in the fields.
    pub problems: Problems,
}

impl ServerHints {
    /// Of a response that says nothing.
    pub const NONE: Self = Self {
        dialect: Dialect::Unknown,
        meters: Meters::EMPTY,
        unified: Unified::NONE,
        retry_after: None,
        should_retry: None,
        date: None,
        problems: Problems::NONE,
    };

    /// Hints that say only how long to wait: for a server that tells it in the
    /// body.
    #[must_use]
    pub const fn with_retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// The same with one meter more. Where its place is taken,
    /// [`Problems::CONFLICT`] is set and the stricter stays; where there is no
    /// room, [`Problems::OVERFLOW`] is set and the least binding goes.
    #[must_use]
    pub fn with_meter(mut self, meter: Meter) -> Self {
        self.meters.insert(&meter, &mut self.problems);
        self
    }

    /// The latest reset among the meters by which the server refuses: those
    /// whose status says so, else those of which nothing is left. In
    /// milliseconds after the response's own date, and never below 0.
    ///
    /// Several limits hold at once, so the latest binds. `None` where no meter
    /// is spent, or none of those that are says when it is whole again. The
    /// Claude API's per-minute limits are left out: their resets tell when a
    /// bucket is full, which is long after the next request fits.
    ///
    /// ```
    /// use sendwhen::ServerHints;
    ///
    /// let hints = ServerHints::parse([
    ///     ("date", "Mon, 13 Jun 2022 11:48:53 GMT"),
    ///     ("x-ratelimit-resource", "search"),
    ///     ("x-ratelimit-remaining", "0"),
    ///     ("x-ratelimit-reset", "1655120964"),
    /// ], None);
    /// assert_eq!(hints.spent_until_ms(), Some(31_000));
    /// ```
    pub fn spent_until_ms(&self) -> Option<u64> {
        let refuses = |meter: &Meter| meter.status.is_some_and(Status::refuses);
        // An overage that is turned off says "rejected" on every answer.
        let counts = |meter: &Meter| match meter.family {
            Family::Overage => false,
            _ if self.dialect == Dialect::Claude => meter.unit == Unit::Share,
            _ => true,
        };
        let latest = |picks: &dyn Fn(&Meter) -> bool| {
            self.meters
                .iter()
                .filter(|meter| counts(meter) && picks(meter))
                .filter_map(|meter| meter.reset?.after_date_ms)
                .max()
        };
        latest(&refuses)
            .or_else(|| latest(&|meter| meter.remaining.is_some_and(|left| left.at_most() <= 0)))
            .map(|millis| u64::try_from(millis).unwrap_or(0))
    }

    /// These hints in two: without the meters that `theirs` picks, and with
    /// only those.
    pub(crate) fn split(&self, theirs: impl Fn(&Meter) -> bool) -> (Self, Self) {
        let mut halves = (*self, *self);
        halves.0.meters = Meters::EMPTY;
        halves.1.meters = Meters::EMPTY;
        for meter in &self.meters {
            let half = if theirs(&meter) {
                &mut halves.1
            } else {
                &mut halves.0
            };
            half.meters.insert(&meter, &mut half.problems);
        }
        halves
    }
}
