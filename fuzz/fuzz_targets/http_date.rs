//! See `http_date` in `src/http_date.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sendwhen_fuzz::http_date::check(data));
