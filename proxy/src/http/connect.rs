//! CONNECT (RFC 9110 §9.3.6): dial first, answer 200 only when the origin has accepted.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use super::authority::Target;
use super::body::ReplyBody;
use super::refusal::{Accepts, Refusal};
use super::serve::{Handover, chain, refuse_target};
use crate::origin::connect::{Connected, DialError};
use crate::origin::leg::OriginLeg;
use crate::record::Record;

/// A connection that becomes a tunnel, and the record of the request that opened it.
#[derive(Debug)]
pub(crate) struct Tunnel {
    pub(crate) server: Server,
    pub(crate) record: Record,
}

/// The server leg of a tunnel.
#[derive(Debug)]
pub(crate) enum Server {
    /// Dialled for a CONNECT, or got back from hyper.
    Open(OriginLeg),
    /// A plain-HTTP connection on which the origin answered 101.
    Upgraded(OnUpgrade),
}

impl Server {
    /// The socket, and what hyper had already read from it; `None` where hyper has no connection to give back.
    ///
    /// Cancel: the connection is lost.
    pub(crate) async fn open(&mut self) -> Option<(&mut OriginLeg, Bytes)> {
        let mut late = Bytes::new();
        if let Self::Upgraded(upgrade) = self {
            // Boxed: hardly a tunnel needs it.
            let parts = Box::pin(upgrade).await.ok()?.downcast::<TokioIo<OriginLeg>>().ok()?;
            late = parts.read_buf;
            *self = Self::Open(parts.io.into_inner());
        }
        match self {
            Self::Open(origin) => {
                origin.carry_anything();
                Some((origin, late))
            }
            Self::Upgraded(_) => None,
        }
    }
}

/// Answers a CONNECT; on success the tunnel waits in the handover.
pub(crate) async fn open(
    handover: &Arc<Handover>,
    request: &Request<Incoming>,
    mut record: Record,
) -> Response<ReplyBody> {
    match dial(handover, request, &mut record).await {
        Ok(connected) => {
            record.answer(StatusCode::OK.as_u16());
            handover.leave(Tunnel { server: Server::Open(connected.into()), record });
            Response::new(ReplyBody::fixed(""))
        }
        Err(refusal) => {
            // A client may send the tunnel's first bytes along with the request; they are somebody else's, and taken
            // for the next request they could be anything (RFC 9112 section 11.2).
            let refusal = Refusal { close: true, ..refusal };
            record.refuse(&refusal, &Accepts::of(request.headers()), &handover.door.pseudonym)
        }
    }
}

async fn dial(
    handover: &Arc<Handover>,
    request: &Request<Incoming>,
    record: &mut Record,
) -> Result<Connected, Refusal> {
    let uri = request.uri();
    if uri.scheme().is_some() || uri.path_and_query().is_some() {
        return Err(Refusal::malformed("the target of CONNECT is HOST:PORT and nothing else (RFC 9112 section 3.2.3)"));
    }
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let target = Target::from_connect(authority).map_err(refuse_target)?;
    judge_port(handover, &target)?;
    connect(handover, &target, record).await
}

/// Only ports that carry the web, or that no service of old is behind: a mail server would take a request for mail.
pub(crate) fn judge_port(handover: &Handover, target: &Target) -> Result<(), Refusal> {
    let ports = &handover.door.config.http.ports;
    if ports.contains(target.port.get()) {
        return Ok(());
    }
    Err(Refusal::denied(format!("port {} is not allowed; allowed are {ports} (http.ports)", target.port)))
}

/// Dials a target and notes in the record how that went.
pub(crate) async fn connect(
    handover: &Arc<Handover>,
    target: &Target,
    record: &mut Record,
) -> Result<Connected, Refusal> {
    handover.session.set_target(target, None);
    let connected = handover.door.connector.connect(target).await.map_err(|error| refuse_dial(target, &error))?;
    handover.session.set_target(target, Some(connected.address));
    record.origin = Some(connected.address);
    record.dns = Some(connected.dns);
    record.connect = Some(connected.connect);
    Ok(connected)
}

/// What a failed dial is answered (RFC 9209 §2.3).
fn refuse_dial(target: &Target, error: &DialError) -> Refusal {
    let (token, status) = error.proxy_status();
    let fix = match error {
        DialError::Forbidden(_) => " (closed by default; the operator may list it in origin.allow)",
        _ => "",
    };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    Refusal::new(status, token, format!("{target}: {}{fix}", chain(error)))
}
