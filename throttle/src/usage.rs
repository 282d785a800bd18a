//! What every subscriber has used of every path, by period: quotas.
//!
//! What lives here: counting delivered payload, and what has to be kept so that a restart counts nothing twice. What does not: where it
//! is kept (a [`Store`], in `proxy`), what follows from it (`policy`). Invariant: of each subflow, bytes below the highest count ever
//! seen of it are never counted again, and accounts and marks are saved together or not at all.

mod port;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::view::{ConnectionKey, SubflowKey};
pub use port::{Changes, Saved, Store};

/// What is counted: the use of one path by one subscriber in one period.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Account {
    /// Which kind of period, with its time zone: `month Europe/Berlin`.
    pub period: Arc<str>,
    /// When it began.
    ///
    /// Units:   seconds since the Unix epoch
    pub start: u64,
    /// The path.
    pub path: Arc<str>,
    /// Whose.
    pub subscriber: Arc<str>,
}

/// Payload, both ways.
///
/// Units:   bytes
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Payload {
    /// To the client.
    pub download: u64,
    /// From the client.
    pub upload: u64,
}

/// Who pays for a subflow, and on which path.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Payer<'a> {
    /// See [`Account::subscriber`].
    pub(crate) subscriber: &'a Arc<str>,
    /// See [`Account::path`].
    pub(crate) path: &'a Arc<str>,
}

/// A period that runs, and how far it reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Span {
    /// See [`Account::period`].
    pub(crate) period: Arc<str>,
    /// When it began, since the Unix epoch.
    pub(crate) start: Duration,
    /// When it ends.
    pub(crate) end: Duration,
    /// The paths whose use in it somebody asks for.
    pub(crate) paths: Vec<Arc<str>>,
}

/// The highest counts seen of a subflow.
#[derive(Debug, Clone, Copy)]
struct Mark {
    counted: Payload,
    /// Some account depends on it: it has to be kept over a restart.
    kept: bool,
    /// When the subflow was last there, by the time of the policies.
    seen: Duration,
}

/// Counts what is delivered.
#[derive(Debug, Default)]
pub struct Usage {
    spans: Vec<Span>,
    accounts: HashMap<Account, u64>,
    marks: HashMap<SubflowKey, Mark>,
    changed: HashSet<Account>,
    moved: HashSet<SubflowKey>,
    closed: Vec<Account>,
    gone: Vec<SubflowKey>,
    uncounted: u64,
}

/// How long a subflow that is not in sight is remembered, so that one that comes back is not counted again.
const AWAY: Duration = Duration::from_secs(60);

/// The most accounts there may be: addresses that nobody has named must not fill the memory.
const MOST_ACCOUNTS: usize = 1 << 18;

impl Payload {
    /// Both ways together.
    #[must_use]
    pub const fn total(self) -> u64 {
        self.download.saturating_add(self.upload)
    }
}

impl Usage {
    /// Takes in what was saved before. To be called before anything is counted.
    pub fn restore(&mut self, saved: Saved) {
        self.accounts.extend(saved.accounts);
        let restored = |(key, counted)| (key, Mark { counted, kept: true, seen: Duration::ZERO });
        self.marks.extend(saved.marks.into_iter().map(restored));
        // What of it belongs to periods that are over is found at the next turn.
        self.spans.clear();
    }

    /// What changed since the last call, to be saved in one transaction.
    pub fn take_changes(&mut self) -> Changes {
        let worth = |account: Account| {
            let bytes = self.accounts.get(&account).copied().unwrap_or(0);
            (account, bytes)
        };
        let counted = |key: SubflowKey| self.marks.get(&key).map(|mark| (key, mark.counted));
        let mut gone = std::mem::take(&mut self.gone);
        gone.retain(|key| !self.marks.contains_key(key));
        Changes {
            accounts: self.changed.drain().map(worth).collect(),
            marks: self.moved.drain().filter_map(counted).collect(),
            closed: std::mem::take(&mut self.closed),
            gone,
        }
    }

    /// Has changes that could not be saved be part of the next ones.
    pub fn give_back(&mut self, changes: Changes) {
        self.changed.extend(changes.accounts.into_iter().map(|(account, _)| account));
        self.moved.extend(changes.marks.into_iter().map(|(key, _)| key));
        self.changed.retain(|account| self.accounts.contains_key(account));
        self.closed.extend(changes.closed);
        self.gone.extend(changes.gone.into_iter().filter(|key| !self.marks.contains_key(key)));
    }

