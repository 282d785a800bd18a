//! The kernel's objects by themselves: twenty thousand elements and classes, made and changed in batches, and what a packet costs
//! where there are ten of them and where there are all.
//!
//! Called by the experiment. Invariant: few and many alternate, so that what else the machine does falls on both.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use anabranch_kernel::packet::PacketSocket;
use anabranch_kernel::shaper::{ClassSpec, Direction, Flow, Names, Options as Opened, Shaper, Slot};
use anyhow::{Context, Result, ensure};

use crate::experiment::{Options, tell};
use crate::netns::Namespace;
use crate::report::{Must, Report};
use crate::stats::median;

/// Held subflows, and those of them that live.
const ALL: u16 = 20_000;
const LIVE: u16 = 200;
const FEW: u16 = 10;
/// Elements and classes in one batch.
const BATCH: usize = 1_000;
/// Changes a second.
const CHANGES: f64 = 10_000.0;
/// What a packet costs with all of them ÷ with few.
const FLAT: f64 = 1.25;

type Entry = (Direction, Flow, Slot);

/// Measures them in a namespace of their own.
pub(super) fn measure(report: &mut Report, options: &Options) -> Result<()> {
    let (ns, peer) = (Namespace::new("pool")?, Namespace::new("peer of the pool")?);
    ns.ip(&format!("link add a0 type veth peer name a1 netns {}", peer.path().display()))?;
    ns.ip("link set a0 up")?;
    peer.ip("link set a1 up")?;
    let figures = ns.run(|| in_namespace(options))??;
    tell(&format!(
        "  {:.0} elements/s, {:.0} classes/s; a packet {:.0} ns with {FEW}, {:.0} ns with {ALL}, {:.0} ns of no held subflow",
        figures.elements, figures.classes, figures.few, figures.many, figures.free
    ));
    report.figure("element_changes_per_s", Some(figures.elements));
    report.figure("class_changes_per_s", Some(figures.classes));
    report.figure("changes_per_s", Some(figures.elements.min(figures.classes)));
    report.cell("a packet, ten held", "ns", &[figures.few]);
    report.cell("a packet, twenty thousand held", "ns", &[figures.many]);
    report.cell("a packet of a subflow that is not held", "ns", &[figures.free]);
    report.figure("packet_cost_ratio", Some(figures.ratio));
    report.figure("kernel_bytes_per_held_subflow", Some(figures.memory));
    report.require_of_a_busy_machine("changes_per_s", Must::AtLeast(CHANGES));
    report.require_of_a_busy_machine("packet_cost_ratio", Must::AtMost(FLAT));
    Ok(())
}

/// What was measured.
struct Figures {
    /// Changes a second of map elements and of classes.
    elements: f64,
    classes: f64,
    /// Costs of a packet with few held, with all held, and of one that is not held.
    ///
    /// Units: ns
    few: f64,
    many: f64,
    free: f64,
    /// The median of the rounds' ratios.
    ratio: f64,
    /// Units: bytes
    memory: f64,
}

fn in_namespace(options: &Options) -> Result<Figures> {
    let names = Names { table: "anabranch".into(), device: "anabranch0".into() };
    let opened = Opened { subflows: ALL, lease: Duration::from_secs(10), adopt: false };
    let before = slab()?;
    let mut shaper = Shaper::open(&names, opened)?;
    let index = nix::net::if_::if_nametoindex("a0").context("no a0")?;
    shaper.watch(&[index])?;
    let entries: Vec<Entry> = (1..=ALL).map(|n| (Direction::Download, flow(n), Slot(n))).collect();
    let classes =
        |rate: u64| (1..=ALL).map(move |n| (Slot(n), ClassSpec { rate, ceil: None, burst: None })).collect::<Vec<_>>();
    // Made once; from then on they are changed, and that is what is measured.
    for batch in classes(9_000_000_000).chunks(BATCH) {
        shaper.set_classes(batch)?;
    }
    put(&mut shaper, &entries)?;
    let memory = (slab()? - before) / f64::from(ALL);
    let started = Instant::now();
    for batch in classes(10_000_000_000).chunks(BATCH) {
        shaper.set_classes(batch)?;
    }
    let classes = f64::from(ALL) / started.elapsed().as_secs_f64();
    let elements = put(&mut shaper, &entries)?;
    let socket = PacketSocket::open("a0")?;
    socket.set_buffers(4 << 20)?;
    let (mut fews, mut manys, mut frees, mut ratios) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..options.pick(9, 3) {
        remove(&mut shaper, &entries[usize::from(FEW)..])?;
        shaper.put(&entries[..usize::from(FEW)])?;
        let few = cost(&socket, 1..=FEW)?;
        let free = cost(&socket, ALL + 1..=ALL + LIVE)?;
        put(&mut shaper, &entries)?;
        let many = cost(&socket, 1..=LIVE)?;
        fews.push(few);
        manys.push(many);
        frees.push(free);
        ratios.push(many / few);
    }
    let through = shaper.counters()?.iter().filter(|(_, stats)| stats.packets > 0).count();
    ensure!(
        through == usize::from(LIVE),
        "packets went through {through} classes, not through those of {LIVE} subflows"
    );
    shaper.clear()?;
    let of = |sample: &[f64]| median(sample).unwrap_or(f64::INFINITY);
    Ok(Figures { elements, classes, few: of(&fews), many: of(&manys), free: of(&frees), ratio: of(&ratios), memory })
}

