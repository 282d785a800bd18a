use proptest::prelude::*;

use super::*;

/// Runs a program over a frame, as the kernel would: a load beyond the frame's end drops it.
fn run(program: &[Instruction], frame: &[u8]) -> u32 {
    let (mut a, mut x, mut memory, mut at) = (0_u32, 0_u32, [0_u32; 16], 0_usize);
    let load = |from: u32, size: usize| -> Option<u32> {
        let from = usize::try_from(from).unwrap();
        Some(frame.get(from..from.checked_add(size)?)?.iter().fold(0, |value, &byte| value << 8 | u32::from(byte)))
    };
    loop {
        let Instruction { code, jt, jf, k } = program[at];
        let slot = usize::try_from(k % 16).unwrap();
        at += 1;
        let mut jump = |taken: bool| at += usize::from(if taken { jt } else { jf });
        let loaded = match code {
            0x20 => load(k, 4),
            0x28 => load(k, 2),
            0x30 => load(k, 1),
            0x40 => x.checked_add(k).and_then(|from| load(from, 4)),
            0x48 => x.checked_add(k).and_then(|from| load(from, 2)),
            0x50 => x.checked_add(k).and_then(|from| load(from, 1)),
            0x60 => Some(memory[slot]),
            0x04 => Some(a.wrapping_add(k)),
            0x0c => Some(a.wrapping_add(x)),
            0x54 => Some(a & k),
            0x64 => Some(a << k),
            0x87 => Some(x),
            0x02 => {
                memory[slot] = a;
                continue;
            }
            0x01 => {
                x = k;
                continue;
            }
            0x07 => {
                x = a;
                continue;
            }
            0xb1 => match load(k, 1) {
                Some(byte) => {
                    x = 4 * (byte & 15);
                    continue;
                }
                None => None,
            },
            0x05 => {
                at += usize::try_from(k).unwrap();
                continue;
            }
            0x15 => {
                jump(a == k);
                continue;
            }
            0x25 => {
                jump(a > k);
                continue;
            }
            0x35 => {
                jump(a >= k);
                continue;
            }
            0x45 => {
                jump(a & k != 0);
                continue;
            }
            0x06 => return k,
            other => panic!("no such instruction: {other:#x}"),
        };
        let Some(value) = loaded else { return 0 };
        a = value;
    }
}

const ACK: u8 = 0x10;
const STAMP: [u8; 12] = [1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2];
/// A DSS with an acknowledgement of four bytes.
const DSS: [u8; 8] = [30, 8, 0x20, 1, 0, 0, 0, 9];

/// NOP, NOP and a selective acknowledgement of `ranges`.
fn sack(ranges: u8) -> Vec<u8> {
    [&[1, 1, 5, 2 + 8 * ranges][..], &vec![7; usize::from(ranges) * 8]].concat()
}

fn tcp(flags: u8, options: &[u8]) -> Vec<u8> {
    let words = u8::try_from(5 + options.len() / 4).unwrap();
    let mut header = vec![0x13, 0x89, 0x04, 0xd2, 0, 0, 0, 1, 0, 0, 0, 2, words << 4, flags, 1, 1, 0, 0, 0, 0];
    header.extend_from_slice(options);
    header.extend_from_slice(&[0xee; 100]);
    header
}

fn ipv4(options: usize, fragment: u16, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut header = vec![0; 20 + options];
    header[0] = 0x45 + u8::try_from(options / 4).unwrap();
    header[6..8].copy_from_slice(&fragment.to_be_bytes());
    header[9] = protocol;
    [&header[..], payload].concat()
}

fn ipv6(next: u8, payload: &[u8]) -> Vec<u8> {
    let mut header = [0; 40];
    header[0] = 0x60;
    header[6] = next;
    [&header[..], payload].concat()
}

fn ethernet(tags: &[u16], packet: &[u8]) -> Vec<u8> {
    let mut frame = vec![2; 12];
    for tag in tags {
        frame.extend_from_slice(&tag.to_be_bytes());
        frame.extend_from_slice(&[0, 7]);
    }
    let kind: u16 = if packet.first().is_some_and(|byte| byte >> 4 == 6) { 0x86dd } else { 0x0800 };
    frame.extend_from_slice(&kind.to_be_bytes());
    [&frame[..], packet].concat()
}

fn passes(frame: &[u8]) -> bool {
    match run(&mptcp(Framing::Ethernet, 0), frame) {
        0 => false,
        SNAP_LENGTH => true,
        other => panic!("captures {other} bytes"),
    }
}

