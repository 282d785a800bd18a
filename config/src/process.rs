//! `[process]`: the process as a whole.

use std::num::NonZeroUsize;

use crate::read::Section;

/// The process as a whole. Public fields, here and in every section: values come only from [`parse`](crate::parse) and `Default`, the
/// field types are themselves checked, and readers share the whole behind an `Arc`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Process {
    /// Threads that carry bytes. `None`: one per core.
    pub workers: Option<NonZeroUsize>,
}

impl Process {
    pub(crate) fn read(section: &mut Section<'_>) -> Self {
        let workers = section.number_of::<u16>("workers", 1..=1024);
        Self { workers: workers.and_then(|workers| NonZeroUsize::new(workers.into())) }
    }
}
