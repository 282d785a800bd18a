//! Transfers that run for as long as an experiment lasts, at a rate it can change, noted over time by whoever receives.
//!
//! What lives here: the client's end of such transfers, and the origin they go to. What does not: transfers of a known size (`client`).
//! Called by the experiments about steering. Owned by the experiment: a flow ends when it is finished or dropped, and every wait is bounded.
//! Invariant: the receiver checks every byte.

mod source;

use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};

use crate::client::{Protocol, Via, Way};
use crate::meter::Clock;
use crate::netns::Namespace;
use crate::origin::CHUNK;
use crate::series::Series;
use crate::stream::{self, Checker};

pub use source::Source;

/// A demand without a bound.
pub const ALL_THERE_IS: u64 = u64::MAX;
/// How often a sender of a bounded demand looks how much is due, and an idle one whether it should end.
const TICK: Duration = Duration::from_millis(2);
/// A sender of a bounded demand writes no less than this: a segment.
const SEGMENT: f64 = 1_448.0;
/// A read or write waits no longer before it looks whether it should end.
const LOOK: Duration = Duration::from_millis(200);
/// A connection is made, or given up.
const CONNECT: Duration = Duration::from_secs(10);

/// What a flow is like.
#[derive(Debug, Clone, Copy)]
pub struct FlowSpec {
    /// MPTCP or TCP.
    pub protocol: Protocol,
    /// How the origin is reached.
    pub via: Via,
    /// The client's address; its own choice by default.
    pub from: Option<IpAddr>,
    /// Which way the payload goes.
    pub way: Way,
    /// How fast the sender offers it.
    ///
    /// Units: bit/s; [`ALL_THERE_IS`] for as fast as it can
    pub demand: u64,
    /// How much it sends; without a bound until the flow is ended.
    ///
    /// Units: bytes
    pub bytes: Option<u64>,
}

/// What a flow delivered.
#[derive(Debug, Clone, Default)]
pub struct Delivered {
    /// What the receiving application read, in order, over time.
    pub series: Series,
    /// The bytes.
    pub checker: Checker,
    /// When the last byte and the end of the stream were read; `None` when it broke off.
    pub ended: Option<Duration>,
    /// Bytes the sender handed to its socket.
    pub sent: u64,
}

/// What both ends of a flow share.
#[derive(Debug)]
struct Ticket {
    way: Way,
    bytes: Option<u64>,
    demand: AtomicU64,
    stop: AtomicBool,
    clock: Clock,
    delivered: Mutex<Delivered>,
}

