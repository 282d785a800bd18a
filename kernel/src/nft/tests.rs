use std::time::Duration;

use super::interval::borders;
use super::*;
use crate::netlink::Step;
use crate::testing::lines;

const TABLE: &str = "anabranch";

/// Type, flags and everything behind the header of a message.
fn told(step: Step) -> (u16, u16, Vec<u8>) {
    told_by(&step.request.finish(1).unwrap())
}

fn told_by(message: &[u8]) -> (u16, u16, Vec<u8>) {
    let number = |at: usize| u16::from_ne_bytes(*message[at..].first_chunk().unwrap());
    let bytes = unnumbered(message[16..].to_vec());
    (number(4), number(6), if number(4) == abi::msg::NEWSETELEM { unlisted(bytes) } else { bytes })
}

/// Without the numbers that sets have in a transaction, where they have names as well: nft counts what it knows of.
fn unnumbered(mut bytes: Vec<u8>) -> Vec<u8> {
    for name in ["down4\0\0\0", "up6\0", "ifbs\0\0\0\0", "alive\0\0\0"] {
        let find = |bytes: &[u8]| bytes.windows(name.len()).position(|window| window == name.as_bytes());
        if let Some(number) = find(&bytes).map(|at| at + name.len() + 4) {
            bytes[number..number + 4].fill(0);
        }
    }
    bytes
}

fn prefix(address: &str, length: u8) -> Prefix {
    Prefix { address: address.parse().unwrap(), length }
}

fn flow() -> Flow {
    Flow { client: "[fd00::2]:1000".parse().unwrap(), server: "[fd00::1]:443".parse().unwrap() }
}

/// With every element of type 1: nft counts them, the kernel does not care.
fn unlisted(mut bytes: Vec<u8>) -> Vec<u8> {
    let length = |bytes: &[u8], at: usize| {
        usize::from(u16::from_ne_bytes(*bytes[at..].first_chunk().unwrap())).next_multiple_of(4)
    };
    let mut at = abi::HEADER;
    while bytes[at + 2] != 3 {
        at += length(&bytes, at);
    }
    let end = at + length(&bytes, at);
    at += 4;
    while at < end {
        bytes[at + 2] = 1;
        at += length(&bytes, at);
    }
    bytes
}

