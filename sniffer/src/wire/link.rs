//! Link layers: from a captured frame to the IP packet in it.

use super::NoSegment;

/// What stands before the IP packet in a captured frame.
///
/// Source:  pcap-linktype(7)
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LinkType {
    /// BSD loopback: the address family in the capturing host's byte order.
    Null,
    /// Ethernet, with any number of VLAN tags, and PPPoE on access lines.
    Ethernet,
    /// Nothing: the frame is an IP packet.
    RawIp,
    /// Linux cooked capture, version 1.
    LinuxSll,
    /// Linux cooked capture, version 2.
    LinuxSll2,
}

/// EtherTypes.
///
/// Source:  IEEE 802 numbers; 802.1ad for the service tag, 0x9100 as it was before the standard; RFC 2516 §4
mod ether {
    pub(super) const PPPOE_SESSION: u16 = 0x8864;
    pub(super) const IPV4: u16 = 0x0800;
    pub(super) const IPV6: u16 = 0x86dd;
    pub(super) const TAGS: [u16; 3] = [0x8100, 0x88a8, 0x9100];
}

impl LinkType {
    /// The link type of a number in a capture file.
    #[must_use]
    pub const fn from_dlt(number: u32) -> Option<Self> {
        Some(match number {
            0 | 108 => Self::Null,
            1 => Self::Ethernet,
            // The number of raw IP differs between systems; 228 and 229 say which version.
            12 | 14 | 101 | 228 | 229 => Self::RawIp,
            113 => Self::LinuxSll,
            276 => Self::LinuxSll2,
            _ => return None,
        })
    }

    /// The number that a capture file is written with.
    #[must_use]
    pub const fn to_dlt(self) -> u32 {
        match self {
            Self::Null => 0,
            Self::Ethernet => 1,
            Self::RawIp => 101,
            Self::LinuxSll => 113,
            Self::LinuxSll2 => 276,
        }
    }

    /// The IP packet in a frame.
    ///
    /// Errors:  [`NoSegment::NotIp`], [`NoSegment::Truncated`]
    pub(super) fn strip(self, frame: &[u8]) -> Result<&[u8], NoSegment> {
        match self {
            Self::RawIp => Ok(frame),
            // The version of the IP packet itself says which family it is, whatever the number before it is.
            Self::Null => frame.get(4..).ok_or(NoSegment::Truncated("link layer")),
            Self::Ethernet => after_tags(frame.get(12..).ok_or(NoSegment::Truncated("link layer"))?),
            Self::LinuxSll => after_tags(frame.get(14..).ok_or(NoSegment::Truncated("link layer"))?),
            Self::LinuxSll2 => {
                let kind = be16(frame, 0)?;
                let rest = frame.get(20..).ok_or(NoSegment::Truncated("link layer"))?;
                if ether::TAGS.contains(&kind) { after_tags(rest.get(2..).unwrap_or(&[])) } else { ip(kind, rest) }
            }
        }
    }
}

/// From an EtherType on, past VLAN tags.
fn after_tags(mut rest: &[u8]) -> Result<&[u8], NoSegment> {
    loop {
        let kind = be16(rest, 0)?;
        if kind == ether::PPPOE_SESSION {
            return after_pppoe(rest.get(2..).unwrap_or(&[]));
        }
        if !ether::TAGS.contains(&kind) {
            return ip(kind, rest.get(2..).unwrap_or(&[]));
        }
        rest = rest.get(4..).ok_or(NoSegment::Truncated("link layer"))?;
    }
}

/// Past the six bytes of PPPoE and the protocol number of PPP.
///
/// Source:  RFC 2516 §4; RFC 1332 §2, RFC 5072 §4
fn after_pppoe(rest: &[u8]) -> Result<&[u8], NoSegment> {
    const IPV4: u16 = 0x0021;
    const IPV6: u16 = 0x0057;
    if matches!(be16(rest, 6)?, IPV4 | IPV6) { Ok(rest.get(8..).unwrap_or(&[])) } else { Err(NoSegment::NotIp) }
}

fn ip(kind: u16, packet: &[u8]) -> Result<&[u8], NoSegment> {
    if matches!(kind, ether::IPV4 | ether::IPV6) { Ok(packet) } else { Err(NoSegment::NotIp) }
}

fn be16(bytes: &[u8], at: usize) -> Result<u16, NoSegment> {
    let found = bytes.get(at..).and_then(|rest| rest.first_chunk::<2>());
    found.map(|two| u16::from_be_bytes(*two)).ok_or(NoSegment::Truncated("link layer"))
}
