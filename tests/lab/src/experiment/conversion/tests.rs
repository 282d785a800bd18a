//! What is asked of the times, over samples made up; and that the peers named here exist.

use super::*;

fn times(connect: f64, to_origin: f64, to_client: f64) -> Times {
    let three = |middle: f64| vec![middle * 2.0, middle, middle / 2.0];
    Times { connect: three(connect), to_origin: three(to_origin), to_client: three(to_client), ..Times::default() }
}

fn report(ours: Times, squid: Option<Times>) -> Report {
    rounds(&[ours], squid.as_ref().map(std::slice::from_ref))
}

fn rounds(ours: &[Times], squid: Option<&[Times]>) -> Report {
    let mut all = vec![(OURS, ours)];
    all.extend(squid.map(|times| ("squid", times)));
    let mut report = Report::new("conversion", json!({}));
    judge(&mut report, &all, FULL);
    report.picture(picture(&all).svg());
    report
}

#[test]
fn faster_than_squid_and_a_hundredth_of_the_paper_passes() {
    let report = report(times(70.0, 20.0, 30.0), Some(times(300.0, 90.0, 80.0)));
    assert!(report.passed, "{:?}", report.failures);
    assert_eq!(report.figures["data_to_squid"], 0.333, "the slower way of either");
    assert_eq!(
        (&report.figures["paper_connect_us"], &report.figures["paper_data_us"]),
        (&7_800.0.into(), &15_300.0.into())
    );
    assert_eq!(report.figures["anabranch_connect_us_p99"], 140.0);
}

#[test]
fn slower_than_squid_fails() {
    let report = report(times(70.0, 20.0, 30.0), Some(times(69.0, 10.0, 29.0)));
    assert_eq!(
        report.failures,
        ["connect_to_squid is 1.014, must be at most 1", "data_to_squid is 1.034, must be at most 1"]
    );
    assert!(report.is_in_doubt());
}

#[test]
fn ratios_are_taken_within_a_round() {
    // A machine that was slow in one round was so for both.
    let ours = [times(60.0, 20.0, 20.0), times(600.0, 200.0, 200.0), times(600.0, 200.0, 200.0)];
    let squid = [times(120.0, 40.0, 40.0), times(1_200.0, 400.0, 400.0), times(120.0, 40.0, 40.0)];
    let report = rounds(&ours, Some(&squid));
    assert_eq!((&report.figures["connect_to_squid"], &report.figures["data_to_squid"]), (&0.5.into(), &0.5.into()));
    assert_eq!(report.figures["cells"]["squid CONNECT to SYN"]["n"], 9);
}

#[test]
fn more_than_a_fiftieth_of_the_paper_fails_also_without_squid() {
    let report = report(times(180.0, 320.0, 60.0), None);
    assert_eq!(
        report.failures,
        ["paper_to_connect is 43.333, must be at least 50", "paper_to_data is 47.813, must be at least 50"]
    );
    assert!(!report.figures.contains_key("connect_to_squid"));
}

#[test]
fn times_that_were_not_taken_fail() {
    assert_eq!(report(Times::default(), None).failures.len(), 2);
}

#[test]
fn the_picture_counts_up_to_all_and_marks_the_paper() {
    let picture = report(times(70.0, 20.0, 30.0), Some(times(300.0, 90.0, 80.0))).picture.expect("a picture");
    assert!(picture.contains("7.8 ms") && picture.contains("15.3 ms"));
    assert_eq!(picture.matches("<polyline").count(), 4);
    assert_eq!(shares(vec![3.0, 1.0, 2.0, 4.0]), [(1.0, 25.0), (2.0, 50.0), (3.0, 75.0), (4.0, 100.0)]);
}

#[test]
fn whoever_stands_beside_is_a_peer_that_tunnels() {
    for (_, peer) in BESIDE {
        assert!(find(peer).is_some_and(|peer| peer.is_rival() && peer.serves.tunnels), "{peer}");
    }
}
