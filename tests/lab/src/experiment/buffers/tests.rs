//! What is asked of the rates, over samples made up.

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::client::Transferred;
use crate::experiment::Subject;

const ALL: Options = Options { quick: false, settle: false, rounds: None, cell: None, subject: Subject::Anabranch };

/// A round of every way of a place, in Mbit/s.
fn round(place: &Place, round: usize, rates: [f64; 3]) -> Vec<Sample> {
    let done = Transferred {
        elapsed: Duration::from_secs(1),
        asked: 1,
        lost: 0,
        received: 1,
        first_wrong: None,
        longest_gap: Duration::ZERO,
        stalls: 0,
    };
    let sample = |(rate, (way, ..)): (f64, (&str, Protocol, Wire))| Sample {
        cell: place.cell(way),
        round,
        result: Ok(done),
        rate: rate * 1e6,
        counters: BTreeMap::new(),
        restored_bytes: 0,
    };
    rates.into_iter().zip(WAYS).map(sample).collect()
}

fn report(cell: &'static str, rounds: &[[f64; 3]]) -> Report {
    let places = places(&Options { cell: Some(cell), ..ALL });
    let samples: Vec<_> = rounds
        .iter()
        .enumerate()
        .flat_map(|(number, rates)| places.iter().flat_map(move |place| round(place, number, *rates)))
        .collect();
    let mut report = Report::new("buffers", json!({}));
    judge(&mut report, &places, &samples);
    report
}

#[test]
fn every_memory_is_tried_over_both_pairs_of_paths() {
    let names: Vec<_> = places(&ALL).into_iter().map(|place| place.name).collect();
    assert_eq!(names.len(), 6, "{names:?}");
    let quick: Vec<_> = places(&Options { quick: true, ..ALL }).into_iter().map(|place| place.name).collect();
    assert_eq!(quick, ["differing 0.18 MB", "differing 0.72 MB"]);
}

#[test]
fn less_than_direct_fails_at_any_memory() {
    for cell in ["differing 0.18", "differing 0.72", "equal default"] {
        assert!(report(cell, &[[38.0, 50.0, 46.0]]).passed, "{cell}");
        let failed = report(cell, &[[30.0, 50.0, 44.0]]);
        assert_eq!(failed.failures, ["to_direct is 0.88, must be at least 0.9"], "{cell}");
        assert!(failed.is_in_doubt());
    }
}

#[test]
fn less_than_tcp_fails_only_where_there_is_room_and_is_told_where_not() {
    assert_eq!(
        report("differing 0.72", &[[38.0, 30.0, 30.0]]).failures,
        ["to_tcp_with_room is 0.789, must be at least 0.9"]
    );
    let small = report("differing 0.18", &[[40.0, 24.0, 22.0]]);
    assert!(small.passed && small.notes.len() == 1, "{small:?}");
    assert!(small.notes[0].contains("0.60") && small.notes[0].contains("0.55"), "{:?}", small.notes);
}

#[test]
fn rounds_that_scatter_are_given_what_they_leave_possible_and_no_more() {
    // The median 0.88, and an error of 0.029 about it.
    let rounds = [[38.0, 50.0, 40.0], [38.0, 50.0, 44.0], [38.0, 50.0, 45.0]];
    assert!(report("equal 0.72", &rounds).passed);
    let steady = [[38.0, 50.0, 44.0], [38.0, 50.0, 43.9], [38.0, 50.0, 44.1]];
    assert!(!report("equal 0.72", &steady).passed);
}

#[test]
fn a_transfer_that_was_lost_fails_for_good() {
    let report = report("equal 0.72", &[[38.0, 50.0, 0.0]]);
    assert!(!report.passed && !report.is_in_doubt(), "{report:?}");
}

#[test]
fn the_picture_has_a_panel_for_each_pair_of_paths() {
    let places = places(&ALL);
    let samples: Vec<_> = places.iter().flat_map(|place| round(place, 0, [38.0, 50.0, 49.0])).collect();
    let plot = picture(&places, &samples, 33_554_432);
    assert_eq!(plot.panels.len(), 2);
    assert!(plot.panels.iter().all(|panel| panel.curves.len() == 3 && panel.curves[0].points.len() == 3));
}
