//! Origins: plain TCP servers on loopback, a thread a connection.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use super::PATIENCE;

/// A server that lives as long as the test process.
pub(crate) struct Origin {
    pub(crate) address: SocketAddr,
}

impl Origin {
    /// Serves every connection with a function.
    pub(crate) fn new(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        Self::at(Ipv4Addr::LOCALHOST.into(), 0, serve)
    }

    pub(crate) fn at(ip: IpAddr, port: u16, serve: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((ip, port)).expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let serve = Arc::new(serve);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let serve = serve.clone();
                stream.set_read_timeout(Some(PATIENCE)).expect("a timeout above zero");
                stream.set_write_timeout(Some(PATIENCE)).expect("a timeout above zero");
                std::thread::spawn(move || serve(stream));
            }
        });
        Self { address }
    }

    /// Gives back whatever comes, and its end.
    pub(crate) fn echo() -> Self {
        Self::new(|mut stream| {
            let mut buffer = [0; 16 * 1024];
            while let Ok(read) = stream.read(&mut buffer) {
                if read == 0 || stream.write_all(&buffer[..read]).is_err() {
                    return;
                }
            }
        })
    }

    /// Answers every request with the same text.
    pub(crate) fn text(text: &'static str) -> Self {
        Self::new(move |stream| answer_all(stream, text))
    }

    /// Answers a request, or a first byte, with `pieces` of [`pattern`] bytes, one every 20 ms; then ends.
    pub(crate) fn slow(pieces: usize, piece: usize, head: &'static str) -> Self {
        let bytes = pattern(pieces * piece);
        Self::new(move |mut stream| {
            let mut first = [0; 1024];
            if stream.read(&mut first).is_err() || stream.write_all(head.as_bytes()).is_err() {
                return;
            }
            for piece in bytes.chunks(piece) {
                std::thread::sleep(Duration::from_millis(20));
                if stream.write_all(piece).is_err() {
                    return;
                }
            }
        })
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

/// Answers requests without a body until the connection ends.
pub(crate) fn answer_all(mut stream: TcpStream, text: &str) {
    let mut head = Vec::new();
    let mut byte = [0];
    while matches!(stream.read(&mut byte), Ok(1)) {
        head.push(byte[0]);
        if head.ends_with(b"\r\n\r\n") {
            head.clear();
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{text}", text.len());
            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    }
}

/// Bytes that show a gap, a repetition or an exchange.
pub(crate) fn pattern(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}
