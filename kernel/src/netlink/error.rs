//! What a netlink call can fail with.

use std::fmt;
use std::io;

use thiserror::Error;

/// A netlink call that failed: the call, its object, the kernel's number and, where it gave them, its words.
#[derive(Debug, Error)]
#[error("{op} of {object} failed{}", Words(.message.as_deref()))]
pub struct NetlinkError {
    /// The operation, as the kernel's headers name it.
    pub op: &'static str,
    /// What it was done to.
    pub object: String,
    /// The kernel's own words (extended acknowledgement), or ours where the answer made no sense.
    pub message: Option<String>,
    /// The error number.
    #[source]
    pub source: io::Error,
}

impl NetlinkError {
    /// An error the kernel answered, or a call that failed with `errno`.
    pub(crate) fn new(op: &'static str, object: impl fmt::Display, source: io::Error, message: Option<String>) -> Self {
        Self { op, object: object.to_string(), message, source }
    }

    /// An answer that is not one.
    pub(crate) fn malformed(op: &'static str, object: impl fmt::Display, what: &str) -> Self {
        Self::new(op, object, io::Error::from_raw_os_error(libc::EBADMSG), Some(what.to_owned()))
    }

    /// The error number, such as `libc::ENOENT`.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        self.source.raw_os_error()
    }

    /// Whether the caller lacks a capability, which for netlink is CAP_NET_ADMIN.
    #[must_use]
    pub fn is_not_permitted(&self) -> bool {
        matches!(self.errno(), Some(libc::EPERM | libc::EACCES))
    }
}

/// The kernel's words behind a colon, or nothing.
struct Words<'a>(Option<&'a str>);

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |words| write!(f, ": {words}"))
    }
}
