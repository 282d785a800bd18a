//! One subflow, what was done to it, and the next step to what is aimed at.
//!
//! ```text
//!            ┌────────────────────── release: promote, unpace, remove ──────────────────────┐
//!            ▼                                                                              │
//!   free ─► demote ─► draining ─► drained ─► class, element, pace ─► promote ─► held to a rate
//!              │
//!              └► backup
//! ```

mod retry;

use std::collections::BTreeMap;
use std::time::Duration;

use super::Words;
use super::goal::{Goal, is_dead};
use super::order::Ordered;
use super::share::on_wire;
use crate::intent::{Direction, Intent};
use crate::op::{Op, Slot};
use crate::view::{self, SubflowKey};
use anabranch_config::Enforce;
use retry::Failed;

/// Where nobody can tell whether a demoted subflow has drained, it has after so long.
pub(super) const DRAINED: Duration = Duration::from_millis(400);

/// One that has not drained by then is dead rather than slow: it is not looked at every few milliseconds any more.
const DRAINING: Duration = Duration::from_secs(2);

/// What is known of a subflow is at most so old: before that, a priority that seems not to be ours says nothing.
const FRESH: Duration = Duration::from_millis(1500);

/// Rates are measured over no less than this.
const MEASURE: Duration = Duration::from_millis(200);

/// What is demoted has nothing on its way that could be lost: after so long without a word its path may be gone.
const SILENT: Duration = Duration::from_secs(1);

/// An answer takes a round trip; it is waited for closely for so long.
const ANSWERS: Duration = Duration::from_millis(300);

/// What a subflow carries is known well enough to halve it once it was measured for so long.
const KNOWN: Duration = Duration::from_secs(1);

/// A subflow's place in a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Put {
    pub(super) slot: Slot,
    /// When its lease began.
    pub(super) at: Duration,
}

/// How a socket is paced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Paced {
    /// Units:  bit/s of payload
    pub(super) rate: u64,
    pub(super) at: Duration,
    /// It asks its client for a sign of life.
    pub(super) probe: bool,
}

/// What it carries towards the client.
#[derive(Debug)]
struct Rate {
    /// When it was taken first.
    since: Duration,
    /// When it was taken last, and what the counter was then.
    at: Duration,
    count: u64,
    /// Averaged. `None`: not known yet.
    ///
    /// Units:  bit/s
    average: Option<f64>,
}

/// One subflow.
#[derive(Debug)]
pub(super) struct Subflow {
    pub(super) goal: Goal,
    /// The last intent about it.
    pub(super) intent: Option<Intent>,
    /// The policy by which it is held, for the count of that.
    pub(super) held_by: Option<Words>,
    /// Why it is not as its policy wants.
    pub(super) why: Option<Words>,
    /// Since when it is aimed at that.
    pub(super) since: Duration,
    pub(super) demoted: Option<Duration>,
    pub(super) paced: Option<Paced>,
    pub(super) download: Option<Put>,
    pub(super) upload: Option<Put>,
    /// When it moved something last.
    pub(super) moved: Duration,
    /// When something was heard of its client last, where that is known.
    heard: Option<Duration>,
    counted: u64,
    /// For a while nothing got through it.
    pub(super) was_dead: bool,
    pub(super) closed: bool,
    /// What a rule of the kernel's may have put it into has been taken back, if that was to be.
    pub(super) disarmed: bool,
    failed: BTreeMap<&'static str, Failed>,
    /// Times in a row that the kernel said it is not there, and until when that is believed.
    absent: (u32, Duration),
    /// Times in a row that it was promoted by somebody else.
    overruled: u32,
    /// Without pacing: since when, and from what count on, it is let in for moments.
    pub(super) duty: Option<(Duration, u64)>,
    pub(super) opened_at: Option<Duration>,
    /// No other subflow of the connection would carry what it does not: to demote it changes nothing.
    pub(super) alone: bool,
    /// It is a backup besides, for as long as a free one carries what its client sends.
    pub(super) aside: bool,
    /// Without demotion: it is on its way down to its pace.
    pub(super) eases: bool,
    /// Too many share its rate: it stays demoted until there is a place. And when that turned last.
    pub(super) waits: bool,
    pub(super) turned: Duration,
    /// The least it may be capped at behind its socket.
    ///
    /// Units:  bit/s
    floor: Option<u64>,
    rate: Option<Rate>,
}

impl Subflow {
    pub(super) const fn new(now: Duration) -> Self {
        Self {
            goal: Goal::Free,
            intent: None,
            held_by: None,
            why: None,
            since: now,
            demoted: None,
            paced: None,
            download: None,
            upload: None,
            moved: Duration::ZERO,
            heard: None,
            counted: 0,
            was_dead: false,
            closed: false,
            disarmed: false,
            failed: BTreeMap::new(),
            absent: (0, Duration::ZERO),
            overruled: 0,
            duty: None,
            opened_at: None,
            alone: false,
            aside: false,
            eases: false,
            waits: false,
            turned: Duration::ZERO,
            floor: None,
            rate: None,
        }
    }

    /// Something is being done to it.
    pub(super) const fn is_touched(&self) -> bool {
        self.demoted.is_some() || self.paced.is_some() || self.download.is_some() || self.upload.is_some()
    }

    /// Nothing was heard of its client for so long that nobody knows whether its path still works.
    pub(super) fn is_silent(&self, now: Duration) -> bool {
        self.heard.is_some_and(|heard| now.saturating_sub(heard) >= SILENT)
    }

    /// It asked its client for a sign of life, and none has come since.
    pub(super) fn is_unanswered(&self) -> bool {
        let asked = self.paced.filter(|paced| paced.probe && self.demoted.is_some());
        asked.is_some_and(|paced| self.heard.is_none_or(|heard| heard + SILENT / 2 <= paced.at))
    }

