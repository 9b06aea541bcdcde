//! What a caller can get wrong. What a server gets wrong is data, never one of
//! these.

use thiserror::Error;

/// A setting that cannot be meant. Found where it is made, in a constructor.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A rate of nothing. To forbid a dimension altogether is the server's to
    /// say; to leave it unlimited, set no limit.
    #[error(
        "a rate must let through at least one in its period, not 0; set no limit where none is meant"
    )]
    ZeroRate,
    /// A rate with a period of no time.
    #[error("the period of a rate must be longer than 0")]
    ZeroPeriod,
    /// A rate beyond the range in which arithmetic is exact.
    #[error("a rate's count and its period in nanoseconds must each stay below 2^63")]
    RateOutOfRange,
    /// A burst of nothing: nothing could ever be sent.
    #[error("the burst must be at least 1, or nothing can ever be sent")]
    ZeroBurst,
    /// An in-flight cap of nothing.
    #[error("the in-flight cap must be at least 1, or nothing can ever be sent")]
    ZeroInFlight,
    /// A lifetime of permits in which no request could end.
    #[error("the lifetime of a permit must be at least one millisecond")]
    LifetimeTooShort,
    /// A policy that never sends.
    #[error("a policy must allow at least one attempt: the first")]
    ZeroAttempts,
    /// A backoff that begins at nothing.
    #[error("the base of a backoff must be longer than 0, or retries come at once")]
    ZeroBase,
    /// A backoff whose cap lies below its base.
    #[error("the cap of a backoff must not lie below its base")]
    CapBelowBase,
    /// A list of delays without any.
    #[error("a list of delays must have at least one")]
    NoDelays,
    /// A factor by which delays would shrink.
    #[error("the factor of a backoff must be at least 1000 thousandths, or its delays shrink")]
    FactorBelowOne,
    /// A retry budget that never grants.
    #[error("a retry budget must grant something; allow one attempt where no retry is meant")]
    ZeroBudget,
    /// A breaker that opens at nothing, or for no time.
    #[error("a breaker must open after at least one failure, and for longer than 0")]
    BreakerAlwaysOpen,
    /// A throttle that refuses what the server accepts.
    #[error(
        "the factor of a client-side throttle must be at least 1000 thousandths, and its span longer than 0"
    )]
    ThrottleTooStrict,
    /// A rule for failures that are never retried.
    #[error("failures of this class are never retried: a retry does not mend them")]
    NeverRetried,
    /// A strict bucket whose burst leaves nothing to refill.
    #[error("in strict mode the burst must lie below the limit, or nothing ever refills")]
    BurstNotBelowLimit,
    /// A limit of nothing: nothing could ever be sent.
    #[error("a limit must let through at least 1, or nothing can ever be sent")]
    ZeroLimit,
    /// A limit beyond the range in which arithmetic is exact.
    #[error("a limit must stay below 2^63, and one that ramps below 2^56")]
    LimitOutOfRange,
    /// A window of no time.
    #[error("a window must be longer than 0")]
    ZeroWindow,
    /// A window beyond the range in which arithmetic is exact.
    #[error("a window must be shorter than 2^63 nanoseconds, 292 years")]
    WindowOutOfRange,
    /// The least of a range lies above its most, or its start outside of it.
    #[error("a range must begin at 1 or more, and hold its start between its ends")]
    EmptyRange,
    /// A step that leads nowhere.
    #[error("a ramp must rise by at least 1 in each step")]
    ZeroStep,
    /// A route over nothing.
    #[error("a route needs at least one alternative, and each of these at least one pool")]
    EmptyRoute,
    /// A route over a pool that is not there.
    #[error("a route names a pool that this scheduler does not have")]
    UnknownPool,
}
