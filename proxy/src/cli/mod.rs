//! What an operator types. One file a subcommand; exit codes as in sysexits(3).

mod ask;
mod check;
mod client;
mod connections;
mod demo;
mod edge;
mod manual;
mod policy;
mod print_config;
mod run;
mod sniff;
mod status;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Exit codes (sysexits.h).
pub mod exit {
    /// A command line that means nothing.
    pub const USAGE: u8 = 64;
    /// A failure that is a defect of ours.
    pub const SOFTWARE: u8 = 70;
    /// The operating system lacks or refuses something.
    pub const OS: u8 = 71;
    /// A file that cannot be read, or is not what it should be.
    pub const NO_INPUT: u8 = 66;
    /// Nobody answers, or what is asked for is not there.
    pub const UNAVAILABLE: u8 = 69;
    /// The configuration is wrong.
    pub const CONFIG: u8 = 78;
    /// Stopped by Ctrl-C: 128 and the signal's number, as shells have it.
    pub const INTERRUPTED: u8 = 130;
}

/// Converts Multipath TCP to TCP at the edge: every client gets the sum of its links.
#[derive(Debug, Parser)]
#[command(name = "anabranch", version, max_term_width = 100)]
#[command(
    after_help = "Exit codes: 0 done, 1 checks that fail, 64 wrong usage, 66 unreadable input, 69 nobody answers or nothing \
                        there, 70 internal, 71 operating system, 78 configuration, 130 interrupted."
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the proxy until SIGTERM; SIGHUP, or a change of the file, reloads.
    Run(run::Arguments),
    /// Check a configuration file and name everything that is wrong with it.
    Check(check::Arguments),
    /// Print the configuration in force, every key with its value.
    PrintConfig(print_config::Arguments),
    /// Ask a running anabranch how it is.
    Status(ask::Arguments),
    /// List the sessions that live now.
    Connections(ask::Arguments),
    /// Say what policies do, would do and have done; put others in force.
    Policy(policy::Arguments),
    /// Tidy up after a process that steered and was killed; it starts this itself.
    #[command(hide = true)]
    Guard { table: String, device: String, former: Option<String> },
    /// Print every MPTCP option as it passes, and the story of each connection; live, or from a capture.
    Sniff(sniff::Arguments),
    /// Check whether this machine is fit to be an edge, and set it up.
    Edge(edge::Arguments),
    /// Make this machine use every link it has by way of a proxy, and find out what is in the way.
    Client(client::Arguments),
    /// Write manual pages and shell completions; for who makes a package.
    #[command(hide = true)]
    Manual(manual::Arguments),
    /// Show what two links add up to: one download over plain TCP, then through anabranch, in private namespaces.
    Demo(demo::Arguments),
}

/// Parses the command line and does what it says.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are answers, not errors; if even printing fails, the exit code still tells.
            drop(error.print());
            return ExitCode::from(if error.use_stderr() { exit::USAGE } else { 0 });
        }
    };
    ExitCode::from(match cli.command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::PrintConfig(arguments) => print_config::run(&arguments),
        Command::Status(arguments) => status::run(&arguments),
        Command::Connections(arguments) => connections::run(&arguments),
        Command::Policy(arguments) => policy::run(&arguments),
        Command::Guard { table, device, former } => {
            crate::steer::guard(&table, &device, former.as_deref());
            0
        }
        Command::Sniff(arguments) => sniff::run(&arguments),
        Command::Edge(arguments) => edge::run(&arguments),
        Command::Client(arguments) => client::run(&arguments),
        Command::Manual(arguments) => manual::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
    })
}

/// Prints to standard output; a reader that went away ends nothing.
pub(crate) fn say(text: &str) {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    // Flushed, for standard output keeps what has no end of line to itself.
    drop(out.write_all(text.as_bytes()).and_then(|()| out.flush()));
}

/// Prints to standard error.
pub(crate) fn complain(text: &str) {
    use std::io::Write as _;
    drop(writeln!(std::io::stderr().lock(), "{text}"));
}

/// Reads and checks a configuration file, or takes the embedded defaults.
fn read_config(file: Option<&Path>) -> Result<(anabranch_config::Config, Option<PathBuf>), u8> {
    let Some(file) = file else { return Ok((anabranch_config::Config::default(), None)) };
    let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let text = std::fs::read_to_string(&file).map_err(|error| {
        complain(&format!("anabranch: {}: {error}", file.display()));
        exit::CONFIG
    })?;
    match anabranch_config::parse(&text, &file) {
        Ok(config) => Ok((config, Some(file))),
        Err(error) => {
            complain(&error.to_string());
            Err(exit::CONFIG)
        }
    }
}
