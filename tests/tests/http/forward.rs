//! Promise: an absolute-form request reaches its origin as the client meant it, over as few connections as may be, and
//! answers come back in the order of the requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anabranch_tests::message::Kind;
use anabranch_tests::{Client, Origin};

use crate::proxy;

fn request(method: &str, origin: &Origin, path: &str, fields: &str, body: &str) -> String {
    format!("{method} http://{0}{path} HTTP/1.1\r\nHost: {0}\r\n{fields}\r\n{body}", origin.address)
}

/// Our name in `Via` is new in every process.
fn named(text: &str) -> String {
    let Some(at) = text.find("anabranch-") else { return text.to_owned() };
    text.replace(&text[at..at + "anabranch-".len() + 8], "{me}")
}

#[test]
fn requests_and_answers_lose_what_belongs_to_one_hop_and_nothing_else() {
    let mut proxy = proxy("");
    let origin = Origin::answering(
        "HTTP/1.1 200 Fine By Me\r\nServer: x\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nConnection: X-Hop, keep-alive\r\n\
         X-Hop: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: close\r\nProxy-Authenticate: Basic\r\n\
         Via: 1.0 inner\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Length: 5\r\n\r\nhello",
    );
    let fields = "Accept: */*\r\nX-Mixed-CASE: Kept\r\nCookie: a=1\r\nCookie: b=2\r\nConnection: X-Hop\r\nX-Hop: 1\r\n\
                  Proxy-Connection: keep-alive\r\nProxy-Authorization: Basic YTpi\r\nTE: gzip\r\nVia: 1.1 outer\r\n";
    let mut client = Client::connect(proxy.address);
    let answer = client.ask(request("GET", &origin, "/p?q=%20x", fields, ""));
    let arrived = named(&String::from_utf8(origin.received()).unwrap());
    let host = origin.address;
    let mut lines: Vec<_> = arrived.trim_end().split("\r\n").collect();
    lines[1..].sort_unstable();
    assert_eq!(
        lines,
        [
            "GET /p?q=%20x HTTP/1.1",
            "Accept: */*",
            "Cookie: a=1",
            "Cookie: b=2",
            &format!("Host: {host}"),
            "Via: 1.1 outer",
            "X-Mixed-CASE: Kept",
            "via: 1.1 {me}",
        ]
    );
    assert_eq!(answer.start, "HTTP/1.1 200 Fine By Me");
    let mut fields: Vec<_> = answer.fields.iter().map(|(name, value)| format!("{name}: {}", named(value))).collect();
    fields.sort_unstable();
    assert_eq!(
        fields,
        [
            "Content-Length: 5",
            "Date: Thu, 01 Jan 1970 00:00:00 GMT",
            "Server: x",
            "Set-Cookie: a=1",
            "Set-Cookie: b=2",
            "Via: 1.0 inner",
            "via: 1.1 {me}",
        ]
    );
    assert_eq!(answer.text(), "hello");
    proxy.assert_healthy();
}

