//! One table of what two witnesses say: the wire and the kernel.
//!
//! What lives here: which of their connections are one and the same, and where the two disagree for longer than news takes to
//! travel. What does not: seeing (`track`), asking the kernel (`kernel`), acting on it (`throttle`). Called by whoever holds both
//! witnesses. Invariants: bounded, pure, and two connections are one only if they share a flow and no token speaks against it.

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::event::{ConnId, Event, FallbackReason, Forgery, What, micros};
use crate::id::{FourTuple, Token};
use crate::story::ConnectionFacts;
use crate::track::FlowKey;

use compare::Doubt;

mod compare;
mod kernel;
mod merge;

pub use kernel::{KernelConnection, KernelEvent, KernelSubflow};

/// What a table may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FactLimits {
    /// Connections, of both witnesses.
    pub connections: usize,
    /// Subflows believed of one connection, by witness.
    pub subflows_per_connection: usize,
    /// Disagreements not yet taken.
    pub disagreements: usize,
}

impl Default for FactLimits {
    fn default() -> Self {
        Self { connections: 200_000, subflows_per_connection: 32, disagreements: 4_096 }
    }
}

/// What is known of one connection, by both witnesses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    /// What the kernel says, if it is the kernel's connection.
    pub kernel: Option<KernelConnection>,
    /// What was seen on the wire. Several where the watch began late: the kernel knows that they are one.
    pub wire: Vec<ConnectionFacts>,
}

/// Where the witnesses disagree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// When it was found, since the Unix epoch.
    ///
    /// Units: µs in JSON.
    #[serde(rename = "at_us", with = "micros")]
    pub at: Duration,
    /// The connection on the wire.
    pub connection: Option<ConnId>,
    /// The kernel's connection.
    pub token: Option<Token>,
    /// The flow: of the kernel from this end to the other, else from the client to the server.
    pub flow: FourTuple,
    /// About what.
    #[serde(flatten)]
    pub disagreement: Disagreement,
}

/// About what the witnesses disagree, or what one of them caught another in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "disagreement")]
pub enum Disagreement {
    /// A subflow is seen on the wire, and the kernel has none, although one end of it is here.
    OnlyOnWire,
    /// The kernel has a subflow of which nothing is seen on the wire.
    OnlyInKernel,
    /// They do not agree on whether an end asks that a subflow be a backup.
    BackupDiffers {
        /// This end, or the other.
        by: Side,
        /// What the wire says.
        wire: bool,
        /// What the kernel says.
        kernel: bool,
    },
    /// The kernel has fallen back to TCP, and on the wire it still looks like MPTCP; or the other way round.
    FallbackDiffers {
        /// What the kernel says.
        kernel: bool,
    },
    /// Somebody without the keys announced an address.
    SpoofedAddAddr,
    /// Somebody without the keys tried to join.
    SpoofedJoin,
    /// Somebody without the keys tried to end the connection.
    SpoofedFastClose,
    /// Something on the path takes MPTCP out of segments.
    OptionsStripped {
        /// Of which.
        reason: FallbackReason,
    },
}

/// One of the two ends, seen from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// This end.
    Local,
    /// The other.
    Remote,
}

/// The table.
#[derive(Debug)]
pub struct FactsTable {
    limits: FactLimits,
    grace: Duration,
    now: Duration,
    /// A wire witness runs.
    wire_runs: bool,
    /// Where the kernel can be a witness.
    local: HashSet<IpAddr>,
    /// Boxed: a table half empty is half as large then.
    known: HashMap<u64, Box<Known>>,
    by_connection: HashMap<ConnId, u64>,
    by_token: HashMap<Token, u64>,
    by_flow: HashMap<FlowKey, u64>,
    /// Who has doubts since when, in that order; everyone once.
    waiting: VecDeque<(Duration, u64)>,
    reports: VecDeque<Report>,
    reports_lost: u64,
    refused: u64,
    next: u64,
}

/// One connection of the table.
#[derive(Debug, Default)]
struct Known {
    kernel: Option<KernelConnection>,
    wire: Vec<ConnectionFacts>,
    /// The flows it is found by.
    flows: Vec<FlowKey>,
    /// Subflows that were there before anyone watched, and have carried nothing since.
    quiet: Vec<Quiet>,
    doubts: Vec<Doubt>,
    waits: bool,
}

