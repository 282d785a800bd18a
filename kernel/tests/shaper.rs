//! Packets through the shaper: held to a rate where they should be, untouched where not.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use anabranch_kernel::link::Links;
use anabranch_kernel::mptcp_pm::Events;
use anabranch_kernel::netns::NetNs;
use anabranch_kernel::packet::wait_readable;
use anabranch_kernel::shaper::{ClassSpec, Direction, Flow, Join, Names, Options, Prefix, Shaper, Slot, Then};
use anabranch_kernel::sockopt::mptcp_info;
use socket2::{Domain, Protocol, Socket, Type};

const PORT: u16 = 5001;
const LEASE: Duration = Duration::from_secs(1);
/// What the links carry beside the payload of a full segment with timestamps: 66 and 86 bytes.
const FULL: [(f64, f64); 2] = [(1448.0, 1514.0), (1428.0, 1514.0)];

/// A server and a client with two links between them, s1-c1 and s2-c2.
struct Pair {
    server: NetNs,
    client: NetNs,
}

fn ip(ns: &NetNs, line: &str) {
    assert!(ns.command("ip").args(line.split(' ')).status().unwrap().success(), "ip {line}");
}

fn sysctl(ns: &NetNs, key: &str, value: &str) {
    ns.run(|| std::fs::write(format!("/proc/sys/net/{key}"), value)).unwrap().unwrap();
}

impl Pair {
    fn new() -> Self {
        let (server, client) = (NetNs::new().unwrap(), NetNs::new().unwrap());
        for ns in [&server, &client] {
            ip(ns, "link set lo up");
            sysctl(ns, "ipv6/conf/default/accept_dad", "0");
            sysctl(ns, "mptcp/blackhole_timeout", "0");
            ip(ns, "mptcp limits set subflows 4 add_addr_accepted 4");
        }
        for link in 1..=2 {
            let veth = format!("link add s{link} type veth peer name c{link} netns {}", client.path().display());
            ip(&server, &veth);
            for (ns, side, host) in [(&server, 's', 1), (&client, 'c', 2)] {
                ip(ns, &format!("address add 10.{link}.0.{host}/24 dev {side}{link}"));
                ip(ns, &format!("address add fd0{link}::{host}/64 dev {side}{link} nodad"));
                ip(ns, &format!("link set {side}{link} up"));
            }
        }
        ip(&client, "route add default via 10.2.0.1 dev c2 metric 9");
        ip(&client, "route add default via fd02::1 dev c2 metric 9");
        Self { server, client }
    }

    /// A shaper at the server, with both links watched.
    fn shaper(&self) -> Shaper {
        let open = || {
            let mut shaper = Shaper::open(&names(), Options { subflows: 2000, lease: LEASE, adopt: false }).unwrap();
            let links = Links::open().unwrap().list().unwrap();
            let ours: Vec<_> = links.iter().filter(|link| !link.addresses.is_empty() && !link.loopback).collect();
            assert_eq!(ours.iter().map(|link| link.name.as_str()).collect::<Vec<_>>(), ["s1", "s2"]);
            shaper.watch(&ours.iter().map(|link| link.index).collect::<Vec<_>>()).unwrap();
            shaper
        };
        self.server.run(open).unwrap()
    }

    fn listen(&self, address: &str, protocol: Protocol) -> Socket {
        let address: SocketAddr = address.parse().unwrap();
        let listen = || {
            let listener = Socket::new(Domain::for_address(address), Type::STREAM, Some(protocol)).unwrap();
            listener.bind(&address.into()).unwrap();
            listener.listen(8).unwrap();
            // What comes of a congestion control that measures rates is another matter.
            listener.set_tcp_congestion(b"cubic").unwrap();
            listener
        };
        self.server.run(listen).unwrap()
    }

    /// Both ends of a connection to `listener`: the server's, the client's.
    fn connect(&self, listener: &Socket, protocol: Protocol) -> (TcpStream, TcpStream) {
        let to = listener.local_addr().unwrap().as_socket().unwrap();
        let dial = || {
            let socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(protocol)).unwrap();
            socket.set_tcp_congestion(b"cubic").unwrap();
            socket.connect(&to.into()).unwrap();
            socket
        };
        let client = self.client.run(dial).unwrap();
        (listener.accept().unwrap().0.into(), client.into())
    }
}

fn names() -> Names {
    Names { table: "anabranch".to_owned(), device: "anabranch0".to_owned() }
}

fn spec(rate: u64) -> ClassSpec {
    ClassSpec { rate, ceil: None, burst: None }
}

/// Lets time pass, for that is what ends a lease.
fn pause(time: Duration) {
    wait_readable(&[] as &[TcpStream], time).unwrap();
}

