//! What is known of connections, as values to show, to send and to compare; and the story of one, in plain words.
//!
//! What lives here: the shapes of snapshots and their text. What does not: how they come about (`track`). Called by the tracker,
//! the facts table, the command line and whoever reads JSON. Invariant: no key and no HMAC is ever part of them.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::event::{
    ConnId, ConnectionEnd, End, Ends, FallbackReason, SubflowEnd, SubflowId, SubflowState, Verified, maybe_micros,
    micros,
};
use crate::id::{AddrId, FourTuple, SubflowKind, Token};

mod text;

/// What is known of one connection.
///
/// Units: bytes of payload; times in µs since the Unix epoch in JSON
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionFacts {
    /// Which.
    pub connection: ConnId,
    /// Of MPTCP: 0 or 1.
    pub version: u8,
    /// It was running when the watch began. Which end is the client is a guess then, and other subflows of it may be known as
    /// connections of their own.
    pub late: bool,
    /// DSS checksums are in use.
    pub checksum: bool,
    /// The token of each end, where its key, or a join with it, was seen.
    pub tokens: Ends<Option<Token>>,
    /// Who asks that nobody join the address and port of the initial subflow.
    pub keep_off_initial: Ends<bool>,
    /// When its first SYN was seen.
    #[serde(rename = "started_at_us", with = "maybe_micros")]
    pub started_at: Option<Duration>,
    /// When it was established, or found running.
    #[serde(rename = "established_at_us", with = "micros")]
    pub established_at: Duration,
    /// When the last segment of it was seen.
    #[serde(rename = "last_seen_us", with = "micros")]
    pub last_seen: Duration,
    /// When it ended.
    #[serde(rename = "ended_at_us", with = "maybe_micros")]
    pub ended_at: Option<Duration>,
    /// How it ended.
    pub end: Option<ConnectionEnd>,
    /// Why it is plain TCP, if it is.
    pub fallback: Option<FallbackReason>,
    /// Since when.
    #[serde(rename = "fallback_at_us", with = "maybe_micros")]
    pub fallback_at: Option<Duration>,
    /// What each end sent over all subflows, bytes that TCP sent again not counted.
    pub bytes: Ends<u64>,
    /// What TCP sent again.
    pub retransmitted: Ends<u64>,
    /// What each end sent of which the other has acknowledged the data.
    pub delivered: Ends<Option<u64>>,
    /// What each end mapped again, mostly on another subflow.
    pub data_retransmitted: Ends<u64>,
    /// What each end sent after data that follows it.
    pub data_reordered: Ends<u64>,
    /// Who has sent DATA_FIN.
    pub data_fin: Ends<bool>,
    /// Joins that were refused.
    pub joins_refused: u16,
    /// Forgeries in its name, as far as they were told of.
    pub forged: u8,
    /// Its subflows, in the order they came; of the ended ones perhaps not all.
    pub subflows: Vec<SubflowFacts>,
    /// What the ends announced.
    pub announcements: Vec<AnnouncementFacts>,
}

/// What is known of one subflow.
///
/// Units: bytes of payload; times in µs since the Unix epoch in JSON
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubflowFacts {
    /// Which.
    pub subflow: SubflowId,
    /// Its addresses and ports, from the client to the server, whoever opened it.
    pub flow: FourTuple,
    /// How it began.
    pub kind: SubflowKind,
    /// Who opened it.
    pub opened_by: End,
    /// How far it has come.
    pub state: SubflowState,
    /// Whether both ends proved that they know the keys. Nothing may act upon one that is not `yes`.
    pub verified: Verified,
    /// Each end's number for its address.
    pub addr_ids: Ends<Option<AddrId>>,
    /// Who asks that it be a backup.
    pub backup: Ends<bool>,
    /// What each end sent, bytes that TCP sent again not counted.
    pub bytes: Ends<u64>,
    /// What TCP sent again.
    pub retransmitted: Ends<u64>,
    /// What it carried of data that had been sent before, here or on another subflow.
    pub data_retransmitted: Ends<u64>,
    /// When its SYN was seen.
    #[serde(rename = "syn_at_us", with = "maybe_micros")]
    pub syn_at: Option<Duration>,
    /// When it was established, or found running.
    #[serde(rename = "established_at_us", with = "maybe_micros")]
    pub established_at: Option<Duration>,
    /// From the establishment of the connection to its own.
    #[serde(rename = "join_delay_us", with = "maybe_micros")]
    pub join_delay: Option<Duration>,
    /// When the last segment of it was seen.
    #[serde(rename = "last_seen_us", with = "micros")]
    pub last_seen: Duration,
    /// When it ended.
    #[serde(rename = "ended_at_us", with = "maybe_micros")]
    pub ended_at: Option<Duration>,
    /// How it ended.
    pub end: Option<SubflowEnd>,
}

/// An address one end announced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnnouncementFacts {
    /// Who.
    pub by: End,
    /// Its number for it.
    pub addr_id: AddrId,
    /// The address.
    pub address: IpAddr,
    /// The port; without it that of the subflow it came on.
    pub port: Option<u16>,
    /// Whether it proved that it knows the keys.
    pub verified: Verified,
    /// The other end said that it got it.
    pub echoed: bool,
    /// It was withdrawn since.
    pub withdrawn: bool,
    /// When it was announced.
    #[serde(rename = "at_us", with = "micros")]
    pub at: Duration,
}

/// A flow of plain TCP whose beginning was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlainFacts {
    /// From the client to the server.
    pub flow: FourTuple,
    /// Why it is plain.
    pub reason: FallbackReason,
    /// When it began.
    #[serde(rename = "at_us", with = "micros")]
    pub at: Duration,
    /// What each end sent, bytes that TCP sent again included.
    pub bytes: Ends<u64>,
}

/// The story of one connection. Its Display form is for people and may change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Story(pub ConnectionFacts);

#[cfg(test)]
mod tests;
