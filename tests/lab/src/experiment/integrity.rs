//! Many short transfers over two links: every byte is compared, and a wrong one is told from a missing one.
//!
//! A join that goes wrong does so in a connection's first round trips, so many young connections say more than a few
//! long ones. Seen on Linux 6.18: now and then some 280 bytes of an upload, at the point where the first window ends, hold
//! bytes from further on, in direct transfers as through the floor and the proxy; the edge mostly counts
//! DSSNotMatching then. Common to all are the kernels of client and edge; which of them errs is not known.

use anyhow::Result;
use serde_json::json;

use super::{Cell, Experiment, Options, Traffic, Wire, run};
use crate::client::{Protocol, Way};
use crate::link::Link;
use crate::report::{Must, Report};
use crate::topology::{Family, Topology};

/// The experiment.
pub const EXPERIMENT: Experiment =
    Experiment { name: "integrity", about: "many young connections; every byte compared", run: measure };

fn measure(options: &Options) -> Result<Report> {
    let rounds = options.rounds(300, 5);
    // What earlier connections taught the kernel about the path would make all but the first grown up.
    let forget = "net.ipv4.tcp_no_metrics_save";
    let links = Topology::builder().link(Link::new("dsl").mbit(40)).link(Link::new("lte").mbit(20));
    let topology = links.client_sysctl(forget, "1").edge_sysctl(forget, "1");
    let mut cells = Vec::new();
    for wire in [Wire::Direct, Wire::Connect, Wire::Absolute] {
        for way in [Way::Download, Way::Upload] {
            let traffic = Traffic { protocol: Protocol::Mptcp, wire, family: Family::V4, way, bytes: 300_000 };
            let name = format!("{wire:?} {way:?}").to_lowercase();
            cells.push(Cell { name, topology: topology.clone(), traffic, fault: None });
        }
    }
    // Told as they happen only when they are worth telling.
    let samples = run(&cells, rounds, options, &mut |sample| {
        if sample.rate == 0.0 {
            super::progress(sample);
        }
    })?;
    let mut report = Report::new("integrity", json!({"links": topology.links(), "rounds": rounds}));
    let (mut wrong, mut broken, mut direct) = (0, 0, 0);
    for cell in &cells {
        let of = || samples.iter().filter(|sample| sample.cell == cell.name);
        report.cell(&cell.name, "Mbit/s", &of().map(|sample| sample.rate / 1e6).collect::<Vec<_>>());
        for sample in of().filter(|sample| sample.rate == 0.0) {
            report
                .note(format!("{} in round {}: {:?} {:?}", sample.cell, sample.round, sample.result, sample.counters));
            let counter = match (cell.traffic.wire, &sample.result) {
                (Wire::Direct, _) => &mut direct,
                (_, Ok(done)) if done.first_wrong.is_some() => &mut wrong,
                _ => &mut broken,
            };
            *counter += 1;
        }
    }
    report.figure("transfers_with_wrong_bytes", Some(f64::from(wrong)));
    report.figure("transfers_broken_off", Some(f64::from(broken)));
    report.figure("direct_transfers_not_whole", Some(f64::from(direct)));
    // The kernel does it to direct transfers too, so theirs is the rate ours are held against, twice as many as they are:
    // of two rare counts of one rate the difference is more than twice the root of their sum once in twenty runs.
    let ours = f64::from(wrong + broken);
    let expected = 2.0 * f64::from(direct);
    report.figure("transfers_not_whole", Some(ours));
    report.require("transfers_not_whole", Must::AtMost(expected + 2.0 * (expected + ours).sqrt()));
    Ok(report)
}
