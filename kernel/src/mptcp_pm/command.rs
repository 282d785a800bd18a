//! Requests to the path manager, encoded.
//!
//! The order of an address's attributes is that of iproute2's `ip mptcp`, against whose bytes they are tested.

use std::net::{IpAddr, SocketAddr};

use crate::abi::mptcp_pm::{VERSION, addr_attr, addr_flag, attr, command};
use crate::netlink::Request;

use super::endpoint::{Endpoint, Limits};

/// Which subflow of a connection is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubflowAddresses {
    /// This end.
    pub local: SocketAddr,
    /// The peer's end.
    pub remote: SocketAddr,
}

/// An address to announce to a peer (ADD_ADDR).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Announcement {
    /// Our number for it. Shape: not zero, which is the initial subflow's; one the connection does not use yet.
    pub id: u8,
    /// The address.
    pub address: IpAddr,
    /// Its port, where it is not the connection's. Something has to listen on that very address and port.
    pub port: Option<u16>,
}

/// What an address is said to be; only what is `Some` is said.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Address {
    pub(super) id: Option<u8>,
    pub(super) flags: Option<u32>,
    pub(super) interface: Option<u32>,
    pub(super) port: Option<u16>,
    pub(super) ip: Option<IpAddr>,
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self { port: Some(address.port()), ip: Some(address.ip()), ..Self::default() }
    }
}

pub(super) fn set_flags(family: u16, token: u32, subflow: SubflowAddresses, backup: bool) -> Request {
    let flags = if backup { addr_flag::BACKUP } else { 0 };
    let local = Address { flags: Some(flags), ..subflow.local.into() };
    let request = of_connection(family, command::SET_FLAGS, token);
    address(address(request, attr::ADDR, local), attr::ADDR_REMOTE, subflow.remote.into())
}

pub(super) fn subflow_destroy(family: u16, token: u32, subflow: SubflowAddresses) -> Request {
    let request = of_connection(family, command::SUBFLOW_DESTROY, token);
    address(address(request, attr::ADDR, subflow.local.into()), attr::ADDR_REMOTE, subflow.remote.into())
}

/// A port of zero on this end lets the kernel choose one.
pub(super) fn subflow_create(family: u16, token: u32, local_id: u8, subflow: SubflowAddresses) -> Request {
    let local = Address { id: Some(local_id), ..subflow.local.into() };
    let local = Address { port: local.port.filter(|&port| port != 0), ..local };
    let request = of_connection(family, command::SUBFLOW_CREATE, token);
    address(address(request, attr::ADDR, local), attr::ADDR_REMOTE, subflow.remote.into())
}

pub(super) fn announce(family: u16, token: u32, announcement: Announcement) -> Request {
    let Announcement { id, address: ip, port } = announcement;
    let said = Address { id: Some(id), flags: Some(addr_flag::SIGNAL), interface: None, port, ip: Some(ip) };
    address(of_connection(family, command::ANNOUNCE, token), attr::ADDR, said)
}

pub(super) fn remove(family: u16, token: u32, id: u8) -> Request {
    of_connection(family, command::REMOVE, token).u8(attr::LOC_ID, id)
}

pub(super) fn get_endpoints(family: u16) -> Request {
    Request::generic(family, 0, command::GET_ADDR, VERSION)
}

pub(super) fn get_limits(family: u16) -> Request {
    Request::generic(family, 0, command::GET_LIMITS, VERSION)
}

/// An id of zero lets the kernel choose one.
pub(super) fn add_endpoint(family: u16, endpoint: &Endpoint) -> Request {
    let said = Address {
        id: Some(endpoint.id).filter(|&id| id != 0),
        flags: Some(endpoint.flags.0),
        interface: endpoint.interface,
        port: endpoint.port,
        ip: Some(endpoint.address),
    };
    address(Request::generic(family, 0, command::ADD_ADDR, VERSION), attr::ADDR, said)
}

pub(super) fn delete_endpoint(family: u16, endpoint: &Endpoint) -> Request {
    let said = Address { id: Some(endpoint.id), ip: Some(endpoint.address), ..Address::default() };
    address(Request::generic(family, 0, command::DEL_ADDR, VERSION), attr::ADDR, said)
}

pub(super) fn set_limits(family: u16, limits: Limits) -> Request {
    Request::generic(family, 0, command::SET_LIMITS, VERSION)
        .u32(attr::SUBFLOWS, limits.subflows)
        .u32(attr::RCV_ADD_ADDRS, limits.add_addr_accepted)
}

fn of_connection(family: u16, command: u8, token: u32) -> Request {
    Request::generic(family, 0, command, VERSION).u32(attr::TOKEN, token)
}

/// Appends one address, as attribute `kind`.
pub(super) fn address(request: Request, kind: u16, address: Address) -> Request {
    let Address { id, flags, interface, port, ip } = address;
    request.nest(kind, |mut request| {
        if let Some(id) = id {
            request = request.u8(addr_attr::ID, id);
        }
        if let Some(flags) = flags {
            request = request.u32(addr_attr::FLAGS, flags);
        }
        if let Some(interface) = interface {
            request = request.u32(addr_attr::IF_IDX, interface);
        }
        if let Some(port) = port {
            request = request.u16(addr_attr::PORT, port);
        }
        if let Some(ip) = ip {
            let family = if ip.is_ipv4() { FAMILY_V4 } else { FAMILY_V6 };
            request = request.u16(addr_attr::FAMILY, family).ip(addr_attr::ADDR4, addr_attr::ADDR6, ip);
        }
        request
    })
}

/// `AF_INET` and `AF_INET6` in the width of the attribute.
const FAMILY_V4: u16 = 2;
const FAMILY_V6: u16 = 10;
const _: () = assert!(FAMILY_V4 as libc::c_int == libc::AF_INET && FAMILY_V6 as libc::c_int == libc::AF_INET6);

#[cfg(test)]
mod tests;
