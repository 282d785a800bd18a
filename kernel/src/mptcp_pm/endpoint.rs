//! Endpoints and limits of the in-kernel path manager, decoded.

use std::net::IpAddr;

use crate::abi::mptcp_pm::{addr_attr, addr_flag, attr};
use crate::netlink::attribute::Attributes;

/// What an endpoint is for (`ip-mptcp(8)`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct EndpointFlags(pub u32);

impl EndpointFlags {
    /// Announced to peers.
    pub const SIGNAL: Self = Self(addr_flag::SIGNAL);
    /// Subflows are made from it.
    pub const SUBFLOW: Self = Self(addr_flag::SUBFLOW);
    /// Its subflows are for when nothing else is left.
    pub const BACKUP: Self = Self(addr_flag::BACKUP);
    /// Subflows are made from it to every address of the peer.
    pub const FULLMESH: Self = Self(addr_flag::FULLMESH);
    /// The kernel made it up, for an address a subflow uses already.
    pub const IMPLICIT: Self = Self(addr_flag::IMPLICIT);
    /// Subflows are made from it to addresses the peer announced. Kernel: v6.18.
    pub const LAMINAR: Self = Self(addr_flag::LAMINAR);

    /// Whether every flag of `other` is set.
    #[must_use]
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// An address of this machine that the in-kernel path manager may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoint {
    /// Its number.
    pub id: u8,
    /// The address.
    pub address: IpAddr,
    /// Its port, where one was given.
    pub port: Option<u16>,
    /// What it is for.
    pub flags: EndpointFlags,
    /// The interface it is bound to, where one was given.
    pub interface: Option<u32>,
}

impl Endpoint {
    /// Reads one answer of a dump; `None` without an address.
    pub(super) fn parse(attributes: Attributes<'_>) -> Option<Self> {
        let said = attributes.find(attr::ADDR)?.nested();
        let address = said.find(addr_attr::ADDR4).or_else(|| said.find(addr_attr::ADDR6))?.ip()?;
        Some(Self {
            id: said.find(addr_attr::ID)?.u8()?,
            address,
            port: said.find(addr_attr::PORT).and_then(|a| a.u16()).filter(|&port| port != 0),
            flags: EndpointFlags(said.find(addr_attr::FLAGS).and_then(|a| a.u32()).unwrap_or_default()),
            interface: said.find(addr_attr::IF_IDX).and_then(|a| a.u32()),
        })
    }
}

/// What the in-kernel path manager allows of each connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Subflows beside the initial one.
    pub subflows: u32,
    /// Announced addresses that are acted upon.
    pub add_addr_accepted: u32,
}

impl Limits {
    pub(super) fn parse(attributes: Attributes<'_>) -> Option<Self> {
        Some(Self {
            subflows: attributes.find(attr::SUBFLOWS)?.u32()?,
            add_addr_accepted: attributes.find(attr::RCV_ADD_ADDRS)?.u32()?,
        })
    }
}
