//! Decides when to send: a pure, no-I/O core for clients of rate-limited HTTP
//! APIs, the Claude API first.
//!
//! It takes facts ("a request is wanted", "the head of a response arrived",
//! "the stream ended with this usage", "the timer fired") and answers with
//! orders ("send now", "wait until T because of the limit of input tokens",
//! "give up, the deadline cannot be met"). It does no I/O of any kind: no
//! clock, sleep, thread, lock, socket or global, and no chance but from a seed.
//! So it embeds in any runtime, is driven by any transport, and is tested in
//! virtual time. The same seed and the same events give the same decisions.
//!
//! # The loop
//!
//! A [`Limiter`] holds all limits of one pool and is shared; a [`Call`] is one
//! request from asking to its end, retries included. One [`Event`] in, one
//! [`Decision`] out, nothing to drain:
//!
//! ```
//! use sendwhen::{Decision, ErrorDetails, Event, GiveUp, Instant, Limiter, Request, ServerHints, Usage};
//!
//! # struct Clock(std::cell::Cell<Instant>);
//! # impl Clock {
//! #     fn now(&self) -> Instant { self.0.get() }
//! #     fn sleep_until(&self, t: Instant) { self.0.set(t) }
//! # }
//! # struct Http { sent: u32 }
//! # struct Response { status: u16, headers: Vec<(&'static str, &'static str)> }
//! # impl Response {
//! #     fn read(self) -> (String, Usage) { (String::from("Paris"), Usage::new(1_180, 240)) }
//! # }
//! # impl Http {
//! #     fn send(&mut self) -> Response {
//! #         self.sent += 1;
//! #         match self.sent {
//! #             1 => Response { status: 429, headers: vec![("retry-after", "5")] },
//! #             _ => Response { status: 200, headers: vec![] },
//! #         }
//! #     }
//! # }
//! fn ask(limiter: &mut Limiter, clock: &Clock, http: &mut Http) -> Result<String, GiveUp> {
//!     let mut call = limiter.call(Request::new().input_tokens(1_200).max_tokens(1_024));
//!     let mut decision = call.handle(limiter, clock.now(), Event::Submitted);
//!     let mut response = None;
//!     loop {
//!         decision = match decision {
//!             Decision::Wait(wait) => {
//!                 clock.sleep_until(wait.until);
//!                 call.handle(limiter, clock.now(), Event::Woken)
//!             }
//!             Decision::Send(_) => {
//!                 let head = response.insert(http.send());
//!                 let hints = ServerHints::parse(head.headers.iter().copied(), None);
//!                 let event = Event::Responded { status: head.status, hints: &hints, error: ErrorDetails::NONE };
//!                 call.handle(limiter, clock.now(), event)
//!             }
//!             Decision::Deliver => {
//!                 let (answer, usage) = response.take().unwrap().read();
//!                 let _end = call.handle(limiter, clock.now(), Event::Finished(Some(usage)));
//!                 return Ok(answer);
//!             }
//!             Decision::GiveUp(why) => return Err(why),
//!         }
//!     }
//! }
//! # let clock = Clock(std::cell::Cell::new(Instant::ZERO));
//! # let (mut limiter, mut http) = (Limiter::new(42), Http { sent: 0 });
//! # assert_eq!(ask(&mut limiter, &clock, &mut http).unwrap(), "Paris");
//! # assert!(clock.now() >= Instant::from_secs(5));
//! ```
//!
//! # Layers, each usable on its own
//!
//! | layer | what | for whom |
//! |---|---|---|
//! | 0 | the vocabulary: [`Instant`], [`Rate`], [`Cost`], [`Request`], [`ServerHints`], [`Event`], [`Decision`] | everyone |
//! | 1 | the parts: each [`Limit`] as [`TokenBucket`], [`Backoff`], [`Budget`], [`Breaker`], [`HeaderParser`], [`classify`] | who needs one algorithm |
//! | 2 | [`Limiter`] and [`Call`] | who has requests to send |
//! | 3 | `Scheduler`, with the feature `alloc` | who has many, over several pools |
//!
//! # The contract
//!
//! - `now` comes from one clock and one origin. Where it goes back the limiter
//!   stands still until it has caught up, or goes on from there if it is told
//!   by [`Limiter::rebase`].
//! - A [`Wait`] ends later than the `now` of the question, and the call is let
//!   pass at that instant if nothing is reported meanwhile. To ask earlier, or
//!   more often, does no harm.
//! - Whoever has several calls compares [`Limiter::opened`] before and after
//!   each report, and wakes the waiters if it moved.
//! - Whatever becomes of an attempt is reported: an answer, a failure, or
//!   [`Event::Cancelled`].
#![no_std]
#![cfg_attr(
    test,
    expect(
        clippy::arithmetic_side_effects,
        reason = "a test that overflows fails, as it should"
    )
)]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(any(test, feature = "std"))]
extern crate std;

