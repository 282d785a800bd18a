//! The blocks of pcapng.

use std::io::Read;
use std::time::Duration;

use super::{CaptureError, Frame, Input, LONGEST, u32_at};
use crate::wire::LinkType;

/// The type of a section header block: the same in either byte order.
pub(super) const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
/// Obsolete, still found in old files.
const PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;

/// A section with more interfaces than this is not believed.
const MOST_INTERFACES: usize = 65_536;

/// Where the reader is: the section's byte order and its interfaces so far.
#[derive(Debug, Default)]
pub(super) struct Sections {
    big: bool,
    interfaces: Vec<Interface>,
    /// The time of the last packet: a simple packet has none of its own.
    last: Duration,
}

#[derive(Debug, Clone, Copy)]
struct Interface {
    link: Option<LinkType>,
    snap_len: usize,
    /// Time stamps count so many to the second.
    per_second: u64,
    /// Seconds to add.
    offset: u64,
}

/// Where the packet's bytes are in its block, and what else is said of it.
struct Place {
    interface: usize,
    stamp: Option<u64>,
    from: usize,
    captured: usize,
    wire_len: usize,
}

impl Sections {
    pub(super) fn next_frame<'i, R: Read>(
        &mut self,
        input: &'i mut Input<R>,
        packet: u64,
    ) -> Result<Option<Frame<'i>>, CaptureError> {
        let (place, len) = loop {
            let Some((kind, len)) = self.next_block(input, packet)? else { return Ok(None) };
            let at = input.taken;
            let broken = |what| CaptureError::Broken { packet, at, what };
            // The whole block is in the buffer: next_block has looked.
            let block = input.peek(len)?.unwrap_or(&[]);
            match kind {
                SECTION => self.interfaces.clear(),
                INTERFACE if self.interfaces.len() < MOST_INTERFACES => {
                    self.interfaces.push(Interface::parse(block, self.big).ok_or_else(|| broken("a bad interface"))?);
                }
                INTERFACE => return Err(broken("too many interfaces")),
                PACKET | SIMPLE_PACKET | ENHANCED_PACKET => {
                    let place = self.place(kind, block).ok_or_else(|| broken("a block too short for its packet"))?;
                    break (place, len);
                }
                _ => {}
            }
            input.take(len)?;
        };
        let at = input.taken;
        let broken = |what| CaptureError::Broken { packet, at, what };
        let interface = self.interfaces.get(place.interface).ok_or_else(|| broken("an interface that was not said"))?;
        if let Some(stamp) = place.stamp {
            self.last = interface.time(stamp);
        }
        let (link, at) = (interface.link, self.last);
        let block = input.take(len)?.unwrap_or(&[]);
        let captured = block.get(place.from..place.from + place.captured).ok_or_else(|| broken("cut short"))?;
        Ok(Some(Frame { number: packet, at, link, captured, wire_len: place.wire_len.max(captured.len()) }))
    }

    /// Type and length of the next block, which is then in the buffer whole.
    fn next_block<R: Read>(&mut self, input: &mut Input<R>, packet: u64) -> Result<Option<(u32, usize)>, CaptureError> {
        let at = input.taken;
        let Some(header) = input.peek(12)? else {
            return if input.is_at_end() { Ok(None) } else { Err(CaptureError::CutOff { packet, at }) };
        };
        if u32_at(header, 0, true) == SECTION {
            self.big = match u32_at(header, 8, true) {
                0x1a2b_3c4d => true,
                0x4d3c_2b1a => false,
                _ => return Err(CaptureError::Broken { packet, at, what: "a section without its byte order" }),
            };
        }
        let (kind, len) = (u32_at(header, 0, self.big), u32_at(header, 4, self.big) as usize);
        if !(12..=LONGEST).contains(&len) || len % 4 != 0 {
            return Err(CaptureError::Broken { packet, at, what: "a block of a length that cannot be" });
        }
        if input.peek(len)?.is_none() {
            return Err(CaptureError::CutOff { packet, at });
        }
        Ok(Some((kind, len)))
    }

    fn place(&self, kind: u32, block: &[u8]) -> Option<Place> {
        let word = |at: usize| (at + 4 <= block.len()).then(|| u32_at(block, at, self.big));
        let half = |at: usize| block.get(at..).and_then(|rest| rest.first_chunk::<2>()).copied();
        let place = match kind {
            SIMPLE_PACKET => {
                let wire_len = word(8)? as usize;
                let limit = self.interfaces.first().map_or(LONGEST, |interface| interface.snap_len);
                Place { interface: 0, stamp: None, from: 12, captured: wire_len.min(limit), wire_len }
            }
            _ => {
                let interface = if kind == PACKET {
                    half(8).map(|two| if self.big { u16::from_be_bytes(two) } else { u16::from_le_bytes(two) })?.into()
                } else {
                    word(8)? as usize
                };
                let stamp = Some(u64::from(word(12)?) << 32 | u64::from(word(16)?));
                Place { interface, stamp, from: 28, captured: word(20)? as usize, wire_len: word(24)? as usize }
            }
        };
        // The block ends with its length once more.
        (place.from.checked_add(place.captured)? <= block.len().checked_sub(4)?).then_some(place)
    }
}

impl Interface {
    fn parse(block: &[u8], big: bool) -> Option<Self> {
        let half = |at: usize| {
            let two = block.get(at..).and_then(|rest| rest.first_chunk::<2>()).copied()?;
            Some(if big { u16::from_be_bytes(two) } else { u16::from_le_bytes(two) })
        };
        let link = LinkType::from_dlt(half(8)?.into());
        let snap_len = match u32_at(block, 12, big) as usize {
            0 => LONGEST,
            limit => limit,
        };
        let mut interface = Self { link, snap_len, per_second: 1_000_000, offset: 0 };
        let mut at = 16;
        // if_tsresol and if_tsoffset; the last word of the block is no option.
        while let (Some(code), Some(len)) = (half(at), half(at + 2)) {
            if code == 0 || at + 4 > block.len().saturating_sub(4) {
                break;
            }
            let value = block.get(at + 4..at + 4 + usize::from(len))?;
            match (code, value) {
                (9, [resolution]) => interface.per_second = per_second(*resolution)?,
                (14, value) => {
                    let eight = <[u8; 8]>::try_from(value).ok()?;
                    interface.offset = if big { u64::from_be_bytes(eight) } else { u64::from_le_bytes(eight) };
                }
                _ => {}
            }
            at += 4 + usize::from(len).next_multiple_of(4);
        }
        Some(interface)
    }

    fn time(&self, stamp: u64) -> Duration {
        let seconds = (stamp / self.per_second).saturating_add(self.offset);
        let rest = u128::from(stamp % self.per_second) * 1_000_000_000 / u128::from(self.per_second);
        Duration::from_secs(seconds) + Duration::from_nanos(u64::try_from(rest).unwrap_or(0))
    }
}

/// A power of ten, or with the first bit set a power of two.
fn per_second(resolution: u8) -> Option<u64> {
    let power = u32::from(resolution & 0x7f);
    if resolution & 0x80 == 0 { 10_u64.checked_pow(power) } else { 2_u64.checked_pow(power) }
}
