//! The first three segments of a flow.

use super::arena::NONE;
use super::flow::{FlowKey, Options};
use super::half_open::{Asks, AsksCapable, CHECKSUM, HalfOpen, Syn};
use super::running::Start;
use super::{Entry, Tracker};
use crate::event::{End, Ends, FallbackReason, SubflowEnd, Verified};
use crate::wire::mptcp::Join;
use crate::wire::tcp::Segment;

/// Servers remembered as speaking MPTCP; who comes later gets the benefit of the doubt.
const SERVERS: usize = 4096;

impl Tracker {
    pub(super) fn on_syn(&mut self, key: FlowKey, entry: Option<Entry>, segment: &Segment<'_>, options: &Options<'_>) {
        let asks = Asks::of_syn(options);
        match asks {
            Asks::Plain => self.counters.plain_syns += 1,
            _ => self.counters.mptcp_syns += 1,
        }
        let half = HalfOpen {
            flow: segment.flow,
            asks,
            syn: Some(Syn::of(segment)),
            syn_ack: None,
            gave_up: false,
            at: self.now,
        };
        match entry {
            Some(Entry::HalfOpen(slot)) => {
                let Some(known) = self.half_open.get_mut(slot) else { return };
                let again = known.flow == half.flow && known.syn.is_some_and(|syn| syn.seq == segment.seq);
                match (again, asks) {
                    (true, Asks::Plain) => known.gave_up = true,
                    (true, _) => {}
                    (false, _) => *known = half,
                }
            }
            Some(Entry::Plain(slot)) => {
                if self.plain.get(slot).is_none_or(|plain| plain.syn != Some(segment.seq)) {
                    self.remove_plain(slot);
                    self.begin(key, half);
                }
            }
            Some(Entry::Subflow(slot)) => self.on_syn_of_subflow(key, slot, half),
            None => self.begin(key, half),
        }
    }

    /// Remembers what a SYN asks for, on addresses and ports that are free.
    fn begin(&mut self, key: FlowKey, half: HalfOpen) {
        if matches!(half.asks, Asks::Plain) {
            let seq = half.syn.map(|syn| syn.seq);
            self.add_plain(key, half.flow, seq, FallbackReason::NoMptcpOnSyn);
        } else if let Some(slot) = self.add_half_open(half) {
            self.flows.insert(key, Entry::HalfOpen(slot));
        }
    }

    /// A SYN on the addresses and ports of a subflow: the same again, or a new flow. Anyone can send one, so a subflow that
    /// is alive gives way only once the SYN is answered.
    fn on_syn_of_subflow(&mut self, key: FlowKey, slot: u32, half: HalfOpen) {
        let Some(subflow) = self.subflows.get(slot) else { return };
        let opener = if half.flow == subflow.flow { End::Client } else { End::Server };
        let base = subflow.halves[opener].base;
        let again = half.syn.is_some_and(|syn| base == Some(syn.seq.wrapping_add(syn.payload_len)));
        if again && opener == subflow.opened_by {
            return;
        }
        if subflow.ended.is_some() || !subflow.is_two_way() {
            self.end_subflow(slot, SubflowEnd::Replaced);
            self.flows.remove(&key);
            self.begin(key, half);
            return;
        }
        let waiting = subflow.successor;
        if self.half_open.get(waiting).is_some_and(|known| FlowKey::of(&known.flow) == key) {
            if let Some(known) = self.half_open.get_mut(waiting) {
                *known = half;
            }
        } else {
            let successor = self.add_half_open(half).unwrap_or(NONE);
            if let Some(subflow) = self.subflows.get_mut(slot) {
                subflow.successor = successor;
            }
        }
    }

    pub(super) fn on_syn_ack(
        &mut self,
        key: FlowKey,
        entry: Option<Entry>,
        segment: &Segment<'_>,
        options: &Options<'_>,
    ) {
        match entry {
            Some(Entry::HalfOpen(slot)) => self.answer(slot, segment, options),
            Some(Entry::Subflow(slot)) => {
                let Some(successor) = self.subflows.get(slot).map(|subflow| subflow.successor) else { return };
                let answers = |half: &HalfOpen| FlowKey::of(&half.flow) == key && half.is_answered_by(segment);
                if self.half_open.get(successor).is_some_and(answers) {
                    self.end_subflow(slot, SubflowEnd::Replaced);
                    self.flows.insert(key, Entry::HalfOpen(successor));
                    self.answer(successor, segment, options);
                }
            }
            Some(Entry::Plain(_)) => {}
            // The SYN was missed, or goes another way.
            None => match Asks::of_syn_ack(options) {
                Some(asks) => {
                    let half = HalfOpen {
                        flow: segment.flow.reversed(),
                        asks,
                        syn: None,
                        syn_ack: Some(Syn::of(segment)),
                        gave_up: false,
                        at: self.now,
                    };
                    self.begin(key, half);
                }
                None => self.counters.unknown += 1,
            },
        }
    }

