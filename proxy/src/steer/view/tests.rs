use anabranch_sniffer::facts::{FactLimits, KernelEvent};
use anabranch_sniffer::{AddrId, FourTuple};

use super::*;

const EDGE: &str = "10.1.0.1:3128";

fn flow(client: &str) -> FourTuple {
    FourTuple::new(EDGE.parse().unwrap(), client.parse().unwrap()).unwrap()
}

fn session(token: u32) -> SessionFacts {
    SessionFacts {
        session: 1,
        token: Token(token),
        listener: "edge".into(),
        client: "10.1.0.2:40000".parse().unwrap(),
        subscriber: Some("line-1".into()),
        origin: Some("example.org:443".into()),
        destination: Some("203.0.113.7:443".parse().unwrap()),
    }
}

/// A table with one connection of two subflows, the joined one named first.
fn facts(token: u32) -> FactsTable {
    let mut facts = FactsTable::new(FactLimits::default(), Duration::from_secs(5));
    let (token, now) = (Token(token), Duration::from_secs(1));
    facts.on_kernel(&KernelEvent::Established { token, flow: flow("10.1.0.2:40000") }, now);
    let (local_id, remote_id) = (Some(AddrId(0)), Some(AddrId(2)));
    let joined = flow("10.2.0.2:41000");
    facts.on_kernel(&KernelEvent::SubflowEstablished { token, flow: joined, local_id, remote_id, backup: None }, now);
    facts
}

fn view_of(facts: &FactsTable, sessions: &HashMap<Token, SessionFacts>, ports: &[u16]) -> View {
    view(facts, &Scope { sessions, ports, passing: false }, &Interfaces::default(), Duration::from_secs(2))
}

#[test]
fn a_session_is_seen_with_what_the_proxy_told_and_its_initial_subflow_first() {
    let sessions = HashMap::from([(Token(7), session(7))]);
    let view = view_of(&facts(7), &sessions, &[]);
    let [connection] = view.connections.as_slice() else { panic!("{view:?}") };
    assert_eq!(connection.key, ConnectionKey::Ours(Token(7)));
    assert_eq!(connection.listener.as_deref(), Some("edge"));
    assert_eq!(connection.subscriber.as_deref(), Some("line-1"));
    assert_eq!(connection.destination, Some("203.0.113.7:443".parse().unwrap()));
    let clients: Vec<_> = connection.subflows.iter().map(|subflow| subflow.client().to_string()).collect();
    assert_eq!(clients, ["10.1.0.2:40000", "10.2.0.2:41000"]);
    assert!(connection.subflows.iter().all(|subflow| subflow.established && subflow.verified));
}

#[test]
fn one_the_proxy_has_not_told_of_yet_is_known_by_its_port_and_others_are_left_alone() {
    let none = HashMap::new();
    assert_eq!(view_of(&facts(7), &none, &[]).connections.len(), 0, "somebody else's server");
    let view = view_of(&facts(7), &none, &[3128]);
    let [connection] = view.connections.as_slice() else { panic!("{view:?}") };
    assert_eq!((connection.listener.as_ref(), connection.destination), (None, None));
}
