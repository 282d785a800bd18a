//! The state file of a client's set-up.

use std::fs;
use std::io;
use std::path::Path;

use anabranch_deploy::client::setup::Journal;

use crate::cli::edge::state::{StateError, read_ours, write_new_as};

/// Its path below the root.
pub(super) const STATE: &str = "var/lib/anabranch/client-setup.json";

/// What an earlier set-up has written; `None` without one.
pub(super) fn read(root: &Path) -> Result<Option<Journal>, StateError> {
    let path = root.join(STATE);
    let Some(text) = read_ours(&path)? else { return Ok(None) };
    let journal: Journal =
        serde_json::from_str(&text).map_err(|error| StateError::Damaged(path.clone(), Some(error)))?;
    if journal.is_sound() { Ok(Some(journal)) } else { Err(StateError::Damaged(path, None)) }
}

/// Writes the state file, which is nobody else's to read.
pub(super) fn write(root: &Path, text: &str) -> io::Result<()> {
    write_new_as(0o600, &root.join(STATE), text)
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
