//! A stop takes nothing new, lets what runs finish, cuts the rest off so that everybody can tell, and says how many.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::support::{Origin, Proxy, Tunnel, connect, eventually, get, mptcp_connect, own_address, pattern, read_head};

const PIECE: usize = 32 * 1024;

fn listener(address: SocketAddr, drain: &str) -> String {
    format!("[timeouts]\ndrain = \"{drain}\"\n[[listener]]\nname = \"edge\"\naddress = \"{address}\"\n")
}

fn start(drain: &str) -> (Proxy, SocketAddr) {
    let address = SocketAddr::new(own_address().into(), 3128);
    (Proxy::start(&listener(address, drain)), address)
}

fn finishes(signal: Signal) {
    let (proxy, address) = start("20 s");
    let whole = pattern(40 * PIECE);
    let raw = Origin::slow(40, PIECE, "");
    let web = Origin::slow(40, PIECE, "HTTP/1.1 200 OK\r\ncontent-length: 1310720\r\n\r\n");
    let text = Origin::text("hello");

    let mut silent = connect(address);
    let mut kept = connect(address);
    assert_eq!(get(&mut kept, &text.url("/"), "").status, 200);
    let mut tunnels = vec![Tunnel::open(address, raw.address), Tunnel::over(mptcp_connect(address), raw.address)];
    let mut gets = vec![connect(address), mptcp_connect(address)];
    let mut first = [0; 1];
    for Tunnel(stream) in &mut tunnels {
        stream.write_all(b"go").unwrap();
        stream.read_exact(&mut first).unwrap();
        assert_eq!(first[0], whole[0]);
    }
    for stream in &mut gets {
        write!(stream, "GET {} HTTP/1.1\r\nhost: x\r\n\r\n", web.url("/")).unwrap();
        assert_eq!(read_head(stream).status, 200);
    }
    eventually("all are counted", || proxy.status()["sessions"] == 6);

    proxy.signal(signal);
    let asked = Instant::now();
    // A clean end, and soon: neither had anything to lose.
    assert_eq!(silent.read(&mut first).unwrap(), 0);
    assert_eq!(kept.read(&mut first).unwrap(), 0);
    assert!(asked.elapsed() < Duration::from_millis(500), "idle connections stay {:?}", asked.elapsed());
    eventually("nobody listens any more", || TcpStream::connect(address).is_err());
    assert_eq!(proxy.status()["draining"], true, "who waits can see what for");

    for Tunnel(stream) in tunnels {
        assert!(Tunnel(stream).finish() == whole[1..], "the tunnel's bytes are others");
    }
    for mut stream in gets {
        let mut body = vec![0; whole.len()];
        stream.read_exact(&mut body).unwrap();
        assert!(body == whole, "the answer's bytes are others");
        assert_eq!(stream.read(&mut first).unwrap(), 0, "and then the connection ends");
    }
    let exit = proxy.wait();
    assert_eq!(exit.code(), Some(0), "{}", exit.log);
    assert!(exit.log.contains("drained: every session finished"), "{}", exit.log);
    assert_eq!(exit.out.matches(" outcome=completed ").count(), 5, "{}", exit.out);
}

#[test]
fn running_transfers_finish_after_sigterm() {
    finishes(Signal::SIGTERM);
}

#[test]
fn running_transfers_finish_after_sigint() {
    finishes(Signal::SIGINT);
}

