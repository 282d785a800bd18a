//! What is wrong between this machine and the proxy, link by link: evidence in, verdicts out.

mod judge;
mod verdict;

use std::net::IpAddr;

use serde::Serialize;

use super::view::EdgeView;
pub use judge::judge;
pub use verdict::{Culprit, Diagnosis, Verdict};

/// How a connection and one small request on it went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Attempt {
    /// It was not made: something before it had failed.
    Skipped,
    /// The proxy answered. Units: ms to connect.
    Answered {
        /// Milliseconds to connect.
        connect_ms: u64,
        /// What it said of the connection.
        view: Box<EdgeView>,
    },
    /// The SYN was answered with a reset.
    Refused,
    /// The SYN was not answered.
    NoConnection,
    /// It could not even be begun: no route, no such address.
    Impossible(String),
    /// Connected, and then there was no whole answer.
    NoAnswer,
    /// The answer was another status than 200, with these words.
    Turned(u16, String),
}

impl Attempt {
    /// What the edge said, if it said something.
    #[must_use]
    pub fn view(&self) -> Option<&EdgeView> {
        match self {
            Self::Answered { view, .. } => Some(view),
            _ => None,
        }
    }
}

/// Whether segments of full size pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Large {
    /// It was not tried.
    Skipped,
    /// They do.
    Pass,
    /// They vanish where small ones pass.
    Vanish {
        /// The largest packet that passes, as far as it was searched for.
        fits: Option<u16>,
    },
}

/// What was tried over one link.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LinkEvidence {
    /// The link.
    pub name: String,
    /// The address connections were bound to.
    pub address: IpAddr,
    /// Which link packets with this source leave by; `None`: there is no route.
    pub leaves_by: Option<String>,
    /// Answers that come in by another link than they would go out by are dropped (`rp_filter` 1).
    pub strict: bool,
    /// There is an endpoint of the path manager that makes subflows from it.
    pub endpoint: bool,
    /// Plain TCP from the address, left to the routing.
    pub routed: Attempt,
    /// Plain TCP from the address, held to the link.
    pub bound: Attempt,
    /// Large segments towards the client.
    pub large_down: Large,
    /// Large segments towards the edge.
    pub large_up: Large,
    /// MPTCP from the address, held to the link.
    pub mptcp: Attempt,
    /// Whether this end was still MPTCP when the handshake was over.
    pub kept_at_connect: bool,
    /// Payload over plain TCP. Units: bit/s.
    pub rate: Option<u64>,
}

/// What this machine's kernel is set to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Machine {
    /// `net.mptcp.enabled`; `None`: no MPTCP in this kernel.
    pub mptcp: Option<bool>,
    /// `net.mptcp.path_manager`.
    pub path_manager: Option<String>,
    /// Subflows beside the first that a connection may have.
    pub subflows: Option<u32>,
    /// After dropped SYNs the kernel has stopped asking for MPTCP for a while (`net.mptcp.blackhole_timeout`).
    pub gave_up: bool,
}

/// How a connection over all links went.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Together {
    /// The address it was begun from.
    pub first: IpAddr,
    /// Addresses that joined.
    pub joined: Vec<IpAddr>,
    /// Addresses whose SYN is still unanswered.
    pub waiting: Vec<IpAddr>,
    /// What the edge saw at the end.
    pub view: Option<EdgeView>,
    /// Payload. Units: bit/s.
    pub rate: Option<u64>,
}

/// Everything that was found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evidence {
    /// The proxy, as it was given.
    pub proxy: String,
    /// This machine.
    pub machine: Machine,
    /// Each link and family.
    pub links: Vec<LinkEvidence>,
    /// Links without anything to connect from, with the reason.
    pub idle: Vec<(String, String)>,
    /// All of them in one connection; a family each.
    pub together: Vec<Together>,
}

#[cfg(test)]
mod tests;
