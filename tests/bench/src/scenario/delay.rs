//! What conversion costs in time, from packet timestamps on both sides of the edge.

use anabranch_lab::capture::Capture;
use anabranch_lab::client::Via;
use anabranch_lab::experiment::latency::{Times, correlate};
use anabranch_lab::http::Head;
use anabranch_lab::stats::percentile;
use anyhow::{Context, Result, ensure};
use std::io::{ErrorKind, Read, Write};

use crate::load::{PATIENCE, Way};
use crate::sample::{Metric, Sample, sample};
use crate::world::World;
use anabranch_lab::peer::Peer;

pub(super) const METRICS: &[Metric] = &[
    Metric::less("CONNECT to SYN", "us"),
    Metric::less("GET to origin", "us"),
    Metric::less("data to origin", "us"),
    Metric::less("data to client", "us"),
];

/// Runs it once: CONNECTs with an echo, and GETs, one after the other.
pub(super) fn run(world: &World, peer: &Peer, way: Way) -> Result<Sample> {
    let (topology, exchanges) = (&world.topology, world.pick(60, 15));
    let near = Capture::start(&topology.edge, "p1", 512)?;
    let far = Capture::start(&topology.edge, "o0", 512)?;
    let (proxy, origin) = (way.proxy.context("there is no proxy")?, way.origin);
    topology.client.run(|| -> std::io::Result<()> {
        for _ in 0..exchanges {
            let mut tunnel = Via::Connect(proxy).open(way.protocol, origin, PATIENCE)?;
            let mut answer = [0; 64];
            tunnel.write_all(&[b'!'; 64])?;
            tunnel.read_exact(&mut answer)?;
            if !peer.serves.requests {
                continue;
            }
            let mut asker = Via::Absolute(proxy).open(way.protocol, origin, PATIENCE)?;
            let request =
                format!("GET http://{origin}/bytes/64 HTTP/1.1\r\nHost: {origin}\r\nConnection: close\r\n\r\n");
            asker.write_all(request.as_bytes())?;
            let head = Head::read(&mut asker, Vec::new())?.ok_or(ErrorKind::UnexpectedEof)?;
            asker.read_exact(&mut answer[head.rest.len().min(64)..])?;
        }
        Ok(())
    })??;
    let (near, far) = (near.stop()?, far.stop()?);
    ensure!(near.dropped + far.dropped == 0, "the taps were too slow");
    let mut times = Times::default();
    correlate(&mut times, &near, &far);
    ensure!(times.connect.len() == exchanges, "{} of {exchanges} CONNECTs seen", times.connect.len());
    let middle = |times: &[f64]| percentile(times, 0.5);
    Ok(sample([
        ("CONNECT to SYN", middle(&times.connect)),
        ("GET to origin", middle(&times.request)),
        ("data to origin", middle(&times.to_origin)),
        ("data to client", middle(&times.to_client)),
    ]))
}
