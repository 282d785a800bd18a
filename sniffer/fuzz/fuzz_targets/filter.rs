//! One filter expression: see `anabranch_sniffer::fuzzing::filter`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| anabranch_sniffer::fuzzing::filter(data));
