//! The in-flight cap: so many at once, and no more.
//!
//! Choose it where a server caps what is under way, and says at how many; where
//! it does not say, [`AdaptiveInFlight`](crate::AdaptiveInFlight). It takes 760
//! bytes. It errs by what was lost: a place whose owner vanished is taken for
//! up to an eighth longer than its lifetime.
//!
//! Whoever holds a place may vanish without giving it back, so places expire.
//! They expire in constant space: time is cut into slices of an eighth of the
//! lifetime, the places taken in one slice are one count, and that count
//! expires at once, between one and one and an eighth lifetimes after they were
//! taken. Giving back an expired place does nothing.

use core::time::Duration;

use crate::{
    error::ConfigError,
    limit::{Blocked, Limit, Refusal},
    time::{Instant, nanos},
    units::{Cost, Dimension},
};

/// A cap on how many are under way at once.
///
/// Choose it where a server caps what is under way, and says at how many. It takes
/// 752 bytes. It errs by what was lost: such a place is taken for up to an eighth
/// longer than its lifetime.
///
/// ```
/// use core::time::Duration;
/// use sendwhen::{InFlight, Instant, Refusal};
///
/// let mut cap = InFlight::new(2, Duration::from_secs(600))?;
/// let now = Instant::ZERO;
/// let first = cap.try_acquire(now).unwrap();
/// let second = cap.try_acquire(now).unwrap();
/// assert!(matches!(cap.try_acquire(now), Err(Refusal::Until(_))));
/// cap.release(now, first);
/// assert!(cap.try_acquire(now).is_ok());
/// # drop(second);
/// # Ok::<(), sendwhen::ConfigError>(())
/// ```
///
/// ![what it lets pass](https://raw.githubusercontent.com/sendwhen/sendwhen/main/docs/shapes/in-flight.svg)
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InFlight {
    cap: u32,
    flights: Flights,
    /// The latest instant seen: places are taken in the order of time.
    latest: Instant,
}

/// A place under an [`InFlight`] cap.
///
/// ```
/// use core::time::Duration;
/// use sendwhen::{InFlight, Instant, Limit};
///
/// // As a limit among others, places are taken several at a time.
/// let mut cap = InFlight::new(5, Duration::from_secs(600))?;
/// let mut slot = cap.charge(Instant::ZERO, 3);
/// cap.refund(Instant::ZERO, &mut slot, 2);
/// assert_eq!(cap.taken(Instant::ZERO), 1);
/// # Ok::<(), sendwhen::ConfigError>(())
/// ```
#[derive(PartialEq, Eq, Debug)]
#[must_use = "a place that is not released is taken until it expires"]
pub struct Slot {
    slice: u64,
    count: u32,
}

impl InFlight {
    /// At most `cap` at once; a place that is not given back is free again
    /// after `lifetime`, at most an eighth of it later.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{ConfigError, InFlight};
    ///
    /// assert!(InFlight::new(5, Duration::from_secs(600)).is_ok());
    /// assert_eq!(InFlight::new(0, Duration::from_secs(600)), Err(ConfigError::ZeroInFlight));
    /// ```
    ///
    /// # Errors
    /// Where `cap` is 0, or `lifetime` shorter than a millisecond.
    pub const fn new(cap: u32, lifetime: Duration) -> Result<Self, ConfigError> {
        if cap == 0 {
            return Err(ConfigError::ZeroInFlight);
        }
        match Flights::new(lifetime) {
            Ok(flights) => Ok(Self {
                cap,
                flights,
                latest: Instant::ZERO,
            }),
            Err(error) => Err(error),
        }
    }

    /// Whether there is a place at `now`.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{InFlight, Instant, Refusal};
    ///
    /// let mut cap = InFlight::new(1, Duration::from_secs(8))?;
    /// assert_eq!(cap.peek(Instant::ZERO), Ok(()));
    /// let _vanished = cap.try_acquire(Instant::ZERO).unwrap();
    /// assert_eq!(cap.peek(Instant::ZERO), Err(Refusal::Until(Instant::from_secs(9))));
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// [`Refusal::Until`] the instant at which enough places expire.
    pub fn peek(&self, now: Instant) -> Result<(), Refusal> {
        self.room(now, 1)
    }

