//! Segments made of bytes: few flows, keys and tokens, so that what was said comes back and fits.
//!
//! A step is a byte that says what happens, and what that needs. A segment is encoded and parsed on its way in, as one from the wire is.

mod option;

use std::net::SocketAddr;
use std::time::Duration;

use super::input::Input;
use super::there_and_back;
use crate::event::{End, Ends};
use crate::facts::{FactLimits, FactsTable, KernelEvent};
use crate::id::{AddrId, FourTuple};
use crate::track::{Limits, Timeouts, Tracker};
use crate::wire::Segment;
use crate::wire::mptcp::OptionBuf;
use crate::wire::tcp::Flags;

/// How many flows there are.
const FLOWS: usize = 8;
/// More steps than this say nothing new and take time.
const STEPS: usize = 1024;
/// A count from here on has gone below zero.
const MOST_BYTES: u64 = 1 << 63;

/// Runs a tracker and a table of facts over what the bytes say happens.
///
/// Shape:   two bytes of limits, then steps
/// Panics:  where the tables do not agree with one another, hold more than they may, or do not come to rest
pub fn tracker(data: &[u8]) {
    let mut input = Input(data);
    let (Some(few), Some(fewer)) = (input.byte(), input.byte()) else { return };
    let mut world = World::new(few, fewer);
    for _ in 0..STEPS {
        if world.step(&mut input).is_none() {
            break;
        }
    }
    world.finish();
}

/// What a run tells of, for a test of the steps.
#[cfg(test)]
pub(super) fn whats(data: &[u8]) -> Vec<String> {
    let mut world = World::new(0xff, 0xff);
    let mut input = Input(data.get(2..).unwrap_or(&[]));
    let mut all = Vec::new();
    while world.step(&mut input).is_some() {
        all.extend(std::iter::from_fn(|| world.tracker.poll_event()).map(|event| event.what.to_string()));
    }
    all
}

/// A tracker, a table of facts, and the hosts whose segments they see.
pub(super) struct World {
    tracker: Tracker,
    facts: FactsTable,
    limits: Limits,
    now: Duration,
    /// The sequence number each end of each flow sends next.
    next: [Ends<u32>; FLOWS],
}

impl World {
    /// The limits are the nibbles of two bytes: small, so that they are met.
    pub(super) fn new(few: u8, fewer: u8) -> Self {
        let limits = Limits {
            connections: usize::from(few & 3),
            subflows: usize::from(few >> 2 & 7),
            subflows_per_connection: u16::from(few >> 5 & 3),
            half_open: usize::from(fewer & 3),
            plain_flows: usize::from(fewer >> 2 & 3),
            events: usize::from(fewer >> 4),
        };
        let fact_limits = FactLimits { connections: 3, subflows_per_connection: 2, disagreements: 4 };
        let mut facts = FactsTable::new(fact_limits, Duration::from_secs(2));
        facts.expect_wire(true);
        facts.expect_kernel([server(0).ip(), server(6).ip()]);
        Self {
            tracker: Tracker::new(limits, Timeouts::default()),
            facts,
            limits,
            now: Duration::from_secs(1_700_000_000),
            next: [Ends { client: u32::MAX - 100, server: 5_000 }; FLOWS],
        }
    }

    fn step(&mut self, input: &mut Input<'_>) -> Option<()> {
        match input.byte()? % 8 {
            0..=4 => self.send(input)?,
            5 => self.wait(input.byte()?),
            6 => self.hear_kernel(input)?,
            _ => self.look(),
        }
        Some(())
    }

    /// A segment of one of the flows: with the numbers that come next, near them, or with any.
    fn send(&mut self, input: &mut Input<'_>) -> Option<()> {
        let (place, flags) = (input.byte()?, Flags(input.byte()?));
        let at = usize::from(place & 7);
        let from = if place & 8 == 0 { End::Client } else { End::Server };
        let mut payload_len = 0;
        if place & 0x40 != 0 {
            payload_len = u32::from(input.u16()?) << if place & 0x80 == 0 { 0 } else { 16 };
        }
        let (own, peer) = (self.next[at][from], self.next[at][from.other()]);
        let (seq, ack) = match place >> 4 & 3 {
            0 => (own, peer),
            1 => (near(own, input.byte()?), near(peer, input.byte()?)),
            2 => (own.wrapping_add(u32::from(input.u16()?) << 8), peer.wrapping_sub(u32::from(input.u16()?))),
            _ => (input.u32()?, input.u32()?),
        };
        let mut options = OptionBuf::default();
        let flow = FourTuple::new(client(at), server(at)).ok()?;
        option::fill(&mut options, input, flow)?;
        let segment = Segment {
            flow: if from == End::Client { flow } else { flow.reversed() },
            seq,
            ack,
            flags,
            window: 1_000,
            options: options.as_bytes(),
            options_len: u8::try_from(options.as_bytes().len()).ok()?,
            payload: &[],
            payload_len,
        };
        if place >> 4 & 3 == 0 || flags.has(Flags::SYN) {
            self.next[at][from] = seq.wrapping_add(segment.seq_len());
        }
        let now = self.now.saturating_add(Duration::from_millis(1));
        self.see(&segment, now);
        Some(())
    }

    /// A segment goes by.
    pub(super) fn see(&mut self, segment: &Segment<'_>, now: Duration) {
        self.now = now;
        self.tracker.on_segment(segment, segment.mptcp().flatten(), now);
        self.tracker.check();
        let place = self.tracker.place_of(&segment.flow);
        assert_eq!(place, self.tracker.place_of(&segment.flow.reversed()));
    }

