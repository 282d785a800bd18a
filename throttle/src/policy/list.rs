//! The policies as `anabranch policy list` shows them.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::Policies;
use super::rules::{Act, Rule, RuleId};
use super::words;

/// A policy, and how it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PolicyLine {
    /// What it is called.
    pub name: Arc<str>,
    /// The paths it is about. Empty: connections as a whole.
    pub paths: Vec<Arc<str>>,
    /// What it does: `limit to 2 Mbit/s per subscriber, download`.
    pub action: String,
    /// How far it may go: `steer` or `always`.
    pub enforce: &'static str,
    /// Something is held by it now.
    pub active: bool,
    /// If not, why not; if so, what it holds.
    pub state: String,
    /// The subflows it decides about.
    pub subflows: usize,
    /// Those of them that it holds now; the others are free under it.
    pub held: usize,
    /// Those of them that it would hold and that cannot be: `policy explain` says why of each.
    pub cannot_be_held: usize,
    /// The subscribers whose these are.
    pub subscribers: usize,
    /// Payload that subflows moved while held by it.
    ///
    /// Units:   bytes
    pub bytes: u64,
    /// When its schedule changes next.
    ///
    /// Units:   since the Unix epoch
    pub next_change: Option<Duration>,
}

impl Policies {
    /// The policies, in the order of the file.
    #[must_use]
    pub fn lines(&self) -> Vec<PolicyLine> {
        (0..self.rules.policies.len()).map(|id| self.line(id)).collect()
    }

    /// What they are called.
    pub fn names(&self) -> impl Iterator<Item = Arc<str>> {
        self.rules.policies.iter().map(|rule| rule.name.clone())
    }

    /// Payload that subflows moved while held by each, by name.
    ///
    /// Units:   bytes
    pub fn moved(&self) -> impl Iterator<Item = (Arc<str>, u64)> {
        self.rules.policies.iter().zip(&self.tallies).map(|(rule, tally)| (rule.name.clone(), tally.bytes))
    }

    fn line(&self, id: RuleId) -> PolicyLine {
        let (rule, tally) = (&self.rules.policies[id], &self.tallies[id]);
        PolicyLine {
            name: rule.name.clone(),
            paths: rule.paths.iter().map(|path| self.rules.paths[*path].name.clone()).collect(),
            action: action(rule),
            enforce: rule.enforce.as_str(),
            active: tally.held > 0,
            state: self.state(id),
            subflows: tally.selected,
            held: tally.held,
            cannot_be_held: tally.beyond,
            subscribers: tally.subscribers.len(),
            bytes: tally.bytes,
            next_change: self.edges[id],
        }
    }

    fn state(&self, id: RuleId) -> String {
        let (rule, tally) = (&self.rules.policies[id], &self.tallies[id]);
        let plural = |count: usize| if count == 1 { "1 subflow".to_owned() } else { format!("{count} subflows") };
        if !self.active[id] {
            return "not at this time".to_owned();
        }
        if tally.beyond > 0 {
            let beyond = format!("{} that cannot be held", plural(tally.beyond));
            return if tally.held == 0 { beyond } else { format!("holds {}, and {beyond}", plural(tally.held)) };
        }
        match (tally.held, tally.selected, tally.eligible) {
            (0, 0, 0) => "no subflow that it selects, or an earlier policy decides".to_owned(),
            (0, 0, eligible) => format!("its conditions hold for none of {}", plural(eligible)),
            (0, selected, _) => match rule.act {
                Act::Overflow { .. } => format!("open: {} free", plural(selected)),
                Act::Share { .. } => format!("{} free: the share is not exceeded", plural(selected)),
                _ => format!("{} selected", plural(selected)),
            },
            (held, ..) => format!("holds {}", plural(held)),
        }
    }
}

fn action(rule: &Rule) -> String {
    let rate = |rate: anabranch_config::BitRate| words::rate(rate.bits_per_second());
    match rule.act {
        Act::Overflow { limit: Some(limit), .. } => format!("overflow, up to {}", rate(limit)),
        Act::Share { percent } => format!("share of {percent} %"),
        Act::Limit { ceiling, per, download, upload } => {
            let way = match (download, upload) {
                (true, true) => "both ways",
                (_, true) => "upload",
                _ => "download",
            };
            format!("limit to {} per {}, {way}", rate(ceiling.rate), per.as_str())
        }
        Act::Overflow { .. } | Act::Backup | Act::Close => rule.act.as_str().to_owned(),
    }
}

impl std::fmt::Display for PolicyLine {
    /// On a line, for people.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let paths = if self.paths.is_empty() { "everything".to_owned() } else { self.paths.join(", ") };
        let contract = if self.enforce == "always" { ", a contract" } else { "" };
        write!(f, "\"{}\" on {paths}: {}{contract}; {}", self.name, self.action, self.state)?;
        if self.bytes > 0 {
            write!(f, "; {} bytes moved while held", self.bytes)?;
        }
        Ok(())
    }
}
