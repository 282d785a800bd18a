//! What throttling sees of the table of facts: connections that end in a session of the proxy's, and those that pass.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anabranch_sniffer::event::{SubflowState, Verified};
use anabranch_sniffer::facts::{FactsTable, KernelConnection, KernelSubflow};
use anabranch_sniffer::story::{ConnectionFacts, SubflowFacts};
use anabranch_sniffer::{SubflowKind, Token};
use anabranch_throttle::view::{Connection, ConnectionKey, Subflow, View};
use nix::ifaddrs::getifaddrs;

use crate::link::SessionFacts;

/// Which interface has an address.
#[derive(Debug, Default)]
pub(super) struct Interfaces(HashMap<IpAddr, Arc<str>>);

impl Interfaces {
    /// Reads them; keeps what was known where they cannot be read.
    pub(super) fn refresh(&mut self) {
        let Ok(found) = getifaddrs() else { return };
        let of = |interface: nix::ifaddrs::InterfaceAddress| {
            let address = interface.address?;
            let v4 = address.as_sockaddr_in().map(|a| IpAddr::V4(a.ip()));
            let ip = v4.or_else(|| address.as_sockaddr_in6().map(|a| IpAddr::V6(a.ip()).to_canonical()))?;
            Some((ip, interface.interface_name.into()))
        };
        self.0 = found.filter_map(of).collect();
    }

    fn of(&self, address: SocketAddr) -> Option<Arc<str>> {
        self.0.get(&address.ip()).cloned()
    }
}

/// Which connections may be steered.
#[derive(Debug)]
pub(super) struct Scope<'a> {
    /// Those of the proxy's sessions.
    pub(super) sessions: &'a HashMap<Token, SessionFacts>,
    /// Those that came to these ports of ours: the proxy has not told of them yet, but a subflow that joins does not wait for that.
    pub(super) ports: &'a [u16],
    /// Those of others too, as the wire tells of them.
    pub(super) passing: bool,
}

/// Everything that may be steered, as it is known now.
pub(super) fn view(facts: &FactsTable, scope: &Scope<'_>, interfaces: &Interfaces, at: Duration) -> View {
    let mut connections = Vec::new();
    for (kernel, wire) in facts.known() {
        match kernel {
            Some(kernel) => {
                let session = scope.sessions.get(&kernel.token);
                let came = |subflow: &KernelSubflow| scope.ports.contains(&subflow.flow.source().port());
                if session.is_some() || kernel.subflows.iter().any(came) {
                    connections.push(ours(kernel, session, interfaces));
                }
            }
            None if scope.passing => connections.extend(wire.iter().filter(|one| one.end.is_none()).map(passing_by)),
            None => {}
        }
    }
    connections.sort_by_key(|connection| connection.key);
    View { at, connections }
}

/// Everything a capture tells of.
pub(crate) fn view_of_capture(connections: impl Iterator<Item = ConnectionFacts>, at: Duration) -> View {
    let living = connections.filter(|one| one.end.is_none());
    let mut connections: Vec<_> = living.map(|one| passing_by(&one)).collect();
    connections.sort_by_key(|connection| connection.key);
    View { at, connections }
}

/// A connection that ends here, in a session if that is known.
fn ours(kernel: &KernelConnection, session: Option<&SessionFacts>, interfaces: &Interfaces) -> Connection {
    let mut subflows: Vec<_> = kernel.subflows.iter().map(|subflow| own_subflow(subflow, interfaces)).collect();
    subflows.sort_by_key(|subflow| (subflow.kind != Some(SubflowKind::Initial), subflow.flow));
    Connection {
        key: ConnectionKey::Ours(kernel.token),
        listener: session.map(|session| session.listener.clone()),
        subscriber: session.and_then(|session| session.subscriber.clone()),
        destination: session.and_then(|session| session.destination),
        fallback: kernel.fallback == Some(true),
        waiting: kernel.waiting,
        subflows,
    }
}

fn own_subflow(kernel: &KernelSubflow, interfaces: &Interfaces) -> Subflow {
    Subflow {
        flow: kernel.flow,
        kind: kernel.kind,
        established: kernel.established,
        verified: true,
        interface: interfaces.of(kernel.flow.source()),
        backup_by_client: kernel.backup_by_remote == Some(true),
        backup_by_us: kernel.backup_by_local == Some(true),
        rtt: kernel.rtt,
        download: kernel.bytes_acked.unwrap_or_default(),
        upload: kernel.bytes_received.unwrap_or_default(),
        sent: kernel.bytes_sent.unwrap_or_default(),
        retransmitted: kernel.bytes_retransmitted.unwrap_or_default(),
        queued: kernel.queued,
        heard: kernel.heard,
        timeouts: kernel.timeouts.unwrap_or_default(),
    }
}

/// A connection between others.
fn passing_by(facts: &ConnectionFacts) -> Connection {
    let living = facts.subflows.iter().filter(|subflow| subflow.end.is_none());
    Connection {
        key: ConnectionKey::Passing(facts.connection),
        listener: None,
        subscriber: None,
        destination: facts.subflows.first().map(|subflow| subflow.flow.destination()),
        fallback: facts.fallback.is_some(),
        waiting: None,
        subflows: living.map(passing_subflow).collect(),
    }
}

fn passing_subflow(facts: &SubflowFacts) -> Subflow {
    Subflow {
        flow: facts.flow.reversed(),
        kind: Some(facts.kind),
        established: facts.state == SubflowState::Established,
        verified: facts.verified == Verified::Yes,
        interface: None,
        backup_by_client: facts.backup.client,
        backup_by_us: facts.backup.server,
        rtt: None,
        download: facts.bytes.server,
        upload: facts.bytes.client,
        sent: facts.bytes.server + facts.retransmitted.server,
        retransmitted: facts.retransmitted.server,
        queued: None,
        heard: None,
        timeouts: 0,
    }
}

#[cfg(test)]
mod tests;
