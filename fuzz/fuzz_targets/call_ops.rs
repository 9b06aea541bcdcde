//! See `call_ops` in `src/call_ops.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sendwhen_fuzz::call_ops::check(data));
