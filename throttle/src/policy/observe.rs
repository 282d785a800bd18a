//! The look: a view is taken in, and everybody's rates with it.

use std::sync::Arc;
use std::time::Duration;

use super::Policies;
use super::clock::Moment;
use super::line::Line;
use super::memory::{ConnectionMemory, Pulse};
use super::rules::PathId;
use crate::intent::Direction;
use crate::rate::Meter;
use crate::usage::{Payer, Payload};
use crate::view::{Connection, Subflow, SubflowKey, View};

/// A connection as it is seen now.
#[derive(Debug)]
pub(crate) struct Party<'v> {
    pub(crate) connection: &'v Connection,
    pub(crate) subscriber: Arc<str>,
    /// Payload that it delivered, both ways.
    pub(crate) used: u64,
    /// Data waits that no subflow has taken. `None`: not known.
    pub(crate) pressed: Option<bool>,
    pub(crate) subflows: Vec<Seen<'v>>,
}

/// A subflow as it is seen now.
#[derive(Debug)]
pub(crate) struct Seen<'v> {
    pub(crate) key: SubflowKey,
    pub(crate) subflow: &'v Subflow,
    pub(crate) path: Option<PathId>,
    pub(crate) pulse: Pulse,
    pub(crate) measured: Duration,
}

/// What is remembered of a path.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PathMemory {
    download: Meter,
    upload: Meter,
    grown: Payload,
}

/// Loads follow slowly: they are of many.
const LOAD_CONSTANT: Duration = Duration::from_secs(1);
/// What is between the connection and its subflows without waiting for anything.
const BETWEEN: u64 = 4 * 1024;
/// By so much a rate and a round-trip time may be wrong about what is in flight.
const DOUBT: u64 = 32 * 1024;

impl PathMemory {
    pub(crate) const fn new() -> Self {
        let meter = Meter::new(LOAD_CONSTANT);
        Self { download: meter, upload: meter, grown: Payload { download: 0, upload: 0 } }
    }

    /// The rate of its busier direction, in bit/s.
    pub(crate) fn load(&self) -> u64 {
        self.download.rate().max(self.upload.rate())
    }

    /// The rate of one direction, in bit/s.
    pub(crate) const fn rate(&self, direction: Direction) -> u64 {
        match direction {
            Direction::Download => self.download.rate(),
            Direction::Upload => self.upload.rate(),
        }
    }

    fn settle(&mut self, step: Duration) {
        let grown = std::mem::take(&mut self.grown);
        self.download.push(grown.download, step);
        self.upload.push(grown.upload, step);
    }
}

impl Seen<'_> {
    /// It can carry data, for somebody who wants it to.
    pub(crate) const fn is_usable(&self) -> bool {
        self.subflow.is_live() && self.subflow.verified && !self.subflow.backup_by_client
    }
}

impl Policies {
    /// Takes in a view.
    pub(crate) fn observe<'v>(&mut self, view: &'v View, moment: Moment) -> Vec<Party<'v>> {
        for line in self.lines.values_mut() {
            (line.pressed, line.choked) = (false, false);
            if moment.gap {
                line.download.reset();
                line.upload.reset();
            }
        }
        if moment.gap {
            self.paths.fill(PathMemory::new());
        }
        let parties = view.connections.iter().map(|connection| self.look(connection, moment)).collect();
        for line in self.lines.values_mut() {
            let pressed = line.pressed;
            line.download.settle(pressed, moment.now, moment.step);
            // Whether more waits at the client is not to be seen from here.
            line.upload.settle(true, moment.now, moment.step);
        }
        for path in &mut self.paths {
            path.settle(moment.step);
        }
        parties
    }

    fn look<'v>(&mut self, connection: &'v Connection, moment: Moment) -> Party<'v> {
        let new = || ConnectionMemory::new(moment.now);
        let memory = self.connections.entry(connection.key).or_insert_with(new);
        memory.seen = moment.now;
        memory.told(connection);
        let mut subflows = Vec::with_capacity(connection.subflows.len());
        for (key, subflow) in connection.keyed() {
            let known = memory.subflow(&self.rules, subflow, moment.now);
            let pulse = known.look(subflow, moment.now, moment.step, moment.gap);
            subflows.push(Seen { key, subflow, path: known.path, pulse, measured: known.measured });
        }
        let subscriber = memory.subscriber().cloned().unwrap_or_else(|| Arc::from(""));
        for seen in &subflows {
            let payer = seen.path.map(|path| Payer { subscriber: &subscriber, path: &self.rules.paths[path].name });
            let counts = Payload { download: seen.subflow.download, upload: seen.subflow.upload };
            let grown = self.usage.count(seen.key, counts, payer, moment.now);
            memory.used = memory.used.saturating_add(grown.total());
        }
        let pressed = connection.waiting.map(|waiting| waits(waiting, &subflows));
        let party = Party { connection, subscriber, used: memory.used, pressed, subflows };
        self.credit(&party, moment.now);
        party
    }

    /// Adds what a connection moved to its lines and paths.
    fn credit(&mut self, party: &Party<'_>, now: Duration) {
        for seen in &party.subflows {
            let Some(id) = seen.path else { continue };
            let path = &mut self.paths[id].grown;
            path.download = path.download.saturating_add(seen.pulse.downloaded);
            path.upload = path.upload.saturating_add(seen.pulse.uploaded);
            let line = self.lines.entry((party.subscriber.clone(), id)).or_insert_with(|| Line::new(now));
            line.seen = now;
            line.download.add(seen.pulse.downloaded);
            line.upload.add(seen.pulse.uploaded);
            if seen.subflow.is_live() {
                line.pressed |= party.pressed.unwrap_or(true);
                line.choked |= seen.pulse.choked && party.pressed == Some(true);
            }
        }
    }
}

/// Whether more waits than its subflows have in flight.
fn waits(waiting: u64, subflows: &[Seen<'_>]) -> bool {
    let live = || subflows.iter().filter(|seen| seen.subflow.is_live());
    let sum = |of: fn(&Seen<'_>) -> Option<u64>| {
        live().try_fold(0u64, |sum, seen| of(seen).map(|bytes| sum.saturating_add(bytes)))
    };
    let taken = sum(|seen| seen.subflow.queued);
    let in_flight = sum(|seen| seen.pulse.in_flight);
    taken.is_some_and(|taken| waiting > taken.saturating_add(BETWEEN))
        || in_flight.is_some_and(|bytes| waiting > bytes.saturating_add(bytes / 4 + DOUBT))
}
