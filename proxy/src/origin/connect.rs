//! From a target to a connected plain-TCP socket.
//!
//! Lives here: judging and dialling addresses, the socket options of the server leg, and what a failure means to the
//! client ([`DialError::proxy_status`]). The race between several addresses of a name is in `race`. Does not live
//! here: what the bytes on the connection mean.
//! Invariants: exactly the addresses that were judged are dialled. A connection is in [`Outgoing`] before `connect`
//! returns it, hence before a byte is sent on it (`origin::own` says why this closes the race with our own listener).
//!
//! A literal address takes the short way: no lookup, no task, no box, one timer.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{setsockopt, sockopt::IpBindAddressNoPort};
use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::guard::{Forbidden, Guard};
use super::own::{Outgoing, Registration};
use super::resolve::{DnsError, Resolver};
use crate::http::authority::{DnsName, Host, Target};

mod race;

/// Idle time before the kernel asks whether the origin is still there.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// Local addresses of outgoing connections; `None` leaves the choice to the routing table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Sources {
    /// For connections over IPv4.
    pub v4: Option<Ipv4Addr>,
    /// For connections over IPv6.
    pub v6: Option<Ipv6Addr>,
}

/// Dials targets. Immutable; a reload builds a new one.
#[derive(Debug, Clone)]
pub struct Connector {
    /// Judges every address.
    pub guard: Arc<Guard>,
    /// Looks up names, within its own time limit.
    pub resolver: Resolver,
    /// Where dialled connections are noted.
    pub outgoing: Arc<Outgoing>,
    /// Where connections come from.
    pub sources: Sources,
    /// Time limit from the first attempt on, over all addresses of a name.
    pub connect_timeout: Duration,
}