/// A flow under way.
#[derive(Debug)]
pub struct Flow {
    ticket: Arc<Ticket>,
    stream: TcpStream,
    /// When the first SYN left.
    pub began: Duration,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Flow {
    /// Connects from `ns` to the origin `source` listens on, reached at `origin`, and lets the payload go.
    pub fn start(ns: &Namespace, source: &Source, origin: SocketAddr, spec: FlowSpec, clock: Clock) -> Result<Self> {
        let FlowSpec { protocol, via, from, way, demand, bytes } = spec;
        let (demand, stop) = (AtomicU64::new(demand), AtomicBool::new(false));
        let ticket = Arc::new(Ticket { way, bytes, demand, stop, clock, delivered: Mutex::default() });
        let number = source.expect(&ticket);
        let began = clock.now();
        let connect = || -> io::Result<TcpStream> {
            let mut stream = via.open_from(from, protocol, origin, CONNECT)?;
            stream.write_all(&number.to_be_bytes())?;
            Ok(stream)
        };
        let stream = ns.run(connect)?.context("cannot open a flow")?;
        let (mine, at_work) = (Arc::clone(&ticket), stream.try_clone().context("cannot share a flow's socket")?);
        let work = move || match way {
            Way::Download => mine.receive(at_work),
            // The answer is the end: without it, what is in flight would be reset.
            Way::Upload => mine.send(&at_work).and_then(|()| wait_for_end(at_work)),
        };
        let thread = std::thread::Builder::new().name("flow".into()).spawn(work).context("cannot start a flow")?;
        Ok(Self { ticket, stream, began, thread: Some(thread) })
    }

    /// Changes how fast the sender offers its payload.
    pub fn set_demand(&self, demand: u64) {
        self.ticket.demand.store(demand, Ordering::Relaxed);
    }

    /// Bytes the receiver has read so far.
    pub fn received(&self) -> u64 {
        self.ticket.delivered().checker.bytes
    }

    /// Whether both ends have come to the end of it.
    pub fn is_finished(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Tells the sender to end; what is under way may still come.
    pub fn stop(&self) {
        self.ticket.stop.store(true, Ordering::Relaxed);
    }

    /// Lets the sender end, waits for what is under way, and returns what came.
    pub fn finish(mut self, patience: Duration) -> Result<Delivered> {
        self.stop();
        let end = Instant::now() + patience;
        while !self.is_finished() && Instant::now() < end {
            std::thread::sleep(TICK);
        }
        // Whoever still waits reads an end that is none, and it shows as one that broke off.
        drop(self.stream.shutdown(Shutdown::Both));
        let thread = self.thread.take().context("a flow finishes once")?;
        drop(thread.join().map_err(|_| anyhow!("a flow's thread panicked"))?);
        Ok(self.ticket.delivered().clone())
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        self.ticket.stop.store(true, Ordering::Relaxed);
        // Gone already, or gone now.
        drop(self.stream.shutdown(Shutdown::Both));
    }
}

impl Delivered {
    /// Whether everything that was sent came, in order and right, to its end.
    pub fn intact(&self) -> bool {
        self.ended.is_some() && self.checker.intact(self.sent)
    }
}

impl Ticket {
    fn delivered(&self) -> std::sync::MutexGuard<'_, Delivered> {
        self.delivered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Sends until told to stop, or all there is to send; then says that this was the end.
    fn send(&self, mut stream: &TcpStream) -> io::Result<()> {
        stream.set_write_timeout(Some(LOOK))?;
        let (mut sent, mut due, mut looked) = (0_u64, 0_f64, Instant::now());
        while !self.stopped() && self.bytes.is_none_or(|all| sent < all) {
            let mut most = CHUNK.min(self.left(sent));
            match self.demand.load(Ordering::Relaxed) {
                ALL_THERE_IS => {}
                demand => {
                    due = (due + due_bytes(demand, looked.elapsed())).min(due_bytes(demand, LOOK));
                    looked = Instant::now();
                    if due < SEGMENT {
                        std::thread::sleep(TICK);
                        continue;
                    }
                    most = most.min(whole(due));
                }
            }
            match stream.write(stream::window(sent, most)) {
                Ok(wrote) => {
                    sent += wrote as u64;
                    due -= due_taken(wrote);
                    self.delivered().sent = sent;
                }
                Err(error) if waits(&error) => {}
                Err(error) => return Err(error),
            }
            if self.demand.load(Ordering::Relaxed) != ALL_THERE_IS {
                std::thread::sleep(TICK);
            }
        }
        stream.shutdown(Shutdown::Write)
    }

    fn left(&self, sent: u64) -> usize {
        self.bytes.map_or(usize::MAX, |all| usize::try_from(all.saturating_sub(sent)).unwrap_or(usize::MAX))
    }

    /// Receives to the end, noting when.
    fn receive(&self, mut stream: TcpStream) -> io::Result<()> {
        stream.set_read_timeout(Some(LOOK))?;
        let mut buffer = vec![0; CHUNK];
        loop {
            match stream.read(&mut buffer) {
                Ok(0) => break,
                Ok(got) => {
                    let (now, mut delivered) = (self.clock.now(), self.delivered());
                    delivered.checker.push(&buffer[..got]);
                    delivered.series.add(now, got as u64);
                }
                Err(error) if waits(&error) => {}
                Err(error) => return Err(error),
            }
        }
        // Also a socket that was shut down here reads an end; the bytes tell whether it was one.
        self.delivered().ended = Some(self.clock.now());
        stream.shutdown(Shutdown::Write)
    }
}

fn wait_for_end(mut stream: TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(CONNECT))?;
    stream.read(&mut [0; 1]).map(drop)
}

fn waits(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}

#[allow(clippy::cast_precision_loss, reason = "rates are far below 2^52")]
fn due_bytes(demand: u64, time: Duration) -> f64 {
    demand as f64 / 8.0 * time.as_secs_f64()
}

#[allow(clippy::cast_precision_loss, reason = "a write is far below 2^52 bytes")]
fn due_taken(wrote: usize) -> f64 {
    wrote as f64
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "above zero, and bounded by a fifth of a second"
)]
fn whole(due: f64) -> usize {
    due as usize
}

#[cfg(test)]
mod tests;
