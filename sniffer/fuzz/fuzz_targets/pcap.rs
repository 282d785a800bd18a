//! One capture file: see `anabranch_sniffer::fuzzing::pcap`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| anabranch_sniffer::fuzzing::pcap(data));
