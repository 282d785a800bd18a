//! A worker: one thread, one current-thread runtime, its own listening sockets, its own pool of origin connections.
//!
//! `docs/decisions/0001-runtime.md` has the measurement behind this shape. What workers share is in [`Shared`]; what a
//! reload changes reaches them through each listener's slot. A worker ends when draining begins and its last session
//! is gone, or when the grace time is over.

use std::io;
use std::net::TcpListener as StdTcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anabranch_config::Name;
use arc_swap::ArcSwap;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::accept;
use crate::admit::Admission;
use crate::arrival::Witness;
use crate::crew::{Crew, Post};
use crate::door::Door;
use crate::http::body::RequestBody;
use crate::manager::Turns;
use crate::metrics::Metrics;
use crate::origin::own::Outgoing;
use crate::origin::pool::{Limits as PoolLimits, Pool};
use crate::record::AccessLog;
use crate::relay::courtesy;
use crate::session::Registry;

/// How often a worker looks for kept connections that have expired.
const SWEEP: Duration = Duration::from_secs(5);

/// How long sessions that were cut off may take to tell their peers.
const FAREWELL: Duration = Duration::from_secs(2);

/// Kept origin connections of one worker, over all origins.
const KEPT: usize = 4096;

/// What all workers share.
#[derive(Debug)]
pub struct Shared {
    /// Who is admitted.
    pub admission: Arc<Admission>,
    /// Who lives.
    pub registry: Arc<Registry>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Where records go.
    pub access_log: AccessLog,
    /// Tells plain clients from stripped ones.
    pub witness: Arc<Witness>,
    /// The workers as one another sees them.
    pub crew: Arc<Crew>,
    /// Connections we dialled.
    pub outgoing: Arc<Outgoing>,
    /// Cancelled when no new connection is taken.
    pub draining: CancellationToken,
    /// Cancelled when connections are to end with the request that runs, or at once where none does.
    pub closing: CancellationToken,
    /// Cancelled when what still runs is cut off.
    pub abort: CancellationToken,
    /// Sessions cut off so far.
    pub cut_off: AtomicUsize,
    /// How long sessions may go on once draining has begun, in milliseconds; a reload changes it.
    pub grace_ms: AtomicU64,
    /// Tells this process from every other that has the same pseudonym.
    pub instance: u32,
}

impl Shared {
    /// How long sessions may go on once draining has begun.
    #[must_use]
    pub fn grace(&self) -> Duration {
        Duration::from_millis(self.grace_ms.load(Ordering::Relaxed))
    }

    /// Takes over another grace time.
    pub fn set_grace(&self, grace: Duration) {
        self.grace_ms.store(u64::try_from(grace.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

/// One worker's own things.
#[derive(Debug)]
pub struct Worker {
    /// What it shares with the others.
    pub shared: Arc<Shared>,
    /// Its place in the crew.
    pub(crate) index: usize,
    pub(crate) pool: Pool<RequestBody>,
    pub(crate) sessions: TaskTracker,
    /// Counted by its clones: clients turned away that are still being told.
    pub(crate) farewells: Arc<()>,
}

/// A listener as a worker sees it.
#[derive(Debug)]
pub struct Assignment {
    /// The listener.
    pub name: Name,
    /// Its rules, exchanged by a reload.
    pub door: Arc<ArcSwap<Door>>,
    /// This worker's socket.
    pub socket: StdTcpListener,
    /// The socket is an MPTCP one.
    pub mptcp: bool,
    /// Cancelled when the listener is removed.
    pub stop: CancellationToken,
}

/// A worker that cannot start.
#[derive(Debug, Error)]
#[error("worker {index} cannot start")]
pub struct WorkerError {
    index: usize,
    #[source]
    source: io::Error,
}

/// A running worker.
#[derive(Debug)]
pub struct Handle {
    index: usize,
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
    turns: Turns,
}

impl Handle {
    /// Starts the worker that takes this place, with nothing to listen on.
    ///
    /// Errors: [`WorkerError`], when the kernel gives no thread or no epoll descriptor.
    pub fn start(post: Post, shared: Arc<Shared>, pool: PoolLimits) -> Result<Self, WorkerError> {
        let index = post.index;
        let fail = |source| WorkerError { index, source };
        let runtime = runtime().map_err(fail)?;
        let turns = Turns::default();
        let pool = PoolLimits { total: KEPT, ..pool };
        let worker = Arc::new(Worker {
            shared: shared.clone(),
            index,
            pool: Pool::new(pool),
            sessions: post.sessions.clone(),
            farewells: Arc::new(()),
        });
        let thread = std::thread::Builder::new()
            .name(format!("worker-{index}"))
            .spawn({
                let turns = turns.clone();
                move || runtime.block_on(live(worker, post, turns))
            })
            .map_err(fail)?;
        Ok(Self { index, shared, thread, turns })
    }

    /// Gives the worker a listener; a worker that has ended drops it.
    pub fn assign(&self, assignment: Assignment) {
        self.shared.crew.assign(self.index, assignment);
    }

    /// Goes up for as long as the worker is neither stuck nor draining.
    #[must_use]
    pub fn turns(&self) -> Turns {
        self.turns.clone()
    }

    /// Waits for the end of the worker.
    pub fn join(self) {
        if self.thread.join().is_err() {
            tracing::error!("a worker panicked");
        }
    }
}

async fn live(worker: Arc<Worker>, mut post: Post, turns: Turns) {
    let draining = worker.shared.draining.clone();
    let mut sweep = tokio::time::interval(SWEEP);
    loop {
        tokio::select! {
            biased;
            () = draining.cancelled() => break,
            Some(handed) = post.handed.recv() => accept::take_in(&worker, handed),
            Some(assignment) = post.assignments.recv() => listen(&worker, assignment),
            _ = sweep.tick() => {
                turns.count();
                worker.pool.sweep(std::time::Instant::now());
            }
        }
    }
    // What was handed over before is served; from here on whoever accepts keeps it.
    post.handed.close();
    while let Some(handed) = post.handed.recv().await {
        accept::take_in(&worker, handed);
    }
    worker.pool.clear();
    worker.sessions.close();
    let grace = tokio::time::sleep(worker.shared.grace());
    tokio::pin!(grace);
    loop {
        tokio::select! {
            () = worker.sessions.wait() => return,
            () = worker.shared.abort.cancelled() => break,
            () = &mut grace => {
                worker.shared.abort.cancel();
                break;
            }
            // Requests go on for a while, where another process has taken over.
            _ = sweep.tick() => worker.pool.sweep(std::time::Instant::now()),
        }
    }
    // Whoever has not said goodbye by then is dropped with the runtime.
    drop(tokio::time::timeout(FAREWELL, worker.sessions.wait()).await);
}

/// What a worker's tasks run in.
fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().on_thread_park(courtesy::before_wait).build()
}

fn listen(worker: &Arc<Worker>, assignment: Assignment) {
    let Assignment { name, door, socket, mptcp, stop } = assignment;
    match TcpListener::from_std(socket) {
        Ok(listener) => {
            tokio::spawn(accept::run(worker.clone(), listener, door, mptcp, stop));
        }
        Err(error) => tracing::error!(listener = %name, %error, "this worker cannot watch its listening socket"),
    }
}

#[cfg(test)]
mod tests;
