//! Requests that end at the proxy itself.

use http::header::{self, HeaderValue};
use http::{HeaderName, Method, Request, Response, Uri};

use super::body::ReplyBody;
use super::refusal::Refusal;

/// Fields a TRACE answer must not echo (RFC 9110 §9.3.8).
const SECRET: [HeaderName; 3] = [header::AUTHORIZATION, header::PROXY_AUTHORIZATION, header::COOKIE];

/// The answer to a TRACE of which we are the last hop: the request as it arrived, without its credentials.
pub(crate) fn trace<B>(request: &Request<B>) -> Response<ReplyBody> {
    let mut echo = format!("{} {} {:?}\r\n", request.method(), request.uri(), request.version());
    for (name, value) in request.headers() {
        if !SECRET.contains(name) {
            echo.push_str(name.as_str());
            echo.push_str(": ");
            echo.push_str(&String::from_utf8_lossy(value.as_bytes()));
            echo.push_str("\r\n");
        }
    }
    let mut response = Response::new(ReplyBody::fixed(echo));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("message/http"));
    response
}

/// The answer to an OPTIONS of which we are the last hop, or which asks about the server as a whole.
pub(crate) fn options() -> Response<ReplyBody> {
    let mut response = Response::new(ReplyBody::fixed(""));
    let allow = HeaderValue::from_static("CONNECT, DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT, TRACE");
    response.headers_mut().insert(header::ALLOW, allow);
    response
}

/// The target of a request that is for the proxy itself: origin-form or `*` (RFC 9112 §3.2).
pub(crate) fn is_for_us(uri: &Uri) -> bool {
    uri.scheme().is_none() && uri.authority().is_none()
}

/// What a request to the proxy itself is told.
pub(crate) fn not_an_origin(method: &Method, uri: &Uri) -> Result<Response<ReplyBody>, Refusal> {
    if method == Method::OPTIONS && uri.path() == "*" {
        return Ok(options());
    }
    Err(Refusal::new(
        http::StatusCode::BAD_REQUEST,
        "http_request_error",
        "this is a forward proxy, not an origin: set it as the HTTP proxy of your client \
         (curl -x http://PROXY:3128 URL), which then sends the whole URL",
    ))
}
