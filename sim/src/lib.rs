//! Worlds in virtual time: a server with limits, work to be done, and clients
//! that do it. Deterministic from a seed.
//!
//! A [`World`] says what the server is like and what there is to do;
//! [`run`] lets a [`Client`] do it and gives an [`Outcome`]; [`bound`] is what
//! a client could do that sees the server's meters and every true cost.

mod bound;
mod client;
mod head;
mod ours;
mod outcome;
pub mod peers;
mod queued;
mod run;
mod server;
mod work;
mod world;
mod worlds;

pub use bound::{bound, bound_when_told, bound_without_debt};
pub use client::{Ask, Client, Verdict};
pub use head::{Answer, Problem, Shown};
pub use ours::Ours;
pub use outcome::{Mark, Outcome};
pub use queued::Queued;
pub use run::{run, run_team};
pub use server::{
    Acceleration, EPOCH, Heads, Kind, OthersSpec, OutputRule, Reception, Server, ServerSpec, Why,
};
pub use work::{Job, Sizes, Workload};
pub use world::World;
pub use worlds::worlds;

/// Virtual time: nanoseconds since the world began.
pub type Time = u64;

/// A second of it.
pub const SECOND: Time = 1_000_000_000;

/// `seconds` as [`Time`].
pub fn seconds(seconds: f64) -> Time {
    (seconds.max(0.0) * SECOND as f64).round() as Time
}
