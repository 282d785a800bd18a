//! What there is on this machine: links, addresses, routes, rules, endpoints; and which of it leads to the Internet.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// The table everything is in that nobody put elsewhere.
pub const MAIN: u32 = 254;

/// Addresses with the same leading bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Net {
    /// An address in it.
    pub address: IpAddr,
    /// How many bits are the same.
    pub length: u8,
}

/// A link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its number.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// It is up.
    pub up: bool,
    /// It is not one that leads elsewhere: loopback, a bridge or a pair for containers.
    pub inner: bool,
    /// Reverse path filtering of IPv4: the stricter of its own and everybody's.
    pub rp_filter: u8,
    /// A gateway that DHCP has told of, though no route names it.
    pub leased: Option<IpAddr>,
}

/// An address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address {
    /// The link.
    pub interface: u32,
    /// The address, and how much of it is the link's.
    pub net: Net,
    /// It is good beyond its link and to be relied on.
    pub lasting: bool,
}

/// A route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// Its table.
    pub table: u32,
    /// Where it leads.
    pub to: Net,
    /// The next router.
    pub gateway: Option<IpAddr>,
    /// The link.
    pub interface: Option<u32>,
    /// The lower, the better.
    pub metric: u32,
}

/// A rule that sends packets of a source to a table, and nothing else; or (`from` and table missing) any other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Its place in the order.
    pub priority: u32,
    /// The source.
    pub from: Option<Net>,
    /// The table.
    pub table: u32,
    /// Of IPv4.
    pub v4: bool,
}

/// An endpoint of the path manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoint {
    /// The address.
    pub address: IpAddr,
    /// Subflows are made from it.
    pub subflow: bool,
}

/// Whether a BPF program may answer for `update_socket_protocol` here, which gives programs MPTCP that ask for TCP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hook {
    /// It may.
    Bpf {
        /// The cookie of the network namespace: the program is for its sockets only.
        namespace: u64,
        /// It was tried; else the kernel only says that it has the function.
        tried: bool,
        /// A BPF file system is where the program's pin belongs.
        mounted: bool,
        /// That file system is, or would be, among mounts of this command's own, and ends with them.
        passing: bool,
        /// An earlier set-up's program is attached, with the names of programs it excepts.
        attached: Option<Vec<String>>,
    },
    /// It may not, and why.
    Not(String),
}

impl Default for Hook {
    fn default() -> Self {
        Self::Not("it was not looked for".to_owned())
    }
}

/// Everything that was seen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Seen {
    /// Links.
    pub links: Vec<Link>,
    /// Addresses.
    pub addresses: Vec<Address>,
    /// Routes of all tables, but for the kernel's own.
    pub routes: Vec<Route>,
    /// Rules.
    pub rules: Vec<Rule>,
    /// Tables that an earlier set-up has put routes in.
    pub tables: BTreeSet<u32>,
    /// Endpoints; the kernel's own (implicit) ones left out.
    pub endpoints: Vec<Endpoint>,
    /// Subflows beside the first, and announced addresses accepted.
    pub limits: Option<(u32, u32)>,
    /// `net.mptcp.enabled`.
    pub mptcp: Option<bool>,
    /// `net.mptcp.path_manager`.
    pub path_manager: Option<String>,
    /// What gives all programs MPTCP.
    pub hook: Hook,
    /// What gives one program MPTCP is installed (`mptcpize`).
    pub mptcpize: bool,
}

/// An address over which the Internet is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    /// The link's name.
    pub link: String,
    /// The link's number.
    pub index: u32,
    /// The address, and how much of it is the link's.
    pub net: Net,
    /// The next router; `None` on a link between two ends.
    pub gateway: Option<IpAddr>,
    /// How the machine prefers it: the metric of its default route in `main`.
    pub metric: u32,
}

