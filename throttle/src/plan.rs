//! From what policies want to what is done: operations in order, and what came of them.
//!
//! What lives here: the one who plans ([`Planner`]), with what it has done so far. What does not: what is wanted (`policy`), doing it
//! (`proxy`). Called every turn with a view and the decisions about it. Invariants: under `steer` a connection keeps a live subflow that
//! nobody holds (or one that is let in slowly because another is dead), or none of its subflows is held; a subflow is promoted onto a
//! rate only once it has drained and its socket is paced; after [`Planner::release_all`] nothing of ours is left.

mod connection;
mod duty;
mod effect;
mod explain;
mod goal;
mod happened;
mod order;
mod pace;
mod places;
mod pool;
mod report;
mod share;
mod standing;
mod step;
mod subflow;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use anabranch_config::BitRate;

use crate::intent::{Arming, Decisions, Direction};
use crate::op::{Abilities, Op, Slot};
use crate::view::{ConnectionKey, SubflowKey, View};
use connection::Connection;
use effect::Effects;
use order::Ordered;
use pool::Pool;
use subflow::{Put, Subflow};

pub use effect::Measured;
pub use explain::{Expected, Explanation};
pub use happened::{Happened, Held, Tally};

/// What a planner is told once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Classes there may be.
    pub slots: u16,
    /// How long an element lasts that nobody renews.
    pub lease: Duration,
    /// This is a router too: what joins may belong to a connection that merely passes.
    pub passing: bool,
}

/// An operation that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Why, in words.
    pub message: String,
    /// What it was about is not there any more: nothing is wrong.
    pub gone: bool,
}

/// Something worth a line in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed(String);

/// Plans, and remembers what was done.
#[derive(Debug)]
pub struct Planner {
    abilities: Abilities,
    settings: Settings,
    now: Duration,
    subflows: BTreeMap<SubflowKey, Subflow>,
    connections: BTreeMap<ConnectionKey, Connection>,
    pool: Pool,
    effects: Effects,
    armed: Vec<(Arming, Option<Slot>)>,
    /// The bound that connections to come have.
    from_accept: Option<u32>,
    totals: BTreeMap<(ConnectionKey, Direction), (u32, BitRate)>,
    buckets: pool::Buckets,
    /// Elements of subflows that live no more.
    left: Vec<(SubflowKey, Direction)>,
    /// Operations that failed are not tried again before this.
    pauses: BTreeMap<&'static str, Duration>,
    changes: Vec<Changed>,
    counts: happened::Counts,
    /// Whose rate each connection as a whole is to keep, each way.
    total_holders: BTreeMap<(ConnectionKey, Direction), Words>,
    deadline: Option<Duration>,
    /// Everything is taken back, and nothing comes later.
    leaving: bool,
}

/// What connections to come hold unsent while a rate may be wanted of a subflow that joins them: what serves 40 ms of round trip.
const FROM_ACCEPT: u32 = 16 * 1024;

/// The log takes so many lines at once.
const MOST_CHANGES: usize = 1024;

impl Planner {
    /// One that has done nothing.
    #[must_use]
    pub fn new(abilities: Abilities, settings: Settings) -> Self {
        Self {
            abilities,
            settings,
            now: Duration::ZERO,
            subflows: BTreeMap::new(),
            connections: BTreeMap::new(),
            pool: Pool::new(settings.slots, settings.lease),
            effects: Effects::default(),
            armed: Vec::new(),
            from_accept: None,
            totals: BTreeMap::new(),
            buckets: pool::Buckets::default(),
            left: Vec::new(),
            pauses: BTreeMap::new(),
            changes: Vec::new(),
            counts: happened::Counts::default(),
            total_holders: BTreeMap::new(),
            deadline: None,
            leaving: false,
        }
    }

    /// Says what can be done from now on.
    pub const fn set_abilities(&mut self, abilities: Abilities) {
        self.abilities = abilities;
    }

    /// What is to be done now, in this order.
    pub fn plan(&mut self, view: &View, decisions: &Decisions) -> Vec<Op> {
        self.now = view.at;
        self.deadline = None;
        self.forget(view);
        self.effects.observe(view, decisions, &self.subflows);
        self.aim(view, decisions);
        self.look(view);
        let mut ops = Ordered::default();
        // First: what holds for those to come has the same classes whoever is there.
        self.arm(decisions, &mut ops);
        self.places();
        self.classes(&mut ops);
        self.subflows(view, &mut ops);
        self.connections(view, decisions, &mut ops);
        self.totals(decisions, &mut ops);
        // Who lived there before comes first: another subflow may have the same addresses and ports by now.
        let left =
            std::mem::take(&mut self.left).into_iter().map(|(subflow, direction)| Op::Remove { subflow, direction });
        let mut all: Vec<_> = left.collect();
        all.extend(ops.into_ops().into_iter().filter(|op| !self.is_held_up(op)));
        all
    }

