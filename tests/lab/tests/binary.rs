//! The `lab` binary keeps its word: names, one JSON object, exit status.

use std::process::{Command, Output};

fn lab(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lab")).args(arguments).output().expect("starts")
}

/// Every experiment, in the order they run.
const NAMES: [&str; 30] = [
    "aggregate",
    "stalls",
    "failover",
    "fallback",
    "clients",
    "integrity",
    "latency",
    "far",
    "buffers",
    "mtu",
    "conversion",
    "tunnels",
    "sniffer",
    "throttle",
    "first-transfer",
    "overflow",
    "backup",
    "share",
    "close",
    "quota",
    "schedule",
    "scale",
    "kill",
    "refusals",
    "congested-path",
    "router",
    "do-no-harm",
    "edge-check",
    "client-doctor",
    "client-setup",
];

#[test]
fn list_names_every_experiment() {
    let output = lab(&["list"]);
    let text = String::from_utf8(output.stdout).expect("text");
    let names: Vec<_> = text.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(names, NAMES);
}

#[test]
fn json_is_exactly_one_object_on_standard_output() {
    let output = lab(&["latency", "--quick", "--json", "--rounds", "5", "--subject", "floor"]);
    let text = String::from_utf8(output.stdout).expect("text");
    // A second value or a stray line would be refused as trailing characters.
    let report: serde_json::Value = serde_json::from_str(&text).expect("one JSON value");
    assert_eq!(report["experiment"], "latency");
    assert!(report["setup"].is_object());
    for figure in ["connect_us_p50", "connect_us_p99", "data_us_p50", "data_us_p99"] {
        assert!(report["figures"][figure].as_f64().is_some_and(|us| us > 0.0), "{figure}: {report}");
    }
    assert_eq!(report["figures"]["cells"]["CONNECT request to SYN"]["n"], 5);
    assert_eq!(report["passed"], output.status.success());
}

#[test]
fn failing_is_told_by_the_exit_status() {
    assert_eq!(lab(&["no-such-experiment"]).status.code(), Some(1));
    // A proxy that ends at once cannot pass anything, and must not hang.
    let output = Command::new(env!("CARGO_BIN_EXE_lab"))
        .args(["all", "--quick", "--json"])
        .env("ANABRANCH_BIN", "true")
        .output()
        .expect("starts");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one JSON value");
    assert_eq!((output.status.code(), &report["passed"]), (Some(1), &serde_json::Value::Bool(false)));
    assert_eq!(report["failures"].as_array().map(Vec::len), Some(NAMES.len()), "{report}");
}
