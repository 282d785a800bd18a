//! The TCP header (RFC 9293 §3.1).

use crate::id::FourTuple;

/// The control bits of a segment.
///
/// Source:  RFC 9293 §3.1
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Flags(pub u8);

impl Flags {
    /// No more data from the sender.
    pub const FIN: Self = Self(0x01);
    /// Synchronise sequence numbers.
    pub const SYN: Self = Self(0x02);
    /// Reset the connection.
    pub const RST: Self = Self(0x04);
    /// Push.
    pub const PSH: Self = Self(0x08);
    /// The acknowledgement field is significant.
    pub const ACK: Self = Self(0x10);

    /// Whether all bits of `other` are set.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// One TCP segment, borrowed from the frame it came in.
///
/// Shape:   `options` and `payload` hold what was captured; the `_len` fields what was sent
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment<'a> {
    /// Addresses and ports, in the direction it travels.
    pub flow: FourTuple,
    /// The sequence number of the first payload byte, or of the SYN.
    pub seq: u32,
    /// The next sequence number expected; meaningful with ACK.
    pub ack: u32,
    /// Its control bits.
    pub flags: Flags,
    /// The window field, unscaled.
    pub window: u16,
    /// The options as captured, without the fixed header.
    pub options: &'a [u8],
    /// What the header says the options' length is.
    ///
    /// Units: bytes, 0..=40.
    pub options_len: u8,
    /// The payload as captured.
    pub payload: &'a [u8],
    /// The payload's length on the wire, from the IP header.
    ///
    /// Units: bytes.
    pub payload_len: u32,
}
