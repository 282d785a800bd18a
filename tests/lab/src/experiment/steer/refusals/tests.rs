use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use super::bad::ALL;
use super::*;

fn output(code: i32, words: &str) -> Output {
    Output { status: ExitStatus::from_raw(code << 8), stdout: Vec::new(), stderr: words.into() }
}

#[test]
fn a_refusal_counts_when_it_ends_so_and_names_what_is_wrong() {
    let bad = &ALL[0];
    let good = "policy \"bad\": path: got \"lan\", expected one of \"one\", \"two\"";
    assert_eq!(bad.faults(&output(CONFIG, good), &output(CONFIG, good)), Vec::<String>::new());
    assert_eq!(bad.faults(&output(0, good), &output(CONFIG, good)).len(), 1, "another status");
    assert_eq!(bad.faults(&output(CONFIG, "no"), &output(CONFIG, good)).len(), 1, "no names");
    assert_eq!(bad.faults(&output(CONFIG, good), &output(0, "")).len(), 1, "applied all the same");
}

#[test]
fn every_bad_policy_is_bad_in_its_own_way() {
    assert!(ALL.len() > 30);
    let texts: std::collections::BTreeSet<String> = ALL.iter().map(|bad| bad.text("")).collect();
    assert_eq!(texts.len(), ALL.len());
    assert!(texts.iter().all(|text| text.contains("[[policy]]")));
}

#[test]
fn names_are_found_wherever_the_list_nests_them() {
    let mut names = Vec::new();
    let value = serde_json::json!({"policies": [{"name": "a", "action": "limit", "since": 3}], "text": "x"});
    collect(&value, &mut names);
    assert_eq!(names.len(), 2, "{names:?}");
    assert!(names.contains(&"name a".to_owned()) && names.contains(&"action limit".to_owned()));
}
