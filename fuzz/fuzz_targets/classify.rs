//! See `classify` in `src/classify.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sendwhen_fuzz::classify::check(data));
