//! Promise: with `Expect: 100-continue` the origin decides whether the body is sent at all (RFC 9110 §10.1.1).

use std::time::{Duration, Instant};

use anabranch_tests::message::Kind;
use anabranch_tests::{Client, Conversation, Origin};

use crate::proxy;

fn head(origin: &Origin) -> String {
    format!(
        "POST http://{0}/ HTTP/1.1\r\nHost: {0}\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
        origin.address
    )
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[test]
fn an_origin_that_says_100_gets_the_body_and_the_client_the_100() {
    let proxy = proxy("");
    let origin = Origin::start(|conversation: &mut Conversation| {
        let Some(head) = conversation.head() else { return };
        assert!(head.contains("Expect: 100-continue"));
        conversation.say("HTTP/1.1 100 Continue\r\n\r\n");
        if conversation.exactly(5) == b"hello" {
            conversation.say(OK);
        }
    });
    let mut client = Client::connect(proxy.address);
    let asked = Instant::now();
    assert_eq!(client.ask(head(&origin)).status(), 100);
    assert!(asked.elapsed() < Duration::from_millis(900), "not ours, which comes after a second");
    assert_eq!(client.ask("hello").text(), "ok");
}

#[test]
fn an_origin_that_refuses_is_spared_the_body() {
    let proxy = proxy("");
    for status in [417, 401, 200] {
        let origin = Origin::start(move |conversation| {
            if conversation.head().is_some() {
                conversation.say(format!("HTTP/1.1 {status} X\r\nContent-Length: 2\r\n\r\nno"));
                assert!(!conversation.hears_within(Duration::from_millis(1500)));
            }
        });
        let mut client = Client::connect(proxy.address);
        let answer = client.ask(head(&origin));
        assert_eq!((answer.status(), answer.text().as_str()), (status, "no"));
        // The announced body is still due (RFC 9110 section 10.1.1): it is thrown away, or the connection ends.
        let other = Origin::friendly();
        client.send(format!("helloGET http://{0}/ HTTP/1.1\r\nHost: {0}\r\n\r\n", other.address));
        match client.try_answer(Kind::Answer) {
            Ok(answer) => assert_eq!((answer.status(), answer.text().as_str()), (200, "ok")),
            Err(error) => assert!(error.starts_with("cut off") && error.ends_with("\"\""), "{error}"),
        }
        origin.wait();
        assert!(origin.received().ends_with(b"\r\n\r\n"), "{}", origin.received().escape_ascii());
    }
}

#[test]
fn an_origin_that_knows_no_100_gets_the_body_after_a_second() {
    let proxy = proxy("");
    let origin = Origin::start(|conversation| {
        if conversation.request().is_some() {
            conversation.say(OK);
        }
    });
    let mut client = Client::connect(proxy.address);
    let asked = Instant::now();
    assert_eq!(client.ask(head(&origin)).status(), 100);
    let waited = asked.elapsed();
    assert!((Duration::from_millis(900)..Duration::from_secs(5)).contains(&waited), "{waited:?}");
    assert_eq!(client.ask("hello").text(), "ok");
}

#[test]
fn a_client_that_does_not_wait_is_served_all_the_same() {
    let proxy = proxy("");
    let origin = Origin::start(|conversation| {
        if conversation.head().is_some() {
            conversation.say("HTTP/1.1 100 Continue\r\n\r\n");
            conversation.exactly(5);
            conversation.say(OK);
        }
    });
    let mut client = Client::connect(proxy.address);
    client.send(head(&origin) + "hello");
    let mut answer = client.answer();
    // The 100 may come or not: the body was there already.
    if answer.status() == 100 {
        answer = client.answer();
    }
    assert_eq!(answer.text(), "ok");
}
