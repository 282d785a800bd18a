//! The four-tuple that names one TCP socket.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// The two ends of one TCP socket, as this host sees them.
///
/// Shape: IPv4 may be written as IPv4 or as `::ffff:…`: it is the same socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Flow {
    /// This end.
    pub local: SocketAddr,
    /// The peer's end.
    pub remote: SocketAddr,
}

impl Flow {
    /// The same with IPv4 written as IPv4, and without scope and flow label.
    pub(crate) fn canonical(self) -> Self {
        let plain = |end: SocketAddr| SocketAddr::new(end.ip().to_canonical(), end.port());
        Self { local: plain(self.local), remote: plain(self.remote) }
    }

    /// The interface a link-local end belongs to; zero for any.
    pub(crate) fn scope(self) -> u32 {
        let scope = |end| match end {
            SocketAddr::V6(end) => end.scope_id(),
            SocketAddr::V4(_) => 0,
        };
        scope(self.local).max(scope(self.remote))
    }
}

impl fmt::Display for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.local, self.remote)
    }
}

/// An address as IPv6 sockets write it.
pub(crate) fn wide(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    }
}
