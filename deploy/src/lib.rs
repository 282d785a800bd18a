//! Edge and client: check, set-up, doctor.
//!
//! Pure: what was found in, findings, steps and their undoing out. What lives here: which machine is meant, the [`edge`]'s doctor, the
//! [`client`]'s set-up and doctor. What
//! does not: looking at the machine and changing it (`proxy`, by way of `kernel`). Called by `proxy/src/cli/edge.rs` and `client.rs`, and by
//! the listeners, which answer the client's doctor. Beside this library lie
//! the files that are shipped: `examples/`, and what `make` needs to set a machine up. Invariant: a step without its undoing is not a step.

pub mod client;
pub mod edge;

use std::fmt;

use serde::{Deserialize, Serialize};

/// Which machine is looked at or set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Machine {
    /// The one that runs anabranch.
    Edge,
    /// One that uses it over several access networks.
    Client,
}

impl Machine {
    /// The word on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Edge => "edge",
            Self::Client => "client",
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
