//! A congested path: cross traffic appears on it, and a policy takes this connection off it; it leaves, and the path is used again.

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;

use super::policies::policy;
use super::{HELD_WINDOW, Recording, Setting, Stage, Trace, mbit, ms, picture};
use crate::client::Way;
use crate::experiment::{Experiment, Options, tell};
use crate::flow::FlowSpec;
use crate::link::Link;
use crate::report::{Must, Report};
use crate::stats::{highest, lowest, median};
use crate::topology::{Family, Topology};

/// The experiment.
pub const EXPERIMENT: Experiment = Experiment {
    name: "congested-path",
    about: "a connection leaves a path while others congest it, and comes back",
    run: measure,
};

/// What the connection wants: one path carries it, two do so at ease.
const DEMAND: u64 = 24;
/// It has left the path so soon, and is back so soon. The first trial, three seconds after it was taken off, may fall into the second
/// that counts.
const LEAVE_MS: f64 = 4_000.0;
const RETURN_MS: f64 = 5_000.0;
/// What it delivers meanwhile ÷ what it wants. Single windows are told only: what was on its way when the cross traffic came, or when
/// the path was tried again, has to come through its queue.
const MEANWHILE: f64 = 0.95;

const CROSS: Duration = ms(3_000);
const GONE: Duration = ms(9_000);
const END: Duration = ms(17_000);

/// Who congests the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cross {
    /// Another subscriber's transfer through the proxy: the path's load tells.
    Proxied,
    /// Traffic that the proxy never sees: the round-trip time tells.
    Foreign,
}

fn measure(options: &Options) -> Result<Report> {
    let rounds = options.rounds(3, 1);
    // The path that gets congested is the nearer one: left to itself, MPTCP uses it first.
    let links =
        Topology::builder().link(Link::new("dsl").mbit(40).delay_ms(10)).link(Link::new("lte").mbit(40).delay_ms(1));
    let mut report =
        Report::new("congested-path", json!({"rounds": rounds, "demand_mbit": DEMAND, "links": links.links()}));
    let stage = Stage::start(&Setting::new(links), options)?;
    let (mut left, mut back, mut meanwhile, mut panels) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (cross, name, policies) in [
        (Cross::Proxied, "load above 80 %", policy(2, "backup", "load_above = 80\ndestination = [\"10.200.0.0/24\"]")),
        (Cross::Foreign, "RTT above 12 ms", policy(2, "limit", "rtt_above = \"12 ms\"\nrate = \"1 Mbit/s\"")),
    ] {
        let (mut leaves, mut returns, mut means, mut lows) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for number in 0..rounds {
            let trace = run(&stage, cross, &policies).with_context(|| name)?;
            trace.tell(&mut report, name);
            let (leave, again, mean, (low, at)) = judge(&trace, cross);
            tell(&format!(
                "  {number:>2} {name}: off the path after {leave:.0} ms, back after {again:.0} ms, {mean:.3} of its demand meanwhile, lowest window {low:.3} at {at:.1?}"
            ));
            leaves.push(leave);
            returns.push(again);
            means.push(mean);
            lows.push(low);
            if number == 0 {
                panels.push(trace.panel(name, Way::Download));
            }
        }
        report.cell(&format!("{name}: left after"), "ms", &leaves);
        report.cell(&format!("{name}: back after"), "ms", &returns);
        report.cell(&format!("{name}: delivered meanwhile of demand"), "ratio", &means);
        report.cell(&format!("{name}: lowest window of demand"), "ratio", &lows);
        left.extend(median(&leaves));
        back.extend(median(&returns));
        meanwhile.extend(median(&means));
    }
    report.figure("worst_leave_ms", highest(left));
    report.figure("worst_return_ms", highest(back));
    report.figure("worst_demand_ratio", lowest(meanwhile));
    report.require_of_a_busy_machine("worst_leave_ms", Must::AtMost(LEAVE_MS));
    report.require_of_a_busy_machine("worst_return_ms", Must::AtMost(RETURN_MS));
    report.require_of_a_busy_machine("worst_demand_ratio", Must::AtLeast(MEANWHILE));
    report.picture(picture("Cross traffic appears on path two and leaves", panels));
    Ok(report)
}

