//! One direction of a tunnel.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::buffer;
use crate::outcome::Side;
use crate::pipe::{Pipe, Spliced};

/// Reads a direction may do before it lets the other connections of the worker have their turn.
const TURN: usize = 8;

/// Pipes a direction may fill in its turn; what the sockets hold ends it before. Eight downloads over MPTCP took 1.11 of HAProxy's processor
/// time for each byte with one, 1.00 to 1.03 with two, 0.92 with eight (medians of three rounds each).
const SPLICES: usize = 8;

/// A transfer is long once so much went through: a pipe and its system calls are worth while then.
const LONG: u64 = 512 * 1024;

/// A leg that failed.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) side: Side,
    pub(super) source: io::Error,
}

/// One direction: what is on its way, and whether the reading side has ended.
#[derive(Debug)]
pub(super) struct Pump {
    /// The side this direction reads from.
    from: Side,
    /// Bytes the HTTP parser had already read.
    head: Bytes,
    /// What was read and is not yet written: `buffer[start..end]`.
    buffer: Option<Box<[u8]>>,
    start: usize,
    end: usize,
    /// What the kernel was given to carry.
    pipe: Option<Pipe>,
    /// Bytes that went through buffers.
    moved: u64,
    ended: bool,
    over: bool,
}

impl Pump {
    pub(super) fn new(from: Side, head: Bytes) -> Self {
        let head = if head.is_empty() { Bytes::new() } else { head };
        Self { from, head, buffer: None, start: 0, end: 0, pipe: None, moved: 0, ended: false, over: false }
    }

    /// Nothing more will be moved this way.
    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// No buffer is held.
    #[cfg(test)]
    pub(super) fn holds_nothing(&self) -> bool {
        self.buffer.is_none() && self.pipe.is_none()
    }

    /// Bytes that went through buffers.
    #[cfg(test)]
    pub(super) fn copied(&self) -> u64 {
        self.moved
    }

    /// Stops this direction; what it holds cannot be delivered any more.
    pub(super) fn give_up(&mut self) {
        self.over = true;
        self.release();
    }

    fn is_empty(&self) -> bool {
        self.head.is_empty() && self.start == self.end
    }

    fn release(&mut self) {
        if let Some(buffer) = self.buffer.take() {
            buffer::give_back(buffer);
        }
        if let Some(pipe) = self.pipe.take() {
            pipe.give_back();
        }
    }

    /// It has carried enough for a pipe.
    pub(super) fn is_long(&self) -> bool {
        self.moved >= LONG
    }

    /// As [`Pump::poll`], by way of a pipe from socket to socket where that costs less and there is one to be had.
    pub(super) fn poll_spliced(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut (impl AsyncRead + Spliced + Unpin),
        to: &mut (impl AsyncWrite + Spliced + Unpin),
        carried: &AtomicU64,
    ) -> Poll<Result<(), Failure>> {
        // By itself: most tunnels never come to the rest.
        if self.over || self.ended || !self.is_long() || !from.gives() {
            return self.poll(cx, from, to, carried);
        }
        self.poll_piped(cx, from, to, carried)
    }

    fn poll_piped(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut (impl AsyncRead + Spliced + Unpin),
        to: &mut (impl AsyncWrite + Spliced + Unpin),
        carried: &AtomicU64,
    ) -> Poll<Result<(), Failure>> {
        let (read_side, write_side) = (self.from, self.from.other());
        // A turn that ended with bytes in the buffer: they come first.
        ready!(self.poll_write_out(cx, to, carried)).map_err(|source| Failure { side: write_side, source })?;
        let Some(mut pipe) = self.pipe.take().or_else(Pipe::take) else { return self.poll(cx, from, to, carried) };
        if let Some(buffer) = self.buffer.take() {
            buffer::give_back(buffer);
        }
        for _ in 0..SPLICES {
            while pipe.held() > 0 {
                match to.poll_drain(cx, &mut pipe) {
                    Poll::Ready(Ok(0)) => {
                        return Poll::Ready(Err(Failure { side: write_side, source: io::ErrorKind::WriteZero.into() }));
                    }
                    Poll::Ready(Ok(given)) => _ = carried.fetch_add(given as u64, Ordering::Relaxed),
                    Poll::Ready(Err(source)) => return Poll::Ready(Err(Failure { side: write_side, source })),
                    Poll::Pending => {
                        self.pipe = Some(pipe);
                        return Poll::Pending;
                    }
                }
            }
            match from.poll_fill(cx, &mut pipe) {
                // A read finds the end, or what comes before it.
                Poll::Ready(Ok(0)) => {
                    pipe.give_back();
                    return self.poll(cx, from, to, carried);
                }
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(source)) => {
                    pipe.give_back();
                    self.give_up();
                    return Poll::Ready(Err(Failure { side: read_side, source }));
                }
                Poll::Pending => {
                    pipe.give_back();
                    self.release();
                    return Poll::Pending;
                }
            }
        }
        self.pipe = Some(pipe);
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Ready once the stream has ended and its end was passed on.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
        carried: &AtomicU64,
    ) -> Poll<Result<(), Failure>> {
        if self.over {
            return Poll::Ready(Ok(()));
        }
        let (read_side, write_side) = (self.from, self.from.other());
        for _ in 0..TURN {
            ready!(self.poll_write_out(cx, to, carried)).map_err(|source| Failure { side: write_side, source })?;
            if self.ended {
                // A shutdown of a leg its peer has already reset loses nothing: all bytes are written.
                ready!(Pin::new(to).poll_shutdown(cx))
                    .or_else(not_connected)
                    .map_err(|source| Failure { side: write_side, source })?;
                self.over = true;
                self.release();
                return Poll::Ready(Ok(()));
            }
            match self.poll_read_in(cx, from) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(source)) => {
                    self.give_up();
                    return Poll::Ready(Err(Failure { side: read_side, source }));
                }
                Poll::Pending => {
                    self.release();
                    ready!(Pin::new(to).poll_flush(cx)).map_err(|source| Failure { side: write_side, source })?;
                    return Poll::Pending;
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn poll_write_out(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut (impl AsyncWrite + Unpin),
        carried: &AtomicU64,
    ) -> Poll<io::Result<()>> {
        while !self.is_empty() {
            let bytes = match &self.buffer {
                _ if !self.head.is_empty() => &self.head[..],
                Some(buffer) => &buffer[self.start..self.end],
                None => return Poll::Ready(Ok(())),
            };
            let written = ready!(Pin::new(&mut *to).poll_write(cx, bytes))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            carried.fetch_add(written as u64, Ordering::Relaxed);
            self.moved = self.moved.saturating_add(written as u64);
            if self.head.is_empty() {
                self.start += written;
            } else {
                drop(self.head.split_to(written));
                if self.head.is_empty() {
                    // An empty slice would keep the parser's whole buffer alive.
                    self.head = Bytes::new();
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_read_in(&mut self, cx: &mut Context<'_>, from: &mut (impl AsyncRead + Unpin)) -> Poll<io::Result<()>> {
        let mut space = ReadBuf::new(self.buffer.get_or_insert_with(buffer::take));
        ready!(Pin::new(from).poll_read(cx, &mut space))?;
        (self.start, self.end) = (0, space.filled().len());
        self.ended = self.end == 0;
        Poll::Ready(Ok(()))
    }
}

fn not_connected(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotConnected { Ok(()) } else { Err(error) }
}
