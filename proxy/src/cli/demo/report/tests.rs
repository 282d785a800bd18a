use std::time::Duration;

use super::*;
use crate::cli::demo::stage::Witness;

fn outcome(name: &'static str, seconds: u64, links: Vec<f64>, witness: Option<Witness>) -> Outcome {
    Outcome { name, bytes: 3_000_000, elapsed: Duration::from_secs(seconds), links, intact: true, witness }
}

#[test]
fn the_object_compares_the_last_act_with_the_first() {
    let links: Links = "4 Mbit/s 20 ms,2 Mbit/s".parse().expect("reads");
    let witness = Witness { mptcp: "yes".into(), subflows: 2 };
    let outcomes = [outcome("tcp", 3, vec![8e6, 0.0], None), outcome("both", 2, vec![7e6, 5e6], Some(witness))];
    let expected = json!({
        "links": [
            {"name": "DSL", "rate": 4_000_000, "round_trip_ms": 20},
            {"name": "LTE", "rate": 2_000_000, "round_trip_ms": 0},
        ],
        "acts": [
            {"name": "tcp", "bytes": 3_000_000, "seconds": 3.0, "rate": 8e6, "intact": true, "proxy": null,
             "links": [{"name": "DSL", "rate": 8e6}, {"name": "LTE", "rate": 0.0}]},
            {"name": "both", "bytes": 3_000_000, "seconds": 2.0, "rate": 12e6, "intact": true,
             "proxy": {"mptcp": "yes", "subflows": 2},
             "links": [{"name": "DSL", "rate": 7e6}, {"name": "LTE", "rate": 5e6}]},
        ],
        "best_single": 8e6,
        "total": 12e6,
        "ratio": 1.5,
        "intact": true,
    });
    assert_eq!(report(&links, &outcomes), expected);
}

#[test]
fn one_wrong_byte_anywhere_is_not_intact() {
    let links: Links = "4 Mbit/s,2 Mbit/s".parse().expect("reads");
    let mut outcomes = [outcome("tcp", 3, vec![8e6, 0.0], None), outcome("both", 2, vec![7e6, 5e6], None)];
    outcomes[0].intact = false;
    assert_eq!(report(&links, &outcomes)["intact"], false);
}
