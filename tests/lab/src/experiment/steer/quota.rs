//! Quota: a path is held to a rate once a subscriber has used up what it may there: in mid-transfer, across a kill and a restart, and
//! with one subflow too, for a quota is a contract.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;

use super::policies::policy;
use super::{HELD_WINDOW, Setting, Stage, Trace, mbit, ms, picture, plain_tcp};
use crate::client::Way;
use crate::experiment::{Experiment, Options, tell};
use crate::link::Link;
use crate::proxy::private_directory;
use crate::report::{Must, Report};
use crate::stats::{highest, median};
use crate::topology::{Cut, Family, Topology};

/// The experiment.
pub const EXPERIMENT: Experiment = Experiment {
    name: "quota",
    about: "a path is held to a rate once its bytes are used up, in mid-transfer and after a kill",
    run: measure,
};

/// What may be used before the rate holds, and the rate.
const QUOTA: f64 = 10e6;
const RATE: u64 = 2;
/// So much more may be used: the path carries 4.8 MB a second, and settles within half a second.
const OVER: f64 = 2.4e6;
/// After kill -9, another second of it.
const OVER_KILLED: f64 = OVER + 4.8e6;
/// What is counted is delivered payload; on the wire, a little of it goes twice.
const UNDER: f64 = -0.5e6;
/// Used up from the start, a joining subflow is held once it is seen: 40 ms of its path.
const SEEN: f64 = 200e3;
const WINDOW: f64 = 0.9;

fn measure(options: &Options) -> Result<Report> {
    let rounds = options.rounds(5, 1);
    let links = Topology::builder().link(Link::new("dsl").mbit(40)).link(Link::new("lte").mbit(40));
    let mut report = Report::new(
        "quota",
        json!({"rounds": rounds, "quota_bytes": QUOTA, "rate_mbit": RATE, "links": links.links()}),
    );
    let keys = format!("rate = \"{RATE} Mbit/s\"\nused_above = \"10 MB\"\nused_per = \"month\"\nenforce = \"always\"");
    let mut samples: [Vec<f64>; 5] = Default::default();
    for number in 0..rounds {
        let usage = private_directory("usage")?;
        let mut setting = Setting::new(links.clone()).with(policy(2, "limit", &keys));
        setting.steering = format!("usage = \"{}\"", usage.join("usage.redb").display());
        let mut stage = Stage::start(&setting, options)?;
        let free = plain_tcp(&stage, &[1], Family::V4, Way::Download)?.middle;
        let killed = first(&stage)?;
        stage.restart()?;
        let second = second(&stage)?;
        let third = third(&stage)?;
        let fresh = Setting { steering: String::new(), ..setting };
        let (crossing, window) = crossing(&Stage::start(&fresh, options)?, free)?;
        drop(stage);
        std::fs::remove_dir_all(&usage).context("cannot remove a directory")?;
        let values = [
            used(&crossing).unwrap_or(f64::INFINITY) - QUOTA,
            killed.payload_two() + used(&second).unwrap_or(f64::INFINITY) - QUOTA,
            third.frames(2, Way::Download).excess(Duration::ZERO, mbit(RATE)),
            third
                .frames(2, Way::Download)
                .richest_over(HELD_WINDOW, CUT + ms(1_000), third.end)
                .unwrap_or(f64::INFINITY)
                / mbit(RATE),
            window,
        ];
        tell(&format!(
            "  {number:>2} over {:.0}, over after a kill {:.0}, from the start {:.0} bytes; alone {:.2}, window {:.3}",
            values[0], values[1], values[2], values[3], values[4]
        ));
        samples.iter_mut().zip(values).for_each(|(sample, value)| sample.push(value));
        for (what, trace) in [("crossing", &crossing), ("after the restart", &second), ("used up", &third)] {
            trace.tell(&mut report, what);
        }
        if number == 0 {
            let panels = [("crossing in mid-transfer", &crossing), ("used up from the start; path one cut", &third)];
            let panels = panels.map(|(title, trace)| trace.panel(title, Way::Download));
            report.picture(picture("Quota: 10 MB on path two, then 2 Mbit/s", panels.into()));
        }
    }
    judge(&mut report, &samples);
    Ok(report)
}

