//! The client leg: the accepted socket, shared by whoever reads, writes, measures and finally closes it.
//!
//! hyper owns an I/O object and drops it when it is done, sometimes in an error. The socket must outlive that: its
//! MPTCP facts are read at the end of a session, and it must never be closed with unread bytes (the kernel would send
//! MP_FASTCLOSE and the client could lose the answer, RFC 8684 §3.5). So the descriptor sits behind an [`Arc`], and
//! [`Leg::linger`] is the one way a client leg ends.

mod bucket;

use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use anabranch_kernel::sockopt::unacknowledged;
use anabranch_throttle::intent::Direction;
use bytes::BufMut as _;
use socket2::{Protocol, SockRef};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::pipe::{self, Pipe, Spliced};
pub use bucket::Bucket;
use bucket::Gate;

/// How long a closing leg waits for the client's own end of stream.
const LINGER: Duration = Duration::from_secs(2);

/// How often a lingering leg looks whether everything has been acknowledged, when the client sends nothing.
const LINGER_STEP: Duration = Duration::from_millis(100);

/// How much a closing leg reads and throws away before it gives up on a client that keeps sending.
const LINGER_BYTES: usize = 4 * 1024 * 1024;

/// The same for a client that was turned away.
const FAREWELL_BYTES: usize = 64 * 1024;

/// How long a leg that we cut off may take to deliver what is already on its way.
pub(crate) const CUT: Duration = Duration::from_secs(1);

/// How long a failed tunnel waits for one side to acknowledge what the other had already sent.
pub(crate) const DELIVER: Duration = Duration::from_secs(30);

/// The accepted socket and what has been counted on it.
#[derive(Debug)]
pub struct Leg {
    stream: TcpStream,
    received: AtomicU64,
    sent: AtomicU64,
    write_blocked: AtomicBool,
    /// The socket is an MPTCP one, if only one that fell back.
    mptcp: bool,
    /// What is read from the client passes here.
    upload: Gate,
    /// What is written to it passes here.
    download: Gate,
}

impl Leg {
    /// Takes over an accepted socket of a protocol; one that fell back from MPTCP is an MPTCP one.
    #[must_use]
    pub fn new(stream: TcpStream, protocol: Protocol) -> Arc<Self> {
        Arc::new(Self {
            stream,
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            write_blocked: AtomicBool::new(false),
            mptcp: protocol == Protocol::MPTCP,
            upload: Gate::default(),
            download: Gate::default(),
        })
    }

    /// The socket itself.
    #[must_use]
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Bytes read from the client so far.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Bytes written to the socket so far.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Somebody has bytes for this leg that the socket does not take yet. hyper buffers what it has read of an answer,
    /// so the end of a body is not yet the end of its delivery.
    #[must_use]
    pub fn write_blocked(&self) -> bool {
        self.write_blocked.load(Ordering::Relaxed)
    }

    /// Bounds what the connection holds unsent (TCP_NOTSENT_LOWAT); `None` takes the bound away.
    ///
    /// Units:  bytes
    /// Errors: the kernel's
    pub fn bound_unsent(&self, bytes: Option<u32>) -> io::Result<()> {
        SockRef::from(&self.stream).set_tcp_notsent_lowat(bytes.unwrap_or(u32::MAX))
    }

    /// Carries one direction no faster than a bucket fills; `None`: as fast as it can.
    pub fn limit(&self, direction: Direction, bucket: Option<Arc<Bucket>>) {
        match direction {
            Direction::Upload => self.upload.set(bucket),
            Direction::Download => self.download.set(bucket),
        }
    }

    /// Closes in stages (RFC 9112 §9.6): ends our side, then reads and forgets until the client ends its own.
    ///
    /// A client that does not is given up after two seconds or 4 MiB, but not before it has acknowledged what was
    /// written to it, and in any case after 30 s.
    ///
    /// Cancel: the socket closes at once, as if the time had run out.
    pub async fn linger(&self) {
        self.close_in_stages(LINGER, LINGER_BYTES, DELIVER).await;
    }