/// Puts all of them in batches; how many a second.
#[allow(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn put(shaper: &mut Shaper, entries: &[Entry]) -> Result<f64> {
    let started = Instant::now();
    for batch in entries.chunks(BATCH) {
        shaper.put(batch)?;
    }
    Ok(entries.len() as f64 / started.elapsed().as_secs_f64())
}

fn remove(shaper: &mut Shaper, entries: &[Entry]) -> Result<()> {
    for batch in entries.chunks(BATCH) {
        let flows: Vec<_> = batch.iter().map(|&(direction, flow, _)| (direction, flow)).collect();
        shaper.remove(&flows)?;
    }
    Ok(())
}

/// The subflow of a number.
fn flow(number: u16) -> Flow {
    Flow {
        client: SocketAddr::from((Ipv4Addr::new(10, 2, 0, 2), number + 10_000)),
        server: SocketAddr::from(([10, 2, 0, 1], 3128)),
    }
}

/// What one packet of these subflows costs to send, in ns.
fn cost(socket: &PacketSocket, numbers: std::ops::RangeInclusive<u16>) -> Result<f64> {
    const PACKETS: u32 = 60_000;
    let frames: Vec<Vec<u8>> = numbers.map(|number| frame(flow(number))).collect();
    let (started, mut refused) = (Instant::now(), 0);
    for frame in frames.iter().cycle().take(usize::try_from(PACKETS)?) {
        refused += u32::from(!socket.send(frame)?);
    }
    ensure!(refused * 10 < PACKETS, "{refused} of {PACKETS} packets found no room");
    Ok(started.elapsed().as_secs_f64() * 1e9 / f64::from(PACKETS))
}

/// A full segment from the server to the client.
fn frame(flow: Flow) -> Vec<u8> {
    let (SocketAddr::V4(client), SocketAddr::V4(server)) = (flow.client, flow.server) else { return Vec::new() };
    // For nobody at the other end, which then spends no time on it.
    let mut frame = vec![2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0];
    frame.extend(1_500_u16.to_be_bytes());
    frame.extend([0, 0, 0x40, 0, 64, 6, 0, 0]);
    frame.extend(server.ip().octets());
    frame.extend(client.ip().octets());
    frame.extend(server.port().to_be_bytes());
    frame.extend(client.port().to_be_bytes());
    frame.extend([0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 0xff, 0xff, 0, 0, 0, 0]);
    frame.resize(1_514, 0);
    frame
}

/// What the kernel's allocators hold.
///
/// Units: bytes
fn slab() -> Result<f64> {
    let text = std::fs::read_to_string("/proc/meminfo").context("/proc/meminfo")?;
    let of = |key: &str| -> Option<f64> {
        text.lines().find_map(|line| line.strip_prefix(key)?.trim().strip_suffix("kB")?.trim().parse().ok())
    };
    let (slab, percpu) = (of("Slab:").context("no Slab")?, of("Percpu:").context("no Percpu")?);
    Ok((slab + percpu) * 1_024.0)
}