fn judge(report: &mut Report, samples: &[Vec<f64>; 5]) {
    for (name, unit, sample) in [
        ("used above the quota", "bytes", &samples[0]),
        ("used above the quota, killed half-way", "bytes", &samples[1]),
        ("above the rate, used up from the start", "bytes", &samples[2]),
        ("richest second of a lone subflow", "ratio", &samples[3]),
        ("lowest window", "ratio", &samples[4]),
    ] {
        report.cell(name, unit, sample);
    }
    let lowest = |sample: &[f64]| crate::stats::lowest(sample.iter().copied());
    report.figure("over_quota_bytes", median(&samples[0]));
    report.figure("over_quota_killed_bytes", highest(samples[1].iter().copied()));
    report
        .figure("least_over_quota_bytes", lowest(&samples[0]).into_iter().chain(lowest(&samples[1])).reduce(f64::min));
    report.figure("excess_when_used_up", median(&samples[2]));
    report.figure("lone_subflow_ratio", median(&samples[3]));
    report.figure("worst_window_ratio", median(&samples[4]));
    report.require_of_a_busy_machine("over_quota_bytes", Must::AtMost(OVER));
    report.require_of_a_busy_machine("over_quota_killed_bytes", Must::AtMost(OVER_KILLED));
    report.require("least_over_quota_bytes", Must::AtLeast(UNDER));
    report.require_of_a_busy_machine("excess_when_used_up", Must::AtMost(SEEN));
    report.require_of_a_busy_machine("lone_subflow_ratio", Must::AtMost(1.1));
    report.require_of_a_busy_machine("worst_window_ratio", Must::AtLeast(WINDOW));
}

/// What path two had carried when it was held; `None` when it never was.
fn used(trace: &Trace) -> Option<f64> {
    let settled =
        trace.frames(2, Way::Download).settled_over(HELD_WINDOW, Duration::ZERO, trace.end, mbit(RATE) * 1.1)?;
    #[allow(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    Some(trace.payload(2, Way::Download).bytes(Duration::ZERO, settled) as f64)
}

impl Trace {
    #[allow(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    fn payload_two(&self) -> f64 {
        self.payload(2, Way::Download).total() as f64
    }
}

/// Crosses the quota in mid-transfer; with the lowest window ÷ plain TCP.
fn crossing(stage: &Stage, free: f64) -> Result<(Trace, f64)> {
    let mut recording = stage.record()?;
    recording.flow(Family::V4, stage.spec(1, Family::V4, Way::Download))?;
    recording.wait_until(ms(6_000));
    let trace = recording.finish()?;
    let window = trace.total(Way::Download).poorest(ms(1_000), trace.end).unwrap_or(0.0) / free.max(1.0);
    Ok((trace, window))
}

/// Uses a part of it, and is killed.
fn first(stage: &Stage) -> Result<Trace> {
    let mut recording = stage.record()?;
    recording.flow(Family::V4, stage.spec(1, Family::V4, Way::Download))?;
    recording.wait_until(ms(1_300));
    stage.kill()?;
    recording.finish_without_proxy()
}

/// Uses the rest.
fn second(stage: &Stage) -> Result<Trace> {
    let mut recording = stage.record()?;
    recording.flow(Family::V4, stage.spec(1, Family::V4, Way::Download))?;
    recording.wait_until(ms(5_000));
    recording.finish()
}

const CUT: Duration = ms(2_500);

/// Begins with everything used, and loses the other path.
fn third(stage: &Stage) -> Result<Trace> {
    let mut recording = stage.record()?;
    recording.flow(Family::V4, stage.spec(1, Family::V4, Way::Download))?;
    recording.wait_until(CUT);
    recording.act("path one cut", |stage| stage.topology.cut(1, Cut::Silent));
    recording.wait_until(ms(6_000));
    recording.act("back", |stage| stage.topology.restore(1, Cut::Silent));
    recording.finish()
}