    /// Takes a place at `now`.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{InFlight, Instant};
    ///
    /// let mut cap = InFlight::new(2, Duration::from_secs(600))?;
    /// let held = [(); 2].map(|()| cap.try_acquire(Instant::ZERO).unwrap());
    /// assert!(cap.try_acquire(Instant::ZERO).is_err());
    /// # drop(held);
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// As [`peek`](Self::peek).
    pub fn try_acquire(&mut self, now: Instant) -> Result<Slot, Refusal> {
        self.peek(now)?;
        Ok(self.take(now, 1))
    }

    /// Gives a place back.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{InFlight, Instant};
    ///
    /// let mut cap = InFlight::new(1, Duration::from_secs(600))?;
    /// let held = cap.try_acquire(Instant::ZERO).unwrap();
    /// cap.release(Instant::from_secs(3), held);
    /// assert!(cap.try_acquire(Instant::from_secs(3)).is_ok());
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub fn release(&mut self, now: Instant, mut slot: Slot) {
        self.refund(now, &mut slot, u32::MAX);
    }

    /// How many places are taken at `now`.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{InFlight, Instant};
    ///
    /// let mut cap = InFlight::new(5, Duration::from_secs(8))?;
    /// let _vanished = cap.try_acquire(Instant::ZERO).unwrap();
    /// assert_eq!(cap.taken(Instant::from_secs(8)), 1);
    /// assert_eq!(cap.taken(Instant::from_secs(9)), 0);
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub fn taken(&self, now: Instant) -> u32 {
        self.flights.count(now.max(self.latest))
    }

    /// Changes the cap. Who is under way stays so; where that is more than the
    /// new cap, nothing passes until it is less.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{InFlight, Instant};
    ///
    /// let mut cap = InFlight::new(2, Duration::from_secs(600))?;
    /// let [first, second] = [(); 2].map(|()| cap.try_acquire(Instant::ZERO).unwrap());
    /// cap.set(1)?;
    /// cap.release(Instant::ZERO, first);
    /// assert!(cap.peek(Instant::ZERO).is_err());
    /// cap.release(Instant::ZERO, second);
    /// assert!(cap.peek(Instant::ZERO).is_ok());
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// Where `cap` is 0; then nothing changes.
    pub const fn set(&mut self, cap: u32) -> Result<(), ConfigError> {
        if cap == 0 {
            return Err(ConfigError::ZeroInFlight);
        }
        self.cap = cap;
        Ok(())
    }

    fn room(&self, now: Instant, count: u32) -> Result<(), Refusal> {
        let Some(before) = self.cap.checked_sub(count) else {
            return Err(Refusal::Never);
        };
        match self.flights.at_most(now.max(self.latest), before) {
            None => Ok(()),
            Some(until) => Err(Refusal::Until(until)),
        }
    }

    fn take(&mut self, now: Instant, count: u32) -> Slot {
        self.latest = self.latest.max(now);
        Slot {
            slice: self.flights.take_some(self.latest, count),
            count,
        }
    }
}

/// An amount is a number of places.
impl Limit for InFlight {
    type Amount = u32;
    type Charge = Slot;

    fn peek(&self, now: Instant, count: u32) -> Result<(), Blocked> {
        self.room(now, count).map_err(Blocked::alone)
    }

    fn charge(&mut self, now: Instant, count: u32) -> Slot {
        self.take(now, count)
    }

    fn refund(&mut self, now: Instant, slot: &mut Slot, count: u32) {
        let count = count.min(slot.count);
        slot.count = slot.count.saturating_sub(count);
        self.latest = self.latest.max(now);
        let _still_held = self.flights.give_back_some(self.latest, slot.slice, count);
    }
}

/// How many flights there are, and what was charged for them, by slices of
/// time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Flights {
    /// Nanoseconds of a slice, at least 1.
    slice: u64,
    /// The newest slice: most questions are about it, and spare a division and
    /// a sum.
    newest: u64,
    /// How many there are in it and those that live with it.
    count: u64,
    slices: [Slice; SLICES],
}

/// Those that live, and the one that is being filled.
const SLICES: usize = 9;

/// How many slices a lifetime is cut into.
const LIVE: u64 = 8;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Slice {
    /// Its number since the origin.
    number: u64,
    count: u32,
    sums: Cost,
}

