//! A link emulator in user space: frames between two devices, delayed, lost, bounded, rewritten.
//!
//! What lives here: what netem would do, for kernels without it, and one thing that it would not (rewriting payload).
//! What does not: rates (the shaper's). Called by `topology`.
//! Owned by the topology: one thread per link holds two packet sockets; dropping the emulator ends the thread, frames
//! under way are lost as on a cut wire. Invariant: frames of one direction never overtake each other.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anabranch_kernel::packet::{PacketSocket, wait_readable};
use anyhow::{Context, Result};
use serde::Serialize;

use crate::netns::Namespace;
use crate::wire;

/// Room for the largest frame of a device with offloads off.
const FRAME: usize = 9216;
/// Frames under way per link at most; beyond, the tail is dropped. At 1 Gbit/s and 100 ms there are about 8 000.
const UNDER_WAY: usize = 20_000;
/// How long an idle emulator sleeps before it looks whether it should end.
const IDLE: Duration = Duration::from_millis(20);

/// What happens to frames on a path, in each direction alike but for the rewriting.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Impairment {
    /// One-way delay.
    pub delay: Duration,
    /// Random addition to the delay, evenly spread from zero to this.
    pub jitter: Duration,
    /// Share of frames lost at random.
    ///
    /// Units: parts per million.
    pub loss_ppm: u32,
    /// Larger IP packets vanish without a word, as on a path whose ICMP is filtered.
    ///
    /// Units: bytes.
    pub mtu: Option<u16>,
    /// Payload rewritten on the way to the edge.
    pub rewrite: Option<Rewrite>,
    /// Start of the random sequence: the same seed loses the same frames.
    pub seed: u64,
}

/// A replacement in TCP payload, with the TCP checksum made right again: what an application-level gateway does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rewrite {
    /// What is looked for within one segment.
    pub find: String,
    /// What stands there afterwards; as long as `find`.
    pub replace: String,
}

/// What an emulator has done so far.
#[derive(Debug, Default)]
pub struct Counters {
    /// Frames delivered.
    pub forwarded: AtomicU64,
    /// Frames lost by chance or by size.
    pub lost: AtomicU64,
    /// Frames lost because the machine was too slow: a measurement with any of these is worth less.
    pub overrun: AtomicU64,
    /// Frames rewritten.
    pub rewritten: AtomicU64,
}

/// A running emulator.
#[derive(Debug)]
pub struct Emulator {
    stop: Arc<AtomicBool>,
    counters: Arc<Counters>,
    thread: Option<JoinHandle<()>>,
}

impl Emulator {
    /// Starts forwarding between `near` (the client's side) and `far` (the edge's side) inside `ns`.
    pub fn start(ns: &Namespace, near: &str, far: &str, impairment: Impairment) -> Result<Self> {
        let sockets = ns.run(|| Ok::<_, anyhow::Error>([Device::open(near)?, Device::open(far)?]))??;
        let (stop, counters) = (Arc::new(AtomicBool::new(false)), Arc::new(Counters::default()));
        let mut path = Path {
            random: Random(impairment.seed ^ 0x5DEE_CE66_D1CE_CAFE),
            impairment,
            sockets,
            counters: Arc::clone(&counters),
            under_way: BinaryHeap::new(),
            last_due: [Instant::now(); 2],
            sequence: 0,
        };
        let ended = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("emulator".into())
            .spawn(move || while !ended.load(Ordering::Relaxed) && path.step().is_ok() {})
            .context("cannot start the emulator's thread")?;
        Ok(Self { stop, counters, thread: Some(thread) })
    }

    /// What it has done so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            self.counters.overrun.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// What crosses an emulated link: IPv4, ARP and IPv6, each with a socket of its own, since a socket for all of them does not see
/// frames that come out of a peer's IFB.
const PROTOCOLS: [u16; 3] = [0x0800, 0x0806, 0x86dd];

/// One end of the link.
struct Device([PacketSocket; PROTOCOLS.len()]);

impl Device {
    fn open(device: &str) -> Result<Self> {
        let open = |protocol| {
            let socket = PacketSocket::open_for(device, protocol)?;
            socket.set_ignore_outgoing(true)?;
            socket.set_qdisc_bypass(true)?;
            socket.set_buffers(8 << 20)?;
            Ok::<_, anyhow::Error>(socket)
        };
        let [v4, arp, v6] = PROTOCOLS;
        Ok(Self([open(v4)?, open(arp)?, open(v6)?]))
    }

