//! Methods and the fields that mean something to a proxy (RFC 9110 §7.6 to §7.8, §9.3, §10.1).

use super::{After, Expect, Row, bare, canonical, canonical_then_closed, refused, row};

fn with(method: &str, fields: &str) -> String {
    format!("{method} http://{{o}}/ HTTP/1.1\r\nHost: {{o}}\r\n{fields}\r\n")
}

/// What arrives of a request without a body.
fn arrives(method: &str, fields: &str) -> String {
    format!("{method} / HTTP/1.1\r\nHost: {{o}}\r\n{fields}via: 1.1 {{me}}\r\n\r\n")
}

fn ours(name: &'static str, request: &str, status: u16) -> Row {
    row(name, request, Expect::Ours { status, error: None, after: After::Open })
}

pub(super) fn rows() -> Vec<Row> {
    let stays =
        |name, method: &'static str, fields: &str| canonical(name, with(method, fields), &arrives(method, fields));
    let goes = |name, fields: &str| canonical(name, with("GET", fields), &arrives("GET", ""));
    vec![
        // Methods.
        stays("method in small letters is another method", "get", ""),
        stays("method nobody knows", "FROBNICATE", ""),
        stays("method of odd characters", "X!#$%&'*+-.^_`|~", ""),
        bare("method that is no token", "G(ET http://{o}/ HTTP/1.1\r\nHost: {o}\r\n\r\n", 400),
        stays("TRACE", "TRACE", ""),
        ours("OPTIONS with no forwards left", &with("OPTIONS", "Max-Forwards: 0\r\n"), 200),
        ours("OPTIONS about the proxy", "OPTIONS * HTTP/1.1\r\nHost: {o}\r\n\r\n", 200),
        canonical(
            "OPTIONS without a path",
            "OPTIONS http://{o} HTTP/1.1\r\nHost: {o}\r\n\r\n",
            &arrives("OPTIONS", ""),
        ),
        stays("OPTIONS about its first page", "OPTIONS", ""),
        ours("TRACE with no forwards left", &with("TRACE", "Max-Forwards: 0\r\nCookie: secret\r\n"), 200),
        canonical(
            "OPTIONS with forwards left",
            with("OPTIONS", "Max-Forwards: 2\r\n"),
            &arrives("OPTIONS", "Max-Forwards: 1\r\n"),
        ),
        stays("Max-Forwards of GET means nothing", "GET", "Max-Forwards: 0\r\n"),
        row(
            "Max-Forwards that is no number",
            with("TRACE", "Max-Forwards: -1\r\n"),
            Expect::Ours { status: 400, error: Some("http_request_error"), after: After::Open },
        ),
        refused("TRACE with a body", with("TRACE", "Content-Length: 5\r\n") + "hello", 400, "http_request_error"),
        refused(
            "CONNECT with a body",
            "CONNECT {o} HTTP/1.1\r\nHost: {o}\r\nContent-Length: 5\r\n\r\nhello",
            400,
            "http_request_error",
        ),
        refused(
            "CONNECT with a chunked body",
            "CONNECT {o} HTTP/1.1\r\nHost: {o}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
            "http_request_error",
        ),
        // Expectations.
        row(
            "expectation nobody knows",
            with("GET", "Expect: 200-ok\r\n"),
            Expect::Ours { status: 417, error: Some("http_request_error"), after: After::Open },
        ),
        row(
            "two expectations",
            with("GET", "Expect: 100-continue, 200-ok\r\n"),
            Expect::Ours { status: 417, error: Some("http_request_error"), after: After::Open },
        ),
        row(
            "two expectations on two lines",
            with("GET", "Expect: 100-continue\r\nExpect: 200-ok\r\n"),
            Expect::Ours { status: 417, error: Some("http_request_error"), after: After::Open },
        ),
        // Connection and what it may name.
        goes("fields of one hop", "Keep-Alive: 5\r\nProxy-Connection: keep-alive\r\nX: y\r\nConnection: x\r\n"),
        goes("Connection over two lines", "X: y\r\nZ: y\r\nConnection: x\r\nConnection: ,, z ,\r\n"),
        stays("Connection naming a field that is not there", "GET", ""),
        canonical(
            "Connection cannot take Host away",
            with("GET", "Connection: Host, Via, Authorization\r\nAuthorization: a\r\n"),
            &arrives("GET", "Authorization: a\r\n"),
        ),
        canonical(
            "Connection cannot take Content-Length away",
            with("POST", "Content-Length: 5\r\nConnection: content-length\r\n") + "hello",
            &(arrives("POST", "Content-Length: 5\r\n") + "hello"),
        ),
        canonical(
            "Connection cannot take Transfer-Encoding away",
            with("POST", "Transfer-Encoding: chunked\r\nConnection: transfer-encoding\r\n") + "5\r\nhello\r\n0\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: {o}\r\nvia: 1.1 {me}\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        ),
        canonical_then_closed("Connection: close", with("GET", "Connection: close\r\n"), &arrives("GET", "")),
        goes("credentials for us stay here", "Proxy-Authorization: Basic YTpi\r\n"),
        goes("challenge from a client", "Proxy-Authenticate: Basic\r\n"),
        // Upgrade.
        goes("Upgrade that Connection does not name", "Upgrade: websocket\r\n"),
        canonical_then_closed(
            "Upgrade in HTTP/1.0",
            "GET http://{o}/ HTTP/1.0\r\nHost: {o}\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: {o}\r\nvia: 1.0 {me}\r\n\r\n",
        ),
        canonical(
            "HTTP2-Settings ends here, so that no origin may change to h2c",
            with("GET", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"),
            "GET / HTTP/1.1\r\nHost: {o}\r\nvia: 1.1 {me}\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n",
        ),
        // Via.
        canonical(
            "Via of others is kept, ours comes last",
            with("GET", "Via: 1.0 a, 1.1 b\r\n"),
            "GET / HTTP/1.1\r\nHost: {o}\r\nVia: 1.0 a, 1.1 b\r\nvia: 1.1 {me}\r\n\r\n",
        ),
        canonical_then_closed(
            "HTTP/1.0 without Host",
            "GET http://{o}/ HTTP/1.0\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: {o}\r\nvia: 1.0 {me}\r\n\r\n",
        ),
    ]
}
