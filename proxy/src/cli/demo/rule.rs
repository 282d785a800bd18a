//! The steered act's rule: the second link is to carry little for a third of the download.
//!
//! What lives here: its text, having the proxy hold it and let go, and what that came to. What does not: the download (see `act`).
//! Called by the stage and the acts. Invariant: whoever waits here stops waiting when the download is over.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anabranch_config::BitRate;
use serde_json::Value;

use super::links::Links;
use super::meter::Meter;

/// The index of the link that is held.
pub(super) const HELD: usize = 1;
/// What it is held to, if that is little for it.
const RATE: u64 = 2_000_000;
/// From when on a held link carries what it may: what was under way when the rule came has arrived.
const SETTLE: Duration = Duration::from_millis(500);
/// And so long is the least to be measured.
const LEAST: Duration = Duration::from_millis(300);
/// The time over which the lowest total is taken.
const WINDOW: Duration = Duration::from_millis(500);
/// A held link carries no more than this many times its rate.
const SLACK: f64 = 1.1;
/// The total stays above this part of what the free link carries: what the experiment `throttle` requires.
const FLOOR: f64 = 0.9;

/// The rule of a demo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rule {
    /// The name of the link that is held.
    pub(super) link: &'static str,
    /// The most it carries.
    pub(super) rate: BitRate,
    /// The name of the best link, which is free.
    pub(super) free: &'static str,
    /// What plain TCP carries over it at most.
    ///
    /// Units: bit/s
    alone: u64,
}

/// When the rule was in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Course {
    /// When the proxy was told.
    told: Duration,
    /// When it had answered.
    in_force: Duration,
    /// When it was told to let go.
    cleared: Duration,
    /// What is not possible on this machine, in the proxy's words.
    cannot: Vec<String>,
}

/// What the rule came to.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Held {
    /// For how long it was in force.
    pub(super) time: Duration,
    /// What the held link carried meanwhile. `None`: it was too short.
    ///
    /// Units: bit/s
    pub(super) carried: Option<f64>,
    /// The lowest half second of all links together, from when the proxy was told.
    ///
    /// Units: bit/s
    pub(super) lowest: Option<f64>,
    /// The same of what the reader got, in order.
    ///
    /// Units: bit/s
    pub(super) lowest_read: Option<f64>,
    /// What is not possible on this machine.
    pub(super) cannot: Vec<String>,
}

impl Rule {
    /// The rule for these links.
    pub(super) fn of(links: &Links) -> Self {
        let held = links.iter().nth(HELD).unwrap_or_else(|| links.best());
        let quarter = BitRate::from_bits_per_second(held.rate.bits_per_second() / 4).unwrap_or(held.rate);
        let rate = BitRate::from_bits_per_second(RATE).map_or(quarter, |rate| rate.min(quarter));
        let best = links.best();
        Self { link: held.name, rate, free: best.name, alone: best.rate.bits_per_second() * 1448 / 1514 }
    }

    /// The configuration the proxy starts with: connections obey from their first, though the rule comes later.
    pub(super) fn steering(links: &Links) -> String {
        "[steering]\npath_manager = \"userspace\"\n\n".to_owned() + &paths(links)
    }

    /// The file that is applied.
    pub(super) fn text(&self, links: &Links) -> String {
        let Self { link, rate, .. } = self;
        let policy = "[[policy]]\nname = \"the demo's\"\n";
        paths(links) + policy + &format!("path = \"{link}\"\naction = \"limit\"\nrate = \"{rate}\"\n")
    }

    /// The lowest total ÷ what the free link alone carries.
    #[allow(clippy::cast_precision_loss, reason = "rates are far below 2^52")]
    pub(super) fn floor(&self, lowest: f64) -> f64 {
        lowest / self.alone.max(1) as f64
    }

