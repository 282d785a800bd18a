use super::*;
use crate::netns::NetNs;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

const PATTERN: &[u8] = b"\xff\xff\xff\xff\xff\xff\x02\0\0\0\0\x01\x88\xb5one whole frame of an experimental type....";

/// Runs `work` in a namespace with a veth pair `tap0`-`tap1`, both up and silent.
fn with_pair(work: impl FnOnce() + Send) {
    let ns = NetNs::new().expect("makes");
    for line in [
        "link add tap0 type veth peer name tap1",
        "link set tap0 addrgenmode none",
        "link set tap1 addrgenmode none",
        "link set tap0 up",
        "link set tap1 up",
    ] {
        assert!(ns.command("ip").args(line.split(' ')).status().expect("runs").success(), "{line}");
    }
    ns.run(work).expect("enters");
}

fn next(socket: &PacketSocket, buffer: &mut [u8]) -> Option<Received> {
    let end = Instant::now() + Duration::from_millis(300);
    while Instant::now() < end {
        wait_readable(&[socket], Duration::from_millis(50)).expect("polls");
        if let Some(frame) = socket.recv(buffer).expect("receives") {
            return Some(frame);
        }
    }
    None
}

#[test]
fn a_frame_arrives_whole_with_its_time_and_direction() {
    with_pair(|| {
        let (a, b) = (PacketSocket::open("tap0").expect("opens"), PacketSocket::open("tap1").expect("opens"));
        b.set_timestamps(true).expect("sets");
        let before = SystemTime::now().duration_since(UNIX_EPOCH).expect("clock");
        assert!(a.send(PATTERN).expect("sends"));
        let mut buffer = [0; 2048];
        let got = next(&b, &mut buffer).expect("a frame");
        assert_eq!(&buffer[..got.len], PATTERN);
        assert_eq!(got.wire_len, PATTERN.len());
        assert!(!got.outgoing);
        assert!(got.at >= before && got.at < before + Duration::from_secs(1), "{got:?}");
        assert_eq!(b.take_drops().expect("counts"), 0);
    });
}

#[test]
fn own_frames_are_seen_as_outgoing_unless_ignored() {
    with_pair(|| {
        let (a, tap) = (PacketSocket::open("tap0").expect("opens"), PacketSocket::open("tap0").expect("opens"));
        let deaf = PacketSocket::open("tap0").expect("opens");
        deaf.set_ignore_outgoing(true).expect("sets");
        assert!(a.send(PATTERN).expect("sends"));
        let mut buffer = [0; 16];
        let seen = next(&tap, &mut buffer).expect("a frame");
        assert!(seen.outgoing);
        assert_eq!((seen.len, seen.wire_len), (16, PATTERN.len()), "cut to the buffer, true length told");
        assert_eq!(next(&deaf, &mut buffer), None);
    });
}

#[test]
fn a_filter_keeps_the_rest_out() {
    with_pair(|| {
        let (a, b) = (PacketSocket::open("tap0").expect("opens"), PacketSocket::open("tap1").expect("opens"));
        // ldh [12]; jeq 0x88b6, next, drop; ret 65535; ret 0
        b.set_filter(&[
            Instruction { code: 0x28, jt: 0, jf: 0, k: 12 },
            Instruction { code: 0x15, jt: 0, jf: 1, k: 0x88b6 },
            Instruction { code: 0x06, jt: 0, jf: 0, k: 65_535 },
            Instruction { code: 0x06, jt: 0, jf: 0, k: 0 },
        ])
        .expect("attaches");
        let mut wanted = PATTERN.to_vec();
        wanted[13] = 0xb6;
        assert!(a.send(PATTERN).expect("sends") && a.send(&wanted).expect("sends"));
        let mut buffer = [0; 2048];
        let got = next(&b, &mut buffer).expect("the wanted frame");
        assert_eq!(&buffer[..got.len], &wanted[..]);
        assert_eq!(next(&b, &mut buffer), None);
    });
}

#[test]
fn a_missing_interface_is_named() {
    let error = PacketSocket::open("not-there").expect_err("no such interface");
    assert_eq!((error.call, error.interface.as_str()), ("if_nametoindex", "not-there"));
}
