//! Faults staged one by one between a client and the proxy: the doctor must name the culprit, and nothing else; and say that all is well
//! when it is.

mod fault;

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{Experiment, Options};
use crate::proxy::{Proxy, ProxyConfig};
use crate::report::{Must, Report};
use crate::topology::{Family, Topology};
use fault::{Fault, faults};

/// The experiment.
pub const EXPERIMENT: Experiment = Experiment {
    name: "client-doctor",
    about: "faults staged between client and proxy; the doctor names the culprit, or says all is well",
    run: measure,
};

fn measure(options: &Options) -> Result<Report> {
    let faults = faults();
    let setup = json!({"faults": faults.iter().map(|fault| (fault.name, fault.culprits)).collect::<Vec<_>>()});
    let mut report = Report::new("client-doctor", setup);
    let (mut asked, mut right) = (0_u32, 0_u32);
    for fault in faults.iter().filter(|fault| options.cell.is_none_or(|cell| fault.name.contains(cell))) {
        asked += 1;
        let said = diagnose(fault).context(fault.name)?;
        let named = culprits(&said);
        let expected: BTreeSet<_> =
            fault.culprits.iter().map(|&(subject, culprit)| (subject.into(), culprit.into())).collect();
        if named == expected {
            right += 1;
        } else {
            report.fail(format!("{}: expected {expected:?}, named {named:?}; {}", fault.name, said["evidence"]));
        }
        let words: Vec<_> =
            said["diagnosis"]["verdicts"].as_array().into_iter().flatten().map(|v| v["evidence"].clone()).collect();
        report.raw_cell(
            fault.name,
            json!({"unit": "culprits", "median": named.len(), "n": 1, "named": named, "words": words}),
        );
    }
    report.figure("faults", Some(asked.into()));
    report.figure("named", Some(right.into()));
    report.require("named", Must::AtLeast(asked.into()));
    Ok(report)
}

/// Who is blamed: link (or `together`) and culprit.
fn culprits(said: &Value) -> BTreeSet<(String, String)> {
    let verdicts = said["diagnosis"]["verdicts"].as_array().into_iter().flatten();
    let wrong = verdicts.filter(|verdict| verdict["culprit"] != "none");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    wrong
        .map(|verdict| {
            let subject = text(&verdict["subject"]);
            (subject.split(' ').next().unwrap_or_default().to_owned(), text(&verdict["culprit"]))
        })
        .collect()
}

/// Builds the world of a fault, stages it, and asks the doctor.
fn diagnose(fault: &Fault) -> Result<Value> {
    let topology = fault.topology.build()?;
    let proxy = Proxy::start(&topology.edge, &fault.config())?;
    (fault.stage)(&topology)?;
    let said = ask(&topology, fault.family, fault.measured)?;
    proxy.expect_alive()?;
    Ok(said)
}

fn ask(topology: &Topology, family: Family, measured: bool) -> Result<Value> {
    let address = std::net::SocketAddr::new(topology.edge_address(1, family), crate::proxy::PORT);
    let mut command = topology.client.bound_command(Proxy::binary()?);
    command.args(["client", "doctor", "--json", "--proxy", &address.to_string()]);
    if !measured {
        command.arg("--brief");
    }
    let output = command.output().context("cannot start the doctor")?;
    let said: Value = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("not JSON: {}", String::from_utf8_lossy(&output.stderr)))?;
    let failures = said["diagnosis"]["failures"].as_u64().context("a number of failures")?;
    ensure!(output.status.code() == Some(i32::from(failures > 0)), "{} with {failures} failures", output.status);
    Ok(said)
}

impl Fault {
    fn config(&self) -> ProxyConfig {
        let mut config = ProxyConfig::default();
        if let Some(clients) = self.clients {
            config.networks = clients.iter().map(|&text| text.to_owned()).collect();
        }
        config
    }
}

#[cfg(test)]
mod tests;
