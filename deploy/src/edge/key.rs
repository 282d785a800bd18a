//! The name of a sysctl.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The name of a sysctl, in the parts of its path: an interface's name may have dots of its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Key(String);

impl Key {
    /// By its path below `/proc/sys`, such as `net/mptcp/enabled`.
    #[must_use]
    pub fn new(path: &str) -> Self {
        Self(path.to_owned())
    }

    /// Its path below `/proc/sys`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.0
    }

    /// Whether it names a sysctl and nothing outside of them: a state file may have been written by anybody.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let part = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains(['\0', '\n']);
        self.0.split('/').all(part)
    }
}

impl fmt::Display for Key {
    /// As sysctl(8) and sysctl.d(5) take it: with dots, unless a part has dots.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.contains('.') { f.write_str(&self.0) } else { f.write_str(&self.0.replace('/', ".")) }
    }
}
