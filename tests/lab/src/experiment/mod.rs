//! Experiments as values, and what runs them.
//!
//! What lives here: the list, the options, and cells: topology × traffic × faults, run side by side in every round.
//! What does not: what the samples must be (each experiment's own file). Called by the binary and by tests.
//! Invariant: cells that are compared run in the same round, one after the other, in the same topology when it is equal.

pub mod aggregate;
pub mod buffers;
pub mod client_doctor;
pub mod client_setup;
pub mod clients;
pub mod conversion;
pub mod edge_check;
pub mod failover;
pub mod fallback;
pub mod far;
pub mod integrity;
pub mod latency;
pub mod mtu;
pub mod sniffer;
pub mod steer;
pub mod tunnels;
mod world;

use std::time::Duration;

use anyhow::Result;

use crate::report::Report;

pub use world::{Cell, Fault, Sample, Traffic, Wire, World, run};

/// How to run an experiment.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Small enough that all experiments together take a minute.
    pub quick: bool,
    /// As many rounds as in full, of transfers as small as in a quick run: what a single round left in doubt.
    pub settle: bool,
    /// Rounds, where the experiment has rounds; its own number by default.
    pub rounds: Option<usize>,
    /// Only the cells whose name contains this, where the experiment has many.
    pub cell: Option<&'static str>,
    /// What is under test.
    pub subject: Subject,
}

/// What is under test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, clap::ValueEnum)]
pub enum Subject {
    /// The proxy's binary.
    Anabranch,
    /// The floor relay: to try the lab itself.
    Floor,
}

/// An experiment.
#[derive(Debug, Clone, Copy)]
pub struct Experiment {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it shows, in a line.
    pub about: &'static str,
    /// Runs it.
    pub run: fn(&Options) -> Result<Report>,
}

/// All experiments, in the order `lab all` runs them.
pub const ALL: &[Experiment] = &[
    aggregate::EXPERIMENT,
    aggregate::STALLS,
    failover::EXPERIMENT,
    fallback::EXPERIMENT,
    clients::EXPERIMENT,
    integrity::EXPERIMENT,
    latency::EXPERIMENT,
    far::EXPERIMENT,
    buffers::EXPERIMENT,
    mtu::EXPERIMENT,
    conversion::EXPERIMENT,
    tunnels::EXPERIMENT,
    sniffer::EXPERIMENT,
    steer::throttle::EXPERIMENT,
    steer::first_transfer::EXPERIMENT,
    steer::overflow::EXPERIMENT,
    steer::backup::EXPERIMENT,
    steer::share::EXPERIMENT,
    steer::close::EXPERIMENT,
    steer::quota::EXPERIMENT,
    steer::schedule::EXPERIMENT,
    steer::scale::EXPERIMENT,
    steer::kill::EXPERIMENT,
    steer::refusals::EXPERIMENT,
    steer::congested_path::EXPERIMENT,
    steer::router::EXPERIMENT,
    steer::do_no_harm::EXPERIMENT,
    edge_check::EXPERIMENT,
    client_doctor::EXPERIMENT,
    client_setup::EXPERIMENT,
];

/// No single transfer takes longer.
pub const PATIENCE: Duration = Duration::from_secs(60);

impl Options {
    /// The value for a full run or for a quick one.
    pub fn pick<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }

    /// The rounds asked for, or the experiment's own number.
    pub fn rounds(&self, full: usize, quick: usize) -> usize {
        self.rounds.unwrap_or_else(|| if self.settle { full } else { self.pick(full, quick) }).max(1)
    }
}

impl Experiment {
    /// Runs it; a quick run that fails by rates or times alone is judged by its medians over as many rounds as a full
    /// one, for one round on a machine that does other things proves neither.
    pub fn run(&self, options: &Options) -> Result<Report> {
        let report = (self.run)(options)?;
        if !(options.quick && options.rounds.is_none() && report.is_in_doubt()) {
            return Ok(report);
        }
        tell(&format!("  one round left in doubt: {}; once more, in full rounds", report.failures.join("; ")));
        let mut settled = (self.run)(&Options { settle: true, ..*options })?;
        settled.note(format!("one round alone had failed: {}", report.failures.join("; ")));
        Ok(settled)
    }
}

/// The experiment called `name`.
pub fn find(name: &str) -> Option<&'static Experiment> {
    ALL.iter().find(|experiment| experiment.name == name)
}

/// Tells a person who waits what has just been measured; standard output stays free for the report.
fn progress(sample: &Sample) {
    let words = match &sample.result {
        Ok(t) => format!("{:9.1} Mbit/s, longest gap {:4} ms", sample.rate / 1e6, t.longest_gap.as_millis()),
        Err(error) => error.clone(),
    };
    tell(&format!("  {:>2} {:<40} {words}", sample.round, sample.cell));
}

fn tell(line: &str) {
    use std::io::Write;
    // Nobody may be there to read.
    drop(writeln!(std::io::stderr(), "{line}"));
}
