//! Promise: CONNECT and Upgrade open a tunnel that loses no byte at either end, early or late.

use std::time::Duration;

use anabranch_tests::message::Kind;
use anabranch_tests::{Client, Conversation, End, Origin, PATIENCE};

use crate::{proxy, proxy_with};

fn connect(to: impl std::fmt::Display) -> String {
    format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n\r\n")
}

/// Sends back what it gets, with a greeting in front, until the other side ends.
fn echo(conversation: &mut Conversation) {
    conversation.say("hello from the origin\n");
    loop {
        let bytes = conversation.exactly(1);
        if bytes.is_empty() {
            return conversation.say("over");
        }
        conversation.say(bytes);
    }
}

#[test]
fn connect_carries_what_came_early_and_ends_one_side_at_a_time() {
    let mut proxy = proxy("");
    let origin = Origin::start(echo);
    let mut client = Client::connect(proxy.address);
    client.send(connect(origin.address) + "early ");
    let opened = client.try_answer(Kind::Bodiless).unwrap();
    assert_eq!((opened.status(), opened.field("content-length"), opened.field("transfer-encoding")), (200, None, None));
    assert_eq!(client.exactly(28), b"hello from the origin\nearly ");
    client.send("and late");
    assert_eq!(client.exactly(8), b"and late");
    client.finish();
    assert_eq!(client.rest(PATIENCE), (b"over".to_vec(), End::Closed));
    assert_eq!(origin.received(), b"early and late");
    proxy.assert_healthy();
}

#[test]
fn connect_to_who_does_not_listen_is_an_error_with_a_reason() {
    let proxy = proxy("");
    let gone = Origin::friendly().address;
    // The origin's last accept is over when its socket is.
    while std::net::TcpStream::connect(gone).is_ok() {
        std::thread::sleep(Duration::from_millis(10));
    }
    let answer = Client::connect(proxy.address).ask(connect(gone));
    assert_eq!((answer.status(), answer.error().as_deref()), (502, Some("connection_refused")));
    let get = format!("GET http://{gone}/ HTTP/1.1\r\nHost: {gone}\r\n\r\n");
    let answer = Client::connect(proxy.address).ask(get);
    assert_eq!((answer.status(), answer.error().as_deref()), (502, Some("connection_refused")));
}

#[test]
fn an_upgrade_becomes_a_tunnel_behind_the_101() {
    let mut proxy = proxy("");
    let origin = Origin::start(|conversation| {
        let Some(request) = conversation.request() else { return };
        let key = request.field("sec-websocket-key").unwrap_or_default();
        assert_eq!(request.field("connection").as_deref(), Some("upgrade"));
        // The first frame follows in the same segment.
        conversation.say(format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {key}!\r\n\r\n"
        ));
        echo(conversation);
    });
    let mut client = Client::connect(proxy.address);
    let switched = client.ask(format!(
        "GET http://{0}/chat HTTP/1.1\r\nHost: {0}\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Key: abc\r\n\r\n",
        origin.address
    ));
    assert_eq!((switched.status(), switched.field("upgrade").as_deref()), (101, Some("websocket")));
    assert_eq!(switched.field("connection").as_deref(), Some("upgrade"));
    assert_eq!(switched.field("sec-websocket-accept").as_deref(), Some("abc!"));
    assert_eq!(client.exactly(22), b"hello from the origin\n");
    client.send(b"\x81\x05GET /\r\n\r\n");
    assert_eq!(client.exactly(11), b"\x81\x05GET /\r\n\r\n");
    client.finish();
    assert_eq!(client.rest(PATIENCE), (b"over".to_vec(), End::Closed));
    proxy.assert_healthy();
}

#[test]
fn an_upgrade_that_is_refused_leaves_a_connection_for_the_next_request() {
    let proxy = proxy("");
    let origin = Origin::friendly();
    let mut client = Client::connect(proxy.address);
    for upgrade in ["Connection: upgrade\r\nUpgrade: websocket\r\n", ""] {
        let request = format!("GET http://{0}/ HTTP/1.1\r\nHost: {0}\r\n{upgrade}\r\n", origin.address);
        assert_eq!(client.ask(request).text(), "ok");
    }
}

#[test]
fn a_proxy_that_is_led_to_itself_notices() {
    // Its own listener is allowed as a destination: only the loop itself can be noticed.
    let mut proxy = proxy_with("[origin]\nallow = [\"127.0.0.0/8\"]\n", "", &[]);
    let own = proxy.address;
    let get = format!("GET http://{own}/ HTTP/1.1\r\nHost: {own}\r\n\r\n");
    let answer = Client::connect(own).ask(&get);
    assert_eq!((answer.status(), answer.error().as_deref()), (502, Some("proxy_loop_detected")));

    let mut client = Client::connect(own);
    client.send(connect(own));
    assert_eq!(client.try_answer(Kind::Bodiless).unwrap().status(), 200);
    let answer = client.ask(connect(own));
    assert_eq!((answer.status(), answer.error().as_deref()), (502, Some("proxy_loop_detected")));
    proxy.assert_healthy();
}