#[test]
fn steps_are_what_nft_sends() {
    let captured: Vec<_> =
        lines(include_str!("../../tests/data/nft_netdev.hex")).iter().map(|line| told_by(line)).collect();
    let [chain, goto, down4, up6, joins, captured @ ..] = captured.as_slice() else { panic!() };
    let map = |direction, v6| Map { direction, v6 };

    // `add chain netdev anabranch egress3 { type filter hook egress device "a0" priority 0; policy accept; }`
    let watched = WatchedChain { hook: Hook::Egress, index: 3, device: "a0".to_owned() };
    let [add_chain, add_goto] = watched.add(TABLE);
    assert_eq!(&told(add_chain), chain);
    // `add rule netdev anabranch egress3 goto egress`
    assert_eq!(&told(add_goto), goto);
    // `add rule netdev anabranch egress meta priority set ip daddr . tcp dport . ip saddr . tcp sport map @down4 fwd to meta priority
    // map @ifbs`
    assert_eq!(&told(rule::redirect("egress", map(Direction::Download, false), "ifbs").step(TABLE)), down4);
    // `add rule netdev anabranch ingress meta priority set ip6 saddr . tcp sport . ip6 daddr . tcp dport map @up6 fwd to meta priority
    // map @ifbs`
    assert_eq!(&told(rule::redirect("ingress", map(Direction::Upload, true), "ifbs").step(TABLE)), up6);
    // `add rule netdev anabranch ingress tcp flags & (syn|ack) == syn tcp option mptcp subtype 1 meta l4proto @alive jump join`
    assert_eq!(&told(rule::joins("ingress", "alive", "join").step(TABLE)), joins);

    let [_, addresses, _, ports, armed, _, addresses6, refused, put, removed] = captured else { panic!() };
    let fill = |id, borders: &[interval::Border]| told(set::fill(TABLE, id, borders).pop().unwrap());
    // `add rule netdev anabranch join ip saddr { 10.1.0.0/16, 10.3.0.0/24 } tcp dport { 80, 443 } update @down4 { ip saddr . tcp sport .
    // ip daddr . tcp dport : ab0:30 } return`
    let prefixes = vec![prefix("10.3.0.0", 24), prefix("10.1.0.0", 16)];
    let join = Join { prefixes, ports: vec![80, 443], then: Then::Class(Slot(3)) };
    assert_eq!(&told(join.rule("join", false, set_of(addresses), set_of(ports)).step(TABLE)), armed);
    assert_eq!(&fill(set_of(addresses), &borders(false, &join.prefixes)), addresses);
    let port = |port: u16| interval::Border { key: port.to_be_bytes().to_vec(), end: false };
    assert_eq!(ports, &fill(set_of(ports), &[port(80), port(443)]));
    // `add rule netdev anabranch join ip6 saddr { fd00::/8, fe80::/10 } meta l4proto tcp reject with tcp reset`
    let prefixes = vec![prefix("fd00::", 8), prefix("fe80::", 10)];
    let join = Join { prefixes, ports: vec![], then: Then::Refuse };
    assert_eq!(&told(join.rule("join", true, set_of(addresses6), 0).step(TABLE)), refused);
    assert_eq!(&fill(set_of(addresses6), &borders(true, &join.prefixes)), addresses6);

    // `add element netdev anabranch down6 { fd00::2 . 1000 . fd00::1 . 443 timeout 10000ms : ab0:10 }`
    let down6 = map(Direction::Download, true);
    let [step] = element::put(TABLE, down6, Duration::from_secs(10), &[(flow(), Slot(1))]).try_into().unwrap();
    // nft numbers the set here as well; a name will do.
    let mut named = put.clone();
    assert_eq!(named.2.drain(32..40).as_slice()[..4], [8, 0, 4, 0]);
    assert_eq!(told(step), named);
    // `delete element netdev anabranch down6 { fd00::2 . 1000 . fd00::1 . 443 }`, which fails where there is none: type 14, not 30.
    let [step] = element::destroy(TABLE, down6, &[flow()]).try_into().unwrap();
    let (kind, flags, bytes) = told(step);
    assert_eq!((kind, flags, &bytes), (10 << 8 | 30, removed.1, &removed.2));
}

/// The number of the set in a message that fills it.
fn set_of(message: &(u16, u16, Vec<u8>)) -> u32 {
    let attributes = crate::netlink::attribute::Attributes::new(&message.2[4..]);
    let id = attributes.find(abi::element::SET_ID).unwrap();
    u32::from_be_bytes(id.payload.try_into().unwrap())
}

#[test]
fn what_was_put_is_read_back() {
    let v4 = Flow { client: "10.1.0.2:1000".parse().unwrap(), server: "10.1.0.1:443".parse().unwrap() };
    for (flow, v6) in [(v4, false), (flow(), true)] {
        let map = Map { direction: Direction::Upload, v6 };
        let [step] = element::put(TABLE, map, Duration::from_secs(3), &[(flow, Slot(2049))]).try_into().unwrap();
        let message = step.request.finish(1).unwrap();
        let [read] = element::parse(&message[16..]).try_into().unwrap();
        // How long it stays only the kernel says.
        assert_eq!((read.flow, read.slot, read.left), (flow, Some(Slot(2049)), None));
        for length in 0..message.len() - 16 {
            element::parse(&message[16..16 + length]);
        }
    }
}

#[test]
fn elements_are_split_into_messages_that_have_room() {
    let flows: Vec<_> =
        (0..2001).map(|port| Flow { client: SocketAddr::new(flow().client.ip(), port), ..flow() }).collect();
    let map = Map { direction: Direction::Download, v6: true };
    let entries: Vec<_> = flows.iter().map(|&flow| (flow, Slot(1))).collect();
    let steps = element::put(TABLE, map, Duration::from_secs(10), &entries);
    let counts: Vec<_> =
        steps.into_iter().map(|step| element::parse(&step.request.finish(1).unwrap()[16..]).len()).collect();
    assert_eq!(counts, [800, 800, 401]);
    assert!(element::destroy(TABLE, map, &flows).iter().all(|step| step.request.clone().finish(1).is_some()));
    assert!(element::destroy(TABLE, map, &[]).is_empty());
}