    /// Everything that takes back what was done; the caller applies it and reports as ever.
    pub fn release_all(&mut self, view: &View) -> Vec<Op> {
        // What waits to be done again is done now: there is no later.
        self.pauses.clear();
        self.subflows.values_mut().for_each(Subflow::try_at_once);
        self.leaving = true;
        let ops = self.plan(view, &Decisions::default());
        self.leaving = false;
        ops
    }

    /// How long until what was held has been let off its pace; `None`: nothing is on its way there.
    #[must_use]
    pub fn letting_off(&self) -> Option<Duration> {
        self.subflows.values().any(|subflow| subflow.paced.is_some()).then_some(pace::LET_OFF)
    }

    /// Takes in what came of an operation.
    pub fn on_done(&mut self, op: &Op, result: Result<(), Failure>, now: Duration) {
        self.now = self.now.max(now);
        match result {
            Ok(()) => self.done(op),
            Err(failure) if failure.gone => match op.subflow() {
                Some(subflow) => self.vanished(subflow),
                // Of what is not there, everything has been taken back.
                None => self.done(op),
            },
            Err(failure) => self.failed(op, failure),
        }
    }

    /// When there is something to do though nothing new is seen.
    ///
    /// Units:  since the Unix epoch
    #[must_use]
    pub const fn next_deadline(&self) -> Option<Duration> {
        self.deadline
    }

    /// Subflows on their way to another state: what is known of them has to be fresh.
    pub fn in_transition(&self) -> impl Iterator<Item = SubflowKey> {
        self.subflows.iter().filter(|(_, subflow)| subflow.moves(self.now)).map(|(key, _)| *key)
    }

    /// What changed since the last call, for the log.
    pub fn take_changes(&mut self) -> Vec<Changed> {
        std::mem::take(&mut self.changes)
    }

    fn say(&mut self, words: String) {
        if self.changes.len() < MOST_CHANGES {
            self.changes.push(Changed(words));
        }
    }

    fn due(&mut self, at: Duration) {
        self.deadline = Some(self.deadline.map_or(at, |due| due.min(at)));
    }

    /// Forgets what lives no more. A slot is not given again before what points to it has timed out.
    fn forget(&mut self, view: &View) {
        let living: BTreeSet<SubflowKey> =
            view.connections.iter().flat_map(|one| one.keyed()).map(|(key, _)| key).collect();
        let gone: Vec<_> = self.subflows.keys().filter(|key| !living.contains(key)).copied().collect();
        gone.into_iter().for_each(|key| self.drop_subflow(key));
        let connections: BTreeSet<_> = view.connections.iter().map(|connection| connection.key).collect();
        self.connections.retain(|key, _| connections.contains(key));
        self.totals.retain(|(key, _), _| connections.contains(key));
        self.effects.forget(self.now);
        self.armed.iter().filter_map(|(_, slot)| *slot).for_each(|slot| self.pool.keep(slot));
        self.pool.turn(self.now);
    }

    fn drop_subflow(&mut self, key: SubflowKey) {
        if let Some(mut subflow) = self.subflows.remove(&key) {
            self.counts.gone(&subflow);
            self.leave(key, subflow.take_puts());
        }
    }

    /// Has a subflow's elements taken out of the map.
    fn leave(&mut self, key: SubflowKey, puts: [(Direction, Option<Put>); 2]) {
        for (direction, put) in puts {
            if let Some(put) = put {
                self.pool.leave(put.slot, key);
                self.left.push((key, direction));
            }
        }
    }

    /// Whether it failed a moment ago and has to wait.
    fn is_held_up(&mut self, op: &Op) -> bool {
        let until = match op.subflow() {
            Some(key) => self.subflows.get(&key).and_then(|subflow| subflow.waits_until(op.as_str())),
            None => self.pauses.get(op.as_str()).copied(),
        };
        let until = until.filter(|until| *until > self.now);
        if let Some(until) = until {
            self.due(until);
        }
        until.is_some()
    }
}

impl fmt::Display for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A name shared with those that told it.
type Words = Arc<str>;

#[cfg(test)]
mod tests;
