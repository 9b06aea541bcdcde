//! The two clocks: a monotonic one for pacing, a wall one for what headers say.
//!
//! They are different types because mixing them up is the oldest fault of the
//! field: an epoch read as a delay waits fifty years, a pacing clock that
//! follows the wall stands still when the wall is set back.

use core::time::Duration;

/// A point on the monotonic clock: nanoseconds since an origin that the caller
/// picks, once, and keeps.
///
/// It holds 584 years. Nothing in this crate reads a clock; every verb that
/// needs the time takes one of these.
///
/// ```
/// use core::time::Duration;
/// use sendwhen::Instant;
///
/// let start = Instant::from_secs(10);
/// let later = start.saturating_add(Duration::from_millis(1_500));
/// assert_eq!(later.saturating_duration_since(start), Duration::from_millis(1_500));
/// assert_eq!(start.saturating_duration_since(later), Duration::ZERO);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Instant(u64);

impl Instant {
    /// The origin.
    pub const ZERO: Self = Self(0);
    /// The last instant there is, 584 years after the origin.
    pub const MAX: Self = Self(u64::MAX);

    /// The instant `nanos` nanoseconds after the origin.
    #[inline]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// The instant `millis` milliseconds after the origin; past the end of the
    /// clock, its end.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    /// The instant `secs` seconds after the origin; past the end of the clock,
    /// its end.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1_000_000_000))
    }

    /// Nanoseconds since the origin.
    #[inline]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// This instant and `span` more; past the end of the clock, its end.
    #[must_use]
    #[inline]
    pub const fn saturating_add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(nanos(span)))
    }

    /// This instant and `span` more, or `None` past the end of the clock.
    pub const fn checked_add(self, span: Duration) -> Option<Self> {
        let wide = span.as_nanos();
        if wide > u64::MAX as u128 {
            return None;
        }
        match self.0.checked_add(nanos(span)) {
            Some(sum) => Some(Self(sum)),
            None => None,
        }
    }

    /// This instant less `span`; before the origin, the origin.
    #[must_use]
    #[inline]
    pub const fn saturating_sub(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(span)))
    }

    /// The next instant; past the end of the clock, its end.
    pub(crate) const fn just_after(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// How long after `earlier` this is; nothing where it is not after it.
    #[inline]
    pub const fn saturating_duration_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// How long after `earlier` this is, or `None` where it is before it.
    pub const fn checked_duration_since(self, earlier: Self) -> Option<Duration> {
        match self.0.checked_sub(earlier.0) {
            Some(nanos) => Some(Duration::from_nanos(nanos)),
            None => None,
        }
    }
}

#[cfg(feature = "std")]
impl Instant {
    /// The instant at which `t` lies, with `origin` as zero. A `t` before the
    /// origin is the origin.
    ///
    /// ```
    /// let origin = std::time::Instant::now();
    /// let t = origin + core::time::Duration::from_secs(2);
    /// assert_eq!(sendwhen::Instant::from_std(origin, t), sendwhen::Instant::from_secs(2));
    /// ```
    pub fn from_std(origin: std::time::Instant, t: std::time::Instant) -> Self {
        Self(nanos(t.saturating_duration_since(origin)))
    }

    /// The `std` instant at which this lies, with `origin` as zero, or `None`
    /// where the platform cannot represent it.
    pub fn to_std(self, origin: std::time::Instant) -> Option<std::time::Instant> {
        origin.checked_add(Duration::from_nanos(self.0))
    }
}

/// A point on the wall clock: milliseconds since 1970-01-01T00:00:00 UTC, leap
/// seconds not counted, negative before.
///
/// Wall time enters this crate only where a header carries a date, and leaves
/// it there: what the limiter sees are spans.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct UnixTime(i64);

impl UnixTime {
    /// The time `millis` milliseconds after the epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// The time `secs` seconds after the epoch; out of range, the end of it.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1_000))
    }

    /// Milliseconds since the epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Milliseconds from `earlier` to this, negative where this is before it;
    /// saturating.
    pub const fn millis_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

#[cfg(feature = "std")]
impl From<std::time::SystemTime> for UnixTime {
    /// Rounds towards the past, to a millisecond; saturating.
    fn from(t: std::time::SystemTime) -> Self {
        match t.duration_since(std::time::UNIX_EPOCH) {
            Ok(after) => Self(i64::try_from(after.as_millis()).unwrap_or(i64::MAX)),
            Err(before) => {
                let ms = before.duration().as_nanos().div_ceil(1_000_000);
                Self(i64::try_from(ms).map_or(i64::MIN, |ms| ms.saturating_neg()))
            }
        }
    }
}

#[cfg(feature = "std")]
impl TryFrom<UnixTime> for std::time::SystemTime {
    type Error = OutOfRange;

    /// Fails where the platform cannot represent it.
    fn try_from(t: UnixTime) -> Result<Self, OutOfRange> {
        let span = Duration::from_millis(t.0.unsigned_abs());
        let epoch = Self::UNIX_EPOCH;
        let there = if t.0 < 0 {
            epoch.checked_sub(span)
        } else {
            epoch.checked_add(span)
        };
        there.ok_or(OutOfRange)
    }
}

/// A time that the platform's own type cannot hold.
#[cfg(feature = "std")]
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the platform's clock cannot represent this time")]
#[non_exhaustive]
pub struct OutOfRange;

/// Whole nanoseconds of `span`, or all that a `u64` holds: 584 years.
#[inline]
pub(crate) const fn nanos(span: Duration) -> u64 {
    // Where the seconds saturate the sum does too.
    let seconds = span.as_secs().saturating_mul(1_000_000_000);
    seconds.saturating_add(span.subsec_nanos() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_of_the_clock_hold() {
        assert_eq!(Instant::MAX.saturating_add(Duration::MAX), Instant::MAX);
        assert_eq!(Instant::ZERO.saturating_sub(Duration::MAX), Instant::ZERO);
        assert_eq!(Instant::MAX.checked_add(Duration::from_nanos(1)), None);
        assert_eq!(Instant::ZERO.checked_add(Duration::MAX), None);
        assert_eq!(Instant::from_secs(u64::MAX), Instant::MAX);
        assert_eq!(
            UnixTime::from_secs(i64::MIN),
            UnixTime::from_millis(i64::MIN)
        );
        assert_eq!(
            UnixTime::from_millis(i64::MIN).millis_since(UnixTime::from_millis(1)),
            i64::MIN
        );
    }

    #[cfg(feature = "std")]
    #[test]
    fn wall_time_before_the_epoch_rounds_towards_the_past() {
        let t = std::time::UNIX_EPOCH - Duration::from_micros(1_500);
        assert_eq!(UnixTime::from(t), UnixTime::from_millis(-2));
        let t = std::time::UNIX_EPOCH + Duration::from_micros(1_500);
        assert_eq!(UnixTime::from(t), UnixTime::from_millis(1));
        for millis in [-86_400_001, -1, 0, 1_700_000_000_123] {
            let t = UnixTime::from_millis(millis);
            let there = std::time::SystemTime::try_from(t).unwrap();
            assert_eq!(UnixTime::from(there), t);
        }
    }
}
