//! The words of the enums, and small sums over both ends.

use std::fmt;
use std::ops::{Index, IndexMut};

use super::{End, Ends, FallbackReason, Forgery, SubflowState, Verified};

impl End {
    /// The client, then the server.
    pub const BOTH: [Self; 2] = [Self::Client, Self::Server];

    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }

    /// The word in logs, labels and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
        }
    }
}

impl<T> Ends<T> {
    /// The value of one end and that of the other.
    pub fn of(end: End, own: T, other: T) -> Self {
        match end {
            End::Client => Self { client: own, server: other },
            End::Server => Self { client: other, server: own },
        }
    }
}

impl Ends<u64> {
    /// Both together.
    #[must_use]
    pub const fn sum(&self) -> u64 {
        self.client.saturating_add(self.server)
    }
}

impl<T> Index<End> for Ends<T> {
    type Output = T;

    fn index(&self, end: End) -> &T {
        match end {
            End::Client => &self.client,
            End::Server => &self.server,
        }
    }
}

impl<T> IndexMut<End> for Ends<T> {
    fn index_mut(&mut self, end: End) -> &mut T {
        match end {
            End::Client => &mut self.client,
            End::Server => &mut self.server,
        }
    }
}

impl Verified {
    /// The word in logs, labels and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::Unknown => "unknown",
        }
    }

    /// What two proofs say together: one wrong one is enough, one right one is not.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::No, _) | (_, Self::No) => Self::No,
            (Self::Yes, Self::Yes) => Self::Yes,
            _ => Self::Unknown,
        }
    }
}

impl From<bool> for Verified {
    fn from(right: bool) -> Self {
        if right { Self::Yes } else { Self::No }
    }
}

impl FallbackReason {
    /// The word in logs, labels and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoMptcpOnSyn => "no-mptcp-on-syn",
            Self::NoMptcpOnSynAck => "no-mptcp-on-syn-ack",
            Self::StrippedOnSyn => "stripped-on-syn",
            Self::LostAfterSyn => "lost-after-syn",
            Self::LostTowardsClient => "lost-towards-client",
            Self::LostTowardsServer => "lost-towards-server",
            Self::Checksum => "checksum",
            Self::InfiniteMapping => "infinite-mapping",
        }
    }
}

impl SubflowState {
    /// The word in logs, labels and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SynSeen => "syn-seen",
            Self::SynAckSeen => "syn-ack-seen",
            Self::Established => "established",
            Self::Closing => "closing",
            Self::Closed => "closed",
            Self::Reset => "reset",
        }
    }

    /// Whether nothing more can come of it.
    #[must_use]
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Closed | Self::Reset)
    }
}

impl Forgery {
    /// The word in logs, labels and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Join => "join",
            Self::AddAddr => "add-addr",
            Self::FastClose => "fast-close",
        }
    }
}

macro_rules! display_as_str {
    ($($word:ty),*) => {$(
        impl fmt::Display for $word {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    )*};
}

display_as_str!(End, Verified, FallbackReason, SubflowState, Forgery);
