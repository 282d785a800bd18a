//! Every unit: what it takes, what it refuses, and that printing and parsing are inverse.

use std::fmt::{Debug, Display};
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn round_trip<T: FromStr<Err = Invalid> + Display + PartialEq + Debug>(value: &T) {
    assert_eq!(value.to_string().parse::<T>().as_ref(), Ok(value));
}

fn what<T: FromStr<Err = Invalid> + Debug>(text: &str) -> String {
    text.parse::<T>().expect_err(text).what.into_owned()
}

proptest! {
    #[test]
    fn rates_round_trip(bits in 1..=u64::MAX, scale in 0_u32..=12) {
        round_trip(&BitRate::from_bits_per_second(bits).unwrap());
        let round = (bits >> 40).max(1).saturating_mul(10_u64.pow(scale));
        round_trip(&BitRate::from_bits_per_second(round).unwrap());
    }

    #[test]
    fn sizes_round_trip(bytes in 1..=u64::MAX, shift in 0_u32..=30) {
        round_trip(&ByteSize::from_bytes(bytes).unwrap());
        round_trip(&ByteSize::from_bytes((bytes >> shift << shift).max(1)).unwrap());
    }

    #[test]
    fn times_round_trip(millis in 1_u64..=7 * 86_400_000, step in prop::sample::select(vec![1_u64, 1000, 60_000, 3_600_000])) {
        let millis = (millis / step * step).max(1);
        round_trip(&Timeout::try_from(Duration::from_millis(millis)).unwrap());
    }

    #[test]
    fn prefixes_round_trip(address: IpAddr, length in 0_u8..=128) {
        let address = address.to_canonical();
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let net = ipnet::IpNet::new(address, length.min(longest)).unwrap().trunc();
        let prefix = Prefix::try_from(net).unwrap();
        round_trip(&prefix);
        round_trip(&Allow { prefix, port: None });
        round_trip(&Allow { prefix, port: Some(u16::from(length) + 1) });
        prop_assert!(prefix.contains(address));
    }

    #[test]
    fn port_sets_are_the_union_of_their_ranges(ranges in prop::collection::vec((prop_oneof![1_u16..200, 65_400_u16..], 0_u16..100), 0..8), probe: u16) {
        let ranges: Vec<_> = ranges.into_iter().map(|(first, more)| first..=first.saturating_add(more)).collect();
        let set = PortSet::from_ranges(ranges.clone());
        round_trip(&set);
        for port in ranges.iter().flat_map(|range| [*range.start(), *range.end(), range.start() - 1]).chain([probe, 0]) {
            prop_assert_eq!(set.contains(port), ranges.iter().any(|range| range.contains(&port)), "{}", port);
        }
        for pair in set.ranges().windows(2) {
            prop_assert!(u32::from(*pair[0].end()) + 1 < u32::from(*pair[1].start()), "{} is not merged", set);
        }
    }

    #[test]
    fn no_text_makes_a_parser_panic(text in "\\PC{0,12}|[0-9.]{0,25} ?[a-zA-Z/]{0,6}|[0-9a-f:.\\[\\]/-]{0,20}") {
        // A value or an error, either is fine; what is asserted is that whatever parses prints back to itself.
        if let Ok(value) = text.parse::<BitRate>() { round_trip(&value); }
        if let Ok(value) = text.parse::<ByteSize>() { round_trip(&value); }
        if let Ok(value) = text.parse::<Timeout>() { round_trip(&value); }
        if let Ok(value) = text.parse::<Prefix>() { round_trip(&value); }
        if let Ok(value) = text.parse::<Allow>() { round_trip(&value); }
        if let Ok(value) = text.parse::<PortSet>() { round_trip(&value); }
        if let Ok(value) = text.parse::<Name>() { round_trip(&value); }
    }
}

#[test]
fn rates_are_exact() {
    for (text, bits) in [
        ("1 bit/s", 1),
        ("2 Mbit/s", 2_000_000),
        ("2Mbit/s", 2_000_000),
        (" 2.5 Mbit/s ", 2_500_000),
        ("0.000001 Mbit/s", 1),
        ("1.000 kbit/s", 1000),
        ("40 Gbit/s", 40_000_000_000),
        ("18446744073709551615 bit/s", u64::MAX),
    ] {
        assert_eq!(text.parse::<BitRate>().map(BitRate::bits_per_second), Ok(bits), "{text}");
    }
    for (text, wrong) in [
        ("", "no number in front"),
        ("Mbit/s", "no number in front"),
        ("2", "no unit"),
        ("-2 Mbit/s", "negative"),
        ("0 Mbit/s", "zero"),
        ("0.0 bit/s", "zero"),
        ("1.5 bit/s", "not exact in this unit"),
        ("0.0000001 Mbit/s", "not exact in this unit"),
        ("1.00000000000001 Tbit/s", "not exact in this unit"),
        ("1.2.3 Mbit/s", "not a number"),
        (".5 Mbit/s", "not a number"),
        ("5. Mbit/s", "not a number"),
        ("18446744073709551616 bit/s", "too large"),
        ("18446744.073709551616 Tbit/s", "too large"),
        ("99999999999999999999999 bit/s", "too large"),
        ("2 Mbps", "unknown unit \"Mbps\": write \"Mbit/s\""),
        ("2 mbit/s", "unknown unit \"mbit/s\": write \"Mbit/s\""),
        ("2 MB/s", "unknown unit \"MB/s\": rates are in bits: 1 MB/s is \"8 Mbit/s\""),
        ("2 foo", "unknown unit \"foo\" (known: bit/s, kbit/s, Mbit/s, Gbit/s, Tbit/s)"),
    ] {
        assert_eq!(what::<BitRate>(text), wrong, "{text}");
    }
}

