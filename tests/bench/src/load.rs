//! Clients: bulk streams and exchanges, all of a load on one thread.
//!
//! What lives here: what a client needs of the network, and the counters a load keeps. What does not: what is measured of it
//! (`scenario`). Called by the scenarios, inside a client's namespace. Invariant: every load ends when it is told to, or when
//! nothing comes for ten seconds.

pub mod bulk;
pub mod exchange;

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anabranch_lab::client::Protocol;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Bytes handed to one write, and asked of one read.
pub(crate) const CHUNK: usize = 256 * 1024;
/// So long without a byte is a stall (aggregation.md, Q2 of the lab).
const STALL: Duration = Duration::from_millis(200);
/// So long nobody waits for an answer.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// What a load has moved so far, for whoever looks on.
#[derive(Debug, Default)]
pub struct Meter {
    /// Payload bytes that arrived.
    pub bytes: AtomicU64,
    /// Waits of at least 200 ms for bytes, on any stream.
    pub stalls: AtomicU64,
    /// Streams on which something has arrived, or tunnels that are open.
    pub started: AtomicU64,
    /// What failed.
    pub errors: AtomicU64,
    /// Set when the load shall come to its end.
    pub ending: AtomicBool,
}

impl Meter {
    /// Whether the load shall come to its end.
    pub fn is_ending(&self) -> bool {
        self.ending.load(Ordering::Relaxed)
    }

    /// Lets it, and awaits its streams.
    pub(crate) async fn end(&self, streams: tokio::task::LocalSet) {
        self.ending.store(true, Ordering::Relaxed);
        // One that does not end is cut off, and shows in what the next one waits for.
        drop(timeout(ENDING, streams).await);
    }

    /// Bytes so far.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// A transfer of more than any run carries: it ends when it is told to.
pub const WITHOUT_END: u64 = 1 << 50;
/// So long what is on its way may take to be read once a load has come to its end. A client that goes while bytes come to it leaves
/// them in the kernel's memory, and the sender probing its closed window, for a minute: who is measured next would stall for that.
pub const ENDING: Duration = Duration::from_secs(10);

/// How a client reaches what it wants.
#[derive(Debug, Clone, Copy)]
pub struct Way {
    /// What it speaks.
    pub protocol: Protocol,
    /// The proxy; nobody between when `None`.
    pub proxy: Option<SocketAddr>,
    /// The origin.
    pub origin: SocketAddr,
}

impl Way {
    /// Connects to the proxy, or to the origin where there is none.
    pub async fn connect(&self) -> io::Result<TcpStream> {
        let address = self.proxy.unwrap_or(self.origin);
        let socket = self.protocol.socket(&address)?;
        socket.set_nonblocking(true)?;
        match socket.connect(&address.into()) {
            Err(error) if error.raw_os_error() != Some(nix::errno::Errno::EINPROGRESS as i32) => return Err(error),
            _ => {}
        }
        let stream = TcpStream::from_std(socket.into())?;
        timeout(PATIENCE, stream.writable()).await??;
        stream.take_error()?.map_or(Ok(()), Err)?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// Opens a tunnel to the origin, which without a proxy is a connection.
    pub async fn tunnel(&self) -> io::Result<TcpStream> {
        let mut stream = self.connect().await?;
        if self.proxy.is_some() {
            let origin = self.origin;
            let request = format!("CONNECT {origin} HTTP/1.1\r\nHost: {origin}\r\n\r\n");
            stream.write_all(request.as_bytes()).await?;
            let mut seen = Vec::with_capacity(256);
            let answer = timeout(PATIENCE, answer(&mut stream, &mut seen)).await??;
            if answer.status != 200 {
                return Err(io::Error::other(format!("CONNECT was answered with {}", answer.status)));
            }
        }
        Ok(stream)
    }

    /// The request for `size` bytes: absolute for a proxy, plain for an origin, and through a tunnel.
    pub fn request(&self, size: u64, absolute: bool, close: bool) -> String {
        let origin = self.origin;
        let prefix = if absolute && self.proxy.is_some() { format!("http://{origin}") } else { String::new() };
        let close = if close { "Connection: close\r\n" } else { "" };
        format!("GET {prefix}/bytes/{size} HTTP/1.1\r\nHost: {origin}\r\n{close}\r\n")
    }
}

/// A response's head, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Of the head, in what was read.
    pub(crate) head: usize,
    /// Of the body.
    pub(crate) body: u64,
}

/// Reads a response's head into `seen`.
pub(crate) async fn answer(stream: &mut TcpStream, seen: &mut Vec<u8>) -> io::Result<Answer> {
    loop {
        if let Some(answer) = parse(seen)? {
            return Ok(answer);
        }
        if stream.read_buf(seen).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

fn parse(bytes: &[u8]) -> io::Result<Option<Answer>> {
    let mut fields = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(head) = response.parse(bytes).map_err(io::Error::other)? else { return Ok(None) };
    let length = response.headers.iter().find(|field| field.name.eq_ignore_ascii_case("content-length"));
    let length = length.and_then(|field| std::str::from_utf8(field.value).ok()?.parse().ok());
    Ok(Some(Answer { status: response.code.unwrap_or(0), head, body: length.unwrap_or(0) }))
}

thread_local! {
    /// What is read goes nowhere: one place for all streams of a thread, that stays in the cache.
    static NOWHERE: RefCell<Box<[u8]>> = RefCell::new(vec![0; CHUNK].into());
}

/// Reads and forgets to the end, counting.
///
/// Errors: the socket's, among them that it was reset.
pub(crate) async fn drain_into(stream: &TcpStream, meter: &Meter) -> io::Result<()> {
    let mut last: Option<Instant> = None;
    loop {
        stream.readable().await?;
        match NOWHERE.with_borrow_mut(|buffer| stream.try_read(buffer)) {
            Ok(0) => return Ok(()),
            Ok(got) => {
                let now = Instant::now();
                if last.is_some_and(|last| now - last >= STALL) {
                    meter.stalls.fetch_add(1, Ordering::Relaxed);
                }
                meter.started.fetch_add(u64::from(last.is_none()), Ordering::Relaxed);
                meter.bytes.fetch_add(got as u64, Ordering::Relaxed);
                last = Some(now);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

/// Reads and forgets `left` bytes.
pub(crate) async fn skip(stream: &TcpStream, mut left: u64) -> io::Result<()> {
    while left > 0 {
        stream.readable().await?;
        let most = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
        match NOWHERE.with_borrow_mut(|buffer| stream.try_read(&mut buffer[..most])) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(got) => left -= got as u64,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A runtime of the calling thread alone.
pub(crate) fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

#[cfg(test)]
mod tests;
