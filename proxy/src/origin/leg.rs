//! The server leg: a plain TCP socket to an origin, its entry among our outgoing connections, and how it is read.
//!
//! hyper owns it while it carries requests; a tunnel has it to itself.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

use super::ahead::Ahead;
use super::connect::Connected;
use super::own::Registration;
use crate::pipe::{self, Pipe, Spliced};

/// A connection to an origin.
#[derive(Debug)]
pub struct OriginLeg {
    stream: TcpStream,
    ahead: Ahead,
    tunnel: bool,
    _registration: Registration,
}

impl OriginLeg {
    /// Takes over a connection that has brought nothing yet.
    #[must_use]
    pub fn new(stream: TcpStream, registration: Registration) -> Self {
        let ahead = Ahead::new(stream.as_fd());
        Self { stream, ahead, tunnel: false, _registration: registration }
    }

    /// The socket itself.
    #[must_use]
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// From now on it is read until the socket says that it is empty.
    ///
    /// The runtime takes a read that left room for that (epoll(7)), and would wait for more in front of what is behind an urgent byte, which
    /// ends a read as well. What precedes a 101 is read in the runtime's way.
    pub fn carry_anything(&mut self) {
        self.tunnel = true;
    }
}

impl From<Connected> for OriginLeg {
    fn from(connected: Connected) -> Self {
        Self::new(connected.stream, connected.registration)
    }
}

impl AsFd for OriginLeg {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

impl AsyncRead for OriginLeg {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Self { stream, ahead, tunnel, .. } = &mut *self;
        let before = buffer.filled().len();
        let read = if *tunnel {
            poll_until_empty(stream, cx, |from| from.try_read_buf(buffer)).map_ok(drop)
        } else {
            Pin::new(&mut *stream).poll_read(cx, buffer)
        };
        match &read {
            Poll::Pending => ahead.emptied(),
            Poll::Ready(_) => ahead.took(stream.as_fd(), buffer.filled().len() - before),
        }
        read
    }
}

/// Reads; a socket that has nothing is waited for.
fn poll_until_empty<T>(
    stream: &TcpStream,
    cx: &mut Context<'_>,
    mut read: impl FnMut(&TcpStream) -> io::Result<T>,
) -> Poll<io::Result<T>> {
    loop {
        ready!(stream.poll_read_ready(cx))?;
        match read(stream) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            done => return Poll::Ready(done),
        }
    }
}

impl AsyncWrite for OriginLeg {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl Spliced for OriginLeg {
    fn gives(&self) -> bool {
        true
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>, pipe: &mut Pipe) -> Poll<io::Result<usize>> {
        let filled = poll_until_empty(&self.stream, cx, |from| pipe.fill_from(from, pipe::SIZE));
        match &filled {
            Poll::Pending => self.ahead.emptied(),
            Poll::Ready(taken) => self.ahead.took(self.stream.as_fd(), *taken.as_ref().unwrap_or(&0)),
        }
        filled
    }

    fn poll_drain(&mut self, cx: &mut Context<'_>, pipe: &mut Pipe) -> Poll<io::Result<usize>> {
        let Self { stream, .. } = self;
        loop {
            ready!(stream.poll_write_ready(cx))?;
            match stream.try_io(Interest::WRITABLE, || pipe.drain(stream.as_fd(), pipe::SIZE)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
        }
    }
}
