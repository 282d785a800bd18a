//! Lines, names and sizes: what a head is made of (RFC 9112 §2 to §5).

use std::time::Duration;

use super::{Expect, Row, bare, canonical, dropped, refused, row};

fn get(fields: &str) -> String {
    format!("GET http://{{o}}/ HTTP/1.1\r\nHost: {{o}}\r\n{fields}\r\n")
}

const PLAIN: &str = "GET / HTTP/1.1\r\nHost: {o}\r\nvia: 1.1 {me}\r\n\r\n";

fn slow(row: Row, pace: u64) -> Row {
    Row { pace: Some(Duration::from_millis(pace)), ..row }
}

pub(super) fn rows() -> Vec<Row> {
    let timeout = |name, request: &str| {
        let expect = Expect::Ours { status: 408, error: Some("http_request_error"), after: super::After::Closed };
        row(name, request, expect)
    };
    vec![
        // Line ends.
        canonical("lines ended by LF", "GET http://{o}/ HTTP/1.1\nHost: {o}\n\n", PLAIN),
        bare("lines ended by CR", "GET http://{o}/ HTTP/1.1\rHost: {o}\r\r", 400),
        bare("CR inside a value", get("X: a\rY: b\r\n"), 400),
        bare("CR at the end of a value", get("X: a\r\r\n"), 400),
        bare("CR inside a name", get("X\rY: b\r\n"), 400),
        bare("obs-fold", get("X: a\r\n b\r\n"), 400),
        bare("obs-fold with a tab", get("X: a\r\n\tTransfer-Encoding: chunked\r\n"), 400),
        bare("whitespace before the first field", "GET http://{o}/ HTTP/1.1\r\n Host: {o}\r\n\r\n", 400),
        canonical("empty line before the request", format!("\r\n{}", get("")), PLAIN),
        // Names and values.
        bare("NUL in a value", get("X: a\0b\r\n"), 400),
        bare("NUL in a name", get("X\0: a\r\n"), 400),
        bare("DEL in a value", get("X: a\x7fb\r\n"), 400),
        bare("escape character in a value", get("X: a\x1b[2Jb\r\n"), 400),
        bare("space before the colon", get("X : a\r\n"), 400),
        bare("tab before the colon", get("X\t: a\r\n"), 400),
        bare("empty name", get(": a\r\n"), 400),
        bare("name that is no token", get("X(Y): a\r\n"), 400),
        bare("name with a slash", get("X/Y: a\r\n"), 400),
        bare("name beyond ASCII", get("X\u{e9}: a\r\n"), 400),
        bare("line without a colon", get("nothing\r\n"), 400),
        canonical(
            "value beyond ASCII passes as it is",
            b"GET http://{o}/ HTTP/1.1\r\nHost: {o}\r\nX: \xc3\xa9\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: {o}\r\nX: \u{e9}\r\nvia: 1.1 {me}\r\n\r\n",
        ),
        canonical("value empty", get("X:\r\n"), "GET / HTTP/1.1\r\nHost: {o}\r\nX:\r\nvia: 1.1 {me}\r\n\r\n"),
        // The request line.
        bare("two spaces behind the method", "GET  http://{o}/ HTTP/1.1\r\nHost: {o}\r\n\r\n", 400),
        bare("two spaces before the version", "GET http://{o}/  HTTP/1.1\r\nHost: {o}\r\n\r\n", 400),
        bare("tab behind the method", "GET\thttp://{o}/ HTTP/1.1\r\nHost: {o}\r\n\r\n", 400),
        bare("space before the method", " GET http://{o}/ HTTP/1.1\r\nHost: {o}\r\n\r\n", 400),
        bare("space in the target", "GET http://{o}/a b HTTP/1.1\r\nHost: {o}\r\n\r\n", 400),
        bare("something behind the version", "GET http://{o}/ HTTP/1.1 x\r\nHost: {o}\r\n\r\n", 400),
        bare("NUL in the target", "GET http://{o}/\0 HTTP/1.1\r\nHost: {o}\r\n\r\n", 400),
        bare("HTTP/0.9", "GET http://{o}/\r\n\r\n", 400),
        bare("HTTP/1.2", "GET http://{o}/ HTTP/1.2\r\nHost: {o}\r\n\r\n", 400),
        bare("HTTP/3.0", "GET http://{o}/ HTTP/3.0\r\nHost: {o}\r\n\r\n", 400),
        bare("http/1.1 in small letters", "GET http://{o}/ http/1.1\r\nHost: {o}\r\n\r\n", 400),
        bare("HTTP/1.1 with zeros", "GET http://{o}/ HTTP/01.1\r\nHost: {o}\r\n\r\n", 400),
        dropped("HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"),
        bare("TLS ClientHello", b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03\x03\r\n\r\n", 400),
        bare("an answer instead of a request", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 400),
        bare("binary", b"\x05\x01\x00\r\n\r\n\xff\xfe\r\n\r\n", 400),
        // Sizes; the table's proxy takes heads of 16 KiB.
        bare("101 fields", get(&"X: y\r\n".repeat(100)), 431),
        bare("one huge field", get(&format!("X: {}\r\n", "y".repeat(17_000))), 431),
        bare("many large fields", get(&format!("X: {}\r\n", "y".repeat(1000)).repeat(20)), 431),
        bare("head without end", get(&format!("X: {}", "y".repeat(2_000_000))), 431),
        bare("fields without end", get(&"X: y\r\n".repeat(100_000)), 431),
        bare(
            "request line of 17 000 bytes",
            format!("GET http://{{o}}/{} HTTP/1.1\r\nHost: {{o}}\r\n\r\n", "a".repeat(17_000)),
            431,
        ),
        bare(
            "request line of 70 000 bytes",
            format!("GET http://{{o}}/{} HTTP/1.1\r\nHost: {{o}}\r\n\r\n", "a".repeat(70_000)),
            431,
        ),
        canonical(
            "request line of 8000 bytes passes (RFC 9112 section 3)",
            format!("GET http://{{o}}/{} HTTP/1.1\r\nHost: {{o}}\r\n\r\n", "a".repeat(8000)),
            &PLAIN.replace("GET / ", &format!("GET /{} ", "a".repeat(8000))),
        ),
        // Host.
        refused("no Host", "GET http://{o}/ HTTP/1.1\r\n\r\n", 400, "http_request_error"),
        refused("Host twice", get("Host: {o}\r\n"), 400, "http_request_error"),
        refused("Host twice, different", get("Host: other.example\r\n"), 400, "http_request_error"),
        refused("Host with a path", "GET http://{o}/ HTTP/1.1\r\nHost: {o}/a\r\n\r\n", 400, "http_request_error"),
        refused(
            "Host with a name in front",
            "GET http://{o}/ HTTP/1.1\r\nHost: a@{o}\r\n\r\n",
            400,
            "http_request_error",
        ),
        refused("Host with a list", "GET http://{o}/ HTTP/1.1\r\nHost: {o}, b\r\n\r\n", 400, "http_request_error"),
        refused("Host with an odd port", "GET http://{o}/ HTTP/1.1\r\nHost: a:8x\r\n\r\n", 400, "http_request_error"),
        refused(
            "Host with a broken bracket",
            "GET http://{o}/ HTTP/1.1\r\nHost: [::1\r\n\r\n",
            400,
            "http_request_error",
        ),
        canonical("Host of another is replaced", "GET http://{o}/ HTTP/1.1\r\nHost: other.example\r\n\r\n", PLAIN),
        canonical("Host empty is replaced", "GET http://{o}/ HTTP/1.1\r\nHost:\r\n\r\n", PLAIN),
        // Time; a head may take a second here.
        slow(timeout("head byte by byte", "GET http://{o}/ HTTP/1.1\r\nHost: {o}\r\n"), 50),
        timeout("head that stops", "GET http://{o}/ HTTP/1.1\r\nHost: {o}\r\nX: "),
        timeout("request line that stops", "GET htt"),
        timeout("only line ends", "\r\n\r\n\r\n\r\n"),
    ]
}
