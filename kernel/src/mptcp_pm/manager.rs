//! Commands to the path manager.

use std::fmt;

use crate::netlink::{Dump, NetlinkError, NetlinkSocket, Protocol, Request};

use super::command::{self, Announcement, SubflowAddresses};
use super::endpoint::{Endpoint, Limits};
use super::{MptcpPmError, family};

/// The path manager of the network namespace it was opened in.
///
/// Shape: the commands about one connection work under the userspace path manager only (`net.mptcp.path_manager` at the
/// time the connection began); the in-kernel one answers `EINVAL`.
#[derive(Debug)]
pub struct PathManager {
    socket: NetlinkSocket,
    family: u16,
}

impl PathManager {
    /// Opens the door.
    ///
    /// Errors: [`MptcpPmError::Unsupported`] — no MPTCP in this kernel.
    pub fn open() -> Result<Self, MptcpPmError> {
        let mut socket = NetlinkSocket::open(Protocol::Generic)?;
        let family = family(&mut socket)?.id;
        Ok(Self { socket, family })
    }

    /// Tells the peer (MP_PRIO) and our scheduler whether a subflow is for when nothing else is left.
    ///
    /// Errors: `ESRCH`, `EINVAL` — no such connection or subflow, or not under the userspace path manager.
    /// Kernel: v5.19; CAP_NET_ADMIN, as all commands about connections.
    pub fn set_flags(&mut self, token: u32, subflow: SubflowAddresses, backup: bool) -> Result<(), MptcpPmError> {
        self.command("MPTCP_PM_CMD_SET_FLAGS", token, command::set_flags(self.family, token, subflow, backup))
    }

    /// Closes a subflow.
    ///
    /// Kernel: an announced local address is forgotten with it: [`PathManager::remove`] is refused afterwards, and the address
    /// may be announced again.
    pub fn subflow_destroy(&mut self, token: u32, subflow: SubflowAddresses) -> Result<(), MptcpPmError> {
        self.command("MPTCP_PM_CMD_SUBFLOW_DESTROY", token, command::subflow_destroy(self.family, token, subflow))
    }

    /// Begins a subflow from here to where the peer listens; that it came to be, an event tells.
    ///
    /// Shape: `local_id` is our number for the local address; a local port of zero lets the kernel choose.
    pub fn subflow_create(&mut self, token: u32, local_id: u8, subflow: SubflowAddresses) -> Result<(), MptcpPmError> {
        let request = command::subflow_create(self.family, token, local_id, subflow);
        self.command("MPTCP_PM_CMD_SUBFLOW_CREATE", token, request)
    }

    /// Announces an address to the peer (ADD_ADDR).
    pub fn announce(&mut self, token: u32, announcement: Announcement) -> Result<(), MptcpPmError> {
        self.command("MPTCP_PM_CMD_ANNOUNCE", token, command::announce(self.family, token, announcement))
    }

    /// Withdraws an address (RM_ADDR); the peer closes the subflows to it.
    pub fn remove(&mut self, token: u32, id: u8) -> Result<(), MptcpPmError> {
        self.command("MPTCP_PM_CMD_REMOVE", token, command::remove(self.family, token, id))
    }

    /// The endpoints of the in-kernel path manager.
    pub fn endpoints(&mut self) -> Result<Vec<Endpoint>, MptcpPmError> {
        let mut found = Vec::new();
        let request = command::get_endpoints(self.family);
        self.socket.dump("MPTCP_PM_CMD_GET_ADDR", &"endpoints", &request, |dump| match dump {
            Dump::Start => found.clear(),
            Dump::Entry(message) => found.extend(message.generic().and_then(|(_, said)| Endpoint::parse(said))),
        })?;
        Ok(found)
    }

    /// The limits of the in-kernel path manager.
    pub fn limits(&mut self) -> Result<Limits, MptcpPmError> {
        let (op, mut found) = ("MPTCP_PM_CMD_GET_LIMITS", None);
        self.socket.request(op, &"limits", command::get_limits(self.family), |message| {
            found = message.generic().and_then(|(_, said)| Limits::parse(said));
        })?;
        Ok(found.ok_or_else(|| NetlinkError::malformed(op, "limits", "the answer names no limits"))?)
    }

    /// Makes an endpoint; with an id of zero the kernel chooses one.
    ///
    /// Errors: `EEXIST` (`ERANGE` on older kernels) — there are eight, or one of this address.
    /// Kernel: CAP_NET_ADMIN, as the next two.
    pub fn add_endpoint(&mut self, endpoint: &Endpoint) -> Result<(), MptcpPmError> {
        let request = command::add_endpoint(self.family, endpoint);
        Ok(self.socket.request("MPTCP_PM_CMD_ADD_ADDR", &endpoint.address, request, |_| {})?)
    }

    /// Takes the endpoint of this number and address away; the subflows from it end.
    pub fn delete_endpoint(&mut self, endpoint: &Endpoint) -> Result<(), MptcpPmError> {
        let request = command::delete_endpoint(self.family, endpoint);
        Ok(self.socket.request("MPTCP_PM_CMD_DEL_ADDR", &endpoint.address, request, |_| {})?)
    }

    /// Sets the limits of connections that begin from now on.
    ///
    /// Errors: `EINVAL` — above eight.
    pub fn set_limits(&mut self, limits: Limits) -> Result<(), MptcpPmError> {
        let request = command::set_limits(self.family, limits);
        Ok(self.socket.request("MPTCP_PM_CMD_SET_LIMITS", &"limits", request, |_| {})?)
    }

    fn command(&mut self, op: &'static str, token: u32, request: Request) -> Result<(), MptcpPmError> {
        let object: &dyn fmt::Display = &format_args!("connection {token:08x}");
        Ok(self.socket.request(op, object, request, |_| {})?)
    }
}
