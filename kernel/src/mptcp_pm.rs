//! The MPTCP path manager's door: its events, its commands, its endpoints and limits.
//!
//! What lives here: the generic netlink family `mptcp_pm`, decoded and encoded. What does not: which subflow ought to
//! exist. Called by the witness of connections, and by whoever steers subflows.
//! Invariant: an event is told as the kernel told it; that events were lost is told as well, in its place among them.
//!
//! Tokens are local tokens: what clients put into their MP_JOIN, what `ss` prints behind the slash.
//! Under the userspace path manager (`net.mptcp.path_manager`) the kernel refuses every join while nobody in the network
//! namespace listens to these events.
//! Source: Linux v6.18 `Documentation/netlink/specs/mptcp_pm.yaml`, `net/mptcp/pm_netlink.c`, `net/mptcp/pm_userspace.c`.

mod command;
mod endpoint;
mod event;
mod events;
mod listeners;
mod manager;

use thiserror::Error;

use crate::abi::mptcp_pm as abi;
use crate::netlink::generic::Family;
use crate::netlink::{NetlinkError, NetlinkSocket};

pub use command::{Announcement, SubflowAddresses};
pub use endpoint::{Endpoint, EndpointFlags, Limits};
pub use event::{ConnectionEvent, Event, EventError, SubflowEvent};
pub use events::{Events, Notice};
pub use listeners::listeners;
pub use manager::PathManager;

/// Why the path manager could not be asked or listened to.
#[derive(Debug, Error)]
pub enum MptcpPmError {
    /// The kernel was built without MPTCP, or has no such multicast group.
    #[error("the kernel has no MPTCP path manager to talk to")]
    Unsupported,
    /// The process lacks CAP_NET_ADMIN in its network namespace.
    #[error("talking to the MPTCP path manager takes CAP_NET_ADMIN")]
    NotPermitted(#[source] NetlinkError),
    /// The kernel refused, or the socket failed.
    #[error("the MPTCP path manager refused")]
    Netlink(#[source] NetlinkError),
    /// An event lacks what every event of its kind has. The next one can be received as usual.
    #[error("an event of the MPTCP path manager makes no sense")]
    Event(#[source] EventError),
}

impl MptcpPmError {
    /// Whether the connection or the subflow it was about is not there (any more).
    #[must_use]
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Netlink(error) if matches!(error.errno(), Some(libc::ESRCH | libc::ENOENT)))
    }
}

impl From<NetlinkError> for MptcpPmError {
    fn from(error: NetlinkError) -> Self {
        if error.is_not_permitted() { Self::NotPermitted(error) } else { Self::Netlink(error) }
    }
}

/// Finds the family, which is missing from a kernel without MPTCP.
fn family(socket: &mut NetlinkSocket) -> Result<Family, MptcpPmError> {
    Family::resolve(socket, abi::FAMILY).map_err(|error| match error.errno() {
        Some(libc::ENOENT) => MptcpPmError::Unsupported,
        _ => error.into(),
    })
}

#[cfg(test)]
mod tests;
