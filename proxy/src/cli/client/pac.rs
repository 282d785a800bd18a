//! `anabranch client pac`

use std::path::PathBuf;

use anabranch_config::PacHop;
use anabranch_deploy::client::pac::script;

use super::Named;
use crate::cli::{complain, exit, read_config, say};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The proxy that is tried where the configuration names none.
    #[arg(long, value_name = "HOST:PORT")]
    proxy: Option<Named>,
    #[allow(rustdoc::broken_intra_doc_links, reason = "a help text: the brackets are TOML's")]
    /// Configuration file with a [pac] section.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Prints the file.
pub(super) fn run(arguments: &Arguments) -> Result<u8, u8> {
    let (config, _) = read_config(arguments.config.as_deref())?;
    let here = match &arguments.proxy {
        Some(named) => format!("PROXY {}", named.text).parse::<PacHop>(),
        None if config.pac.chain.is_empty() => {
            complain("anabranch: name the proxy (--proxy HOST:PORT), or a configuration that does (pac.chain)");
            return Err(exit::USAGE);
        }
        None => "DIRECT".parse(),
    };
    let here = here.map_err(|error| {
        complain(&format!("anabranch: {error}"));
        exit::USAGE
    })?;
    say(&script(&config.pac, &here));
    Ok(0)
}
