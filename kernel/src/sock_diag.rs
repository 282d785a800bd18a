//! Socket diagnostics: every TCP and MPTCP socket of a network namespace, with what the kernel measures of it.
//!
//! What lives here: dumps, streamed socket by socket through one buffer, and questions about one socket. What does not: what
//! a socket means to us.
//! Called by the witness of connections, at its start and whenever events were lost, and for measurements.
//! Invariant: nothing is allocated per socket. A dump is not of one moment: a socket that changes its place meanwhile may
//! come twice or not at all; its cookie tells.
//! Source: sock_diag(7); Linux v6.18 `net/ipv4/inet_diag.c`, `net/mptcp/mptcp_diag.c`, `net/mptcp/diag.c`.

use std::fmt;

mod answer;
mod query;
mod subflow;

use crate::flow::Flow;
use crate::netlink::{Dump, NetlinkError, NetlinkSocket, Protocol, Request};

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

    /// What `look` makes of one TCP socket; `None` if there is no such connection.
    ///
    /// Shape: costs the same however many sockets there are, 2 µs. What only waits for late segments (TIME-WAIT) is there
    /// as well, without measurements.
    /// Errors: as [`SockDiag::tcp`].
    pub fn tcp_exact<T>(
        &mut self,
        flow: Flow,
        look: impl FnMut(TcpSocket<'_>) -> T,
    ) -> Result<Option<T>, NetlinkError> {
        let mut look = look;
        self.exact(&flow, query::exact(flow), |payload| {
            let socket = TcpSocket::parse(payload)?;
            // Where there is no such connection the kernel answers with the listener that would take it.
            let found = Flow { local: socket.head.local, remote: socket.head.remote };
            (found.canonical() == flow.canonical()).then(|| look(socket))
        })
    }

    /// What `look` makes of the MPTCP connection with this local token; `None` if there is none.
    ///
    /// Errors: as [`SockDiag::mptcp`].
    /// Kernel: v5.9.
    pub fn mptcp_exact<T>(
        &mut self,
        token: u32,
        look: impl FnMut(MptcpSocket<'_>) -> T,
    ) -> Result<Option<T>, NetlinkError> {
        let mut look = look;
        let object = format_args!("connection {token:08x}");
        self.exact(&object, query::of_token(token), |payload| MptcpSocket::parse(payload).map(&mut look))
    }

    fn exact<T>(
        &mut self,
        object: &dyn fmt::Display,
        request: Request,
        mut read: impl FnMut(&[u8]) -> Option<T>,
    ) -> Result<Option<T>, NetlinkError> {
        let mut found = None;
        let asked = self.socket.request("SOCK_DIAG_BY_FAMILY", object, request, |message| {
            found = read(message.payload);
        });
        match asked {
            Err(error) if error.errno() == Some(libc::ENOENT) => Ok(None),
            asked => asked.map(|()| found),
        }
    }
}

#[cfg(test)]
mod tests;
