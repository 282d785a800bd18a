//! The workers as one another sees them: a new connection goes where there are fewest.
//!
//! The kernel spreads connections over the workers' sockets by a hash of their addresses, and knows nothing of who is busy. So a worker
//! with clearly more sessions than the least busy one hands what it has just accepted to that one. Called by `accept`
//! (handing over) and `worker` (taking in). Invariant: what is handed over is counted at once, so a worker that
//! does not come to its work gets no more of it than any other.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::admit::Permit;
use crate::arrival::Arrival;
use crate::door::Door;
use crate::worker::Assignment;

/// So many sessions more than the least busy worker has are nothing out of the ordinary, and one in so many of its own:
/// handing over costs two wakes.
const SLACK: (usize, usize) = (2, 8);

/// All workers.
#[derive(Debug)]
pub struct Crew {
    seats: Box<[Seat]>,
}

/// One worker's place.
#[derive(Debug)]
struct Seat {
    assignments: mpsc::UnboundedSender<Assignment>,
    handed: mpsc::UnboundedSender<Handed>,
    sessions: TaskTracker,
}

/// A connection on its way from one worker to another.
#[derive(Debug)]
pub(crate) struct Handed {
    pub(crate) door: Arc<Door>,
    pub(crate) stream: TcpStream,
    pub(crate) peer: SocketAddr,
    pub(crate) arrival: Arrival,
    pub(crate) permit: Permit,
    /// It counts as a session of the worker it is for.
    pub(crate) counted: TaskTrackerToken,
}

/// A worker's own end of its place.
#[derive(Debug)]
pub struct Post {
    pub(crate) index: usize,
    pub(crate) assignments: mpsc::UnboundedReceiver<Assignment>,
    pub(crate) handed: mpsc::UnboundedReceiver<Handed>,
    pub(crate) sessions: TaskTracker,
}

impl Crew {
    /// Places for so many workers, and what each of them gets.
    #[must_use]
    pub fn new(workers: usize) -> (Self, Vec<Post>) {
        let seat = |index| {
            let ((to_assign, assignments), (to_hand, handed)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
            let sessions = TaskTracker::new();
            let seat = Seat { assignments: to_assign, handed: to_hand, sessions: sessions.clone() };
            (seat, Post { index, assignments, handed, sessions })
        };
        let (seats, posts): (Vec<_>, Vec<_>) = (0..workers).map(seat).unzip();
        (Self { seats: seats.into() }, posts)
    }

    /// Gives a worker a listener; a worker that has ended drops it.
    pub(crate) fn assign(&self, worker: usize, assignment: Assignment) {
        if self.seats[worker].assignments.send(assignment).is_err() {
            tracing::warn!("a worker that has ended was given a listener");
        }
    }

    /// Who is to have the next connection of a worker, if not itself; and the token that it is to be sent with.
    pub(crate) fn less_busy(&self, worker: usize) -> Option<(usize, TaskTrackerToken)> {
        let own = self.seats[worker].sessions.len();
        // One that has ended takes nothing, and would for ever be the least busy.
        let there = self.seats.iter().enumerate().filter(|(_, seat)| !seat.handed.is_closed());
        let (index, least) = there.min_by_key(|(_, seat)| seat.sessions.len())?;
        let usual = least.sessions.len() + SLACK.0 + own / SLACK.1;
        (own >= usual).then(|| (index, least.sessions.token()))
    }

    /// Hands a connection over.
    ///
    /// Errors: the connection, if that worker has ended
    pub(crate) fn hand(&self, worker: usize, handed: Handed) -> Result<(), Handed> {
        self.seats[worker].handed.send(handed).map_err(|back| back.0)
    }
}

/// How busy each is, at each scrape.
impl Collector for Crew {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let mut family =
            encoder.encode_descriptor("worker_sessions", "Connections each worker serves", None, MetricType::Gauge)?;
        for (index, seat) in self.seats.iter().enumerate() {
            let sessions = i64::try_from(seat.sessions.len()).unwrap_or(i64::MAX);
            ConstGauge::new(sessions).encode(family.encode_family(&[("worker", index)])?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
