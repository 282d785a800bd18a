//! Snapshots: what is known now, copied out.

use super::connection::Connection;
use super::flow::FlowKey;
use super::subflow::Subflow;
use super::{Entry, Tracker};
use crate::event::{ConnId, End, Ends, SubflowId};
use crate::id::{FourTuple, Token};
use crate::story::{AnnouncementFacts, ConnectionFacts, PlainFacts, Story, SubflowFacts};

impl Tracker {
    /// What is known of every connection, those that ended and are still remembered included.
    ///
    /// Shape:   in no order that means anything
    pub fn connections(&self) -> impl Iterator<Item = ConnectionFacts> {
        self.connections.iter().map(|(_, connection)| self.facts_of(connection))
    }

    /// What is known of one connection.
    #[must_use]
    pub fn connection(&self, id: ConnId) -> Option<ConnectionFacts> {
        let &slot = self.by_id.get(&id)?;
        self.connections.get(slot).map(|connection| self.facts_of(connection))
    }

    /// The same, to be read.
    #[must_use]
    pub fn story(&self, id: ConnId) -> Option<Story> {
        self.connection(id).map(Story)
    }

    /// The subflow a flow is, in whichever direction it is named, and the tokens of its connection.
    #[must_use]
    pub fn place_of(&self, flow: &FourTuple) -> Option<(SubflowId, Ends<Option<Token>>)> {
        let Some(&Entry::Subflow(slot)) = self.flows.get(&FlowKey::of(flow)) else { return None };
        let subflow = self.subflows.get(slot)?;
        let connection = self.connections.get(subflow.connection)?;
        Some((SubflowId { connection: connection.id, number: subflow.number }, connection.tokens))
    }

    /// The flows of plain TCP that are remembered.
    pub fn plain_flows(&self) -> impl Iterator<Item = PlainFacts> {
        self.plain.iter().map(|(_, plain)| PlainFacts {
            flow: plain.flow,
            reason: plain.reason,
            at: plain.at,
            bytes: plain.bytes,
        })
    }

    fn facts_of(&self, connection: &Connection) -> ConnectionFacts {
        let subflows = self.subflows_of(connection).map(|(_, subflow)| subflow_facts(connection, subflow)).collect();
        let data = &connection.data;
        let announcements = connection.addresses.iter().map(|told| AnnouncementFacts {
            by: told.by,
            addr_id: told.addr_id,
            address: told.address,
            port: told.port,
            verified: told.verified,
            echoed: told.echoed,
            withdrawn: told.withdrawn,
            at: told.at,
        });
        ConnectionFacts {
            connection: connection.id,
            version: connection.version,
            late: connection.late,
            checksum: connection.checksum,
            tokens: connection.tokens,
            keep_off_initial: connection.keep_off,
            started_at: connection.started_at,
            established_at: connection.established_at,
            last_seen: connection.last_seen,
            ended_at: connection.ended.map(|(at, _)| at),
            end: connection.ended.map(|(_, end)| end),
            fallback: connection.fallback.map(|(_, reason)| reason),
            fallback_at: connection.fallback.map(|(at, _)| at),
            bytes: connection.bytes,
            retransmitted: connection.retransmitted,
            delivered: each(|end| data[end].delivered()),
            data_retransmitted: each(|end| data[end].reinjected),
            data_reordered: each(|end| data[end].reordered),
            data_fin: each(|end| data[end].fin.is_some()),
            joins_refused: connection.joins_refused,
            forged: connection.forged,
            subflows,
            announcements: announcements.collect(),
        }
    }
}

fn subflow_facts(connection: &Connection, subflow: &Subflow) -> SubflowFacts {
    let halves = &subflow.halves;
    SubflowFacts {
        subflow: SubflowId { connection: connection.id, number: subflow.number },
        flow: subflow.flow,
        kind: subflow.kind,
        opened_by: subflow.opened_by,
        state: subflow.state,
        verified: subflow.verified(),
        addr_ids: subflow.addr_ids,
        backup: subflow.backup,
        bytes: each(|end| halves[end].bytes),
        retransmitted: each(|end| halves[end].retransmitted),
        data_retransmitted: each(|end| halves[end].reinjected),
        syn_at: subflow.syn_at,
        established_at: subflow.established_at,
        join_delay: subflow.established_at.map(|at| at.saturating_sub(connection.established_at)),
        last_seen: subflow.last_seen,
        ended_at: subflow.ended.map(|(at, _)| at),
        end: subflow.ended.map(|(_, end)| end),
    }
}

fn each<T>(of: impl Fn(End) -> T) -> Ends<T> {
    Ends { client: of(End::Client), server: of(End::Server) }
}
