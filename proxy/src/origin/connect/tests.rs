//! Dialling on loopback, with names from the small DNS server of `resolve`.

use std::io::{Read, Write};
use std::net::TcpListener;

use socket2::SockRef;
use tokio::io::AsyncWriteExt;

use super::*;
use crate::origin::resolve::tests::server::{A, AAAA, Reply, Server};

const PATIENCE: Duration = Duration::from_secs(5);
/// A server nobody asks: literal addresses need none.
const NO_DNS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 1);

fn connector(dns: SocketAddr, allow: &[&str]) -> Connector {
    let allow = allow.iter().map(|net| (net.parse().unwrap(), None)).collect();
    Connector {
        guard: Arc::new(Guard::new(allow, [])),
        resolver: Resolver::new(&[dns], 100, PATIENCE).unwrap(),
        outgoing: Outgoing::new(),
        sources: Sources::default(),
        connect_timeout: PATIENCE,
    }
}

fn target(host: impl std::fmt::Display, port: u16) -> Target {
    Target::from_connect(&format!("{host}:{port}")).unwrap()
}

fn listener(address: &str) -> (TcpListener, u16) {
    let listener = TcpListener::bind(address).unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

#[tokio::test]
async fn a_literal_is_connected_with_the_options_of_the_server_leg() {
    let connector = connector(NO_DNS, &["127.0.0.1/32", "::1/128"]);
    for (bind, host) in [("127.0.0.1:0", "127.0.0.1"), ("[::1]:0", "[::1]"), ("127.0.0.1:0", "[::ffff:127.0.0.1]")] {
        let (listener, port) = listener(bind);
        let mut connected = connector.connect(&target(host, port)).await.unwrap();
        assert_eq!(connected.address, listener.local_addr().unwrap(), "{host}");
        assert_eq!((connected.dns, connected.forbidden), (Duration::ZERO, 0));
        let socket = SockRef::from(&connected.stream);
        assert_eq!(socket.protocol().unwrap(), Some(Protocol::TCP));
        assert!(socket.tcp_nodelay().unwrap() && socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), KEEPALIVE);
        assert_eq!(connected.registration.local(), connected.stream.local_addr().unwrap());
        connected.stream.write_all(b"hello").await.unwrap();
        let mut received = [0; 5];
        listener.accept().unwrap().0.read_exact(&mut received).unwrap();
        assert_eq!(&received, b"hello");
    }
    assert!(connector.outgoing.is_empty(), "registrations went with the connections");
}

