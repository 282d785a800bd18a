//! What `status` and `connections` have in common: one question over the control socket.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use anabranch_config::Role;
use bytes::Bytes;
use http::{Method, StatusCode};

use super::{complain, exit};
use crate::control::client::{self, AskError};
use crate::control::default_path;
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

/// Where packaged services have their sockets.
const MACHINES: &str = "/run/anabranch";

/// Where a process of a role is asked when nobody says.
pub(super) fn place(role: Role) -> PathBuf {
    chosen(default_path(role), Path::new(MACHINES))
}

/// A user's own socket; without one, that of the machine's service, which members of its group may ask.
fn chosen(own: PathBuf, machines: &Path) -> PathBuf {
    let services = own.file_name().map(|name| machines.join(name)).filter(|path| !own.exists() && path.exists());
    services.unwrap_or(own)
}

/// Whether a process of a role answers where it is asked when nobody says. One that was killed leaves its socket's file.
fn answers(role: Role) -> bool {
    UnixStream::connect(place(role)).is_ok()
}

/// Who knows most of connections: where two processes do the two jobs, the one that steers.
pub(super) fn who_steers(arguments: &Arguments) -> Role {
    if arguments.socket.is_none() && answers(Role::Steer) { Role::Steer } else { Role::Both }
}

/// Whether the two jobs are two processes', which are to be asked both: nobody has named one.
pub(super) fn are_two(arguments: &Arguments) -> bool {
    who_steers(arguments) == Role::Steer && answers(Role::Proxy)
}

/// Asks the process of a role and returns the answer, or complains and returns the exit code.
pub(super) fn ask(arguments: &Arguments, role: Role, what: &str) -> Result<serde_json::Value, u8> {
    send(arguments, role, (Method::GET, what), Bytes::new())
}

/// The same with a method and something to go with it. What is refused is a matter of the configuration.
pub(super) fn send(
    arguments: &Arguments,
    role: Role,
    (method, what): (Method, &str),
    body: Bytes,
) -> Result<serde_json::Value, u8> {
    let socket = arguments.socket.clone().unwrap_or_else(|| place(role));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
        complain(&format!("anabranch: {error}"));
        exit::OS
    })?;
    let bytes = runtime.block_on(client::ask(&socket, method, what, body)).map_err(|error| {
        complain(&format!("anabranch: {}", chain(&error)));
        code(&error)
    })?;
    serde_json::from_slice(&bytes).map_err(|error| {
        complain(&format!("anabranch: the answer is not JSON: {error}"));
        exit::SOFTWARE
    })
}

/// What a question without an answer ends with. What is not known there may be later: the command line is no wrong one.
const fn code(error: &AskError) -> u8 {
    match error {
        AskError::Refused { status: StatusCode::UNPROCESSABLE_ENTITY, .. } => exit::CONFIG,
        _ => exit::UNAVAILABLE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_no_anabranch_asks_the_machines() {
        let place = std::env::temp_dir().join(format!("anabranch-ask-{}", std::process::id()));
        let [own, machines] = ["own", "machines"].map(|name| place.join(name));
        std::fs::create_dir_all(&own).unwrap();
        std::fs::create_dir_all(&machines).unwrap();
        let [ours, theirs] = [&own, &machines].map(|directory| directory.join("steer.sock"));
        let of = || chosen(ours.clone(), &machines);
        assert_eq!(of(), ours, "there is neither: the own one is named");
        std::fs::write(&theirs, "").unwrap();
        assert_eq!(of(), theirs);
        std::fs::write(&ours, "").unwrap();
        assert_eq!(of(), ours);
        std::fs::remove_dir_all(&place).unwrap();
    }

    #[test]
    fn what_is_not_known_there_is_no_wrong_usage() {
        let refused = |status| AskError::Refused { path: PathBuf::new(), status, text: String::new() };
        assert_eq!(code(&refused(StatusCode::NOT_FOUND)), exit::UNAVAILABLE);
        assert_eq!(code(&refused(StatusCode::UNPROCESSABLE_ENTITY)), exit::CONFIG);
    }
}
