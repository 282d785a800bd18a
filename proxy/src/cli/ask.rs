//! What `status` and `connections` have in common: one question over the control socket.

use std::path::PathBuf;

use anabranch_config::Role;

use super::{complain, exit};
use crate::control::{client, default_path};
use crate::http::chain;

/// Arguments of a question.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Control socket of the process to ask; by default where `run` puts it.
    #[arg(long, value_name = "PATH")]
    pub(super) socket: Option<PathBuf>,
    /// Print the answer as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

/// Asks the process of a role and returns the answer, or complains and returns the exit code.
pub(super) fn ask(arguments: &Arguments, role: Role, what: &str) -> Result<serde_json::Value, u8> {
    let socket = arguments.socket.clone().unwrap_or_else(|| default_path(role));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
        complain(&format!("anabranch: {error}"));
        exit::OS
    })?;
    let bytes = runtime.block_on(client::ask(&socket, what)).map_err(|error| {
        complain(&format!("anabranch: {}", chain(&error)));
        exit::UNAVAILABLE
    })?;
    serde_json::from_slice(&bytes).map_err(|error| {
        complain(&format!("anabranch: the answer is not JSON: {error}"));
        exit::SOFTWARE
    })
}
