//! Listeners that speak TLS, and listeners that ask for a name and a password.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use argon2::password_hash::{PasswordHasher as _, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::support::{Origin, Proxy, Reply, Start, connect, get, mptcp_connect, pattern, read_head};

type TlsStream = StreamOwned<ClientConnection, TcpStream>;

const LISTENER: &str = "[timeouts]\nhandshake = \"700 ms\"\n[[listener]]\nname = \"edge\"\naddress = \"127.0.0.1:0\"\n\
                        tls = { certificate = \"edge.pem\", key = \"edge.key\" }\n";

struct Pair {
    certificate: CertificateDer<'static>,
    pem: String,
    key: String,
}

fn pair() -> Pair {
    let made = rcgen::generate_simple_self_signed(["edge.test".to_owned()]).unwrap();
    Pair { certificate: made.cert.der().clone(), pem: made.cert.pem(), key: made.signing_key.serialize_pem() }
}

fn start(pair: &Pair, more: &str) -> (Proxy, SocketAddr) {
    let start = Start::new(&format!("{LISTENER}{more}"));
    start.dir.write("edge.pem", &pair.pem);
    start.dir.write("edge.key", &pair.key);
    let proxy = start.run();
    let address = proxy.address("edge");
    (proxy, address)
}

/// A client that trusts one certificate. Errors: the handshake fails.
fn dial(stream: TcpStream, trusted: &Pair) -> std::io::Result<TlsStream> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.certificate.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let name = ServerName::try_from("edge.test").unwrap();
    let mut tls = StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), stream);
    while tls.conn.is_handshaking() {
        tls.conn.complete_io(&mut tls.sock)?;
    }
    Ok(tls)
}

#[test]
fn requests_and_tunnels_go_through_tls() {
    let (web, echo) = (Origin::text("hello"), Origin::echo());
    let pair = pair();
    let (proxy, address) = start(&pair, "");
    for stream in [connect(address), mptcp_connect(address)] {
        let mut tls = dial(stream, &pair).unwrap();
        assert_eq!(get(&mut tls, &web.url("/"), "").text(), "hello");
        assert_eq!(crate::support::ask_tunnel(&mut tls, echo.address).status, 200);
        let sent = pattern(300_000);
        let mut back = vec![0; sent.len()];
        // In turns, so that neither side's buffers have to hold it all.
        for (out, back) in sent.chunks(10_000).zip(back.chunks_mut(10_000)) {
            tls.write_all(out).unwrap();
            tls.read_exact(back).unwrap();
        }
        assert!(back == sent, "other bytes came back");
        tls.conn.send_close_notify();
        tls.flush().unwrap();
        // rustls tells a close_notify from a mere end of the stream, which would be an error here.
        assert_eq!(tls.read(&mut [0; 1]).unwrap(), 0);
    }
    let exit = proxy.stop();
    assert_eq!(exit.out.matches(" outcome=completed ").count(), 4, "{}", exit.out);
}

#[test]
fn a_new_certificate_is_read_on_sighup_and_a_wrong_one_is_not() {
    let (first, second) = (pair(), pair());
    let (proxy, address) = start(&first, "");
    let mut before = dial(connect(address), &first).unwrap();
    assert!(dial(connect(address), &second).is_err(), "the test can tell them apart");
    proxy.dir.replace("edge.pem", &second.pem);
    proxy.hang_up("refused");
    proxy.says("edge.key");
    assert!(dial(connect(address), &first).is_ok(), "the old pair stays");
    proxy.dir.replace("edge.key", &second.key);
    proxy.hang_up("unchanged");
    assert!(dial(connect(address), &second).is_ok() && dial(connect(address), &first).is_err());
    let web = Origin::text("hello");
    assert_eq!(get(&mut before, &web.url("/"), "").status, 200, "who was in goes on");
}

#[test]
fn neither_silence_nor_plain_http_holds_a_tls_listener() {
    let (proxy, address) = start(&pair(), "");
    let begun = Instant::now();
    let mut mute = connect(address);
    let mut rest = Vec::new();
    drop(mute.read_to_end(&mut rest));
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(600) && took < Duration::from_secs(3), "{took:?}");
    let begun = Instant::now();
    let mut plain = connect(address);
    plain.write_all(b"GET http://example.com/ HTTP/1.1\r\nhost: example.com\r\n\r\n").unwrap();
    // A TLS alert or nothing; but an end.
    drop(plain.read_to_end(&mut rest));
    assert!(begun.elapsed() < Duration::from_secs(1), "plain HTTP hangs for {:?}", begun.elapsed());
    let turned_away = "anabranch_connections_turned_away_total{reason=\"tls-handshake\"}";
    crate::support::eventually("both are counted", || proxy.counter(turned_away) == 2);
}

fn hash(password: &str) -> String {
    let cheap = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(64, 1, 1, None).unwrap());
    let salt = SaltString::encode_b64(b"0123456789abcdef").unwrap();
    cheap.hash_password(password.as_bytes(), &salt).unwrap().to_string()
}

fn credentials(pair: &str) -> String {
    format!("proxy-authorization: Basic {}\r\n", base64::engine::general_purpose::STANDARD.encode(pair))
}

