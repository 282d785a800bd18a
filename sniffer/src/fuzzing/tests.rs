//! Every committed seed through its target, so that the targets are run without a fuzzer; and where the seeds come from.

#![allow(clippy::disallowed_methods, reason = "seeds and captures are files")]

mod seeds;

use std::fs;
use std::path::PathBuf;

use super::*;

type Target = (&'static str, fn(&[u8]));

const TARGETS: [Target; 4] = [("codec", codec), ("filter", filter), ("pcap", pcap), ("tracker", tracker)];

fn folder(target: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target)
}

fn committed(target: &str) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(folder(target)).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(path).unwrap())).collect()
}

#[test]
fn every_seed_goes_through_its_target() {
    for (target, run) in TARGETS {
        let seeds = committed(target);
        assert!(seeds.len() >= 6, "{target} has only {} seeds", seeds.len());
        seeds.iter().for_each(|(_, bytes)| run(bytes));
    }
}

/// Seeds that a finding left behind may be there besides.
#[test]
fn the_seeds_are_those_that_the_captures_give() {
    for (target, name, bytes) in seeds::all() {
        let found = fs::read(folder(target).join(&name)).ok();
        assert!(found.as_ref() == Some(&bytes), "{target}/{name}: write_the_seeds makes it anew");
    }
}

/// `cargo test -p anabranch-sniffer --lib write_the_seeds -- --ignored`
#[test]
#[ignore = "writes sniffer/fuzz/seeds"]
fn write_the_seeds() {
    for (target, name, bytes) in seeds::all() {
        fs::create_dir_all(folder(target)).unwrap();
        fs::write(folder(target).join(name), bytes).unwrap();
    }
}

#[test]
fn the_transcripts_lead_to_connections_and_joins() {
    let events = |number: &str| {
        let (_, _, bytes) =
            seeds::all().into_iter().find(|(target, name, _)| *target == "tracker" && name == number).unwrap();
        tracker::whats(&bytes).join("\n")
    };
    let joined = events("02");
    assert!(joined.contains("established") && joined.contains("joined"), "{joined}");
    let forged = events("forged-join");
    assert!(forged.contains("FORGED MP_JOIN in the name of the client"), "{forged}");
}

/// A target that finds nothing in what is wrong would find nothing at all.
#[test]
fn what_is_wrong_is_found() {
    let wrong = std::panic::catch_unwind(|| there_and_back(&f64::NAN));
    assert!(wrong.is_err(), "JSON has no NaN");
    assert!(!is_one_line("one\ntwo") && !is_one_line("\u{1b}[2J") && is_one_line("…"));
    let frame = seeds::all().into_iter().find(|(target, ..)| *target == "codec").unwrap().2;
    let segment = crate::wire::parse(crate::wire::LinkType::Ethernet, &frame[1..], frame.len()).unwrap();
    let longer = crate::wire::Segment { options_len: 0, ..segment };
    assert!(std::panic::catch_unwind(|| codec::check(&longer, frame.len())).is_err(), "more options than there may be");
}
