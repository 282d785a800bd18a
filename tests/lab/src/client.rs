//! The lab's own client: timed, checked transfers over MPTCP or TCP, directly or through a proxy.
//!
//! What lives here: one transfer as a value, and what it yields. What does not: real clients (see the experiments).
//! Called by experiments, inside the client's namespace. Invariant: every wait is bounded.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use socket2::{Domain, Socket, Type};

use crate::http::Head;
use crate::origin::{send_stream, sink};
use crate::stream::Checker;

/// A bulk stall: so long without a byte (aggregation.md, Q2).
const STALL: Duration = Duration::from_millis(200);

/// So many connections wait to be accepted.
const BACKLOG: i32 = 8192;

/// Longer than any process takes from its fork to its exec.
const FORKED: Duration = Duration::from_secs(1);

/// Stands in every request's head, for a middlebox to rewrite.
pub const MARK: &str = "lab-as-sent";

/// What the client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub enum Protocol {
    /// Multipath TCP.
    Mptcp,
    /// Plain TCP.
    Tcp,
}

/// How the origin is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub enum Via {
    /// Without a proxy.
    Direct,
    /// Through a CONNECT tunnel.
    Connect(SocketAddr),
    /// By absolute-form requests.
    Absolute(SocketAddr),
}

/// Which way the payload goes, as the client sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub enum Way {
    /// From the origin.
    Download,
    /// To the origin.
    Upload,
}

/// One transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct Transfer {
    /// What the client speaks.
    pub protocol: Protocol,
    /// How it reaches the origin.
    pub via: Via,
    /// The origin's address.
    pub origin: SocketAddr,
    /// Which way the payload goes.
    pub way: Way,
    /// Payload.
    ///
    /// Units: bytes.
    pub bytes: u64,
}

/// Where a receiver waited.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Gaps {
    /// The longest time between two reads.
    pub longest: Duration,
    /// Gaps of at least 200 ms.
    pub stalls: u32,
    #[serde(skip)]
    last: Option<Instant>,
}

/// What a receiver saw of the stream.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Sunk {
    /// The bytes.
    pub checker: Checker,
    /// Where it waited.
    pub gaps: Gaps,
}

/// What a transfer yielded.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Transferred {
    /// From the first SYN to the last byte (download), or to the origin's answer after it (upload).
    pub elapsed: Duration,
    /// Payload asked for.
    pub asked: u64,
    /// Payload that did not come whole.
    pub lost: u64,
    /// Payload that came, right or wrong.
    pub received: u64,
    /// Offset of the first byte that came wrong.
    pub first_wrong: Option<u64>,
    /// The receiver's longest wait for bytes.
    pub longest_gap: Duration,
    /// The receiver's waits of at least 200 ms.
    pub stalls: u32,
}

impl Transferred {
    /// Whether all came, but not all of it right: see [`Report::altered`](crate::report::Report::altered).
    pub fn is_altered(&self) -> bool {
        self.first_wrong.is_some() && self.received == self.asked
    }
}

impl Protocol {
    /// A socket of the protocol for `address`'s family, with cubic: defaults differ between hosts, and mixed
    /// congestion control costs a quarter of the sum (aggregation.md, Q1).
    pub fn socket(self, address: &SocketAddr) -> io::Result<Socket> {
        let protocol = match self {
            Self::Mptcp => socket2::Protocol::MPTCP,
            Self::Tcp => socket2::Protocol::TCP,
        };
        let socket = Socket::new(Domain::for_address(*address), Type::STREAM, Some(protocol))?;
        socket.set_tcp_congestion(b"cubic")?;
        Ok(socket)
    }

