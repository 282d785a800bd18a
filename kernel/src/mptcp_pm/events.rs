//! The stream of events.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd};

use crate::abi::mptcp_pm as abi;
use crate::netlink::{NetlinkSocket, Protocol, Received};

use super::{Event, EventError, MptcpPmError, family};

/// Room for some ten thousand events between two readings.
const RECEIVE_BUFFER: usize = 8 * 1024 * 1024;

/// What the stream of events tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// Something happened.
    Event(Event),
    /// Events came faster than they were read and some are gone: dump the sockets to learn what is.
    Lost,
}

/// The events of the network namespace it was opened in.
///
/// Shape: waiting is the caller's; the descriptor becomes readable, then [`Events::recv`] until it answers `None`.
#[derive(Debug)]
pub struct Events {
    socket: NetlinkSocket,
    family: u16,
    decoded: VecDeque<Result<Notice, EventError>>,
}

impl Events {
    /// Begins to listen.
    ///
    /// Errors: [`MptcpPmError::NotPermitted`] — without CAP_NET_ADMIN; [`MptcpPmError::Unsupported`] — no MPTCP.
    /// Kernel: v5.12; CAP_NET_ADMIN over the network namespace.
    pub fn open() -> Result<Self, MptcpPmError> {
        let mut socket = NetlinkSocket::open(Protocol::Generic)?;
        let family = family(&mut socket)?;
        let group = family.group(abi::EVENTS).ok_or(MptcpPmError::Unsupported)?;
        socket.set_receive_buffer(RECEIVE_BUFFER)?;
        socket.join(group)?;
        Ok(Self { socket, family: family.id, decoded: VecDeque::new() })
    }

    /// Sets how much may wait to be read.
    ///
    /// Units: bytes, as [`NetlinkSocket::set_receive_buffer`] counts them.
    pub fn set_receive_buffer(&self, bytes: usize) -> Result<(), MptcpPmError> {
        Ok(self.socket.set_receive_buffer(bytes)?)
    }

    /// The next event, without waiting; `None` when none is waiting.
    ///
    /// Errors: [`MptcpPmError::Event`] — one event made no sense, go on; others — the socket is of no use any more.
    pub fn recv(&mut self) -> Result<Option<Notice>, MptcpPmError> {
        while self.decoded.is_empty() {
            let messages = match self.socket.receive()? {
                Received::Messages(messages) => messages,
                Received::Lost => return Ok(Some(Notice::Lost)),
                Received::Nothing => return Ok(None),
            };
            let ours = messages.filter(|message| message.kind == self.family).filter_map(|message| message.generic());
            self.decoded.extend(ours.map(|(event, attributes)| Event::parse(event, attributes).map(Notice::Event)));
        }
        self.decoded.pop_front().transpose().map_err(MptcpPmError::Event)
    }
}

impl AsFd for Events {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