#[test]
fn what_does_not_finish_in_time_is_reset_and_counted() {
    let (proxy, address) = start("300 ms");
    let raw = Origin::slow(2000, 1024, "");
    // Without a length, the end of the stream is the end of the answer: a clean one would pass for the whole.
    let web = Origin::slow(2000, 1024, "HTTP/1.0 200 OK\r\n\r\n");
    let (seen, sees) = mpsc::channel();
    let sink = Origin::new(move |mut stream| {
        let mut buffer = [0; 4096];
        let end = loop {
            match stream.read(&mut buffer) {
                Ok(0) => break None,
                Ok(_) => {}
                Err(error) => break Some(error.kind()),
            }
        };
        seen.send(end).unwrap();
    });
    let mut cut = Vec::new();
    for mut stream in [connect(address), mptcp_connect(address)] {
        write!(stream, "GET {} HTTP/1.0\r\nhost: x\r\n\r\n", web.url("/")).unwrap();
        assert_eq!(read_head(&mut stream).status, 200);
        cut.push(stream);
    }
    for stream in [connect(address), mptcp_connect(address)] {
        let Tunnel(mut stream) = Tunnel::over(stream, raw.address);
        stream.write_all(b"go").unwrap();
        cut.push(stream);
    }
    let whole = pattern(2000 * 1024);
    let mut first = [0; 1];
    for stream in &mut cut {
        stream.read_exact(&mut first).unwrap();
        assert_eq!(first[0], whole[0]);
    }
    let Tunnel(mut upload) = Tunnel::open(address, sink.address);
    upload.write_all(&[1; 1000]).unwrap();
    cut.push(upload);
    eventually("all are counted", || proxy.status()["sessions"] == 5);
    proxy.signal(Signal::SIGTERM);
    for (number, mut stream) in cut.into_iter().enumerate() {
        let mut body = Vec::new();
        let end = stream.read_to_end(&mut body).expect_err(&format!("stream {number} ended as if it were whole"));
        assert_eq!(end.kind(), ErrorKind::ConnectionReset, "stream {number}");
        assert!(number == 4 || !body.is_empty(), "stream {number}: what was sent before the cut is lost");
        assert!(number == 4 || body == whole[1..=body.len()], "stream {number}: other bytes came");
    }
    let end = sees.recv_timeout(Duration::from_secs(5)).unwrap();
    assert_eq!(end, Some(ErrorKind::ConnectionReset), "the origin of an upload sees it too");
    let exit = proxy.wait();
    assert_eq!(exit.code(), Some(0), "{}", exit.log);
    assert!(exit.log.contains("sessions were cut off cut_off=5"), "{}", exit.log);
    assert_eq!(exit.out.matches(" outcome=drained ").count(), 5, "{}", exit.out);
}

#[test]
fn a_second_signal_ends_the_grace_time() {
    let (proxy, address) = start("1 h");
    let echo = Origin::echo();
    let mut tunnel = Tunnel::open(address, echo.address);
    proxy.signal(Signal::SIGTERM);
    eventually("it drains", || proxy.log().contains("draining"));
    tunnel.echo("still carried");
    proxy.signal(Signal::SIGINT);
    let end = tunnel.0.read(&mut [0; 1]).map_err(|error| error.kind());
    assert_eq!(end, Err(ErrorKind::ConnectionReset));
    let exit = proxy.wait();
    assert_eq!(exit.code(), Some(0), "{}", exit.log);
    assert!(exit.log.contains("cut_off=1"), "{}", exit.log);
}

#[test]
fn an_answer_that_waits_for_its_reader_survives_a_stop() {
    let (proxy, address) = start("20 s");
    // Some of these end between what the sockets take at once and what the parser then still holds.
    let mut waiting: Vec<_> = (6..18)
        .map(|quarter| {
            let size = quarter * 262_144;
            let body = "x".repeat(size).leak();
            let web = Origin::text(body);
            let mut client = connect(address);
            write!(client, "GET {} HTTP/1.1\r\nhost: x\r\n\r\n", web.url("/")).unwrap();
            (client, web, size)
        })
        .collect();
    std::thread::sleep(Duration::from_secs(1));
    proxy.signal(Signal::SIGTERM);
    std::thread::sleep(Duration::from_secs(1));
    for (client, _, size) in &mut waiting {
        assert_eq!(read_head(client).status, 200);
        let mut body = vec![0; *size];
        client.read_exact(&mut body).unwrap();
    }
    drop(waiting);
    assert_eq!(proxy.wait().code(), Some(0));
}
