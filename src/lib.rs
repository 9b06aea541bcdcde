//! Decides when to send: a pure, no-I/O core for clients of rate-limited HTTP
//! APIs.
#![no_std]
#![cfg_attr(
    test,
    expect(
        clippy::arithmetic_side_effects,
        reason = "a test that overflows fails, as it should"
    )
)]

#[cfg(any(test, feature = "std"))]
extern crate std;

mod call;
mod clock;
mod control;
mod decision;
mod error;
mod headers;
mod hints;
mod life;
mod limit;
mod limiter;
mod pools;
mod request;
mod retry;
mod rng;
mod time;
mod units;

pub use call::Call;
pub use decision::{
    Attempt, Cause, Class, Decision, Denied, ErrorDetails, Event, Failure, GiveUp, Never, Wait,
};
pub use error::ConfigError;
pub use headers::{Field, HeaderParser, HttpDate, Rfc3339, parse_http_date, parse_rfc3339};
pub use hints::{
    Dialect, Family, Meter, Meters, Problems, Remaining, Reset, ResetGiven, ServerHints,
};
pub use limit::{Charge, InFlight, Pause, Refusal, Slot, TokenBucket};
pub use limiter::{Limiter, Permit};
pub use pools::Pools;
pub use request::{Profile, Request, Usage};
pub use retry::{Backoff, Jitter, Phase, RetryPolicy, classify};
pub use time::{Instant, UnixTime};
pub use units::{Cost, Dimension, Rate};
