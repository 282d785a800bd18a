//! Facts and rules in, wishes out.
//!
//! What lives here: the one who decides ([`Policies`]), and what it has to remember to decide well. What does not: how a wish is carried
//! out (`plan`), where usage is kept (`usage`). Called once a tick by `proxy`. Invariants: the first policy in the file that matches
//! decides about a subflow, in each direction; at most one intent a subflow; nothing is wanted of a subflow that is not verified, or of a
//! connection that is plain TCP; what is constant is decided the same every time.

mod arming;
mod clock;
mod compile;
mod demand;
mod example;
mod hold;
mod line;
mod list;
mod memory;
mod mind;
mod observe;
mod overflow;
mod replace;
mod rules;
mod select;
mod share;
mod words;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use clock::{Clock, Moment};
use demand::{Door, DoorKey};
use hold::Holds;
use line::Line;
use memory::ConnectionMemory;
use observe::PathMemory;
use rules::{PathId, RuleId};
use select::Tally;
use share::Share;

use crate::intent::{Decisions, LeftFree, Placement};
use crate::usage::{Span, Usage};
use crate::view::{Connection, ConnectionKey, Subflow, SubflowKey, View};
pub use example::{Example, Made};
pub use list::PolicyLine;
pub use rules::Rules;

/// Decides what is wanted of every subflow.
#[derive(Debug)]
pub struct Policies {
    rules: Rules,
    /// The policies about each path, in the order of the file.
    by_path: Vec<Vec<RuleId>>,
    clock: Clock,
    usage: Usage,
    connections: HashMap<ConnectionKey, ConnectionMemory>,
    lines: HashMap<(Arc<str>, PathId), Line>,
    paths: Vec<PathMemory>,
    doors: HashMap<DoorKey, Door>,
    shares: HashMap<(RuleId, ConnectionKey), (Share, Duration)>,
    /// Whether it is the time of each policy.
    active: Vec<bool>,
    /// When that changes.
    edges: Vec<Option<Duration>>,
    tallies: Vec<Tally>,
    next: Option<Duration>,
    /// When something was last forgotten.
    swept: Duration,
    /// What an overflow policy has and leaves free, as of the last look.
    left: HashMap<SubflowKey, LeftFree>,
    /// What cannot be held, whatever is wanted of it.
    beyond: HashSet<SubflowKey>,
}

/// How often it is looked for what can be forgotten.
const SWEEP: Duration = Duration::from_secs(1);
/// How long a connection that is not in sight is remembered: views may miss one for a moment.
const AWAY: Duration = Duration::from_secs(10);
/// How long what was learned of a line outlasts its last subflow.
const LINE_AWAY: Duration = Duration::from_secs(15 * 60);

