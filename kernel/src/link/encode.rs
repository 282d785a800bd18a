//! Requests about links, encoded.

use crate::abi::route::{self as abi, ifla};
use crate::netlink::Request;

/// An IFB to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ifb<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its hardware address.
    pub address: [u8; 6],
    /// Packets that may wait in each queue under it.
    pub queue: u32,
}

impl Ifb<'_> {
    /// The same by `ip`.
    #[must_use]
    pub fn line(&self) -> String {
        let [a, b, c, d, e, f] = self.address;
        let Self { name, queue, .. } = self;
        format!(
            "ip link add {name} address {a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x} txqueuelen {queue} type ifb"
        )
    }
}

pub(super) fn get_links() -> Request {
    header(abi::RTM_GETLINK, 0, 0)
}

pub(super) fn get_link(name: &str) -> Request {
    get_links().text(ifla::IFNAME, name)
}

pub(super) fn get_addresses() -> Request {
    Request::new(abi::RTM_GETADDR, 0).fixed(&[0; abi::ADDRESS_HEADER])
}

pub(super) fn create_ifb(ifb: &Ifb<'_>) -> Request {
    header(abi::RTM_NEWLINK, abi::NLM_F_CREATE | abi::NLM_F_EXCL, 0)
        .text(ifla::IFNAME, ifb.name)
        .attribute(ifla::ADDRESS, &ifb.address)
        .u32(ifla::TXQLEN, ifb.queue)
        .nest(ifla::LINKINFO, |info| info.attribute(ifla::INFO_KIND, b"ifb"))
}

pub(super) fn set_up(index: u32) -> Request {
    let mut fixed = fixed(index);
    // The flag, and that this flag is the one to change.
    for at in [abi::LINK_FLAGS, abi::LINK_FLAGS + 4] {
        fixed[at..at + 4].copy_from_slice(&abi::IFF_UP.to_ne_bytes());
    }
    Request::new(abi::RTM_NEWLINK, 0).fixed(&fixed)
}

pub(super) fn set_alias(index: u32, words: &str) -> Request {
    header(abi::RTM_NEWLINK, 0, index).attribute(ifla::IFALIAS, words.as_bytes())
}

pub(super) fn no_addresses(index: u32) -> Request {
    header(abi::RTM_NEWLINK, 0, index).nest(ifla::AF_SPEC, |families| {
        families.nest(ifla::AF_INET6, |v6| v6.u8(ifla::INET6_ADDR_GEN_MODE, ifla::ADDR_GEN_NONE))
    })
}

pub(super) fn delete(index: u32) -> Request {
    header(abi::RTM_DELLINK, 0, index)
}

fn header(kind: u16, flags: u16, index: u32) -> Request {
    Request::new(kind, flags).fixed(&fixed(index))
}

fn fixed(index: u32) -> [u8; abi::LINK_HEADER] {
    let mut bytes = [0; abi::LINK_HEADER];
    bytes[abi::LINK_INDEX..][..4].copy_from_slice(&index.to_ne_bytes());
    bytes
}
