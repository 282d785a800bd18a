//! Network namespaces held by a descriptor.
//!
//! A namespace made here has no name in the file system: it lives as long as its last descriptor, socket, device or
//! process, so a panic or a `kill -9` of the owner leaves nothing behind.
//! What lives here: making, entering, and starting children in a namespace. What does not: devices, addresses, routes.
//! Called by the lab and by whoever needs a private network.
//! Invariant: the calling thread's namespace never changes; work happens in threads of its own or in children.
#![allow(unsafe_code, reason = "a child enters its namespace between fork and exec, which only pre_exec offers")]

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;

/// Why a namespace could not be made or entered.
#[derive(Debug, thiserror::Error)]
pub enum NetNsError {
    /// The kernel refused a new network namespace: CAP_SYS_ADMIN in the current user namespace is needed.
    #[error("cannot make a network namespace")]
    Create(#[source] nix::Error),
    /// The namespace's file could not be opened.
    #[error("cannot open /proc/thread-self/ns/net")]
    Open(#[source] io::Error),
    /// The kernel refused the switch into the namespace.
    #[error("cannot enter a network namespace")]
    Enter(#[source] nix::Error),
    /// No thread could be started to work in the namespace.
    #[error("cannot start a thread for a network namespace")]
    Thread(#[source] io::Error),
}

/// A network namespace, kept alive by a descriptor.
///
/// Shape: cheap to clone; the namespace ends with the last clone (and the last process or socket in it).
#[derive(Debug, Clone)]
pub struct NetNs {
    file: Arc<OwnedFd>,
}

impl NetNs {
    /// Makes a new, empty network namespace.
    ///
    /// Errors: [`NetNsError::Create`] — without CAP_SYS_ADMIN; re-enter through a user namespace.
    /// Kernel: CAP_SYS_ADMIN over the current user namespace.
    pub fn new() -> Result<Self, NetNsError> {
        in_thread(|| {
            unshare(CloneFlags::CLONE_NEWNET).map_err(NetNsError::Create)?;
            Self::current()
        })?
    }

    /// The namespace of the calling thread.
    ///
    /// Errors: [`NetNsError::Open`] — no `/proc` is mounted.
    pub fn current() -> Result<Self, NetNsError> {
        let file = File::open("/proc/thread-self/ns/net").map_err(NetNsError::Open)?;
        Ok(Self { file: Arc::new(file.into()) })
    }

    /// Runs `work` in the namespace, on a thread of its own, and waits for it.
    ///
    /// Sockets that `work` opens and threads that it starts stay in the namespace.
    /// Errors: [`NetNsError::Enter`] — the kernel refused; [`NetNsError::Thread`] — no thread.
    /// Panics: with the panic of `work`, passed on.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, NetNsError> {
        in_thread(|| {
            setns(self.file.as_fd(), CloneFlags::CLONE_NEWNET).map_err(NetNsError::Enter)?;
            Ok(work())
        })?
    }

    /// A command whose process will start in the namespace.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        let file = Arc::clone(&self.file);
        // SAFETY: between fork and exec only setns(2) is called, which is async-signal-safe and allocates nothing;
        // the descriptor is owned by the closure and therefore open.
        unsafe {
            command.pre_exec(move || Ok(setns(file.as_fd(), CloneFlags::CLONE_NEWNET)?));
        }
        command
    }

    /// A command as [`NetNs::command`] makes it, whose process is killed when the thread that starts it ends, however
    /// it ends: nothing long-lived is left behind by a `kill -9`.
    ///
    /// Kernel: PR_SET_PDEATHSIG, which looks at the thread, not at the process.
    pub fn bound_command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = self.command(program);
        // SAFETY: between fork and exec only prctl(2) is called, which is async-signal-safe and allocates nothing.
        unsafe {
            command.pre_exec(|| Ok(set_pdeathsig(Signal::SIGKILL)?));
        }
        command
    }

    /// A path that names the namespace to tools such as `ip link set DEV netns PATH`, while this value lives.
    pub fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd()))
    }
}

impl AsFd for NetNs {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Runs `work` on a throw-away thread, so that the caller's own namespace stays as it is.
fn in_thread<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, NetNsError> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("netns".into());
        let handle = thread.spawn_scoped(scope, work).map_err(NetNsError::Thread)?;
        handle.join().map_or_else(|panic| std::panic::resume_unwind(panic), Ok)
    })
}

#[cfg(test)]
mod tests;
