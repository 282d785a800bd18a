//! What is remembered of one connection, and where its data stands.

use std::net::IpAddr;
use std::time::Duration;

use super::arena::NONE;
use super::holes::{Filled, Holes};
use crate::crypto;
use crate::event::{ConnId, ConnectionEnd, End, Ends, FallbackReason, Verified};
use crate::id::{AddrId, Token};
use crate::wire::mptcp::{DataSeq, Key};

/// Data sequence numbers closer than this are before and after one another; the rest is noise.
const NEAR: u64 = 1 << 31;

/// One connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) id: ConnId,
    pub(super) version: u8,
    pub(super) checksum: bool,
    pub(super) late: bool,
    /// An end said with MP_FAIL that a checksum failed.
    pub(super) failed: bool,
    /// Forgeries told of; there are no events for more than a few.
    pub(super) forged: u8,
    /// Who asks that nobody join the address of the initial subflow.
    pub(super) keep_off: Ends<bool>,
    pub(super) keys: Ends<Option<Key>>,
    pub(super) tokens: Ends<Option<Token>>,
    /// The next holder of the same token.
    pub(super) chain: Ends<u32>,
    pub(super) data: Ends<Data>,
    /// New payload bytes of all subflows, by sender.
    pub(super) bytes: Ends<u64>,
    pub(super) retransmitted: Ends<u64>,
    /// Its subflows, in order: the first slot and the last.
    pub(super) first: u32,
    pub(super) last: u32,
    /// Subflows remembered, and those not over.
    pub(super) count: u16,
    pub(super) live: u16,
    pub(super) next_number: u16,
    pub(super) joins_refused: u16,
    pub(super) started_at: Option<Duration>,
    pub(super) established_at: Duration,
    pub(super) last_seen: Duration,
    pub(super) ended: Option<(Duration, ConnectionEnd)>,
    pub(super) fallback: Option<(Duration, FallbackReason)>,
    pub(super) addresses: Vec<Announcement>,
}

/// An address one end announced.
#[derive(Debug, Clone, Copy)]
pub(super) struct Announcement {
    pub(super) by: End,
    pub(super) addr_id: AddrId,
    pub(super) address: IpAddr,
    pub(super) port: Option<u16>,
    pub(super) verified: Verified,
    pub(super) echoed: bool,
    pub(super) withdrawn: bool,
    pub(super) at: Duration,
}

/// Where the data of one direction stands.
#[derive(Debug, Clone, Default)]
pub(super) struct Data {
    /// The number before the first byte's.
    pub(super) idsn: Option<u64>,
    /// The number after the highest byte mapped.
    pub(super) high: Option<u64>,
    /// The highest acknowledgement.
    pub(super) ack: Option<u64>,
    /// The number DATA_FIN took.
    pub(super) fin: Option<u64>,
    /// Only lower halves of numbers were seen: the upper ones are guesses.
    narrow: bool,
    /// What was passed over and not mapped so far.
    holes: Holes,
    /// Bytes mapped again, as far as can be told.
    pub(super) reinjected: u64,
    /// Bytes mapped later than bytes that follow them, as far as can be told.
    pub(super) reordered: u64,
}

impl Connection {
    pub(super) fn new(id: ConnId, version: u8, now: Duration) -> Self {
        Self {
            id,
            version,
            checksum: false,
            late: false,
            failed: false,
            forged: 0,
            keep_off: Ends::default(),
            keys: Ends::default(),
            tokens: Ends::default(),
            chain: Ends { client: NONE, server: NONE },
            data: Ends::default(),
            bytes: Ends::default(),
            retransmitted: Ends::default(),
            first: NONE,
            last: NONE,
            count: 0,
            live: 0,
            next_number: 0,
            joins_refused: 0,
            started_at: None,
            established_at: now,
            last_seen: now,
            ended: None,
            fallback: None,
            addresses: Vec::new(),
        }
    }

    /// Takes in the key of one end, with what follows from it. False where it contradicts what is known.
    pub(super) fn learn(&mut self, end: End, key: Key) -> bool {
        if let Some(known) = self.keys[end] {
            return known == key;
        }
        let token = crypto::token(key, self.version);
        if self.tokens[end].is_some_and(|known| known != token) {
            return false;
        }
        self.keys[end] = Some(key);
        self.tokens[end] = Some(token);
        self.data[end].begin(crypto::idsn(key, self.version));
        true
    }

