//! What the conversion costs in time, from packet timestamps on both sides of the edge, beside the floor in the same run.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::json;

use super::world::{ECHO_PORT, ORIGIN_PORT};
use super::{Experiment, Options, PATIENCE, Subject, World};
use crate::capture::{Capture, Frame, Recording};
use crate::client::{Protocol, Via};
use crate::http::Head;
use crate::link::Link;
use crate::report::{Must, Report};
use crate::stats::percentile;
use crate::topology::{Family, Topology};
use crate::wire;

/// The experiment.
pub const EXPERIMENT: Experiment =
    Experiment { name: "latency", about: "handshake and data conversion time, from packet timestamps", run: measure };

/// The share of the floor that the proxy may take.
const FLOOR: f64 = 1.5;

/// Times of one side (proxy or floor).
///
/// Units: µs.
#[derive(Debug, Default)]
pub struct Times {
    /// From a CONNECT to the SYN it causes.
    pub connect: Vec<f64>,
    /// From a GET to the SYN or the request it causes.
    pub request: Vec<f64>,
    /// What begins with `!!!!`, towards the origin.
    pub to_origin: Vec<f64>,
    /// The same, and answers, towards the client.
    pub to_client: Vec<f64>,
}

fn measure(options: &Options) -> Result<Report> {
    let count = options.rounds(200, 60);
    let topology = Topology::builder().link(Link::new("one"));
    let subject = World::start(&topology, options.subject)?;
    let floor = World::start(&topology, Subject::Floor)?;
    let (mut own, mut base) = (Times::default(), Times::default());
    // Warm both, then alternate in parts, so that what else the machine does falls on both.
    exchange(&subject, &mut Times::default(), 10)?;
    exchange(&floor, &mut Times::default(), 10)?;
    let part = count.div_ceil(5);
    for _ in 0..5 {
        exchange(&subject, &mut own, part)?;
        exchange(&floor, &mut base, part)?;
    }
    let mut report = Report::new("latency", json!({"links": topology.links(), "exchanges": part * 5}));
    for (side, times) in [("", &own), ("floor ", &base)] {
        for (name, sample) in [
            ("CONNECT request to SYN", &times.connect),
            ("GET request to SYN or request", &times.request),
            ("data to origin", &times.to_origin),
            ("data to client", &times.to_client),
        ] {
            report.cell(&format!("{side}{name}"), "us", sample);
        }
    }
    let at = |sample: &[f64], p| percentile(sample, p);
    let slower = |times: &Times, p| Some(at(&times.to_origin, p)?.max(at(&times.to_client, p)?));
    for (name, p) in [("p50", 0.5), ("p99", 0.99)] {
        report.figure(&format!("connect_us_{name}"), at(&own.connect, p));
        report.figure(&format!("request_us_{name}"), at(&own.request, p));
        report.figure(&format!("data_us_{name}"), slower(&own, p));
        report.figure(&format!("floor_connect_us_{name}"), at(&base.connect, p));
        report.figure(&format!("floor_data_us_{name}"), slower(&base, p));
    }
    let ratio = |own: Option<f64>, base: Option<f64>| Some(own? / base?);
    report.figure("connect_to_floor", ratio(at(&own.connect, 0.5), at(&base.connect, 0.5)));
    report.figure("data_to_floor", ratio(slower(&own, 0.5), slower(&base, 0.5)));
    // A quick run shares its seconds with whatever else is being tested.
    report.require_of_a_busy_machine("connect_to_floor", Must::AtMost(options.pick(FLOOR, 4.0)));
    report.require_of_a_busy_machine("data_to_floor", Must::AtMost(options.pick(FLOOR, 4.0)));
    Ok(report)
}

