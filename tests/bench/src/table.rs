//! The table: median, range and count of every figure, and ratios of figures of the same round.
//!
//! What lives here: pure arithmetic over what was measured, and the text, JSON and picture of it. Called by the binary.
//! Invariant: a ratio compares two figures of one round, and the median of those is told; a round in which either is missing is no
//! part of it. Where less is better, a ratio below 1 is good, else one above.

mod text;

use anabranch_lab::plot::{Curve, Panel, Plot};
use anabranch_lab::stats::{highest, lowest, median};
use serde::Serialize;

use crate::run::{Measured, Options, Outcome, Taking};
use crate::sample::{Better, Metric};
use anabranch_lab::peer::PEERS;

/// Whose name stands for us, for the direct connection, and for the better of HAProxy's configurations.
const OURS: &str = "anabranch";
const DIRECT: &str = "direct";
const HAPROXY: &str = "haproxy";

/// All that is told.
#[derive(Debug, Clone, Serialize)]
pub struct Table {
    /// The kernel's release.
    pub kernel: String,
    /// The machine's cores.
    pub cores: usize,
    /// Rounds asked for.
    pub rounds: usize,
    /// Whether this was a trial.
    pub quick: bool,
    /// The bound on send buffers, if it is not the kernel's.
    pub send_buffer: Option<u64>,
    /// Threads of whoever can have several, where it is not as many as cores.
    pub threads: Option<usize>,
    /// Who took part, and who did not.
    pub peers: Vec<Taking>,
    /// What was measured.
    pub scenarios: Vec<Part>,
}

/// A scenario's part.
#[derive(Debug, Clone, Serialize)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// Its figures.
    pub figures: Vec<Figure>,
    /// Who had no part in it, and why.
    pub excluded: Vec<(&'static str, String)>,
    /// What began before the machine was calm, with peer and round.
    pub unsettled: Vec<String>,
    /// What went wrong, with peer and round.
    pub failures: Vec<String>,
}

/// One figure of all peers.
#[derive(Debug, Clone, Serialize)]
pub struct Figure {
    /// What it is.
    #[serde(flatten)]
    pub metric: Metric,
    /// The best of those that somebody could use instead.
    pub best_peer: Option<String>,
    /// One a peer.
    pub rows: Vec<Row>,
}

/// One figure of one peer.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// Whose.
    pub peer: String,
    /// The middle value.
    pub median: Option<f64>,
    /// The lowest.
    pub min: Option<f64>,
    /// The highest.
    pub max: Option<f64>,
    /// How many.
    pub n: usize,
    /// To the direct connection's.
    pub to_direct: Option<f64>,
    /// To the best peer's.
    pub to_best: Option<f64>,
    /// Ours to this one.
    pub ours_to_this: Option<f64>,
    /// By round.
    pub values: Vec<Option<f64>>,
}

/// A peer's values by round.
type Values = Vec<Option<f64>>;

/// Makes it of what was measured.
pub fn of(outcome: &Outcome, options: &Options) -> Table {
    let parts = outcome.scenarios.iter().enumerate().map(|(number, scenario)| {
        let runs: Vec<_> = outcome.measured.iter().filter(|run| run.scenario == number).collect();
        let excluded = outcome.excluded.iter().filter(|(name, ..)| *name == scenario.name);
        Part {
            name: scenario.name.clone(),
            figures: scenario.metrics.iter().map(|metric| figure(metric, &runs, options.rounds)).collect(),
            excluded: excluded.map(|(_, peer, why)| (*peer, why.clone())).collect(),
            unsettled: outcome
                .unsettled
                .iter()
                .filter(|(at, ..)| *at == number)
                .map(|(_, peer, round, words)| format!("{peer}, round {}: {words}", round + 1))
                .collect(),
            failures: runs
                .iter()
                .filter_map(|run| {
                    Some(format!("{}, round {}: {}", run.peer, run.round + 1, run.result.as_ref().err()?))
                })
                .collect(),
        }
    });
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    Table {
        kernel: kernel.trim().to_owned(),
        cores: std::thread::available_parallelism().map_or(0, usize::from),
        rounds: options.rounds,
        quick: options.quick,
        send_buffer: options.send_buffer,
        threads: options.threads,
        peers: outcome.taking.clone(),
        scenarios: parts.collect(),
    }
}

