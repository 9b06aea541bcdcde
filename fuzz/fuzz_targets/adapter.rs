//! See `adapter` in `src/adapter.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sendwhen_fuzz::adapter::check(data));
