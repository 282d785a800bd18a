//! Why sockets could not be paced.

use std::io;

use thiserror::Error;

use super::btf::BtfError;

/// Why the program could not be loaded, or a pass did not do all it was asked.
#[derive(Debug, Error)]
pub enum BpfError {
    /// There is no type information: the kernel was built without it, or `/sys` is not mounted.
    #[error("the kernel's type information {path} cannot be read (a kernel built with CONFIG_DEBUG_INFO_BTF has it)")]
    NoBtf {
        /// Where it should be.
        path: &'static str,
        /// What came of reading it.
        #[source]
        source: io::Error,
    },
    /// The type information is damaged, or does not have what the program needs.
    #[error("pacing single sockets takes Linux 5.15 or later with IPv6")]
    Unsupported(#[source] BtfError),
    /// There is no such function to attach to, or its surroundings are others than the program knows.
    #[error("giving programs MPTCP by BPF takes Linux 6.6 or later, built with MPTCP")]
    NoHook(#[source] BtfError),
    /// The process lacks a capability, the kernel is locked down, or a security module forbids it.
    #[error(
        "{op} was refused: it takes CAP_BPF and CAP_PERFMON in the initial user namespace, and no policy of the machine against it"
    )]
    NotPermitted {
        /// The command of bpf(2).
        op: &'static str,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The kernel's verifier does not accept the program.
    #[error("the kernel's verifier refused the program: {log}")]
    Verifier {
        /// The end of what it said, shortened.
        log: String,
        /// The error number.
        #[source]
        source: io::Error,
    },
    /// A call failed.
    #[error("{op} of {object} failed")]
    Call {
        /// The command of bpf(2), or the system call.
        op: &'static str,
        /// What it was done to.
        object: &'static str,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// Sockets were there, and refused an option; everything else that was asked has been done.
    #[error("{sockets} sockets refused {option}")]
    Refused {
        /// The option's name.
        option: &'static str,
        /// How many did.
        sockets: usize,
        /// What the first of them answered.
        #[source]
        source: io::Error,
    },
}

impl BpfError {
    /// A command that failed.
    pub(super) fn of(op: &'static str, object: &'static str, source: io::Error) -> Self {
        match source.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => Self::NotPermitted { op, source },
            _ => Self::Call { op, object, source },
        }
    }
}
