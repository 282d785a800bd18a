//! Options that are none.

use std::fmt;

use thiserror::Error;

use super::Subtype;

/// An option of kind 30 that is not as RFC 8684 has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
pub struct Malformed {
    /// What it says it is; `None` when it ends before that.
    pub subtype: Option<Subtype>,
    /// The length it says it has.
    ///
    /// Units:  bytes, kind and length included
    pub length: u8,
    /// What is wrong.
    pub reason: Reason,
}

/// What is wrong with an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
pub enum Reason {
    /// No form of it has this length on a segment with these flags.
    #[error("no form of it has this length here")]
    BadLength,
    /// It is longer than the options it stands in.
    #[error("longer than the options it stands in")]
    Overrun,
    /// The capture ends in it: nothing is known to be wrong.
    #[error("the capture ends in it")]
    NotCaptured,
    /// A version of the protocol that there is not.
    #[error("no such version")]
    BadVersion,
    /// A DSS with neither acknowledgement nor mapping.
    #[error("neither acknowledgement nor mapping")]
    EmptyDss,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.subtype {
            Some(subtype) => write!(f, "malformed {subtype}"),
            None => f.write_str("malformed MPTCP option"),
        }?;
        write!(f, " of {} bytes: {}", self.length, self.reason)
    }
}
