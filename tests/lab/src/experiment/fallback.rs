//! Middleboxes remove MPTCP options, a client speaks plain TCP: each is served whole, and the log names what was seen.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use super::{Experiment, Options, Subject, Traffic, Wire, World};
use crate::client::{MARK, Protocol, Way};
use crate::emulator::{Impairment, Rewrite};
use crate::link::Link;
use crate::middlebox::{Middlebox, Phase, Toward};
use crate::report::{Must, Report};
use crate::topology::{Builder, Family, Topology};

/// The experiment.
pub const EXPERIMENT: Experiment = Experiment {
    name: "fallback",
    about: "middleboxes remove MPTCP; all is served, the log says what was seen",
    run: measure,
};

/// What the log is to say when MPTCP was there all along.
pub(super) const WHOLE: &str = "yes";

/// No transfer of a few hundred kilobytes takes longer.
const PATIENCE: Duration = Duration::from_secs(10);

/// One kind of path or client, and the name the log must give to its connections.
struct Case {
    name: &'static str,
    topology: Builder,
    protocol: Protocol,
    expected: &'static str,
    /// Whether bodies are uploaded by absolute-form requests too.
    pushes: bool,
}

/// Every case with its expected name: the one place where they stand.
fn cases() -> Vec<Case> {
    use Phase::{Handshake, Later};
    use Toward::{Client, Edge};
    let clear = || Topology::builder().link(Link::new("one")).link(Link::new("two"));
    let boxed = |middlebox| Topology::builder().link(Link::new("one").middlebox(middlebox)).link(Link::new("two"));
    let rewrite = Rewrite { find: MARK.into(), replace: MARK.to_uppercase() };
    let rewriting = Link::new("one").impaired(Impairment { rewrite: Some(rewrite), ..Impairment::default() });
    // One link: with a second subflow the kernel resets the rewritten one and goes on over the other, or falls back,
    // as the join comes before or after the first bad checksum.
    let gateway = Topology::builder().link(rewriting).client_sysctl("net.mptcp.checksum_enabled", "1");
    let case = |name, topology, expected| Case { name, topology, protocol: Protocol::Mptcp, expected, pushes: true };
    vec![
        case("clear path", clear(), WHOLE),
        Case { protocol: Protocol::Tcp, ..case("plain TCP client", clear(), "no-mptcp-on-syn") },
        case("SYN and SYN-ACK stripped", boxed(Middlebox::strip_both(Handshake)), "no-mptcp-on-syn"),
        case("SYN stripped", boxed(Middlebox::strip(Handshake, Edge)), "no-mptcp-on-syn"),
        case("SYN-ACK stripped", boxed(Middlebox::strip(Handshake, Client)), "lost-after-syn"),
        case("later stripped to the edge", boxed(Middlebox::strip(Later, Edge)), "lost-after-syn"),
        case("later stripped both ways", boxed(Middlebox::strip_both(Later)), "lost-after-syn"),
        case("later stripped to the client", boxed(Middlebox::strip(Later, Client)), "lost-towards-client"),
        // Where more is under way behind the rewritten segment, the kernel's own fallback ends in silence on either
        // side (seen on 6.18 with the floor too): no request is pushed that goes on for long.
        Case { pushes: false, ..case("payload rewritten", gateway, "checksum") },
    ]
}

/// What one case yielded.
#[derive(Default)]
struct Tally {
    asked: u32,
    /// Those that came altered and were asked again.
    again: Vec<String>,
    served: u32,
    misnamed: u32,
    names: Vec<String>,
    errors: Vec<String>,
    /// The edge's MPTCP counters that moved: what the kernel observed, whatever the log says.
    kernel: BTreeMap<String, u64>,
}

