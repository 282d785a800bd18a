//! A cheap inactivity timer.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

/// Fires once nothing has happened for `limit`, at most a quarter of it late.
///
/// Progress only raises a flag: a busy stream touches the timer wheel four times per `limit`, not once per read.
#[derive(Debug)]
pub(crate) struct Watchdog {
    limit: Duration,
    timer: Pin<Box<Sleep>>,
    quiet_ticks: u8,
    /// What was waiting when the limit was last reached.
    waiting: Option<u64>,
}

/// Ticks a limit is divided into.
const TICKS: u8 = 4;

impl Watchdog {
    /// Starts to watch.
    pub(crate) fn new(limit: Duration) -> Self {
        Self { limit, timer: Box::pin(sleep(limit / u32::from(TICKS))), quiet_ticks: 0, waiting: None }
    }

    /// Notes that something happened.
    pub(crate) fn progressed(&mut self) {
        self.quiet_ticks = 0;
        self.waiting = None;
    }

    /// Changes the limit; what has passed so far no longer counts.
    pub(crate) fn change(&mut self, limit: Duration) {
        if limit != self.limit {
            *self = Self::new(limit);
        }
    }

    /// Ready once the limit has passed without progress, and of what waits to be acknowledged nothing has been taken in
    /// a further one: our own silence is no proof that a slow peer is not still receiving.
    pub(crate) fn poll_stuck(&mut self, cx: &mut Context<'_>, waiting: &dyn Fn() -> u64) -> Poll<()> {
        while self.poll_expired(cx).is_ready() {
            let now = waiting();
            let stuck = now == 0 || self.waiting.is_some_and(|before| now >= before);
            if stuck {
                return Poll::Ready(());
            }
            self.quiet_ticks = 0;
            self.waiting = Some(now);
            self.timer.as_mut().reset(Instant::now() + self.limit / u32::from(TICKS));
        }
        Poll::Pending
    }

    /// Ready once the limit has passed without progress.
    pub(crate) fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.timer.as_mut().poll(cx).is_ready() {
            // The tick in which progress was last noted is incomplete, hence one more than the number of ticks.
            if self.quiet_ticks == TICKS {
                return Poll::Ready(());
            }
            self.quiet_ticks += 1;
            let next = Instant::now() + self.limit / u32::from(TICKS);
            self.timer.as_mut().reset(next);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn silence_fires_between_the_limit_and_a_quarter_more() {
        let start = Instant::now();
        let mut dog = Watchdog::new(Duration::from_secs(8));
        poll_fn(|cx| dog.poll_expired(cx)).await;
        let took = start.elapsed();
        assert!(took >= Duration::from_secs(8) && took <= Duration::from_secs(11), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_still_takes_something_is_not_stuck() {
        let start = Instant::now();
        let mut dog = Watchdog::new(Duration::from_secs(8));
        let left = std::cell::Cell::new(4_u64);
        // Three times less waits than before; from then on nothing is taken any more.
        let waiting = || {
            left.set(left.get().saturating_sub(1).max(1));
            left.get()
        };
        poll_fn(|cx| dog.poll_stuck(cx, &waiting)).await;
        assert!(start.elapsed() >= Duration::from_secs(32), "{:?}", start.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn progress_starts_the_time_anew() {
        let start = Instant::now();
        let mut dog = Watchdog::new(Duration::from_secs(8));
        for _ in 0..5 {
            let wait = tokio::time::timeout(Duration::from_secs(7), poll_fn(|cx| dog.poll_expired(cx))).await;
            assert!(wait.is_err(), "fired although something had happened {:?} before", start.elapsed());
            dog.progressed();
        }
        poll_fn(|cx| dog.poll_expired(cx)).await;
        assert!(start.elapsed() >= Duration::from_secs(43));
    }
}
