//! Writing a capture.

use std::io::{self, Write};
use std::time::Duration;

use crate::wire::LinkType;

/// Writes frames of one link type as pcap with nanoseconds.
///
/// Shape:   buffering is the caller's
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
}

/// What a reader should expect at most: the limit of capture programs.
const SNAP_LEN: u32 = 262_144;

impl<W: Write> Writer<W> {
    /// Begins a capture.
    ///
    /// Errors:  the writer's
    pub fn new(mut out: W, link: LinkType) -> io::Result<Self> {
        // Version 2.4 is two halves, the major one first.
        for word in [0xa1b2_3c4d_u32, 4 << 16 | 2, 0, 0, SNAP_LEN, link.to_dlt()] {
            out.write_all(&word.to_le_bytes())?;
        }
        Ok(Self { out })
    }

    /// Adds a frame.
    ///
    /// Errors:  the writer's
    pub fn write(&mut self, at: Duration, captured: &[u8], wire_len: usize) -> io::Result<()> {
        let word = |number: u64| u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes();
        for number in [at.as_secs(), at.subsec_nanos().into(), captured.len() as u64, wire_len as u64] {
            self.out.write_all(&word(number))?;
        }
        self.out.write_all(captured)
    }

    /// Hands on what waits in the writer.
    ///
    /// Errors:  the writer's
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
