//! Connections that become plain TCP: said by an end, or seen by what is missing.

use super::Tracker;
use super::flow::Options;
use super::subflow::{Half, Progress};
use crate::event::{End, Ends, FallbackReason, What};
use crate::wire::tcp::Segment;

/// Segments without MPTCP that say together that it is lost, of a connection on which one direction never had any: one may be
/// a stray of the TCP below.
const EVIDENCE: u8 = 2;
/// Of one direction that had: where mappings are long, a capture may have missed the segment that had the option.
const EVIDENCE_LATER: u8 = 4;

impl Tracker {
    /// Looks whether MPTCP is lost: data that is not mapped, acknowledgements of data that are none of the connection's.
    pub(super) fn look_for_fallback(
        &mut self,
        slot: u32,
        from: End,
        segment: &Segment<'_>,
        options: &Options<'_>,
        progress: Progress,
    ) {
        let Some(subflow) = self.subflows.get_mut(slot) else { return };
        let owner = subflow.connection;
        let Some(connection) = self.connections.get(owner) else { return };
        // On one of several subflows this ends the subflow, and its RST says so (RFC 8684 §3.7).
        if connection.fallback.is_some() || connection.live != 1 {
            return;
        }
        let peer_base = subflow.halves[from.other()].base;
        let half = &mut subflow.halves[from];
        if options.any {
            // The third ACK says that the handshake came through, not that what follows does.
            half.carries |= options.dss.is_some() || options.capable.is_some_and(|capable| capable.data_len.is_some());
            half.bare = 0;
            return;
        }
        let unmapped = progress.new > 0 && !half.is_mapped(progress.end);
        // Past the SYN, that is: of data.
        let acks_data = progress.acks_more && peer_base.is_some_and(|base| segment.ack != base.wrapping_add(1));
        if !unmapped && (half.carries || !acks_data) {
            return;
        }
        half.bare = half.bare.saturating_add(1);
        if let Some(reason) = conclude(&subflow.halves) {
            self.fall_back(owner, reason);
        }
    }

    pub(super) fn on_fail(&mut self, slot: u32) {
        let Some(owner) = self.subflows.get(slot).map(|subflow| subflow.connection) else { return };
        let Some(connection) = self.connections.get_mut(owner) else { return };
        connection.failed = true;
        if connection.live == 1 {
            self.fall_back(owner, FallbackReason::Checksum);
        }
    }

    pub(super) fn on_infinite_mapping(&mut self, slot: u32) {
        let Some(owner) = self.subflows.get(slot).map(|subflow| subflow.connection) else { return };
        let Some(connection) = self.connections.get(owner) else { return };
        let reason = if connection.failed { FallbackReason::Checksum } else { FallbackReason::InfiniteMapping };
        self.fall_back(owner, reason);
    }

    /// A fallback is final (RFC 8684 §3.7), and the first reason is the cause.
    pub(super) fn fall_back(&mut self, owner: u32, reason: FallbackReason) {
        let now = self.now;
        let Some(connection) = self.connections.get_mut(owner) else { return };
        if connection.fallback.is_some() {
            return;
        }
        connection.fallback = Some((now, reason));
        let id = connection.id;
        let Some(connection) = self.connections.get(owner) else { return };
        let alive = self.subflows_of(connection).find(|(_, subflow)| subflow.ended.is_none());
        let Some(flow) = alive.map(|(_, subflow)| subflow.flow) else { return };
        self.emit(What::Fallback { connection: Some(id), flow, reason });
    }
}

/// What the segments without MPTCP of both directions say.
fn conclude(halves: &Ends<Half>) -> Option<FallbackReason> {
    let (client, server) = (halves.client, halves.server);
    let lost = |half: Half| half.carries && half.bare >= EVIDENCE_LATER;
    if lost(client) || lost(server) {
        return Some(match (lost(client), server.bare > 0, client.bare > 0) {
            (true, true, _) | (false, _, true) => FallbackReason::LostAfterSyn,
            (true, false, _) => FallbackReason::LostTowardsServer,
            (false, _, false) => FallbackReason::LostTowardsClient,
        });
    }
    let never = |half: Half| if half.carries { 0 } else { half.bare };
    if never(client).saturating_add(never(server)) < EVIDENCE {
        return None;
    }
    Some(match (never(client) > 0, never(server) > 0) {
        (true, true) => FallbackReason::LostAfterSyn,
        (true, false) => FallbackReason::LostTowardsServer,
        (false, _) => FallbackReason::LostTowardsClient,
    })
}
