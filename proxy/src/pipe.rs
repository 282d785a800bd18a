//! Pipes between two sockets: the kernel hands pages from one to the other, and nothing is copied on the way.

use std::cell::{Cell, RefCell};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::task::{Context, Poll};

use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::TcpStream;

/// What a pipe may hold. An ordinary user's pipes may hold 64 MiB in all (`fs.pipe-user-pages-soft`, pipe(7)).
pub(crate) const SIZE: usize = 1024 * 1024;

/// Pipes a worker has at most. Who finds none copies, and so does whom the kernel gives none.
const MOST: usize = 32;

thread_local! {
    // A worker is one thread, as for buffers.
    static STOCK: RefCell<Vec<Pipe>> = const { RefCell::new(Vec::new()) };
    static MADE: Cell<usize> = const { Cell::new(0) };
}

/// A pipe, and how many bytes are in it.
#[derive(Debug)]
pub(crate) struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
    held: usize,
}

impl Pipe {
    /// One from the stock or a new one. `None`: there are enough, or the kernel lets us have no more.
    pub(crate) fn take() -> Option<Self> {
        STOCK.with_borrow_mut(Vec::pop).or_else(Self::new)
    }

    fn new() -> Option<Self> {
        if MADE.get() >= MOST {
            return None;
        }
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).ok()?;
        // A small one would cost more system calls than copying.
        fcntl_setpipe_size(&write, SIZE).ok()?;
        MADE.set(MADE.get() + 1);
        Some(Self { read, write, held: 0 })
    }

    /// Gives it back. One with bytes in it is closed: they are nobody else's.
    pub(crate) fn give_back(self) {
        if self.held == 0 {
            STOCK.with_borrow_mut(|stock| stock.push(self));
        }
    }

    /// Bytes that are in it.
    pub(crate) const fn held(&self) -> usize {
        self.held
    }

    /// Takes in up to `most` bytes of what a socket has received. Nothing: its stream has ended.
    ///
    /// Errors: `WouldBlock` if it has nothing, for a pipe that is empty; else the socket's
    fn fill(&mut self, from: BorrowedFd<'_>, most: usize) -> io::Result<usize> {
        let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        let taken = splice(from, None, self.write.as_fd(), None, most.min(SIZE), flags)?;
        self.held += taken;
        Ok(taken)
    }

    /// As [`Pipe::fill`], for a socket of the runtime. Nothing: its stream has ended, or goes on with what only a read gives.
    ///
    /// splice(2) stops in front of an urgent byte for good, and says of it what it says of an empty socket, and behind the stream's end
    /// that it has ended (Linux 6.18, `tcp_read_sock`): so a look has to confirm that nothing is there.
    ///
    /// Errors: `WouldBlock` if the socket has nothing; else the socket's
    pub(crate) fn fill_from(&mut self, from: &TcpStream, most: usize) -> io::Result<usize> {
        for _ in 0..2 {
            match self.fill(from.as_fd(), most) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return done,
            }
            from.try_io(Interest::READABLE, || SockRef::from(from).peek(&mut [MaybeUninit::uninit()]))?;
        }
        Ok(0)
    }

    /// Passes on up to `most` bytes.
    ///
    /// Errors: `WouldBlock` if the socket has no room; else the socket's
    pub(crate) fn drain(&mut self, to: BorrowedFd<'_>, most: usize) -> io::Result<usize> {
        let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        let given = splice(self.read.as_fd(), None, to, None, most.min(self.held), flags)?;
        self.held -= given;
        Ok(given)
    }
}

/// A socket at one end of a pipe.
pub(crate) trait Spliced {
    /// Whether taking bytes out by way of a pipe costs less than copying them. Not for a Multipath TCP socket
    /// (measured: Linux 6.18).
    fn gives(&self) -> bool;

    /// Takes what was received into an empty pipe. Nothing: the stream has ended, or goes on with what only a read gives.
    fn poll_fill(&mut self, cx: &mut Context<'_>, pipe: &mut Pipe) -> Poll<io::Result<usize>>;

    /// Writes what is in a pipe, or as much of it as there is room for.
    fn poll_drain(&mut self, cx: &mut Context<'_>, pipe: &mut Pipe) -> Poll<io::Result<usize>>;
}

impl Drop for Pipe {
    fn drop(&mut self) {
        // At a thread's end the count may be gone before its stock.
        MADE.try_with(|made| made.set(made.get().saturating_sub(1))).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests;
