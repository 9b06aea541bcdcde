//! See `go_duration` in `src/go_duration.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sendwhen_fuzz::go_duration::check(data));
