//! Operations: what is done to the kernel and to the proxy, one at a time and in order.
//!
//! What lives here: shapes. What does not: which are needed (`plan`), doing them (`proxy`). Invariant: an operation names only objects
//! that are anabranch's own, and can be done again without harm.

use anabranch_config::BitRate;

use crate::intent::{Arming, Ceiling, Direction};
use crate::view::{ConnectionKey, SubflowKey};

/// The number of an HTB class in the pool.
///
/// Shape:   1..=the pool's size
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Slot(pub u16);

impl std::fmt::Display for Slot {
    /// As a number: the kernel's name for the class is the kernel room's matter.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// Bounds what a connection holds unsent, or lifts the bound.
    BoundUnsent {
        /// Which.
        connection: ConnectionKey,
        /// Bytes. `None`: no bound.
        bytes: Option<u32>,
    },
    /// Bounds what new connections hold unsent from the start; `None` lifts that of connections to come.
    BoundFromAccept {
        /// Bytes.
        bytes: Option<u32>,
    },
    /// Has the proxy carry a connection no faster, one way.
    Total {
        /// Which.
        connection: ConnectionKey,
        /// Which way.
        direction: Direction,
        /// The bucket that everybody with this number shares, and its rate. `None`: as fast as it can.
        bucket: Option<(u32, BitRate)>,
    },
    /// Makes a subflow a backup (MP_PRIO).
    Demote(SubflowKey),
    /// No longer asks that it be one.
    Promote(SubflowKey),
    /// Has a subflow's socket send no faster.
    Pace {
        /// Which.
        subflow: SubflowKey,
        /// Payload.
        rate: BitRate,
        /// Bytes its socket may hold unsent.
        unsent: u32,
        /// Whether it asks its client for a sign of life.
        probe: bool,
    },
    /// Has it send as fast as it can.
    Unpace(SubflowKey),
    /// Gives a class of the pool its rate.
    SetClass {
        /// Which.
        slot: Slot,
        /// How much.
        ceiling: Ceiling,
    },
    /// Puts a subflow's packets of one direction into a class, or renews the lease of that.
    Put {
        /// Which.
        subflow: SubflowKey,
        /// Which way.
        direction: Direction,
        /// Into which.
        slot: Slot,
    },
    /// Takes them out of it.
    Remove {
        /// Which.
        subflow: SubflowKey,
        /// Which way.
        direction: Direction,
    },
    /// Says what holds for subflows to come; replaces what was said before.
    Arm(Vec<(Arming, Option<Slot>)>),
    /// Ends a subflow.
    Close(SubflowKey),
}

impl Op {
    /// The word in logs and JSON.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::BoundUnsent { .. } => "bound-unsent",
            Self::BoundFromAccept { .. } => "bound-from-accept",
            Self::Total { .. } => "total",
            Self::Demote(_) => "demote",
            Self::Promote(_) => "promote",
            Self::Pace { .. } => "pace",
            Self::Unpace(_) => "unpace",
            Self::SetClass { .. } => "set-class",
            Self::Put { .. } => "put",
            Self::Remove { .. } => "remove",
            Self::Arm(_) => "arm",
            Self::Close(_) => "close",
        }
    }

    /// What of the kernel's or of the proxy's it is done to.
    #[must_use]
    pub const fn object(&self) -> &'static str {
        match self {
            Self::Demote(_) | Self::Promote(_) | Self::Close(_) => "subflow",
            Self::Pace { .. } | Self::Unpace(_) => "socket",
            Self::SetClass { .. } => "class",
            Self::Put { .. } | Self::Remove { .. } => "element",
            Self::Arm(_) => "rule",
            Self::BoundUnsent { .. } | Self::BoundFromAccept { .. } | Self::Total { .. } => "proxy",
        }
    }

    /// The subflow it is about, if it is about one.
    #[must_use]
    pub const fn subflow(&self) -> Option<SubflowKey> {
        match *self {
            Self::Demote(subflow)
            | Self::Promote(subflow)
            | Self::Unpace(subflow)
            | Self::Close(subflow)
            | Self::Pace { subflow, .. }
            | Self::Put { subflow, .. }
            | Self::Remove { subflow, .. } => Some(subflow),
            _ => None,
        }
    }
}

impl Abilities {
    /// Nothing can be done.
    pub const NONE: Self = Self { demote: false, pace: false, cap: false, proxy: false };
}

/// What can be done here: found out once, at the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Abilities {
    /// MP_PRIO of single subflows, and closing them: the userspace path manager is ours, and this is an end of the connections.
    pub demote: bool,
    /// Pacing of single sockets: BPF.
    pub pace: bool,
    /// Classes and the map: HTB and nftables.
    pub cap: bool,
    /// A proxy is linked: unsent data can be bounded, totals limited.
    pub proxy: bool,
}