impl Policies {
    /// One that follows these rules and remembers nothing.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        let mut policies = Self {
            rules: Rules::default(),
            by_path: Vec::new(),
            clock: Clock::default(),
            usage: Usage::default(),
            connections: HashMap::new(),
            lines: HashMap::new(),
            paths: Vec::new(),
            doors: HashMap::new(),
            shares: HashMap::new(),
            active: Vec::new(),
            edges: Vec::new(),
            tallies: Vec::new(),
            next: None,
            swept: Duration::ZERO,
            left: HashMap::new(),
            beyond: HashSet::new(),
        };
        policies.install(rules);
        policies
    }

    /// What is wanted now.
    pub fn decide(&mut self, view: &View) -> Decisions {
        let moment = self.clock.advance(view.at);
        self.next = None;
        self.left.clear();
        self.turn(moment);
        let parties = self.observe(view, moment);
        let claims = parties.iter().map(|party| self.select(party, moment)).collect();
        let mut holds = Holds::new(claims);
        self.fixed(&parties, &mut holds);
        self.share(&parties, &mut holds, moment);
        self.overflow(&parties, &mut holds, moment);
        let totals = self.totals(&parties);
        let intents = self.intents(&parties, holds);
        self.forget(moment.now);
        let bound_from_accept = self.may_hold_to_a_rate();
        Decisions { intents, totals, arming: self.arming(), bound_from_accept }
    }

    /// What is wanted before anything was seen: of those to come. What the next look shows has come about in a time that nobody knows.
    pub fn decide_unseen(&mut self, at: Duration) -> Decisions {
        let decisions = self.decide(&View { at, connections: Vec::new() });
        self.clock.was_unseen();
        decisions
    }

    /// The path of a subflow and whose it is, whether or not a policy wants anything of it.
    #[must_use]
    pub fn placement(&self, connection: &Connection, subflow: &Subflow) -> Placement {
        let client = subflow.client();
        let path = self.rules.path_of(client.ip(), subflow.interface.as_deref());
        let known = self.connections.get(&connection.key).and_then(ConnectionMemory::subscriber).cloned();
        let subscriber = known.unwrap_or_else(|| ConnectionMemory::of(&self.rules, connection));
        Placement { path: path.map(|path| self.rules.paths[path].name.clone()), subscriber, client }
    }

    /// The overflow policy that decides about a subflow and leaves it free.
    #[must_use]
    pub fn left_free(&self, key: SubflowKey) -> Option<&LeftFree> {
        self.left.get(&key)
    }

    /// Takes in what cannot be held: it is wanted all the same, and not counted as held.
    pub fn set_beyond(&mut self, beyond: HashSet<SubflowKey>) {
        self.beyond = beyond;
    }

    /// When what is wanted may change though nothing new is seen: a schedule's or a period's edge, an `after`, `hold` or `dwell` that is over.
    ///
    /// Units:   since the Unix epoch
    #[must_use]
    pub fn next_change(&self, now: Duration) -> Option<Duration> {
        let edges = self.edges.iter().flatten().copied().chain(self.usage.next_end());
        edges.chain(self.next).filter(|at| *at > now).min()
    }

    /// The rules in force.
    #[must_use]
    pub const fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Whether there is no policy.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.policies.is_empty()
    }

    /// What has been used of paths.
    pub fn usage(&mut self) -> &mut Usage {
        &mut self.usage
    }

    /// Asks to be asked again at this time on the wall.
    fn note(&mut self, due: Option<Duration>) {
        let now = self.clock.last().wall;
        if let Some(due) = due.filter(|due| *due > now) {
            self.next = Some(self.next.map_or(due, |next| next.min(due)));
        }
    }

    /// Finds out which policies it is the time of, and which periods run.
    fn turn(&mut self, moment: Moment) {
        let mut spans: Vec<Span> = Vec::new();
        for (id, rule) in self.rules.policies.iter().enumerate() {
            let tally = &mut self.tallies[id];
            (tally.eligible, tally.selected, tally.held, tally.beyond) = (0, 0, 0, 0);
            tally.subscribers.clear();
            // The clock may have been set back: the edge that is known says nothing about what is before it.
            if moment.gap || self.edges[id].is_none_or(|edge| moment.wall >= edge) {
                self.active[id] = rule.when.as_ref().is_none_or(|when| when.contains(moment.wall));
                self.edges[id] = rule.when.as_ref().and_then(|when| when.next_change(moment.wall));
            }
            let Some(period) = rule.used.as_ref().and_then(|used| used.per.as_ref()) else { continue };
            let all: Vec<_> = if rule.is_total() { (0..self.rules.paths.len()).collect() } else { rule.paths.clone() };
            let names = all.into_iter().map(|path| self.rules.paths[path].name.clone());
            let index = spans.iter().position(|span| span.period == period.label).unwrap_or_else(|| {
                let (start, end) = (period.start(moment.wall), period.end(moment.wall));
                spans.push(Span { period: period.label.clone(), start, end, paths: Vec::new() });
                spans.len() - 1
            });
            let paths = &mut spans[index].paths;
            paths.extend(names);
            paths.sort_unstable();
            paths.dedup();
        }
        self.usage.turn(spans);
    }

    /// Forgets what has been out of sight for long.
    fn forget(&mut self, now: Duration) {
        if now.saturating_sub(self.swept) < SWEEP {
            return;
        }
        self.swept = now;
        let fresh = |seen: Duration, away: Duration| now.saturating_sub(seen) < away;
        for memory in self.connections.values_mut() {
            memory.subflows.retain(|subflow| fresh(subflow.seen, AWAY));
        }
        self.connections.retain(|_, memory| fresh(memory.seen, AWAY));
        self.shares.retain(|_, (_, seen)| fresh(*seen, AWAY));
        self.doors.retain(|_, door| fresh(door.seen, AWAY));
        self.lines.retain(|_, line| fresh(line.seen, LINE_AWAY));
        self.usage.forget(now);
    }
}

#[cfg(test)]
mod tests;
