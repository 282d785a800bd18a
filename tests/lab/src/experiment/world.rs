//! Cells: one transfer each, over a topology, with faults; run in rounds.
//!
//! Called by the experiments that compare transfers. Invariant: a topology is built once per run and shared by all
//! cells that ask for an equal one; its proxy and origins live as long.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::{Options, PATIENCE, Subject};
use crate::client::{Protocol, Transfer, Transferred, Via, Way};
use crate::floor::Floor;
use crate::origin::{Server, Service};
use crate::proxy::{PORT, Proxy, ProxyConfig};
use crate::topology::{Builder, Cut, Family, Topology};

/// The origin's HTTP port, over TCP.
pub(super) const ORIGIN_PORT: u16 = 8080;
/// The port of the lab's own HTTP server at the edge, over MPTCP: what "direct" means.
pub(super) const DIRECT_PORT: u16 = 9080;
/// The origin's echo port.
pub(super) const ECHO_PORT: u16 = 7007;

/// How a cell's client reaches the payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// A server of the lab's own at the edge, where the proxy would be.
    Direct,
    /// A CONNECT tunnel through the proxy.
    Connect,
    /// Absolute-form requests to the proxy.
    Absolute,
}

/// What a cell's client does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traffic {
    /// MPTCP or TCP.
    pub protocol: Protocol,
    /// How it reaches the payload.
    pub wire: Wire,
    /// Over which family.
    pub family: Family,
    /// Which way the payload goes.
    pub way: Way,
    /// How much.
    pub bytes: u64,
}

/// Something that happens to a link in mid-transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// The link, counted from 1.
    pub link: u8,
    /// How it dies.
    pub cut: Cut,
    /// When, after the transfer's start.
    pub after: Duration,
    /// How long it stays dead.
    pub lasts: Duration,
}

/// One comparison's part.
#[derive(Debug, Clone)]
pub struct Cell {
    /// Its name in the report.
    pub name: String,
    /// Where it runs.
    pub topology: Builder,
    /// What its client does.
    pub traffic: Traffic,
    /// What happens meanwhile.
    pub fault: Option<Fault>,
}

impl Sample {
    /// MPTCP retransmissions at either end: stalls freed by the kernel's timer.
    pub fn retransmissions(&self) -> u64 {
        let of = self.counters.iter().filter(|(name, _)| name.ends_with(" MPTCPRetrans"));
        of.map(|(_, value)| value).sum()
    }
}

/// What one run of a cell yielded.
#[derive(Debug, Clone)]
pub struct Sample {
    /// The cell's name.
    pub cell: String,
    /// The round, from 0.
    pub round: usize,
    /// What the transfer yielded; its error in words when it could not run.
    pub result: Result<Transferred, String>,
    /// Payload rate.
    ///
    /// Units: bit/s; 0 when it could not run or lost bytes.
    pub rate: f64,
    /// The MPTCP counters that moved meanwhile at the edge and at the client.
    pub counters: BTreeMap<String, u64>,
    /// What the faulty link carried from its restoration to the transfer's end.
    ///
    /// Units: bytes on the wire, both directions.
    pub restored_bytes: u64,
}

/// A topology with everything that runs on it.
#[derive(Debug)]
pub struct World {
    /// The network.
    pub topology: Topology,
    /// The proxy, unless the floor stands in.
    pub proxy: Option<Proxy>,
    _floor: Option<Floor>,
    _servers: Vec<Server>,
}

impl World {
    /// Builds the topology and starts the proxy (or the floor), the origins and the direct server.
    pub fn start(builder: &Builder, subject: Subject) -> Result<Self> {
        Self::start_with(builder, subject, &ProxyConfig::default())
    }

    /// As [`World::start`], with a configuration of the proxy's own.
    pub fn start_with(builder: &Builder, subject: Subject, config: &ProxyConfig) -> Result<Self> {
        let topology = builder.build()?;
        let servers = vec![
            Server::start(&topology.origin, ORIGIN_PORT, Protocol::Tcp, Service::Http)?,
            Server::start(&topology.origin, ECHO_PORT, Protocol::Tcp, Service::Echo)?,
            Server::start(&topology.edge, DIRECT_PORT, Protocol::Mptcp, Service::Http)?,
        ];
        let (proxy, floor) = match subject {
            Subject::Anabranch => (Some(Proxy::start(&topology.edge, config)?), None),
            Subject::Floor => (None, Some(Floor::start(&topology.edge, PORT)?)),
        };
        Ok(Self { topology, proxy, _floor: floor, _servers: servers })
    }

    /// The proxy's address on link 1.
    pub fn proxy_address(&self, family: Family) -> SocketAddr {
        SocketAddr::new(self.topology.edge_address(1, family), PORT)
    }

