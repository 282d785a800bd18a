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

/// A user's own place; where nobody answers in it, that of the machine's services, which members of their group may ask. One place for
/// both roles: what a user's own proxy does is not to be told, or changed, by the machine's steering.
fn chosen(own: PathBuf, machines: &Path) -> PathBuf {
    let names: Vec<_> = [Role::Both, Role::Steer]
        .iter()
        .filter_map(|role| default_path(*role).file_name().map(PathBuf::from))
        .collect();
    let any = |directory: &Path, is: &dyn Fn(&Path) -> bool| names.iter().any(|name| is(&directory.join(name)));
    let lives = own.parent().is_some_and(|directory| any(directory, &|path| UnixStream::connect(path).is_ok()));
    match own.file_name() {
        Some(name) if !lives && any(machines, &Path::exists) => machines.join(name),
        _ => own,
    }
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
    fn who_has_no_anabranch_asks_the_machines_and_nobody_asks_both() {
        let place = std::env::temp_dir().join(format!("anabranch-ask-{}", std::process::id()));
        let [own, machines] = ["own", "machines"].map(|name| place.join(name));
        std::fs::create_dir_all(&own).unwrap();
        std::fs::create_dir_all(&machines).unwrap();
        let of = |name: &str| chosen(own.join(name), &machines);
        assert_eq!(of("steer.sock"), own.join("steer.sock"), "there is neither: the own one is named");
        std::fs::write(machines.join("steer.sock"), "").unwrap();
        assert_eq!(of("steer.sock"), machines.join("steer.sock"));
        // One that was killed leaves its socket's file.
        std::fs::write(own.join("control.sock"), "").unwrap();
        assert_eq!(of("control.sock"), machines.join("control.sock"));
        std::fs::remove_file(own.join("control.sock")).unwrap();
        let _own = std::os::unix::net::UnixListener::bind(own.join("control.sock")).unwrap();
        for name in ["control.sock", "steer.sock"] {
            assert_eq!(of(name), own.join(name), "theirs lives, whatever there is beside it");
        }
        std::fs::remove_dir_all(&place).unwrap();
    }

    #[test]
    fn what_is_not_known_there_is_no_wrong_usage() {
        let refused = |status| AskError::Refused { path: PathBuf::new(), status, text: String::new() };
        assert_eq!(code(&refused(StatusCode::NOT_FOUND)), exit::UNAVAILABLE);
        assert_eq!(code(&refused(StatusCode::UNPROCESSABLE_ENTITY)), exit::CONFIG);
    }
}
