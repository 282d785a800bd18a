//! What holds beyond single subflows: for those to come, and for connections as a whole.

use std::collections::{BTreeMap, BTreeSet};

use super::Planner;
use super::order::Ordered;
use crate::intent::{Armed, Decisions};
use crate::op::Op;
use anabranch_config::Enforce;

impl Planner {
    /// What holds for subflows to come.
    pub(super) fn arm(&mut self, decisions: &Decisions, ops: &mut Ordered) {
        let wanted = if self.abilities.cap { decisions.arming.as_slice() } else { &[] };
        let mut armed = Vec::new();
        for arming in wanted {
            // A cap behind the sender from the first byte on holds up what merely passes (to half of the free path was measured): such a
            // subflow is capped once it is known what it carries, unless a contract does not wait.
            if self.settings.passing && matches!(arming.hold, Armed::Rate(_)) && arming.enforce == Enforce::Steer {
                continue;
            }
            // Without a class left, user space is a moment later; that is all.
            let slot = match arming.hold {
                Armed::Refused => None,
                Armed::Rate(_) => self.pool.armed(&arming.policy),
            };
            if let (Armed::Rate(ceiling), Some(slot)) = (&arming.hold, slot)
                && self.pool.set(slot, *ceiling)
            {
                ops.push(Op::SetClass { slot, ceiling: *ceiling });
            }
            armed.push((arming.clone(), slot));
        }
        if self.armed != armed {
            ops.push(Op::Arm(armed));
        }
    }

    /// Rates of whole connections.
    pub(super) fn totals(&mut self, decisions: &Decisions, ops: &mut Ordered) {
        self.tally_totals(decisions);
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
        let used: BTreeSet<u32> = wanted.values().chain(self.totals.values()).map(|(number, _)| *number).collect();
        self.buckets.keep(&used);
    }
}
