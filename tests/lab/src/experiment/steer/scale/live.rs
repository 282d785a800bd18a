//! Live subflows, every joined one with a class of its own, while half of the policies change.
//!
//! Called by the experiment. Invariant: no link is full, so that whatever is dropped was dropped by a change.

use anyhow::{Context, Result};

use crate::client::Way;
use crate::experiment::steer::dump::held;
use crate::experiment::steer::policies::policy;
use crate::experiment::steer::{Stage, ms, picture};
use crate::experiment::tell;
use crate::flow::FlowSpec;
use crate::link::Link;
use crate::report::{Must, Report};
use crate::topology::{Builder, Family, Topology};

/// What each connection's sender offers, and what its joined subflow is held to, before and after the change.
///
/// Units: kbit/s
const DEMAND: u64 = 700;
const HELD: u64 = 300;
const CHANGED: u64 = 400;
/// So much of what is demanded is delivered, whatever changes.
const DELIVERED: f64 = 0.9;

/// The held path is the nearer one: left to itself, MPTCP would put everything there.
pub(super) fn links() -> Builder {
    Topology::builder().link(Link::new("dsl").mbit(200).delay_ms(5)).link(Link::new("lte").mbit(200))
}

/// One policy for each half of the joined subflows: even and odd client ports cannot be told apart, families can.
fn policies(v6: u64) -> String {
    let half = |name: &str, destination: &str, rate: u64| {
        policy(
            2,
            "limit",
            &format!(
                "rate = \"{rate} kbit/s\"\nper = \"subflow\"\nsubflow = \"joined\"\ndestination = [\"{destination}\"]"
            ),
        )
        .replace("limit on two", name)
    };
    half("IPv4", "10.200.0.0/24", HELD) + &half("IPv6", "fd00:200::/64", v6)
}

/// Measures them.
pub(super) fn measure(report: &mut Report, stage: &Stage, connections: usize) -> Result<()> {
    stage.set_limits(2, 0)?;
    stage.apply(&policies(HELD))?;
    let mut recording = stage.record()?;
    for number in 0..connections {
        let family = if number % 2 == 0 { Family::V4 } else { Family::V6 };
        let spec = FlowSpec { demand: DEMAND * 1_000, ..stage.spec(1, family, Way::Download) };
        recording.flow(family, spec)?;
    }
    recording.wait_until(ms(4_000));
    let (subflows, held) = (stage.subflows()?, held(&stage.topology.edge)?);
    let (before, rss) = (dropped(stage)?, stage.proxy()?.usage()?.rss_kib);
    let at = recording.act("half of them change", |stage| stage.apply(&policies(CHANGED)));
    let took = recording.clock.now().saturating_sub(at);
    recording.wait_until(ms(8_000));
    let lost = dropped(stage)?.saturating_sub(before);
    let trace = recording.finish()?;
    stage.clear()?;
    trace.tell(report, "changes");
    let count = f64::from(u32::try_from(connections)?);
    #[allow(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    let (subflows, held, lost, rss) = (subflows as f64, held as f64, lost as f64, rss as f64 / 1024.0);
    let (demand, rate) = (count * kbit(DEMAND), count * kbit(HELD));
    let path = trace.frames(2, Way::Download).richest(ms(2_000), at).unwrap_or(f64::INFINITY) / rate;
    // Two Mbit/s of the sum is one connection's start: what is judged is a second and more around the change.
    let least = trace.delivered().poorest(at.saturating_sub(ms(1_000)), trace.end).unwrap_or(0.0) / demand;
    tell(&format!(
        "  {subflows} subflows, half of them changed within {took:?}: {lost} packets lost, lowest window {least:.3}"
    ));
    report.figure("live_subflows", Some(subflows));
    report.figure("held_subflows", Some(held));
    report.figure("held_path_ratio", Some(path));
    report.figure("packets_lost_by_a_change", Some(lost));
    report.figure("change_delivered_ratio", Some(least));
    report.figure("change_ms", Some(took.as_secs_f64() * 1e3));
    report.figure("rss_mib_with_live_subflows", Some(rss));
    report.require("live_subflows", Must::AtLeast(count * 2.0));
    report.require("held_subflows", Must::AtLeast(count));
    report.require_of_a_busy_machine("held_path_ratio", Must::AtMost(1.1));
    report.require_of_a_busy_machine("packets_lost_by_a_change", Must::AtMost(0.0));
    report.require_of_a_busy_machine("change_delivered_ratio", Must::AtLeast(DELIVERED));
    report.picture(picture(
        "Live subflows while half of their policies change",
        vec![trace.panel("all connections", Way::Download)],
    ));
    Ok(())
}

#[allow(clippy::cast_precision_loss, reason = "rates are far below 2^52")]
fn kbit(kbit: u64) -> f64 {
    kbit as f64 * 1e3
}

/// Packets that any qdisc or device of the edge has dropped so far.
fn dropped(stage: &Stage) -> Result<u64> {
    let sum = |tool: &str, words: &[&str], of: fn(&serde_json::Value) -> u64| -> Result<u64> {
        let text = stage.topology.edge.tool(tool, words)?;
        let value: serde_json::Value = serde_json::from_str(&text).with_context(|| format!("{tool}: {text}"))?;
        Ok(value.as_array().into_iter().flatten().map(of).sum())
    };
    let qdiscs = sum("tc", &["-s", "-j", "qdisc", "show"], |qdisc| qdisc["drops"].as_u64().unwrap_or(0))?;
    let links = sum("ip", &["-s", "-j", "link", "show"], |link| {
        let of = |way: &str| link["stats64"][way]["dropped"].as_u64().unwrap_or(0);
        of("rx") + of("tx")
    })?;
    Ok(qdiscs + links)
}
