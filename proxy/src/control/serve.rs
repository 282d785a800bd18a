//! The answering side of the control socket.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

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

use crate::reload::{Listening, ListeningNow};
use crate::worker::Shared;

/// A caller that sends no request in this time is dropped.
const HEAD: Duration = Duration::from_secs(5);

/// What answers are made of.
pub(super) struct Desk {
    pub(super) shared: Arc<Shared>,
    pub(super) families: Registry,
    pub(super) listening: ListeningNow,
    /// The socket belongs to a group: whoever its permissions let connect may ask.
    pub(super) open_to_group: bool,
}

pub(super) async fn run(listener: UnixListener, desk: Arc<Desk>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) if may_ask(&stream, &desk) => {
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

fn may_ask(stream: &UnixStream, desk: &Desk) -> bool {
    let Ok(peer) = stream.peer_cred() else { return false };
    desk.open_to_group || peer.uid() == 0 || peer.uid() == nix::unistd::geteuid().as_raw()
}

async fn converse(stream: UnixStream, desk: Arc<Desk>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let desk = desk.clone();
        async move { Ok::<_, Infallible>(answer(&desk, &request)) }
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

fn answer(desk: &Desk, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    if request.method() != Method::GET {
        return plain(StatusCode::METHOD_NOT_ALLOWED, "only GET is answered here\n".to_owned());
    }
    match request.uri().path() {
        "/status" => json(&status(desk)),
        "/connections" => json(&desk.shared.registry.lines()),
        "/metrics" => {
            let mut text = String::new();
            match prometheus_client::encoding::text::encode(&mut text, &desk.families) {
                Ok(()) => plain(StatusCode::OK, text),
                Err(_) => plain(StatusCode::INTERNAL_SERVER_ERROR, "the counters cannot be written\n".to_owned()),
            }
        }
        _ => plain(StatusCode::NOT_FOUND, "known are /status, /connections and /metrics\n".to_owned()),
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
}

fn status(desk: &Desk) -> Status {
    Status {
        version: env!("CARGO_PKG_VERSION"),
        pid: std::process::id(),
        listeners: desk.listening.lock().clone(),
        sessions: desk.shared.registry.len(),
        draining: desk.shared.draining.is_cancelled(),
        counters: counters(&desk.families),
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

fn json(value: &impl Serialize) -> Response<Full<Bytes>> {
    match serde_json::to_vec(value) {
        Ok(bytes) => {
            let mut response = Response::new(Full::new(bytes.into()));
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            response
        }
        Err(_) => plain(StatusCode::INTERNAL_SERVER_ERROR, "the answer cannot be written\n".to_owned()),
    }
}

fn plain(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    response
}
