//! One subflow, what was done to it, and the next step to what is aimed at.
//!
//! ```text
//!            ┌────────────────────── release: promote, unpace, remove ──────────────────────┐
//!            ▼                                                                              │
//!   free ─► demote ─► draining ─► drained ─► class, element, pace ─► promote ─► held to a rate
//!              │
//!              └► backup
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use super::goal::Goal;
use super::order::Ordered;
use super::share::Portion;
use super::{Planner, Words};
use crate::intent::{Direction, Intent};
use crate::op::{Op, Slot};
use crate::view::{self, ConnectionKey, SubflowKey, View};
use anabranch_config::{BitRate, Enforce};

/// What a paced socket may hold unsent.
///
/// Source:  measured: with more the scheduler finds room in it when it should not
const UNSENT: u32 = 4096;

/// Where nobody can tell whether a demoted subflow has drained, it has after so long.
const DRAINED: Duration = Duration::from_millis(400);

/// What is known of a subflow is at most so old: before that, a priority that seems not to be ours says nothing.
const FRESH: Duration = Duration::from_millis(1500);

/// Failures of one kind before it is said that it cannot be done.
const TRIES: u32 = 4;

/// After the first failure; doubled by each one more.
const RETRY: Duration = Duration::from_millis(100);

/// Without pacing: how long a subflow is let in for, and over what time it may make up for what it did not send.
const LET_IN: Duration = Duration::from_millis(15);
const MAKE_UP: Duration = Duration::from_millis(200);

/// A paced subflow's pace is changed at most so often, and by steps that are worth it.
const REPACE: Duration = Duration::from_millis(100);
const WORTH: f64 = 0.03;

/// A cap behind a socket that cannot be paced halves what it carries at most, which does no harm, and no faster than this.
const HALVE: Duration = Duration::from_secs(2);

/// A subflow's place in a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Put {
    pub(super) slot: Slot,
    /// When its lease began.
    at: Duration,
}

/// How a socket is paced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Paced {
    /// Units:  bit/s of payload
    pub(super) rate: u64,
    at: Duration,
}

/// What failed, and when it is tried again.
#[derive(Debug, Clone)]
struct Failed {
    count: u32,
    until: Duration,
    message: String,
}

/// One subflow.
#[derive(Debug)]
pub(super) struct Subflow {
    pub(super) goal: Goal,
    /// The last intent about it.
    pub(super) intent: Option<Intent>,
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
    counted: u64,
    closed: bool,
    /// What a rule of the kernel's may have put it into has been taken back, if that was to be.
    disarmed: bool,
    failed: BTreeMap<&'static str, Failed>,
    /// Without pacing: since when, and from what count on, it is let in for moments.
    duty: Option<(Duration, u64)>,
    opened_at: Option<Duration>,
    /// What a cap that may only halve stands at.
    ///
    /// Units:  bit/s
    cap: Option<(Duration, u64)>,
    rate: Option<(Duration, u64, f64)>,
}

impl Subflow {
    pub(super) const fn new(now: Duration) -> Self {
        Self {
            goal: Goal::Free,
            intent: None,
            why: None,
            since: now,
            demoted: None,
            paced: None,
            download: None,
            upload: None,
            moved: Duration::ZERO,
            counted: 0,
            closed: false,
            disarmed: false,
            failed: BTreeMap::new(),
            duty: None,
            opened_at: None,
            cap: None,
            rate: None,
        }
    }

    /// Something is being done to it.
    pub(super) const fn is_touched(&self) -> bool {
        self.demoted.is_some() || self.paced.is_some() || self.download.is_some() || self.upload.is_some()
    }

    /// It is held, or about to be.
    pub(super) fn is_held(&self) -> bool {
        self.is_touched() || self.goal != Goal::Free
    }

    /// It is on its way to another state.
    pub(super) const fn moves(&self) -> bool {
        match self.goal {
            Goal::Rate { download: Some(_), .. } => self.demoted.is_some() || self.duty.is_some(),
            Goal::Free => self.is_touched(),
            Goal::Backup => self.demoted.is_none() || self.paced.is_some(),
            Goal::Rate { .. } | Goal::Closed => false,
        }
    }

    pub(super) const fn put(&self, direction: Direction) -> Option<Put> {
        match direction {
            Direction::Download => self.download,
            Direction::Upload => self.upload,
        }
    }

    /// Why an operation cannot be done, if it has failed too often.
    pub(super) fn cannot(&self, op: &str) -> Option<&str> {
        self.failed.get(op).filter(|failed| failed.count >= TRIES).map(|failed| failed.message.as_str())
    }

