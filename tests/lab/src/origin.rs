//! Origin servers: the lab's own source and sink, an echo, and nginx.
//!
//! What lives here: servers on std sockets, one thread per connection, and nginx as a child process.
//! What does not: the proxy. Called by experiments.
//! Owned by the experiment: dropping a server ends its accepting thread; connections end with their peers.

mod nginx;

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv6Addr, Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::client::{Gaps, Protocol, Sunk};
use crate::http::Head;
use crate::netns::Namespace;
use crate::stream::{self, Checker};

pub use nginx::Nginx;

/// Bytes handed to one write, and asked of one read.
pub(crate) const CHUNK: usize = 256 * 1024;
/// A peer that says nothing for so long is gone.
const SILENCE: Duration = Duration::from_secs(60);

/// What a server does with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// HTTP: `GET /bytes/N` sends N bytes of the stream; `PUT` checks the body against it and answers with what it saw.
    Http,
    /// Sends back what comes.
    Echo,
    /// Answers a CONNECT first, which a proxy that is no forward proxy passes on; then as [`Service::Echo`].
    Tunnel,
}

/// A running server of the lab's own.
#[derive(Debug)]
pub struct Server {
    ns: Namespace,
    port: u16,
    stop: Arc<AtomicBool>,
}

impl Server {
    /// Listens on `port` of every address in `ns`; over MPTCP with cubic, as the proxy does.
    pub fn start(ns: &Namespace, port: u16, protocol: Protocol, service: Service) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let listener = ns
            .run(|| protocol.listen(port))?
            .with_context(|| format!("cannot listen on port {port} of {}", ns.name()))?;
        let ended = Arc::clone(&stop);
        std::thread::Builder::new()
            .name(format!("origin {port}"))
            .spawn(move || {
                for stream in listener.incoming().map_while(Result::ok) {
                    if ended.load(Ordering::Relaxed) {
                        break;
                    }
                    // A connection that fails ends alone; its client reports what it missed.
                    let serve = move || match service {
                        Service::Http => serve_http(stream),
                        Service::Echo => serve_echo(stream),
                        Service::Tunnel => serve_tunnel(stream),
                    };
                    if std::thread::Builder::new().name("served".into()).stack_size(1 << 20).spawn(serve).is_err() {
                        break;
                    }
                }
            })
            .context("cannot start a server's thread")?;
        Ok(Self { ns: ns.clone(), port, stop })
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // One more connection wakes the accepting thread; if it cannot be made, the thread is gone already.
        let address = SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), self.port);
        drop(self.ns.run(|| TcpStream::connect_timeout(&address, Duration::from_secs(1))));
    }
}

/// Answers requests until the peer closes or misbehaves.
fn serve_http(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(SILENCE))?;
    stream.set_write_timeout(Some(SILENCE))?;
    let mut left = Vec::new();
    while let Some(head) = Head::read(&mut stream, std::mem::take(&mut left))? {
        let (method, target) = {
            let mut words = head.words();
            (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default().to_owned())
        };
        let size = target.strip_prefix("/bytes/").and_then(|n| n.parse().ok());
        match (method.as_str(), size) {
            ("GET", Some(size)) => {
                left = head.rest;
                stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n").as_bytes())?;
                send_stream(&mut stream, size)?;
            }
            ("PUT" | "POST", _) => {
                let size = head.content_length().ok_or(io::ErrorKind::InvalidData)?;
                let answer = serde_json::to_string(&sink(&mut stream, &head.rest, size)?)?;
                write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{answer}", answer.len())?;
            }
            // What was asked is told: bytes that change on their way show themselves here.
            _ => {
                let asked = head.text.escape_debug();
                write!(stream, "HTTP/1.1 404 Not Found\r\nX-Asked: {asked}\r\nContent-Length: 0\r\n\r\n")?;
            }
        }
    }
    stream.shutdown(Shutdown::Write)
}

/// Writes the first `size` bytes of the stream.
pub(crate) fn send_stream(to: &mut impl Write, size: u64) -> io::Result<()> {
    let mut sent = 0;
    while sent < size {
        let left = usize::try_from(size - sent).unwrap_or(usize::MAX);
        let part = stream::window(sent, left.min(CHUNK));
        to.write_all(part)?;
        sent += part.len() as u64;
    }
    Ok(())
}

/// Reads `size` bytes, of which `first` are here already, and says what came and how evenly.
pub(crate) fn sink(from: &mut impl Read, first: &[u8], size: u64) -> io::Result<Sunk> {
    let (mut checker, mut gaps) = (Checker::default(), Gaps::start(Instant::now()));
    checker.push(first);
    let mut buffer = vec![0; CHUNK];
    while checker.bytes < size {
        let want = usize::try_from(size - checker.bytes).unwrap_or(CHUNK).min(CHUNK);
        let got = match from.read(&mut buffer[..want]) {
            // What is missing is a result, not a failure to measure.
            Ok(0) | Err(_) => break,
            Ok(got) => got,
        };
        gaps.mark(Instant::now());
        checker.push(&buffer[..got]);
    }
    Ok(Sunk { checker, gaps })
}

fn serve_tunnel(mut stream: TcpStream) -> io::Result<()> {
    const WORD: &[u8] = b"CONNECT ";
    let mut first = [0; WORD.len()];
    // What is no CONNECT is echoed: whoever sent it waits for as many bytes.
    if stream.peek(&mut first)? == WORD.len() && first == *WORD {
        stream.set_nodelay(true)?;
        Head::read(&mut stream, Vec::new())?;
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
    }
    serve_echo(stream)
}

fn serve_echo(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = [0; 16 * 1024];
    loop {
        let got = stream.read(&mut buffer)?;
        if got == 0 {
            return stream.shutdown(Shutdown::Write);
        }
        stream.write_all(&buffer[..got])?;
    }
}