/// The flow of a connection, by the server's end of it.
fn flow(server: &TcpStream) -> Flow {
    Flow { client: server.peer_addr().unwrap(), server: server.local_addr().unwrap() }
}

/// Sends as fast as it goes until the other end or `end` ends it.
fn blast(mut from: TcpStream, end: Instant) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        let chunk = vec![0; 64 * 1024];
        while Instant::now() < end && from.write_all(&chunk).is_ok() {}
    })
}

/// Reads for a while and answers how many bytes there were.
fn read_for(to: &mut TcpStream, time: Duration) -> u64 {
    let (end, mut total, mut chunk) = (Instant::now() + time, 0, vec![0; 256 * 1024]);
    to.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    while Instant::now() < end {
        total += to.read(&mut chunk).map_or(0, |length| u64::try_from(length).unwrap());
    }
    total
}

/// Payload in bit/s from one end to the other, over `time` after a while to settle.
fn rate(from: &TcpStream, to: &mut TcpStream, time: Duration) -> f64 {
    let settle = Duration::from_millis(500);
    let sender = blast(from.try_clone().unwrap(), Instant::now() + settle + time);
    read_for(to, settle);
    let begin = Instant::now();
    let bytes = read_for(to, time);
    let rate = f64::from(u32::try_from(bytes * 8 / 1000).unwrap()) * 1000.0 / begin.elapsed().as_secs_f64();
    to.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    // What is on its way is to be read, for the sender to end.
    while !sender.is_finished() {
        read_for(to, Duration::from_millis(50));
    }
    sender.join().unwrap();
    rate
}

fn assert_near(measured: f64, expected: f64) {
    assert!((0.9..=1.1).contains(&(measured / expected)), "{measured:.0} bit/s instead of {expected:.0}");
}

const LONG: Duration = Duration::from_millis(1500);
/// What no held flow reaches, and every free one by far.
const FREE: f64 = 200e6;

#[test]
fn a_flow_in_a_class_keeps_to_its_rate_and_others_are_not_touched() {
    let pair = Pair::new();
    let mut shaper = pair.shaper();
    for (address, (payload, frame)) in ["10.1.0.1:5001", "[fd01::1]:5001"].into_iter().zip(FULL) {
        let listener = pair.listen(address, Protocol::TCP);
        let (server, mut client) = pair.connect(&listener, Protocol::TCP);
        let (other_server, mut other_client) = pair.connect(&listener, Protocol::TCP);

        shaper.set_classes(&[(Slot(1), spec(20_000_000)), (Slot(1100), spec(5_000_000))]).unwrap();
        let mut held = |way, slot, from: &TcpStream, to: &mut TcpStream| {
            let lease = std::thread::scope(|scope| {
                let renew = scope.spawn(|| {
                    let end = Instant::now() + Duration::from_millis(2300);
                    while Instant::now() < end {
                        shaper.put(&[(way, flow(&server), slot)]).unwrap();
                        pause(LEASE / 4);
                    }
                });
                pause(Duration::from_millis(20));
                let held = rate(from, to, LONG);
                renew.join().unwrap();
                held
            });
            shaper.remove(&[(way, flow(&server))]).unwrap();
            // What is on its way still is to have gone before the next one.
            while read_for(to, Duration::from_millis(100)) > 0 {}
            lease * frame / payload
        };
        let (mut server_reads, client_sends) = (server.try_clone().unwrap(), client.try_clone().unwrap());
        assert_near(held(Direction::Download, Slot(1), &server, &mut client), 20e6);
        assert_near(held(Direction::Download, Slot(1100), &server, &mut client), 5e6);
        assert_near(held(Direction::Upload, Slot(1100), &client_sends, &mut server_reads), 5e6);

        let before: Vec<_> = shaper.counters().unwrap();
        assert!(before[0].1.bytes > 3_000_000 && before[1099].1.bytes > 1_500_000, "{:?}", before[0]);
        // Held to next to nothing is only who is meant: the same client, the same port.
        shaper.set_classes(&[(Slot(2), spec(8))]).unwrap();
        shaper
            .put(&[(Direction::Download, flow(&server), Slot(2)), (Direction::Upload, flow(&server), Slot(2))])
            .unwrap();
        let free = rate(&other_server, &mut other_client, Duration::from_millis(300));
        assert!(free > FREE, "{free:.0}");
        // A late acknowledgement of it apart.
        let slipped = shaper.counters().unwrap()[1].1.bytes - before[1].1.bytes;
        assert!(slipped < 1000, "{slipped} bytes");
        drop(listener);
        for end in [server, client, other_server, other_client] {
            end.shutdown(Shutdown::Both).unwrap();
        }
    }
}

