//! What each target checks, as plain functions. The crate's own tests include
//! the same files and run them over the seeds.

pub mod backoff;
pub mod classify;
pub mod header_set;
