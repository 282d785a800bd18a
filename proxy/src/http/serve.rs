//! One client connection: requests in order, until it closes or turns into a tunnel.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::os::fd::AsFd as _;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use anabranch_config::Access;
use anabranch_kernel::sockopt::unacknowledged;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::io::AsyncWriteExt as _;
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use super::authority::{BadAuthority, Target};
use super::body::ReplyBody;
use super::connect::{self, Tunnel};
use super::refusal::{Accepts, Refusal};
use super::{credentials, doctor, forward, framing, local, pac};
use crate::admit::Permit;
use crate::door::Door;
use crate::leg::{CUT, ClientIo, DELIVER, Leg};
use crate::outcome::Outcome;
use crate::record::Record;
use crate::session::Session;
use crate::watchdog::Watchdog;
use crate::worker::Worker;

/// What the requests of one connection share.
#[derive(Debug)]
pub(crate) struct Handover {
    pub(crate) worker: Arc<Worker>,
    pub(crate) door: Arc<Door>,
    pub(crate) session: Arc<Session>,
    pub(crate) leg: Arc<Leg>,
    pub(crate) permit: Permit,
    /// Where the client reached us, if it is still there.
    local: Option<SocketAddr>,
    /// Set by the request that turns the connection into a tunnel.
    tunnel: Mutex<Option<Box<Tunnel>>>,
    busy: AtomicBool,
}

impl Handover {
    pub(crate) fn new(
        worker: &Arc<Worker>,
        door: &Arc<Door>,
        session: &Arc<Session>,
        leg: &Arc<Leg>,
        permit: Permit,
    ) -> Arc<Self> {
        Arc::new(Self {
            worker: worker.clone(),
            door: door.clone(),
            session: session.clone(),
            leg: leg.clone(),
            permit,
            local: leg.stream().local_addr().ok(),
            tunnel: Mutex::new(None),
            busy: AtomicBool::new(false),
        })
    }

    /// Leaves the tunnel for when the answer that opens it has been sent.
    pub(crate) fn leave(&self, tunnel: Tunnel) {
        *self.tunnel.lock() = Some(Box::new(tunnel));
    }

    /// Starts the record of a request.
    pub(crate) fn record<B>(&self, request: &Request<B>) -> Record {
        let access = self.door.config.log.access;
        let shared = &self.worker.shared;
        let new = |request| Record::new(&self.session, &shared.metrics, &shared.access_log, access, request);
        if access == Access::Off {
            return new((String::new(), String::new(), None));
        }
        let uri = request.uri();
        // Without what stands before an @: it could be a password.
        let origin = |authority: &http::uri::Authority| {
            authority.as_str().rsplit_once('@').map_or(authority.as_str(), |(_, origin)| origin).to_owned()
        };
        let target = uri.authority().map_or_else(|| uri.path().to_owned(), origin);
        let path = (access == Access::Full)
            .then(|| uri.path_and_query().map(ToString::to_string))
            .flatten()
            .filter(|_| uri.scheme().is_some());
        new((request.method().to_string(), target, path))
    }
}

/// Marks a connection busy for as long as it lives.
#[derive(Debug)]
pub(crate) struct Busy(Arc<Handover>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.store(false, Ordering::Relaxed);
    }
}

/// What becomes of a connection after its last request.
#[derive(Debug)]
pub(crate) enum Next {
    /// It ends; what the client still sends is of no interest.
    Close,
    /// It broke off in an answer: the client must not take what it got for the whole. So long may delivery take.
    Reset(Duration),
    /// It carries a tunnel from here on; `early` was read behind the request that opened it.
    Tunnel { io: ClientIo, early: Bytes, tunnel: Box<Tunnel> },
}

