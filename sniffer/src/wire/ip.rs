//! IP headers: RFC 791, RFC 8200.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::NoSegment;

/// What an IP packet carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Packet<'a> {
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    /// What was captured after the headers, link-layer padding taken off.
    pub(super) payload: &'a [u8],
    /// How much was sent after the headers.
    pub(super) payload_len: u32,
}

/// Protocol numbers of headers that may stand before TCP.
///
/// Source:  RFC 8200 §4; RFC 4302 §2
mod next {
    pub(super) const TCP: u8 = 6;
    pub(super) const HOP_BY_HOP: u8 = 0;
    pub(super) const ROUTING: u8 = 43;
    pub(super) const FRAGMENT: u8 = 44;
    pub(super) const AUTHENTICATION: u8 = 51;
    pub(super) const DESTINATION: u8 = 60;
    /// IPv6 mobility, HIP and Shim6 are laid out as the options are.
    pub(super) const LIKE_OPTIONS: [u8; 6] = [HOP_BY_HOP, ROUTING, DESTINATION, 135, 139, 140];
}

/// More headers than this before TCP are no packet that anybody sends.
const HEADERS: usize = 16;

const CUT: NoSegment = NoSegment::Truncated("IP header");

/// Reads a packet that carries TCP. `wire_len` is how long the packet was, its link-layer padding included.
pub(super) fn parse(packet: &[u8], wire_len: usize) -> Result<Packet<'_>, NoSegment> {
    match packet.first().map(|first| first >> 4) {
        Some(4) => parse_v4(packet, wire_len),
        Some(6) => parse_v6(packet, wire_len),
        Some(_) => Err(NoSegment::NotIp),
        None => Err(CUT),
    }
}

fn parse_v4(packet: &[u8], wire_len: usize) -> Result<Packet<'_>, NoSegment> {
    let fixed: &[u8; 20] = packet.first_chunk().ok_or(CUT)?;
    let header = usize::from(fixed[0] & 0x0f) * 4;
    if header < 20 {
        return Err(NoSegment::BadLength("IPv4 header"));
    }
    if fixed[9] != next::TCP {
        return Err(NoSegment::NotTcp);
    }
    let fragment = u16::from_be_bytes([fixed[6], fixed[7]]);
    if fragment & 0x1fff != 0 {
        return Err(NoSegment::Fragment);
    }
    let more = fragment & 0x2000 != 0;
    // Zero: the sender's card cuts it into packets and fills the length in (TSO), after the capture.
    let total = match usize::from(u16::from_be_bytes([fixed[2], fixed[3]])) {
        0 => wire_len,
        total => total,
    };
    let len = total.checked_sub(header).ok_or(NoSegment::BadLength("IPv4 packet"))?;
    let payload = packet.get(header..).ok_or(CUT)?;
    let address =
        |at: usize| Ipv4Addr::from(fixed.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or([0; 4]));
    let (source, destination) = (address(12).into(), address(16).into());
    finish(source, destination, payload, len, more)
}

fn parse_v6(packet: &[u8], wire_len: usize) -> Result<Packet<'_>, NoSegment> {
    let (fixed, mut rest) = packet.split_first_chunk::<40>().ok_or(CUT)?;
    let address =
        |at: usize| Ipv6Addr::from(fixed.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or([0; 16]));
    // Zero: a jumbogram (RFC 2675), or a segment that the card still has to cut.
    let mut len = match usize::from(u16::from_be_bytes([fixed[4], fixed[5]])) {
        0 => wire_len.saturating_sub(40),
        len => len,
    };
    let (mut kind, mut more) = (fixed[6], false);
    for _ in 0..HEADERS {
        let skip = match kind {
            next::TCP => return finish(address(8).into(), address(24).into(), rest, len, more),
            next::FRAGMENT => {
                let header: &[u8; 8] = rest.first_chunk().ok_or(CUT)?;
                let offset = u16::from_be_bytes([header[2], header[3]]);
                if offset >> 3 != 0 {
                    return Err(NoSegment::Fragment);
                }
                more |= offset & 1 != 0;
                8
            }
            next::AUTHENTICATION => (usize::from(*rest.get(1).ok_or(CUT)?) + 2) * 4,
            kind if next::LIKE_OPTIONS.contains(&kind) => (usize::from(*rest.get(1).ok_or(CUT)?) + 1) * 8,
            _ => return Err(NoSegment::NotTcp),
        };
        kind = *rest.first().ok_or(CUT)?;
        rest = rest.get(skip..).ok_or(CUT)?;
        len = len.checked_sub(skip).ok_or(NoSegment::BadLength("IPv6 packet"))?;
    }
    Err(NoSegment::NotTcp)
}

/// What the length says there is, and no more: what follows on an Ethernet is padding.
fn finish(
    source: IpAddr,
    destination: IpAddr,
    payload: &[u8],
    len: usize,
    more: bool,
) -> Result<Packet<'_>, NoSegment> {
    // The rest of the segment comes in other packets: its first one alone holds the options, but not its length.
    if more && len < 20 {
        return Err(NoSegment::Fragment);
    }
    let payload = payload.get(..len).unwrap_or(payload);
    let payload_len = u32::try_from(len).map_err(|_| NoSegment::BadLength("IP packet"))?;
    Ok(Packet { source, destination, payload, payload_len })
}
