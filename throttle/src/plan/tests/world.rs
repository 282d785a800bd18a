//! A small world: connections over lines of given capacities, a scheduler that fills what is no backup, and a kernel that obeys, fails,
//! or says that something is gone.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anabranch_config::{BitRate, Enforce};
use anabranch_sniffer::{FourTuple, SubflowKind, Token};

use crate::intent::{Arming, Ceiling, ClassKey, Decisions, Direction, Hold, Intent, Scope};
use crate::op::{Abilities, Op, Slot};
use crate::plan::{Failure, Planner, Settings};
use crate::view::{Connection, ConnectionKey, Subflow, SubflowKey, View};

pub(super) const MBIT: u64 = 1_000_000;
pub(super) const ALL: Abilities = Abilities { demote: true, pace: true, cap: true, proxy: true };
pub(super) const LEASE: Duration = Duration::from_secs(10);
const START: Duration = Duration::from_secs(946_684_800);
const INTERVAL: Duration = Duration::from_millis(100);

/// What is wanted of the subflows on a path.
#[derive(Debug, Clone)]
pub(super) struct Want {
    pub(super) hold: Wanted,
    pub(super) enforce: Enforce,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    Backup,
    Closed,
    /// So many Mbit/s, all connections together.
    Rate(u64),
    /// So many kbit/s, all connections together.
    Kbit(u64),
    /// So many Mbit/s each connection, from the client as well.
    Both(u64),
    /// So many Mbit/s each connection, from the client alone.
    Upload(u64),
}

/// What becomes of operations of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Fails,
    Gone,
}

/// What the kernel and the proxy have been told.
#[derive(Debug, Default)]
pub(super) struct Kernel {
    pub(super) demoted: BTreeSet<SubflowKey>,
    pub(super) paced: BTreeMap<SubflowKey, u64>,
    /// Elements of the map, each with the class and the end of its lease.
    pub(super) elements: BTreeMap<(SubflowKey, Direction), (Slot, Duration)>,
    pub(super) classes: BTreeMap<Slot, Ceiling>,
    pub(super) bound: BTreeMap<ConnectionKey, u32>,
    pub(super) from_accept: Option<u32>,
    pub(super) totals: BTreeMap<(ConnectionKey, Direction), (u32, BitRate)>,
    pub(super) armed: Vec<(Arming, Option<Slot>)>,
}

/// Everything.
pub(super) struct World {
    pub(super) planner: Planner,
    pub(super) at: Duration,
    pub(super) connections: Vec<Connection>,
    /// What each path carries, in Mbit/s; the second number of a client's address says which it uses.
    pub(super) lines: [u64; 3],
    /// What each path's subflows are to be held to.
    pub(super) wants: [Option<Want>; 3],
    pub(super) arming: Vec<Arming>,
    pub(super) kernel: Kernel,
    pub(super) fates: BTreeMap<&'static str, Fate>,
    /// What was said in the last turn, and all that was ever said.
    pub(super) ops: Vec<Op>,
    pub(super) log: Vec<(Duration, Op, bool)>,
    /// There is always more to send.
    pub(super) hungry: bool,
    /// What is asked for where there is not, in Mbit/s for each connection.
    pub(super) demand: u64,
    /// A path's line is so much less while another is held, in percent: what a bad hold costs.
    pub(super) cost: u64,
    pub(super) passing: bool,
    /// Policies of another edition have other names.
    pub(super) edition: usize,
    next: u16,
}

pub(super) fn mbit(rate: u64) -> BitRate {
    BitRate::from_bits_per_second(rate * MBIT).unwrap()
}

pub(super) const fn steer(hold: Wanted) -> Option<Want> {
    Some(Want { hold, enforce: Enforce::Steer })
}

pub(super) const fn always(hold: Wanted) -> Option<Want> {
    Some(Want { hold, enforce: Enforce::Always })
}

/// The path that a subflow uses.
pub(super) fn path(key: SubflowKey) -> usize {
    let SocketAddr::V4(client) = key.flow.destination() else { panic!("of one family") };
    usize::from(client.ip().octets()[1]) - 1
}

