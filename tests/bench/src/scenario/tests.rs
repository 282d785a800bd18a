use std::collections::BTreeSet;

use super::*;
use anabranch_lab::peer::PEERS;

fn peer(name: &str) -> &'static Peer {
    PEERS.iter().find(|peer| peer.name == name).unwrap()
}

#[test]
fn names_are_unique_and_every_part_of_the_issue_is_there() {
    let all = all();
    let names: BTreeSet<_> = all.iter().map(|scenario| scenario.name.as_str()).collect();
    assert_eq!(names.len(), all.len());
    for name in [
        "bulk down x1, TCP",
        "bulk up x64, MPTCP two subflows",
        "keep-alive GET 1 MiB, MPTCP one subflow",
        "new connection, GET 1 KiB, TCP",
        "new CONNECT, 1 KiB, MPTCP one subflow",
        "GET 1 KiB at 70 % load, MPTCP one subflow",
        "GET 1 KiB at 70 % of its own, MPTCP one subflow",
        "conversion delay",
        "idle tunnels",
    ] {
        assert!(names.contains(name), "{name}: {names:?}");
    }
    assert_eq!(names.iter().filter(|name| name.starts_with("bulk ")).count(), 18);
}

#[test]
fn nobody_is_asked_for_what_it_cannot_do() {
    let all = all();
    let out = |name: &str, part: &str| {
        let scenario = all.iter().find(|scenario| scenario.name.starts_with(part)).unwrap();
        scenario.excludes(peer(name))
    };
    assert_eq!(out("nginx", "bulk"), Some("no CONNECT"));
    assert_eq!(out("nginx", "new CONNECT"), Some("no CONNECT"));
    assert_eq!(out("nginx", "keep-alive"), None);
    assert_eq!(out("tinyproxy", "keep-alive"), Some("no keep-alive"));
    assert_eq!(out("tinyproxy", "new connection"), None);
    assert_eq!(out("floor", "keep-alive"), Some("CONNECT only"));
    assert_eq!(out("floor", "new CONNECT"), None);
    assert_eq!(out("direct", "conversion"), Some("nothing stands between"));
    assert_eq!(out("direct", "bulk"), None);
}
