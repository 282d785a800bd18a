//! The life of a connection, outermost step first: observe → admit → classify → requests → dial → relay → linger.
//!
//! This is the one place that puts the steps together. Admission has happened before [`begin`] is called (nothing is
//! allocated for a connection that is turned away); dialling happens inside the requests, which either stream an
//! answer back or leave a tunnel to relay here.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use crate::admit::Permit;
use crate::arrival::Arrival;
use crate::door::Door;
use crate::http::{Handover, Next, Tunnel, serve};
use crate::leg::{CUT, ClientIo, DELIVER, Leg, LegIo, deliver_then_reset};
use crate::metrics::Metrics;
use crate::origin::leg::OriginLeg;
use crate::outcome::{Outcome, Side};
use crate::relay::{End, Limits, Relay};
use crate::worker::Worker;

/// An admitted connection.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) stream: TcpStream,
    pub(crate) peer: SocketAddr,
    pub(crate) arrival: Arrival,
    pub(crate) permit: Permit,
}

/// Takes in an admitted connection: it is visible from here to the end of what this returns. `None`: it is gone already.
///
/// Not an `async fn`: what that takes lies in the memory of an idle tunnel twice.
pub(crate) fn begin(
    worker: &Arc<Worker>,
    door: Arc<Door>,
    accepted: Accepted,
) -> Option<impl Future<Output = ()> + Send + use<>> {
    let Accepted { stream, peer, arrival, permit } = accepted;
    // Small answers must not wait for the acknowledgement of the one before.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(client = %peer, %error, "gone before it was served");
        return None;
    }
    let leg = Leg::new(stream, arrival.protocol());
    let (worker, shared) = (worker.clone(), &worker.shared);
    let entered = shared.registry.enter(&leg, door.listener.name.clone(), peer, (arrival, &shared.witness));
    Some(async move {
        // The session leaves the table before its socket closes.
        let (leg, entered) = (leg, entered);
        // Classify: what the client speaks. What one tunnel in a thousand needs, and what is over before the tunnel
        // begins, is boxed, here and below: it must not weigh on an idle one's memory.
        let io = match &door.tls {
            None => ClientIo::Plain(LegIo(leg.clone())),
            Some(acceptor) => match Box::pin(shake_hands(&worker, &door, acceptor, &leg)).await {
                Some(io) => io,
                None => return,
            },
        };
        // Requests, each dialled and answered, until the connection ends or one of them opens a tunnel.
        let handover = Handover::new(&worker, &door, &entered.session, &leg, permit);
        match Box::pin(serve(io, &handover)).await {
            Next::Close => Box::pin(leg.linger()).await,
            Next::Reset(limit) => Box::pin(leg.deliver_then_reset(limit, &worker.shared.abort)).await,
            Next::Tunnel { io, early, tunnel } => carry(&handover, io, early, tunnel).await,
        }
    })
}

/// The TLS handshake, where the listener has a certificate; `None`: it failed.
async fn shake_hands(worker: &Worker, door: &Door, acceptor: &TlsAcceptor, leg: &Arc<Leg>) -> Option<ClientIo> {
    let handshake = tokio::time::timeout(door.config.timeouts.handshake, acceptor.accept(LegIo(leg.clone())));
    let failure = tokio::select! {
        () = worker.shared.closing.cancelled() => return None,
        done = handshake => match done {
            Ok(Ok(stream)) => return Some(ClientIo::Tls(Box::new(stream))),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it took too long (timeouts.handshake)".to_owned(),
        },
    };
    Metrics::count(&worker.shared.metrics.turned_away, "tls-handshake");
    tracing::debug!(listener = %door.listener.name, %failure, "TLS handshake failed");
    leg.linger().await;
    None
}

/// Relays a tunnel and ends both legs so that each side sees what became of it.
async fn carry(handover: &Handover, mut io: ClientIo, early: Bytes, mut tunnel: Box<Tunnel>) {
    let (session, shared) = (&handover.session, &handover.worker.shared);
    let Some((server, late)) = tunnel.server.open().await else {
        tunnel.record.outcome = Outcome::ServerFailed(std::io::ErrorKind::UnexpectedEof);
        drop(tunnel);
        return Box::pin(handover.leg.deliver_then_reset(DELIVER, &shared.abort)).await;
    };
    let timeouts = &handover.door.config.timeouts;
    let limits =
        Limits { idle: timeouts.tunnel_idle, half_closed: timeouts.half_closed, lifetime: timeouts.tunnel_lifetime };
    // Not kept: what it holds at its end is not to wait for the legs' end.
    let end = Relay::new((early, late), limits).run(&mut io, server, &session.carried, &shared.abort).await;
    tunnel.record.outcome = match &end {
        End::Completed => Outcome::Completed,
        End::Failed { side: Side::Client, source } => Outcome::ClientFailed(source.kind()),
        End::Failed { side: Side::Server, source } => Outcome::ServerFailed(source.kind()),
        End::Idle => Outcome::Idle,
        End::Expired => Outcome::Expired,
        End::Aborted => Outcome::Drained,
    };
    if matches!(end, End::Aborted) {
        shared.cut_off.fetch_add(1, Ordering::Relaxed);
    }
    // The record is written now: lingering is not part of the transfer, but its facts need the socket.
    drop(tunnel.record);
    if !matches!(end, End::Completed) {
        Box::pin(break_off(end, handover, io, server)).await;
    }
}

/// Ends the legs of a tunnel that is not whole.
async fn break_off(end: End, handover: &Handover, mut io: ClientIo, server: &OriginLeg) {
    let (leg, abort) = (&handover.leg, &handover.worker.shared.abort);
    match end {
        End::Completed => {}
        End::Failed { side: Side::Server, .. } => {
            // TLS may still hold records of what the origin had sent; a client that is gone has nothing to lose.
            tokio::select! {
                flushed = tokio::time::timeout(DELIVER, io.flush()) => drop(flushed),
                () = abort.cancelled() => {}
            }
            leg.deliver_then_reset(DELIVER, abort).await;
        }
        End::Failed { side: Side::Client, .. } => deliver_then_reset(server.stream(), DELIVER, abort).await,
        // Ended by us: an end of stream that neither side sent would pass off as whole what perhaps is not.
        End::Idle | End::Expired | End::Aborted => {
            let limit = if matches!(end, End::Idle) { DELIVER } else { CUT };
            tokio::join!(leg.deliver_then_reset(limit, abort), deliver_then_reset(server.stream(), limit, abort));
        }
    }
}