    /// Listens on `port` of every address of both families.
    ///
    /// A port that was in use a moment ago is asked for again, for a second: a process being started elsewhere holds
    /// a copy of every descriptor, the closed listener's too, from its fork to its exec.
    pub fn listen(self, port: u16) -> io::Result<TcpListener> {
        self.listen_at(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port))
    }

    /// As [`Protocol::listen`], at one address.
    pub fn listen_at(self, address: SocketAddr) -> io::Result<TcpListener> {
        let until = Instant::now() + FORKED;
        loop {
            let socket = self.socket(&address)?;
            if address.is_ipv6() {
                socket.set_only_v6(false)?;
            }
            socket.set_reuse_address(true)?;
            match socket.bind(&address.into()).and_then(|()| socket.listen(BACKLOG)) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < until => {
                    std::thread::sleep(Duration::from_millis(10));
                }
                bound => return bound.map(|()| socket.into()),
            }
        }
    }

    /// Connects within `timeout`, which then also bounds each read and write.
    pub fn connect(self, address: SocketAddr, timeout: Duration) -> io::Result<TcpStream> {
        self.connect_from(None, address, timeout)
    }

    /// As [`Protocol::connect`], from an address of the caller's choice.
    pub fn connect_from(self, from: Option<IpAddr>, address: SocketAddr, timeout: Duration) -> io::Result<TcpStream> {
        let socket = self.socket(&address)?;
        if let Some(from) = from {
            socket.bind(&SocketAddr::new(from, 0).into())?;
        }
        socket.connect_timeout(&address.into(), timeout)?;
        socket.set_read_timeout(Some(timeout))?;
        socket.set_write_timeout(Some(timeout))?;
        let stream = TcpStream::from(socket);
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

impl Via {
    /// Opens a tunnel, or connects to whoever takes requests for `origin`.
    ///
    /// Errors: the socket's; `ConnectionRefused` with the proxy's status line when it refuses.
    pub fn open(self, protocol: Protocol, origin: SocketAddr, timeout: Duration) -> io::Result<TcpStream> {
        self.open_from(None, protocol, origin, timeout)
    }

    /// As [`Via::open`], from an address of the caller's choice.
    pub fn open_from(
        self,
        from: Option<IpAddr>,
        protocol: Protocol,
        origin: SocketAddr,
        timeout: Duration,
    ) -> io::Result<TcpStream> {
        match self {
            Self::Direct => protocol.connect_from(from, origin, timeout),
            Self::Absolute(proxy) => protocol.connect_from(from, proxy, timeout),
            Self::Connect(proxy) => {
                let mut stream = protocol.connect_from(from, proxy, timeout)?;
                stream.write_all(
                    format!("CONNECT {origin} HTTP/1.1\r\nHost: {origin}\r\nUser-Agent: {MARK}\r\n\r\n").as_bytes(),
                )?;
                let head = Head::read(&mut stream, Vec::new())?.ok_or(io::ErrorKind::UnexpectedEof)?;
                if head.status() == 200 {
                    Ok(stream)
                } else {
                    Err(io::Error::new(io::ErrorKind::ConnectionRefused, head.text))
                }
            }
        }
    }
}

impl Transfer {
    /// The rate a transfer of `elapsed` had.
    ///
    /// Units: bit/s of payload.
    #[allow(clippy::cast_precision_loss, reason = "sizes are far below 2^52")]
    pub fn rate(&self, elapsed: Duration) -> f64 {
        self.bytes as f64 * 8.0 / elapsed.as_secs_f64().max(1e-9)
    }

    /// Runs the transfer in the calling thread's namespace.
    ///
    /// Errors: when it could not start; a transfer that breaks off yields what was lost.
    pub fn run(&self, timeout: Duration) -> io::Result<Transferred> {
        let started = Instant::now();
        let mut stream = self.via.open(self.protocol, self.origin, timeout)?;
        let (origin, bytes) = (self.origin, self.bytes);
        let first = !matches!(self.via, Via::Connect(_));
        let prefix = match self.via {
            Via::Absolute(_) => format!("http://{origin}"),
            Via::Direct | Via::Connect(_) => String::new(),
        };
        let sunk = match self.way {
            Way::Download => {
                ask(&mut stream, first, &format!("GET {prefix}/bytes/{bytes}"), origin, "")?;
                let head = Head::read(&mut stream, Vec::new())?.ok_or(io::ErrorKind::UnexpectedEof)?;
                expect_ok(&head)?;
                sink(&mut stream, &head.rest, bytes)?
            }
            Way::Upload => {
                ask(
                    &mut stream,
                    first,
                    &format!("PUT {prefix}/sink"),
                    origin,
                    &format!("Content-Length: {bytes}\r\n"),
                )?;
                send_stream(&mut stream, bytes)?;
                let head = Head::read(&mut stream, Vec::new())?.ok_or(io::ErrorKind::UnexpectedEof)?;
                expect_ok(&head)?;
                let mut body = head.rest.clone();
                let length = usize::try_from(head.content_length().unwrap_or(0)).unwrap_or(0);
                body.resize(length.max(body.len()), 0);
                io::Read::read_exact(&mut stream, &mut body[head.rest.len()..])?;
                serde_json::from_slice(&body)?
            }
        };
        let elapsed = started.elapsed();
        finish(&stream);
        let Sunk { checker, gaps } = sunk;
        Ok(Transferred {
            elapsed,
            asked: bytes,
            lost: checker.lost(bytes),
            received: checker.bytes,
            first_wrong: checker.first_wrong,
            longest_gap: gaps.longest,
            stalls: gaps.stalls,
        })
    }
}

/// Writes a request's head: through a tunnel in one piece, because of heads that are written in several the kernel delivers a wrong one now
/// and then (docs/results/README.md, "A defect of the kernel's"). Where it is the first thing said, [`MARK`] stands in a segment of its own:
/// of a connection whose very first segment fails its checksum the kernel gets 67 bytes in 200 ms across (seen on 6.18 with the floor).
fn ask(stream: &mut TcpStream, first: bool, line: &str, origin: SocketAddr, more: &str) -> io::Result<()> {
    let head = format!("{line} HTTP/1.1\r\nHost: {origin}\r\nUser-Agent: {MARK}\r\n{more}\r\n");
    let at = head.find(MARK).filter(|_| first).unwrap_or(0);
    stream.write_all(&head.as_bytes()[..at])?;
    stream.write_all(&head.as_bytes()[at..])
}

/// Ends a connection in peace; the peer may have ended it first, which changes nothing for a finished transfer.
fn finish(stream: &TcpStream) {
    drop(stream.shutdown(Shutdown::Write));
}

fn expect_ok(head: &Head) -> io::Result<()> {
    if head.status() == 200 { Ok(()) } else { Err(io::Error::other(head.text.clone())) }
}

impl Gaps {
    /// Starts watching at `now`.
    pub fn start(now: Instant) -> Self {
        Self { longest: Duration::ZERO, stalls: 0, last: Some(now) }
    }

    /// Notes that bytes came at `now`.
    pub fn mark(&mut self, now: Instant) {
        let gap = self.last.map_or(Duration::ZERO, |last| now.saturating_duration_since(last));
        self.longest = self.longest.max(gap);
        self.stalls += u32::from(gap >= STALL);
        self.last = Some(now);
    }
}

#[cfg(test)]
mod tests;
