//! The table of special-purpose addresses, the allow list, and properties over the wrappings of IPv4 in IPv6.

use proptest::prelude::*;

use super::Forbidden as F;
use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn closed() -> Guard {
    Guard::new(Vec::new(), [ip("198.41.0.4"), ip("2001:503:ba3e::2:30"), ip("127.0.0.1"), ip("::ffff:199.9.14.201")])
}

fn allowing(rules: &[(&str, Option<u16>)]) -> Guard {
    let own = closed().own;
    Guard::new(rules.iter().map(|(net, port)| (net.parse().unwrap(), *port)).collect(), own)
}

fn translated(v4: &str) -> Option<F> {
    Some(F::Translated(v4.parse().unwrap()))
}

#[test]
fn every_special_purpose_block_is_forbidden_and_its_neighbours_are_not() {
    let rows = [
        // IPv4: first and last address of each block, and the addresses beside it.
        ("0.0.0.0", Some(F::ThisNetwork)),
        ("0.255.255.255", Some(F::ThisNetwork)),
        ("1.0.0.0", None),
        ("9.255.255.255", None),
        ("10.0.0.0", Some(F::Private)),
        ("10.255.255.255", Some(F::Private)),
        ("11.0.0.0", None),
        ("100.63.255.255", None),
        ("100.64.0.0", Some(F::SharedAddressSpace)),
        ("100.127.255.255", Some(F::SharedAddressSpace)),
        ("100.128.0.0", None),
        ("126.255.255.255", None),
        ("127.0.0.0", Some(F::Loopback)),
        ("127.0.0.1", Some(F::Loopback)),
        ("127.255.255.255", Some(F::Loopback)),
        ("128.0.0.0", None),
        ("169.253.255.255", None),
        ("169.254.0.0", Some(F::LinkLocal)),
        ("169.254.255.255", Some(F::LinkLocal)),
        ("169.255.0.0", None),
        ("172.15.255.255", None),
        ("172.16.0.0", Some(F::Private)),
        ("172.31.255.255", Some(F::Private)),
        ("172.32.0.0", None),
        ("191.255.255.255", None),
        ("192.0.0.0", Some(F::ProtocolAssignment)),
        ("192.0.0.9", Some(F::ProtocolAssignment)),
        ("192.0.0.170", Some(F::ProtocolAssignment)),
        ("192.0.0.255", Some(F::ProtocolAssignment)),
        ("192.0.1.255", None),
        ("192.0.2.0", Some(F::Documentation)),
        ("192.0.2.255", Some(F::Documentation)),
        ("192.0.3.0", None),
        ("192.88.98.255", None),
        ("192.88.99.1", Some(F::ProtocolAssignment)),
        ("192.88.100.0", None),
        ("192.167.255.255", None),
        ("192.168.0.0", Some(F::Private)),
        ("192.168.255.255", Some(F::Private)),
        ("192.169.0.0", None),
        ("198.17.255.255", None),
        ("198.18.0.0", Some(F::Benchmarking)),
        ("198.19.255.255", Some(F::Benchmarking)),
        ("198.20.0.0", None),
        ("198.51.99.255", None),
        ("198.51.100.0", Some(F::Documentation)),
        ("198.51.101.0", None),
        ("203.0.112.255", None),
        ("203.0.113.255", Some(F::Documentation)),
        ("203.0.114.0", None),
        ("223.255.255.255", None),
        ("224.0.0.0", Some(F::Multicast)),
        ("233.252.0.1", Some(F::Documentation)),
        ("239.255.255.255", Some(F::Multicast)),
        ("240.0.0.0", Some(F::Reserved)),
        ("255.255.255.254", Some(F::Reserved)),
        ("255.255.255.255", Some(F::Broadcast)),
        ("8.8.8.8", None),
        // Metadata services, one of them in public space, and their neighbours.
        ("169.254.169.254", Some(F::CloudMetadata)),
        ("169.254.169.253", Some(F::LinkLocal)),
        ("169.254.170.2", Some(F::CloudMetadata)),
        ("100.100.100.200", Some(F::CloudMetadata)),
        ("168.63.129.16", Some(F::CloudMetadata)),
        ("168.63.129.17", None),
        ("192.0.0.192", Some(F::CloudMetadata)),
        ("fd00:ec2::254", Some(F::CloudMetadata)),
        ("fd00:ec2::253", Some(F::UniqueLocal)),
        // Our own.
        ("198.41.0.4", Some(F::OwnAddress)),
        ("199.9.14.201", Some(F::OwnAddress)),
        ("2001:503:ba3e::2:30", Some(F::OwnAddress)),
        ("2001:503:ba3e::2:31", None),
        // IPv6.
        ("::", Some(F::ThisNetwork)),
        ("::1", Some(F::Loopback)),
        ("64:ff9b:1::1", Some(F::LocalTranslation)),
        ("64:ff9b:1:ffff:ffff:ffff:ffff:ffff", Some(F::LocalTranslation)),
        ("64:ff9b:2::1", Some(F::Reserved)),
        ("64:ff9b:0:0:0:1::1", Some(F::Reserved)),
        ("100::", Some(F::DiscardOnly)),
        ("100::ffff:ffff:ffff:ffff", Some(F::DiscardOnly)),
        ("100:0:0:1::1", Some(F::DiscardOnly)),
        ("100:0:0:2::1", Some(F::Reserved)),
        ("1fff:ffff::1", Some(F::Reserved)),
        ("2001:1::1", Some(F::ProtocolAssignment)),
        ("2001:2::1", Some(F::Benchmarking)),
        ("2001:2:1::1", Some(F::ProtocolAssignment)),
        ("2001:3::1", Some(F::ProtocolAssignment)),
        ("2001:4:112::1", Some(F::ProtocolAssignment)),
        ("2001:10::1", Some(F::ProtocolAssignment)),
        ("2001:20::1", Some(F::ProtocolAssignment)),
        ("2001:30::1", Some(F::ProtocolAssignment)),
        ("2001:1ff:ffff::1", Some(F::ProtocolAssignment)),
        ("2001:200::1", None),
        ("2001:db7:ffff::1", None),
        ("2001:db8::1", Some(F::Documentation)),
        ("2001:db8:ffff:ffff::1", Some(F::Documentation)),
        ("2001:db9::1", None),
        ("2001:4860:4860::8888", None),
        ("2606:4700::1111", None),
        ("2620:4f:8000::1", None),
        ("3ffe:ffff::1", None),
        ("3fff::1", Some(F::Documentation)),
        ("3fff:fff:ffff::1", Some(F::Documentation)),
        ("3fff:1000::1", None),
        ("4000::1", Some(F::Reserved)),
        ("5f00::1", Some(F::Reserved)),
        ("fbff::1", Some(F::Reserved)),
        ("fc00::1", Some(F::UniqueLocal)),
        ("fdff:ffff::1", Some(F::UniqueLocal)),
        ("fe00::1", Some(F::Reserved)),
        ("fe80::1", Some(F::LinkLocal)),
        ("febf:ffff::1", Some(F::LinkLocal)),
        ("fec0::1", Some(F::SiteLocal)),
        ("feff:ffff::1", Some(F::SiteLocal)),
        ("ff00::1", Some(F::Multicast)),
        ("ff02::1", Some(F::Multicast)),
        ("ff0e::1", Some(F::Multicast)),
        // IPv4 inside IPv6. Mapped is IPv4; the others are told apart.
        ("::ffff:127.0.0.1", Some(F::Loopback)),
        ("::ffff:10.1.2.3", Some(F::Private)),
        ("::ffff:169.254.169.254", Some(F::CloudMetadata)),
        ("::ffff:198.41.0.4", Some(F::OwnAddress)),
        ("::ffff:8.8.8.8", None),
        ("::127.0.0.1", translated("127.0.0.1")),
        ("::10.0.0.1", translated("10.0.0.1")),
        ("::8.8.8.8", Some(F::Reserved)),
        ("::ffff:0:8.8.8.8", Some(F::Reserved)),
        ("64:ff9b::10.0.0.1", translated("10.0.0.1")),
        ("64:ff9b::169.254.169.254", translated("169.254.169.254")),
        ("64:ff9b::198.41.0.4", translated("198.41.0.4")),
        ("64:ff9b::8.8.8.8", None),
        ("2002:a00:1::1", translated("10.0.0.1")),
        ("2002:7f00:1::", translated("127.0.0.1")),
        ("2002:808:808::1", None),
        // Teredo: server 8.8.8.8 or 10.0.0.1, client 1.1.1.1 or 192.168.0.1 with every bit inverted.
        ("2001:0:808:808:0:1:fefe:fefe", None),
        ("2001:0:a00:1:0:1:fefe:fefe", translated("10.0.0.1")),
        ("2001:0:808:808:0:1:3f57:fffe", translated("192.168.0.1")),
        // ISATAP in a global prefix.
        ("2600::5efe:10.0.0.1", translated("10.0.0.1")),
        ("2600::200:5efe:10.0.0.1", translated("10.0.0.1")),
        ("2600::5efe:8.8.8.8", None),
        ("2600::300:5efe:10.0.0.1", None),
    ];
    let guard = closed();
    for (address, expected) in rows {
        assert_eq!(guard.judge(ip(address), 80).err(), expected, "{address}");
    }
}

