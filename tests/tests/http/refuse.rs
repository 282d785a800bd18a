//! Promise: a refusal says why, in the form its reader can use; limits refuse the one too many and nobody else.

use std::time::Duration;

use anabranch_tests::{Client, End, Origin};
use argon2::password_hash::{PasswordHasher as _, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};

use crate::{proxy, proxy_with};

const CLOSED: &str = "GET http://127.0.0.1/ HTTP/1.1\r\nHost: a\r\n";

fn get(origin: &Origin, fields: &str) -> String {
    format!("GET http://{0}/ HTTP/1.1\r\nHost: {0}\r\n{fields}\r\n", origin.address)
}

#[test]
fn who_asks_for_html_gets_it_and_everybody_else_gets_text() {
    let proxy = proxy("");
    let mut client = Client::connect(proxy.address);
    for (accept, kind, start) in [
        ("", "text/plain; charset=utf-8", "502 Bad Gateway: "),
        ("Accept: */*\r\n", "text/plain; charset=utf-8", "502 Bad Gateway: "),
        ("Accept: text/html,*/*;q=0.8\r\n", "text/html; charset=utf-8", "<!doctype html>"),
        ("Accept: text/html;q=0, */*\r\n", "text/plain; charset=utf-8", "502 Bad Gateway: "),
    ] {
        let answer = client.ask(format!("{CLOSED}{accept}\r\n"));
        assert_eq!((answer.status(), answer.error().as_deref()), (502, Some("destination_ip_prohibited")));
        assert_eq!(answer.field("content-type").as_deref(), Some(kind));
        assert_eq!(answer.field("cache-control").as_deref(), Some("no-store"));
        assert!(answer.text().starts_with(start) && answer.text().contains("loopback address"), "{answer}");
    }
    // A refusal of HEAD has a head only, and the connection goes on.
    client.send(format!("{}\r\n", CLOSED.replace("GET", "HEAD")));
    assert_eq!(client.try_answer(anabranch_tests::message::Kind::Bodiless).unwrap().status(), 502);
    assert_eq!(client.ask(format!("{CLOSED}\r\n")).status(), 502);
}

#[test]
fn after_a_refusal_the_connection_waits_for_the_next_request_as_after_any_answer() {
    let proxy = proxy("[timeouts]\nrequest_head = \"300 ms\"\nkeep_alive = \"1500 ms\"\n");
    let origin = Origin::friendly();
    let mut client = Client::connect(proxy.address);
    for _ in 0..2 {
        assert_eq!(client.ask(format!("{CLOSED}\r\n")).status(), 502);
        // Longer than a head may take, shorter than a connection may be idle.
        assert_eq!(client.rest(Duration::from_millis(700)), (Vec::new(), End::Open));
        assert_eq!(client.ask(get(&origin, "")).status(), 200);
        assert_eq!(client.rest(Duration::from_millis(700)), (Vec::new(), End::Open));
    }
    assert_eq!(client.rest(Duration::from_secs(5)), (Vec::new(), End::Closed), "idle for too long: no answer is due");
}

#[test]
fn credentials_are_asked_for_checked_and_kept_from_the_origin() {
    let cheap = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(64, 1, 1, None).unwrap());
    let salt = SaltString::encode_b64(b"0123456789abcdef").unwrap();
    let users = format!("alice:{}\n", cheap.hash_password(b"secret", &salt).unwrap());
    let config = format!("{}credentials = \"users\"\n", crate::CONFIG);
    let program = env!("CARGO_BIN_EXE_anabranch-under-test");
    let origin_section = "[origin]\nallow = [\"127.9.0.0/16\"]\n";
    let proxy = anabranch_tests::Proxy::start(program, &format!("{origin_section}{config}"), &[("users", &users)]);
    let origin = Origin::friendly();
    let mut client = Client::connect(proxy.address);
    let connect = |fields: &str| format!("CONNECT {0} HTTP/1.1\r\nHost: {0}\r\n{fields}\r\n", origin.address);
    // `alice:wrong`, `bob:secret`, another scheme, and nothing.
    for wrong in ["Basic YWxpY2U6d3Jvbmc=", "Basic Ym9iOnNlY3JldA==", "Bearer x", "Basic", ""] {
        let field = if wrong.is_empty() { String::new() } else { format!("Proxy-Authorization: {wrong}\r\n") };
        for request in [get(&origin, &field), connect(&field)] {
            let answer = client.ask(request);
            assert_eq!((answer.status(), answer.error().as_deref()), (407, Some("http_request_denied")), "{wrong:?}");
            assert!(answer.field("proxy-authenticate").unwrap().starts_with("Basic realm="));
        }
    }
    assert_eq!(origin.connections(), 0);
    // `alice:secret`, on the connection that was challenged.
    let right = "Proxy-Authorization: Basic YWxpY2U6c2VjcmV0\r\n";
    assert_eq!(client.ask(get(&origin, right)).status(), 200);
    assert!(!String::from_utf8(origin.received()).unwrap().to_lowercase().contains("proxy-authorization"));
    client.send(connect(right));
    assert_eq!(client.try_answer(anabranch_tests::message::Kind::Bodiless).unwrap().status(), 200);
}

