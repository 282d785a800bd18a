//! The command as a person uses it: text, filters, copies, pipes, and what it says of files that are none.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use anabranch_sniffer::pcap::{Capture, Writer};
use anabranch_sniffer::wire::LinkType;
use serde_json::Value;

use crate::{captures, sniff};

fn capture(name: &str) -> PathBuf {
    let found = captures().into_iter().find(|path| path.file_name().unwrap().to_str().unwrap().starts_with(name));
    found.expect("the captures keep their names")
}

fn run(arguments: &[&str], stdin: Option<&Path>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_anabranch"));
    let input = stdin.map_or_else(Stdio::null, |path| std::fs::File::open(path).unwrap().into());
    command.arg("sniff").args(arguments).stdin(input).output().expect("the program under test was built with the tests")
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn a_person_reads_options_events_and_the_story() {
    let path = capture("02_");
    let output = run(&["--pcap", path.to_str().unwrap()], None);
    assert!(output.status.success());
    let text = text(&output);
    for wanted in [
        "MP_CAPABLE version 1 flags 01",
        "MP_JOIN syn id 7 token 9d0d73a5 nonce 102c2022",
        "* ",
        "server token 9d0d73a5",
        "opened by the client",
        "MPTCP options",
    ] {
        assert!(text.contains(wanted), "no {wanted:?} in\n{text}");
    }
    assert!(!text.contains("fbfb75e13cb97386"), "a key is printed that nobody asked for");
    assert!(!text.contains("FORGED") && !text.contains("not verified"), "{text}");
}

#[test]
fn a_pipe_is_read_as_the_file_is() {
    let path = capture("04_");
    let piped = run(&["--pcap", "-"], Some(&path));
    let file = run(&["--pcap", path.to_str().unwrap()], None);
    assert!(piped.status.success());
    assert_eq!(text(&piped), text(&file));
}

#[test]
fn a_filter_chooses_and_what_it_lets_through_can_be_kept() {
    let path = capture("02_");
    let joins = sniff(&["--filter", "subtype MP_JOIN and syn"], &path);
    let frames: Vec<_> = joins.iter().filter_map(|line| line["frame"].as_u64()).collect();
    assert_eq!(frames, [6, 7]);
    let copy = std::env::temp_dir().join(format!("anabranch-sniff-{}.pcap", std::process::id()));
    let all = sniff(&["--write", copy.to_str().unwrap(), "--filter", "host 10.77.2.2"], &path);
    let again = sniff(&[], &copy);
    let options = |lines: &[Value]| {
        let of = lines.iter().filter(|line| line["frame"].is_u64());
        of.map(|line| (line["source"].clone(), line["subtype"].clone())).collect::<Vec<_>>()
    };
    assert!(options(&all).len() > 10);
    assert_eq!(options(&all), options(&again));
    std::fs::remove_file(copy).unwrap();
}

#[test]
fn what_cannot_be_read_is_named_with_the_reason() {
    let directory = std::env::temp_dir().join(format!("anabranch-sniff-bad-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = directory.join(name);
        std::fs::File::create(&path).unwrap().write_all(bytes).unwrap();
        path
    };
    let whole = std::fs::read(capture("01_")).unwrap();
    let cut = file("cut.pcap", &whole[..whole.len() - 5]);
    let output = run(&["--pcap", cut.to_str().unwrap()], None);
    assert_eq!(output.status.code(), Some(66));
    assert!(text(&output).contains("MP_CAPABLE"), "what is whole is told");
    assert!(String::from_utf8_lossy(&output.stderr).contains("the capture ends within packet"));
    let page = file("page.html", b"<html>");
    let table: &[(&[&str], i32, &str)] = &[
        (&["--pcap", page.to_str().unwrap()], 66, "neither pcap nor pcapng"),
        (&["--pcap", "/nonexistent/x.pcap"], 66, "No such file"),
        (&["--interface", "nosuchif0"], 71, "nosuchif0"),
        (&[], 64, "--interface"),
        (&["--pcap", "-", "--filter", "subtype JOIN"], 64, "a subtype such as MP_JOIN"),
    ];
    for (arguments, code, words) in table {
        let output = run(arguments, None);
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(*code), "{arguments:?}: {complaint}");
        assert!(complaint.contains(words), "{arguments:?}: {complaint}");
    }
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn what_a_file_is_silent_about_for_long_is_over_before_its_end() {
    // The beginning of a connection, and two hours later the same packets between other ports.
    let path = std::env::temp_dir().join(format!("anabranch-sniff-silent-{}.pcap", std::process::id()));
    let mut copy = Writer::new(std::fs::File::create(&path).unwrap(), LinkType::Ethernet).unwrap();
    for hours in [0, 2] {
        let mut begun = Capture::open(std::fs::File::open(capture("01_")).unwrap()).unwrap();
        for _ in 0..6 {
            let frame = begun.next_frame().unwrap().expect("more than a handshake");
            let mut bytes = frame.captured.to_vec();
            // The lower halves of both ports, behind Ethernet and IPv4.
            for at in [35, 37] {
                bytes[at] ^= hours;
            }
            copy.write(frame.at + Duration::from_secs(3600) * hours.into(), &bytes, frame.wire_len).unwrap();
        }
    }
    let lines = sniff(&["--summary"], &path);
    std::fs::remove_file(&path).unwrap();
    let ends: Vec<_> = lines.iter().filter_map(|line| line["summary"].as_object()).map(|story| &story["end"]).collect();
    let [first, second] = ends[..] else { panic!("{lines:#?}") };
    assert_eq!((first["how"].as_str(), second), (Some("idle"), &Value::Null), "{lines:#?}");
}