    /// It is on its way to another state, and not waiting for another try.
    pub(super) fn moves(&self, now: Duration) -> bool {
        let drains = self.demoted.is_some_and(|since| now.saturating_sub(since) < DRAINING);
        let moves = match self.goal {
            Goal::Rate { download: Some(_), .. } => drains || self.duty.is_some() || self.eases,
            Goal::Backup => drains && self.paced.is_some(),
            Goal::Free => {
                self.is_unanswered() && self.paced.is_some_and(|paced| now.saturating_sub(paced.at) < ANSWERS)
            }
            Goal::Rate { .. } | Goal::Closed => false,
        };
        moves && !self.waits(now)
    }

    pub(super) const fn put(&self, direction: Direction) -> Option<Put> {
        match direction {
            Direction::Download => self.download,
            Direction::Upload => self.upload,
        }
    }

    /// Takes back what was done to it, but for its pace. One on which nothing gets through stays demoted until something does: the
    /// scheduler would give it data at once, and the connection would wait for that.
    pub(super) fn release(&self, key: SubflowKey, may_promote: bool, ops: &mut Ordered) {
        if self.demoted.is_some() && may_promote {
            ops.push_first(Op::Promote(key));
        }
        for direction in [Direction::Download, Direction::Upload] {
            if self.put(direction).is_some() {
                ops.push_first(Op::Remove { subflow: key, direction });
            }
        }
    }

    /// It is in no class any more; says where it was.
    pub(super) const fn take_puts(&mut self) -> [(Direction, Option<Put>); 2] {
        [(Direction::Download, self.download.take()), (Direction::Upload, self.upload.take())]
    }

    /// Takes note of what was done.
    pub(super) fn done(&mut self, op: &Op, now: Duration) {
        self.failed.remove(op.as_str());
        match *op {
            Op::Demote(_) => self.demoted = Some(now),
            Op::Promote(_) => (self.demoted, self.opened_at) = (None, Some(now)),
            Op::Pace { rate, probe, .. } => {
                self.paced = Some(Paced { rate: rate.bits_per_second(), at: now, probe });
            }
            Op::Unpace(_) => (self.paced, self.eases) = (None, false),
            Op::Put { direction: Direction::Download, slot, .. } => self.download = Some(Put { slot, at: now }),
            Op::Put { direction: Direction::Upload, slot, .. } => self.upload = Some(Put { slot, at: now }),
            Op::Remove { direction: Direction::Download, .. } => (self.download, self.disarmed) = (None, true),
            Op::Remove { direction: Direction::Upload, .. } => self.upload = None,
            Op::Close(_) => self.closed = true,
            _ => {}
        }
    }

    /// Takes in what is known of it now.
    pub(super) fn look(&mut self, view: &view::Subflow, now: Duration) {
        let count = view.download.saturating_add(view.upload);
        if count > self.counted {
            (self.counted, self.moved) = (count, now);
        }
        self.was_dead |= is_dead(view);
        self.heard = view.heard.map(|ago| now.saturating_sub(ago));
        self.measure(view.download, now);
        let Some(since) = self.demoted.filter(|since| now.saturating_sub(*since) > FRESH) else { return };
        if view.backup_by_us {
            self.overruled = 0;
            return;
        }
        // Somebody else has promoted it, or it was never demoted: it is done again, a few times.
        self.demoted = None;
        self.is_overruled(now.saturating_sub(since), now);
    }

    fn measure(&mut self, download: u64, now: Duration) {
        let rate = self.rate.get_or_insert(Rate { since: now, at: now, count: download, average: None });
        let time = now.saturating_sub(rate.at);
        // A count that stands still may only be old.
        if time < MEASURE || download == rate.count && time < FRESH {
            return;
        }
        let seconds = time.as_secs_f64();
        #[allow(clippy::cast_precision_loss, reason = "a rate, not a count")]
        let new = download.saturating_sub(rate.count) as f64 * 8.0 / seconds;
        let average = rate.average.map_or(new, |average| average + (new - average) * (seconds / 0.5).min(1.0));
        *rate = Rate { since: rate.since, at: now, count: download, average: Some(average) };
    }

    /// What it carries towards the client, where that is known.
    ///
    /// Units:  bit/s
    pub(super) fn rate(&self) -> Option<u64> {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate that was measured")]
        self.rate.as_ref()?.average.map(|average| average as u64)
    }

    /// The least it may be capped at where nothing can be done before its socket: half of what it carried when that began, and nothing
    /// where that is a contract. `None`: what it carries is not known yet.
    ///
    /// Units:  bit/s
    pub(super) fn floor(&mut self) -> Option<u64> {
        if self.intent.as_ref().is_some_and(|intent| intent.enforce == Enforce::Always) {
            return Some(0);
        }
        if self.floor.is_none() {
            let known = self.rate.as_ref().is_some_and(|rate| rate.at.saturating_sub(rate.since) >= KNOWN);
            let half = self.rate().filter(|_| known).map(|rate| on_wire(rate / 2));
            self.floor = if self.counted == 0 { Some(0) } else { half };
        }
        self.floor
    }

    /// Nothing of how it was held counts for the next time.
    pub(super) const fn start_over(&mut self) {
        (self.duty, self.floor) = (None, None);
    }

    /// Whether nothing of what it was given is on its way any more.
    pub(super) fn is_drained(&self, view: &view::Subflow, now: Duration) -> bool {
        match view.queued {
            Some(queued) => queued == 0,
            None => self.demoted.is_some_and(|since| now.saturating_sub(since) >= DRAINED),
        }
    }
}
