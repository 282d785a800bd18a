//! Handshakes that are not finished: what a SYN asked for and a SYN/ACK answered, held apart from what is established.
//!
//! Anyone can send a SYN with any source. So what it says stays here, in a table of its own where the oldest makes room,
//! until its sender has shown that it gets the answers.

use std::time::Duration;

use super::flow::Options;
use super::subflow::{Half, is_after, near};
use crate::event::Ends;
use crate::id::{AddrId, FourTuple, Token};
use crate::wire::mptcp::{Capable, Hmac, Join, Key};
use crate::wire::tcp::{Flags, Segment};

/// Where a finishing segment may be: as far as an initial window goes, and then some.
const NEAR: u32 = 1 << 24;

/// Version 1 says what it is in the low bits of the flags; without one of them the option is no MP_CAPABLE.
///
/// Source:  RFC 8684 §3.1
const CRYPTO: u8 = 0x1f;
/// "Extensibility": who does not know what it extends is to treat the SYN as one of plain TCP.
const EXTENSIBILITY: u8 = 0x40;
/// Checksums are asked for.
pub(super) const CHECKSUM: u8 = 0x80;
/// No further subflows to this address and port.
pub(super) const KEEP_OFF: u8 = 0x20;

/// A handshake that is not finished.
#[derive(Debug, Clone, Copy)]
pub(super) struct HalfOpen {
    /// From the opener to the other end, which is called the responder here.
    pub(super) flow: FourTuple,
    pub(super) asks: Asks,
    /// The SYN, if it was seen.
    pub(super) syn: Option<Syn>,
    /// The SYN/ACK, if it was seen.
    pub(super) syn_ack: Option<Syn>,
    /// The SYN came again without the option: its sender gave up on MPTCP.
    pub(super) gave_up: bool,
    pub(super) at: Duration,
}

/// Where a SYN or a SYN/ACK stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Syn {
    pub(super) seq: u32,
    pub(super) payload_len: u32,
}

/// What a handshake is for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Asks {
    /// Plain TCP; kept here only while the addresses and ports are those of a subflow.
    Plain,
    /// A connection.
    Capable(AsksCapable),
    /// To join one.
    Join(AsksJoin),
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct AsksCapable {
    pub(super) version: u8,
    /// Of the opener and of the responder, who are the client and the server.
    pub(super) flags: Ends<u8>,
    pub(super) keys: Ends<Option<Key>>,
    /// The SYN/ACK carried MP_CAPABLE too.
    pub(super) agreed: bool,
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct AsksJoin {
    /// The token of the responder.
    pub(super) token: Option<Token>,
    pub(super) opener: Joiner,
    pub(super) responder: Joiner,
    /// The responder's proof.
    pub(super) hmac: Option<Hmac<8>>,
}

/// What an end says of itself in a join.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Joiner {
    pub(super) addr_id: Option<AddrId>,
    pub(super) backup: bool,
    pub(super) nonce: Option<u32>,
}

impl Asks {
    pub(super) fn of_syn(options: &Options<'_>) -> Self {
        match (options.capable.filter(is_valid), options.join) {
            (Some(capable), _) => Self::Capable(AsksCapable {
                version: capable.version,
                flags: Ends { client: capable.flags, server: 0 },
                keys: Ends { client: capable.sender_key, server: None },
                agreed: false,
            }),
            (None, Some(Join::Syn { backup, addr_id, token, nonce })) => Self::Join(AsksJoin {
                token: Some(token),
                opener: Joiner { addr_id: Some(addr_id), backup, nonce: Some(nonce) },
                ..AsksJoin::default()
            }),
            _ => Self::Plain,
        }
    }

    /// What a SYN asked for of which only the answer was seen; `None` where that cannot be told.
    pub(super) fn of_syn_ack(options: &Options<'_>) -> Option<Self> {
        let mut asks = match (options.capable, options.join) {
            (Some(capable), _) => Self::Capable(AsksCapable { version: capable.version, ..AsksCapable::default() }),
            (None, Some(Join::SynAck { .. })) => Self::Join(AsksJoin::default()),
            _ => return None,
        };
        asks.answer(options);
        Some(asks)
    }

    /// Takes in the options of the SYN/ACK.
    pub(super) fn answer(&mut self, options: &Options<'_>) {
        match self {
            Self::Plain => {}
            Self::Capable(asks) => {
                asks.agreed = false;
                if let Some(capable) = options.capable.filter(is_valid) {
                    asks.agreed = true;
                    asks.version = asks.version.min(capable.version);
                    asks.flags.server = capable.flags;
                    asks.keys.server = capable.sender_key;
                }
            }
            Self::Join(asks) => {
                (asks.hmac, asks.responder) = (None, Joiner::default());
                if let Some(Join::SynAck { backup, addr_id, hmac, nonce }) = options.join {
                    asks.hmac = Some(hmac);
                    asks.responder = Joiner { addr_id: Some(addr_id), backup, nonce: Some(nonce) };
                }
            }
        }
    }
}

fn is_valid(capable: &Capable) -> bool {
    capable.flags & EXTENSIBILITY == 0 && capable.flags & CRYPTO != 0
}

impl HalfOpen {
    pub(super) fn is_opener(&self, segment: &Segment<'_>) -> bool {
        segment.flow == self.flow
    }

    /// Whether a SYN/ACK answers the SYN.
    pub(super) fn is_answered_by(&self, segment: &Segment<'_>) -> bool {
        let answers = |syn: Syn| segment.ack.wrapping_sub(syn.seq).wrapping_sub(1) <= syn.payload_len;
        segment.flow == self.flow.reversed() && self.syn.is_none_or(answers)
    }

    /// Whether a segment that is neither SYN nor RST can come next.
    pub(super) fn goes_on_with(&self, segment: &Segment<'_>) -> bool {
        let (own, peer) = if self.is_opener(segment) { (self.syn, self.syn_ack) } else { (self.syn_ack, self.syn) };
        let follows = |number: u32, syn: Syn| is_after(number, syn.seq) && near(number, syn.seq, NEAR);
        own.is_none_or(|syn| follows(segment.seq, syn))
            && peer.is_none_or(|syn| segment.flags.has(Flags::ACK) && follows(segment.ack, syn))
    }

    /// Whether a RST is of this handshake: who refuses a SYN says which, any other has the number that is expected.
    ///
    /// Source:  RFC 9293 §3.10.7.1
    pub(super) fn believes_reset(&self, segment: &Segment<'_>) -> bool {
        let own = if self.is_opener(segment) { self.syn } else { self.syn_ack };
        match (own, self.syn) {
            (Some(own), _) => segment.seq.wrapping_sub(own.seq) <= own.payload_len.saturating_add(1),
            (None, Some(_)) => self.is_answered_by(segment),
            (None, None) => true,
        }
    }

    /// Where both directions stand after the handshake, the opener's first.
    pub(super) fn halves(&self) -> (Half, Half) {
        let half = |syn: Option<Syn>| syn.map_or_else(Half::default, |syn| Half::after_syn(syn.seq, syn.payload_len));
        (half(self.syn), half(self.syn_ack))
    }
}

impl Syn {
    pub(super) const fn of(segment: &Segment<'_>) -> Self {
        Self { seq: segment.seq, payload_len: segment.payload_len }
    }
}
