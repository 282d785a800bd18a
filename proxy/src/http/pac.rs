//! `GET /proxy.pac` and `/wpad.dat`: what browsers are told (`[pac]`).
//!
//! Without credentials, where the listener asks for some: a browser fetches the file before it knows that it will be asked, and it says
//! nothing that a client must not know.

use std::net::SocketAddr;

use anabranch_deploy::client::pac::{CONTENT_TYPE, here, script};
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Response, Uri};

use super::body::ReplyBody;
use crate::door::Door;

/// Whether the file is asked for, in one of the two places where clients look.
pub(crate) fn is_asked(method: &Method, uri: &Uri) -> bool {
    (method == Method::GET || method == Method::HEAD) && matches!(uri.path(), "/proxy.pac" | "/wpad.dat")
}

/// The file. `reached` is the address the client reached.
pub(crate) fn answer(door: &Door, fields: &HeaderMap, reached: SocketAddr) -> Response<ReplyBody> {
    let host = fields.get(header::HOST).and_then(|host| host.to_str().ok());
    let mut response = Response::new(ReplyBody::fixed(script(&door.config.pac, &here(host, reached))));
    let fields = response.headers_mut();
    fields.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    // A reload must reach browsers the same day.
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("max-age=3600"));
    response
}
