//! Socket diagnostics: every TCP and MPTCP socket of a network namespace, with what the kernel measures of it.
//!
//! What lives here: dumps, streamed socket by socket through one buffer. What does not: what a socket means to us.
//! Called by the witness of connections, at its start and whenever events were lost, and for measurements.
//! Invariant: nothing is allocated per socket. A dump is not of one moment: a socket that changes its place meanwhile may
//! come twice or not at all; its cookie tells.
//! Source: sock_diag(7); Linux v6.18 `net/ipv4/inet_diag.c`, `net/mptcp/mptcp_diag.c`, `net/mptcp/diag.c`.

mod answer;
mod query;
mod subflow;

use crate::netlink::{Dump, NetlinkError, NetlinkSocket, Protocol};

pub use answer::{MptcpSocket, SocketHead, TcpSocket};
pub use query::{AddressFamily, Query, States};
pub use subflow::{Subflow, SubflowFlags, SubflowKind};

/// A socket to ask for sockets, in the network namespace it was opened in.
#[derive(Debug)]
pub struct SockDiag {
    socket: NetlinkSocket,
}

impl SockDiag {
    /// Opens it.
    pub fn open() -> Result<Self, NetlinkError> {
        Ok(Self { socket: NetlinkSocket::open(Protocol::SockDiag)? })
    }

    /// Visits TCP sockets, subflows of MPTCP connections among them.
    ///
    /// Errors: the kernel's; open another [`SockDiag`] then.
    /// Kernel: sequence numbers of a subflow are told to CAP_NET_ADMIN only; older kernels tell others nothing of it.
    pub fn tcp(&mut self, query: Query, mut visit: impl FnMut(TcpSocket<'_>)) -> Result<(), NetlinkError> {
        self.socket.dump("SOCK_DIAG_BY_FAMILY", &"TCP sockets", &query.tcp(), |dump| {
            if let Dump::Entry(message) = dump
                && let Some(socket) = TcpSocket::parse(message.payload)
            {
                visit(socket);
            }
        })
    }

    /// Visits MPTCP sockets: the connections, not their subflows.
    ///
    /// Shape: listeners among them, if the states ask for them. A connection that fell back is among the TCP sockets.
    /// Errors: the kernel's, among them `ENOENT` from one without MPTCP diagnostics.
    /// Kernel: v5.9.
    pub fn mptcp(&mut self, query: Query, mut visit: impl FnMut(MptcpSocket<'_>)) -> Result<(), NetlinkError> {
        self.socket.dump("SOCK_DIAG_BY_FAMILY", &"MPTCP sockets", &query.mptcp(), |dump| {
            if let Dump::Entry(message) = dump
                && let Some(socket) = MptcpSocket::parse(message.payload)
            {
                visit(socket);
            }
        })
    }
}

#[cfg(test)]
mod tests;
