//! See `structured_fields` in `src/structured_fields.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sendwhen_fuzz::structured_fields::check(data));