#[test]
fn a_rule_opens_its_prefix_and_port_and_nothing_else() {
    let guard = allowing(&[("10.1.0.0/16", None), ("192.168.1.1/32", Some(443)), ("fd00::/8", Some(80))]);
    let rows = [
        ("10.1.255.1", 80, None),
        ("10.1.255.1", 65535, None),
        ("10.2.0.1", 80, Some(F::Private)),
        ("192.168.1.1", 443, None),
        ("192.168.1.1", 80, Some(F::Private)),
        ("192.168.1.2", 443, Some(F::Private)),
        ("fd12::1", 80, None),
        ("fd12::1", 443, Some(F::UniqueLocal)),
        // In a wrapping, the rule for the IPv4 address holds.
        ("::ffff:10.1.0.1", 80, None),
        ("64:ff9b::10.1.0.1", 80, None),
        ("64:ff9b::10.2.0.1", 80, translated("10.2.0.1")),
        ("2002:a01:1::1", 80, None),
        ("::10.1.0.1", 80, None),
        // Both addresses of Teredo must pass.
        ("2001:0:a01:1:0:1:3f57:fffe", 80, translated("192.168.0.1")),
    ];
    for (address, port, expected) in rows {
        assert_eq!(guard.judge(ip(address), port).err(), expected, "{address} {port}");
    }
}

