//! New rules in the place of old ones: what is remembered survives where names stay.

use std::collections::BTreeMap;
use std::mem::take;
use std::sync::Arc;

use super::Policies;
use super::observe::PathMemory;
use super::rules::{PathId, Rules};
use super::select::Tally;

/// Which number had what is now number so-and-so, by name.
struct Renumbered(Vec<Option<usize>>);

impl Renumbered {
    fn new<'a>(old: impl Iterator<Item = &'a Arc<str>>, new: &[&Arc<str>]) -> Self {
        Self(old.map(|old| new.iter().position(|new| *new == old)).collect())
    }

    fn get(&self, old: usize) -> Option<usize> {
        self.0.get(old).copied().flatten()
    }
}

impl Policies {
    /// Takes on other rules: a reload, or `policy apply`.
    ///
    /// Shape:   usage stays; open overflows, rates, what was learned of lines and the last changes of mind stay where policies and paths of
    ///          those names are still there
    pub fn replace(&mut self, rules: Rules) {
        let paths = {
            let new: Vec<_> = rules.paths.iter().map(|path| &path.name).collect();
            Renumbered::new(self.rules.paths.iter().map(|path| &path.name), &new)
        };
        let policies = {
            let new: Vec<_> = rules.policies.iter().map(|rule| &rule.name).collect();
            Renumbered::new(self.rules.policies.iter().map(|rule| &rule.name), &new)
        };
        let bytes: BTreeMap<_, _> = self
            .rules
            .policies
            .iter()
            .zip(&self.tallies)
            .map(|(rule, tally)| (rule.name.clone(), tally.bytes))
            .collect();
        let loads: BTreeMap<_, _> =
            self.rules.paths.iter().zip(&self.paths).map(|(path, memory)| (path.name.clone(), *memory)).collect();
        self.install(rules);

        for (rule, tally) in self.rules.policies.iter().zip(&mut self.tallies) {
            tally.bytes = bytes.get(&rule.name).copied().unwrap_or(0);
        }
        for (path, memory) in self.rules.paths.iter().zip(&mut self.paths) {
            *memory = loads.get(&path.name).copied().unwrap_or(*memory);
        }
        let line = |((whose, path), line): ((Arc<str>, PathId), _)| Some(((whose, paths.get(path)?), line));
        self.lines = take(&mut self.lines).into_iter().filter_map(line).collect();
        let door = |((rule, path, whose), door)| Some(((policies.get(rule)?, paths.get(path)?, whose), door));
        self.doors = take(&mut self.doors).into_iter().filter_map(door).collect();
        let share = |((rule, connection), share)| Some(((policies.get(rule)?, connection), share));
        self.shares = take(&mut self.shares).into_iter().filter_map(share).collect();
        for memory in self.connections.values_mut() {
            memory.reconsider(&self.rules);
            let bare = |((rule, path), bare)| Some(((policies.get(rule)?, paths.get(path)?), bare));
            memory.bare = take(&mut memory.bare).into_iter().filter_map(bare).collect();
            for subflow in &mut memory.subflows {
                let mind = |(rule, mind)| Some((policies.get(rule)?, mind));
                subflow.minds = take(&mut subflow.minds).into_iter().filter_map(mind).collect();
            }
        }
    }

    /// Puts rules into place, with nothing remembered of policies and paths.
    pub(super) fn install(&mut self, rules: Rules) {
        let about = |path: PathId| {
            let about = rules.policies.iter().enumerate().filter(|(_, rule)| rule.paths.contains(&path));
            about.map(|(id, _)| id).collect()
        };
        self.by_path = (0..rules.paths.len()).map(about).collect();
        self.paths = vec![PathMemory::new(); rules.paths.len()];
        self.tallies = vec![Tally::default(); rules.policies.len()];
        self.left.clear();
        self.active = vec![false; rules.policies.len()];
        self.edges = vec![None; rules.policies.len()];
        self.rules = rules;
    }
}
