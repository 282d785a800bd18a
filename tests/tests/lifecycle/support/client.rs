//! Clients: requests and tunnels over TCP or MPTCP, with nothing between the test and the bytes.

use std::io::{Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};

use socket2::{Domain, Protocol, Socket, Type};

use super::PATIENCE;

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// Field lines as they came, names in lower case.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// Connects to an address; every wait on the stream is bounded.
pub(crate) fn connect(to: SocketAddr) -> TcpStream {
    bounded(TcpStream::connect_timeout(&to, PATIENCE).unwrap_or_else(|error| panic!("connect {to}: {error}")))
}

/// Connects over MPTCP.
pub(crate) fn mptcp_connect(to: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::MPTCP)).expect("an MPTCP socket");
    socket.connect(&to.into()).unwrap_or_else(|error| panic!("connect {to}: {error}"));
    bounded(socket.into())
}

/// Connects from a certain address.
pub(crate) fn connect_from(from: IpAddr, to: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP)).expect("a TCP socket");
    socket.bind(&SocketAddr::new(from, 0).into()).expect("an address of this machine");
    socket.connect(&to.into()).unwrap_or_else(|error| panic!("connect {to} from {from}: {error}"));
    bounded(socket.into())
}

fn bounded(stream: TcpStream) -> TcpStream {
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout above zero");
    stream.set_write_timeout(Some(PATIENCE)).expect("a timeout above zero");
    stream
}

/// One GET through a proxy, on a connection of its own.
pub(crate) fn fetch(proxy: SocketAddr, url: &str) -> Reply {
    get(&mut connect(proxy), url, "connection: close\r\n")
}

/// One GET from a certain address.
pub(crate) fn fetch_from(from: IpAddr, proxy: SocketAddr, url: &str) -> Reply {
    get(&mut connect_from(from, proxy), url, "connection: close\r\n")
}

/// One GET on a connection that may go on.
pub(crate) fn get(stream: &mut (impl Read + Write), url: &str, fields: &str) -> Reply {
    let host = url.trim_start_matches("http://").split('/').next().unwrap_or_default();
    let request = format!("GET {url} HTTP/1.1\r\nhost: {host}\r\n{fields}\r\n");
    // A proxy that has answered and closed already does not read it; the answer tells.
    drop(stream.write_all(request.as_bytes()));
    read_reply(stream)
}

/// Reads one answer: its head, then as many bytes as Content-Length says, or to the end of the stream.
pub(crate) fn read_reply(stream: &mut impl Read) -> Reply {
    let mut reply = read_head(stream);
    let informational = reply.status == 200 && reply.field("content-length").is_none() && reply.head.is_empty();
    match reply.field("content-length").and_then(|length| length.parse().ok()) {
        Some(length) => {
            reply.body = vec![0; length];
            stream.read_exact(&mut reply.body).expect("the whole body");
        }
        None if informational => {}
        None => {
            stream.read_to_end(&mut reply.body).expect("the body up to a clean end");
        }
    }
    reply
}

/// Reads an answer's head and nothing behind it.
pub(crate) fn read_head(stream: &mut impl Read) -> Reply {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        let read = stream.read(&mut byte).unwrap_or_else(|error| {
            panic!("no whole head ({error}): {:?}", String::from_utf8_lossy(&head));
        });
        assert!(read > 0, "the stream ended in the head: {:?}", String::from_utf8_lossy(&head));
        head.push(byte[0]);
    }
    let text = String::from_utf8(head).expect("a head in ASCII");
    let (first, fields) = text.split_once("\r\n").expect("ends as the loop says");
    let status = first.split(' ').nth(1).and_then(|word| word.parse().ok());
    let lower = |line: &str| {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        format!("{}: {}\n", name.to_lowercase(), value.trim())
    };
    let head = fields.lines().filter(|line| !line.is_empty()).map(lower).collect();
    Reply { status: status.unwrap_or_else(|| panic!("a status line: {first}")), head, body: Vec::new() }
}

/// A CONNECT tunnel that stands.
pub(crate) struct Tunnel(pub(crate) TcpStream);

impl Tunnel {
    pub(crate) fn open(proxy: SocketAddr, target: SocketAddr) -> Self {
        Self::over(connect(proxy), target)
    }

    pub(crate) fn over(mut stream: TcpStream, target: SocketAddr) -> Self {
        let reply = ask(&mut stream, target);
        assert_eq!(reply.status, 200, "{reply:?}");
        Self(stream)
    }

    /// Sends a line and expects it back from an origin that echoes.
    pub(crate) fn echo(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).expect("the tunnel takes bytes");
        let mut back = vec![0; text.len()];
        self.0.read_exact(&mut back).expect("the tunnel gives them back");
        assert_eq!(back, text.as_bytes());
    }

    /// Ends our side and reads the rest.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.0.shutdown(Shutdown::Write).expect("a tunnel that stands");
        let mut rest = Vec::new();
        self.0.read_to_end(&mut rest).expect("a clean end");
        rest
    }
}

/// Asks for a tunnel; whatever the answer.
pub(crate) fn ask(stream: &mut (impl Read + Write), target: SocketAddr) -> Reply {
    write!(stream, "CONNECT {target} HTTP/1.1\r\nhost: {target}\r\n\r\n").expect("the proxy reads");
    read_head(stream)
}
