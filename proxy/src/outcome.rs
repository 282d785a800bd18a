//! How a request or a tunnel ended: one value feeds the log line, the counter and the test.

use std::io;

/// One of the two connections of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The client leg: MPTCP, or what it fell back to.
    Client,
    /// The server leg: plain TCP to the origin.
    Server,
}

impl Side {
    /// The opposite side.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

/// The one result of a request or a tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Everything was passed on.
    Completed,
    /// Answered by us, with a reason that is also the label.
    Refused(&'static str),
    /// The client leg failed.
    ClientFailed(io::ErrorKind),
    /// The server leg failed after it was connected.
    ServerFailed(io::ErrorKind),
    /// Nothing moved for as long as the limits allow.
    Idle,
    /// The tunnel reached its lifetime.
    Expired,
    /// Cut off because the process stops and the grace time is over.
    Drained,
    /// The client went away before the answer was complete.
    Abandoned,
}

impl Outcome {
    /// The word in logs and counters. A closed set: never contains anything a client sent.
    #[must_use]
    pub fn as_label(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Refused(reason) => reason,
            Self::ClientFailed(_) => "client-leg-failed",
            Self::ServerFailed(_) => "server-leg-failed",
            Self::Idle => "idle",
            Self::Expired => "expired",
            Self::Drained => "drained",
            Self::Abandoned => "abandoned",
        }
    }

    /// What the kernel said, where a leg failed.
    #[must_use]
    pub fn error(self) -> Option<io::ErrorKind> {
        match self {
            Self::ClientFailed(kind) | Self::ServerFailed(kind) => Some(kind),
            _ => None,
        }
    }
}