    /// Whether the rule did what it should, and no more than that; `None` if it was too short to tell.
    #[allow(clippy::cast_precision_loss, reason = "rates are far below 2^52")]
    pub(super) fn kept(&self, held: &Held) -> Option<bool> {
        let most = self.rate.bits_per_second() as f64 * SLACK;
        Some(held.carried? <= most && self.floor(held.lowest?) >= FLOOR)
    }
}

/// A `[[path]]` for every link; link `i` is numbered from 1 (see the lab's `topology`).
fn paths(links: &Links) -> String {
    let mut text = String::new();
    for (number, link) in (1..).zip(links.iter()) {
        let client = format!("client = [\"10.{number}.0.0/24\", \"fd00:{number}::/64\"]\ncost = {number}\n");
        write!(text, "[[path]]\nname = \"{}\"\n{client}line = \"{}\"\n\n", link.name, link.rate).unwrap_or_default();
    }
    text
}

impl Held {
    /// Reads it from the act's meter.
    pub(super) fn of(course: Course, meter: &Meter) -> Self {
        let Course { told, in_force, cleared, cannot } = course;
        let settled = in_force + SETTLE;
        let measured = cleared.saturating_sub(settled) >= LEAST;
        let carried = measured.then(|| meter.between(settled, cleared).get(HELD).copied()).flatten();
        Self {
            time: cleared.saturating_sub(in_force),
            carried,
            lowest: meter.lowest(told, cleared, WINDOW),
            lowest_read: meter.lowest_read(told, cleared, WINDOW),
            cannot,
        }
    }
}

/// A download under way, as who steers sees it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Progress<'a> {
    /// When it began.
    pub(super) started: Instant,
    /// How much has come.
    pub(super) got: &'a AtomicU64,
    /// How much is to come.
    pub(super) bytes: u64,
    /// It is over, whole or not.
    pub(super) over: &'a AtomicBool,
}

impl Progress<'_> {
    /// Waits until so many thirds have come, or it is over; whether they have come.
    fn wait_for(self, thirds: u64) -> bool {
        loop {
            // In this order: what came last came before it was over.
            let over = self.over.load(Ordering::Relaxed);
            if self.got.load(Ordering::Relaxed) >= self.bytes / 3 * thirds {
                return true;
            }
            if over {
                return false;
            }
            #[expect(clippy::disallowed_methods, reason = "the demo's own thread; no worker runs in this process")]
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Has the proxy hold the rule in `file` for the middle third; `held` is true meanwhile.
    ///
    /// Errors: what the proxy, or the system, said
    pub(super) fn steer(self, file: &Path, socket: &Path, held: &AtomicBool) -> Result<Course, String> {
        if !self.wait_for(1) {
            return Err("the download ended before the policy came".to_owned());
        }
        let told = self.started.elapsed();
        policy(&["apply".as_ref(), file.as_os_str()], socket)?;
        let in_force = self.started.elapsed();
        held.store(true, Ordering::Relaxed);
        let cannot = cannot(&policy(&["list".as_ref()], socket)?);
        // Whole or not, the rule goes.
        let _whole = self.wait_for(2);
        let cleared = self.started.elapsed();
        held.store(false, Ordering::Relaxed);
        policy(&["clear".as_ref()], socket)?;
        Ok(Course { told, in_force, cleared, cannot })
    }
}

/// What cannot be done, from the answer to `policy list`.
fn cannot(answer: &Value) -> Vec<String> {
    let list = answer["cannot"].as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter().filter_map(|reason| Some(reason.as_str()?.to_owned())).collect()
}

/// Runs `anabranch policy` with these words, as an operator would.
fn policy(words: &[&std::ffi::OsStr], socket: &Path) -> Result<Value, String> {
    let mut command = Command::new("/proc/self/exe");
    command.arg("policy").args(words).arg("--json").arg("--socket").arg(socket);
    let output = command.output().map_err(|error| format!("anabranch policy cannot be started: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
    }
    serde_json::from_slice(&output.stdout).map_err(|error| format!("the answer is not JSON: {error}"))
}

#[cfg(test)]
mod tests;
