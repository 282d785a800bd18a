//! What the steering side counts. Created in `app.rs`, passed to the engine, which keeps it up to date between its turns.
//!
//! Labels are closed sets, and names of policies: those in force, and those that were before the last change, since what they held is let
//! go after they are gone.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anabranch_throttle::plan::{Happened, Held, Tally};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Action {
    action: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Object {
    object: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Policy {
    policy: Arc<str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Hold {
    policy: Arc<str>,
    event: &'static str,
}

/// How steering goes.
#[derive(Debug, Default)]
pub struct Metrics {
    connections: Gauge,
    held: Family<Action, Gauge>,
    holds: Family<Hold, Counter>,
    bytes: Family<Policy, Counter>,
    failures: Family<Object, Counter>,
    last_turn: Gauge<f64, AtomicU64>,
    late_turns: Counter,
    /// Policies with series: in force now, and before the last change.
    named: BTreeSet<Arc<str>>,
    former: BTreeSet<Arc<str>>,
    /// When a turn began last under a policy.
    began: Option<Duration>,
}

impl Metrics {
    /// Creates the families and enters them into a registry.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let registry = registry.sub_registry_with_prefix("steering");
        registry.register("connections", "Connections of which anything is held now", metrics.connections.clone());
        registry.register("held", "What is held now, by action", metrics.held.clone());
        registry.register("holds", "What happened to holds, by policy", metrics.holds.clone());
        registry.register("held_payload_bytes", "Payload moved while held, by policy", metrics.bytes.clone());
        registry.register("failed_operations", "Operations that failed, by object", metrics.failures.clone());
        registry.register(
            "last_turn_timestamp_seconds",
            "When the loop that steers last began a turn, since the Unix epoch",
            metrics.last_turn.clone(),
        );
        registry.register("late_turns", "Turns begun more than an interval late", metrics.late_turns.clone());
        metrics.hold(Held::default());
        metrics
    }

    /// A turn begins. Under a policy it is to do so an interval after the last one, at the latest.
    pub(super) fn turn(&mut self, at: Duration, interval: Option<Duration>) {
        self.last_turn.set(at.as_secs_f64());
        if let (Some(began), Some(interval)) = (self.began, interval)
            && at.saturating_sub(began) > interval * 2
        {
            self.late_turns.inc();
        }
        self.began = interval.map(|_| at);
    }

    /// These policies are in force from now on.
    pub(super) fn name(&mut self, policies: impl Iterator<Item = Arc<str>>) {
        let now: BTreeSet<_> = policies.collect();
        let former = std::mem::replace(&mut self.named, now);
        for policy in self.former.iter().filter(|policy| !former.contains(*policy) && !self.named.contains(*policy)) {
            for event in Happened::ALL {
                self.holds.remove(&hold(policy, event));
            }
            self.bytes.remove(&Policy { policy: policy.clone() });
        }
        // From the start: what appears with its first event has no rate.
        for policy in &self.named {
            Happened::ALL.iter().for_each(|event| drop(self.holds.get_or_create(&hold(policy, *event))));
        }
        self.former = former;
    }

    /// What happened to holds.
    pub(super) fn happen(&self, tally: &Tally) {
        for ((policy, event), count) in tally {
            if self.named.contains(policy) || self.former.contains(policy) {
                self.holds.get_or_create(&hold(policy, *event)).inc_by(*count);
            }
        }
    }

    /// What is held now.
    pub(super) fn hold(&self, held: Held) {
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.connections.set(number(held.connections));
        let Held { connections: _, demoted, paced, capped, closed, totals } = held;
        let each = [("demoted", demoted), ("paced", paced), ("capped", capped), ("closed", closed), ("total", totals)];
        for (action, count) in each {
            self.held.get_or_create(&Action { action }).set(number(count));
        }
    }

    /// What has been moved in all while a policy held it.
    pub(super) fn moved(&self, policy: Arc<str>, bytes: u64) {
        self.bytes.get_or_create(&Policy { policy }).inner().store(bytes, Ordering::Relaxed);
    }

    /// An operation failed.
    pub(super) fn fail(&self, object: &'static str) {
        self.failures.get_or_create(&Object { object }).inc();
    }
}

fn hold(policy: &Arc<str>, event: Happened) -> Hold {
    Hold { policy: policy.clone(), event: event.as_str() }
}

#[cfg(test)]
mod tests;
