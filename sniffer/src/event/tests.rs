use super::*;

fn words<T: serde::Serialize + fmt::Display>(all: &[T], expected: &[&str]) {
    let said: Vec<_> = all.iter().map(ToString::to_string).collect();
    assert_eq!(said, expected);
    let sent: Vec<_> = all.iter().map(|one| serde_json::to_value(one).unwrap()).collect();
    assert_eq!(sent, expected, "JSON has the same words");
}

#[test]
fn the_words_do_not_change() {
    use FallbackReason as F;
    words(&End::BOTH, &["client", "server"]);
    words(&[Verified::Yes, Verified::No, Verified::Unknown], &["yes", "no", "unknown"]);
    words(&[Forgery::Join, Forgery::AddAddr, Forgery::FastClose], &["join", "add-addr", "fast-close"]);
    words(
        &[F::NoMptcpOnSyn, F::NoMptcpOnSynAck, F::StrippedOnSyn, F::LostAfterSyn, F::LostTowardsClient],
        &["no-mptcp-on-syn", "no-mptcp-on-syn-ack", "stripped-on-syn", "lost-after-syn", "lost-towards-client"],
    );
    words(
        &[F::LostTowardsServer, F::Checksum, F::InfiniteMapping],
        &["lost-towards-server", "checksum", "infinite-mapping"],
    );
    use SubflowState as S;
    words(
        &[S::SynSeen, S::SynAckSeen, S::Established, S::Closing, S::Closed, S::Reset],
        &["syn-seen", "syn-ack-seen", "established", "closing", "closed", "reset"],
    );
}

#[test]
fn events_as_json() {
    let (connection, at) = (ConnId(3), Duration::from_micros(1_700_000_000_000_001));
    let subflow = SubflowId { connection, number: 1 };
    let flow: FourTuple = FourTuple::new("10.1.0.2:4".parse().unwrap(), "10.0.0.1:5".parse().unwrap()).unwrap();
    let by = End::Client;
    let all = [
        What::SubflowClosed { subflow, end: SubflowEnd::Reset { by, reason: Some(ResetReason(6)) } },
        What::ConnectionClosed { connection, end: ConnectionEnd::FastClose { by } },
        What::ConnectionClosed { connection, end: ConnectionEnd::Idle },
        What::Fallback { connection: None, flow, reason: FallbackReason::Checksum },
        What::Forged { connection, flow, by, what: Forgery::AddAddr },
        What::Lost { count: 9 },
    ];
    let lines = all.map(|what| {
        let event = Event { at, what };
        let line = serde_json::to_string(&event).unwrap();
        assert_eq!(serde_json::from_str::<Event>(&line).unwrap(), event);
        line
    });
    insta::assert_snapshot!(lines.join("\n"), @r#"
    {"at_us":1700000000000001,"event":"subflow-closed","subflow":{"connection":3,"number":1},"how":"reset","by":"client","reason":6}
    {"at_us":1700000000000001,"event":"connection-closed","connection":3,"how":"fast-close","by":"client"}
    {"at_us":1700000000000001,"event":"connection-closed","connection":3,"how":"idle"}
    {"at_us":1700000000000001,"event":"fallback","connection":null,"flow":{"source":"10.1.0.2:4","destination":"10.0.0.1:5"},"reason":"checksum"}
    {"at_us":1700000000000001,"event":"forged","connection":3,"flow":{"source":"10.1.0.2:4","destination":"10.0.0.1:5"},"by":"client","what":"add-addr"}
    {"at_us":1700000000000001,"event":"lost","count":9}
    "#);
    let mixed = r#"{"source":"10.1.0.2:4","destination":"[fd00::1]:5"}"#;
    assert!(serde_json::from_str::<FourTuple>(mixed).is_err());
}

#[test]
fn one_wrong_proof_is_enough_and_one_right_one_is_not() {
    use Verified::{No, Unknown, Yes};
    for (one, other, both) in
        [(Yes, Yes, Yes), (Yes, Unknown, Unknown), (Unknown, Unknown, Unknown), (Yes, No, No), (No, Unknown, No)]
    {
        assert_eq!((one.and(other), other.and(one)), (both, both));
    }
}
