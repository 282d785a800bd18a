//! Routes, the rules that choose among their tables, and the addresses they are about.
//!
//! What lives here: dumps of all three, the question which way a packet would go, a route and a rule made and taken away. What does
//! not: which routes there ought to be. Called by the client's set-up and doctor.
//! Invariant: what a dump does not decode in full (several next hops, selectors other than addresses) is told as such, not left out.
//! Source: rtnetlink(7), Linux v6.18 `net/ipv4/fib_frontend.c`, `net/ipv6/route.c`, `net/core/fib_rules.c`.

mod encode;
mod parse;

use std::fmt;
use std::net::IpAddr;

use crate::netlink::{Dump, NetlinkError, NetlinkSocket, Protocol};

/// IPv4 or IPv6: each has routes, tables and rules of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// A set of addresses with the same leading bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Net {
    /// An address in it; of a route or a rule, the lowest.
    pub address: IpAddr,
    /// How many bits are the same.
    pub length: u8,
}

/// A way to somewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Its table; 254 is `main`.
    pub table: u32,
    /// Where it leads.
    pub to: Net,
    /// The next router; `None` on the link itself, or where there are several.
    pub gateway: Option<IpAddr>,
    /// The link; `None` where there are several.
    pub interface: Option<u32>,
    /// The address packets get that have none yet.
    pub source: Option<IpAddr>,
    /// The lower, the better.
    pub metric: Option<u32>,
    /// A way, and not a refusal (`unreachable`, `blackhole`) nor one of this machine's own addresses.
    pub unicast: bool,
}

/// What sends packets to a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// IPv4 or IPv6.
    pub family: Family,
    /// The lower, the sooner it is looked at.
    pub priority: u32,
    /// The packets' source; `None`: any.
    pub from: Option<Net>,
    /// The table; 0 where it does something else.
    pub table: u32,
    /// It asks for nothing but the source, and does nothing but send packets to its table.
    pub plain: bool,
}

/// An address of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address {
    /// The link.
    pub interface: u32,
    /// The address, and how much of it is the link's.
    pub net: Net,
    /// It is good beyond its link.
    pub global: bool,
    /// It is not to be relied on: temporary, deprecated, tentative, or a second one of its network.
    pub passing: bool,
}

/// The routes of the network namespace it was opened in.
#[derive(Debug)]
pub struct Routes {
    socket: NetlinkSocket,
}

impl Family {
    /// The family of an address.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }
}

impl fmt::Display for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

impl Routes {
    /// Opens the door.
    pub fn open() -> Result<Self, NetlinkError> {
        Ok(Self { socket: NetlinkSocket::open(Protocol::Route)? })
    }

    /// Every route of every table.
    pub fn routes(&mut self, family: Family) -> Result<Vec<Route>, NetlinkError> {
        let mut found = Vec::new();
        self.socket.dump("RTM_GETROUTE", &"routes", &encode::get_routes(family), |dump| match dump {
            Dump::Start => found.clear(),
            Dump::Entry(message) => found.extend(parse::route(message.payload)),
        })?;
        Ok(found)
    }

    /// Every rule, in the order they are looked at.
    pub fn rules(&mut self, family: Family) -> Result<Vec<Rule>, NetlinkError> {
        let mut found = Vec::new();
        self.socket.dump("RTM_GETRULE", &"rules", &encode::get_rules(family), |dump| match dump {
            Dump::Start => found.clear(),
            Dump::Entry(message) => found.extend(parse::rule(message.payload)),
        })?;
        Ok(found)
    }

    /// Every address of every link.
    pub fn addresses(&mut self) -> Result<Vec<Address>, NetlinkError> {
        let mut found = Vec::new();
        self.socket.dump("RTM_GETADDR", &"addresses", &encode::get_addresses(), |dump| match dump {
            Dump::Start => found.clear(),
            Dump::Entry(message) => found.extend(parse::address(message.payload)),
        })?;
        Ok(found)
    }

    /// The way a packet to `to` would go, from an address of this machine if one is given.
    ///
    /// Errors: `ENETUNREACH`, `EHOSTUNREACH` — there is none; of IPv4, also where `from` is not ours.
    pub fn way(&mut self, to: IpAddr, from: Option<IpAddr>) -> Result<Route, NetlinkError> {
        let (op, mut found) = ("RTM_GETROUTE", None);
        self.socket.request(op, &to, encode::get_way(to, from), |message| found = parse::route(message.payload))?;
        found.ok_or_else(|| NetlinkError::malformed(op, to, "the answer is no route"))
    }

    /// Makes a route, as an administrator's (`proto static`).
    ///
    /// Errors: `EEXIST` — there is one; `ENETUNREACH` — the gateway is not on the link.
    /// Kernel: CAP_NET_ADMIN, as everything below.
    pub fn add_route(&mut self, route: &Route) -> Result<(), NetlinkError> {
        self.socket.request("RTM_NEWROUTE", &route.to, encode::add_route(route), |_| {})
    }

    /// Takes a route away that [`Routes::add_route`] made.
    ///
    /// Errors: `ESRCH` — there is none.
    pub fn delete_route(&mut self, route: &Route) -> Result<(), NetlinkError> {
        self.socket.request("RTM_DELROUTE", &route.to, encode::delete_route(route), |_| {})
    }

    /// Makes a rule.
    ///
    /// Errors: `EEXIST` — there is one.
    pub fn add_rule(&mut self, rule: &Rule) -> Result<(), NetlinkError> {
        self.socket.request("RTM_NEWRULE", &rule.table, encode::add_rule(rule), |_| {})
    }

    /// Takes a rule away.
    ///
    /// Errors: `ENOENT` — there is none.
    pub fn delete_rule(&mut self, rule: &Rule) -> Result<(), NetlinkError> {
        self.socket.request("RTM_DELRULE", &rule.table, encode::delete_rule(rule), |_| {})
    }
}

#[cfg(test)]
mod tests;
