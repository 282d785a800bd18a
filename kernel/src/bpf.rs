//! The pace of single TCP sockets, subflows of MPTCP connections among them, set from outside; and MPTCP for programs that know
//! nothing of it (`multipath.rs`).
//!
//! An MPTCP socket refuses SO_MAX_PACING_RATE, and nothing else reaches one subflow of it. But a program of the kind
//! `bpf_iter/tcp` visits every TCP socket of a network namespace and may set options there. What lives here: that program,
//! its loading, its map. What does not: who is to be paced, and how fast. Called by whoever throttles subflows.
//! Invariant: only the sockets that were named are touched, and the map is empty between two passes.
//!
//! One pass visits every socket of the namespace and every bucket of the host's table of connections, so changes are best
//! collected. Seen on Linux 6.18 with a table of 262 144 buckets: 0.8 ms for the table, 0.3 µs a socket, 2 µs a change; so
//! 2 ms for one change among 5 000 sockets, 10 ms for all of them.
//!
//! A subflow that is busy cannot be made slow at once: its connection waits for what it still holds. Seen not to stall (6.18, 40 to
//! 2 and 200 to 5 Mbit/s, 0 to 40 ms): a rate without limit with a small `unsent` first; when what it holds unsent is below
//! 32 KiB, half the rate every 50 ms. From one pace to another, and for a release, no steps were needed.
//! Source: Linux v6.18 `net/ipv4/tcp_ipv4.c`, `kernel/bpf/bpf_iter.c`, `net/core/filter.c`; bpf(2).

mod asm;
mod btf;
mod call;
mod error;
mod multipath;
mod program;

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsRawFd as _, OwnedFd};

use btf::Btf;
use program::{Places, Value};

pub use crate::flow::Flow;
pub use btf::BtfError;
pub use error::BpfError;
pub use multipath::{Multipath, PinError, fs_mounted, mount_fs, unmount_fs};

/// The running kernel's type information.
const BTF: &str = "/sys/kernel/btf/vmlinux";
/// Longest type information taken; a distribution's kernel has 5 to 10 MiB.
const BTF_MAX: u64 = 64 * 1024 * 1024;
/// Sockets one pass can change; longer batches take several.
const PASS: usize = 32 * 1024;
/// The keepalive that sockets have while nobody asks them for more: a listener's are to have the same.
///
/// Units: seconds without a word until the first probe
pub const KEEPALIVE_IDLE: u32 = 60;
/// Probes without an answer after which a socket ends.
pub const KEEPALIVE_PROBES: u32 = 4;
/// Each question is a probe, and what is asked must not end for that. The kernel takes no more.
const MOST_PROBES: u32 = 127;
/// Room for what a pass prints, which is nothing.
const NOTHING: usize = 64;

/// What one socket may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Most the socket sends, its headers aside (`SO_MAX_PACING_RATE`).
    ///
    /// Units: bytes/s. Shape: 4 294 967 294 at most, which greater ones are taken for.
    pub bytes_per_s: u64,
    /// Most that waits in it unsent before it takes no more (`TCP_NOTSENT_LOWAT`).
    ///
    /// Units: bytes. Shape: zero leaves it to `net.ipv4.tcp_notsent_lowat`.
    pub unsent: u32,
    /// Whether it asks its peer for a sign of life, at once where it heard nothing for a second, and then every so often
    /// (`SO_KEEPALIVE`): no data is sent, and the answer shows as an acknowledgement that was received.
    pub probe: bool,
}

/// Sets the pace of TCP sockets.
///
/// Shape: what it set outlives it: a socket keeps its pace until it closes or is released.
#[derive(Debug)]
pub struct Pacer {
    /// Before the program, which stays loaded while its link is open.
    link: OwnedFd,
    map: OwnedFd,
}

impl Pacer {
    /// Loads the program.
    ///
    /// Errors: [`BpfError`] — what is missing, in the kernel or among the capabilities.
    /// Kernel: v5.15, built with `CONFIG_DEBUG_INFO_BTF`; CAP_BPF and CAP_PERFMON. Takes 3 ms, most of it for the type
    /// information.
    pub fn open() -> Result<Self, BpfError> {
        let bytes = type_information()?;
        let btf = Btf::parse(&bytes).map_err(BpfError::Unsupported)?;
        let places = Places::find(&btf).map_err(BpfError::Unsupported)?;
        let function = btf.function("bpf_iter_tcp").map_err(BpfError::Unsupported)?;
        let map = call::create_map(u32::try_from(PASS).unwrap_or(u32::MAX))?;
        let words = program::program(places, map.as_raw_fd())
            .ok_or(BpfError::Unsupported(BtfError::Damaged("members are too far apart")))?;
        let link = call::link(call::PACING, &call::load(call::PACING, &words, function)?)?;
        Ok(Self { link, map })
    }

