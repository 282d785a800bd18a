//! A rate that legs share: who reads or writes takes bytes out of a bucket that fills at the rate.

use std::future::Future as _;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use anabranch_config::BitRate;
use parking_lot::Mutex;
use tokio::time::{Instant, Sleep, sleep};

/// What a bucket holds at most: so long it may have carried nothing and then catch up.
const DEPTH: Duration = Duration::from_millis(50);

/// Fewer bytes than these are not worth a system call.
const LEAST: u64 = 1448;

/// A leg looks again after this at the latest: the rate may have been changed or lifted.
const LONGEST: Duration = Duration::from_millis(100);

/// A rate that legs share, one way.
#[derive(Debug)]
pub struct Bucket {
    /// Bytes a second.
    rate: AtomicU64,
    level: Mutex<Level>,
}

#[derive(Debug)]
struct Level {
    bytes: u64,
    at: Instant,
}

impl Bucket {
    /// A full bucket.
    #[must_use]
    pub fn new(rate: BitRate) -> Arc<Self> {
        let bucket = Self { rate: AtomicU64::new(0), level: Mutex::new(Level { bytes: 0, at: Instant::now() }) };
        bucket.set(rate);
        bucket.level.lock().bytes = bucket.depth();
        Arc::new(bucket)
    }

    /// Changes the rate for everybody who shares it.
    pub fn set(&self, rate: BitRate) {
        self.rate.store((rate.bits_per_second() / 8).max(1), Ordering::Relaxed);
    }

    fn rate(&self) -> u64 {
        self.rate.load(Ordering::Relaxed)
    }

    fn depth(&self) -> u64 {
        let depth = u128::from(self.rate()) * DEPTH.as_micros() / 1_000_000;
        u64::try_from(depth).unwrap_or(u64::MAX).max(2 * LEAST)
    }

    /// Takes up to so many bytes out, or says how long to wait for some.
    fn take(&self, wanted: u64) -> Result<u64, Duration> {
        let mut level = self.level.lock();
        let now = Instant::now();
        let filled = u128::from(self.rate()) * now.saturating_duration_since(level.at).as_micros() / 1_000_000;
        // What is less than a byte by now is not lost: the time it took still counts.
        if filled > 0 {
            level.at = now;
            level.bytes = level.bytes.saturating_add(u64::try_from(filled).unwrap_or(u64::MAX)).min(self.depth());
        }
        let enough = wanted.min(LEAST);
        if level.bytes < enough {
            let missing = Duration::from_micros((enough - level.bytes).saturating_mul(1_000_000) / self.rate());
            return Err(missing.clamp(Duration::from_millis(1), LONGEST));
        }
        let taken = wanted.min(level.bytes);
        level.bytes -= taken;
        Ok(taken)
    }

    /// Puts back what was taken and not used.
    fn give_back(&self, unused: u64) {
        let mut level = self.level.lock();
        level.bytes = level.bytes.saturating_add(unused).min(self.depth());
    }
}

/// One direction of one leg, under a bucket or not.
#[derive(Debug, Default)]
pub(super) struct Gate {
    /// There is a bucket: nearly always there is none, and a look at this is all that costs.
    on: AtomicBool,
    held: Mutex<Option<Box<Held>>>,
}

#[derive(Debug)]
struct Held {
    bucket: Arc<Bucket>,
    waits: Option<Pin<Box<Sleep>>>,
    /// Who waits: the timer goes with the bucket, and would never wake it.
    waker: Option<Waker>,
}

/// Bytes that may pass now; what does not pass goes back.
#[derive(Debug)]
pub(super) struct Pass {
    bucket: Option<Arc<Bucket>>,
    bytes: u64,
}

impl Held {
    fn new(bucket: Arc<Bucket>) -> Box<Self> {
        Box::new(Self { bucket, waits: None, waker: None })
    }
}

impl Gate {
    /// Puts the direction under a bucket, or under none.
    pub(super) fn set(&self, bucket: Option<Arc<Bucket>>) {
        let mut held = self.held.lock();
        self.on.store(bucket.is_some(), Ordering::Relaxed);
        match (&mut *held, bucket) {
            (Some(held), Some(bucket)) => held.bucket = bucket,
            (held, bucket) => {
                let former = std::mem::replace(held, bucket.map(Held::new));
                if let Some(waker) = former.and_then(|held| held.waker) {
                    waker.wake();
                }
            }
        }
    }

    /// Ready with how many of the wanted bytes may pass.
    pub(super) fn poll(&self, cx: &mut Context<'_>, wanted: usize) -> Poll<Pass> {
        let free = Pass { bucket: None, bytes: wanted as u64 };
        if !self.on.load(Ordering::Relaxed) {
            return Poll::Ready(free);
        }
        let mut held = self.held.lock();
        let Some(held) = &mut *held else { return Poll::Ready(free) };
        loop {
            if let Some(waits) = &mut held.waits {
                if waits.as_mut().poll(cx).is_pending() {
                    held.waker = Some(cx.waker().clone());
                    return Poll::Pending;
                }
                (held.waits, held.waker) = (None, None);
            }
            match held.bucket.take(wanted as u64) {
                Ok(bytes) => return Poll::Ready(Pass { bucket: Some(held.bucket.clone()), bytes }),
                Err(wait) => held.waits = Some(Box::pin(sleep(wait))),
            }
        }
    }
}

impl Pass {
    /// How many bytes may pass, as a length of a buffer that is no shorter than what was wanted.
    pub(super) fn bytes(&self) -> usize {
        usize::try_from(self.bytes).unwrap_or(usize::MAX)
    }

    /// So many did.
    pub(super) fn used(self, bytes: usize) {
        if let Some(bucket) = self.bucket {
            bucket.give_back(self.bytes.saturating_sub(bytes as u64));
        }
    }
}

#[cfg(test)]
mod tests;
