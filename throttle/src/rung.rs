//! The actuator ladder.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A way to make a subflow carry less.
///
/// Shape:   in the order in which they are tried, the one that harms the connection least first
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rung {
    /// MP_PRIO makes it a backup: it carries nothing while another subflow can. Never undoes what its client asked for.
    Demote,
    /// Its socket sends at a rate, with little unsent data: download only, at the end of the connection only.
    Pace,
    /// It shares an HTB class with the others under the same policy.
    Cap,
    /// It is closed. Only where policy says that its path may carry nothing: a stock client never opens it again.
    Close,
}

impl Rung {
    /// Every rung, in order.
    pub const ALL: [Self; 4] = [Self::Demote, Self::Pace, Self::Cap, Self::Close];

    /// The word in logs, labels and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Demote => "demote",
            Self::Pace => "pace",
            Self::Cap => "cap",
            Self::Close => "close",
        }
    }
}

impl fmt::Display for Rung {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests;
