//! What watching costs and whether it is right: rates beside tshark, memory, forged floods, the two witnesses side by side.
//!
//! What lives here: the experiment's parts in order. What does not: the tracker (`anabranch-sniffer`), the witnesses (the
//! proxy's process). Invariant: every figure of the tracker is of one thread's processor time, not of the clock's.

mod agree;
mod file;
mod hand;
mod live;
mod program;
mod state;

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::resource::{Usage, UsageWho, getrusage};
use nix::sys::time::TimeVal;
use serde_json::json;

use super::{Experiment, Options, Subject};
use crate::report::Report;

/// The experiment.
pub const EXPERIMENT: Experiment = Experiment {
    name: "sniffer",
    about: "watching: rates beside tshark, memory, forged floods, the wire and the kernel side by side",
    run: measure,
};

fn measure(options: &Options) -> Result<Report> {
    let mut report = Report::new("sniffer", json!({"quick": options.quick}));
    let mut part = |about: &str, measure: fn(&mut Report, &Options) -> Result<()>| {
        let started = Instant::now();
        measure(&mut report, options).with_context(|| about.to_owned())?;
        super::tell(&format!("  {about}: {:.1} s", started.elapsed().as_secs_f64()));
        anyhow::Ok(())
    };
    // First, while this process is small: memory that something else gave back would be taken again, uncounted.
    part("memory of connections", state::memory)?;
    part("a flood of forged handshakes", state::flood)?;
    part("a file of real transfers", file::measure)?;
    if options.subject == Subject::Anabranch {
        part("a watched transfer", live::measure)?;
        part("two witnesses", agree::measure)?;
    } else {
        report.note("the floor has no witnesses: nothing was watched live");
    }
    Ok(report)
}

/// Processor time of `who` so far, user and system.
fn cpu(who: UsageWho) -> Result<Duration> {
    let usage: Usage = getrusage(who).context("cannot ask for the time used")?;
    let of = |time: TimeVal| {
        let (seconds, micros) = (u64::try_from(time.tv_sec()), u64::try_from(time.tv_usec()));
        Duration::from_secs(seconds.unwrap_or(0)) + Duration::from_micros(micros.unwrap_or(0))
    };
    Ok(of(usage.user_time()) + of(usage.system_time()))
}

/// So many per second of processor time; `None` for a time too short to have been counted.
#[allow(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn rate(count: u64, used: Duration) -> Option<f64> {
    (!used.is_zero()).then(|| count as f64 / used.as_secs_f64())
}

/// A count as a figure.
#[allow(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn figure(count: u64) -> f64 {
    count as f64
}

/// The number behind `key` in a `/proc` table such as `status`.
///
/// Units: as the table says, which is KiB for memory.
fn proc_number(table: &str, key: &str) -> Option<u64> {
    let line = table.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests;
