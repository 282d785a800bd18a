//! Do no harm: whatever policies come and go while paths fail and recover, a connection carries what the best path that works would.
//!
//! Every seed is a run of its own: its steps, its policies, its cuts. The kernel's own recovery from a cut takes a second, or three: a seed
//! that falls short is played again, with policies and without in turn. What the kernel alone does no better is not ours: a seed is harmed
//! if its median falls short, and it falls short more often than without policies by more than chance explains. Invariant: never are both
//! paths cut.

mod plan;

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;

use plan::{Plan, Step, What};

use super::policies::policy;
use super::{Setting, Stage, Trace, ms, picture, plain_tcp};
use crate::client::Way;
use crate::experiment::{Experiment, Options, tell};
use crate::link::Link;
use crate::report::{Must, Report};
use crate::series::WINDOW;
use crate::stats::{lowest, median};
use crate::topology::{Family, Topology};

/// The experiment.
pub const EXPERIMENT: Experiment = Experiment {
    name: "do-no-harm",
    about: "random policies, failures and recoveries: never below the best path that works",
    run: measure,
};

/// The best single path, less so much.
const LEAST: f64 = 0.9;
/// So long after a path was cut, the cut itself is felt.
const FELT: Duration = ms(1_500);
/// So often a seed that falls short is played again, with policies and without; and so often if that does not decide it.
const AGAIN: [usize; 2] = [3, 9];
/// What goes unthrottled is carried as without a throttle.
const UNTHROTTLED: f64 = 0.97;
/// One-way delays of the worlds, in milliseconds.
const DELAYS: [u64; 3] = [0, 10, 20];

/// How a seed ended.
struct Harm {
    /// The lowest window that counts ÷ plain TCP over one path.
    ratio: f64,
    /// When it began.
    at: Duration,
}

/// What becomes of a seed that fell short once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// Its median does not.
    Once,
    /// It does so without policies too, as far as so many plays can tell.
    Alone,
    /// Policies make it do so.
    Harmed,
}

impl Verdict {
    /// By as many plays with policies as without: two standard deviations are more than chance.
    #[allow(clippy::cast_precision_loss, reason = "a few plays")]
    fn of(with: &[f64], without: &[f64]) -> Self {
        let short = |plays: &[f64]| plays.iter().filter(|ratio| **ratio < LEAST).count() as f64;
        let (ours, others, plays) = (short(with), short(without), with.len() as f64);
        let share = (ours + others) / (2.0 * plays);
        if median(with).unwrap_or(0.0) >= LEAST {
            Self::Once
        } else if ours - others > 2.0 * (2.0 * plays * share * (1.0 - share)).sqrt() {
            Self::Harmed
        } else {
            Self::Alone
        }
    }
}

