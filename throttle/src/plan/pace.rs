//! Holding a subflow to a rate at its socket: no more is given to it than it may send.
//!
//! A socket that has much to send already is demoted first and paced when it has drained; one that has no place in its class stays
//! demoted. Where it cannot be demoted, does not drain, or would go on sending since there is no other (a contract holds the last one
//! too), what it may hold unsent is bounded first, and its pace then comes down by halves: so its window shrinks before the scheduler
//! waits for it.

use std::time::Duration;

use super::Planner;
use super::order::Ordered;
use super::places::WORTH;
use super::share::Portion;
use super::subflow::{Paced, Subflow};
use crate::intent::Direction;
use crate::op::Op;
use crate::view::{self, SubflowKey};
use anabranch_config::{BitRate, Enforce};

/// What a paced socket may hold unsent.
///
/// Source:  measured: with more the scheduler finds room in it when it should not
const UNSENT: u32 = 4096;

/// A paced subflow's pace is changed at most so often, and by steps that are worth it.
const REPACE: Duration = Duration::from_millis(100);
const STEP: f64 = 0.03;

/// No limit, but for what is unsent.
///
/// Units:  bit/s
pub(super) const OPEN: u64 = 32_000_000_000;

/// With little room for unsent data, a busy socket is left alone so long before its pace is lowered: the first where it has sent
/// what it held, the second where nobody can tell.
///
/// Source:  measured: no window below 0.94 at 0 to 40 ms of round trip, as with the next
const EASE: Duration = Duration::from_millis(300);
const EASE_LONG: Duration = Duration::from_millis(600);

/// A demoted socket that has not drained by then goes on being used: where the others of its connection make no progress for some
/// time, as in a queue with many, the kernel takes them for stale and uses backups (`mptcp_pm_subflow_chk_stale`, net/mptcp/pm.c, 6.18).
const NEVER_DRAINS: Duration = Duration::from_secs(1);

/// What was held may hold little unsent for so long after.
///
/// Source:  measured with bbr at 40 ms of round trip: delivery's lowest window 0.53–0.88 of the free path without
pub(super) const LET_OFF: Duration = Duration::from_millis(1_000);

/// What a demoted socket is paced at least at: a pace that is raised holds from the next acknowledgement on (`sk_pacing_rate`,
/// net/ipv4/tcp_input.c, 6.18), and what is sent before that is waited for at the old one. Measured: 12 KB at 60 kbit/s, and the
/// connection stood still for 1.4 s.
///
/// Units:  bit/s
pub(super) const LITTLE: u64 = 4_000_000;

/// What was dead itself and is now the only way is let in with [`LITTLE`] for so long after the other one died: three of the kernel's
/// timeouts. What a connection waits for is sent again as a whole only once the dead subflow counts as stale, and that only if another one
/// does not; the count of one that was dead before is set back when a timeout finds it busy and heard of (`mptcp_pm_subflow_chk_stale`,
/// net/mptcp/pm.c, 6.18). As fast as it can it is idle by then, and 32 KB are sent again at each timeout: connections of a megabyte
/// in flight stood still for more than three seconds (seed 61 of do-no-harm, in 12 of 13 plays).
const RECOVERS: Duration = Duration::from_millis(700);

/// Who does not answer is asked again after so long.
const AGAIN: Duration = Duration::from_secs(5);

/// From then on its pace is halved this often.
const HALVE: Duration = Duration::from_millis(50);

impl Planner {
    /// Paces its socket: at once where that does no harm, else when it has drained.
    pub(super) fn pace(
        &mut self,
        key: SubflowKey,
        seen: &view::Subflow,
        (subflow, portion): (&mut Subflow, Portion),
        ops: &mut Ordered,
    ) {
        let now = self.now;
        let wanted = if subflow.waits && subflow.demoted.is_some() { portion.pace.max(LITTLE) } else { portion.pace };
        subflow.duty = None;
        subflow.eases &= subflow.paced.is_none_or(|paced| paced.rate > wanted);
        let drained = subflow.demoted.is_some() && subflow.is_drained(seen, now);
        // A socket with so little unsent changes its pace without harm, up and down (measured: 10 to 2 and 30 to 5 Mbit/s, no dip).
        let gentle = subflow.paced.is_some_and(|paced| paced.rate != OPEN) && !subflow.eases;
        if !(gentle || drained || seen.sent == 0) {
            return match subflow.demoted {
                _ if subflow.alone || !self.means(key.connection).demote && subflow.demoted.is_none() => {
                    self.ease(key, seen, (subflow, wanted), ops);
                }
                None => self.demote(key, subflow, ops),
                Some(since) if subflow.eases || now.saturating_sub(since) > NEVER_DRAINS => {
                    self.ease(key, seen, (subflow, wanted), ops);
                }
                Some(since) => self.due(since + NEVER_DRAINS),
            };
        }
        subflow.eases = false;
        match portion.slot {
            _ if subflow.stays_out(&portion) => self.take_out(key, subflow, ops),
            Some(slot) => self.put(key, subflow, (Direction::Download, slot), ops),
            None => {}
        }
        // Once it has answered, it need not ask any more.
        let unproven = drained && self.is_unproven(key, subflow);
        let asks = subflow.paced.is_some_and(|paced| paced.probe) && subflow.demoted.is_none();
        if unproven && !subflow.waits {
            self.ask(key, subflow, wanted, ops);
        } else if differs(subflow.paced, wanted, now) || asks {
            push(key, wanted, false, ops);
        } else if subflow.waits {
            self.demote(key, subflow, ops);
        } else if drained || subflow.demoted.is_some() && subflow.alone {
            ops.push(Op::Promote(key));
        }
    }

