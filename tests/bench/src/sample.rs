//! What one run of a scenario yields, and what its figures mean.
//!
//! Called by the scenarios and the table. Invariant: a figure that could not be had is absent, never zero.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde::Serialize;

use anabranch_lab::peer::Tree;

/// Which way a figure is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Better {
    /// The less.
    Less,
    /// The more.
    More,
}

/// A figure's name, unit and sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// Which way it is better.
    pub better: Better,
}

impl Metric {
    /// A figure of which less is better.
    pub const fn less(name: &'static str, unit: &'static str) -> Self {
        Self { name, unit, better: Better::Less }
    }

    /// A figure of which more is better.
    pub const fn more(name: &'static str, unit: &'static str) -> Self {
        Self { name, unit, better: Better::More }
    }
}

/// One run's figures, by the name of their metric.
pub type Sample = BTreeMap<&'static str, f64>;

/// A look at the clock and at what a peer has used so far.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    at: Instant,
    cpu: Option<Duration>,
}

impl Look {
    /// Looks now.
    pub fn now(tree: Option<Tree>) -> Result<Self> {
        Ok(Self { cpu: tree.map(Tree::cpu).transpose()?, at: Instant::now() })
    }

    /// From this look to a later one: seconds of the clock, and of processor time where there is a process.
    pub fn until(self, later: Self) -> (f64, Option<f64>) {
        let cpu = self.cpu.zip(later.cpu).map(|(from, to)| to.saturating_sub(from).as_secs_f64());
        (later.at.saturating_duration_since(self.at).as_secs_f64(), cpu)
    }
}

/// Notes figures; those without a value, or of nothing, stay away.
pub fn sample(figures: impl IntoIterator<Item = (&'static str, Option<f64>)>) -> Sample {
    figures.into_iter().filter_map(|(name, value)| Some((name, value.filter(|v| v.is_finite())?))).collect()
}

/// A count as a number.
#[allow(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
pub fn count(n: u64) -> f64 {
    n as f64
}
