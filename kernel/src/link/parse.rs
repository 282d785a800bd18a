//! What the kernel says of links and addresses, decoded.

use std::net::IpAddr;

use crate::abi::route::{self as abi, ifla};

use super::{Link, attributes, number};

/// Reads a link; `None` without a number and a name.
pub(super) fn link(payload: &[u8]) -> Option<Link> {
    let said = attributes(payload, abi::LINK_HEADER)?;
    let text = |kind| said.find(kind).and_then(|a| a.text()).filter(|text| !text.is_empty()).map(str::to_owned);
    let kind = said.find(ifla::LINKINFO).and_then(|info| info.nested().find(ifla::INFO_KIND)?.text());
    let flags = number(payload, abi::LINK_FLAGS)?;
    Some(Link {
        index: number(payload, abi::LINK_INDEX)?,
        name: text(ifla::IFNAME)?,
        up: flags & abi::IFF_UP != 0,
        loopback: flags & abi::IFF_LOOPBACK != 0,
        alias: text(ifla::IFALIAS),
        kind: kind.map(str::to_owned),
        address: said.find(ifla::ADDRESS).map_or_else(Vec::new, |address| address.payload.to_vec()),
        qdisc: text(ifla::QDISC),
        addresses: Vec::new(),
    })
}

/// Reads an address and the number of its link.
pub(super) fn address(payload: &[u8]) -> Option<(u32, IpAddr)> {
    let said = attributes(payload, abi::ADDRESS_HEADER)?;
    // On a link between two ends the other attribute is the peer's.
    let address = said.find(abi::IFA_LOCAL).or_else(|| said.find(abi::IFA_ADDRESS))?.ip()?;
    Some((number(payload, abi::ADDRESS_INDEX)?, address))
}
