//! What to dump, encoded.

use crate::abi::sock_diag as abi;
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
        let mut bytes = [0; abi::REQUEST];
        bytes[abi::request::FAMILY] = match self.family {
            AddressFamily::V4 => V4,
            AddressFamily::V6 => V6,
        };
        bytes[abi::request::PROTOCOL] = TCP;
        bytes[abi::request::EXT] = 1 << (abi::attr::INFO - 1) | 1 << (abi::attr::CONG - 1);
        bytes[abi::request::STATES..][..4].copy_from_slice(&self.states.0.to_ne_bytes());
        let port = self.local_port.unwrap_or(0).to_be_bytes();
        bytes[abi::request::LOCAL_PORT..][..2].copy_from_slice(&port);
        bytes
    }
}

pub(super) const V4: u8 = 2;
pub(super) const V6: u8 = 10;
const TCP: u8 = 6;
const MPTCP: u32 = 262;
const _: () = {
    assert!(V4 as libc::c_int == libc::AF_INET && V6 as libc::c_int == libc::AF_INET6);
    assert!(TCP as libc::c_int == libc::IPPROTO_TCP && MPTCP as libc::c_int == libc::IPPROTO_MPTCP);
};
