//! What the kernel says of routes, rules and addresses, decoded.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::abi::route as link_abi;
use crate::abi::rule::{self as abi, at, fra, rta};
use crate::netlink::attribute::Attributes;

use super::{Address, Family, Net, Route, Rule};

/// Reads a route; `None` of another family than the Internet's.
pub(super) fn route(payload: &[u8]) -> Option<Route> {
    let fixed: &[u8; abi::HEADER] = payload.first_chunk()?;
    let said = Attributes::new(payload.get(abi::HEADER..)?);
    let family = family(fixed[at::FAMILY])?;
    let number = |kind| said.find(kind).and_then(|a| a.u32());
    let ip = |kind| said.find(kind).and_then(|a| a.ip());
    Some(Route {
        table: number(rta::TABLE).unwrap_or_else(|| fixed[at::TABLE].into()),
        to: Net { address: ip(rta::DST).unwrap_or_else(|| any(family)), length: fixed[at::DST_LEN] },
        gateway: ip(rta::GATEWAY),
        interface: number(rta::OIF),
        source: ip(rta::PREFSRC),
        metric: number(rta::PRIORITY),
        unicast: fixed[at::KIND] == abi::UNICAST,
    })
}

/// Reads a rule; `None` of another family than the Internet's.
pub(super) fn rule(payload: &[u8]) -> Option<Rule> {
    let fixed: &[u8; abi::HEADER] = payload.first_chunk()?;
    let said = Attributes::new(payload.get(abi::HEADER..)?);
    let family = family(fixed[at::FAMILY])?;
    let number = |kind| said.find(kind).and_then(|a| a.u32());
    let from = said.find(fra::SRC).and_then(|a| a.ip()).map(|address| Net { address, length: fixed[at::SRC_LEN] });
    // What every rule says, whatever it asks for.
    let usual = [fra::SRC, fra::PRIORITY, fra::SUPPRESS_PREFIXLEN, fra::TABLE, fra::PROTOCOL];
    let nothing_more = { said }.all(|attribute| usual.contains(&attribute.kind));
    // All ones: nothing is suppressed.
    let suppresses = number(fra::SUPPRESS_PREFIXLEN).is_some_and(|length| length != u32::MAX);
    let kind = fixed[at::KIND];
    let table = number(fra::TABLE).unwrap_or_else(|| fixed[at::TABLE].into());
    let inverted = fixed[at::FLAGS..].iter().any(|&byte| byte != 0);
    Some(Rule {
        family,
        priority: number(fra::PRIORITY).unwrap_or(0),
        from,
        table: if kind == abi::TO_TABLE { table } else { 0 },
        plain: kind == abi::TO_TABLE && nothing_more && !suppresses && !inverted && fixed[at::DST_LEN] == 0,
    })
}

/// Reads an address.
pub(super) fn address(payload: &[u8]) -> Option<Address> {
    let fixed: &[u8; link_abi::ADDRESS_HEADER] = payload.first_chunk()?;
    let said = Attributes::new(payload.get(link_abi::ADDRESS_HEADER..)?);
    let own = said.find(link_abi::IFA_LOCAL).or_else(|| said.find(link_abi::IFA_ADDRESS))?.ip()?;
    let flags = said.find(abi::IFA_FLAGS).and_then(|a| a.u32()).unwrap_or_else(|| fixed[abi::address_at::FLAGS].into());
    let passing = if own.is_ipv4() { abi::SECONDARY } else { abi::PASSING };
    Some(Address {
        interface: crate::link::number(payload, link_abi::ADDRESS_INDEX)?,
        net: Net { address: own, length: fixed[abi::address_at::PREFIX] },
        global: fixed[abi::address_at::SCOPE] == abi::UNIVERSE,
        passing: flags & passing != 0,
    })
}

fn family(number: u8) -> Option<Family> {
    match libc::c_int::from(number) {
        libc::AF_INET => Some(Family::V4),
        libc::AF_INET6 => Some(Family::V6),
        _ => None,
    }
}

fn any(family: Family) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::UNSPECIFIED.into(),
        Family::V6 => Ipv6Addr::UNSPECIFIED.into(),
    }
}
