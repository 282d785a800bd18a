//! What happens to connections and subflows, as values: the words of facts, events and stories.
//!
//! What lives here: identities the tracker gives, events, and the words they use. What does not: snapshots (`story`), how an
//! event comes about (`track`). Called by the tracker, the facts table, and whoever reads JSON. Invariant: no key and no
//! HMAC is ever part of an event, and a word once printed keeps its meaning.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::{AddrId, FourTuple, SubflowKind, Token};
use crate::wire::mptcp::ResetReason;

mod text;
mod words;

/// A connection, for as long as the tracker runs: counted up, never given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ConnId(pub u64);

/// A subflow of a connection: counted up within it, never given twice.
///
/// Shape:   number 0 is the first the tracker saw, which is the initial one unless the connection was found running
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SubflowId {
    /// Its connection.
    pub connection: ConnId,
    /// Which of its subflows.
    pub number: u16,
}

/// One of the two ends of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// The end that opened the connection.
    Client,
    /// The end that was connected to.
    Server,
}

/// One value for each end: of bytes and acknowledgements, what that end sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Ends<T> {
    /// That of the client.
    pub client: T,
    /// That of the server.
    pub server: T,
}

/// Whether a proof of knowing the keys was checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verified {
    /// It was, and is right.
    Yes,
    /// It was, and is wrong: somebody without the keys sent it.
    No,
    /// The keys, or the proof, were not seen.
    #[default]
    Unknown,
}

/// Why a flow is, or became, plain TCP.
///
/// Shape:   the words of the proxy's log, where both can see the same
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FallbackReason {
    /// No MP_CAPABLE on the SYN: a plain client, or one that gave up on MPTCP, or the option was stripped before us.
    NoMptcpOnSyn,
    /// MP_CAPABLE on the SYN, none on the SYN/ACK: a plain server, or an option stripped behind us.
    NoMptcpOnSynAck,
    /// The same, of a server that has answered others with MP_CAPABLE: the option was stripped.
    StrippedOnSyn,
    /// The handshake began with MP_CAPABLE, and what came next had no MPTCP either way, or not on the third ACK.
    LostAfterSyn,
    /// What the client sends still carries MPTCP, what the server sends no longer does.
    LostTowardsClient,
    /// What the server sends still carries MPTCP, or is not known to have lost it; what the client sends no longer does.
    LostTowardsServer,
    /// An end said with MP_FAIL that a checksum failed: something rewrites the payload.
    Checksum,
    /// An end mapped all that follows at once, and what made it do so was not seen.
    InfiniteMapping,
}

/// How far a subflow has come.
///
/// ```text
/// syn-seen ► syn-ack-seen ► established ► closing ► closed
///     └────────────┴──────────────┴──────────┴────► reset
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SubflowState {
    /// Only what its opener sends was seen.
    SynSeen,
    /// Its SYN was answered; a joined one waits for the peer to take the third ACK.
    SynAckSeen,
    /// It may carry data.
    Established,
    /// One end has sent its FIN.
    Closing,
    /// Both ends have.
    Closed,
    /// One end has sent a RST.
    Reset,
}

/// How a subflow ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "how")]
pub enum SubflowEnd {
    /// FIN both ways.
    Finished,
    /// RST.
    Reset {
        /// Who sent it.
        by: End,
        /// What its MP_TCPRST says, if it had one.
        reason: Option<ResetReason>,
    },
    /// Its addresses and ports were taken for a new flow.
    Replaced,
    /// Its connection ended, and it with it.
    WithConnection,
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "how")]
pub enum ConnectionEnd {
    /// DATA_FIN both ways; after a fallback, FIN both ways.
    Finished,
    /// MP_FASTCLOSE.
    FastClose {
        /// Who sent it.
        by: End,
    },
    /// Its last subflow ended, and none joined in time.
    NoSubflowLeft,
    /// Nothing was seen of it for too long.
    Idle,
    /// It had to make room.
    Evicted,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When, since the Unix epoch, by the clock of the capture.
    ///
    /// Units: µs in JSON.
    #[serde(rename = "at_us", with = "micros")]
    pub at: Duration,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "event")]
