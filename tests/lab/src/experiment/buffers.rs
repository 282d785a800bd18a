//! How much receive memory it takes for two links to add up: the founding paper's 0.18 and 0.72 MB, and the kernel's default, over
//! paths of equal and of differing delay.
//!
//! A receiver of MPTCP keeps what the nearer path brought until the farther one has brought what comes before it. Where its memory
//! ends, the nearer path waits. That is the protocol's, with a proxy or without: what is asked is that the proxy adds nothing to it.

use std::fs;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::{Cell, Experiment, Options, Sample, Traffic, Wire, run};
use crate::client::{Protocol, Way};
use crate::link::Link;
use crate::plot::{Curve, Panel, Plot};
use crate::report::{Must, Report};
use crate::stats::{lowest, median, standard_error};
use crate::topology::{Builder, Family, Topology};

/// The experiment.
pub const EXPERIMENT: Experiment = Experiment {
    name: "buffers",
    about: "receive memory of 0.18 and 0.72 MB, as in the founding paper: no less than MPTCP itself",
    run: measure,
};

/// The share of direct MPTCP, and of TCP over the better path where there is memory for two.
const DIRECT: f64 = 0.9;
const SINGLE: f64 = 0.9;

/// One-way delays of the paths.
///
/// Units: ms.
const DELAYS: [(&str, [u64; 2]); 2] = [("equal", [15, 15]), ("differing", [15, 40])];

/// What the client may keep of a connection, the last field of `net.ipv4.tcp_rmem`; the kernel's default without a number.
///
/// Units: bytes.
const MEMORY: [(&str, Option<u64>); 3] = [("0.18 MB", Some(180_000)), ("0.72 MB", Some(720_000)), ("default", None)];

/// Whom a cell's client speaks to, and how.
const WAYS: [(&str, Protocol, Wire); 3] = [
    ("tcp", Protocol::Tcp, Wire::Direct),
    ("direct", Protocol::Mptcp, Wire::Direct),
    ("anabranch", Protocol::Mptcp, Wire::Connect),
];

/// Paths and memory: what the ways are compared on.
#[derive(Debug, Clone)]
struct Place {
    name: String,
    delays: &'static str,
    memory: Option<u64>,
    topology: Builder,
}

impl Place {
    /// Whether two paths can be asked to carry as much as the better one: a memory of 0.18 MB holds less than a round trip of
    /// the farther path brings.
    fn has_room(&self) -> bool {
        self.memory.is_none_or(|bytes| bytes > 180_000)
    }

    /// The rates of a way, by round.
    fn rates(&self, way: &str, samples: &[Sample]) -> Vec<f64> {
        let cell = self.cell(way);
        samples.iter().filter(|sample| sample.cell == cell).map(|sample| sample.rate).collect()
    }

    /// One way's rates ÷ another one's, each within its round; a round without a rate to compare with is none.
    fn ratios(&self, way: &str, base: &str, samples: &[Sample]) -> Vec<f64> {
        let pairs = self.rates(way, samples).into_iter().zip(self.rates(base, samples));
        pairs.filter(|&(_, base)| base > 0.0).map(|(rate, base)| rate / base).collect()
    }

    fn cell(&self, way: &str) -> String {
        format!("{} {way}", self.name)
    }
}

fn places(options: &Options) -> Vec<Place> {
    let all = DELAYS.iter().flat_map(|&(delays, [near, far])| {
        let links = Topology::builder()
            .link(Link::new("dsl").mbit(40).delay_ms(near))
            .link(Link::new("lte").mbit(20).delay_ms(far));
        MEMORY.iter().map(move |&(words, memory)| {
            let topology = match memory {
                Some(bytes) => links.clone().client_sysctl("net.ipv4.tcp_rmem", &format!("4096 131072 {bytes}")),
                None => links.clone(),
            };
            Place { name: format!("{delays} {words}"), delays, memory, topology }
        })
    });
    all.filter(|place| !options.quick || (place.delays == "differing" && place.memory.is_some()))
        .filter(|place| options.cell.is_none_or(|text| place.name.contains(text)))
        .collect()
}

