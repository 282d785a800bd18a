//! The next step of a subflow to what is aimed at.

use std::time::Duration;

use super::Planner;
use super::goal::{Goal, is_dead};
use super::order::Ordered;
use super::pace::LITTLE;
use super::share::Portion;
use super::subflow::{DRAINED, Subflow};
use crate::intent::{Ceiling, ClassKey, Direction};
use crate::op::{Op, Slot};
use crate::rung::Rung;
use crate::view::{self, ConnectionKey, SubflowKey, View};
use anabranch_sniffer::SubflowKind;

/// What may be done to the subflows of a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Means {
    pub(super) demote: bool,
    pub(super) pace: bool,
}

impl Planner {
    /// Takes in what is known of every subflow.
    pub(super) fn look(&mut self, view: &View) {
        for connection in &view.connections {
            let demoted = |key| self.subflows.get(&key).is_some_and(|subflow| subflow.demoted.is_some());
            let ways: Vec<_> = connection
                .keyed()
                .filter(|(key, seen)| seen.is_live() && seen.verified && !seen.backup_by_client && !demoted(*key))
                .map(|(key, _)| key)
                .collect();
            let count = connection.subflows.iter().map(|one| one.download.saturating_add(one.upload)).sum();
            let now = self.now;
            let known = self.connection(connection.key);
            known.look(count, now);
            known.dead = connection.subflows.iter().any(is_dead).then(|| known.dead.unwrap_or(now));
            for (key, seen) in connection.keyed() {
                let Some(subflow) = self.subflows.get_mut(&key) else { continue };
                subflow.look(seen, self.now);
                subflow.alone = ways.iter().all(|way| *way == key);
                if let Some(why) = subflow.cannot("demote").map(str::to_owned) {
                    self.connection(connection.key).cannot_demote.get_or_insert(why);
                }
            }
        }
    }

    /// What may be done to the subflows of a connection.
    pub(super) fn means(&self, connection: ConnectionKey) -> Means {
        let ours = matches!(connection, ConnectionKey::Ours(_));
        let refused = self.connections.get(&connection).is_some_and(|one| one.cannot_demote.is_some());
        Means { demote: self.abilities.demote && ours && !refused, pace: self.abilities.pace && ours }
    }

    /// By what a subflow is held to a rate towards the client.
    pub(super) fn rung(&self, key: SubflowKey, subflow: &Subflow) -> Rung {
        let means = self.means(key.connection);
        if means.pace && subflow.cannot("pace").is_none() {
            Rung::Pace
        } else if means.demote && !subflow.alone {
            Rung::Demote
        } else {
            Rung::Cap
        }
    }

    /// The next step of every subflow.
    pub(super) fn subflows(&mut self, view: &View, ops: &mut Ordered) {
        for connection in &view.connections {
            for (key, seen) in connection.keyed() {
                let Some(mut subflow) = self.subflows.remove(&key) else { continue };
                self.step(key, seen, &mut subflow, ops);
                self.subflows.insert(key, subflow);
            }
        }
    }

    fn step(&mut self, key: SubflowKey, seen: &view::Subflow, subflow: &mut Subflow, ops: &mut Ordered) {
        match subflow.goal.clone() {
            Goal::Free => {
                subflow.start_over();
                let may_promote = seen.is_live() || subflow.alone || self.leaving;
                if may_promote && self.is_unproven(key, subflow) {
                    self.ask(key, subflow, LITTLE, ops);
                } else {
                    let slowly = self.lets_in_slowly(key, seen, subflow, ops);
                    subflow.release(key, may_promote, ops);
                    if !slowly {
                        self.let_off(key, subflow, ops);
                    }
                }
                if seen.kind != Some(SubflowKind::Initial) && subflow.download.is_none() && self.is_armed(subflow) {
                    ops.push_first(Op::Remove { subflow: key, direction: Direction::Download });
                }
            }
            Goal::Backup => self.back_up(key, seen, subflow, ops),
            Goal::Closed => {
                if self.means(key.connection).demote && !subflow.closed {
                    ops.push(Op::Close(key));
                }
            }
            Goal::Rate { download, upload } => {
                match download.and_then(|rate| self.portion(&rate)) {
                    Some(portion) => self.hold(key, seen, (subflow, portion), ops),
                    None => {
                        remove(key, subflow, Direction::Download, ops);
                        self.set_aside(key, seen, subflow, ops);
                    }
                }
                match upload.and_then(|rate| self.portion(&rate)?.slot) {
                    // What its client had sent before it heard of that is not to wait behind a cap: 5 MB took a fifth longer.
                    Some(_) if subflow.aside && subflow.upload.is_none() && self.now < subflow.since + DRAINED => {
                        self.due(subflow.since + DRAINED);
                    }
                    Some(slot) => self.put(key, subflow, (Direction::Upload, slot), ops),
                    None => remove(key, subflow, Direction::Upload, ops),
                }
            }
        }
    }

