//! Backup: a path carries nothing while another one can, everything at once when none can, and nothing again when one is back.

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
use crate::topology::{Builder, Cut, Family, Topology};

/// The experiment.
pub const EXPERIMENT: Experiment = Experiment {
    name: "backup",
    about: "a path carries nothing while another can, and all when none can",
    run: measure,
};

/// A backup's share of the payload, from one second on.
const SHARE: f64 = 0.01;
/// The lowest window ÷ plain TCP over the free path, until that path is cut.
const WINDOW: f64 = 0.9;
/// Until the backup carries when the free path is cut, and until it rests again when that carries again: TCP may take its time for that.
const TAKE_OVER_MS: f64 = 1_000.0;
const REST_MS: f64 = 2_000.0;

const HELD: Duration = ms(2_000);
const CUT: Duration = ms(4_500);
const BACK: Duration = ms(6_500);
const RELEASED: Duration = ms(9_500);
const END: Duration = ms(11_500);

/// What one run yielded.
#[derive(Debug)]
struct Run {
    window: f64,
    share: f64,
    take_over_ms: f64,
    rest_ms: f64,
    release_ms: f64,
}

fn links(delay: u64) -> Builder {
    let link = |name: &str| if delay > 0 { Link::new(name).mbit(40).delay_ms(delay) } else { Link::new(name).mbit(40) };
    Topology::builder().link(link("dsl")).link(link("lte"))
}

fn measure(options: &Options) -> Result<Report> {
    let rounds = options.rounds(5, 1);
    let mut report = Report::new("backup", json!({"rounds": rounds, "links": links(0).links()}));
    let cells = options.pick(
        &[(Way::Download, 0), (Way::Upload, 0), (Way::Download, 20), (Way::Upload, 20)][..],
        &[(Way::Download, 0), (Way::Upload, 20)][..],
    );
    let mut all: [Vec<f64>; 5] = Default::default();
    let mut panels = Vec::new();
    for &(way, delay) in cells {
        let name = format!("{way:?}, {delay} ms delay").to_lowercase();
        let stage = Stage::start(&Setting::new(links(delay)), options).with_context(|| name.clone())?;
        let mut runs: [Vec<f64>; 5] = Default::default();
        for number in 0..rounds {
            let free = plain_tcp(&stage, &[1], Family::V4, way)?.middle;
            let trace = run(&stage, way).with_context(|| name.clone())?;
            trace.tell(&mut report, &name);
            let run = judge(&trace, way, free);
            tell(&format!("  {number:>2} {name:<24} {run:.3?}"));
            let Run { window, share, take_over_ms, rest_ms, release_ms } = run;
            for (sample, value) in runs.iter_mut().zip([window, share, take_over_ms, rest_ms, release_ms]) {
                sample.push(value);
            }
            if number == 0 {
                let mut panel = trace.panel(&name, way);
                panel.levels.push((free / 1e6, "plain TCP over the free path".into()));
                panels.push(panel);
            }
        }
        let words = ["lowest window", "share of payload", "took over after", "rested after", "released after"];
        for (number, unit) in ["ratio", "ratio", "ms", "ms", "ms"].into_iter().enumerate() {
            report.cell(&format!("{name}: {}", words[number]), unit, &runs[number]);
            all[number].extend(median(&runs[number]));
        }
    }
    let [windows, shares, take_overs, rests, releases] = all;
    report.figure("worst_window_ratio", lowest(windows));
    report.figure("worst_share", highest(shares));
    report.figure("worst_take_over_ms", highest(take_overs));
    report.figure("worst_rest_ms", highest(rests));
    report.figure("release_ms", highest(releases));
    report.require_of_a_busy_machine("worst_window_ratio", Must::AtLeast(WINDOW));
    report.require_of_a_busy_machine("worst_share", Must::AtMost(SHARE));
    report.require_of_a_busy_machine("worst_take_over_ms", Must::AtMost(TAKE_OVER_MS));
    report.require_of_a_busy_machine("worst_rest_ms", Must::AtMost(REST_MS));
    report.require_of_a_busy_machine("release_ms", Must::AtMost(1_000.0));
    report.picture(picture("Backup: path two rests, takes over while path one is cut, and rests again", panels));
    Ok(report)
}

fn run(stage: &Stage, way: Way) -> Result<Trace> {
    let mut recording = stage.record()?;
    recording.flow(Family::V4, stage.spec(1, Family::V4, way))?;
    recording.wait_until(HELD);
    recording.act("backup", |stage| stage.apply(&policy(2, "backup", "")));
    recording.wait_until(CUT);
    recording.act("path one cut", |stage| stage.topology.cut(1, Cut::Silent));
    recording.wait_until(BACK);
    recording.act("back", |stage| stage.topology.restore(1, Cut::Silent));
    recording.wait_until(RELEASED);
    recording.act("policy clear", Stage::clear);
    recording.wait_until(END);
    recording.finish()
}

fn judge(trace: &Trace, way: Way, free: f64) -> Run {
    let (total, held) = (trace.total(way), trace.payload(2, way));
    let in_ms = |time: Option<Duration>, longest: Duration| time.unwrap_or(longest).as_secs_f64() * 1e3;
    let settled = HELD + ms(1_000);
    let full = total.middle(ms(1_000), HELD).unwrap_or(f64::INFINITY);
    let again = trace.payload(1, way).reached(BACK, RELEASED, free * 0.5);
    let carries = again.map_or(BACK, |time| BACK + time);
    Run {
        window: total.poorest(HELD, CUT).unwrap_or(0.0) / free.max(1.0),
        share: held.rate(settled, CUT) / total.rate(settled, CUT).max(1.0),
        take_over_ms: in_ms(held.reached(CUT, BACK, free * 0.9), BACK - CUT),
        rest_ms: in_ms(held.settled(carries, RELEASED, 0.4e6), RELEASED - carries),
        release_ms: in_ms(total.reached(RELEASED, trace.end, full * 0.95), trace.end.saturating_sub(RELEASED)),
    }
}
