//! Feeds `targets::envelope`.
#![no_main]

#[allow(dead_code, reason = "every fuzzer runs one of the targets")]
#[path = "../../tests/fuzz/targets.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::envelope(data));
