//! `GET /.well-known/anabranch/doctor`: how this very connection looks from here, and bytes to measure it by.
//!
//! Only for who is let in as a client, credentials included, and only so often: it is for a person who waits, not for load.

use std::net::SocketAddr;
use std::os::fd::AsFd as _;

use anabranch_deploy::client::view::{EdgeSubflow, EdgeView, MOST_BYTES, PATH};
use anabranch_kernel::flow::Flow;
use anabranch_kernel::mptcp_pm::PathManager;
use anabranch_kernel::sock_diag::SockDiag;
use anabranch_kernel::sockopt::{SubflowInfo, mptcp_full_info};
use anabranch_kernel::sysctl::{PathManagerKind, path_manager};
use anabranch_kernel::tcp_info::TcpState;
use http::header::{self, HeaderValue};
use http::{Method, Response, StatusCode, Uri};

use super::body::ReplyBody;
use super::refusal::Refusal;
use super::serve::Handover;
use crate::arrival::Fallback;

/// Whether the doctor is asked for.
pub(crate) fn is_asked(method: &Method, uri: &Uri) -> bool {
    method == Method::GET && uri.path() == PATH
}

/// The answer: one line of JSON, then as many bytes as were asked for.
pub(crate) fn answer(handover: &Handover, uri: &Uri) -> Result<Response<ReplyBody>, Refusal> {
    let bytes = bytes(uri)?;
    if !handover.permit.allows_diagnosis(bytes) {
        let detail = "more diagnoses from this client than a person makes: try again in a minute";
        return Err(Refusal::new(StatusCode::TOO_MANY_REQUESTS, "http_request_denied", detail));
    }
    let view = view(handover);
    let mut line = serde_json::to_vec(&view).map_err(|error| {
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "proxy_internal_error", format!("cannot say it: {error}"))
    })?;
    line.push(b'\n');
    let mut response = Response::new(ReplyBody::filled(line, bytes));
    let fields = response.headers_mut();
    fields.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// How many bytes are asked for; none by default.
fn bytes(uri: &Uri) -> Result<u64, Refusal> {
    let mut asked = uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.strip_prefix("bytes="));
    let number = asked.next().map_or(Ok(0), str::parse::<u64>);
    number.ok().filter(|&number| number <= MOST_BYTES).ok_or_else(|| {
        let detail = format!("bytes is a number of at most {MOST_BYTES}");
        Refusal::new(StatusCode::BAD_REQUEST, "http_request_error", detail)
    })
}

fn view(handover: &Handover) -> EdgeView {
    let session = &handover.session;
    let facts = session.facts();
    let leg = handover.leg.stream();
    let edge = leg.local_addr().map_or_else(|_| handover.door.listener.address, canonical);
    let full = mptcp_full_info(handover.leg.as_fd()).ok().flatten().filter(|_| facts.fallback.is_none());
    let mut diag = SockDiag::open().ok();
    let subflows = full.iter().flat_map(|full| &full.subflows).filter_map(|subflow| of_subflow(subflow, diag.as_mut()));
    let manager = path_manager().ok();
    // Under another path manager the limits are not asked.
    let limits = matches!(manager, Some(PathManagerKind::Kernel)).then(|| PathManager::open()?.limits());
    EdgeView {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        listener: session.listener.to_string(),
        client: canonical(session.client),
        edge,
        mptcp: facts.fallback.is_none(),
        fallback: facts.fallback.map(Fallback::as_label).map(str::to_owned),
        token: facts.token.map(|token| format!("{token:08x}")),
        subflows: subflows.collect(),
        subflow_limit: limits.and_then(Result::ok).map(|limits| limits.subflows),
        path_manager: manager.map(|manager| manager.to_string()),
    }
}

fn of_subflow(subflow: &SubflowInfo, diag: Option<&mut SockDiag>) -> Option<EdgeSubflow> {
    // Closed ones have no addresses any more.
    let (edge, client) = (subflow.local?, subflow.remote?);
    let flags = diag.and_then(|diag| {
        let looked = diag
            .tcp_exact(Flow { local: edge, remote: client }, |socket| socket.subflow().map(|subflow| subflow.flags));
        looked.ok().flatten().flatten()
    });
    Some(EdgeSubflow {
        edge: canonical(edge),
        client: canonical(client),
        established: subflow.tcp.state == Some(TcpState::Established),
        backup: flags.map(|flags| flags.backup_by_us()),
        rtt_us: u64::try_from(subflow.tcp.rtt.as_micros()).unwrap_or(u64::MAX),
        mss: subflow.tcp.snd_mss,
        retransmitted: subflow.tcp.total_retrans,
    })
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_bounded_and_nothing_else_counts() {
        let of = |text: &str| bytes(&text.parse().unwrap()).map_err(|refusal| refusal.status.as_u16());
        assert_eq!(of("/x"), Ok(0));
        assert_eq!(of("/x?a=1&bytes=5"), Ok(5));
        assert_eq!(of("/x?bytes=8000000"), Ok(8_000_000));
        for wrong in ["/x?bytes=8000001", "/x?bytes=-1", "/x?bytes=", "/x?bytes=99999999999999999999"] {
            assert_eq!(of(wrong), Err(400), "{wrong}");
        }
    }
}
