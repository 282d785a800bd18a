//! The edge's doctor: each fault is named by its check and by no other, a good machine is told so, and a set-up can be taken back.

mod fault;
mod machine;
mod setup;

use anyhow::Result;
use serde_json::{Value, json};

use super::{Experiment, Options, tell};
use crate::report::{Must, Report};
use fault::Fault;
use machine::Machine;

/// The experiment.
pub const EXPERIMENT: Experiment = Experiment {
    name: "edge-check",
    about: "edge check names the culprit of each fault; edge setup mends, and takes itself back",
    run: measure,
};

fn measure(_: &Options) -> Result<Report> {
    let mut report =
        Report::new("edge-check", json!({"faults": fault::ALL.iter().map(|f| f.name).collect::<Vec<_>>()}));
    let mut well = 0_u32;
    for running in [false, true] {
        let name = if running { "all is well, and anabranch runs" } else { "all is well" };
        let faults = good(running)?;
        well += u32::from(faults.is_empty());
        note(&mut report, name, &faults);
    }
    report.figure("good_machines_passed", Some(f64::from(well)));
    report.require("good_machines_passed", Must::AtLeast(2.0));
    let (mut staged, mut named) = (0_u32, 0_u32);
    for fault in fault::ALL {
        let faults = stage(fault)?;
        staged += 1;
        named += u32::from(faults.is_empty());
        note(&mut report, fault.name, &faults);
    }
    report.figure("faults_staged", Some(f64::from(staged)));
    report.figure("faults_named", Some(f64::from(named)));
    report.require("faults_staged", Must::AtLeast(12.0));
    report.require("faults_named", Must::AtLeast(f64::from(staged)));
    let (mut tried, mut kept) = (0_u32, 0_u32);
    for (name, promise) in setup::ALL {
        let faults = promise()?;
        tried += 1;
        kept += u32::from(faults.is_empty());
        note(&mut report, name, &faults);
    }
    report.figure("setups", Some(f64::from(tried)));
    report.figure("setups_taken_back", Some(f64::from(kept)));
    report.require("setups_taken_back", Must::AtLeast(f64::from(tried)));
    Ok(report)
}

fn note(report: &mut Report, name: &str, faults: &[String]) {
    tell(&format!("  {name:<52} {}", if faults.is_empty() { "as it should be" } else { "NOT as it should be" }));
    report.raw_cell(name, json!({"unit": "right", "median": u8::from(faults.is_empty()), "n": 1}));
    faults.iter().for_each(|fault| report.fail(format!("{name}: {fault}")));
}

fn good(running: bool) -> Result<Vec<String>> {
    let machine = Machine::new()?;
    let file = machine.configure(machine::CONFIG)?;
    let _proxy = if running { Some(machine.start(&file)?) } else { None };
    let checked = machine.check(&file, &[], &[])?;
    let mut faults = failures(&checked.json).iter().map(|check| format!("fails: {check}")).collect::<Vec<_>>();
    if checked.code != 0 {
        faults.push(format!("ends with {}", checked.code));
    }
    let listener = evidence(&checked.json, "listener-edge");
    let word = if running { "answers on" } else { "is free" };
    if !listener.contains(word) {
        faults.push(format!("the listener: {listener}"));
    }
    Ok(faults)
}

/// Stages a fault and looks whether exactly the right check fails, with evidence and a cure.
fn stage(fault: &Fault) -> Result<Vec<String>> {
    let machine = Machine::new()?;
    let file = machine.configure(&(fault.config)(machine::CONFIG))?;
    let proxy = if fault.running { Some(machine.start(&file)?) } else { None };
    let held = (fault.put)(&machine)?;
    let mut checked = machine.check(&file, fault.through, &[])?;
    if let Some(change) = fault.facts {
        let facts = machine.directory.join("facts.json");
        let words = facts.display().to_string();
        machine.check(&file, &[], &["--save-facts", &words])?;
        let mut found: Value = serde_json::from_slice(&std::fs::read(&facts)?)?;
        change(&mut found);
        std::fs::write(&facts, found.to_string())?;
        checked = machine.check(&file, &[], &["--facts", &words])?;
    }
    drop((held, proxy));
    let mut faults = Vec::new();
    let failed = failures(&checked.json);
    if failed != [fault.check] {
        faults.push(format!("{failed:?} fail, not {}", fault.check));
    }
    if checked.code != 1 {
        faults.push(format!("ends with {}, not 1", checked.code));
    }
    let (said, mend) = (evidence(&checked.json, fault.check), mend(&checked.json, fault.check));
    if !said.contains(fault.evidence) {
        faults.push(format!("the evidence has no {:?}: {said}", fault.evidence));
    }
    if !mend.contains(fault.cure) {
        faults.push(format!("the cure has no {:?}: {mend}", fault.cure));
    }
    Ok(faults)
}

fn checks(json: &Value) -> impl Iterator<Item = &Value> {
    json["checks"].as_array().into_iter().flatten()
}

/// The checks that fail.
fn failures(json: &Value) -> Vec<&str> {
    checks(json).filter(|check| check["verdict"] == "failure").filter_map(|check| check["name"].as_str()).collect()
}

fn text<'a>(json: &'a Value, name: &str, field: &str) -> &'a str {
    checks(json).find(|check| check["name"] == name).and_then(|check| check[field].as_str()).unwrap_or_default()
}

fn evidence<'a>(json: &'a Value, name: &str) -> &'a str {
    text(json, name, "evidence")
}

fn mend<'a>(json: &'a Value, name: &str) -> &'a str {
    text(json, name, "mend")
}
