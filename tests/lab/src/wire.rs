//! Just enough of Ethernet, IP and TCP to tell segments apart in frames.
//!
//! What lives here: a borrowed view and the TCP checksum. What does not: options (that is the sniffer's).
//! Called by the emulator and the latency experiment. Invariant: no index is taken from a frame unchecked.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::Range;

/// Length of an Ethernet header without tags.
const ETHERNET: usize = 14;

/// A TCP segment found in a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Source address and port.
    pub from: SocketAddr,
    /// Destination address and port.
    pub to: SocketAddr,
    /// SYN without ACK.
    pub opening: bool,
    /// Where the TCP header starts in the frame.
    pub header: usize,
    /// Where the payload lies in the frame.
    pub payload: Range<usize>,
}

/// Finds the TCP segment of an Ethernet frame; `None` for anything else, fragments and cut headers included.
pub fn segment(frame: &[u8]) -> Option<Segment> {
    let ip = frame.get(ETHERNET..)?;
    let (source, destination, ip_header, ip_len) = match be16(frame, 12)? {
        0x0800 => {
            let header = usize::from(ip.first()? & 0x0f) * 4;
            if *ip.get(9)? != 6 || be16(ip, 6)? & 0x3fff != 0 {
                return None;
            }
            let address =
                |at: usize| ip.get(at..at + 4)?.try_into().ok().map(|a: [u8; 4]| IpAddr::from(Ipv4Addr::from(a)));
            (address(12)?, address(16)?, header, usize::from(be16(ip, 2)?))
        }
        0x86dd => {
            if *ip.get(6)? != 6 {
                return None;
            }
            let address =
                |at: usize| ip.get(at..at + 16)?.try_into().ok().map(|a: [u8; 16]| IpAddr::from(Ipv6Addr::from(a)));
            (address(8)?, address(24)?, 40, 40 + usize::from(be16(ip, 4)?))
        }
        _ => return None,
    };
    let header = ETHERNET + ip_header;
    let start = header + usize::from(frame.get(header + 12)? >> 4) * 4;
    // A capture may be cut, and a short frame is padded: the payload is what is both promised and there.
    let end = (ETHERNET + ip_len).min(frame.len()).max(start);
    Some(Segment {
        from: SocketAddr::new(source, be16(frame, header)?),
        to: SocketAddr::new(destination, be16(frame, header + 2)?),
        opening: frame.get(header + 13)? & 0x12 == 0x02,
        header,
        payload: start..end,
    })
    .filter(|s| s.payload.start <= frame.len())
}

/// Writes the right TCP checksum into the frame of `segment`.
pub fn fix_checksum(frame: &mut [u8], segment: &Segment) {
    let Some(field) = frame.get_mut(segment.header + 16..segment.header + 18) else { return };
    field.fill(0);
    let length = segment.payload.end - segment.header;
    let addresses = match segment.from {
        SocketAddr::V4(_) => ETHERNET + 12..ETHERNET + 20,
        SocketAddr::V6(_) => ETHERNET + 8..ETHERNET + 40,
    };
    let mut total = 6 + u64::try_from(length).unwrap_or(0);
    for range in [addresses, segment.header..segment.payload.end] {
        for pair in frame.get(range).unwrap_or_default().chunks(2) {
            total += u64::from(pair[0]) << 8 | pair.get(1).map_or(0, |low| u64::from(*low));
        }
    }
    while total > 0xffff {
        total = (total & 0xffff) + (total >> 16);
    }
    let sum = !u16::try_from(total).unwrap_or(0);
    frame[segment.header + 16..segment.header + 18].copy_from_slice(&sum.to_be_bytes());
}

fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

#[cfg(test)]
mod tests;
