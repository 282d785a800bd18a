//! `anabranch run`

use std::path::PathBuf;

use anabranch_config::Role;

use super::{complain, exit, read_config};
use crate::app::{self, Options, StartError};
use crate::http::chain;
use crate::succession::{self, Heir, Stage};

/// Arguments of `run`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Configuration file; without it the embedded defaults run: a proxy for this machine on port 3128.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Which jobs this process does, whatever the file says: both, proxy (carries bytes, needs no capability) or steer (watches and
    /// steers, needs CAP_NET_ADMIN and CAP_NET_RAW, and for pacing single subflows CAP_BPF and CAP_PERFMON).
    #[arg(long, value_name = "ROLE", value_parser = role)]
    role: Option<Role>,
    /// Decide about policies and log it, and touch nothing, whatever the file says.
    #[arg(long)]
    observe: bool,
    /// Take the place of the process at the other end of standard input; a running one starts this itself, on SIGUSR2.
    #[arg(long, hide = true, value_name = "STAGE")]
    succeed: Option<Stage>,
}

/// The role of that name.
pub(super) fn role(word: &str) -> Result<Role, String> {
    let known = || Role::ALL.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(", ");
    Role::ALL.iter().copied().find(|role| role.as_str() == word).ok_or_else(|| format!("expected one of: {}", known()))
}

/// Runs until told to stop.
pub(super) fn run(arguments: &Arguments) -> u8 {
    let heir = match arguments.succeed {
        None => Ok(None),
        Some(Stage::Take) => Heir::of_standard_input().map(Some),
        Some(Stage::Detach) => match succession::detach() {
            Ok(()) => return 0,
            Err(error) => Err(error),
        },
    };
    let heir = match heir {
        Ok(heir) => heir,
        Err(error) => {
            complain(&format!("anabranch: nothing can be taken over: {error}"));
            return exit::OS;
        }
    };
    let (config, file) = match read_config(arguments.config.as_deref()) {
        Ok(read) => read,
        Err(code) => return code,
    };
    let (role, observe) = (arguments.role, arguments.observe);
    match app::run(Options { config: config.for_role(role).observing(observe), file, role, observe, heir }) {
        Ok(_) => 0,
        Err(error) => {
            complain(&format!("anabranch: {}", chain(&error)));
            match error {
                StartError::Door(_) | StartError::Unclaimed(_) => exit::CONFIG,
                StartError::Listen(_)
                | StartError::Worker(_)
                | StartError::Control(_)
                | StartError::Link(_)
                | StartError::Succession(_)
                | StartError::Os { .. } => exit::OS,
            }
        }
    }
}
