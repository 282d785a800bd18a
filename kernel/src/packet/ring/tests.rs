use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::*;
use crate::packet::wait_readable;
use crate::testing::namespace;

/// Takes everything, cut to 64 bytes.
const ALL: [Instruction; 1] = [Instruction { code: 0x06, jt: 0, jf: 0, k: 64 }];

/// Small enough to be filled by a test.
const SMALL: RingOptions =
    RingOptions { block_size: 4096, blocks: 2, retire: Duration::from_millis(5), ignore_outgoing: false };

/// A whole frame of an experimental type, with a number in it.
fn frame(number: u16, length: usize) -> Vec<u8> {
    let mut frame = b"\xff\xff\xff\xff\xff\xff\x02\0\0\0\0\x01\x88\xb5".to_vec();
    frame.extend_from_slice(&number.to_be_bytes());
    frame.resize(length, 0xab);
    frame
}

/// Runs `work` in a namespace with a veth pair `tap0`-`tap1`, both up and silent.
fn with_pair(work: impl FnOnce() + Send) {
    namespace(&[
        "link add tap0 type veth peer name tap1",
        "link set tap0 addrgenmode none",
        "link set tap1 addrgenmode none",
        "link set tap0 up",
        "link set tap1 up",
    ])
    .run(work)
    .unwrap();
}

/// What of a frame a test looks at: number, captured, on the wire, sent here, interface, tag.
type Seen = (u16, usize, usize, bool, u32, Option<u16>);

/// The next `count` frames, and what comes right behind them although it should not.
fn drain(ring: &mut PacketRing, count: usize) -> Vec<Seen> {
    let mut seen = Vec::new();
    let end = Instant::now() + Duration::from_secs(5);
    while seen.len() < count && Instant::now() < end {
        wait_readable(&[&*ring], Duration::from_millis(100)).unwrap();
        take(ring, &mut seen);
    }
    wait_readable(&[&*ring], Duration::from_millis(20)).unwrap();
    take(ring, &mut seen);
    seen
}

fn take(ring: &mut PacketRing, seen: &mut Vec<Seen>) {
    while let Some(block) = ring.next_block() {
        for frame in block.frames() {
            let number = u16::from_be_bytes(*frame.captured[14..].first_chunk().unwrap());
            let Frame { captured, wire_len, outgoing, interface, vlan, .. } = frame;
            seen.push((number, captured.len(), wire_len, outgoing, interface, vlan));
        }
    }
}

fn index(interface: &str) -> u32 {
    nix::net::if_::if_nametoindex(interface).unwrap()
}

#[test]
fn frames_come_in_order_cut_and_with_their_true_length() {
    with_pair(|| {
        let mut ring = PacketRing::open("tap1", &ALL, SMALL).unwrap();
        let sender = PacketSocket::open("tap0").unwrap();
        let before = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        assert!(sender.send(&frame(7, 60)).unwrap() && sender.send(&frame(8, 1000)).unwrap());
        wait_readable(&[&ring], Duration::from_secs(5)).unwrap();
        let block = ring.next_block().unwrap();
        let frames: Vec<_> = block.frames().collect();
        assert_eq!(frames.len(), 2);
        assert_eq!(frames[0].captured, frame(7, 60));
        assert_eq!((frames[1].captured, frames[1].wire_len), (&frame(8, 1000)[..64], 1000));
        for frame in &frames {
            assert!(!frame.outgoing && frame.interface == index("tap1") && frame.vlan.is_none());
            assert!(frame.at >= before && frame.at < before + Duration::from_secs(5), "{frame:?}");
        }
        assert!(frames[0].at <= frames[1].at);
    });
}

