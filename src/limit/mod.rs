//! Layer 1, what may pass: one algorithm a file, each usable alone.
//!
//! In comes an instant and an amount, out goes leave or a [`Refusal`]. Nothing
//! here knows a request or a server, and of dimensions only that a cost has one
//! amount of each.
//!
//! Which to choose, and what each lets pass, is at [`Limit`]; when, at what
//! price and how exactly, at the top of each file.

mod adaptive;
mod bucket;
mod counter;
mod fixed;
mod in_flight;
mod joint;
mod log;
mod pause;
mod quota;
mod smooth_ramp;
mod spacing;
mod step_ramp;
mod windows;

use thiserror::Error;

pub use adaptive::{AdaptiveInFlight, AdaptiveSlot, Outcome};
pub use bucket::{Charge, Reservation, TokenBucket};
pub(crate) use bucket::{ticks, tokens};
pub use counter::SlidingCounter;
pub use fixed::FixedWindow;
pub(crate) use in_flight::Flights;
pub use in_flight::{InFlight, Slot};
pub use joint::{Borrowed, Of, Together};
pub use log::{LogCharge, LogEntry, SlidingLog};
pub use pause::{Pause, SpreadPause};
pub use quota::{Quota, QuotaCharge};
pub use smooth_ramp::{RampCharge, SmoothRamp};
pub use spacing::{Spacing, SpacingCharge, Turn};
pub use step_ramp::StepRamp;
pub use windows::WindowCharge;

use crate::time::Instant;

/// Why one limit does not let something pass.
///
/// ```
/// use sendwhen::{Instant, Rate, Refusal, TokenBucket};
///
/// let mut bucket = TokenBucket::new(Rate::per_second(1)?, 2)?;
/// let _all = bucket.charge(Instant::ZERO, 2);
/// assert_eq!(bucket.peek(Instant::ZERO, 2), Err(Refusal::Until(Instant::from_secs(2))));
/// assert_eq!(bucket.peek(Instant::ZERO, 3), Err(Refusal::Never));
/// # Ok::<(), sendwhen::ConfigError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[expect(
    clippy::exhaustive_enums,
    reason = "not yet and never: there is no third"
)]
pub enum Refusal {
    /// It passes at this instant and no nanosecond earlier, if nothing else
    /// happens to the limit. Always later than the `now` of the question, but
    /// at the end of the clock itself.
    #[error("not before {} ns", .0.as_nanos())]
    Until(Instant),
    /// It passes at no time: it is more than the limit ever lets through at
    /// once.
    #[error("more than the limit ever lets through at once")]
    Never,
}

/// Which of several limits binds, and until when.
///
/// ```
/// use sendwhen::{Instant, Limit, Rate, TokenBucket};
///
/// let fifty = TokenBucket::new(Rate::per_minute(50)?, 50)?;
/// let ten = TokenBucket::new(Rate::per_minute(10)?, 10)?;
/// let blocked = (fifty, ten).peek(Instant::ZERO, (50, 11)).unwrap_err();
/// assert_eq!(blocked.to_string(), "limit 1: more than the limit ever lets through at once");
/// # Ok::<(), sendwhen::ConfigError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("limit {by}: {refusal}")]
#[non_exhaustive]
pub struct Blocked {
    /// The one that binds longest: its place among all that were asked, nested
    /// ones counted one by one from the left, from 0.
    pub by: usize,
    /// Until when. All of them let it pass then, and no nanosecond earlier.
    pub refusal: Refusal,
}

impl Blocked {
    /// By a limit that is asked alone.
    ///
    /// ```
    /// use sendwhen::{Blocked, Refusal};
    ///
    /// assert_eq!(Blocked::alone(Refusal::Never).by, 0);
    /// ```
    pub const fn alone(refusal: Refusal) -> Self {
        Self { by: 0, refusal }
    }
}

