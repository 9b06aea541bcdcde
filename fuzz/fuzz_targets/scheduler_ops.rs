//! See `scheduler_ops` in `src/scheduler_ops.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sendwhen_fuzz::scheduler_ops::check(data));
