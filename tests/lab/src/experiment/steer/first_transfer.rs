//! The first transfer: a policy already holds for the first bytes a client ever sends or receives.
//!
//! Invariant: every run has a client and a proxy of its own, which have seen nothing before.

use anyhow::{Context, Result};
use serde_json::json;

use super::policies::policy;
use super::{Setting, Stage, Trace, mbit, ms, picture};
use crate::client::{Protocol, Way};
use crate::experiment::{Experiment, Options, tell};
use crate::flow::FlowSpec;
use crate::link::Link;
use crate::report::{Must, Report};
use crate::stats::{highest, lowest, median};
use crate::topology::{Builder, Family, Topology};

/// The experiment.
pub const EXPERIMENT: Experiment = Experiment {
    name: "first-transfer",
    about: "a policy holds from the first byte a client ever moves",
    run: measure,
};

/// What a path may carry at once, above its rate.
const BURST: f64 = 65_536.0;
/// The first transfer of a client.
const BYTES: u64 = 5_000_000;
/// It takes no longer than plain TCP over the free path, but for this part.
const TIME: f64 = 0.9;

/// Why a subflow under a contract about uploads is a backup, as `anabranch policy explain` says it.
const ASIDE: &str = "a cap on what it sends here would hold up the whole connection";

/// One case.
struct Cell {
    name: &'static str,
    links: Builder,
    policies: String,
    /// What the second link may carry by the policy, in Mbit/s.
    rate: u64,
    /// What it may carry at once, above that: a demotion is known to its sender a round trip later.
    ///
    /// Units: bytes
    burst: f64,
    family: Family,
    way: Way,
    accepted: u8,
    /// What `explain` has to say of it while it lasts.
    explained: Option<&'static str>,
}

fn cells(options: &Options) -> Vec<Cell> {
    let links = |delay| {
        let link =
            |name: &str| if delay > 0 { Link::new(name).mbit(40).delay_ms(delay) } else { Link::new(name).mbit(40) };
        Topology::builder().link(link("dsl")).link(link("lte"))
    };
    let limit = || policy(2, "limit", "rate = \"2 Mbit/s\"\nburst = \"64 KiB\"");
    let contract =
        policy(2, "limit", "rate = \"2 Mbit/s\"\nburst = \"64 KiB\"\ndirection = \"upload\"\nenforce = \"always\"");
    let cell = |name, delay, way, accepted| Cell {
        name,
        links: links(delay),
        policies: limit(),
        rate: 2,
        burst: BURST,
        family: Family::V4,
        way,
        accepted,
        explained: None,
    };
    // A contract about uploads has its subflow demoted as well, for as long as the other is free.
    let demoted = |name, delay, (rate, policies)| Cell {
        policies,
        rate,
        burst: BURST + mbit(40) / 8.0 * (ms(delay) * 2 + ms(10)).as_secs_f64(),
        ..cell(name, delay, Way::Upload, 0)
    };
    let aside = |name, family| Cell { family, explained: Some(ASIDE), ..demoted(name, 0, (2, contract.clone())) };
    let backup = || (0, policy(2, "backup", ""));
    let mut cells = vec![
        cell("download", 0, Way::Download, 0),
        cell("download, 20 ms delay, add_addr_accepted 2", 20, Way::Download, 2),
        demoted("upload: demotion", 0, backup()),
    ];
    if !options.quick {
        cells.push(cell("download, 20 ms delay", 20, Way::Download, 0));
        cells.push(cell("download, add_addr_accepted 2", 0, Way::Download, 2));
        cells.push(Cell { family: Family::V6, ..cell("download over IPv6", 0, Way::Download, 0) });
        cells.push(aside("upload: a contract", Family::V4));
        cells.push(aside("upload over IPv6: a contract", Family::V6));
        cells.push(demoted("upload: demotion, 20 ms delay", 20, backup()));
    }
    cells
}

