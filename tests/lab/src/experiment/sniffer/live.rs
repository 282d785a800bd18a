//! A transfer as fast as the lab's links go, watched and not watched: frames missed, what watching costs.
//!
//! Called by the experiment. Invariant: watched and unwatched transfers alternate.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

use super::figure;
use crate::client::{Protocol, Way};
use crate::experiment::{Options, PATIENCE, Subject, Traffic, Wire, World};
use crate::link::Link;
use crate::proxy::ProxyConfig;
use crate::report::{Must, Report};
use crate::stats::median;
use crate::topology::{Family, Topology};

/// Threads of the witnesses and of what compares them.
const WITNESSES: [&str; 3] = ["witness", "kernel", "steer"];
/// Interfaces are asked for what they missed once a second.
const TOLD: Duration = Duration::from_millis(1_500);

/// Processor time of a process.
#[derive(Debug, Clone, Copy, Default)]
struct Times {
    witnesses: Duration,
    all: Duration,
}

/// Measures watched transfers beside unwatched ones.
pub(super) fn measure(report: &mut Report, options: &Options) -> Result<()> {
    let links = Topology::builder().link(Link::new("one")).link(Link::new("two"));
    let config = |sniffer: &str| ProxyConfig { extra: format!("[sniffer]\n{sniffer}\n"), ..ProxyConfig::default() };
    let on = World::start_with(&links, Subject::Anabranch, &config("interfaces = [\"p1\", \"p2\", \"o0\"]"))?;
    let off = World::start_with(&links, Subject::Anabranch, &config("kernel = false"))?;
    let watched = on.proxy.as_ref().context("a watched proxy")?;
    let bytes = options.pick(400_000_000, 100_000_000);
    let traffic = |bytes| Traffic {
        protocol: Protocol::Mptcp,
        wire: Wire::Connect,
        family: Family::V4,
        way: Way::Download,
        bytes,
    };
    let transfer = |world: &World, bytes| -> Result<f64> {
        let transfer = world.transfer(traffic(bytes));
        let done = world.topology.client.run(|| transfer.run(PATIENCE))?.context("a transfer to be watched")?;
        Ok(if done.lost == 0 { transfer.rate(done.elapsed) } else { 0.0 })
    };
    // Rings are there and buffers are filled before it counts.
    std::thread::sleep(Duration::from_millis(500));
    for world in [&on, &off] {
        transfer(world, 10_000_000)?;
    }
    let (mut used, mut rates, mut ratios) = (Times::default(), [Vec::new(), Vec::new()], Vec::new());
    for round in 0..options.rounds(15, 3) {
        // Who comes first changes, so that what else the machine does falls on both.
        let first = if round % 2 == 0 { None } else { Some(transfer(&off, bytes)?) };
        let before = times(watched.pid())?;
        let with = transfer(&on, bytes)?;
        let after = times(watched.pid())?;
        used.witnesses += after.witnesses.saturating_sub(before.witnesses);
        used.all += after.all.saturating_sub(before.all);
        let without = first.map_or_else(|| transfer(&off, bytes), Ok)?;
        rates[0].push(with / 1e6);
        rates[1].push(without / 1e6);
        ratios.push(with / without);
    }
    std::thread::sleep(TOLD);
    let status = watched.ask("status")?;
    let sum = |key: &str| -> u64 {
        let interfaces = status["witnesses"]["interfaces"].as_object().into_iter().flatten();
        interfaces.filter_map(|(_, interface)| interface[key].as_u64()).sum()
    };
    report.cell("watched", "Mbit/s", &rates[0]);
    report.cell("unwatched", "Mbit/s", &rates[1]);
    report.figure("live_frames", Some(figure(sum("frames"))));
    report.figure("live_dropped", Some(figure(sum("dropped"))));
    report.figure("live_cpu_share", Some(used.witnesses.as_secs_f64() / used.all.as_secs_f64().max(1e-9)));
    // On links of microseconds transfers scatter by a factor of ten (see `stalls`): even of two unwatched proxies the ratio
    // was seen to be 1.3. So it is told, and nothing is required of it.
    report.figure("goodput_ratio_on_off", median(&ratios));
    report.require("live_frames", Must::AtLeast(1_000.0));
    report.require_of_a_busy_machine("live_dropped", Must::AtMost(0.0));
    if rates[0].contains(&0.0) {
        report.fail("a watched transfer lost bytes");
    }
    Ok(())
}

/// What a process's threads have used so far, those that ended not counted.
fn times(pid: u32) -> Result<Times> {
    let mut times = Times::default();
    for task in fs::read_dir(format!("/proc/{pid}/task")).context("cannot list threads")? {
        let path = task?.path();
        // A thread may end while it is looked at.
        let (Ok(name), Ok(stat)) = (fs::read_to_string(path.join("comm")), fs::read_to_string(path.join("schedstat")))
        else {
            continue;
        };
        let nanos = stat.split_whitespace().next().and_then(|first| first.parse().ok()).context("no time used")?;
        let used = Duration::from_nanos(nanos);
        times.all += used;
        if WITNESSES.contains(&name.trim()) {
            times.witnesses += used;
        }
    }
    Ok(times)
}
