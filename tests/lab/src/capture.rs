//! Taps: every frame of one device with the kernel's timestamp, kept in memory or written as pcap.
//!
//! What lives here: recording. What does not: reading the segments (`wire`).
//! Owned by an experiment; a thread holds the packet socket and ends when the capture is stopped or dropped.
//! Invariant: frames lost by the tap are counted, never silently absent.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anabranch_kernel::packet::{PacketSocket, wait_readable};
use anyhow::{Context, Result, anyhow};

use crate::netns::Namespace;

/// How long the kernel may take to switch timestamps on; a few milliseconds were seen.
const SWITCHING: Duration = Duration::from_millis(50);

/// A recorded frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// When the kernel saw it, since the Unix epoch.
    pub at: Duration,
    /// Whether the namespace of the tap sent it.
    pub outgoing: bool,
    /// Its length on the wire.
    pub wire_len: usize,
    /// Its first bytes, with the link-layer header.
    pub bytes: Vec<u8>,
}

/// All that a tap saw.
#[derive(Debug, Clone, Default)]
pub struct Recording {
    /// Frames in order of arrival.
    pub frames: Vec<Frame>,
    /// Frames that the tap was too slow for.
    pub dropped: u32,
}

/// A running tap.
#[derive(Debug)]
pub struct Capture {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<Recording>>>,
}

impl Capture {
    /// Starts recording the frames of `device` in `ns`, the first `snap` bytes of each.
    ///
    /// Shape: frames sent after this returns are seen.
    pub fn start(ns: &Namespace, device: &str, snap: usize) -> Result<Self> {
        let socket = ns.run(|| PacketSocket::open(device))??;
        socket.set_timestamps(true)?;
        socket.set_buffers(32 << 20)?;
        // The kernel switches timestamps on a little later, from a work queue; a frame that comes before is stamped
        // when it is read, which can be late by any time.
        std::thread::sleep(SWITCHING);
        let stop = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("capture".into())
            .spawn(move || record(&socket, snap, &ended))
            .context("cannot start the capture's thread")?;
        Ok(Self { stop, thread: Some(thread) })
    }

    /// Stops and returns what was seen.
    pub fn stop(mut self) -> Result<Recording> {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().context("a capture stops once")?;
        thread.join().map_err(|_| anyhow!("the capture's thread panicked"))?
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn record(socket: &PacketSocket, snap: usize, stop: &AtomicBool) -> Result<Recording> {
    let mut recording = Recording::default();
    let mut buffer = vec![0; snap];
    loop {
        // Read the wish first: what was waiting when it was spoken still gets recorded.
        let last = stop.load(Ordering::Relaxed);
        while let Some(got) = socket.recv(&mut buffer)? {
            let bytes = buffer[..got.len].to_vec();
            recording.frames.push(Frame { at: got.at, outgoing: got.outgoing, wire_len: got.wire_len, bytes });
        }
        if last {
            recording.dropped = socket.take_drops()?;
            return Ok(recording);
        }
        wait_readable(&[socket], Duration::from_millis(20))?;
    }
}

impl Recording {
    /// Writes the frames as a pcap file with nanosecond times.
    pub fn write_pcap(&self, path: &Path) -> io::Result<()> {
        let mut file = io::BufWriter::new(std::fs::File::create(path)?);
        let word = |value: u64| u32::try_from(value).unwrap_or(u32::MAX).to_le_bytes();
        // Magic of the nanosecond variant, version 2.4, zone and accuracy 0, snap length, link type Ethernet.
        file.write_all(&0xa1b2_3c4d_u32.to_le_bytes())?;
        file.write_all(&[2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0])?;
        for frame in &self.frames {
            for value in [
                frame.at.as_secs(),
                u64::from(frame.at.subsec_nanos()),
                frame.bytes.len() as u64,
                frame.wire_len as u64,
            ] {
                file.write_all(&word(value))?;
            }
            file.write_all(&frame.bytes)?;
        }
        file.flush()
    }
}

#[cfg(test)]
mod tests;
