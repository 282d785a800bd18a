//! Whether what was done has the effect it was to have: a rate held, and the whole not below what the free path alone would carry.
//!
//! Judged of everything under one policy of one subscriber together: single connections share paths and say nothing each.

mod moved;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use super::Words;
use super::subflow::Subflow;
use crate::intent::{Decisions, Intent};
use crate::view::{self, ConnectionKey, SubflowKey, View};
use anabranch_config::Enforce;
use moved::{Count, Known, Line, Moved, Rates};

/// Of what the free paths carried at their best, this much has to remain.
const PROMISE: f64 = 0.9;

/// For so long less may be carried before something is done about it.
const PATIENCE: Duration = Duration::from_secs(1);

/// The first pause after a policy was rolled back, doubled by each one more, and the longest.
const PAUSE: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_secs(600);

/// Counters move in steps; rates over less than this are noise.
const STEP: Duration = Duration::from_millis(80);

/// Looks further apart than this do not follow each other.
const GAP: Duration = Duration::from_secs(5);

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
    counts: BTreeMap<SubflowKey, Count>,
    rates: Rates,
    /// What free subflows carry, by the client's address: each is a way of its own.
    free: BTreeMap<IpAddr, Line>,
    below: Option<Duration>,
    tightened: Option<(Duration, Words)>,
    paused: Option<(Duration, Words)>,
    tightenings: u32,
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
    /// What the best path of those carried at its best lately: what the total is compared with.
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
        let wanted = &decisions.intents.iter().map(|intent| intent.subflow).collect();
        for (group, connections) in groups {
            let of = |key: &ConnectionKey| {
                let at = view.connections.binary_search_by_key(key, |connection| connection.key).ok()?;
                view.connections.get(at)
            };
            let connections: Vec<_> = connections.iter().filter_map(of).collect();
            self.0.entry(group).or_default().observe(&connections, Known { subflows, wanted }, view.at);
        }
    }

    /// What may be done for an intent.
    pub(super) fn verdict(&self, intent: &Intent, now: Duration) -> Verdict {
        let Some(effect) = self.of(intent) else { return Verdict::Fine };
        match (&effect.paused, &effect.tightened) {
            (Some((until, why)), _) if *until > now => Verdict::Paused(why.clone()),
            (_, Some((until, why))) if *until > now => Verdict::Tightened(why.clone()),
            _ => Verdict::Fine,
        }
    }

    /// What was measured of what an intent is about.
    pub(super) fn measured(&self, intent: &Intent) -> Option<Measured> {
        self.of(intent).map(|effect| Measured {
            held: effect.rates.held,
            free: effect.rates.free,
            total: effect.rates.total,
            reference: effect.reference(),
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
    fn observe(&mut self, connections: &[&view::Connection], known: Known<'_>, now: Duration) {
        let step = now.saturating_sub(self.seen);
        if !self.seen.is_zero() && step < STEP {
            return;
        }
        if step > GAP {
            (self.rates, self.below) = (Rates::default(), None);
            (self.counts, self.free) = (BTreeMap::new(), BTreeMap::new());
        }
        let first = self.counts.is_empty();
        self.seen = now;
        let mut moved = Moved::default();
        let mut counts = BTreeMap::new();
        for connection in connections {
            self.count(connection, known, &mut moved, &mut counts);
        }
        self.counts = counts;
        if !first {
            self.average(&moved, step.as_secs_f64());
            self.judge(&moved, now);
        }
    }

    fn judge(&mut self, moved: &Moved, now: Duration) {
        let over = |verdict: &Option<(Duration, Words)>| verdict.as_ref().is_some_and(|(until, _)| *until <= now);
        if over(&self.paused) {
            (self.paused, self.tightened) = (None, None);
            self.free.values_mut().for_each(|line| line.best = line.rate);
        }
        if over(&self.tightened) {
            self.tightened = None;
        }
        let reference = self.reference();
        let below = moved.acts && self.rates.waiting > 0.5 && self.rates.total < reference * PROMISE;
        if !below {
            self.below = None;
            return;
        }
        let since = *self.below.get_or_insert(now);
        if now.saturating_sub(since) <= PATIENCE {
            return;
        }
        self.below = None;
        let (total, reference) = (self.rates.total / 1e6, reference / 1e6);
        let why = format!("{total:.1} Mbit/s in all where the free path alone carried {reference:.1}");
        let harsh = moved.harsh && self.tightened.is_none();
        let times = if harsh { &mut self.tightenings } else { &mut self.rolled_back };
        let pause = PAUSE.saturating_mul(2_u32.saturating_pow((*times).min(10))).min(LONGEST);
        *times += 1;
        let seconds = pause.as_secs();
        if harsh {
            self.tightened = Some((now + pause, format!("{why}; held as a backup instead for {seconds} s").into()));
        } else {
            self.paused = Some((now + pause, format!("rolled back for {seconds} s: {why}").into()));
        }
    }
}