#[test]
fn covering_prefixes_do_not_open_what_nobody_means() {
    let wide = allowing(&[("0.0.0.0/0", None), ("::/0", None)]);
    let rows = [
        ("10.0.0.1", None),
        ("fd00::1", None),
        ("64:ff9b::10.0.0.1", None),
        ("2002:a00:1::1", None),
        ("127.0.0.1", Some(F::Loopback)),
        ("127.0.0.2", Some(F::Loopback)),
        ("0.0.0.0", Some(F::ThisNetwork)),
        ("::", Some(F::ThisNetwork)),
        ("::1", Some(F::Loopback)),
        ("::ffff:127.0.0.1", Some(F::Loopback)),
        ("::ffff:0.0.0.0", Some(F::ThisNetwork)),
        ("::127.0.0.1", translated("127.0.0.1")),
        ("169.254.169.254", Some(F::CloudMetadata)),
        ("::ffff:169.254.169.254", Some(F::CloudMetadata)),
        ("64:ff9b::169.254.169.254", translated("169.254.169.254")),
        ("2002:a9fe:a9fe::1", translated("169.254.169.254")),
        ("64:ff9b:1::a9fe:a9fe", Some(F::LocalTranslation)),
        ("fd00:ec2::254", Some(F::CloudMetadata)),
        ("168.63.129.16", Some(F::CloudMetadata)),
        ("198.41.0.4", Some(F::OwnAddress)),
        ("2001:503:ba3e::2:30", Some(F::OwnAddress)),
        ("64:ff9b::198.41.0.4", translated("198.41.0.4")),
    ];
    for (address, expected) in rows {
        assert_eq!(wide.judge(ip(address), 80).err(), expected, "{address}");
    }
}

#[test]
fn a_rule_of_full_length_opens_even_metadata_and_own_addresses() {
    let guard = allowing(&[
        ("169.254.169.254/32", Some(80)),
        ("fd00:ec2::254/128", None),
        ("198.41.0.4/32", None),
        ("2001:503:ba3e::2:30/128", None),
        ("127.0.0.0/8", None),
        ("::1/128", None),
        ("64:ff9b::100.100.100.200/128", None),
    ]);
    let open = [
        "169.254.169.254",
        "::ffff:169.254.169.254",
        "64:ff9b::169.254.169.254",
        "fd00:ec2::254",
        "198.41.0.4",
        "2001:503:ba3e::2:30",
        "127.0.0.1",
        "127.0.0.9",
        "::ffff:127.0.0.1",
        "::1",
        "64:ff9b::100.100.100.200",
    ];
    for address in open {
        assert_eq!(guard.judge(ip(address), 80), Ok(()), "{address}");
    }
    assert_eq!(guard.judge(ip("169.254.169.254"), 81), Err(F::CloudMetadata), "the port of the rule holds");
    assert_eq!(guard.judge(ip("100.100.100.200"), 80), Err(F::CloudMetadata), "the rule named the wrapping only");
    let mapped = allowing(&[("::ffff:10.0.0.0/104", None), ("::ffff:198.41.0.4/128", None)]);
    assert_eq!(mapped.judge(ip("10.200.0.1"), 80), Ok(()), "a rule in mapped form means the IPv4 prefix");
    assert_eq!(mapped.judge(ip("198.41.0.4"), 80), Ok(()));
    assert_eq!(mapped.judge(ip("11.0.0.1"), 80), Ok(()), "public anyway");
    assert_eq!(mapped.judge(ip("192.168.0.1"), 80), Err(F::Private));
}

