//! What the edge says of a connection that asks for it, so that the client can hold it against what it sees itself.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// Where every HTTP listener answers with an [`EdgeView`].
pub const PATH: &str = "/.well-known/anabranch/doctor";

/// The most bytes that may be asked for (`?bytes=N`).
///
/// Units:  bytes
pub const MOST_BYTES: u64 = 8_000_000;

/// A connection as the edge sees it: the first line of its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgeView {
    /// The edge's version.
    pub version: String,
    /// The listener that accepted.
    pub listener: String,
    /// Whom the edge takes the client for: another address than the client's own tells of a translation on the way.
    pub client: SocketAddr,
    /// The edge's own address.
    pub edge: SocketAddr,
    /// Over MPTCP now.
    pub mptcp: bool,
    /// Why not: the words of the access log (`no-mptcp-on-syn`, `lost-after-syn` …).
    pub fallback: Option<String>,
    /// The edge's token of the connection, in hexadecimal.
    pub token: Option<String>,
    /// Its subflows; none over plain TCP.
    pub subflows: Vec<EdgeSubflow>,
    /// Subflows beside the first that the edge's kernel allows, where its limits decide.
    pub subflow_limit: Option<u32>,
    /// Who manages paths there: `kernel` or `userspace`.
    pub path_manager: Option<String>,
}

/// A subflow as the edge sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgeSubflow {
    /// The edge's end.
    pub edge: SocketAddr,
    /// The client's end.
    pub client: SocketAddr,
    /// Both ends may send on it.
    pub established: bool,
    /// The edge has asked for it to be used only when nothing else is left; `None` where the kernel does not tell.
    pub backup: Option<bool>,
    /// Round trip.
    ///
    /// Units:  µs
    pub rtt_us: u64,
    /// The largest segment towards the client.
    ///
    /// Units:  bytes
    pub mss: u32,
    /// Segments sent again.
    pub retransmitted: u32,
}
