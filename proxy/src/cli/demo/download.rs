//! One download, watched while it runs and checked byte by byte.
//!
//! What lives here: the request and the reading. What does not: showing it (see `act`).
//! Called on a thread in the client's namespace. Invariant: every wait is bounded, and ends early when told to.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anabranch_lab::client::{Protocol, Via};
use anabranch_lab::http::Head;
use anabranch_lab::stream::Checker;

/// How long connecting may take, and how long a transfer may stand still.
const PATIENCE: Duration = Duration::from_secs(15);
/// How often a waiting read looks whether it should stop.
const LOOK: Duration = Duration::from_millis(200);
/// Bytes asked of one read.
const CHUNK: usize = 256 * 1024;

/// What is to be fetched, and how.
#[derive(Debug, Clone, Copy)]
pub(super) struct Download {
    /// What the client speaks.
    pub(super) protocol: Protocol,
    /// How it reaches the origin.
    pub(super) via: Via,
    /// The origin.
    pub(super) origin: SocketAddr,
    /// Payload.
    pub(super) bytes: u64,
}

/// What came.
#[derive(Debug, Clone, Copy)]
pub(super) struct Downloaded {
    /// From the first SYN to the last byte.
    pub(super) elapsed: Duration,
    /// The bytes.
    pub(super) checker: Checker,
}

impl Download {
    /// Fetches; `got` follows the bytes, `stop` ends it.
    ///
    /// Errors: refused, broken off, without a byte for 15 s, or `ConnectionAborted` when told to stop.
    pub(super) fn run(&self, got: &AtomicU64, stop: &AtomicBool) -> io::Result<Downloaded> {
        let started = Instant::now();
        let Self { origin, bytes, .. } = self;
        let mut stream = self.via.open(self.protocol, *origin, PATIENCE)?;
        write!(stream, "GET /bytes/{bytes} HTTP/1.1\r\nHost: {origin}\r\nConnection: close\r\n\r\n")?;
        let head = Head::read(&mut stream, Vec::new())?.ok_or(ErrorKind::UnexpectedEof)?;
        if head.status() != 200 {
            return Err(io::Error::other(head.text));
        }
        stream.set_read_timeout(Some(LOOK))?;
        let mut checker = Checker::default();
        checker.push(&head.rest);
        let (mut buffer, mut last) = (vec![0; CHUNK], Instant::now());
        while checker.bytes < *bytes {
            match stream.read(&mut buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(more) => {
                    checker.push(&buffer[..more]);
                    last = Instant::now();
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock && last.elapsed() < PATIENCE => {}
                Err(error) => return Err(error),
            }
            got.store(checker.bytes, Ordering::Relaxed);
            if stop.load(Ordering::Relaxed) {
                // Not `Interrupted`: that kind means "try again" to whoever reads.
                return Err(ErrorKind::ConnectionAborted.into());
            }
        }
        Ok(Downloaded { elapsed: started.elapsed(), checker })
    }
}