/// What one run yielded.
struct Run {
    /// Bytes above the rate, at most.
    excess: f64,
    /// Of all bytes, on the held link.
    share: f64,
    /// The time of plain TCP over the free link ÷ that of the transfer.
    time: f64,
    trace: Trace,
    /// What `explain` said in the middle of it.
    words: String,
}

fn measure(options: &Options) -> Result<Report> {
    let (rounds, cells) = (options.rounds(5, 1), cells(options));
    let setup = json!({"rounds": rounds, "bytes": BYTES, "burst": BURST, "links": cells[0].links.links()});
    let mut report = Report::new("first-transfer", setup);
    let (mut excesses, mut times) = (Vec::new(), Vec::new());
    for cell in &cells {
        let mut runs = Vec::new();
        for number in 0..rounds {
            let run = run(cell, options).with_context(|| cell.name)?;
            tell(&format!(
                "  {number:>2} {:<44} {:8.0} bytes above, {:5.1} % of all, time {:.2}",
                cell.name,
                run.excess,
                run.share * 100.0,
                run.time
            ));
            run.trace.tell(&mut report, cell.name);
            if let Some(why) = cell.explained.filter(|why| !run.words.contains(why)) {
                report.fail(format!("{}: explain does not say that {why}: {}", cell.name, run.words));
            }
            runs.push(run);
        }
        let of = |value: fn(&Run) -> f64| runs.iter().map(value).collect::<Vec<_>>();
        report.cell(&format!("{}: above the rate", cell.name), "bytes", &of(|run| run.excess));
        report.cell(&format!("{}: share of bytes", cell.name), "ratio", &of(|run| run.share));
        report.cell(&format!("{}: time of plain TCP", cell.name), "ratio", &of(|run| run.time));
        excesses.extend(median(&of(|run| run.excess)).map(|excess| excess - cell.burst));
        times.extend(median(&of(|run| run.time)));
        if report.picture.is_none() {
            let panel = runs[0].trace.panel(&format!("{}: 5 MB, held to 2 Mbit/s on path two", cell.name), cell.way);
            report.picture(picture("The first transfer of a client", vec![panel]));
        }
    }
    report.figure("worst_bytes_above_burst", highest(excesses));
    report.figure("worst_time_ratio", lowest(times));
    report.require_of_a_busy_machine("worst_bytes_above_burst", Must::AtMost(0.0));
    report.require_of_a_busy_machine("worst_time_ratio", Must::AtLeast(TIME));
    Ok(report)
}

fn run(cell: &Cell, options: &Options) -> Result<Run> {
    let stage = Stage::start(&Setting::new(cell.links.clone()).with(cell.policies.clone()), options)?;
    stage.set_limits(2, cell.accepted)?;
    let spec = FlowSpec { bytes: Some(BYTES), ..stage.spec(1, cell.family, cell.way) };
    let (mut traces, mut words) = (Vec::new(), String::new());
    for protocol in [Protocol::Mptcp, Protocol::Tcp] {
        let mut recording = stage.record()?;
        recording.flow(cell.family, FlowSpec { protocol, ..spec })?;
        if protocol == Protocol::Mptcp && cell.explained.is_some() {
            std::thread::sleep(ms(400));
            let client = stage.topology.client_address(2, cell.family).to_string();
            words = String::from_utf8_lossy(&stage.policy(&["explain", &client])?.stdout).into_owned();
        }
        let end = recording.clock.now() + ms(20_000);
        while !recording.flows[0].is_finished() && recording.clock.now() < end {
            std::thread::sleep(ms(5));
        }
        traces.push(recording.finish()?);
    }
    let took = |trace: &Trace| trace.flows[0].ended.map_or(f64::INFINITY, |end| end.as_secs_f64());
    let time = took(&traces[1]) / took(&traces[0]);
    let trace = traces.swap_remove(0);
    let held = trace.frames(2, cell.way);
    let began = held.first().unwrap_or_default();
    #[allow(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    let share = held.total() as f64 / (held.total() + trace.frames(1, cell.way).total()).max(1) as f64;
    Ok(Run { excess: held.excess(began, mbit(cell.rate)), share, time, trace, words })
}
