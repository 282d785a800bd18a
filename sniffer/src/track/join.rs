//! Joins: to which connection a token leads, and whether who joins knows its keys.

use super::flow::Options;
use super::half_open::{Asks, AsksJoin, HalfOpen};
use super::subflow::Subflow;
use super::{Tracker, list};
use crate::crypto;
use crate::event::{End, Ends, Forgery, SubflowEnd, SubflowState, Verified, What};
use crate::id::{FourTuple, SubflowKind, Token};
use crate::wire::mptcp::{Hmac, Join, Key};
use crate::wire::tcp::Segment;

/// Forgeries of one connection that are told of; the others are counted.
const FORGERIES: u8 = 8;

/// Where a join leads.
struct Holder {
    connection: u32,
    /// Which end of the connection was asked.
    responder: End,
    /// Of the responder and of the opener.
    proofs: (Verified, Verified),
}

impl Tracker {
    /// A join whose handshake is through: adds the subflow.
    pub(super) fn join(
        &mut self,
        slot: u32,
        half: &HalfOpen,
        asks: &AsksJoin,
        segment: &Segment<'_>,
        options: &Options<'_>,
    ) {
        let ack = match options.join {
            Some(Join::Ack { hmac }) if half.is_opener(segment) => Some(hmac),
            _ => None,
        };
        self.remove_half_open(slot);
        let Some(holder) = self.holder_of(asks, ack).or_else(|| self.unseen_holder(half.flow, asks.token)) else {
            // Only what the responder sends was seen, and that names nobody: like a flow found running.
            if options.dss.is_some() {
                self.on_running(segment, options);
            }
            return;
        };
        let Holder { connection, responder, proofs } = holder;
        let opener = responder.other();
        let flow = from_client(half.flow, opener);
        let forged = proofs.0.and(proofs.1) == Verified::No;
        if forged {
            let by = if proofs.1 == Verified::No { opener } else { responder };
            self.say_forged(connection, flow, by, Forgery::Join);
        }
        let subflow = joined(half, asks, responder, proofs, self.now);
        if let Some(subflow) = self.add_subflow(connection, subflow) {
            if !forged && self.connections.list(connection) == Some(list::WITHOUT_SUBFLOW) {
                self.connections.shift(connection, list::CONFIRMED, self.now);
            }
            self.on_subflow(subflow, segment, options);
        }
    }

    /// The connection a join is for: of those with its token the one whose keys its proofs agree with.
    fn holder_of(&self, asks: &AsksJoin, ack: Option<Hmac<20>>) -> Option<Holder> {
        let judged = |(connection, responder): (u32, End)| {
            let known = self.connections.get(connection)?;
            let proofs = known.key_pair(responder).map(|keys| prove(asks, ack, keys, known.version));
            Some(Holder { connection, responder, proofs: proofs.unwrap_or_default() })
        };
        let holders = self.holders(asks.token?).filter_map(judged);
        let rank = |holder: &Holder| match holder.proofs.0.and(holder.proofs.1) {
            Verified::Yes => 2,
            Verified::Unknown => 1,
            Verified::No => 0,
        };
        // Ties go to the youngest, which comes first: a token is used again only after a close.
        holders.fold(None, |best, holder| match best {
            Some(best) if rank(&best) >= rank(&holder) => Some(best),
            _ => Some(holder),
        })
    }

    /// A connection that was running when the watch began, known by the token others join it with.
    fn unseen_holder(&mut self, flow: FourTuple, token: Option<Token>) -> Option<Holder> {
        let token = token?;
        let connection = self.add_connection(1)?;
        let known = self.connections.get_mut(connection)?;
        known.late = true;
        // Clients join; servers, which rarely can, do not.
        known.tokens.server = Some(token);
        let (id, tokens) = (known.id, known.tokens);
        self.link_tokens(connection);
        self.emit(What::ConnectionEstablished { connection: id, flow, tokens, late: true });
        Some(Holder { connection, responder: End::Server, proofs: Default::default() })
    }

    /// A join came through: says so, and after how long.
    pub(super) fn say_established(&mut self, slot: u32) {
        let Some(subflow) = self.subflows.get(slot) else { return };
        let Some(connection) = self.connections.get(subflow.connection) else { return };
        let id = connection.id;
        let established = What::SubflowEstablished {
            subflow: crate::event::SubflowId { connection: id, number: subflow.number },
            flow: subflow.flow,
            kind: subflow.kind,
            opened_by: subflow.opened_by,
            addr_ids: subflow.addr_ids,
            backup: subflow.backup,
            verified: subflow.verified(),
            join_delay: subflow.established_at.unwrap_or(self.now).saturating_sub(connection.established_at),
        };
        self.emit(established);
    }

