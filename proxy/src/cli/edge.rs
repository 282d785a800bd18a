//! `anabranch edge`: is this machine fit, and what would make it so?

mod act;
mod look;
pub(super) mod state;

use std::path::{Path, PathBuf};

use anabranch_config::{Config, Role};
use anabranch_deploy::edge::{Facts, Report, judge, plan};

use super::run::role;
use super::{complain, exit, read_config, say};
use crate::http::chain;
use look::Places;

/// What the checks end with when something does not work.
const FAILURES: u8 = 1;

/// Where the package has its configuration.
const CONFIG_FILE: &str = "/etc/anabranch/anabranch.toml";

/// Arguments of `edge`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Look whether this machine is fit for a configuration: each line with what was found, and the command that mends it. Ends with 1
    /// when something does not work. Root sees most.
    Check(Check),
    /// Do what the check advises where sysctls and limits of services do it, or take that back.
    Setup(Setup),
}

/// What both have.
#[derive(Debug, clap::Args)]
struct Subject {
    /// Configuration file; without it the embedded defaults are what the machine is judged for.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Which jobs the process is to do, whatever the file says: both, proxy or steer.
    #[arg(long, value_name = "ROLE", value_parser = role)]
    role: Option<Role>,
    /// Where files are looked for and written; sysctls are those of this network namespace all the same.
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
    /// A name that the configured name servers are asked for.
    #[arg(long, value_name = "NAME", default_value = "example.com")]
    name: String,
}

#[derive(Debug, clap::Args)]
struct Check {
    #[command(flatten)]
    subject: Subject,
    /// Print one JSON object: `checks`, each with name, verdict, evidence, why and mend, and the number of `failures`.
    #[arg(long)]
    json: bool,
    /// Write what was found to a file, before it is judged; - is standard output, and then nothing is judged.
    #[arg(long, value_name = "FILE")]
    save_facts: Option<PathBuf>,
    /// Judge what another run has written instead of looking; - is standard input.
    #[arg(long, value_name = "FILE", conflicts_with = "save_facts")]
    facts: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
#[group(id = "what", required = true, multiple = false, args = ["dry_run", "apply", "undo"])]
struct Setup {
    #[command(flatten)]
    subject: Subject,
    /// Print exactly what would be done.
    #[arg(long)]
    dry_run: bool,
    /// Do it, and remember what was there before in /var/lib/anabranch/edge-setup.json.
    #[arg(long)]
    apply: bool,
    /// Put back what was there before; what somebody has changed since stays, and is named.
    #[arg(long)]
    undo: bool,
}

/// Does what the command line says.
pub(super) fn run(arguments: &Arguments) -> u8 {
    let done = match &arguments.command {
        Command::Check(arguments) => check(arguments),
        Command::Setup(arguments) => setup(arguments),
    };
    done.unwrap_or_else(|code| code)
}

fn check(arguments: &Check) -> Result<u8, u8> {
    let config = config(&arguments.subject)?;
    let mut facts = match &arguments.facts {
        Some(file) => read_facts(file)?,
        None => look(&arguments.subject, &config)?,
    };
    // Whoever looked: it is judged for the configuration that is named here.
    facts.options = options(&arguments.subject);
    if let Some(file) = &arguments.save_facts {
        let text = serde_json::to_string_pretty(&facts).map_err(|error| internal(&error))? + "\n";
        if file.as_os_str() == "-" {
            say(&text);
            return Ok(0);
        }
        std::fs::write(file, text).map_err(|error| {
            complain(&format!("anabranch: {}: {error}", file.display()));
            exit::OS
        })?;
    }
    let report = Report::new(judge(&config, &facts));
    if arguments.json {
        say(&(serde_json::to_string(&report).map_err(|error| internal(&error))? + "\n"));
    } else {
        say(&report.text());
    }
    Ok(if report.failures == 0 { 0 } else { FAILURES })
}

fn setup(arguments: &Setup) -> Result<u8, u8> {
    let root = &arguments.subject.root;
    let os = |error: act::ActError| {
        complain(&format!("anabranch: {}", chain(&error)));
        exit::OS
    };
    if arguments.undo {
        return act::undo(root).map_err(os);
    }
    let config = config(&arguments.subject)?;
    let facts = look(&arguments.subject, &config)?;
    let journal = state::read(root).map_err(|error| os(error.into()))?;
    let plan = plan(&judge(&config, &facts), &journal);
    if arguments.apply {
        return act::apply(root, &plan, journal).map_err(os);
    }
    say(&plan.text(&root.to_string_lossy()));
    Ok(0)
}

fn config(subject: &Subject) -> Result<Config, u8> {
    read_config(subject.config.as_deref()).map(|(config, _)| config.for_role(subject.role))
}

/// What `edge setup` has to be told to set up what is looked at here: the same configuration, jobs and place of files.
fn options(subject: &Subject) -> Vec<String> {
    let config = subject.config.as_ref().map(|file| ["--config".to_owned(), file.display().to_string()]);
    let role = subject.role.map(|role| ["--role".to_owned(), role.as_str().to_owned()]);
    let root = (subject.root != Path::new("/")).then(|| ["--root".to_owned(), subject.root.display().to_string()]);
    config.into_iter().chain(role).chain(root).flatten().collect()
}

fn look(subject: &Subject, config: &Config) -> Result<Facts, u8> {
    // The resolver and the control socket want a runtime; the rest waits for the kernel, which answers at once.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
        complain(&format!("anabranch: {error}"));
        exit::OS
    })?;
    let config_file = subject.config.as_deref().unwrap_or_else(|| Path::new(CONFIG_FILE));
    let places = Places { root: &subject.root, config: config_file, name: &subject.name };
    runtime.block_on(look::facts(config, places)).map_err(|error| {
        complain(&format!("anabranch: {error}"));
        exit::USAGE
    })
}

fn read_facts(file: &Path) -> Result<Facts, u8> {
    let stdin = file.as_os_str() == "-";
    let read = if stdin { std::io::read_to_string(std::io::stdin()) } else { std::fs::read_to_string(file) };
    let facts = read.and_then(|text| serde_json::from_str(&text).map_err(std::io::Error::from));
    facts.map_err(|error| {
        complain(&format!("anabranch: {}: {error}", file.display()));
        exit::NO_INPUT
    })
}

fn internal(error: &serde_json::Error) -> u8 {
    complain(&format!("anabranch: {error}"));
    exit::SOFTWARE
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Line {
        #[command(flatten)]
        subject: Subject,
    }

    #[test]
    fn a_set_up_is_told_what_the_check_was_told() {
        let of = |words: &[&str]| options(&Line::parse_from([&["check"], words].concat()).subject);
        assert_eq!(of(&[]), <[String; 0]>::default());
        let all = ["--config", "edge.toml", "--role", "proxy", "--root", "/elsewhere"];
        assert_eq!(of(&all), all);
        assert_eq!(of(&["-c", "edge.toml", "--name", "example.net"]), ["--config", "edge.toml"]);
    }
}