impl Slice {
    const EMPTY: Self = Self {
        number: 0,
        count: 0,
        sums: Cost::ZERO,
    };
}

impl Flights {
    pub(crate) const fn new(lifetime: Duration) -> Result<Self, ConfigError> {
        if lifetime.as_millis() == 0 {
            return Err(ConfigError::LifetimeTooShort);
        }
        Ok(Self::over(lifetime))
    }

    /// As [`new`](Self::new), for a lifetime that is known to be long enough.
    pub(crate) const fn over(lifetime: Duration) -> Self {
        Self {
            slice: nanos(lifetime).div_ceil(LIVE),
            newest: 0,
            count: 0,
            slices: [Slice::EMPTY; SLICES],
        }
    }

    /// Counts one taken at `now`; gives the number of its slice.
    pub(crate) fn take(&mut self, now: Instant, cost: &Cost) -> u64 {
        let number = self.take_some(now, 1);
        if let Some(slice) = self.slice_mut(number) {
            slice.sums.raise_by(cost);
        }
        number
    }

    /// Counts `count` taken at `now`, for nothing; gives the number of their
    /// slice.
    pub(crate) fn take_some(&mut self, now: Instant, count: u32) -> u64 {
        let number = self.number(now);
        if number != self.newest {
            self.count = self.count_at(number);
            self.newest = number;
        }
        if let Some(slice) = self.slice_mut(number) {
            if slice.number != number {
                *slice = Slice {
                    number,
                    ..Slice::EMPTY
                };
            }
            let before = slice.count;
            slice.count = before.saturating_add(count);
            let more = slice.count.saturating_sub(before);
            self.count = self.count.saturating_add(more.into());
        }
        number
    }

    /// Forgets one of slice `number`. False where it has expired.
    pub(crate) fn give_back(&mut self, now: Instant, number: u64, cost: &Cost) -> bool {
        let is_held = self.give_back_some(now, number, 1);
        if is_held {
            self.forget(number, cost);
        }
        is_held
    }

    /// Forgets `count` of slice `number`, that were for nothing. False where
    /// they have expired.
    pub(crate) fn give_back_some(&mut self, now: Instant, number: u64, count: u32) -> bool {
        if !is_live(number, self.number(now)) {
            return false;
        }
        match self.slice_mut(number) {
            Some(slice) if slice.number == number && slice.count > 0 => {
                let less = slice.count.min(count);
                slice.count = slice.count.saturating_sub(less);
                self.count = self.count.saturating_sub(less.into());
                true
            }
            _ => false,
        }
    }

    /// Whether one of slice `number` has not expired.
    pub(crate) fn holds(&self, now: Instant, number: u64) -> bool {
        is_live(number, self.number(now))
    }

    /// Forgets what was charged for one of slice `number`, but not the one.
    pub(crate) fn forget(&mut self, number: u64, charges: &Cost) {
        if let Some(slice) = self.slice_mut(number).filter(|s| s.number == number) {
            slice.sums.lower_by(charges);
        }
    }