/// What leads to the Internet, best first, and links that do not, with the reason.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ways {
    /// The ways.
    pub ways: Vec<Way>,
    /// Link and reason.
    pub idle: Vec<(String, String)>,
}

impl Net {
    /// Every address of a family.
    #[must_use]
    pub fn everything(like: IpAddr) -> Self {
        let any: IpAddr = if like.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
        Self { address: any, length: 0 }
    }

    /// One address alone.
    #[must_use]
    pub fn only(address: IpAddr) -> Self {
        Self { address, length: if address.is_ipv4() { 32 } else { 128 } }
    }

    /// The network itself: all other bits zero.
    #[must_use]
    pub fn network(self) -> Self {
        let net = ipnet::IpNet::new(self.address, self.length);
        net.map_or(self, |net| Self { address: net.network(), length: self.length })
    }
}

impl fmt::Display for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = if self.address.is_ipv4() { 32 } else { 128 };
        match self.length {
            0 => f.write_str("default"),
            length if length == whole => write!(f, "{}", self.address),
            length => write!(f, "{}/{length}", self.address),
        }
    }
}

impl Seen {
    /// Which addresses lead to the Internet: on a link that is up, with a default route in any table, or a gateway that DHCP has told.
    /// `only` names the links that are meant, with a gateway where somebody knows better; empty: all.
    #[must_use]
    pub fn ways(&self, only: &[(String, Option<IpAddr>)]) -> Ways {
        let mut out = Ways::default();
        for link in &self.links {
            let named = only.iter().find(|(name, _)| *name == link.name);
            if named.is_none() && (!only.is_empty() || link.inner) {
                continue;
            }
            match self.ways_of(link, named.and_then(|(_, gateway)| *gateway)) {
                Ok(ways) => out.ways.extend(ways),
                // Who has not named it need not hear of every unused socket.
                Err(why) if named.is_some() || self.was_used(link) => out.idle.push((link.name.clone(), why)),
                Err(_) => {}
            }
        }
        for (name, _) in only.iter().filter(|(name, _)| self.links.iter().all(|link| link.name != *name)) {
            out.idle.push((name.clone(), "there is no such link".to_owned()));
        }
        out.ways.sort_by_key(|way| (way.metric, way.index, way.net.address));
        out
    }

    /// Whether the link has addresses that would lead somewhere if it were up.
    fn was_used(&self, link: &Link) -> bool {
        self.addresses.iter().any(|address| address.interface == link.index && address.lasting)
    }

    fn ways_of(&self, link: &Link, told: Option<IpAddr>) -> Result<Vec<Way>, String> {
        if !link.up {
            return Err("is down".to_owned());
        }
        let own: Vec<_> = self.addresses.iter().filter(|one| one.interface == link.index && one.lasting).collect();
        if own.is_empty() {
            return Err("has no address that is good beyond the link".to_owned());
        }
        let way = |address: &&Address| {
            let net = address.net;
            let v4 = net.address.is_ipv4();
            let default = |route: &&Route| {
                route.to.length == 0 && route.to.address.is_ipv4() == v4 && route.interface == Some(link.index)
            };
            let defaults = self.routes.iter().filter(default);
            // What is in main tells what the machine prefers.
            let best = defaults.min_by_key(|route| (route.table != MAIN, route.metric));
            let metric = best.filter(|route| route.table == MAIN).map_or(u32::MAX, |route| route.metric);
            let gateway = match (told.filter(|told| told.is_ipv4() == v4), best) {
                (Some(told), _) => Some(told),
                (None, Some(route)) => route.gateway,
                (None, None) => Some(link.leased.filter(|leased| leased.is_ipv4() == v4)?),
            };
            Some(Way { link: link.name.clone(), index: link.index, net, gateway, metric })
        };
        let ways: Vec<_> = own.iter().filter_map(way).collect();
        if ways.is_empty() { Err("has an address, but no gateway".to_owned()) } else { Ok(ways) }
    }
}

#[cfg(test)]
mod tests;
