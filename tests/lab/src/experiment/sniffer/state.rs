//! What the tracker holds: the memory of many connections, and what a flood of forged handshakes does to real ones.
//!
//! Called by the experiment, in its own process.

use anabranch_sniffer::event::{End, SubflowState};
use anabranch_sniffer::story::ConnectionFacts;
use anabranch_sniffer::track::{Limits, Timeouts};
use anabranch_sniffer::wire::mptcp::{Join, Key, MptcpOption};
use anabranch_sniffer::wire::tcp::Flags;
use anabranch_sniffer::{AddrId, Token};
use anyhow::{Context, Result};
use nix::sys::resource::UsageWho;
use std::time::Duration;

use super::hand::{Flow, Hand, Talk, capable};
use super::{cpu, figure, proc_number, rate};
use crate::experiment::Options;
use crate::report::{Must, Report};

/// Where clients connect from, where they join from, and where forgers claim to be: apart from one another.
const FIRST: u8 = 64;
const SECOND: u8 = 96;
const FORGED: u8 = 128;

/// How much memory a flood may add: what the limits allow of handshakes and of everything that is found with them.
const FLOOD_MIB: f64 = 64.0;

/// Measures the memory of many connections of two subflows each.
pub(super) fn memory(report: &mut Report, options: &Options) -> Result<()> {
    let count: u32 = options.pick(100_000, 10_000);
    let before = resident()?;
    let mut hand = Hand::new();
    for n in 0..count {
        let mut talk = Talk::nth(n);
        hand.connect(&mut talk, &mut Flow::nth(FIRST, n));
        hand.join(&talk, &mut Flow::nth(SECOND, n));
    }
    let bytes = (resident()?.saturating_sub(before)) * 1024;
    let (held, counters) = (hand.tracker.held(), hand.tracker.counters());
    let whole = |facts: &ConnectionFacts| facts.end.is_none() && established(facts) == 2;
    let established = hand.tracker.connections().filter(whole).count();
    report.figure("connections_held", Some(figure(held.connections as u64)));
    report.figure("connections_whole", Some(figure(established as u64)));
    report.figure("subflows_held", Some(figure(held.subflows as u64)));
    report.figure("bytes_per_connection", Some(figure(bytes) / f64::from(count)));
    report.require("connections_held", Must::AtLeast(count.into()));
    report.require("connections_whole", Must::AtLeast(count.into()));
    report.require("bytes_per_connection", Must::AtMost(2048.0));
    if counters.connections_refused + counters.subflows_refused + counters.forged > 0 {
        report.fail(format!("of {count} honest connections: {counters:?}"));
    }
    Ok(())
}

/// Subflows that may carry data.
fn established(facts: &ConnectionFacts) -> usize {
    facts.subflows.iter().filter(|subflow| subflow.state == SubflowState::Established).count()
}

/// Resident memory of this process.
///
/// Units: KiB.
fn resident() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status").context("cannot read this process's status")?;
    proc_number(&status, "VmRSS").context("no VmRSS")
}

/// Forged SYNs between two segments of the connection that goes on all the while.
const PACE: u32 = 100;
/// Forged SYNs from one new connection's beginning to the next's, and between two steps of its handshake: 20 ms of a flood
/// of 100 000 a second.
const NEWCOMERS: u32 = 20_000;
const STEP: u32 = 2_000;

