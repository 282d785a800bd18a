//! Notices that the configuration file has changed, however it was changed: in place, by rename, by a link exchanged
//! anywhere on the way to it, on a file system that announces nothing.
//!
//! It looks instead of being told: inotify(7) watches one directory entry, and a file that container platforms mount is
//! reached over two links in two directories. Two looks a second cost microseconds.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Between two looks. A change counts once two looks in a row agree: half a file is not read.
const LOOK: Duration = Duration::from_millis(500);

/// What tells one content from another without reading it: device, inode, size, and the times of the last changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Print {
    file: (u64, u64),
    size: u64,
    written: (i64, i64),
    changed: (i64, i64),
}

impl Print {
    /// `None` while there is no file: somebody is about to put one there, or SIGHUP will say that there is none.
    fn of(path: &Path) -> Option<Self> {
        let metadata = std::fs::metadata(path).ok()?;
        Some(Self {
            file: (metadata.dev(), metadata.ino()),
            size: metadata.size(),
            written: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

/// Watches one file.
#[derive(Debug)]
pub struct Watch {
    file: Option<PathBuf>,
    known: Option<Print>,
    before: Option<Print>,
}

impl Watch {
    /// Takes the file as it is now for known. Without a file nothing ever changes.
    #[must_use]
    pub fn new(file: Option<&Path>) -> Self {
        let known = file.and_then(Print::of);
        Self { file: file.map(ToOwned::to_owned), known, before: known }
    }

    /// Ready once the file has changed and come to rest.
    ///
    /// Cancel: safe; what was seen is remembered.
    pub async fn changed(&mut self) {
        let Some(file) = self.file.clone() else { return std::future::pending().await };
        loop {
            tokio::time::sleep(LOOK).await;
            if self.is_settled_change(Print::of(&file)) {
                return;
            }
        }
    }

    fn is_settled_change(&mut self, now: Option<Print>) -> bool {
        let settled = now == self.before;
        self.before = now;
        if now.is_none() || !settled || now == self.known {
            return false;
        }
        self.known = now;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(size: u64) -> Option<Print> {
        Some(Print { file: (1, 1), size, written: (0, 0), changed: (0, 0) })
    }

    #[test]
    fn a_change_counts_once_and_only_at_rest() {
        let mut watch = Watch { file: None, known: print(1), before: print(1) };
        let looks = [
            (print(1), false, "nothing new"),
            (print(2), false, "being written"),
            (print(3), false, "still being written"),
            (print(3), true, "at rest"),
            (print(3), false, "known"),
            (None, false, "gone"),
            (None, false, "still gone"),
            (print(3), false, "back, as it was"),
            (print(3), false, "nothing new"),
            (None, false, "gone again"),
            (print(4), false, "another"),
            (print(4), true, "at rest"),
        ];
        for (number, (now, changed, why)) in looks.into_iter().enumerate() {
            assert_eq!(watch.is_settled_change(now), changed, "look {number}: {why}");
        }
    }
}
