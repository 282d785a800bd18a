//! Endings: of subflows by FIN and RST, of connections by DATA_FIN, MP_FASTCLOSE, or for want of subflows.

use super::flow::Options;
use super::{Tracker, list};
use crate::event::{ConnectionEnd, End, Forgery, SubflowEnd, SubflowId, SubflowState, Verified, What};
use crate::id::SubflowKind;
use crate::wire::mptcp::FastClose;
use crate::wire::tcp::Segment;

/// How an MP_FASTCLOSE came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// On an ACK: anyone may have put it there, so the key has to be known to be right.
    Asked,
    /// On a RST that is believed.
    Done,
}

impl Tracker {
    pub(super) fn on_fin(&mut self, slot: u32, from: End) {
        let Some(subflow) = self.subflows.get_mut(slot) else { return };
        subflow.halves[from].fin = true;
        if subflow.ended.is_some() {
            return;
        }
        if subflow.halves.client.fin && subflow.halves.server.fin {
            self.end_subflow(slot, SubflowEnd::Finished);
        } else {
            subflow.state = SubflowState::Closing;
        }
    }

    pub(super) fn on_reset(&mut self, slot: u32, from: End, segment: &Segment<'_>, options: &Options<'_>) {
        let now = self.now;
        let Some(subflow) = self.subflows.get_mut(slot) else { return };
        if !subflow.believes_reset(from, segment) {
            self.counters.implausible += 1;
            return;
        }
        subflow.last_seen = now;
        let owner = subflow.connection;
        if subflow.ended.is_some() {
            return;
        }
        let end = SubflowEnd::Reset { by: from, reason: options.reset.map(|reset| reset.reason) };
        if let (Some(_), Some(connection)) = (options.fail, self.connections.get_mut(owner)) {
            connection.failed = true;
        }
        let closes = options.fast_close.is_some_and(|close| self.is_genuine(slot, from, close, Ending::Done));
        self.end_subflow(slot, end);
        if closes {
            self.end_connection(owner, ConnectionEnd::FastClose { by: from });
        }
    }

    pub(super) fn on_fast_close(&mut self, slot: u32, from: End, close: FastClose, ending: Ending) {
        if !self.is_genuine(slot, from, close, ending) {
            return;
        }
        if let Some(owner) = self.subflows.get(slot).map(|subflow| subflow.connection) {
            self.end_connection(owner, ConnectionEnd::FastClose { by: from });
        }
    }

    /// Whether an MP_FASTCLOSE names the key it has to; tells of one that does not.
    fn is_genuine(&mut self, slot: u32, from: End, close: FastClose, ending: Ending) -> bool {
        let Some(subflow) = self.subflows.get(slot) else { return false };
        let (owner, flow) = (subflow.connection, subflow.flow);
        if subflow.verified() == Verified::No {
            return false;
        }
        let Some(connection) = self.connections.get(owner) else { return false };
        match connection.keys[from.other()] {
            Some(key) if key == close.receiver_key => true,
            Some(_) => {
                self.say_forged(owner, flow, from, Forgery::FastClose);
                false
            }
            None => ending == Ending::Done,
        }
    }

    /// A subflow is over; its connection may be, too.
    pub(super) fn end_subflow(&mut self, slot: u32, end: SubflowEnd) {
        let now = self.now;
        let Some(subflow) = self.subflows.get_mut(slot) else { return };
        if subflow.ended.is_some() {
            return;
        }
        let waited = matches!(subflow.state, SubflowState::SynSeen | SubflowState::SynAckSeen);
        let refused = waited && subflow.kind == SubflowKind::Joined && matches!(end, SubflowEnd::Reset { .. });
        subflow.ended = Some((now, end));
        subflow.state = match end {
            SubflowEnd::Reset { .. } => SubflowState::Reset,
            _ => SubflowState::Closed,
        };
        let (owner, number, forged) = (subflow.connection, subflow.number, subflow.verified() == Verified::No);
        if forged {
            return;
        }
        let Some(connection) = self.connections.get_mut(owner) else { return };
        connection.live = connection.live.saturating_sub(1);
        let (id, left) = (connection.id, connection.live);
        if connection.ended.is_some() {
            return;
        }
        let ends = [connection.data.client.fin, connection.data.server.fin];
        let data_over = ends.iter().all(Option::is_some)
            || (end == SubflowEnd::Finished && (connection.fallback.is_some() || ends.iter().any(Option::is_some)));
        if refused {
            self.refuse_joined(slot, end);
        } else {
            self.emit(What::SubflowClosed { subflow: SubflowId { connection: id, number }, end });
        }
        match (left, data_over) {
            (0, true) => self.end_connection(owner, ConnectionEnd::Finished),
            (0, false) => self.connections.shift(owner, list::WITHOUT_SUBFLOW, now),
            _ => {}
        }
    }

    /// A connection is over: it is remembered for a while, and its token is free.
    pub(super) fn end_connection(&mut self, owner: u32, end: ConnectionEnd) {
        let now = self.now;
        let Some(connection) = self.connections.get_mut(owner) else { return };
        if connection.ended.is_some() {
            return;
        }
        connection.ended = Some((now, end));
        let (id, mut next) = (connection.id, connection.first);
        self.unlink_tokens(owner);
        while let Some(subflow) = self.subflows.get_mut(next) {
            next = subflow.next;
            if subflow.ended.is_none() {
                subflow.ended = Some((now, SubflowEnd::WithConnection));
                subflow.state = SubflowState::Closed;
            }
        }
        if let Some(connection) = self.connections.get_mut(owner) {
            connection.live = 0;
        }
        self.connections.shift(owner, list::CLOSED, now);
        self.emit(What::ConnectionClosed { connection: id, end });
    }
}