    /// One of which no more is held than what comes from its client: a backup while a free one carries that. What was held towards the
    /// client before is let go.
    fn set_aside(&mut self, key: SubflowKey, seen: &view::Subflow, subflow: &Subflow, ops: &mut Ordered) {
        if subflow.aside {
            self.demote(key, subflow, ops);
            self.unpace_once_drained(key, seen, subflow, ops);
            return;
        }
        if subflow.demoted.is_some() {
            ops.push(Op::Promote(key));
        }
        self.let_off(key, subflow, ops);
    }

    fn unpace_once_drained(&self, key: SubflowKey, seen: &view::Subflow, subflow: &Subflow, ops: &mut Ordered) {
        if subflow.paced.is_some() && subflow.demoted.is_some() && subflow.is_drained(seen, self.now) {
            ops.push(Op::Unpace(key));
        }
    }

    fn portion(&self, (class, _): &(ClassKey, Ceiling)) -> Option<Portion> {
        self.pool.portions.get(class).copied()
    }

    /// Whether a rule of the kernel's may have put it into a class.
    pub(super) fn is_armed(&self, subflow: &Subflow) -> bool {
        !subflow.disarmed && !self.armed.is_empty()
    }

    /// A subflow that is to be a backup.
    fn back_up(&self, key: SubflowKey, seen: &view::Subflow, subflow: &mut Subflow, ops: &mut Ordered) {
        subflow.start_over();
        self.demote(key, subflow, ops);
        self.unpace_once_drained(key, seen, subflow, ops);
        // Nothing is in the way of what it has still to send.
        self.take_out(key, subflow, ops);
        remove(key, subflow, Direction::Upload, ops);
    }

    /// Takes what goes to its client out of any class, be it one that a rule of the kernel's put it into.
    pub(super) fn take_out(&self, key: SubflowKey, subflow: &Subflow, ops: &mut Ordered) {
        if subflow.download.is_some() || self.is_armed(subflow) {
            ops.push(Op::Remove { subflow: key, direction: Direction::Download });
        }
    }

    pub(super) fn demote(&self, key: SubflowKey, subflow: &Subflow, ops: &mut Ordered) {
        if self.means(key.connection).demote && subflow.demoted.is_none() {
            ops.push(Op::Demote(key));
        }
    }

    /// A subflow that is to carry a rate towards the client.
    fn hold(
        &mut self,
        key: SubflowKey,
        seen: &view::Subflow,
        (subflow, portion): (&mut Subflow, Portion),
        ops: &mut Ordered,
    ) {
        match self.rung(key, subflow) {
            Rung::Pace => self.pace(key, seen, (subflow, portion), ops),
            Rung::Demote => self.let_in(key, seen, (subflow, portion), ops),
            Rung::Cap | Rung::Close => {
                (subflow.duty, subflow.eases) = (None, false);
                // How low, the class knows.
                if let (Some(slot), Some(_)) = (portion.slot, subflow.floor()) {
                    self.put(key, subflow, (Direction::Download, slot), ops);
                }
            }
        }
    }

    /// Puts its packets into a class, or renews that when half of the lease is over.
    pub(super) fn put(
        &mut self,
        key: SubflowKey,
        subflow: &Subflow,
        (direction, slot): (Direction, Slot),
        ops: &mut Ordered,
    ) {
        if !self.abilities.cap || !self.pool.is_set(slot) && self.pauses_classes() {
            return;
        }
        match subflow.put(direction) {
            Some(put) if put.slot == slot => {
                let renewal = put.at + self.settings.lease / 2 - spread(key, self.settings.lease / 4);
                if self.now >= renewal {
                    ops.push(Op::Put { subflow: key, direction, slot });
                } else {
                    self.due(renewal);
                }
            }
            _ => ops.push(Op::Put { subflow: key, direction, slot }),
        }
    }

    fn pauses_classes(&self) -> bool {
        self.pauses.get("set-class").is_some_and(|until| *until > self.now)
    }
}

/// Takes it out of its class.
fn remove(key: SubflowKey, subflow: &Subflow, direction: Direction, ops: &mut Ordered) {
    if subflow.put(direction).is_some() {
        ops.push(Op::Remove { subflow: key, direction });
    }
}

/// A part of a time, another one for every subflow, so that not all leases are renewed at once.
fn spread(key: SubflowKey, most: Duration) -> Duration {
    let port = u32::from(key.flow.destination().port());
    // Neighbouring ports far apart: a multiplication by the golden ratio of 2^32.
    let part = port.wrapping_mul(0x9e37_79b9) >> 22;
    most * part / 1024
}
