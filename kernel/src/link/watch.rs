//! Notices of links and addresses.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd};

use crate::abi::route as abi;
use crate::netlink::message::Message;
use crate::netlink::{NetlinkError, NetlinkSocket, Protocol, Received};

use super::number;

/// What a notice tells. The link is told by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkNotice {
    /// A link came, or changed: its name, its state, its queueing discipline.
    Link(u32),
    /// A link went: away, or to another network namespace.
    Gone(u32),
    /// An address came to a link, changed, or left it.
    Address(u32),
    /// Notices came faster than they were read and some are gone: list the links to learn what is.
    Lost,
}

/// The notices of the network namespace it was opened in.
///
/// Shape: waiting is the caller's; the descriptor becomes readable, then [`LinkWatch::recv`] until it answers `None`.
#[derive(Debug)]
pub struct LinkWatch {
    socket: NetlinkSocket,
    decoded: VecDeque<LinkNotice>,
}

impl LinkWatch {
    /// Begins to listen.
    pub fn open() -> Result<Self, NetlinkError> {
        let socket = NetlinkSocket::open(Protocol::Route)?;
        abi::GROUPS.iter().try_for_each(|&group| socket.join(group))?;
        Ok(Self { socket, decoded: VecDeque::new() })
    }

    /// The next notice, without waiting; `None` when none is waiting.
    ///
    /// Errors: the socket is of no use any more.
    pub fn recv(&mut self) -> Result<Option<LinkNotice>, NetlinkError> {
        while self.decoded.is_empty() {
            match self.socket.receive()? {
                Received::Messages(messages) => self.decoded.extend(messages.filter_map(notice)),
                Received::Lost => return Ok(Some(LinkNotice::Lost)),
                Received::Nothing => return Ok(None),
            }
        }
        Ok(self.decoded.pop_front())
    }
}

impl AsFd for LinkWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn notice(message: Message<'_>) -> Option<LinkNotice> {
    let index = |at| number(message.payload, at);
    match message.kind {
        abi::RTM_NEWLINK => index(abi::LINK_INDEX).map(LinkNotice::Link),
        abi::RTM_DELLINK => index(abi::LINK_INDEX).map(LinkNotice::Gone),
        abi::RTM_NEWADDR | abi::RTM_DELADDR => index(abi::ADDRESS_INDEX).map(LinkNotice::Address),
        _ => None,
    }
}
