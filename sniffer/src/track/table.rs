//! The tables: who is found how, who makes room for whom, and what expires when.

use std::time::Duration;

use super::arena::NONE;
use super::connection::Connection;
use super::flow::FlowKey;
use super::half_open::HalfOpen;
use super::subflow::Subflow;
use super::{Entry, Tracker, list};
use crate::event::{ConnId, ConnectionEnd, End, Verified};
use crate::id::{FourTuple, Token};

/// Holders of one token that are told apart. Chance gives two now and then; more have been made on purpose, and each costs
/// a computation per join.
const HOLDERS: usize = 8;

impl Tracker {
    /// Forgets where a flow is remembered, if it is remembered there.
    pub(super) fn forget_flow(&mut self, flow: &FourTuple, entry: Entry) {
        let key = FlowKey::of(flow);
        if self.flows.get(&key) == Some(&entry) {
            self.flows.remove(&key);
        }
    }

    /// Remembers a handshake, of which the oldest makes room.
    pub(super) fn add_half_open(&mut self, half: HalfOpen) -> Option<u32> {
        if self.limits.half_open == 0 {
            return None;
        }
        if self.half_open.len() >= self.limits.half_open {
            let (oldest, _) = self.half_open.oldest(0)?;
            self.remove_half_open(oldest);
            self.counters.half_open_evicted += 1;
        }
        self.half_open.insert(half, 0, self.now)
    }

    pub(super) fn remove_half_open(&mut self, slot: u32) -> Option<HalfOpen> {
        let half = self.half_open.remove(slot)?;
        self.forget_flow(&half.flow, Entry::HalfOpen(slot));
        Some(half)
    }

    /// A place for a new connection; whoever ended, or was only half seen, makes room. `None` where everyone else is in use.
    pub(super) fn add_connection(&mut self, version: u8) -> Option<u32> {
        while self.connections.len() >= self.limits.connections || self.subflows.len() >= self.limits.subflows {
            let oldest = [list::CLOSED, list::WITHOUT_SUBFLOW, list::UNCONFIRMED]
                .into_iter()
                .find_map(|list| self.connections.oldest(list));
            let Some((oldest, _)) = oldest else {
                self.counters.connections_refused += 1;
                return None;
            };
            self.counters.connections_evicted += 1;
            self.end_connection(oldest, ConnectionEnd::Evicted);
            self.remove_connection(oldest);
        }
        let id = ConnId(self.next_id);
        let slot = self.connections.insert(Connection::new(id, version, self.now), list::UNCONFIRMED, self.now)?;
        self.next_id += 1;
        self.by_id.insert(id, slot);
        Some(slot)
    }

    /// Adds a subflow to a connection, where the oldest that is over makes room. `None` where all are in use.
    pub(super) fn add_subflow(&mut self, connection: u32, mut subflow: Subflow) -> Option<u32> {
        let full = self.connections.get(connection)?.count >= self.limits.subflows_per_connection;
        if (full && !self.drop_ended_subflow(connection)) || self.subflows.len() >= self.limits.subflows {
            self.counters.subflows_refused += 1;
            return None;
        }
        let owner = self.connections.get_mut(connection)?;
        subflow.connection = connection;
        subflow.number = owner.next_number;
        let key = FlowKey::of(&subflow.flow);
        let forged = subflow.verified() == Verified::No;
        let slot = self.subflows.insert(subflow, 0, self.now)?;
        owner.next_number = owner.next_number.saturating_add(1);
        owner.count += 1;
        // What somebody without the keys added keeps nothing alive.
        owner.live += u16::from(!forged);
        let last = std::mem::replace(&mut owner.last, slot);
        if last == NONE {
            owner.first = slot;
        } else if let Some(last) = self.subflows.get_mut(last) {
            last.next = slot;
        }
        self.flows.insert(key, Entry::Subflow(slot));
        Some(slot)
    }

    /// The subflows of a connection, in the order they came.
    pub(super) fn subflows_of(&self, connection: &Connection) -> impl Iterator<Item = (u32, &Subflow)> {
        let first = self.subflows.get(connection.first).map(|subflow| (connection.first, subflow));
        std::iter::successors(first, |(_, subflow)| Some((subflow.next, self.subflows.get(subflow.next)?)))
    }

    fn drop_ended_subflow(&mut self, connection: u32) -> bool {
        let Some(owner) = self.connections.get(connection) else { return false };
        let mut before = NONE;
        let spare = self.subflows_of(owner).find_map(|(slot, subflow)| {
            let is_spare = subflow.ended.is_some() || subflow.verified() == Verified::No;
            let found = is_spare.then_some((before, slot, subflow.next));
            before = slot;
            found
        });
        let Some((before, slot, next)) = spare else { return false };
        self.unchain_subflow(connection, before, slot, next);
        true
    }

    fn unchain_subflow(&mut self, connection: u32, before: u32, slot: u32, next: u32) {
        if let Some(before) = self.subflows.get_mut(before) {
            before.next = next;
        }
        if let Some(owner) = self.connections.get_mut(connection) {
            if owner.first == slot {
                owner.first = next;
            }
            if owner.last == slot {
                owner.last = before;
            }
            owner.count -= 1;
        }
        self.remove_subflow(slot);
    }