/// Floods a tracker with forged handshakes while real connections go on and begin.
pub(super) fn flood(report: &mut Report, options: &Options) -> Result<()> {
    let count: u32 = options.pick(1_000_000, 100_000);
    // A million forged clients, at 100 000 a second, on one that has seen little.
    let mut hand = Hand::new();
    let (mut talk, mut flow, mut joined) = (Talk::nth(1), Flow::nth(FIRST, 1), Flow::nth(SECOND, 1));
    hand.connect(&mut talk, &mut flow);
    hand.join(&talk, &mut joined);
    let (memory, used) = (resident()?, cpu(UsageWho::RUSAGE_THREAD)?);
    let (mut most, mut newcomers, mut newcomer) = (0, Vec::new(), None::<(Talk, Flow)>);
    for n in 0..count {
        hand.now += Duration::from_micros(10);
        forge(&mut hand, &talk, n);
        if n % PACE == 0 {
            let over = if n % (2 * PACE) == 0 { &mut flow } else { &mut joined };
            hand.data(&mut talk, over, End::Client, 1);
            most = most.max(hand.tracker.held().half_open);
            let now = hand.now;
            hand.tracker.handle_timeout(now);
        }
        if n % NEWCOMERS < 3 * STEP && n % STEP == 0 {
            let step = u8::try_from(n % NEWCOMERS / STEP).unwrap_or(2);
            let (mut talk, mut flow) = newcomer.take().unwrap_or_else(|| (Talk::nth(n + 2), Flow::nth(FIRST, n + 2)));
            hand.connect_step(&talk, &mut flow, step);
            if step == 2 {
                hand.data(&mut talk, &mut flow, End::Client, 1);
                hand.data(&mut talk, &mut flow, End::Server, 1);
                newcomers.push(talk.token(End::Server));
            } else {
                newcomer = Some((talk, flow));
            }
        }
    }
    let used = cpu(UsageWho::RUSAGE_THREAD)?.saturating_sub(used);
    let grown = figure(resident()?.saturating_sub(memory)) / 1024.0;
    let (limits, counters) = (Limits::default(), hand.tracker.counters());
    // One byte to connect, then one for each turn.
    let sent = u64::from(1 + count.div_ceil(PACE));
    let tracked = |token: Token, fits: &dyn Fn(&ConnectionFacts) -> bool| {
        hand.tracker
            .connections()
            .any(|facts| facts.tokens.server == Some(token) && facts.end.is_none() && fits(&facts))
    };
    let real = tracked(talk.token(End::Server), &|facts| established(facts) == 2 && facts.bytes.client == sent);
    let missed = newcomers.iter().filter(|token| !tracked(**token, &|facts| established(facts) == 1)).count();
    report.figure("flood_segments", Some(count.into()));
    report.figure("flood_per_s", rate(count.into(), used));
    report.figure("flood_held_half_open", Some(figure(most as u64)));
    report.figure("flood_mib", Some(grown));
    report.figure("real_connection_tracked", Some(f64::from(u8::from(real))));
    report.figure("flood_newcomers", Some(figure(newcomers.len() as u64)));
    report.figure("flood_newcomers_missed", Some(figure(missed as u64)));
    report.figure("flood_false_forgeries", Some(figure(counters.forged)));
    report.figure("flood_connections_held", Some(figure(hand.tracker.held().connections as u64)));
    report.require_of_a_busy_machine("flood_per_s", Must::AtLeast(100_000.0));
    report.require("flood_held_half_open", Must::AtMost(figure(limits.half_open as u64)));
    report.require("flood_mib", Must::AtMost(FLOOD_MIB));
    report.require("real_connection_tracked", Must::AtLeast(1.0));
    report.require("flood_newcomers", Must::AtLeast(f64::from(count / NEWCOMERS)));
    report.require("flood_newcomers_missed", Must::AtMost(0.0));
    report.require("flood_false_forgeries", Must::AtMost(0.0));
    if Duration::from_micros(10) * count < Timeouts::default().half_open {
        report.note("the flood was shorter than a handshake is remembered: its bound was not reached by time");
    }
    Ok(())
}

/// One forged SYN: of a connection, which the server answers; of a join to a real connection; of a join to none.
fn forge(hand: &mut Hand, talk: &Talk, n: u32) {
    let mut flow = Flow::nth(FORGED, n);
    let join = |token| MptcpOption::Join(Join::Syn { backup: false, addr_id: AddrId(9), token, nonce: n });
    match n % 4 {
        0 | 2 => {
            hand.send(&mut flow, End::Client, Flags::SYN, 0, &[capable(None, None)]);
            if n.is_multiple_of(4) {
                let key = Key((u64::from(n) << 8 | 0xff).to_be_bytes());
                let flags = Flags(Flags::SYN.0 | Flags::ACK.0);
                hand.send(&mut flow, End::Server, flags, 0, &[capable(Some(key), None)]);
            }
        }
        1 => hand.send(&mut flow, End::Client, Flags::SYN, 0, &[join(talk.token(End::Server))]),
        _ => hand.send(&mut flow, End::Client, Flags::SYN, 0, &[join(Token(n.wrapping_mul(0x9e37_79b9)))]),
    }
}
