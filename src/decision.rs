//! The vocabulary of the machines: an [`Event`] in, a [`Decision`] out.
//!
//! Events are facts, decisions are orders. Nothing that goes out is called an
//! event. `Decision` and `Denied` are exhaustive, because a driver's loop must
//! answer each arm; causes, reasons and classes may grow.

use core::{fmt, time::Duration};

use thiserror::Error;

use crate::{hints::ServerHints, request::Usage, time::Instant, units::Dimension};

/// Something that happened to one call.
///
/// An event that does not fit the call's state changes nothing and is answered
/// by the decision that stands.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The call is wanted. The first event of its life.
    Submitted,
    /// A wait ended: the instant came, or somebody's report may have shortened
    /// it. Harmless at any time.
    Woken,
    /// The head of a response arrived. For a refusal, report it once its
    /// (bounded) body was read, with what the body says.
    Responded {
        /// The HTTP status.
        status: u16,
        /// What its header fields say.
        hints: &'a ServerHints,
        /// What the body of a refusal says, or [`ErrorDetails::NONE`].
        error: ErrorDetails<'a>,
    },
    /// The body goes on: what it took so far, and whether any of the output
    /// was handed on to where it cannot be taken back from.
    Progressed {
        /// Cumulative; of several reports the largest wins.
        usage: Usage,
        /// Once true, the call is not retried any more.
        handed_on: bool,
    },
    /// The body ended well, with this usage if the answer told it.
    Finished(Option<Usage>),
    /// The attempt failed without a status to say so.
    Failed(Failure<'a>),
    /// Nobody wants the answer any more.
    Cancelled,
}

impl<'a> Event<'a> {
    /// The head of a response arrived: [`Event::Responded`], in one line.
    ///
    /// ```
    /// use sendwhen::{ErrorDetails, Event, ServerHints};
    ///
    /// let event = Event::responded(200, &ServerHints::NONE, ErrorDetails::NONE);
    /// assert!(matches!(event, Event::Responded { status: 200, .. }));
    /// ```
    pub const fn responded(status: u16, hints: &'a ServerHints, error: ErrorDetails<'a>) -> Self {
        Self::Responded {
            status,
            hints,
            error,
        }
    }

    /// The body goes on: [`Event::Progressed`], in one line.
    pub const fn progressed(usage: Usage, handed_on: bool) -> Self {
        Self::Progressed { usage, handed_on }
    }
}

/// How an attempt failed without a status to say so.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Failure<'a> {
    /// The request never left: no route, connection refused, handshake failed.
    /// It cost nothing.
    NotSent,
    /// No answer came in the transport's time. It may have cost everything.
    TimedOut,
    /// The connection broke after the request was sent, before the answer was
    /// whole. It may have cost everything.
    Lost,
    /// An error event came inside the stream of a response that began well.
    InStream(ErrorDetails<'a>),
}

/// The fields of an error body that decide what to do. The crate parses no
/// JSON: the caller extracts them; what is not there is empty.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct ErrorDetails<'a> {
    /// `error.type`.
    pub kind: &'a str,
    /// `error.code`, or for the Claude API `error.details.error_code`.
    pub code: &'a str,
    /// `error.message`.
    pub message: &'a str,
    /// A wait that the body names, as Google's `RetryInfo.retryDelay`.
    pub delay: Option<Duration>,
}

impl<'a> ErrorDetails<'a> {
    /// Of a body that says nothing, or was not read.
    pub const NONE: Self = Self {
        kind: "",
        code: "",
        message: "",
        delay: None,
    };

    /// An error of this type.
    pub const fn new(kind: &'a str) -> Self {
        Self { kind, ..Self::NONE }
    }

    /// Sets `error.code`.
    #[must_use]
    pub const fn code(mut self, code: &'a str) -> Self {
        self.code = code;
        self
    }

    /// Sets `error.message`.
    #[must_use]
    pub const fn message(mut self, message: &'a str) -> Self {
        self.message = message;
        self
    }

