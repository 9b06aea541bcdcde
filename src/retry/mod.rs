//! Layer 1, when to try again: schedules, the policy that holds one, and the
//! classifier that says what an attempt's end was.
//!
//! In comes how often an attempt failed and how; out goes a span or a
//! [`Class`](crate::Class). Nothing here knows a limit or a pool.

mod backoff;
mod classify;
mod message;
mod policy;

pub use backoff::{Backoff, Jitter};
pub use classify::{Phase, classify};
pub use message::{LimitKind, LimitMessage};
pub use policy::RetryPolicy;
