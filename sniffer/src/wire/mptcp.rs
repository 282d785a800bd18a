//! MPTCP options: RFC 8684 (version 1), and RFC 6824 (version 0) where it differs.

use std::fmt;
use std::net::IpAddr;

use crate::id::{AddrId, Token};

mod encode;
mod malformed;
mod parse;
mod subtype;

pub use encode::{NoRoom, OptionBuf};
pub use malformed::{Malformed, Reason};
pub use parse::Options;
pub use subtype::{NotASubtype, Subtype};

/// The option kind of Multipath TCP.
///
/// Source:  RFC 8684 §7.1
pub const KIND: u8 = 30;

/// One MPTCP option.
///
/// Source:  RFC 8684 §3 and §7.2
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MptcpOption<'a> {
    /// MP_CAPABLE: begins a connection.
    Capable(Capable),
    /// MP_JOIN: adds a subflow.
    Join(Join),
    /// DSS: acknowledges and maps data, ends the data.
    Dss(Dss),
    /// ADD_ADDR: announces an address.
    AddAddr(AddAddr),
    /// REMOVE_ADDR: withdraws addresses.
    RemoveAddr(RemoveAddr<'a>),
    /// MP_PRIO: changes the subflow's priority.
    Prio(Prio),
    /// MP_FAIL: a checksum did not match.
    Fail(Fail),
    /// MP_FASTCLOSE: aborts the connection.
    FastClose(FastClose),
    /// MP_TCPRST: says why the subflow is reset.
    TcpRst(TcpRst),
    /// A subtype nobody has assigned, or the one for private experiments.
    Unknown(Unknown<'a>),
}

/// A secret of one end, chosen for one connection. Its Debug form never shows it.
///
/// Source:  RFC 8684 §3.1
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key(pub [u8; 8]);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

/// A message authentication code, cut to `N` bytes. Its Debug form never shows it.
///
/// Source:  RFC 8684 §3.2 (MP_JOIN) and §3.4.1 (ADD_ADDR)
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hmac<const N: usize>(pub [u8; N]);

impl<const N: usize> fmt::Debug for Hmac<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hmac(…)")
    }
}

/// MP_CAPABLE.
///
/// Shape:   version 1: SYN 4 bytes without keys, SYN/ACK 12 with the sender's, ACK 20 with both, first data 22 or 24 with a
///          length and perhaps a checksum. Version 0: SYN 12, SYN/ACK 12, ACK 20
/// Source:  RFC 8684 §3.1
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capable {
    /// 0 or 1.
    pub version: u8,
    /// The flags A to H as one byte, A the most significant.
    pub flags: u8,
    /// The key of this segment's sender.
    pub sender_key: Option<Key>,
    /// The key of this segment's receiver.
    pub receiver_key: Option<Key>,
    /// How much of the data sequence this segment's data begins: maps it from IDSN + 1.
    pub data_len: Option<u16>,
    /// The checksum of that mapping.
    pub checksum: Option<u16>,
}

/// MP_JOIN, in the form that SYN and ACK of its segment call for.
///
/// Source:  RFC 8684 §3.2
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Join {
    /// On the SYN, 12 bytes.
    Syn {
        /// The sender asks to be used as a backup.
        backup: bool,
        /// The sender's number for its address.
        addr_id: AddrId,
        /// The receiver's token.
        token: Token,
        /// The sender's random number.
        nonce: u32,
    },
    /// On the SYN/ACK, 16 bytes.
    SynAck {
        /// The sender asks to be used as a backup.
        backup: bool,
        /// The sender's number for its address.
        addr_id: AddrId,
        /// The leftmost 64 bits of the sender's HMAC.
        hmac: Hmac<8>,
        /// The sender's random number.
        nonce: u32,
    },
    /// On the ACK, 24 bytes.
    Ack {
        /// The leftmost 160 bits of the sender's HMAC.
        hmac: Hmac<20>,
    },
}

