//! Why a subflow is treated as it is: the policy, the evidence, the action and its effect.

use std::collections::HashSet;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::effect::Measured;
use super::goal::Goal;
use super::pace::OPEN;
use super::subflow::Subflow;
use super::{Planner, Words};
use crate::intent::{Intent, LeftFree};
use crate::view::{ConnectionKey, SubflowKey};
use anabranch_config::Enforce;
use anabranch_sniffer::FourTuple;

/// What an action promises.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Expected {
    /// Of the subflow.
    pub subflow: String,
    /// Of its connection.
    pub connection: String,
}

/// Why a subflow is treated as it is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// Its connection.
    pub connection: ConnectionKey,
    /// From the server's side to the client's.
    pub flow: FourTuple,
    /// The path it is on, if it is one of the configured ones.
    pub path: Option<Words>,
    /// Whose it is.
    pub subscriber: Option<Words>,
    /// The policy that decides about it, if one does.
    pub policy: Option<Words>,
    /// What that wants.
    pub wants: Option<String>,
    /// Whether it is a contract.
    pub contract: bool,
    /// The facts it rests on.
    pub evidence: Vec<String>,
    /// What is done.
    pub action: String,
    /// For how long it has been aimed at, in milliseconds.
    pub for_ms: u64,
    /// What that promises.
    pub expected: Option<Expected>,
    /// What was measured.
    pub measured: Option<Measured>,
    /// What its connection as a whole is held to, and by which policy.
    pub totals: Vec<String>,
    /// Why it is not as the policy wants, and what could not be done.
    pub but: Vec<String>,
}

impl Planner {
    /// Why a subflow is treated as it is.
    #[must_use]
    pub fn explain(&self, key: SubflowKey) -> Explanation {
        let known = self.subflows.get(&key);
        let intent = known.and_then(|subflow| subflow.intent.as_ref());
        let since = known.map_or(self.now, |subflow| subflow.since);
        let mut but: Vec<String> =
            known.and_then(|subflow| subflow.why.as_deref()).map(str::to_owned).into_iter().collect();
        but.extend(known.iter().flat_map(|subflow| subflow.failures()));
        let connection = self.connections.get(&key.connection);
        if let Some(why) = connection.and_then(|connection| connection.cannot_demote.as_deref()) {
            but.push(format!("its priority cannot be changed ({why}); it began under another path manager"));
        }
        if intent.is_some() && matches!(key.connection, ConnectionKey::Passing(_)) {
            but.push("the connection passes here: it can be capped behind its socket only, which holds up the whole of it the more \
                      the lower the cap".to_owned());
        }
        if self.pool.exhausted > 0 {
            but.push("there was no class left at times (steering.subflows)".to_owned());
        }
        Explanation {
            connection: key.connection,
            flow: key.flow,
            path: intent.map(|intent| intent.path.clone()),
            subscriber: intent.map(|intent| intent.subscriber.clone()),
            policy: intent.map(|intent| intent.policy.clone()),
            wants: intent.map(|intent| intent.hold.to_string()),
            contract: intent.is_some_and(|intent| intent.enforce == Enforce::Always),
            evidence: intent.map(|intent| intent.evidence.clone()).unwrap_or_default(),
            action: known.map_or_else(|| "nothing is done to it".to_owned(), Subflow::action),
            for_ms: u64::try_from(self.now.saturating_sub(since).as_millis()).unwrap_or(u64::MAX),
            expected: intent.and_then(|intent| expected(known?, intent)),
            measured: intent.and_then(|intent| self.effects.measured(intent)),
            totals: self.totals_of(key.connection),
            but,
        }
    }

    /// Subflows that are to be demoted or closed, and cannot be: their connections began under another path manager.
    #[must_use]
    pub fn beyond(&self) -> HashSet<SubflowKey> {
        let refuses = |key: &SubflowKey| {
            self.connections.get(&key.connection).is_some_and(|connection| connection.cannot_demote.is_some())
        };
        let wants = |subflow: &Subflow| matches!(subflow.goal, Goal::Backup | Goal::Closed) && !subflow.closed;
        let is = |(key, subflow): &(&SubflowKey, &Subflow)| wants(subflow) && !subflow.is_touched() && refuses(key);
        self.subflows.iter().filter(is).map(|(key, _)| *key).collect()
    }

    fn totals_of(&self, connection: ConnectionKey) -> Vec<String> {
        let of = self.totals.iter().filter(|((key, _), _)| *key == connection);
        of.map(|((_, direction), (bucket, rate))| {
            let policy = self.buckets.class_of(*bucket).map_or("-", |class| &class.policy);
            format!("at most {rate} of {direction} in all, by \"{policy}\": the proxy reads no faster")
        })
        .collect()
    }

    /// Subflows of which something has failed that may still come about, and what of one of them: the first thing to know of policies
    /// just applied.
    #[must_use]
    pub fn failing(&self) -> Option<(usize, String)> {
        let mut failing = self.subflows.values().filter_map(Subflow::fails);
        let first = failing.next()?;
        Some((1 + failing.count(), first))
    }

    /// Connections whose subflows' priorities cannot be changed.
    #[must_use]
    pub fn undemotable(&self) -> usize {
        self.connections.values().filter(|connection| connection.cannot_demote.is_some()).count()
    }
}