fn run(stage: &Stage, cross: Cross, policies: &str) -> Result<Trace> {
    stage.apply(policies)?;
    stage.set_limits(2, 0)?;
    let mut recording = stage.record()?;
    let spec = FlowSpec { demand: DEMAND * 1_000_000, ..stage.spec(1, Family::V4, Way::Download) };
    recording.flow(Family::V4, spec)?;
    recording.wait_until(CROSS);
    recording.mark("cross traffic");
    let flood = begin(&mut recording, cross)?;
    recording.wait_until(GONE);
    recording.mark("gone");
    drop(flood);
    if cross == Cross::Proxied {
        recording.flows[1].set_demand(0);
    }
    recording.wait_until(END);
    let trace = recording.finish()?;
    stage.clear()?;
    Ok(trace)
}

fn begin(recording: &mut Recording<'_>, cross: Cross) -> Result<Option<Flood>> {
    let stage = recording.stage;
    match cross {
        Cross::Foreign => Flood::start(stage).map(Some),
        Cross::Proxied => {
            stage.set_limits(0, 0)?;
            recording.flow(Family::V4, stage.spec(2, Family::V4, Way::Download))?;
            Ok(None)
        }
    }
}

/// When the connection was off the path, when it was back, and ÷ its demand what it delivered while there was cross traffic and its
/// delivery's lowest window.
fn judge(trace: &Trace, cross: Cross) -> (f64, f64, f64, (f64, Duration)) {
    let delivered = &trace.flows[0].series;
    let (one, two) = (trace.payload(1, Way::Download), trace.payload(2, Way::Download));
    let in_ms = |time: Option<Duration>, longest: Duration| time.unwrap_or(longest).as_secs_f64() * 1e3;
    // Off the path: path one carries all of it. Path two carries the cross traffic, where that comes through the proxy.
    let leave = match cross {
        Cross::Proxied => one.reached(CROSS, GONE, mbit(DEMAND) * 0.95),
        Cross::Foreign => two.settled_over(HELD_WINDOW, CROSS, GONE, mbit(1) * 1.1),
    };
    // Back: the path carries of it again what it did before, or half of that.
    let before = two.rate(ms(1_000), CROSS);
    // What the cross traffic had queued is over by then.
    let gone = GONE + ms(500);
    let again = two.reached(gone, trace.end, before / 2.0).map(|time| time + ms(500));
    let (at, low) = delivered.poorest_window(CROSS, trace.end).unwrap_or_default();
    let mean = delivered.rate(CROSS, GONE) / mbit(DEMAND);
    (in_ms(leave, GONE - CROSS), in_ms(again, END - GONE), mean, (low / mbit(DEMAND), at))
}

/// UDP from the edge to the client over link 2, faster than the link.
struct Flood {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Flood {
    fn start(stage: &Stage) -> Result<Self> {
        let to = (stage.topology.client_address(2, Family::V4), 9_009);
        // Bound and never read, so that nobody answers that the port is closed.
        let sink = stage.topology.client.run(|| UdpSocket::bind(to))?.context("cannot bind a sink")?;
        let socket = stage.topology.edge.run(|| UdpSocket::bind(("0.0.0.0", 0)))?.context("cannot bind a flood")?;
        socket.connect(to).context("cannot connect a flood")?;
        socket.set_nonblocking(true).context("cannot make a flood's socket return at once")?;
        let stop = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&stop);
        let work = move || {
            let _sink = sink;
            let began = std::time::Instant::now();
            let mut sent = 0_u128;
            while !ended.load(Ordering::Relaxed) {
                // 60 Mbit/s of frames with 1 400 bytes each.
                while sent * 1_442 * 8 < began.elapsed().as_micros() * 60 && !ended.load(Ordering::Relaxed) {
                    // A queue that is full is what this is for.
                    drop(socket.send(&[0; 1_400]));
                    sent += 1;
                }
                std::thread::sleep(ms(1));
            }
        };
        let thread = std::thread::Builder::new().name("flood".into()).spawn(work).context("cannot start a flood")?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // One that panicked has ended as well.
            drop(thread.join());
        }
    }
}