#[test]
fn requests_beyond_the_rate_are_refused_and_later_ones_served() {
    let proxy = proxy("[limits]\nrequest_rate = 5\n");
    let origin = Origin::friendly();
    let mut client = Client::connect(proxy.address);
    let mut refused = 0;
    for _ in 0..20 {
        let answer = client.ask(get(&origin, ""));
        match answer.status() {
            200 => {}
            429 => {
                assert_eq!(answer.error().as_deref(), Some("http_request_denied"));
                refused += 1;
            }
            _ => panic!("{answer}"),
        }
    }
    assert!((10..=15).contains(&refused), "{refused} of 20 refused; 5 a second, and 5 at once, are allowed");
    // A refused CONNECT ends the connection: what was sent along with it was meant for the tunnel.
    let mut other = Client::connect(proxy.address);
    let hidden = format!("CONNECT {0} HTTP/1.1\r\nHost: {0}\r\n\r\n", origin.address) + &get(&origin, "");
    assert_eq!(other.ask(hidden).status(), 429);
    assert_eq!(other.rest(anabranch_tests::PATIENCE), (Vec::new(), End::Closed));
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(client.ask(get(&origin, "")).status(), 200);
}

#[test]
fn the_connection_too_many_is_told_so_and_the_others_are_served() {
    for (limits, status) in
        [("connections = 2\nconnections_per_client = 2\n", 503), ("connections_per_client = 2\n", 429)]
    {
        let proxy = proxy(&format!("[limits]\n{limits}"));
        let origin = Origin::friendly();
        let mut first = Client::connect(proxy.address);
        let mut second = Client::connect(proxy.address);
        assert_eq!((first.ask(get(&origin, "")).status(), second.ask(get(&origin, "")).status()), (200, 200));
        let mut third = Client::connect(proxy.address);
        let answer = third.answer();
        assert_eq!((answer.status(), answer.error().as_deref()), (status, Some("connection_limit_reached")));
        assert_eq!(third.rest(Duration::from_secs(5)), (Vec::new(), End::Closed));
        drop(first);
        assert_eq!(second.ask(get(&origin, "")).status(), 200);
        // The place of the first is free as soon as its end has been seen.
        let deadline = std::time::Instant::now() + anabranch_tests::PATIENCE;
        loop {
            let answer = Client::connect(proxy.address).ask(get(&origin, ""));
            if answer.status() == 200 {
                break;
            }
            assert!(std::time::Instant::now() < deadline, "{answer}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

#[test]
fn connections_beyond_the_rate_are_refused() {
    let proxy = proxy("[limits]\nconnection_rate = 3\n");
    let origin = Origin::friendly();
    let statuses: Vec<_> = (0..6).map(|_| Client::connect(proxy.address).ask(get(&origin, "")).status()).collect();
    assert_eq!(statuses[..3], [200; 3]);
    assert!(statuses[3..].contains(&429), "{statuses:?}");
}

#[test]
fn who_is_no_client_is_told_before_it_is_heard() {
    let config = format!("{}clients = [\"192.0.2.0/24\"]\n", crate::CONFIG);
    let proxy = anabranch_tests::Proxy::start(env!("CARGO_BIN_EXE_anabranch-under-test"), &config, &[]);
    let answer = Client::connect(proxy.address).answer();
    assert_eq!((answer.status(), answer.error().as_deref()), (403, Some("http_request_denied")));
}

#[test]
fn addresses_of_this_machine_are_closed_even_where_the_whole_internet_is_open() {
    let proxy = proxy_with("[origin]\nallow = [\"0.0.0.0/0\", \"::/0\"]\n", "", &[]);
    let mut client = Client::connect(proxy.address);
    for target in ["127.0.0.1", "0.0.0.0", "[::1]", "169.254.169.254", "[::ffff:127.0.0.1]", "[fd00:ec2::254]"] {
        let answer = client.ask(format!("GET http://{target}/ HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_eq!((answer.status(), answer.error().as_deref()), (502, Some("destination_ip_prohibited")), "{target}");
    }
}