fn judged(flags: u8, options: &[u8]) -> bool {
    let v4 = passes(&ethernet(&[], &ipv4(0, 0, 6, &tcp(flags, options))));
    let v6 = passes(&ethernet(&[], &ipv6(6, &tcp(flags, options))));
    assert_eq!(v4, v6);
    v4
}

#[test]
fn plain_segments_stay_out() {
    assert!(!judged(ACK, &[]));
    assert!(!judged(ACK | 0x08, &STAMP));
    for ranges in 1..=4 {
        assert!(!judged(ACK, &sack(ranges)), "{ranges}");
    }
    for ranges in 1..=3 {
        assert!(!judged(ACK, &[&STAMP[..], &sack(ranges)].concat()), "{ranges}");
    }
}

#[test]
fn what_carries_mptcp_passes() {
    assert!(judged(ACK, &DSS));
    assert!(judged(ACK, &[&STAMP[..], &DSS].concat()));
    assert!(judged(ACK, &[&DSS[..], &STAMP].concat()));
    // A DSS of twelve bytes without timestamps is as long as timestamps are.
    assert!(judged(ACK, &[&[30, 12, 0x20, 3][..], &[0; 8]].concat()));
    for ranges in 1..=3 {
        assert!(judged(ACK, &[&sack(ranges)[..], &DSS].concat()));
    }
    for ranges in 1..=2 {
        assert!(judged(ACK, &[&STAMP[..], &sack(ranges), &DSS].concat()));
    }
    // An option that claims to be longer than the rest of the header is not taken at its word.
    assert!(judged(ACK, &[&STAMP[..], &[1, 1, 5, 18], &DSS].concat()));
}

#[test]
fn beginnings_and_ends_pass() {
    for flags in [0x02, 0x12, 0x01, 0x11, 0x04, 0x14] {
        assert!(judged(flags, &[]), "{flags:#x}");
        assert!(judged(flags, &STAMP), "{flags:#x}");
    }
}

#[test]
fn other_protocols_stay_out() {
    let bytes = tcp(0x02, &DSS);
    assert!(!passes(&ethernet(&[], &ipv4(0, 0, 17, &bytes))));
    assert!(!passes(&ethernet(&[], &ipv6(17, &bytes))));
    assert!(!passes(&ethernet(&[], &ipv6(58, &bytes))));
    let mut arp = ethernet(&[], &ipv4(0, 0, 6, &bytes));
    arp[12..14].copy_from_slice(&[0x08, 0x06]);
    assert!(!passes(&arp));
}

#[test]
fn the_ip_header_may_be_longer() {
    for options in [4, 20, 40] {
        assert!(passes(&ethernet(&[], &ipv4(options, 0, 6, &tcp(ACK, &DSS)))));
        assert!(!passes(&ethernet(&[], &ipv4(options, 0, 6, &tcp(ACK, &STAMP)))));
    }
}

#[test]
fn only_first_fragments_pass() {
    let bytes = tcp(0x02, &[]);
    assert!(passes(&ethernet(&[], &ipv4(0, 0x2000, 6, &bytes))), "the first has an offset of zero");
    assert!(passes(&ethernet(&[], &ipv4(0, 0x4000, 6, &bytes))), "may not be fragmented");
    assert!(!passes(&ethernet(&[], &ipv4(0, 0x2001, 6, &bytes))));
    assert!(!passes(&ethernet(&[], &ipv4(0, 0x0100, 6, &bytes))));
    let fragment = |next, offset: u16, payload: &[u8]| {
        let mut header = [next, 0, 0, 0, 0, 0, 0, 9];
        header[2..4].copy_from_slice(&offset.to_be_bytes());
        ethernet(&[], &ipv6(44, &[&header[..], payload].concat()))
    };
    assert!(passes(&fragment(6, 1, &bytes)));
    assert!(!passes(&fragment(6, 8, &bytes)));
    assert!(!passes(&fragment(6, 1, &tcp(ACK, &STAMP))), "a first fragment is judged as any segment");
    assert!(passes(&fragment(6, 1, &tcp(ACK, &DSS))));
    assert!(passes(&fragment(60, 1, &bytes)), "further headers are not walked");
}

#[test]
fn extension_headers_are_let_through() {
    for next in [0, 43, 51, 60] {
        assert!(passes(&ethernet(&[], &ipv6(next, &[6; 60]))), "{next}");
    }
}

