//! See `limits_ops` in `src/limits_ops.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sendwhen_fuzz::limits_ops::check(data));
