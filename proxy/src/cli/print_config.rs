//! `anabranch print-config`

use std::path::PathBuf;

use super::{read_config, say};

/// Arguments of `print-config`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Configuration file; without it the embedded defaults are printed.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Prints the effective configuration.
pub(super) fn run(arguments: &Arguments) -> u8 {
    match read_config(arguments.config.as_deref()) {
        Ok((config, _)) => {
            say(&config.to_toml());
            0
        }
        Err(code) => code,
    }
}
