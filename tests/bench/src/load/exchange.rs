//! Exchanges: a request and its answer, as fast as the answers come or at a rate.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::task::LocalSet;
use tokio::time::{sleep_until, timeout};

use super::{PATIENCE, Way, answer, runtime, skip};

/// What every exchange of a load is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A request on a connection that is kept.
    KeepAlive,
    /// A connection, and a request on it.
    NewConnection,
    /// A connection, a tunnel in it, and a request in that.
    NewTunnel,
}

/// A load of exchanges.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// By which way.
    pub way: Way,
    /// What each is like.
    pub kind: Kind,
    /// The answer's size.
    ///
    /// Units: bytes
    pub size: u64,
    /// How many at once.
    pub clients: u32,
    /// How many a second in all; as many as answers allow by default.
    pub rate: Option<f64>,
}

/// What whoever looks on tells and is told.
#[derive(Debug, Default)]
pub struct Ticket {
    /// Exchanges so far.
    pub done: AtomicU64,
    /// What failed so far.
    pub errors: AtomicU64,
    /// Set while exchanges that begin are noted.
    pub noting: AtomicBool,
    /// Set when it shall end.
    pub stop: AtomicBool,
}

/// Runs a load until it is told to stop, and yields the times noted and the words of the first failure.
///
/// Units: µs
/// Errors: of the runtime; an exchange that fails is counted, and its client begins anew.
pub fn run(load: Load, ticket: &Arc<Ticket>) -> io::Result<(Vec<f64>, Option<String>)> {
    runtime()?.block_on(async {
        let (local, kept) = (LocalSet::new(), Rc::new(Kept::default()));
        let begun = Instant::now();
        for number in 0..load.clients {
            local.spawn_local(client(load, begun, number, Arc::clone(ticket), Rc::clone(&kept)));
        }
        local.await;
        Ok((kept.times.take(), kept.failed.take()))
    })
}

/// What the clients of a load keep together.
#[derive(Debug, Default)]
struct Kept {
    times: RefCell<Vec<f64>>,
    failed: RefCell<Option<String>>,
}

async fn client(load: Load, begun: Instant, number: u32, ticket: Arc<Ticket>, kept: Rc<Kept>) {
    let every = load.rate.map(|rate| Duration::from_secs_f64(f64::from(load.clients) / rate));
    // Spread evenly from the start.
    let mut due = begun + every.unwrap_or_default() * number / load.clients.max(1);
    let request = load.request();
    let (mut connection, mut seen) = (None, Vec::with_capacity(1024));
    while !ticket.stop.load(Ordering::Relaxed) {
        let mut since = Instant::now();
        if let Some(every) = every {
            if due > since {
                sleep_until(due.into()).await;
                // A timer is late by up to a millisecond, which is nobody's fault here.
                since = Instant::now();
            } else {
                // The answer before came too late to ask in time: the wait is the proxy's.
                since = due;
            }
            due += every;
        }
        // What began while times are noted is noted, however late it ends: a stall must not hide itself.
        let noted = ticket.noting.load(Ordering::Relaxed);
        let exchanged = timeout(PATIENCE, load.exchange(&mut connection, &request, &mut seen)).await;
        match exchanged.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok(()) => {
                ticket.done.fetch_add(1, Ordering::Relaxed);
                if noted {
                    kept.times.borrow_mut().push(since.elapsed().as_secs_f64() * 1e6);
                }
            }
            Err(error) => {
                connection = None;
                ticket.errors.fetch_add(1, Ordering::Relaxed);
                kept.failed.borrow_mut().get_or_insert_with(|| error.to_string());
                // Who refuses at once would otherwise be asked a hundred thousand times a second.
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }
}

impl Load {
    fn request(&self) -> Vec<u8> {
        let (absolute, close) = (self.kind != Kind::NewTunnel, self.kind != Kind::KeepAlive);
        self.way.request(self.size, absolute, close).into_bytes()
    }

    async fn exchange(&self, kept: &mut Option<TcpStream>, request: &[u8], seen: &mut Vec<u8>) -> io::Result<()> {
        let mut stream = match (self.kind, kept.take()) {
            (Kind::KeepAlive, Some(stream)) => stream,
            (Kind::KeepAlive | Kind::NewConnection, _) => self.way.connect().await?,
            (Kind::NewTunnel, _) => self.way.tunnel().await?,
        };
        stream.write_all(request).await?;
        seen.clear();
        let answer = answer(&mut stream, seen).await?;
        if answer.status != 200 || answer.body != self.size {
            return Err(io::Error::other(format!("answered with {} and {} bytes", answer.status, answer.body)));
        }
        skip(&stream, self.size.saturating_sub((seen.len() - answer.head) as u64)).await?;
        if self.kind == Kind::KeepAlive {
            *kept = Some(stream);
        }
        Ok(())
    }
}