/// Serves requests until the connection ends or turns into a tunnel.
///
/// Cancel: the request under way is given up.
pub(crate) async fn serve(io: ClientIo, handover: &Arc<Handover>) -> Next {
    let limits = &handover.door.config.limits;
    let header_bytes = usize::try_from(limits.header_bytes.bytes()).unwrap_or(usize::MAX);
    let mut connection = http1::Builder::new()
        .half_close(true)
        .preserve_header_case(true)
        .max_headers(limits.headers.into())
        .max_header_size(header_bytes)
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(io), Requests(handover.clone()));
    let mut patience = Patience::new(handover);
    let mut closing = pin!(handover.worker.shared.closing.cancelled());
    let mut abort = pin!(handover.worker.shared.abort.cancelled());
    let mut told = false;
    let ended = poll_fn(|cx| {
        if abort.as_mut().poll(cx).is_ready() {
            handover.session.cut_off.store(true, Ordering::Relaxed);
            return Poll::Ready(Ended::CutOff);
        }
        if !told && closing.as_mut().poll(cx).is_ready() {
            told = true;
            Pin::new(&mut connection).graceful_shutdown();
        }
        if let Poll::Ready(done) = connection.poll_without_shutdown(cx) {
            return Poll::Ready(Ended::Served(done));
        }
        patience.poll(cx, handover, told)
    })
    .await;
    let parts = connection.into_parts();
    let mut io = parts.io.into_inner();
    match ended {
        Ended::Served(Ok(())) => match handover.tunnel.lock().take() {
            Some(tunnel) => return Next::Tunnel { io, early: parts.read_buf, tunnel },
            None => tracing::debug!(session = handover.session.id, "connection done"),
        },
        Ended::Served(Err(error)) => {
            tracing::debug!(session = handover.session.id, error = %chain(&error), "connection ended by an error");
            // hyper calls a body that we gave it and that failed an error of its user's.
            if error.is_user() {
                drop(timeout(DELIVER, io.flush()).await);
                return Next::Reset(DELIVER);
            }
        }
        Ended::CutOff => {
            handover.worker.shared.cut_off.fetch_add(1, Ordering::Relaxed);
            return Next::Reset(CUT);
        }
        Ended::HeadTooSlow(limit) => {
            let detail = format!("the request head did not arrive within {} s", limit.as_secs_f32());
            let refusal = Refusal::new(StatusCode::REQUEST_TIMEOUT, "http_request_error", detail);
            // Best effort: the client is not reading, or not writing, as it should.
            let bytes = refusal.bare(&handover.door.pseudonym);
            drop(poll_fn(|cx| Poll::Ready(tokio::io::AsyncWrite::poll_write(Pin::new(&mut io), cx, &bytes))).await);
        }
        Ended::Stuck => {
            tracing::debug!(session = handover.session.id, "the client stopped reading an answer");
            return Next::Reset(CUT);
        }
        Ended::Idle => {}
    }
    // TLS says goodbye before the socket does; a leg that is gone already loses nothing by failing here.
    drop(timeout(DELIVER, io.shutdown()).await);
    Next::Close
}

/// An error with its causes, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

enum Ended {
    Served(hyper::Result<()>),
    /// A request head began and did not end in time.
    HeadTooSlow(Duration),
    /// No request came.
    Idle,
    /// An answer is ready, and the client does not take it.
    Stuck,
    /// The process stops, and the grace time is over.
    CutOff,
}

/// Watches the time between requests: so long for a head to begin, so long for it to end.
struct Patience {
    timer: Pin<Box<Sleep>>,
    waiting: Waiting,
    /// Requests begun when last looked.
    requests: u32,
    /// Watches a client that does not take what we have for it; the count is of bytes written when it last did.
    stuck: Option<(Watchdog, u64)>,
}

#[derive(Clone, Copy, PartialEq)]
enum Waiting {
    /// A request is under way, or its answer is.
    No,
    /// Nothing of the next request has come; so many bytes had.
    ForHead { received: u64 },
    /// A head has begun.
    ForRest,
}

impl Patience {
    fn new(handover: &Handover) -> Self {
        let deadline = Instant::now() + handover.door.config.timeouts.keep_alive;
        // What a TLS handshake took is no part of a head.
        let waiting = Waiting::ForHead { received: handover.leg.received() };
        Self { timer: Box::pin(sleep_until(deadline)), waiting, requests: 0, stuck: None }
    }

    fn poll(&mut self, cx: &mut Context<'_>, handover: &Handover, closing: bool) -> Poll<Ended> {
        let timeouts = &handover.door.config.timeouts;
        let received = handover.leg.received();
        let requests = handover.session.requests.load(Ordering::Relaxed);
        // A request that is refused at once comes and goes between two looks: its bytes begin no new head.
        let came_and_went = std::mem::replace(&mut self.requests, requests) != requests;
        if handover.leg.write_blocked() {
            self.waiting = Waiting::No;
            return self.poll_stuck(cx, handover).map(|()| Ended::Stuck);
        }
        self.stuck = None;
        let now = match self.waiting {
            _ if handover.busy.load(Ordering::Relaxed) => Waiting::No,
            _ if came_and_went => Waiting::ForHead { received },
            Waiting::No => Waiting::ForHead { received },
            Waiting::ForHead { received: before } if received > before => Waiting::ForRest,
            same => same,
        };
        if now != self.waiting {
            self.waiting = now;
            let limit = if now == Waiting::ForRest { timeouts.request_head } else { timeouts.keep_alive };
            self.timer.as_mut().reset(Instant::now() + limit);
        }
        match now {
            Waiting::No => Poll::Pending,
            Waiting::ForHead { .. } if closing => Poll::Ready(Ended::Idle),
            Waiting::ForHead { .. } => self.timer.as_mut().poll(cx).map(|()| Ended::Idle),
            Waiting::ForRest => self.timer.as_mut().poll(cx).map(|()| Ended::HeadTooSlow(timeouts.request_head)),
        }
    }
}

