//! Idle HTTP/1.1 connections to origins, kept for the next request.
//!
//! Lives here: which connection may be used again, and for how long. Does not live here: dialling
//! (`origin::connect`) and the task that drives a connection; the task owns the socket and its
//! [`Registration`](super::own::Registration), the pool owns only hyper's handle, whose drop ends the task.
//! One pool belongs to one worker; it may be shared all the same, its lock is held for a map operation only.
//!
//! **Stale connections.** An origin may close an idle connection at the moment a request is written to it. The caller
//! sends with `SendRequest::try_send_request`. If the error hands the request back (`TrySendError::take_message`),
//! hyper has written nothing of it, and it is sent again, whatever its method, on another connection; if not, the
//! origin may have acted on it, and the client gets the error (RFC 9112 §9.3.1).
//!
//! **Checking in.** After the response body has been read to its end, await `SendRequest::ready` and then check in:
//! hyper's task needs a turn before the handle is ready, and a handle that is not ready is dropped at checkout.

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anabranch_config::Name;
use hyper::client::conn::http1::SendRequest;
use parking_lot::Mutex;

use crate::http::authority::Target;

/// A full pool looks for expired connections at most this often.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// What two requests must have in common to share a connection.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key {
    /// The listener the client came to: its policy chose the connection.
    pub listener: Name,
    /// The generation of its rules (source address, guard), so that a reload never reuses an address it forbids.
    pub rules: u64,
    /// Host and port. Two names at one address do not share.
    pub target: Target,
}

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Idle connections of one key.
    pub per_key: usize,
    /// Idle connections in all.
    pub total: usize,
    /// How long a connection may be idle.
    pub idle: Duration,
}

/// A connection that can take a request.
#[derive(Debug)]
pub struct Idle<B> {
    /// Hyper's handle of it.
    pub sender: SendRequest<B>,
    /// The address that was judged and dialled.
    pub address: SocketAddr,
    /// Requests it has carried.
    pub requests: u32,
}

/// The idle connections of a worker.
pub struct Pool<B> {
    limits: Limits,
    shelf: Mutex<Shelf<B>>,
}

struct Shelf<B> {
    /// Of each key the connections in the order of their checkin, the newest last. No key without a connection.
    idle: HashMap<Key, Vec<(Instant, Idle<B>)>>,
    count: usize,
    swept: Option<Instant>,
}

impl<B> fmt::Debug for Pool<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("limits", &self.limits).field("len", &self.len()).finish()
    }
}

impl<B> Pool<B> {
    /// An empty pool.
    pub fn new(limits: Limits) -> Self {
        Self { limits, shelf: Mutex::new(Shelf { idle: HashMap::new(), count: 0, swept: None }) }
    }

    /// Takes the connection of this key that was used last; the origin is least likely to have closed it.
    ///
    /// Expired, closed and busy ones that are met on the way are dropped.
    pub fn checkout(&self, key: &Key, now: Instant) -> Option<Idle<B>> {
        let mut shelf = self.shelf.lock();
        let shelf = &mut *shelf;
        let idle = shelf.idle.get_mut(key)?;
        let mut found = None;
        while found.is_none()
            && let Some((since, candidate)) = idle.pop()
        {
            shelf.count -= 1;
            found = (self.limits.is_fresh(since, now) && candidate.sender.is_ready()).then_some(candidate);
        }
        if idle.is_empty() {
            shelf.idle.remove(key);
        }
        found
    }

    /// Keeps a connection for later, or drops it: when it is closed, or when the pool is full of younger ones.
    pub fn checkin(&self, key: Key, connection: Idle<B>, now: Instant) {
        if connection.sender.is_closed() || self.limits.per_key == 0 {
            return;
        }
        let mut shelf = self.shelf.lock();
        if shelf.count >= self.limits.total && shelf.swept.is_none_or(|at| now - at >= SWEEP_INTERVAL) {
            shelf.sweep(&self.limits, now);
        }
        let shelf = &mut *shelf;
        let full = shelf.count >= self.limits.total;
        let of_key = shelf.idle.get(&key).map_or(0, Vec::len);
        // Its own oldest makes room; another key's is left alone, and the newcomer goes.
        if of_key > 0 && (full || of_key >= self.limits.per_key) {
            shelf.idle.entry(key.clone()).and_modify(|idle| drop(idle.remove(0)));
            shelf.count -= 1;
        } else if full {
            return;
        }
        shelf.idle.entry(key).or_default().push((now, connection));
        shelf.count += 1;
    }

    /// Drops what has expired or closed; call it now and then, so that idle origins do not hold sockets.
    pub fn sweep(&self, now: Instant) {
        self.shelf.lock().sweep(&self.limits, now);
    }

    /// Drops everything: after a reload, and when draining.
    pub fn clear(&self) {
        let mut shelf = self.shelf.lock();
        shelf.idle.clear();
        shelf.count = 0;
    }

    /// How many connections are kept.
    pub fn len(&self) -> usize {
        self.shelf.lock().count
    }

    /// Whether none is kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<B> Shelf<B> {
    fn sweep(&mut self, limits: &Limits, now: Instant) {
        let mut count = 0;
        self.idle.retain(|_, idle| {
            idle.retain(|(since, kept)| limits.is_fresh(*since, now) && !kept.sender.is_closed());
            count += idle.len();
            !idle.is_empty()
        });
        self.count = count;
        self.swept = Some(now);
    }
}

impl Limits {
    fn is_fresh(&self, since: Instant, now: Instant) -> bool {
        now.saturating_duration_since(since) < self.idle
    }
}

#[cfg(test)]
mod tests;