    /// Time passes: a little, a lot, until something is due, or as far as a damaged capture may say.
    fn wait(&mut self, how: u8) {
        let amount = u64::from(how >> 3);
        self.now = match how & 7 {
            0..=2 => self.now.saturating_add(Duration::from_millis(amount)),
            3 | 4 => self.now.saturating_add(Duration::from_secs(amount)),
            5 => self.now.saturating_add(Duration::from_secs(amount << 9)),
            6 => self.tracker.next_deadline().unwrap_or(self.now).max(self.now),
            _ if how == u8::MAX => Duration::from_secs(u64::MAX),
            _ => return,
        };
        self.tracker.handle_timeout(self.now);
        self.facts.handle_timeout(self.now);
        self.tracker.check();
    }

    /// The kernel of the servers says something of one of the flows.
    fn hear_kernel(&mut self, input: &mut Input<'_>) -> Option<()> {
        let (what, who) = (input.byte()?, input.byte()?);
        let at = usize::from(what & 7);
        let flow = FourTuple::new(server(at), client(at)).ok()?;
        let token = option::Keys::of(who).token(End::Server);
        let (backup, id) = (who & 0x80 != 0, Some(AddrId(who >> 4 & 3)));
        let event = match what >> 3 & 7 {
            0 | 1 => KernelEvent::Created { token, flow },
            2 => KernelEvent::Established { token, flow },
            3 | 4 => KernelEvent::SubflowEstablished { token, flow, local_id: id, remote_id: id, backup: Some(backup) },
            5 => KernelEvent::SubflowClosed { token, flow, error: None, reason: None },
            6 => KernelEvent::Priority { token, flow, backup },
            _ => KernelEvent::Closed { token },
        };
        there_and_back(&event);
        self.facts.on_kernel(&event, self.now);
        Some(())
    }

    /// Takes all that can be asked for, and tells it in words.
    fn look(&mut self) {
        for _ in 0..=self.limits.events {
            let Some(event) = self.tracker.poll_event() else { break };
            there_and_back(&event);
            assert!(super::is_one_line(&event.what.to_string()), "{event:?}");
            self.facts.on_wire(&event);
        }
        assert_eq!(self.tracker.poll_event(), None, "more events than there may be");
        for known in self.tracker.connections() {
            for end in End::BOTH {
                let delivered = known.delivered[end].unwrap_or(0);
                let most = [known.bytes[end], known.retransmitted[end], known.data_retransmitted[end], delivered];
                assert!(most.into_iter().all(|bytes| bytes < MOST_BYTES), "{known:#?}");
            }
            let story = self.tracker.story(known.connection).map(|story| story.to_string());
            assert!(story.is_some_and(|story| story.lines().all(super::is_one_line)), "{known:#?}");
            self.facts.observe_wire(known, self.now);
        }
        assert!(self.facts.connections().count() <= 3, "more connections than the table may hold");
        while let Some(report) = self.facts.poll_disagreement() {
            there_and_back(&report);
        }
    }

    /// Shows all as JSON. Once a run: it takes longer than the rest, and a run can end anywhere.
    fn show(&self) {
        self.tracker.connections().for_each(|known| there_and_back(&known));
        self.tracker.plain_flows().for_each(|plain| there_and_back(&plain));
        there_and_back(&self.tracker.held());
        there_and_back(&self.tracker.counters());
        self.facts.connections().for_each(|fact| there_and_back(&fact));
    }

    /// Lets time pass until nothing is due: then nothing is left, and every step towards it was one.
    pub(super) fn finish(mut self) {
        self.look();
        self.show();
        let held = self.tracker.held();
        // Each connection expires up to three times: it is idle, or without a subflow, and then it has ended.
        let most = 3 * held.connections + held.half_open + held.plain_flows;
        for _ in 0..most {
            let Some(deadline) = self.tracker.next_deadline() else { break };
            self.tracker.handle_timeout(deadline);
            self.tracker.check();
        }
        assert_eq!(self.tracker.next_deadline(), None, "{:?} is left", self.tracker.held());
        let held = self.tracker.held();
        assert_eq!((held.connections, held.subflows, held.half_open, held.plain_flows), (0, 0, 0, 0));
        assert!(self.tracker.is_empty(), "what was looked up by is left");
    }
}

/// A number up to so much before or after.
fn near(number: u32, offset: u8) -> u32 {
    number.wrapping_add_signed(i32::from(offset.cast_signed()))
}

fn client(flow: usize) -> SocketAddr {
    match flow {
        6 | 7 => SocketAddr::from(([0xfd01, 0, 0, 0, 0, 0, 0, 2], if flow == 6 { 40_000 } else { 70 })),
        // Two flows of one address; the ports of one flow are the other way round.
        0 | 1 => SocketAddr::from(([10, 1, 0, 2], if flow == 0 { 40_000 } else { 70 })),
        _ => SocketAddr::from(([10, 2, 0, if flow < 4 { 2 } else { 3 }], 41_000 + u16::from(flow.is_multiple_of(2)))),
    }
}

fn server(flow: usize) -> SocketAddr {
    match flow {
        6 | 7 => SocketAddr::from(([0xfd01, 0, 0, 0, 0, 0, 0, 1], 80)),
        5 => SocketAddr::from(([10, 0, 0, 2], 8080)),
        _ => SocketAddr::from(([10, 0, 0, 1], 80)),
    }
}