#[test]
fn sizes_and_times_know_their_units() {
    for (text, bytes) in
        [("64 KiB", 65_536), ("1 MB", 1_000_000), ("1.5 GiB", 1_610_612_736), ("7 B", 7), ("2 kB", 2000)]
    {
        assert_eq!(text.parse::<ByteSize>().map(ByteSize::bytes), Ok(bytes), "{text}");
    }
    for (text, millis) in
        [("500 ms", 500), ("30 s", 30_000), ("5 min", 300_000), ("1 h", 3_600_000), ("7 d", 604_800_000)]
    {
        assert_eq!(text.parse::<Timeout>().map(Timeout::get), Ok(Duration::from_millis(millis)), "{text}");
        assert_eq!(text.parse::<Timeout>().unwrap().to_string(), text);
    }
    assert_eq!(what::<Timeout>("7.001 d"), "out of range");
    assert_eq!(what::<Timeout>("0.5 ms"), "not exact in this unit");
    assert!(Timeout::try_from(Duration::ZERO).is_err());
    assert!(Timeout::try_from(Duration::from_nanos(1_000_001)).is_err());
}

#[test]
fn a_mapped_address_is_the_ipv4_address() {
    let ten: Prefix = "10.0.0.0/8".parse().unwrap();
    assert!(ten.contains("::ffff:10.1.2.3".parse().unwrap()));
    assert!(ten.contains("10.1.2.3".parse().unwrap()));
    assert!(!ten.contains("::ffff:11.1.2.3".parse().unwrap()));
    let everything_v6: Prefix = "::/0".parse().unwrap();
    assert!(!everything_v6.contains("::ffff:10.1.2.3".parse().unwrap()), "an IPv6 prefix never admits an IPv4 client");
    assert_eq!(Prefix::from("::ffff:10.1.2.3".parse::<IpAddr>().unwrap()), "10.1.2.3".parse().unwrap());
    assert_eq!("10.0.0.1".parse::<Prefix>().unwrap().to_string(), "10.0.0.1/32");
    assert!("127.1.0.0/16".parse::<Prefix>().unwrap().is_loopback());
    assert!(!"0.0.0.0/0".parse::<Prefix>().unwrap().is_loopback());
}

#[test]
fn an_allowed_destination_may_have_one_port() {
    let web: Allow = "127.0.0.1:8080".parse().unwrap();
    assert!(web.contains("127.0.0.1:8080".parse().unwrap()));
    assert!(web.contains("[::ffff:127.0.0.1]:8080".parse().unwrap()));
    assert!(!web.contains("127.0.0.1:8081".parse().unwrap()));
    assert!(!web.contains("127.0.0.2:8080".parse().unwrap()));
    let net: Allow = "10.20.0.0/16".parse().unwrap();
    assert!(net.contains("10.20.255.1:1".parse().unwrap()));
    assert!(!net.contains("10.21.0.1:1".parse().unwrap()));
    for wrong in ["", "localhost", "127.0.0.1:", "127.0.0.1:99999", "[127.0.0.1]:80", "[::1]", "[::1", "::1:x"] {
        assert!(wrong.parse::<Allow>().is_err(), "{wrong}");
    }
}

#[test]
fn names_keep_their_rules() {
    let long = "x".repeat(65);
    for (text, right) in
        [("lte is for overflow", true), ("é", true), ("", false), (" x", false), ("x\n", false), (&*long, false)]
    {
        assert_eq!(text.parse::<Name>().is_ok(), right, "{text:?}");
    }
    for (text, right) in [("line-1", true), ("a@b", true), ("a b", false), ("a:b", false), ("", false), (&*long, false)]
    {
        assert_eq!(text.parse::<SubscriberId>().is_ok(), right, "{text:?}");
    }
    for (text, right) in [
        ("bbr", true),
        ("a-b_c", true),
        ("fifteen-letters", true),
        ("sixteen--letters", false),
        ("Bbr", false),
        ("", false),
    ] {
        assert_eq!(text.parse::<Congestion>().is_ok(), right, "{text:?}");
    }
    for (text, right) in
        [("eth0", true), ("eth0.100", true), ("..", false), ("a/b", false), ("a:b", false), ("a b", false), ("", false)]
    {
        assert_eq!(text.parse::<IfaceName>().is_ok(), right, "{text:?}");
    }
    for (text, right) in
        [("edge-1.example", true), ("a!b", true), ("a b", false), ("a,b", false), ("é", false), ("", false)]
    {
        assert_eq!(text.parse::<Pseudonym>().is_ok(), right, "{text:?}");
    }
}

#[test]
fn a_secret_stays_one() {
    let secret = Secret::new("hunter2");
    assert_eq!(format!("{secret} {secret:?} {:#?}", Some(&secret)).matches("hunter2").count(), 0);
    assert_eq!(*secret.reveal(), "hunter2");
}

#[test]
fn shares_are_neither_nothing_nor_all() {
    assert_eq!(
        (0..=u8::MAX).filter(|percent| Percent::try_from(*percent).is_ok()).collect::<Vec<_>>(),
        (1..=99).collect::<Vec<_>>()
    );
}

#[test]
fn messages_stay_short_and_on_one_line() {
    assert_eq!(shown("a\nb\u{1b}c\u{202e}"), "a\\nb\\u{1b}c\\u{202e}");
    assert_eq!(shown(&"é".repeat(80)), "é".repeat(80));
    assert_eq!(shown(&"é".repeat(81)), format!("{}…", "é".repeat(80)));
}
