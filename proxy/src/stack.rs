//! The life of a connection, outermost step first: observe → admit → classify → requests → dial → relay → linger.
//!
//! This is the one place that puts the steps together. Admission has happened before [`run`] is called (nothing is
//! allocated for a connection that is turned away); dialling happens inside the requests, which either stream an
//! answer back or leave a tunnel to relay here.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::admit::Permit;
use crate::arrival::Arrival;
use crate::door::Door;
use crate::http::{Handover, Next, OriginIo, Server, Tunnel, serve};
use crate::leg::{CUT, ClientIo, DELIVER, Leg, LegIo, deliver_then_reset};
use crate::metrics::Metrics;
use crate::origin::own::Registration;
use crate::outcome::{Outcome, Side};
use crate::relay::{End, Limits, relay};
use crate::session::Session;
use crate::worker::Worker;

/// An admitted connection.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) stream: TcpStream,
    pub(crate) peer: SocketAddr,
    pub(crate) arrival: Arrival,
    pub(crate) permit: Permit,
}

/// Carries one client connection from its acceptance to its end.
pub(crate) async fn run(worker: Arc<Worker>, door: Arc<Door>, accepted: Accepted) {
    let Accepted { stream, peer, arrival, permit } = accepted;
    // Small answers must not wait for the acknowledgement of the one before.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(client = %peer, %error, "gone before it was served");
        return;
    }
    let leg = Leg::new(stream);

    // Observe: the session is visible from here to its end.
    let shared = &worker.shared;
    let entered = shared.registry.enter(&leg, door.listener.name.clone(), peer, (arrival, &shared.witness));
    let session = &entered.session;

    // Classify: what the client speaks. Boxed, like the requests: neither may weigh on an idle tunnel's memory.
    let Some(io) = Box::pin(classify(&worker, &door, &leg)).await else { return };

    // Requests, each dialled and answered, until the connection ends or one of them opens a tunnel.
    let handover = Handover::new(&worker, &door, session, &leg, permit);
    match Box::pin(serve(io, &handover)).await {
        Next::Close => leg.linger().await,
        Next::Reset(limit) => leg.deliver_then_reset(limit, &worker.shared.abort).await,
        Next::Tunnel { io, early, tunnel } => carry(&worker, &door, &leg, session, (io, early), tunnel).await,
    }
}

/// The TLS handshake, where the listener has a certificate.
async fn classify(worker: &Worker, door: &Door, leg: &Arc<Leg>) -> Option<ClientIo> {
    let io = LegIo(leg.clone());
    let Some(acceptor) = &door.tls else { return Some(ClientIo::Plain(io)) };
    let handshake = tokio::time::timeout(door.config.timeouts.handshake, acceptor.accept(io));
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
async fn carry(
    worker: &Worker,
    door: &Door,
    leg: &Leg,
    session: &Session,
    (mut io, early): (ClientIo, Bytes),
    tunnel: Tunnel,
) {
    let Tunnel { server, mut record } = tunnel;
    let Some((mut server, _registration, late)) = Box::pin(open(server)).await else {
        record.outcome = Outcome::ServerFailed(std::io::ErrorKind::UnexpectedEof);
        drop(record);
        return leg.deliver_then_reset(DELIVER, &worker.shared.abort).await;
    };
    let timeouts = &door.config.timeouts;
    let limits =
        Limits { idle: timeouts.tunnel_idle, half_closed: timeouts.half_closed, lifetime: timeouts.tunnel_lifetime };
    record.follow_tunnel();
    let end = relay(&mut io, &mut server, (early, late), limits, &session.carried, &worker.shared.abort).await;
    record.outcome = match &end {
        End::Completed => Outcome::Completed,
        End::Failed { side: Side::Client, source } => Outcome::ClientFailed(source.kind()),
        End::Failed { side: Side::Server, source } => Outcome::ServerFailed(source.kind()),
        End::Idle => Outcome::Idle,
        End::Expired => Outcome::Expired,
        End::Aborted => Outcome::Drained,
    };
    if matches!(end, End::Aborted) {
        worker.shared.cut_off.fetch_add(1, Ordering::Relaxed);
    }
    // The record is written now: lingering is not part of the transfer, but its facts need the socket.
    drop(record);
    let abort = &worker.shared.abort;
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
        End::Failed { side: Side::Client, .. } => deliver_then_reset(&server, DELIVER, abort).await,
        // Ended by us: an end of stream that neither side sent would pass off as whole what perhaps is not.
        End::Idle | End::Expired | End::Aborted => {
            let limit = if matches!(end, End::Idle) { DELIVER } else { CUT };
            tokio::join!(leg.deliver_then_reset(limit, abort), deliver_then_reset(&server, limit, abort));
        }
    }
}

/// The server leg of a tunnel, and what was already read from it.
async fn open(server: Server) -> Option<(TcpStream, Registration, Bytes)> {
    match server {
        Server::Dialled(connected) => Some((connected.stream, connected.registration, Bytes::new())),
        Server::Upgraded(upgrade) => {
            let parts = upgrade.await.ok()?.downcast::<TokioIo<OriginIo>>().ok()?;
            let OriginIo { stream, registration } = parts.io.into_inner();
            Some((stream, registration, parts.read_buf))
        }
    }
}
