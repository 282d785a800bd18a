//! What the service manager is told (sd_notify(3)), and what it passes on (sd_listen_fds(3)).

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sd_notify::NotifyState;
use tokio::time::Interval;

/// A thread that has not turned for so long is stuck: the slowest turns every five seconds when it has nothing to do.
const STUCK: Duration = Duration::from_secs(15);

/// Tells the manager. One who cannot be told is no failure: most often there is none.
pub(crate) fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "the service manager cannot be told");
    }
}

/// The sockets it opened.
///
/// Errors: one that is no listening TCP socket
pub(crate) fn sockets() -> io::Result<Vec<TcpListener>> {
    let mut passed = listenfd::ListenFd::from_env();
    let mut sockets = Vec::new();
    for index in 0..passed.len() {
        sockets.extend(passed.take_tcp_listener(index)?);
    }
    Ok(sockets)
}

/// Counts the turns of a thread; whoever watches sees whether they go on.
#[derive(Debug, Clone, Default)]
pub struct Turns(Arc<AtomicU64>);

impl Turns {
    /// One more.
    pub fn count(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Our answer to the manager's watchdog: given while every thread turns, withheld when one is stuck.
#[derive(Debug)]
pub(crate) struct Pulse {
    every: Option<Interval>,
    threads: Vec<Thread>,
}

#[derive(Debug)]
struct Thread {
    turns: Turns,
    seen: u64,
    at: Instant,
}

impl Pulse {
    /// Answers for these threads, as often as the manager wants it.
    pub(crate) fn new(threads: impl IntoIterator<Item = Turns>) -> Self {
        // Half of it is what sd_watchdog_enabled(3) recommends.
        let every = sd_notify::watchdog_enabled().map(|limit| tokio::time::interval((limit / 2).max(STEP)));
        let at = Instant::now();
        Self { every, threads: threads.into_iter().map(|turns| Thread { turns, seen: 0, at }).collect() }
    }

    /// Waits until an answer is due and gives it, or says that it cannot. Cancel: nothing is lost.
    pub(crate) async fn beat(&mut self) {
        let Some(every) = &mut self.every else { return std::future::pending().await };
        every.tick().await;
        if self.all_turn(Instant::now()) {
            tell(&[NotifyState::Watchdog]);
        } else {
            tracing::error!("a thread is stuck: the service manager's watchdog gets no answer");
        }
    }

    /// From now on this thread's own turning is answer enough: the others end, each in its time.
    pub(crate) fn answer_alone(&mut self) {
        self.threads.clear();
    }

    fn all_turn(&mut self, now: Instant) -> bool {
        for thread in &mut self.threads {
            let seen = thread.turns.0.load(Ordering::Relaxed);
            if seen != thread.seen {
                (thread.seen, thread.at) = (seen, now);
            }
        }
        self.threads.iter().all(|thread| now.saturating_duration_since(thread.at) < STUCK)
    }
}

/// No watchdog is answered more often.
const STEP: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thread_that_stands_still_for_long_is_stuck() {
        let (turning, standing) = (Turns::default(), Turns::default());
        let mut pulse = Pulse::new([turning.clone(), standing.clone()]);
        let start = Instant::now();
        for step in 1..=4 {
            turning.count();
            let stuck = step == 4;
            assert_eq!(pulse.all_turn(start + STUCK / 4 * step + Duration::from_secs(1)), !stuck, "step {step}");
        }
        standing.count();
        assert!(pulse.all_turn(start + STUCK * 2), "it turns again; the other one has not stood still for long");
        pulse.answer_alone();
        assert!(pulse.all_turn(start + STUCK * 20));
    }
}