    /// Both keys, that of `end` first.
    pub(super) fn key_pair(&self, end: End) -> Option<(Key, Key)> {
        Some((self.keys[end]?, self.keys[end.other()]?))
    }
}

impl Data {
    fn begin(&mut self, idsn: u64) {
        self.idsn = Some(idsn);
        let start = idsn.wrapping_add(1);
        // What was seen before the key was, has upper halves now.
        self.high = Some(match self.high {
            Some(high) if self.narrow => extend(lower(high), start),
            Some(high) => high,
            None => start,
        });
        if let Some(ack) = self.ack.filter(|_| self.narrow) {
            self.ack = Some(extend(lower(ack), start));
        }
        self.narrow = false;
    }

    /// The number as 64 bits: of those with these lower halves, the one closest to what was seen last.
    pub(super) fn widen(&mut self, number: DataSeq) -> u64 {
        let reference = self.high.or(self.ack);
        match number {
            DataSeq::Long(long) => {
                if std::mem::take(&mut self.narrow) {
                    self.high = self.high.map(|high| extend(lower(high), long));
                    self.ack = self.ack.map(|ack| extend(lower(ack), long));
                }
                long
            }
            DataSeq::Short(short) => match reference {
                Some(reference) => extend(short, reference),
                None => {
                    self.narrow = true;
                    u64::from(short)
                }
            },
        }
    }

    /// Takes in an acknowledgement. False where it is far off.
    pub(super) fn acknowledge(&mut self, number: DataSeq) -> bool {
        let ack = self.widen(number);
        if self.high.or(self.ack).is_some_and(|known| distance(known, ack) >= NEAR) {
            return false;
        }
        if self.ack.is_none_or(|known| is_after(ack, known)) {
            self.ack = Some(ack);
        }
        true
    }

    /// Takes in that `start..start + len` was mapped: how many of its bytes were mapped before. `None` where it is far off.
    pub(super) fn map(&mut self, start: u64, len: u32) -> Option<u64> {
        let end = start.wrapping_add(u64::from(len));
        let Some(high) = self.high else {
            self.high = Some(end);
            return Some(0);
        };
        if distance(high, start) >= NEAR {
            return None;
        }
        if start == high || is_after(start, high) {
            self.holes.open(lower(high), lower(start));
            self.high = Some(end);
            return Some(0);
        }
        let below = if is_after(end, high) { high } else { end };
        if is_after(end, high) {
            self.high = Some(end);
        }
        let Filled { late, again } = self.holes.fill(lower(start), lower(below));
        self.reordered += late;
        self.reinjected += again;
        Some(again)
    }

    /// Whether a DATA_FIN can have this number.
    pub(super) fn can_end(&self, number: u64) -> bool {
        self.high.is_none_or(|high| distance(high, number) < NEAR)
    }

    /// How many bytes the receiver has acknowledged, DATA_FIN not counted.
    pub(super) fn delivered(&self) -> Option<u64> {
        let end = match (self.ack?, self.fin) {
            (ack, Some(fin)) if is_after(ack, fin) => fin,
            (ack, _) => ack,
        };
        let start = self.idsn?.wrapping_add(1);
        // What is acknowledged of the time before the data is somebody's mistake, or worse.
        Some(if is_after(end, start) { end.wrapping_sub(start) } else { 0 })
    }
}

/// The number with this lower half that is closest to `reference`.
///
/// Source:  RFC 8684 §3.3.1
pub(super) fn extend(short: u32, reference: u64) -> u64 {
    let offset = short.wrapping_sub(lower(reference)).cast_signed();
    reference.wrapping_add_signed(i64::from(offset))
}

/// The lower half.
#[allow(clippy::cast_possible_truncation, reason = "the lower half is what is asked for")]
pub(super) const fn lower(number: u64) -> u32 {
    number as u32
}

const fn is_after(one: u64, other: u64) -> bool {
    one.wrapping_sub(other).cast_signed() > 0
}

const fn distance(one: u64, other: u64) -> u64 {
    one.wrapping_sub(other).cast_signed().unsigned_abs()
}

#[cfg(test)]
mod tests;
