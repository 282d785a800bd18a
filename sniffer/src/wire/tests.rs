//! Frames of every link layer and IP version, whole, cut off at every byte, and arbitrary.

use proptest::prelude::*;

use super::*;
use crate::wire::tcp::Flags;

/// A TCP header of 24 bytes with one MPTCP option, and three bytes of payload.
const TCP: &[u8] = &[
    0x9c, 0x40, 0x0c, 0x38, 0, 0, 0, 7, 0, 0, 0, 9, 0x60, 0x18, 0x01, 0x00, 0, 0, 0, 0, 30, 3, 0x51, 0, b'a', b'b',
    b'c',
];

fn v4(header_words: u8, fragment: u16, total: Option<u16>) -> Vec<u8> {
    let header = usize::from(header_words) * 4;
    let total = total.unwrap_or_else(|| u16::try_from(header + TCP.len()).unwrap());
    let mut packet = vec![0x40 | header_words, 0];
    packet.extend(total.to_be_bytes());
    packet.extend([0, 0]);
    packet.extend(fragment.to_be_bytes());
    packet.extend([64, 6, 0, 0, 10, 1, 0, 2, 10, 1, 0, 1]);
    packet.resize(header, 0);
    packet.extend(TCP);
    packet
}

fn v6(extensions: &[(u8, &[u8])]) -> Vec<u8> {
    let len: usize = TCP.len() + extensions.iter().map(|(_, bytes)| bytes.len()).sum::<usize>();
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend(u16::try_from(len).unwrap().to_be_bytes());
    packet.extend([extensions.first().map_or(6, |(kind, _)| *kind), 64]);
    packet.extend("fd01::2".parse::<std::net::Ipv6Addr>().unwrap().octets());
    packet.extend("fd01::1".parse::<std::net::Ipv6Addr>().unwrap().octets());
    for (index, (_, bytes)) in extensions.iter().enumerate() {
        let next = extensions.get(index + 1).map_or(6, |(kind, _)| *kind);
        packet.push(next);
        packet.extend(&bytes[1..]);
    }
    packet.extend(TCP);
    packet
}

fn framed(link: LinkType, packet: &[u8]) -> Vec<u8> {
    let kind: [u8; 2] = if packet[0] >> 4 == 4 { [0x08, 0x00] } else { [0x86, 0xdd] };
    let mut frame = match link {
        LinkType::RawIp => vec![],
        LinkType::Null => vec![2, 0, 0, 0],
        LinkType::Ethernet => [&[0; 12][..], &kind].concat(),
        LinkType::LinuxSll => [&[0; 14][..], &kind].concat(),
        LinkType::LinuxSll2 => [&kind[..], &[0; 18]].concat(),
    };
    frame.extend(packet);
    frame
}

const LINKS: [LinkType; 5] =
    [LinkType::RawIp, LinkType::Null, LinkType::Ethernet, LinkType::LinuxSll, LinkType::LinuxSll2];

fn check(link: LinkType, frame: &[u8], source: &str) {
    let segment = parse(link, frame, frame.len()).unwrap_or_else(|why| panic!("{link:?}: {why}"));
    assert_eq!(segment.flow.source().to_string(), source);
    assert_eq!((segment.seq, segment.ack, segment.window), (7, 9, 256));
    assert_eq!(segment.flags, Flags(0x18));
    assert_eq!((segment.options, segment.options_len), (&[30, 3, 0x51, 0][..], 4));
    assert_eq!((segment.payload, segment.payload_len), (&b"abc"[..], 3));
    assert_eq!(segment.mptcp().count(), 1);
}

#[test]
fn every_link_layer_leads_to_the_segment() {
    for link in LINKS {
        check(link, &framed(link, &v4(5, 0, None)), "10.1.0.2:40000");
        check(link, &framed(link, &v6(&[])), "[fd01::2]:40000");
        assert_eq!(LinkType::from_dlt(link.to_dlt()), Some(link));
    }
    assert_eq!(LinkType::from_dlt(105), None);
}

