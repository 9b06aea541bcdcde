//! See `replay` in `src/replay.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sendwhen_fuzz::replay::check(data));
