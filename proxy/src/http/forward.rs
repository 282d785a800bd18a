//! Absolute-form requests: rewritten for the origin, sent over a kept or new connection, answered as the origin does.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::header::{self, HeaderValue};
use http::uri::{Parts as UriParts, PathAndQuery};
use http::{Method, Request, Response, StatusCode, Uri, Version};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1};
use hyper_util::rt::TokioIo;
use tokio_util::sync::DropGuard;

use super::authority::Target;
use super::body::{ReplyBody, RequestBody};
use super::connect::{Server, Tunnel, connect};
use super::expect::{Gate, expects_continue};
use super::fields::{self, Forwards};
use super::refusal::{Accepts, Refusal};
use super::serve::{Handover, chain, loop_detected};
use super::via::Pseudonym;
use super::{framing, local};
use crate::origin::leg::OriginLeg;
use crate::origin::pool::{Idle, Key};
use crate::outcome::Outcome;
use crate::record::Record;
use crate::worker::Worker;

/// The port of `http` (RFC 9110 §4.2.1).
const HTTP_PORT: u16 = 80;

/// Forwards a request and streams the answer back.
pub(crate) async fn forward(
    handover: &Arc<Handover>,
    request: Request<Incoming>,
    target: Target,
    mut record: Record,
) -> Response<ReplyBody> {
    let pseudonym = &handover.door.pseudonym;
    let accepted = Accepts::of(request.headers());
    if pseudonym.is_in(request.headers()) {
        return record.refuse(&loop_detected(), &accepted, pseudonym);
    }
    match exchange(handover, request, &target, pseudonym, &mut record).await {
        Ok(Answer::Origin(response, give_back, gate)) => {
            record.answer(response.status().as_u16());
            let limit = handover.door.config.timeouts.body_idle;
            response.map(|incoming| ReplyBody::origin(incoming, limit, record, Some(give_back)).release(gate))
        }
        Ok(Answer::Switch(mut response)) => {
            record.answer(response.status().as_u16());
            let upgraded = hyper::upgrade::on(&mut response);
            handover.leave(Tunnel { server: Server::Upgraded(upgraded), record });
            response.map(|_| ReplyBody::fixed(""))
        }
        Ok(Answer::Ours(response)) => {
            record.outcome = Outcome::Completed;
            record.answer(response.status().as_u16());
            response
        }
        Err(refusal) => record.refuse(&refusal, &accepted, pseudonym),
    }
}

enum Answer {
    Origin(Response<Incoming>, GiveBack, Option<DropGuard>),
    /// 101: the connection becomes a tunnel.
    Switch(Response<Incoming>),
    /// TRACE or OPTIONS of which we are the last hop.
    Ours(Response<ReplyBody>),
}

async fn exchange(
    handover: &Arc<Handover>,
    mut request: Request<Incoming>,
    target: &Target,
    pseudonym: &Pseudonym,
    record: &mut Record,
) -> Result<Answer, Refusal> {
    if let Some(answer) = last_hop(&mut request)? {
        return Ok(Answer::Ours(answer));
    }
    if request.headers().contains_key(header::EXPECT) && !expects_continue(request.headers()) {
        let detail = "the only expectation known is 100-continue";
        return Err(Refusal::new(StatusCode::EXPECTATION_FAILED, "http_request_error", detail));
    }
    let upgrade = fields::wanted_upgrade(request.version(), request.headers());
    let trailers = fields::takes_trailers(request.headers());
    rewrite(&mut request, target, upgrade.as_ref(), pseudonym)?;
    let (gate, guard) = Gate::of(&mut request).unzip();
    let limit = handover.door.config.timeouts.body_idle;
    let request = request.map(|incoming| RequestBody::new(incoming, limit, record, gate));
    let own = fields::authenticates_connection(request.headers(), &header::AUTHORIZATION);
    let (mut response, mut give_back) = send(handover, request, target, record).await?;
    give_back.keep = !own && !fields::authenticates_connection(response.headers(), &header::WWW_AUTHENTICATE);
    framing::judge_answer(response.headers()).map_err(|(error, what)| bad_answer(error, what))?;
    framing::spell_length(response.headers_mut());
    let version = response.version();
    let switch = response.headers().get(header::UPGRADE).cloned();
    fields::strip_hop_by_hop(response.headers_mut());
    if !trailers {
        response.headers_mut().remove(header::TRAILER);
    }
    pseudonym.add_to(response.headers_mut(), version);
    *response.version_mut() = Version::HTTP_11;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Ok(Answer::Origin(response, give_back, guard));
    }
    let (Some(asked), Some(protocol)) = (upgrade, switch) else {
        return Err(bad_answer("http_upgrade_failed", "it switches protocols although nobody asked"));
    };
    if !fields::offers(&asked, &protocol) {
        return Err(bad_answer("http_upgrade_failed", "it switches to a protocol that was not asked for"));
    }
    response.headers_mut().insert(header::UPGRADE, protocol);
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    Ok(Answer::Switch(response))
}