#[test]
fn a_cap_is_over_when_its_lease_is() {
    let pair = Pair::new();
    let mut shaper = pair.shaper();
    let listener = pair.listen("10.1.0.1:5001", Protocol::TCP);
    let (server, mut client) = pair.connect(&listener, Protocol::TCP);
    shaper.set_classes(&[(Slot(1), spec(2_000_000))]).unwrap();
    shaper.put(&[(Direction::Download, flow(&server), Slot(1))]).unwrap();
    // As after a crash: nobody renews.
    drop(shaper);
    let end = Instant::now() + Duration::from_millis(2700);
    let sender = blast(server.try_clone().unwrap(), end);
    let held = read_for(&mut client, Duration::from_millis(800));
    assert!(held < 400_000, "{held} bytes in 800 ms at 2 Mbit/s");
    read_for(&mut client, Duration::from_millis(900));
    let begin = Instant::now();
    let free = read_for(&mut client, Duration::from_millis(900)) * 8;
    assert!(begin.elapsed() < Duration::from_secs(2) && free > 100_000_000, "{free} bit after the lease");
    server.shutdown(Shutdown::Both).unwrap();
    sender.join().unwrap();
}

#[test]
fn a_flow_moves_between_classes_without_leaving_them() {
    let pair = Pair::new();
    let mut shaper = pair.shaper();
    let listener = pair.listen("10.1.0.1:5001", Protocol::TCP);
    let (server, mut client) = pair.connect(&listener, Protocol::TCP);
    let slots = [Slot(1), Slot(2), Slot(1500)];
    shaper.set_classes(&slots.map(|slot| (slot, spec(10_000_000)))).unwrap();
    shaper.put(&[(Direction::Download, flow(&server), Slot(1))]).unwrap();
    let sender = blast(server.try_clone().unwrap(), Instant::now() + Duration::from_secs(2));
    let reader = std::thread::spawn(move || read_for(&mut client, Duration::from_millis(1900)));
    // Some thousand moves; whatever packet finds the flow in no class is free of any rate.
    let (end, mut moves) = (Instant::now() + Duration::from_millis(1900), 0_u32);
    while Instant::now() < end {
        let slot = slots[usize::try_from(moves).unwrap() % slots.len()];
        shaper.put(&[(Direction::Download, flow(&server), slot)]).unwrap();
        moves += 1;
        pause(Duration::from_micros(200));
    }
    let bytes = reader.join().unwrap();
    sender.join().unwrap();
    // Three classes of 10 Mbit/s that it can use in turn.
    assert!(moves > 1000 && bytes * 8 < 2 * 33_000_000, "{bytes} bytes in {moves} moves");
}

/// The client's second link joins connections.
fn join_by_second_link(pair: &Pair) {
    ip(&pair.client, "mptcp endpoint add 10.2.0.2 dev c2 subflow");
    ip(&pair.client, "mptcp endpoint add fd02::2 dev c2 subflow");
}

fn prefix(address: &str, length: u8) -> Prefix {
    Prefix { address: address.parse::<IpAddr>().unwrap(), length }
}

/// Lets a connection join, which takes a byte from each side, and waits until it has so many subflows or a while has passed.
fn joined(server: &mut TcpStream, client: &mut TcpStream, wanted: u8) -> Option<u8> {
    client.write_all(b"?").unwrap();
    server.read_exact(&mut [0]).unwrap();
    server.write_all(b"!").unwrap();
    client.read_exact(&mut [0]).unwrap();
    let end = Instant::now() + Duration::from_millis(if wanted > 1 { 3000 } else { 500 });
    loop {
        let now = mptcp_info(server.as_fd()).unwrap().unwrap().subflows_total;
        if now.is_some_and(|now| wanted > 1 && now >= wanted) || Instant::now() >= end {
            return now;
        }
        pause(Duration::from_millis(2));
    }
}

