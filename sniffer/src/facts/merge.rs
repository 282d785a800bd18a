//! Which connections of the two witnesses are one and the same.

use super::{FactsTable, KernelConnection, KernelEvent, KernelSubflow};
use crate::event::{ConnId, Verified};
use crate::id::{FourTuple, SubflowKind, Token};
use crate::story::ConnectionFacts;
use crate::track::FlowKey;

impl FactsTable {
    /// Where what the wire says of a connection belongs. `None` where there is no room.
    pub(super) fn place_of_wire(&mut self, facts: &ConnectionFacts) -> Option<u64> {
        if let Some(&id) = self.by_connection.get(&facts.connection) {
            return Some(id);
        }
        let shared = live_flows(facts).find_map(|flow| {
            let id = *self.by_flow.get(&FlowKey::of(&flow))?;
            let kernel = self.known.get(&id)?.kernel.as_ref()?;
            allows(facts, kernel.token).then_some(id)
        });
        // Told of before its first subflow was: then only the token names it.
        let named = || {
            let tokens = [facts.tokens.client, facts.tokens.server];
            tokens.into_iter().flatten().find_map(|token| {
                let id = *self.by_token.get(&token)?;
                let kernel = self.known.get(&id)?.kernel.as_ref()?;
                kernel.subflows.is_empty().then_some(id)
            })
        };
        shared.or_else(named).or_else(|| self.add())
    }

    /// Where what the kernel says of a connection belongs; what the wire takes for several becomes one. `None` where there is no room.
    pub(super) fn place_of_kernel(&mut self, token: Token, flows: &[FourTuple]) -> Option<u64> {
        let mut place = self.by_token.get(&token).copied();
        for flow in flows {
            let Some(&other) = self.by_flow.get(&FlowKey::of(flow)) else { continue };
            if place == Some(other) {
                continue;
            }
            let Some(known) = self.known.get(&other) else { continue };
            // The kernel's own flow under another token is one that was used again: that one's end is on its way.
            if known.kernel.is_some() || !known.wire.iter().all(|facts| allows(facts, token)) {
                continue;
            }
            place = match place {
                None => Some(other),
                Some(into) => {
                    self.merge(into, other);
                    Some(into)
                }
            };
        }
        let place = place.or_else(|| self.add())?;
        self.by_token.insert(token, place);
        Some(place)
    }

    fn add(&mut self) -> Option<u64> {
        if self.known.len() >= self.limits.connections {
            self.refused += 1;
            return None;
        }
        let id = self.next;
        self.next += 1;
        self.known.insert(id, Box::default());
        Some(id)
    }

    fn merge(&mut self, into: u64, from: u64) {
        let Some(gone) = self.known.remove(&from) else { return };
        for key in &gone.flows {
            if self.by_flow.get(key) == Some(&from) {
                self.by_flow.remove(key);
            }
        }
        for facts in gone.wire {
            self.put_wire(into, facts);
        }
    }

    pub(super) fn put_wire(&mut self, id: u64, mut facts: ConnectionFacts) {
        let limit = self.limits.subflows_per_connection;
        let Some(known) = self.known.get_mut(&id) else { return };
        facts.subflows.truncate(limit);
        let (connection, full) = (facts.connection, known.wire.len() >= limit);
        match known.wire.iter_mut().find(|other| other.connection == connection) {
            Some(other) => *other = facts,
            None if full => {
                // It may have stood in a connection that was merged into this one.
                self.by_connection.remove(&connection);
                self.refused += 1;
                return;
            }
            None => known.wire.push(facts),
        }
        self.by_connection.insert(connection, id);
        self.settle(id);
    }

    pub(super) fn forget_wire(&mut self, connection: ConnId) {
        let Some(id) = self.by_connection.remove(&connection) else { return };
        if let Some(known) = self.known.get_mut(&id) {
            known.wire.retain(|facts| facts.connection != connection);
        }
        self.settle(id);
    }

    pub(super) fn forget_kernel(&mut self, token: Token) {
        let Some(id) = self.by_token.remove(&token) else { return };
        if let Some(known) = self.known.get_mut(&id) {
            known.kernel = None;
        }
        self.settle(id);
    }

    /// After a change: finds the connection by its flows of now, and compares what is said of it. One of which nobody says
    /// anything any more is forgotten.
    pub(super) fn settle(&mut self, id: u64) {
        let Some(known) = self.known.get_mut(&id) else { return };
        let kernel = known.kernel.iter().flat_map(|kernel| &kernel.subflows).map(|subflow| FlowKey::of(&subflow.flow));
        let wire = known.wire.iter().flat_map(live_flows).map(|flow| FlowKey::of(&flow));
        // Kept for as long as the connection lives, and most have one.
        let mut fresh: Vec<_> = kernel.chain(wire).collect();
        fresh.shrink_to_fit();
        let old = std::mem::take(&mut known.flows);
        for key in old.iter().filter(|key| !fresh.contains(key)) {
            if self.by_flow.get(key) == Some(&id) {
                self.by_flow.remove(key);
            }
        }
        for key in fresh.iter().filter(|key| !old.contains(key)) {
            self.by_flow.insert(*key, id);
        }
        known.flows = fresh;
        if known.kernel.is_none() && known.wire.is_empty() {
            self.known.remove(&id);
        } else {
            self.compare(id);
        }
    }
}

/// The flows of a connection that are alive, as far as who proved to belong to it says.
pub(super) fn live_flows(facts: &ConnectionFacts) -> impl Iterator<Item = FourTuple> {
    let live = facts.subflows.iter().filter(|one| !one.state.is_over() && one.verified != Verified::No);
    live.map(|subflow| subflow.flow)
}

/// Whether a connection on the wire can be the kernel's with this token.
fn allows(facts: &ConnectionFacts, token: Token) -> bool {
    match (facts.tokens.client, facts.tokens.server) {
        (Some(client), Some(server)) => client == token || server == token,
        // One end's may be the other's still.
        _ => true,
    }
}

/// Applies an event to what the kernel said before.
pub(super) fn apply(connection: &mut KernelConnection, event: &KernelEvent, limit: usize) {
    let Some(flow) = event.flow() else { return };
    if matches!(event, KernelEvent::SubflowClosed { .. }) {
        connection.subflows.retain(|subflow| subflow.flow != flow);
        return;
    }
    let place = match connection.subflows.iter().position(|subflow| subflow.flow == flow) {
        Some(place) => place,
        None if connection.subflows.len() >= limit => return,
        None => {
            connection.subflows.reserve_exact(1);
            connection.subflows.push(KernelSubflow::new(flow));
            connection.subflows.len() - 1
        }
    };
    let subflow = &mut connection.subflows[place];
    match *event {
        KernelEvent::Created { .. } => subflow.kind = Some(SubflowKind::Initial),
        KernelEvent::Established { .. } => {
            subflow.kind = Some(SubflowKind::Initial);
            subflow.established = true;
        }
        KernelEvent::SubflowEstablished { local_id, remote_id, backup, .. } => {
            subflow.kind = Some(SubflowKind::Joined);
            subflow.established = true;
            (subflow.local_id, subflow.remote_id) = (local_id.or(subflow.local_id), remote_id.or(subflow.remote_id));
            subflow.backup_by_remote = backup.or(subflow.backup_by_remote);
        }
        KernelEvent::Priority { backup, .. } => subflow.backup_by_remote = Some(backup),
        _ => {}
    }
}
