//! Schedule: policies come and go at the minute they name, in the zone they name.
//!
//! Invariant: both edges are seen: of two policies, one ends and the other begins at the same minute.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use serde_json::json;

use super::policies::name;
use super::{Setting, Stage, ms, picture, plain_tcp};
use crate::client::Way;
use crate::experiment::{Experiment, Options, tell};
use crate::link::Link;
use crate::report::{Must, Report};
use crate::stats::highest;
use crate::topology::{Family, Topology};

/// The experiment.
pub const EXPERIMENT: Experiment =
    Experiment { name: "schedule", about: "policies come and go at the minute they name", run: measure };

/// Zones without summer time, and how far they are ahead of UTC, in minutes.
const ZONES: [(&str, u64); 2] = [("Asia/Tokyo", 9 * 60), ("UTC", 0)];
/// A backup is at rest from one second on.
const SETTLE_MS: f64 = 1_000.0;
const WINDOW: f64 = 0.9;
/// What is recorded before and after the minute.
const BEFORE: Duration = ms(4_000);
const AFTER: Duration = ms(4_000);

fn measure(options: &Options) -> Result<Report> {
    let links = Topology::builder().link(Link::new("dsl").mbit(40)).link(Link::new("lte").mbit(40));
    let mut report = Report::new("schedule", json!({"zones": ZONES.map(|zone| zone.0), "links": links.links()}));
    let stage = Stage::start(&Setting::new(links), options)?;
    let (mut ended, mut begun, mut windows, mut panels) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for &(zone, ahead) in &ZONES[..options.pick(2, 1)] {
        let free = plain_tcp(&stage, &[1], Family::V4, Way::Download)?.middle;
        // The next minute for which there is time to start.
        let minute = (now()? + BEFORE + ms(1_500)).as_secs() / 60 + 1;
        stage.apply(&policies(zone, minute + ahead))?;
        tell(&format!("  {zone}: waiting for the minute {}", clock(minute + ahead)));
        let edge = Duration::from_secs(minute * 60);
        std::thread::sleep((edge - BEFORE).saturating_sub(now()?));
        let mut recording = stage.record()?;
        let at = recording.clock.at(edge);
        recording.flow(Family::V4, stage.spec(1, Family::V4, Way::Download))?;
        recording.wait_until(at);
        recording.mark(format!("{} in {zone}", clock(minute + ahead)));
        recording.wait_until(at + AFTER);
        let trace = recording.finish()?;
        stage.clear()?;
        trace.tell(&mut report, zone);
        let (one, two) = (trace.payload(1, Way::Download), trace.payload(2, Way::Download));
        // Before the minute path two rests, afterwards path one.
        if two.richest(ms(1_500), at).is_none_or(|rate| rate > 0.4e6) {
            report.fail(format!("{zone}: path two carried {:?} bit/s before the minute", two.richest(ms(1_500), at)));
        }
        let settle = one.settled(at, trace.end, 0.4e6).unwrap_or(AFTER).as_secs_f64() * 1e3;
        let open = two.reached(at, trace.end, free * 0.9).unwrap_or(AFTER).as_secs_f64() * 1e3;
        let window = trace.total(Way::Download).poorest(at - ms(1_000), trace.end).unwrap_or(0.0) / free.max(1.0);
        tell(&format!(
            "  {zone}: path two open after {open:.0} ms, path one at rest after {settle:.0} ms, window {window:.3}"
        ));
        report.cell(&format!("{zone}: ended after"), "ms", &[open]);
        report.cell(&format!("{zone}: begun after"), "ms", &[settle]);
        ended.push(open);
        begun.push(settle);
        windows.push(window);
        panels.push(trace.panel(zone, Way::Download));
    }
    report.figure("worst_ended_ms", highest(ended));
    report.figure("worst_begun_ms", highest(begun));
    report.figure("worst_window_ratio", crate::stats::lowest(windows));
    report.require_of_a_busy_machine("worst_ended_ms", Must::AtMost(SETTLE_MS));
    report.require_of_a_busy_machine("worst_begun_ms", Must::AtMost(SETTLE_MS));
    report.require_of_a_busy_machine("worst_window_ratio", Must::AtLeast(WINDOW));
    report.picture(picture("Schedule: at the minute, path two is no longer a backup and path one is", panels));
    Ok(report)
}

fn now() -> Result<Duration> {
    SystemTime::now().duration_since(UNIX_EPOCH).context("a clock before 1970")
}

/// The time of day of a minute since the Unix epoch.
fn clock(minute: u64) -> String {
    format!("{:02}:{:02}", minute / 60 % 24, minute % 60)
}

/// Until the minute path two is a backup, from it on path one.
fn policies(zone: &str, minute: u64) -> String {
    let one = |what: &str, path: u8, from: u64, to: u64| {
        format!(
            "[[policy]]\nname = \"{what}\"\npath = \"{}\"\naction = \"backup\"\nwhen = [\"{}-{}\"]\nzone = \"{zone}\"\n",
            name(path),
            clock(from),
            clock(to)
        )
    };
    one("until then", 2, minute - 3, minute) + &one("from then on", 1, minute, minute + 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_policies_meet_at_the_minute_and_midnight_is_no_edge() {
        let text = policies("UTC", 24 * 60 * 3);
        assert!(text.contains("when = [\"23:57-00:00\"]") && text.contains("when = [\"00:00-00:03\"]"), "{text}");
        assert_eq!(clock(61), "01:01");
    }
}
