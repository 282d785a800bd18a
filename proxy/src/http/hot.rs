//! What every request costs before anything is dialled, by itself: for who counts its instructions (`tests/bench`).
//!
//! What lives here: a server that reads heads as ours does, judges and rewrites them, and sends them nowhere. Called by the bench's
//! `hot` program, never by the proxy. Invariant: each step is the proxy's own code, none is made up here.

use std::convert::Infallible;

use http::{Request, Response, StatusCode};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::authority::Target;
use super::refusal::Refusal;
use super::serve::refuse_target;
use super::via::Pseudonym;
use super::{fields, forward, framing};

/// Answers heads until the client ends: 204 to one that would have been forwarded, else the refusal's status.
///
/// Errors: hyper's
/// Cancel: the connection ends
pub async fn answer_heads(io: impl AsyncRead + AsyncWrite + Unpin, name: &str) -> hyper::Result<()> {
    let pseudonym = &Pseudonym::new(name.to_owned()).expect("the bench's name is a token");
    let service = service_fn(async |mut request: Request<Incoming>| {
        let status =
            prepare(&mut request, pseudonym).map_or_else(|refusal| refusal.status, |()| StatusCode::NO_CONTENT);
        let mut response = Response::new(Empty::<bytes::Bytes>::new());
        *response.status_mut() = status;
        Ok::<_, Infallible>(response)
    });
    let mut builder = http1::Builder::new();
    builder.half_close(true).preserve_header_case(true).header_read_timeout(None);
    builder.serve_connection(TokioIo::new(io), service).await
}

fn prepare(request: &mut Request<Incoming>, pseudonym: &Pseudonym) -> Result<(), Refusal> {
    framing::judge(request.method(), request.version(), request.headers())?;
    let target = Target::from_absolute(request.uri()).map_err(refuse_target)?;
    let upgrade = fields::wanted_upgrade(request.version(), request.headers());
    forward::rewrite(request, &target, upgrade.as_ref(), pseudonym)
}
