//! Waiting until what was measured before has left nothing to who is measured next.
//!
//! What lives here: the kernel's memory for TCP, which all namespaces share. An MPTCP socket closed while bytes come to it was seen
//! to hold 33 MB for a minute; a few dozen bring the machine under pressure (`tcp_mem`), and everybody after them stalls, the direct
//! connection as well. Loads end in peace for that reason; this is for those that could not. Called by `run`.
//! Invariant: a run that began without that calm is told.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// The share of what the kernel calls no pressure that may be in use at a start.
const SHARE: u64 = 16;
/// So long calm is waited for, which is longer than such a socket is kept; then it is told.
const PATIENCE: Duration = Duration::from_secs(75);

/// Waits for calm; what is still in use, in words, when it does not come.
pub fn wait() -> Result<Option<String>> {
    let most = calm()? / SHARE;
    let end = Instant::now() + PATIENCE;
    loop {
        let used = used()?;
        if used <= most {
            return Ok(None);
        }
        if Instant::now() > end {
            return Ok(Some(format!("it began with {used} pages of TCP memory in use, of {most} at most")));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Pages in use by TCP, MPTCP included, in all namespaces.
fn used() -> Result<u64> {
    let text = std::fs::read_to_string("/proc/net/sockstat").context("cannot read /proc/net/sockstat")?;
    memory(&text).context("no TCP memory in /proc/net/sockstat")
}

/// Pages below which there is no pressure.
fn calm() -> Result<u64> {
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/tcp_mem").context("cannot read tcp_mem")?;
    text.split_whitespace().next().and_then(|word| word.parse().ok()).context("no number in tcp_mem")
}

/// The `mem` of the line of TCP.
fn memory(text: &str) -> Option<u64> {
    let mut words = text.lines().find_map(|line| line.strip_prefix("TCP:"))?.split_whitespace();
    words.find(|word| *word == "mem")?;
    words.next()?.parse().ok()
}

#[cfg(test)]
mod tests;