    /// Sets the wait that the body names.
    #[must_use]
    pub const fn delay(mut self, delay: Duration) -> Self {
        self.delay = Some(delay);
        self
    }
}

/// What to do with a call now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a driver must answer each of these; a fifth would be a new major version"
)]
#[must_use]
pub enum Decision {
    /// Send it now, and report what comes of it.
    Send(Attempt),
    /// Report [`Event::Woken`] at the instant, or when
    /// [`Limiter::opened`](crate::Limiter::opened) moved, whichever is first.
    Wait(Wait),
    /// The answer is good: read its body, report [`Event::Finished`], and hand
    /// it on.
    Deliver,
    /// It is over. If a response brought this about, it is still the caller's
    /// to look at.
    GiveUp(GiveUp),
}

/// One sending of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Attempt {
    /// Counts from 1.
    pub number: u32,
}

/// Not before an instant, and why.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Wait {
    /// Always later than the `now` of the question.
    pub until: Instant,
    /// What binds.
    pub cause: Cause,
}

/// What a wait is for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Cause {
    /// The pool has not enough of this.
    Limit(Dimension),
    /// As many are under way as may be.
    InFlight,
    /// So many were just sent that the server must be heard first.
    Confirmation,
    /// The server told the pool to stop.
    Pause,
    /// The server told this call when to come again.
    RetryAfter,
    /// This call's own backoff after a failure.
    Backoff,
    /// The breaker is open, or waits for its probe.
    Breaker,
    /// The server is down, or all that was sent last says so; one at a time asks
    /// whether it still is.
    Outage,
    /// The rate that refusals taught.
    SendRate,
    /// Others take from the same limit, and are left their share.
    Others(Dimension),
    /// It was sent; the answer is not there yet.
    Response,
    /// Nothing any more: it could go, but was asked for after its latest start.
    AskedLate,
}

impl Cause {
    /// Whether a report of another call may end the wait early: then it is
    /// worth asking again when [`Limiter::opened`](crate::Limiter::opened)
    /// moves. Where it is false the call waits for something of its own.
    pub const fn is_shared(self) -> bool {
        matches!(
            self,
            Self::Limit(_)
                | Self::InFlight
                | Self::Confirmation
                | Self::Pause
                | Self::Breaker
                | Self::Outage
                | Self::SendRate
                | Self::Others(_)
        )
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Limit(dimension) => return write!(f, "the limit of {dimension}"),
            Self::Others(dimension) => {
                return write!(f, "others who share the limit of {dimension}");
            }
            Self::InFlight => "the in-flight cap",
            Self::Confirmation => "the server's first answers",
            Self::Pause => "a pause that the server asked for",
            Self::RetryAfter => "the server's retry-after",
            Self::Backoff => "backoff",
            Self::Breaker => "the breaker, which failures opened",
            Self::Outage => "an outage of the server to end",
            Self::SendRate => "the rate that refusals taught",
            Self::Response => "the response",
            Self::AskedLate => "nothing: it was asked for after its latest start",
        }
        .fmt(f)
    }
}

/// Why a pool does not let something pass.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[expect(
    clippy::exhaustive_enums,
    reason = "not yet and never: there is no third"
)]
pub enum Denied {
    /// Not yet.
    #[error("not before {} ns: {}", wait.until.as_nanos(), wait.cause)]
    Until {
        /// It passes then, and no nanosecond earlier, if nothing is reported
        /// meanwhile.
        wait: Wait,
        /// It passes no earlier than this, however the calls in flight settle.
        earliest: Instant,
    },
    /// Not at any time, as things stand.
    #[error(transparent)]
    Never(Never),
}

/// Why something can never pass, until settings or the server's mind change.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Never {
    /// It costs more than the limit ever lets through at once.
    #[error("it takes {cost} {dimension}, and at most {burst} can ever be there at once")]
    ExceedsBurst {
        /// Which limit.
        dimension: Dimension,
        /// What it takes.
        cost: u64,
        /// The most that can be there.
        burst: u64,
    },
    /// The server's limit is 0: the account may not use it.
    #[error("the server's limit of {0} is 0: it is not enabled for this account")]
    NotEnabled(Dimension),
    /// A spend cap was reached. The pool is closed until it is reopened.
    #[error("the account's spend or credit is used up; the pool is closed until it is reopened")]
    Spend,
}

