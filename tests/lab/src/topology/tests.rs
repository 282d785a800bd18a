use super::*;
use crate::capture::Capture;
use crate::middlebox::{Middlebox, Phase, Toward};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// Connects from the client to the edge's address on `link` and measures the handshake.
fn handshake(topology: &Topology, link: u8, family: Family) -> Duration {
    let address = topology.edge_address(link, family);
    let listener = topology.edge.run(|| TcpListener::bind((address, 0))).expect("enters").expect("binds");
    let to = SocketAddr::new(address, listener.local_addr().expect("address").port());
    let start = Instant::now();
    let connected = topology.client.run(|| TcpStream::connect_timeout(&to, Duration::from_secs(3))).expect("enters");
    connected.unwrap_or_else(|error| panic!("link {link} {family:?}: {error}"));
    start.elapsed()
}

#[test]
fn every_link_carries_both_families_through_its_hops() {
    let strip = Middlebox::strip(Phase::Handshake, Toward::Edge);
    let topology = Topology::builder()
        .link(Link::new("plain"))
        .link(Link::new("shaped and slow").mbit(20).delay_ms(20))
        .link(Link::new("boxed").middlebox(strip.clone()))
        .link(Link::new("both").middlebox(strip).delay_ms(20))
        .link(Link::new("switched").mbit(20).switched())
        .build()
        .expect("builds");
    for family in [Family::V4, Family::V6] {
        for (link, at_least, at_most) in [(1, 0, 15), (2, 40, 75), (3, 0, 15), (4, 40, 75), (5, 0, 15)] {
            handshake(&topology, link, family);
            // The first one also resolved the neighbours.
            let took = handshake(&topology, link, family).as_millis();
            assert!((at_least..at_most).contains(&took), "link {link} {family:?}: {took} ms");
        }
        let origin = topology.origin_address(family);
        let listener = topology.origin.run(|| TcpListener::bind((origin, 0))).expect("enters").expect("binds");
        let to = listener.local_addr().expect("address");
        assert!(topology.edge.run(|| TcpStream::connect(to)).expect("enters").is_ok());
    }
}

#[test]
fn a_cut_link_is_dead_until_it_is_restored() {
    let topology = Topology::builder().link(Link::new("one")).link(Link::new("two")).build().expect("builds");
    let reach = |link| {
        let to = SocketAddr::new(topology.edge_address(link, Family::V4), 9);
        let from = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("socket");
        from.bind(&SocketAddr::new(topology.client_address(link, Family::V4), 0).into()).expect("binds");
        // Nothing listens on port 9: a refusal proves the way there and back.
        let error = from.connect_timeout(&to.into(), Duration::from_millis(300)).expect_err("no listener");
        error.kind() == std::io::ErrorKind::ConnectionRefused
    };
    topology
        .client
        .run(|| {
            for cut in [Cut::Silent, Cut::Down] {
                for link in [1, 2] {
                    assert!(reach(link), "{cut:?} {link} before");
                    topology.cut(link, cut).expect("cuts");
                    assert!(cut == Cut::Down || !reach(link), "{cut:?} {link} while cut");
                    topology.restore(link, cut).expect("restores");
                    assert!(reach(link), "{cut:?} {link} after");
                }
            }
        })
        .expect("enters");
}

#[test]
fn a_narrow_link_says_how_small_packets_must_be() {
    let known = Link { mtu: 1000, ..Link::new("known") };
    let topology =
        Topology::builder().link(Link::new("narrow").mbit(100).narrow(1000)).link(known).build().expect("builds");
    for (link, family) in [(1, Family::V4), (1, Family::V6), (2, Family::V4)] {
        handshake(&topology, link, family);
    }
    topology.cut(2, Cut::Down).expect("cuts");
    topology.restore(2, Cut::Down).expect("restores without IPv6");
    handshake(&topology, 2, Family::V4);
    let address = topology.edge_address(1, Family::V4);
    let listener = topology.edge.run(|| TcpListener::bind((address, 0))).expect("enters").expect("binds");
    let to = listener.local_addr().expect("address");
    let stream = topology.client.run(|| TcpStream::connect_timeout(&to, Duration::from_secs(3))).expect("enters");
    let (one, other) = (stream.expect("connects"), listener.accept().expect("accepts").0);
    for (mut from, mut to, ns, device) in [(&one, &other, &topology.edge, "p1"), (&other, &one, &topology.client, "c1")]
    {
        let tap = Capture::start(ns, device, 64).expect("starts");
        from.write_all(&[7; 20_000]).expect("writes");
        to.read_exact(&mut [0; 20_000]).expect("arrives");
        let frames = tap.stop().expect("stops").frames;
        let largest = frames.iter().filter(|frame| !frame.outgoing).map(|frame| frame.wire_len).max();
        assert_eq!(largest, Some(1014), "{device}");
    }
}

#[test]
fn addresses_follow_the_plan() {
    assert_eq!(address(2, 1, Family::V4).to_string(), "10.2.0.1");
    assert_eq!(address(200, 2, Family::V6).to_string(), "fd00:200::2");
}
