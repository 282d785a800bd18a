//! Whether what was done has the effect it was to have: a rate held, and the whole not below what the free path alone would carry.
//!
//! Judged of everything under one policy of one subscriber together: single connections share paths and say nothing each.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Words;
use super::goal::Goal;
use super::subflow::Subflow;
use crate::intent::{Decisions, Intent};
use crate::view::{self, ConnectionKey, SubflowKey, View};
use anabranch_config::Enforce;

/// Of what the free paths carried at their best, this much has to remain.
const PROMISE: f64 = 0.9;

/// For so long less may be carried before something is done about it.
const PATIENCE: Duration = Duration::from_secs(1);

/// The first pause after a policy was rolled back, doubled by each one more, and the longest.
const PAUSE: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_secs(600);

/// Rates are averaged over so long.
const WINDOW: f64 = 0.7;

/// What the free paths carried at their best is believed this long: half of it by then.
const HALF_LIFE: f64 = 20.0;

/// What is judged as one: a policy's name and a subscriber.
type Group = (Words, Words);

/// What may be done for a policy now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// What it wants.
    Fine,
    /// The same by a gentler rung: it cost more than it promised.
    Tightened(Words),
    /// Nothing for now: it went on costing more.
    Paused(Words),
}

/// What was seen of a group.
#[derive(Debug, Default)]
struct Effect {
    seen: Duration,
    counts: BTreeMap<SubflowKey, u64>,
    /// Bit/s, averaged.
    total: f64,
    free: f64,
    held: f64,
    /// The best of `free` while something was held or about to be.
    reference: f64,
    below: Option<Duration>,
    tightened: Option<Words>,
    paused: Option<(Duration, Words)>,
    pauses: u32,
    rolled_back: u32,
}

/// What was seen of every group.
#[derive(Debug, Default)]
pub(super) struct Effects(BTreeMap<Group, Effect>);

/// What an action does, as it was measured.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Measured {
    /// What the subflows under the policy carry.
    ///
    /// Units:  bit/s of payload, as all here
    pub held: f64,
    /// What the free subflows of the same connections carry.
    pub free: f64,
    /// All of them.
    pub total: f64,
    /// What the free ones carried at their best lately: what the total is compared with.
    pub reference: f64,
    /// Times the policy was rolled back.
    pub rolled_back: u32,
}

impl Effects {
    /// Takes in what is carried now.
    pub(super) fn observe(&mut self, view: &View, decisions: &Decisions, subflows: &BTreeMap<SubflowKey, Subflow>) {
        let mut groups: BTreeMap<Group, Vec<ConnectionKey>> = BTreeMap::new();
        for intent in decisions.intents.iter().filter(|intent| intent.enforce == Enforce::Steer) {
            let of = groups.entry((intent.policy.clone(), intent.subscriber.clone())).or_default();
            if of.last() != Some(&intent.subflow.connection) {
                of.push(intent.subflow.connection);
            }
        }
        for (group, connections) in groups {
            let of = |key: &ConnectionKey| {
                let at = view.connections.binary_search_by_key(key, |connection| connection.key).ok()?;
                view.connections.get(at)
            };
            let connections: Vec<_> = connections.iter().filter_map(of).collect();
            self.0.entry(group).or_default().observe(&connections, subflows, view.at);
        }
    }

    /// What may be done for an intent.
    pub(super) fn verdict(&self, intent: &Intent, now: Duration) -> Verdict {
        let Some(effect) = self.of(intent) else { return Verdict::Fine };
        match (&effect.paused, &effect.tightened) {
            (Some((until, why)), _) if *until > now => Verdict::Paused(why.clone()),
            (_, Some(why)) => Verdict::Tightened(why.clone()),
            _ => Verdict::Fine,
        }
    }

    /// What was measured of what an intent is about.
    pub(super) fn measured(&self, intent: &Intent) -> Option<Measured> {
        self.of(intent).map(|effect| Measured {
            held: effect.held,
            free: effect.free,
            total: effect.total,
            reference: effect.reference,
            rolled_back: effect.rolled_back,
        })
    }

    fn of(&self, intent: &Intent) -> Option<&Effect> {
        self.0.get(&(intent.policy.clone(), intent.subscriber.clone()))
    }

    /// Forgets groups that have been out of sight for long.
    pub(super) fn forget(&mut self, now: Duration) {
        self.0.retain(|_, effect| now.saturating_sub(effect.seen) < LONGEST);
    }
}

impl Effect {
    fn observe(&mut self, connections: &[&view::Connection], subflows: &BTreeMap<SubflowKey, Subflow>, now: Duration) {
        let step = now.saturating_sub(self.seen);
        // Counters move in steps; rates over less than this are noise.
        if !self.seen.is_zero() && step < Duration::from_millis(80) {
            return;
        }
        let seconds = step.as_secs_f64();
        let first = self.seen.is_zero() || seconds > 5.0;
        self.seen = now;
        let (mut counts, mut free, mut held, mut waits, mut acts) = (BTreeMap::new(), 0, 0, false, false);
        for connection in connections {
            waits |= connection.waiting.is_none_or(|waiting| waiting > 0);
            for (key, subflow) in connection.keyed() {
                let count = subflow.download.saturating_add(subflow.upload);
                let moved = self.counts.get(&key).map_or(0, |before| count.saturating_sub(*before));
                let known = subflows.get(&key);
                if known.is_some_and(|known| known.goal != Goal::Free) {
                    held += moved;
                    acts = true;
                } else {
                    free += moved;
                }
                counts.insert(key, count);
            }
        }
        self.counts = counts;
        if first {
            return;
        }
        #[allow(clippy::cast_precision_loss, reason = "rates, not counts")]
        let rate = |bytes: u64| bytes as f64 * 8.0 / seconds;
        let weight = (seconds / WINDOW).min(1.0);
        for (average, bytes) in [(&mut self.free, free), (&mut self.held, held), (&mut self.total, free + held)] {
            *average += (rate(bytes) - *average) * weight;
        }
        self.judge(seconds, waits, acts, now);
    }

    fn judge(&mut self, seconds: f64, waits: bool, acts: bool, now: Duration) {
        if self.paused.as_ref().is_some_and(|(until, _)| *until <= now) {
            (self.paused, self.tightened, self.reference) = (None, None, 0.0);
        }
        self.reference = (self.reference * 0.5_f64.powf(seconds / HALF_LIFE)).max(self.free);
        let below = acts && waits && self.total < self.reference * PROMISE;
        if !below {
            self.below = None;
            return;
        }
        let since = *self.below.get_or_insert(now);
        if now.saturating_sub(since) < PATIENCE {
            return;
        }
        self.below = None;
        let (total, reference) = (self.total / 1e6, self.reference / 1e6);
        let why = format!("{total:.1} Mbit/s in all where the free path alone carried {reference:.1}");
        if self.tightened.is_none() {
            self.tightened = Some(format!("{why}; held as a backup instead").into());
            return;
        }
        let pause = PAUSE.saturating_mul(2_u32.saturating_pow(self.pauses.min(10))).min(LONGEST);
        self.pauses += 1;
        self.rolled_back += 1;
        self.paused = Some((now + pause, format!("rolled back for {} s: {why}", pause.as_secs()).into()));
    }
}