fn figure(metric: &Metric, runs: &[&Measured], rounds: usize) -> Figure {
    let mut all: Vec<(String, Values)> = Vec::new();
    for peer in PEERS {
        let mine: Vec<_> = runs.iter().filter(|run| run.peer == peer.name).collect();
        let mut values = vec![None; rounds];
        for run in &mine {
            values[run.round] = run.result.as_ref().ok().and_then(|sample| sample.get(metric.name).copied());
        }
        if values.iter().any(Option::is_some) {
            all.push((peer.name.to_owned(), values));
        }
    }
    let rival = |name: &str| PEERS.iter().any(|peer| peer.name == name && peer.is_rival());
    let best = best_of(metric.better, all.iter().filter(|(name, _)| rival(name)));
    // Tuned one way or the other, it is one program: each figure counts the better.
    let haproxy: Vec<_> = all.iter().filter(|(name, _)| name.starts_with(HAPROXY)).collect();
    if haproxy.len() > 1
        && let Some((name, values)) = best_of(metric.better, haproxy)
    {
        let row = (format!("{HAPROXY}: {}", name.trim_start_matches("haproxy-")), values);
        let at = all.iter().position(|(name, _)| name.starts_with(HAPROXY)).unwrap_or(0);
        all.insert(at, row);
    }
    let called = |wanted: &str| all.iter().find(|(name, _)| name == wanted).map(|(_, values)| values.clone());
    let (direct, ours) = (called(DIRECT), called(OURS));
    let row = |(peer, values): &(String, Values)| {
        let present: Vec<f64> = values.iter().flatten().copied().collect();
        Row {
            peer: peer.clone(),
            median: median(&present),
            min: lowest(present.iter().copied()),
            max: highest(present.iter().copied()),
            n: present.len(),
            to_direct: direct.as_ref().and_then(|direct| ratio(values, direct)),
            to_best: best.as_ref().and_then(|(_, best)| ratio(values, best)),
            ours_to_this: ours.as_ref().and_then(|ours| ratio(ours, values)),
            values: values.clone(),
        }
    };
    Figure {
        metric: *metric,
        best_peer: best.as_ref().map(|(name, _)| name.clone()),
        rows: all.iter().map(row).collect(),
    }
}

/// Whose median is the best.
fn best_of<'a>(better: Better, all: impl IntoIterator<Item = &'a (String, Values)>) -> Option<(String, Values)> {
    let middle = |values: &Values| median(&values.iter().flatten().copied().collect::<Vec<_>>());
    let ranked = all.into_iter().filter_map(|entry| Some((middle(&entry.1)?, entry)));
    let best = ranked.min_by(|(a, _), (b, _)| match better {
        Better::Less => a.total_cmp(b),
        Better::More => b.total_cmp(a),
    });
    best.map(|(_, entry)| entry.clone())
}

/// The median of the ratios of rounds that both have; what is measured against nothing has none.
fn ratio(values: &Values, base: &Values) -> Option<f64> {
    let pairs = values.iter().zip(base).filter_map(|(value, base)| Some(((*value)?, (*base)?)));
    median(&pairs.filter(|(_, base)| *base > 0.0).map(|(value, base)| value / base).collect::<Vec<_>>())
}

impl Table {
    /// Whether nothing of ours was measured.
    pub fn is_empty(&self) -> bool {
        let figures = self.scenarios.iter().flat_map(|part| &part.figures);
        !figures.flat_map(|figure| &figure.rows).any(|row| row.peer.starts_with(OURS))
    }

    /// A picture: a panel a scenario, its first figure round by round. What lies apart lies apart in every round.
    pub fn plot(&self) -> Plot {
        let panels = self.scenarios.iter().filter_map(|part| {
            let figure = part.figures.first()?;
            let curve = |row: &Row| {
                let points =
                    (1_u32..).zip(&row.values).filter_map(|(round, value)| Some((f64::from(round), (*value)?)));
                let curve = Curve::new(row.peer.clone(), points.collect());
                if row.peer == DIRECT { curve.broken() } else { curve }
            };
            let rows = figure.rows.iter().filter(|row| !row.peer.contains(':'));
            let Metric { name, unit, .. } = figure.metric;
            let title = format!("{}: {name}", part.name);
            Some(Panel { title, y: unit.to_owned(), curves: rows.map(curve).collect(), ..Panel::default() })
        });
        Plot {
            title: "anabranch and others, the same rounds".into(),
            x: "round".into(),
            panels: panels.collect(),
            ..Plot::default()
        }
    }
}

#[cfg(test)]
mod tests;
