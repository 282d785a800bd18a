//! Capture files: pcap and pcapng, read as a stream and written.
//!
//! What lives here: framing, time stamps, link types; from any reader, a pipe included. What does not: what is in a frame.
//! Called by `sniff` and by tests. Invariant: memory does not grow with the length of the file, and a file that breaks
//! off gives every whole packet before it says so.
//! Source:  pcap-savefile(5); draft-ietf-opsawg-pcapng

mod ng;
mod write;

use std::io::Read;
use std::time::Duration;

use thiserror::Error;

use crate::wire::LinkType;

pub use write::Writer;

/// One captured frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Which packet of the capture it is, from 1.
    pub number: u64,
    /// When it was captured.
    ///
    /// Units:  since the Unix epoch
    pub at: Duration,
    /// What stands before its IP packet; `None` for a link type that is not known here.
    pub link: Option<LinkType>,
    /// What was captured of it.
    pub captured: &'a [u8],
    /// How long it was.
    pub wire_len: usize,
}

/// A capture that cannot be read, or not further.
#[derive(Debug, Error)]
pub enum CaptureError {
    /// It is neither pcap nor pcapng.
    #[error("not a capture: it begins with {0:08x}, which is neither pcap nor pcapng")]
    NotACapture(u32),
    /// The whole file has one link type, and it is not known here.
    #[error("link type {0} is not known; expected Ethernet (1), raw IP (101), Linux cooked (113, 276) or null (0)")]
    LinkType(u32),
    /// It ends within a packet.
    #[error("the capture ends within packet {packet}, at byte {at}")]
    CutOff {
        /// The packet, from 1.
        packet: u64,
        /// Where the packet begins.
        at: u64,
    },
    /// A length cannot be.
    #[error("packet {packet}, at byte {at}: {what}")]
    Broken {
        /// The packet, from 1.
        packet: u64,
        /// Where it begins.
        at: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// It cannot be read.
    #[error("reading failed at byte {at}")]
    Read {
        /// Where.
        at: u64,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

/// A capture being read.
#[derive(Debug)]
pub struct Capture<R> {
    input: Input<R>,
    format: Format,
    number: u64,
}

#[derive(Debug)]
enum Format {
    Pcap { big: bool, nanos: bool, link: LinkType },
    Ng(ng::Sections),
}

/// The longest packet, or block, that is believed: the kernel's largest is 64 KiB, what capture programs allow 256 KiB.
const LONGEST: usize = 16 * 1024 * 1024;

/// How much is read at a time.
const CHUNK: usize = 256 * 1024;

/// A reader with a window of bytes over it.
#[derive(Debug)]
struct Input<R> {
    reader: R,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Bytes taken so far.
    taken: u64,
}

impl<R: Read> Capture<R> {
    /// Reads the beginning of a capture.
    ///
    /// Errors:  [`CaptureError::NotACapture`], [`CaptureError::LinkType`], [`CaptureError::Read`]
    pub fn open(reader: R) -> Result<Self, CaptureError> {
        let mut input = Input { reader, buffer: vec![0; CHUNK], start: 0, end: 0, taken: 0 };
        let magic = input.peek(4)?.and_then(|bytes| bytes.first_chunk::<4>()).copied().unwrap_or([0; 4]);
        let (big, nanos) = match u32::from_be_bytes(magic) {
            0xa1b2_c3d4 => (true, false),
            0xa1b2_3c4d => (true, true),
            0xd4c3_b2a1 => (false, false),
            0x4d3c_b2a1 => (false, true),
            ng::SECTION => return Ok(Self { input, format: Format::Ng(ng::Sections::default()), number: 0 }),
            other => return Err(CaptureError::NotACapture(other)),
        };
        let Some(header) = input.take(24)? else { return Err(CaptureError::CutOff { packet: 0, at: 0 }) };
        // The upper bits say whether frames end with a check sequence.
        let number = u32_at(header, 20, big) & 0x0fff_ffff;
        let link = LinkType::from_dlt(number).ok_or(CaptureError::LinkType(number))?;
        Ok(Self { input, format: Format::Pcap { big, nanos, link }, number: 0 })
    }

    /// The next frame; `None` at the end.
    ///
    /// Errors:  [`CaptureError`]; nothing more can be read then
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_>>, CaptureError> {
        let number = self.number + 1;
        let frame = match &mut self.format {
            Format::Pcap { big, nanos, link } => next_record(&mut self.input, (*big, *nanos, *link), number),
            Format::Ng(sections) => sections.next_frame(&mut self.input, number),
        }?;
        self.number += u64::from(frame.is_some());
        Ok(frame)
    }

    /// Bytes of the capture that have been gone through.
    pub fn bytes_read(&self) -> u64 {
        self.input.taken
    }
}

fn next_record<R: Read>(
    input: &mut Input<R>,
    (big, nanos, link): (bool, bool, LinkType),
    packet: u64,
) -> Result<Option<Frame<'_>>, CaptureError> {
    const HEADER: usize = 16;
    let at = input.taken;
    let Some(header) = input.peek(HEADER)? else {
        return if input.is_at_end() { Ok(None) } else { Err(CaptureError::CutOff { packet, at }) };
    };
    let (seconds, fraction) = (u32_at(header, 0, big), u32_at(header, 4, big));
    let (captured, wire_len) = (u32_at(header, 8, big) as usize, u32_at(header, 12, big) as usize);
    if captured > LONGEST {
        return Err(CaptureError::Broken { packet, at, what: "a length of more than 16 MiB" });
    }
    let nanos = if nanos { fraction } else { fraction.saturating_mul(1000) };
    let Some(record) = input.take(HEADER + captured)? else { return Err(CaptureError::CutOff { packet, at }) };
    let captured = record.get(HEADER..).unwrap_or(&[]);
    // A fraction of a second and more is what damaged files have; the time is then as good as it gets.
    let at = Duration::from_secs(seconds.into()) + Duration::from_nanos(nanos.into());
    Ok(Some(Frame { number: packet, at, link: Some(link), captured, wire_len: wire_len.max(captured.len()) }))
}

impl<R: Read> Input<R> {
    /// The next `n` bytes, still to be taken; `None` when the input ends before.
    fn peek(&mut self, n: usize) -> Result<Option<&[u8]>, CaptureError> {
        while self.end - self.start < n {
            self.make_room(n);
            let free = self.buffer.get_mut(self.end..).unwrap_or(&mut []);
            match self.reader.read(free) {
                Ok(0) => return Ok(None),
                Ok(read) => self.end += read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(source) => return Err(CaptureError::Read { at: self.taken, source }),
            }
        }
        Ok(self.buffer.get(self.start..self.start + n))
    }

    /// Takes the next `n` bytes.
    fn take(&mut self, n: usize) -> Result<Option<&[u8]>, CaptureError> {
        if self.peek(n)?.is_none() {
            return Ok(None);
        }
        let from = self.start;
        self.start += n;
        self.taken += n as u64;
        Ok(self.buffer.get(from..from + n))
    }

    /// Nothing is left, as of the last reading.
    fn is_at_end(&self) -> bool {
        self.start == self.end
    }

    /// Moves what is left to the front once the buffer is used up, and grows it for what does not fit at all.
    fn make_room(&mut self, n: usize) {
        if self.start + n <= self.buffer.len() && self.end < self.buffer.len() {
            return;
        }
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        if self.buffer.len() < n {
            self.buffer.resize(n.next_multiple_of(CHUNK), 0);
        }
    }
}

/// A number in a header that is known to be long enough.
fn u32_at(bytes: &[u8], at: usize, big: bool) -> u32 {
    let word = bytes.get(at..).and_then(|rest| rest.first_chunk::<4>()).copied().unwrap_or_default();
    if big { u32::from_be_bytes(word) } else { u32::from_le_bytes(word) }
}

#[cfg(test)]
pub(crate) mod tests;