#[test]
fn a_joining_subflow_is_in_its_class_from_its_first_packet_on() {
    let pair = Pair::new();
    join_by_second_link(&pair);
    let mut shaper = pair.shaper();
    shaper.set_classes(&[(Slot(7), spec(3_000_000)), (Slot(8), spec(3_000_000))]).unwrap();
    let arm = |slot| {
        let prefixes = vec![prefix("10.2.0.0", 16), prefix("fd02::", 32)];
        Join { prefixes, ports: vec![PORT], then: Then::Class(Slot(slot)) }
    };
    let elsewhere = Join { prefixes: vec![prefix("10.3.0.0", 16)], ports: vec![], then: Then::Class(Slot(8)) };
    let other_port = Join { ports: vec![PORT + 1], ..arm(8) };
    for address in ["10.1.0.1:5001", "[fd01::1]:5001"] {
        shaper.arm(&[elsewhere.clone(), other_port.clone(), arm(7), arm(8)]).unwrap();
        let packets = |shaper: &mut Shaper, slot: usize| shaper.counters().unwrap()[slot - 1].1.packets;
        let before = packets(&mut shaper, 7);
        let listener = pair.listen(address, Protocol::MPTCP);
        let (mut server, mut client) = pair.connect(&listener, Protocol::MPTCP);
        // The initial subflow is no join, whatever it says of MPTCP.
        assert_eq!(shaper_flows(&pair), 0);
        assert_eq!(joined(&mut server, &mut client, 2), Some(2));
        // Already its SYN-ACK went through the class.
        assert!(packets(&mut shaper, 7) > before, "no packet of {address} in the class");
        assert_eq!((shaper_flows(&pair), packets(&mut shaper, 8)), (1, 0));

        // When nobody looks after them, armed flows are let go, and no more are armed.
        pause(LEASE + Duration::from_millis(300));
        assert_eq!(shaper_flows(&pair), 0);
        let (mut late, mut late_client) = pair.connect(&listener, Protocol::MPTCP);
        assert_eq!(joined(&mut late, &mut late_client, 2), Some(2));
        assert_eq!(shaper_flows(&pair), 0);
        shaper.renew_joins().unwrap();
        let (mut again, mut again_client) = pair.connect(&listener, Protocol::MPTCP);
        assert_eq!(joined(&mut again, &mut again_client, 2), Some(2));
        assert_eq!(shaper_flows(&pair), 1);

        // Plain TCP from the same place is nobody's join.
        drop(listener);
        let plain = pair.server.run(|| TcpListener::bind("10.2.0.1:5002").unwrap()).unwrap();
        drop(pair.client.run(|| TcpStream::connect("10.2.0.1:5002").unwrap()).unwrap());
        drop(plain);
        assert_eq!(shaper_flows(&pair), 1);
        pause(LEASE + Duration::from_millis(300));
    }
}

/// Flows in the maps at the server.
fn shaper_flows(pair: &Pair) -> usize {
    pair.server.run(|| Shaper::observe(&names()).unwrap().table.unwrap().flows).unwrap()
}

#[test]
fn a_refused_join_leaves_the_connection_as_it_was() {
    let pair = Pair::new();
    join_by_second_link(&pair);
    let mut shaper = pair.shaper();
    let everywhere = vec![prefix("0.0.0.0", 0), prefix("::", 0)];
    for (address, then) in
        [("10.1.0.1:5001", Then::Refuse), ("[fd01::1]:5001", Then::Refuse), ("10.1.0.1:5001", Then::Drop)]
    {
        shaper.arm(&[Join { prefixes: everywhere.clone(), ports: vec![], then }]).unwrap();
        let listener = pair.listen(address, Protocol::MPTCP);
        let (mut server, mut client) = pair.connect(&listener, Protocol::MPTCP);
        assert_eq!(joined(&mut server, &mut client, 1), Some(1), "{then:?}");
        // A reset is an answer: the client counts no subflow that may still come.
        let pending = mptcp_info(client.as_fd()).unwrap().unwrap().extra_subflows;
        assert_eq!(pending, u8::from(then == Then::Drop), "{then:?}");
        server.write_all(b"still there").unwrap();
        let mut text = [0; 11];
        client.read_exact(&mut text).unwrap();
        assert_eq!(&text, b"still there");
    }
}

#[test]
fn a_joined_subflow_is_held_while_the_other_is_free() {
    let pair = Pair::new();
    join_by_second_link(&pair);
    let mut shaper = pair.shaper();
    // Room for a join under whichever path manager; its events are not read.
    let _events = pair.server.run(|| Events::open().unwrap()).unwrap();
    shaper.set_classes(&[(Slot(9), spec(4_000_000))]).unwrap();
    shaper.arm(&[Join { prefixes: vec![prefix("10.2.0.2", 32)], ports: vec![], then: Then::Class(Slot(9)) }]).unwrap();
    let listener = pair.listen("10.1.0.1:5001", Protocol::MPTCP);
    let (mut server, mut client) = pair.connect(&listener, Protocol::MPTCP);
    assert_eq!(joined(&mut server, &mut client, 2), Some(2));
    let sender = blast(server.try_clone().unwrap(), Instant::now() + Duration::from_millis(900));
    let total = read_for(&mut client, Duration::from_millis(850));
    server.shutdown(Shutdown::Both).unwrap();
    sender.join().unwrap();
    let counters = shaper.counters().unwrap()[8].1;
    assert!(counters.bytes < 600_000, "{counters:?} of {total} bytes at 4 Mbit/s for 0.9 s");
    assert!(total > counters.bytes, "{total} bytes in all");
    wait_readable(&[&client], Duration::from_secs(1)).unwrap();
}
