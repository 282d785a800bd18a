//! What each subflow of a class may be paced at: together they are to fill the class, and not to overflow it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Planner;
use super::goal::Goal;
use super::order::Ordered;
use crate::intent::{Ceiling, ClassKey};
use crate::op::{Op, Slot};
use crate::rung::Rung;
use anabranch_config::{BitRate, ByteSize};

/// Of a rate on the wire, what is payload when headers and options are taken off, and a little less.
///
/// Source:  measured: 0.94 holds the class behind it at its rate without filling it
const PAYLOAD: (u64, u64) = (94, 100);

/// A subflow counts as one that shares while it moved something within this time.
pub(super) const IDLE: Duration = Duration::from_secs(1);

/// Two of the chunks that a paced socket sends at once: with less it is the class that makes the round-trip times. A class of the second
/// rate and more takes as much without being told.
///
/// Units:  bytes, bit/s
const ROOM: u64 = 18 * 1024;
const ROOMY: u64 = 36_000_000;

/// No socket is paced below this: its timers would starve it.
const LEAST: u64 = 16_000;

/// Those that share a class.
struct Members {
    ceiling: Ceiling,
    all: u64,
    active: u64,
    /// Together they are not to be capped below this.
    ///
    /// Units:  bit/s
    floor: u64,
    /// One of them is held by the class alone.
    behind: bool,
}

/// What a class's members get.
#[derive(Debug, Clone, Copy)]
pub(super) struct Portion {
    /// The class, where one could be had.
    pub(super) slot: Option<Slot>,
    /// Payload for each member.
    ///
    /// Units:  bit/s
    pub(super) pace: u64,
    /// Payload for all of them together.
    ///
    /// Units:  bit/s
    pub(super) rate: u64,
}

/// What of a rate on the wire is payload.
///
/// Units:  bit/s
pub(super) const fn payload(rate: BitRate) -> u64 {
    rate.bits_per_second() / PAYLOAD.1 * PAYLOAD.0
}

/// The rate on the wire that so much payload takes.
///
/// Units:  bit/s
pub(super) const fn on_wire(payload: u64) -> u64 {
    payload / PAYLOAD.0 * PAYLOAD.1
}

/// The class of paced sockets takes two chunks at once where nothing else is said.
fn with_room(ceiling: Ceiling) -> Ceiling {
    let is_said = ceiling.burst.is_some() || ceiling.ceil.is_some();
    let burst =
        if is_said || ceiling.rate.bits_per_second() >= ROOMY { ceiling.burst } else { ByteSize::from_bytes(ROOM) };
    Ceiling { burst, ..ceiling }
}

impl Planner {
    /// Gives every class its slot, its rate, and its members their portions.
    pub(super) fn classes(&mut self, ops: &mut Ordered) {
        let mut members: BTreeMap<ClassKey, Members> = BTreeMap::new();
        let now = self.now;
        let mut subflows = std::mem::take(&mut self.subflows);
        for (key, subflow) in &mut subflows {
            let Goal::Rate { download, upload } = subflow.goal.clone() else { continue };
            let behind = self.rung(*key, subflow) == Rung::Cap;
            let floor = if behind { subflow.floor().unwrap_or_default() } else { 0 };
            let here = u64::from(!subflow.waits);
            let active = here * u64::from(subflow.is_active(now));
            for (key, ceiling) in [download, upload].into_iter().flatten() {
                let members =
                    members.entry(key).or_insert(Members { ceiling, all: 0, active: 0, floor: 0, behind: false });
                members.all += here;
                members.active += active;
                members.floor += floor;
                members.behind |= behind;
            }
        }
        self.subflows = subflows;
        let mut portions = BTreeMap::new();
        for (key, Members { ceiling: wanted, all, active, floor, behind }) in members {
            // Behind the sockets a cap much below what they carry holds up whole connections.
            let least = BitRate::from_bits_per_second(floor).filter(|floor| *floor > wanted.rate);
            let ceiling = least.map_or(wanted, |rate| Ceiling { rate, ceil: None, burst: None });
            let ceiling = if behind { ceiling } else { with_room(ceiling) };
            let slot = if self.abilities.cap { self.pool.class(&key) } else { None };
            if let Some(slot) = slot
                && self.pool.set(slot, ceiling)
            {
                ops.push(Op::SetClass { slot, ceiling });
            }
            let sharers = if active == 0 { all } else { active };
            let rate = payload(wanted.rate);
            portions.insert(key, Portion { slot, pace: (rate / sharers.max(1)).max(LEAST), rate });
        }
        self.pool.portions = portions;
    }
}
