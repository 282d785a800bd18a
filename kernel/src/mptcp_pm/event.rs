//! Events of the path manager, decoded from their attributes.

use std::net::{IpAddr, SocketAddr};

use thiserror::Error;

use crate::abi::mptcp_pm::{EV_FLAG_DENY_JOIN_ID0, EV_FLAG_SERVER_SIDE, event as kind, event_attr as attr};
use crate::netlink::attribute::Attributes;

/// An event without something that every event of its kind has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("event {event} has no usable {attribute}")]
pub struct EventError {
    /// The event's number (`enum mptcp_event_type`).
    pub event: u8,
    /// What is missing.
    pub attribute: &'static str,
}

/// Something that happened to a connection, to one of its subflows, or to a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A connection began; it may still fall back.
    Created(ConnectionEvent),
    /// A connection is known to be MPTCP on both sides: joins may come.
    Established(ConnectionEvent),
    /// A connection, with whatever subflows it still had, is gone.
    Closed {
        /// The connection.
        token: u32,
    },
    /// The peer announced an address (ADD_ADDR).
    Announced {
        /// The connection.
        token: u32,
        /// The peer's number for the address.
        remote_id: u8,
        /// The address.
        address: IpAddr,
        /// Its port, where the peer said one.
        port: Option<u16>,
    },
    /// The peer withdrew an address (RM_ADDR).
    Removed {
        /// The connection.
        token: u32,
        /// The peer's number for the address.
        remote_id: u8,
    },
    /// A subflow joined a connection. The initial one comes as [`Event::Established`] instead.
    SubflowEstablished(SubflowEvent),
    /// A subflow ended before its connection did.
    SubflowClosed(SubflowEvent),
    /// The peer changed a subflow's priority (MP_PRIO).
    SubflowPriority(SubflowEvent),
    /// A socket began to listen for MPTCP. Kernel: v6.2.
    ListenerCreated(SocketAddr),
    /// A socket no longer listens for MPTCP. Kernel: v6.2.
    ListenerClosed(SocketAddr),
    /// An event of a newer kernel, by its number.
    Unknown(u8),
}

/// What is told of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionEvent {
    /// The connection.
    pub token: u32,
    /// This end of the initial subflow.
    pub local: SocketAddr,
    /// The peer's end of the initial subflow.
    pub remote: SocketAddr,
    /// Our number for the local address.
    pub local_id: Option<u8>,
    /// The peer's number for its address.
    pub remote_id: Option<u8>,
    /// Whether this end accepted the connection; `None` before Linux 5.19, and before Linux 6.18 at the active end.
    pub server_side: Option<bool>,
    /// The peer wants no joins to its initial address (flag C of MP_CAPABLE); `None` where the kernel said no flags.
    pub deny_join_id0: Option<bool>,
    /// Every flag (`MPTCP_PM_EV_FLAG_*`), where the kernel said some. Kernel: v6.18.
    pub flags: Option<u16>,
}

/// What is told of a subflow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubflowEvent {
    /// The connection.
    pub token: u32,
    /// This end of the subflow.
    pub local: SocketAddr,
    /// The peer's end of the subflow.
    pub remote: SocketAddr,
    /// Our number for the local address.
    pub local_id: Option<u8>,
    /// The peer's number for its address.
    pub remote_id: Option<u8>,
    /// The subflow is to be used when nothing else is left.
    pub backup: Option<bool>,
    /// Why it ended, or why it never came to be: an error number such as `ECONNREFUSED`.
    pub error: Option<u8>,
    /// How long the kernel will wait.
    pub timeout: Option<u32>,
    /// The interface it is bound to.
    pub interface: Option<u32>,
    /// Reason in an MP_TCPRST (RFC 8684 §3.6).
    pub reset_reason: Option<u32>,
    /// Flags of an MP_TCPRST.
    pub reset_flags: Option<u32>,
}

/// Attributes as they come, before it is known which of them the event needs.
#[derive(Debug, Default)]
struct Raw {
    token: Option<u32>,
    local: (Option<IpAddr>, Option<u16>),
    remote: (Option<IpAddr>, Option<u16>),
    local_id: Option<u8>,
    remote_id: Option<u8>,
    backup: Option<u8>,
    error: Option<u8>,
    flags: Option<u16>,
    timeout: Option<u32>,
    interface: Option<u32>,
    reset_reason: Option<u32>,
    reset_flags: Option<u32>,
    server_side: Option<u8>,
}

