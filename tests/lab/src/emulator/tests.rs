use super::*;
use crate::link::Link;
use crate::topology::{Family, Topology};
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::Ordering::Relaxed;

/// Sends `count` datagrams of `size` bytes over one link with `impairment` and returns those that came, in order.
fn send(impairment: Impairment, count: u16, size: usize) -> (Vec<u16>, Topology) {
    let topology = Topology::builder().link(Link::new("one").impaired(impairment)).build().expect("builds");
    let address = topology.edge_address(1, Family::V4);
    let receiver = topology.edge.run(|| UdpSocket::bind((address, 0))).expect("enters").expect("binds");
    // Nobody reads while the datagrams come.
    socket2::SockRef::from(&receiver).set_recv_buffer_size(4 << 20).expect("sets");
    receiver.set_read_timeout(Some(Duration::from_millis(400))).expect("sets");
    let to: SocketAddr = receiver.local_addr().expect("address");
    let sender = topology.client.run(|| UdpSocket::bind("10.1.0.2:0")).expect("enters").expect("binds");
    let mut buffer = [0; 2048];
    // The neighbour is asked for first, so that no datagram waits for the answer.
    sender.send_to(b"!", to).expect("sends");
    let woken = receiver.recv(&mut buffer).is_ok();
    let mut datagram = vec![0; size];
    for number in 0..count {
        datagram[..2].copy_from_slice(&number.to_be_bytes());
        sender.send_to(&datagram, to).expect("sends");
        if number % 16 == 15 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    let mut came = Vec::new();
    while let Ok(got) = receiver.recv(&mut buffer) {
        if got > 1 {
            came.push(u16::from_be_bytes([buffer[0], buffer[1]]));
        }
    }
    assert!(woken || !came.is_empty() || size > 1000);
    (came, topology)
}

#[test]
fn nothing_is_lost_or_reordered_with_jitter() {
    let jittery =
        Impairment { delay: Duration::from_millis(5), jitter: Duration::from_millis(10), ..Impairment::default() };
    let (came, topology) = send(jittery, 400, 100);
    assert_eq!(came, (0..400).collect::<Vec<_>>());
    assert_eq!(topology.emulators()[0].counters().overrun.load(Relaxed), 0);
}

#[test]
fn the_share_lost_is_near_the_one_asked_for_and_repeats() {
    let lossy = Impairment { loss_ppm: 200_000, seed: 7, ..Impairment::default() };
    let (came, topology) = send(lossy, 1000, 100);
    assert!((740..860).contains(&came.len()), "{}", came.len());
    assert!(topology.emulators()[0].counters().lost.load(Relaxed) >= 1000 - came.len() as u64);
}

#[test]
fn a_small_mtu_is_a_black_hole_for_larger_packets_only() {
    let narrow = Impairment { mtu: Some(1000), ..Impairment::default() };
    assert_eq!(send(narrow.clone(), 10, 900).0.len(), 10);
    assert_eq!(send(narrow, 10, 1200).0.len(), 0);
}

#[test]
fn payload_is_rewritten_and_still_accepted() {
    let rewrite = Rewrite { find: "before".into(), replace: "after!".into() };
    let link = Link::new("one").impaired(Impairment { rewrite: Some(rewrite), ..Impairment::default() });
    let topology = Topology::builder().link(link).build().expect("builds");
    for family in [Family::V4, Family::V6] {
        let address = topology.edge_address(1, family);
        let listener = topology.edge.run(|| std::net::TcpListener::bind((address, 0))).expect("enters").expect("binds");
        let to = listener.local_addr().expect("address");
        let mut client = topology.client.run(|| std::net::TcpStream::connect(to)).expect("enters").expect("connects");
        let (mut server, _) = listener.accept().expect("accepts");
        server.set_read_timeout(Some(Duration::from_secs(2))).expect("sets");
        std::io::Write::write_all(&mut client, b"it was before.").expect("writes");
        let mut got = [0; 14];
        std::io::Read::read_exact(&mut server, &mut got).expect("a wrong checksum would keep it out");
        assert_eq!(&got, b"it was after!.");
    }
}