/// A connected origin.
#[derive(Debug)]
pub struct Connected {
    /// The connection: plain TCP, `TCP_NODELAY`, keepalive.
    pub stream: TcpStream,
    /// The address that was judged and dialled.
    pub address: SocketAddr,
    /// Time until the first attempt: zero for a literal address.
    pub dns: Duration,
    /// Time from the first attempt until this connection stood.
    pub connect: Duration,
    /// Addresses of the name that were not dialled because they are forbidden.
    pub forbidden: usize,
    /// Keep it as long as the stream.
    pub registration: Registration,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The lookup failed.
    #[error("name lookup failed")]
    Dns(#[source] DnsError),
    /// No address may be dialled; the reason of the first.
    #[error("destination address is forbidden")]
    Forbidden(#[source] Forbidden),
    /// The origin answered with RST.
    #[error("connection refused")]
    Refused,
    /// No address answered in time.
    #[error("connection attempt timed out")]
    TimedOut,
    /// No route, or a router said so.
    #[error("destination unreachable")]
    Unreachable,
    /// The name exists but has neither A nor AAAA.
    #[error("name has no address")]
    NoAddress,
    /// A call on the socket failed in another way.
    #[error("{op} failed")]
    Io {
        /// The call.
        op: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
}

impl DialError {
    /// The error token of Proxy-Status and the status code of the answer.
    ///
    /// Source:  RFC 9209 §2.3
    pub fn proxy_status(&self) -> (&'static str, u16) {
        match self {
            Self::Dns(DnsError::Timeout) => ("dns_timeout", 504),
            Self::Dns(_) | Self::NoAddress => ("dns_error", 502),
            Self::Forbidden(_) => ("destination_ip_prohibited", 502),
            Self::Refused => ("connection_refused", 502),
            Self::TimedOut => ("connection_timeout", 504),
            Self::Unreachable => ("destination_ip_unroutable", 502),
            // A source address that is not ours (any more).
            Self::Io { op: "bind", .. } => ("proxy_configuration_error", 500),
            Self::Io { source, .. } => match source.raw_os_error().map(Errno::from_raw) {
                Some(Errno::ECONNRESET | Errno::ECONNABORTED) => ("connection_terminated", 502),
                // Out of descriptors, ports or memory: ours to say, and it may pass.
                Some(Errno::EMFILE | Errno::ENFILE | Errno::EADDRNOTAVAIL | Errno::ENOBUFS | Errno::ENOMEM) => {
                    ("connection_limit_reached", 503)
                }
                _ => ("proxy_internal_error", 500),
            },
        }
    }

    /// A bounded label for counters and logs.
    pub fn as_label(&self) -> &'static str {
        match self {
            Self::Dns(_) => "dns",
            Self::Forbidden(_) => "forbidden",
            Self::Refused => "refused",
            Self::TimedOut => "timed_out",
            Self::Unreachable => "unreachable",
            Self::NoAddress => "no_address",
            Self::Io { .. } => "io",
        }
    }

    fn from_connect(source: io::Error) -> Self {
        match source.raw_os_error().map(Errno::from_raw) {
            Some(Errno::ECONNREFUSED) => Self::Refused,
            Some(Errno::ETIMEDOUT) => Self::TimedOut,
            Some(Errno::ENETUNREACH | Errno::EHOSTUNREACH | Errno::ENETDOWN | Errno::EHOSTDOWN) => Self::Unreachable,
            _ => Self::Io { op: "connect", source },
        }
    }
}

/// A socket that stands, and its entry in the registry.
type Dialled = (TcpStream, Registration);

impl Connector {
    /// Connects to the target.
    ///
    /// Errors:  [`DialError`] - answer with [`DialError::proxy_status`].
    /// Cancel:  safe; every socket under way is closed.
    pub async fn connect(&self, target: &Target) -> Result<Connected, DialError> {
        let port = target.port.get();
        let ip = match &target.host {
            Host::V4(v4) => IpAddr::V4(*v4),
            // A v4-mapped address is judged as IPv4, so it is dialled as IPv4.
            Host::V6(v6) => IpAddr::V6(*v6).to_canonical(),
            // Boxed: the state of the race would otherwise lie in every session, literal or not.
            Host::Name(name) => return Box::pin(self.connect_name(name, port)).await,
        };
        self.guard.judge(ip, port).map_err(DialError::Forbidden)?;
        let address = SocketAddr::new(ip, port);
        let begun = Instant::now();
        let dialled = timeout(self.connect_timeout, self.dial(address)).await;
        let (stream, registration) = dialled.unwrap_or(Err(DialError::TimedOut))?;
        let connect = begun.elapsed();
        Ok(Connected { stream, address, dns: Duration::ZERO, connect, forbidden: 0, registration })
    }

    async fn connect_name(&self, name: &DnsName, port: u16) -> Result<Connected, DialError> {
        let won = race::run(
            self.resolver.answers(name),
            |ip| self.guard.judge(ip, port).map(|()| SocketAddr::new(ip, port)),
            |address| self.dial(address),
            self.connect_timeout,
        )
        .await?;
        let (stream, registration) = won.prize;
        let race::Won { address, dns, connect, forbidden, .. } = won;
        Ok(Connected { stream, address, dns, connect, forbidden, registration })
    }

    /// One attempt. The options are set while the SYN travels.
    async fn dial(&self, address: SocketAddr) -> Result<Dialled, DialError> {
        let io = |op: &'static str| move |source: io::Error| DialError::Io { op, source };
        let kind = Type::STREAM.nonblocking().cloexec();
        let socket = Socket::new(Domain::for_address(address), kind, Some(Protocol::TCP)).map_err(io("socket"))?;
        if let Some(source) = self.source(address) {
            // The port is chosen at connect, when the whole 4-tuple is known: 28 000 ports for each remote, not in all.
            setsockopt(&socket, IpBindAddressNoPort, &true)
                .map_err(|errno| io("IP_BIND_ADDRESS_NO_PORT")(errno.into()))?;
            socket.bind(&SocketAddr::new(source, 0).into()).map_err(io("bind"))?;
        }
        let pending = match socket.connect(&address.into()) {
            Ok(()) => false,
            Err(error) if error.raw_os_error() == Some(Errno::EINPROGRESS as i32) => true,
            Err(error) => return Err(DialError::from_connect(error)),
        };
        let local = socket.local_addr().map_err(io("getsockname"))?;
        let local = local.as_socket().ok_or_else(|| io("getsockname")(io::ErrorKind::Unsupported.into()))?;
        let registration = self.outgoing.register(local, address);
        socket.set_tcp_nodelay(true).map_err(io("TCP_NODELAY"))?;
        socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE)).map_err(io("SO_KEEPALIVE"))?;
        let stream = TcpStream::from_std(socket.into()).map_err(io("epoll_ctl"))?;
        if pending {
            stream.writable().await.map_err(io("poll"))?;
            if let Some(error) = stream.take_error().map_err(io("SO_ERROR"))? {
                return Err(DialError::from_connect(error));
            }
        }
        Ok((stream, registration))
    }

    fn source(&self, address: SocketAddr) -> Option<IpAddr> {
        match address {
            SocketAddr::V4(_) => self.sources.v4.map(IpAddr::V4),
            SocketAddr::V6(_) => self.sources.v6.map(IpAddr::V6),
        }
    }
}

#[cfg(test)]
mod tests;