#[test]
fn vlan_tags_ip_options_and_extension_headers_are_stepped_over() {
    let mut tagged = vec![0; 12];
    tagged.extend([0x88, 0xa8, 0, 5, 0x81, 0, 0, 7, 0x08, 0x00]);
    tagged.extend(v4(7, 0x4000, None));
    check(LinkType::Ethernet, &tagged, "10.1.0.2:40000");
    let options: &[u8] = &[0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let first_fragment: &[u8] = &[0, 0, 0, 1, 0, 0, 0, 9];
    let authentication: &[u8] = &[0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let packet = v6(&[(0, options), (43, options), (44, first_fragment), (51, authentication), (60, options)]);
    check(LinkType::RawIp, &packet, "[fd01::2]:40000");
}

#[test]
fn pppoe_is_stepped_over_behind_tags_too() {
    for (packet, protocol) in [(v4(5, 0, None), [0x00, 0x21]), (v6(&[]), [0x00, 0x57])] {
        let source = if packet[0] >> 4 == 4 { "10.1.0.2:40000" } else { "[fd01::2]:40000" };
        let session = [&[0x88, 0x64, 0x11, 0, 0, 7, 0, 0][..], &protocol, &packet].concat();
        check(LinkType::Ethernet, &[&[0; 12], &session[..]].concat(), source);
        check(LinkType::Ethernet, &[&[0; 12], &[0x81, 0, 0, 7][..], &session].concat(), source);
        let other = [&[0; 12], &[0x88, 0x64, 0x11, 0, 0, 7, 0, 0, 0xc0, 0x21][..], &packet].concat();
        assert_eq!(parse(LinkType::Ethernet, &other, other.len()), Err(NoSegment::NotIp), "LCP is no IP");
    }
}

#[test]
fn padding_is_no_payload_and_a_missing_length_is_the_frames() {
    let mut padded = framed(LinkType::Ethernet, &v4(5, 0, None));
    padded.extend([0; 9]);
    check(LinkType::Ethernet, &padded, "10.1.0.2:40000");
    check(LinkType::Ethernet, &framed(LinkType::Ethernet, &v4(5, 0, Some(0))), "10.1.0.2:40000");
    let mut jumbo = v6(&[]);
    jumbo[4..6].copy_from_slice(&[0, 0]);
    check(LinkType::RawIp, &jumbo, "[fd01::2]:40000");
    // A card that cuts for the sender: 64 KiB in one frame of which the capture kept 200 bytes.
    let mut huge = v4(5, 0, Some(0));
    huge.resize(200, 0);
    let segment = parse(LinkType::RawIp, &huge, 65_000).unwrap();
    assert_eq!((segment.payload_len, segment.payload.len()), (65_000 - 44, 200 - 44));
}

#[test]
fn what_is_no_segment_says_why() {
    let table = [
        (v4(5, 1, None), NoSegment::Fragment),
        (v6(&[(44, &[0, 0, 0, 8, 0, 0, 0, 9])]), NoSegment::Fragment),
        (v4(4, 0, None), NoSegment::BadLength("IPv4 header")),
        (v4(5, 0, Some(19)), NoSegment::BadLength("IPv4 packet")),
        (v4(5, 0, Some(40)), NoSegment::BadLength("TCP segment")),
        (vec![0x50; 60], NoSegment::NotIp),
        (vec![], NoSegment::Truncated("IP header")),
        ([&v4(5, 0, None)[..9], &[17], &v4(5, 0, None)[10..]].concat(), NoSegment::NotTcp),
        (v6(&[(50, &[0; 8])]), NoSegment::NotTcp),
        ([&v4(5, 0, None)[..32], &[0x40], &v4(5, 0, None)[33..]].concat(), NoSegment::BadLength("TCP header")),
    ];
    for (packet, why) in table {
        assert_eq!(parse(LinkType::RawIp, &packet, packet.len()), Err(why), "{packet:x?}");
    }
    assert_eq!(parse(LinkType::Ethernet, &[0; 60], 60), Err(NoSegment::NotIp));
}

#[test]
fn a_frame_cut_off_anywhere_is_read_as_far_as_it_goes() {
    for link in LINKS {
        for packet in [v4(5, 0, None), v6(&[])] {
            let frame = framed(link, &packet);
            for kept in 0..frame.len() {
                match parse(link, &frame[..kept], frame.len()) {
                    Ok(segment) => {
                        assert_eq!((segment.options_len, segment.payload_len), (4, 3), "{link:?} {kept}");
                        assert!(segment.payload.len() < 3 && segment.options.len() <= 4);
                    }
                    Err(why) => assert!(matches!(why, NoSegment::Truncated(_)), "{link:?} {kept}: {why}"),
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn any_frame_is_read_without_panic(frame in prop::collection::vec(any::<u8>(), 0..200), more in 0_usize..2000) {
        for link in LINKS {
            if let Ok(segment) = parse(link, &frame, frame.len() + more) {
                prop_assert!(segment.options.len() <= usize::from(segment.options_len));
                prop_assert!(segment.payload.len() <= segment.payload_len as usize);
                prop_assert!(segment.mptcp().count() <= 40);
            }
        }
    }

    #[test]
    fn a_real_frame_with_a_byte_changed_is_read_without_panic(at in 0_usize..80, byte: u8) {
        for packet in [v4(6, 0, None), v6(&[(0, &[0; 8])])] {
            let mut frame = framed(LinkType::Ethernet, &packet);
            if let Some(place) = frame.get_mut(at) {
                *place = byte;
            }
            if let Ok(segment) = parse(LinkType::Ethernet, &frame, frame.len()) {
                prop_assert!(segment.mptcp().count() <= 40);
            }
        }
    }
}
