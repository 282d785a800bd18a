//! Holding a subflow to a rate by its priority alone: it is let in for moments.

use std::time::Duration;

use super::Planner;
use super::order::Ordered;
use super::share::Portion;
use super::subflow::Subflow;
use crate::op::Op;
use crate::view::{self, SubflowKey};

/// How long a subflow is let in for, and over what time it may make up for what it did not send.
const LET_IN: Duration = Duration::from_millis(5);
const MAKE_UP: Duration = Duration::from_millis(200);

/// So often it is looked at what it has sent.
const LOOK: Duration = Duration::from_millis(5);

impl Planner {
    /// Lets it in for moments: what can be done without pacing. What was sent in one of them is all that waits in it.
    pub(super) fn let_in(
        &mut self,
        key: SubflowKey,
        seen: &view::Subflow,
        (subflow, portion): (&mut Subflow, Portion),
        ops: &mut Ordered,
    ) {
        let now = self.now;
        subflow.eases = false;
        if subflow.duty.is_none() && subflow.demoted.is_none() {
            return self.demote(key, subflow, ops);
        }
        // A class at its rate would hold up what it sends at once.
        self.take_out(key, subflow, ops);
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
        self.due(now + LOOK);
    }
}

impl Subflow {
    /// When it was let in last.
    fn opened(&self) -> Duration {
        self.opened_at.unwrap_or(self.since)
    }
}
