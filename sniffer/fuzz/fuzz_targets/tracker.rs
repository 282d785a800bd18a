//! What happens to a tracker: see `anabranch_sniffer::fuzzing::tracker`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| anabranch_sniffer::fuzzing::tracker(data));
