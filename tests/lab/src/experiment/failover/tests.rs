use super::*;
use crate::client::Transferred;
use crate::experiment::Subject;

fn cell(name: &str, cut: Cut) -> Cell {
    let traffic =
        Traffic { protocol: Protocol::Mptcp, wire: Wire::Connect, family: Family::V4, way: Way::Download, bytes: 1000 };
    let fault = Fault { link: 1, cut, after: Duration::ZERO, lasts: Duration::ZERO };
    Cell { name: name.into(), topology: links(), traffic, fault: Some(fault) }
}

fn sample(cell: &str, gap_ms: u64, lost: u64) -> Sample {
    let transferred = Transferred {
        elapsed: Duration::from_secs(1),
        asked: 1000,
        lost,
        received: 1000,
        first_wrong: None,
        longest_gap: Duration::from_millis(gap_ms),
        stalls: 0,
    };
    let (result, cell) = (Ok(transferred), cell.to_owned());
    Sample { cell, round: 0, result, rate: 1.0, counters: std::collections::BTreeMap::new(), restored_bytes: 1_000_000 }
}

fn judged(samples: &[Sample]) -> Report {
    let options = Options { quick: true, settle: false, rounds: None, cell: None, subject: Subject::Floor };
    let cells = [cell("connect down download", Cut::Down), cell("connect silent download", Cut::Silent)];
    let mut report = Report::new("failover", json!({}));
    judge(&mut report, &options, &cells, samples);
    report
}

#[test]
fn a_silent_cut_is_not_taken_for_one_the_client_knows_of() {
    let report = judged(&[sample("connect down download", 300, 0), sample("connect silent download", 5000, 0)]);
    assert_eq!(report.figures["stall_ms_median"], 300.0);
    assert_eq!(report.figures["stall_ms_median_silent"], 5000.0);
    assert!(report.passed, "{:?}", report.failures);
}

#[test]
fn one_lost_byte_or_a_long_stall_fails() {
    assert!(!judged(&[sample("connect down download", 300, 1)]).passed);
    assert!(!judged(&[sample("connect down download", 1001, 0)]).passed);
    assert!(!judged(&[]).passed, "nothing measured is nothing shown");
}