/// Why a call is over without an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum GiveUp {
    /// It cannot start before its deadline.
    #[error("it cannot start by its deadline: not before {} ns because of {cause}", earliest.as_nanos())]
    DeadlineTooClose {
        /// The earliest start.
        earliest: Instant,
        /// What binds.
        cause: Cause,
    },
    /// It failed as often as the policy allows.
    #[error("it failed {attempts} times, the last time as {class}")]
    AttemptsSpent {
        /// How often.
        attempts: u32,
        /// How the last attempt ended.
        class: Class,
    },
    /// Its retries would take longer than the policy allows.
    #[error("its retries would take longer than the policy allows; the last attempt ended as {0}")]
    TimeSpent(Class),
    /// The server asks for a longer wait than the policy allows.
    #[error("the server asks for a wait of {} s, longer than the policy allows", .0.as_secs())]
    WaitTooLong(Duration),
    /// The budget that the pool's retries draw on is spent.
    #[error("the retry budget is spent; the last attempt ended as {0}")]
    BudgetSpent(Class),
    /// The same request would fail again.
    #[error("it ended as {0}, which a retry does not mend")]
    NotRetryable(Class),
    /// It failed after part of its output was handed on.
    #[error("it ended as {0} after part of its output was handed on")]
    HandedOn(Class),
    /// No pool can ever let it pass.
    #[error(transparent)]
    Never(Never),
    /// The caller cancelled it.
    #[error("it was cancelled")]
    Cancelled,
}

/// What kind of end an attempt came to. Found by
/// [`classify`](crate::classify).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Class {
    /// It went well.
    Success,
    /// A rate limit was hit: of this, where it is known.
    Throttled(Option<Dimension>),
    /// Too many were under way at once.
    Concurrency,
    /// Use grew too fast, whatever the limits: the Claude API's acceleration
    /// limits.
    Acceleration,
    /// The server has too much to do, whatever this account's limits.
    Overloaded,
    /// It failed by accident: a lost connection, a time-out, a fault inside the
    /// server.
    Transient,
    /// Spend or credit is used up, for this call and for all others.
    Exhausted,
    /// The account is not entitled to what this call asks for.
    NotEntitled,
    /// The request itself is at fault.
    CallerError,
}

impl Class {
    /// Its name in small letters, for reports; of a rate limit without the
    /// dimension.
    ///
    /// ```
    /// use sendwhen::{Class, Dimension};
    ///
    /// assert_eq!(Class::Throttled(Some(Dimension::Requests)).as_str(), "throttled");
    /// assert_eq!(Class::CallerError.as_str(), "caller_error");
    /// ```
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Throttled(_) => "throttled",
            Self::Concurrency => "concurrency",
            Self::Acceleration => "acceleration",
            Self::Overloaded => "overloaded",
            Self::Transient => "transient",
            Self::Exhausted => "exhausted",
            Self::NotEntitled => "not_entitled",
            Self::CallerError => "caller_error",
        }
    }

    /// Whether the same request may succeed if it is sent again.
    pub const fn is_retryable(self) -> bool {
        matches!(
            self,
            Self::Throttled(_)
                | Self::Concurrency
                | Self::Acceleration
                | Self::Overloaded
                | Self::Transient
        )
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Success => "a success",
            Self::Throttled(Some(dimension)) => {
                return write!(f, "a refusal for the limit of {dimension}");
            }
            Self::Throttled(None) => "a rate-limit refusal",
            Self::Concurrency => "a refusal for too many at once",
            Self::Acceleration => "a refusal for a rise that was too fast",
            Self::Overloaded => "an overload",
            Self::Transient => "a passing failure",
            Self::Exhausted => "used-up spend or credit",
            Self::NotEntitled => "a lack of entitlement",
            Self::CallerError => "an error of the request itself",
        })
    }
}
