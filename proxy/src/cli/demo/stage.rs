//! The network a demo plays in: links, edge with the proxy, origin; all in private namespaces.
//!
//! What lives here: building it from the lab's parts, and reading what each link carried. What does not: traffic.
//! Called by the demo's acts. Owned by the demo: dropping it ends the proxy and removes everything.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anabranch_lab::client::Protocol;
use anabranch_lab::origin::{Server, Service};
use anabranch_lab::proxy::PORT;
use anabranch_lab::{Family, Proxy, ProxyConfig, Topology};
use anyhow::{Context as _, Result};

use super::links::Links;
use super::rule::Rule;

/// The origin's port.
const ORIGIN_PORT: u16 = 8080;
/// What a frame has besides payload: Ethernet, IPv4, TCP, timestamps.
const TCP_HEADERS: u64 = 14 + 20 + 20 + 12;
/// And over MPTCP: a DSS option with a mapping and 64-bit numbers, padded (RFC 8684 §3.3); seen to agree to 10^-4.
const DSS: u64 = 28;

/// A built network with the proxy and the origin at work.
#[derive(Debug)]
pub(super) struct Stage {
    // Dropped in this order: who serves goes before what it stands on.
    proxy: Proxy,
    _origin: Server,
    pub(super) topology: Topology,
    links: usize,
    /// The steered act's.
    pub(super) rule: Rule,
}

/// What the proxy's access log says about a tunnel.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(super) struct Witness {
    /// `yes`, or why the client's connection is plain TCP.
    pub(super) mptcp: String,
    /// Subflows the connection had.
    pub(super) subflows: u64,
}

impl Stage {
    /// Builds the network, and starts the origin and, as the proxy, this very program.
    pub(super) fn build(links: &Links) -> Result<Self> {
        let builder = links.iter().fold(Topology::builder(), |builder, link| builder.link(link.lab()));
        // Plain TCP crosses the edge as it crosses any router.
        let topology = builder.edge_sysctl("net.ipv4.ip_forward", "1").build()?;
        // Frames merged by offloads would pass the links' shapers as one; a router gets them as the wire carries them.
        topology.origin.plain_frames("s0")?;
        topology.edge.plain_frames("o0")?;
        let origin = Server::start(&topology.origin, ORIGIN_PORT, Protocol::Tcp, Service::Http)?;
        let config = ProxyConfig { extra: Rule::steering(links), ..ProxyConfig::default() };
        let proxy = Proxy::start_binary(Path::new("/proc/self/exe"), &topology.edge, &config)?;
        let stage = Self { proxy, _origin: origin, topology, links: links.len(), rule: Rule::of(links) };
        std::fs::write(stage.rule_file(), stage.rule.text(links)).context("cannot write a policy")?;
        Ok(stage)
    }

    /// The proxy's control socket.
    pub(super) fn control_socket(&self) -> PathBuf {
        self.proxy.control_socket()
    }

    /// The file with the rule, beside it.
    pub(super) fn rule_file(&self) -> PathBuf {
        self.control_socket().with_file_name("policies.toml")
    }

    /// The origin's address.
    pub(super) fn origin(&self) -> SocketAddr {
        SocketAddr::new(self.topology.origin_address(Family::V4), ORIGIN_PORT)
    }

    /// The proxy's address, on the best link.
    pub(super) fn proxy(&self) -> SocketAddr {
        SocketAddr::new(self.topology.edge_address(1, Family::V4), PORT)
    }

    /// Payload each link has brought to the client so far: its frames without their headers.
    ///
    /// Units: bytes.
    pub(super) fn carried(&self, protocol: Protocol) -> Result<Vec<u64>> {
        let counters = self.topology.client.interface_counters()?;
        let headers = match protocol {
            Protocol::Tcp => TCP_HEADERS,
            Protocol::Mptcp => TCP_HEADERS + DSS,
        };
        (1..=self.links)
            .map(|link| {
                let of = counters.get(&format!("c{link}")).context("a link has vanished")?;
                Ok(of.received_bytes.saturating_sub(of.received_packets * headers))
            })
            .collect()
    }

    /// What the proxy has recorded of the tunnels so far, waiting a moment for the `count`th.
    pub(super) fn witness(&self, count: usize) -> Option<Witness> {
        let log = self.proxy.wait_access_log(count, Duration::from_secs(2));
        let entry = log.get(count.checked_sub(1)?)?;
        Some(Witness { mptcp: entry["mptcp"].as_str()?.to_owned(), subflows: entry["subflows"].as_u64()? })
    }
}
