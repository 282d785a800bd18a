//! Scale: what twenty thousand held subflows cost, and what a reload costs those that live.
//!
//! What lives here: the experiment's two parts in order: the kernel's objects by themselves, and a proxy with live subflows.

mod live;
mod pool;

use anyhow::{Context, Result};
use serde_json::json;

use super::{Setting, Stage};
use crate::experiment::{Experiment, Options};
use crate::report::Report;

/// The experiment.
pub const EXPERIMENT: Experiment = Experiment {
    name: "scale",
    about: "20 000 held subflows: changes a second, cost of a packet, a reload",
    run: measure,
};

fn measure(options: &Options) -> Result<Report> {
    let connections = options.pick(100, 20);
    let mut report = Report::new("scale", json!({"quick": options.quick, "live_subflows": connections * 2}));
    let stage = Stage::start(&Setting::new(live::links()), options)?;
    pool::measure(&mut report, options).context("the kernel's objects")?;
    live::measure(&mut report, &stage, connections).context("live subflows")?;
    Ok(report)
}
