//! What is wanted of each subflow by the policy that decides about it, and of each connection as a whole.

use std::sync::Arc;

use anabranch_config::{BitRate, Enforce, Per};

use super::Policies;
use super::clock::Moment;
use super::observe::{Party, Seen};
use super::rules::{Act, Rule, RuleId};
use super::select::{Claims, selects};
use super::share::Share;
use super::words;
use crate::intent::{Ceiling, ClassKey, Direction, Hold, Intent, Scope, Total};

/// What is wanted of a subflow.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) rule: RuleId,
    pub(crate) hold: Hold,
    /// What the wish rests on beside the conditions of the policy.
    pub(crate) why: Vec<String>,
}

/// What is wanted of every subflow in sight: by connection, then by subflow, in the order of the look.
#[derive(Debug)]
pub(crate) struct Holds {
    claims: Vec<Vec<Claims>>,
    held: Vec<Vec<Option<Box<Held>>>>,
}

/// The direction's class under a limit, if the limit is on that direction.
type Class = Option<(ClassKey, Ceiling)>;

impl Holds {
    pub(crate) fn new(claims: Vec<Vec<Claims>>) -> Self {
        let none = |claims: &Vec<Claims>| claims.iter().map(|_| None).collect();
        let held = claims.iter().map(none).collect();
        Self { claims, held }
    }

    pub(crate) fn claims(&self, party: usize, seen: usize) -> Claims {
        self.claims[party][seen]
    }

    pub(crate) fn of(&self, party: usize) -> &[Option<Box<Held>>] {
        &self.held[party]
    }

    pub(crate) fn set(&mut self, party: usize, seen: usize, held: Held) {
        self.held[party][seen] = Some(Box::new(held));
    }
}

