//! The founding paper's Table 1 made anew: what it takes to convert a connection, and a segment of data, from packet timestamps on
//! both sides of the edge; ours, Squid's and HAProxy's in turn, and the paper's figures beside them.
//!
//! The paper's prototype was Squid with scripts about it: 7.8 ms a connection and 15.3 ms a segment, on another machine and without
//! the packets' own timestamps. A hundredth of that leaves no doubt; Squid as it is now, in the same run, is the fair measure.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::latency::{Times, correlate};
use super::{Experiment, Options, PATIENCE, Subject};
use crate::capture::Capture;
use crate::client::{Protocol, Via};
use crate::floor::Floor;
use crate::link::Link;
use crate::origin::{Server, Service};
use crate::peer::{Built, PEERS, Peer, Place, Running, Unusable, version};
use crate::plot::{Curve, Panel, Plot};
use crate::proxy::PORT;
use crate::report::{Must, Report};
use crate::stats::{median, percentile};
use crate::topology::{Family, Topology};
use crate::wire;

/// The experiment.
pub const EXPERIMENT: Experiment = Experiment {
    name: "conversion",
    about: "the founding paper's Table 1: time to convert a connection and a segment, beside Squid and HAProxy",
    run: measure,
};

/// What the paper's prototype took for a connection and for a segment of data.
///
/// Units: µs.
/// Source: the founding paper, Table 1.
const PAPER: [f64; 2] = [7_800.0, 15_300.0];
/// How many times ours must go into the paper's, and the share of Squid's that ours may take.
/// The paper's were taken on another machine, and this one takes half as much again from one day to the next (78 to 116 times).
const FULL: Bars = Bars { paper: 50.0, squid: 1.0 };
/// A quick run shares its seconds with whatever else is being tested.
const QUICK: Bars = Bars { paper: 20.0, squid: 1.5 };

#[derive(Debug, Clone, Copy)]
struct Bars {
    paper: f64,
    squid: f64,
}

/// Whose times stand beside ours, by their names among the peers.
const BESIDE: [(&str, &str); 2] = [("squid", "squid"), ("haproxy", "haproxy-latency")];
const OURS: &str = "anabranch";

/// The origin's port.
const TUNNEL_PORT: u16 = 7008;

/// A segment's payload: as much as has room in one segment with the options of MPTCP, so that it comes in one and leaves in one.
///
/// Units: bytes.
const SEGMENT: usize = 1_400;
/// All of a frame, for segments are told by their payload.
const SNAP: usize = 2_048;

/// Somebody whose times are taken.
#[derive(Debug)]
struct Entrant {
    name: &'static str,
    port: u16,
    /// By round.
    times: Vec<Times>,
    running: Option<Running>,
}

/// Who takes part, and in whose words who does not.
type Entered = (Vec<Entrant>, Vec<String>);

fn measure(options: &Options) -> Result<Report> {
    let (count, a_round) = (options.rounds(500, 60), options.pick(50, 20));
    let rounds = count.div_ceil(a_round);
    let builder = Topology::builder().link(Link::new("one"));
    let topology = builder.build()?;
    let _origin = Server::start(&topology.origin, TUNNEL_PORT, Protocol::Tcp, Service::Tunnel)?;
    let built = Built::new()?;
    // Ours as the bench configures it: nobody here writes an access log.
    let (ours, _floor) = match options.subject {
        Subject::Anabranch => (Some(start(&topology, &built, OURS, PORT)?.map_err(Unusable::into_error)?), None),
        Subject::Floor => (None, Some(Floor::start(&topology.edge, PORT)?)),
    };
    let ours = Entrant { name: OURS, port: PORT, times: Vec::new(), running: ours };
    let mut report = Report::new("conversion", json!({}));
    let (mut entrants, absent) = enter(&topology, &built, ours, &mut report)?;
    // Warm everybody, then in turn, so that what else the machine does falls on all.
    for entrant in &entrants {
        exchange(&topology, entrant.port, 10).context(entrant.name)?;
    }
    for _ in 0..rounds {
        for entrant in &mut entrants {
            entrant.times.push(exchange(&topology, entrant.port, a_round).context(entrant.name)?);
            entrant.running.as_mut().map_or(Ok(()), Running::expect_alive).context(entrant.name)?;
        }
    }
    let versions: BTreeMap<_, _> = BESIDE.iter().map(|(name, peer)| (*name, find(peer).and_then(version))).collect();
    report.setup = json!({
        "links": builder.links(), "exchanges": a_round * rounds, "rounds": rounds, "segment_bytes": SEGMENT, "versions": versions,
        "paper": {"connect_us": PAPER[0], "data_us": PAPER[1], "what": "Squid, Scapy and shell scripts, another machine"},
    });
    absent.into_iter().for_each(|words| report.note(words));
    let times: Vec<_> = entrants.iter().map(|entrant| (entrant.name, &entrant.times[..])).collect();
    judge(&mut report, &times, options.pick(FULL, QUICK));
    report.picture(picture(&times).svg());
    Ok(report)
}

