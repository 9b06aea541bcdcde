//! See `rfc3339` in `src/rfc3339.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sendwhen_fuzz::rfc3339::check(data));
