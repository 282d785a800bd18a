//! Listening sockets: MPTCP where the kernel has it, one per worker on the same address.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::time::Duration;

use anabranch_config::{Listener, Transport};
use anabranch_kernel::bpf::{KEEPALIVE_IDLE, KEEPALIVE_PROBES};
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use thiserror::Error;

/// A listener that cannot be opened.
#[derive(Debug, Error)]
pub enum ListenError {
    /// A call on its socket failed.
    #[error("listener {listener} on {address}: {call} failed")]
    Call {
        /// The listener.
        listener: String,
        /// Its address.
        address: SocketAddr,
        /// The call.
        call: &'static str,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// `transport = "mptcp"` and there is none.
    #[error(
        "listener {listener}: transport = \"mptcp\" is required, but {why}; load a kernel with MPTCP and set \
         net.mptcp.enabled=1, or say transport = \"auto\""
    )]
    NoMptcp {
        /// The listener.
        listener: String,
        /// Why there is none.
        why: String,
    },
}

/// The sockets of one listener.
#[derive(Debug)]
pub struct Opened {
    /// One per worker or more, all on the same address.
    pub sockets: Vec<TcpListener>,
    /// The address, with the port the kernel chose where the configuration said 0.
    pub address: SocketAddr,
    /// The sockets are MPTCP ones.
    pub mptcp: bool,
    /// What the kernel refused and what that means, one sentence each.
    pub notes: Vec<String>,
}

/// Opens a listener's sockets; those that the service manager or a predecessor opened are taken over, all of them.
///
/// Errors: [`ListenError`]; everything opened so far is closed again.
/// Kernel: MPTCP since v5.6; `TCP_CONGESTION` on an MPTCP listener since v5.15.
pub fn open(listener: &Listener, workers: usize, inherited: Vec<TcpListener>) -> Result<Opened, ListenError> {
    let fail = |call| {
        move |source| ListenError::Call { listener: listener.name.to_string(), address: listener.address, call, source }
    };
    let mut notes = Vec::new();
    let mut sockets = Vec::new();
    for socket in inherited {
        // The last socket says what the kernel refuses; the others would only repeat it.
        notes.clear();
        sockets.push(adopt(listener, socket, &mut notes)?);
    }
    let first = match sockets.pop() {
        Some(socket) => socket,
        None => bind(listener, listener.address, &mut notes)?,
    };
    let mptcp = is_mptcp(&first);
    if inherited_needs_sharing(&first).map_err(fail("getsockopt(SO_REUSEPORT)"))? {
        let copies = (1..workers).map(|_| first.try_clone().map_err(fail("dup")));
        sockets.extend(copies.collect::<Result<Vec<_>, _>>()?);
        let address = first.local_addr().map_err(fail("getsockname"))?;
        sockets.push(first);
        return Ok(Opened { sockets, address, mptcp, notes });
    }
    let address = first.local_addr().map_err(fail("getsockname"))?;
    sockets.push(first);
    while sockets.len() < workers {
        sockets.push(bind(listener, address, &mut Vec::new())?);
    }
    Ok(Opened { sockets, address, mptcp, notes })
}

/// Refuses an address somebody listens on already, be it another anabranch: with `SO_REUSEPORT` the kernel would give
/// us every other connection of theirs without a word.
///
/// Errors: [`ListenError::Call`]; connections of an earlier process that linger on the address are no obstacle.
pub fn refuse_taken(listener: &Listener) -> Result<(), ListenError> {
    let address = listener.address;
    let fail = |call| move |source| ListenError::Call { listener: listener.name.to_string(), address, call, source };
    let probe = Socket::new(Domain::for_address(address), Type::STREAM.cloexec(), Some(Protocol::TCP));
    let probe = probe.map_err(fail("socket"))?;
    probe.set_reuse_address(true).map_err(fail("setsockopt(SO_REUSEADDR)"))?;
    if address.is_ipv6() {
        probe.set_only_v6(listener.ipv6_only).map_err(fail("setsockopt(IPV6_V6ONLY)"))?;
    }
    probe.bind(&address.into()).map_err(fail("bind"))
}

/// A socket without SO_REUSEPORT has its address alone: the workers share it.
fn inherited_needs_sharing(socket: &TcpListener) -> io::Result<bool> {
    SockRef::from(socket).reuse_port().map(|reuse| !reuse)
}

/// Whether a predecessor's socket can serve this listener: what is decided when a socket is made or bound is as it should be.
pub fn suits(socket: &TcpListener, listener: &Listener) -> bool {
    let kind = is_mptcp(socket) == (listener.transport != Transport::Tcp);
    let only_v6 = SockRef::from(socket).only_v6().unwrap_or_default();
    kind && (listener.address.is_ipv4() || only_v6 == listener.ipv6_only)
}

/// A socket without SO_REUSEPORT has its address alone: the workers share it.
pub fn is_alone(socket: &TcpListener) -> bool {
    matches!(inherited_needs_sharing(socket), Ok(true))
}

fn is_mptcp(socket: &TcpListener) -> bool {
    matches!(SockRef::from(socket).protocol(), Ok(Some(Protocol::MPTCP)))
}

