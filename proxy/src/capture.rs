//! Rings on interfaces, opened so that the tracker gets what it needs and nothing else.
//!
//! Called by the wire witness and by `sniff`.

use anabranch_kernel::packet::filter::{self, Framing};
use std::iter::Peekable;

use anabranch_kernel::packet::ring::{Frame, Frames, PacketRing, RingOptions};
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

/// Takes one block of each ring, frames in the order of time over all of them; whether there was any.
///
/// Blocks of different interfaces are handed over at different moments. Were they taken one after the other, the data of a
/// connection over both would seem to arrive out of order.
pub(crate) fn take_blocks<'r, E>(
    rings: impl Iterator<Item = &'r mut (PacketRing, LinkType)>,
    take: &mut dyn FnMut(LinkType, &Frame<'_>) -> Result<(), E>,
) -> Result<bool, E> {
    let blocks: Vec<_> = rings.filter_map(|(ring, link)| ring.next_block().map(|block| (*link, block))).collect();
    let mut waiting: Vec<Waiting<'_>> = blocks.iter().map(|(link, block)| (*link, block.frames().peekable())).collect();
    while let Some((link, frames)) = earliest(&mut waiting) {
        if let Some(frame) = frames.next() {
            take(*link, &frame)?;
        }
    }
    Ok(!blocks.is_empty())
}

/// Frames of one block, still to be taken.
type Waiting<'b> = (LinkType, Peekable<Frames<'b>>);

/// The block whose next frame is the oldest; `None` when all are used up.
fn earliest<'w, 'b>(waiting: &'w mut [Waiting<'b>]) -> Option<&'w mut Waiting<'b>> {
    let heads = waiting.iter_mut().enumerate();
    let (_, index) = heads.filter_map(|(index, (_, frames))| Some((frames.peek()?.at, index))).min()?;
    waiting.get_mut(index)
}
