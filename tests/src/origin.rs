//! An origin that records every byte, reads requests to the letter and answers as it is told.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::PATIENCE;
use crate::message::{Kind, Message, parse};

/// What a [`Conversation`] leaves behind.
#[derive(Debug, Default)]
struct Seen {
    /// The bytes of each connection, in the order they were accepted.
    received: Mutex<Vec<Vec<u8>>>,
    faults: Mutex<Vec<String>>,
    stop: AtomicBool,
    /// Scripts that run now.
    running: AtomicUsize,
    /// A script panicked: an assertion in it failed.
    failed: AtomicBool,
}

/// A listening origin; it stops when this is dropped, and panics then if an assertion in its script has failed.
#[derive(Debug)]
pub struct Origin {
    /// Where it listens.
    pub address: SocketAddr,
    seen: Arc<Seen>,
}

impl Origin {
    /// Starts an origin on an address of its own in 127.9.0.0/16; every connection runs the script once.
    ///
    /// Panics:  when there is no loopback.
    #[must_use]
    pub fn start(script: impl Fn(&mut Conversation) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.9.0.1:0").expect("loopback");
        let address = listener.local_addr().expect("bound");
        let seen = Arc::new(Seen::default());
        let (script, shared) = (Arc::new(script), seen.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if shared.stop.load(Ordering::Relaxed) {
                    return;
                }
                let index = {
                    let mut received = shared.received.lock().expect("no holder panics");
                    received.push(Vec::new());
                    received.len() - 1
                };
                let (script, seen) = (script.clone(), shared.clone());
                seen.running.fetch_add(1, Ordering::SeqCst);
                std::thread::spawn(move || {
                    let mut conversation = Conversation { stream, seen: seen.clone(), index, buffer: Vec::new() };
                    // Nobody joins this thread; what fails in it is told when the origin is dropped.
                    let run = AssertUnwindSafe(|| script(&mut conversation));
                    if catch_unwind(run).is_err() {
                        seen.failed.store(true, Ordering::SeqCst);
                    }
                    seen.running.fetch_sub(1, Ordering::SeqCst);
                    conversation.drain();
                });
            }
        });
        Self { address, seen }
    }

    /// An origin that answers every request with these bytes.
    #[must_use]
    pub fn answering(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::start(move |conversation| {
            while conversation.request().is_some() {
                conversation.say(&answer);
            }
        })
    }

    /// An origin that answers every request with `ok`.
    #[must_use]
    pub fn friendly() -> Self {
        Self::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    }

    /// Waits until no script runs any more.
    ///
    /// Panics:  when one runs for longer than [`PATIENCE`].
    pub fn wait(&self) {
        let deadline = Instant::now() + PATIENCE;
        while self.seen.running.load(Ordering::SeqCst) > 0 {
            assert!(Instant::now() < deadline, "a script of the origin does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// How many connections it has accepted.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.seen.received.lock().expect("no holder panics").len()
    }

    /// All it has received, one connection after the other.
    #[must_use]
    pub fn received(&self) -> Vec<u8> {
        self.seen.received.lock().expect("no holder panics").concat()
    }

    /// What was wrong with the requests it got.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        self.seen.faults.lock().expect("no holder panics").clone()
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.seen.stop.store(true, Ordering::Relaxed);
        // Wakes the accepting thread, which then sees that it may go.
        drop(TcpStream::connect(self.address));
        let failed = self.seen.failed.load(Ordering::SeqCst);
        assert!(!failed || std::thread::panicking(), "an assertion in the origin's script failed");
    }
}

/// The origin's side of one connection.
#[derive(Debug)]
pub struct Conversation {
    stream: TcpStream,
    seen: Arc<Seen>,
    index: usize,
    /// Read and not yet consumed.
    buffer: Vec<u8>,
}

impl Conversation {
    /// The next request, or `None` when the connection is over or the request follows no grammar.
    pub fn request(&mut self) -> Option<Message> {
        loop {
            match parse(&self.buffer, Kind::Request, false) {
                Ok(Some((message, length))) => {
                    self.buffer.drain(..length);
                    return Some(message);
                }
                Ok(None) => {}
                Err(error) => {
                    self.seen.faults.lock().expect("no holder panics").push(error);
                    return None;
                }
            }
            if !self.fill() {
                return None;
            }
        }
    }

    /// Reads until the end of the next head has come, and leaves everything unread behind it.
    pub fn head(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                let head: Vec<u8> = self.buffer.drain(..end + 4).collect();
                return Some(String::from_utf8_lossy(&head).into_owned());
            }
            if !self.fill() {
                return None;
            }
        }
    }

    /// Exactly so many bytes, or what there was when the connection ended.
    pub fn exactly(&mut self, count: usize) -> Vec<u8> {
        while self.buffer.len() < count && self.fill() {}
        let count = count.min(self.buffer.len());
        self.buffer.drain(..count).collect()
    }

    /// Sends bytes; whoever no longer listens misses them.
    pub fn say(&mut self, bytes: impl AsRef<[u8]>) {
        drop(self.stream.write_all(bytes.as_ref()));
    }

    /// Sends bytes over and over until nobody takes any for `quiet`, or `most` are sent; returns how many were taken.
    pub fn push(&mut self, bytes: &[u8], most: usize, quiet: Duration) -> usize {
        self.stream.set_write_timeout(Some(quiet)).expect("not zero");
        let mut sent = 0;
        while sent < most {
            match self.stream.write(bytes) {
                Ok(written) => sent += written,
                Err(_) => break,
            }
        }
        self.stream.set_write_timeout(Some(PATIENCE)).expect("not zero");
        sent
    }

    /// Whether something comes within this time.
    pub fn hears_within(&mut self, limit: Duration) -> bool {
        if !self.buffer.is_empty() {
            return true;
        }
        self.stream.set_read_timeout(Some(limit)).expect("not zero");
        let heard = matches!(self.stream.peek(&mut [0]), Ok(count) if count > 0);
        self.stream.set_read_timeout(None).expect("none is allowed");
        heard
    }

    /// Ends our side of the stream.
    pub fn finish(&mut self) {
        drop(self.stream.shutdown(Shutdown::Write));
    }

    /// Closes both directions.
    pub fn close(&mut self) {
        drop(self.stream.shutdown(Shutdown::Both));
    }

    fn fill(&mut self) -> bool {
        let mut chunk = [0; 16 * 1024];
        let Ok(read) = self.stream.read(&mut chunk) else { return false };
        self.buffer.extend_from_slice(&chunk[..read]);
        self.seen.received.lock().expect("no holder panics")[self.index].extend_from_slice(&chunk[..read]);
        read > 0
    }

    /// Records what still comes once the script is over: a byte that comes late counts like any other.
    fn drain(&mut self) {
        self.finish();
        while self.fill() {}
    }
}
