//! The adaptive in-flight cap: how many at once, learnt from refusals.
//!
//! Choose it where a server caps what is under way and does not say at how
//! many. It takes 776 bytes. It goes on probing: at a cap of `n` it is refused once
//! in about a tenth of `n * n` requests, and uses 95 % of what there is.
//!
//! Additive increase, multiplicative decrease (Chiu and Jain, "Analysis of the
//! increase and decrease algorithms for congestion avoidance", 1989): one more
//! for each round of requests that came through while the cap was at least half
//! used, a tenth less for a refusal, as in Netflix's concurrency-limits. It is
//! not learnt from latency, as there: how long a model takes follows from how
//! much it says. A volley that was sent before a decrease was sent under the old
//! cap, and what becomes of it changes nothing more.

use core::time::Duration;

use crate::{
    error::ConfigError,
    limit::{Blocked, Flights, Limit, Refusal},
    time::Instant,
};

/// What became of a request, as far as it tells how many may be under way.
///
/// ```
/// use core::time::Duration;
/// use sendwhen::{AdaptiveInFlight, Instant, Outcome};
///
/// let after = |outcome| {
///     let mut cap = AdaptiveInFlight::new(20, 1, 100, Duration::from_secs(600))?;
///     let slot = cap.try_acquire(Instant::ZERO).unwrap();
///     cap.release(Instant::ZERO, slot, outcome);
///     Ok(cap.cap())
/// };
/// assert_eq!([after(Outcome::Refused)?, after(Outcome::Unknown)?], [18, 20]);
/// # Ok::<(), sendwhen::ConfigError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// The server took it.
    Admitted,
    /// The server refused it because too much was under way.
    Refused,
    /// Neither: lost, cancelled, refused for another reason.
    Unknown,
}

/// A cap on how many are under way at once, which moves with what becomes of
/// them.
///
/// Choose it where a server caps what is under way and does not say at how many.
/// It takes 768 bytes. It errs on both sides, since it goes on probing: at a cap
/// of `n` it is refused once in about a tenth of `n * n` requests.
///
/// ```
/// use core::time::Duration;
/// use sendwhen::{AdaptiveInFlight, Instant, Outcome};
///
/// let mut cap = AdaptiveInFlight::new(20, 1, 100, Duration::from_secs(600))?;
/// let now = Instant::ZERO;
/// let slots = [(); 20].map(|()| cap.try_acquire(now).unwrap());
/// assert!(cap.try_acquire(now).is_err());
///
/// // All of them were refused: that is one decrease.
/// for slot in slots {
///     cap.release(now, slot, Outcome::Refused);
/// }
/// assert_eq!(cap.cap(), 18);
///
/// // Eighteen came through: that is one increase.
/// for slot in [(); 18].map(|()| cap.try_acquire(now).unwrap()) {
///     cap.release(now, slot, Outcome::Admitted);
/// }
/// assert_eq!(cap.cap(), 18, "the last nine found it less than half used");
/// for slot in [(); 18].map(|()| cap.try_acquire(now).unwrap()) {
///     cap.release(now, slot, Outcome::Admitted);
/// }
/// assert_eq!(cap.cap(), 19);
/// # Ok::<(), sendwhen::ConfigError>(())
/// ```
///
/// ![what it lets pass](https://raw.githubusercontent.com/sendwhen/sendwhen/main/docs/shapes/adaptive.svg)
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AdaptiveInFlight {
    cap: u32,
    least: u32,
    most: u32,
    /// How many came through since the cap last moved.
    passed: u32,
    /// How often the cap was lowered; wraps.
    round: u32,
    flights: Flights,
    /// The latest instant seen: places are taken in the order of time.
    latest: Instant,
}

/// A place under an [`AdaptiveInFlight`] cap.
///
/// ```
/// use core::time::Duration;
/// use sendwhen::{AdaptiveInFlight, Instant, Limit};
///
/// // As a limit among others, places are taken several at a time.
/// let mut cap = AdaptiveInFlight::new(20, 1, 100, Duration::from_secs(600))?;
/// let mut slot = cap.charge(Instant::ZERO, 3);
/// cap.refund(Instant::ZERO, &mut slot, 2);
/// assert_eq!(cap.taken(Instant::ZERO), 1);
/// # Ok::<(), sendwhen::ConfigError>(())
/// ```
#[derive(PartialEq, Eq, Debug)]
#[must_use = "a place that is not released is taken until it expires"]
pub struct AdaptiveSlot {
    slice: u64,
    count: u32,
    round: u32,
}

