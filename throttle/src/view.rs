//! What is known when something is decided: connections and their subflows at one moment.
//!
//! What lives here: shapes. What does not: how they come from the witnesses' facts (`proxy`), what follows from them (`policy`, `plan`).
//! Invariant: every flow is told from the server's side to the client's, on an end of the connection and on a router alike.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anabranch_sniffer::event::ConnId;
use anabranch_sniffer::{FourTuple, SubflowKind, Token};
use serde::{Deserialize, Serialize};

/// A connection, for as long as it lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConnectionKey {
    /// It ends here: by this end's token.
    Ours(Token),
    /// It passes: by the number the tracker gave it.
    Passing(ConnId),
}

/// A subflow, for as long as it lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SubflowKey {
    /// Its connection.
    pub connection: ConnectionKey,
    /// From the server's side to the client's.
    pub flow: FourTuple,
}

/// Everything that is known at one moment.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// When.
    ///
    /// Units:  since the Unix epoch
    pub at: Duration,
    /// Every connection that lives, in the order of their keys.
    pub connections: Vec<Connection>,
}

/// One connection.
#[derive(Debug, Clone, PartialEq)]
pub struct Connection {
    /// Which.
    pub key: ConnectionKey,
    /// The listener that accepted it, where a proxy told.
    pub listener: Option<Arc<str>>,
    /// The subscriber its credentials named, where a proxy told.
    pub subscriber: Option<Arc<str>>,
    /// The origin: of the proxied session, or on a router the server itself.
    pub destination: Option<SocketAddr>,
    /// It is plain TCP by now: there is nothing to steer.
    pub fallback: bool,
    /// Bytes towards the client that were given to the connection and are not acknowledged by the client yet. `None`: not known.
    pub waiting: Option<u64>,
    /// Its subflows that live, the initial one first where it lives.
    pub subflows: Vec<Subflow>,
}

/// One subflow.
///
/// Shape:   counters only grow while it lives
/// Units:   bytes of payload
#[derive(Debug, Clone, PartialEq)]
pub struct Subflow {
    /// From the server's side to the client's.
    pub flow: FourTuple,
    /// How it began. `None`: not known, the watch began later.
    pub kind: Option<SubflowKind>,
    /// It may carry data now.
    pub established: bool,
    /// Both ends proved that they know the keys, or the kernel of this machine vouches for it. Nothing acts upon one that is not.
    pub verified: bool,
    /// The interface it uses here.
    pub interface: Option<Arc<str>>,
    /// The client asks that it be a backup: it is never promoted against that.
    pub backup_by_client: bool,
    /// This end asks that it be a backup.
    pub backup_by_us: bool,
    /// The smoothed round-trip time.
    pub rtt: Option<Duration>,
    /// Delivered to the client: acknowledged by it.
    pub download: u64,
    /// Received from the client.
    pub upload: u64,
    /// Sent to the client, what was sent again included.
    pub sent: u64,
    /// Of `sent`, what was sent again.
    pub retransmitted: u64,
    /// Given to the subflow and not acknowledged yet. `None`: not known.
    pub queued: Option<u64>,
    /// How long ago something was heard of its client, an acknowledgement of nothing included. `None`: not known.
    pub heard: Option<Duration>,
    /// Retransmission timeouts in a row right now: above zero, nothing gets through.
    pub timeouts: u32,
}

impl Connection {
    /// Its subflows with their keys.
    pub fn keyed(&self) -> impl Iterator<Item = (SubflowKey, &Subflow)> {
        self.subflows.iter().map(|subflow| (SubflowKey { connection: self.key, flow: subflow.flow }, subflow))
    }
}

impl Subflow {
    /// One that has just begun, with 20 ms from end to end and back: live, verified, and nothing carried yet. For whoever makes up
    /// a connection.
    #[must_use]
    pub const fn just_begun(flow: FourTuple, kind: SubflowKind) -> Self {
        Self {
            flow,
            kind: Some(kind),
            established: true,
            verified: true,
            interface: None,
            backup_by_client: false,
            backup_by_us: false,
            rtt: Some(Duration::from_millis(20)),
            download: 0,
            upload: 0,
            sent: 0,
            retransmitted: 0,
            queued: Some(0),
            heard: Some(Duration::ZERO),
            timeouts: 0,
        }
    }

    /// It carries data as far as anybody can tell.
    #[must_use]
    pub const fn is_live(&self) -> bool {
        self.established && self.timeouts == 0
    }

    /// The client's end.
    #[must_use]
    pub const fn client(&self) -> SocketAddr {
        self.flow.destination()
    }
}

impl fmt::Display for ConnectionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ours(token) => token.fmt(f),
            Self::Passing(number) => write!(f, "#{number}"),
        }
    }
}

impl fmt::Display for SubflowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.connection, self.flow)
    }
}
