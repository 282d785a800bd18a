//! Kill: kill -9 at any moment leaves nothing that lasts, a restart finds its way back to what a clean start gives, and a clean stop to
//! what was there before.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::json;

use super::dump::{Dump, held};
use super::policies::{limit, policy};
use super::{Setting, Stage, ms};
use crate::client::Way;
use crate::experiment::{Experiment, Options, tell};
use crate::link::Link;
use crate::plot::{Curve, Panel, Plot};
use crate::report::{Must, Report};
use crate::stats::highest;
use crate::topology::{Family, Topology};

/// The experiment.
pub const EXPERIMENT: Experiment = Experiment {
    name: "kill",
    about: "kill -9 leaves nothing that lasts; restart and stop leave what they should",
    run: measure,
};

/// The lease of what is held, and how much later it may be seen to have ended.
const LEASE: Duration = ms(2_000);
const LATE: Duration = ms(250);
/// The sysctl, and its older name.
const PATH_MANAGER: [&str; 2] = ["path_manager", "pm_type"];
/// Longer than any lease can be.
const PATIENCE: Duration = ms(12_000);

fn measure(options: &Options) -> Result<Report> {
    let moments = options.rounds(options.pick(50, 6), 3);
    let links = Topology::builder().link(Link::new("dsl").mbit(40)).link(Link::new("lte").mbit(40));
    let mut report =
        Report::new("kill", json!({"moments": moments, "lease_ms": LEASE.as_millis(), "links": links.links()}));
    let policies = limit(2, 2) + &policy(1, "limit", "rate = \"5 Mbit/s\"\nport = [9]\nsubflow = \"joined\"");
    let mut setting = Setting::new(links).with(policies);
    setting.steering = format!("lease = \"{} ms\"", LEASE.as_millis());
    let mut stage = Stage::start(&setting, options)?;
    let clean = settled(&stage)?;
    let (mut lifted, mut different, mut caught) = (Vec::new(), 0, 0);
    for moment in 0..moments {
        // Spread over connecting, joining, demoting, draining and holding.
        let at = ms(10 + (moment as u64 * 7_919) % 1_500);
        let mut recording = stage.record()?;
        recording.flow(Family::V4, stage.spec(1, Family::V4, Way::Download))?;
        recording.wait_until(at);
        if moment % 3 == 1 {
            recording.act("apply", |stage| stage.apply(&limit(1, 3)));
        }
        let killed = Instant::now();
        stage.kill()?;
        let before = held(&stage.topology.edge)?;
        caught += u32::from(before > 0);
        let took = wait_lifted(&stage, killed)?;
        drop(recording.finish_without_proxy()?);
        lifted.push(took.as_secs_f64() * 1e3);
        stage.restart().with_context(|| format!("after a kill at {at:?}"))?;
        let differences = clean.differences(&settled(&stage)?);
        different += usize::from(!differences.is_empty());
        for difference in differences.iter().take(6) {
            report.note(format!("killed at {at:?}, restarted: {difference}"));
        }
        tell(&format!(
            "  {moment:>2} killed at {at:>6.0?}: {before} held, lifted after {took:.0?}, {} differences",
            differences.len()
        ));
    }
    report.cell("lifted after", "ms", &lifted);
    report.figure("worst_lifted_ms", highest(lifted.iter().copied()));
    report.figure("moments", Some(f64::from(u32::try_from(moments)?)));
    report.figure("moments_with_something_held", Some(f64::from(caught)));
    report.figure("restarts_that_differ", Some(f64::from(u32::try_from(different)?)));
    leave(&mut report, &mut stage)?;
    report.require("worst_lifted_ms", Must::AtMost((LEASE + LATE).as_secs_f64() * 1e3));
    report.require("moments_with_something_held", Must::AtLeast(1.0));
    report.require("restarts_that_differ", Must::AtMost(0.0));
    draw(&mut report, &lifted);
    Ok(report)
}

/// What a clear, a stop and an end in mid-transfer leave.
fn leave(report: &mut Report, stage: &mut Stage) -> Result<()> {
    stage.stop(ms(10_000))?;
    let found = Dump::of(&stage.topology.edge)?;
    stage.restart()?;
    let mut recording = stage.record()?;
    recording.flow(Family::V4, stage.spec(1, Family::V4, Way::Download))?;
    recording.wait_until(ms(1_500));
    recording.act("clear", Stage::clear);
    let cleared = Dump::of(&stage.topology.edge)?;
    // A reload returns to what the configuration says, whatever was cleared or applied since.
    recording.act("reload", Stage::reload);
    let trace = recording.finish()?;
    for fault in trace.faults {
        report.fail(fault);
    }
    let ended = Instant::now();
    if wait_lifted(stage, ended)? > ms(1_000) {
        report.fail("a subflow that has ended was held a second later");
    }
    stage.stop(ms(10_000))?;
    let stopped = Dump::of(&stage.topology.edge)?;
    // A clear leaves the path manager as the configuration asked for it: userspace, whatever policies there are.
    let but_path_manager = |lines: Vec<String>| {
        lines.into_iter().filter(|line| !PATH_MANAGER.iter().any(|name| line.contains(name))).collect()
    };
    for (what, differences) in
        [("policy clear", but_path_manager(found.differences(&cleared))), ("a clean stop", found.differences(&stopped))]
    {
        for difference in &differences {
            report.note(format!("{what}: {difference}"));
        }
        if !differences.is_empty() {
            report.fail(format!("{what} leaves {} differences", differences.len()));
        }
    }
    // What was there before anabranch ever ran, on a namespace of the same make.
    let virgin =
        stage.topology.links().iter().fold(Topology::builder(), |builder, link| builder.link(link.clone())).build()?;
    let differences = Dump::of(&virgin.edge)?.differences(&found);
    for difference in &differences {
        report.note(format!("uninstalled: {difference}"));
    }
    if !differences.is_empty() {
        report.fail(format!("after the first stop {} things differ from before the first start", differences.len()));
    }
    Ok(())
}

/// The state once it no longer changes.
fn settled(stage: &Stage) -> Result<Dump> {
    let mut last = Dump::of(&stage.topology.edge)?;
    for _ in 0..20 {
        std::thread::sleep(ms(150));
        let now = Dump::of(&stage.topology.edge)?;
        if now == last {
            break;
        }
        last = now;
    }
    Ok(last)
}

/// Waits until no map holds a subflow any more.
fn wait_lifted(stage: &Stage, killed: Instant) -> Result<Duration> {
    while held(&stage.topology.edge)? > 0 && killed.elapsed() < PATIENCE {
        std::thread::sleep(ms(20));
    }
    Ok(killed.elapsed())
}

#[allow(clippy::cast_precision_loss, reason = "a handful")]
fn draw(report: &mut Report, lifted: &[f64]) {
    let points = lifted.iter().enumerate().map(|(number, ms)| (number as f64, *ms)).collect();
    let panel = Panel {
        title: "until nothing was held any more, without a restart".into(),
        y: "ms after kill -9".into(),
        curves: vec![Curve::new("lifted", points)],
        levels: vec![(LEASE.as_secs_f64() * 1e3, "lease".into())],
        ..Panel::default()
    };
    report.picture(
        Plot { title: "Killed at random moments".into(), x: "kill".into(), panels: vec![panel], ..Plot::default() }
            .svg(),
    );
}
