//! The accept loop: one per listener and worker. Errors back off and never end it.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use arc_swap::ArcSwap;
use nix::errno::Errno;
use socket2::Protocol;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::admit::Refused;
use crate::crew::Handed;
use crate::door::Door;
use crate::http::refusal::Refusal;
use crate::metrics::Metrics;
use crate::stack::{self, Accepted};
use crate::worker::Worker;

/// First and longest wait after the kernel gave no descriptor or no memory.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// Accepts until the listener is removed or draining begins.
pub(crate) async fn run(
    worker: Arc<Worker>,
    listener: TcpListener,
    door: Arc<ArcSwap<Door>>,
    mptcp: bool,
    stop: CancellationToken,
) {
    let mut back_off = BACK_OFF.0;
    let shared = worker.shared.clone();
    loop {
        let accepted = tokio::select! {
            biased;
            // A removed listener still takes those who had connected before it went; a stop takes nobody.
            () = stop.cancelled() => {
                while !shared.draining.is_cancelled() {
                    let Poll::Ready(Ok((stream, peer))) = poll_once(&listener) else { return };
                    welcome(&worker, door.load_full(), stream, peer, mptcp);
                }
                return;
            }
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                back_off = BACK_OFF.0;
                welcome(&worker, door.load_full(), stream, peer, mptcp);
            }
            Err(error) => {
                let word = word(&error);
                Metrics::count(&shared.metrics.accept_errors, word);
                // The connection died in the queue: nothing is wrong with us.
                if word == "ECONNABORTED" {
                    continue;
                }
                if back_off == BACK_OFF.0 {
                    tracing::warn!(listener = %door.load().listener.name, %error, "accept fails; backing off");
                }
                tokio::time::sleep(back_off).await;
                back_off = (back_off * 2).min(BACK_OFF.1);
            }
        }
    }
}

fn poll_once(listener: &TcpListener) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
    listener.poll_accept(&mut Context::from_waker(Waker::noop()))
}

/// Admits before anything is allocated, then starts the session.
fn welcome(worker: &Arc<Worker>, door: Arc<Door>, stream: TcpStream, peer: SocketAddr, mptcp: bool) {
    let shared = &worker.shared;
    let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
    match shared.admission.admit(peer, &door.listener.clients, &door.config.limits) {
        Ok(permit) => {
            // After admission: it can cost a look at the kernel's counters, and refusals are to be cheap.
            let arrival = shared.witness.judge(stream.as_fd(), mptcp);
            Metrics::count(&shared.metrics.accepted, arrival.as_label());
            place(worker, door, Accepted { stream, peer, arrival, permit });
        }
        Err(refused) => turn_away(worker, &door, stream, peer, refused),
    }
}

/// Starts the session, here or at a worker that is less busy.
fn place(worker: &Arc<Worker>, door: Arc<Door>, accepted: Accepted) {
    let Some((other, counted)) = worker.shared.crew.less_busy(worker.index) else {
        return begin(worker, door, accepted);
    };
    let Accepted { stream, peer, arrival, permit } = accepted;
    // It leaves this worker's epoll, which a socket can do as long as it is in there.
    match stream.into_std() {
        Ok(stream) => {
            let handed = Handed { door, stream, peer, arrival, permit, counted };
            if let Err(back) = worker.shared.crew.hand(other, handed) {
                take_in(worker, back);
            }
        }
        Err(error) => tracing::warn!(client = %peer, %error, "a connection could not be handed to another worker"),
    }
}

/// Starts the session of a connection that another worker accepted.
pub(crate) fn take_in(worker: &Arc<Worker>, handed: Handed) {
    let Handed { door, stream, peer, arrival, permit, counted } = handed;
    match TcpStream::from_std(stream) {
        Ok(stream) => begin(worker, door, Accepted { stream, peer, arrival, permit }),
        Err(error) => tracing::warn!(client = %peer, %error, "this worker cannot watch a connection"),
    }
    drop(counted);
}

fn begin(worker: &Arc<Worker>, door: Arc<Door>, accepted: Accepted) {
    if let Some(session) = stack::begin(worker, door, accepted) {
        worker.sessions.spawn(session);
    }
}

/// Answers without reading, closes without losing the answer; a TLS client could not read it anyway.
fn turn_away(worker: &Arc<Worker>, door: &Door, stream: TcpStream, peer: SocketAddr, refused: Refused) {
    let shared = &worker.shared;
    Metrics::count(&shared.metrics.turned_away, refused.as_label());
    tracing::debug!(listener = %door.listener.name, client = %peer, reason = refused.as_label(), "turned away");
    // Nobody who was refused may use up descriptors by staying: above so many farewells it is a plain close.
    if door.tls.is_some() || Arc::strong_count(&worker.farewells) > FAREWELLS {
        return;
    }
    let answer = refusal(refused, door, peer).bare(&door.pseudonym);
    // Whatever it is: nothing is read of it but what is thrown away.
    let leg = crate::leg::Leg::new(stream, Protocol::TCP);
    let counted = worker.farewells.clone();
    worker.sessions.spawn(async move {
        leg.farewell(&answer).await;
        drop(counted);
    });
}

/// Refusals a worker answers at once.
const FAREWELLS: usize = 256;

fn refusal(refused: Refused, door: &Door, peer: SocketAddr) -> Refusal {
    use http::StatusCode as Status;
    let limits = &door.config.limits;
    let name = &door.listener.name;
    match refused {
        Refused::NotAClient => Refusal::denied(format!(
            "{} is not a client of listener {name}; the operator may add it to its clients",
            peer.ip()
        )),
        Refused::TooMany => Refusal::new(
            Status::SERVICE_UNAVAILABLE,
            "connection_limit_reached",
            format!("this proxy carries {} connections, its limit (limits.connections)", limits.connections),
        ),
        Refused::TooManyOfThisClient => Refusal::new(
            Status::TOO_MANY_REQUESTS,
            "connection_limit_reached",
            format!(
                "this client has {} connections, its limit (limits.connections_per_client)",
                limits.connections_per_client
            ),
        ),
        Refused::TooFast => Refusal::new(
            Status::TOO_MANY_REQUESTS,
            "connection_limit_reached",
            format!(
                "more than {} connections a second from this client (limits.connection_rate)",
                limits.connection_rate
            ),
        ),
    }
}

/// The kernel's word for a failed accept (accept(2)); a closed set.
fn word(error: &io::Error) -> &'static str {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EMFILE) => "EMFILE",
        Some(Errno::ENFILE) => "ENFILE",
        Some(Errno::ENOBUFS) => "ENOBUFS",
        Some(Errno::ENOMEM) => "ENOMEM",
        Some(Errno::ECONNABORTED) => "ECONNABORTED",
        _ => "other",
    }
}
