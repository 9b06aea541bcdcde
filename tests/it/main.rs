//! One binary for all integration tests.
#![expect(
    clippy::disallowed_methods,
    reason = "tests are programs: they may read clocks and start threads"
)]

mod shape;
mod stories;
mod story;
