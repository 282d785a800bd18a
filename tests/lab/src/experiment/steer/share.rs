//! Share: a path carries its part of the bytes, within five points, and the others are not held back for it.

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
    Experiment { name: "share", about: "a path carries its part of the bytes, within five points", run: measure };

/// The part asked for, and how far from it the part carried may be.
const PERCENT: u32 = 30;
const POINTS: f64 = 5.0;
/// The lowest window ÷ plain TCP over the free path.
const WINDOW: f64 = 0.9;

const HELD: Duration = ms(2_000);
/// From when on the part must be right.
const RIGHT: Duration = ms(5_000);
const RELEASED: Duration = ms(11_000);
const END: Duration = ms(13_000);

fn links(second: u64, delay: u64) -> Builder {
    let link = |name: &str, mbit| {
        let link = Link::new(name).mbit(mbit);
        if delay > 0 { link.delay_ms(delay) } else { link }
    };
    Topology::builder().link(link("dsl", 40)).link(link("lte", second))
}

fn measure(options: &Options) -> Result<Report> {
    let rounds = options.rounds(5, 1);
    let cells = options.pick(&[(40, 0), (40, 20), (60, 0)][..], &[(40, 0)][..]);
    let mut report = Report::new("share", json!({"rounds": rounds, "percent": PERCENT, "links": links(40, 0).links()}));
    let (mut errors, mut windows, mut releases, mut panels) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for &(second, delay) in cells {
        let name = format!("40 and {second} Mbit/s, {delay} ms delay");
        let stage = Stage::start(&Setting::new(links(second, delay)), options).with_context(|| name.clone())?;
        let (mut parts, mut lows, mut backs) = (Vec::new(), Vec::new(), Vec::new());
        for number in 0..rounds {
            let free = plain_tcp(&stage, &[1], Family::V4, Way::Download)?.middle;
            let trace = run(&stage).with_context(|| name.clone())?;
            trace.tell(&mut report, &name);
            let (total, held) = (trace.total(Way::Download), trace.payload(2, Way::Download));
            let part = held.rate(RIGHT, RELEASED) / total.rate(RIGHT, RELEASED).max(1.0) * 100.0;
            let low = total.poorest(HELD, trace.end).unwrap_or(0.0) / free.max(1.0);
            let full = total.middle(ms(1_000), HELD).unwrap_or(f64::INFINITY) * 0.95;
            let back = total.reached(RELEASED, trace.end, full).unwrap_or(END - RELEASED);
            tell(&format!("  {number:>2} {name:<34} {part:5.1} % on path two, lowest window {low:.3}, back {back:?}"));
            parts.push(part);
            lows.push(low);
            backs.push(back.as_secs_f64() * 1e3);
            if number == 0 {
                panels.push(trace.panel(&name, Way::Download));
            }
        }
        report.cell(&format!("{name}: part"), "%", &parts);
        report.cell(&format!("{name}: lowest window"), "ratio", &lows);
        report.cell(&format!("{name}: released"), "ms", &backs);
        errors.extend(median(&parts).map(|part| (part - f64::from(PERCENT)).abs()));
        windows.extend(median(&lows));
        releases.extend(median(&backs));
    }
    report.figure("worst_points_off", highest(errors));
    report.figure("worst_window_ratio", lowest(windows));
    report.figure("release_ms", highest(releases));
    report.require_of_a_busy_machine("worst_points_off", Must::AtMost(POINTS));
    report.require_of_a_busy_machine("worst_window_ratio", Must::AtLeast(WINDOW));
    report.require_of_a_busy_machine("release_ms", Must::AtMost(1_000.0));
    report.picture(picture("Share: 30 % of the bytes on path two", panels));
    Ok(report)
}

fn run(stage: &Stage) -> Result<Trace> {
    let mut recording = stage.record()?;
    recording.flow(Family::V4, stage.spec(1, Family::V4, Way::Download))?;
    recording.wait_until(HELD);
    recording.act("share 30 %", |stage| stage.apply(&policy(2, "share", &format!("percent = {PERCENT}"))));
    recording.wait_until(RELEASED);
    recording.act("policy clear", Stage::clear);
    recording.wait_until(END);
    recording.finish()
}