    /// The same for a client that was turned away, with the reason: one second at the most, whatever it acknowledges.
    pub(crate) async fn farewell(&self, answer: &[u8]) {
        // Some clients take an answer to what they have not asked yet for a failure of the connection.
        drop(timeout(LINGER_STEP, self.stream.peek(&mut [0])).await);
        if self.stream.try_write(answer).is_ok() {
            self.close_in_stages(CUT, FAREWELL_BYTES, CUT).await;
        }
    }

    async fn close_in_stages(&self, patience: Duration, bytes: usize, at_most: Duration) {
        if SockRef::from(&self.stream).shutdown(Shutdown::Write).is_err() {
            return; // Already reset: nothing can be lost any more.
        }
        // On the heap, for as long as it lasts: an array here would lie in every session's memory from its first moment.
        let mut scratch = vec![0_u8; 4096];
        let (begun, mut left) = (Instant::now(), bytes);
        while begun.elapsed() < at_most {
            // Neither the socket's readiness nor a timeout that is met counts against the worker's patience with us.
            tokio::task::consume_budget().await;
            if left == 0 {
                sleep(LINGER_STEP).await;
            } else if timeout(LINGER_STEP, self.stream.readable()).await.is_ok() {
                match self.stream.try_read(&mut scratch) {
                    Ok(0) => return,
                    Ok(read) => left = left.saturating_sub(read),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(_) => return,
                }
            }
            let patient = begun.elapsed() < patience && left > 0;
            if !patient && matches!(unacknowledged(self.stream.as_fd()), Ok(0) | Err(_)) {
                return;
            }
        }
    }

    /// Ends the leg so that the client sees a failure, but only after it acknowledged all that was written.
    ///
    /// A reset that overtakes data would destroy bytes the origin had sent; a plain end of stream would pass a cut-off
    /// transfer for a whole one.
    pub async fn deliver_then_reset(&self, limit: Duration, abort: &CancellationToken) {
        deliver_then_reset(&self.stream, limit, abort).await;
    }
}

impl AsFd for Leg {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

/// Waits until the peer acknowledged everything, at most `limit` ([`CUT`] once the process cuts sessions off); the close
/// that follows is a reset.
///
/// Cancel: the close is a reset all the same.
pub(crate) async fn deliver_then_reset(stream: &TcpStream, limit: Duration, abort: &CancellationToken) {
    let _armed = ResetOnClose(stream);
    let delivered = async {
        let mut step = Duration::from_millis(1);
        while !matches!(unacknowledged(stream.as_fd()), Ok(0) | Err(_)) {
            sleep(step).await;
            step = (step * 2).min(Duration::from_millis(100));
        }
    };
    let cut_short = async {
        abort.cancelled().await;
        sleep(CUT).await;
    };
    tokio::select! {
        biased;
        () = delivered => {}
        () = cut_short => {}
        () = sleep(limit) => {}
    }
}

/// Makes the close of a socket a reset, from its own end on.
struct ResetOnClose<'a>(&'a TcpStream);

impl Drop for ResetOnClose<'_> {
    fn drop(&mut self) {
        if let Err(error) = SockRef::from(self.0).set_linger(Some(Duration::ZERO)) {
            tracing::debug!(%error, "a reset could not be armed; the peer sees an end of stream");
        }
    }
}

/// A reading and writing handle to a [`Leg`].
#[derive(Debug, Clone)]
pub struct LegIo(pub Arc<Leg>);

impl Spliced for LegIo {
    fn gives(&self) -> bool {
        !self.0.mptcp
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>, pipe: &mut Pipe) -> Poll<io::Result<usize>> {
        poll_read(&self.0, cx, pipe::SIZE, |stream, allowed| pipe.fill_from(stream, allowed))
    }

    fn poll_drain(&mut self, cx: &mut Context<'_>, pipe: &mut Pipe) -> Poll<io::Result<usize>> {
        poll_write(&self.0, cx, pipe.held(), |stream, allowed| {
            stream.try_io(Interest::WRITABLE, || pipe.drain(stream.as_fd(), allowed))
        })
    }
}

