//! Layer 1, what may pass: one algorithm a file, each usable alone.
//!
//! In comes an instant and an amount, out goes leave or a [`Refusal`]. Nothing
//! here knows a dimension, a request or a server.

mod bucket;
mod in_flight;
mod pause;

use thiserror::Error;

pub use bucket::{Charge, TokenBucket};
pub(crate) use bucket::{ticks, tokens};
pub(crate) use in_flight::Flights;
pub use in_flight::{InFlight, Slot};
pub use pause::Pause;

use crate::time::Instant;

/// Why one limit does not let something pass.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[expect(
    clippy::exhaustive_enums,
    reason = "not yet and never: there is no third"
)]
pub enum Refusal {
    /// It passes at this instant and no nanosecond earlier, if nothing else
    /// happens to the limit. Always later than the `now` of the question, but
    /// at the end of the clock itself.
    #[error("not before {} ns", .0.as_nanos())]
    Until(Instant),
    /// It passes at no time: it is more than the limit ever lets through at
    /// once.
    #[error("more than the limit ever lets through at once")]
    Never,
}
