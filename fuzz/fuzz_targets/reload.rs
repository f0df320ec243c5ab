#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| trailtag_fuzz::reload::run(data));