fn measure(options: &Options) -> Result<Report> {
    let (rounds, bytes) = (options.rounds(5, 1), options.pick(10_000_000, 5_000_000));
    let places = places(options);
    ensure!(!places.is_empty(), "no cell's name contains what was asked for");
    let cells: Vec<_> = places
        .iter()
        .flat_map(|place| {
            WAYS.iter().map(|&(way, protocol, wire)| Cell {
                name: place.cell(way),
                topology: place.topology.clone(),
                traffic: Traffic { protocol, wire, family: Family::V4, way: Way::Download, bytes },
                fault: None,
            })
        })
        .collect();
    let samples = run(&cells, rounds, options, &mut |sample| super::progress(sample))?;
    let links = |delays: &str| places.iter().find(|p| p.delays == delays).map(|p| p.topology.links());
    let default = default_memory()?;
    let setup = json!({
        "equal": links("equal"), "differing": links("differing"), "tcp_rmem": MEMORY, "default_tcp_rmem": default,
        "bytes": bytes, "rounds": rounds,
    });
    let mut report = Report::new("buffers", setup);
    judge(&mut report, &places, &samples);
    report.picture(picture(&places, &samples, default).svg());
    Ok(report)
}

/// What a connection may keep where nobody said so.
///
/// Units: bytes.
fn default_memory() -> Result<u64> {
    let text = fs::read_to_string("/proc/sys/net/ipv4/tcp_rmem").context("cannot read tcp_rmem")?;
    text.split_whitespace().nth(2).and_then(|most| most.parse().ok()).context("tcp_rmem has no maximum")
}

fn judge(report: &mut Report, places: &[Place], samples: &[Sample]) {
    for sample in samples.iter().filter(|sample| sample.rate == 0.0) {
        report.fail(format!("{} in round {}: {:?} {:?}", sample.cell, sample.round, sample.result, sample.counters));
    }
    for place in places {
        for (way, ..) in WAYS {
            let rates: Vec<_> = place.rates(way, samples).iter().map(|rate| rate / 1e6).collect();
            report.cell(&place.cell(way), "Mbit/s", &rates);
        }
        for (way, base) in [("anabranch", "direct"), ("anabranch", "tcp"), ("direct", "tcp")] {
            report.cell(&format!("{} {way} to {base}", place.name), "ratio", &place.ratios(way, base, samples));
        }
        let middle = |way, base| median(&place.ratios(way, base, samples));
        if let (Some(ours), Some(direct)) = (middle("anabranch", "tcp"), middle("direct", "tcp"))
            && ours.min(direct) < SINGLE
            && !place.has_room()
        {
            report.note(format!(
                "{}: MPTCP carries {direct:.2} of what TCP does over the better path, {ours:.2} through anabranch: that is the \
                 protocol's, whose receiver has no room for what waits for the farther path; nothing is asked of it here",
                place.name
            ));
        }
    }
    // The poorest place counts, by what its rounds leave possible.
    let poorest = |base: &str, asked: &dyn Fn(&Place) -> bool| {
        lowest(places.iter().filter(|place| asked(place)).filter_map(|place| {
            let ratios = place.ratios("anabranch", base, samples);
            Some(median(&ratios)? + 2.0 * standard_error(&ratios).unwrap_or(0.0))
        }))
    };
    report.figure("to_direct", poorest("direct", &|_| true));
    report.require_of_a_busy_machine("to_direct", Must::AtLeast(DIRECT));
    if places.iter().any(Place::has_room) {
        report.figure("to_tcp_with_room", poorest("tcp", &Place::has_room));
        report.require_of_a_busy_machine("to_tcp_with_room", Must::AtLeast(SINGLE));
    }
}

/// Rate over memory, a panel for equal delays and one for differing ones.
fn picture(places: &[Place], samples: &[Sample], default: u64) -> Plot {
    #[allow(clippy::cast_precision_loss, reason = "memory is far below 2^52 bytes")]
    let megabytes = |place: &Place| place.memory.unwrap_or(default) as f64 / 1e6;
    let panels = DELAYS.iter().filter_map(|&(delays, [near, far])| {
        let here: Vec<_> = places.iter().filter(|place| place.delays == delays).collect();
        let curves = WAYS.map(|(way, ..)| {
            let point = |place: &&Place| Some((megabytes(place), median(&place.rates(way, samples))? / 1e6));
            let curve = Curve::new(way, here.iter().filter_map(point).collect());
            if way == "anabranch" { curve } else { curve.broken() }
        });
        let title = format!("40 Mbit/s after {near} ms and 20 Mbit/s after {far} ms, one way");
        let capacity: f64 = here.first()?.topology.links().iter().map(Link::payload_capacity).sum();
        let levels = vec![(capacity / 1e6, "both links".to_owned())];
        Some(Panel { title, y: "Mbit/s".into(), curves: curves.into(), levels, ..Panel::default() })
    });
    Plot {
        title: "A download by a client with little receive memory".into(),
        x: "receive memory (MB, the maximum of tcp_rmem)".into(),
        decades: true,
        panels: panels.collect(),
    }
}

#[cfg(test)]
mod tests;
