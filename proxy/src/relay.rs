//! The byte relay of CONNECT tunnels and upgraded connections: one plain future over two legs.
//!
//! Each direction is a [`Pump`]; a long one goes from socket to socket by way of a [pipe](crate::pipe), unless it
//! comes out of Multipath TCP. Buffers and pipes come from a stock of the worker and go back whenever there is nothing to
//! move, so an idle tunnel holds none. Half-closes pass through. A leg that fails takes down only what would be written to
//! it: what it had already sent is still delivered, then the other leg is reset, so that both sides see the failure.

mod buffer;
pub(crate) mod courtesy;
mod pump;

use std::future::{Future as _, poll_fn};
use std::io;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use anabranch_kernel::sockopt::unacknowledged;
use bytes::Bytes;
use tokio::time::{Sleep, sleep};
use tokio_util::sync::CancellationToken;

use crate::leg::ClientIo;
use crate::origin::leg::OriginLeg;
use crate::outcome::Side;
use crate::watchdog::Watchdog;
use pump::{Failure, Pump};

/// When a tunnel ends although neither side ended it.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// No byte either way for this long; `None` = never.
    pub idle: Option<Duration>,
    /// No byte for this long once one side has ended its stream.
    pub half_closed: Duration,
    /// In all; `None` = without end.
    pub lifetime: Option<Duration>,
}

/// Bytes delivered so far, readable while a request or a tunnel runs.
#[derive(Debug, Default)]
pub struct Carried {
    /// Written to the origin.
    pub to_origin: AtomicU64,
    /// Written to the client.
    pub to_client: AtomicU64,
}

impl Carried {
    /// Both counts: to the origin, to the client.
    #[must_use]
    pub fn read(&self) -> (u64, u64) {
        (self.to_origin.load(Ordering::Relaxed), self.to_client.load(Ordering::Relaxed))
    }
}

/// How a tunnel ended.
#[derive(Debug)]
pub enum End {
    /// Both sides ended their streams and every byte was passed on.
    Completed,
    /// One leg failed; the other one must be told (see [`crate::leg::Leg::deliver_then_reset`]).
    Failed {
        /// Whose leg failed.
        side: Side,
        /// What the kernel said.
        source: io::Error,
    },
    /// Nothing moved for as long as the limits allow.
    Idle,
    /// The tunnel reached its lifetime.
    Expired,
    /// The process is stopping and the grace time is over.
    Aborted,
}

/// A tunnel that is to be carried: the state of both directions.
#[derive(Debug)]
pub struct Relay {
    upload: Pump,
    download: Pump,
    watchdog: Option<Watchdog>,
    lifetime: Option<Pin<Box<Sleep>>>,
    half_closed: Duration,
    failure: Option<Failure>,
}

impl Relay {
    /// A tunnel whose time begins now. `early` and `late` are bytes already read from client and origin.
    #[must_use]
    pub fn new((early, late): (Bytes, Bytes), limits: Limits) -> Self {
        Self {
            upload: Pump::new(Side::Client, early),
            download: Pump::new(Side::Server, late),
            watchdog: limits.idle.map(Watchdog::new),
            lifetime: limits.lifetime.map(|limit| Box::pin(sleep(limit))),
            half_closed: limits.half_closed,
            failure: None,
        }
    }

    /// Carries bytes both ways until the tunnel ends.
    ///
    /// Cancel: what was read but not yet written is lost, and both sockets close; use `abort` instead.
    pub async fn run(
        &mut self,
        client: &mut ClientIo,
        server: &mut OriginLeg,
        carried: &Carried,
        abort: &CancellationToken,
    ) -> End {
        let run = poll_fn(|cx| self.poll(cx, client, server, carried));
        tokio::select! {
            biased;
            end = run => end,
            () = abort.cancelled() => End::Aborted,
        }
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut ClientIo,
        server: &mut OriginLeg,
        carried: &Carried,
    ) -> Poll<End> {
        let before = carried.read();
        let upload = match client {
            ClientIo::Plain(leg) => self.upload.poll_spliced(cx, leg, server, &carried.to_origin),
            ClientIo::Tls(_) => self.upload.poll(cx, client, server, &carried.to_origin),
        };
        if let Poll::Ready(Err(failure)) = upload {
            self.fail(failure);
        }
        let download = match client {
            ClientIo::Plain(leg) => self.download.poll_spliced(cx, server, leg, &carried.to_client),
            ClientIo::Tls(_) => self.download.poll(cx, server, client, &carried.to_client),
        };
        if let Poll::Ready(Err(failure)) = download {
            self.fail(failure);
        }
        let after = carried.read();
        let moved = (after.0 - before.0) + (after.1 - before.1);
        courtesy::carried(moved);
        if self.upload.is_over() && self.download.is_over() {
            return Poll::Ready(match self.failure.take() {
                None => End::Completed,
                Some(Failure { side, source }) => End::Failed { side, source },
            });
        }
        let waiting = || waiting(client) + waiting(server);
        self.poll_limits(cx, moved > 0, &waiting)
    }

    /// A failed leg ends the direction that writes to it; the one that reads from it may still have bytes to deliver.
    fn fail(&mut self, failure: Failure) {
        match failure.side {
            Side::Client => self.download.give_up(),
            Side::Server => self.upload.give_up(),
        }
        self.failure.get_or_insert(failure);
    }

    /// `waiting` tells how many written bytes nobody has acknowledged: while they become fewer, a slow peer is alive.
    fn poll_limits(&mut self, cx: &mut Context<'_>, moved: bool, waiting: &dyn Fn() -> u64) -> Poll<End> {
        if self.upload.is_over() || self.download.is_over() {
            match &mut self.watchdog {
                Some(watchdog) => watchdog.change(self.half_closed),
                none => *none = Some(Watchdog::new(self.half_closed)),
            }
        }
        if let Some(watchdog) = &mut self.watchdog {
            if moved {
                watchdog.progressed();
            }
            if watchdog.poll_stuck(cx, waiting).is_ready() {
                return Poll::Ready(match self.failure.take() {
                    None => End::Idle,
                    Some(Failure { side, source }) => End::Failed { side, source },
                });
            }
        }
        match &mut self.lifetime {
            Some(lifetime) => lifetime.as_mut().poll(cx).map(|()| End::Expired),
            None => Poll::Pending,
        }
    }
}

/// Bytes written to a leg that its peer has not acknowledged; a leg that cannot tell has none.
fn waiting(leg: &impl AsFd) -> u64 {
    unacknowledged(leg.as_fd()).map_or(0, u64::from)
}

#[cfg(test)]
mod tests;
