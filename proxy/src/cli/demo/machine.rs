//! What this machine must offer before anything is built: tools, Multipath TCP, network namespaces.
//!
//! What lives here: looking, and saying in one message what is missing and how to get it; becoming the root of a
//! namespace of our own; noticing that the user wants to stop. What does not: building (see `stage`).
//! Called first, before threads exist.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anabranch_lab::re_enter_if_unprivileged;
use anyhow::{Context as _, Result, bail, ensure};
use tokio::signal::unix::{SignalKind, signal};

/// Where distributions put `tc` and `ethtool`, which an ordinary user's PATH often lacks.
const SYSTEM_PLACES: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// A tool the demo runs, and the package it is in.
struct Tool {
    name: &'static str,
    debian: &'static str,
    fedora: &'static str,
}

const TOOLS: [Tool; 3] = [
    Tool { name: "ip", debian: "iproute2", fedora: "iproute" },
    Tool { name: "tc", debian: "iproute2", fedora: "iproute-tc" },
    Tool { name: "ethtool", debian: "ethtool", fedora: "ethtool" },
];
const UNSHARE: Tool = Tool { name: "unshare", debian: "util-linux", fedora: "util-linux" };

/// Checks the machine, and goes on as root: as who we are, or as the root of a user namespace of our own.
///
/// Errors: one message that says everything that is missing.
pub(super) fn prepare() -> Result<()> {
    complete_path()?;
    let root = nix::unistd::geteuid().is_root();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let missing = missing(root, |name| std::env::split_paths(&path).any(|place| place.join(name).is_file()));
    if let Some(message) = missing {
        bail!(message);
    }
    let mptcp = std::fs::read_to_string("/proc/sys/net/mptcp/enabled");
    ensure!(mptcp.is_ok(), "this kernel has no Multipath TCP: it takes Linux 5.6 or newer built with CONFIG_MPTCP");
    if !root {
        let mut probe = Command::new("unshare");
        probe.args(["--user", "--map-root-user", "--net", "--mount", "--", "true"]).stderr(Stdio::null());
        let allowed = probe.status().context("cannot start unshare")?.success();
        ensure!(
            allowed,
            "this machine gives ordinary users no namespaces of their own: run it as root (sudo anabranch demo), or \
             allow them (sysctl user.max_user_namespaces, kernel.apparmor_restrict_unprivileged_userns)"
        );
    }
    re_enter_if_unprivileged()
}

/// Starts this program again with the system's places in PATH, if they are not; the lab's children inherit it.
fn complete_path() -> Result<()> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let Some(whole) = with_system_places(&path) else { return Ok(()) };
    let mut again = Command::new("/proc/self/exe");
    again.args(std::env::args_os().skip(1)).env("PATH", whole);
    Err(again.exec()).context("cannot start this program again")
}

/// PATH with the system's places at its end; `None` when it has them.
fn with_system_places(path: &OsString) -> Option<OsString> {
    let mut places: Vec<_> = std::env::split_paths(path).collect();
    let lacking: Vec<_> = SYSTEM_PLACES.map(Path::new).into_iter().filter(|p| !places.iter().any(|q| q == p)).collect();
    if lacking.is_empty() {
        return None;
    }
    places.extend(lacking.into_iter().map(Path::to_owned));
    std::env::join_paths(places).ok()
}

/// What to say about the tools that are not `there`, if there are any.
fn missing(root: bool, there: impl Fn(&str) -> bool) -> Option<String> {
    let unshare = (!root).then_some(&UNSHARE);
    let missing: Vec<_> = TOOLS.iter().chain(unshare).filter(|tool| !there(tool.name)).collect();
    if missing.is_empty() {
        return None;
    }
    let list = |of: fn(&Tool) -> &str| {
        let mut words: Vec<_> = missing.iter().map(|tool| of(tool)).collect();
        words.dedup();
        words
    };
    Some(format!(
        "the demo builds its network with tools that are not installed: {}\n\
         \u{20} Debian, Ubuntu: apt-get install {}\n\
         \u{20} Fedora:         dnf install {}",
        list(|tool| tool.name).join(", "),
        list(|tool| tool.debian).join(" "),
        list(|tool| tool.fedora).join(" "),
    ))
}

/// Becomes true when the user wants to stop: Ctrl-C, SIGTERM, or the terminal's end.
pub(super) fn watch_interrupts() -> Result<Arc<AtomicBool>> {
    let wanted = Arc::new(AtomicBool::new(false));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot watch signals")?;
    let guard = runtime.enter();
    let mut kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal).into_iter();
    let mut next = || kinds.next().context("three signals")?.context("cannot watch a signal");
    let (mut interrupt, mut terminate, mut hangup) = (next()?, next()?, next()?);
    drop(guard);
    let flag = Arc::clone(&wanted);
    let watch = move || {
        runtime.block_on(async move {
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                    _ = hangup.recv() => {}
                }
                flag.store(true, Ordering::Relaxed);
            }
        });
    };
    std::thread::Builder::new().name("signals".into()).spawn(watch).context("cannot start a thread")?;
    Ok(wanted)
}

#[cfg(test)]
mod tests;