    fn answer(&mut self, slot: u32, segment: &Segment<'_>, options: &Options<'_>) {
        let Some(half) = self.half_open.get_mut(slot) else { return };
        if !half.is_answered_by(segment) {
            self.counters.implausible += 1;
            return;
        }
        // Data on the SYN that is not acknowledged is sent again, after it.
        if let Some(syn) = &mut half.syn {
            syn.payload_len = segment.ack.wrapping_sub(syn.seq).wrapping_sub(1);
        }
        half.syn_ack = Some(Syn::of(segment));
        half.asks.answer(options);
    }

    /// A segment after SYN and SYN/ACK, or after the one of them that was seen.
    pub(super) fn on_half_open(&mut self, key: FlowKey, slot: u32, segment: &Segment<'_>, options: &Options<'_>) {
        let Some(half) = self.half_open.get(slot).copied() else { return };
        if !half.goes_on_with(segment) {
            self.counters.implausible += 1;
            return;
        }
        let by_opener = half.is_opener(segment);
        match half.asks {
            Asks::Plain if by_opener => self.settle_as_plain(key, slot, &half, segment, FallbackReason::NoMptcpOnSyn),
            Asks::Plain => {}
            Asks::Capable(asks) => match judge(&half, &asks, by_opener, segment, options) {
                Step::Wait => {}
                Step::Plain(reason) => self.settle_as_plain(key, slot, &half, segment, reason),
                Step::Establish => self.establish(slot, &half, asks, segment, options),
            },
            Asks::Join(asks) => {
                let carries = match options.join {
                    Some(Join::Ack { .. }) => by_opener,
                    _ => options.dss.is_some(),
                };
                let agreed = asks.hmac.is_some() || half.syn_ack.is_none();
                if carries && agreed {
                    self.join(slot, &half, &asks, segment, options);
                }
            }
        }
    }

    fn settle_as_plain(
        &mut self,
        key: FlowKey,
        slot: u32,
        half: &HalfOpen,
        segment: &Segment<'_>,
        reason: FallbackReason,
    ) {
        self.remove_half_open(slot);
        let reason = match reason {
            _ if half.gave_up => FallbackReason::NoMptcpOnSyn,
            FallbackReason::NoMptcpOnSynAck if self.servers.contains_key(&half.flow.destination()) => {
                FallbackReason::StrippedOnSyn
            }
            reason => reason,
        };
        let seq = half.syn.map(|syn| syn.seq);
        if matches!(half.asks, Asks::Plain) {
            self.add_plain(key, half.flow, seq, reason);
        } else {
            self.fall_to_plain(key, half.flow, seq, reason);
        }
        if let Some(&Entry::Plain(slot)) = self.flows.get(&key) {
            self.on_plain(key, slot, segment);
        }
    }

    fn establish(
        &mut self,
        slot: u32,
        half: &HalfOpen,
        asks: AsksCapable,
        segment: &Segment<'_>,
        options: &Options<'_>,
    ) {
        self.remove_half_open(slot);
        let mut asks = asks;
        let mut proof = Verified::Unknown;
        if let Some(capable) = options.capable.filter(|_| half.is_opener(segment)) {
            // The third ACK repeats both keys. One that repeats others is not of this flow.
            let same = asks.keys.server.is_none_or(|key| capable.receiver_key.is_none_or(|said| said == key))
                && asks.keys.client.is_none_or(|key| capable.sender_key.is_none_or(|said| said == key));
            if !same {
                self.counters.implausible += 1;
                return;
            }
            if asks.keys.server.is_some() && capable.receiver_key.is_some() {
                proof = Verified::Yes;
            }
            asks.keys.client = asks.keys.client.or(capable.sender_key);
            asks.keys.server = asks.keys.server.or(capable.receiver_key);
            asks.version = capable.version;
            asks.flags.client |= capable.flags & CHECKSUM;
        }
        let (client, server) = half.halves();
        let start = Start { flow: half.flow, asks, proof, late: false, halves: Ends { client, server } };
        let Some((connection, subflow)) = self.add_running(&start, half.syn.map(|_| half.at)) else { return };
        if half.syn.is_some() && half.syn_ack.is_some() && half.is_opener(segment) {
            self.confirm(connection);
        }
        if asks.agreed && self.servers.len() < SERVERS {
            self.servers.insert(half.flow.destination(), ());
        }
        if half.is_opener(segment) && asks.agreed && !options.any {
            self.fall_back(connection, FallbackReason::LostAfterSyn);
        }
        self.on_subflow(subflow, segment, options);
    }
}

/// What comes of a handshake for a connection.
enum Step {
    Wait,
    Establish,
    Plain(FallbackReason),
}

fn judge(half: &HalfOpen, asks: &AsksCapable, by_opener: bool, segment: &Segment<'_>, options: &Options<'_>) -> Step {
    if half.syn_ack.is_some() {
        return match (asks.agreed, by_opener) {
            (true, true) => Step::Establish,
            (true, false) if options.any || segment.payload_len > 0 => Step::Establish,
            (false, true) => Step::Plain(FallbackReason::NoMptcpOnSynAck),
            (_, false) => Step::Wait,
        };
    }
    // What the responder answered was not seen; what comes now says it.
    match (by_opener, options.any) {
        (_, true) => Step::Establish,
        (true, false) => Step::Plain(FallbackReason::LostAfterSyn),
        (false, false) => Step::Wait,
    }
}