mod attempt;
mod call;
mod clock;
mod control;
mod decision;
mod error;
mod explain;
mod headers;
mod hints;
mod life;
mod limit;
mod limiter;
mod pools;
mod request;
mod retry;
mod rng;
#[cfg(feature = "alloc")]
mod scheduler;
#[cfg(feature = "serde")]
mod snapshot;
mod time;
mod units;

pub use call::Call;
pub use control::{Control, OutputRule};
pub use decision::{
    Attempt, Cause, Class, Decision, Denied, ErrorDetails, Event, Failure, GiveUp, Never, Wait,
};
pub use error::ConfigError;
pub use explain::{Explanation, Level, Stance};
pub use headers::{
    BareReset, Field, GoDuration, HeaderParser, HttpDate, Rfc3339, SfDictionary, SfItem, SfList,
    SfParams, WaitRule, parse_go_duration, parse_http_date, parse_rfc3339,
};
pub use hints::{
    Claim, Dialect, Family, Label, Meter, Meters, MetersIter, OverageDisabled, Problems, Remaining,
    Reset, ResetGiven, ServerHints, Status, Unified, Unit,
};
pub use limit::{
    AdaptiveInFlight, AdaptiveSlot, Blocked, Borrowed, Charge, FixedWindow, InFlight, Limit,
    LogCharge, LogEntry, Of, Outcome, Pause, Quota, QuotaCharge, RampCharge, Refusal, Reservation,
    SlidingCounter, SlidingLog, Slot, SmoothRamp, Spacing, SpacingCharge, SpreadPause, StepRamp,
    Together, TokenBucket, Turn, WindowCharge,
};
pub use limiter::{Limiter, Permit};
pub use pools::Pools;
pub use request::{Profile, Request, Usage};
pub use retry::{
    ActiveBudget, Backoff, Breaker, Budget, ClassRule, ClientThrottle, CubicRate, Delays,
    HalfBudget, Jitter, LimitKind, LimitMessage, LowWater, Phase, PolicyDelays, Pushback,
    RatioBudget, RetryGrant, RetryPolicy, Sdk, ServerWait, SlidingMinute, Tier, TierLimits,
    TokenBudget, UnknownModel, classify,
};
#[cfg(feature = "alloc")]
pub use scheduler::{
    Bounds, CallId, CallStanding, Dropped, Full, Job, Next, Notice, PoolId, PoolStanding, Priority,
    Rejected, RouteId, Scheduler, Shed, TenantId, Verdict,
};
#[cfg(feature = "serde")]
pub use scheduler::{Record, Recorder, Replay, ReplayError, Snapshot, SnapshotError, SnapshotOf};
#[cfg(feature = "serde")]
pub use snapshot::{CallSnapshot, CallSnapshotOf, LimiterSnapshot};
#[cfg(feature = "std")]
pub use time::OutOfRange;
pub use time::{Instant, UnixTime};
pub use units::{Cost, Dimension, Rate};

/// Long prose is tested like short: the examples in it are doctests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
