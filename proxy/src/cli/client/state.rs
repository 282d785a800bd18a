//! The state file of a client's set-up.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anabranch_deploy::client::setup::Journal;
use nix::libc;

use crate::cli::edge::state::{StateError, read_ours, write_new_as};

/// Its path below the root. What OpenWrt has in `/var` is gone at the next boot, and with it what is to be done again.
pub(super) fn place(root: &Path) -> &'static str {
    if root.join("etc/openwrt_release").exists() {
        "etc/anabranch/client-setup.json"
    } else {
        "var/lib/anabranch/client-setup.json"
    }
}

/// Waits until no other set-up runs, and keeps others waiting: DHCP clients and `ifup` of several links call at the same time, and
/// whoever is second would fail at a route that is there by now, and take it back.
///
/// Shape:   the lock is held until the file is dropped; without a `/run` there is none
pub(super) fn alone(root: &Path) -> io::Result<Option<File>> {
    let Some(run) = ["run", "var/run"].map(|path| root.join(path)).into_iter().find(|path| path.is_dir()) else {
        return Ok(None);
    };
    // Nobody else's to open: whoever can lock it keeps root waiting.
    let options = OpenOptions::new().write(true).create(true).mode(0o600).custom_flags(libc::O_NOFOLLOW).clone();
    match options.open(run.join("anabranch-client-setup.lock")) {
        Ok(file) => file.lock().map(|()| Some(file)),
        // Who is not root is told by what follows.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(None),
        Err(error) => Err(error),
    }
}

/// What an earlier set-up has written; `None` without one.
pub(super) fn read(root: &Path) -> Result<Option<Journal>, StateError> {
    let path = root.join(place(root));
    let Some(text) = read_ours(&path)? else { return Ok(None) };
    let journal: Journal =
        serde_json::from_str(&text).map_err(|error| StateError::Damaged(path.clone(), Some(error)))?;
    if journal.is_sound() { Ok(Some(journal)) } else { Err(StateError::Damaged(path, None)) }
}

/// Writes the state file, which is nobody else's to read.
pub(super) fn write(root: &Path, text: &str) -> io::Result<()> {
    write_new_as(0o600, &root.join(place(root)), text)
}

/// Writes a file in the place of another, which keeps its permissions.
pub(super) fn write_file(path: &Path, text: &str, executable: bool) -> io::Result<()> {
    write_new_as(if executable { 0o755 } else { 0o644 }, path, text)
}

/// Makes the directories a file needs, and names those that were not there, below the root.
pub(super) fn make_way(root: &Path, path: &str) -> io::Result<Vec<String>> {
    let mut made = Vec::new();
    let parents: Vec<_> = Path::new(path).ancestors().skip(1).filter(|part| !part.as_os_str().is_empty()).collect();
    for part in parents.iter().rev() {
        match fs::create_dir(root.join(part)) {
            Ok(()) => made.push(part.to_string_lossy().into_owned()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Ok(made)
}
