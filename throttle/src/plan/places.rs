//! Who is let in where a rate is too small for all that share it.
//!
//! A chunk that a slow socket has taken holds up its whole connection until it is through: at 40 kbit/s each, fifty connections
//! deliver less than half of what their free path carries. So as many have a place as can use it, be it none, and the others stay
//! demoted.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Planner;
use super::goal::Goal;
use super::share::{IDLE, payload};
use super::subflow::Subflow;
use crate::intent::ClassKey;
use crate::rung::Rung;
use crate::view::SubflowKey;

/// What a place is worth at least: the 8 KiB that a socket takes at once are through in a quarter of a second.
///
/// Units:  bit/s of payload
pub(super) const WORTH: u64 = 250_000;

/// A rate that is shared.
#[derive(Default)]
struct Shared {
    /// Units:  bit/s of payload
    rate: u64,
    /// Those that could be kept out.
    candidates: Vec<SubflowKey>,
    /// Those that cannot, and carry something.
    others: u64,
}

/// How much a candidate is entitled to a place, the most first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Claim {
    /// It has one and uses it.
    Uses,
    /// Its connection carries something, and it has none.
    Waits,
    /// It would not use one, or has not.
    Rests,
}

impl Planner {
    /// Gives places, and takes those that nobody uses while others wait.
    pub(super) fn places(&mut self) {
        for Shared { rate, mut candidates, others } in self.shared().into_values() {
            let places = (rate / WORTH).saturating_sub(others);
            let places = usize::try_from(places).unwrap_or(usize::MAX);
            if candidates.len() > places {
                let rank = |key: &SubflowKey| {
                    self.subflows.get(key).map(|subflow| (self.claim(*key, subflow), subflow.turned))
                };
                candidates.sort_by_cached_key(rank);
            }
            for (at, key) in candidates.into_iter().enumerate() {
                if let Some(subflow) = self.subflows.get_mut(&key) {
                    subflow.turn(at >= places, self.now);
                }
            }
        }
    }

    fn shared(&mut self) -> BTreeMap<ClassKey, Shared> {
        let mut classes: BTreeMap<ClassKey, Shared> = BTreeMap::new();
        let mut outside = Vec::new();
        for (key, subflow) in &self.subflows {
            let Goal::Rate { download: Some((class, ceiling)), .. } = &subflow.goal else {
                if subflow.waits {
                    outside.push(*key);
                }
                continue;
            };
            let shared = classes.entry(class.clone()).or_default();
            shared.rate = payload(ceiling.rate);
            if self.rung(*key, subflow) == Rung::Pace && self.means(key.connection).demote && !subflow.alone {
                shared.candidates.push(*key);
            } else {
                shared.others += u64::from(subflow.is_active(self.now));
                outside.push(*key);
            }
        }
        for key in outside {
            if let Some(subflow) = self.subflows.get_mut(&key) {
                subflow.turn(false, self.now);
            }
        }
        classes
    }

    fn claim(&self, key: SubflowKey, subflow: &Subflow) -> Claim {
        let busy = self.connections.get(&key.connection).is_some_and(|one| self.now.saturating_sub(one.moved) < IDLE);
        let fresh = self.now.saturating_sub(subflow.turned) < IDLE;
        match (busy, subflow.waits) {
            (true, true) => Claim::Waits,
            (true, false) if fresh || subflow.is_active(self.now) => Claim::Uses,
            _ => Claim::Rests,
        }
    }
}

impl Subflow {
    /// It waits for a place, or has one.
    const fn turn(&mut self, waits: bool, now: Duration) {
        if self.waits != waits {
            (self.waits, self.turned) = (waits, now);
        }
    }

    /// It carries something these days.
    pub(super) fn is_active(&self, now: Duration) -> bool {
        now.saturating_sub(self.moved) < IDLE
    }
}