/// Runs `count` CONNECTs with an echo each, and `count` GETs, and adds their times.
fn exchange(world: &World, times: &mut Times, count: usize) -> Result<()> {
    let topology = &world.topology;
    let near = Capture::start(&topology.edge, "p1", 512)?;
    let far = Capture::start(&topology.edge, "o0", 512)?;
    let proxy = world.proxy_address(Family::V4);
    let origin = |port| SocketAddr::new(topology.origin_address(Family::V4), port);
    topology.client.run(|| -> std::io::Result<()> {
        for _ in 0..count {
            let mut tunnel = Via::Connect(proxy).open(Protocol::Mptcp, origin(ECHO_PORT), PATIENCE)?;
            let mut answer = [0; 64];
            tunnel.write_all(&[b'!'; 64])?;
            tunnel.read_exact(&mut answer)?;
            let mut asker = Via::Absolute(proxy).open(Protocol::Mptcp, origin(ORIGIN_PORT), PATIENCE)?;
            let target = origin(ORIGIN_PORT);
            let request =
                format!("GET http://{target}/bytes/64 HTTP/1.1\r\nHost: {target}\r\nConnection: close\r\n\r\n");
            asker.write_all(request.as_bytes())?;
            let head = Head::read(&mut asker, Vec::new())?.ok_or(std::io::ErrorKind::UnexpectedEof)?;
            asker.read_exact(&mut answer[head.rest.len().min(64)..])?;
        }
        Ok(())
    })??;
    let (near, far) = (near.stop()?, far.stop()?);
    ensure!(near.dropped + far.dropped == 0, "the taps were too slow");
    let before = times.connect.len();
    correlate(times, &near, &far);
    ensure!(times.connect.len() == before + count, "{} of {count} CONNECTs seen", times.connect.len() - before);
    Ok(())
}

/// A segment of interest: when, which way, what.
struct Seen<'a> {
    at: Duration,
    near: bool,
    outgoing: bool,
    opening: bool,
    payload: &'a [u8],
}

fn look(frame: &Frame, near: bool) -> Option<Seen<'_>> {
    let segment = wire::segment(&frame.bytes)?;
    let payload = frame.bytes.get(segment.payload)?;
    Some(Seen { at: frame.at, near, outgoing: frame.outgoing, opening: segment.opening, payload })
}

/// Pairs what went in on one side with what came out on the other. Exchanges follow one another, so the next fitting
/// segment is the right one.
pub fn correlate(times: &mut Times, near: &Recording, far: &Recording) {
    let mut seen: Vec<_> = near.frames.iter().filter_map(|frame| look(frame, true)).collect();
    seen.extend(far.frames.iter().filter_map(|frame| look(frame, false)));
    seen.sort_by_key(|s| s.at);
    let micros = |from: &Seen<'_>, to: &Seen<'_>| (to.at - from.at).as_secs_f64() * 1e6;
    for (index, from) in seen.iter().enumerate().filter(|(_, s)| !s.payload.is_empty() && !s.outgoing) {
        let later = &seen[index..];
        let out = |near: bool, fits: &dyn Fn(&Seen<'_>) -> bool| {
            later.iter().find(|s| s.near == near && s.outgoing && fits(s))
        };
        let echoed = from.payload.starts_with(b"!!!!");
        let (sample, to) = match (from.near, from.payload) {
            (true, p) if p.starts_with(b"CONNECT ") => (&mut times.connect, out(false, &|s| s.opening)),
            // A proxy that keeps connections to origins sends the request without a SYN.
            (true, p) if p.starts_with(b"GET ") => {
                (&mut times.request, out(false, &|s| s.opening || !s.payload.is_empty()))
            }
            (true, _) if echoed => (&mut times.to_origin, out(false, &|s| s.payload == from.payload)),
            (false, _) if echoed => (&mut times.to_client, out(true, &|s| s.payload == from.payload)),
            // A response's head may be written anew: its body, or anything, is what comes out.
            (false, p) if p.starts_with(b"HTTP/") => (&mut times.to_client, out(true, &|s| !s.payload.is_empty())),
            _ => continue,
        };
        sample.extend(to.map(|to| micros(from, to)));
    }
}

#[cfg(test)]
mod tests;