fn measure(options: &Options) -> Result<Report> {
    // `--cell 8`: that seed alone. Then nothing is said of how many were steered.
    let only = options.cell.map(str::parse::<usize>).transpose().context("a cell is a seed here, such as 8")?;
    let seeds = only.map_or_else(|| options.rounds(options.pick(100, 12), 3), |seed| seed + 1);
    let mut report = Report::new("do-no-harm", json!({"seeds": seeds, "delays_ms": DELAYS, "link_mbit": 40}));
    let (mut stages, mut worst) = (Vec::new(), Vec::new());
    let (mut harmed, mut alone, mut once, mut steered) = (0, 0, 0, 0);
    for seed in 0..seeds {
        let world = seed % DELAYS.len();
        if stages.len() == world {
            let stage = stage(DELAYS[world], options)?;
            let free = plain_tcp(&stage, &[1], Family::V4, Way::Download)?.middle;
            stages.push((stage, free));
        }
        if only.is_some_and(|only| only != seed) {
            continue;
        }
        let (stage, free) = &stages[world];
        let plan = Plan::of(seed as u64);
        let trace = play(stage, &plan, true).with_context(|| format!("seed {seed}"))?;
        trace.tell(&mut report, &format!("seed {seed}"));
        let harm = judge(&plan, &trace, *free);
        let seen = is_steered(&plan, &trace, *free);
        steered += u32::from(seen);
        tell(&format!(
            "  {seed:>3} {} ms delay: lowest window {:.3} at {:?}, {}; {plan}",
            DELAYS[world],
            harm.ratio,
            harm.at,
            if seen { "seen steered" } else { "not seen steered" }
        ));
        let mut ratio = harm.ratio;
        if harm.ratio < LEAST {
            let (mut with, mut without) = (Vec::new(), Vec::new());
            let mut verdict = Verdict::Alone;
            for plays in AGAIN {
                while with.len() < plays {
                    without.push(judge(&plan, &play(stage, &plan, false)?, *free).ratio);
                    with.push(judge(&plan, &play(stage, &plan, true)?, *free).ratio);
                }
                verdict = Verdict::of(&with, &without);
                if verdict != Verdict::Alone {
                    break;
                }
            }
            ratio = median(&with).unwrap_or(0.0);
            let words = format!(
                "seed {seed}, {} ms delay: {:.3} at {:?}; again {with:.3?}, without policies {without:.3?}; {plan}",
                DELAYS[world], harm.ratio, harm.at
            );
            tell(&format!("      {words}"));
            match verdict {
                Verdict::Once => {
                    once += 1;
                    report.note(format!("not again: {words}"));
                }
                Verdict::Alone => {
                    alone += 1;
                    report.note(format!("no better without policies: {words}"));
                }
                Verdict::Harmed => {
                    harmed += 1;
                    report.note(words);
                    draw(&mut report, seed, &trace, *free);
                }
            }
        }
        worst.push(ratio);
        if report.picture.is_none() && (seed + 1 == seeds || only.is_some()) {
            draw(&mut report, seed, &trace, *free);
        }
    }
    report.cell("lowest window of a seed", "ratio", &worst);
    report.figure("seeds", Some(f64::from(u32::try_from(seeds)?)));
    report.figure("seeds_harmed", Some(f64::from(harmed)));
    report.figure("seeds_no_better_without_policies", Some(f64::from(alone)));
    report.figure("seeds_short_once_and_not_again", Some(f64::from(once)));
    report.figure("seeds_seen_steered", Some(f64::from(steered)));
    report.figure("worst_window_ratio", lowest(worst));
    drop(stages);
    unthrottled(&mut report, options)?;
    // Who does nothing does no harm: that something was done must be seen. Of a quick run's three seeds two leave 0.4 s or less between a
    // policy that can be seen and a cut.
    if only.is_none() {
        report.require_of_a_busy_machine("seeds_seen_steered", Must::AtLeast(f64::from(u32::try_from(seeds / 3)?)));
    }
    report.require_of_a_busy_machine("seeds_harmed", Must::AtMost(0.0));
    report.require_of_a_busy_machine("unthrottled_on_off_ratio", Must::AtLeast(UNTHROTTLED));
    Ok(report)
}

fn stage(delay: u64, options: &Options) -> Result<Stage> {
    let link = |name: &str| if delay > 0 { Link::new(name).mbit(40).delay_ms(delay) } else { Link::new(name).mbit(40) };
    Stage::start(&Setting::new(Topology::builder().link(link("dsl")).link(link("lte"))), options)
}

fn draw(report: &mut Report, seed: usize, trace: &Trace, free: f64) {
    let mut panel = trace.panel(&format!("seed {seed}"), Way::Download);
    panel.levels.push((free / 1e6, "plain TCP over one path".into()));
    report.picture(picture("Random policies, cuts and recoveries", vec![panel]));
}

