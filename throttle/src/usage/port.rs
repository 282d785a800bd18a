//! The way to whatever keeps usage over a restart.

use std::fmt;

use super::{Account, Payload};
use crate::view::SubflowKey;

/// What was kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Saved {
    /// Bytes, by account.
    pub accounts: Vec<(Account, u64)>,
    /// The highest counts seen, by subflow.
    pub marks: Vec<(SubflowKey, Payload)>,
}

/// What is to be kept from now on: saved as a whole, or not at all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changes {
    /// Accounts with what they are worth now.
    pub accounts: Vec<(Account, u64)>,
    /// Subflows with the highest counts seen.
    pub marks: Vec<(SubflowKey, Payload)>,
    /// Accounts of periods that are over.
    pub closed: Vec<Account>,
    /// Subflows that are gone.
    pub gone: Vec<SubflowKey>,
}

/// Keeps usage.
pub trait Store: fmt::Debug {
    /// What goes wrong.
    type Error: std::error::Error + Send + Sync + 'static;

    /// What was kept.
    ///
    /// Errors:  it cannot be read; nobody may go on as if there were nothing
    fn load(&mut self) -> Result<Saved, Self::Error>;

    /// Keeps changes, in one transaction.
    ///
    /// Errors:  they are not kept, none of them; give them back to [`Usage::give_back`](super::Usage::give_back)
    fn save(&mut self, changes: &Changes) -> Result<(), Self::Error>;
}

impl Changes {
    /// There is nothing to save.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.accounts.is_empty() && self.marks.is_empty() && self.closed.is_empty() && self.gone.is_empty()
    }
}

impl Saved {
    /// What is kept once changes are saved: what every store does.
    pub fn apply(&mut self, changes: &Changes) {
        upsert(&mut self.accounts, &changes.accounts, &changes.closed);
        upsert(&mut self.marks, &changes.marks, &changes.gone);
    }
}

fn upsert<K: Clone + PartialEq, V: Copy>(rows: &mut Vec<(K, V)>, changed: &[(K, V)], removed: &[K]) {
    rows.retain(|(key, _)| !removed.contains(key) && !changed.iter().any(|(other, _)| other == key));
    rows.extend_from_slice(changed);
}
