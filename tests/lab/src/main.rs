//! The `lab` binary: runs experiments by name.

use std::io::Write;
use std::process::ExitCode;

use anabranch_lab::experiment::{ALL, Subject, find};
use anabranch_lab::{Experiment, Options, Report, re_enter_if_unprivileged};
use anyhow::{Context, Result, ensure};
use clap::Parser;

/// Runs experiments on the proxy in private network namespaces.
#[derive(Debug, Parser)]
#[command(name = "lab", version)]
struct Arguments {
    /// An experiment's name, `all`, or `list`.
    experiment: String,
    /// Print exactly one JSON object on standard output.
    #[arg(long)]
    json: bool,
    /// Small enough that all experiments together take a minute.
    #[arg(long)]
    quick: bool,
    /// Write a picture of rates over time to this SVG file, where the experiment has one.
    #[arg(long, value_name = "FILE")]
    plot: Option<std::path::PathBuf>,
    /// Rounds, where the experiment has rounds.
    #[arg(long, value_name = "N")]
    rounds: Option<usize>,
    /// Only the cells whose name contains this, where the experiment has many.
    #[arg(long, value_name = "TEXT")]
    cell: Option<String>,
    /// What is under test.
    #[arg(long, value_enum, default_value = "anabranch")]
    subject: Subject,
}

fn main() -> Result<ExitCode> {
    re_enter_if_unprivileged()?;
    let arguments = Arguments::parse();
    let mut out = std::io::stdout();
    if arguments.experiment == "list" {
        for experiment in ALL {
            writeln!(out, "{:<15} {}", experiment.name, experiment.about)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let Arguments { quick, rounds, subject, .. } = arguments;
    // It is asked for as long as the program runs.
    let cell = arguments.cell.clone().map(|text| &*text.leak());
    ensure!(arguments.plot.is_none() || arguments.experiment != "all", "--plot is for one experiment at a time");
    let options = Options { quick, settle: false, rounds, cell, subject };
    let report = if arguments.experiment == "all" {
        // One that cannot run to its end fails by name; the others still tell what they saw.
        let run = |e: &Experiment| e.run(&options).unwrap_or_else(|error| Report::broken(e.name, &error));
        Report::all(ALL.iter().map(run).collect())
    } else {
        let experiment = find(&arguments.experiment)
            .with_context(|| format!("no experiment is called {}; see `lab list`", arguments.experiment))?;
        experiment.run(&options)?
    };
    if let (Some(file), Some(picture)) = (&arguments.plot, &report.picture) {
        std::fs::write(file, picture).with_context(|| format!("cannot write {}", file.display()))?;
    }
    if arguments.json {
        writeln!(out, "{}", serde_json::to_string(&report)?)?;
    } else {
        write!(out, "{}", report.table())?;
    }
    Ok(if report.passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
