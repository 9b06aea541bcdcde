//! See `retry_after` in `src/retry_after.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sendwhen_fuzz::retry_after::check(data));
