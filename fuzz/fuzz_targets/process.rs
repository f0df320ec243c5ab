#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| trailtag_fuzz::process::run(data));
