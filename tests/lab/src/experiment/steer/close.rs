//! Close: there is no subflow on a path, neither now nor later; and a client with no other path is served all the same.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;

use super::policies::policy;
use super::{Setting, Stage, Trace, ms, picture, plain_tcp};
use crate::client::Way;
use crate::experiment::{Experiment, Options, tell};
use crate::link::Link;
use crate::report::{Must, Report};
use crate::stats::{highest, lowest, median};
use crate::topology::{Builder, Family, Topology};

/// The experiment.
pub const EXPERIMENT: Experiment =
    Experiment { name: "close", about: "no subflow on a path, but never is the last one closed", run: measure };

/// The lowest window ÷ plain TCP over the free path.
const WINDOW: f64 = 0.9;
const CLOSED_MS: f64 = 1_000.0;

const HELD: Duration = ms(2_500);
const RELEASED: Duration = ms(5_500);
const END: Duration = ms(6_500);

fn links() -> Builder {
    Topology::builder().link(Link::new("dsl").mbit(40)).link(Link::new("lte").mbit(40))
}

fn measure(options: &Options) -> Result<Report> {
    let rounds = options.rounds(5, 1);
    let mut report = Report::new("close", json!({"rounds": rounds, "links": links().links()}));
    let stage = Stage::start(&Setting::new(links()), options)?;
    let cells = options.pick(
        &[(Way::Download, 0), (Way::Download, 2), (Way::Upload, 0)][..],
        &[(Way::Download, 2), (Way::Upload, 0)][..],
    );
    let (mut closed, mut windows, mut panels) = (Vec::new(), Vec::new(), Vec::new());
    for &(way, accepted) in cells {
        let name = format!("{way:?}, add_addr_accepted {accepted}").to_lowercase();
        let (mut times, mut lows) = (Vec::new(), Vec::new());
        for number in 0..rounds {
            let free = plain_tcp(&stage, &[1], Family::V4, way)?.middle;
            stage.set_limits(2, accepted)?;
            let (trace, subflows) = close(&stage, way).with_context(|| name.clone())?;
            trace.tell(&mut report, &name);
            if subflows != [2, 1, 1] {
                report.fail(format!("{name}: before, a second after and at the end there were {subflows:?} subflows"));
            }
            let gone = trace.payload(2, way).settled(HELD, trace.end, 0.0).unwrap_or(END - HELD).as_secs_f64() * 1e3;
            let low = trace.total(way).poorest(HELD, trace.end).unwrap_or(0.0) / free.max(1.0);
            tell(&format!("  {number:>2} {name:<30} nothing after {gone:.0} ms, lowest window {low:.3}"));
            times.push(gone);
            lows.push(low);
            if number == 0 {
                panels.push(trace.panel(&name, way));
            }
        }
        report.cell(&format!("{name}: nothing after"), "ms", &times);
        report.cell(&format!("{name}: lowest window"), "ratio", &lows);
        closed.extend(median(&times));
        windows.extend(median(&lows));
    }
    report.figure("worst_closed_ms", highest(closed));
    report.figure("worst_window_ratio", lowest(windows));
    let (last, joins) = others(&stage, &mut report)?;
    report.figure("last_one_kept_ratio", Some(last));
    report.figure("joins_refused_bytes", Some(joins));
    report.require_of_a_busy_machine("worst_closed_ms", Must::AtMost(CLOSED_MS));
    report.require_of_a_busy_machine("worst_window_ratio", Must::AtLeast(WINDOW));
    report.require_of_a_busy_machine("last_one_kept_ratio", Must::AtLeast(WINDOW));
    report.require("joins_refused_bytes", Must::AtMost(0.0));
    report.picture(picture("Close: no subflow on path two", panels));
    Ok(report)
}

/// Closes path two under a connection; with the subflows before, a second after, and at the end.
fn close(stage: &Stage, way: Way) -> Result<(Trace, [usize; 3])> {
    let mut recording = stage.record()?;
    recording.flow(Family::V4, stage.spec(1, Family::V4, way))?;
    recording.wait_until(HELD - ms(300));
    let before = stage.subflows()?;
    recording.wait_until(HELD);
    recording.act("close", |stage| stage.apply(&policy(2, "close", "")));
    recording.wait_until(HELD + ms(1_000));
    let after = stage.subflows()?;
    recording.wait_until(RELEASED);
    recording.act("policy clear", Stage::clear);
    recording.wait_until(END);
    let end = stage.subflows()?;
    Ok((recording.finish()?, [before, after, end]))
}

/// Under the policy from the start: a client whose only path is the closed one, ÷ plain TCP there; and what a client with both
/// moves on the closed one.
fn others(stage: &Stage, report: &mut Report) -> Result<(f64, f64)> {
    let free = plain_tcp(stage, &[2], Family::V4, Way::Download)?.middle;
    let mut run = |link, subflows| -> Result<Trace> {
        stage.set_limits(subflows, 0)?;
        let mut recording = stage.record()?;
        recording.act("close", |stage| stage.apply(&policy(2, "close", "")));
        recording.flow(Family::V4, stage.spec(link, Family::V4, Way::Download))?;
        recording.wait_until(ms(3_000));
        recording.act("policy clear", Stage::clear);
        let trace = recording.finish()?;
        trace.tell(report, "closed from the start");
        Ok(trace)
    };
    let last = run(2, 0)?.total(Way::Download).poorest(ms(1_200), ms(3_000)).unwrap_or(0.0) / free.max(1.0);
    let both = run(1, 2)?;
    #[allow(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    let joins = both.payload(2, Way::Download).total() as f64;
    Ok((last, joins))
}
