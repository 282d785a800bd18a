use super::*;

#[test]
fn assertions_hold_fail_and_miss() {
    let mut report = Report::new("x", json!({}));
    report.figure("ratio", Some(0.95));
    report.require("ratio", Must::AtLeast(0.95));
    report.require("ratio", Must::AtMost(0.95));
    assert!(report.passed);
    report.require("ratio", Must::AtLeast(0.96));
    report.figure("empty", None);
    report.require("empty", Must::AtMost(1.0));
    report.require("never noted", Must::AtMost(1.0));
    assert!(!report.passed);
    assert_eq!(report.failures.len(), 3);
    assert_eq!(report.failures[0], "ratio is 0.95, must be at least 0.96");
}

#[test]
fn only_what_a_busy_machine_can_cause_is_in_doubt() {
    let mut report = Report::new("x", json!({}));
    report.figure("ratio", Some(0.5));
    assert!(!report.is_in_doubt());
    report.require_of_a_busy_machine("ratio", Must::AtLeast(0.9));
    assert!(!report.passed && report.is_in_doubt());
    report.require("ratio", Must::AtLeast(0.9));
    assert!(!report.is_in_doubt());
}

#[test]
fn one_altered_stream_is_told_and_one_more_in_fifty_forgiven() {
    let altered = |streams, times| {
        let mut report = Report::new("x", json!({}));
        report.compared(streams);
        (0..times).for_each(|_| report.altered("a wrong byte"));
        (report.passed, report.notes.len())
    };
    assert_eq!(altered(10, 1), (true, 1));
    assert_eq!(altered(10, 2), (false, 1));
    assert_eq!(altered(50, 2), (true, 2));
    assert_eq!(altered(50, 3), (false, 2));
}

#[test]
fn several_reports_are_one_object_that_fails_with_any() {
    let mut good = Report::new("good", json!({"a": 1}));
    good.cell("c", "s", &[1.0, 2.0]);
    let mut bad = Report::new("bad", json!({}));
    bad.fail("words");
    let all = Report::all(vec![good, bad]);
    assert!(!all.passed);
    assert_eq!(all.failures, ["bad: words"]);
    assert_eq!(all.figures["good"]["cells"]["c"]["median"], 1.5);
    assert!(all.table().contains("n=2") && all.table().contains("! bad: words"));
}