impl Event {
    /// Decodes an event from the number in its generic header and its attributes.
    ///
    /// Errors: [`EventError`] — an attribute that makes the event what it is is missing, or of another width.
    pub fn parse(event: u8, attributes: Attributes<'_>) -> Result<Self, EventError> {
        let raw = Raw::read(attributes);
        let need = |attribute| EventError { event, attribute };
        let token = || raw.token.ok_or_else(|| need("token"));
        let remote_id = || raw.remote_id.ok_or_else(|| need("rem_id"));
        let local = || address(raw.local).ok_or_else(|| need("saddr or sport"));
        let remote = || address(raw.remote).ok_or_else(|| need("daddr or dport"));
        let connection = || Ok(raw.connection(token()?, local()?, remote()?));
        let subflow = || Ok(raw.subflow(token()?, local()?, remote()?));
        Ok(match event {
            kind::CREATED => Self::Created(connection()?),
            kind::ESTABLISHED => Self::Established(connection()?),
            kind::CLOSED => Self::Closed { token: token()? },
            kind::ANNOUNCED => Self::Announced {
                token: token()?,
                remote_id: remote_id()?,
                address: raw.remote.0.ok_or_else(|| need("daddr"))?,
                port: raw.remote.1.filter(|&port| port != 0),
            },
            kind::REMOVED => Self::Removed { token: token()?, remote_id: remote_id()? },
            kind::SUB_ESTABLISHED => Self::SubflowEstablished(subflow()?),
            kind::SUB_CLOSED => Self::SubflowClosed(subflow()?),
            kind::SUB_PRIORITY => Self::SubflowPriority(subflow()?),
            kind::LISTENER_CREATED => Self::ListenerCreated(local()?),
            kind::LISTENER_CLOSED => Self::ListenerClosed(local()?),
            unknown => Self::Unknown(unknown),
        })
    }

    /// The connection the event is about; a listener's events and unknown ones are about none.
    #[must_use]
    pub fn token(&self) -> Option<u32> {
        match self {
            Self::Created(of) | Self::Established(of) => Some(of.token),
            Self::SubflowEstablished(of) | Self::SubflowClosed(of) | Self::SubflowPriority(of) => Some(of.token),
            Self::Closed { token } | Self::Announced { token, .. } | Self::Removed { token, .. } => Some(*token),
            Self::ListenerCreated(_) | Self::ListenerClosed(_) | Self::Unknown(_) => None,
        }
    }
}

impl Raw {
    fn read(attributes: Attributes<'_>) -> Self {
        let mut raw = Self::default();
        for attribute in attributes {
            match attribute.kind {
                attr::TOKEN => raw.token = attribute.u32(),
                attr::LOC_ID => raw.local_id = attribute.u8(),
                attr::REM_ID => raw.remote_id = attribute.u8(),
                attr::SADDR4 | attr::SADDR6 => raw.local.0 = attribute.ip(),
                attr::DADDR4 | attr::DADDR6 => raw.remote.0 = attribute.ip(),
                attr::SPORT => raw.local.1 = attribute.be16(),
                attr::DPORT => raw.remote.1 = attribute.be16(),
                attr::BACKUP => raw.backup = attribute.u8(),
                attr::ERROR => raw.error = attribute.u8(),
                attr::FLAGS => raw.flags = attribute.u16(),
                attr::TIMEOUT => raw.timeout = attribute.u32(),
                attr::IF_IDX => raw.interface = attribute.u32(),
                attr::RESET_REASON => raw.reset_reason = attribute.u32(),
                attr::RESET_FLAGS => raw.reset_flags = attribute.u32(),
                attr::SERVER_SIDE => raw.server_side = attribute.u8(),
                _ => {}
            }
        }
        raw
    }

    fn connection(&self, token: u32, local: SocketAddr, remote: SocketAddr) -> ConnectionEvent {
        let flag = |bit| self.flags.map(|flags| flags & bit != 0);
        ConnectionEvent {
            token,
            local,
            remote,
            local_id: self.local_id,
            remote_id: self.remote_id,
            // The attribute came first; the flag is to replace it.
            server_side: self.server_side.map(|side| side != 0).or_else(|| flag(EV_FLAG_SERVER_SIDE)),
            deny_join_id0: flag(EV_FLAG_DENY_JOIN_ID0),
            flags: self.flags,
        }
    }

    fn subflow(&self, token: u32, local: SocketAddr, remote: SocketAddr) -> SubflowEvent {
        SubflowEvent {
            token,
            local,
            remote,
            local_id: self.local_id,
            remote_id: self.remote_id,
            backup: self.backup.map(|backup| backup != 0),
            error: self.error,
            timeout: self.timeout,
            interface: self.interface,
            reset_reason: self.reset_reason,
            reset_flags: self.reset_flags,
        }
    }
}

fn address((ip, port): (Option<IpAddr>, Option<u16>)) -> Option<SocketAddr> {
    Some(SocketAddr::new(ip?, port?))
}

#[cfg(test)]
mod tests;