/// The address in each form in which a translator or tunnel would unwrap it.
fn wrappings(v4: Ipv4Addr, global: Ipv6Addr) -> Vec<Ipv6Addr> {
    let (bits, public) = (u128::from(u32::from(v4)), u128::from(u32::from(Ipv4Addr::new(8, 8, 8, 8))));
    let at = |prefix: u128, value: u128, shift: u32| Ipv6Addr::from_bits((prefix << 96) | (value << shift));
    let flipped = |value: u128| value ^ 0xffff_ffff;
    vec![
        v4.to_ipv6_mapped(),
        Ipv6Addr::from_bits(bits),
        at(0x64_ff9b, 0, 0) | Ipv6Addr::from_bits(bits),
        Ipv6Addr::from_bits((0x2002_u128 << 112) | (bits << 80) | 1),
        at(0x2001_0000, bits, 64) | Ipv6Addr::from_bits(flipped(public)),
        at(0x2001_0000, public, 64) | Ipv6Addr::from_bits(flipped(bits)),
        (global & Ipv6Addr::from_bits(u128::MAX << 64)) | Ipv6Addr::from_bits((0x5efe_u128 << 32) | bits),
        Ipv6Addr::from_bits((0x64_ff9b_0001_u128 << 80) | bits),
    ]
}

fn inside(net: Ipv4Net, random: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(net.network()) | (random & u32::from(net.hostmask())))
}

proptest! {
    #[test]
    fn a_forbidden_ipv4_address_passes_in_no_wrapping(block in 0..10_usize, random: u32, port: u16) {
        let nets = [
            "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
            "192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/4", "240.0.0.0/4",
        ];
        let v4 = inside(nets[block].parse().unwrap(), random);
        let guard = closed();
        prop_assert!(guard.judge(v4.into(), port).is_err());
        for wrapped in wrappings(v4, "2600:1234:5678:9abc::".parse().unwrap()) {
            prop_assert!(guard.judge(wrapped.into(), port).is_err(), "{} in {}", v4, wrapped);
        }
    }

    #[test]
    fn outside_2000_3_nothing_passes_but_mapped_and_nat64(bits: u128) {
        let address = Ipv6Addr::from_bits(bits);
        prop_assume!(bits >> 125 != 1 && address.to_ipv4_mapped().is_none() && bits >> 32 != 0x64_ff9b_u128 << 64);
        prop_assert!(closed().judge(address.into(), 80).is_err());
    }

    #[test]
    fn a_rule_never_closes_anything(bits: u128, v4: u32, v6: bool, len in 0..=32_u8) {
        let address = if v6 { IpAddr::V6(Ipv6Addr::from_bits(bits)) } else { IpAddr::V4(Ipv4Addr::from(v4)) };
        if closed().judge(address, 80).is_ok() {
            let rule = IpNet::new(address, len).unwrap().trunc();
            prop_assert!(Guard::new(vec![(rule, None)], closed().own).judge(address, 80).is_ok());
        }
    }
}

#[test]
fn labels_are_distinct() {
    let all = [
        F::Loopback,
        F::ThisNetwork,
        F::Private,
        F::SharedAddressSpace,
        F::LinkLocal,
        F::SiteLocal,
        F::UniqueLocal,
        F::Multicast,
        F::Broadcast,
        F::ProtocolAssignment,
        F::Documentation,
        F::Benchmarking,
        F::DiscardOnly,
        F::LocalTranslation,
        F::Reserved,
        F::CloudMetadata,
        F::OwnAddress,
        F::Translated(Ipv4Addr::LOCALHOST),
    ];
    let labels: HashSet<_> = all.iter().map(|reason| reason.as_label()).collect();
    assert_eq!(labels.len(), all.len());
}