impl World {
    pub(super) fn new(abilities: Abilities) -> Self {
        Self {
            planner: Planner::new(abilities, Settings { slots: 1000, lease: LEASE, passing: false }),
            at: START,
            connections: Vec::new(),
            lines: [40, 40, 40],
            wants: [None, None, None],
            arming: Vec::new(),
            kernel: Kernel::default(),
            fates: BTreeMap::new(),
            ops: Vec::new(),
            log: Vec::new(),
            hungry: true,
            demand: 0,
            cost: 0,
            passing: false,
            edition: 0,
            next: 0,
        }
    }

    /// A connection with a subflow on each of these paths; what of it is where.
    pub(super) fn connect(&mut self, paths: &[usize]) -> Vec<SubflowKey> {
        self.next += 1;
        let key = match self.passing {
            true => ConnectionKey::Passing(anabranch_sniffer::event::ConnId(u64::from(self.next))),
            false => ConnectionKey::Ours(Token(u32::from(self.next))),
        };
        if let Some(bytes) = self.kernel.from_accept {
            self.kernel.bound.insert(key, bytes);
        }
        self.connections.push(Connection {
            key,
            listener: None,
            subscriber: None,
            destination: None,
            fallback: false,
            waiting: Some(0),
            subflows: Vec::new(),
        });
        let at = self.connections.len() - 1;
        paths.iter().map(|path| self.join(at, *path)).collect()
    }

    /// One more subflow.
    pub(super) fn join(&mut self, connection: usize, path: usize) -> SubflowKey {
        self.next += 1;
        let client = SocketAddr::from(([10, u8::try_from(path).unwrap() + 1, 0, 2], 1024 + self.next));
        let flow = FourTuple::new(SocketAddr::from(([192, 0, 2, 1], 443)), client).unwrap();
        let connection = &mut self.connections[connection];
        let kind = if connection.subflows.is_empty() { SubflowKind::Initial } else { SubflowKind::Joined };
        connection.subflows.push(Subflow::just_begun(flow, kind));
        SubflowKey { connection: connection.key, flow }
    }

    pub(super) fn subflow(&mut self, key: SubflowKey) -> &mut Subflow {
        let connection = self.connections.iter_mut().find(|one| one.key == key.connection).unwrap();
        connection.subflows.iter_mut().find(|one| one.flow == key.flow).unwrap()
    }

    /// A subflow dies.
    pub(super) fn kill(&mut self, key: SubflowKey) {
        for connection in self.connections.iter_mut().filter(|one| one.key == key.connection) {
            connection.subflows.retain(|one| one.flow != key.flow);
        }
        self.connections.retain(|one| !one.subflows.is_empty());
        self.kernel.demoted.remove(&key);
        self.kernel.paced.remove(&key);
        let kernel = &mut self.kernel;
        if !self.connections.iter().any(|one| one.key == key.connection) {
            kernel.bound.remove(&key.connection);
            kernel.totals.retain(|(connection, _), _| *connection != key.connection);
        }
    }

    pub(super) fn view(&self) -> View {
        let mut connections = self.connections.clone();
        connections.sort_by_key(|connection| connection.key);
        View { at: self.at, connections }
    }

    fn policy(&self, key: SubflowKey) -> Arc<str> {
        format!("policy {} of edition {}", path(key), self.edition).into()
    }

    pub(super) fn class(&self, key: SubflowKey, direction: Direction) -> Option<ClassKey> {
        let scope = match self.wants[path(key)].as_ref()?.hold {
            Wanted::Rate(_) | Wanted::Kbit(_) if direction == Direction::Download => Scope::Policy,
            Wanted::Both(_) => Scope::Connection(key.connection),
            Wanted::Upload(_) if direction == Direction::Upload => Scope::Connection(key.connection),
            _ => return None,
        };
        Some(ClassKey { policy: self.policy(key), scope, direction })
    }

