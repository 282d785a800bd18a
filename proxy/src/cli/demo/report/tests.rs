use std::time::Duration;

use super::*;
use crate::cli::demo::stage::Witness;

fn outcome(name: &'static str, seconds: u64, links: Vec<f64>, witness: Option<Witness>) -> Outcome {
    Outcome { name, bytes: 3_000_000, elapsed: Duration::from_secs(seconds), links, intact: true, witness, held: None }
}

#[test]
fn the_object_compares_the_second_act_with_the_first() {
    let links: Links = "4 Mbit/s 20 ms,2 Mbit/s".parse().expect("reads");
    let witness = Witness { mptcp: "yes".into(), subflows: 2 };
    let held = Held {
        time: Duration::from_millis(1500),
        carried: Some(0.4e6),
        lowest: Some(4e6),
        lowest_read: None,
        cannot: vec!["pace: no BPF".into()],
    };
    let outcomes = [
        outcome("tcp", 3, vec![8e6, 0.0], None),
        outcome("both", 2, vec![7e6, 5e6], Some(witness.clone())),
        Outcome { held: Some(Ok(held)), ..outcome("steered", 4, vec![4e6, 2e6], Some(witness)) },
    ];
    let expected = json!({
        "links": [
            {"name": "DSL", "rate": 4_000_000, "round_trip_ms": 20},
            {"name": "LTE", "rate": 2_000_000, "round_trip_ms": 0},
        ],
        "acts": [
            {"name": "tcp", "bytes": 3_000_000, "seconds": 3.0, "rate": 8e6, "intact": true, "proxy": null, "policy": null,
             "links": [{"name": "DSL", "rate": 8e6}, {"name": "LTE", "rate": 0.0}]},
            {"name": "both", "bytes": 3_000_000, "seconds": 2.0, "rate": 12e6, "intact": true,
             "proxy": {"mptcp": "yes", "subflows": 2}, "policy": null,
             "links": [{"name": "DSL", "rate": 7e6}, {"name": "LTE", "rate": 5e6}]},
            {"name": "steered", "bytes": 3_000_000, "seconds": 4.0, "rate": 6e6, "intact": true,
             "proxy": {"mptcp": "yes", "subflows": 2},
             "policy": {"link": "LTE", "limit": 500_000, "free": "DSL", "failed": null, "seconds": 1.5, "rate": 4e5, "lowest": 4e6,
                        "lowest_ratio": 1.046, "lowest_read_ratio": null, "kept": true, "cannot": ["pace: no BPF"]},
             "links": [{"name": "DSL", "rate": 4e6}, {"name": "LTE", "rate": 2e6}]},
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

#[test]
fn a_policy_that_was_not_held_says_why() {
    let links: Links = "4 Mbit/s,2 Mbit/s".parse().expect("reads");
    let refused = Outcome { held: Some(Err("refused".into())), ..outcome("steered", 3, vec![8e6, 0.0], None) };
    let policy = &report(&links, &[refused])["acts"][0]["policy"];
    assert_eq!((&policy["failed"], &policy["rate"]), (&json!("refused"), &Value::Null));
}
