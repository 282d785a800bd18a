//! A capture file of real MPTCP transfers: how fast it is decoded and tracked, beside tshark, and in how much memory.
//!
//! Called by the experiment. Invariant: every packet of the file was sent by a kernel, and none stands in it twice.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anabranch_sniffer::pcap::{Capture, Writer};
use anabranch_sniffer::track::Tracker;
use anabranch_sniffer::wire::{self, LinkType, Segment};
use anyhow::{Context, Result, ensure};
use nix::sys::resource::UsageWho;

use super::program::{Ran, run};
use super::{cpu, figure, rate};
use crate::capture::{self, Frame};
use crate::client::{Protocol, Way};
use crate::experiment::{Options, PATIENCE, Subject, Traffic, Wire, World};
use crate::link::Link;
use crate::proxy::{Proxy, private_directory};
use crate::report::{Must, Report};
use crate::stats::median;
use crate::topology::{Family, Topology};

/// Headers of Ethernet, IPv6 and TCP with all its options, and some payload.
const SNAP: usize = 128;
/// Clients at work at the same time.
const CLIENTS: usize = 4;
/// What they transfer, one after the other: many small things, few large ones.
///
/// Units: bytes.
const SIZES: [u64; 10] = [30_000, 300_000, 8_000, 30_000, 3_000_000, 100_000, 30_000, 8_000, 300_000, 12_000_000];
/// tshark may take so long; a file that would take longer is not shown to it whole.
const TSHARK: Duration = Duration::from_secs(30);
/// Memory of a file four times as long: as much again, for what is remembered of more connections up to a limit.
const GROWTH: f64 = 1.2;
const GROWTH_MIB: f64 = 8.0;

/// A directory that goes with its owner.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left in the temporary place is swept by a later run.
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// Captures, then measures.
pub(super) fn measure(report: &mut Report, options: &Options) -> Result<()> {
    let scratch = Scratch(private_directory("sniffer")?);
    let (short, long) = (scratch.0.join("short.pcap"), scratch.0.join("long.pcap"));
    let wanted = options.pick(1_000_000, 100_000);
    let (frames, lost) = record(wanted)?;
    let packets = frames.len() as u64;
    write(&short, &frames[..frames.len() / 4])?;
    write(&long, &frames)?;
    drop(frames);
    report.figure("file_packets", Some(figure(packets)));
    report.require("file_packets", Must::AtLeast(figure(wanted)));
    if lost > 0 {
        report.note(format!("the taps that made the file missed {lost} packets"));
    }
    read(report, options, &long, packets)?;
    programs(report, options, (&short, &long), packets)
}

/// Transfers over two links, as they pass at the edge, until there are `wanted` frames; and how many the taps missed.
fn record(wanted: u64) -> Result<(Vec<Frame>, u32)> {
    let link = |name: &str| Link::new(name).mbit(500);
    let world = World::start(&Topology::builder().link(link("one")).link(link("two")), Subject::Anabranch)?;
    let edge = &world.topology.edge;
    let taps = [capture::Capture::start(edge, "p1", SNAP)?, capture::Capture::start(edge, "p2", SNAP)?];
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(|| transfers(&world, &next, wanted))).collect();
        clients
            .into_iter()
            .try_for_each(|client| client.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })?;
    let (mut frames, mut lost) = (Vec::new(), 0);
    for tap in taps {
        let recording = tap.stop()?;
        frames.extend(recording.frames);
        lost += recording.dropped;
    }
    frames.sort_by_key(|frame| frame.at);
    Ok((frames, lost))
}

/// Transfers, one after the other, until the links have carried `wanted` packets.
fn transfers(world: &World, next: &AtomicUsize, wanted: u64) -> Result<()> {
    loop {
        let counters = world.topology.edge.interface_counters()?;
        let of = |name: &str| counters.get(name).map_or(0, |link| link.received_packets + link.sent_packets);
        // Some are still in the taps' sockets, and some never get there.
        if of("p1") + of("p2") > wanted + wanted / 50 {
            return Ok(());
        }
        let n = next.fetch_add(1, Ordering::Relaxed);
        let traffic = Traffic {
            protocol: Protocol::Mptcp,
            wire: Wire::Connect,
            family: if n.is_multiple_of(3) { Family::V6 } else { Family::V4 },
            way: if n % 4 == 1 { Way::Upload } else { Way::Download },
            bytes: SIZES[n % SIZES.len()],
        };
        let transfer = world.transfer(traffic);
        let done = world.topology.client.run(|| transfer.run(PATIENCE))?.context("a transfer to be captured")?;
        ensure!(done.received == done.asked, "a captured transfer broke off: {done:?}");
    }
}

fn write(path: &Path, frames: &[Frame]) -> Result<()> {
    let file = BufWriter::new(File::create(path).with_context(|| format!("cannot make {}", path.display()))?);
    let mut writer = Writer::new(file, LinkType::Ethernet)?;
    for frame in frames {
        writer.write(frame.at, &frame.bytes, frame.wire_len)?;
    }
    writer.flush().context("cannot write a capture")
}