#[test]
fn bodies_pass_in_both_framings_both_ways() {
    let mut proxy = proxy("");
    let origin = Origin::start(|conversation| {
        while let Some(request) = conversation.request() {
            let text = format!("{} {}", request.chunked, request.text());
            if request.start.contains("/chunked") {
                let (a, b) = text.split_at(2);
                conversation.say(format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{a}\r\n"));
                conversation.say(format!("{:x}\r\n{b}\r\n0\r\n\r\n", b.len()));
            } else {
                let body = if request.start.starts_with("HEAD") { "" } else { &text };
                conversation.say(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", text.len()));
            }
        }
    });
    let mut client = Client::connect(proxy.address);
    for path in ["/length", "/chunked"] {
        let chunked = path == "/chunked";
        let answer = client.ask(request("POST", &origin, path, "Content-Length: 5\r\n", "hello"));
        assert_eq!((answer.text().as_str(), answer.chunked), ("false hello", chunked));
        let body = "1\r\nh\r\n4\r\nello\r\n0\r\n\r\n";
        let answer = client.ask(request("PUT", &origin, path, "Transfer-Encoding: chunked\r\n", body));
        assert_eq!((answer.text().as_str(), answer.chunked), ("true hello", chunked));
    }
    client.send(request("HEAD", &origin, "/length", "", ""));
    let head = client.try_answer(Kind::Bodiless).unwrap();
    assert_eq!(head.field("content-length").as_deref(), Some("6"));
    assert_eq!(client.ask(request("GET", &origin, "/length", "", "")).text(), "false ");
    assert_eq!(origin.connections(), 1);
    assert_eq!(origin.faults(), [""; 0]);
    proxy.assert_healthy();
}

#[test]
fn declared_trailers_pass_both_ways_and_no_others() {
    let proxy = proxy("");
    let origin = Origin::start(|conversation| {
        while let Some(request) = conversation.request() {
            let seen: Vec<_> = request.trailers.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let body = format!("{seen:?} {:?} {:?}", request.field("te"), request.field("connection"));
            conversation.say(format!(
                "HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\
                 X-Sum: 2\r\nX-Undeclared: 3\r\nContent-Length: 9\r\n\r\n",
                body.len()
            ));
        }
    });
    let body = "2\r\nhi\r\n0\r\nX-Sum: 1\r\nX-Undeclared: 4\r\nContent-Length: 9\r\n\r\n";
    let mut client = Client::connect(proxy.address);
    let fields = "TE: trailers\r\nConnection: TE\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n";
    let answer = client.ask(request("POST", &origin, "/", fields, body));
    assert_eq!(answer.text().to_lowercase(), "[\"x-sum=1\"] some(\"trailers\") some(\"te\")");
    let trailers: Vec<_> = answer.trailers.iter().map(|(name, value)| (name.to_lowercase(), value.as_str())).collect();
    assert_eq!(trailers, [("x-sum".to_owned(), "2")]);
    // Who does not say that it takes trailers gets none (RFC 9110 section 6.5.1).
    let answer = client.ask(request("GET", &origin, "/", "", ""));
    assert_eq!((answer.text().as_str(), answer.trailers.len(), answer.field("trailer")), ("[] None None", 0, None));
}

#[test]
fn many_clients_share_a_kept_connection_to_an_origin() {
    let proxy = proxy("");
    let origin = Origin::friendly();
    for _ in 0..5 {
        // One after the other, so that the connection is free every time.
        assert_eq!(Client::connect(proxy.address).ask(request("GET", &origin, "/", "", "")).status(), 200);
    }
    assert_eq!(origin.connections(), 1);
    let other = Origin::friendly();
    assert_eq!(Client::connect(proxy.address).ask(request("GET", &other, "/", "", "")).status(), 200);
    assert_eq!((origin.connections(), other.connections()), (1, 1));
}

#[test]
fn a_kept_connection_that_the_origin_closed_costs_nothing() {
    let proxy = proxy("");
    let origin = Origin::start(|conversation| {
        if conversation.request().is_some() {
            conversation.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let mut client = Client::connect(proxy.address);
    // At once, so that the request meets the close halfway: this may be asked twice.
    for _ in 0..20 {
        assert_eq!(client.ask(request("GET", &origin, "/", "", "")).status(), 200);
    }
    // A while later, when the close has been seen: this may not.
    for _ in 0..3 {
        std::thread::sleep(Duration::from_millis(100));
        assert_eq!(client.ask(request("POST", &origin, "/", "Content-Length: 4\r\n", "body")).status(), 200);
    }
    assert_eq!((origin.connections(), origin.faults()), (23, vec![]));
}

#[test]
fn an_origin_that_ends_without_an_answer_is_asked_twice_only_where_that_does_no_harm() {
    let proxy = proxy("");
    // Without a body; with an empty one; with one.
    for (method, fields, body, status, times) in [
        ("GET", "", "", 200, 3),
        ("HEAD", "", "", 200, 3),
        ("DELETE", "", "", 200, 3),
        ("POST", "Content-Length: 0\r\n", "", 502, 2),
        ("PUT", "Content-Length: 4\r\n", "body", 502, 2),
    ] {
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = asked.clone();
        let origin = Origin::start(move |conversation| {
            // The first answer lets the connection be kept; the request after it is taken and left alone.
            while let Some(request) = conversation.request() {
                assert!(request.fields.iter().any(|(name, _)| name == "X-Case"), "{:?}", request.fields);
                if counted.fetch_add(1, Ordering::Relaxed) == 1 {
                    return conversation.close();
                }
                conversation.say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
            }
        });
        let mut client = Client::connect(proxy.address);
        assert_eq!(client.ask(request("GET", &origin, "/", "X-Case: 1\r\n", "")).status(), 200);
        client.send(request(method, &origin, "/", &format!("X-Case: 1\r\n{fields}"), body));
        let kind = if method == "HEAD" { Kind::Bodiless } else { Kind::Answer };
        let answer = client.try_answer(kind).unwrap();
        let error = (status == 502).then_some("http_response_incomplete");
        assert_eq!((answer.status(), answer.error().as_deref()), (status, error), "{method}");
        assert_eq!(asked.load(Ordering::Relaxed), times, "{method} (RFC 9112 section 9.3.1)");
    }
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    let proxy = proxy("");
    let origin = Origin::start(|conversation| {
        while let Some(request) = conversation.request() {
            let path = request.start.split(' ').nth(1).unwrap_or_default().to_owned();
            // The first takes longest.
            std::thread::sleep(Duration::from_millis(if path == "/1" { 200 } else { 0 }));
            conversation.say(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{path}", path.len()));
        }
    });
    let mut client = Client::connect(proxy.address);
    let mut burst = String::new();
    for number in 1..=9 {
        let (fields, body) = if number % 2 == 0 { ("Content-Length: 4\r\n", "body") } else { ("", "") };
        burst.push_str(&request("POST", &origin, &format!("/{number}"), fields, body));
    }
    client.send(burst);
    let answers: Vec<_> = (1..=9).map(|_| client.answer().text()).collect();
    assert_eq!(answers, ["/1", "/2", "/3", "/4", "/5", "/6", "/7", "/8", "/9"]);
    assert_eq!(origin.faults(), [""; 0]);
}

#[test]
fn a_connection_that_carries_an_identity_serves_nobody_else() {
    let proxy = proxy("");
    let origin = Origin::friendly();
    let get = |fields: &str| request("GET", &origin, "/", fields, "");
    assert_eq!(Client::connect(proxy.address).ask(get("Authorization: NTLM TlRMTVNTUAAB\r\n")).status(), 200);
    assert_eq!(Client::connect(proxy.address).ask(get("")).status(), 200);
    assert_eq!(origin.connections(), 2);
    // Without one it does: the test would otherwise say nothing.
    assert_eq!(Client::connect(proxy.address).ask(get("")).status(), 200);
    assert_eq!(origin.connections(), 2);
}