fn find(name: &str) -> Option<&'static Peer> {
    PEERS.iter().find(|peer| peer.name == name)
}

/// Starts one of the peers; the outer error is the lab's own.
fn start(topology: &Topology, built: &Built, name: &str, port: u16) -> Result<Result<Running, Unusable>> {
    let peer = find(name).with_context(|| format!("no peer is called {name}"))?;
    Ok(Running::start(peer, built, Place { edge: &topology.edge, port, origin: origin(topology), threads: None }))
}

/// Starts the others beside ours. Who is not installed is named; who is and does not start, or speaks no MPTCP, is a failure.
fn enter(topology: &Topology, built: &Built, ours: Entrant, report: &mut Report) -> Result<Entered> {
    let (mut entrants, mut absent) = (vec![ours], Vec::new());
    for (port, (name, peer)) in (PORT + 1..).zip(BESIDE) {
        match start(topology, built, peer, port)? {
            Ok(running) if running.mptcp => {
                entrants.push(Entrant { name, port, times: Vec::new(), running: Some(running) });
            }
            Ok(_) => report.fail(format!("{name} has no MPTCP listener: there is nothing to compare with")),
            Err(Unusable::Missing(why)) => {
                absent.push(format!("{name} is MISSING here: {why}; nothing is compared with it"));
            }
            Err(Unusable::Broken(error)) => report.fail(format!("{name} does not start: {error:#}")),
        }
    }
    Ok((entrants, absent))
}

fn origin(topology: &Topology) -> SocketAddr {
    SocketAddr::new(topology.origin_address(Family::V4), TUNNEL_PORT)
}

/// Opens `count` tunnels through the proxy at `port`, one after the other, sends a segment through each and waits for it to come back.
fn exchange(topology: &Topology, port: u16, count: usize) -> Result<Times> {
    let edge = &topology.edge;
    let (near, far) = (Capture::start(edge, "p1", SNAP)?, Capture::start(edge, "o0", SNAP)?);
    let (proxy, origin) = (SocketAddr::new(topology.edge_address(1, Family::V4), port), origin(topology));
    topology.client.run(|| -> std::io::Result<()> {
        let mut answer = [0; SEGMENT];
        for _ in 0..count {
            let mut tunnel = Via::Connect(proxy).open(Protocol::Mptcp, origin, PATIENCE)?;
            tunnel.write_all(&[b'!'; SEGMENT])?;
            tunnel.read_exact(&mut answer)?;
        }
        Ok(())
    })??;
    let (near, mut far) = (near.stop()?, far.stop()?);
    ensure!(near.dropped + far.dropped == 0, "the taps were too slow");
    // HAProxy passes the CONNECT on: the origin's answer to it is no segment of data.
    far.frames.retain(|frame| !payload(&frame.bytes).starts_with(b"HTTP/"));
    let mut seen = Times::default();
    correlate(&mut seen, &near, &far);
    let counts = [seen.connect.len(), seen.to_origin.len(), seen.to_client.len()];
    ensure!(
        counts == [count; 3],
        "{counts:?} of {count} connections, segments to the origin and to the client were seen"
    );
    Ok(seen)
}

/// What a frame carries over TCP.
fn payload(frame: &[u8]) -> &[u8] {
    wire::segment(frame).and_then(|segment| frame.get(segment.payload)).unwrap_or_default()
}

