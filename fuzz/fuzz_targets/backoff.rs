//! See `backoff` in `src/backoff.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sendwhen_fuzz::backoff::check(data));
