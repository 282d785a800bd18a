//! Names of traffic control objects.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The handle of a qdisc (`1:`) or the classid of a class (`1:10`).
///
/// Shape:   two hexadecimal halves; a minor of 0 is the qdisc itself
/// Source:  tc(8) "IDs"; Linux v6.18 `include/uapi/linux/pkt_sched.h` (`TC_H_MAJ`, `TC_H_MIN`, `TC_H_ROOT`, `TC_H_INGRESS`)
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TcHandle {
    /// The qdisc.
    pub major: u16,
    /// The class in it.
    pub minor: u16,
}

/// A text that is no handle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a tc handle; expected hexadecimal major:minor such as 1:10, or root, or none")]
pub struct NotATcHandle;

impl TcHandle {
    /// `none`: not said, the kernel chooses.
    pub const NONE: Self = Self { major: 0, minor: 0 };
    /// `root`: the parent of an interface's first qdisc.
    pub const ROOT: Self = Self { major: 0xffff, minor: 0xffff };
    /// The parent of an ingress qdisc and of clsact.
    pub const INGRESS: Self = Self { major: 0xffff, minor: 0xfff1 };

    /// The number the kernel uses.
    #[must_use]
    pub fn to_u32(self) -> u32 {
        u32::from(self.major) << 16 | u32::from(self.minor)
    }

    /// The handle behind the number the kernel uses.
    #[must_use]
    pub const fn from_u32(number: u32) -> Self {
        let [a, b, c, d] = number.to_be_bytes();
        Self { major: u16::from_be_bytes([a, b]), minor: u16::from_be_bytes([c, d]) }
    }
}

impl fmt::Display for TcHandle {
    /// As `tc` prints it: a part that is 0 is left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.major, self.minor) {
            (0, 0) => f.write_str("none"),
            (0xffff, 0xffff) => f.write_str("root"),
            (0, minor) => write!(f, ":{minor:x}"),
            (major, 0) => write!(f, "{major:x}:"),
            (major, minor) => write!(f, "{major:x}:{minor:x}"),
        }
    }
}

impl FromStr for TcHandle {
    type Err = NotATcHandle;

    fn from_str(text: &str) -> Result<Self, NotATcHandle> {
        match text {
            "none" => return Ok(Self::NONE),
            "root" => return Ok(Self::ROOT),
            _ => {}
        }
        let (major, minor) = text.split_once(':').ok_or(NotATcHandle)?;
        if major.is_empty() && minor.is_empty() {
            return Err(NotATcHandle);
        }
        Ok(Self { major: half(major)?, minor: half(minor)? })
    }
}

/// One half of a handle; an empty one is 0.
fn half(digits: &str) -> Result<u16, NotATcHandle> {
    // The parser of numbers would take a sign.
    match digits {
        "" => Ok(0),
        _ if digits.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            u16::from_str_radix(digits, 16).map_err(|_| NotATcHandle)
        }
        _ => Err(NotATcHandle),
    }
}

#[cfg(test)]
mod tests;