#[test]
fn credentials_are_asked_for_named_in_the_log_and_read_again() {
    let web = Origin::text("hello");
    let start = Start::new("[[listener]]\nname = \"edge\"\naddress = \"127.0.0.1:0\"\ncredentials = \"users\"\n");
    start.dir.write("users", &format!("ann:{}\n", hash("old")));
    let proxy = start.run();
    let mut stream = connect(proxy.address("edge"));
    let mut ask = |fields: &str| -> Reply { get(&mut stream, &web.url("/"), fields) };
    let asked = ask("");
    assert_eq!(asked.status, 407);
    assert!(asked.field("proxy-authenticate").unwrap().starts_with("Basic realm="), "{asked:?}");
    assert_eq!(ask(&credentials("ann:wrong")).status, 407);
    assert_eq!(ask(&credentials("ann:old")).status, 200);

    proxy.dir.replace("users", "ann:not a hash\n");
    proxy.hang_up("refused");
    proxy.says("users:1: expected NAME:HASH");
    proxy.dir.replace("users", &format!("ann:{}\nbob:{}\n", hash("new"), hash("bobs")));
    proxy.hang_up("unchanged");
    let mut stream = connect(proxy.address("edge"));
    let mut ask = |fields: &str| -> Reply { get(&mut stream, &web.url("/"), fields) };
    assert_eq!(ask(&credentials("ann:old")).status, 407);
    assert_eq!(ask(&credentials("ann:new")).status, 200);
    assert_eq!(ask(&credentials("bob:bobs")).status, 200);
    let exit = proxy.stop();
    assert_eq!(exit.out.matches(" subscriber=ann ").count(), 2, "{}", exit.out);
    assert!(exit.out.contains(" subscriber=bob "), "{}", exit.out);
    let all = exit.out + &exit.log;
    for secret in [hash("new").as_str(), "bobs", &credentials("ann:old")[28..40]] {
        assert!(!all.contains(secret), "{secret} is in the log: {all}");
    }
}

#[test]
fn wrong_passwords_are_paced_and_do_not_stop_the_right_one() {
    let web = Origin::text("hello");
    let start = Start::new(
        "[limits]\nrequest_rate = 20\n[[listener]]\nname = \"edge\"\naddress = \"127.0.0.1:0\"\ncredentials = \"users\"\n",
    );
    start.dir.write("users", &format!("ann:{}\n", hash("right")));
    let proxy = start.run();
    let address = proxy.address("edge");
    let mut stream = connect(address);
    let guesses = (0..60).map(|guess| get(&mut stream, &web.url("/"), &credentials(&format!("ann:{guess}"))).status);
    let guesses: Vec<_> = guesses.collect();
    let paced = guesses.iter().filter(|status| **status == 429).count();
    assert!(paced >= 20 && guesses[0] == 407, "only {paced} of 60 guesses were paced: {guesses:?}");
    let elsewhere = crate::support::connect_from(crate::support::own_address().into(), address);
    let mut elsewhere = elsewhere;
    assert_eq!(get(&mut elsewhere, &web.url("/"), &credentials("ann:right")).status, 200);
}

#[test]
fn an_answer_over_tls_ends_with_close_notify() {
    let web = Origin::new(|mut stream| {
        drop(stream.read(&mut [0; 1024]));
        drop(stream.write_all(b"HTTP/1.0 200 OK\r\n\r\n"));
        drop(stream.write_all(&pattern(400_000)));
    });
    let pair = pair();
    let (_proxy, address) = start(&pair, "");
    let mut tls = dial(connect(address), &pair).unwrap();
    write!(tls, "GET {} HTTP/1.0\r\nhost: x\r\n\r\n", web.url("/")).unwrap();
    assert_eq!(read_head(&mut tls).status, 200);
    // The client is slow: when the answer is complete here, the socket is full.
    std::thread::sleep(Duration::from_millis(300));
    let mut body = Vec::new();
    tls.read_to_end(&mut body).expect("an end that TLS vouches for");
    assert!(body == pattern(400_000), "{} bytes came", body.len());
}

#[test]
fn what_an_origin_sent_before_it_failed_arrives_over_tls_too() {
    let origin = Origin::new(|mut stream| {
        drop(stream.read(&mut [0; 16]));
        // More than all buffers on the way hold: what the proxy has taken is known from its log.
        stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
        drop(stream.write_all(&pattern(12_000_000)));
        socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    });
    let pair = pair();
    let (proxy, address) = start(&pair, "");
    let mut tls = dial(connect(address), &pair).unwrap();
    assert_eq!(crate::support::ask_tunnel(&mut tls, origin.address).status, 200);
    tls.write_all(b"go").unwrap();
    std::thread::sleep(Duration::from_millis(1200));
    let mut body = Vec::new();
    let end = tls.read_to_end(&mut body).expect_err("it ended as if it were whole");
    assert_eq!(end.kind(), std::io::ErrorKind::ConnectionReset);
    assert!(body == pattern(12_000_000)[..body.len()], "the bytes that came are the right ones");
    let exit = proxy.stop();
    let counted = format!(" to_origin=2 to_client={} ", body.len());
    assert!(exit.out.contains(&counted), "{} bytes came: {}", body.len(), exit.out);
}