    /// Checks a proof that comes again on a subflow, if it was missed the first time.
    pub(super) fn prove_again(&mut self, slot: u32, from: End, join: Join) {
        let Join::Ack { hmac } = join else { return };
        let Some(subflow) = self.subflows.get_mut(slot) else { return };
        let owner = subflow.connection;
        let Some(connection) = self.connections.get_mut(owner) else { return };
        if subflow.proofs[from] != Verified::Unknown || subflow.opened_by != from {
            return;
        }
        let nonces = subflow.nonces[from].zip(subflow.nonces[from.other()]);
        let (Some((own_key, peer_key)), Some((own, peer))) = (connection.key_pair(from), nonces) else { return };
        let right = crypto::join_hmac(own_key, peer_key, own, peer, connection.version) == hmac.0;
        subflow.proofs[from] = right.into();
        if !right {
            let flow = subflow.flow;
            // One that has ended was not counted any more.
            if subflow.ended.is_none() {
                connection.live = connection.live.saturating_sub(1);
            }
            if connection.live == 0 && self.connections.list(owner) != Some(list::WITHOUT_SUBFLOW) {
                self.connections.shift(owner, list::WITHOUT_SUBFLOW, self.now);
            }
            self.say_forged(owner, flow, from, Forgery::Join);
        }
    }

    /// A RST on a handshake that is not finished.
    pub(super) fn on_refusal(&mut self, slot: u32, segment: &Segment<'_>, options: &Options<'_>) {
        let Some(half) = self.half_open.get(slot).copied() else { return };
        if !half.believes_reset(segment) {
            self.counters.implausible += 1;
            return;
        }
        self.remove_half_open(slot);
        let Asks::Join(asks) = half.asks else { return };
        self.counters.joins_refused += 1;
        // A token that is nobody's refuses itself; made at will, it is not worth an event.
        let Some(holder) = self.holder_of(&asks, None) else { return };
        if holder.proofs.0 == Verified::No {
            let flow = from_client(half.flow, holder.responder.other());
            self.say_forged(holder.connection, flow, holder.responder, Forgery::Join);
        }
        let alone = asks.token.is_some_and(|token| self.holders(token).nth(1).is_none());
        let known = self.connections.get_mut(holder.connection).filter(|_| alone);
        let connection = known.map(|known| {
            known.joins_refused = known.joins_refused.saturating_add(1);
            known.id
        });
        let reason = options.reset.map(|reset| reset.reason);
        self.emit(What::JoinRefused { connection, flow: half.flow, reason });
    }

    /// A joined subflow was reset before its peer took it.
    pub(super) fn refuse_joined(&mut self, slot: u32, end: SubflowEnd) {
        let SubflowEnd::Reset { reason, .. } = end else { return };
        let Some(subflow) = self.subflows.get(slot) else { return };
        let (owner, opened_by, flow) = (subflow.connection, subflow.opened_by, subflow.flow);
        self.counters.joins_refused += 1;
        let Some(connection) = self.connections.get_mut(owner) else { return };
        connection.joins_refused = connection.joins_refused.saturating_add(1);
        let id = connection.id;
        let flow = from_client(flow, opened_by);
        self.emit(What::JoinRefused { connection: Some(id), flow, reason });
    }

    /// Counts a forgery and, unless there were many, tells of it.
    pub(super) fn say_forged(&mut self, connection: u32, flow: FourTuple, by: End, what: Forgery) {
        self.counters.forged += 1;
        let Some(known) = self.connections.get_mut(connection) else { return };
        if known.forged >= FORGERIES {
            return;
        }
        known.forged += 1;
        let connection = known.id;
        self.emit(What::Forged { connection, flow, by, what });
    }
}

/// A flow from the client to the server, of one from its opener; and the other way round.
fn from_client(flow: FourTuple, opener: End) -> FourTuple {
    match opener {
        End::Client => flow,
        End::Server => flow.reversed(),
    }
}

/// What the proofs of responder and opener are worth, given the responder's key and the opener's.
fn prove(asks: &AsksJoin, ack: Option<Hmac<20>>, keys: (Key, Key), version: u8) -> (Verified, Verified) {
    let (Some(opener), Some(responder)) = (asks.opener.nonce, asks.responder.nonce) else {
        return Default::default();
    };
    let (responder_key, opener_key) = keys;
    let answer = asks.hmac.map(|hmac| {
        let right = crypto::join_hmac(responder_key, opener_key, responder, opener, version);
        right[..8] == hmac.0
    });
    let ack = ack.map(|hmac| crypto::join_hmac(opener_key, responder_key, opener, responder, version) == hmac.0);
    (answer.map(Verified::from).unwrap_or_default(), ack.map(Verified::from).unwrap_or_default())
}

fn joined(
    half: &HalfOpen,
    asks: &AsksJoin,
    responder: End,
    proofs: (Verified, Verified),
    now: std::time::Duration,
) -> Subflow {
    let opener = responder.other();
    let (own, peer) = half.halves();
    let mut subflow = Subflow::new(from_client(half.flow, opener), SubflowKind::Joined, opener, now);
    subflow.halves = Ends::of(opener, own, peer);
    subflow.addr_ids = Ends::of(opener, asks.opener.addr_id, asks.responder.addr_id);
    subflow.backup = Ends::of(opener, asks.opener.backup, asks.responder.backup);
    subflow.nonces = Ends::of(opener, asks.opener.nonce, asks.responder.nonce);
    subflow.proofs = Ends::of(responder, proofs.0, proofs.1);
    subflow.syn_at = half.syn.map(|_| half.at);
    if half.syn_ack.is_some() {
        subflow.state = SubflowState::SynAckSeen;
    }
    subflow
}
