//! Many clients, each with two shaped links: whether every one of them gets the sum of its own at once.

use std::io::Write as _;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use anabranch_lab::client::{Protocol, Via};
use anabranch_lab::stats::{lowest, median};
use anabranch_lab::{Link, Namespace};
use anyhow::{Context, Result, ensure};
use tokio::sync::oneshot;
use tokio::task::LocalSet;

use super::Stage;
use crate::load::{Meter, PATIENCE, WITHOUT_END, Way, drain_into, runtime};
use crate::sample::{Look, Metric, Sample, count, sample};
use crate::world::{Subject, cubic};

pub(super) const METRICS: &[Metric] = &[
    Metric::more("the poorest's share", "of its sum"),
    Metric::more("the middle's share", "of its sum"),
    Metric::more("share of all", "of the sum"),
    Metric::less("CPU", "s/GB"),
];

/// Rates of the two links of each.
///
/// Units: Mbit/s
const RATES: [u64; 2] = [4, 2];

/// The clients: a namespace each, with two links to the edge.
#[derive(Debug)]
pub struct Crowd {
    clients: Vec<Namespace>,
}

impl Crowd {
    /// Builds `count` of them, at most 90.
    fn build(edge: &Namespace, count: u8) -> Result<Self> {
        let clients = (0..count).map(|number| client(edge, number)).collect::<Result<_>>()?;
        Ok(Self { clients })
    }
}

/// One client; its nets are 10.(100+N).1.0/24 and .2.0/24, its own end `.2`.
fn client(edge: &Namespace, number: u8) -> Result<Namespace> {
    let ns = Namespace::new(format!("client {number}"))?;
    let (net, path) = (100 + number, edge.path());
    for (link, rate) in (1..).zip(RATES) {
        let (here, there) = (format!("c{link}"), format!("k{number}x{link}"));
        ns.ip(&format!("link add {here} type veth peer name {there} netns {}", path.display()))?;
        for (at, device, host) in [(&ns, &here, 2), (edge, &there, 1)] {
            at.ip_batch(&[
                format!("link set {device} up"),
                format!("addr add 10.{net}.{link}.{host}/24 dev {device}"),
            ])?;
            at.plain_frames(device)?;
            at.tc(&format!("qdisc add dev {device} root handle 1: htb default 10"))?;
            at.tc(&format!(
                "class add dev {device} parent 1: classid 1:10 htb rate {rate}mbit burst 6k cburst 6k quantum 6000"
            ))?;
            at.tc(&format!("qdisc add dev {device} parent 1:10 pfifo limit 100"))?;
            cubic(
                at,
                &format!("10.{net}.{link}.0/24 dev {device} proto kernel scope link src 10.{net}.{link}.{host}"),
            )?;
        }
        ns.ip(&format!("rule add from 10.{net}.{link}.2 table {link}"))?;
        cubic(&ns, &format!("default via 10.{net}.{link}.1 dev {here} table {link}"))?;
        cubic(&ns, &format!("default via 10.{net}.{link}.1 dev {here} metric {link}"))?;
    }
    ns.ip("mptcp limits set subflow 2 add_addr_accepted 0")?;
    ns.ip(&format!("mptcp endpoint add 10.{net}.2.2 dev c2 subflow"))?;
    Ok(ns)
}

/// Runs it once: every client downloads at the same time.
pub(super) fn run(stage: &mut Stage<'_>, subject: &Subject, way: Way) -> Result<Sample> {
    let world = stage.world;
    if stage.crowd.is_none() {
        *stage.crowd = Some(Crowd::build(&world.topology.edge, world.pick(50, 8))?);
    }
    let crowd = stage.crowd.as_ref().context("it was just built")?;
    let mut streams = Vec::new();
    for (number, ns) in (100..).zip(&crowd.clients) {
        let before = joins(ns)?;
        streams.push(open(ns, number, way)?);
        ensure!(joins(ns)? > before || wait_for_join(ns, before)?, "client {number} got no second subflow");
    }
    let meters: Vec<_> = streams.iter().map(|_| Arc::new(Meter::default())).collect();
    let (stop, stopped) = oneshot::channel();
    std::thread::scope(|scope| {
        let client = scope.spawn(|| drain_all(streams, &meters, stopped));
        let measured = measure(world.pick((1500, 5000), (1000, 1500)), subject, &meters);
        world.origin.end_transfers();
        drop(stop);
        client.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        measured
    })
}

fn open(ns: &Namespace, number: u8, way: Way) -> Result<std::net::TcpStream> {
    // Everybody knows the proxy by the edge's end of the first link.
    let edge = std::net::Ipv4Addr::new(10, number, 1, 1);
    let via = way.proxy.map_or(Via::Direct, |proxy| Via::Connect((edge, proxy.port()).into()));
    let mut stream = ns.run(|| via.open(Protocol::Mptcp, way.origin, PATIENCE))?.context("cannot open a tunnel")?;
    stream.write_all(way.request(WITHOUT_END, false, false).as_bytes()).context("cannot ask")?;
    stream.set_nonblocking(true).context("cannot share a socket")?;
    Ok(stream)
}

fn joins(ns: &Namespace) -> Result<u64> {
    Ok(ns.mib_counters()?.get("MPTcpExtMPJoinSynAckRx").copied().unwrap_or(0))
}

fn wait_for_join(ns: &Namespace, before: u64) -> Result<bool> {
    for _ in 0..100 {
        if joins(ns)? > before {
            return Ok(true);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(false)
}

fn drain_all(
    streams: Vec<std::net::TcpStream>,
    meters: &[Arc<Meter>],
    stop: oneshot::Receiver<()>,
) -> std::io::Result<()> {
    runtime()?.block_on(async {
        let local = LocalSet::new();
        for (stream, meter) in streams.into_iter().zip(meters) {
            let (stream, meter) = (Rc::new(tokio::net::TcpStream::from_std(stream)?), Arc::clone(meter));
            // One that is cut off shows as one that got little.
            local.spawn_local(async move { drop(drain_into(&stream, &meter).await) });
        }
        drop(local.run_until(stop).await);
        Meter::default().end(local).await;
        Ok(())
    })
}

fn measure((start, span): (u64, u64), subject: &Subject, meters: &[Arc<Meter>]) -> Result<Sample> {
    std::thread::sleep(Duration::from_millis(start));
    let bytes = || meters.iter().map(|meter| meter.bytes()).collect::<Vec<_>>();
    let (from, before) = (Look::now(subject.tree)?, bytes());
    std::thread::sleep(Duration::from_millis(span));
    let (to, after) = (Look::now(subject.tree)?, bytes());
    let (seconds, cpu) = from.until(to);
    let sum: f64 = RATES.iter().map(|&rate| Link::new("").mbit(rate).payload_capacity()).sum();
    let carried: Vec<f64> = before.iter().zip(&after).map(|(from, to)| count(to - from)).collect();
    let shares: Vec<f64> = carried.iter().map(|bytes| bytes * 8.0 / seconds / sum).collect();
    let all: f64 = carried.iter().sum();
    Ok(sample([
        ("the poorest's share", lowest(shares.iter().copied())),
        ("the middle's share", median(&shares)),
        ("share of all", Some(all * 8.0 / seconds / sum / count(shares.len() as u64))),
        ("CPU", cpu.map(|cpu| cpu / (all / 1e9))),
    ]))
}
