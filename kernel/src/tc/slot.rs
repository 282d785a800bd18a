//! Which class is whose.

use std::fmt;

/// The major number of the first HTB, `ab0:`. A packet keeps the number of its class when it is back on its way, where another
/// HTB with that number may be the root: so it is one that nobody else takes.
const FIRST_MAJOR: u32 = 0xab0;
/// Classes under one HTB. Making one costs the kernel a look at all others there.
const SHARD: u16 = 1024;
/// The last four bits of a class are what many queueing disciplines take a packet's priority from: zero is that of all traffic.
const PRIORITY_BITS: u32 = 4;

/// The number of a class in the pool.
///
/// Shape:   1..=[`Slot::MOST`]; the class of slot 1 is `ab0:10`, of slot 2 `ab0:20`, of slot 1025 `ab1:10`
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u16);

impl Slot {
    /// Most slots there can be.
    pub const MOST: u16 = 60_000;

    /// The number of the HTB, and of the IFB, it is on.
    pub(crate) const fn shard(self) -> u16 {
        self.0.saturating_sub(1) / SHARD
    }

    /// The first slot on an HTB.
    pub(crate) const fn first(shard: u16) -> Self {
        Self(shard * SHARD + 1)
    }

    /// The last slot on the same HTB.
    pub(crate) const fn last_beside(self) -> Self {
        Self((self.shard() + 1) * SHARD)
    }

    /// Its class, as the kernel counts it.
    pub(crate) fn class(self) -> u32 {
        root(self.shard()) | u32::from(self.0.saturating_sub(1) % SHARD + 1) << PRIORITY_BITS
    }

    /// The slot of a class; `None` if it is none of ours.
    pub(crate) fn of(class: u32) -> Option<Self> {
        let shard = u16::try_from((class >> 16).checked_sub(FIRST_MAJOR)?).ok()?;
        let number = u16::try_from(class & 0xffff).ok()? >> PRIORITY_BITS;
        let slot = Self(shard.checked_mul(SHARD)?.checked_add(number)?);
        (slot.0 != 0 && slot.0 <= Self::MOST && slot.class() == class).then_some(slot)
    }
}

impl fmt::Display for Slot {
    /// The class, as `tc` and `nft` say it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let class = self.class();
        write!(f, "{:x}:{:x}", class >> 16, class & 0xffff)
    }
}

/// The handle of an HTB.
pub(crate) fn root(shard: u16) -> u32 {
    (FIRST_MAJOR + u32::from(shard)) << 16
}

// The highest class of a shard fits into the minor number, the highest slot with its whole shard into sixteen bits.
const _: () = assert!(SHARD as u32 * (1 << PRIORITY_BITS) <= 0xffff && Slot::MOST as u32 + (SHARD as u32) < 0xffff);
