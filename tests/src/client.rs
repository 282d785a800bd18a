//! A client that sends exactly the bytes it is given and reads to the letter.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::PATIENCE;
use crate::message::{Kind, Message, parse};

/// How a connection was left by the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It ended its stream in order.
    Closed,
    /// It reset the connection.
    Reset,
    /// It did neither in the time given.
    Open,
}

/// One connection.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    /// Read and not yet consumed.
    buffer: Vec<u8>,
    ended: Option<End>,
}

impl Client {
    /// Connects.
    ///
    /// Panics:  when nobody listens there.
    #[must_use]
    pub fn connect(to: SocketAddr) -> Self {
        let stream = TcpStream::connect(to).expect("somebody listens");
        stream.set_nodelay(true).expect("a TCP socket");
        stream.set_write_timeout(Some(PATIENCE)).expect("not zero");
        Self { stream, buffer: Vec::new(), ended: None }
    }

    /// Sends bytes; that the other side has gone already is no error here, it shows in what is read.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        drop(self.stream.write_all(bytes.as_ref()));
    }

    /// Sends bytes until the other side takes no more for `quiet`; returns how many it took.
    pub fn push(&mut self, bytes: &[u8], most: usize, quiet: Duration) -> usize {
        self.stream.set_write_timeout(Some(quiet)).expect("not zero");
        let mut sent = 0;
        while sent < most {
            match self.stream.write(bytes) {
                Ok(written) => sent += written,
                Err(_) => break,
            }
        }
        sent
    }

    /// Ends our side of the stream.
    pub fn finish(&mut self) {
        drop(self.stream.shutdown(Shutdown::Write));
    }

    /// The next answer, interim ones included.
    ///
    /// Errors:  what is wrong with it, with what was read.
    pub fn try_answer(&mut self, kind: Kind) -> Result<Message, String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let complete = self.ended == Some(End::Closed);
            match parse(&self.buffer, kind, complete) {
                Err(error) => return Err(format!("{error}, in {:?}", self.shown())),
                Ok(Some((message, length))) => {
                    self.buffer.drain(..length);
                    return Ok(message);
                }
                Ok(None) if self.ended.is_some() => {
                    return Err(format!("cut off ({:?}) after {:?}", self.ended, self.shown()));
                }
                Ok(None) => self.fill(deadline),
            }
            if Instant::now() >= deadline {
                return Err(format!("not whole after {PATIENCE:?}: {:?}", self.shown()));
            }
        }
    }

    /// The next answer to anything but HEAD and CONNECT.
    ///
    /// Panics:  when there is none, or none that follows the grammar.
    pub fn answer(&mut self) -> Message {
        self.try_answer(Kind::Answer).expect("an answer")
    }

    /// Sends a request and reads its answer.
    ///
    /// Panics:  as [`Self::answer`].
    pub fn ask(&mut self, request: impl AsRef<[u8]>) -> Message {
        self.send(request);
        self.answer()
    }

    /// Exactly so many bytes.
    ///
    /// Panics:  when fewer come.
    pub fn exactly(&mut self, count: usize) -> Vec<u8> {
        let deadline = Instant::now() + PATIENCE;
        while self.buffer.len() < count && self.ended.is_none() && Instant::now() < deadline {
            self.fill(deadline);
        }
        assert!(self.buffer.len() >= count, "{count} bytes expected, {:?} came, then {:?}", self.shown(), self.ended);
        self.buffer.drain(..count).collect()
    }

    /// Everything up to the end, or until `limit` is over.
    pub fn rest(&mut self, limit: Duration) -> (Vec<u8>, End) {
        let deadline = Instant::now() + limit;
        while self.ended.is_none() && Instant::now() < deadline {
            self.fill(deadline);
        }
        (std::mem::take(&mut self.buffer), self.ended.unwrap_or(End::Open))
    }

    /// Reads once, until `deadline` at the latest.
    fn fill(&mut self, deadline: Instant) {
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        self.stream.set_read_timeout(Some(left)).expect("not zero");
        let mut chunk = [0; 16 * 1024];
        match self.stream.read(&mut chunk) {
            Ok(0) => self.ended = Some(End::Closed),
            Ok(read) => self.buffer.extend_from_slice(&chunk[..read]),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(_) => self.ended = Some(End::Reset),
        }
    }

    fn shown(&self) -> String {
        let shown = &self.buffer[..self.buffer.len().min(2048)];
        shown.escape_ascii().to_string()
    }
}
