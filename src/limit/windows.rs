//! Where windows begin and end. Windows of one length follow each other, from
//! an edge that is known or from the first use.

use core::time::Duration;

use crate::{
    error::ConfigError,
    time::{Instant, UnixTime, nanos},
};

/// Windows that follow each other, and the newest one that was used.
///
/// All starts are kept one length later than they are: the window in which the
/// clock begins may have begun before it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Windows {
    /// Nanoseconds, at least 1, below 2^63.
    length: u64,
    /// When the newest began, one length late. Below 2^65.
    start: u128,
    /// Whether the next one begins where it ends, or with the next use.
    aligned: bool,
}

/// What a limit that counts by windows remembers of a charge, so that it can be
/// given back.
///
/// ```
/// use core::time::Duration;
/// use sendwhen::{FixedWindow, Instant};
///
/// let mut window = FixedWindow::new(50, Duration::from_secs(60))?;
/// let mut charge = window.try_acquire(Instant::ZERO, 30).unwrap();
/// window.refund(&mut charge, 10);
/// assert_eq!(charge.amount(), 20);
/// # Ok::<(), sendwhen::ConfigError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct WindowCharge {
    pub(super) amount: u64,
    pub(super) start: u128,
}

impl WindowCharge {
    /// How much was charged and has not been given back.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{Instant, SlidingCounter};
    ///
    /// let mut counter = SlidingCounter::new(60, Duration::from_secs(60))?;
    /// assert_eq!(counter.charge(Instant::ZERO, 7).amount(), 7);
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub const fn amount(&self) -> u64 {
        self.amount
    }
}

/// A window, seen from the newest that was used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    /// The same; also where the clock went back.
    Same,
    /// The one right after it, which began at this start.
    Next(u128),
    /// One after that.
    Later(u128),
    /// None: the next use begins one.
    None,
}

impl Windows {
    pub(super) const fn new(length: Duration) -> Result<Self, ConfigError> {
        let wide = length.as_nanos();
        if wide == 0 {
            return Err(ConfigError::ZeroWindow);
        }
        if wide > i64::MAX as u128 {
            return Err(ConfigError::WindowOutOfRange);
        }
        Ok(Self {
            length: nanos(length),
            start: 0,
            aligned: false,
        })
    }

    /// One of them begins at `edge`.
    pub(super) const fn aligned_to(mut self, edge: Instant) -> Self {
        self.align(edge.as_nanos() as i128);
        self
    }

    /// They begin at whole multiples of their length since 1970, the wall clock
    /// being at `wall` at `now`.
    pub(super) const fn aligned_to_epoch(mut self, now: Instant, wall: UnixTime) -> Self {
        let wall = (wall.as_millis() as i128).saturating_mul(1_000_000);
        self.align((now.as_nanos() as i128).saturating_sub(wall));
        self
    }

    #[expect(
        clippy::cast_sign_loss,
        reason = "a Euclidean remainder is not negative"
    )]
    const fn align(&mut self, edge: i128) {
        let phase = match edge.checked_rem_euclid(self.length as i128) {
            Some(phase) => phase as u128,
            None => 0,
        };
        // The window in which the clock begins.
        self.start = if phase == 0 {
            self.length as u128
        } else {
            phase
        };
        self.aligned = true;
    }

    pub(super) const fn length(&self) -> u64 {
        self.length
    }

    /// The start of the newest.
    pub(super) const fn start(&self) -> u128 {
        self.start
    }

    /// `now`, one length late.
    pub(super) const fn late(&self, now: Instant) -> u128 {
        (now.as_nanos() as u128).saturating_add(self.length as u128)
    }

    /// The window of `now`.
    #[inline]
    pub(super) fn place(&self, now: Instant) -> Place {
        let length = u128::from(self.length);
        let into = self.late(now).saturating_sub(self.start);
        if into < length {
            return Place::Same;
        }
        if !self.aligned {
            return Place::None;
        }
        let begun = |windows: u128| self.start.saturating_add(length.saturating_mul(windows));
        match into.checked_div(length).unwrap_or_default() {
            1 => Place::Next(begun(1)),
            later => Place::Later(begun(later)),
        }
    }

    /// How far into the window that began at `start` this is.
    pub(super) fn elapsed(&self, start: u128, now: Instant) -> u64 {
        let into = self.late(now).saturating_sub(start);
        u64::try_from(into).unwrap_or(u64::MAX)
    }

    /// The instant `into` after `start`.
    pub(super) fn instant(&self, start: u128, into: u128) -> Instant {
        let late = start.saturating_add(into);
        let at = late.saturating_sub(u128::from(self.length));
        Instant::from_nanos(u64::try_from(at).unwrap_or(u64::MAX))
    }

    /// When the window that began at `start` ends.
    pub(super) fn end(&self, start: u128) -> Instant {
        self.instant(start, u128::from(self.length))
    }

    /// From here on the newest is the one that began at `start`.
    pub(super) const fn move_to(&mut self, start: u128) {
        self.start = start;
    }

    /// A window begins at `now`, because it is used.
    pub(super) const fn begin(&mut self, now: Instant) {
        self.start = self.late(now);
    }

    /// As [`begin`](Self::begin), and the others follow it without a gap.
    pub(super) const fn begin_for_ever(&mut self, now: Instant) {
        self.begin(now);
        self.aligned = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    const fn at(secs: u64) -> Instant {
        Instant::from_secs(secs)
    }

    #[test]
    fn an_edge_holds_for_all_time_before_and_after() {
        let windows = Windows::new(MINUTE).unwrap().aligned_to(at(150));
        assert_eq!(windows.place(at(29)), Place::Same);
        let Place::Next(start) = windows.place(at(30)) else {
            panic!("a minute after half past begins at half past");
        };
        assert_eq!(windows.end(start), at(90));
        assert_eq!(windows.elapsed(start, at(89)), 59_000_000_000);
        assert!(matches!(windows.place(at(90)), Place::Later(_)));
    }

    #[test]
    fn the_wall_clock_says_where_minutes_begin() {
        // At ten seconds on this clock it is 40 s past a minute on the wall's,
        // long after 1970 or before.
        for minutes in [29_000_000, 0, -29_000_000] {
            let wall = UnixTime::from_secs(minutes * 60 + 40);
            let windows = Windows::new(MINUTE).unwrap();
            let windows = windows.aligned_to_epoch(at(10), wall);
            assert_eq!(windows.place(at(29)), Place::Same);
            assert_eq!(windows.end(windows.start()), at(30));
        }
    }

    #[test]
    fn the_ends_of_the_clock_hold() {
        let longest = Duration::from_nanos((1 << 63) - 1);
        for length in [Duration::from_nanos(1), longest] {
            let windows = Windows::new(length).unwrap();
            assert_eq!(windows.place(Instant::MAX), Place::None);
            let aligned = windows.aligned_to(Instant::MAX);
            let Place::Later(start) = aligned.place(Instant::MAX) else {
                panic!("it begins at the end of the clock");
            };
            assert_eq!(aligned.elapsed(start, Instant::MAX), 0);
            assert_eq!(aligned.end(start), Instant::MAX);
        }
        let none = Windows::new(Duration::ZERO);
        assert_eq!(none, Err(ConfigError::ZeroWindow));
        let endless = Windows::new(Duration::MAX);
        assert_eq!(endless, Err(ConfigError::WindowOutOfRange));
    }
}