/// Reads a capture to its end, and hands every segment with its good options to `take`.
fn each(path: &Path, mut take: impl FnMut(&Segment<'_>, Duration)) -> Result<()> {
    let mut capture = Capture::open(File::open(path).context("cannot open the capture")?)?;
    while let Some(frame) = capture.next_frame()? {
        if let Some(link) = frame.link
            && let Ok(segment) = wire::parse(link, frame.captured, frame.wire_len)
        {
            take(&segment, frame.at);
        }
    }
    Ok(())
}

/// Measures decoding and tracking in this process.
fn read(report: &mut Report, options: &Options, path: &Path, packets: u64) -> Result<()> {
    let (mut decoded, mut tracked) = (Vec::new(), Vec::new());
    let (mut with_options, mut connections, mut counters) = (0, 0, None);
    for _ in 0..options.rounds(5, 1) {
        let before = cpu(UsageWho::RUSAGE_THREAD)?;
        with_options = 0;
        each(path, |segment, _| with_options += u64::from(segment.mptcp().count() > 0))?;
        let between = cpu(UsageWho::RUSAGE_THREAD)?;
        let mut tracker = Tracker::default();
        let mut events = 0_u64;
        each(path, |segment, at| {
            let good = segment.mptcp().filter_map(Result::ok);
            tracker.on_segment(segment, good, at);
            while tracker.poll_event().is_some() {
                events += 1;
            }
        })?;
        let after = cpu(UsageWho::RUSAGE_THREAD)?;
        decoded.extend(rate(packets, between.saturating_sub(before)));
        tracked.extend(rate(packets, after.saturating_sub(between)));
        connections = tracker.held().connections;
        counters = Some(tracker.counters());
    }
    report.cell("decoded", "1/s", &decoded);
    report.cell("tracked", "1/s", &tracked);
    report.figure("decoded_per_s", median(&decoded));
    report.figure("tracked_per_s", median(&tracked));
    report.figure("file_mptcp_packets", Some(figure(with_options)));
    report.figure("file_connections", Some(figure(connections as u64)));
    // A file of something else would be read quickly too.
    report.require("file_mptcp_packets", Must::AtLeast(figure(packets) * 0.9));
    report.require("file_connections", Must::AtLeast(options.pick(100.0, 10.0)));
    if !options.quick {
        report.require_of_a_busy_machine("tracked_per_s", Must::AtLeast(1e6));
    }
    if let Some(counters) = counters.filter(|counters| counters.forged + counters.connections_refused > 0) {
        report.fail(format!("in honest traffic: {counters:?}"));
    }
    Ok(())
}

/// Measures the program itself on both files, and tshark.
fn programs(report: &mut Report, options: &Options, (short, long): (&Path, &Path), packets: u64) -> Result<()> {
    let mib = |ran: &Ran| ran.peak_kib.map(|kib| figure(kib) / 1024.0);
    let binary = Proxy::binary()?;
    let sniff = |file: &Path| run(Command::new(&binary).args(["sniff", "--summary", "--pcap"]).arg(file));
    let (small, large) = (sniff(short)?, sniff(long)?);
    report.figure("sniff_per_s", rate(packets, large.used));
    report.figure("rss_mib_short_file", mib(&small));
    report.figure("rss_mib_long_file", mib(&large));
    let bound = mib(&small).map_or(0.0, |small| small * GROWTH + GROWTH_MIB);
    report.require("rss_mib_long_file", Must::AtMost(bound));
    if let Err(error) = Command::new("tshark").arg("--version").output() {
        report.note(format!("without tshark nothing was compared with it: {error}"));
        return Ok(());
    }
    let tshark = |file: &Path| {
        let fields = ["-Y", "mptcp", "-T", "fields", "-e", "frame.number", "-e", "tcp.options.mptcp.subtype"];
        run(Command::new("tshark").arg("-r").arg(file).args(fields))
    };
    let part = tshark(short)?;
    let whole = !options.quick && part.elapsed * 4 < TSHARK;
    let (ran, of, file) = if whole { (tshark(long)?, packets, long) } else { (part, packets / 4, short) };
    report.figure("tshark_packets", Some(figure(of)));
    report.figure("tshark_per_s", rate(of, ran.used));
    // What tshark shows is what it sees MPTCP in.
    let mut seen = 0;
    each(file, |segment, _| seen += u64::from(segment.mptcp().count() > 0))?;
    report.figure("packets_seen_differently_from_tshark", Some(figure(ran.lines.abs_diff(seen))));
    report.require("packets_seen_differently_from_tshark", Must::AtMost(0.0));
    let ratio = |name: &str| Some(report.figures[name].as_f64()? / rate(of, ran.used)?);
    let (tracked, sniffed) = (ratio("tracked_per_s"), ratio("sniff_per_s"));
    report.figure("ratio_to_tshark", tracked);
    report.figure("sniff_ratio_to_tshark", sniffed);
    report.require_of_a_busy_machine("ratio_to_tshark", Must::AtLeast(options.pick(5.0, 1.0)));
    Ok(())
}
