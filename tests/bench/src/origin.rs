//! The origin of every load: one thread, so that it takes no more of the machine than it must.
//!
//! What lives here: `GET /bytes/N`, `PUT` into nowhere, `CONNECT` (for proxies that pass it through), and an echo of whatever
//! begins with `!`. What does not: checking bytes, which is the lab's `integrity`. Called by `world`.
//! Owned by the world: dropping it ends the thread and every connection.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anabranch_lab::Namespace;
use anabranch_lab::client::Protocol;
use anabranch_lab::stream;
use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::load::{CHUNK, Meter, WITHOUT_END, drain_into, runtime};

/// A running origin.
#[derive(Debug)]
pub struct Origin {
    /// What it received of uploads.
    pub meter: Arc<Meter>,
    /// How often transfers without end were told to end.
    ended: Arc<AtomicU64>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Origin {
    /// Listens on all `ports` of `ns`.
    pub fn start(ns: &Namespace, ports: &[(u16, Protocol)]) -> Result<Self> {
        let listeners =
            ns.run(|| ports.iter().map(|&(port, protocol)| listen(port, protocol)).collect::<io::Result<Vec<_>>>());
        let listeners = listeners?.context("the origin cannot listen")?;
        let (stop, stopped) = oneshot::channel();
        let (meter, ended) = (Arc::<Meter>::default(), Arc::<AtomicU64>::default());
        let shared = Shared { meter: Arc::clone(&meter), ended: Arc::clone(&ended) };
        let work = move || {
            let served = runtime().and_then(|runtime| {
                runtime.block_on(async {
                    let local = tokio::task::LocalSet::new();
                    for listener in listeners {
                        local.spawn_local(accept(TcpListener::from_std(listener)?, shared.clone()));
                    }
                    // Either it is told to stop, or whoever could tell is gone.
                    drop(local.run_until(stopped).await);
                    Ok(())
                })
            });
            // Who measures sees an origin that does not answer.
            drop(served);
        };
        let thread = ns.run(|| std::thread::Builder::new().name("origin".into()).spawn(work))?;
        Ok(Self { meter, ended, stop: Some(stop), thread: Some(thread.context("cannot start the origin")?) })
    }
}

/// What all connections share.
#[derive(Debug, Clone)]
struct Shared {
    meter: Arc<Meter>,
    ended: Arc<AtomicU64>,
}

impl Origin {
    /// Ends every transfer without end; what has been sent is still delivered.
    pub fn end_transfers(&self) {
        self.ended.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        drop(self.stop.take());
        drop(self.thread.take().map(JoinHandle::join));
    }
}

fn listen(port: u16, protocol: Protocol) -> io::Result<std::net::TcpListener> {
    let listener = protocol.listen_at(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

async fn accept(listener: TcpListener, shared: Shared) {
    let shared = Rc::new(shared);
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors, at worst: they come back as connections end.
            tokio::time::sleep(Duration::from_millis(5)).await;
            continue;
        };
        let shared = Rc::clone(&shared);
        // A connection that fails ends alone; its client tells what it missed.
        tokio::task::spawn_local(async move { drop(serve(stream, &shared).await) });
    }
}

/// Answers until the peer ends.
async fn serve(mut stream: TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    // A small one: thousands of idle connections are held at once.
    let mut seen = Vec::with_capacity(512);
    loop {
        if seen.first() == Some(&b'!') {
            stream.write_all(&seen).await?;
            seen.clear();
        } else if let Some(head) = Head::parse(&seen)? {
            seen.drain(..head.length);
            match head.ask {
                Ask::Tunnel => stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?,
                Ask::Bytes(WITHOUT_END) => {
                    send_until_told(&mut stream, &shared.ended).await?;
                    break;
                }
                Ask::Bytes(size) => send(&mut stream, size).await?,
                Ask::Sink => drain_into(&stream, &shared.meter).await?,
                Ask::Else => stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").await?,
            }
            if head.close {
                break;
            }
            continue;
        }
        if stream.read_buf(&mut seen).await? == 0 {
            break;
        }
    }
    stream.shutdown().await
}

async fn send(stream: &mut TcpStream, size: u64) -> io::Result<()> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n");
    // One piece, over and over: what it costs to make up bytes is nobody's to pay.
    let piece = stream::window(0, CHUNK);
    let first = usize::try_from(size).unwrap_or(CHUNK).min(CHUNK);
    if first <= 2048 {
        return stream.write_all(&[head.as_bytes(), &piece[..first]].concat()).await;
    }
    stream.write_all(head.as_bytes()).await?;
    let mut left = size;
    while left > 0 {
        let part = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
        stream.write_all(&piece[..part]).await?;
        left -= part as u64;
    }
    Ok(())
}

async fn send_until_told(stream: &mut TcpStream, ended: &AtomicU64) -> io::Result<()> {
    let born = ended.load(Ordering::Relaxed);
    stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {WITHOUT_END}\r\n\r\n").as_bytes()).await?;
    let piece = stream::window(0, CHUNK);
    while ended.load(Ordering::Relaxed) == born {
        stream.write_all(piece).await?;
    }
    Ok(())
}

/// What a request asks for.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    length: usize,
    ask: Ask,
    close: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Ask {
    Tunnel,
    Bytes(u64),
    Sink,
    Else,
}

impl Head {
    /// Reads a head; `None` while it is not whole.
    fn parse(bytes: &[u8]) -> io::Result<Option<Self>> {
        let mut fields = [httparse::EMPTY_HEADER; 64];
        let mut request = httparse::Request::new(&mut fields);
        let httparse::Status::Complete(length) = request.parse(bytes).map_err(io::Error::other)? else {
            return Ok(None);
        };
        let path = request.path.unwrap_or_default();
        let ask = match (request.method, path.split_once("/bytes/").and_then(|(_, n)| n.parse().ok())) {
            (Some("CONNECT"), _) => Ask::Tunnel,
            (Some("GET"), Some(size)) => Ask::Bytes(size),
            (Some("PUT"), _) => Ask::Sink,
            _ => Ask::Else,
        };
        let close = |field: &httparse::Header<'_>| {
            field.name.eq_ignore_ascii_case("connection") && field.value.eq_ignore_ascii_case(b"close")
        };
        let close = request.headers.iter().any(close);
        Ok(Some(Self { length, ask, close }))
    }
}

#[cfg(test)]
mod tests;