/// Something that lets amounts pass, or says when it will: what all parts of
/// this layer have in common, so that several are asked as one.
///
/// A tuple of up to eight limits is a limit, whose amount is a tuple; so is an
/// array of them, and [`Together`] asks each for the same amount. It takes from
/// all or from none. [`Borrowed`] puts limits together that live elsewhere;
/// `None` limits nothing.
///
/// ```
/// use core::time::Duration;
/// use sendwhen::{InFlight, Instant, Limit, Rate, Refusal, Spacing, TokenBucket};
///
/// let mut limits = (
///     TokenBucket::new(Rate::per_minute(30_000)?, 30_000)?,
///     Spacing::new(Rate::per_second(5)?),
///     InFlight::new(8, Duration::from_secs(600))?,
/// );
/// let now = Instant::ZERO;
/// let mut first = limits.try_acquire(now, (1_200, 1, 1)).unwrap();
///
/// // One at a time: the spacing binds, and the others gave nothing.
/// let blocked = limits.try_acquire(now, (1_200, 1, 1)).unwrap_err();
/// assert_eq!(blocked.by, 1);
/// assert_eq!(blocked.refusal, Refusal::Until(Instant::from_millis(200)));
/// assert_eq!(limits.0.available(now), 28_800);
///
/// // It took less than was thought.
/// limits.refund(now, &mut first, (200, 0, 1));
/// assert_eq!(limits.0.available(now), 29_000);
/// # Ok::<(), sendwhen::ConfigError>(())
/// ```
///
/// # Which to choose
///
/// | what | choose it where | memory | what passes in any span `w` |
/// |---|---|---|---|
/// | [`TokenBucket`] | a server refills continuously | 224 B | at most `burst + rate * w` |
/// | [`TokenBucket::strict`] | every minute counts, wherever it begins | 224 B | at most the limit in a window |
/// | [`Spacing`] | requests shall come one by one, evenly | 48 B | one, then one an interval |
/// | [`SlidingLog`] | every window counts and all of the limit is wanted | 16 B an entry | at most the limit in a window, exactly |
/// | [`SlidingCounter`] | as the log, in constant space | 64 B | at most `limit + limit * w / window` |
/// | [`FixedWindow`] | a server counts by the minute on the clock | 48 B | at most the limit in each of its windows, twice that across an edge |
/// | [`Quota`] | hours, days, months; a share already spent | 64 B | at most the limit until the reset |
/// | [`InFlight`] | a server caps what is under way | 760 B | by number, not by time |
/// | [`AdaptiveInFlight`] | it does, and does not say at how many | 776 B | by number, not by time |
/// | [`Pause`], [`SpreadPause`] | a server said when to come again | 8 B, 24 B | nothing, until then |
/// | [`StepRamp`], [`SmoothRamp`] | a server refuses steep rises | 80 B, 96 B | what was used before, and a step more |
///
/// In these two minutes there is always somebody who asks, but in the grey time
/// (`cargo run --example shapes` draws it):
///
/// ![what each lets pass](https://raw.githubusercontent.com/sendwhen/sendwhen/main/docs/shapes/all.svg)
///
/// # For who implements it
///
/// `peek` is a function of the limit and of `now` alone. What passes at an
/// instant passes at every later one until something is charged: then the
/// latest of several instants is the earliest at which all of them let it
/// pass, and [`Refusal::Until`] is exact for all of them at once.
pub trait Limit {
    /// What is asked for.
    type Amount: Copy;
    /// What is remembered of a charge, so that it can be given back.
    type Charge;

    /// Of how many limits it is made.
    ///
    /// ```
    /// use sendwhen::{Limit, Rate, Spacing};
    ///
    /// let one = Spacing::new(Rate::per_second(5)?);
    /// assert_eq!((one, [one, one]).leaves(), 3);
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    fn leaves(&self) -> usize {
        1
    }

