//! Refusals: what cannot be is refused in words that name the fix, and nothing of it is half done.
//!
//! Invariant: after every refusal the kernel's state and the policies in force are what they were.

mod bad;
mod machine;

use std::process::{Command, Output};

use anyhow::{Context, Result};
use serde_json::json;

use super::dump::Dump;
use super::policies::{limit, paths};
use super::{Setting, Stage};
use crate::experiment::{Experiment, Options, tell};
use crate::link::Link;
use crate::proxy::Proxy;
use crate::report::{Must, Report};
use crate::topology::Topology;

/// The experiment.
pub const EXPERIMENT: Experiment =
    Experiment { name: "refusals", about: "what cannot be is refused by name, and nothing is half done", run: measure };

/// What `anabranch check` ends with (sysexits EX_CONFIG).
const CONFIG: i32 = 78;

fn measure(options: &Options) -> Result<Report> {
    let links = Topology::builder().link(Link::new("dsl").mbit(40)).link(Link::new("lte").mbit(40));
    let mut report = Report::new("refusals", json!({"links": links.links()}));
    let stage = Stage::start(&Setting::new(links).with(limit(2, 2)), options)?;
    let (mut asked, mut refused, mut unchanged) = (0_u32, 0_u32, 0_u32);
    let (state, listed) = (Dump::of(&stage.topology.edge)?, list(&stage)?);
    for bad in bad::ALL {
        asked += 1;
        let text = bad.text(&paths(stage.topology.links()));
        let file = stage.directory.join("bad.toml");
        std::fs::write(&file, &text).context("cannot write a configuration")?;
        let words = file.to_str().context("a path of text")?;
        let checked = Command::new(Proxy::binary()?).arg("check").arg(words).output().context("check")?;
        let applied = stage.policy(&["apply", words])?;
        let faults = bad.faults(&checked, &applied);
        tell(&format!("  {:<48} {}", bad.name, first_line(&checked)));
        report.raw_cell(
            bad.name,
            json!({"unit": "refused", "median": u8::from(faults.is_empty()), "n": 1, "says": first_line(&checked)}),
        );
        refused += u32::from(faults.is_empty());
        faults.into_iter().for_each(|fault| report.fail(format!("{}: {fault}", bad.name)));
        let differences = state.differences(&Dump::of(&stage.topology.edge)?);
        let same = differences.is_empty() && list(&stage)? == listed;
        unchanged += u32::from(same);
        if !same {
            report.fail(format!("{}: something was done: {differences:?}", bad.name));
        }
    }
    report.figure("bad_policies", Some(f64::from(asked)));
    report.figure("bad_policies_refused", Some(f64::from(refused)));
    report.figure("bad_policies_without_effect", Some(f64::from(unchanged)));
    report.require("bad_policies_refused", Must::AtLeast(f64::from(asked)));
    report.require("bad_policies_without_effect", Must::AtLeast(f64::from(asked)));
    quoted(&mut report, &stage)?;
    drop(stage);
    machine::measure(&mut report)?;
    Ok(report)
}

/// The policies in force, in their own words; times that pass are left out.
fn list(stage: &Stage) -> Result<Vec<String>> {
    let output = stage.policy(&["list", "--json"])?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let value: serde_json::Value =
        serde_json::from_str(&text).with_context(|| format!("policy list: {text}{}", said(&output)))?;
    let mut names = Vec::new();
    collect(&value, &mut names);
    Ok(names)
}

fn collect(value: &serde_json::Value, names: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(map) => {
            for (key, value) in map {
                if ["name", "policy", "action"].contains(&key.as_str())
                    && let Some(text) = value.as_str()
                {
                    names.push(format!("{key} {text}"));
                }
                collect(value, names);
            }
        }
        serde_json::Value::Array(all) => all.iter().for_each(|value| collect(value, names)),
        _ => {}
    }
}

/// Names from the configuration are quoted in every line that could be pasted into a shell.
fn quoted(report: &mut Report, stage: &Stage) -> Result<()> {
    let name = "it's; touch pasted $(touch pasted) `touch pasted`";
    let text = paths(stage.topology.links()) + &limit(2, 2).replace("limit on two", name);
    let file = stage.directory.join("quoted.toml");
    std::fs::write(&file, text).context("cannot write a configuration")?;
    let output = stage.policy(&["plan", file.to_str().context("a path of text")?])?;
    if !output.status.success() {
        // A name that is refused is as safe as one that is quoted.
        report.note(format!("a name with quotes is refused: {}", said(&output)));
        return Ok(());
    }
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines =
        printed.lines().map(str::trim).filter(|line| ["tc ", "nft ", "ip "].iter().any(|tool| line.starts_with(tool)));
    let script: String = lines.map(|line| format!("{line}\n")).collect();
    // The tools are stand-ins that do nothing: what is run beside them was not quoted.
    let shell = format!("set -f; tc() {{ :; }}; nft() {{ :; }}; ip() {{ :; }}\n{script}");
    let ran = Command::new("sh").arg("-c").arg(shell).current_dir(&stage.directory).output().context("sh")?;
    if stage.directory.join("pasted").exists() || !ran.status.success() {
        report.fail(format!("a printed line is not quoted: {script}{}", said(&ran)));
    }
    report.figure("printed_lines", Some(f64::from(u32::try_from(script.lines().count())?)));
    Ok(())
}

/// What a program said on standard error.
fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).trim().to_owned()
}

fn first_line(output: &Output) -> String {
    said(output).lines().find(|line| !line.trim().is_empty()).unwrap_or("nothing").trim().to_owned()
}

#[cfg(test)]
mod tests;
