//! What interfaces carried, segment by segment, as bytes over time.
//!
//! What lives here: one thread that looks at every frame of some devices and counts. What does not: keeping frames (`capture`).
//! Owned by an experiment; the thread ends when the meter is stopped or dropped.
//! Invariant: what the meter was too slow for is counted, never silently absent.

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anabranch_kernel::packet::{PacketError, PacketSocket, Received, wait_readable};
use anyhow::{Context, Result, anyhow};

use crate::netns::Namespace;
use crate::series::Series;
use crate::wire;

/// Enough of a frame for Ethernet, IPv6 and the longest TCP header.
const HEADERS: usize = 14 + 40 + 60;

/// When an observation began; all its times are since then.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    began: Duration,
}

impl Clock {
    /// Begins now.
    pub fn start() -> Self {
        Self { began: since_epoch() }
    }

    /// How long ago it began.
    pub fn now(&self) -> Duration {
        self.at(since_epoch())
    }

    /// The time of something that was stamped with a time since the Unix epoch.
    pub fn at(&self, stamp: Duration) -> Duration {
        stamp.saturating_sub(self.began)
    }

    /// Sleeps until then.
    pub fn sleep_until(&self, then: Duration) {
        std::thread::sleep(then.saturating_sub(self.now()));
    }
}

fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// What a device carried.
#[derive(Debug, Clone, Default)]
pub struct Carried {
    /// TCP payload that came in, of the port watched.
    pub received: Series,
    /// TCP payload that went out.
    pub sent: Series,
    /// Whole frames that came in with such payload or without, of the port watched.
    pub received_frames: Series,
    /// Whole frames that went out.
    pub sent_frames: Series,
    /// Whole frames of anything else, both ways.
    pub other: Series,
}

/// All that a meter saw.
#[derive(Debug, Clone, Default)]
pub struct Reading {
    /// Of each device, in the order they were named in.
    pub devices: Vec<Carried>,
    /// Frames that the meter was too slow for.
    pub missed: u32,
}

/// A running meter.
#[derive(Debug)]
pub struct Meter {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<Reading>>>,
}

impl Meter {
    /// Starts to count what `devices` in `ns` carry from and to TCP port `port` of their peer.
    pub fn start(ns: &Namespace, devices: &[String], port: u16, clock: Clock) -> Result<Self> {
        let open = || devices.iter().map(|device| open(device)).collect::<Result<Vec<_>, PacketError>>();
        let sockets = ns.run(open)?.context("cannot watch a device")?;
        let stop = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("meter".into())
            .spawn(move || count(&sockets, port, clock, &ended))
            .context("cannot start the meter's thread")?;
        Ok(Self { stop, thread: Some(thread) })
    }

    /// Stops and returns what was seen.
    pub fn stop(mut self) -> Result<Reading> {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().context("a meter stops once")?;
        thread.join().map_err(|_| anyhow!("the meter's thread panicked"))?
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn open(device: &str) -> Result<PacketSocket, PacketError> {
    let socket = PacketSocket::open(device)?;
    socket.set_timestamps(true)?;
    socket.set_buffers(16 << 20)?;
    Ok(socket)
}

fn count(sockets: &[PacketSocket], port: u16, clock: Clock, stop: &AtomicBool) -> Result<Reading> {
    let mut reading = Reading { devices: vec![Carried::default(); sockets.len()], missed: 0 };
    let all: Vec<&PacketSocket> = sockets.iter().collect();
    let mut buffer = [0; HEADERS];
    loop {
        // Read the wish first: what was waiting when it was spoken still counts.
        let last = stop.load(Ordering::Relaxed);
        for (socket, carried) in sockets.iter().zip(&mut reading.devices) {
            while let Some(got) = next(socket, &mut buffer)? {
                carried.note(&buffer[..got.len], got, port, clock);
            }
        }
        if last {
            reading.missed = sockets.iter().map(PacketSocket::take_drops).sum::<Result<u32, _>>()?;
            return Ok(reading);
        }
        wait_readable(&all, Duration::from_millis(20))?;
    }
}

/// The next frame; a device that went down is one that carries nothing, until it is up again.
fn next(socket: &PacketSocket, buffer: &mut [u8]) -> Result<Option<Received>, PacketError> {
    match socket.recv(buffer) {
        Err(error) if error.source.kind() == ErrorKind::NetworkDown => Ok(None),
        got => got,
    }
}

impl Carried {
    /// Counts a frame, of which the first bytes are here.
    fn note(&mut self, bytes: &[u8], got: Received, port: u16, clock: Clock) {
        let (at, whole) = (clock.at(got.at), got.wire_len as u64);
        let segment = wire::segment(bytes).filter(|s| if got.outgoing { s.to.port() } else { s.from.port() } == port);
        let Some(segment) = segment else {
            self.other.add(at, whole);
            return;
        };
        let payload = got.wire_len.saturating_sub(segment.payload.start) as u64;
        let (payloads, frames) = if got.outgoing {
            (&mut self.sent, &mut self.sent_frames)
        } else {
            (&mut self.received, &mut self.received_frames)
        };
        frames.add(at, whole);
        if payload > 0 {
            payloads.add(at, payload);
        }
    }
}

#[cfg(test)]
mod tests;