fn adopt(listener: &Listener, socket: TcpListener, notes: &mut Vec<String>) -> Result<TcpListener, ListenError> {
    if !is_mptcp(&socket) {
        let why = "the socket inherited from the service manager is plain TCP (systemd before 257 silently ignores \
                   SocketProtocol=mptcp)";
        if listener.transport == Transport::Mptcp {
            return Err(ListenError::NoMptcp { listener: listener.name.to_string(), why: why.to_owned() });
        }
        if listener.transport == Transport::Auto {
            notes.push(format!("{why}: clients of this listener get no Multipath TCP"));
        }
    }
    configure(listener, &socket, notes);
    let nonblocking = socket.set_nonblocking(true);
    nonblocking.map_err(|source| ListenError::Call {
        listener: listener.name.to_string(),
        address: listener.address,
        call: "fcntl(O_NONBLOCK)",
        source,
    })?;
    Ok(socket)
}

fn bind(listener: &Listener, address: SocketAddr, notes: &mut Vec<String>) -> Result<TcpListener, ListenError> {
    let fail = |call| move |source| ListenError::Call { listener: listener.name.to_string(), address, call, source };
    let socket = create(listener, address, notes)?;
    socket.set_reuse_address(true).map_err(fail("setsockopt(SO_REUSEADDR)"))?;
    socket.set_reuse_port(true).map_err(fail("setsockopt(SO_REUSEPORT)"))?;
    if address.is_ipv6() {
        socket.set_only_v6(listener.ipv6_only).map_err(fail("setsockopt(IPV6_V6ONLY)"))?;
    }
    configure(listener, &socket, notes);
    socket.bind(&address.into()).map_err(fail("bind"))?;
    socket.listen(i32::try_from(listener.backlog).unwrap_or(i32::MAX)).map_err(fail("listen"))?;
    Ok(socket.into())
}

/// Gives open sockets the options of a listener that has changed. Returns what the kernel refused.
pub fn tune(listener: &Listener, sockets: &[TcpListener]) -> Vec<String> {
    let mut notes = Vec::new();
    for socket in sockets {
        // One listener, one answer: only the last socket's refusals are told.
        notes.clear();
        configure(listener, socket, &mut notes);
        if listener.fast_open.is_none()
            && let Err(error) = anabranch_kernel::sockopt::set_fast_open(socket, 0)
        {
            tracing::debug!(error = %error.source, "TCP Fast Open cannot be switched off; it may never have been on");
        }
        if let Err(error) = SockRef::from(socket).listen(i32::try_from(listener.backlog).unwrap_or(i32::MAX)) {
            notes.push(format!("the kernel keeps the former backlog ({error})"));
        }
    }
    notes
}

fn create(listener: &Listener, address: SocketAddr, notes: &mut Vec<String>) -> Result<Socket, ListenError> {
    let kind = Type::STREAM.nonblocking().cloexec();
    let domain = Domain::for_address(address);
    if listener.transport != Transport::Tcp {
        match Socket::new(domain, kind, Some(Protocol::MPTCP)) {
            Ok(socket) => return Ok(socket),
            Err(error) if listener.transport == Transport::Mptcp => {
                let why = format!("this kernel makes no MPTCP socket ({error})");
                return Err(ListenError::NoMptcp { listener: listener.name.to_string(), why });
            }
            Err(error) => notes.push(format!(
                "this kernel makes no MPTCP socket ({error}; is net.mptcp.enabled=1?): clients get plain TCP"
            )),
        }
    }
    Socket::new(domain, kind, Some(Protocol::TCP)).map_err(|source| ListenError::Call {
        listener: listener.name.to_string(),
        address,
        call: "socket",
        source,
    })
}

/// Options without which the listener still works; refusals become notes.
fn configure(listener: &Listener, socket: &impl AsFd, notes: &mut Vec<String>) {
    let options = SockRef::from(socket);
    let congestion = listener.congestion.as_str();
    // On the listener, always: subflows that join later would otherwise take the namespace's default, and a
    // connection with two different controllers loses a quarter of the sum of its links.
    if let Err(error) = options.set_tcp_congestion(congestion.as_bytes()) {
        notes.push(format!(
            "the kernel refuses congestion control {congestion} ({error}; see net.ipv4.tcp_available_congestion_control \
             and tcp_allowed_congestion_control): its default is used, and subflows may differ"
        ));
    }
    if let Some(queue) = listener.fast_open
        && let Err(error) = anabranch_kernel::sockopt::set_fast_open(socket, queue.get())
    {
        notes.push(format!("the kernel refuses TCP Fast Open ({}): clients connect without it", error.source));
    }
    // Whether a client is still there: a phone that left leaves no other sign.
    let idle = Duration::from_secs(KEEPALIVE_IDLE.into());
    let keepalive =
        TcpKeepalive::new().with_time(idle).with_interval(Duration::from_secs(15)).with_retries(KEEPALIVE_PROBES);
    if let Err(error) = options.set_tcp_keepalive(&keepalive) {
        notes.push(format!("the kernel refuses keepalive ({error}): dead clients are noticed by timeouts only"));
    }
}