impl AsyncRead for LegIo {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        poll_read(&self.0, cx, buffer.remaining(), |stream, allowed| {
            let mut taken = None;
            let done = stream.try_io(Interest::READABLE, || {
                let read = stream.try_read_buf(&mut (&mut *buffer).limit(allowed))?;
                taken = Some(read);
                // A read that left room has emptied the socket (epoll(7)): the next one waits to be told instead of asking in vain.
                // Not so of plain TCP, where an urgent byte ends a read as well.
                let emptied = self.0.mptcp && 0 < read && read < allowed;
                if emptied { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
            });
            taken.map_or_else(|| done.map(|()| 0), Ok)
        })
        .map_ok(|_| ())
    }
}

impl AsyncWrite for LegIo {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        poll_write(&self.0, cx, bytes.len(), |stream, allowed| stream.try_write(&bytes[..allowed]))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wanted = slices.iter().map(|slice| slice.len()).sum();
        poll_write(&self.0, cx, wanted, |stream, allowed| {
            if allowed == wanted {
                return stream.try_write_vectored(slices);
            }
            let first = slices.iter().find(|slice| !slice.is_empty()).map_or(&[][..], |slice| slice);
            stream.try_write(&first[..first.len().min(allowed)])
        })
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(SockRef::from(&self.0.stream).shutdown(Shutdown::Write))
    }
}

fn poll_read(
    leg: &Leg,
    cx: &mut Context<'_>,
    wanted: usize,
    mut read: impl FnMut(&TcpStream, usize) -> io::Result<usize>,
) -> Poll<io::Result<usize>> {
    loop {
        ready!(leg.stream.poll_read_ready(cx))?;
        let pass = ready!(leg.upload.poll(cx, wanted));
        match read(&leg.stream, pass.bytes()) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => pass.used(0),
            done => {
                let taken = done.as_ref().map_or(0, |taken| *taken);
                pass.used(taken);
                leg.received.fetch_add(taken as u64, Ordering::Relaxed);
                return Poll::Ready(done);
            }
        }
    }
}

fn poll_write(
    leg: &Leg,
    cx: &mut Context<'_>,
    wanted: usize,
    mut write: impl FnMut(&TcpStream, usize) -> io::Result<usize>,
) -> Poll<io::Result<usize>> {
    loop {
        let room = leg.stream.poll_write_ready(cx)?;
        let passage = if room.is_ready() { leg.download.poll(cx, wanted) } else { Poll::Pending };
        let Poll::Ready(pass) = passage else {
            leg.write_blocked.store(true, Ordering::Relaxed);
            return Poll::Pending;
        };
        match write(&leg.stream, pass.bytes().min(wanted)) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => pass.used(0),
            done => {
                leg.write_blocked.store(false, Ordering::Relaxed);
                let written = done.as_ref().map_or(0, |written| *written);
                pass.used(written);
                leg.sent.fetch_add(written as u64, Ordering::Relaxed);
                return Poll::Ready(done);
            }
        }
    }
}

/// What a session reads from and writes to on its client's side: the socket, or TLS over it.
#[derive(Debug)]
pub enum ClientIo {
    /// The socket as it is.
    Plain(LegIo),
    /// TLS over the socket (boxed: its state is two orders of magnitude larger).
    Tls(Box<tokio_rustls::server::TlsStream<LegIo>>),
}

impl AsFd for ClientIo {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Plain(io) => io.0.stream.as_fd(),
            Self::Tls(io) => io.get_ref().0.0.stream.as_fd(),
        }
    }
}

impl AsyncRead for ClientIo {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_read(cx, buffer),
            Self::Tls(io) => Pin::new(io).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for ClientIo {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_write(cx, bytes),
            Self::Tls(io) => Pin::new(io).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_write_vectored(cx, slices),
            Self::Tls(io) => Pin::new(io).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(io) => io.is_write_vectored(),
            Self::Tls(io) => io.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_flush(cx),
            Self::Tls(io) => Pin::new(io).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_shutdown(cx),
            Self::Tls(io) => Pin::new(io).poll_shutdown(cx),
        }
    }
}
