//! One binary for all integration tests.
#![expect(
    clippy::disallowed_methods,
    reason = "tests are programs: they may read clocks and start threads"
)]
#![expect(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::float_arithmetic,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::std_instead_of_core,
    clippy::unwrap_used,
    reason = "a test that fails may panic, and tells so"
)]

#[cfg(feature = "alloc")]
mod batch;
mod boundaries;
mod closed_loop;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod decided;
mod explain;
mod explore;
mod headers;
mod joint;
mod limiter;
mod limits;
mod model_call;
mod model_limiter;
mod model_pool;
mod parts;
mod plan;
mod pools;
mod props;
#[cfg(feature = "serde")]
mod restart;
mod retry;
#[cfg(feature = "alloc")]
mod scheduler;
mod seeds;
mod server;
mod shape;
mod stories;
mod story;
#[cfg(feature = "std")]
mod threads;
mod transport;
mod tree;
mod unfit;
mod words;
mod worlds;
