//! `anabranch run`

use std::path::PathBuf;

use super::{complain, exit, read_config};
use crate::app::{self, Options, StartError};
use crate::http::chain;

/// Arguments of `run`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Configuration file; without it the embedded defaults run: a proxy for this machine on port 3128.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Runs until told to stop.
pub(super) fn run(arguments: &Arguments) -> u8 {
    let (config, file) = match read_config(arguments.config.as_deref()) {
        Ok(read) => read,
        Err(code) => return code,
    };
    match app::run(Options { config, file }) {
        Ok(_) => 0,
        Err(error) => {
            complain(&format!("anabranch: {}", chain(&error)));
            match error {
                StartError::Door(_) | StartError::Unclaimed(_) => exit::CONFIG,
                StartError::Listen(_) | StartError::Worker(_) | StartError::Control(_) | StartError::Os { .. } => {
                    exit::OS
                }
            }
        }
    }
}
