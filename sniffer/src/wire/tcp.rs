//! The TCP header (RFC 9293 §3.1).

use std::net::SocketAddr;

use super::NoSegment;
use super::ip::Packet;
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

impl<'a> Segment<'a> {
    /// Reads the TCP header of a packet.
    pub(super) fn parse(packet: &Packet<'a>) -> Result<Self, NoSegment> {
        let (fixed, rest) = packet.payload.split_first_chunk::<20>().ok_or(NoSegment::Truncated("TCP header"))?;
        let word = |at: usize| fixed.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or_default();
        let half = |at: usize| fixed.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or_default();
        let options_len = (fixed[12] >> 4).checked_sub(5).ok_or(NoSegment::BadLength("TCP header"))? * 4;
        let header = 20 + u32::from(options_len);
        let payload_len = packet.payload_len.checked_sub(header).ok_or(NoSegment::BadLength("TCP segment"))?;
        let (options, payload) = rest.split_at_checked(options_len.into()).unwrap_or((rest, &[]));
        let source = SocketAddr::new(packet.source, u16::from_be_bytes(half(0)));
        let destination = SocketAddr::new(packet.destination, u16::from_be_bytes(half(2)));
        Ok(Self {
            // Both addresses stand in one header: they are of one family, but for IPv4-mapped ones of RFC 4291.
            flow: FourTuple::new(source, destination).map_err(|_| NoSegment::MixedFamilies)?,
            seq: u32::from_be_bytes(word(4)),
            ack: u32::from_be_bytes(word(8)),
            flags: Flags(fixed[13]),
            window: u16::from_be_bytes(half(14)),
            options,
            options_len,
            payload,
            payload_len,
        })
    }

    /// Sequence numbers it takes: its payload, and one for SYN and FIN each.
    #[must_use]
    pub fn seq_len(&self) -> u32 {
        self.payload_len + u32::from(self.flags.has(Flags::SYN)) + u32::from(self.flags.has(Flags::FIN))
    }
}
