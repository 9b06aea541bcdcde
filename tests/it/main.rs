//! One binary for all integration tests.
#![expect(
    clippy::disallowed_methods,
    reason = "tests are programs: they may read clocks and start threads"
)]

mod headers;
mod props;
mod seeds;
mod shape;
mod stories;
mod story;
#[cfg(feature = "std")]
mod threads;