    pub(super) fn decisions(&self) -> Decisions {
        let mut decisions = Decisions { arming: self.arming.clone(), ..Decisions::default() };
        decisions.bound_from_accept = !self.arming.is_empty();
        for (key, subflow) in self.connections.iter().flat_map(Connection::keyed) {
            let Some(want) = &self.wants[path(key)] else { continue };
            if !subflow.verified || !subflow.established {
                continue;
            }
            let rate = |rate| Ceiling { rate, ceil: None, burst: None };
            let of_rate = |direction, bits| self.class(key, direction).map(|class| (class, rate(bits)));
            let of = |direction, rate| of_rate(direction, mbit(rate));
            let hold = match want.hold {
                Wanted::Backup => Hold::Backup,
                Wanted::Closed => Hold::Closed,
                Wanted::Rate(mbit) => Hold::Rate { download: of(Direction::Download, mbit), upload: None },
                Wanted::Kbit(rate) => {
                    let rate = BitRate::from_bits_per_second(rate * 1000).unwrap();
                    Hold::Rate { download: of_rate(Direction::Download, rate), upload: None }
                }
                Wanted::Upload(mbit) => Hold::Rate { download: None, upload: of(Direction::Upload, mbit) },
                Wanted::Both(mbit) => {
                    Hold::Rate { download: of(Direction::Download, mbit), upload: of(Direction::Upload, mbit) }
                }
            };
            decisions.intents.push(Intent {
                subflow: key,
                policy: self.policy(key),
                path: format!("path {}", path(key)).into(),
                subscriber: "somebody".into(),
                hold,
                enforce: want.enforce,
                evidence: vec!["it is tested".to_owned()],
            });
        }
        decisions.intents.sort_by_key(|intent| intent.subflow);
        decisions
    }

    /// A turn of the planner's: says what is to be done, and it is done.
    pub(super) fn turn(&mut self) -> Vec<Op> {
        self.kernel.elements.retain(|_, (_, until)| *until > self.at);
        let ops = self.planner.plan(&self.view(), &self.decisions());
        self.apply(&ops);
        ops
    }

    pub(super) fn apply(&mut self, ops: &[Op]) {
        self.ops = ops.to_vec();
        for op in ops {
            let fate = self.fates.get(op.as_str()).copied();
            if fate.is_none() {
                self.obey(op);
            }
            self.log.push((self.at, op.clone(), fate.is_none()));
            let result = match fate {
                None => Ok(()),
                Some(fate) => Err(Failure { message: "it is tested".to_owned(), gone: fate == Fate::Gone }),
            };
            self.planner.on_done(op, result, self.at);
        }
    }

    fn obey(&mut self, op: &Op) {
        let kernel = &mut self.kernel;
        match op.clone() {
            Op::BoundUnsent { connection, bytes: Some(bytes) } => drop(kernel.bound.insert(connection, bytes)),
            Op::BoundUnsent { connection, bytes: None } => drop(kernel.bound.remove(&connection)),
            Op::BoundFromAccept { bytes } => kernel.from_accept = bytes,
            Op::Total { connection, direction, bucket: Some(bucket) } => {
                kernel.totals.insert((connection, direction), bucket);
            }
            Op::Total { connection, direction, bucket: None } => drop(kernel.totals.remove(&(connection, direction))),
            Op::Demote(key) => drop(kernel.demoted.insert(key)),
            Op::Promote(key) => drop(kernel.demoted.remove(&key)),
            Op::Pace { subflow, rate, .. } => drop(kernel.paced.insert(subflow, rate.bits_per_second())),
            Op::Unpace(key) => drop(kernel.paced.remove(&key)),
            Op::SetClass { slot, ceiling } => drop(kernel.classes.insert(slot, ceiling)),
            Op::Put { subflow, direction, slot } => {
                kernel.elements.insert((subflow, direction), (slot, self.at + LEASE));
            }
            Op::Remove { subflow, direction } => drop(kernel.elements.remove(&(subflow, direction))),
            Op::Arm(armed) => kernel.armed = armed,
            Op::Close(key) => self.kill(key),
        }
        let demoted = &self.kernel.demoted;
        for connection in &mut self.connections {
            let key = connection.key;
            for subflow in &mut connection.subflows {
                subflow.backup_by_us = demoted.contains(&SubflowKey { connection: key, flow: subflow.flow });
            }
        }
    }

