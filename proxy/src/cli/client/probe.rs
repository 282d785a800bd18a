//! One connection to the proxy, from an address and a link of our choice, and what is answered on it.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use anabranch_deploy::client::doctor::Attempt;
use anabranch_deploy::client::view::{EdgeView, PATH};
use base64::Engine as _;
use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpSocket;
use tokio::time::timeout;

/// How long a SYN may go unanswered. Shorter than three seconds, after which the kernel gives MPTCP up, for this connection and for an
/// hour's others; longer than one, after which the SYN is sent again.
const CONNECT: Duration = Duration::from_millis(2500);
/// How long nothing may come.
const SILENCE: Duration = Duration::from_millis(2500);

/// What to connect with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dial<'a> {
    pub(super) to: SocketAddr,
    /// The proxy's name, for the Host field.
    pub(super) host: &'a str,
    pub(super) user: Option<&'a str>,
    pub(super) from: IpAddr,
    /// The link it is held to.
    pub(super) device: Option<&'a str>,
    pub(super) mptcp: bool,
    /// The longest segment.
    pub(super) mss: Option<u16>,
}

/// A connection.
pub(super) struct Connection<'a> {
    dial: Dial<'a>,
    sender: SendRequest<Empty<Bytes>>,
    socket: std::net::TcpStream,
    pub(super) connect_ms: u64,
}

/// A whole answer, or as much as came in time.
pub(super) struct Reply {
    pub(super) view: EdgeView,
    /// Payload behind the first frame, and how long it took.
    pub(super) bytes: u64,
    pub(super) elapsed: Duration,
    pub(super) whole: bool,
}

impl<'a> Connection<'a> {
    /// Connects.
    ///
    /// Errors: what becomes of the attempt.
    pub(super) async fn open(dial: Dial<'a>) -> Result<Self, Attempt> {
        let socket = socket(&dial).map_err(|error| Attempt::Impossible(error.to_string()))?;
        let kept = socket.try_clone().map_err(|error| Attempt::Impossible(error.to_string()))?;
        let started = Instant::now();
        let stream = match timeout(CONNECT, TcpSocket::from_std_stream(socket.into()).connect(dial.to)).await {
            Err(_) => return Err(Attempt::NoConnection),
            Ok(Err(error)) => return Err(refusal(&error)),
            Ok(Ok(stream)) => stream,
        };
        let connect_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let (sender, driver) = handshake(TokioIo::new(stream)).await.map_err(|_| Attempt::NoAnswer)?;
        // Ends with the sender.
        drop(tokio::spawn(driver));
        Ok(Self { dial, sender, socket: kept.into(), connect_ms })
    }

    /// Asks for `bytes` behind the answer, in a request made longer by `padding`; reads for as long as `limit` at most.
    pub(super) async fn ask(&mut self, bytes: u64, padding: usize, limit: Duration) -> Result<Reply, Attempt> {
        let request = self.request(bytes, padding)?;
        let response = timeout(SILENCE, self.sender.send_request(request)).await;
        let response = response.ok().and_then(Result::ok).ok_or(Attempt::NoAnswer)?;
        let status = response.status().as_u16();
        let mut body = response.into_body();
        let mut text = Vec::new();
        while !text.contains(&b'\n') && text.len() < 65_536 {
            match next(&mut body).await {
                Some(piece) => text.extend_from_slice(&piece),
                None => break,
            }
        }
        let line = text.split(|&byte| byte == b'\n').next().unwrap_or_default();
        if status != 200 {
            let words: String = String::from_utf8_lossy(line).chars().filter(|c| !c.is_control()).take(160).collect();
            return Err(Attempt::Turned(status, words));
        }
        let not_ours = || Attempt::Turned(status, "not the answer of an anabranch".to_owned());
        let view = serde_json::from_slice(line).map_err(|_| not_ours())?;
        let (started, mut reply) = (Instant::now(), Reply { view, bytes: 0, elapsed: Duration::ZERO, whole: false });
        // What came with the first piece took no time that was measured; it is counted for being there, not for the rate.
        let first = text.len().saturating_sub(line.len() + 1) as u64;
        while started.elapsed() < limit {
            match next(&mut body).await {
                Some(piece) => reply.bytes += piece.len() as u64,
                None => break,
            }
            reply.elapsed = started.elapsed();
        }
        reply.whole = first + reply.bytes == bytes;
        Ok(reply)
    }

    fn request(&self, bytes: u64, padding: usize) -> Result<Request<Empty<Bytes>>, Attempt> {
        let mut request = Request::get(format!("{PATH}?bytes={bytes}")).header(header::HOST, self.dial.host);
        if let Some(user) = self.dial.user {
            let encoded = base64::engine::general_purpose::STANDARD.encode(user);
            request = request.header(header::PROXY_AUTHORIZATION, format!("Basic {encoded}"));
        }
        if padding > 0 {
            request = request.header("x-padding", "x".repeat(padding));
        }
        request.body(Empty::new()).map_err(|error| Attempt::Impossible(error.to_string()))
    }
}

impl AsFd for Connection<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The next piece, if one comes in time.
async fn next(body: &mut Incoming) -> Option<Bytes> {
    let frame = timeout(SILENCE, body.frame()).await.ok()??.ok()?;
    frame.into_data().ok()
}

fn socket(dial: &Dial<'_>) -> std::io::Result<Socket> {
    let protocol = if dial.mptcp { Protocol::MPTCP } else { Protocol::TCP };
    let socket = Socket::new(Domain::for_address(dial.to), Type::STREAM, Some(protocol))?;
    socket.set_nonblocking(true)?;
    socket.bind_device(dial.device.map(str::as_bytes))?;
    if let Some(mss) = dial.mss {
        socket.set_tcp_mss(mss.into())?;
    }
    socket.bind(&SocketAddr::new(dial.from, 0).into())?;
    Ok(socket)
}

fn refusal(error: &std::io::Error) -> Attempt {
    match error.kind() {
        std::io::ErrorKind::ConnectionRefused | std::io::ErrorKind::ConnectionReset => Attempt::Refused,
        std::io::ErrorKind::TimedOut => Attempt::NoConnection,
        _ => Attempt::Impossible(error.to_string()),
    }
}