#[test]
fn blocks_go_round_and_nothing_is_lost_while_they_are_given_back() {
    with_pair(|| {
        let mut ring = PacketRing::open("tap1", &ALL, SMALL).unwrap();
        let sender = PacketSocket::open("tap0").unwrap();
        // Some 30 frames fill a block; this goes round many times.
        let mut seen = Vec::new();
        for start in (0..400).step_by(20) {
            for number in start..start + 20 {
                assert!(sender.send(&frame(number, 64)).unwrap());
            }
            seen.extend(drain(&mut ring, 20).into_iter().map(|(number, ..)| number));
        }
        assert_eq!(seen, (0..400).collect::<Vec<_>>());
        let statistics = ring.take_statistics().unwrap();
        assert_eq!((statistics.packets, statistics.drops), (400, 0));
        assert_eq!(ring.take_statistics().unwrap(), Statistics::default());
    });
}

#[test]
fn what_finds_no_block_is_counted() {
    with_pair(|| {
        let mut ring = PacketRing::open("tap1", &ALL, SMALL).unwrap();
        let sender = PacketSocket::open("tap0").unwrap();
        for number in 0..200 {
            assert!(sender.send(&frame(number, 64)).unwrap());
        }
        let statistics = ring.take_statistics().unwrap();
        assert!(statistics.drops > 0 && statistics.freezes > 0, "{statistics:?}");
        assert_eq!(statistics.packets, 200);
        let kept = usize::try_from(200 - statistics.drops).unwrap();
        assert_eq!(drain(&mut ring, kept).len(), kept);
        // It goes on when there is room again.
        assert!(sender.send(&frame(999, 64)).unwrap());
        assert_eq!(drain(&mut ring, 1)[0].0, 999);
    });
}

#[test]
fn what_is_sent_here_is_seen_as_such_or_left_out() {
    with_pair(|| {
        let mut all = PacketRing::open("tap0", &ALL, SMALL).unwrap();
        let mut incoming = PacketRing::open("tap0", &ALL, RingOptions { ignore_outgoing: true, ..SMALL }).unwrap();
        let (here, there) = (PacketSocket::open("tap0").unwrap(), PacketSocket::open("tap1").unwrap());
        assert!(here.send(&frame(1, 60)).unwrap() && there.send(&frame(2, 60)).unwrap());
        let number = index("tap0");
        assert_eq!(drain(&mut all, 2), [(1, 60, 60, true, number, None), (2, 60, 60, false, number, None)]);
        assert_eq!(drain(&mut incoming, 1), [(2, 60, 60, false, number, None)]);
    });
}

#[test]
fn a_tag_that_was_taken_off_is_told() {
    with_pair(|| {
        let mut ring = PacketRing::open("tap1", &ALL, SMALL).unwrap();
        let sender = PacketSocket::open("tap0").unwrap();
        let mut tagged = frame(5, 60);
        tagged.splice(12..12, [0x81, 0x00, 0x20, 0x2a]);
        assert!(sender.send(&tagged).unwrap());
        assert_eq!(drain(&mut ring, 1), [(5, 60, 60, false, index("tap1"), Some(0x202a))]);
    });
}

#[test]
fn a_refused_ring_says_why() {
    with_pair(|| {
        let missing = PacketRing::open("tap9", &ALL, SMALL).unwrap_err();
        assert_eq!((missing.call, missing.interface.as_str()), ("if_nametoindex", "tap9"));
        let odd = PacketRing::open("tap0", &ALL, RingOptions { block_size: 5000, ..SMALL }).unwrap_err();
        assert_eq!((odd.call, odd.source.raw_os_error()), ("PACKET_RX_RING", Some(libc::EINVAL)));
        let endless = [Instruction { code: 0x05, jt: 0, jf: 0, k: 9 }];
        assert_eq!(PacketRing::open("tap0", &endless, SMALL).unwrap_err().call, "SO_ATTACH_FILTER");
    });
}

#[test]
fn a_damaged_block_ends_its_frames() {
    // Two frames are claimed; the first points outside, the second is not there.
    let mut bytes = vec![0; 200];
    bytes[48 + frame::CAPTURED..][..4].copy_from_slice(&500_u32.to_ne_bytes());
    assert_eq!(Frames { bytes: &bytes, left: 2, at: 48 }.count(), 0);
    assert_eq!(Frames { bytes: &bytes, left: 2, at: 1 << 20 }.count(), 0);
    assert_eq!(Frames { bytes: &bytes[..60], left: 2, at: 48 }.count(), 0);
}