    /// Any of them sends whatever it is given.
    fn sender(&self) -> &PacketSocket {
        &self.0[0]
    }
}

/// A frame under way: ordered by when it is due, then by arrival.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct UnderWay {
    due: Instant,
    sequence: u64,
    to: usize,
    frame: Vec<u8>,
}

/// The emulator's thread's own state. Index 0 is near, 1 is far.
struct Path {
    impairment: Impairment,
    random: Random,
    sockets: [Device; 2],
    counters: Arc<Counters>,
    under_way: BinaryHeap<Reverse<UnderWay>>,
    last_due: [Instant; 2],
    sequence: u64,
}

impl Path {
    /// Waits for a frame or for the next one due; takes in what came, sends what is due.
    fn step(&mut self) -> Result<()> {
        let now = Instant::now();
        let wait = self.under_way.peek().map_or(IDLE, |next| next.0.due.saturating_duration_since(now).min(IDLE));
        if !wait.is_zero() {
            let sockets: Vec<_> = self.sockets.iter().flat_map(|device| &device.0).collect();
            wait_readable(&sockets, wait)?;
        }
        let mut buffer = [0; FRAME];
        for from in [0, 1] {
            for protocol in 0..PROTOCOLS.len() {
                // A bounded batch: what is due must not wait for a flood to end.
                for _ in 0..64 {
                    let Some(received) = self.sockets[from].0[protocol].recv(&mut buffer)? else { break };
                    self.accept(from, &mut buffer[..received.len]);
                }
            }
        }
        let now = Instant::now();
        while self.under_way.peek().is_some_and(|next| next.0.due <= now) {
            let Some(Reverse(next)) = self.under_way.pop() else { break };
            let sent = self.sockets[next.to].sender().send(&next.frame)?;
            let counter = if sent { &self.counters.forwarded } else { &self.counters.overrun };
            counter.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    fn accept(&mut self, from: usize, frame: &mut [u8]) {
        let Impairment { delay, jitter, loss_ppm, mtu, ref rewrite, .. } = self.impairment;
        let too_large = mtu.is_some_and(|mtu| frame.len() > usize::from(mtu) + 14);
        if too_large || self.random.below(1_000_000) < u64::from(loss_ppm) {
            self.counters.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        if self.under_way.len() >= UNDER_WAY {
            self.counters.overrun.fetch_add(1, Ordering::Relaxed);
            return;
        }
        if from == 0 && rewrite.as_ref().is_some_and(|rewrite| rewrite.apply(frame)) {
            self.counters.rewritten.fetch_add(1, Ordering::Relaxed);
        }
        let to = 1 - from;
        let jitter = Duration::from_nanos(self.random.below(u64::try_from(jitter.as_nanos()).unwrap_or(0) + 1));
        let due = (Instant::now() + delay + jitter).max(self.last_due[to]);
        self.last_due[to] = due;
        self.sequence += 1;
        self.under_way.push(Reverse(UnderWay { due, sequence: self.sequence, to, frame: frame.to_vec() }));
    }
}

impl Rewrite {
    /// Rewrites the first occurrence in a TCP segment's payload; whether there was one.
    fn apply(&self, frame: &mut [u8]) -> bool {
        let Some(segment) = wire::segment(frame) else { return false };
        let payload = &mut frame[segment.payload.clone()];
        let Some(at) = payload.windows(self.find.len()).position(|window| window == self.find.as_bytes()) else {
            return false;
        };
        payload[at..at + self.find.len()].copy_from_slice(self.replace.as_bytes());
        wire::fix_checksum(frame, &segment);
        true
    }
}

/// xorshift64*: fast, seeded, good enough to lose frames by.
struct Random(u64);

impl Random {
    /// The next number in 0..`bound`.
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 20) % bound.max(1)
    }
}

#[cfg(test)]
mod tests;
