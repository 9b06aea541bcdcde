//! What each target checks, as plain functions. The crate's own tests include
//! the same files and run them over the seeds.

pub mod adapter;
pub mod backoff;
pub mod call_ops;
pub mod classify;
pub mod go_duration;
pub mod header_set;
pub mod hostile;
pub mod http_date;
pub mod limiter_ops;
pub mod limits_ops;
pub mod naive;
pub mod replay;
pub mod retry_after;
pub mod rfc3339;
pub mod scheduler_ops;
pub mod snapshot;
pub mod structured_fields;