    /// The transfer a cell's client makes.
    pub fn transfer(&self, traffic: Traffic) -> Transfer {
        let Traffic { protocol, wire, family, way, bytes } = traffic;
        let proxy = self.proxy_address(family);
        let origin = SocketAddr::new(self.topology.origin_address(family), ORIGIN_PORT);
        let (via, origin) = match wire {
            Wire::Direct => (Via::Direct, SocketAddr::new(proxy.ip(), DIRECT_PORT)),
            Wire::Connect => (Via::Connect(proxy), origin),
            Wire::Absolute => (Via::Absolute(proxy), origin),
        };
        Transfer { protocol, via, origin, way, bytes }
    }

    /// Runs a transfer at the client, with a fault if there is one.
    ///
    /// Shape: the result, and what the faulty link carried after its restoration.
    /// Errors: when the lab itself fails; a transfer that fails is a result.
    pub fn transfer_with_fault(
        &self,
        transfer: Transfer,
        fault: Option<Fault>,
    ) -> Result<(Result<Transferred, String>, u64)> {
        std::thread::scope(|scope| {
            let client = scope.spawn(|| self.topology.client.run(|| transfer.run(PATIENCE)));
            let mut at_restoration = 0;
            if let Some(fault) = fault {
                std::thread::sleep(fault.after);
                self.topology.cut(fault.link, fault.cut)?;
                let end = Instant::now() + fault.lasts;
                while !client.is_finished() && Instant::now() < end {
                    std::thread::sleep(Duration::from_millis(5));
                }
                self.topology.restore(fault.link, fault.cut)?;
                at_restoration = self.carried(fault.link)?;
            }
            let result = client.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            let carried = fault.map_or(Ok(0), |fault| self.carried(fault.link))?;
            Ok((result.map_err(|error| error.to_string()), carried - at_restoration))
        })
    }

    /// What link `link` has carried so far, seen from the edge.
    fn carried(&self, link: u8) -> Result<u64> {
        let counters = self.topology.edge.interface_counters()?;
        let of = counters.get(&format!("p{link}")).context("no such link")?;
        Ok(of.received_bytes + of.sent_bytes)
    }

    /// The MPTCP counters of the edge and of the client, with their side's name in front.
    pub fn counters(&self) -> Result<BTreeMap<String, u64>> {
        let mut all = BTreeMap::new();
        for ns in [&self.topology.edge, &self.topology.client] {
            let counters = ns.mib_counters()?.into_iter();
            let mptcp = counters.filter_map(|(name, value)| Some((name.strip_prefix("MPTcpExt")?.to_owned(), value)));
            all.extend(mptcp.map(|(name, value)| (format!("{} {name}", ns.name()), value)));
        }
        Ok(all)
    }
}

/// Runs every cell in every round, side by side; `note` is told of each sample.
pub fn run(cells: &[Cell], rounds: usize, options: &Options, note: &mut dyn FnMut(&Sample)) -> Result<Vec<Sample>> {
    let mut worlds: Vec<(Builder, World)> = Vec::new();
    let mut samples = Vec::new();
    for round in 0..rounds {
        for cell in cells {
            let at = match worlds.iter().position(|(builder, _)| *builder == cell.topology) {
                Some(at) => at,
                None => {
                    worlds.push((cell.topology.clone(), World::start(&cell.topology, options.subject)?));
                    worlds.len() - 1
                }
            };
            let sample = worlds[at].1.sample(cell, round).with_context(|| cell.name.clone())?;
            note(&sample);
            samples.push(sample);
        }
    }
    Ok(samples)
}

impl World {
    /// What the proxy has to say about a transfer that failed, beside the kernel's counters of both ends.
    fn last_words(&self, counters: &BTreeMap<String, u64>) -> String {
        let Some(proxy) = &self.proxy else { return format!("{counters:?}") };
        // A session that still delivers writes its record when it has ended.
        std::thread::sleep(Duration::from_secs(1));
        let last = proxy.access_log().pop().map_or_else(|| "nothing".into(), |entry| entry.to_string());
        format!("the last entry of the access log: {last}; {counters:?}")
    }

    fn sample(&self, cell: &Cell, round: usize) -> Result<Sample> {
        let before = self.counters()?;
        let transfer = self.transfer(cell.traffic);
        let (result, restored_bytes) = self.transfer_with_fault(transfer, cell.fault)?;
        let rate = result.as_ref().map_or(0.0, |t| if t.lost == 0 { transfer.rate(t.elapsed) } else { 0.0 });
        let mut counters = self.counters()?;
        counters.retain(|name, value| {
            *value = value.saturating_sub(before.get(name).copied().unwrap_or(0));
            *value > 0
        });
        self.proxy.as_ref().map_or(Ok(()), Proxy::expect_alive)?;
        let result = result.map_err(|error| format!("{error}; {}", self.last_words(&counters)));
        Ok(Sample { cell: cell.name.clone(), round, result, rate, counters, restored_bytes })
    }
}
