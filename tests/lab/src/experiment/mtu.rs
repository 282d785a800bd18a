//! One of two paths carries no packets above 1000 bytes, as in the founding paper: both links still add up.
//!
//! Three ways of it: the path's ends know it from their own devices; a router says so (ICMP "fragmentation needed"); or large
//! packets vanish without a word, where a sender has to find out by itself (`net.ipv4.tcp_mtu_probing`, RFC 4821).

use anyhow::{Result, ensure};
use serde_json::json;

use super::{Cell, Experiment, Options, Sample, Traffic, Wire, run};
use crate::client::{Protocol, Way};
use crate::emulator::Impairment;
use crate::link::Link;
use crate::plot::{Curve, Panel, Plot};
use crate::report::{Must, Report};
use crate::stats::{lowest, median, standard_error};
use crate::topology::{Builder, Family, Topology};

/// The experiment.
pub const EXPERIMENT: Experiment = Experiment {
    name: "mtu",
    about: "a path of 1000 bytes, known, told or found out: two links add up no less than with MPTCP itself",
    run: measure,
};

/// The largest packet of the narrow path, with its IP header.
///
/// Units: bytes.
const MTU: u16 = 1000;

/// The share of direct MPTCP: where senders are told, and where they have to find out. There a transfer's rate hangs on when the
/// kernel's timers notice, one after the other on each connection, and two transfers of one way differ by as much.
const DIRECT: f64 = 0.9;
const DIRECT_FOUND_OUT: f64 = 0.75;
/// The share of what both links can carry, where senders are told.
const SUM: f64 = 0.9;

/// How a sender comes to know that a path is narrow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    /// By its own device's MTU.
    Device,
    /// By a router.
    Router,
    /// By nobody.
    Nobody,
}

const TOLD: [(&str, Told); 3] = [("known", Told::Device), ("told", Told::Router), ("silent", Told::Nobody)];
const DIRECTIONS: [(&str, Way); 2] = [("download", Way::Download), ("upload", Way::Upload)];
const WAYS: [(&str, Wire); 2] = [("direct", Wire::Direct), ("anabranch", Wire::Connect)];

/// A narrow path and a direction: what the ways are compared on.
#[derive(Debug, Clone)]
struct Place {
    name: String,
    told: Told,
    way: Way,
    topology: Builder,
}

impl Place {
    fn cell(&self, way: &str) -> String {
        format!("{} {way}", self.name)
    }

    /// The rates of a way, by round.
    fn rates(&self, way: &str, samples: &[Sample]) -> Vec<f64> {
        let cell = self.cell(way);
        samples.iter().filter(|sample| sample.cell == cell).map(|sample| sample.rate).collect()
    }

    /// Ours ÷ direct ones, each within its round; a round without a rate to compare with is none.
    fn ratios(&self, samples: &[Sample]) -> Vec<f64> {
        let pairs = self.rates("anabranch", samples).into_iter().zip(self.rates("direct", samples));
        pairs.filter(|&(_, base)| base > 0.0).map(|(rate, base)| rate / base).collect()
    }

    fn capacity(&self) -> f64 {
        self.topology.links().iter().map(Link::payload_capacity).sum()
    }
}

/// Two links, of which the one numbered `narrow` is so.
fn topology(told: Told, narrow: usize) -> Builder {
    let links = [("dsl", 40), ("lte", 20)].map(|(name, mbit)| Link::new(name).mbit(mbit));
    let links = (1..).zip(links).map(|(number, link)| match told {
        _ if number != narrow => link,
        Told::Device => Link { mtu: MTU, ..link },
        Told::Router => link.narrow(MTU),
        Told::Nobody => link.impaired(Impairment { mtu: Some(MTU), ..Impairment::default() }),
    });
    let builder = links.fold(Topology::builder(), Builder::link);
    if told == Told::Nobody {
        let probing = "net.ipv4.tcp_mtu_probing";
        builder.client_sysctl(probing, "1").edge_sysctl(probing, "1")
    } else {
        builder
    }
}

fn places(options: &Options) -> Vec<Place> {
    let mut places = Vec::new();
    for (words, told) in TOLD {
        for narrow in [1, 2] {
            for (direction, way) in DIRECTIONS {
                let name = format!("{words} link {narrow} {direction}");
                places.push(Place { name, told, way, topology: topology(told, narrow) });
            }
        }
    }
    let quick = |place: &Place| match place.told {
        Told::Device => false,
        Told::Router => place.name.contains("link 2"),
        Told::Nobody => place.name.contains("link 2 download"),
    };
    places.retain(|place| !options.quick || quick(place));
    places.retain(|place| options.cell.is_none_or(|text| place.name.contains(text)));
    places
}

