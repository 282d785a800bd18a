//! Bytes on the wire, as borrowed views: link layer, IP, TCP, and the options of RFC 8684 and RFC 6824.
//!
//! What lives here: decoding and encoding, nothing remembered between two frames. What does not: state (`track`), where the
//! frames come from (`port`). Called by the wire witness and by `sniff`. Invariants: no input makes it panic, nothing is
//! allocated, and a length is believed only as far as bytes were captured.

mod ip;
mod link;
pub mod mptcp;
pub mod tcp;

use thiserror::Error;

pub use link::LinkType;
pub use tcp::Segment;

/// Why a frame holds no TCP segment that could be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
pub enum NoSegment {
    /// It carries something other than IP.
    #[error("not IP")]
    NotIp,
    /// It carries something other than TCP.
    #[error("not TCP")]
    NotTcp,
    /// It is a later fragment of a packet: ports and options came in the first.
    #[error("a fragment without its TCP header")]
    Fragment,
    /// The capture ends in this part.
    #[error("the capture ends in the {0}")]
    Truncated(&'static str),
    /// A length in this part cannot be.
    #[error("the {0} has a length that cannot be")]
    BadLength(&'static str),
    /// One address is an IPv4 one in IPv6's clothes, the other is not.
    #[error("addresses of two families")]
    MixedFamilies,
}

/// Finds the TCP segment in a captured frame.
///
/// Shape:   `wire_len` is how long the frame was; `frame` may be shorter
/// Errors:  [`NoSegment`]
pub fn parse(link: LinkType, frame: &[u8], wire_len: usize) -> Result<Segment<'_>, NoSegment> {
    let packet = link.strip(frame)?;
    let before = frame.len() - packet.len();
    Segment::parse(&ip::parse(packet, wire_len.saturating_sub(before))?)
}

#[cfg(test)]
mod tests;
