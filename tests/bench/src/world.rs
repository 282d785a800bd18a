//! The network of all scenarios: a client with two links, the edge with every proxy, the origin.
//!
//! What lives here: building it, and whether the client uses one link or both. What does not: peers (`peer`), loads (`load`).
//! Called by `run` and the scenarios. Invariant: whoever takes part has a port of the origin of its own, so that connections one
//! of them has left behind (TIME-WAIT) are in nobody's way.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use anabranch_lab::client::Protocol;
use anabranch_lab::{Family, Link, Namespace, Topology};
use anyhow::Result;
use serde::Serialize;

use crate::load::Way;
use crate::origin::Origin;
use anabranch_lab::peer::{Built, PEERS, Tree};

/// The first proxy's port; the others follow.
pub const FIRST_PORT: u16 = 3128;
/// The origin's first port over TCP, for the first of the peers; the others follow.
const ORIGIN_TCP: u16 = 8100;
/// The same over MPTCP, for who goes there directly.
const ORIGIN_MPTCP: u16 = 9100;

/// What the client speaks, and over how much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Client {
    /// Plain TCP.
    Tcp,
    /// MPTCP over one link.
    One,
    /// MPTCP over both links.
    Two,
}

/// Somebody being measured: where it is reached, and what it uses.
#[derive(Debug, Clone, Copy)]
pub struct Subject {
    /// Its place in the list of peers.
    pub index: usize,
    /// Its port; `None` for the direct connection.
    pub port: Option<u16>,
    /// Its processes; none of the direct connection.
    pub tree: Option<Tree>,
}

/// The network and what always runs in it.
#[derive(Debug)]
pub struct World {
    /// The namespaces and links.
    pub topology: Topology,
    /// The origin's server.
    pub origin: Origin,
    /// What was compiled.
    pub built: Built,
    /// Small enough for a trial.
    pub quick: bool,
    /// Threads of whoever can have several; as many as cores by default.
    pub threads: Option<usize>,
    /// The rates that are 70 % of the reference's, once they are known; the same for all networks.
    pub offered: Arc<Mutex<HashMap<Protocol, f64>>>,
}

impl Client {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Tcp, Self::One, Self::Two];

    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::One => "MPTCP one subflow",
            Self::Two => "MPTCP two subflows",
        }
    }

    fn protocol(self) -> Protocol {
        if self == Self::Tcp { Protocol::Tcp } else { Protocol::Mptcp }
    }
}

impl World {
    /// Builds it and starts the origin; `send_buffer` bounds every send buffer (tcp_wmem), in bytes.
    pub fn start(quick: bool, send_buffer: Option<u64>, threads: Option<usize>) -> Result<Self> {
        let topology = Topology::builder()
            .link(Link::new("one"))
            .link(Link::new("two"))
            .edge_sysctl("net.ipv4.ip_forward", "1")
            .build()?;
        for ns in [&topology.client, &topology.edge, &topology.origin] {
            ns.sysctl("net.ipv4.ip_local_port_range", "10000 65000")?;
            ns.sysctl("net.ipv4.tcp_tw_reuse", "1")?;
            ns.sysctl("net.core.somaxconn", "8192")?;
            if let Some(most) = send_buffer {
                ns.sysctl("net.ipv4.tcp_wmem", &format!("4096 16384 {most}"))?;
            }
        }
        // The machine's default may be another one, which a namespace may not change; peers cannot all be told.
        for (ns, routes) in [
            (&topology.client, &[("10.1.0.0/24", "c1", "10.1.0.2"), ("10.2.0.0/24", "c2", "10.2.0.2")][..]),
            (
                &topology.edge,
                &[
                    ("10.1.0.0/24", "p1", "10.1.0.1"),
                    ("10.2.0.0/24", "p2", "10.2.0.1"),
                    ("10.200.0.0/24", "o0", "10.200.0.1"),
                ],
            ),
        ] {
            for (net, device, source) in routes {
                cubic(ns, &format!("{net} dev {device} proto kernel scope link src {source}"))?;
            }
        }
        cubic(&topology.origin, "default via 10.200.0.1")?;
        for link in [1, 2] {
            cubic(&topology.client, &format!("default via 10.{link}.0.1 dev c{link} table {link}"))?;
            cubic(&topology.client, &format!("default via 10.{link}.0.1 dev c{link} metric {}", 100 + link))?;
        }
        let places = (0..).zip(PEERS);
        let ports: Vec<_> =
            places.flat_map(|(i, _)| [(ORIGIN_TCP + i, Protocol::Tcp), (ORIGIN_MPTCP + i, Protocol::Mptcp)]).collect();
        let origin = Origin::start(&topology.origin, &ports)?;
        Ok(Self { topology, origin, built: Built::new()?, quick, threads, offered: Arc::default() })
    }

    /// The value for a full run or for a trial.
    pub fn pick<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }

    /// The origin's address for the peer at `index`, over TCP.
    pub fn origin_of(&self, index: usize) -> SocketAddr {
        self.origin_at(ORIGIN_TCP, index)
    }

    fn origin_at(&self, first: u16, index: usize) -> SocketAddr {
        let port = first + u16::try_from(index).unwrap_or(0);
        SocketAddr::new(self.topology.origin_address(Family::V4), port)
    }

    /// The way of a client that speaks so to the origin, through `subject`.
    pub fn way(&self, subject: &Subject, client: Client) -> Way {
        let proxy = subject.port.map(|port| SocketAddr::new(self.topology.edge_address(1, Family::V4), port));
        let protocol = client.protocol();
        let first = if proxy.is_none() && protocol == Protocol::Mptcp { ORIGIN_MPTCP } else { ORIGIN_TCP };
        Way { protocol, proxy, origin: self.origin_at(first, subject.index) }
    }

    /// Lets the client's next connections use one link or both.
    pub fn use_links(&self, client: Client) -> Result<()> {
        let subflows = if client == Client::Two { 2 } else { 0 };
        self.topology.client.ip(&format!("mptcp limits set subflow {subflows} add_addr_accepted 0"))
    }

    /// MPTCP connections and joins the client has made so far.
    pub fn handshakes(&self) -> Result<(u64, u64)> {
        let counters = self.topology.client.mib_counters()?;
        let of = |name: &str| counters.get(name).copied().unwrap_or(0);
        Ok((of("MPTcpExtMPCapableSYNACKRX"), of("MPTcpExtMPJoinSynAckRx")))
    }
}

/// Sets cubic on a route that is there.
pub fn cubic(ns: &Namespace, route: &str) -> Result<()> {
    ns.ip(&format!("route replace {route} congctl cubic"))
}
