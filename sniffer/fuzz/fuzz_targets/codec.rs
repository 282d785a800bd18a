//! One frame: see `anabranch_sniffer::fuzzing::codec`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| anabranch_sniffer::fuzzing::codec(data));
