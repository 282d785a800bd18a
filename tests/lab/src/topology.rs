//! Client, edge and origin, joined by links: the world an experiment runs in.
//!
//! What lives here: building it, addresses, cutting and restoring links. What does not: proxy, origin server, traffic.
//! Called by experiments, integration tests, the demo.
//! Invariant: link `i` (from 1) is `ci` at the client and `pi` at the edge, 10.i.0.0/24 and fd00:i::/64, the client's
//! end `.2`, the edge's `.1`; the origin is 10.200.0.2 and fd00:200::2 behind the edge's `o0`.

mod build;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::{Context, Result};
use serde::Serialize;

use crate::emulator::Emulator;
use crate::link::Link;
use crate::netns::Namespace;

/// IPv4 or IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// How a link dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub enum Cut {
    /// The client's interface goes down, and the client knows.
    Down,
    /// Every packet vanishes in both directions, and nobody is told.
    Silent,
}

/// What to build.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Builder {
    links: Vec<Link>,
    /// What is between the edge and the origin.
    origin_link: Option<Link>,
    client_sysctls: Vec<(String, String)>,
    edge_sysctls: Vec<(String, String)>,
}

/// A built topology; dropping it removes everything.
#[derive(Debug)]
pub struct Topology {
    /// The subscriber's host, with one interface per link.
    pub client: Namespace,
    /// Where the proxy runs.
    pub edge: Namespace,
    /// Where the origin servers run.
    pub origin: Namespace,
    links: Vec<Link>,
    /// Kept: a namespace without a holder dies and takes its devices along.
    hops: Vec<Namespace>,
    emulators: Vec<Emulator>,
}

impl Builder {
    /// Adds a link; the first is the one the client connects over.
    #[must_use]
    pub fn link(mut self, link: Link) -> Self {
        self.links.push(link);
        self
    }

    /// What the edge and the origin are joined by; a bare pair of devices by default. Of its hops, those that are no routers.
    #[must_use]
    pub fn origin_link(mut self, link: Link) -> Self {
        self.origin_link = Some(link);
        self
    }

    /// Puts a switch into every link that has nothing else in its way.
    #[must_use]
    pub fn switched(mut self) -> Self {
        let switch = |link: Link| if link.hops.is_empty() { link.switched() } else { link };
        self.links = self.links.into_iter().map(switch).collect();
        self
    }

    /// Sets a sysctl at the client.
    #[must_use]
    pub fn client_sysctl(mut self, key: &str, value: &str) -> Self {
        self.client_sysctls.push((key.to_owned(), value.to_owned()));
        self
    }

    /// Sets a sysctl at the edge.
    #[must_use]
    pub fn edge_sysctl(mut self, key: &str, value: &str) -> Self {
        self.edge_sysctls.push((key.to_owned(), value.to_owned()));
        self
    }

    /// The links, in order.
    pub fn links(&self) -> &[Link] {
        &self.links
    }

    /// Builds it.
    ///
    /// Errors: without root in a user namespace at least, or a tool (ip, tc, nft, ethtool) is missing.
    pub fn build(&self) -> Result<Topology> {
        build::build(self)
    }
}

impl Topology {
    /// Starts a description without links.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The links, in order.
    pub fn links(&self) -> &[Link] {
        &self.links
    }

    /// What links can carry of payload, together.
    ///
    /// Units: bit/s.
    pub fn payload_capacity(&self) -> f64 {
        self.links.iter().map(Link::payload_capacity).sum()
    }

    /// The namespaces in the links' way, in the order of links and hops, the origin's link first.
    pub fn hops(&self) -> &[Namespace] {
        &self.hops
    }

    /// Running emulators, in the order of links and hops, the origin's link first.
    pub fn emulators(&self) -> &[Emulator] {
        &self.emulators
    }

    /// The client's address on link `link`, counted from 1.
    pub fn client_address(&self, link: u8, family: Family) -> IpAddr {
        address(link, 2, family)
    }

    /// The edge's address on link `link`, counted from 1.
    pub fn edge_address(&self, link: u8, family: Family) -> IpAddr {
        address(link, 1, family)
    }

    /// The origin's address.
    pub fn origin_address(&self, family: Family) -> IpAddr {
        address(ORIGIN_NET, 2, family)
    }

    /// Cuts link `link`, counted from 1.
    pub fn cut(&self, link: u8, cut: Cut) -> Result<()> {
        match cut {
            Cut::Down => self.client.ip(&format!("link set c{link} down")),
            Cut::Silent => {
                // Dropped where it arrives: a sender that drops its own packet would be told.
                for (ns, device) in [(&self.client, "c"), (&self.edge, "p")] {
                    ns.nft(&format!(
                        "table inet cut{link} {{\n chain in {{\n  type filter hook prerouting priority -400; policy accept;\n  \
                         iifname \"{device}{link}\" counter drop\n }}\n}}\n"
                    ))?;
                }
                Ok(())
            }
        }
    }

    /// Restores a link cut by [`Topology::cut`]; when the interface was down, also the routes, and the subflow
    /// endpoint anew, as a network manager would.
    pub fn restore(&self, link: u8, cut: Cut) -> Result<()> {
        match cut {
            Cut::Down => {
                self.client.ip(&format!("link set c{link} up"))?;
                let families = self.links.get(usize::from(link) - 1).map_or(&[][..], build::families);
                self.client.ip_batch(&build::client_routes(link, families))?;
                if link > 1 {
                    for &family in families {
                        let address = self.client_address(link, family);
                        self.client.ip(&format!("mptcp endpoint del id {}", build::endpoint_id(link, family)))?;
                        self.client.ip(&build::endpoint(link, family, address))?;
                    }
                }
                Ok(())
            }
            Cut::Silent => {
                for ns in [&self.client, &self.edge] {
                    ns.nft(&format!("delete table inet cut{link}\n")).context("restoring a link that was not cut")?;
                }
                Ok(())
            }
        }
    }
}

/// The network between the edge and the origin.
const ORIGIN_NET: u8 = 200;

/// An address by the plan in the module's words.
fn address(net: u8, host: u8, family: Family) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::new(10, net, 0, host).into(),

        Family::V6 => Ipv6Addr::new(0xfd00, decimal(net), 0, 0, 0, 0, 0, host.into()).into(),
    }
}

/// The number whose hexadecimal digits read as the decimal ones of `net`.
fn decimal(net: u8) -> u16 {
    u16::from(net / 100) << 8 | u16::from(net / 10 % 10) << 4 | u16::from(net % 10)
}

#[cfg(test)]
mod tests;
