//! What is carried, free and held, and what the free paths carried at their best.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::super::goal::Goal;
use super::super::subflow::Subflow;
use super::Effect;
use crate::view::{self, SubflowKey};

/// Rates are averaged over so long.
const WINDOW: f64 = 0.7;

/// What the free paths carried at their best is believed this long: half of it by then.
const HALF_LIFE: f64 = 20.0;

/// Of what a held subflow was given, more than this is not on its way but held up.
///
/// Units:  bytes
const HELD_UP: u64 = 32 * 1024;

/// A subflow's first looks do not count: its counters may have been old when the watch began, and what it moved since then would
/// pass for a burst.
const SETTLE: u8 = 3;

/// A subflow's counter, and how often it was looked at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Count {
    bytes: u64,
    looks: u8,
}

/// Bit/s, averaged.
#[derive(Debug, Default)]
pub(super) struct Rates {
    pub(super) total: f64,
    pub(super) free: f64,
    pub(super) held: f64,
    /// The part of the time in which data waited.
    pub(super) waiting: f64,
}

/// What one way carries that nobody holds: bit/s, averaged, and the best of it.
#[derive(Debug, Default)]
pub(super) struct Line {
    pub(super) rate: f64,
    pub(super) best: f64,
    /// It lives.
    here: bool,
}

/// What was moved since the last look, in bytes.
#[derive(Debug, Default)]
pub(super) struct Moved {
    pub(super) free: BTreeMap<IpAddr, u64>,
    pub(super) held: u64,
    pub(super) total: u64,
    pub(super) waits: bool,
    /// Something is held.
    pub(super) acts: bool,
    /// Something is held that could be held more gently.
    pub(super) harsh: bool,
}

/// What is known besides the counters.
#[derive(Clone, Copy)]
pub(super) struct Known<'a> {
    pub(super) subflows: &'a BTreeMap<SubflowKey, Subflow>,
    /// Subflows that a policy wants something of.
    pub(super) wanted: &'a BTreeSet<SubflowKey>,
}

impl Effect {
    /// Adds up what the subflows of a connection moved.
    pub(super) fn count(
        &self,
        connection: &view::Connection,
        known: Known<'_>,
        moved: &mut Moved,
        counts: &mut BTreeMap<SubflowKey, Count>,
    ) {
        let (mut on_its_way, mut crawls) = (0, false);
        for (key, subflow) in connection.keyed() {
            let bytes = subflow.download.saturating_add(subflow.upload);
            let (since, looks) = match self.counts.get(&key) {
                Some(before) if before.looks >= SETTLE => (bytes.saturating_sub(before.bytes), SETTLE),
                before => (0, before.map_or(1, |before| before.looks + 1)),
            };
            counts.insert(key, Count { bytes, looks });
            moved.total += since;
            if !known.wanted.contains(&key) {
                if subflow.is_live() {
                    *moved.free.entry(subflow.client().ip()).or_default() += since;
                    on_its_way += subflow.queued.unwrap_or_default();
                }
                continue;
            }
            on_its_way += subflow.queued.unwrap_or_default().min(HELD_UP);
            let goal = known.subflows.get(&key).map_or(&Goal::Free, |known| &known.goal);
            if *goal != Goal::Free {
                moved.held += since;
                moved.acts = true;
                moved.harsh |= matches!(goal, Goal::Rate { .. });
                crawls |= since > 0;
            }
        }
        // Where the connection cannot tell, it passes for one whose data waits while something held goes on moving.
        moved.waits |= connection.waiting.map_or(crawls, |waiting| waiting > on_its_way);
    }

    /// Takes what was moved into the averages.
    pub(super) fn average(&mut self, moved: &Moved, seconds: f64) {
        let weight = (seconds / WINDOW).min(1.0);
        let rates = &mut self.rates;
        #[allow(clippy::cast_precision_loss, reason = "rates, not counts")]
        let rate = |bytes: u64| bytes as f64 * 8.0 / seconds;
        let free = moved.free.values().sum();
        for (average, bytes) in
            [(&mut rates.free, free), (&mut rates.held, moved.held), (&mut rates.total, moved.total)]
        {
            *average += (rate(bytes) - *average) * weight;
        }
        rates.waiting += (f64::from(u8::from(moved.waits)) - rates.waiting) * weight;
        for address in moved.free.keys() {
            self.free.entry(*address).or_default();
        }
        let fades = 0.5_f64.powf(seconds / HALF_LIFE);
        self.free.retain(|address, line| {
            let bytes = moved.free.get(address);
            line.here = bytes.is_some();
            line.rate += (rate(bytes.copied().unwrap_or_default()) - line.rate) * weight;
            line.best = (line.best * fades).max(line.rate);
            line.best > 1.0 || line.here
        });
    }

    /// What the best of the free ways that live carried at its best: about what it would carry alone.
    pub(super) fn reference(&self) -> f64 {
        self.free.values().filter(|line| line.here).map(|line| line.best).fold(0.0, f64::max)
    }
}
