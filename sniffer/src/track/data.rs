//! Segments of a subflow: its bytes, and where they stand in the data of the connection.

use super::Tracker;
use super::close::Ending;
use super::connection::Connection;
use super::flow::Options;
use super::subflow::{Mapped, Progress, Subflow};
use crate::event::{End, SubflowState, Verified};
use crate::id::SubflowKind;
use crate::wire::mptcp::{Capable, Dss, DssMap};
use crate::wire::tcp::{Flags, Segment};

/// A mapping with its number widened.
#[derive(Debug, Clone, Copy)]
struct Map {
    dsn: u64,
    ssn: u32,
    len: u16,
    fin: bool,
}

impl Tracker {
    /// A segment of a subflow, of whatever kind but SYN and SYN/ACK.
    pub(super) fn on_subflow(&mut self, slot: u32, segment: &Segment<'_>, options: &Options<'_>) {
        let now = self.now;
        let Some(subflow) = self.subflows.get_mut(slot) else { return };
        let from = subflow.sender(segment);
        if segment.flags.has(Flags::RST) {
            self.on_reset(slot, from, segment, options);
            return;
        }
        let Some(progress) = subflow.on_segment(from, segment) else {
            self.counters.implausible += 1;
            return;
        };
        subflow.last_seen = now;
        let (owner, two_way, forged) = (subflow.connection, subflow.is_two_way(), subflow.verified() == Verified::No);
        let Some(connection) = self.connections.get_mut(owner) else { return };
        // Nothing that somebody without the keys sends is the connection's.
        if !forged {
            connection.bytes[from] += u64::from(progress.new);
            connection.retransmitted[from] += u64::from(progress.again);
            connection.last_seen = now;
            let running = connection.ended.is_none();
            if running {
                self.connections.touch(owner, now);
                if two_way {
                    self.confirm(owner);
                }
                self.take_up(slot, from, segment, options, progress);
            }
        }
        if segment.flags.has(Flags::FIN) {
            self.on_fin(slot, from);
        }
    }

    fn take_up(&mut self, slot: u32, from: End, segment: &Segment<'_>, options: &Options<'_>, progress: Progress) {
        if let Some(join) = options.join {
            self.prove_again(slot, from, join);
        }
        self.establish_joined(slot, from, segment, options);
        if let Some(capable) = options.capable {
            self.on_capable(slot, from, &capable, progress);
        }
        if let Some(dss) = options.dss {
            self.on_dss(slot, from, &dss, progress);
        }
        if options.any {
            self.on_addresses(slot, from, options);
            if options.fail.is_some() {
                self.on_fail(slot);
            }
            if let Some(close) = options.fast_close {
                self.on_fast_close(slot, from, close, Ending::Asked);
            }
        }
        self.look_for_fallback(slot, from, segment, options, progress);
    }

    /// A joined subflow may carry data once its responder has taken the third ACK (RFC 8684 §3.2).
    fn establish_joined(&mut self, slot: u32, from: End, segment: &Segment<'_>, options: &Options<'_>) {
        let Some(subflow) = self.subflows.get_mut(slot) else { return };
        let waits = matches!(subflow.state, SubflowState::SynSeen | SubflowState::SynAckSeen);
        if subflow.kind == SubflowKind::Initial || !waits || subflow.verified() == Verified::No {
            return;
        }
        let carries = options.dss.is_some() || segment.payload_len > 0;
        let acked = from != subflow.opened_by && subflow.halves[subflow.opened_by].ack.is_some();
        if carries || acked {
            subflow.state = SubflowState::Established;
            subflow.established_at = Some(self.now);
            self.say_established(slot);
        }
    }

    /// MP_CAPABLE after the handshake: the third ACK, or the first data in its form.
    fn on_capable(&mut self, slot: u32, from: End, capable: &Capable, progress: Progress) {
        let Some(subflow) = self.subflows.get_mut(slot) else { return };
        let owner = subflow.connection;
        let Some(connection) = self.connections.get_mut(owner) else { return };
        let known = connection.tokens;
        let agrees = capable.sender_key.is_none_or(|key| connection.learn(from, key))
            && capable.receiver_key.is_none_or(|key| connection.learn(from.other(), key));
        if !agrees {
            self.counters.implausible += 1;
            return;
        }
        let first = connection.data[from].idsn.map(|idsn| idsn.wrapping_add(1));
        if let (Some(dsn), Some(len)) = (first, capable.data_len) {
            let map = Map { dsn, ssn: 1, len, fin: false };
            take_map(connection, subflow, from, map, progress);
        }
        if connection.tokens != known {
            self.link_tokens(owner);
        }
    }

    fn on_dss(&mut self, slot: u32, from: End, dss: &Dss, progress: Progress) {
        let Some(subflow) = self.subflows.get_mut(slot) else { return };
        let Some(connection) = self.connections.get_mut(subflow.connection) else { return };
        let mut plausible = true;
        if let Some(ack) = dss.data_ack {
            plausible &= connection.data[from.other()].acknowledge(ack);
        }
        match dss.map {
            Some(map) if map.len == 0 => {
                self.on_infinite_mapping(slot);
            }
            Some(DssMap { dsn, ssn, len, .. }) => {
                let dsn = connection.data[from].widen(dsn);
                let map = Map { dsn, ssn, len, fin: dss.data_fin };
                plausible &= take_map(connection, subflow, from, map, progress);
            }
            None => {}
        }
        if !plausible {
            self.counters.implausible += 1;
        }
    }
}

/// Takes in a mapping. False where its number is far off.
fn take_map(connection: &mut Connection, subflow: &mut Subflow, from: End, map: Map, progress: Progress) -> bool {
    let data = &mut connection.data[from];
    // DATA_FIN takes a number of the data and no byte of the subflow (RFC 8684 §3.3.3).
    let len = map.len.saturating_sub(u16::from(map.fin));
    let mut plausible = true;
    // One mapping comes on every segment it covers, and once more on those that TCP sends again.
    if len > 0 && progress.new > 0 {
        let half = &mut subflow.halves[from];
        let end = match half.base {
            Some(base) => base.wrapping_add(map.ssn).wrapping_add(u32::from(len)),
            // Where the subflow's numbers begin was not seen: it covers what follows by as much as it can.
            None => progress.end.wrapping_add(u32::from(len).saturating_sub(progress.new)),
        };
        let mapped = Mapped { dsn: map.dsn, ssn: map.ssn, len, end };
        let same = (half.mapped.dsn, half.mapped.ssn, half.mapped.len) == (map.dsn, map.ssn, len);
        if !same {
            match data.map(map.dsn, u32::from(len)) {
                Some(again) => {
                    half.reinjected += again;
                    half.mapped = mapped;
                }
                None => plausible = false,
            }
        }
    }
    if map.fin && plausible {
        let number = map.dsn.wrapping_add(u64::from(len));
        plausible = data.can_end(number);
        if plausible {
            data.fin.get_or_insert(number);
        }
    }
    plausible
}
