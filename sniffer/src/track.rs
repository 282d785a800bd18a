//! The tracker: TCP segments with their MPTCP options in, connections, subflows and events out.
//!
//! What lives here: what is remembered between two segments, and for how long. What does not: decoding (`wire`), what the kernel
//! says (`facts`). Called by the wire witness with every segment it captured. Invariants: no input makes it panic, it holds
//! no more than its [`Limits`] allow, a flow costs one look-up per segment, and nothing that is not answered displaces what
//! is established.
//!
//! Flows are found by a table hashed with SipHash under a random key: whoever chooses addresses and ports cannot choose where they
//! collide. Faster hashers promise that only against who cannot watch. The order of the table is never shown.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use crate::event::{ConnId, Event, What};
use crate::id::Token;
use crate::wire::mptcp::MptcpOption;
use crate::wire::tcp::{Flags, Segment};

use arena::Arena;
use connection::Connection;
pub(crate) use flow::FlowKey;
use flow::Options;
use half_open::HalfOpen;
use outbox::Outbox;
use plain::Plain;
use subflow::Subflow;

mod addresses;
mod arena;
mod bounds;
#[cfg(any(test, feature = "fuzzing"))]
mod check;
mod close;
mod connection;
mod data;
mod fallback;
mod flow;
mod half_open;
mod handshake;
mod holes;
mod join;
mod outbox;
mod plain;
mod running;
mod snapshot;
mod subflow;
mod table;

pub use bounds::{Counters, Held, Limits, Timeouts};

/// Connections, by what is known of them; the tracker's lists, oldest first.
mod list {
    /// Both ends were seen to hear one another.
    pub(super) const CONFIRMED: u8 = 0;
    /// One direction was seen, or the connection was found running: the first to make room.
    pub(super) const UNCONFIRMED: u8 = 1;
    /// No subflow is left.
    pub(super) const WITHOUT_SUBFLOW: u8 = 2;
    /// Ended, remembered for a while.
    pub(super) const CLOSED: u8 = 3;
    /// How many there are.
    pub(super) const COUNT: usize = 4;
}

/// Where a flow is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entry {
    Subflow(u32),
    HalfOpen(u32),
    Plain(u32),
}

/// Connections and subflows, as seen on the wire.
///
/// Shape:   bounded by its [`Limits`]; time never runs backwards within it, whatever the segments say
#[derive(Debug)]
pub struct Tracker {
    limits: Limits,
    timeouts: Timeouts,
    now: Duration,
    flows: HashMap<FlowKey, Entry>,
    connections: Arena<Connection, { list::COUNT }>,
    subflows: Arena<Subflow, 1>,
    half_open: Arena<HalfOpen, 1>,
    plain: Arena<Plain, 1>,
    /// The first holder of each token; the others are chained in the connections.
    tokens: HashMap<Token, u32>,
    by_id: HashMap<ConnId, u32>,
    /// Servers that have answered with MP_CAPABLE.
    servers: HashMap<SocketAddr, ()>,
    next_id: u64,
    outbox: Outbox,
    counters: Counters,
}

impl Default for Tracker {
    fn default() -> Self {
        Self::new(Limits::default(), Timeouts::default())
    }
}

impl Tracker {
    /// A tracker that has seen nothing.
    #[must_use]
    pub fn new(limits: Limits, timeouts: Timeouts) -> Self {
        Self {
            limits,
            timeouts,
            now: Duration::ZERO,
            flows: HashMap::new(),
            connections: Arena::default(),
            subflows: Arena::default(),
            half_open: Arena::default(),
            plain: Arena::default(),
            tokens: HashMap::new(),
            by_id: HashMap::new(),
            servers: HashMap::new(),
            next_id: 0,
            outbox: Outbox::new(limits.events),
            counters: Counters::default(),
        }
    }

    /// Takes in one segment, with the MPTCP options that could be decoded of it.
    ///
    /// Shape:   `now` since the Unix epoch, by the clock of the capture
    pub fn on_segment<'a>(
        &mut self,
        segment: &Segment<'_>,
        options: impl IntoIterator<Item = MptcpOption<'a>>,
        now: Duration,
    ) {
        self.now = self.now.max(now);
        self.counters.segments += 1;
        let options = Options::gather(options);
        let key = FlowKey::of(&segment.flow);
        let entry = self.flows.get(&key).copied();
        let (syn, ack, rst) =
            (segment.flags.has(Flags::SYN), segment.flags.has(Flags::ACK), segment.flags.has(Flags::RST));
        match entry {
            _ if syn && (rst || segment.flags.has(Flags::FIN)) => self.counters.implausible += 1,
            _ if syn && !ack => self.on_syn(key, entry, segment, &options),
            _ if syn => self.on_syn_ack(key, entry, segment, &options),
            Some(Entry::Subflow(slot)) => self.on_subflow(slot, segment, &options),
            Some(Entry::HalfOpen(slot)) if rst => self.on_refusal(slot, segment, &options),
            Some(Entry::HalfOpen(slot)) => self.on_half_open(key, slot, segment, &options),
            Some(Entry::Plain(slot)) => self.on_plain(key, slot, segment),
            None if rst => self.counters.unknown += 1,
            None => self.on_running(segment, &options),
        }
    }

    /// Forgets what has been silent for too long.
    pub fn handle_timeout(&mut self, now: Duration) {
        self.now = self.now.max(now);
        self.expire();
    }

    /// When [`Self::handle_timeout`] has something to do next.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        self.deadlines().min()
    }

    /// The oldest event nobody has taken.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.outbox.pop()
    }

    /// What was seen, refused and let go so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        Counters { events_lost: self.outbox.lost_ever, ..self.counters }
    }

    /// What is held now.
    #[must_use]
    pub fn held(&self) -> Held {
        Held {
            connections: self.connections.len(),
            subflows: self.subflows.len(),
            half_open: self.half_open.len(),
            plain_flows: self.plain.len(),
            events: self.outbox.len(),
        }
    }

    fn emit(&mut self, what: What) {
        self.outbox.push(self.now, what);
    }
}

#[cfg(test)]
pub(crate) mod scene;
#[cfg(test)]
mod tests;
