//! Links: which there are, and the IFB that is ours.
//!
//! What lives here: links and their addresses by routing netlink, an IFB made, named and taken away, notices of changes, a
//! device's speed and offloads. What does not: what goes through a link (`tc`, `nft`, `packet`). Called by `shaper`, and by whoever watches interfaces come and go.
//! Invariant: a link is meant by its index; a name is looked up when it is asked for.
//! Source: rtnetlink(7), Linux v6.18 `net/core/rtnetlink.c`.

mod device;
mod encode;
mod parse;
mod watch;

use std::net::IpAddr;

use crate::abi::route as abi;
use crate::netlink::attribute::Attributes;
use crate::netlink::{Dump, NetlinkError, NetlinkSocket, Protocol};

pub use device::{Device, device};
pub use encode::Ifb;
pub use watch::{LinkNotice, LinkWatch};

/// One link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its number.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its administrator wants it up.
    pub up: bool,
    /// It is a loopback.
    pub loopback: bool,
    /// The words somebody left on it (`ifalias`).
    pub alias: Option<String>,
    /// What made it: `ifb`, `veth`, `vlan`. `None`: hardware, or not told.
    pub kind: Option<String>,
    /// Its hardware address; empty where it has none.
    pub address: Vec<u8>,
    /// What its first queueing discipline is: `noqueue`, `fq_codel`, `mq`.
    pub qdisc: Option<String>,
    /// Its own Internet addresses.
    pub addresses: Vec<IpAddr>,
}

/// The links of the network namespace it was opened in.
#[derive(Debug)]
pub struct Links {
    socket: NetlinkSocket,
}

impl Links {
    /// Opens the door.
    pub fn open() -> Result<Self, NetlinkError> {
        Ok(Self { socket: NetlinkSocket::open(Protocol::Route)? })
    }

    /// Every link with its addresses, in the order of their numbers.
    pub fn list(&mut self) -> Result<Vec<Link>, NetlinkError> {
        let mut links = Vec::new();
        self.socket.dump("RTM_GETLINK", &"links", &encode::get_links(), |dump| match dump {
            Dump::Start => links.clear(),
            Dump::Entry(message) => links.extend(parse::link(message.payload)),
        })?;
        let mut addresses = Vec::new();
        self.socket.dump("RTM_GETADDR", &"addresses", &encode::get_addresses(), |dump| match dump {
            Dump::Start => addresses.clear(),
            Dump::Entry(message) => addresses.extend(parse::address(message.payload)),
        })?;
        links.sort_by_key(|link: &Link| link.index);
        for (index, address) in addresses {
            if let Ok(at) = links.binary_search_by_key(&index, |link| link.index) {
                links[at].addresses.push(address);
            }
        }
        Ok(links)
    }

    /// The link of that name, without its addresses; `None` if there is none.
    pub fn find(&mut self, name: &str) -> Result<Option<Link>, NetlinkError> {
        let mut found = None;
        let asked = self.socket.request("RTM_GETLINK", &name, encode::get_link(name), |message| {
            found = parse::link(message.payload);
        });
        match asked {
            Ok(()) => Ok(found),
            Err(error) if error.errno() == Some(libc::ENODEV) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes an IFB: a link that hands every packet it is sent back to where it came from, behind its own queueing discipline.
    ///
    /// Shape: down, and without an alias: nothing but its hardware address can be given to a link at its birth.
    /// Errors: `EEXIST` — the name is taken; `EOPNOTSUPP` — no `ifb` in this kernel.
    /// Kernel: CAP_NET_ADMIN, as everything below.
    pub fn create_ifb(&mut self, ifb: &Ifb<'_>) -> Result<(), NetlinkError> {
        self.socket.request("RTM_NEWLINK", &ifb.name, encode::create_ifb(ifb), |_| {})
    }

    /// Wants a link up.
    pub fn set_up(&mut self, index: u32) -> Result<(), NetlinkError> {
        self.socket.request("RTM_NEWLINK", &format_args!("link {index}"), encode::set_up(index), |_| {})
    }

    /// Leaves words on a link.
    ///
    /// Shape: at most 255 bytes; nothing takes them away.
    /// Errors: `ERANGE` — they are too long.
    pub fn set_alias(&mut self, index: u32, words: &str) -> Result<(), NetlinkError> {
        self.socket.request("RTM_NEWLINK", &format_args!("link {index}"), encode::set_alias(index, words), |_| {})
    }

    /// Has a link give itself no IPv6 address, and so say nothing by itself; that the kernel has no IPv6 is no error.
    pub fn no_addresses(&mut self, index: u32) -> Result<(), NetlinkError> {
        let request = encode::no_addresses(index);
        match self.socket.request("RTM_NEWLINK", &format_args!("link {index}"), request, |_| {}) {
            Err(error) if matches!(error.errno(), Some(libc::EAFNOSUPPORT | libc::EOPNOTSUPP)) => Ok(()),
            done => done,
        }
    }

    /// Takes a link away; that there is none any more is no error.
    pub fn delete(&mut self, index: u32) -> Result<(), NetlinkError> {
        let done = self.socket.request("RTM_DELLINK", &format_args!("link {index}"), encode::delete(index), |_| {});
        match done {
            Err(error) if error.errno() == Some(libc::ENODEV) => Ok(()),
            done => done,
        }
    }
}

/// The attributes behind a fixed part of `header` bytes, padded as it is.
fn attributes(payload: &[u8], header: usize) -> Option<Attributes<'_>> {
    Some(Attributes::new(payload.get(header..)?))
}

/// A number in host order inside a fixed part.
pub(crate) fn number(payload: &[u8], at: usize) -> Option<u32> {
    payload.get(at..)?.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes))
}

const _: () = assert!(abi::LINK_HEADER.is_multiple_of(4) && abi::ADDRESS_HEADER.is_multiple_of(4));

#[cfg(test)]
mod tests;