impl AdaptiveInFlight {
    /// At first `start` at once, and always between `least` and `most`; a place
    /// that is not given back is free again after `lifetime`, at most an eighth
    /// of it later.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{AdaptiveInFlight, ConfigError};
    ///
    /// const HOUR: Duration = Duration::from_secs(3_600);
    /// assert!(AdaptiveInFlight::new(20, 1, 100, HOUR).is_ok());
    /// assert_eq!(AdaptiveInFlight::new(20, 30, 100, HOUR), Err(ConfigError::EmptyRange));
    /// ```
    ///
    /// # Errors
    /// Where `least` is 0, `start` not between it and `most`, or `lifetime`
    /// shorter than a millisecond.
    pub const fn new(
        start: u32,
        least: u32,
        most: u32,
        lifetime: Duration,
    ) -> Result<Self, ConfigError> {
        if least == 0 || start < least || most < start {
            return Err(ConfigError::EmptyRange);
        }
        match Flights::new(lifetime) {
            Ok(flights) => Ok(Self {
                cap: start,
                least,
                most,
                passed: 0,
                round: 0,
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
    /// use sendwhen::{AdaptiveInFlight, Instant, Refusal};
    ///
    /// let mut cap = AdaptiveInFlight::new(1, 1, 100, Duration::from_secs(8))?;
    /// assert_eq!(cap.peek(Instant::ZERO), Ok(()));
    /// let _held = cap.try_acquire(Instant::ZERO).unwrap();
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
    /// use sendwhen::{AdaptiveInFlight, Instant};
    ///
    /// let mut cap = AdaptiveInFlight::new(2, 1, 100, Duration::from_secs(600))?;
    /// let held = [(); 2].map(|()| cap.try_acquire(Instant::ZERO).unwrap());
    /// assert!(cap.try_acquire(Instant::ZERO).is_err());
    /// # drop(held);
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// As [`peek`](Self::peek).
    pub fn try_acquire(&mut self, now: Instant) -> Result<AdaptiveSlot, Refusal> {
        self.peek(now)?;
        Ok(self.take(now, 1))
    }

    /// Gives a place back, and learns from what became of its request.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{AdaptiveInFlight, Instant, Outcome};
    ///
    /// let mut cap = AdaptiveInFlight::new(10, 1, 100, Duration::from_secs(600))?;
    /// let [first, second] = [(); 2].map(|()| cap.try_acquire(Instant::ZERO).unwrap());
    /// cap.release(Instant::ZERO, first, Outcome::Refused);
    /// assert_eq!(cap.cap(), 9);
    /// // It was sent before the cap fell.
    /// cap.release(Instant::ZERO, second, Outcome::Refused);
    /// assert_eq!(cap.cap(), 9);
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub fn release(&mut self, now: Instant, slot: AdaptiveSlot, outcome: Outcome) {
        let used = self.taken(now);
        self.latest = self.latest.max(now);
        let _still_held = self
            .flights
            .give_back_some(self.latest, slot.slice, slot.count);
        if slot.round != self.round {
            return;
        }
        match outcome {
            Outcome::Admitted if used.saturating_mul(2) >= self.cap => {
                self.passed = self.passed.saturating_add(slot.count);
                if self.passed >= self.cap {
                    self.passed = 0;
                    self.cap = self.cap.saturating_add(1).min(self.most);
                }
            }
            Outcome::Refused => {
                let lower = self.cap.saturating_sub(self.cap.div_ceil(10));
                self.cap = lower.max(self.least);
                self.passed = 0;
                self.round = self.round.wrapping_add(1);
            }
            Outcome::Admitted | Outcome::Unknown => {}
        }
    }

    /// How many may be under way.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::AdaptiveInFlight;
    ///
    /// let cap = AdaptiveInFlight::new(20, 1, 100, Duration::from_secs(600))?;
    /// assert_eq!(cap.cap(), 20);
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub const fn cap(&self) -> u32 {
        self.cap
    }

    /// How many places are taken at `now`.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sendwhen::{AdaptiveInFlight, Instant};
    ///
    /// let mut cap = AdaptiveInFlight::new(20, 1, 100, Duration::from_secs(8))?;
    /// let _vanished = cap.try_acquire(Instant::ZERO).unwrap();
    /// assert_eq!(cap.taken(Instant::from_secs(8)), 1);
    /// assert_eq!(cap.taken(Instant::from_secs(9)), 0);
    /// # Ok::<(), sendwhen::ConfigError>(())
    /// ```
    pub fn taken(&self, now: Instant) -> u32 {
        self.flights.count(now.max(self.latest))
    }

    fn room(&self, now: Instant, count: u32) -> Result<(), Refusal> {
        let Some(before) = self.cap.checked_sub(count) else {
            // The cap may rise to it, but not by waiting.
            return Err(Refusal::Never);
        };
        match self.flights.at_most(now.max(self.latest), before) {
            None => Ok(()),
            Some(until) => Err(Refusal::Until(until)),
        }
    }

    fn take(&mut self, now: Instant, count: u32) -> AdaptiveSlot {
        self.latest = self.latest.max(now);
        AdaptiveSlot {
            slice: self.flights.take_some(self.latest, count),
            count,
            round: self.round,
        }
    }
}

/// An amount is a number of places. Giving them back teaches nothing; to learn,
/// [`release`](AdaptiveInFlight::release) the slot instead.
impl Limit for AdaptiveInFlight {
    type Amount = u32;
    type Charge = AdaptiveSlot;

    fn peek(&self, now: Instant, count: u32) -> Result<(), Blocked> {
        self.room(now, count).map_err(Blocked::alone)
    }

    fn charge(&mut self, now: Instant, count: u32) -> AdaptiveSlot {
        self.take(now, count)
    }

    fn refund(&mut self, now: Instant, slot: &mut AdaptiveSlot, count: u32) {
        let count = count.min(slot.count);
        slot.count = slot.count.saturating_sub(count);
        self.latest = self.latest.max(now);
        let _still_held = self.flights.give_back_some(self.latest, slot.slice, count);
    }
}
