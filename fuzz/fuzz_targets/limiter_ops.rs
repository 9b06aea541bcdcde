//! See `limiter_ops` in `src/limiter_ops.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sendwhen_fuzz::limiter_ops::check(data));