#[tokio::test]
async fn a_forbidden_literal_is_not_dialled() {
    let (listener, port) = listener("127.0.0.1:0");
    listener.set_nonblocking(true).unwrap();
    let connector = connector(NO_DNS, &["127.0.0.2/32"]);
    for host in ["127.0.0.1", "[::ffff:127.0.0.1]", "0.0.0.0", "[::]"] {
        let error = connector.connect(&target(host, port)).await.unwrap_err();
        assert!(matches!(error, DialError::Forbidden(_)), "{host}: {error:?}");
        assert_eq!(error.proxy_status(), ("destination_ip_prohibited", 502));
    }
    assert_eq!(listener.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
}

#[tokio::test]
async fn a_closed_port_is_refused() {
    let (closed, port) = listener("127.0.0.1:0");
    drop(closed);
    let connector = connector(NO_DNS, &["127.0.0.1/32"]);
    let error = connector.connect(&target("127.0.0.1", port)).await.unwrap_err();
    assert!(matches!(error, DialError::Refused), "{error:?}");
    assert_eq!(error.proxy_status(), ("connection_refused", 502));
    assert!(connector.outgoing.is_empty());
}

#[tokio::test]
async fn a_silent_address_costs_the_connect_timeout() {
    // A listener whose queue is full answers no SYN.
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let _full = std::net::TcpStream::connect(address).unwrap();
    let connector = Connector { connect_timeout: Duration::from_millis(200), ..connector(NO_DNS, &["127.0.0.1/32"]) };
    let begun = Instant::now();
    let error = connector.connect(&target("127.0.0.1", address.port())).await.unwrap_err();
    assert!(matches!(error, DialError::TimedOut), "{error:?}");
    assert_eq!(error.proxy_status(), ("connection_timeout", 504));
    assert!((200..900).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
    assert!(connector.outgoing.is_empty(), "the attempt left nothing behind");
}

#[tokio::test]
async fn connections_come_from_the_given_source() {
    let (_v4, port) = listener("127.0.0.1:0");
    let sources = Sources { v4: Some(Ipv4Addr::new(127, 0, 0, 9)), v6: Some(Ipv6Addr::LOCALHOST) };
    let connector = Connector { sources, ..connector(NO_DNS, &["127.0.0.0/8"]) };
    let connected = connector.connect(&target("127.0.0.1", port)).await.unwrap();
    assert_eq!(connected.stream.local_addr().unwrap().ip(), IpAddr::from([127, 0, 0, 9]));
    let foreign = Sources { v4: Some(Ipv4Addr::new(198, 41, 0, 4)), v6: None };
    let connector = Connector { sources: foreign, ..connector };
    let error = connector.connect(&target("127.0.0.1", port)).await.unwrap_err();
    assert!(matches!(error, DialError::Io { op: "bind", .. }), "{error:?}");
    assert_eq!(error.proxy_status(), ("proxy_configuration_error", 500));
}

#[tokio::test]
async fn a_name_is_looked_up_once_and_only_its_judged_addresses_are_dialled() {
    let (_listener, port) = listener("127.0.0.1:0");
    let (silent, _) = listener(&format!("127.0.0.2:{port}"));
    silent.set_nonblocking(true).unwrap();
    let server = Server::start([
        ("mixed.example.com", A, Reply::of(&["127.0.0.2", "10.0.0.1", "127.0.0.1"]), 0),
        ("mixed.example.com", AAAA, Reply::of(&["::1", "::ffff:127.0.0.2"]), 0),
        ("inside.example.com", A, Reply::of(&["127.0.0.2"]), 0),
        ("inside.example.com", AAAA, Reply::Code(0), 0),
        ("empty.example.com", A, Reply::Code(0), 0),
        ("empty.example.com", AAAA, Reply::Code(0), 0),
    ])
    .await;
    let connector = connector(server.address, &["127.0.0.1/32"]);
    let connected = connector.connect(&target("mixed.example.com", port)).await.unwrap();
    assert_eq!(connected.address, SocketAddr::from(([127, 0, 0, 1], port)));
    assert_eq!(connected.stream.peer_addr().unwrap(), connected.address);
    assert_eq!(connected.forbidden, 4);
    assert!(connected.dns > Duration::ZERO);
    assert_eq!((server.asked("mixed.example.com", A), server.asked("mixed.example.com", AAAA)), (1, 1));
    let inside = connector.connect(&target("inside.example.com", port)).await.unwrap_err();
    assert!(matches!(inside, DialError::Forbidden(Forbidden::Loopback)), "{inside:?}");
    assert_eq!(silent.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
    let missing = connector.connect(&target("missing.example.com", port)).await.unwrap_err();
    assert!(matches!(missing, DialError::Dns(DnsError::NotFound)), "{missing:?}");
    assert_eq!(missing.proxy_status(), ("dns_error", 502));
    let empty = connector.connect(&target("empty.example.com", port)).await.unwrap_err();
    assert!(matches!(empty, DialError::NoAddress), "{empty:?}");
}

#[tokio::test]
async fn a_refusing_family_gives_way_to_the_other() {
    let (_listener, port) = listener("127.0.0.1:0");
    let server = Server::start([
        ("two.example.com", A, Reply::of(&["127.0.0.1"]), 60),
        ("two.example.com", AAAA, Reply::of(&["::1"]), 60),
    ])
    .await;
    let connector = connector(server.address, &["127.0.0.1/32", "::1/128"]);
    let connected = connector.connect(&target("two.example.com", port)).await.unwrap();
    assert!(connected.address.is_ipv4());
    assert!(connected.connect < Duration::from_millis(200), "no attempt delay after RST: {:?}", connected.connect);
}

/// The promise of `origin::own`: asked after the first byte, the registry always knows a connection of ours.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_looped_connection_is_known_by_its_first_byte() {
    const ROUNDS: usize = 500;
    let (listener, port) = listener("127.0.0.1:0");
    let connector = connector(NO_DNS, &["127.0.0.1/32"]);
    let outgoing = Arc::clone(&connector.outgoing);
    let acceptor = std::thread::spawn(move || {
        for _ in 0..ROUNDS {
            let (mut stream, peer) = listener.accept().unwrap();
            stream.read_exact(&mut [0]).unwrap();
            assert!(outgoing.is_loop(peer, stream.local_addr().unwrap()));
            stream.write_all(b"k").unwrap();
        }
        // A stranger is not taken for us.
        let (mut stream, peer) = listener.accept().unwrap();
        stream.read_exact(&mut [0]).unwrap();
        assert!(!outgoing.is_loop(peer, stream.local_addr().unwrap()));
    });
    for _ in 0..ROUNDS {
        let mut connected = connector.connect(&target("127.0.0.1", port)).await.unwrap();
        connected.stream.write_all(b"x").await.unwrap();
        // Held until the other side has asked.
        connected.stream.readable().await.unwrap();
    }
    std::net::TcpStream::connect(("127.0.0.1", port)).unwrap().write_all(b"x").unwrap();
    tokio::task::spawn_blocking(|| acceptor.join().unwrap()).await.unwrap();
}

#[test]
fn every_failure_has_its_token_and_status() {
    let errno = |errno: Errno| DialError::from_connect(io::Error::from(errno));
    let rows = [
        (errno(Errno::ECONNREFUSED), "refused", ("connection_refused", 502)),
        (errno(Errno::ETIMEDOUT), "timed_out", ("connection_timeout", 504)),
        (errno(Errno::ENETUNREACH), "unreachable", ("destination_ip_unroutable", 502)),
        (errno(Errno::EHOSTUNREACH), "unreachable", ("destination_ip_unroutable", 502)),
        (errno(Errno::ECONNRESET), "io", ("connection_terminated", 502)),
        (errno(Errno::EADDRNOTAVAIL), "io", ("connection_limit_reached", 503)),
        (errno(Errno::EPERM), "io", ("proxy_internal_error", 500)),
        (DialError::Dns(DnsError::Timeout), "dns", ("dns_timeout", 504)),
        (DialError::Dns(DnsError::NotFound), "dns", ("dns_error", 502)),
        (DialError::Dns(DnsError::Failure(2)), "dns", ("dns_error", 502)),
        (DialError::NoAddress, "no_address", ("dns_error", 502)),
        (DialError::Forbidden(Forbidden::Private), "forbidden", ("destination_ip_prohibited", 502)),
    ];
    for (error, label, status) in rows {
        assert_eq!((error.as_label(), error.proxy_status()), (label, status), "{error:?}");
    }
}

#[test]
fn the_short_way_keeps_its_state_small() {
    // Built outside a runtime: only dialling needs one.
    let connector = connector(NO_DNS, &[]);
    let target = target("127.0.0.1", 1);
    fn sendable<T: Send>(future: T) -> T {
        future
    }
    let size = size_of_val(&sendable(connector.connect(&target)));
    // Part of every session that dials; the race alone would be several times this.
    assert!(size <= 1024, "{size} bytes");
}
