//! One dumped socket, decoded.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::abi::sock_diag as abi;
use crate::fields::Fields;
use crate::mptcp_info::MptcpInfo;
use crate::netlink::attribute::Attributes;
use crate::tcp_info::{TcpInfo, TcpState};

use super::query::{V4, V6};
use super::subflow::Subflow;

/// What is told of every socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketHead {
    /// This end, as the socket's family writes it: IPv4 on an IPv6 socket is `::ffff:…`.
    pub local: SocketAddr,
    /// The peer's end; port zero where there is none.
    pub remote: SocketAddr,
    /// State.
    pub state: TcpState,
    /// The interface it is bound to.
    pub interface: Option<u32>,
    /// The socket's number, never used twice while the machine runs (`SO_COOKIE`).
    pub cookie: u64,
    /// Bytes waiting to be read; of a listener, connections waiting to be accepted.
    pub receive_queue: u32,
    /// Bytes written and not acknowledged; of a listener, how many connections may wait.
    pub send_queue: u32,
    /// The user it belongs to.
    pub uid: u32,
    /// Its file; zero while it has none, as subflows of MPTCP and sockets not yet accepted.
    pub inode: u32,
}

/// A TCP socket of a dump; what it carries is decoded when asked for.
#[derive(Debug, Clone, Copy)]
pub struct TcpSocket<'a> {
    /// Who and where.
    pub head: SocketHead,
    /// Its congestion control.
    pub congestion: Option<&'a str>,
    info: Option<&'a [u8]>,
    mptcp: Option<Attributes<'a>>,
}

/// An MPTCP socket of a dump.
#[derive(Debug, Clone, Copy)]
pub struct MptcpSocket<'a> {
    /// Who and where; the ends are those of the initial subflow.
    pub head: SocketHead,
    info: Option<&'a [u8]>,
}

impl SocketHead {
    fn parse(payload: &[u8]) -> Option<Self> {
        let of = Fields(payload);
        let family = of.u8(abi::message::FAMILY)?;
        let ip = |at: usize| -> Option<IpAddr> {
            match family {
                V4 => Some(Ipv4Addr::from(of.array::<4>(at)?).into()),
                V6 => Some(Ipv6Addr::from(of.array::<16>(at)?).into()),
                _ => None,
            }
        };
        // Two words, the lower first, each in host order.
        let cookie = |word: usize| of.u32(abi::message::COOKIE + 4 * word).map(u64::from);
        Some(Self {
            local: SocketAddr::new(ip(abi::message::LOCAL)?, of.be16(abi::message::LOCAL_PORT)?),
            remote: SocketAddr::new(ip(abi::message::REMOTE)?, of.be16(abi::message::REMOTE_PORT)?),
            state: TcpState::from_number(of.u8(abi::message::STATE)?)?,
            interface: of.u32(abi::message::INTERFACE).filter(|&index| index != 0),
            cookie: cookie(0)? | cookie(1)? << 32,
            receive_queue: of.u32(abi::message::RECEIVE_QUEUE)?,
            send_queue: of.u32(abi::message::SEND_QUEUE)?,
            uid: of.u32(abi::message::UID)?,
            inode: of.u32(abi::message::INODE)?,
        })
    }
}

impl<'a> TcpSocket<'a> {
    /// Reads one message of a dump; `None` if it is too short or of a family that was not asked for.
    pub(super) fn parse(payload: &'a [u8]) -> Option<Self> {
        let mut this = Self { head: SocketHead::parse(payload)?, congestion: None, info: None, mptcp: None };
        for attribute in Attributes::new(payload.get(abi::MESSAGE..)?) {
            match attribute.kind {
                abi::attr::INFO => this.info = Some(attribute.payload),
                abi::attr::CONG => this.congestion = attribute.text(),
                abi::attr::ULP_INFO => {
                    this.mptcp = attribute.nested().find(abi::ULP_INFO_MPTCP).map(|nest| nest.nested());
                }
                _ => {}
            }
        }
        Some(this)
    }

    /// Its measurements. Shape: `None` for what is not a full socket, such as one in TIME-WAIT.
    #[must_use]
    pub fn info(&self) -> Option<TcpInfo> {
        self.info.and_then(TcpInfo::parse)
    }

    /// What it is to an MPTCP connection. Shape: `None` for a plain TCP socket, and on older kernels
    /// without CAP_NET_ADMIN.
    #[must_use]
    pub fn subflow(&self) -> Option<Subflow> {
        self.mptcp.and_then(Subflow::parse)
    }
}

impl<'a> MptcpSocket<'a> {
    /// Reads one message of a dump; `None` if it is too short or of a family that was not asked for.
    pub(super) fn parse(payload: &'a [u8]) -> Option<Self> {
        let attributes = Attributes::new(payload.get(abi::MESSAGE..)?);
        Some(Self { head: SocketHead::parse(payload)?, info: attributes.find(abi::attr::INFO).map(|a| a.payload) })
    }

    /// The connection's measurements. Shape: all zero for a listener.
    #[must_use]
    pub fn info(&self) -> Option<MptcpInfo> {
        self.info.and_then(MptcpInfo::parse)
    }
}