    /// Paces each of these sockets, or releases it (`None`); how many of them there were.
    ///
    /// Shape: all with one pass, up to 32 768 sockets; of two entries for one socket the later counts. A socket that is not
    /// there, is not connected, or was closed meanwhile is passed over. It looks in the calling thread's network namespace. A
    /// released socket has the pace of its congestion control and the unsent limit of `net.ipv4.tcp_notsent_lowat` again, and the
    /// keepalive of [`KEEPALIVE_IDLE`] and [`KEEPALIVE_PROBES`].
    /// Errors: [`BpfError::Refused`] — the kernel knows no such option here; the rest was done.
    pub fn apply(&mut self, paces: &[(Flow, Option<Pace>)]) -> Result<usize, BpfError> {
        let (mut found, mut refused) = (0, None);
        for batch in paces.chunks(PASS) {
            let values = self.pass(batch)?;
            found += values.iter().filter(|value| value.seen != 0).count();
            refused = refused.or_else(|| refusal(&values));
        }
        refused.map_or(Ok(found), Err)
    }

    fn pass(&mut self, batch: &[(Flow, Option<Pace>)]) -> Result<Vec<Value>, BpfError> {
        let keys: Vec<_> = batch.iter().map(|(flow, _)| program::key(*flow)).collect();
        let values: Vec<_> = batch.iter().map(|(_, pace)| value(*pace)).collect();
        let call = |op| move |source| BpfError::of(op, "the map of sockets", source);
        let visited = call::put(&self.map, &keys, &values)
            .map_err(call("BPF_MAP_UPDATE_BATCH"))
            .and_then(|()| visit(call::iterate(&self.link)?));
        // Whatever came of it, the next pass must not find these.
        let taken = call::take(&self.map, batch.len()).map_err(call("BPF_MAP_LOOKUP_AND_DELETE_BATCH"));
        visited.and(taken)
    }
}

/// Reads to the end: each read goes on with the pass.
fn visit(pass: OwnedFd) -> Result<(), BpfError> {
    let mut pass = File::from(pass);
    let mut nothing = [0; NOTHING];
    loop {
        match pass.read(&mut nothing) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            // The kernel pauses after a million sockets.
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(source) => return Err(BpfError::of("read", "bpf_iter/tcp", source)),
        }
    }
}

/// What the first socket that refused an option answered, and how many did.
fn refusal(values: &[Value]) -> Option<BpfError> {
    type Of = fn(&Value) -> i32;
    let options: [(&str, Of); 5] = [
        ("SO_MAX_PACING_RATE", |value| value.rate_result),
        ("TCP_NOTSENT_LOWAT", |value| value.unsent_result),
        ("SO_KEEPALIVE", |value| value.keep_result),
        ("TCP_KEEPIDLE", |value| value.idle_result),
        ("TCP_KEEPCNT", |value| value.count_result),
    ];
    options.into_iter().find_map(|(option, result)| {
        let answers: Vec<i32> = values.iter().map(result).filter(|&answer| answer != 0).collect();
        let first = answers.first()?.checked_neg().unwrap_or(libc::EINVAL);
        Some(BpfError::Refused { option, sockets: answers.len(), source: io::Error::from_raw_os_error(first) })
    })
}

/// What to set: for a release the greatest rate, which is none, and the unsent limit that gives way to the system's.
fn value(pace: Option<Pace>) -> Value {
    let most = u32::MAX - 1;
    let (rate, unsent) = pace.map_or((u32::MAX, 0), |pace| {
        (u32::try_from(pace.bytes_per_s).map_or(most, |rate| rate.min(most)), pace.unsent)
    });
    let probe = pace.is_some_and(|pace| pace.probe);
    let (idle, count) = if probe { (1, MOST_PROBES) } else { (KEEPALIVE_IDLE, KEEPALIVE_PROBES) };
    Value { rate, unsent, keep: 1, idle, count, ..Value::default() }
}

/// Whether the kernel has a function of that name that programs can be attached to.
///
/// Errors: [`BpfError::NoBtf`] — it does not say which functions it has.
pub fn has_function(name: &str) -> Result<bool, BpfError> {
    let bytes = type_information()?;
    let btf = Btf::parse(&bytes).map_err(BpfError::Unsupported)?;
    Ok(btf.function(name).is_ok())
}

fn type_information() -> Result<Vec<u8>, BpfError> {
    let mut bytes = Vec::new();
    File::open(BTF)
        .and_then(|file| file.take(BTF_MAX).read_to_end(&mut bytes))
        .map_err(|source| BpfError::NoBtf { path: BTF, source })?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
