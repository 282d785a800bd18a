//! Every byte accepted is delivered, or the failure is visible: never a clean end to what is not whole.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::mpsc;
use std::time::Duration;

use socket2::SockRef;

use crate::support::{Origin, Proxy, Tunnel, connect, mptcp_connect, pattern, read_head, read_reply};

fn edge(timeouts: &str) -> (Proxy, SocketAddr) {
    let proxy =
        Proxy::start(&format!("[timeouts]\n{timeouts}\n[[listener]]\nname = \"edge\"\naddress = \"127.0.0.1:0\"\n"));
    let address = proxy.address("edge");
    (proxy, address)
}

fn reset(stream: &TcpStream) {
    SockRef::from(stream).set_linger(Some(Duration::ZERO)).unwrap();
}

/// Waits until the peer has acknowledged all, then resets.
fn send_then_reset(mut stream: TcpStream, bytes: &[u8]) {
    drop(stream.write_all(bytes));
    std::thread::sleep(Duration::from_millis(300));
    reset(&stream);
}

/// Reads to a failure; what came before it.
fn read_to_reset(stream: &mut impl std::io::Read) -> Vec<u8> {
    let mut body = Vec::new();
    let end = stream.read_to_end(&mut body).expect_err("it ended as if it were whole");
    assert_eq!(end.kind(), ErrorKind::ConnectionReset);
    body
}

#[test]
fn what_an_origin_sent_before_it_failed_arrives_and_then_the_failure() {
    let (proxy, address) = edge("");
    let origin = Origin::new(|mut stream| {
        drop(stream.read(&mut [0; 16]));
        send_then_reset(stream, &pattern(200_000));
    });
    for stream in [connect(address), mptcp_connect(address)] {
        let Tunnel(mut stream) = Tunnel::over(stream, origin.address);
        stream.write_all(b"go").unwrap();
        // Slow to read: the failure is there long before the bytes are taken.
        std::thread::sleep(Duration::from_millis(700));
        assert!(read_to_reset(&mut stream) == pattern(200_000));
    }
    let exit = proxy.stop();
    assert_eq!(exit.out.matches(" outcome=server-leg-failed ").count(), 2, "{}", exit.out);
}

#[test]
fn what_a_client_sent_before_it_failed_arrives_and_then_the_failure() {
    let (proxy, address) = edge("");
    let (sees, seen) = mpsc::channel();
    let origin = Origin::new(move |mut stream| {
        std::thread::sleep(Duration::from_millis(700));
        let mut body = Vec::new();
        let end = stream.read_to_end(&mut body).map_err(|error| error.kind());
        sees.send((body, end)).unwrap();
    });
    for stream in [connect(address), mptcp_connect(address)] {
        let Tunnel(stream) = Tunnel::over(stream, origin.address);
        send_then_reset(stream, &pattern(100_000));
        let (body, end) = seen.recv_timeout(Duration::from_secs(10)).unwrap();
        assert!(body == pattern(100_000), "{} bytes came", body.len());
        assert_eq!(end, Err(ErrorKind::ConnectionReset));
    }
    let exit = proxy.stop();
    assert_eq!(exit.out.matches(" outcome=client-leg-failed ").count(), 2, "{}", exit.out);
}

#[test]
fn a_half_closed_tunnel_delivers_the_other_half() {
    let (_proxy, address) = edge("");
    // Answers only once it has seen the end of the request.
    let origin = Origin::new(|mut stream| {
        let mut request = Vec::new();
        stream.read_to_end(&mut request).unwrap();
        stream.write_all(&pattern(3_000_000)).unwrap();
        stream.write_all(&request).unwrap();
    });
    for stream in [connect(address), mptcp_connect(address)] {
        let Tunnel(mut stream) = Tunnel::over(stream, origin.address);
        stream.write_all(b"request").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        assert!(answer.len() == 3_000_007 && answer.starts_with(&pattern(3_000_000)) && answer.ends_with(b"request"));
    }
}

#[test]
fn an_answer_without_a_length_that_breaks_off_is_no_whole_answer() {
    let (proxy, address) = edge("");
    let origin = Origin::new(|mut stream| {
        drop(stream.read(&mut [0; 1024]));
        drop(stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n"));
        std::thread::sleep(Duration::from_millis(200));
        // And gone, without the last chunk.
    });
    for mut stream in [connect(address), mptcp_connect(address)] {
        // For HTTP/1.0 the end of the stream is the only end there is.
        write!(stream, "GET {} HTTP/1.0\r\nhost: x\r\n\r\n", origin.url("/")).unwrap();
        assert_eq!(read_head(&mut stream).status, 200);
        assert_eq!(read_to_reset(&mut stream), b"half");
    }
    let exit = proxy.stop();
    assert_eq!(exit.out.matches(" outcome=server-leg-failed ").count(), 2, "{}", exit.out);
}

#[test]
fn a_tunnel_that_stalls_is_cut_off_and_both_sides_see_it() {
    let (proxy, address) = edge("tunnel_idle = \"400 ms\"");
    let (sees, seen) = mpsc::channel();
    let origin = Origin::new(move |mut stream| {
        drop(stream.write_all(b"hello"));
        sees.send(stream.read(&mut [0; 16]).map_err(|error| error.kind())).unwrap();
    });
    for stream in [connect(address), mptcp_connect(address)] {
        let Tunnel(mut stream) = Tunnel::over(stream, origin.address);
        assert_eq!(read_to_reset(&mut stream), b"hello");
        let end = seen.recv_timeout(Duration::from_secs(5)).unwrap();
        assert_eq!(end, Err(ErrorKind::ConnectionReset), "the origin took it for the end");
    }
    let exit = proxy.stop();
    assert_eq!(exit.out.matches(" outcome=idle ").count(), 2, "{}", exit.out);
}

#[test]
fn an_answer_reaches_a_client_that_goes_on_sending() {
    let (_proxy, address) = edge("");
    // Refused without reading the body: closing with unread bytes would reset, and over MPTCP take the answer along.
    for mut stream in [connect(address), mptcp_connect(address)] {
        let head = b"POST http://192.0.2.1:2525/ HTTP/1.1\r\nhost: 192.0.2.1:2525\r\ncontent-length: 3000000\r\n\r\n";
        stream.write_all(head).unwrap();
        let mut other = stream.try_clone().unwrap();
        let sender = std::thread::spawn(move || other.write_all(&pattern(3_000_000)));
        std::thread::sleep(Duration::from_millis(500));
        assert_eq!(read_reply(&mut stream).status, 502);
        sender.join().unwrap().expect("what it sends is taken, not answered with a reset that can overtake the answer");
        assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0);
    }
}

#[test]
fn an_upgraded_connection_carries_every_byte_both_ways() {
    let (_proxy, address) = edge("");
    // Its first bytes come in one segment with the 101.
    let origin = Origin::new(|mut stream| {
        let head = read_head_bytes(&mut stream);
        assert!(head.to_lowercase().contains("upgrade: test"), "{head}");
        let mut first = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: test\r\nconnection: upgrade\r\n\r\n".to_vec();
        first.extend(pattern(50_000));
        stream.write_all(&first).unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        stream.write_all(&rest).unwrap();
    });
    for mut stream in [connect(address), mptcp_connect(address)] {
        write!(stream, "GET {} HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: test\r\n\r\n", origin.url("/"))
            .unwrap();
        assert_eq!(read_head(&mut stream).status, 101);
        stream.write_all(&pattern(70_000)).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        assert!(answer == [pattern(50_000), pattern(70_000)].concat(), "{} bytes came", answer.len());
    }
}

fn read_head_bytes(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}
