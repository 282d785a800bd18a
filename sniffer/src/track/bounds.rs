//! What the tracker may hold and for how long, and the counts of what it had to let go.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What a tracker may hold.
///
/// Shape:   numbers of entries; memory grows with use and stays below what these allow
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections, those that ended and are still remembered included.
    pub connections: usize,
    /// Subflows of all of them.
    pub subflows: usize,
    /// Subflows of one connection, ended ones included.
    pub subflows_per_connection: u16,
    /// Flows that asked for MPTCP and have not finished their handshake.
    pub half_open: usize,
    /// Flows without MPTCP.
    pub plain_flows: usize,
    /// Events not yet taken.
    pub events: usize,
}

/// How long a tracker remembers what it hears nothing of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// A handshake that is not finished.
    pub half_open: Duration,
    /// A connection on which nothing is seen.
    pub idle: Duration,
    /// A connection of which only one direction was ever seen, or that was found running, with nothing seen on it.
    pub unconfirmed: Duration,
    /// A connection without a subflow.
    pub without_subflow: Duration,
    /// A connection that ended.
    pub closed: Duration,
    /// A flow without MPTCP on which nothing is seen.
    pub plain: Duration,
}

/// What a tracker has seen, refused and let go since it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counters {
    /// Segments given to it.
    pub segments: u64,
    /// Those of flows it knows nothing of and cannot learn from.
    pub unknown: u64,
    /// Those that cannot belong where they claim to: sequence numbers far off, keys that contradict earlier ones.
    pub implausible: u64,
    /// SYNs without MP_CAPABLE and MP_JOIN.
    pub plain_syns: u64,
    /// SYNs with one of them.
    pub mptcp_syns: u64,
    /// Joins that were refused.
    pub joins_refused: u64,
    /// Forgeries found, those included that no event was made for.
    pub forged: u64,
    /// Handshakes forgotten to make room for younger ones.
    pub half_open_evicted: u64,
    /// Handshakes nobody answered or finished in time.
    pub half_open_expired: u64,
    /// Connections forgotten to make room for younger ones: such that had ended, or of which one direction was seen.
    pub connections_evicted: u64,
    /// Connections not taken, because there was no room.
    pub connections_refused: u64,
    /// Subflows not taken, because there was no room.
    pub subflows_refused: u64,
    /// Plain flows forgotten to make room for younger ones.
    pub plain_evicted: u64,
    /// Events nobody took in time.
    pub events_lost: u64,
}

/// What a tracker holds now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Held {
    /// Connections, those that ended included.
    pub connections: usize,
    /// Their subflows.
    pub subflows: usize,
    /// Handshakes not finished.
    pub half_open: usize,
    /// Flows without MPTCP.
    pub plain_flows: usize,
    /// Events not taken.
    pub events: usize,
}

impl Default for Limits {
    /// Enough for the edge of a large access network: about 350 MB when all of it is in use, and more for the moment in which a
    /// table grows.
    fn default() -> Self {
        Self {
            connections: 200_000,
            subflows: 400_000,
            subflows_per_connection: 32,
            half_open: 65_536,
            plain_flows: 65_536,
            events: 65_536,
        }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            half_open: Duration::from_secs(10),
            idle: Duration::from_secs(3600),
            unconfirmed: Duration::from_secs(60),
            without_subflow: Duration::from_secs(10),
            closed: Duration::from_secs(60),
            plain: Duration::from_secs(300),
        }
    }
}
