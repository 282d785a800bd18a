use super::*;
use crate::capture::Capture;
use crate::client::Protocol;
use crate::link::Link;
use crate::topology::{Family, Topology};
use crate::wire::segment;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

/// Whether a frame's TCP header carries an option of kind 30, Multipath TCP.
fn has_mptcp(frame: &[u8]) -> Option<(bool, bool)> {
    let segment = segment(frame)?;
    let syn = frame[segment.header + 13] & 2 != 0;
    let mut options = &frame[segment.header + 20..segment.payload.start];
    while let Some((&kind, rest)) = options.split_first() {
        let length = match kind {
            0 => break,
            1 => 1,
            30 => return Some((syn, true)),
            _ => usize::from(*rest.first()?).max(2),
        };
        options = options.get(length..)?;
    }
    Some((syn, false))
}

/// The share of kinds of segments that arrived with the option: (phase, toward) -> (with, without).
fn arrived(middlebox: Middlebox, family: Family) -> impl Fn(Phase, Toward) -> (usize, usize) {
    let topology = Topology::builder().link(Link::new("one").middlebox(middlebox)).build().expect("builds");
    let taps = [
        (Toward::Client, Capture::start(&topology.client, "c1", 256).expect("starts")),
        (Toward::Edge, Capture::start(&topology.edge, "p1", 256).expect("starts")),
    ];
    let address = SocketAddr::new(topology.edge_address(1, family), 4000);
    let listener = topology.edge.run(|| Protocol::Mptcp.listen_at(address)).expect("enters").expect("listens");
    let mut client = topology
        .client
        .run(|| Protocol::Mptcp.connect(address, Duration::from_secs(3)))
        .expect("enters")
        .expect("connects");
    let (mut server, _) = listener.accept().expect("accepts");
    let mut buffer = [0; 4];
    client.write_all(b"ping").expect("writes");
    server.read_exact(&mut buffer).expect("reads");
    server.write_all(b"pong").expect("writes");
    client.read_exact(&mut buffer).expect("reads");
    let taps = taps.map(|(toward, tap)| (toward, tap.stop().expect("stops")));
    move |phase, toward| {
        let (_, recording) = taps.iter().find(|(t, _)| *t == toward).expect("a tap");
        let seen: Vec<_> = recording
            .frames
            .iter()
            .filter(|frame| !frame.outgoing)
            .filter_map(|frame| has_mptcp(&frame.bytes))
            .filter(|(syn, _)| *syn == (phase == Phase::Handshake))
            .collect();
        let with = seen.iter().filter(|(_, has)| *has).count();
        (with, seen.len() - with)
    }
}

#[test]
fn a_router_without_strips_lets_the_option_through() {
    for family in [Family::V4, Family::V6] {
        let arrived = arrived(Middlebox::default(), family);
        for toward in [Toward::Edge, Toward::Client] {
            assert_eq!(arrived(Phase::Handshake, toward), (1, 0), "{family:?} {toward:?}");
            assert!(arrived(Phase::Later, toward).0 > 0, "{family:?} {toward:?}");
        }
    }
}

#[test]
fn each_strip_removes_the_option_where_it_says_and_only_there() {
    use Phase::{Handshake, Later};
    use Toward::{Client, Edge};
    for family in [Family::V4, Family::V6] {
        let syn = arrived(Middlebox::strip(Handshake, Edge), family);
        assert_eq!(syn(Handshake, Edge), (0, 1), "{family:?}");
        let syn_ack = arrived(Middlebox::strip(Handshake, Client), family);
        assert_eq!((syn_ack(Handshake, Edge), syn_ack(Handshake, Client)), ((1, 0), (0, 1)), "{family:?}");
        let to_edge = arrived(Middlebox::strip(Later, Edge), family);
        assert_eq!((to_edge(Handshake, Edge), to_edge(Handshake, Client)), ((1, 0), (1, 0)), "{family:?}");
        assert!(to_edge(Later, Edge).0 == 0 && to_edge(Later, Edge).1 > 0, "{family:?}");
        let to_client = arrived(Middlebox::strip(Later, Client), family);
        assert!(to_client(Later, Client).0 == 0 && to_client(Later, Client).1 > 0, "{family:?}");
        assert!(to_client(Later, Edge).0 > 0, "{family:?}");
    }
}