    /// Lifts the pace of its socket, and what it may hold unsent a little later: a socket that has just been let go is slow still (bbr
    /// takes what it was paced at for what its path carries), and a burst of 64 KiB would hold up the others for as long as it takes.
    pub(super) fn let_off(&mut self, key: SubflowKey, subflow: &Subflow, ops: &mut Ordered) {
        let Some(paced) = subflow.paced else { return };
        let gone = paced.rate == OPEN && self.now.saturating_sub(paced.at) >= LET_OFF;
        if self.leaving || subflow.alone || gone || subflow.cannot("pace").is_some() {
            ops.push_first(Op::Unpace(key));
        } else if paced.rate != OPEN {
            push(key, OPEN, false, ops);
        } else {
            self.due(paced.at + LET_OFF);
        }
    }

    /// Lets it in with little for a moment, where that is better than whole.
    pub(super) fn lets_in_slowly(
        &mut self,
        key: SubflowKey,
        seen: &view::Subflow,
        subflow: &Subflow,
        ops: &mut Ordered,
    ) -> bool {
        let dead = self.connections.get(&key.connection).and_then(|connection| connection.dead);
        let Some(until) = dead.map(|dead| dead + RECOVERS).filter(|until| *until > self.now) else { return false };
        let able = self.means(key.connection).pace && subflow.cannot("pace").is_none() && !self.leaving;
        let held = subflow.is_touched() && subflow.paced.is_none_or(|paced| paced.rate != OPEN);
        // What it still holds is to be sent as fast as it can.
        let drained = subflow.demoted.is_none() || subflow.is_drained(seen, self.now);
        if !(able && held && drained && subflow.was_dead && seen.is_live()) {
            return false;
        }
        if subflow.paced.is_none_or(|paced| paced.rate != LITTLE)
            && let Some(rate) = BitRate::from_bits_per_second(LITTLE)
        {
            ops.push_first(Op::Pace { subflow: key, rate, unsent: UNSENT, probe: false });
        }
        self.due(until);
        true
    }

    /// Whether nobody knows that its path works. Let in whole, it would be given hundreds of kilobytes at once, and if its path died while
    /// it was a backup, the connection stood still for a second.
    pub(super) fn is_unproven(&self, key: SubflowKey, subflow: &Subflow) -> bool {
        let able = self.means(key.connection).pace && subflow.cannot("pace").is_none();
        let probed = subflow.paced.is_some_and(|paced| paced.probe);
        let unproven = if probed { subflow.is_unanswered() } else { subflow.is_silent(self.now) };
        subflow.demoted.is_some() && unproven && able && !subflow.alone && !self.leaving
    }

    /// Has its socket ask its client for a sign of life, again and again until one comes.
    pub(super) fn ask(&mut self, key: SubflowKey, subflow: &Subflow, rate: u64, ops: &mut Ordered) {
        let asked = subflow.paced.filter(|paced| paced.probe && paced.rate >= rate).map(|paced| paced.at + AGAIN);
        match asked.filter(|due| *due > self.now) {
            Some(due) => self.due(due),
            None => push(key, rate, true, ops),
        }
    }

    /// Brings down the pace of a busy socket that cannot be demoted.
    fn ease(
        &mut self,
        key: SubflowKey,
        seen: &view::Subflow,
        (subflow, wanted): (&mut Subflow, u64),
        ops: &mut Ordered,
    ) {
        subflow.eases = true;
        let Some(paced) = subflow.paced else { return push(key, OPEN, false, ops) };
        let carried = subflow.rate().unwrap_or_default();
        let (wait, next) = if paced.rate == OPEN {
            (if is_unburdened(seen, carried) { EASE } else { EASE_LONG }, carried / 2)
        } else {
            (HALVE, paced.rate / 2)
        };
        let due = paced.at + wait;
        if self.now >= due {
            push(key, next.max(wanted), false, ops);
        } else {
            self.due(due);
        }
    }
}

impl Subflow {
    /// A rate that has no place for anybody: it is a backup, to be used when nothing else gets through, and then a class of that rate must
    /// not be in its way. Measured: three packets stood in one of 64 kbit/s for 0.7 s when the other path died, what was sent after the
    /// release overtook them, and the window fell from 106 segments to 17 for a loss that was none. A contract holds all the same.
    fn stays_out(&self, portion: &Portion) -> bool {
        let contract = self.intent.as_ref().is_some_and(|intent| intent.enforce == Enforce::Always);
        self.waits && self.demoted.is_some() && portion.rate < WORTH && !contract
    }
}

/// Whether it holds little more than what is on its way at its rate.
fn is_unburdened(seen: &view::Subflow, carried: u64) -> bool {
    let rtt = seen.rtt.unwrap_or_default().as_micros();
    let on_its_way = u128::from(carried) * rtt / 8_000_000;
    seen.queued.is_some_and(|queued| u128::from(queued) <= on_its_way + u128::from(2 * UNSENT))
}

fn push(subflow: SubflowKey, rate: u64, probe: bool, ops: &mut Ordered) {
    if let Some(rate) = BitRate::from_bits_per_second(rate) {
        ops.push(Op::Pace { subflow, rate, unsent: UNSENT, probe });
    }
}

/// Whether a socket's pace is worth changing.
#[allow(clippy::cast_precision_loss, reason = "a proportion")]
fn differs(paced: Option<Paced>, wanted: u64, now: Duration) -> bool {
    let Some(paced) = paced else { return true };
    let step = (wanted as f64 - paced.rate as f64).abs() / paced.rate.max(1) as f64;
    step > STEP && (paced.rate == OPEN || now.saturating_sub(paced.at) >= REPACE)
}
