//! `[process]`: the process as a whole.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use crate::read::Section;
use crate::read::value::words;

words! {
    /// Which jobs a process does.
    pub Role {
        /// Carries bytes, watches and steers: a laptop, a small edge.
        Both = "both",
        /// Carries bytes, and holds no capability; another process watches and steers.
        Proxy = "proxy",
        /// Watches and steers, and parses nothing of a stranger's but TCP options; carries no bytes.
        Steer = "steer",
    }
}

/// The process as a whole. Public fields, here and in every section: values come only from [`parse`](crate::parse) and `Default`, the
/// field types are themselves checked, and readers share the whole behind an `Arc`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Threads that carry bytes. `None`: one per core.
    pub workers: Option<NonZeroUsize>,
    /// Which jobs it does.
    pub role: Role,
    /// The Unix socket over which a `proxy` process and a `steer` process talk. `None`: beside the control socket.
    pub link: Option<PathBuf>,
}

impl Default for Process {
    fn default() -> Self {
        Self { workers: None, role: Role::Both, link: None }
    }
}

impl Process {
    pub(crate) fn read(section: &mut Section<'_>) -> Self {
        let workers = section.number_of::<u16>("workers", 1..=1024);
        let link = section.get::<PathBuf>("link").map(|path| section.directory().join(path));
        section.refuse_long_socket("link", link.as_deref());
        Self {
            workers: workers.and_then(|workers| NonZeroUsize::new(workers.into())),
            role: section.get_or("role", Role::Both),
            link,
        }
    }
}
