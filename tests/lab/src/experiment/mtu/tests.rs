//! What is asked of the rates, over samples made up.

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::client::Transferred;
use crate::experiment::Subject;

const ALL: Options = Options { quick: false, settle: false, rounds: None, cell: None, subject: Subject::Anabranch };

/// A round: what went directly, and through anabranch, in Mbit/s.
fn report(cell: &'static str, rounds: &[[f64; 2]]) -> Report {
    let done = Transferred {
        elapsed: Duration::from_secs(1),
        asked: 1,
        lost: 0,
        received: 1,
        first_wrong: None,
        longest_gap: Duration::ZERO,
        stalls: 0,
    };
    let places = places(&Options { cell: Some(cell), ..ALL });
    let mut samples = Vec::new();
    for (round, rates) in rounds.iter().enumerate() {
        for (place, (rate, (way, _))) in places.iter().flat_map(|p| rates.iter().zip(WAYS).map(move |r| (p, r))) {
            samples.push(Sample {
                cell: place.cell(way),
                round,
                result: Ok(done),
                rate: rate * 1e6,
                counters: BTreeMap::new(),
                restored_bytes: 0,
            });
        }
    }
    let mut report = Report::new("mtu", json!({}));
    judge(&mut report, &places, &samples);
    report.picture(picture(&places, &samples).svg());
    report
}

#[test]
fn each_link_is_narrow_once_in_each_way_and_direction() {
    let all = places(&ALL);
    assert_eq!(all.len(), 12);
    for place in &all {
        let links = place.topology.links();
        let narrow = |link: &Link| link.mtu == MTU || !link.hops.is_empty();
        assert_eq!(links.iter().filter(|link| narrow(link)).count(), 1, "{}", place.name);
        assert_eq!(narrow(&links[0]), place.name.contains("link 1"), "{}", place.name);
    }
    let quick: Vec<_> = places(&Options { quick: true, ..ALL }).into_iter().map(|place| place.name).collect();
    assert_eq!(quick, ["told link 2 download", "told link 2 upload", "silent link 2 download"]);
}

#[test]
fn less_than_direct_or_than_the_sum_fails_where_senders_are_told() {
    for cell in ["known link 1 upload", "told link 2 download"] {
        assert!(report(cell, &[[54.0, 53.0]]).passed, "{cell}");
        assert_eq!(report(cell, &[[60.0, 53.0]]).failures, ["to_direct is 0.883, must be at least 0.9"], "{cell}");
        // As poor as MPTCP itself, and yet too poor: a path that is not used at all.
        let alone = report(cell, &[[38.0, 38.0]]);
        assert_eq!(alone.failures, ["sum_share is 0.662, must be at least 0.9"], "{cell}");
        assert!(alone.is_in_doubt());
    }
}

#[test]
fn where_senders_find_out_by_themselves_chance_is_allowed_for() {
    assert!(report("silent link 2 download", &[[40.0, 31.0]]).passed);
    assert_eq!(
        report("silent link 2 download", &[[40.0, 28.0]]).failures,
        ["to_direct_silent is 0.7, must be at least 0.75"]
    );
}

#[test]
fn a_transfer_that_was_lost_fails_for_good() {
    let report = report("silent", &[[40.0, 0.0]]);
    assert!(!report.passed && !report.is_in_doubt(), "{report:?}");
}

#[test]
fn the_picture_has_a_panel_for_each_way_of_knowing() {
    let picture = report("link 2", &[[54.0, 53.0], [54.0, 53.0]]).picture.expect("a picture");
    for words in ["ends know it", "a router says so", "tcp_mtu_probing"] {
        assert!(picture.contains(words), "{words}");
    }
    assert_eq!(picture.matches("<polyline").count(), 12);
}