    fn remove_subflow(&mut self, slot: u32) -> Option<Subflow> {
        let subflow = self.subflows.remove(slot)?;
        self.forget_flow(&subflow.flow, Entry::Subflow(slot));
        Some(subflow)
    }

    /// Forgets a connection with all that is its.
    pub(super) fn remove_connection(&mut self, slot: u32) {
        self.unlink_tokens(slot);
        let Some(connection) = self.connections.remove(slot) else { return };
        self.by_id.remove(&connection.id);
        let mut next = connection.first;
        while let Some(subflow) = self.remove_subflow(next) {
            next = subflow.next;
        }
    }

    /// Makes a connection known by the tokens it has.
    pub(super) fn link_tokens(&mut self, slot: u32) {
        for end in End::BOTH {
            let Some(token) = self.connections.get(slot).and_then(|connection| connection.tokens[end]) else {
                continue;
            };
            if self.holders(token).take(HOLDERS).any(|holder| holder == (slot, end)) {
                continue;
            }
            if self.holders(token).nth(HOLDERS - 1).is_some() {
                continue;
            }
            let next = self.tokens.insert(token, handle(slot, end)).unwrap_or(NONE);
            if let Some(connection) = self.connections.get_mut(slot) {
                connection.chain[end] = next;
            }
        }
    }

    /// Who holds a token: connections, and which of their ends.
    pub(super) fn holders(&self, token: Token) -> impl Iterator<Item = (u32, End)> {
        let first = self.tokens.get(&token).copied().filter(|&handle| handle != NONE);
        std::iter::successors(first, |&handle| {
            let (slot, end) = holder(handle);
            self.connections.get(slot).map(|connection| connection.chain[end]).filter(|&next| next != NONE)
        })
        .map(holder)
    }

    /// Makes a connection no longer known by its tokens.
    pub(super) fn unlink_tokens(&mut self, slot: u32) {
        for end in End::BOTH {
            let Some(token) = self.connections.get(slot).and_then(|connection| connection.tokens[end]) else {
                continue;
            };
            let own = handle(slot, end);
            let before = self.holders(token).take_while(|&other| other != (slot, end)).last();
            let Some(connection) = self.connections.get_mut(slot) else { continue };
            let next = std::mem::replace(&mut connection.chain[end], NONE);
            match before {
                None if self.tokens.get(&token) == Some(&own) && next == NONE => _ = self.tokens.remove(&token),
                None if self.tokens.get(&token) == Some(&own) => _ = self.tokens.insert(token, next),
                Some((before, its_end)) => {
                    if let Some(before) = self.connections.get_mut(before)
                        && before.chain[its_end] == own
                    {
                        before.chain[its_end] = next;
                    }
                }
                None => {}
            }
        }
    }

    /// Saturating: a damaged capture may say that it is the end of time.
    pub(super) fn deadlines(&self) -> impl Iterator<Item = Duration> {
        let connections =
            self.lists().filter_map(|(list, timeout)| Some(self.connections.oldest(list)?.1.saturating_add(timeout)));
        let half_open = self.half_open.oldest(0).map(|(_, at)| at.saturating_add(self.timeouts.half_open));
        let plain = self.plain.oldest(0).map(|(_, at)| at.saturating_add(self.timeouts.plain));
        connections.chain(half_open).chain(plain)
    }

    fn lists(&self) -> impl Iterator<Item = (u8, Duration)> + use<> {
        let timeouts = self.timeouts;
        [
            (list::CONFIRMED, timeouts.idle),
            (list::UNCONFIRMED, timeouts.unconfirmed),
            (list::WITHOUT_SUBFLOW, timeouts.without_subflow),
            (list::CLOSED, timeouts.closed),
        ]
        .into_iter()
    }

    pub(super) fn expire(&mut self) {
        let now = self.now;
        let due = |oldest: Option<(u32, Duration)>, timeout: Duration| {
            oldest.filter(|&(_, at)| at.saturating_add(timeout) <= now).map(|(slot, _)| slot)
        };
        while let Some(slot) = due(self.half_open.oldest(0), self.timeouts.half_open) {
            self.remove_half_open(slot);
            self.counters.half_open_expired += 1;
        }
        while let Some(slot) = due(self.plain.oldest(0), self.timeouts.plain) {
            self.remove_plain(slot);
        }
        for (list, timeout) in self.lists() {
            while let Some(slot) = due(self.connections.oldest(list), timeout) {
                match list {
                    list::CLOSED => self.remove_connection(slot),
                    list::WITHOUT_SUBFLOW => self.end_connection(slot, ConnectionEnd::NoSubflowLeft),
                    _ => self.end_connection(slot, ConnectionEnd::Idle),
                }
            }
        }
    }
}

/// Slot and end in one number. Slots stay below the half of what a number holds: that many would not fit into memory.
fn handle(slot: u32, end: End) -> u32 {
    slot << 1 | u32::from(end == End::Server)
}

fn holder(handle: u32) -> (u32, End) {
    (handle >> 1, if handle & 1 == 1 { End::Server } else { End::Client })
}