pub enum What {
    /// A connection was established, or found running.
    ConnectionEstablished {
        /// Which.
        connection: ConnId,
        /// Its initial subflow, from the client to the server.
        flow: FourTuple,
        /// Its tokens, where keys were seen.
        tokens: Ends<Option<Token>>,
        /// It was running before the watch began: its keys are not known, nor are other subflows of it known for its.
        late: bool,
    },
    /// A connection, or a flow that asked to be one, is plain TCP from here on.
    Fallback {
        /// Which; `None` for a flow that never became one.
        connection: Option<ConnId>,
        /// The flow, from the client to the server.
        flow: FourTuple,
        /// Why.
        reason: FallbackReason,
    },
    /// A connection ended.
    ConnectionClosed {
        /// Which.
        connection: ConnId,
        /// How.
        #[serde(flatten)]
        end: ConnectionEnd,
    },
    /// A subflow may carry data.
    SubflowEstablished {
        /// Which.
        subflow: SubflowId,
        /// Its addresses and ports, from the client to the server.
        flow: FourTuple,
        /// How it began.
        kind: SubflowKind,
        /// Who opened it.
        opened_by: End,
        /// Its address identifiers, where known.
        addr_ids: Ends<Option<AddrId>>,
        /// Who asks that it be a backup.
        backup: Ends<bool>,
        /// Whether both ends proved that they know the keys. Nothing may act upon one that is not `yes`.
        verified: Verified,
        /// From the establishment of the connection on.
        ///
        /// Units: µs in JSON.
        #[serde(rename = "join_delay_us", with = "micros")]
        join_delay: Duration,
    },
    /// A subflow ended, its connection goes on.
    SubflowClosed {
        /// Which.
        subflow: SubflowId,
        /// How.
        #[serde(flatten)]
        end: SubflowEnd,
    },
    /// A subflow that asked to join was refused.
    JoinRefused {
        /// By which connection; `None` where the token is nobody's, or that of several.
        connection: Option<ConnId>,
        /// The flow, from the one who asked.
        flow: FourTuple,
        /// What the MP_TCPRST says, if there was one.
        reason: Option<ResetReason>,
    },
    /// An end changed the priority of a subflow.
    Priority {
        /// Of which.
        subflow: SubflowId,
        /// Who asks.
        by: End,
        /// That it be a backup, or no longer be one.
        backup: bool,
    },
    /// An end announced an address.
    Announced {
        /// Of which connection.
        connection: ConnId,
        /// Who.
        by: End,
        /// Its number for it.
        addr_id: AddrId,
        /// The address.
        address: IpAddr,
        /// The port; without it that of the subflow it came on.
        port: Option<u16>,
        /// Whether it proved that it knows the keys.
        verified: Verified,
    },
    /// An end said that it got an announcement.
    Echoed {
        /// Of which connection.
        connection: ConnId,
        /// Who said so.
        by: End,
        /// The other end's number for the address.
        addr_id: AddrId,
    },
    /// An end withdrew an address.
    Withdrawn {
        /// Of which connection.
        connection: ConnId,
        /// Who.
        by: End,
        /// Its number for it.
        addr_id: AddrId,
    },
    /// Something that only who knows the keys can make was made by somebody who does not.
    Forged {
        /// Of which connection.
        connection: ConnId,
        /// The flow it came on, from the client to the server.
        flow: FourTuple,
        /// In whose name.
        by: End,
        /// What.
        what: Forgery,
    },
    /// The reader was slower than the wire.
    Lost {
        /// How many events it missed here.
        count: u64,
    },
}

/// What was forged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Forgery {
    /// An MP_JOIN with a wrong HMAC.
    Join,
    /// An ADD_ADDR with a wrong HMAC.
    AddAddr,
    /// An MP_FASTCLOSE with a wrong key.
    FastClose,
}

impl fmt::Display for ConnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for SubflowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.connection, self.number)
    }
}

/// Durations as whole microseconds: what every reader of JSON holds exactly until the year 2255.
pub(crate) mod micros {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        u64::deserialize(from).map(Duration::from_micros)
    }
}

/// The same, of what may not have happened yet.
pub(crate) mod maybe_micros {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    #[allow(clippy::ref_option, reason = "the signature serde asks for")]
    pub(crate) fn serialize<S: Serializer>(duration: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
        match duration {
            Some(duration) => super::micros::serialize(duration, to),
            None => to.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<u64>::deserialize(from)?.map(Duration::from_micros))
    }
}

#[cfg(test)]
mod tests;
