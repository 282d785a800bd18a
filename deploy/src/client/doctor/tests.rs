use std::net::SocketAddr;

use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn view(fallback: Option<&str>) -> EdgeView {
    EdgeView {
        version: "1".into(),
        listener: "edge".into(),
        client: at("10.2.0.2:4000"),
        edge: at("10.1.0.1:3128"),
        mptcp: fallback.is_none(),
        fallback: fallback.map(Into::into),
        token: None,
        subflows: Vec::new(),
        subflow_limit: Some(8),
        path_manager: Some("kernel".into()),
    }
}

fn answered(fallback: Option<&str>) -> Attempt {
    Attempt::Answered { connect_ms: 1, view: Box::new(view(fallback)) }
}

fn link(name: &str, address: &str) -> LinkEvidence {
    LinkEvidence {
        name: name.into(),
        address: ip(address),
        leaves_by: Some(name.into()),
        strict: false,
        endpoint: true,
        routed: answered(Some("no-mptcp-on-syn")),
        bound: answered(Some("no-mptcp-on-syn")),
        large_down: Large::Pass,
        large_up: Large::Pass,
        mptcp: answered(None),
        kept_at_connect: true,
        rate: Some(20_000_000),
    }
}

/// Two links on which all is well.
fn evidence() -> Evidence {
    Evidence {
        proxy: "10.1.0.1:3128".into(),
        machine: Machine { mptcp: Some(true), path_manager: Some("kernel".into()), subflows: Some(2), gave_up: false },
        links: vec![link("c1", "10.1.0.2"), link("c2", "10.2.0.2")],
        idle: Vec::new(),
        together: vec![Together {
            first: ip("10.1.0.2"),
            joined: vec![ip("10.2.0.2")],
            waiting: Vec::new(),
            view: Some(view(None)),
            rate: Some(39_000_000),
        }],
    }
}

fn culprits(evidence: &Evidence) -> Vec<Culprit> {
    judge(evidence).verdicts.into_iter().map(|verdict| verdict.culprit).filter(|c| *c != Culprit::None).collect()
}

/// The culprit after one change to the second link.
fn blamed(change: impl FnOnce(&mut LinkEvidence)) -> Vec<Culprit> {
    let mut evidence = evidence();
    change(&mut evidence.links[1]);
    culprits(&evidence)
}

/// The culprit after the second link did not join, and one change more.
fn not_joined(change: impl FnOnce(&mut Evidence)) -> Vec<Culprit> {
    let mut evidence = evidence();
    evidence.together[0].joined.clear();
    change(&mut evidence);
    culprits(&evidence)
}

#[test]
fn all_is_well_when_it_is() {
    let said = judge(&evidence());
    assert_eq!((said.failures, said.verdicts.len()), (0, 3));
    let text = said.text();
    assert!(text.ends_with("all is well\n") && text.contains("together over IPv4 (39.0 Mbit/s)"), "{text}");
    assert!(text.contains("alone they sum up to 40.0 Mbit/s"), "{text}");
    let mut brief = evidence();
    brief.links[1].rate = None;
    let unmeasured = judge(&brief).text();
    assert!(unmeasured.contains("2 links in one connection over IPv4\n"), "{unmeasured}");
    // The edge sees c1 as somebody else here: a translation, which is no fault.
    assert!(text.contains("seen there as 10.2.0.2"), "{text}");
}

#[test]
fn who_is_not_reached_hides_everything_else() {
    assert_eq!(blamed(|link| link.leaves_by = None), [Culprit::NoRoute]);
    assert_eq!(blamed(|link| link.leaves_by = Some("c1".into())), [Culprit::WrongRoute]);
    let strict = |link: &mut LinkEvidence| {
        link.leaves_by = Some("c1".into());
        link.strict = true;
        link.bound = Attempt::NoConnection;
        link.routed = Attempt::NoConnection;
    };
    assert_eq!(blamed(strict), [Culprit::StrictFilter]);
    assert_eq!(blamed(|link| link.bound = Attempt::NoConnection), [Culprit::Asymmetric]);
    let both = |attempt: Attempt| {
        move |link: &mut LinkEvidence| {
            link.routed = attempt.clone();
            link.bound = attempt;
            link.mptcp = Attempt::Skipped;
        }
    };
    assert_eq!(blamed(both(Attempt::NoConnection)), [Culprit::BlockedPort]);
    assert_eq!(blamed(both(Attempt::Refused)), [Culprit::BlockedPort]);
    assert_eq!(blamed(both(Attempt::Turned(403, "no".into()))), [Culprit::NotAllowed]);
    assert_eq!(blamed(both(Attempt::Turned(407, "who".into()))), [Culprit::NotAllowed]);
    assert_eq!(blamed(both(Attempt::Turned(429, "later".into()))), [Culprit::Limited]);
    assert_eq!(blamed(both(Attempt::Turned(400, "what".into()))), [Culprit::NotAnabranch]);
    assert_eq!(blamed(both(Attempt::NoAnswer)), [Culprit::NotAnabranch]);
    assert_eq!(blamed(both(Attempt::Impossible("x".into()))), [Culprit::NoRoute]);
}

