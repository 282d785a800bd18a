//! What is aimed at for each subflow: what its policy wants, as far as it may be had.

use std::collections::BTreeMap;

use super::effect::Verdict;
use super::subflow::Subflow;
use super::{Planner, Words};
use crate::intent::{Ceiling, ClassKey, Decisions, Hold, Intent};
use crate::view::{self, ConnectionKey, SubflowKey, View};
use anabranch_config::Enforce;

/// What is aimed at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[allow(clippy::large_enum_variant, reason = "a rate is what is nearly always aimed at")]
pub(super) enum Goal {
    /// It is left alone.
    #[default]
    Free,
    /// It is a backup.
    Backup,
    /// It carries at most a rate.
    Rate {
        /// Towards the client.
        download: Option<(ClassKey, Ceiling)>,
        /// From the client.
        upload: Option<(ClassKey, Ceiling)>,
    },
    /// It is closed.
    Closed,
}

impl Goal {
    fn of(hold: &Hold) -> Self {
        match hold {
            Hold::Backup => Self::Backup,
            Hold::Rate { download, upload } => Self::Rate { download: download.clone(), upload: upload.clone() },
            Hold::Closed => Self::Closed,
        }
    }

    /// Whether nothing but what comes from the client is held to a rate.
    const fn is_upload_alone(&self) -> bool {
        matches!(self, Self::Rate { download: None, upload: Some(_) })
    }

    /// Whether both aim at the same, be it at another rate.
    fn is_alike(&self, other: &Self) -> bool {
        let class = |rate: &Option<(ClassKey, Ceiling)>| rate.as_ref().map(|(class, _)| class.clone());
        match (self, other) {
            (Self::Rate { download, upload }, Self::Rate { download: others, upload: up }) => {
                class(download) == class(others) && class(upload) == class(up)
            }
            _ => self == other,
        }
    }
}

/// Why a policy is not carried out.
pub(super) const ALONE: &str = "no other subflow of the connection is alive and free";

/// Why a subflow is a backup that no policy makes one. The scheduler compares what waits in each with what each lately sent: one that was
/// held looks slow for a while, and a dead one that was not looks fast, and would be given everything until the kernel takes it for stale.
pub(super) const DEAD: &str = "nothing gets through it now";

/// Why a subflow is a backup whose policy gives it a rate. Its client goes on filling a queue that hardly moves, and waits for it: 5 MB took
/// 2.1 to 3.1 times as long as over the free path alone (first-transfer, 2 of 40 Mbit/s), and as long as that with this.
const ASIDE: &str =
    "its client sends over the free one: a cap on what it sends here would hold up the whole connection";

pub(super) const fn is_dead(subflow: &view::Subflow) -> bool {
    subflow.established && subflow.timeouts > 0
}

impl Planner {
    /// Decides what is aimed at for every subflow.
    pub(super) fn aim(&mut self, view: &View, decisions: &Decisions) {
        let intents: BTreeMap<SubflowKey, &Intent> =
            decisions.intents.iter().map(|intent| (intent.subflow, intent)).collect();
        for connection in &view.connections {
            self.aim_connection(connection, &intents);
        }
    }

