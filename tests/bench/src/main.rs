//! The `bench` binary: measures anabranch beside others, and prints a table.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anabranch_bench::run::{Options, run};
use anabranch_bench::{scenario, table};
use anabranch_lab::{peer, re_enter_if_unprivileged};
use anyhow::{Context, Result};
use clap::Parser;

/// Measures anabranch beside HAProxy, Squid, Traffic Server, nginx, tinyproxy, a floor and the bare kernel, in private
/// network namespaces: processor time, rates, times, memory, round by round.
#[derive(Debug, Parser)]
#[command(name = "bench", version)]
struct Arguments {
    /// Print the scenarios and peers, and run nothing.
    #[arg(long)]
    list: bool,
    /// Only scenarios whose name contains this; may be given more than once.
    #[arg(long, value_name = "TEXT")]
    scenario: Vec<String>,
    /// Only peers whose name contains this, and the direct connection; may be given more than once.
    #[arg(long, value_name = "TEXT")]
    peer: Vec<String>,
    /// Rounds; 5, or 1 with --quick.
    #[arg(long, value_name = "N")]
    rounds: Option<usize>,
    /// Short runs and few tunnels: to try it out, not to compare by.
    #[arg(long)]
    quick: bool,
    /// Bound every send buffer (tcp_wmem): at the kernel's bound of 4 MiB, MPTCP stalls on paths of microseconds.
    #[arg(long, value_name = "BYTES")]
    send_buffer: Option<u64>,
    /// Threads, or workers, of whoever can have several; as many as cores by default. The floor has one.
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Print exactly one JSON object on standard output.
    #[arg(long)]
    json: bool,
    /// Write the JSON object to this file as well.
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    /// Write a picture of every scenario's first figure, round by round, to this SVG file.
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let mut out = std::io::stdout();
    if arguments.list {
        for scenario in scenario::all() {
            writeln!(out, "{}", scenario.name)?;
        }
        for peer in peer::PEERS {
            writeln!(out, "peer {:<18} {}", peer.name, peer.note)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    re_enter_if_unprivileged()?;
    let Arguments { scenario: scenarios, peer: peers, quick, send_buffer, threads, .. } = arguments;
    let rounds = arguments.rounds.unwrap_or(if quick { 1 } else { 5 }).max(1);
    let options = Options { rounds, quick, send_buffer, threads, scenarios, peers };
    // Nobody may be there to read; standard output stays free for the table.
    let tell = |line: &str| drop(writeln!(std::io::stderr(), "{line}"));
    let table = table::of(&run(&options, &tell)?, &options);
    let json = serde_json::to_string(&table)?;
    if let Some(file) = &arguments.save {
        std::fs::write(file, format!("{json}\n")).with_context(|| format!("cannot write {}", file.display()))?;
    }
    if let Some(file) = &arguments.plot {
        std::fs::write(file, table.plot().svg()).with_context(|| format!("cannot write {}", file.display()))?;
    }
    if arguments.json {
        writeln!(out, "{json}")?
    } else {
        write!(out, "{}", table.text())?
    }
    // A run that yields nothing of ours proves nothing.
    Ok(if table.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