    /// Every account, in no order.
    pub fn accounts(&self) -> impl Iterator<Item = (&Account, u64)> {
        self.accounts.iter().map(|(account, bytes)| (account, *bytes))
    }

    /// Payload that found no account, since there were too many.
    ///
    /// Units:   bytes
    #[must_use]
    pub const fn uncounted(&self) -> u64 {
        self.uncounted
    }

    /// Says which periods run now; accounts of others are closed.
    pub(crate) fn turn(&mut self, spans: Vec<Span>) {
        if self.spans == spans {
            return;
        }
        let current = |account: &Account| {
            let same = |span: &Span| span.period == account.period && span.start.as_secs() == account.start;
            // A period nobody asks for now may be asked for again after the next reload; its end is not known, so it is
            // closed when a running one of its kind has begun after it.
            spans.iter().any(same) || !spans.iter().any(|span| span.period == account.period)
        };
        let closed: Vec<_> = self.accounts.keys().filter(|account| !current(account)).cloned().collect();
        for account in closed {
            self.accounts.remove(&account);
            self.changed.remove(&account);
            self.closed.push(account);
        }
        self.spans = spans;
    }

    /// When the first of the periods ends.
    pub(crate) fn next_end(&self) -> Option<Duration> {
        self.spans.iter().map(|span| span.end).min()
    }

    /// Counts what a subflow delivered since it was last looked at, for whoever pays for it.
    pub(crate) fn count(
        &mut self,
        key: SubflowKey,
        counts: Payload,
        payer: Option<Payer<'_>>,
        now: Duration,
    ) -> Payload {
        let fresh = Mark { counted: Payload::default(), kept: false, seen: now };
        let mark = self.marks.entry(key).or_insert(fresh);
        mark.seen = now;
        let grown = Payload {
            download: counts.download.saturating_sub(mark.counted.download),
            upload: counts.upload.saturating_sub(mark.counted.upload),
        };
        // The highest, not the last: where one witness gives way to another, counts may fall back and return.
        mark.counted.download = mark.counted.download.max(counts.download);
        mark.counted.upload = mark.counted.upload.max(counts.upload);
        if let Some(payer) = payer
            && grown.total() > 0
        {
            for span in self.spans.iter().filter(|span| span.paths.contains(payer.path)) {
                let account = span.account(payer);
                mark.kept = true;
                if self.accounts.len() >= MOST_ACCOUNTS && !self.accounts.contains_key(&account) {
                    self.uncounted = self.uncounted.saturating_add(grown.total());
                    continue;
                }
                let bytes = self.accounts.entry(account.clone()).or_default();
                *bytes = bytes.saturating_add(grown.total());
                self.changed.insert(account);
            }
            // The number of a connection that passes means nothing to the next process, whose tracker counts from nothing.
            if mark.kept && matches!(key.connection, ConnectionKey::Ours(_)) {
                self.moved.insert(key);
            }
        }
        grown
    }

    /// What a subscriber used of a path in the running period of this kind.
    ///
    /// Units:   bytes
    pub(crate) fn used(&self, period: &str, payer: Payer<'_>) -> u64 {
        let span = self.spans.iter().find(|span| &*span.period == period);
        span.and_then(|span| self.accounts.get(&span.account(payer))).copied().unwrap_or(0)
    }

    /// Forgets subflows that have been out of sight for long.
    pub(crate) fn forget(&mut self, now: Duration) {
        let (gone, moved) = (&mut self.gone, &mut self.moved);
        self.marks.retain(|key, mark| {
            let stays = now.saturating_sub(mark.seen) < AWAY;
            if !stays {
                moved.remove(key);
                if mark.kept {
                    gone.push(*key);
                }
            }
            stays
        });
    }
}

impl Span {
    fn account(&self, payer: Payer<'_>) -> Account {
        Account {
            period: self.period.clone(),
            start: self.start.as_secs(),
            path: payer.path.clone(),
            subscriber: payer.subscriber.clone(),
        }
    }
}

#[cfg(test)]
mod tests;