/// The share `p` of a connection's times, and of a segment's the slower way.
fn of(times: &Times, p: f64) -> [Option<f64>; 2] {
    let ways = [&times.to_origin, &times.to_client].map(|sample| percentile(sample, p));
    let data = ways[0].zip(ways[1]).map(|(one, other)| one.max(other));
    [percentile(&times.connect, p), data]
}

/// All rounds' times as one.
fn pooled(rounds: &[Times]) -> Times {
    let pool = |of: fn(&Times) -> &[f64]| rounds.iter().map(of).collect::<Vec<_>>().concat();
    Times {
        connect: pool(|times| &times.connect),
        to_origin: pool(|times| &times.to_origin),
        to_client: pool(|times| &times.to_client),
        ..Times::default()
    }
}

fn judge(report: &mut Report, all: &[(&str, &[Times])], bars: Bars) {
    for (name, rounds) in all {
        let times = pooled(rounds);
        for (what, sample) in [
            ("CONNECT to SYN", &times.connect),
            ("data to origin", &times.to_origin),
            ("data to client", &times.to_client),
        ] {
            report.cell(&format!("{name} {what}"), "us", sample);
        }
        for (words, p) in [("p50", 0.5), ("p99", 0.99)] {
            let [connect, data] = of(&times, p);
            report.figure(&format!("{name}_connect_us_{words}"), connect);
            report.figure(&format!("{name}_data_us_{words}"), data);
        }
    }
    let of_round = |name: &str| all.iter().find(|(other, _)| *other == name).map(|(_, rounds)| *rounds);
    let ours = of_round(OURS).unwrap_or_default();
    for (at, what) in ["connect", "data"].into_iter().enumerate() {
        report.figure(&format!("paper_{what}_us"), Some(PAPER[at]));
        let name = format!("paper_to_{what}");
        report.figure(&name, of(&pooled(ours), 0.5)[at].map(|us| PAPER[at] / us));
        report.require_of_a_busy_machine(&name, Must::AtLeast(bars.paper));
        for (peer, _) in BESIDE {
            let Some(theirs) = of_round(peer) else { continue };
            let name = format!("{what}_to_{peer}");
            // Each within its round: what else the machine did then fell on both.
            let pairs = ours.iter().zip(theirs).map(|(ours, theirs)| (of(ours, 0.5)[at], of(theirs, 0.5)[at]));
            let ratios: Vec<_> = pairs.filter_map(|(ours, theirs)| Some(ours? / theirs?)).collect();
            report.figure(&name, median(&ratios));
            // HAProxy passes the request on and decides nothing: it is told, and no measure of a forward proxy.
            if peer == "squid" {
                report.require_of_a_busy_machine(&name, Must::AtMost(bars.squid));
            }
        }
    }
}

/// The share of connections and of segments that took no longer, over time by decades, with the paper's figures marked.
fn picture(all: &[(&str, &[Times])]) -> Plot {
    let panel = |title: &str, at: usize, sample: &dyn Fn(&Times) -> Vec<f64>| {
        let curves = all.iter().map(|(name, times)| {
            let curve = Curve::new(*name, shares(sample(&pooled(times))));
            if *name == OURS { curve } else { curve.broken() }
        });
        let marks = vec![(PAPER[at], format!("the paper's: {} ms", PAPER[at] / 1e3))];
        Panel { title: title.into(), y: "share (%)".into(), curves: curves.collect(), marks, ..Panel::default() }
    };
    Plot {
        title: "Conversion of a connection and of a segment, beside the founding paper's Table 1".into(),
        x: "time within the edge (µs), from packet to packet".into(),
        decades: true,
        panels: vec![
            panel("a connection: from CONNECT to the SYN it causes", 0, &|times| times.connect.clone()),
            panel("a segment of 1400 bytes, both ways", 1, &|times| {
                [&times.to_origin[..], &times.to_client[..]].concat()
            }),
        ],
    }
}

/// A sample as a curve: of each value, how many are no larger.
///
/// Units: %
#[allow(clippy::cast_precision_loss, reason = "a sample's length")]
fn shares(mut sample: Vec<f64>) -> Vec<(f64, f64)> {
    sample.sort_by(f64::total_cmp);
    let all = sample.len() as f64;
    sample.into_iter().enumerate().map(|(at, value)| (value, (at + 1) as f64 * 100.0 / all)).collect()
}

#[cfg(test)]
mod tests;
