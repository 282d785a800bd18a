//! What to dump, or which socket to look at, encoded.

use std::net::IpAddr;

use crate::abi::sock_diag as abi;
use crate::flow::Flow;
use crate::netlink::Request;
use crate::tcp_info::TcpState;

/// Address family of the sockets asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressFamily {
    /// IPv4 sockets.
    V4,
    /// IPv6 sockets; those that carry IPv4 on an IPv6 socket (`::ffff:…`) as well.
    V6,
}

/// A set of states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct States(u32);

impl States {
    /// Every state.
    pub const ALL: Self = Self(u32::MAX);

    /// One state.
    #[must_use]
    pub const fn of(state: TcpState) -> Self {
        Self(1 << state as u8)
    }

    /// These and another.
    #[must_use]
    pub const fn and(self, state: TcpState) -> Self {
        Self(self.0 | 1 << state as u8)
    }
}

/// Which sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Query {
    /// Of this family; ask twice for both.
    pub family: AddressFamily,
    /// In these states.
    pub states: States,
    /// With this port at this end.
    pub local_port: Option<u16>,
}

impl Query {
    /// For TCP sockets, with measurements and the name of the congestion control.
    pub(super) fn tcp(self) -> Request {
        Request::new(abi::SOCK_DIAG_BY_FAMILY, 0).fixed(&self.fixed())
    }

    /// For MPTCP sockets.
    pub(super) fn mptcp(self) -> Request {
        // 262 does not fit the request's own field; the attribute takes its place.
        self.tcp().u32(abi::REQ_PROTOCOL, MPTCP)
    }

    fn fixed(self) -> [u8; abi::REQUEST] {
        let mut bytes = head(match self.family {
            AddressFamily::V4 => V4,
            AddressFamily::V6 => V6,
        });
        bytes[abi::request::STATES..][..4].copy_from_slice(&self.states.0.to_ne_bytes());
        let port = self.local_port.unwrap_or(0).to_be_bytes();
        bytes[abi::request::LOCAL_PORT..][..2].copy_from_slice(&port);
        bytes
    }
}

/// For the one TCP socket of this four-tuple.
pub(super) fn exact(flow: Flow) -> Request {
    let Flow { local, remote } = flow.canonical();
    let mut bytes = head(if local.is_ipv4() { V4 } else { V6 });
    for (end, port_at, ip_at) in [
        (local, abi::request::LOCAL_PORT, abi::request::LOCAL),
        (remote, abi::request::REMOTE_PORT, abi::request::REMOTE),
    ] {
        bytes[port_at..][..2].copy_from_slice(&end.port().to_be_bytes());
        match end.ip() {
            IpAddr::V4(ip) => bytes[ip_at..][..4].copy_from_slice(&ip.octets()),
            IpAddr::V6(ip) => bytes[ip_at..][..16].copy_from_slice(&ip.octets()),
        }
    }
    bytes[abi::request::INTERFACE..][..4].copy_from_slice(&flow.scope().to_ne_bytes());
    bytes[abi::request::COOKIE..].copy_from_slice(&ANY_COOKIE);
    Request::new(abi::SOCK_DIAG_BY_FAMILY, 0).fixed(&bytes)
}

/// For the one MPTCP socket of this token, which is asked for in the place of half a cookie.
pub(super) fn of_token(token: u32) -> Request {
    let mut bytes = head(V4);
    bytes[abi::request::COOKIE..][..4].copy_from_slice(&token.to_ne_bytes());
    Request::new(abi::SOCK_DIAG_BY_FAMILY, 0).fixed(&bytes).u32(abi::REQ_PROTOCOL, MPTCP)
}

/// What every request has: family, protocol, and that measurements and the name of the congestion control are wanted.
fn head(family: u8) -> [u8; abi::REQUEST] {
    let mut bytes = [0; abi::REQUEST];
    bytes[abi::request::FAMILY] = family;
    bytes[abi::request::PROTOCOL] = TCP;
    bytes[abi::request::EXT] = 1 << (abi::attr::INFO - 1) | 1 << (abi::attr::CONG - 1);
    bytes
}

/// `INET_DIAG_NOCOOKIE`, twice: whichever socket has the addresses.
const ANY_COOKIE: [u8; 8] = [0xff; 8];

pub(super) const V4: u8 = 2;
pub(super) const V6: u8 = 10;
const TCP: u8 = 6;
const MPTCP: u32 = 262;
const _: () = {
    assert!(V4 as libc::c_int == libc::AF_INET && V6 as libc::c_int == libc::AF_INET6);
    assert!(TCP as libc::c_int == libc::IPPROTO_TCP && MPTCP as libc::c_int == libc::IPPROTO_MPTCP);
};
