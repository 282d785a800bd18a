//! What came of operations: what is remembered as done, and what is tried again when.

use std::time::Duration;

use super::{Failure, Planner};
use crate::intent::Direction;
use crate::op::{Op, Slot};
use crate::view::SubflowKey;

/// After a failure that is nobody's in particular, this long.
const PAUSE: Duration = Duration::from_secs(1);

impl Planner {
    /// It was done.
    pub(super) fn done(&mut self, op: &Op) {
        match op {
            Op::BoundUnsent { connection, bytes } => self.connection(*connection).is_bound(*bytes),
            Op::BoundFromAccept { bytes } => self.from_accept = *bytes,
            Op::Total { connection, direction, bucket: Some(bucket) } => {
                self.totals.insert((*connection, *direction), *bucket);
            }
            Op::Total { connection, direction, bucket: None } => drop(self.totals.remove(&(*connection, *direction))),
            Op::Arm(armed) => self.armed.clone_from(armed),
            Op::SetClass { slot, ceiling } => self.pool.was_set(*slot, *ceiling),
            Op::Put { subflow, direction, slot } => self.has_put(*subflow, *direction, *slot),
            Op::Remove { subflow, direction } => {
                let put = self.subflows.get(subflow).and_then(|held| held.put(*direction));
                if let Some(put) = put {
                    self.pool.leave(put.slot, *subflow);
                }
            }
            _ => {}
        }
        let now = self.now;
        if let Some(subflow) = op.subflow().and_then(|key| self.subflows.get_mut(&key)) {
            subflow.done(op, now);
        }
    }

    fn has_put(&mut self, key: SubflowKey, direction: Direction, slot: Slot) {
        let Some(subflow) = self.subflows.get(&key) else { return self.left.push((key, direction)) };
        if let Some(former) = subflow.put(direction).filter(|former| former.slot != slot) {
            self.pool.leave(former.slot, key);
        }
        self.pool.enter(slot, key);
    }

    /// It failed, and is tried again after a pause.
    pub(super) fn failed(&mut self, op: &Op, failure: Failure) {
        let now = self.now;
        if let Op::SetClass { slot, .. } = op {
            self.pool.unset(*slot);
        }
        let Some(key) = op.subflow() else {
            let former = self.pauses.insert(op.as_str(), now + PAUSE);
            // One that goes on failing is said once.
            if former.is_none_or(|former| former + PAUSE < now) {
                self.say(format!("{} failed and is tried again: {}", op.as_str(), failure.message));
            }
            return self.due(now + PAUSE);
        };
        if let Some(subflow) = self.subflows.get_mut(&key) {
            let until = subflow.failed(op, failure.message, now);
            let given_up =
                subflow.has_just_given_up(op).map(|why| format!("{key}: {} cannot be done: {why}", op.as_str()));
            self.due(until);
            given_up.into_iter().for_each(|words| self.say(words));
        }
    }

    /// The kernel says that it is not there, whatever is still seen of it.
    pub(super) fn vanished(&mut self, key: SubflowKey) {
        if let Some(subflow) = self.subflows.get_mut(&key) {
            let puts = subflow.vanish(self.now);
            self.leave(key, puts);
        }
    }
}
