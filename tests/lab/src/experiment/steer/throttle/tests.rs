use super::*;
use crate::client::Way;
use crate::experiment::Subject;
use crate::meter::Carried;
use play::Free;

const FREE: Free = Free { tcp: 38e6, alone: 38e6 };

fn cell() -> Cell {
    cells(&Options { quick: false, settle: false, rounds: None, cell: None, subject: Subject::Anabranch })
        .swap_remove(0)
}

/// A trace of two links whose rates, in Mbit/s, are told by steps of time in ms.
fn trace(links: [&[(u64, u64)]; 2]) -> Trace {
    let mut trace = Trace {
        paths: vec![Carried::default(); 2],
        marks: vec![(ms(3_000), "held".into()), (ms(8_000), "released".into())],
        end: ms(10_500),
        ..Trace::default()
    };
    for (carried, steps) in trace.paths.iter_mut().zip(links) {
        for at in (0..10_500).step_by(10) {
            let rate = steps.iter().rev().find(|step| step.0 <= at).map_or(0, |step| step.1);
            let bytes = rate * 1_000_000 / 8 / 100;
            carried.received.add(ms(at), bytes);
            carried.received_frames.add(ms(at), bytes);
            trace.flows.resize_with(1, Default::default);
            trace.flows[0].series.add(ms(at), bytes);
        }
    }
    trace
}

fn figures(links: [&[(u64, u64)]; 2]) -> Figures {
    Figures::of(&cell(), &Times::FULL, &FREE, &trace(links), (2, 2))
}

fn near(value: Option<f64>, wanted: f64) -> bool {
    value.is_some_and(|value| (value - wanted).abs() < 0.011)
}

#[test]
fn a_good_hold_has_good_figures() {
    let good = figures([&[(0, 38)], &[(0, 38), (3_140, 2), (8_060, 38)]]);
    assert_eq!((good.settle, good.release), (140.0, 40.0));
    assert!(near(good.worst_window, 40.0 / 38.0) && near(good.steady, 40.0 / 38.0), "{good}");
    assert!(near(good.held_most, 1.0) && near(good.worst_delivery, 40.0 / 38.0), "{good}");
}

#[test]
fn a_stall_shows_in_the_worst_window_and_in_no_other_figure() {
    let stalled = figures([&[(0, 38), (5_000, 0), (5_250, 38)], &[(0, 38), (3_140, 2), (8_060, 38)]]);
    assert!(near(stalled.worst_window, 2.0 / 38.0), "{stalled}");
    assert_eq!((stalled.settle, stalled.release), (140.0, 40.0));
}

#[test]
fn a_stall_after_the_release_counts_too() {
    let stalled = figures([&[(0, 38), (9_000, 0), (9_250, 38)], &[(0, 38), (3_140, 2), (8_060, 0)]]);
    assert!(near(stalled.worst_window, 0.0), "{stalled}");
    assert_eq!(stalled.release, 2_500.0, "the sum never came back, which counts as the longest it can have taken");
}

#[test]
fn a_path_that_breaks_out_has_not_settled_before() {
    let out = figures([&[(0, 38)], &[(0, 38), (3_140, 2), (6_000, 30), (6_100, 2), (8_060, 38)]]);
    assert!((out.settle - 3_090.0).abs() < 15.0 && out.held_most.is_some_and(|most| most > 2.0), "{out}");
    let never = figures([&[(0, 38)], &[(0, 38)]]);
    assert_eq!(never.settle, 5_000.0);
}

#[test]
fn the_cells_are_those_that_were_asked_for() {
    let options = |quick| Options { quick, settle: false, rounds: None, cell: None, subject: Subject::Anabranch };
    let (full, quick) = (cells(&options(false)), cells(&options(true)));
    assert_eq!((full.len(), quick.len()), (12, 4));
    assert!(full.iter().all(|cell| cell.accepted == [0, 2] && !cell.free.contains(&cell.held)));
    assert_eq!(full.iter().filter(|cell| cell.way == Way::Upload).count(), 2);
}

#[test]
fn the_worst_cell_is_at_the_top() {
    let mut report = Report::new("throttle", json!({}));
    let good = figures([&[(0, 38)], &[(0, 38), (3_140, 2), (8_060, 38)]]);
    let poor = figures([&[(0, 38), (5_000, 0), (5_250, 38)], &[(0, 38), (4_500, 2), (8_060, 38)]]);
    let mut samples = [Samples::new("good".into(), &good), Samples::new("poor".into(), &poor)];
    samples[1].push(&poor);
    judge(&mut report, &samples, true);
    assert_eq!(report.figures["settle_ms"], 1_500.0);
    assert_eq!(report.figures["release_ms"], 40.0);
    assert_eq!(report.figures["worst_window_ratio"], 0.053);
    assert_eq!(report.failures.len(), 3, "{:?}", report.failures);
    assert_eq!(report.figures["cells"]["poor"]["n"], 2);
    assert_eq!(report.figures["cells"]["good"]["settle_ms"]["median"], 140.0);
}