impl Patience {
    fn poll_stuck(&mut self, cx: &mut Context<'_>, handover: &Handover) -> Poll<()> {
        let (leg, limit) = (&handover.leg, handover.door.config.timeouts.body_idle);
        let (watchdog, sent) = self.stuck.get_or_insert_with(|| (Watchdog::new(limit), leg.sent()));
        if std::mem::replace(sent, leg.sent()) != leg.sent() {
            watchdog.progressed();
        }
        watchdog.poll_stuck(cx, &|| unacknowledged(leg.as_fd()).map_or(0, u64::from))
    }
}

/// The service hyper calls.
struct Requests(Arc<Handover>);

impl Service<Request<Incoming>> for Requests {
    type Response = Response<ReplyBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let handover = self.0.clone();
        handover.busy.store(true, Ordering::Relaxed);
        let busy = Busy(handover.clone());
        Box::pin(async move {
            let mut response = answer(&handover, request).await;
            response.body_mut().hold(busy);
            Ok(response)
        })
    }
}

/// Judges a request, then hands it to the one that can answer it.
async fn answer(handover: &Arc<Handover>, request: Request<Incoming>) -> Response<ReplyBody> {
    let mut record = handover.record(&request);
    let pseudonym = &handover.door.pseudonym;
    if let Err(mut refusal) = judge(handover, &request) {
        // What follows may have been meant for the tunnel.
        refusal.close |= request.method() == Method::CONNECT;
        return record.refuse(&refusal, &Accepts::of(request.headers()), pseudonym);
    }
    let ours = local::is_for_us(request.uri());
    if ours
        && pac::is_asked(request.method(), request.uri())
        && let Some(reached) = handover.local
    {
        return done(record, pac::answer(&handover.door, request.headers(), reached));
    }
    if let Some(credentials) = &handover.door.credentials {
        match credentials.subscriber(request.headers()).await {
            Some(name) => handover.session.set_subscriber(name),
            None => {
                record.outcome = Outcome::Refused("credentials");
                record.answer(StatusCode::PROXY_AUTHENTICATION_REQUIRED.as_u16());
                return credentials::challenge(request.headers(), pseudonym);
            }
        }
    }
    if request.method() == Method::CONNECT {
        return connect::open(handover, &request, record).await;
    }
    let target = if ours {
        let asked = doctor::is_asked(request.method(), request.uri());
        let answered = if asked {
            doctor::answer(handover, request.uri())
        } else {
            local::not_an_origin(request.method(), request.uri())
        };
        match answered {
            Ok(response) => return done(record, response),
            Err(refusal) => Err(refusal),
        }
    } else {
        Target::from_absolute(request.uri()).map_err(refuse_target)
    };
    match target.and_then(|target| connect::judge_port(handover, &target).map(|()| target)) {
        // Boxed: three times as large as all the rest, of which a CONNECT needs nothing.
        Ok(target) => Box::pin(forward::forward(handover, request, target, record)).await,
        Err(refusal) => record.refuse(&refusal, &Accepts::of(request.headers()), pseudonym),
    }
}

/// Writes down an answer of our own that is no refusal.
fn done(mut record: Record, response: Response<ReplyBody>) -> Response<ReplyBody> {
    record.outcome = Outcome::Completed;
    record.count_to_client(http_body::Body::size_hint(response.body()).exact().unwrap_or(0));
    record.answer(response.status().as_u16());
    response
}

/// Everything that can be refused from the head alone.
fn judge(handover: &Handover, request: &Request<Incoming>) -> Result<(), Refusal> {
    if let Some(local) = handover.local
        && handover.worker.shared.outgoing.is_loop(handover.session.client, local)
    {
        return Err(loop_detected());
    }
    if !handover.permit.allows_request() {
        let rate = handover.door.config.limits.request_rate;
        let detail = format!("more than {rate} requests a second from this client (limits.request_rate)");
        return Err(Refusal::new(StatusCode::TOO_MANY_REQUESTS, "http_request_denied", detail));
    }
    framing::judge(request.method(), request.version(), request.headers())
}

/// The request has come back to us.
pub(crate) fn loop_detected() -> Refusal {
    Refusal::new(StatusCode::BAD_GATEWAY, "proxy_loop_detected", "the request has been through this proxy already")
}

/// What a bad target is answered.
pub(crate) fn refuse_target(bad: BadAuthority) -> Refusal {
    let (status, error) = match bad {
        BadAuthority::Https => (StatusCode::NOT_IMPLEMENTED, "http_request_error"),
        BadAuthority::SingleLabel | BadAuthority::SiteName => (StatusCode::FORBIDDEN, "http_request_denied"),
        _ => (StatusCode::BAD_REQUEST, "http_request_error"),
    };
    Refusal::new(status, error, format!("the request target is refused: {bad}"))
}
