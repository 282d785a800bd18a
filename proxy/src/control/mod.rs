//! The control socket: HTTP and JSON over a Unix socket, for the operator's command line and for collectors.
//!
//! `GET /status`, `GET /connections` and `GET /metrics`. Who may ask is decided twice: by the socket's file permissions
//! (0660, optionally a group) and by the credentials the kernel reports of the peer.

pub mod client;
mod serve;

use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anabranch_config::{Control, ControlSocket};
use prometheus_client::registry::Registry;
use thiserror::Error;
use tokio::net::UnixListener;

use crate::reload::ListeningNow;
use crate::worker::Shared;

/// A control socket that cannot be opened.
#[derive(Debug, Error)]
pub enum ControlError {
    /// Another process answers on it.
    #[error("control socket {}: another anabranch answers there; stop it, or set control.socket", .0.display())]
    Taken(PathBuf),
    /// The path is something other than a socket.
    #[error("control socket {}: there is a file of another kind; remove it, or set control.socket", .0.display())]
    NotASocket(PathBuf),
    /// `control.group` names no group.
    #[error("control.group = \"{0}\": there is no such group; create it, or remove the key")]
    NoGroup(String),
    /// A call failed.
    #[error("control socket {}: {call} failed", .path.display())]
    Call {
        /// The socket.
        path: PathBuf,
        /// The call.
        call: &'static str,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
}

/// Removes the socket's file when the process stops in good order.
#[derive(Debug)]
pub struct Guard(Option<PathBuf>);

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(path) = &self.0
            && let Err(error) = std::fs::remove_file(path)
        {
            tracing::debug!(%error, path = %path.display(), "the control socket's file stays");
        }
    }
}

/// Where the socket is when nobody says: `/run/anabranch` for root, the user's runtime directory for anybody else.
#[must_use]
pub fn default_path() -> PathBuf {
    let directory = match std::env::var_os("XDG_RUNTIME_DIR") {
        Some(runtime) if !nix::unistd::geteuid().is_root() => PathBuf::from(runtime),
        _ if nix::unistd::geteuid().is_root() => PathBuf::from("/run"),
        _ => std::env::temp_dir().join(format!("user-{}", nix::unistd::geteuid())),
    };
    directory.join("anabranch/control.sock")
}

/// Opens the socket and answers on it until the process ends.
///
/// Errors: [`ControlError`]. With the default path a failure is a warning only: the proxy works without.
pub fn start(
    control: &Control,
    shared: Arc<Shared>,
    families: Registry,
    listening: ListeningNow,
) -> Result<Guard, ControlError> {
    let (path, required) = match &control.socket {
        ControlSocket::Off => return Ok(Guard(None)),
        ControlSocket::At(path) => (path.clone(), true),
        ControlSocket::Default => (default_path(), false),
    };
    match open(&path, control.group.as_deref()) {
        Ok(listener) => {
            tracing::info!(path = %path.display(), "control socket open");
            let desk = Arc::new(serve::Desk { shared, families, listening, open_to_group: control.group.is_some() });
            tokio::spawn(serve::run(listener, desk));
            Ok(Guard(Some(path)))
        }
        Err(error) if required => Err(error),
        Err(error) => {
            let why = crate::http::chain(&error);
            tracing::warn!(%why, "running without a control socket: `anabranch status` cannot ask this process");
            Ok(Guard(None))
        }
    }
}

fn open(path: &Path, group: Option<&str>) -> Result<UnixListener, ControlError> {
    let fail = |call| move |source| ControlError::Call { path: path.to_owned(), call, source };
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory).map_err(fail("mkdir"))?;
    }
    clear_stale(path)?;
    // Bound with no permission for anybody else, opened up after: nobody slips in between.
    let former = nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o177));
    let bound = UnixListener::bind(path);
    nix::sys::stat::umask(former);
    let listener = bound.map_err(fail("bind"))?;
    if let Some(name) = group {
        let group = group_id(name).ok_or_else(|| ControlError::NoGroup(name.to_owned()))?;
        nix::unistd::chown(path, None, Some(group)).map_err(|errno| fail("chown")(errno.into()))?;
    }
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660)).map_err(fail("chmod"))?;
    Ok(listener)
}

/// A group by its name, or by its number.
fn group_id(group: &str) -> Option<nix::unistd::Gid> {
    let named = nix::unistd::Group::from_name(group).ok().flatten().map(|found| found.gid);
    named.or_else(|| group.parse().ok().map(nix::unistd::Gid::from_raw))
}

/// Removes a socket nobody answers on; anything else is left alone.
fn clear_stale(path: &Path) -> Result<(), ControlError> {
    let Ok(metadata) = std::fs::symlink_metadata(path) else { return Ok(()) };
    if !metadata.file_type().is_socket() {
        return Err(ControlError::NotASocket(path.to_owned()));
    }
    let fail = |call| move |source| ControlError::Call { path: path.to_owned(), call, source };
    match StdUnixStream::connect(path) {
        Ok(_) => Err(ControlError::Taken(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(fail("unlink"))
        }
        // Not proven dead: it may be somebody else's, and alive.
        Err(error) => Err(fail("connect")(error)),
    }
}
