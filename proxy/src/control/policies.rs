//! Questions and orders about policies, over the control socket.
//!
//! Answers have their words in `text`, for people, and the rest for programs.

use anabranch_config::{Config, Role};
use bytes::Bytes;
use http::{Method, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use serde::Serialize;
use tokio::sync::oneshot;

use super::default_path;
use super::serve::{json, plain};
use crate::steer::{Desk, Order};

/// A configuration file is not larger.
const LONGEST: usize = 4 * 1024 * 1024;

/// Answers a request about policies.
pub(super) async fn answer(desk: Option<&Desk>, request: http::Request<Incoming>) -> Response<Full<Bytes>> {
    let Some(desk) = desk else {
        return plain(StatusCode::NOT_FOUND, elsewhere(&default_path(Role::Steer)));
    };
    let (parts, body) = request.into_parts();
    let config = match read(body).await {
        Ok(config) => config,
        Err(refusal) => return refusal,
    };
    let order = match (parts.method, parts.uri.path(), config) {
        (Method::GET, "/policies", _) => Order::List,
        (Method::DELETE, "/policies", _) => Order::Clear,
        (Method::PUT, "/policies", Some(config)) => Order::Apply(config),
        (Method::PUT, "/policies", None) => {
            return plain(StatusCode::UNPROCESSABLE_ENTITY, "a configuration has to come with it\n".to_owned());
        }
        (Method::POST, "/policies/plan", config) => Order::Plan(config),
        (Method::GET, "/policies/explain", _) => Order::Explain(of(parts.uri.query())),
        _ => {
            let text = "known are GET, PUT and DELETE /policies, POST /policies/plan and GET /policies/explain?of=\n";
            return plain(StatusCode::METHOD_NOT_ALLOWED, text.to_owned());
        }
    };
    let (reply, answered) = oneshot::channel();
    desk.order(order, reply);
    match answered.await {
        Ok(Ok(answer)) => json(&answer),
        Ok(Err(refused)) => plain(refused.status(), format!("{refused}\n")),
        Err(_) => plain(StatusCode::SERVICE_UNAVAILABLE, "nothing is steered here: the log says why\n".to_owned()),
    }
}

/// Who is to be asked instead of a process that does not steer.
fn elsewhere(steers: &std::path::Path) -> String {
    let steers = steers.display();
    format!(
        "this process carries bytes and does not steer; the one that does (`run --role steer`, anabranch-steer.service) is asked without \
         --socket, or with --socket {steers}; if it does not answer there, it does not run, or control.socket has it elsewhere\n"
    )
}

/// What is asked about: `of=` in the query.
fn of(query: Option<&str>) -> String {
    let of = query.unwrap_or_default().split('&').find_map(|pair| pair.strip_prefix("of=")).unwrap_or_default();
    percent_encoding::percent_decode_str(of).decode_utf8_lossy().into_owned()
}

/// The configuration that came along, if one did.
async fn read(body: Incoming) -> Result<Option<Box<Config>>, Response<Full<Bytes>>> {
    let unreadable = |text: String| plain(StatusCode::UNPROCESSABLE_ENTITY, text);
    let bytes = Limited::new(body, LONGEST).collect().await.map_err(|error| unreadable(format!("{error}\n")))?;
    let bytes = bytes.to_bytes();
    if bytes.is_empty() {
        return Ok(None);
    }
    let text = std::str::from_utf8(&bytes).map_err(|error| unreadable(format!("not UTF-8: {error}\n")))?;
    let config = anabranch_config::parse(text, std::path::Path::new("policies"));
    config.map(|config| Some(Box::new(config))).map_err(|error| unreadable(format!("{error}\n")))
}

/// An answer: words for people, and values for programs.
#[derive(Debug, Serialize)]
pub struct Answer {
    /// The words.
    pub text: String,
    /// The values.
    #[serde(flatten)]
    pub values: serde_json::Value,
}