fn measure(options: &Options) -> Result<Report> {
    let cases = cases();
    let setup = json!({"cases": cases.iter().map(|c| (c.name, c.expected)).collect::<Vec<_>>()});
    let mut report = Report::new("fallback", setup);
    let (mut asked, mut served, mut misnamed) = (0, 0, 0);
    for case in &cases {
        let tally = observe(case, options)?;
        let cell = json!({
            "unit": "requests", "median": tally.served, "min": tally.served, "max": tally.asked, "n": tally.asked,
            "expected": case.expected, "misnamed": tally.misnamed, "names": tally.names, "errors": tally.errors, "kernel": tally.kernel,
        });
        report.raw_cell(case.name, cell);
        if tally.misnamed > 0 {
            report.note(format!("{}: expected {}, the log says {}", case.name, case.expected, tally.names.join(", ")));
        }
        report.compared(usize::try_from(tally.asked)?);
        for words in tally.again {
            report.altered(format!("{}: {words}", case.name));
        }
        for error in tally.errors {
            report.note(format!("{}: {error}", case.name));
        }
        asked += tally.asked;
        served += tally.served;
        misnamed += tally.misnamed;
    }
    report.figure("requests", Some(asked.into()));
    report.figure("served", Some(served.into()));
    report.require("served", Must::AtLeast(asked.into()));
    // The floor keeps no log: it has nothing to misname.
    if options.subject == Subject::Anabranch {
        report.figure("misnamed", Some(misnamed.into()));
        report.require("misnamed", Must::AtMost(0.0));
    }
    Ok(report)
}

fn observe(case: &Case, options: &Options) -> Result<Tally> {
    let world = World::start(&case.topology, options.subject)?;
    let before = world.topology.edge.mib_counters()?;
    let mut tally = Tally::default();
    let rounds = options.rounds(5, 1);
    for _ in 0..rounds {
        for family in [Family::V4, Family::V6] {
            for wire in [Wire::Connect, Wire::Absolute] {
                for way in [Way::Download, Way::Upload] {
                    if way == Way::Upload && wire == Wire::Absolute && !case.pushes {
                        continue;
                    }
                    let traffic = Traffic { protocol: case.protocol, wire, family, way, bytes: 300_000 };
                    let transfer = world.transfer(traffic);
                    tally.asked += 1;
                    let what = format!("{wire:?} {way:?} {family:?}");
                    let attempt = || world.topology.client.run(|| transfer.run(PATIENCE));
                    let mut outcome = attempt()?;
                    if let Ok(done) = &outcome
                        && done.is_altered()
                    {
                        tally.again.push(format!("{what}: a wrong byte at {:?}", done.first_wrong));
                        outcome = attempt()?;
                    }
                    match outcome {
                        Ok(done) if done.lost == 0 => tally.served += 1,
                        Ok(done) => tally.errors.push(format!("{what}: {} bytes lost", done.lost)),
                        Err(error) => tally.errors.push(format!("{what}: {error}")),
                    }
                }
            }
        }
    }
    tally.kernel = world.topology.edge.mib_counters()?;
    tally.kernel.retain(|name, value| {
        *value -= before.get(name).copied().unwrap_or(0).min(*value);
        *value > 0 && name.starts_with("MPTcpExt")
    });
    if let Some(proxy) = &world.proxy {
        let asked = usize::try_from(tally.asked)? + tally.again.len();
        let log = proxy.wait_access_log(asked, Duration::from_secs(3));
        let right = log.iter().filter(|entry| name(entry) == case.expected).count();
        // A request the log does not mention is misnamed too, and so is one it mentions under another name.
        tally.misnamed = u32::try_from(asked.saturating_sub(right))?;
        tally.names = log.iter().map(name).collect();
        tally.names.sort();
        tally.names.dedup();
    }
    Ok(tally)
}

/// The name a log entry gives to what became of MPTCP.
pub(super) fn name(entry: &Value) -> String {
    match &entry["mptcp"] {
        Value::String(name) => name.clone(),
        Value::Bool(true) => WHOLE.to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests;