/// Plays a plan, with its policies or without.
fn play(stage: &Stage, plan: &Plan, policies: bool) -> Result<Trace> {
    let mut recording = stage.record()?;
    recording.flow(Family::V4, stage.spec(1, Family::V4, Way::Download))?;
    let mut open = None;
    for Step { at, what } in &plan.steps {
        recording.wait_until(*at);
        match what {
            What::Apply(words, text) if policies => drop(recording.act(words, |stage| stage.apply(text))),
            What::Clear if policies => drop(recording.act("clear", Stage::clear)),
            What::Apply(..) | What::Clear => {}
            What::Cut(link, cut) => {
                open = Some((*link, *cut));
                recording.act(&format!("cut {link}"), |stage| stage.topology.cut(*link, *cut));
            }
            What::Restore(link, cut) => {
                open = None;
                recording.act(&format!("back {link}"), |stage| stage.topology.restore(*link, *cut));
            }
        }
    }
    recording.wait_until(plan.end);
    let trace = recording.finish();
    if let Some((link, cut)) = open {
        stage.topology.restore(link, cut)?;
    }
    if policies {
        stage.clear()?;
    }
    trace
}

/// The lowest window that no cut explains.
fn judge(plan: &Plan, trace: &Trace, free: f64) -> Harm {
    let cuts = |step: &Step| matches!(step.what, What::Cut(..)).then_some(step.at);
    let cuts: Vec<Duration> = plan.steps.iter().filter_map(cuts).collect();
    let explained = |at: Duration| cuts.iter().any(|&cut| at + WINDOW > cut && at < cut + FELT);
    // Slow start is over a second after the beginning.
    let windows = trace.total(Way::Download).windows(ms(1_000), trace.end);
    let counted = windows.into_iter().filter(|&(at, _)| !explained(at));
    let worst = counted.min_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or((Duration::ZERO, f64::INFINITY));
    Harm { ratio: worst.1 / free.max(1.0), at: worst.0 }
}

/// Whether a path was held before any was cut.
fn is_steered(plan: &Plan, trace: &Trace, free: f64) -> bool {
    let first = |wanted: fn(&What) -> bool| plan.steps.iter().find(|step| wanted(&step.what)).map(|step| step.at);
    let from = first(|what| matches!(what, What::Apply(..))).unwrap_or(trace.end);
    let to = first(|what| matches!(what, What::Cut(..))).unwrap_or(trace.end);
    let poorest = (1..).zip(&trace.paths).filter_map(|(link, _)| trace.payload(link, Way::Download).poorest(from, to));
    lowest(poorest).is_some_and(|rate| rate < free / 2.0)
}

/// Connections that no policy selects, beside policies that are in force and beside none.
fn unthrottled(report: &mut Report, options: &Options) -> Result<()> {
    let links = Topology::builder().link(Link::new("dsl").mbit(200)).link(Link::new("lte").mbit(200));
    // It holds a rate of subflows to come, so that everything that can cost is there.
    let idle = policy(2, "limit", "rate = \"2 Mbit/s\"\ndestination = [\"10.201.0.0/24\"]");
    let on = Stage::start(&Setting::new(links.clone()).with(idle), options)?;
    let mut off = Setting::new(links);
    off.steering = "mode = \"observe\"".into();
    let off = Stage::start(&off, options)?;
    let rate = |stage: &Stage| -> Result<f64> {
        let mut recording = stage.record()?;
        recording.flow(Family::V4, stage.spec(1, Family::V4, Way::Download))?;
        recording.wait_until(ms(3_000));
        Ok(recording.finish()?.delivered().rate(ms(500), ms(3_000)))
    };
    let (mut ons, mut offs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..options.pick(7, 3) {
        // Who comes first changes, so that what else the machine does falls on both.
        let first = if round % 2 == 0 { None } else { Some(rate(&off)?) };
        let with = rate(&on)?;
        let without = first.map_or_else(|| rate(&off), Ok)?;
        ons.push(with / 1e6);
        offs.push(without / 1e6);
        ratios.push(with / without.max(1.0));
    }
    report.cell("unthrottled, policies in force", "Mbit/s", &ons);
    report.cell("unthrottled, none", "Mbit/s", &offs);
    report.figure("unthrottled_on_off_ratio", median(&ratios));
    Ok(())
}

#[cfg(test)]
mod tests;
