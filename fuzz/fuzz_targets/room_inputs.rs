#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| snug_fuzz::room_inputs::run(bytes));
