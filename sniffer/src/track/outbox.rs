//! Events that wait to be taken: a bounded number of them, and the count of those for which there was no room.

use std::collections::VecDeque;
use std::time::Duration;

use crate::event::{Event, What};

#[derive(Debug)]
pub(super) struct Outbox {
    events: VecDeque<Event>,
    limit: usize,
    /// Lost since the youngest event that waits.
    lost: u64,
    /// When the last of them was lost.
    lost_at: Duration,
    pub(super) lost_ever: u64,
}

impl Outbox {
    pub(super) const fn new(limit: usize) -> Self {
        Self { events: VecDeque::new(), limit, lost: 0, lost_at: Duration::ZERO, lost_ever: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    /// Adds an event; once one was lost, all are until the reader has caught up, so that it learns of one gap and not many.
    pub(super) fn push(&mut self, at: Duration, what: What) {
        if self.lost > 0 || self.events.len() >= self.limit {
            self.lost += 1;
            self.lost_ever += 1;
            self.lost_at = at;
        } else {
            self.events.push_back(Event { at, what });
        }
    }

    pub(super) fn pop(&mut self) -> Option<Event> {
        self.events.pop_front().or_else(|| {
            let count = std::mem::take(&mut self.lost);
            (count > 0).then_some(Event { at: self.lost_at, what: What::Lost { count } })
        })
    }
}
