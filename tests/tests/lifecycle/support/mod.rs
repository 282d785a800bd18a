//! What all promises need: the process, its origins, its clients.

mod client;
mod origin;
mod process;

pub(crate) use client::{
    Reply, Tunnel, ask as ask_tunnel, connect, connect_from, fetch, fetch_from, get, mptcp_connect, read_head,
    read_reply,
};
pub(crate) use origin::{Origin, answer_all, pattern};
pub(crate) use process::{Exit, Proxy, Scratch, Start, ask, binary};

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Longer than anything that works takes here, even on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);

/// A loopback address nobody else uses: a fixed port on it cannot be taken by another test.
pub(crate) fn own_address() -> Ipv4Addr {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let [_, _, high, low] = std::process::id().to_be_bytes();
    let next = u8::try_from(NEXT.fetch_add(1, Ordering::Relaxed)).expect("fewer than 256 addresses in one run");
    Ipv4Addr::new(127, 64 + (high & 0x3f), low, next)
}

/// Waits until something holds.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
