//! Rings on interfaces, opened so that the tracker gets what it needs and nothing else.
//!
//! Called by the wire witness and by `sniff`.

use anabranch_kernel::packet::filter::{self, Framing};
use anabranch_kernel::packet::ring::{PacketRing, RingOptions};
use anabranch_kernel::packet::{PacketError, framing};
use anabranch_sniffer::wire::LinkType;

/// Opens a ring on an interface; `None` when its frames are neither Ethernet nor raw IP.
///
/// Shape:   headers and `payload` bytes of the segments that tell of MPTCP, in both directions
/// Errors:  [`PacketError`]
pub(crate) fn open_ring(interface: &str, payload: u32) -> Result<Option<(PacketRing, LinkType)>, PacketError> {
    let Some(framing) = framing(interface)? else { return Ok(None) };
    let link = match framing {
        Framing::Ethernet => LinkType::Ethernet,
        Framing::Ip => LinkType::RawIp,
    };
    let ring = PacketRing::open(interface, &filter::mptcp(framing, payload), RingOptions::default())?;
    Ok(Some((ring, link)))
}
