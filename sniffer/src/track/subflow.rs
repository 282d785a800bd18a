//! What is remembered of one subflow, and the TCP side of it: what is new, what comes again, what is acknowledged.

use std::time::Duration;

use super::arena::NONE;
use crate::event::{End, Ends, SubflowEnd, SubflowState, Verified};
use crate::id::{AddrId, FourTuple, SubflowKind};
use crate::wire::tcp::{Flags, Segment};

/// Sequence numbers further apart than this do not belong to one flow: no window is larger (RFC 7323 §2.3).
const NEAR: u32 = 1 << 30;

/// A RST further from the expected number than this is not believed: what is in flight is less, as a rule, and one made blindly hits
/// once in two thousand.
const NEAR_RESET: u32 = 1 << 20;

/// One subflow.
#[derive(Debug)]
pub(super) struct Subflow {
    /// From the client to the server.
    pub(super) flow: FourTuple,
    /// The slot of its connection.
    pub(super) connection: u32,
    /// The next subflow of the connection.
    pub(super) next: u32,
    /// The handshake that takes over its addresses and ports once it is answered.
    pub(super) successor: u32,
    pub(super) number: u16,
    pub(super) kind: SubflowKind,
    pub(super) opened_by: End,
    pub(super) state: SubflowState,
    pub(super) addr_ids: Ends<Option<AddrId>>,
    /// Who asks that it be a backup.
    pub(super) backup: Ends<bool>,
    /// Whether each end proved that it knows the keys.
    pub(super) proofs: Ends<Verified>,
    pub(super) nonces: Ends<Option<u32>>,
    pub(super) halves: Ends<Half>,
    pub(super) syn_at: Option<Duration>,
    pub(super) established_at: Option<Duration>,
    pub(super) last_seen: Duration,
    pub(super) ended: Option<(Duration, SubflowEnd)>,
}

/// What one end sends on a subflow.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Half {
    /// The sequence number that is subflow sequence number 0: of the SYN, and of what follows data on it minus one.
    pub(super) base: Option<u32>,
    /// The number after the highest byte seen.
    pub(super) next: Option<u32>,
    /// The highest acknowledgement it sent.
    pub(super) ack: Option<u32>,
    pub(super) fin: bool,
    /// It sent data or acknowledgements of the connection.
    pub(super) carries: bool,
    /// Segments that ought to have had an MPTCP option and had none.
    pub(super) bare: u8,
    pub(super) mapped: Mapped,
    /// New payload bytes.
    pub(super) bytes: u64,
    /// Payload bytes sent again by TCP.
    pub(super) retransmitted: u64,
    /// Payload bytes mapped to data that had been mapped before, here or elsewhere.
    pub(super) reinjected: u64,
}

/// The last mapping of a half.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Mapped {
    pub(super) dsn: u64,
    pub(super) ssn: u32,
    pub(super) len: u16,
    /// The sequence number after its last byte.
    pub(super) end: u32,
}

/// What one segment adds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Progress {
    /// Payload bytes not seen before.
    pub(super) new: u32,
    /// Payload bytes seen before, or passed over by the capture.
    pub(super) again: u32,
    /// It acknowledges more than was acknowledged before.
    pub(super) acks_more: bool,
    /// The sequence number after its last payload byte.
    pub(super) end: u32,
}

impl Subflow {
    pub(super) fn new(flow: FourTuple, kind: SubflowKind, opened_by: End, now: Duration) -> Self {
        Self {
            flow,
            connection: NONE,
            next: NONE,
            successor: NONE,
            number: 0,
            kind,
            opened_by,
            state: SubflowState::SynSeen,
            addr_ids: Ends::default(),
            backup: Ends::default(),
            proofs: Ends::default(),
            nonces: Ends::default(),
            halves: Ends::default(),
            syn_at: None,
            established_at: None,
            last_seen: now,
            ended: None,
        }
    }

    /// Who sent a segment.
    pub(super) fn sender(&self, segment: &Segment<'_>) -> End {
        if segment.flow == self.flow { End::Client } else { End::Server }
    }

    /// Whether both ends proved that they know the keys.
    pub(super) fn verified(&self) -> Verified {
        self.proofs.client.and(self.proofs.server)
    }

    /// Whether each end was seen to acknowledge what the other sent.
    pub(super) fn is_two_way(&self) -> bool {
        End::BOTH.into_iter().all(|end| {
            let acked = self.halves[end.other()].ack;
            let next = self.halves[end].next;
            matches!((acked, next), (Some(acked), Some(next)) if near(acked, next, NEAR))
        })
    }

    /// Takes in a segment other than a RST. `None` where it cannot be of this flow.
    pub(super) fn on_segment(&mut self, from: End, segment: &Segment<'_>) -> Option<Progress> {
        let fin = segment.flags.has(Flags::FIN);
        let peer_next = self.halves[from.other()].next;
        let half = &mut self.halves[from];
        if half.next.is_some_and(|next| !near(next, segment.seq, NEAR)) {
            return None;
        }
        let acks = segment.flags.has(Flags::ACK).then_some(segment.ack);
        if matches!((acks, peer_next), (Some(ack), Some(next)) if !near(next, ack, NEAR)) {
            return None;
        }
        let acks_more = match (half.ack, acks) {
            (Some(known), Some(ack)) => is_after(ack, known),
            (None, ack) => ack.is_some(),
            (Some(_), None) => false,
        };
        if acks_more {
            half.ack = acks;
        }
        let end = segment.seq.wrapping_add(segment.payload_len);
        let next = half.next.unwrap_or(segment.seq);
        let new = if is_after(end, next) { segment.payload_len.min(end.wrapping_sub(next)) } else { 0 };
        let again = segment.payload_len - new;
        let after = end.wrapping_add(u32::from(fin));
        half.next = Some(if is_after(after, next) { after } else { next });
        half.bytes += u64::from(new);
        half.retransmitted += u64::from(again);
        Some(Progress { new, again, acks_more, end })
    }

    /// Whether a RST can be of this flow.
    pub(super) fn believes_reset(&self, from: End, segment: &Segment<'_>) -> bool {
        match (self.halves[from].next, self.halves[from.other()].next) {
            (Some(next), _) => near(next, segment.seq, NEAR_RESET),
            (None, Some(peer_next)) if segment.flags.has(Flags::ACK) => near(peer_next, segment.ack, NEAR_RESET),
            _ => true,
        }
    }
}

impl Half {
    /// What a SYN or SYN/ACK says of its sender.
    pub(super) fn after_syn(seq: u32, payload_len: u32) -> Self {
        // Data on the SYN is outside of the data sequence: what follows it is subflow sequence number 1 (RFC 8684 App. B).
        let base = seq.wrapping_add(payload_len);
        Self { base: Some(base), next: Some(base.wrapping_add(1)), bytes: u64::from(payload_len), ..Self::default() }
    }

    /// Whether the last mapping covers a segment that ends before this sequence number.
    pub(super) fn is_mapped(&self, end: u32) -> bool {
        self.mapped.len > 0 && !is_after(end, self.mapped.end)
    }
}

pub(super) const fn is_after(one: u32, other: u32) -> bool {
    one.wrapping_sub(other).cast_signed() > 0
}

pub(super) const fn near(one: u32, other: u32, within: u32) -> bool {
    one.wrapping_sub(other).cast_signed().unsigned_abs() <= within
}
