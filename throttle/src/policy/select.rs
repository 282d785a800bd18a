//! Which policy decides about which subflow: the first one in the file that matches, in each direction.

use std::collections::HashSet;
use std::sync::Arc;

use super::Policies;
use super::clock::Moment;
use super::compile::UsedRule;
use super::mind::Gauges;
use super::observe::{Party, Seen};
use super::rules::{Rule, RuleId};
use crate::intent::Direction;
use crate::usage::Payer;

/// The policies that decide about one subflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Claims {
    pub(crate) download: Option<RuleId>,
    pub(crate) upload: Option<RuleId>,
}

/// What policies found at the last look.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    /// Subflows that somebody else's policy had not taken and whose fixed selectors match.
    pub(crate) eligible: usize,
    /// Of them, those for which what is measured or counted holds as well.
    pub(crate) selected: usize,
    /// Of them, those held.
    pub(crate) held: usize,
    /// Of them, those that would be and cannot be.
    pub(crate) beyond: usize,
    /// Whose they are.
    pub(crate) subscribers: HashSet<Arc<str>>,
    /// Payload that subflows moved while held, since the policy is there.
    pub(crate) bytes: u64,
}

impl Claims {
    const fn is_full(self) -> bool {
        self.download.is_some() && self.upload.is_some()
    }

    /// Takes for a rule what it covers and nobody else has; says whether it got anything.
    fn take(&mut self, id: RuleId, rule: &Rule) -> bool {
        if !self.leaves(rule) {
            return false;
        }
        if rule.act.covers(Direction::Download) {
            self.download = self.download.or(Some(id));
        }
        if rule.act.covers(Direction::Upload) {
            self.upload = self.upload.or(Some(id));
        }
        true
    }

    /// Whether there is something left for a rule: what cannot be divided needs both directions.
    const fn leaves(self, rule: &Rule) -> bool {
        let download = self.download.is_none() && rule.act.covers(Direction::Download);
        let upload = self.upload.is_none() && rule.act.covers(Direction::Upload);
        if rule.act.divides() { download || upload } else { download && upload }
    }
}

impl Policies {
    /// The policies that decide about each subflow of a connection.
    pub(crate) fn select(&mut self, party: &Party<'_>, moment: Moment) -> Vec<Claims> {
        party.subflows.iter().map(|seen| self.claims(party, seen, moment)).collect()
    }

    fn claims(&mut self, party: &Party<'_>, seen: &Seen<'_>, moment: Moment) -> Claims {
        let mut claims = Claims::default();
        let Some(path) = seen.path else { return claims };
        if party.connection.fallback || !seen.subflow.verified || !seen.subflow.established {
            return claims;
        }
        for index in 0..self.by_path[path].len() {
            let id = self.by_path[path][index];
            let rule = &self.rules.policies[id];
            if !claims.leaves(rule) || !selects(rule, party, seen) {
                continue;
            }
            self.tallies[id].eligible += 1;
            if self.active[id] && self.holds(id, party, seen, moment) && claims.take(id, &self.rules.policies[id]) {
                let tally = &mut self.tallies[id];
                tally.selected += 1;
                if !tally.subscribers.contains(&party.subscriber) {
                    tally.subscribers.insert(party.subscriber.clone());
                }
            }
            if claims.is_full() {
                break;
            }
        }
        claims
    }

    /// Whether what is counted and measured holds for a subflow.
    fn holds(&mut self, id: RuleId, party: &Party<'_>, seen: &Seen<'_>, moment: Moment) -> bool {
        let rule = &self.rules.policies[id];
        let used = rule.used.as_ref().is_none_or(|used| self.used(rule, used, party) > used.above);
        if rule.gauges.is_empty() {
            return used;
        }
        let gauges = self.gauges(seen);
        let (over, dwell) = (rule.gauges, rule.dwell);
        let memory = self.connections.get_mut(&seen.key.connection);
        let subflow =
            memory.and_then(|memory| memory.subflows.iter_mut().find(|subflow| subflow.flow == seen.key.flow));
        let Some(subflow) = subflow else { return false };
        let mind = subflow.mind(id);
        let exceeded = mind.judge(&gauges, &over, dwell, moment.now);
        let due = mind.due();
        self.note(due.map(|due| moment.wall_of(due)));
        used && exceeded
    }

    /// What is measured of a subflow and its path.
    pub(crate) fn gauges(&self, seen: &Seen<'_>) -> Gauges {
        let load = |path: usize| {
            let capacity = self.rules.paths[path].capacity?;
            u64::try_from(u128::from(self.paths[path].load()) * 1000 / u128::from(capacity)).ok()
        };
        Gauges {
            load: seen.path.and_then(load),
            rtt: seen.subflow.rtt.map(|rtt| u64::try_from(rtt.as_micros()).unwrap_or(u64::MAX)),
            loss: seen.pulse.loss,
            measured: seen.measured,
        }
    }

    /// What was used, as a policy counts it.
    ///
    /// Units:   bytes
    pub(crate) fn used(&self, rule: &Rule, used: &UsedRule, party: &Party<'_>) -> u64 {
        let Some(period) = &used.per else { return party.used };
        let of = |path: &Arc<str>| self.usage.used(&period.label, Payer { subscriber: &party.subscriber, path });
        let all = 0..self.rules.paths.len();
        let paths: &mut dyn Iterator<Item = usize> =
            if rule.is_total() { &mut all.into_iter() } else { &mut rule.paths.iter().copied() };
        paths.fold(0, |sum, path| sum.saturating_add(of(&self.rules.paths[path].name)))
    }
}

/// Whether what never changes while a subflow lives matches.
pub(crate) fn selects(rule: &Rule, party: &Party<'_>, seen: &Seen<'_>) -> bool {
    rule.kind.is_none_or(|kind| seen.subflow.kind == Some(kind)) && selects_connection(rule, party)
}

/// The same of a connection.
pub(crate) fn selects_connection(rule: &Rule, party: &Party<'_>) -> bool {
    let listener = party.connection.listener.as_ref();
    let origin = party.connection.destination;
    (rule.subscribers.is_empty() || rule.subscribers.contains(&party.subscriber))
        && (rule.listeners.is_empty() || listener.is_some_and(|listener| rule.listeners.contains(listener)))
        && (rule.destinations.is_empty()
            || origin.is_some_and(|origin| rule.destinations.iter().any(|prefix| prefix.contains(origin.ip()))))
        && (rule.ports.is_empty() || origin.is_some_and(|origin| rule.ports.contains(&origin.port())))
}
