//! Flows of plain TCP: remembered cheaply, to say that they are there and why they are plain.

use std::time::Duration;

use super::flow::FlowKey;
use super::{Entry, Tracker};
use crate::event::{End, Ends, FallbackReason, What};
use crate::id::FourTuple;
use crate::wire::tcp::{Flags, Segment};

/// One of them.
#[derive(Debug)]
pub(super) struct Plain {
    /// From the client to the server.
    pub(super) flow: FourTuple,
    pub(super) reason: FallbackReason,
    /// The sequence number of its SYN.
    pub(super) syn: Option<u32>,
    pub(super) at: Duration,
    /// Payload bytes, those sent again included.
    pub(super) bytes: Ends<u64>,
    pub(super) fins: Ends<bool>,
}

impl Tracker {
    /// Remembers a plain flow, of which the oldest makes room.
    pub(super) fn add_plain(&mut self, key: FlowKey, flow: FourTuple, syn: Option<u32>, reason: FallbackReason) {
        if self.plain.len() >= self.limits.plain_flows {
            let Some((oldest, _)) = self.plain.oldest(0) else { return };
            self.remove_plain(oldest);
            self.counters.plain_evicted += 1;
        }
        let plain = Plain { flow, reason, syn, at: self.now, bytes: Ends::default(), fins: Ends::default() };
        if let Some(slot) = self.plain.insert(plain, 0, self.now) {
            self.flows.insert(key, Entry::Plain(slot));
        }
    }

    /// Remembers as plain a flow that asked for more, and says so.
    pub(super) fn fall_to_plain(&mut self, key: FlowKey, flow: FourTuple, syn: Option<u32>, reason: FallbackReason) {
        self.add_plain(key, flow, syn, reason);
        self.emit(What::Fallback { connection: None, flow, reason });
    }

    pub(super) fn on_plain(&mut self, key: FlowKey, slot: u32, segment: &Segment<'_>) {
        let now = self.now;
        let Some(plain) = self.plain.get_mut(slot) else { return };
        let from = if segment.flow == plain.flow { End::Client } else { End::Server };
        plain.bytes[from] += u64::from(segment.payload_len);
        plain.fins[from] |= segment.flags.has(Flags::FIN);
        let over = segment.flags.has(Flags::RST) || (plain.fins.client && plain.fins.server);
        if over {
            self.plain.remove(slot);
            self.flows.remove(&key);
        } else {
            self.plain.touch(slot, now);
        }
    }

    pub(super) fn remove_plain(&mut self, slot: u32) {
        if let Some(plain) = self.plain.remove(slot) {
            self.forget_flow(&plain.flow, Entry::Plain(slot));
        }
    }
}
