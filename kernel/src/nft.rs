//! nftables over netlink: one table of the family `netdev`, and nothing beside it.
//!
//! What lives here: encoders of the table, its maps, chains, rules and elements, each beside the line that says the same to `nft`; the
//! door that sends them as one transaction and reads them back. What does not: which subflow belongs into which class.
//! Called by `shaper`. Invariant: a transaction is carried out as a whole or not at all, and its failure names the object.
//!
//! The table: maps from a subflow to its class, per direction and family, whose elements time out; a base chain per interface and
//! hook that goes on to a chain all interfaces share; a chain with what holds for subflows that are being joined.
//! Source: Linux v6.18 `net/netfilter/nf_tables_api.c`, `net/netfilter/nfnetlink.c`; nft(8).

mod chain;
mod door;
mod element;
mod expression;
mod interval;
mod join;
mod rule;
mod set;
mod table;

use std::fmt;
use std::net::SocketAddr;

use crate::abi::nft as abi;
use crate::netlink::Request;
use crate::tc::Slot;

pub(crate) use chain::{Chain, Hook, WatchedChain};
pub(crate) use door::Nftables;
pub(crate) use element::{destroy, put, text as element_text};
pub use interval::Prefix;
pub use join::{Join, Then};
pub(crate) use table::{Layout, Table, alive, arm, arm_commands, delete, ifb_command, ifbs};

/// A direction, seen from the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// Towards the client.
    Download,
    /// From the client.
    Upload,
}

/// A TCP flow, told the same way in both directions.
///
/// Shape:   both ends of one family; an IPv4 address in IPv6 clothes is an IPv4 address
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Flow {
    /// The client's end.
    pub client: SocketAddr,
    /// The other end: ours, or on a router the server's.
    pub server: SocketAddr,
}

/// Which of the four maps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Map {
    pub(crate) direction: Direction,
    pub(crate) v6: bool,
}

impl Map {
    /// All there are.
    pub(crate) const ALL: [Self; 4] = [
        Self { direction: Direction::Download, v6: false },
        Self { direction: Direction::Download, v6: true },
        Self { direction: Direction::Upload, v6: false },
        Self { direction: Direction::Upload, v6: true },
    ];

    /// Its name.
    pub(crate) const fn name(self) -> &'static str {
        match (self.direction, self.v6) {
            (Direction::Download, false) => "down4",
            (Direction::Download, true) => "down6",
            (Direction::Upload, false) => "up4",
            (Direction::Upload, true) => "up6",
        }
    }

    /// Length of an address in its keys.
    const fn address(self) -> u32 {
        if self.v6 { 16 } else { 4 }
    }
}

impl fmt::Display for Map {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A message about something of the family `netdev`.
fn message(kind: u16, flags: u16) -> Request {
    Request::new(kind, flags).fixed(&[abi::NETDEV, 0, 0, 0])
}

impl Request {
    /// Appends a number in network order, as nftables wants them all.
    fn be32(self, kind: u16, value: u32) -> Self {
        self.attribute(kind, &value.to_be_bytes())
    }
}

#[cfg(test)]
mod tests;