/// A data sequence number as sent: all 64 bits, or the lower 32.
///
/// Source:  RFC 8684 §3.3.1
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DataSeq {
    /// The lower 32 bits.
    Short(u32),
    /// All of it.
    Long(u64),
}

/// DSS: data acknowledgement, data sequence mapping, end of data.
///
/// Source:  RFC 8684 §3.3
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dss {
    /// DATA_FIN: the sender's last data sequence number is the end of this mapping.
    pub data_fin: bool,
    /// The next data sequence number expected.
    pub data_ack: Option<DataSeq>,
    /// Where this subflow's bytes stand in the data.
    pub map: Option<DssMap>,
}

/// A data sequence mapping.
///
/// Source:  RFC 8684 §3.3.1
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DssMap {
    /// The data sequence number of the first byte.
    pub dsn: DataSeq,
    /// The subflow sequence number of the first byte, relative: the SYN is 0.
    pub ssn: u32,
    /// How many bytes; with DATA_FIN one more than there are. 0: an infinite mapping, plain TCP from here on.
    pub len: u16,
    /// The checksum, where negotiated.
    pub checksum: Option<u16>,
}

/// ADD_ADDR.
///
/// Source:  RFC 8684 §3.4.1; RFC 6824 §3.4.1 (version 0: no echo, no HMAC)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddAddr {
    /// Which RFC's form: 0 (the low nibble said 4 or 6) or 1.
    pub version: u8,
    /// Repeats what the other end announced, to say it arrived.
    pub echo: bool,
    /// The announcer's number for the address.
    pub addr_id: AddrId,
    /// The address.
    pub address: IpAddr,
    /// The port; without it that of the subflow it came on.
    pub port: Option<u16>,
    /// The rightmost 64 bits of the announcer's HMAC; not on an echo, not in version 0.
    pub hmac: Option<Hmac<8>>,
}

/// REMOVE_ADDR.
///
/// Source:  RFC 8684 §3.4.2
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemoveAddr<'a> {
    /// The numbers withdrawn, at least one: each byte an [`AddrId`].
    pub ids: &'a [u8],
}

/// MP_PRIO.
///
/// Source:  RFC 8684 §3.3.8; RFC 6824 §3.3.8 (an address identifier may follow)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prio {
    /// The sender asks that this subflow be a backup, or no longer be one.
    pub backup: bool,
    /// Which subflow, when not this one (version 0).
    pub addr_id: Option<AddrId>,
}

/// MP_FAIL.
///
/// Source:  RFC 8684 §3.7
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fail {
    /// The data sequence number where the segment that failed began.
    pub dsn: u64,
}

/// MP_FASTCLOSE.
///
/// Source:  RFC 8684 §3.5
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FastClose {
    /// The key of this segment's receiver.
    pub receiver_key: Key,
}

/// MP_TCPRST.
///
/// Source:  RFC 8684 §3.6
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpRst {
    /// The condition may pass; the peer may try again.
    pub transient: bool,
    /// The flags U, V, W and T as sent.
    pub flags: u8,
    /// Why.
    pub reason: ResetReason,
}

/// The reason an MP_TCPRST gives, as its number.
///
/// Source:  RFC 8684 §3.6
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct ResetReason(pub u8);

impl ResetReason {
    /// The reason in the RFC's words.
    ///
    /// Source:  RFC 8684 §3.6
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self.0 {
            0 => "unspecified error",
            1 => "MPTCP-specific error",
            2 => "lack of resources",
            3 => "administratively prohibited",
            4 => "too much outstanding data",
            5 => "unacceptable performance",
            6 => "middlebox interference",
            _ => "unassigned",
        }
    }
}

impl fmt::Display for ResetReason {
    /// The RFC's words, or the number of one it has none for.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0..=6 => f.write_str(self.as_str()),
            other => write!(f, "reason {other}"),
        }
    }
}

/// An option of a subtype this codec has no structure for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unknown<'a> {
    /// The subtype, 0..=15.
    pub subtype: u8,
    /// The low nibble of the third byte and all that follows, from the third byte on.
    pub bytes: &'a [u8],
}

#[cfg(test)]
mod tests;
