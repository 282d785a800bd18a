//! What the process that carries bytes and the one that steers say to each other.
//!
//! Two bounded channels of serialisable messages: [`News`] of sessions one way, [`Directive`]s the other. In memory where one
//! process does both jobs, lines of JSON over a Unix socket where two do. Nobody ever waits for the link: news that find
//! no room are dropped, and the whole table is told again. Invariant: after [`News::Forget`] and what follows it, the
//! listener's table equals the teller's.

mod socket;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anabranch_sniffer::Token;
use anabranch_throttle::intent::Direction;
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, mpsc};

pub use socket::{Accept, LinkError, Listening, connect, default_path, listen};

/// Messages that wait, each way.
const ROOM: usize = 4096;

/// News are carried in batches, this long apart: every wake of another thread costs more than a message does (at 2 000
/// sessions a second, one by one, half as much as carrying the sessions).
const BATCH: Duration = Duration::from_millis(10);

/// What is known of a session beyond its connection: only who accepted it can tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionFacts {
    /// Its number in the access log.
    pub session: u64,
    /// The local token of its client leg.
    pub token: Token,
    /// The listener that accepted it.
    pub listener: Arc<str>,
    /// Who connected.
    pub client: SocketAddr,
    /// The subscriber, once credentials told.
    pub subscriber: Option<Arc<str>>,
    /// The origin it works for now.
    pub origin: Option<Arc<str>>,
    /// The address of it that was dialled.
    pub destination: Option<SocketAddr>,
}

/// What the proxy tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum News {
    /// All that was told before is void; every living session follows.
    Forget,
    /// A session over MPTCP began, or is known better than before.
    Session(SessionFacts),
    /// A session ended.
    Ended(u64),
}

/// What only the owner of a socket can do, and the one who steers wants done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Directive {
    /// Bounds what a connection holds unsent, so that no subflow's backlog can hold up the others.
    BoundUnsent {
        /// The connection.
        token: Token,
        /// The bound in bytes; `None` lifts it.
        bytes: Option<u32>,
    },
    /// Bounds the same of every connection over MPTCP that is accepted from now on: a rate may be wanted of a subflow that joins it.
    BoundFromAccept {
        /// The bound in bytes; `None`: no bound for those to come.
        bytes: Option<u32>,
    },
    /// Carries a connection no faster than everybody with the same bucket together, one way.
    Total {
        /// The connection.
        token: Token,
        /// Which way.
        direction: Direction,
        /// The bucket's number and its rate in bit/s; `None` lifts it.
        bucket: Option<(u32, u64)>,
    },
}

/// The end of the link that sessions speak into. It never waits.
#[derive(Debug)]
pub struct Teller {
    news: mpsc::Sender<News>,
    /// Somebody listens.
    on: AtomicBool,
    /// Something was dropped for want of room, or somebody new listens.
    owed: AtomicBool,
    wake: Notify,
}

/// The other end of a [`Teller`]: what it was told, for [`forward`].
#[derive(Debug)]
pub struct Told(mpsc::Receiver<News>);

/// Where the news come from when all of them have to be told.
pub trait Sessions: Send + Sync {
    /// What is known of every living session over MPTCP.
    fn all(&self) -> Vec<SessionFacts>;
    /// Does what a directive says.
    fn obey(&self, directive: Directive);
    /// Takes back whatever directives did: nobody is there who would.
    fn release(&self);
}

/// One end of an open link.
#[derive(Debug)]
pub struct End<Out, In> {
    /// What goes to the other side.
    pub to: mpsc::Sender<Out>,
    /// What comes from it; ends with the link.
    pub from: mpsc::Receiver<In>,
}

impl Teller {
    /// A teller whom nobody listens to yet.
    #[must_use]
    pub fn new() -> (Arc<Self>, Told) {
        let (news, told) = mpsc::channel(ROOM);
        let teller = Self { news, on: AtomicBool::new(false), owed: AtomicBool::new(false), wake: Notify::new() };
        (Arc::new(teller), Told(told))
    }

    /// Tells, if somebody listens and there is room; `news` is made only then.
    pub fn tell(&self, news: impl FnOnce() -> News) {
        if !self.on.load(Ordering::Relaxed) {
            return;
        }
        if self.news.try_send(news()).is_err() {
            self.owed.store(true, Ordering::Release);
            self.wake.notify_one();
        }
    }

    /// Whether anybody listens.
    #[must_use]
    pub fn is_heard(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }
}

/// A link in memory: the proxy's end, and the steering side's.
#[must_use]
pub fn pair() -> (End<News, Directive>, End<Directive, News>) {
    let (to_steer, from_proxy) = mpsc::channel(ROOM);
    let (to_proxy, from_steer) = mpsc::channel(ROOM);
    (End { to: to_steer, from: from_steer }, End { to: to_proxy, from: from_proxy })
}

/// Carries a teller's news into an open link and its directives out of it, until the link ends.
///
/// Cancel: the other side is told everything again by the next link.
pub async fn forward(teller: &Teller, told: &mut Told, sessions: &dyn Sessions, mut end: End<News, Directive>) {
    teller.on.store(true, Ordering::Relaxed);
    teller.owed.store(true, Ordering::Release);
    let mut batch = Vec::new();
    loop {
        if teller.owed.swap(false, Ordering::AcqRel) {
            // What waits is older than the table that is now told.
            while told.0.try_recv().is_ok() {}
            if tell_all(sessions, &end.to).await.is_err() {
                break;
            }
        }
        tokio::select! {
            biased;
            directive = end.from.recv() => match directive {
                Some(directive) => sessions.obey(directive),
                None => break,
            },
            () = teller.wake.notified() => {}
            told = told.0.recv_many(&mut batch, ROOM) => {
                if told == 0 || pass_on(&mut batch, &end.to).await.is_err() {
                    break;
                }
                tokio::time::sleep(BATCH).await;
            }
        }
    }
    teller.on.store(false, Ordering::Relaxed);
    sessions.release();
}

async fn pass_on(batch: &mut Vec<News>, to: &mpsc::Sender<News>) -> Result<(), mpsc::error::SendError<News>> {
    for news in batch.drain(..) {
        to.send(news).await?;
    }
    Ok(())
}

async fn tell_all(sessions: &dyn Sessions, to: &mpsc::Sender<News>) -> Result<(), mpsc::error::SendError<News>> {
    to.send(News::Forget).await?;
    for session in sessions.all() {
        to.send(News::Session(session)).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
