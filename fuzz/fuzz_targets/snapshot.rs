//! See `snapshot` in `src/snapshot.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sendwhen_fuzz::snapshot::check(data));
