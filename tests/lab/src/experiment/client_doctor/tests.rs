use super::*;

#[test]
fn at_least_twelve_faults_each_with_a_name_of_its_own() {
    let faults = faults();
    let names: BTreeSet<_> = faults.iter().map(|fault| fault.name).collect();
    assert_eq!(names.len(), faults.len());
    assert!(faults.iter().filter(|fault| !fault.culprits.is_empty()).count() >= 12);
    assert!(faults.iter().any(|fault| fault.culprits.is_empty()));
}

#[test]
fn only_what_is_wrong_is_a_culprit() {
    let said = json!({"diagnosis": {"verdicts": [
        {"subject": "c1 from 10.1.0.2", "culprit": "none"},
        {"subject": "c2 from 10.2.0.2", "culprit": "mtu"},
    ]}});
    assert_eq!(culprits(&said), BTreeSet::from([("c2".to_owned(), "mtu".to_owned())]));
}
