//! The access log: one line a request or tunnel, and nothing a client sends can forge or colour it.

use std::io::{Read as _, Write as _};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::support::{Exit, Origin, PATIENCE, Proxy, Tunnel, connect, eventually, fetch, read_reply};

/// A path with a cursor movement (C1 CSI in UTF-8), a quote and what looks like a field.
const EVIL: &[u8] = b"/\xc2\x9b31m\"x=y%0a";

fn run(format: &str, access: &str) -> Exit {
    let (web, echo) = (Origin::text("hello"), Origin::echo());
    let proxy = Proxy::start(&format!(
        "[log]\nformat = \"{format}\"\naccess = \"{access}\"\n[[listener]]\nname = \"edge\"\naddress = \"127.0.0.1:0\"\n"
    ));
    let address = proxy.address("edge");
    assert_eq!(fetch(address, &web.url("/plain?secret=1")).status, 200);
    let mut stream = connect(address);
    stream.write_all(format!("GET http://{}", web.address).as_bytes()).unwrap();
    stream.write_all(EVIL).unwrap();
    stream.write_all(b" HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    read_reply(&mut stream);
    let mut tunnel = Tunnel::open(address, echo.address);
    tunnel.echo("12345");
    assert!(tunnel.finish().is_empty());
    let mut curl = Command::new("mptcpize");
    curl.args(["run", "curl", "-sS", "-m", "5", "-x", &format!("http://{address}"), &web.url("/")]);
    assert_eq!(curl.output().unwrap().stdout, b"hello");
    proxy.stop()
}

fn is_ascii_lines(text: &str) -> bool {
    text.bytes().all(|byte| byte == b'\n' || (b' '..=b'~').contains(&byte))
}

#[test]
fn text_lines_are_whole_and_harmless() {
    let Exit { out, log, .. } = run("text", "full");
    assert!(is_ascii_lines(&out) && is_ascii_lines(&log), "{out}{log}");
    let lines: Vec<_> = out.lines().collect();
    assert_eq!(lines.len(), 4, "{out}");
    assert!(lines[0].contains(" method=GET ") && lines[0].contains(" path=/plain?secret=1 "), "{}", lines[0]);
    assert!(lines[0].contains(" status=200 outcome=completed ") && lines[0].contains(" to_client=5 "), "{}", lines[0]);
    assert!(lines[0].contains(" mptcp=no-mptcp-on-syn subflows=1"), "{}", lines[0]);
    assert!(!lines[1].contains(" x=y"), "no forged field: {}", lines[1]);
    assert!(lines[2].contains(" method=CONNECT ") && lines[2].contains(" to_origin=5 to_client=5 "), "{}", lines[2]);
    assert!(lines[3].contains(" mptcp=yes ") && lines[3].contains(" token="), "{}", lines[3]);
}

#[test]
fn json_lines_parse_and_are_harmless() {
    let Exit { out, log, .. } = run("json", "full");
    assert!(is_ascii_lines(&out), "{out}");
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 4, "{out}");
    assert_eq!(lines[0]["path"], "/plain?secret=1");
    assert_eq!((&lines[0]["status"], &lines[0]["outcome"]), (&200.into(), &"completed".into()));
    assert_eq!(lines[2]["method"], "CONNECT");
    assert_eq!((&lines[2]["bytes_to_origin"], &lines[2]["bytes_to_client"]), (&5.into(), &5.into()));
    assert_eq!((&lines[3]["mptcp"], &lines[3]["subflows"]), (&"yes".into(), &1.into()));
    for line in log.lines() {
        serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    }
}

#[test]
fn short_tells_no_paths_and_off_tells_nothing() {
    let short = run("text", "short").out;
    assert_eq!(short.lines().count(), 4, "{short}");
    assert!(!short.contains("secret") && !short.contains(" path="), "{short}");
    assert!(run("text", "off").out.is_empty());
}

const JSON: &str =
    "[log]\nformat = \"json\"\naccess = \"short\"\n[[listener]]\nname = \"edge\"\naddress = \"127.0.0.1:0\"\n";

/// An origin that answers a request as soon as it has the head, and then reads as much more as it is told, or never again.
fn hasty(more: Option<usize>) -> Origin {
    Origin::new(move |mut stream| {
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").unwrap();
        match more {
            Some(more) => stream.read_exact(&mut vec![0; more]).unwrap(),
            None => std::thread::sleep(PATIENCE * 2),
        }
        drop(stream.read(&mut byte));
    })
}

/// What the lines say of the bytes to origins, by method.
fn uploads(out: &str) -> Vec<(String, u64)> {
    let lines = out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut all: Vec<_> = lines
        .map(|line| (line["method"].as_str().unwrap().to_owned(), line["bytes_to_origin"].as_u64().unwrap()))
        .collect();
    all.sort();
    all
}

#[test]
fn an_upload_is_counted_to_its_own_request_also_behind_its_answer() {
    let (web, origin) = (Origin::text("hello"), hasty(Some(10)));
    let proxy = Proxy::start(JSON);
    let mut stream = connect(proxy.address("edge"));
    let origin = origin.address;
    write!(stream, "POST http://{origin}/ HTTP/1.1\r\nhost: {origin}\r\ncontent-length: 10\r\n\r\n12345").unwrap();
    assert_eq!(read_reply(&mut stream).text(), "ok");
    // The last piece, and the next request right behind it.
    let (host, url) = (web.address, web.url("/"));
    write!(stream, "67890GET {url} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n").unwrap();
    assert_eq!(read_reply(&mut stream).text(), "hello");
    assert_eq!(uploads(&proxy.stop().out), [("GET".to_owned(), 0), ("POST".to_owned(), 10)]);
}

#[test]
fn an_upload_that_an_origin_never_takes_has_its_line_when_the_session_ends() {
    const LENGTH: u64 = 64 * 1024 * 1024;
    let origin = hasty(None).address;
    let proxy = Proxy::start(&format!("[timeouts]\nkeep_alive = \"1s\"\n{JSON}"));
    let mut stream = connect(proxy.address("edge"));
    write!(stream, "POST http://{origin}/ HTTP/1.1\r\nhost: {origin}\r\ncontent-length: {LENGTH}\r\n\r\n").unwrap();
    assert_eq!(read_reply(&mut stream).text(), "ok");
    stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let piece = vec![b'x'; 64 * 1024];
    while stream.write_all(&piece).is_ok() {}
    drop(stream);
    eventually("its line is written", || proxy.out().ends_with('\n'));
    let told = uploads(&proxy.out());
    assert!(matches!(&told[..], [(method, bytes)] if method == "POST" && (1..LENGTH).contains(bytes)), "{told:?}");
}