    /// How many there are at `now`.
    pub(crate) fn count(&self, now: Instant) -> u32 {
        let number = self.number(now);
        let count = if number == self.newest {
            self.count
        } else {
            self.count_at(number)
        };
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    fn count_at(&self, number: u64) -> u64 {
        self.live_at(number)
            .map(|slice| u64::from(slice.count))
            .sum()
    }

    /// What was charged of `dimension` for those that there are at `now`.
    pub(crate) fn sum(&self, now: Instant, dimension: Dimension) -> u64 {
        self.live(now).fold(0, |sum, slice| {
            sum.saturating_add(slice.sums.get(dimension))
        })
    }

    /// `None` where there are fewer than `cap` at `now`, else the instant at
    /// which enough have expired.
    pub(crate) fn below(&self, now: Instant, cap: u32) -> Option<Instant> {
        match cap.checked_sub(1) {
            Some(most) => self.at_most(now, most),
            None => Some(Instant::MAX),
        }
    }

    /// `None` where there are at most `most` at `now`, else the instant at
    /// which enough have expired.
    pub(crate) fn at_most(&self, now: Instant, most: u32) -> Option<Instant> {
        let mut count = self.count(now);
        let mut until = None;
        while count > most {
            // The oldest that has not been counted off yet.
            let after = until.map(|(number, _)| number);
            let next = self
                .live(now)
                .filter(|s| s.count > 0 && after.is_none_or(|after| s.number > after))
                .min_by_key(|s| s.number)?;
            count = count.saturating_sub(next.count);
            until = Some((next.number, self.expiry_of(next.number)));
        }
        until.map(|(_, at)| at)
    }

    /// When one taken at `taken` expires.
    pub(crate) const fn expiry(&self, taken: Instant) -> Instant {
        self.expiry_of(self.number(taken))
    }

    fn live(&self, now: Instant) -> impl Iterator<Item = &Slice> {
        self.live_at(self.number(now))
    }

    fn live_at(&self, current: u64) -> impl Iterator<Item = &Slice> {
        self.slices
            .iter()
            .filter(move |slice| is_live(slice.number, current))
    }

    const fn number(&self, at: Instant) -> u64 {
        let into_newest = at
            .as_nanos()
            .wrapping_sub(self.newest.wrapping_mul(self.slice));
        if into_newest < self.slice {
            return self.newest;
        }
        match at.as_nanos().checked_div(self.slice) {
            Some(number) => number,
            None => 0,
        }
    }

    const fn expiry_of(&self, number: u64) -> Instant {
        Instant::from_nanos(
            self.slice
                .saturating_mul(number.saturating_add(SLICES as u64)),
        )
    }

    fn slice_mut(&mut self, number: u64) -> Option<&mut Slice> {
        let place = number
            .checked_rem(SLICES as u64)
            .and_then(|place| usize::try_from(place).ok())
            .unwrap_or_default();
        self.slices.get_mut(place)
    }
}

/// Whether slice `number` is at most eight before the current one.
const fn is_live(number: u64, current: u64) -> bool {
    current.saturating_sub(number) <= LIVE
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFETIME: Duration = Duration::from_secs(8);

    #[test]
    fn a_place_that_is_not_given_back_expires() {
        let mut cap = InFlight::new(1, LIFETIME).unwrap();
        let lost = cap.try_acquire(Instant::from_millis(500)).unwrap();
        let Err(Refusal::Until(until)) = cap.try_acquire(Instant::from_secs(1)) else {
            panic!("there is no place");
        };
        assert_eq!(until, Instant::from_secs(9));
        let early = Instant::from_nanos(until.as_nanos() - 1);
        assert!(cap.peek(early).is_err());
        let _held = cap.try_acquire(until).unwrap();
        cap.release(until, lost);
        assert_eq!(
            cap.taken(until),
            1,
            "giving back an expired place does nothing"
        );
    }

    #[test]
    fn enough_places_must_expire() {
        let mut flights = Flights::new(LIFETIME).unwrap();
        for second in 0..3 {
            flights.take(Instant::from_secs(second), &Cost::ZERO);
        }
        let now = Instant::from_secs(3);
        assert_eq!(flights.below(now, 4), None);
        assert_eq!(flights.below(now, 3), Some(Instant::from_secs(9)));
        assert_eq!(flights.below(now, 1), Some(Instant::from_secs(11)));
    }

    #[test]
    fn one_is_given_back_once_and_not_for_another() {
        let mut flights = Flights::new(LIFETIME).unwrap();
        let first = flights.take_some(Instant::ZERO, 1);
        assert!(flights.give_back_some(Instant::ZERO, first, 1));
        assert!(!flights.give_back_some(Instant::ZERO, first, 1));
        // Nine slices later its place is another's, whatever the clock does then.
        let _other = flights.take_some(Instant::from_secs(9), 1);
        assert!(!flights.give_back_some(Instant::from_secs(5), first, 1));
        assert_eq!(flights.count(Instant::from_secs(9)), 1);
        assert!(flights.holds(Instant::from_secs(8), first));
        assert!(!flights.holds(Instant::from_secs(9), first));
    }

    #[test]
    fn a_lifetime_of_nothing_and_a_cap_of_nothing_are_refused() {
        assert_eq!(InFlight::new(0, LIFETIME), Err(ConfigError::ZeroInFlight));
        assert_eq!(
            InFlight::new(1, Duration::from_micros(999)),
            Err(ConfigError::LifetimeTooShort)
        );
    }
}