    /// Everything that failed, in words.
    pub(super) fn failures(&self) -> impl Iterator<Item = String> {
        self.failed.iter().map(|(op, failed)| format!("{op} failed {} times: {}", failed.count, failed.message))
    }

    fn may_try(&self, op: &str, now: Duration) -> bool {
        self.failed.get(op).is_none_or(|failed| now >= failed.until)
    }

    /// Takes back what was done to it.
    pub(super) fn release(&self, key: SubflowKey, ops: &mut Ordered) {
        if self.demoted.is_some() {
            ops.push_first(Op::Promote(key));
        }
        if self.paced.is_some() {
            ops.push_first(Op::Unpace(key));
        }
        for (direction, put) in [(Direction::Download, self.download), (Direction::Upload, self.upload)] {
            if put.is_some() {
                ops.push_first(Op::Remove { subflow: key, direction });
            }
        }
    }

    /// Takes note of what was done.
    pub(super) fn done(&mut self, op: &Op, now: Duration) {
        self.failed.remove(op.as_str());
        match *op {
            Op::Demote(_) => self.demoted = Some(now),
            Op::Promote(_) => (self.demoted, self.opened_at) = (None, Some(now)),
            Op::Pace { rate, .. } => self.paced = Some(Paced { rate: rate.bits_per_second(), at: now }),
            Op::Unpace(_) => self.paced = None,
            Op::Put { direction: Direction::Download, slot, .. } => self.download = Some(Put { slot, at: now }),
            Op::Put { direction: Direction::Upload, slot, .. } => self.upload = Some(Put { slot, at: now }),
            Op::Remove { direction: Direction::Download, .. } => (self.download, self.disarmed) = (None, true),
            Op::Remove { direction: Direction::Upload, .. } => self.upload = None,
            Op::Close(_) => self.closed = true,
            _ => {}
        }
    }

    /// Takes note of what could not be done.
    pub(super) fn failed(&mut self, op: &Op, message: String, now: Duration) {
        let failed = self.failed.entry(op.as_str()).or_insert(Failed { count: 0, until: now, message: String::new() });
        failed.count += 1;
        failed.until = now + RETRY * 2_u32.saturating_pow(failed.count.min(10));
        failed.message = message;
    }

    /// Takes in what is known of it now.
    fn look(&mut self, view: &view::Subflow, now: Duration) {
        let count = view.download.saturating_add(view.upload);
        if count > self.counted {
            (self.counted, self.moved) = (count, now);
        }
        self.measure(view.download, now);
        // Somebody else has promoted it, or it was never demoted: it is done again, a few times.
        if let Some(since) = self.demoted
            && !view.backup_by_us
            && now.saturating_sub(since) > FRESH
        {
            self.demoted = None;
        }
    }

    fn measure(&mut self, download: u64, now: Duration) {
        let Some((at, before, rate)) = self.rate else {
            self.rate = Some((now, download, 0.0));
            return;
        };
        let seconds = now.saturating_sub(at).as_secs_f64();
        if seconds < 0.2 {
            return;
        }
        #[allow(clippy::cast_precision_loss, reason = "a rate, not a count")]
        let new = download.saturating_sub(before) as f64 * 8.0 / seconds;
        self.rate = Some((now, download, rate + (new - rate) * (seconds / 0.5).min(1.0)));
    }

    /// What it carries towards the client.
    ///
    /// Units:  bit/s
    pub(super) fn rate(&self) -> f64 {
        self.rate.map_or(0.0, |(_, _, rate)| rate)
    }

    /// The least it may be capped at where nothing can be done before its socket: half of what it carried when that began. `None`: a
    /// contract has no such floor.
    ///
    /// Units:  bit/s
    pub(super) fn floor(&mut self, now: Duration) -> Option<u64> {
        if self.intent.as_ref().is_some_and(|intent| intent.enforce == Enforce::Always) {
            return None;
        }
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate that was measured")]
        let carried = self.rate() as u64;
        Some(self.cap.get_or_insert((now, carried / 2)).1)
    }

    /// Whether nothing of what it was given is on its way any more.
    fn is_drained(&self, view: &view::Subflow, now: Duration) -> bool {
        match view.queued {
            Some(queued) => queued == 0,
            None => self.demoted.is_some_and(|since| now.saturating_sub(since) >= DRAINED),
        }
    }
}

/// What a step may use.
#[derive(Debug, Clone, Copy)]
struct Means {
    demote: bool,
    pace: bool,
}

