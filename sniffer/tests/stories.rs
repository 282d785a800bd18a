//! The story of each capture, as it is told: what a reader of `anabranch sniff --summary` gets.

#![allow(clippy::disallowed_methods, reason = "a test over files has to read them")]

use std::fmt::Write as _;
use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;

use anabranch_sniffer::pcap::Capture;
use anabranch_sniffer::story::Story;
use anabranch_sniffer::track::Tracker;
use anabranch_sniffer::wire;

fn captures() -> Vec<PathBuf> {
    let entries = std::fs::read_dir("tests/pcaps").expect("the captures are part of the repository");
    let mut found: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    // The forged one holds options, and no story.
    let real = |path: &PathBuf| path.file_stem().is_some_and(|name| name != "90_forged");
    found.retain(|path| path.extension().is_some_and(|extension| extension == "pcap") && real(path));
    found.sort();
    assert!(found.len() >= 21, "only {} captures left", found.len());
    found
}

/// Every event and every story of what passes of a capture.
fn tell(pcap: &PathBuf, passes: impl Fn(u64, &wire::Segment<'_>) -> bool) -> String {
    let mut capture = Capture::open(BufReader::new(File::open(pcap).unwrap())).unwrap();
    let (mut tracker, mut text, mut first) = (Tracker::default(), String::new(), None);
    while let Some(frame) = capture.next_frame().unwrap() {
        let Ok(segment) = wire::parse(frame.link.unwrap(), frame.captured, frame.wire_len) else { continue };
        if !passes(frame.number, &segment) {
            continue;
        }
        let first = *first.get_or_insert(frame.at);
        tracker.on_segment(&segment, segment.mptcp().filter_map(Result::ok), frame.at);
        while let Some(event) = tracker.poll_event() {
            writeln!(text, "{:>7} µs {}", (event.at - first).as_micros(), event.what).unwrap();
        }
    }
    let mut connections: Vec<_> = tracker.connections().collect();
    connections.sort_by_key(|facts| facts.connection);
    for facts in connections {
        writeln!(text, "{}", Story(facts).to_string().trim_end()).unwrap();
    }
    for plain in tracker.plain_flows() {
        writeln!(text, "plain TCP: {}: {}", plain.flow, plain.reason).unwrap();
    }
    text
}

#[test]
fn every_capture_tells_its_story() {
    for pcap in captures() {
        let name = pcap.file_stem().unwrap().to_str().unwrap().to_owned();
        insta::assert_snapshot!(name, tell(&pcap, |_, _| true));
    }
}

#[test]
fn a_capture_that_began_late_tells_what_can_be_known() {
    for (name, from) in [("02_mp_join_client_subflow", 20), ("06_ipv6_add_addr_join", 12)] {
        let pcap = PathBuf::from(format!("tests/pcaps/{name}.pcap"));
        insta::assert_snapshot!(format!("late_{name}"), tell(&pcap, |number, _| number >= from));
    }
}

#[test]
fn one_direction_alone_tells_what_can_be_known() {
    for name in ["02_mp_join_client_subflow", "09_fastclose_two_subflows"] {
        let pcap = PathBuf::from(format!("tests/pcaps/{name}.pcap"));
        let server = |segment: &wire::Segment<'_>| segment.flow.source().port() < 10_000;
        insta::assert_snapshot!(format!("upload_{name}"), tell(&pcap, |_, segment| !server(segment)));
        insta::assert_snapshot!(format!("download_{name}"), tell(&pcap, |_, segment| server(segment)));
    }
}
