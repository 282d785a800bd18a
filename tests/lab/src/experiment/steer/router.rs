//! Router: connections that merely pass are steered by what the wire alone tells of them.
//!
//! Invariant: the connections end at the client and the origin; the edge has no proxy and no socket of theirs.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::dump::{Dump, held};
use super::policies::policy;
use super::{HELD_WINDOW, Setting, Stage, Trace, mbit, ms, picture, plain_tcp};
use crate::client::Way;
use crate::experiment::{Experiment, Options, tell};
use crate::link::Link;
use crate::report::{Must, Report};
use crate::stats::{highest, lowest, median};
use crate::topology::{Builder, Family, Topology};

/// The experiment.
pub const EXPERIMENT: Experiment = Experiment {
    name: "router",
    about: "connections that merely pass: joins refused, subflows capped by no more than half",
    run: measure,
};

/// The lowest window of what is steered ÷ plain TCP over the free path.
const WINDOW: f64 = 0.9;
/// What steers leaves a subflow so much of what it carried.
const LEFT: f64 = 0.45;
/// And takes away something.
const TAKEN: f64 = 0.65;
/// A contract's rate may be exceeded by a tenth.
const EXCEEDED: f64 = 1.1;
/// The rate of the policies, in Mbit/s.
const RATE: u64 = 2;

const HELD: Duration = ms(2_500);
const RELEASED: Duration = ms(5_500);
const END: Duration = ms(7_000);

fn links() -> Builder {
    Topology::builder().link(Link::new("dsl").mbit(40)).link(Link::new("lte").mbit(40))
}

fn measure(options: &Options) -> Result<Report> {
    let rounds = options.rounds(5, 1);
    let mut report = Report::new("router", json!({"rounds": rounds, "rate_mbit": RATE, "links": links().links()}));
    let stage = Stage::start(&Setting::router(links()), options)?;
    let clean = Dump::of(&stage.topology.edge)?;
    let families = options.pick(&[Family::V4, Family::V6][..], &[Family::V4][..]);
    let (mut joins, mut panels) = (0, Vec::new());
    let (mut left, mut taken, mut lows, mut exceeded) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for &family in families {
        let mut cells = [Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new()];
        for number in 0..rounds {
            let free = plain_tcp(&stage, &[1], family, Way::Download)?.middle.max(1.0);
            let closed = close(&stage, family)?;
            joins += closed.payload(2, Way::Download).total();
            cells[0].push(closed.total(Way::Download).poorest(ms(1_200), closed.end).unwrap_or(0.0) / free);

            let (steered, _) = limit(&stage, family, "")?;
            let path = steered.payload(2, Way::Download);
            cells[1].push(path.rate(HELD + ms(1_000), RELEASED) / path.rate(ms(1_200), HELD).max(1.0));
            cells[2].push(steered.total(Way::Download).poorest(ms(1_200), steered.end).unwrap_or(0.0) / free);

            let (contract, words) = limit(&stage, family, "enforce = \"always\"")?;
            let frames = contract.frames(2, Way::Download);
            let most = frames.richest_over(HELD_WINDOW, HELD + ms(1_000), RELEASED).unwrap_or(f64::INFINITY);
            cells[3].push(most / mbit(RATE));
            if !words.contains("a contract: enforced whatever it costs") || !words.contains("holds up") {
                report.fail(format!("explain does not state what the contract costs: {words}"));
            }

            let early = early(&stage, family)?;
            cells[4].push(early.total(Way::Download).poorest(ms(1_200), early.end).unwrap_or(0.0) / free);
            tell(&format!(
                "  {number:>2} {family:?}: closed {:.3}, steered {:.3} of the path left, lowest window {:.3}, from the start {:.3}, \
                 contract {:.3} of its rate",
                cells[0][number], cells[1][number], cells[2][number], cells[4][number], cells[3][number]
            ));
            for (what, trace) in
                [("close", closed), ("limit", steered), ("limit from the start", early), ("contract", contract)]
            {
                trace.tell(&mut report, &format!("{what}, {family:?}"));
                if number == 0 && family == Family::V4 {
                    panels.push(trace.panel(what, Way::Download));
                }
            }
        }
        let names = [
            "close: lowest window",
            "limit: left of the path",
            "limit: lowest window",
            "contract: of its rate",
            "limit from the start: lowest window",
        ];
        for (name, cell) in names.iter().zip(&cells) {
            report.cell(&format!("{name}, {family:?}"), "ratio", cell);
        }
        lows.extend([&cells[0], &cells[2], &cells[4]].map(|cell| median(cell)).into_iter().flatten());
        left.extend(median(&cells[1]));
        taken.extend(median(&cells[1]));
        exceeded.extend(median(&cells[3]));
    }
    #[allow(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    report.figure("joins_refused_bytes", Some(joins as f64));
    report.figure("least_left_ratio", lowest(left));
    report.figure("most_left_ratio", highest(taken));
    report.figure("worst_window_ratio", lowest(lows));
    report.figure("contract_rate_ratio", highest(exceeded));
    report.require("joins_refused_bytes", Must::AtMost(0.0));
    report.require_of_a_busy_machine("least_left_ratio", Must::AtLeast(LEFT));
    report.require_of_a_busy_machine("most_left_ratio", Must::AtMost(TAKEN));
    report.require_of_a_busy_machine("worst_window_ratio", Must::AtLeast(WINDOW));
    report.require_of_a_busy_machine("contract_rate_ratio", Must::AtMost(EXCEEDED));
    for difference in clean.differences(&Dump::of(&stage.topology.edge)?) {
        report.fail(format!("policy clear leaves: {difference}"));
    }
    report.picture(picture("A router: path two is closed, limited, and limited by contract", panels));
    Ok(report)
}

/// A connection that comes while path two is closed.
fn close(stage: &Stage, family: Family) -> Result<Trace> {
    let mut recording = stage.record()?;
    recording.act("close", |stage| stage.apply(&policy(2, "close", "")));
    recording.flow(family, stage.spec(1, family, Way::Download))?;
    recording.wait_until(ms(3_000));
    recording.act("policy clear", Stage::clear);
    recording.finish()
}

/// A connection that comes while path two is held to a rate.
fn early(stage: &Stage, family: Family) -> Result<Trace> {
    let mut recording = stage.record()?;
    recording.act("limit", |stage| stage.apply(&policy(2, "limit", &format!("rate = \"{RATE} Mbit/s\""))));
    recording.flow(family, stage.spec(1, family, Way::Download))?;
    recording.wait_until(ms(5_000));
    recording.act("policy clear", Stage::clear);
    recording.finish()
}

/// A connection whose path two is held to a rate and let go; and what is said of it meanwhile.
fn limit(stage: &Stage, family: Family, keys: &str) -> Result<(Trace, String)> {
    let limit = policy(2, "limit", &format!("rate = \"{RATE} Mbit/s\"\n{keys}"));
    let mut recording = stage.record()?;
    recording.flow(family, stage.spec(1, family, Way::Download))?;
    recording.wait_until(HELD);
    recording.act("limit", |stage| stage.apply(&limit));
    recording.wait_until(RELEASED - ms(200));
    let client = stage.topology.client_address(2, family).to_string();
    let output = stage.policy(&["explain", &client])?;
    let words = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(held(&stage.topology.edge)? > 0, "nothing is held:\n{words}");
    recording.wait_until(RELEASED);
    recording.act("policy clear", Stage::clear);
    recording.wait_until(END);
    Ok((recording.finish().context("the limit")?, words))
}
