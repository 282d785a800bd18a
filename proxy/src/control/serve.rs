//! The answering side of the control socket.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use anabranch_sniffer::Token;
use anabranch_sniffer::facts::KernelConnection;
use anabranch_sniffer::story::ConnectionFacts;
use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::registry::Registry;
use serde::Serialize;
use tokio::net::{UnixListener, UnixStream};

use super::{Subject, may_ask, policies};
use crate::link::SessionFacts;
use crate::reload::Listening;
use crate::session::Line;
use crate::steer::Witnesses;

/// A caller that sends no request in this time is dropped.
const HEAD: Duration = Duration::from_secs(5);

/// What answers are made of.
pub(super) struct Desk {
    pub(super) subject: Subject,
    /// The socket belongs to a group: whoever its permissions let connect may ask.
    pub(super) open_to_group: bool,
}

pub(super) async fn run(listener: UnixListener, desk: Arc<Desk>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) if may_ask(&stream, desk.open_to_group) => {
                tokio::spawn(converse(stream, desk.clone()));
            }
            Ok((stream, _)) => {
                let peer = stream.peer_cred().ok().map(|peer| peer.uid());
                tracing::warn!(uid = ?peer, "control socket: refused; only root and our own user may ask");
            }
            Err(error) => {
                tracing::warn!(%error, "control socket: accept fails");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

async fn converse(stream: UnixStream, desk: Arc<Desk>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let desk = desk.clone();
        async move { Ok::<_, Infallible>(answer(&desk, request).await) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "control socket: conversation broke off");
    }
}

async fn answer(desk: &Desk, request: Request<Incoming>) -> Response<Full<Bytes>> {
    if request.uri().path().starts_with("/policies") {
        return policies::answer(desk.subject.steer.as_deref(), request).await;
    }
    if request.method() != Method::GET {
        return plain(StatusCode::METHOD_NOT_ALLOWED, "only GET is answered here\n".to_owned());
    }
    match request.uri().path() {
        "/status" => json(&status(desk)),
        "/connections" => json(&connections(desk)),
        "/metrics" => {
            let mut text = String::new();
            match prometheus_client::encoding::text::encode(&mut text, &desk.subject.families) {
                Ok(()) => plain(StatusCode::OK, text),
                Err(_) => plain(StatusCode::INTERNAL_SERVER_ERROR, "the counters cannot be written\n".to_owned()),
            }
        }
        _ => plain(StatusCode::NOT_FOUND, "known are /status, /connections, /policies and /metrics\n".to_owned()),
    }
}

#[derive(Serialize)]
struct Status {
    version: &'static str,
    pid: u32,
    listeners: Vec<Listening>,
    sessions: usize,
    draining: bool,
    counters: BTreeMap<String, u64>,
    /// Whether somebody who steers, in this process or another, is told of the sessions.
    steered: bool,
    /// How the witnesses are, where this process has the steering side.
    witnesses: Option<Witnesses>,
}

/// One connection: the session it is, and what each witness says of it.
#[derive(Serialize)]
struct Connection {
    #[serde(flatten)]
    session: Session,
    kernel: Option<KernelConnection>,
    wire: Vec<ConnectionFacts>,
}

/// Who tells of the session: the proxy in this process, the one in another, or nobody.
#[derive(Serialize)]
#[serde(untagged)]
enum Session {
    Ours(Line),
    Told(SessionFacts),
    Nobodys { session: Option<u64>, token: Option<Token> },
}

/// The sessions of this process first, each with what is known of its connection; then connections that are no sessions of its.
fn connections(desk: &Desk) -> Vec<Connection> {
    let known = desk.subject.steer.as_ref().map(|steer| steer.connections()).unwrap_or_default();
    let (mut by_token, mut others) = (BTreeMap::new(), Vec::new());
    for line in known {
        match line.token {
            Some(token) => drop(by_token.insert(token, line)),
            None => others.push(line),
        }
    }
    let mut lines = Vec::new();
    for session in desk.subject.shared.registry.lines() {
        let known = session.token().and_then(|token| by_token.remove(&token));
        let (kernel, wire) = known.map_or((None, Vec::new()), |line| (line.kernel, line.wire));
        lines.push(Connection { session: Session::Ours(session), kernel, wire });
    }
    let rest = by_token.into_values().chain(others);
    lines.extend(rest.map(|line| {
        let session = match line.session {
            Some(told) => Session::Told(told),
            None => Session::Nobodys { session: None, token: line.token },
        };
        Connection { session, kernel: line.kernel, wire: line.wire }
    }));
    lines
}

fn status(desk: &Desk) -> Status {
    Status {
        version: env!("CARGO_PKG_VERSION"),
        pid: std::process::id(),
        listeners: desk.subject.listening.lock().clone(),
        sessions: desk.subject.shared.registry.len(),
        draining: desk.subject.shared.draining.is_cancelled(),
        counters: counters(&desk.subject.families),
        steered: desk.subject.shared.registry.is_followed(),
        witnesses: desk.subject.steer.as_ref().map(|steer| steer.witnesses()),
    }
}

/// Every counter by its exposition name, `name{reason="..."}`.
fn counters(families: &Registry) -> BTreeMap<String, u64> {
    let mut text = String::new();
    if prometheus_client::encoding::text::encode(&mut text, families).is_err() {
        return BTreeMap::new();
    }
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let pairs = lines.filter_map(|line| line.rsplit_once(' '));
    pairs.filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?))).collect()
}

pub(super) fn json(value: &impl Serialize) -> Response<Full<Bytes>> {
    match serde_json::to_vec(value) {
        Ok(bytes) => {
            let mut response = Response::new(Full::new(bytes.into()));
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            response
        }
        Err(_) => plain(StatusCode::INTERNAL_SERVER_ERROR, "the answer cannot be written\n".to_owned()),
    }
}

pub(super) fn plain(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    response
}
