//! See `header_set` in `src/header_set.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sendwhen_fuzz::header_set::check(data));
