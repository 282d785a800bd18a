//! The sysctl that says who manages paths, and whether somebody else relies on it.
//!
//! What lives here: `net.mptcp.path_manager` (`pm_type` on older kernels), and a look for `mptcpd`. What does not: which
//! path manager there ought to be. Called by whoever steers subflows, at its start and its end.
//! Both belong to the network namespace of the calling thread.
//! Source: Linux v6.18 `Documentation/networking/mptcp-sysctl.rst`, `net/mptcp/ctrl.c`; mptcpd(8).

use std::convert::Infallible;
use std::fmt;
use std::fs;
use std::io;
use std::path::Path;
use std::str::FromStr;

use thiserror::Error;

const PATH_MANAGER: &str = "/proc/sys/net/mptcp/path_manager";
/// The same as a number, before it had a name.
const PM_TYPE: &str = "/proc/sys/net/mptcp/pm_type";
/// Processes looked at when looking for a daemon.
const PROCESSES: usize = 65_536;

/// Who manages the paths of connections that begin from now on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PathManagerKind {
    /// The kernel itself, by its endpoints and limits.
    Kernel,
    /// Processes, by commands about single connections.
    Userspace,
    /// One that a module or a BPF program brought along, by its name.
    Other(String),
}

/// Why a sysctl could not be read or written.
#[derive(Debug, Error)]
pub enum SysctlError {
    /// There is no such sysctl: no MPTCP, or an older kernel than knows it.
    #[error("there is no {path}: the kernel has no MPTCP, or is older than 5.19")]
    Missing {
        /// The file.
        path: &'static str,
    },
    /// The process may not write it: it takes root, or CAP_NET_ADMIN in the namespace's user namespace.
    #[error("{path} may not be written: it takes root, and a /proc that is not mounted read-only")]
    NotPermitted {
        /// The file.
        path: &'static str,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The kernel knows no path manager of that name.
    #[error("the kernel has no path manager {value:?}")]
    Unknown {
        /// The name.
        value: String,
    },
    /// The file could not be read or written for another reason.
    #[error("{path} cannot be read or written")]
    File {
        /// The file.
        path: &'static str,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
}

impl PathManagerKind {
    /// The name the kernel uses.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Kernel => "kernel",
            Self::Userspace => "userspace",
            Self::Other(name) => name,
        }
    }

    /// The number of `pm_type`.
    fn number(&self) -> Option<&'static str> {
        match self {
            Self::Kernel => Some("0"),
            Self::Userspace => Some("1"),
            Self::Other(_) => None,
        }
    }
}

impl fmt::Display for PathManagerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for PathManagerKind {
    type Err = Infallible;

    /// By its name, or by its number in `pm_type`.
    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text.trim() {
            "kernel" | "0" => Self::Kernel,
            "userspace" | "1" => Self::Userspace,
            other => Self::Other(other.to_owned()),
        })
    }
}

/// Who manages the paths of connections that begin now.
///
/// Errors: [`SysctlError::Missing`] — no MPTCP here.
pub fn path_manager() -> Result<PathManagerKind, SysctlError> {
    let (path, text) = match fs::read_to_string(PATH_MANAGER) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => (PM_TYPE, fs::read_to_string(PM_TYPE)),
        read => (PATH_MANAGER, read),
    };
    let text = text.map_err(|source| failed(path, source))?;
    text.parse().map_err(|never: Infallible| match never {})
}

/// Says who is to manage the paths of connections that begin from now on.
///
/// Shape: connections that are there already keep theirs; under the userspace one the kernel refuses every join while nobody
/// in the namespace listens to [`crate::mptcp_pm::Events`].
/// Errors: [`SysctlError::NotPermitted`], [`SysctlError::Unknown`].
/// Kernel: v5.19.
pub fn set_path_manager(kind: &PathManagerKind) -> Result<(), SysctlError> {
    let (path, value) = if Path::new(PATH_MANAGER).exists() {
        (PATH_MANAGER, kind.as_str())
    } else {
        (PM_TYPE, kind.number().ok_or_else(|| SysctlError::Unknown { value: kind.to_string() })?)
    };
    fs::write(path, value).map_err(|source| match source.raw_os_error() {
        Some(libc::EINVAL | libc::ENOENT) if Path::new(path).exists() => {
            SysctlError::Unknown { value: value.to_owned() }
        }
        _ => failed(path, source),
    })
}

fn failed(path: &'static str, source: io::Error) -> SysctlError {
    match source.raw_os_error() {
        Some(libc::ENOENT) => SysctlError::Missing { path },
        Some(libc::EACCES | libc::EPERM | libc::EROFS) => SysctlError::NotPermitted { path, source },
        _ => SysctlError::File { path, source },
    }
}

/// The process number of a path manager daemon (`mptcpd`) in this network namespace, if one runs.
///
/// Shape: one whose namespace cannot be told counts. At most 65 536 processes are looked at; those hidden from us are not.
#[must_use]
pub fn path_manager_daemon() -> Option<u32> {
    process_named("mptcpd")
}

fn process_named(name: &str) -> Option<u32> {
    let ours = fs::read_link("/proc/thread-self/ns/net").ok();
    let numbers = fs::read_dir("/proc").ok()?.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers.take(PROCESSES).find(|number: &u32| {
        // A process may end at any moment: what cannot be read of it is not there.
        let runs = fs::read_to_string(format!("/proc/{number}/comm")).is_ok_and(|comm| comm.trim_end() == name);
        runs && match fs::read_link(format!("/proc/{number}/ns/net")) {
            Ok(theirs) => ours.as_ref().is_none_or(|ours| *ours == theirs),
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        }
    })
}

#[cfg(test)]
mod tests;