#[test]
fn tags_are_stepped_over() {
    for tags in [&[0x8100_u16][..], &[0x88a8], &[0x88a8, 0x8100], &[0x8100, 0x8100]] {
        for packet in [ipv4(0, 0, 6, &tcp(ACK, &DSS)), ipv6(6, &tcp(ACK, &DSS))] {
            assert!(passes(&ethernet(tags, &packet)), "{tags:x?}");
        }
        assert!(!passes(&ethernet(tags, &ipv4(0, 0, 6, &tcp(ACK, &STAMP)))), "{tags:x?}");
    }
    assert!(!passes(&ethernet(&[0x8100; 3], &ipv4(0, 0, 6, &tcp(ACK, &DSS)))), "two at most");
}

#[test]
fn frames_may_begin_with_the_ip_header() {
    let program = mptcp(Framing::Ip, 0);
    for (wanted, options) in [(SNAP_LENGTH, &DSS[..]), (0, &STAMP[..])] {
        assert_eq!(run(&program, &ipv4(0, 0, 6, &tcp(ACK, options))), wanted);
        assert_eq!(run(&program, &ipv6(6, &tcp(ACK, options))), wanted);
    }
    assert_eq!(run(&program, &[0x50; 100]), 0);
}

#[test]
fn payload_is_captured_when_asked_for() {
    let frame = ethernet(&[], &ipv4(0, 0, 6, &tcp(0x02, &[])));
    assert_eq!(run(&mptcp(Framing::Ethernet, 64), &frame), SNAP_LENGTH + 64);
    assert_eq!(run(&mptcp(Framing::Ethernet, u32::MAX), &frame), u32::MAX);
}

/// A program as `tcpdump -ddd` prints it: their number, then one instruction a line.
fn printed(text: &str) -> Vec<Instruction> {
    let mut numbers = text.split_ascii_whitespace().map(|word| word.parse::<u32>().unwrap());
    let count = numbers.next().unwrap();
    let mut next = || numbers.next().unwrap();
    let small = |number: u32| u8::try_from(number).unwrap();
    (0..count)
        .map(|_| Instruction { code: u16::try_from(next()).unwrap(), jt: small(next()), jf: small(next()), k: next() })
        .collect()
}

fn options() -> impl Strategy<Value = Vec<u8>> {
    let one = prop_oneof![
        Just(STAMP.to_vec()),
        Just(DSS.to_vec()),
        (1..=4_u8).prop_map(sack),
        proptest::collection::vec(any::<u8>(), 4),
        Just(vec![1; 4]),
    ];
    proptest::collection::vec(one, 0..4).prop_map(|parts| {
        let mut options = parts.concat();
        options.truncate(40);
        options
    })
}

proptest! {
    /// libpcap compiled the same rules (`tests/data/README`); both programs judge alike.
    #[test]
    fn libpcap_judges_alike(
        flags in prop_oneof![Just(ACK), Just(ACK | 8), any::<u8>()],
        options in options(),
        protocol in prop_oneof![4 => Just(6_u8), 1 => Just(17_u8)],
        fragment in prop_oneof![3 => Just(0_u16), 1 => Just(0x2000), 1 => Just(0x00b9)],
        ip_options in (0..=10_usize).prop_map(|words| 4 * words),
    ) {
        let (v4, v6) = (
            printed(include_str!("../../../tests/data/tcpdump_v4.ddd")),
            printed(include_str!("../../../tests/data/tcpdump_v6.ddd")),
        );
        let ours = mptcp(Framing::Ethernet, 0);
        let segment = tcp(flags, &options);
        let frame = ethernet(&[], &ipv4(ip_options, fragment, protocol, &segment));
        prop_assert_eq!(run(&ours, &frame), run(&v4, &frame));
        let frame = ethernet(&[], &ipv6(protocol, &segment));
        prop_assert_eq!(run(&ours, &frame), run(&v6, &frame));
    }

    #[test]
    fn any_frame_is_judged(frame in proptest::collection::vec(any::<u8>(), 0..120), kind in 0..4_usize) {
        let mut frame = frame;
        if let Some(place) = frame.get_mut(12..14) {
            place.copy_from_slice(&[[8, 0], [0x86, 0xdd], [0x81, 0], [0x88, 0xa8]][kind]);
        }
        let _ = run(&mptcp(Framing::Ethernet, 0), &frame);
        let _ = run(&mptcp(Framing::Ip, 0), &frame);
    }
}