impl Planner {
    /// The next step of every subflow.
    pub(super) fn subflows(&mut self, view: &View, ops: &mut Ordered) {
        for connection in &view.connections {
            let ours = matches!(connection.key, ConnectionKey::Ours(_));
            let refused = self.connections.get(&connection.key).is_some_and(|one| one.cannot_demote.is_some());
            let means = Means { demote: self.abilities.demote && ours && !refused, pace: self.abilities.pace && ours };
            for (key, seen) in connection.keyed() {
                let Some(mut subflow) = self.subflows.remove(&key) else { continue };
                subflow.look(seen, self.now);
                if let Some(why) = subflow.cannot("demote").map(str::to_owned)
                    && let Some(known) = self.connections.get_mut(&connection.key)
                    && known.cannot_demote.is_none()
                {
                    known.cannot_demote = Some(why);
                }
                self.step(key, seen, &mut subflow, means, ops);
                self.subflows.insert(key, subflow);
            }
        }
    }

    fn step(&mut self, key: SubflowKey, seen: &view::Subflow, subflow: &mut Subflow, means: Means, ops: &mut Ordered) {
        match subflow.goal.clone() {
            Goal::Free => {
                (subflow.duty, subflow.cap) = (None, None);
                subflow.release(key, ops);
                let joined = seen.kind != Some(anabranch_sniffer::SubflowKind::Initial);
                if joined && subflow.download.is_none() && !subflow.disarmed && !self.armed.is_empty() {
                    ops.push_first(Op::Remove { subflow: key, direction: Direction::Download });
                }
            }
            Goal::Backup => {
                subflow.duty = None;
                self.demote(key, subflow, means, ops);
                if subflow.paced.is_some() && subflow.demoted.is_some() && subflow.is_drained(seen, self.now) {
                    ops.push(Op::Unpace(key));
                }
                // Nothing is in the way of what it has still to send.
                for direction in [Direction::Download, Direction::Upload] {
                    let armed = direction == Direction::Download && !subflow.disarmed && !self.armed.is_empty();
                    if subflow.put(direction).is_some() || armed {
                        ops.push(Op::Remove { subflow: key, direction });
                    }
                }
            }
            Goal::Closed => {
                if means.demote && !subflow.closed && subflow.may_try("close", self.now) {
                    ops.push(Op::Close(key));
                }
            }
            Goal::Rate { download, upload } => {
                match download.and_then(|(key, _)| self.pool.portions.get(&key).copied()) {
                    Some(portion) => self.hold(key, seen, subflow, (portion, means), ops),
                    None if subflow.download.is_some() => {
                        ops.push(Op::Remove { subflow: key, direction: Direction::Download })
                    }
                    None => {}
                }
                match upload.and_then(|(key, _)| self.pool.portions.get(&key).copied()) {
                    Some(Portion { slot: Some(slot), .. }) => self.put(key, subflow, (Direction::Upload, slot), ops),
                    _ if subflow.upload.is_some() => {
                        ops.push(Op::Remove { subflow: key, direction: Direction::Upload })
                    }
                    _ => {}
                }
            }
        }
    }

    fn demote(&mut self, key: SubflowKey, subflow: &Subflow, means: Means, ops: &mut Ordered) {
        if means.demote && subflow.demoted.is_none() {
            if subflow.may_try("demote", self.now) {
                ops.push(Op::Demote(key));
            } else {
                self.due(self.now + RETRY);
            }
        }
    }

    /// A subflow that is to carry a rate towards the client.
    fn hold(
        &mut self,
        key: SubflowKey,
        seen: &view::Subflow,
        subflow: &mut Subflow,
        (portion, means): (Portion, Means),
        ops: &mut Ordered,
    ) {
        match (means.pace && subflow.cannot("pace").is_none(), means.demote) {
            (true, demote) => self.pace(key, seen, subflow, (portion, demote), ops),
            (false, true) => self.let_in(key, seen, subflow, (portion, means), ops),
            (false, false) => self.cap(key, subflow, portion, ops),
        }
    }

    /// Paces its socket: at once where that does no harm, else when it has drained.
    fn pace(
        &mut self,
        key: SubflowKey,
        seen: &view::Subflow,
        subflow: &mut Subflow,
        (portion, demote): (Portion, bool),
        ops: &mut Ordered,
    ) {
        let now = self.now;
        let wanted = portion.pace;
        // A socket with so little unsent changes its pace without harm, up and down (measured: 10 to 2 and 30 to 5 Mbit/s, no dip).
        let gentle = subflow.paced.is_some();
        let quiet = seen.sent == 0 || subflow.demoted.is_some() && subflow.is_drained(seen, now);
        if !(gentle || quiet) && demote {
            let means = Means { demote, pace: true };
            return self.demote(key, subflow, means, ops);
        }
        let step = if gentle || quiet { wanted } else { halved(subflow, wanted, now) };
        if let Some(slot) = portion.slot {
            self.put(key, subflow, (Direction::Download, slot), ops);
        }
        if differs(subflow.paced, step, now) && subflow.may_try("pace", now) {
            if let Some(rate) = BitRate::from_bits_per_second(step) {
                ops.push(Op::Pace { subflow: key, rate, unsent: UNSENT });
            }
        } else if subflow.demoted.is_some() && subflow.paced.is_some() {
            ops.push(Op::Promote(key));
        }
    }

