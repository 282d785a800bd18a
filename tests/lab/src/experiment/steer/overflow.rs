//! Overflow: the dear path carries next to nothing while the cheap one has room, and what is too much for it at once when it has none.
//!
//! Invariant: the demand is the sender's, changed at known moments; no policy changes meanwhile.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;

use super::policies::policy;
use super::{Setting, Stage, Trace, mbit, ms, picture};
use crate::client::Way;
use crate::experiment::{Experiment, Options, tell};
use crate::flow::FlowSpec;
use crate::link::Link;
use crate::report::{Must, Report};
use crate::stats::{highest, lowest};
use crate::topology::{Builder, Family, Topology};

/// The experiment.
pub const EXPERIMENT: Experiment = Experiment {
    name: "overflow",
    about: "the dear path carries what is too much for the cheap one, and nothing else",
    run: measure,
};

/// What each link carries, and what is demanded.
const LINK: u64 = 20;
const LOW: u64 = 10;
const HIGH: u64 = 28;
/// The dear path's share while the cheap one has room, and what it carries of the excess.
const SHARE: f64 = 0.02;
const EXCESS: f64 = 0.9;
/// The dear path is open within this time of the demand's rise, beyond the policy's `after`.
const OPEN_MS: f64 = 1_000.0;
const AFTER: Duration = ms(1_000);
/// Without a policy, the dear path carries at least so much of what one path could carry: else nothing would be shown.
const UNSTEERED: f64 = 0.2;

/// How long demand is low and high, and what `hold` is.
struct Pace {
    low: Duration,
    high: Duration,
    hold: Duration,
    cycles: u32,
}

/// What one cycle yielded.
struct Cycle {
    share: f64,
    excess: f64,
    open_ms: f64,
    delivered: f64,
}

/// The dear path is the nearer one: left to itself, MPTCP uses it first.
fn links() -> Builder {
    Topology::builder().link(Link::new("dsl").mbit(LINK).delay_ms(15)).link(Link::new("lte").mbit(LINK).delay_ms(5))
}

fn measure(options: &Options) -> Result<Report> {
    let pace = options.pick(
        Pace { low: ms(9_000), high: ms(7_000), hold: ms(5_000), cycles: 5 },
        Pace { low: ms(4_000), high: ms(4_000), hold: ms(1_500), cycles: 1 },
    );
    let setup = json!({"links": links().links(), "low_mbit": LOW, "high_mbit": HIGH, "cycles": pace.cycles,
                       "after_ms": AFTER.as_millis(), "hold_ms": pace.hold.as_millis()});
    let mut report = Report::new("overflow", setup);
    let keys = format!("after = \"{} ms\"\nhold = \"{} ms\"", AFTER.as_millis(), pace.hold.as_millis());
    let stage = Stage::start(&Setting::new(links()).with(policy(2, "overflow", &keys)), options)?;
    let (mut all, mut flaps, mut panels) = (Vec::new(), 0, Vec::new());
    for way in [Way::Download, Way::Upload] {
        let name = format!("{way:?}").to_lowercase();
        let (trace, rises) = run(&stage, &pace, way).with_context(|| name.clone())?;
        trace.tell(&mut report, &name);
        let cycles = judge(&trace, &pace, &rises, way);
        let of = |value: fn(&Cycle) -> f64| cycles.iter().map(value).collect::<Vec<_>>();
        report.cell(&format!("{name}: dear share while there is room"), "ratio", &of(|cycle| cycle.share));
        report.cell(&format!("{name}: of the excess"), "ratio", &of(|cycle| cycle.excess));
        report.cell(&format!("{name}: opened after the rise"), "ms", &of(|cycle| cycle.open_ms));
        report.cell(&format!("{name}: delivered of the demand"), "ratio", &of(|cycle| cycle.delivered));
        let excess = mbit(HIGH) - capacity();
        let turns = trace.payload(2, way).crossings(rises[0], trace.end, excess * 0.1, excess * 0.5);
        flaps += turns.saturating_sub(pace.cycles as usize * 2);
        tell(&format!("  {name}: {turns} turns in {} cycles", pace.cycles));
        panels.push(trace.panel(&name, way));
        all.extend(cycles);
    }
    stage.clear()?;
    let unsteered = unsteered(&stage)?;
    report.figure("unsteered_share_with_room", Some(unsteered));
    report.require_of_a_busy_machine("unsteered_share_with_room", Must::AtLeast(UNSTEERED));
    report.figure("worst_share_with_room", highest(all.iter().map(|cycle| cycle.share)));
    report.figure("worst_part_of_excess", lowest(all.iter().map(|cycle| cycle.excess)));
    report.figure("worst_open_ms", highest(all.iter().map(|cycle| cycle.open_ms)));
    report.figure("worst_part_delivered", lowest(all.iter().map(|cycle| cycle.delivered)));
    #[allow(clippy::cast_precision_loss, reason = "a handful")]
    report.figure("turns_too_many", Some(flaps as f64));
    report.require_of_a_busy_machine("worst_share_with_room", Must::AtMost(SHARE));
    report.require_of_a_busy_machine("worst_part_of_excess", Must::AtLeast(EXCESS));
    report.require_of_a_busy_machine("worst_open_ms", Must::AtMost(AFTER.as_secs_f64() * 1e3 + OPEN_MS));
    report.require_of_a_busy_machine("turns_too_many", Must::AtMost(0.0));
    report.picture(picture("Overflow: demand rises above the cheap path's capacity and falls", panels));
    Ok(report)
}