/// A subflow of the kernel's of which there was nothing to see so far, and what it had carried before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Quiet {
    flow: FourTuple,
    bytes: [Option<u64>; 2],
}

impl FactsTable {
    /// A table that knows nothing, and waits `grace` for the slower witness before it reports.
    #[must_use]
    pub fn new(limits: FactLimits, grace: Duration) -> Self {
        Self {
            limits,
            grace,
            now: Duration::ZERO,
            wire_runs: false,
            local: HashSet::new(),
            known: HashMap::new(),
            by_connection: HashMap::new(),
            by_token: HashMap::new(),
            by_flow: HashMap::new(),
            waiting: VecDeque::new(),
            reports: VecDeque::new(),
            reports_lost: 0,
            refused: 0,
            next: 0,
        }
    }

    /// Says whether a wire witness runs: without one, what only the kernel knows is no disagreement, and neither is what it
    /// knew before, until that carries something.
    pub fn expect_wire(&mut self, runs: bool) {
        if runs && !self.wire_runs {
            self.known.values_mut().for_each(|known| known.quiet = known.owned().map(Quiet::of).collect());
        }
        self.wire_runs = runs;
    }

    /// Says which addresses are this kernel's: of flows between others it knows nothing.
    pub fn expect_kernel(&mut self, addresses: impl IntoIterator<Item = IpAddr>) {
        self.local = addresses.into_iter().map(|address| address.to_canonical()).collect();
    }

    /// Takes in what is known on the wire of one connection now.
    pub fn observe_wire(&mut self, facts: ConnectionFacts, now: Duration) {
        self.now = self.now.max(now);
        if facts.end.is_some() {
            self.forget_wire(facts.connection);
        } else if let Some(id) = self.place_of_wire(&facts) {
            self.put_wire(id, facts);
        }
    }

    /// Takes in an event of the wire: endings, and what it caught somebody in. The rest comes with snapshots.
    pub fn on_wire(&mut self, event: &Event) {
        self.now = self.now.max(event.at);
        match event.what {
            What::ConnectionClosed { connection, .. } => self.forget_wire(connection),
            What::Forged { connection, flow, what, .. } => {
                let disagreement = match what {
                    Forgery::Join => Disagreement::SpoofedJoin,
                    Forgery::AddAddr => Disagreement::SpoofedAddAddr,
                    Forgery::FastClose => Disagreement::SpoofedFastClose,
                };
                self.report_event(Some(connection), flow, disagreement);
            }
            What::Fallback { connection, flow, reason } if is_stripping(reason) => {
                self.report_event(connection, flow, Disagreement::OptionsStripped { reason });
            }
            _ => {}
        }
    }

    /// Takes in what the kernel says of one connection now.
    pub fn observe_kernel(&mut self, mut connection: KernelConnection, now: Duration) {
        self.now = self.now.max(now);
        connection.subflows.truncate(self.limits.subflows_per_connection);
        let flows: Vec<_> = connection.subflows.iter().map(|subflow| subflow.flow).collect();
        let Some(id) = self.place_of_kernel(connection.token, &flows) else { return };
        if let Some(known) = self.known.get_mut(&id) {
            let before: Vec<_> = known.owned().map(|subflow| subflow.flow).collect();
            known.kernel = Some(connection);
            // No event told of it: it may have begun long ago.
            let fresh = known.owned().filter(|subflow| !before.contains(&subflow.flow)).map(Quiet::of);
            let now = |quiet: &Quiet| known.owned().map(Quiet::of).find(|now| quiet.lasts(now));
            known.quiet = known.quiet.iter().filter_map(now).chain(fresh).collect();
        }
        self.settle(id);
    }

    /// Takes in what the kernel says of one subflow now, if its connection and it are known.
    pub fn observe_subflow(&mut self, token: Token, subflow: KernelSubflow, now: Duration) {
        self.now = self.now.max(now);
        let known = self.by_token.get(&token).and_then(|id| self.known.get_mut(id));
        let subflows = known.and_then(|known| known.kernel.as_mut()).map(|kernel| &mut kernel.subflows);
        let same = subflows.and_then(|all| all.iter_mut().find(|one| one.flow == subflow.flow));
        if let Some(same) = same {
            *same = subflow;
        }
    }