/// Counts `Max-Forwards` down; answers where it has run out.
fn last_hop(request: &mut Request<Incoming>) -> Result<Option<Response<ReplyBody>>, Refusal> {
    let method = request.method().clone();
    match fields::count_forwards(&method, request.headers_mut()) {
        Forwards::Malformed => {
            Err(Refusal::new(StatusCode::BAD_REQUEST, "http_request_error", "Max-Forwards is not a number"))
        }
        Forwards::Exhausted if method == Method::TRACE => Ok(Some(local::trace(request))),
        Forwards::Exhausted => Ok(Some(local::options())),
        Forwards::Counted | Forwards::Unlimited => Ok(None),
    }
}

/// Turns the request as the client sent it into the one the origin gets (RFC 9110 §7.6, RFC 9112 §3.2).
pub(super) fn rewrite(
    request: &mut Request<Incoming>,
    target: &Target,
    upgrade: Option<&HeaderValue>,
    pseudonym: &Pseudonym,
) -> Result<(), Refusal> {
    let version = request.version();
    let trailers = fields::takes_trailers(request.headers());
    let headers = request.headers_mut();
    fields::strip_hop_by_hop(headers);
    // There is one at the most: `framing::judge` has seen to it.
    if !headers.get(header::HOST).is_some_and(|host| target.is_spelt(host, HTTP_PORT)) {
        headers.insert(header::HOST, target.host_header(HTTP_PORT));
    }
    pseudonym.add_to(headers, version);
    if trailers {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
        headers.append(header::CONNECTION, HeaderValue::from_static("TE"));
    }
    if let Some(protocol) = upgrade {
        headers.insert(header::UPGRADE, protocol.clone());
        headers.append(header::CONNECTION, HeaderValue::from_static("upgrade"));
    }
    framing::spell_length(headers);
    *request.uri_mut() = origin_form(request.uri())?;
    *request.version_mut() = Version::HTTP_11;
    Ok(())
}