/// What the cheap link carries of payload.
fn capacity() -> f64 {
    links().links()[0].payload_capacity()
}

/// The dear path's share of a demand that the cheap one could carry, without any policy.
fn unsteered(stage: &Stage) -> Result<f64> {
    let mut recording = stage.record()?;
    let spec = FlowSpec { demand: LOW * 1_000_000, ..stage.spec(1, Family::V4, Way::Download) };
    recording.flow(Family::V4, spec)?;
    recording.wait_until(ms(3_000));
    let trace = recording.finish()?;
    let of = |link| trace.payload(link, Way::Download).rate(ms(1_000), ms(3_000));
    Ok(of(2) / (of(1) + of(2)).max(1.0))
}

/// Runs the cycles; with when demand rose.
fn run(stage: &Stage, pace: &Pace, way: Way) -> Result<(Trace, Vec<Duration>)> {
    let mut recording = stage.record()?;
    let spec = FlowSpec { demand: LOW * 1_000_000, ..stage.spec(1, Family::V4, way) };
    recording.flow(Family::V4, spec)?;
    let (mut rises, mut then) = (Vec::new(), pace.low);
    for _ in 0..pace.cycles {
        recording.wait_until(then);
        rises.push(recording.mark("high"));
        recording.flows[0].set_demand(HIGH * 1_000_000);
        then += pace.high;
        recording.wait_until(then);
        recording.mark("low");
        recording.flows[0].set_demand(LOW * 1_000_000);
        then += pace.low;
    }
    recording.wait_until(then);
    Ok((recording.finish()?, rises))
}

fn judge(trace: &Trace, pace: &Pace, rises: &[Duration], way: Way) -> Vec<Cycle> {
    let (cheap, dear) = (trace.payload(1, way), trace.payload(2, way));
    let share = |from, to| {
        let (cheap, dear) = (cheap.rate(from, to), dear.rate(from, to));
        dear / (cheap + dear).max(1.0)
    };
    let excess = mbit(HIGH) - capacity();
    rises
        .iter()
        .enumerate()
        .map(|(number, &rise)| {
            // Before the first rise there was room from the start, but for the handshake's moment.
            let from = if number == 0 { ms(1_000) } else { rise - pace.low + pace.hold + ms(1_500) };
            let fall = rise + pace.high;
            let open = dear.reached(rise, fall, excess * EXCESS);
            Cycle {
                share: share(from, rise),
                excess: dear.rate(rise + AFTER + ms(1_000), fall) / excess,
                open_ms: open.unwrap_or(pace.high).as_secs_f64() * 1e3,
                delivered: trace.delivered().rate(rise + AFTER + ms(1_000), fall) / mbit(HIGH),
            }
        })
        .collect()
}
