//! `anabranch check`

use std::path::PathBuf;
use std::sync::Arc;

use super::{complain, exit, read_config, say};
use crate::door::Hinges;
use crate::http::chain;
use crate::origin::own::Outgoing;

/// Arguments of `check`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The file to check.
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Checks a file and what it names: certificates, keys, credentials.
pub(super) fn run(arguments: &Arguments) -> u8 {
    let config = match read_config(Some(&arguments.file)) {
        Ok((config, _)) => Arc::new(config),
        Err(code) => return code,
    };
    // The resolver wants a runtime to live on, although nothing is looked up.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&format!("anabranch: {error}"));
            return exit::OS;
        }
    };
    let _entered = runtime.enter();
    let made = Hinges::new(&config, &Outgoing::new(), 0).and_then(|hinges| hinges.doors(&config, &[], 0));
    if let Err(error) = made {
        complain(&format!("{}: {}", arguments.file.display(), chain(&error)));
        return exit::CONFIG;
    }
    for warning in config.warnings() {
        complain(&format!("{}: warning: {warning}", arguments.file.display()));
    }
    say(&format!("{}: in order\n", arguments.file.display()));
    0
}