fn measure(options: &Options) -> Result<Report> {
    let rounds = options.rounds(4, 1);
    let places = places(options);
    ensure!(!places.is_empty(), "no cell's name contains what was asked for");
    // What has to be found out takes some seconds, which a transfer must outlast.
    let size = |told| {
        if told == Told::Nobody { options.pick(40_000_000, 10_000_000) } else { options.pick(15_000_000, 6_000_000) }
    };
    let cells: Vec<_> = places
        .iter()
        .flat_map(|place| {
            WAYS.map(|(way, wire)| Cell {
                name: place.cell(way),
                topology: place.topology.clone(),
                traffic: Traffic {
                    protocol: Protocol::Mptcp,
                    wire,
                    family: Family::V4,
                    way: place.way,
                    bytes: size(place.told),
                },
                fault: None,
            })
        })
        .collect();
    let samples = run(&cells, rounds, options, &mut |sample| super::progress(sample))?;
    let setup = json!({
        "mtu": MTU, "narrow": TOLD.map(|(words, told)| json!({"name": words, "links": topology(told, 2).links()})),
        "silent_sysctls": {"net.ipv4.tcp_mtu_probing": 1}, "bytes": size(Told::Router), "silent_bytes": size(Told::Nobody),
        "rounds": rounds,
    });
    let mut report = Report::new("mtu", setup);
    judge(&mut report, &places, &samples);
    report.picture(picture(&places, &samples).svg());
    Ok(report)
}

fn judge(report: &mut Report, places: &[Place], samples: &[Sample]) {
    for sample in samples.iter().filter(|sample| sample.rate == 0.0) {
        report.fail(format!("{} in round {}: {:?} {:?}", sample.cell, sample.round, sample.result, sample.counters));
    }
    for place in places {
        for (way, _) in WAYS {
            let rates: Vec<_> = place.rates(way, samples).iter().map(|rate| rate / 1e6).collect();
            report.cell(&place.cell(way), "Mbit/s", &rates);
        }
        report.cell(&format!("{} anabranch to direct", place.name), "ratio", &place.ratios(samples));
    }
    // The poorest place counts, by what its rounds leave possible.
    let poorest = |of: &dyn Fn(&Place) -> Vec<f64>, silent: bool| {
        lowest(places.iter().filter(|place| (place.told == Told::Nobody) == silent).filter_map(|place| {
            let sample = of(place);
            Some(median(&sample)? + 2.0 * standard_error(&sample).unwrap_or(0.0))
        }))
    };
    let ratios = |place: &Place| place.ratios(samples);
    let shares = |way: &'static str| {
        move |place: &Place| {
            let rates = place.rates(way, samples);
            rates.into_iter().map(|rate| rate / place.capacity()).collect::<Vec<_>>()
        }
    };
    if places.iter().any(|place| place.told != Told::Nobody) {
        report.figure("to_direct", poorest(&ratios, false));
        report.figure("sum_share", poorest(&shares("anabranch"), false));
        report.figure("sum_share_direct", poorest(&shares("direct"), false));
        report.require_of_a_busy_machine("to_direct", Must::AtLeast(DIRECT));
        report.require_of_a_busy_machine("sum_share", Must::AtLeast(SUM));
    }
    if places.iter().any(|place| place.told == Told::Nobody) {
        report.figure("to_direct_silent", poorest(&ratios, true));
        report.figure("sum_share_silent", poorest(&shares("anabranch"), true));
        report.figure("sum_share_silent_direct", poorest(&shares("direct"), true));
        report.require_of_a_busy_machine("to_direct_silent", Must::AtLeast(DIRECT_FOUND_OUT));
    }
}

/// Rates round by round, a panel for each way a sender comes to know.
fn picture(places: &[Place], samples: &[Sample]) -> Plot {
    let panels = TOLD.iter().filter_map(|&(words, told)| {
        let here: Vec<_> = places.iter().filter(|place| place.told == told).collect();
        let curves = here.iter().flat_map(|place| {
            WAYS.map(|(way, _)| {
                let rates = (1_u32..).zip(place.rates(way, samples));
                let points = rates.map(|(round, rate)| (f64::from(round), rate / 1e6)).collect();
                let curve = Curve::new(place.cell(way).trim_start_matches(words).trim_start(), points);
                if way == "anabranch" { curve } else { curve.broken() }
            })
        });
        let title = match told {
            Told::Device => "the path's ends know it",
            Told::Router => "a router says so",
            Told::Nobody => "large packets vanish without a word; tcp_mtu_probing = 1",
        };
        let levels = vec![(here.first()?.capacity() / 1e6, "both links, with packets of 1500 bytes".to_owned())];
        Some(Panel { title: title.into(), y: "Mbit/s".into(), curves: curves.collect(), levels, ..Panel::default() })
    });
    Plot {
        title: format!("One of two links carries packets of {MTU} bytes at most"),
        x: "round".into(),
        panels: panels.collect(),
        ..Plot::default()
    }
}

#[cfg(test)]
mod tests;
