//! The throttle: one path of a live, busy connection is held to a rate and let go, and the connection never carries less than one plain
//! TCP connection over the free path would.
//!
//! Invariant: what a round holds a connection against was measured in the same round on the same links.

mod cells;
mod figures;
mod play;

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;

use cells::{Cell, cells};
use figures::{Figures, Samples};
use play::{Lever, Times, play, reference};

use super::{Stage, Trace, ms, picture};
use crate::experiment::{Experiment, Options, tell};
use crate::report::{Must, Report};
use crate::stats::round;

/// The experiment.
pub const EXPERIMENT: Experiment = Experiment {
    name: "throttle",
    about: "a path is held to a rate and let go; no window below the free path",
    run: measure,
};

/// From when on a held path carries no more than 1.1 × its rate; and what its mean may be where nothing can be paced: a moment's let-in
/// there is as much as the scheduler gives it at once, up to a second's worth at 2 Mbit/s.
const SETTLE_MS: f64 = 1_000.0;
const MEAN: f64 = 1.1;
/// The lowest window of payload on the wire, of what was delivered, and the mean: ÷ plain TCP over the free path, ÷ the free path alone.
const WINDOW: f64 = 0.9;
const DELIVERY: f64 = 0.8;
const STEADY: f64 = 0.97;
/// Until the full sum is there again.
const RELEASE_MS: f64 = 1_000.0;

fn measure(options: &Options) -> Result<Report> {
    let rounds = options.rounds(5, 1);
    let times = options.pick(Times::FULL, Times::QUICK);
    let mut cells = cells(options);
    cells.retain(|cell| options.cell.is_none_or(|text| cell.name.contains(text)));
    let mut report = Report::new(
        "throttle",
        json!({"rounds": rounds, "cells": cells.iter().map(|cell| cell.name).collect::<Vec<_>>(),
               "held_at_ms": times.held.as_millis(), "released_at_ms": times.released.as_millis()}),
    );
    let (mut stages, mut samples): (Vec<Stage>, Vec<Samples>) = (Vec::new(), Vec::new());
    let mut pictured = None;
    for number in 0..rounds {
        for (at, cell) in cells.iter().enumerate() {
            if stages.len() == at {
                stages.push(Stage::start(&cell.setting, options).with_context(|| cell.name)?);
            }
            let free = reference(&stages[at], cell).with_context(|| format!("{}: the free path", cell.name))?;
            for &accepted in cell.accepted {
                let name = format!("{}, add_addr_accepted {accepted}", cell.name);
                stages[at].set_limits(2, accepted)?;
                let (trace, subflows) = play(&stages[at], cell, &times, Lever::Policy).with_context(|| name.clone())?;
                let figures = Figures::of(cell, &times, &free, &trace, subflows);
                tell(&format!("  {number:>2} {name:<48} {figures}"));
                blame(&mut report, &name, &trace, &figures);
                match samples.iter_mut().find(|samples| samples.name == name) {
                    Some(samples) => samples.push(&figures),
                    None => samples.push(Samples::new(name, &figures)),
                }
                if pictured.is_none() {
                    pictured = Some((trace, free));
                }
            }
        }
    }
    if let (Some((steered, free)), Some(stage)) = (pictured, stages.first()) {
        let (naive, _) = play(stage, &cells[0], &times, Lever::Naive)?;
        draw(&mut report, &cells[0], &steered, &naive, free.tcp);
        naively(&mut report, &cells[0], &times, &naive, &free);
    }
    let paced = stages.first().map_or(Ok(true), |stage| can_pace(stage, &cells[0]))?;
    judge(&mut report, &samples, paced);
    Ok(report)
}

/// Whether the proxy can pace sockets: a user namespace lets nobody load a BPF program.
fn can_pace(stage: &Stage, cell: &Cell) -> Result<bool> {
    // Without a policy nobody has tried.
    stage.apply(&cell.policies())?;
    let list = stage.policy(&["list"])?.stdout;
    stage.clear()?;
    Ok(!String::from_utf8_lossy(&list).contains("not possible here: pace"))
}

/// What cannot be excused by a busy machine.
fn blame(report: &mut Report, name: &str, trace: &Trace, figures: &Figures) {
    trace.tell(report, name);
    if figures.subflows.1 < figures.subflows.0 {
        report.fail(format!("{name}: {} subflows before, {} after", figures.subflows.0, figures.subflows.1));
    }
}

/// The worst cell's medians at the top, all of them in `cells`.
fn judge(report: &mut Report, samples: &[Samples], paced: bool) {
    for samples in samples {
        report.raw_cell(&samples.name, samples.json());
    }
    if !paced {
        report.note("nothing can be paced here: paths are let in for moments, and held to their rate as a mean");
    }
    let held = if paced { ("settle_ms", Must::AtMost(SETTLE_MS)) } else { ("held_mean_ratio", Must::AtMost(MEAN)) };
    for (figure, must) in [
        held,
        ("worst_window_ratio", Must::AtLeast(WINDOW)),
        ("worst_delivery_ratio", Must::AtLeast(DELIVERY)),
        ("steady_ratio", Must::AtLeast(STEADY)),
        ("release_ms", Must::AtMost(RELEASE_MS)),
    ] {
        let medians = samples.iter().filter_map(|samples| Some((samples.median(figure)?, samples.name.as_str())));
        let worst = match must {
            Must::AtLeast(_) => medians.min_by(|a, b| a.0.total_cmp(&b.0)),
            Must::AtMost(_) => medians.max_by(|a, b| a.0.total_cmp(&b.0)),
        };
        report.figure(figure, worst.map(|worst| worst.0));
        if let Some((value, name)) = worst {
            report.note(format!("worst {figure}: {} in {name}", round(value, 3)));
        }
        report.require_of_a_busy_machine(figure, must);
    }
}

fn draw(report: &mut Report, cell: &Cell, steered: &Trace, naive: &Trace, free: f64) {
    let panels = [("anabranch", steered), ("tc alone, the same change of rate", naive)].map(|(who, trace)| {
        let mut panel = trace.panel(&format!("{who}: {}", cell.name), cell.way);
        panel.levels.push((free / 1e6, "plain TCP over the free path".into()));
        panel
    });
    report.picture(picture("One path of a live download is held to a rate and let go", panels.into()));
}

/// What the same change of rate does by tc alone: told, and nothing is required of it.
fn naively(report: &mut Report, cell: &Cell, times: &Times, naive: &Trace, free: &play::Free) {
    let figures = Figures::of(cell, times, free, naive, (0, 0));
    report.figure("naive_worst_window_ratio", figures.worst_window);
    report.figure("naive_steady_ratio", figures.steady);
}

/// The span in which a connection is held, from when it must have settled.
fn settled(times: &Times, trace: &Trace) -> (Duration, Duration) {
    let at = |number: usize, otherwise| trace.marks.get(number).map_or(otherwise, |mark| mark.0);
    (at(0, times.held) + ms(1_000), at(1, times.released))
}

#[cfg(test)]
mod tests;
