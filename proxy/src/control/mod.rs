//! The control socket: HTTP and JSON over a Unix socket, for the operator's command line and for collectors.
//!
//! `GET /status`, `GET /connections`, `GET /metrics`, and everything below `/policies`. Who may ask is decided twice: by the socket's file permissions
//! (0660, optionally a group) and by the credentials the kernel reports of the peer.

pub mod client;
mod policies;
mod serve;

pub use policies::Answer;

use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener as StdUnixListener, UnixStream as StdUnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anabranch_config::{Control, ControlSocket, Role};
use prometheus_client::registry::Registry;
use thiserror::Error;
use tokio::net::UnixStream;

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

/// A process that answers on a socket's path already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Incumbent {
    /// It stays: the path is taken.
    Stays,
    /// It makes room for us: our socket takes the place of its own.
    Leaves,
}

/// Removes the socket's file when the process stops in good order, unless another one's has taken its place.
#[derive(Debug)]
pub struct Guard(Option<(PathBuf, Identity)>);

/// Which file: device and inode.
type Identity = (u64, u64);

impl Guard {
    fn of(path: &Path) -> Self {
        Self(identity(path).map(|identity| (path.to_owned(), identity)))
    }
}

fn identity(path: &Path) -> Option<Identity> {
    std::fs::symlink_metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some((path, ours)) = &self.0
            && identity(path) == Some(*ours)
            && let Err(error) = std::fs::remove_file(path)
        {
            tracing::debug!(%error, path = %path.display(), "the control socket's file stays");
        }
    }
}

/// Where the socket is when nobody says: in `/run/anabranch` for root, in the user's runtime directory for anybody else; a
/// process that only steers has one of its own beside that of the proxy.
#[must_use]
pub fn default_path(role: Role) -> PathBuf {
    let directory = match std::env::var_os("XDG_RUNTIME_DIR") {
        // Empty is as good as unset, and a relative one means nothing (XDG Base Directory Specification).
        Some(runtime) if !nix::unistd::geteuid().is_root() && Path::new(&runtime).is_absolute() => {
            PathBuf::from(runtime)
        }
        _ if nix::unistd::geteuid().is_root() => PathBuf::from("/run"),
        _ => std::env::temp_dir().join(format!("user-{}", nix::unistd::geteuid())),
    };
    directory.join(match role {
        Role::Both | Role::Proxy => "anabranch/control.sock",
        Role::Steer => "anabranch/steer.sock",
    })
}

/// What there is to tell.
#[derive(Debug)]
pub struct Subject {
    /// The sessions and what is shared by them.
    pub shared: Arc<Shared>,
    /// What is counted.
    pub families: Registry,
    /// What is open.
    pub listening: ListeningNow,
    /// What the steering side of this process knows, if it has one.
    pub steer: Option<Arc<crate::steer::Desk>>,
}

/// Where the socket is, and whether somebody asked for it there; `None` when it is off.
#[must_use]
pub fn path(control: &Control, role: Role) -> Option<(PathBuf, bool)> {
    match &control.socket {
        ControlSocket::Off => None,
        ControlSocket::At(path) => Some((path.clone(), true)),
        ControlSocket::Default => Some((default_path(role), false)),
    }
}

/// Opens the socket and answers on it until the process ends.
///
/// Errors: [`ControlError`]. With the default path a failure is a warning only: the proxy works without.
pub fn start(control: &Control, role: Role, subject: Subject, incumbent: Incumbent) -> Result<Guard, ControlError> {
    let Some((path, required)) = path(control, role) else { return Ok(Guard(None)) };
    match open_socket(&path, control.group.as_deref(), incumbent) {
        Ok((listener, file)) => {
            let listener = tokio::net::UnixListener::from_std(listener).map_err(|source| ControlError::Call {
                path: path.clone(),
                call: "epoll_ctl",
                source,
            })?;
            tracing::info!(path = %path.display(), "control socket open");
            let desk = Arc::new(serve::Desk { subject, open_to_group: control.group.is_some() });
            tokio::spawn(serve::run(listener, desk));
            Ok(file)
        }
        Err(error) if required => Err(error),
        Err(error) => {
            let why = crate::http::chain(&error);
            tracing::warn!(%why, "running without a control socket: `anabranch status` cannot ask this process");
            Ok(Guard(None))
        }
    }
}

/// Opens a Unix socket that only root, the own user and a group may connect to; its file goes with the guard.
///
/// Errors: [`ControlError`]
pub(crate) fn open_socket(
    path: &Path,
    group: Option<&str>,
    incumbent: Incumbent,
) -> Result<(StdUnixListener, Guard), ControlError> {
    if incumbent == Incumbent::Stays {
        return open(path, group).map(|listener| (listener, Guard::of(path)));
    }
    // Made beside it, put in its place at once: whoever asks finds the one or the other.
    let beside = path.with_added_extension(std::process::id().to_string());
    let listener = open(&beside, group)?;
    let fail = |source| ControlError::Call { path: path.to_owned(), call: "rename", source };
    std::fs::rename(&beside, path).map_err(fail)?;
    Ok((listener, Guard::of(path)))
}

/// Whether the kernel says that the peer is somebody who may connect.
pub(crate) fn may_ask(stream: &UnixStream, open_to_group: bool) -> bool {
    let Ok(peer) = stream.peer_cred() else { return false };
    open_to_group || peer.uid() == 0 || peer.uid() == nix::unistd::geteuid().as_raw()
}

fn open(path: &Path, group: Option<&str>) -> Result<StdUnixListener, ControlError> {
    let fail = |call| move |source| ControlError::Call { path: path.to_owned(), call, source };
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory).map_err(fail("mkdir"))?;
    }
    clear_stale(path)?;
    // Bound with no permission for anybody else, opened up after: nobody slips in between.
    let former = nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o177));
    let bound = StdUnixListener::bind(path);
    nix::sys::stat::umask(former);
    let listener = bound.map_err(fail("bind"))?;
    listener.set_nonblocking(true).map_err(fail("O_NONBLOCK"))?;
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
