//! An origin far away: no slower through the proxy than without it; and what the proxy takes in ahead of a client that is slower than its
//! near origin stays small.

use std::fs;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;

use super::world::ORIGIN_PORT;
use super::{Experiment, Options, PATIENCE, Traffic, Wire, World, tell};
use crate::client::{Protocol, Transfer, Via, Way};
use crate::link::Link;
use crate::report::{Must, Report};
use crate::stats::{highest, median};
use crate::topology::{Builder, Family, Topology};

/// The experiment.
pub const EXPERIMENT: Experiment = Experiment {
    name: "far",
    about: "a far origin is as fast as without us; a slow client holds little",
    run: measure,
};

/// One way to the far origin.
const DISTANCE: Duration = Duration::from_millis(50);
/// Of a direct TCP connection.
const RATE: f64 = 0.95;
/// What may stand unread for a client of 40 Mbit/s whose origin is near, in MB. Over 100 ms it is what the path took when the client's send
/// buffer was still empty, with us as without.
const NEAR: f64 = 1.0;

/// Payload of a full segment, in bytes.
const FULL: u64 = 1448;

/// Where a client and an origin are.
struct Case {
    name: &'static str,
    topology: Builder,
    bytes: u64,
    /// Megabytes that may stand unread.
    bound: Option<f64>,
}

fn cases(options: &Options) -> Vec<Case> {
    let narrow = || Topology::builder().link(Link::new("dsl").mbit(40)).edge_sysctl("net.ipv4.ip_forward", "1");
    let wide = || Topology::builder().link(Link::new("fibre")).edge_sysctl("net.ipv4.ip_forward", "1");
    let far = || Link::new("transit").delay_ms(u64::try_from(DISTANCE.as_millis()).unwrap_or(0));
    let (some, many) = (options.pick(8_000_000, 4_000_000), options.pick(40_000_000, 20_000_000));
    let mut cases = vec![
        Case { name: "fast client, far origin, some", topology: wide().origin_link(far()), bytes: some, bound: None },
        Case {
            name: "fast client, far origin, many",
            topology: wide().origin_link(far()),
            bytes: 2 * many,
            bound: None,
        },
        Case { name: "slow client, far origin", topology: narrow().origin_link(far()), bytes: many, bound: None },
        Case { name: "slow client, near origin", topology: narrow(), bytes: many, bound: Some(NEAR) },
    ];
    cases.retain(|case| options.cell.is_none_or(|wanted| case.name.contains(wanted)));
    cases
}

