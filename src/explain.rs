//! Why something is decided, with the numbers that made it: [`Explanation`].

use core::{fmt, time::Duration};

use crate::{
    decision::{Cause, GiveUp, Never, Wait},
    time::Instant,
    units::{Dimension, Rate},
};

/// Why a request is sent now, or waits, or never passes. Prints as one line.
///
/// From [`Limiter::explain`](crate::Limiter::explain) or
/// [`Call::explain`](crate::Call::explain); to ask changes nothing.
///
/// ```
/// use sendwhen::{Dimension, Instant, Limiter, Rate, Request};
///
/// let mut limiter = Limiter::new(42).limit(Dimension::InputTokens, Rate::per_minute(6_000)?, 6_000)?;
/// let request = Request::new().input_tokens(4_000);
/// let now = Instant::from_secs(5);
/// let said = limiter.explain(now, &request).to_string();
/// assert_eq!(said, "send; nearest to its end is the limit of input tokens: \
///     6000 of 6000 there, 4000 wanted, 6000 a minute");
///
/// let _permit = limiter.try_acquire(now, &limiter.forecast(&request));
/// let said = limiter.explain(now, &request).to_string();
/// assert_eq!(said, "wait 20.000 s for the limit of input tokens: \
///     2000 of 6000 there, 4000 wanted, 6000 a minute");
/// # Ok::<(), sendwhen::ConfigError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Explanation {
    /// When it was asked for.
    pub now: Instant,
    /// What is decided.
    pub stance: Stance,
    /// The limit that binds; where none does, the one that is nearest to its
    /// end. `None` where no limit is known.
    pub level: Option<Level>,
    /// How many are in flight.
    pub flying: u32,
    /// How many of the newest the server has not been heard of.
    pub unheard: u64,
}

/// What is decided of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Stance {
    /// It is sent.
    Send,
    /// It waits.
    Wait(Wait),
    /// It can never pass.
    Never(Never),
    /// Its answer is good.
    Deliver,
    /// It is over.
    GiveUp(GiveUp),
}

/// The state of one limit, as it is believed, and what is asked of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Level {
    /// Of what.
    pub dimension: Dimension,
    /// What is there, what is charged and not produced yet included; negative
    /// where it is in debt.
    pub there: i64,
    /// The most that is ever there.
    pub capacity: u64,
    /// What comes in.
    pub rate: Rate,
    /// What the request is expected to take.
    pub wanted: u64,
    /// What is held back because the server rounds what it shows.
    pub rounding: u64,
    /// What is held back because requests that are not confirmed may take more
    /// than was expected.
    pub unconfirmed: u64,
    /// What is held back because heads showed less than was believed. The
    /// larger of this and `unconfirmed` counts.
    pub surprise: u64,
    /// What others take of all that comes in, in thousandths; 0 where nothing
    /// shows that there are any.
    pub others: u16,
}

impl Explanation {
    /// The same with all instants carried over.
    pub(crate) fn outside(mut self, carry: impl Fn(Instant) -> Instant) -> Self {
        self.now = carry(self.now);
        match &mut self.stance {
            Stance::Wait(wait) => wait.until = carry(wait.until),
            Stance::GiveUp(GiveUp::DeadlineTooClose { earliest, .. }) => {
                *earliest = carry(*earliest);
            }
            Stance::Send | Stance::Never(_) | Stance::Deliver | Stance::GiveUp(_) => {}
        }
        self
    }
}

impl Level {
    /// What must be there for the request to pass, as far as the capacity has
    /// room for it.
    pub fn needed(&self) -> u64 {
        self.wanted.saturating_add(self.held()).min(self.capacity)
    }

    /// What is held back.
    pub fn held(&self) -> u64 {
        self.rounding
            .saturating_add(self.unconfirmed.max(self.surprise))
    }

    /// What part of the capacity is there beyond what is needed, in millionths.
    pub(crate) fn headroom(&self) -> i64 {
        let spare = i128::from(self.spare()).saturating_mul(1_000_000);
        let part = spare.checked_div(i128::from(self.capacity));
        part.and_then(|part| i64::try_from(part).ok())
            .unwrap_or(i64::MIN)
    }

    /// How much there is beyond what is needed.
    pub(crate) fn spare(&self) -> i64 {
        let needed = i64::try_from(self.needed()).unwrap_or(i64::MAX);
        self.there.saturating_sub(needed)
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.stance {
            Stance::Send => {
                f.write_str("send")?;
                match &self.level {
                    Some(level) => write!(
                        f,
                        "; nearest to its end is the limit of {}: {level}",
                        level.dimension
                    ),
                    None => write!(f, "; no limit is known, {} in flight", self.flying),
                }
            }
            Stance::Wait(wait) => {
                let span = Seconds(wait.until.saturating_duration_since(self.now));
                write!(f, "wait {span} for {}", wait.cause)?;
                match (wait.cause, &self.level) {
                    (Cause::Limit(_) | Cause::Others(_), Some(level)) => write!(f, ": {level}"),
                    (cause, _) if cause.is_shared() => write!(
                        f,
                        ": {} in flight, the newest {} unheard",
                        self.flying, self.unheard
                    ),
                    _ => Ok(()),
                }
            }
            Stance::Never(never) => write!(f, "never: {never}"),
            Stance::Deliver => f.write_str("deliver: its answer is good"),
            Stance::GiveUp(why) => write!(f, "given up: {why}"),
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            there,
            capacity,
            wanted,
            ..
        } = self;
        write!(f, "{there} of {capacity} there, {wanted} wanted, ")?;
        if self.held() > 0 {
            write!(f, "{} held back (rounding {}", self.held(), self.rounding)?;
            if self.unconfirmed >= self.surprise {
                write!(f, ", unconfirmed {}), ", self.unconfirmed)?;
            } else {
                write!(f, ", surprise {}), ", self.surprise)?;
            }
        }
        let minute = self.rate.in_span(Duration::from_secs(60));
        write!(f, "{minute} a minute")?;
        if self.others > 0 {
            let (whole, tenths) = (self.others.div_euclid(10), self.others.rem_euclid(10));
            write!(f, ", others take {whole}.{tenths} %")?;
        }
        Ok(())
    }
}

/// A span in seconds, to a millisecond, rounded up: never "0.000 s" for a wait.
struct Seconds(Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_nanos().div_ceil(1_000_000);
        let (whole, part) = (millis.div_euclid(1_000), millis.rem_euclid(1_000));
        write!(f, "{whole}.{part:03} s")
    }
}