    /// Whether `amount` would pass at `now`; changes nothing.
    ///
    /// ```
    /// use sendwhen::{Instant, Limit, Rate, Spacing, TokenBucket};
    ///
    /// let bucket = TokenBucket::new(Rate::per_minute(50)?, 50)?;
    /// let limits = (Spacing::new(Rate::per_second(5)?), bucket);
    /// assert!(limits.peek(Instant::ZERO, (1, 50)).is_ok());
    /// assert_eq!(limits.peek(Instant::ZERO, (1, 51)).unwrap_err().by, 1);
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// The limit that binds, and the exact instant from which all let it pass.
    fn peek(&self, now: Instant, amount: Self::Amount) -> Result<(), Blocked>;

    /// Takes `amount` at `now`, whether it would pass or not.
    ///
    /// ```
    /// use sendwhen::{Instant, Limit, Rate, TokenBucket};
    ///
    /// let mut limits = [TokenBucket::new(Rate::per_minute(60)?, 50)?; 2];
    /// let _charges = Limit::charge(&mut limits, Instant::ZERO, [50, 60]);
    /// assert_eq!(limits.map(|bucket| bucket.debt(Instant::ZERO)), [0, 10]);
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    fn charge(&mut self, now: Instant, amount: Self::Amount) -> Self::Charge;

    /// Gives `amount` of a charge back, or all of it where that is less; never
    /// more than would be there without the charge.
    ///
    /// ```
    /// use sendwhen::{Instant, Limit, Rate, TokenBucket};
    ///
    /// let mut limits = [TokenBucket::new(Rate::per_minute(60)?, 50)?; 2];
    /// let mut charges = limits.try_acquire(Instant::ZERO, [50, 30]).unwrap();
    /// Limit::refund(&mut limits, Instant::ZERO, &mut charges, [20, u64::MAX]);
    /// assert_eq!(limits.map(|bucket| bucket.available(Instant::ZERO)), [20, 50]);
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    fn refund(&mut self, now: Instant, charge: &mut Self::Charge, amount: Self::Amount);

    /// Takes `amount` at `now` if all let it pass; changes nothing if not.
    ///
    /// ```
    /// use sendwhen::{Instant, Limit, Rate, Refusal, TokenBucket};
    ///
    /// let mut limits = [TokenBucket::new(Rate::per_minute(60)?, 50)?; 2];
    /// assert!(limits.try_acquire(Instant::ZERO, [50, 30]).is_ok());
    /// let blocked = limits.try_acquire(Instant::ZERO, [5, 5]).unwrap_err();
    /// assert_eq!((blocked.by, blocked.refusal), (0, Refusal::Until(Instant::from_secs(5))));
    /// assert_eq!(limits[1].available(Instant::ZERO), 20, "the other gave nothing");
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// As [`peek`](Self::peek).
    // Else what is remembered of several charges is copied where nobody keeps it.
    #[inline(always)]
    fn try_acquire(&mut self, now: Instant, amount: Self::Amount) -> Result<Self::Charge, Blocked> {
        self.peek(now, amount)?;
        Ok(self.charge(now, amount))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the pages of the algorithms say of their memory.
    #[test]
    fn each_takes_the_memory_that_its_page_says() {
        let sizes = [
            size_of::<TokenBucket>(),
            size_of::<Spacing>(),
            size_of::<SlidingLog<&mut [LogEntry]>>(),
            size_of::<LogEntry>(),
            size_of::<SlidingCounter>(),
            size_of::<FixedWindow>(),
            size_of::<Quota>(),
            size_of::<InFlight>(),
            size_of::<AdaptiveInFlight>(),
            size_of::<Pause>(),
            size_of::<SpreadPause>(),
            size_of::<StepRamp>(),
            size_of::<SmoothRamp>(),
        ];
        let said = [224, 48, 64, 16, 64, 48, 64, 760, 776, 8, 24, 80, 96];
        assert_eq!(sizes, said);
    }
}
