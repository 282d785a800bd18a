//! What could not be done to a subflow, and when it is tried again.

use std::time::Duration;

use super::super::explain::times;
use super::{Put, Subflow};
use crate::intent::Direction;
use crate::op::Op;

/// Failures of one kind before it is said that it cannot be done.
const TRIES: u32 = 4;

/// After the first failure; doubled by each one more, up to the longest.
const RETRY: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(10);

/// What failed, and when it is tried again.
#[derive(Debug)]
pub(super) struct Failed {
    count: u32,
    until: Duration,
    message: String,
}

impl Failed {
    fn words(&self, op: &str) -> String {
        format!("{op} failed {}: {}", times(self.count), self.message)
    }
}

impl Subflow {
    /// Why an operation cannot be done, if it has failed too often.
    pub(in crate::plan) fn cannot(&self, op: &str) -> Option<&str> {
        self.failed.get(op).filter(|failed| failed.count >= TRIES).map(|failed| failed.message.as_str())
    }

    /// Everything that failed, in words.
    pub(in crate::plan) fn failures(&self) -> impl Iterator<Item = String> {
        self.failed.iter().map(|(op, failed)| failed.words(op))
    }

    /// Until when an operation is not tried again.
    pub(in crate::plan) fn waits_until(&self, op: &str) -> Option<Duration> {
        self.failed.get(op).map(|failed| failed.until).into_iter().chain([self.absent.1]).max()
    }

    /// Forgets what failed.
    pub(in crate::plan) fn try_at_once(&mut self) {
        self.failed.clear();
        self.absent = (0, Duration::ZERO);
    }

    /// It waits for another try.
    pub(super) fn waits(&self, now: Duration) -> bool {
        now < self.absent.1 || self.failed.values().any(|failed| now < failed.until)
    }

    /// It is still demoted, since giving that up failed.
    pub(in crate::plan) fn is_stuck(&self) -> bool {
        self.demoted.is_some() && self.failed.contains_key("promote")
    }

    /// Takes note of what could not be done; says when it is tried again.
    pub(in crate::plan) fn failed(&mut self, op: &Op, message: String, now: Duration) -> Duration {
        let count = self.failed.get(op.as_str()).map_or(1, |failed| failed.count.saturating_add(1));
        let until = now + pause(count);
        self.failed.insert(op.as_str(), Failed { count, until, message });
        until
    }

    /// Why an operation that has just failed is given up for another rung: said once. What has no other rung is tried again for ever.
    pub(in crate::plan) fn has_just_given_up(&self, op: &Op) -> Option<&str> {
        let failed = self.failed.get(op.as_str()).filter(|failed| failed.count == TRIES)?;
        matches!(op, Op::Demote(_) | Op::Pace { .. }).then_some(failed.message.as_str())
    }

    /// What has failed, and may still come about, in words.
    pub(in crate::plan) fn fails(&self) -> Option<String> {
        self.failed.iter().find(|(_, failed)| failed.count < TRIES).map(|(op, failed)| failed.words(op))
    }

    /// The kernel says that it is not there: nothing of what was done to it is, and nothing is done for a while.
    pub(in crate::plan) fn vanish(&mut self, now: Duration) -> [(Direction, Option<Put>); 2] {
        (self.demoted, self.paced, self.duty, self.eases) = (None, None, None, false);
        let again = now.saturating_sub(self.absent.1) < LONGEST;
        let count = if again { self.absent.0.saturating_add(1) } else { 1 };
        self.absent = (count, now + pause(count));
        self.take_puts()
    }

    /// Somebody else has promoted it: after a few times that is how it stays.
    pub(super) fn is_overruled(&mut self, after: Duration, now: Duration) {
        self.overruled += 1;
        if self.overruled >= TRIES {
            let message = format!("somebody else has promoted it, and that since {} s", after.as_secs());
            self.failed.insert("demote", Failed { count: TRIES, until: now + LONGEST, message });
        }
    }
}

/// After so many failures in a row.
fn pause(count: u32) -> Duration {
    RETRY.saturating_mul(2_u32.saturating_pow(count.saturating_sub(1))).min(LONGEST)
}
