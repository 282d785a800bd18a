//! Classes, encoded and decoded.

use crate::abi::route::{self as abi, htb, stats, tca};
use crate::link;
use crate::netlink::Step;
use crate::netlink::attribute::{Attribute, Attributes};

use super::{ClassOp, ClassSpec, Slot, header, rate, slot};

/// A class as the kernel has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Class {
    /// Which.
    pub slot: Slot,
    /// Its rate in bit/s.
    pub rate: u64,
    /// Its ceiling in bit/s.
    pub ceil: u64,
    /// Bytes that may go at once: a little less than asked for, since the kernel counts in ticks.
    pub burst: u64,
    /// What went through it.
    pub stats: ClassStats,
}

/// What went through a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ClassStats {
    /// Bytes sent, with all headers.
    pub bytes: u64,
    /// Packets sent, counted as they were when they came: a large one is one.
    pub packets: u32,
    /// Packets that found its queue full.
    pub drops: u32,
    /// Bytes waiting.
    pub backlog_bytes: u32,
    /// Packets waiting.
    pub backlog_packets: u32,
}

/// The request that makes or changes a class of the link `index`.
pub(super) fn step(index: u32, op: ClassOp, slot: Slot, spec: ClassSpec) -> Step {
    let flags = match op {
        ClassOp::Make => abi::NLM_F_CREATE,
        ClassOp::Change => 0,
    };
    let wide = |rate: u64| Some(rate::bytes(rate)).filter(|&bytes| bytes > u64::from(u32::MAX));
    let request = header(abi::RTM_NEWTCLASS, flags, index, [slot.class(), slot::root(slot.shard())]);
    let request = request.text(tca::KIND, "htb").nest(tca::OPTIONS, |mut options| {
        for (kind, rate) in [(htb::RATE64, spec.rate), (htb::CEIL64, spec.ceiling().0)] {
            if let Some(bytes) = wide(rate) {
                options = options.attribute(kind, &bytes.to_ne_bytes());
            }
        }
        options.attribute(htb::PARMS, &spec.opt())
    });
    Step::new("RTM_NEWTCLASS", format_args!("class {slot} of link {index}"), request)
}

/// The same by `tc`.
#[must_use]
pub(crate) fn line(device: &str, op: ClassOp, slot: Slot, spec: ClassSpec) -> String {
    let op = match op {
        ClassOp::Make => "replace",
        ClassOp::Change => "change",
    };
    format!(
        "tc class {op} dev {device} parent {:x}: classid {slot} htb {}",
        slot::root(slot.shard()) >> 16,
        spec.words()
    )
}

/// Reads a class of our HTB; `None` for others, and without its numbers.
pub(super) fn parse(payload: &[u8]) -> Option<Class> {
    let slot = Slot::of(link::number(payload, abi::TC_HANDLE)?)?;
    let said = Attributes::new(payload.get(abi::TC_HEADER..)?);
    let options = said.find(tca::OPTIONS)?.nested();
    let opt = options.find(htb::PARMS)?.payload;
    let wide = |kind, at: usize| {
        let narrow = || Some(u64::from(link::number(opt, at + htb::SPEC_RATE)?));
        options.find(kind).and_then(|a| a.u64()).or_else(narrow)?.checked_mul(8)
    };
    let rate = wide(htb::RATE64, 0)?;
    Some(Class {
        slot,
        rate,
        ceil: wide(htb::CEIL64, htb::SPEC)?,
        burst: rate::size(rate, link::number(opt, htb::BUFFER)?),
        stats: said.find(tca::STATS2).and_then(|a| statistics(&a))?,
    })
}

fn statistics(nest: &Attribute<'_>) -> Option<ClassStats> {
    let basic = nest.nested().find(stats::BASIC)?.payload;
    let queue = nest.nested().find(stats::QUEUE)?.payload;
    Some(ClassStats {
        bytes: u64::from_ne_bytes(*basic.first_chunk()?),
        packets: link::number(basic, 8)?,
        backlog_packets: link::number(queue, 0)?,
        backlog_bytes: link::number(queue, 4)?,
        drops: link::number(queue, 8)?,
    })
}