fn measure(options: &Options) -> Result<Report> {
    let cases = cases(options);
    anyhow::ensure!(!cases.is_empty(), "no cell of that name");
    let rounds = options.rounds(5, 1);
    let mut report = Report::new(
        "far",
        json!({"rounds": rounds, "one_way_ms": DISTANCE.as_millis(), "bytes": cases.iter().map(|c| (c.name, c.bytes)).collect::<Vec<_>>()}),
    );
    let (mut dropped, mut carried) = (0, 0);
    for case in &cases {
        let world = World::start(&case.topology, options.subject)?;
        let tcp =
            |wire| Traffic { protocol: Protocol::Tcp, wire, family: Family::V4, way: Way::Download, bytes: case.bytes };
        let origin = SocketAddr::new(world.topology.origin_address(Family::V4), ORIGIN_PORT);
        let without = Transfer { via: Via::Direct, origin, ..world.transfer(tcp(Wire::Direct)) };
        let mut direct = Vec::new();
        let mut through =
            [("connect", Wire::Connect), ("absolute", Wire::Absolute)].map(|(name, wire)| (name, wire, Vec::new()));
        for _ in 0..rounds {
            direct.push(watch(&world, without)?.rate);
            for (name, wire, seen) in &mut through {
                let one = watch(&world, world.transfer(tcp(*wire)))?;
                let Seen { rate, peak, end } = one;
                let of = direct[direct.len() - 1];
                tell(&format!(
                    "  {:<32} {name:<9} {rate:7.1} Mbit/s of {of:7.1}, unread {peak:.2} MB, {end:.2} in the end",
                    case.name
                ));
                seen.push(one);
            }
        }
        dropped += dropped_for_room(&world)?;
        carried += 2 * rounds as u64 * case.bytes;
        report.cell(&format!("{}, direct", case.name), "Mbit/s", &direct);
        for (name, _, seen) in &through {
            let [rates, peaks, ends] = [|s: &Seen| s.rate, |s: &Seen| s.peak, |s: &Seen| s.end]
                .map(|of| seen.iter().map(of).collect::<Vec<_>>());
            let ratios: Vec<_> = rates.iter().zip(&direct).map(|(ours, theirs)| ours / theirs).collect();
            let name = format!("{}, {name}", case.name);
            report.cell(&name, "Mbit/s", &rates);
            report.cell(&format!("{name}, unread at most"), "MB", &peaks);
            report.cell(&format!("{name}, unread in the end"), "MB", &ends);
            let of = format!("{name} ÷ direct");
            report.figure(&of, median(&ratios));
            report.require_of_a_busy_machine(&of, Must::AtLeast(RATE));
            if let Some(bound) = case.bound {
                let of = format!("{name}, unread in the end");
                report.figure(&of, median(&ends));
                report.require_of_a_busy_machine(&of, Must::AtMost(bound));
                // Nothing at all would be a look at the wrong sockets.
                report.require_of_a_busy_machine(&of, Must::AtLeast(bound / 20.0));
            }
        }
    }
    let of = "segments dropped for want of room, in 10 000";
    #[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
    report.figure(of, Some(10_000.0 * dropped as f64 / (carried / FULL) as f64));
    report.require(of, Must::AtMost(1.0));
    Ok(report)
}

/// Segments that the edge had let origins send and then had no room for.
fn dropped_for_room(world: &World) -> Result<u64> {
    let counters = world.topology.edge.mib_counters()?;
    let of = |name: &str| counters.get(name).copied().with_context(|| format!("the kernel counts no {name}"));
    Ok(of("TcpExtTCPRcvQDrop")? + of("TcpExtRcvPruned")? + of("TcpExtTCPOFODrop")?)
}

/// How a transfer went.
struct Seen {
    /// Mbit/s.
    rate: f64,
    /// The most that stood unread at the edge, and the median of its last quarter, in MB.
    peak: f64,
    end: f64,
}

fn watch(world: &World, transfer: Transfer) -> Result<Seen> {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut seen = Vec::new();
            while !over.load(Ordering::Relaxed) {
                seen.push(world.topology.edge.run(unread)??);
                std::thread::sleep(Duration::from_millis(20));
            }
            anyhow::Ok(seen)
        });
        let done = world.topology.client.run(|| transfer.run(PATIENCE));
        over.store(true, Ordering::Relaxed);
        let seen = watch.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        let done = done??;
        anyhow::ensure!(done.lost == 0, "{} bytes lost", done.lost);
        let (peak, end) = (highest(seen.iter().copied()), median(&seen[seen.len() * 3 / 4..]));
        Ok(Seen { rate: transfer.rate(done.elapsed) / 1e6, peak: peak.unwrap_or(0.0), end: end.unwrap_or(0.0) })
    })
}

/// What has come from origins and was not read, in the namespace of the calling thread, in MB.
fn unread() -> Result<f64> {
    let table = fs::read_to_string("/proc/thread-self/net/tcp").context("cannot read the table of sockets")?;
    let port = format!(":{ORIGIN_PORT:04X}");
    let of = table.lines().skip(1).filter_map(|line| {
        let mut fields = line.split_whitespace().skip(2);
        let (remote, _, queues) = (fields.next()?, fields.next()?, fields.next()?);
        remote.ends_with(&port).then(|| u64::from_str_radix(queues.split_once(':')?.1, 16).ok()).flatten()
    });
    let bytes: u64 = of.sum();
    #[allow(clippy::cast_precision_loss, reason = "megabytes")]
    Ok(bytes as f64 / 1e6)
}