#[test]
fn large_packets_that_vanish_are_named_with_what_passes() {
    let mut evidence = evidence();
    evidence.links[1].large_up = Large::Vanish { fits: Some(1400) };
    let said = judge(&evidence);
    let verdict = said.verdicts.iter().find(|verdict| verdict.culprit == Culprit::Mtu).unwrap();
    assert!(verdict.evidence.contains("towards the proxy") && verdict.mend.contains("mtu 1400"), "{verdict:?}");
    assert_eq!(blamed(|link| link.large_down = Large::Vanish { fits: None }), [Culprit::Mtu]);
}

#[test]
fn each_way_to_lose_mptcp_has_its_name() {
    let lost = |why, kept| {
        blamed(move |link: &mut LinkEvidence| {
            link.mptcp = answered(Some(why));
            link.kept_at_connect = kept;
        })
    };
    assert_eq!(lost("no-mptcp-on-syn", false), [Culprit::SynStripped]);
    assert_eq!(lost("lost-after-syn", false), [Culprit::SynAckStripped]);
    assert_eq!(lost("lost-after-syn", true), [Culprit::StrippedToEdge]);
    assert_eq!(lost("lost-towards-client", true), [Culprit::StrippedToClient]);
    assert_eq!(lost("checksum", true), [Culprit::Rewritten]);
    assert_eq!(lost("not-offered", false), [Culprit::NotOffered]);
    assert_eq!(lost("something-new", true), [Culprit::MptcpLost]);
    assert_eq!(blamed(|link| link.mptcp = Attempt::NoConnection), [Culprit::SynBlackholed]);
    assert_eq!(blamed(|link| link.mptcp = Attempt::NoAnswer), [Culprit::MptcpLost]);
    let mut evidence = evidence();
    evidence.machine.gave_up = true;
    evidence.links[1].mptcp = answered(Some("no-mptcp-on-syn"));
    assert_eq!(culprits(&evidence), [Culprit::MptcpGaveUp]);
    evidence.machine.mptcp = Some(false);
    assert_eq!(culprits(&evidence), [Culprit::MptcpOff; 2]);
}

#[test]
fn who_did_not_join_has_a_reason() {
    assert_eq!(not_joined(|_| {}), [Culprit::JoinRefused]);
    assert_eq!(not_joined(|e| e.machine.subflows = Some(0)), [Culprit::OwnLimit]);
    assert_eq!(not_joined(|e| e.links[1].endpoint = false), [Culprit::NoEndpoint]);
    assert_eq!(not_joined(|e| e.together[0].waiting.push(ip("10.2.0.2"))), [Culprit::JoinSilent]);
    let edge =
        |change: fn(&mut EdgeView)| not_joined(move |evidence| change(evidence.together[0].view.as_mut().unwrap()));
    assert_eq!(edge(|view| view.subflow_limit = Some(0)), [Culprit::EdgeLimit]);
    assert_eq!(edge(|view| view.path_manager = Some("userspace".into())), [Culprit::JoinRefused]);
    // A program's endpoints and limits are not the kernel's.
    let program = |evidence: &mut Evidence| {
        evidence.machine =
            Machine { path_manager: Some("userspace".into()), subflows: Some(0), ..evidence.machine.clone() };
    };
    assert_eq!(not_joined(program), [Culprit::OwnManager]);
}

#[test]
fn a_third_link_beyond_the_limit_and_one_that_is_down_are_told() {
    let mut evidence = evidence();
    evidence.links.push(link("c3", "10.3.0.2"));
    evidence.machine.subflows = Some(1);
    evidence.idle.push(("c4".into(), "is down".into()));
    assert_eq!(culprits(&evidence), [Culprit::LinkDown, Culprit::OwnLimit]);
    // A link that is ill by itself is not blamed again for not joining.
    evidence.links[2].large_up = Large::Vanish { fits: None };
    assert_eq!(culprits(&evidence), [Culprit::LinkDown, Culprit::Mtu]);
}
