//! What was done to connections as a whole, and whether holding one of its subflows is allowed.

use std::time::Duration;

use anabranch_sniffer::FourTuple;

use super::goal::Goal;
use super::order::Ordered;
use super::{FROM_ACCEPT, Planner};
use crate::intent::Decisions;
use crate::op::Op;
use crate::view::{self, ConnectionKey, SubflowKey, View};

/// Nobody is put on a subflow that has lived for less, unless the connection is as new: it is still finding its rate, and what it
/// loses by sending too much at first takes it that long to make good.
const PROVEN: Duration = Duration::from_secs(1);

/// The least a connection may be bound to, and the most.
const SMALL: u32 = 4 * 1024;
const LARGE: u32 = 16 * 1024;

/// So long after a connection was first seen, what joins its first data has joined.
const SETTLED: Duration = Duration::from_millis(500);

/// One connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) seen: Duration,
    /// When it moved something last, and what it had moved by then.
    pub(super) moved: Duration,
    counted: u64,
    /// What it holds unsent at most.
    pub(super) bound: Option<u32>,
    /// It was bound when it was accepted, as far as can be told, and nobody has said anything else yet.
    from_accept: bool,
    /// Since when each of its subflows has lived.
    lives: Vec<(FourTuple, Duration)>,
    /// Since when nothing has got through one of its subflows.
    pub(super) dead: Option<Duration>,
    /// Its subflows' priorities cannot be changed: it began under another path manager.
    pub(super) cannot_demote: Option<String>,
}

impl Connection {
    /// One that is seen for the first time; `accepted` is what those to come are bound to.
    const fn new(now: Duration, accepted: Option<u32>) -> Self {
        Self {
            seen: now,
            moved: Duration::ZERO,
            counted: 0,
            bound: accepted,
            from_accept: accepted.is_some(),
            lives: Vec::new(),
            dead: None,
            cannot_demote: None,
        }
    }

    /// Takes in what its subflows have moved; the counts of those that are gone go with them.
    pub(super) const fn look(&mut self, count: u64, now: Duration) {
        if count != self.counted {
            (self.counted, self.moved) = (count, now);
        }
    }

    /// Its bound has been set.
    pub(super) const fn is_bound(&mut self, bytes: Option<u32>) {
        (self.bound, self.from_accept) = (bytes, false);
    }

    /// Takes in which of its subflows live.
    pub(super) fn live(&mut self, flows: impl Iterator<Item = FourTuple>, now: Duration) {
        let known = std::mem::take(&mut self.lives);
        let since = |flow| known.iter().find(|(one, _)| *one == flow).map_or(now, |(_, since)| *since);
        self.lives = flows.map(|flow| (flow, since(flow))).collect();
    }

    /// Whether its subflows may be held under `steer`, where these live and are left to it.
    pub(super) fn may_be_held(&self, free: &[FourTuple], now: Duration) -> bool {
        let since = self.lives.iter().filter(|(flow, _)| free.contains(flow)).map(|(_, since)| *since).min();
        since.is_some_and(|since| since.saturating_sub(self.seen) < SETTLED || now.saturating_sub(since) >= PROVEN)
    }
}

impl Planner {
    /// Bounds on unsent data.
    pub(super) fn connections(&mut self, view: &View, decisions: &Decisions, ops: &mut Ordered) {
        let may = self.abilities.proxy;
        let from_accept = (may && self.abilities.cap && decisions.bound_from_accept).then_some(FROM_ACCEPT);
        if may && self.from_accept != from_accept {
            ops.push(Op::BoundFromAccept { bytes: from_accept });
        }
        for connection in &view.connections {
            let ConnectionKey::Ours(_) = connection.key else { continue };
            let wanted = self.bound_of(connection);
            let (now, leaving) = (self.now, self.leaving);
            let known = self.connection(connection.key);
            let settled = known.seen + SETTLED;
            if known.from_accept && wanted.is_none() && now < settled && !leaving {
                // Perhaps something joins that is to be held.
                self.due(settled);
            } else if may && (known.bound != wanted || known.from_accept) {
                ops.push(Op::BoundUnsent { connection: connection.key, bytes: wanted });
            }
        }
    }

    /// What is known of a connection.
    pub(super) fn connection(&mut self, key: ConnectionKey) -> &mut Connection {
        let accepted = self.from_accept.filter(|_| matches!(key, ConnectionKey::Ours(_)));
        let now = self.now;
        self.connections.entry(key).or_insert_with(|| Connection::new(now, accepted))
    }

    /// What a connection may hold unsent while subflows of it are held to a rate: enough to keep the others busy for a moment of
    /// the slow one's round trip, and not so much that they wait for it.
    ///
    /// Source:  measured: 4 KiB is best near 0 ms, 8 KiB serves both, 16 KiB is best at 40 ms
    fn bound_of(&self, connection: &view::Connection) -> Option<u32> {
        let held = connection.keyed().filter(|(key, _)| self.is_held_to_a_rate(*key));
        let slowest = held.map(|(_, subflow)| subflow.rtt.unwrap_or_default()).max()?;
        let bound = self.connections.get(&connection.key).and_then(|known| known.bound);
        // Where it was before it stays a little longer: round-trip times rise and fall with what waits on the way.
        Some(match (slowest.as_millis(), bound) {
            (0..5, _) | (5..10, Some(SMALL)) => SMALL,
            (30.., _) | (15..30, Some(LARGE)) => LARGE,
            _ => 8 * 1024,
        })
    }

    fn is_held_to_a_rate(&self, key: SubflowKey) -> bool {
        self.subflows.get(&key).is_some_and(|subflow| match &subflow.goal {
            Goal::Rate { download, .. } => download.is_some(),
            Goal::Backup => subflow.paced.is_some(),
            Goal::Free | Goal::Closed => false,
        })
    }
}
