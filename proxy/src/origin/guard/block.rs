//! The special-purpose blocks, and IPv4 addresses inside IPv6 ones.
//!
//! The tables follow the IANA special-purpose address registries (RFC 6890). Blocks that the registry calls globally
//! reachable but that hold no web server (2001:1::1, 192.0.0.9 and their like) are refused with the block around them.

use super::{Forbidden, Ipv4Addr, Ipv4Net, Ipv6Addr, Ipv6Net};

const fn v4(a: u8, b: u8, c: u8, d: u8, len: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), len)
}

const fn v6(s: [u16; 4], len: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(s[0], s[1], s[2], s[3], 0, 0, 0, 0), len)
}

/// First match wins.
const BLOCKS_V4: [(Ipv4Net, Forbidden); 17] = [
    (v4(0, 0, 0, 0, 8), Forbidden::ThisNetwork),
    (v4(10, 0, 0, 0, 8), Forbidden::Private),
    (v4(100, 64, 0, 0, 10), Forbidden::SharedAddressSpace),
    (v4(127, 0, 0, 0, 8), Forbidden::Loopback),
    (v4(169, 254, 0, 0, 16), Forbidden::LinkLocal),
    (v4(172, 16, 0, 0, 12), Forbidden::Private),
    (v4(192, 0, 0, 0, 24), Forbidden::ProtocolAssignment),
    (v4(192, 0, 2, 0, 24), Forbidden::Documentation),
    (v4(192, 88, 99, 0, 24), Forbidden::ProtocolAssignment),
    (v4(192, 168, 0, 0, 16), Forbidden::Private),
    (v4(198, 18, 0, 0, 15), Forbidden::Benchmarking),
    (v4(198, 51, 100, 0, 24), Forbidden::Documentation),
    (v4(203, 0, 113, 0, 24), Forbidden::Documentation),
    (v4(233, 252, 0, 0, 24), Forbidden::Documentation),
    (v4(224, 0, 0, 0, 4), Forbidden::Multicast),
    (v4(255, 255, 255, 255, 32), Forbidden::Broadcast),
    (v4(240, 0, 0, 0, 4), Forbidden::Reserved),
];

/// First match wins. What none of them names is [`Forbidden::Reserved`] outside 2000::/3 and free inside.
const BLOCKS_V6: [(Ipv6Net, Forbidden); 12] = [
    (v6([0x100, 0, 0, 0], 64), Forbidden::DiscardOnly),
    (v6([0x100, 0, 0, 1], 64), Forbidden::DiscardOnly),
    (v6([0x64, 0xff9b, 1, 0], 48), Forbidden::LocalTranslation),
    (v6([0x2001, 2, 0, 0], 48), Forbidden::Benchmarking),
    (v6([0x2001, 0xdb8, 0, 0], 32), Forbidden::Documentation),
    (v6([0x3fff, 0, 0, 0], 20), Forbidden::Documentation),
    (v6([0xfc00, 0, 0, 0], 7), Forbidden::UniqueLocal),
    (v6([0xfe80, 0, 0, 0], 10), Forbidden::LinkLocal),
    (v6([0xfec0, 0, 0, 0], 10), Forbidden::SiteLocal),
    (v6([0xff00, 0, 0, 0], 8), Forbidden::Multicast),
    // ORCHIDs (2001:10::/28, 2001:20::/28) and drone tags (2001:30::/28) are identifiers, not places.
    (v6([0x2001, 0, 0, 0], 23), Forbidden::ProtocolAssignment),
    (v6([0x5f00, 0, 0, 0], 16), Forbidden::Reserved),
];

const NAT64: Ipv6Net = v6([0x64, 0xff9b, 0, 0], 96);
const TEREDO: Ipv6Net = v6([0x2001, 0, 0, 0], 32);
const SIX_TO_FOUR: Ipv6Net = v6([0x2002, 0, 0, 0], 16);
const GLOBAL_UNICAST: Ipv6Net = v6([0x2000, 0, 0, 0], 3);

/// The block an IPv4 address lies in, if it is not globally routable.
pub(super) fn block_of_v4(ip: Ipv4Addr) -> Option<Forbidden> {
    BLOCKS_V4.iter().find(|(net, _)| net.contains(&ip)).map(|(_, reason)| *reason)
}

/// The block an IPv6 address lies in, if it is not globally routable; what it embeds is not looked at.
pub(super) fn block_of_v6(ip: Ipv6Addr) -> Option<Forbidden> {
    match ip {
        Ipv6Addr::UNSPECIFIED => return Some(Forbidden::ThisNetwork),
        Ipv6Addr::LOCALHOST => return Some(Forbidden::Loopback),
        // These two stand or fall with the IPv4 addresses inside.
        _ if NAT64.contains(&ip) || TEREDO.contains(&ip) => return None,
        _ => {}
    }
    let block = BLOCKS_V6.iter().find(|(net, _)| net.contains(&ip)).map(|(_, reason)| *reason);
    block.or_else(|| (!GLOBAL_UNICAST.contains(&ip)).then_some(Forbidden::Reserved))
}

/// The IPv4 addresses that packets to an IPv6 address may end up at: none, one, or (Teredo) two.
#[derive(Clone, Copy)]
pub(super) struct Inner([Option<Ipv4Addr>; 2]);

impl Inner {
    pub(super) fn iter(self) -> impl Iterator<Item = Ipv4Addr> {
        self.0.into_iter().flatten()
    }
}

/// Looks inside an IPv6 address that is not v4-mapped.
pub(super) fn embedded(ip: Ipv6Addr) -> Inner {
    let o = ip.octets();
    let at = |i: usize| Ipv4Addr::new(o[i], o[i + 1], o[i + 2], o[i + 3]);
    let compatible = o[..12].iter().all(|b| *b == 0) && ip != Ipv6Addr::UNSPECIFIED && ip != Ipv6Addr::LOCALHOST;
    // ISATAP: the interface identifier 0000:5efe or 0200:5efe followed by the address (RFC 5214 §6.1).
    let isatap = matches!(o[8..12], [0 | 2, 0, 0x5e, 0xfe]);
    if compatible || NAT64.contains(&ip) || isatap {
        Inner([Some(at(12)), None])
    } else if SIX_TO_FOUR.contains(&ip) {
        Inner([Some(at(2)), None])
    } else if TEREDO.contains(&ip) {
        // Server in the clear, client address with every bit inverted (RFC 4380 §4).
        Inner([Some(at(4)), Some(Ipv4Addr::from(!u32::from(at(12))))])
    } else {
        Inner([None, None])
    }
}
