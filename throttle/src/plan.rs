//! From what policies want to what is done: operations in order, and what came of them.
//!
//! What lives here: the one who plans ([`Planner`]), with what it has done so far. What does not: what is wanted (`policy`), doing it
//! (`proxy`). Called every turn with a view and the decisions about it. Invariants: under `steer` a connection keeps a live subflow that
//! nobody holds, or none of its subflows is held; a subflow is promoted onto a rate only once it has drained and its socket is paced;
//! after [`Planner::release_all`] nothing of ours is left.

mod connection;
mod effect;
mod explain;
mod goal;
mod order;
mod pool;
mod share;
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
use subflow::Subflow;

pub use effect::Measured;
pub use explain::{Expected, Explanation};

/// What a planner is told once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Classes there may be.
    pub slots: u16,
    /// How long an element lasts that nobody renews.
    pub lease: Duration,
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
    deadline: Option<Duration>,
}

/// What connections to come hold unsent while a rate may be wanted of a subflow that joins them: what serves 40 ms of round trip.
const FROM_ACCEPT: u32 = 16 * 1024;

/// After a failure that is nobody's in particular, this long.
const PAUSE: Duration = Duration::from_secs(1);

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
            deadline: None,
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
        let mut ops = Ordered::default();
        for (subflow, direction) in std::mem::take(&mut self.left) {
            ops.push(Op::Remove { subflow, direction });
        }
        // First: what holds for those to come has the same classes whoever is there.
        self.arm(decisions, &mut ops);
        self.classes(&mut ops);
        self.subflows(view, &mut ops);
        self.connections(view, decisions, &mut ops);
        self.totals(view, decisions, &mut ops);
        ops.into_ops().into_iter().filter(|op| !self.is_paused(op)).collect()
    }

    /// Everything that takes back what was done; the caller applies it and reports as ever.
    pub fn release_all(&mut self, view: &View) -> Vec<Op> {
        let ops = self.plan(view, &Decisions::default());
        // What waits to be done again is done now: there is no later.
        self.pauses.clear();
        let mut more = Ordered::default();
        for (key, subflow) in &self.subflows {
            subflow.release(*key, &mut more);
        }
        let mut all = ops;
        for op in more.into_ops() {
            if !all.contains(&op) {
                all.push(op);
            }
        }
        all
    }

    /// Takes in what came of an operation.
    pub fn on_done(&mut self, op: &Op, result: Result<(), Failure>, now: Duration) {
        self.now = self.now.max(now);
        match result {
            Ok(()) => self.done(op),
            Err(failure) if failure.gone => {
                if let Some(subflow) = op.subflow() {
                    self.drop_subflow(subflow);
                }
            }
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
        self.subflows.iter().filter(|(_, subflow)| subflow.moves()).map(|(key, _)| *key)
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
        self.pool.turn(self.now);
    }

    fn drop_subflow(&mut self, key: SubflowKey) {
        if let Some(subflow) = self.subflows.remove(&key) {
            for (direction, put) in [(Direction::Download, subflow.download), (Direction::Upload, subflow.upload)] {
                if let Some(put) = put {
                    self.pool.leave(put.slot, key);
                    self.left.push((key, direction));
                }
            }
        }
    }

    fn is_paused(&mut self, op: &Op) -> bool {
        let until = self.pauses.get(op.as_str()).copied().filter(|until| *until > self.now);
        if let Some(until) = until {
            self.due(until);
        }
        // What gives something back is never held up.
        until.is_some() && !matches!(op, Op::Promote(_) | Op::Unpace(_) | Op::Remove { .. })
    }

    /// What holds for subflows to come.
    fn arm(&mut self, decisions: &Decisions, ops: &mut Ordered) {
        let wanted = if self.abilities.cap { decisions.arming.as_slice() } else { &[] };
        if self.armed.len() == wanted.len() && self.armed.iter().zip(wanted).all(|((armed, _), wanted)| armed == wanted)
        {
            return;
        }
        let mut armed = Vec::new();
        for arming in wanted {
            let crate::intent::Armed::Rate(ceiling) = arming.hold else {
                armed.push((arming.clone(), None));
                continue;
            };
            // Without a class left, user space is a moment later; that is all.
            let Some(slot) = self.pool.armed(&arming.policy) else { continue };
            if self.pool.set(slot, ceiling) {
                ops.push(Op::SetClass { slot, ceiling });
            }
            armed.push((arming.clone(), Some(slot)));
        }
        ops.push(Op::Arm(armed));
    }

    /// Rates of whole connections.
    fn totals(&mut self, view: &View, decisions: &Decisions, ops: &mut Ordered) {
        let mut wanted = BTreeMap::new();
        if self.abilities.proxy {
            for total in &decisions.totals {
                let bucket = self.buckets.of(&total.class);
                wanted.insert((total.connection, total.class.direction), (bucket, total.ceiling.rate));
            }
        }
        for (&(connection, direction), &(bucket, rate)) in &wanted {
            if self.totals.get(&(connection, direction)) != Some(&(bucket, rate)) {
                ops.push(Op::Total { connection, direction, bucket: Some((bucket, rate)) });
            }
        }
        for &(connection, direction) in self.totals.keys().filter(|key| !wanted.contains_key(key)) {
            ops.push(Op::Total { connection, direction, bucket: None });
        }
        if view.connections.is_empty() {
            self.buckets.clear();
        }
    }

    fn done(&mut self, op: &Op) {
        let now = self.now;
        match op {
            Op::BoundUnsent { connection, bytes } => {
                self.connections.entry(*connection).or_insert_with(|| Connection::new(now)).bound = *bytes;
            }
            Op::BoundFromAccept { bytes } => self.from_accept = *bytes,
            Op::Total { connection, direction, bucket: Some(bucket) } => {
                self.totals.insert((*connection, *direction), *bucket);
            }
            Op::Total { connection, direction, bucket: None } => drop(self.totals.remove(&(*connection, *direction))),
            Op::Arm(armed) => self.armed.clone_from(armed),
            Op::SetClass { slot, ceiling } => self.pool.was_set(*slot, *ceiling),
            Op::Put { subflow, slot, .. } => self.pool.enter(*slot, *subflow),
            Op::Remove { subflow, direction } => {
                let put = self.subflows.get(subflow).and_then(|held| held.put(*direction));
                if let Some(put) = put {
                    self.pool.leave(put.slot, *subflow);
                }
            }
            _ => {}
        }
        if let Some(subflow) = op.subflow().and_then(|key| self.subflows.get_mut(&key)) {
            subflow.done(op, now);
        }
    }

    fn failed(&mut self, op: &Op, failure: Failure) {
        let now = self.now;
        if let Op::SetClass { slot, .. } = op {
            self.pool.unset(*slot);
        }
        let about = op.subflow();
        if let Some(subflow) = about.and_then(|key| self.subflows.get_mut(&key)) {
            subflow.failed(op, failure.message.clone(), now);
        }
        if about.is_none() {
            let pause = self.pauses.insert(op.as_str(), now + PAUSE);
            if pause.is_none() {
                self.say(format!("{} failed and is tried again: {}", op.as_str(), failure.message));
            }
        }
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
