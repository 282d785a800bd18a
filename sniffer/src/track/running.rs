//! New connections: those whose handshake is through, and those found running.

use std::time::Duration;

use super::flow::Options;
use super::half_open::{AsksCapable, CHECKSUM, KEEP_OFF};
use super::subflow::{Half, Subflow};
use super::{Tracker, list};
use crate::event::{End, Ends, SubflowState, Verified, What};
use crate::id::{AddrId, FourTuple, SubflowKind};
use crate::wire::tcp::Segment;

/// What a new connection starts from.
pub(super) struct Start {
    pub(super) flow: FourTuple,
    pub(super) asks: AsksCapable,
    pub(super) proof: Verified,
    pub(super) late: bool,
    pub(super) halves: Ends<Half>,
}

impl Tracker {
    /// A segment of a flow nothing is known of: it was running when the watch began.
    pub(super) fn on_running(&mut self, segment: &Segment<'_>, options: &Options<'_>) {
        let mut asks = AsksCapable { version: 1, ..AsksCapable::default() };
        let by_client = match (options.capable, options.dss) {
            (Some(capable), _) if capable.receiver_key.is_some() => {
                asks.version = capable.version;
                asks.flags.client = capable.flags;
                asks.keys = Ends { client: capable.sender_key, server: capable.receiver_key };
                true
            }
            // Who opened it was not seen. Servers have the lower port, as a rule.
            (_, Some(_)) => segment.flow.source().port() >= segment.flow.destination().port(),
            _ => {
                self.counters.unknown += 1;
                return;
            }
        };
        let flow = if by_client { segment.flow } else { segment.flow.reversed() };
        let start = Start { flow, asks, proof: Verified::Unknown, late: true, halves: Ends::default() };
        if let Some((_, subflow)) = self.add_running(&start, None) {
            self.on_subflow(subflow, segment, options);
        }
    }

    /// A new connection with the subflow it was seen on: their slots.
    pub(super) fn add_running(&mut self, start: &Start, syn_at: Option<Duration>) -> Option<(u32, u32)> {
        let asks = start.asks;
        let slot = self.add_connection(asks.version)?;
        let mut subflow = Subflow::new(start.flow, SubflowKind::Initial, End::Client, self.now);
        subflow.halves = start.halves;
        subflow.proofs = Ends { client: start.proof, server: start.proof };
        subflow.state = SubflowState::Established;
        subflow.syn_at = syn_at;
        subflow.established_at = Some(self.now);
        if !start.late {
            subflow.addr_ids = Ends { client: Some(AddrId::INITIAL), server: Some(AddrId::INITIAL) };
        }
        let connection = self.connections.get_mut(slot)?;
        connection.late = start.late;
        connection.started_at = syn_at;
        connection.checksum = (asks.flags.client | asks.flags.server) & CHECKSUM != 0;
        for end in End::BOTH {
            connection.keep_off[end] = asks.version > 0 && asks.flags[end] & KEEP_OFF != 0;
            connection.bytes[end] = start.halves[end].bytes;
            if let Some(key) = asks.keys[end] {
                connection.learn(end, key);
            }
        }
        let (id, tokens) = (connection.id, connection.tokens);
        let Some(first) = self.add_subflow(slot, subflow) else {
            self.remove_connection(slot);
            return None;
        };
        self.link_tokens(slot);
        self.emit(What::ConnectionEstablished { connection: id, flow: start.flow, tokens, late: start.late });
        self.say_established(first);
        Some((slot, first))
    }

    /// Both ends were seen to hear one another: the connection no longer makes room for others.
    pub(super) fn confirm(&mut self, connection: u32) {
        if self.connections.list(connection) == Some(list::UNCONFIRMED) {
            self.connections.shift(connection, list::CONFIRMED, self.now);
        }
    }
}