    /// Takes in an event of the kernel.
    pub fn on_kernel(&mut self, event: &KernelEvent, now: Duration) {
        self.now = self.now.max(now);
        if let KernelEvent::Closed { token } = *event {
            self.forget_kernel(token);
            return;
        }
        // What is told of a connection nobody told of is on its way out, or comes again with the next look.
        let begins = matches!(event, KernelEvent::Created { .. } | KernelEvent::Established { .. });
        let joins = matches!(event, KernelEvent::SubflowEstablished { .. });
        let id = match event.flow() {
            Some(flow) if begins || joins => self.place_of_kernel(event.token(), &[flow]),
            _ => self.by_token.get(&event.token()).copied(),
        };
        let Some(id) = id else { return };
        let limit = self.limits.subflows_per_connection;
        if let Some(known) = self.known.get_mut(&id) {
            let connection = known.kernel.get_or_insert_with(|| KernelConnection::new(event.token()));
            merge::apply(connection, event, limit);
        }
        self.settle(id);
    }

    /// Reports what has been in doubt for the grace time. It may take up to twice that for the second doubt about one connection.
    pub fn handle_timeout(&mut self, now: Duration) {
        self.now = self.now.max(now);
        while let Some(&(since, id)) = self.waiting.front() {
            if since.saturating_add(self.grace) > self.now {
                return;
            }
            self.waiting.pop_front();
            self.report_due(id);
        }
    }

    /// When [`Self::handle_timeout`] has something to do next.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        self.waiting.front().map(|&(since, _)| since.saturating_add(self.grace))
    }

    /// The oldest disagreement nobody has taken.
    pub fn poll_disagreement(&mut self) -> Option<Report> {
        self.reports.pop_front()
    }

    /// Disagreements nobody took in time, and connections there was no room for.
    #[must_use]
    pub const fn lost(&self) -> (u64, u64) {
        (self.reports_lost, self.refused)
    }

    /// What is known of every connection.
    ///
    /// Shape:   in no order that means anything
    pub fn connections(&self) -> impl Iterator<Item = Fact> {
        self.known.values().map(|known| known.fact())
    }

    /// The same without copying: what the kernel says of each, and what is seen on the wire.
    pub fn known(&self) -> impl Iterator<Item = (Option<&KernelConnection>, &[ConnectionFacts])> {
        self.known.values().map(|known| (known.kernel.as_ref(), known.wire.as_slice()))
    }

    /// What is known of the kernel's connection with a token.
    #[must_use]
    pub fn by_token(&self, token: Token) -> Option<Fact> {
        self.by_token.get(&token).and_then(|id| self.known.get(id)).map(|known| known.fact())
    }

    /// What is known of a connection seen on the wire.
    #[must_use]
    pub fn by_connection(&self, connection: ConnId) -> Option<Fact> {
        self.by_connection.get(&connection).and_then(|id| self.known.get(id)).map(|known| known.fact())
    }

    /// What is known of the connection with a flow, in whichever direction it is named.
    #[must_use]
    pub fn by_flow(&self, flow: &FourTuple) -> Option<Fact> {
        self.by_flow.get(&FlowKey::of(flow)).and_then(|id| self.known.get(id)).map(|known| known.fact())
    }
}

impl Known {
    fn fact(&self) -> Fact {
        Fact { kernel: self.kernel.clone(), wire: self.wire.clone() }
    }

    /// The kernel's subflows.
    fn owned(&self) -> impl Iterator<Item = &KernelSubflow> {
        self.kernel.iter().flat_map(|kernel| &kernel.subflows)
    }
}

impl Quiet {
    fn of(subflow: &KernelSubflow) -> Self {
        Self { flow: subflow.flow, bytes: [subflow.bytes_sent, subflow.bytes_received] }
    }

    /// Whether it has carried nothing more by now, as far as that can be told.
    fn lasts(&self, now: &Self) -> bool {
        self.flow == now.flow
            && self.bytes.iter().zip(now.bytes).all(|(before, now)| before.is_none() || *before == now)
    }
}

/// Whether something on the path did it. A server without MPTCP looks like the rest.
const fn is_stripping(reason: FallbackReason) -> bool {
    matches!(
        reason,
        FallbackReason::StrippedOnSyn
            | FallbackReason::LostAfterSyn
            | FallbackReason::LostTowardsClient
            | FallbackReason::LostTowardsServer
    )
}

#[cfg(test)]
mod tests;
