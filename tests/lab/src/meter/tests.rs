use super::*;
use crate::{Link, Topology};

/// A frame of TCP over IPv4 between 10.1.0.1 and 10.1.0.2 with so much payload, cut after its headers.
fn frame(from: u16, to: u16, payload: u16) -> (Vec<u8>, usize) {
    let mut frame = vec![0; 12];
    frame.extend([0x08, 0x00, 0x45, 0]);
    frame.extend((40 + payload).to_be_bytes());
    frame.extend([0, 0, 0, 0, 64, 6, 0, 0, 10, 1, 0, 1, 10, 1, 0, 2]);
    frame.extend(from.to_be_bytes());
    frame.extend(to.to_be_bytes());
    frame.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0x10, 0xff, 0xff, 0, 0, 0, 0]);
    (frame, 54 + usize::from(payload))
}

fn note(carried: &mut Carried, (bytes, wire_len): (Vec<u8>, usize), outgoing: bool) {
    let clock = Clock { began: Duration::from_secs(1_000) };
    let at = Duration::from_millis(1_000_500);
    carried.note(&bytes, Received { len: bytes.len(), wire_len, at, outgoing }, 3128, clock);
}

#[test]
fn payload_counts_also_where_the_frame_is_cut() {
    let mut carried = Carried::default();
    note(&mut carried, frame(3128, 40_000, 1_448), false);
    note(&mut carried, frame(40_000, 3128, 0), true);
    note(&mut carried, frame(40_000, 3128, 100), true);
    assert_eq!((carried.received.total(), carried.received_frames.total()), (1_448, 1_502));
    assert_eq!((carried.sent.total(), carried.sent_frames.total()), (100, 54 + 154));
    assert_eq!((carried.received.first(), carried.other.total()), (Some(Duration::from_millis(500)), 0));
}

#[test]
fn what_is_not_of_the_port_is_something_else() {
    let mut carried = Carried::default();
    // The port of the sender counts for what comes in, that of the receiver for what goes out.
    note(&mut carried, frame(40_000, 3128, 10), false);
    note(&mut carried, frame(3128, 40_000, 10), true);
    note(&mut carried, (vec![0; 20], 20), false);
    assert_eq!((carried.received.total(), carried.sent.total(), carried.other.total()), (0, 0, 64 + 64 + 20));
}

#[test]
fn a_meter_counts_what_a_transfer_carries() {
    let topology = Topology::builder().link(Link::new("one").mbit(40)).build().expect("builds");
    let carried = transfer(&topology);
    // The payload, an HTTP head, and nothing twice: the link loses nothing.
    assert!((1_000_000..1_010_000).contains(&carried.received.total()), "{}", carried.received.total());
    assert!(carried.received_frames.total() > carried.received.total());
    let rate = carried.received.rate(Duration::ZERO, Duration::from_millis(200));
    assert!(rate > 30e6 && rate < 42e6, "{rate}");
}

/// Frames that were redirected keep a mark which hides them from taps, also in another namespace of the same kernel.
#[test]
fn behind_a_switch_also_redirected_frames_are_seen() {
    let topology = Topology::builder().link(Link::new("one").mbit(40)).switched().build().expect("builds");
    topology.edge.ip("link add ifb9 type ifb").expect("adds");
    topology.edge.ip("link set ifb9 up").expect("sets");
    let rules = "table netdev t {\n chain e {\n type filter hook egress device \"p1\" priority 0; policy accept;\n tcp sport 8080 fwd to \"ifb9\"\n }\n}\n";
    topology.edge.nft(rules).expect("loads");
    let carried = transfer(&topology);
    assert!((1_000_000..1_010_000).contains(&carried.received.total()), "{}", carried.received.total());
    let through = topology.edge.interface_counters().expect("counts")["ifb9"];
    assert!(through.sent_bytes > 1_000_000, "{through:?}");
}

/// What link 1 carries of a download of 1 MB.
fn transfer(topology: &Topology) -> Carried {
    use crate::Family;
    use crate::client::{Protocol, Transfer, Via, Way};
    use crate::origin::{Server, Service};
    let _server = Server::start(&topology.edge, 8080, Protocol::Tcp, Service::Http).expect("serves");
    let clock = Clock::start();
    let meter = Meter::start(&topology.client, &["c1".into()], 8080, clock).expect("starts");
    let origin = (topology.edge_address(1, Family::V4), 8080).into();
    let transfer = Transfer { protocol: Protocol::Tcp, via: Via::Direct, origin, way: Way::Download, bytes: 1_000_000 };
    topology.client.run(|| transfer.run(Duration::from_secs(10))).expect("runs").expect("transfers");
    let mut reading = meter.stop().expect("stops");
    assert_eq!(reading.missed, 0);
    reading.devices.swap_remove(0)
}
