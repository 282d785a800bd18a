use super::*;

#[test]
fn names_are_read_as_words_and_truth() {
    assert_eq!(name(&json!({"mptcp": "lost-after-syn"})), "lost-after-syn");
    assert_eq!(name(&json!({"mptcp": true})), WHOLE);
    assert_ne!(name(&json!({"mptcp": false})), WHOLE);
    assert_ne!(name(&json!({})), WHOLE);
}

#[test]
fn the_kernel_really_falls_back_where_a_case_says_so() {
    let options = Options { quick: true, settle: false, rounds: Some(1), cell: None, subject: Subject::Floor };
    for case in cases() {
        let tally = observe(&case, &options).expect("runs");
        let asked = if case.pushes { 8 } else { 6 };
        assert_eq!((tally.asked, tally.served), (asked, asked), "{}: {:?}", case.name, tally.errors);
        let counted = |name: &str| tally.kernel.get(&format!("MPTcpExt{name}")).copied().unwrap_or(0);
        // One connection a request: each must be counted the way the expected name claims.
        let connections = u64::from(asked) + tally.again.len() as u64;
        assert!(tally.again.len() <= 1, "{}: {:?}", case.name, tally.again);
        let of_its_kind = match case.expected {
            WHOLE => counted("MPCapableACKRX") - counted("MPFallbackTokenInit") - counted("DssFallback"),
            "no-mptcp-on-syn" => connections - counted("MPCapableSYNRX"),
            "lost-after-syn" => counted("MPCapableFallbackACK"),
            "lost-towards-client" => counted("DssFallback"),
            "checksum" => counted("DataCsumErr"),
            other => panic!("no such name: {other}"),
        };
        assert_eq!(of_its_kind, connections, "{}: {:?}", case.name, tally.kernel);
    }
}
