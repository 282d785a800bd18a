//! A link dies in mid-transfer and comes back: nothing is lost, and the wait is told.

use std::time::Duration;

use anyhow::Result;
use serde_json::json;

use super::{Cell, Experiment, Fault, Options, Sample, Traffic, Wire, run};
use crate::client::{Protocol, Way};
use crate::link::Link;
use crate::report::{Must, Report};
use crate::stats::{highest, median};
use crate::topology::{Builder, Cut, Family, Topology};

/// The experiment.
pub const EXPERIMENT: Experiment =
    Experiment { name: "failover", about: "a link is cut in mid-transfer and restored; nothing is lost", run: measure };

/// The longest median stall allowed when the interface goes down.
const STALL_MS: f64 = 1000.0;

/// What the kernel lets one set against a silent loss: a lower floor of the retransmission timer at both ends, and a
/// subflow held stale after one timeout.
const TUNED: [(&str, &str); 2] = [("net.ipv4.tcp_rto_min_us", "20000"), ("net.mptcp.stale_loss_cnt", "1")];

fn links() -> Builder {
    Topology::builder().link(Link::new("dsl").mbit(40)).link(Link::new("lte").mbit(20))
}

fn measure(options: &Options) -> Result<Report> {
    let rounds = options.rounds(5, 1);
    let bytes = options.pick(20_000_000, 8_000_000);
    let tuned = TUNED.iter().fold(links(), |b, (key, value)| b.client_sysctl(key, value).edge_sysctl(key, value));
    let mut cells = Vec::new();
    for cut in [Cut::Down, Cut::Silent] {
        for link in [1, 2] {
            for way in [Way::Download, Way::Upload] {
                let mut add = |name: &str, topology: &Builder, wire| {
                    let (after, lasts) = (Duration::from_millis(500), Duration::from_millis(options.pick(1500, 700)));
                    cells.push(Cell {
                        name: format!("{name} {cut:?} link {link} {way:?}").to_lowercase(),
                        topology: topology.clone(),
                        traffic: Traffic { protocol: Protocol::Mptcp, wire, family: Family::V4, way, bytes },
                        fault: Some(Fault { link, cut, after, lasts }),
                    });
                };
                // A quick run keeps the cells that say most: the initial subflow's link, through the proxy.
                if link == 1 || !options.quick {
                    add("connect", &links(), Wire::Connect);
                }
                if !options.quick {
                    add("absolute", &links(), Wire::Absolute);
                    add("direct", &links(), Wire::Direct);
                    if cut == Cut::Silent {
                        add("tuned connect", &tuned, Wire::Connect);
                    }
                }
            }
        }
    }
    let samples = run(&cells, rounds, options, &mut |sample| super::progress(sample))?;
    let setup = json!({"links": links().links(), "bytes": bytes, "rounds": rounds, "tuned": TUNED});
    let mut report = Report::new("failover", setup);
    judge(&mut report, options, &cells, &samples);
    Ok(report)
}

fn judge(report: &mut Report, options: &Options, cells: &[Cell], samples: &[Sample]) {
    let stalls = |name: &str| -> Vec<f64> {
        let of = samples.iter().filter(|s| s.cell == name);
        of.filter_map(|s| s.result.as_ref().ok()).map(|t| t.longest_gap.as_secs_f64() * 1e3).collect()
    };
    // The slowest cell's median: one slow case must not hide behind three fast ones.
    let worst = |name: &str, cut: Cut| {
        let of = cells.iter().filter(|c| c.name.starts_with(name) && c.fault.is_some_and(|fault| fault.cut == cut));
        highest(of.filter_map(|c| median(&stalls(&c.name))))
    };
    for cell in cells {
        report.cell(&cell.name, "ms", &stalls(&cell.name));
    }
    let (mut lost, mut used_again, mut restored) = (0, 0, 0);
    for sample in samples {
        match &sample.result {
            Ok(transferred) => lost += transferred.lost,
            Err(error) => report.fail(format!("{} in round {}: {error}", sample.cell, sample.round)),
        }
        if sample.cell.contains("connect") {
            restored += 1;
            used_again += u32::from(sample.restored_bytes > 100_000);
        }
    }
    #[allow(clippy::cast_precision_loss, reason = "a loss is far below 2^52 bytes")]
    report.figure("bytes_lost", Some(lost as f64));
    report.figure("stall_ms_median", worst("connect", Cut::Down));
    report.figure("stall_ms_median_silent", worst("connect", Cut::Silent));
    report.figure("restored_link_used_share", Some(f64::from(used_again) / f64::from(restored.max(1))));
    if !options.quick {
        report.figure("stall_ms_median_absolute", worst("absolute", Cut::Down));
        report.figure("stall_ms_median_direct", worst("direct", Cut::Down));
        report.figure("stall_ms_median_silent_direct", worst("direct", Cut::Silent));
        report.figure("stall_ms_median_silent_tuned", worst("tuned", Cut::Silent));
        report.require_of_a_busy_machine("stall_ms_median_absolute", Must::AtMost(STALL_MS));
    }
    report.require("bytes_lost", Must::AtMost(0.0));
    report.require_of_a_busy_machine("stall_ms_median", Must::AtMost(STALL_MS));
}

#[cfg(test)]
mod tests;
