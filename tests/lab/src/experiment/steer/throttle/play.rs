//! One run of a cell: connections begin, the rule comes, the rule goes; and what the free path carries by itself.
//!
//! Called by the experiment.

use std::time::Duration;

use anyhow::Result;

use super::cells::{Cell, Rule};
use crate::experiment::steer::{Stage, Trace, ms, plain_tcp, single_mptcp};

/// When the rule comes and goes, and when the run ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    pub(super) held: Duration,
    pub(super) released: Duration,
    pub(super) end: Duration,
}

impl Times {
    pub(super) const FULL: Self = Self { held: ms(3_000), released: ms(8_000), end: ms(10_500) };
    pub(super) const QUICK: Self = Self { held: ms(2_500), released: ms(5_500), end: ms(7_500) };
}

/// How the rule is brought about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lever {
    /// By a policy.
    Policy,
    /// By changing the rate of the link's class, as one would without anabranch.
    Naive,
}

/// What the free path carries by itself.
///
/// Units: bit/s of payload
#[derive(Debug, Clone, Copy)]
pub(super) struct Free {
    /// The median window of plain TCP.
    pub(super) tcp: f64,
    /// The mean of plain TCP or of an MPTCP connection without a second subflow, whichever is higher.
    pub(super) alone: f64,
}

/// Measures what the free path, or the free paths together, carry alone.
pub(super) fn reference(stage: &Stage, cell: &Cell) -> Result<Free> {
    let tcp = plain_tcp(stage, cell.free, cell.family, cell.way)?;
    // No MPTCP connection has just two free ones of three subflows.
    let single = match cell.free {
        &[link] => single_mptcp(stage, link, cell.family, cell.way)?.mean,
        _ => 0.0,
    };
    Ok(Free { tcp: tcp.middle, alone: tcp.mean.max(single) })
}

/// Runs the cell once; with the subflows the client had before the rule and at the end.
pub(super) fn play(stage: &Stage, cell: &Cell, times: &Times, lever: Lever) -> Result<(Trace, (usize, usize))> {
    let mut recording = stage.record()?;
    recording.crowd(cell.family, stage.spec(1, cell.family, cell.way), cell.connections)?;
    // Many of them take their time to begin.
    let all = recording.clock.now();
    let end = times.end.min(cell.end);
    let times = Times { held: all + times.held, released: all + times.released, end: all + end };
    // Just before the rule comes would delay it.
    recording.wait_until(times.held.saturating_sub(ms(300)));
    let before = stage.subflows()?;
    recording.wait_until(times.held);
    match lever {
        Lever::Policy => recording.act("policy apply", |stage| stage.apply(&cell.policies())),
        Lever::Naive => recording.act("tc class change", |stage| naive(stage, cell, true)),
    };
    recording.wait_until(times.released);
    match lever {
        Lever::Policy => recording.act("policy clear", Stage::clear),
        Lever::Naive => recording.act("tc class change", |stage| naive(stage, cell, false)),
    };
    recording.wait_until(times.end);
    let after = stage.subflows()?;
    Ok((recording.finish()?, (before, after)))
}

/// Changes the rate of the held link's own class at the edge.
fn naive(stage: &Stage, cell: &Cell, hold: bool) -> Result<()> {
    let link = &stage.topology.links()[usize::from(cell.held) - 1];
    let rate = match (cell.rule, link.rate) {
        (Rule::Limit(mbit), _) if hold => mbit * 1_000_000,
        (_, rate) => rate.unwrap_or(0),
    };
    // As the link was made, but for its rate.
    stage.topology.edge.tc(&format!(
        "class change dev p{} parent 1: classid 1:10 htb rate {rate}bit burst 6k cburst 6k quantum 6000",
        cell.held
    ))
}