    fn aim_connection(&mut self, connection: &view::Connection, intents: &BTreeMap<SubflowKey, &Intent>) {
        let now = self.now;
        let wanted: Vec<_> = connection
            .keyed()
            .map(|(key, subflow)| {
                let intent = intents.get(&key).copied().filter(|_| subflow.verified && !connection.fallback);
                let verdict = intent.map_or(Verdict::Fine, |intent| self.effects.verdict(intent, now));
                (key, subflow, intent, verdict)
            })
            .collect();
        let live = |subflow: &view::Subflow| subflow.is_live() && subflow.verified && !subflow.backup_by_client;
        let is_free = |(key, subflow, intent, verdict): &&(SubflowKey, &view::Subflow, Option<&Intent>, Verdict)| {
            live(subflow)
                && (intent.is_none() || matches!(verdict, Verdict::Paused(_)))
                && !self.subflows.get(key).is_some_and(|known| known.is_stuck() || self.is_unproven(*key, known))
        };
        let steered =
            wanted.iter().any(|(_, _, intent, _)| intent.is_some_and(|intent| intent.enforce == Enforce::Steer));
        let flows: Vec<_> = wanted.iter().filter(|(_, subflow, ..)| live(subflow)).map(|(key, ..)| key.flow).collect();
        let free: Vec<_> = wanted.iter().filter(is_free).map(|(key, ..)| key.flow).collect();
        let lives = !flows.is_empty();
        let known = self.connection(connection.key);
        known.live(flows.into_iter(), now);
        let others_carry = known.may_be_held(&free, now);
        let may_steer = steered && others_carry;
        let is_ours = !self.leaving && (steered || connection.keyed().any(|(key, _)| self.subflows.contains_key(&key)));
        for (key, subflow, intent, verdict) in wanted {
            let contract = intent.is_some_and(|intent| intent.enforce == Enforce::Always);
            let (goal, why) = match intent {
                _ if is_ours && lives && is_dead(subflow) && !contract && self.means(key.connection).demote => {
                    (Goal::Backup, Some(DEAD.into()))
                }
                None => (Goal::Free, None),
                Some(intent) => self.goal(key, intent, (&verdict, may_steer)),
            };
            let aside = contract && others_carry && goal.is_upload_alone() && self.means(key.connection).demote;
            let why = why.or_else(|| aside.then(|| ASIDE.into()));
            self.take_aim(key, intent, goal, why);
            if let Some(subflow) = self.subflows.get_mut(&key) {
                subflow.aside = aside;
                self.counts.look(subflow, intent, may_steer && matches!(verdict, Verdict::Paused(_)));
            }
        }
    }

    /// What is aimed at for a subflow that a policy wants something of, and if that is less, why.
    fn goal(&self, key: SubflowKey, intent: &Intent, (verdict, may_steer): (&Verdict, bool)) -> (Goal, Option<Words>) {
        if intent.enforce == Enforce::Always {
            return (Goal::of(&intent.hold), None);
        }
        if !may_steer {
            return (Goal::Free, Some(ALONE.into()));
        }
        if let ConnectionKey::Passing(_) = key.connection
            && matches!(intent.hold, Hold::Backup | Hold::Closed)
        {
            let why = "the connection does not end here: its subflows' priorities are not ours to change";
            return (Goal::Free, Some(why.into()));
        }
        match verdict {
            Verdict::Fine => (Goal::of(&intent.hold), None),
            Verdict::Tightened(why) => match intent.hold {
                Hold::Rate { .. } if self.means(key.connection).demote => (Goal::Backup, Some(why.clone())),
                Hold::Rate { .. } => (Goal::Free, Some(why.clone())),
                _ => (Goal::of(&intent.hold), None),
            },
            Verdict::Paused(why) => (Goal::Free, Some(why.clone())),
        }
    }

    fn take_aim(&mut self, key: SubflowKey, intent: Option<&Intent>, goal: Goal, why: Option<Words>) {
        let now = self.now;
        let is_new = !self.subflows.contains_key(&key);
        if intent.is_none() && goal == Goal::Free && is_new && self.armed.is_empty() {
            return;
        }
        let subflow = self.subflows.entry(key).or_insert_with(|| Subflow::new(now));
        let former = std::mem::replace(&mut subflow.goal, goal);
        subflow.why = why;
        let other = |intent: &Intent| subflow.intent.as_ref().map(|former| &former.policy) != Some(&intent.policy);
        let changed = !former.is_alike(&subflow.goal) || intent.is_some_and(other);
        if let Some(intent) = intent {
            subflow.intent = Some(intent.clone());
        } else if !subflow.is_touched() {
            subflow.intent = None;
        }
        if changed {
            if subflow.goal == Goal::Free {
                // What is given back has not been tried for this reason yet.
                subflow.try_at_once();
            }
            subflow.since = now;
            let words = subflow.words(key, intent);
            self.say(words);
        }
    }
}
