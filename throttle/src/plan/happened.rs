//! What is held now, and how often something came to be held and was let go: for whoever watches over many connections.

use std::collections::{BTreeMap, BTreeSet};

use super::goal::{DEAD, Goal};
use super::pace::OPEN;
use super::subflow::Subflow;
use super::{Planner, Words};
use crate::intent::{Decisions, Intent};
use crate::view::ConnectionKey;

/// What happened to a hold: a policy's on a subflow, or on one direction of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Happened {
    /// It is aimed at from now on.
    Begun,
    /// The policy wants nothing any more, another one decides, or nothing else was left to carry the connection.
    Released,
    /// It cost more than it promised.
    RolledBack,
    /// What was held is gone.
    Ended,
}

/// How often, by policy.
pub type Tally = BTreeMap<(Words, Happened), u64>;

/// What is done now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Held {
    /// Connections of which anything below is true.
    pub connections: usize,
    /// Subflows that are a backup by us.
    pub demoted: usize,
    /// Subflows whose sockets have a pace and that may carry.
    pub paced: usize,
    /// Subflows with packets in a class of ours.
    pub capped: usize,
    /// Subflows that were told to close and are there yet.
    pub closed: usize,
    /// Directions of connections that the proxy carries no faster.
    pub totals: usize,
}

impl Happened {
    /// All there are.
    pub const ALL: [Self; 4] = [Self::Begun, Self::Released, Self::RolledBack, Self::Ended];

    /// The word in labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Begun => "begun",
            Self::Released => "released",
            Self::RolledBack => "rolled-back",
            Self::Ended => "ended",
        }
    }
}

/// Counts; a hold that begins is one that ends some day.
#[derive(Debug, Default)]
pub(super) struct Counts(Tally);

impl Counts {
    fn add(&mut self, policy: Words, what: Happened) {
        *self.0.entry((policy, what)).or_default() += 1;
    }

    /// Takes note of whose hold a subflow is under now.
    pub(super) fn look(&mut self, subflow: &mut Subflow, intent: Option<&Intent>, costs: bool) {
        // A dead one is a backup whatever its policy wants: that neither begins nor ends a hold of the policy's.
        let dead = subflow.why.as_deref() == Some(DEAD);
        let holder = intent.map(|intent| &intent.policy).filter(|policy| match dead {
            true => subflow.held_by.as_ref() == Some(*policy),
            false => subflow.goal != Goal::Free,
        });
        if subflow.held_by.as_ref() == holder {
            return;
        }
        let still_wanted = intent.map(|intent| &intent.policy) == subflow.held_by.as_ref();
        let end = if costs && still_wanted { Happened::RolledBack } else { Happened::Released };
        let holder = holder.cloned();
        if let Some(former) = std::mem::replace(&mut subflow.held_by, holder.clone()) {
            self.add(former, end);
        }
        if let Some(policy) = holder {
            self.add(policy, Happened::Begun);
        }
    }

    /// A subflow is gone.
    pub(super) fn gone(&mut self, subflow: &Subflow) {
        if let Some(policy) = &subflow.held_by {
            self.add(policy.clone(), Happened::Ended);
        }
    }
}

impl Planner {
    /// What happened to holds since the last call.
    pub fn take_tally(&mut self) -> Tally {
        std::mem::take(&mut self.counts.0)
    }

    /// What is done now.
    #[must_use]
    pub fn held(&self) -> Held {
        let mut held = Held { totals: self.totals.len(), ..Held::default() };
        let mut connections: BTreeSet<ConnectionKey> = self.totals.keys().map(|(connection, _)| *connection).collect();
        for (key, subflow) in &self.subflows {
            let each = [
                (subflow.demoted.is_some(), &mut held.demoted),
                // Let off, it has a pace of a kind for a moment longer.
                (subflow.demoted.is_none() && subflow.paced.is_some_and(|paced| paced.rate != OPEN), &mut held.paced),
                (subflow.download.is_some() || subflow.upload.is_some(), &mut held.capped),
                (subflow.closed, &mut held.closed),
            ];
            for (is, count) in each {
                if is {
                    *count += 1;
                    connections.insert(key.connection);
                }
            }
        }
        held.connections = connections.len();
        held
    }

    /// Takes note of which connections are held as a whole, and by which policy.
    pub(super) fn tally_totals(&mut self, decisions: &Decisions) {
        for total in &decisions.totals {
            let (key, policy) = ((total.connection, total.class.direction), &total.class.policy);
            if self.total_holders.get(&key) == Some(policy) {
                continue;
            }
            self.counts.add(policy.clone(), Happened::Begun);
            if let Some(former) = self.total_holders.insert(key, policy.clone()) {
                self.counts.add(former, Happened::Released);
            }
        }
        // As a rule nothing is over.
        if self.total_holders.len() == decisions.totals.len() {
            return;
        }
        let now: BTreeSet<_> = decisions.totals.iter().map(|total| (total.connection, total.class.direction)).collect();
        let (counts, connections) = (&mut self.counts, &self.connections);
        self.total_holders.retain(|key, policy| {
            let wanted = now.contains(key);
            if !wanted {
                let lives = connections.contains_key(&key.0);
                counts.add(policy.clone(), if lives { Happened::Released } else { Happened::Ended });
            }
            wanted
        });
    }
}