    /// How long until the next turn.
    pub(super) fn wait(&self) -> Duration {
        if self.planner.in_transition().next().is_some() {
            return Duration::from_millis(5);
        }
        let due = self.planner.next_deadline().map_or(INTERVAL, |due| due.saturating_sub(self.at));
        due.clamp(Duration::from_millis(1), INTERVAL)
    }

    /// Time goes by, with turns as they fall due.
    pub(super) fn run(&mut self, time: Duration) {
        let end = self.at + time;
        while self.at < end {
            let wait = self.wait().min(end - self.at);
            self.carry(wait);
            self.turn();
        }
    }

    /// Bytes move.
    pub(super) fn carry(&mut self, time: Duration) {
        self.at += time;
        let (lines, kernel, at) = (self.lines, &self.kernel, self.at);
        let holds = !kernel.paced.is_empty() || !kernel.elements.is_empty() || !kernel.demoted.is_empty();
        let share = |key: SubflowKey, all: &[Connection]| {
            let others = all.iter().flat_map(Connection::keyed).filter(|(other, _)| path(*other) == path(key)).count();
            lines[path(key)] * MBIT / u64::try_from(others.max(1)).unwrap()
        };
        let bytes = |rate: u64| rate * u64::try_from(time.as_micros()).unwrap() / 8_000_000;
        let before = self.connections.clone();
        for connection in &mut self.connections {
            let key = connection.key;
            let mut asked = if self.hungry { u64::MAX } else { bytes(self.demand * MBIT) };
            let alone =
                !connection.subflows.iter().any(|one| one.is_live() && !one.backup_by_us && !one.backup_by_client);
            for subflow in &mut connection.subflows {
                let key = SubflowKey { connection: key, flow: subflow.flow };
                let mut rate = if subflow.is_live() { share(key, &before) } else { 0 };
                if holds && !kernel.paced.contains_key(&key) {
                    rate -= rate * self.cost / 100;
                }
                if let Some((slot, until)) = kernel.elements.get(&(key, Direction::Download))
                    && *until > at
                {
                    let class = kernel.classes.get(slot).map_or(u64::MAX, |class| class.rate.bits_per_second());
                    rate = rate.min(class);
                }
                rate = rate.min(kernel.paced.get(&key).copied().unwrap_or(u64::MAX));
                let backup = (subflow.backup_by_us || subflow.backup_by_client) && !alone;
                let mut queued = subflow.queued.unwrap_or_default();
                if !backup && subflow.is_live() {
                    // As much as its line takes in 50 ms waits in it.
                    let room = (bytes(rate) + rate / 160).saturating_sub(queued).min(asked);
                    queued += room;
                    asked = asked.saturating_sub(room);
                }
                let moved = bytes(rate).min(queued);
                subflow.queued = Some(queued - moved);
                (subflow.sent, subflow.download) = (subflow.sent + moved, subflow.download + moved);
            }
            let queued: u64 = connection.subflows.iter().filter_map(|one| one.queued).sum();
            if connection.waiting.is_some() {
                connection.waiting = Some(queued + if self.hungry { 100_000 } else { 0 });
            }
        }
    }

    /// What a subflow carries over a time.
    ///
    /// Units:  Mbit/s
    pub(super) fn rate(&mut self, key: SubflowKey, time: Duration) -> u64 {
        let before = self.subflow(key).download;
        self.run(time);
        let moved = self.subflow(key).download - before;
        moved * 8_000 / u64::try_from(time.as_millis()).unwrap() / MBIT
    }

    pub(super) fn said(&self, kind: &str) -> usize {
        self.log.iter().filter(|(_, op, _)| op.as_str() == kind).count()
    }

    /// Nothing of the kernel's is as the planner made it.
    pub(super) fn is_untouched(&self) -> bool {
        let Kernel { demoted, paced, elements, bound, from_accept, totals, armed, .. } = &self.kernel;
        demoted.is_empty()
            && paced.is_empty()
            && elements.is_empty()
            && bound.is_empty()
            && from_accept.is_none()
            && totals.is_empty()
            && armed.is_empty()
    }
}

pub(super) const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(super) const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
