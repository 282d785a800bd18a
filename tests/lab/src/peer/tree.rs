//! A process and all that it started: processor time and memory of all of them.
//!
//! What lives here: finding them in `/proc`, and adding up. Called by `process` and the scenarios.
//! Invariant: time that a process has spent stays counted when it ends, by whoever waited for it.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::time::{ClockId, clock_getcpuclockid};
use nix::unistd::Pid;

/// A process by its id, as the root of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tree(pub u32);

/// A line of `/proc/PID/stat`, as far as it is read here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stat {
    parent: u32,
    /// Of itself, and of its ended children that were waited for.
    ///
    /// Units: clock ticks, 1/100 s
    ticks: u64,
    children: u64,
}

/// A clock tick as `/proc` tells time (`USER_HZ`).
const TICK: Duration = Duration::from_millis(10);

impl Tree {
    /// Processor time of user and system so far, of all of them.
    ///
    /// Shape: to the nanosecond where a process lives, to a tick of what has ended.
    pub fn cpu(self) -> Result<Duration> {
        let stats = stats()?;
        let members = members(&stats, self.0);
        anyhow::ensure!(!members.is_empty(), "process {} has ended", self.0);
        Ok(members.into_iter().map(|pid| of(pid, &stats[&pid])).sum())
    }

    /// Memory of all of them, what is shared counted once.
    ///
    /// Units: bytes
    pub fn memory(self) -> Result<u64> {
        let mut sum = 0;
        for pid in members(&stats()?, self.0) {
            // One that has just ended holds nothing.
            let Ok(text) = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")) else { continue };
            sum += pss(&text).unwrap_or(0);
        }
        Ok(sum * 1024)
    }

    /// The processes, root first.
    pub fn members(self) -> Result<Vec<u32>> {
        Ok(members(&stats()?, self.0))
    }
}

/// The time of one process: by its clock, which is exact, else by its ticks.
fn of(pid: u32, stat: &Stat) -> Duration {
    let exact = i32::try_from(pid).ok().and_then(|pid| {
        let clock: ClockId = clock_getcpuclockid(Pid::from_raw(pid)).ok()?;
        Some(Duration::from(clock.now().ok()?))
    });
    let ticks = |n: u64| TICK * u32::try_from(n).unwrap_or(u32::MAX);
    exact.unwrap_or_else(|| ticks(stat.ticks)) + ticks(stat.children)
}

fn stats() -> Result<BTreeMap<u32, Stat>> {
    let entries = fs::read_dir("/proc").context("cannot list /proc")?;
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    Ok(pids.filter_map(|pid| Some((pid, stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?))).collect())
}

fn stat(text: &str) -> Option<Stat> {
    // The second field, in brackets, may hold anything.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
    let parent = u32::try_from(number(1)?).ok()?;
    Some(Stat { parent, ticks: number(11)? + number(12)?, children: number(13)? + number(14)? })
}

fn members(stats: &BTreeMap<u32, Stat>, root: u32) -> Vec<u32> {
    let mut found: Vec<u32> = stats.contains_key(&root).then_some(root).into_iter().collect();
    let mut at = 0;
    while let Some(&parent) = found.get(at) {
        found.extend(stats.iter().filter(|(_, stat)| stat.parent == parent).map(|(&pid, _)| pid));
        at += 1;
    }
    found
}

/// The proportional share in a `smaps_rollup`, in KiB.
fn pss(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests;