/// Path and query, byte for byte; an empty path is `/` (RFC 9112 §3.2.1).
fn origin_form(uri: &Uri) -> Result<Uri, Refusal> {
    let mut parts = UriParts::default();
    parts.path_and_query = Some(uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/")));
    Uri::from_parts(parts).map_err(|_| Refusal::malformed("the request target has no usable path"))
}

/// Sends on a kept connection, or a new one. A kept connection the origin had just closed costs one more try.
async fn send(
    handover: &Arc<Handover>,
    mut request: Request<RequestBody>,
    target: &Target,
    record: &mut Record,
) -> Result<(Response<Incoming>, GiveBack), Refusal> {
    let key = handover.door.key(target);
    let worker = &handover.worker;
    let mut may_reuse = true;
    loop {
        let kept = may_reuse.then(|| worker.pool.checkout(&key, std::time::Instant::now())).flatten();
        let reused = kept.is_some();
        let copy = if reused { copy_of(&request) } else { None };
        let mut idle = match kept {
            Some(idle) => {
                record.origin = Some(idle.address);
                handover.session.set_target(target, Some(idle.address));
                idle
            }
            None => open(handover, target, record).await?,
        };
        let mut error = match first_answer(handover, &mut idle, request).await? {
            Ok(response) => {
                idle.requests += 1;
                let give_back = GiveBack { worker: worker.clone(), key, idle, keep: true };
                return Ok((response, give_back));
            }
            Err(error) => error,
        };
        let unsent = error.take_message();
        let error = error.into_error();
        request = match (unsent, copy) {
            // Nothing of it was written: it may go out again, whatever its method.
            (Some(unsent), _) if reused => unsent,
            // It met the origin's close halfway. Once more, where twice does no harm, and not into the next such race.
            (None, Some(copy)) if !error.is_parse() && !error.is_user() => {
                may_reuse = false;
                copy
            }
            _ => return Err(refuse_answer(&error)),
        };
    }
}

/// The request once more, if sending it twice means no more than once (RFC 9110 §9.2.2) and it has no body.
fn copy_of(request: &Request<RequestBody>) -> Option<Request<RequestBody>> {
    if !request.method().is_idempotent() || !request.body().is_end_stream() {
        return None;
    }
    let mut copy = Request::new(RequestBody::empty());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    *copy.headers_mut() = request.headers().clone();
    // hyper keeps the case of their names there.
    *copy.extensions_mut() = request.extensions().clone();
    Some(copy)
}

type Sent = Result<Response<Incoming>, TrySendError<Request<RequestBody>>>;

/// Waits for the head of the answer; the time runs once the request's body has ended (which has a limit of its own).
async fn first_answer(
    handover: &Handover,
    idle: &mut Idle<RequestBody>,
    request: Request<RequestBody>,
) -> Result<Sent, Refusal> {
    let limit = handover.door.config.timeouts.response_head;
    let upload = request.body().upload();
    let mut sent = std::pin::pin!(idle.sender.try_send_request(request));
    loop {
        let uploading = upload.as_ref().is_some_and(|upload| upload.is_under_way());
        if let Ok(sent) = tokio::time::timeout(limit, sent.as_mut()).await {
            return Ok(sent);
        }
        if !uploading {
            let detail = format!("the origin did not answer within {} s", limit.as_secs());
            return Err(Refusal::new(StatusCode::GATEWAY_TIMEOUT, "http_response_timeout", detail));
        }
    }
}

/// A new connection to the origin; its task owns the socket.
async fn open(handover: &Arc<Handover>, target: &Target, record: &mut Record) -> Result<Idle<RequestBody>, Refusal> {
    let connected = connect(handover, target, record).await?;
    let address = connected.address;
    let limits = &handover.door.config.limits;
    let (sender, connection) = http1::Builder::new()
        .preserve_header_case(true)
        .max_headers(limits.headers.into())
        .max_header_size(usize::try_from(limits.header_bytes.bytes()).unwrap_or(usize::MAX))
        .handshake(TokioIo::new(OriginLeg::from(connected)))
        .await
        .map_err(|error| refuse_answer(&error))?;
    tokio::spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(error = %chain(&error), "connection to an origin ended by an error");
        }
    });
    Ok(Idle { sender, address, requests: 0 })
}

/// A connection that goes back to the pool once the answer's body has been read.
#[derive(Debug)]
pub(crate) struct GiveBack {
    worker: Arc<Worker>,
    key: Key,
    idle: Idle<RequestBody>,
    /// Others may use it.
    keep: bool,
}

/// How long a connection may take to become ready for the next request after its answer has ended.
const READY: Duration = Duration::from_secs(5);

impl GiveBack {
    /// Gives it back now, or as soon as hyper says that it can take another request.
    pub(crate) fn now(self) {
        let Self { worker, key, mut idle, keep } = self;
        if !keep {
            return;
        }
        if idle.sender.is_ready() {
            worker.pool.checkin(key, idle, std::time::Instant::now());
            return;
        }
        if idle.sender.is_closed() {
            return;
        }
        tokio::spawn(async move {
            if let Ok(Ok(())) = tokio::time::timeout(READY, idle.sender.ready()).await {
                worker.pool.checkin(key, idle, std::time::Instant::now());
            }
        });
    }
}

/// An answer of the origin's that cannot be passed on.
fn bad_answer(error: &'static str, what: &str) -> Refusal {
    Refusal::new(StatusCode::BAD_GATEWAY, error, format!("the origin's answer cannot be passed on: {what}"))
}

/// What a failed exchange is answered (RFC 9209 §2.3).
fn refuse_answer(error: &hyper::Error) -> Refusal {
    if error.is_user() {
        // The request's own body broke off: the client is at fault, or gone.
        return Refusal::malformed(format!("the request body broke off: {}", chain(error)));
    }
    let token = if error.is_parse_too_large() {
        "http_response_header_section_size"
    } else if error.is_parse() {
        "http_protocol_error"
    } else if error.is_incomplete_message() {
        "http_response_incomplete"
    } else {
        "connection_terminated"
    };
    bad_answer(token, &chain(error))
}

/// The kernel's word inside a hyper error, if there is one.
pub(crate) fn error_kind(error: &hyper::Error) -> io::ErrorKind {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if let Some(error) = cause.downcast_ref::<io::Error>() {
            return error.kind();
        }
        source = cause.source();
    }
    if error.is_incomplete_message() { io::ErrorKind::UnexpectedEof } else { io::ErrorKind::InvalidData }
}
