//! Promise: HTTP/1.0 on either side is served as HTTP/1.0 has it, and an end of connection is never mistaken for an end
//! of a body.

use std::time::Duration;

use anabranch_tests::{Client, End, Origin, PATIENCE};

use crate::proxy;

fn get(origin: &Origin, fields: &str) -> String {
    format!("GET http://{0}/ HTTP/1.0\r\nHost: {0}\r\n{fields}\r\n", origin.address)
}

#[test]
fn a_client_of_http_1_0_gets_no_chunks_and_the_end_of_the_connection() {
    let proxy = proxy("");
    let origin =
        Origin::answering("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nall\r\n6\r\n of it\r\n0\r\n\r\n");
    let mut client = Client::connect(proxy.address);
    let answer = client.ask(get(&origin, ""));
    assert_eq!((answer.text().as_str(), answer.field("transfer-encoding")), ("all of it", None));
    assert_eq!(client.rest(PATIENCE), (Vec::new(), End::Closed));
    assert!(String::from_utf8(origin.received()).unwrap().contains("via: 1.0 anabranch-"));
}

#[test]
fn a_client_of_http_1_0_may_keep_the_connection_where_lengths_are_known() {
    let proxy = proxy("");
    let origin = Origin::friendly();
    let mut client = Client::connect(proxy.address);
    for _ in 0..2 {
        let answer = client.ask(get(&origin, "Connection: keep-alive\r\n"));
        assert_eq!((answer.text().as_str(), answer.field("connection").as_deref()), ("ok", Some("keep-alive")));
    }
    assert_eq!(client.ask(get(&origin, "")).text(), "ok");
    assert_eq!(client.rest(PATIENCE), (Vec::new(), End::Closed));
}

#[test]
fn a_body_that_broke_off_resets_the_connection_of_who_could_not_tell() {
    let proxy = proxy("");
    let origin = Origin::start(|conversation| {
        if conversation.request().is_some() {
            conversation.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nall\r\n");
            // Apart, so that what came is passed on before the end is seen.
            std::thread::sleep(Duration::from_millis(200));
        }
    });
    for request in [get(&origin, ""), get(&origin, "").replace("HTTP/1.0", "HTTP/1.1")] {
        let mut client = Client::connect(proxy.address);
        client.send(request);
        let (got, end) = client.rest(PATIENCE);
        assert_eq!(end, End::Reset, "{}", got.escape_ascii());
        assert!(got.windows(3).any(|three| three == b"all"), "what the origin sent arrives first");
    }
}

#[test]
fn a_client_of_http_1_0_sees_no_interim_answer() {
    let proxy = proxy("");
    let origin = Origin::start(|conversation| {
        if conversation.request().is_some() {
            conversation.say("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let mut client = Client::connect(proxy.address);
    let request = get(&origin, "Content-Length: 5\r\nExpect: 100-continue\r\n").replace("GET", "POST");
    assert_eq!(client.ask(request + "hello").text(), "ok");
}

#[test]
fn an_origin_of_http_1_0_is_heard_until_it_closes() {
    let proxy = proxy("");
    let origin = Origin::start(|conversation| {
        if conversation.request().is_some() {
            conversation.say("HTTP/1.0 200 OK\r\n\r\nold");
        }
    });
    let mut client = Client::connect(proxy.address);
    for connections in 1..=2 {
        let request = format!("GET http://{0}/ HTTP/1.1\r\nHost: {0}\r\n\r\n", origin.address);
        let answer = client.ask(request);
        assert_eq!((answer.text().as_str(), answer.chunked), ("old", true));
        assert!(answer.start.starts_with("HTTP/1.1 ") && answer.field("via").unwrap().starts_with("1.0 "));
        assert_eq!(origin.connections(), connections);
    }
}
