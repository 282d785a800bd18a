//! Rings on interfaces, opened so that the tracker gets what it needs and nothing else.
//!
//! Called by the wire witness and by `sniff`.

use std::collections::VecDeque;
use std::time::Duration;

use anabranch_kernel::packet::filter::{self, Framing};
use anabranch_kernel::packet::ring::{Frame, PacketRing, RingOptions};
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
    let options = RingOptions { retire: RETIRE, ..RingOptions::default() };
    let ring = PacketRing::open(interface, &filter::mptcp(framing, payload), options)?;
    Ok(Some((ring, link)))
}

/// A ring hands over a block that is not full after this long, so that a frame of another ring may be in hand as much earlier.
const RETIRE: Duration = Duration::from_millis(20);

/// So long a frame waits for older ones of other rings: their blocks are handed over at moments of their own, on timers that may be late.
const HOLD: Duration = RETIRE.saturating_mul(2);

/// Frames that wait at once. Above that the oldest go on, in whatever order the others come.
const MOST: usize = 1 << 16;

/// The frames of several rings in the order of time.
///
/// Were their blocks taken as they come, a join would be seen before the connection that it joins, on another interface, and the data of
/// a connection over both would seem to arrive out of order.
#[derive(Debug, Default)]
pub(crate) struct Merge {
    runs: Vec<Run>,
    held: usize,
}

/// Frames out of one ring, in the order in which they came.
#[derive(Debug, Default)]
struct Run {
    frames: VecDeque<Held>,
    /// What was captured of them, one behind the other; of the frames that are gone, up to `begin`.
    bytes: Vec<u8>,
    begin: usize,
}

/// A frame out of its ring.
#[derive(Debug, Clone, Copy)]
struct Held {
    /// What orders it among those of other rings: when it was seen, and never later than when it was taken, for the clock may have been
    /// set back meanwhile.
    turn: Duration,
    at: Duration,
    link: LinkType,
    captured: usize,
    wire_len: usize,
}

/// A frame on its way: its kind, when it was seen, what was captured of it, and how long it was.
pub(crate) type Seen<'a> = (LinkType, Duration, &'a [u8], usize);

impl Merge {
    /// Takes one block of each ring that there is, and hands on the frames that nothing older can come before; whether there was any block.
    pub(crate) fn take<'r, E>(
        &mut self,
        rings: impl ExactSizeIterator<Item = Option<&'r mut (PacketRing, LinkType)>>,
        now: Duration,
        take: &mut dyn FnMut(Seen<'_>) -> Result<(), E>,
    ) -> Result<bool, E> {
        // Of one ring alone, all frames are in order as they come.
        let alone = rings.len() <= 1 && self.held == 0;
        let mut any = false;
        for (number, ring) in rings.enumerate() {
            let Some((block, link)) = ring.and_then(|(ring, link)| Some((ring.next_block()?, *link))) else { continue };
            any = true;
            for Frame { captured, wire_len, at, .. } in block.frames() {
                if alone {
                    take((link, at, captured, wire_len))?;
                } else {
                    self.hold(number, now, (link, at, captured, wire_len));
                }
            }
        }
        self.release(now.saturating_sub(HOLD), take)?;
        Ok(any)
    }

    /// Hands on whatever is held.
    pub(crate) fn finish<E>(&mut self, take: &mut dyn FnMut(Seen<'_>) -> Result<(), E>) -> Result<(), E> {
        self.release(Duration::MAX, take)
    }

    fn hold(&mut self, ring: usize, now: Duration, (link, at, captured, wire_len): Seen<'_>) {
        if self.runs.len() <= ring {
            self.runs.resize_with(ring + 1, Run::default);
        }
        let run = &mut self.runs[ring];
        run.bytes.extend_from_slice(captured);
        run.frames.push_back(Held { turn: at.min(now), at, link, captured: captured.len(), wire_len });
        self.held += 1;
    }

    fn release<E>(&mut self, until: Duration, take: &mut dyn FnMut(Seen<'_>) -> Result<(), E>) -> Result<(), E> {
        // Interfaces are few: looking at each run's first frame costs less than a heap of them.
        while let Some((turn, run)) =
            self.runs.iter_mut().filter_map(|run| Some((run.frames.front()?.turn, run))).min_by_key(|(turn, _)| *turn)
        {
            if turn > until && self.held <= MOST {
                break;
            }
            self.held -= 1;
            run.pop(take)?;
        }
        Ok(())
    }

    /// How long to wait for frames at most, so that those held are not kept waiting.
    pub(crate) fn wait(&self, most: Duration) -> Duration {
        if self.held == 0 { most } else { most.min(HOLD) }
    }
}

impl Run {
    /// Hands on its first frame.
    fn pop<E>(&mut self, take: &mut dyn FnMut(Seen<'_>) -> Result<(), E>) -> Result<(), E> {
        let Some(Held { at, link, captured, wire_len, .. }) = self.frames.pop_front() else { return Ok(()) };
        let end = self.begin + captured;
        let taken = take((link, at, &self.bytes[self.begin..end], wire_len));
        self.begin = end;
        // Moved together once more than half of it is gone: each byte is moved once on average.
        if self.begin > self.bytes.len() / 2 {
            self.bytes.drain(..self.begin);
            self.begin = 0;
        }
        taken
    }
}

#[cfg(test)]
mod tests;