    /// Lets it in for moments: what can be done without pacing. What was sent in one of them is all that waits in it.
    fn let_in(
        &mut self,
        key: SubflowKey,
        seen: &view::Subflow,
        subflow: &mut Subflow,
        (portion, means): (Portion, Means),
        ops: &mut Ordered,
    ) {
        let now = self.now;
        if subflow.duty.is_none() && subflow.demoted.is_none() {
            return self.demote(key, subflow, means, ops);
        }
        if subflow.download.is_some() {
            ops.push(Op::Remove { subflow: key, direction: Direction::Download });
        }
        let (since, from) = *subflow.duty.get_or_insert((now, seen.sent));
        let allowed =
            |time: Duration| u64::try_from(u128::from(portion.pace) * time.as_micros() / 8_000_000).unwrap_or(u64::MAX);
        let (may, has) = (allowed(now.saturating_sub(since)), seen.sent.saturating_sub(from));
        match subflow.demoted {
            Some(_) if has < may && subflow.is_drained(seen, now) => {
                // What was not sent for long is not made up for at once.
                if may - has > allowed(MAKE_UP) {
                    subflow.duty = Some((now.saturating_sub(MAKE_UP), seen.sent));
                }
                ops.push(Op::Promote(key));
            }
            None if now.saturating_sub(subflow.opened()) >= LET_IN || has >= may => ops.push(Op::Demote(key)),
            _ => {}
        }
        self.due(now + Duration::from_millis(5));
    }

    /// Caps what leaves its socket; how low, the class knows.
    fn cap(&mut self, key: SubflowKey, subflow: &Subflow, portion: Portion, ops: &mut Ordered) {
        let Some(slot) = portion.slot else { return };
        self.put(key, subflow, (Direction::Download, slot), ops);
    }

    /// Puts its packets into a class, or renews that when half of the lease is over.
    fn put(&mut self, key: SubflowKey, subflow: &Subflow, (direction, slot): (Direction, Slot), ops: &mut Ordered) {
        if !self.abilities.cap || !subflow.may_try("put", self.now) {
            return;
        }
        match subflow.put(direction) {
            Some(put) if put.slot == slot => {
                let renewal = put.at + self.settings.lease / 2 - spread(key, self.settings.lease / 4);
                if self.now >= renewal {
                    ops.push(Op::Put { subflow: key, direction, slot });
                } else {
                    self.due(renewal);
                }
            }
            _ => ops.push(Op::Put { subflow: key, direction, slot }),
        }
    }
}

impl Subflow {
    /// When it was let in last.
    fn opened(&self) -> Duration {
        self.opened_at.unwrap_or(self.since)
    }
}

/// At most half of what it carries, and again half of that after a while.
fn halved(subflow: &mut Subflow, wanted: u64, now: Duration) -> u64 {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate that was measured")]
    let carried = subflow.rate() as u64;
    let (at, cap) = *subflow.cap.get_or_insert((now, carried / 2));
    if cap > wanted && now.saturating_sub(at) >= HALVE {
        subflow.cap = Some((now, (cap / 2).max(wanted)));
    }
    subflow.cap.map_or(wanted, |(_, cap)| cap.max(wanted))
}

/// Whether a socket's pace is worth changing.
#[allow(clippy::cast_precision_loss, reason = "a proportion")]
fn differs(paced: Option<Paced>, wanted: u64, now: Duration) -> bool {
    let Some(paced) = paced else { return true };
    let step = (wanted as f64 - paced.rate as f64).abs() / paced.rate.max(1) as f64;
    step > WORTH && now.saturating_sub(paced.at) >= REPACE
}

/// A part of a time, another one for every subflow, so that not all leases are renewed at once.
fn spread(key: SubflowKey, most: Duration) -> Duration {
    let port = u32::from(key.flow.destination().port());
    // Neighbouring ports far apart: a multiplication by the golden ratio of 2^32.
    let part = port.wrapping_mul(0x9e37_79b9) >> 22;
    most * part / 1024
}
