//! What the kernel says of its own connections, in values of this room.
//!
//! What lives here: shapes. What does not: asking the kernel (`kernel`), turning its answers into these (`proxy`). Invariant: what
//! the kernel did not say is `None`, never zero.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::event::maybe_micros;
use crate::id::{AddrId, FourTuple, SubflowKind, Token};
use crate::wire::mptcp::ResetReason;

/// What the kernel says of one connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelConnection {
    /// The token of this end.
    pub token: Token,
    /// It is plain TCP by now.
    pub fallback: Option<bool>,
    /// DSS checksums are in use.
    pub checksum: Option<bool>,
    /// Payload bytes sent.
    pub bytes_sent: Option<u64>,
    /// Payload bytes received.
    pub bytes_received: Option<u64>,
    /// Payload bytes sent again, mostly on another subflow.
    pub bytes_retransmitted: Option<u64>,
    /// Bytes the application gave that the other end has not acknowledged at data level, sent or not.
    pub waiting: Option<u64>,
    /// Its subflows.
    pub subflows: Vec<KernelSubflow>,
}

/// What the kernel says of one subflow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelSubflow {
    /// From this end to the other.
    pub flow: FourTuple,
    /// This end's number for its address.
    pub local_id: Option<AddrId>,
    /// The other end's.
    pub remote_id: Option<AddrId>,
    /// How it began.
    pub kind: Option<SubflowKind>,
    /// It may carry data: not one that is still being opened, nor one that is being closed.
    pub established: bool,
    /// This end asks that it be a backup.
    pub backup_by_local: Option<bool>,
    /// The other end does.
    pub backup_by_remote: Option<bool>,
    /// The smoothed round-trip time.
    ///
    /// Units: µs in JSON.
    #[serde(rename = "rtt_us", with = "maybe_micros")]
    pub rtt: Option<Duration>,
    /// Payload bytes sent, those sent again included.
    pub bytes_sent: Option<u64>,
    /// Payload bytes received.
    pub bytes_received: Option<u64>,
    /// Payload bytes acknowledged.
    pub bytes_acked: Option<u64>,
    /// Payload bytes sent again.
    pub bytes_retransmitted: Option<u64>,
    /// How fast data arrived, as TCP estimates it.
    ///
    /// Units: bytes/s.
    pub delivery_rate: Option<u64>,
    /// The congestion window.
    ///
    /// Units: segments.
    pub congestion_window: Option<u32>,
    /// Bytes given to it that the other end has not acknowledged, sent or not.
    pub queued: Option<u64>,
    /// How long ago it received an acknowledgement, of data or of nothing, when it was looked at.
    #[serde(rename = "heard_us", with = "maybe_micros")]
    pub heard: Option<Duration>,
    /// Retransmission timeouts in a row, right now.
    pub timeouts: Option<u32>,
}

/// Something the kernel's path manager tells.
///
/// Source:  Linux include/uapi/linux/mptcp_pm.h
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "event")]
pub enum KernelEvent {
    /// A connection began.
    Created {
        /// The token of this end.
        token: Token,
        /// Its initial subflow, from this end to the other.
        flow: FourTuple,
    },
    /// It was established.
    Established {
        /// The token of this end.
        token: Token,
        /// Its initial subflow, from this end to the other.
        flow: FourTuple,
    },
    /// A subflow joined.
    SubflowEstablished {
        /// The token of this end.
        token: Token,
        /// The subflow, from this end to the other.
        flow: FourTuple,
        /// This end's number for its address.
        local_id: Option<AddrId>,
        /// The other end's.
        remote_id: Option<AddrId>,
        /// The other end asks that it be a backup.
        backup: Option<bool>,
    },
    /// A subflow is gone, its connection is not.
    SubflowClosed {
        /// The token of this end.
        token: Token,
        /// The subflow, from this end to the other.
        flow: FourTuple,
        /// The error it died of, as its number.
        error: Option<u32>,
        /// What the MP_TCPRST said.
        reason: Option<ResetReason>,
    },
    /// The other end changed the priority of a subflow.
    Priority {
        /// The token of this end.
        token: Token,
        /// The subflow, from this end to the other.
        flow: FourTuple,
        /// That it be a backup, or no longer be one.
        backup: bool,
    },
    /// The other end announced an address.
    Announced {
        /// The token of this end.
        token: Token,
        /// The other end's number for it.
        addr_id: AddrId,
        /// The address.
        address: IpAddr,
        /// The port.
        port: Option<u16>,
    },
    /// The other end withdrew an address.
    Removed {
        /// The token of this end.
        token: Token,
        /// The other end's number for it.
        addr_id: AddrId,
    },
    /// A connection ended, with all its subflows.
    Closed {
        /// The token of this end.
        token: Token,
    },
}

impl KernelConnection {
    /// One of which nothing but its token is known.
    #[must_use]
    pub const fn new(token: Token) -> Self {
        Self {
            token,
            fallback: None,
            checksum: None,
            bytes_sent: None,
            bytes_received: None,
            bytes_retransmitted: None,
            waiting: None,
            subflows: Vec::new(),
        }
    }
}

impl KernelSubflow {
    /// One of which nothing but its addresses and ports is known.
    #[must_use]
    pub const fn new(flow: FourTuple) -> Self {
        Self {
            flow,
            local_id: None,
            remote_id: None,
            kind: None,
            established: false,
            backup_by_local: None,
            backup_by_remote: None,
            rtt: None,
            bytes_sent: None,
            bytes_received: None,
            bytes_acked: None,
            bytes_retransmitted: None,
            delivery_rate: None,
            congestion_window: None,
            queued: None,
            heard: None,
            timeouts: None,
        }
    }
}

impl KernelEvent {
    /// The token of this end.
    #[must_use]
    pub const fn token(&self) -> Token {
        match *self {
            Self::Created { token, .. }
            | Self::Established { token, .. }
            | Self::SubflowEstablished { token, .. }
            | Self::SubflowClosed { token, .. }
            | Self::Priority { token, .. }
            | Self::Announced { token, .. }
            | Self::Removed { token, .. }
            | Self::Closed { token } => token,
        }
    }

    /// The flow it names.
    #[must_use]
    pub const fn flow(&self) -> Option<FourTuple> {
        match *self {
            Self::Created { flow, .. }
            | Self::Established { flow, .. }
            | Self::SubflowEstablished { flow, .. }
            | Self::SubflowClosed { flow, .. }
            | Self::Priority { flow, .. } => Some(flow),
            Self::Announced { .. } | Self::Removed { .. } | Self::Closed { .. } => None,
        }
    }
}
