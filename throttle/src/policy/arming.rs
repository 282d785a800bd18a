//! What holds for subflows that are not there yet: judged by the address they will come from and the port they will come to alone.
//!
//! Invariant: nothing is armed that a look at the subflow, once it is there, might take back. Where anything else could matter, nothing is
//! armed, and the subflow is judged when it is seen.

use std::collections::BTreeMap;

use anabranch_config::Prefix;
use anabranch_sniffer::SubflowKind;

use super::Policies;
use super::rules::{Act, PathId, Rule, RuleId, Rules};
use crate::intent::{Armed, Arming, Direction};

/// How a policy stands to subflows to come on one path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stand {
    /// It will have none of them, as things are.
    No,
    /// It depends.
    Perhaps,
    /// It will have every one that comes to its ports.
    Yes,
}

impl Policies {
    /// What holds for subflows to come.
    pub(crate) fn arming(&self) -> Vec<Arming> {
        let mut armed: BTreeMap<RuleId, Arming> = BTreeMap::new();
        for path in 0..self.rules.paths.len() {
            let Some(id) = self.decider(path) else { continue };
            let rule = &self.rules.policies[id];
            let hold = match rule.act {
                Act::Limit { ceiling, download: true, .. } => Armed::Rate(ceiling),
                Act::Close => Armed::Refused,
                _ => continue,
            };
            let prefixes = self.rules.only(path);
            if prefixes.is_empty() {
                continue;
            }
            let ports = self.rules.listening(rule);
            let (policy, enforce) = (rule.name.clone(), rule.enforce);
            let arming = Arming { policy, enforce, prefixes: Vec::new(), ports, hold };
            armed.entry(id).or_insert(arming).prefixes.extend(prefixes);
        }
        armed.into_values().collect()
    }

    /// The policy that will have every subflow to come on a path, at its ports.
    fn decider(&self, path: PathId) -> Option<RuleId> {
        for id in self.by_path[path].iter().copied() {
            let rule = &self.rules.policies[id];
            // One that leaves downloads alone does not stand in the way of one that does not.
            if !rule.act.covers(Direction::Download) {
                continue;
            }
            match self.stand(id, rule) {
                Stand::No => {}
                Stand::Perhaps => return None,
                Stand::Yes => return Some(id),
            }
        }
        None
    }

    fn stand(&self, id: RuleId, rule: &Rule) -> Stand {
        if !self.active[id] || rule.kind == Some(SubflowKind::Initial) {
            return Stand::No;
        }
        let judged = rule.subscribers.is_empty()
            && rule.destinations.is_empty()
            && rule.ports.is_empty()
            && rule.used.is_none()
            && rule.gauges.is_empty();
        let known = rule.listeners.iter().all(|name| self.rules.ports.iter().any(|(other, _)| other == name));
        if judged && known { Stand::Yes } else { Stand::Perhaps }
    }

    /// Whether a rate may be wanted of subflows that join connections accepted now.
    pub(crate) fn may_hold_to_a_rate(&self) -> bool {
        self.rules.policies.iter().enumerate().any(|(id, rule)| {
            let rate = match rule.act {
                Act::Limit { download, .. } => download && !rule.is_total(),
                Act::Share { .. } => true,
                Act::Overflow { limit, .. } => limit.is_some(),
                Act::Backup | Act::Close => false,
            };
            rate && self.active[id] && rule.kind != Some(SubflowKind::Initial)
        })
    }
}

impl Rules {
    /// The client addresses that are on a path whatever the interface.
    fn only(&self, path: PathId) -> Vec<Prefix> {
        let rule = &self.paths[path];
        if rule.interface.is_some() {
            return Vec::new();
        }
        let mut left = rule.client.clone();
        for (id, other) in self.paths.iter().enumerate().filter(|(id, _)| *id != path) {
            for prefix in &other.client {
                // A longer prefix wins, and of equal ones the path that comes first.
                let wins = |mine: &Prefix| {
                    let (theirs, mine) = (prefix.net().prefix_len(), mine.net().prefix_len());
                    theirs > mine || (theirs == mine && id < path)
                };
                left = rule
                    .client
                    .iter()
                    .filter(|mine| wins(mine) && mine.contains(prefix.net().addr()))
                    .fold(left, |left, _| left.into_iter().flat_map(|mine| without(mine, *prefix)).collect());
            }
        }
        left.sort_unstable();
        left.dedup();
        left
    }

    /// The ports of the listeners a policy is for. Empty: any.
    fn listening(&self, rule: &Rule) -> Vec<u16> {
        let named = self.ports.iter().filter(|(name, _)| rule.listeners.contains(name));
        let mut ports: Vec<_> = named.map(|(_, port)| *port).collect();
        ports.sort_unstable();
        ports.dedup();
        ports
    }
}

/// A prefix without another one, as prefixes.
fn without(whole: Prefix, hole: Prefix) -> Vec<Prefix> {
    let (net, hole_net) = (whole.net(), hole.net());
    if hole_net.contains(&net) {
        return Vec::new();
    }
    if !net.contains(&hole_net) {
        return vec![whole];
    }
    let halves = net.subnets(net.prefix_len() + 1).into_iter().flatten();
    halves.filter_map(|half| Prefix::try_from(half).ok()).flat_map(|half| without(half, hole)).collect()
}