impl Policies {
    /// Decides where nothing but the subflow itself matters: backup, close and limit.
    pub(crate) fn fixed(&self, parties: &[Party<'_>], holds: &mut Holds) {
        for (number, party) in parties.iter().enumerate() {
            for (index, seen) in party.subflows.iter().enumerate() {
                if let Some(held) = self.fixed_hold(party, seen, holds.claims(number, index)) {
                    holds.set(number, index, held);
                }
            }
        }
    }

    fn fixed_hold(&self, party: &Party<'_>, seen: &Seen<'_>, claims: Claims) -> Option<Held> {
        let rule = |id: Option<RuleId>| id.map(|id| (id, &self.rules.policies[id]));
        let (download, upload) = (rule(claims.download), rule(claims.upload));
        match download {
            Some((id, Rule { act: Act::Backup, .. })) => {
                return Some(Held { rule: id, hold: Hold::Backup, why: Vec::new() });
            }
            Some((id, Rule { act: Act::Close, .. })) => {
                return Some(Held { rule: id, hold: Hold::Closed, why: Vec::new() });
            }
            Some((_, Rule { act: Act::Overflow { .. } | Act::Share { .. }, .. })) => return None,
            _ => {}
        }
        let mut classes = [
            class(download, party, Some(seen), Direction::Download),
            class(upload, party, Some(seen), Direction::Upload),
        ];
        let (mut leader, mut why) = (download.or(upload)?, Vec::new());
        if let (Some(one), Some(other)) = (download, upload)
            && one.1.enforce != other.1.enforce
        {
            // One subflow is held as far as one of them may go. A contract goes first; what steers can do without.
            let contract = usize::from(other.1.enforce == Enforce::Always);
            let (kept, dropped) = if contract == 0 { (one, other) } else { (other, one) };
            why.push(format!("{} is left out beside it: it only steers", dropped.1.name));
            classes[1 - contract] = None;
            leader = kept;
        }
        let [download, upload] = classes;
        Some(Held { rule: leader.0, hold: Hold::Rate { download, upload }, why })
    }

    /// Decides about every subflow that a share policy has.
    pub(crate) fn share(&mut self, parties: &[Party<'_>], holds: &mut Holds, moment: Moment) {
        for (number, party) in parties.iter().enumerate() {
            let rules: Vec<_> = (0..party.subflows.len()).map(|index| holds.claims(number, index).download).collect();
            for id in rules.iter().flatten().copied().collect::<std::collections::BTreeSet<_>>() {
                let rule = &self.rules.policies[id];
                let Act::Share { percent } = rule.act else { continue };
                let name = rule.name.clone();
                let (under, beside): (Vec<_>, Vec<_>) = (0..rules.len()).partition(|index| rules[*index] == Some(id));
                let free = |index: &usize| party.subflows[*index].is_usable() && holds.of(number)[*index].is_none();
                if !beside.iter().any(free) || moment.gap {
                    continue;
                }
                let moved = |index: &usize| party.subflows[*index].pulse.downloaded;
                let path: u64 = under.iter().map(moved).sum();
                let whole = path + beside.iter().map(moved).sum::<u64>();
                let key = (id, party.connection.key);
                let (share, seen) = self.shares.entry(key).or_insert((Share::new(), moment.now));
                *seen = moment.now;
                share.update(percent, path, whole, moment.now, moment.step);
                let Some(rate) = share.rate().and_then(BitRate::from_bits_per_second) else { continue };
                let (carries, all) = share.rates();
                let why =
                    format!("it carries {} of {}, its share is {percent} %", words::rate(carries), words::rate(all));
                let class = ClassKey {
                    policy: name,
                    scope: Scope::Connection(party.connection.key),
                    direction: Direction::Download,
                };
                let ceiling = Ceiling { rate, ceil: None, burst: None };
                for index in under {
                    let hold = Hold::Rate { download: Some((class.clone(), ceiling)), upload: None };
                    holds.set(number, index, Held { rule: id, hold, why: vec![why.clone()] });
                }
            }
        }
    }

    /// Makes intents of what is wanted.
    pub(crate) fn intents(&mut self, parties: &[Party<'_>], holds: Holds) -> Vec<Intent> {
        let mut intents = Vec::new();
        for (party, held) in parties.iter().zip(holds.held) {
            for (seen, held) in party.subflows.iter().zip(held) {
                let (Some(held), Some(path)) = (held, seen.path) else { continue };
                let mut evidence = self.evidence(held.rule, party, Some(seen));
                evidence.extend(held.why);
                let tally = &mut self.tallies[held.rule];
                if self.beyond.contains(&seen.key) {
                    tally.beyond += 1;
                } else {
                    tally.held += 1;
                    let moved = seen.pulse.downloaded.saturating_add(seen.pulse.uploaded);
                    tally.bytes = tally.bytes.saturating_add(moved);
                }
                let rule = &self.rules.policies[held.rule];
                intents.push(Intent {
                    subflow: seen.key,
                    policy: rule.name.clone(),
                    path: self.rules.paths[path].name.clone(),
                    subscriber: party.subscriber.clone(),
                    hold: held.hold,
                    enforce: rule.enforce,
                    evidence,
                });
            }
        }
        intents.sort_by_key(|intent| intent.subflow);
        intents
    }

    /// What is wanted of connections as a whole.
    pub(crate) fn totals(&mut self, parties: &[Party<'_>]) -> Vec<Total> {
        let rules: Vec<_> = (0..self.rules.policies.len()).filter(|id| self.rules.policies[*id].is_total()).collect();
        let mut totals = Vec::new();
        if rules.is_empty() {
            return totals;
        }
        for party in parties {
            let mut counted = None;
            for direction in [Direction::Download, Direction::Upload] {
                let holds = |id: &&RuleId| self.active[**id] && self.totals_hold(**id, party, direction);
                let Some(id) = rules.iter().find(holds).copied() else { continue };
                let rule = &self.rules.policies[id];
                let Some((key, ceiling)) = class(Some((id, rule)), party, None, direction) else { continue };
                let evidence = self.evidence(id, party, None);
                let tally = &mut self.tallies[id];
                tally.subscribers.insert(party.subscriber.clone());
                if counted.replace(id) != Some(id) {
                    tally.selected += party.subflows.len();
                    tally.held += party.subflows.len();
                }
                for pulse in party.subflows.iter().map(|seen| &seen.pulse) {
                    let moved = if direction == Direction::Download { pulse.downloaded } else { pulse.uploaded };
                    tally.bytes = tally.bytes.saturating_add(moved);
                }
                totals.push(Total { connection: party.connection.key, class: key, ceiling, evidence });
            }
        }
        totals
    }

    fn totals_hold(&self, id: RuleId, party: &Party<'_>, direction: Direction) -> bool {
        let rule = &self.rules.policies[id];
        // What is asked of subflows holds for the connection if it does for one of them.
        let any = party.subflows.iter().any(|seen| {
            let (is, over) = (self.gauges(seen), rule.gauges);
            let above = |is: Option<u64>, over: Option<u64>| over.is_none_or(|over| is.is_some_and(|is| is > over));
            selects(rule, party, seen)
                && above(is.load, over.load)
                && above(is.rtt, over.rtt)
                && above(is.loss, over.loss)
        });
        any && rule.act.covers(direction)
            && rule.used.as_ref().is_none_or(|used| self.used(rule, used, party) > used.above)
    }

    /// The conditions of a policy that hold, in words with figures.
    fn evidence(&self, id: RuleId, party: &Party<'_>, seen: Option<&Seen<'_>>) -> Vec<String> {
        let rule = &self.rules.policies[id];
        let mut words = Vec::new();
        if let Some(used) = &rule.used {
            let bytes = words::bytes(self.used(rule, used, party));
            let per = used.per.as_ref().map_or("connection", |per| per.words());
            words.push(format!("{bytes} used this {per}, above {}", words::bytes(used.above)));
        }
        if let Some(when) = &rule.when {
            words.push(format!("within {when}"));
        }
        let Some(seen) = seen else { return words };
        let (is, over) = (self.gauges(seen), rule.gauges);
        let path: Arc<str> = seen.path.map(|path| self.rules.paths[path].name.clone()).unwrap_or_default();
        let figure = |is: Option<u64>, over: Option<u64>, say: &dyn Fn(u64, u64) -> String| {
            over.map(|over| say(is.unwrap_or(0), over))
        };
        let micros = std::time::Duration::from_micros;
        words.extend(figure(is.load, over.load, &|is, over| {
            format!("{path} is loaded {}, threshold {}", words::percent(is), words::percent(over))
        }));
        words.extend(figure(is.rtt, over.rtt, &|is, over| {
            format!("round trips take {}, threshold {}", words::time(micros(is)), words::time(micros(over)))
        }));
        words.extend(figure(is.loss, over.loss, &|is, over| {
            format!("{} of the bytes are sent again, threshold {}", words::percent(is), words::percent(over))
        }));
        if words.is_empty() {
            words.push(format!("{} is on {path}", seen.subflow.client().ip()));
        }
        words
    }
}

/// What shares the rate of a limit with a subflow, or with a connection where none is named.
fn class(rule: Option<(RuleId, &Rule)>, party: &Party<'_>, seen: Option<&Seen<'_>>, direction: Direction) -> Class {
    let (_, rule) = rule?;
    let Act::Limit { ceiling, per, .. } = rule.act else { return None };
    if !rule.act.covers(direction) {
        return None;
    }
    let scope = match (per, seen) {
        (Per::Policy, _) => Scope::Policy,
        (Per::Subscriber, _) => Scope::Subscriber(party.subscriber.clone()),
        (Per::Subflow, Some(seen)) => Scope::Subflow(seen.key),
        (Per::Connection, _) | (Per::Subflow, None) => Scope::Connection(party.connection.key),
    };
    Some((ClassKey { policy: rule.name.clone(), scope, direction }, ceiling))
}
