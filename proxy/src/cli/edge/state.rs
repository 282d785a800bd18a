//! The state file of a set-up, and files written so that they are there whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anabranch_deploy::edge::Journal;
use nix::unistd::geteuid;
use thiserror::Error;

/// Its path below the root.
pub(super) const STATE: &str = "var/lib/anabranch/edge-setup.json";
/// No set-up has a longer one.
const LONGEST: u64 = 1024 * 1024;

/// Why the state file cannot be used.
#[derive(Debug, Error)]
pub(in crate::cli) enum StateError {
    /// It cannot be read.
    #[error("{}", .0.display())]
    Read(PathBuf, #[source] io::Error),
    /// It is root's, and we are not.
    #[error("{}: only root may look at what was applied, or change it; run this as root", .0.display())]
    Roots(PathBuf),
    /// Somebody else can write it: then it says whatever they want to have done.
    #[error("{}: not a file that only you can write; what it says is not done", .0.display())]
    NotOurs(PathBuf),
    /// It is not what `--apply` writes.
    #[error("{}: not a state file of a set-up", .0.display())]
    Damaged(PathBuf, #[source] Option<serde_json::Error>),
}

/// What an earlier set-up has written; empty without one.
pub(super) fn read(root: &Path) -> Result<Journal, StateError> {
    let path = root.join(STATE);
    let Some(text) = read_ours(&path)? else { return Ok(Journal::default()) };
    let journal: Journal =
        serde_json::from_str(&text).map_err(|error| StateError::Damaged(path.clone(), Some(error)))?;
    if journal.is_sound() { Ok(journal) } else { Err(StateError::Damaged(path, None)) }
}

/// The text of a file that only we can write; `None` without one.
pub(in crate::cli) fn read_ours(path: &Path) -> Result<Option<String>, StateError> {
    let path = path.to_owned();
    let file = match OpenOptions::new().read(true).custom_flags(nix::libc::O_NOFOLLOW).open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(path, error, geteuid().is_root())),
    };
    let about = file.metadata().map_err(|error| StateError::Read(path.clone(), error))?;
    let others = about.permissions().mode() & 0o022 != 0;
    // The directory may be a service's own, which could put another file there: one of root's it cannot make.
    if !about.is_file() || others || about.uid() != geteuid().as_raw() {
        return Err(not_ours(path, about.is_file() && !others, about.uid()));
    }
    let mut text = String::new();
    file.take(LONGEST).read_to_string(&mut text).map_err(|error| StateError::Read(path, error))?;
    Ok(Some(text))
}

/// Why a file could not be opened: who is not root is told what helps.
fn unreadable(path: PathBuf, error: io::Error, are_root: bool) -> StateError {
    let denied = error.kind() == io::ErrorKind::PermissionDenied && !are_root;
    if denied { StateError::Roots(path) } else { StateError::Read(path, error) }
}

/// Why a file of somebody else's is not followed: root's own, which nobody else can write, root may follow.
fn not_ours(path: PathBuf, only_its_owner_writes: bool, owner: u32) -> StateError {
    if only_its_owner_writes && owner == 0 { StateError::Roots(path) } else { StateError::NotOurs(path) }
}

/// Writes a file in the place of another: afterwards there is the one or the other, also after a crash.
///
/// Shape:   a file that was there keeps its permissions
pub(super) fn write(path: &Path, text: &str) -> io::Result<()> {
    write_new_as(0o644, path, text)
}

/// The same, with the permissions of a file that was not there.
pub(in crate::cli) fn write_new_as(mode: u32, path: &Path, text: &str) -> io::Result<()> {
    let mode = fs::metadata(path).map_or(mode, |about| about.permissions().mode() & 0o7777);
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".anabranch-new");
    let beside = path.with_file_name(name);
    // One that a crash has left; what is not there need not be removed.
    drop(fs::remove_file(&beside));
    let done = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
    });
    if done.is_err() {
        drop(fs::remove_file(&beside));
    }
    done
}

#[cfg(test)]
mod tests;