impl Explanation {
    /// The same with the policy that decides about it and leaves it free, where none wants anything of it.
    #[must_use]
    pub fn or_left(mut self, left: Option<&LeftFree>) -> Self {
        if let (None, Some(left)) = (&self.policy, left) {
            (self.path, self.subscriber) = (Some(left.path.clone()), Some(left.subscriber.clone()));
            self.policy = Some(left.policy.clone());
            self.wants = Some(left.wants.to_owned());
            self.contract = left.enforce == Enforce::Always;
            self.evidence = left.evidence.to_vec();
        }
        self
    }
}

fn expected(subflow: &Subflow, intent: &Intent) -> Option<Expected> {
    let of = match &subflow.goal {
        Goal::Free => return None,
        Goal::Backup => "carries nothing while another one can".to_owned(),
        Goal::Closed => "is gone".to_owned(),
        Goal::Rate { .. } => intent.hold.to_string(),
    };
    let connection = match intent.enforce {
        Enforce::Steer => "not below 0.9 of what its free paths carried at their best",
        Enforce::Always => "a contract: enforced whatever it costs, and never rolled back",
    };
    Some(Expected { subflow: of, connection: connection.to_owned() })
}

impl Subflow {
    /// What is done to it, in words.
    pub(super) fn action(&self) -> String {
        let mut done = Vec::new();
        if self.demoted.is_some() {
            done.push(match self.goal {
                Goal::Rate { .. } if self.waits => {
                    "demoted until there is a place: too many share the rate (MP_PRIO)".to_owned()
                }
                Goal::Rate { .. } if self.paced.is_none() && !self.aside => {
                    "demoted until it has drained (MP_PRIO)".to_owned()
                }
                _ if self.is_unanswered() => {
                    "demoted until its client has given a sign of life (SO_KEEPALIVE; nothing was heard of it)"
                        .to_owned()
                }
                _ => "demoted (MP_PRIO)".to_owned(),
            });
        }
        if self.paced.is_some_and(|paced| paced.rate == OPEN) {
            done.push("holds little unsent, at any rate, until it has changed its pace".to_owned());
        } else if let Some(paced) = self.paced.filter(|_| self.demoted.is_none()) {
            #[allow(clippy::cast_precision_loss, reason = "a rate to be read")]
            let rate = paced.rate as f64 / 1e6;
            done.push(format!("paced at {rate:.2} Mbit/s of payload"));
        }
        for (way, put) in [("download", self.download), ("upload", self.upload)] {
            if let Some(put) = put {
                done.push(format!("{way} in class {}", put.slot));
            }
        }
        if self.goal == Goal::Closed {
            done.push("closed".to_owned());
        }
        if done.is_empty() { "nothing is done to it".to_owned() } else { done.join(", ") }
    }

    /// A change of what is aimed at, for the log.
    pub(super) fn words(&self, key: SubflowKey, intent: Option<&Intent>) -> String {
        let Some(intent) = intent else {
            return match &self.why {
                Some(why) => format!("{key}: a backup for now: {why}"),
                None => format!("{key}: released, no policy wants anything of it"),
            };
        };
        let (policy, path) = (&intent.policy, &intent.path);
        let because = intent.evidence.join("; ");
        match (&self.goal, &self.why) {
            (Goal::Free, Some(why)) => {
                format!("{key} on {path}: left free, though \"{policy}\" wants {}: {why}", intent.hold)
            }
            (_, Some(why)) => format!("{key} on {path}: {} by \"{policy}\", but {why}", intent.hold),
            (_, None) => format!("{key} on {path}: {} by \"{policy}\" ({because})", intent.hold),
        }
    }
}

/// So many times, in words.
pub(super) fn times(count: u32) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "subflow {} of connection {}", self.flow, self.connection)?;
        let or = |word: &Option<Words>| word.as_deref().unwrap_or("-").to_owned();
        match &self.policy {
            None if self.totals.is_empty() => writeln!(f, "  no policy wants anything of it")?,
            None => writeln!(f, "  no policy wants anything of it alone")?,
            Some(policy) => {
                writeln!(f, "  path {}, subscriber {}", or(&self.path), or(&self.subscriber))?;
                let kind = if self.contract { "a contract" } else { "steers" };
                writeln!(f, "  policy \"{policy}\" ({kind}): {}", self.wants.as_deref().unwrap_or_default())?;
            }
        }
        if !self.evidence.is_empty() {
            writeln!(f, "  because {}", self.evidence.join("; "))?;
        }
        let seconds = Duration::from_millis(self.for_ms).as_secs_f64();
        writeln!(f, "  action: {}, for {seconds:.1} s", self.action)?;
        if let Some(expected) = &self.expected {
            writeln!(f, "  expected: it {}; the connection: {}", expected.subflow, expected.connection)?;
        }
        if let Some(measured) = &self.measured {
            let mbit = |rate: f64| rate / 1e6;
            writeln!(
                f,
                "  measured: {:.2} Mbit/s held, {:.2} free, {:.2} in all; the free ones carried {:.2} at their best lately; rolled back {}",
                mbit(measured.held),
                mbit(measured.free),
                mbit(measured.total),
                mbit(measured.reference),
                times(measured.rolled_back)
            )?;
        }
        self.totals.iter().try_for_each(|total| writeln!(f, "  its connection: {total}"))?;
        self.but.iter().try_for_each(|but| writeln!(f, "  but {but}"))
    }
}
