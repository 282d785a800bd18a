//! Programs run on a file: how much processor time they took, and how large they grew.
//!
//! Called while no other child of this process ends: their times could not be told apart.

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::resource::UsageWho;

use super::{cpu, proc_number};

/// What a program did.
#[derive(Debug)]
pub(super) struct Ran {
    /// Processor time, user and system.
    pub(super) used: Duration,
    pub(super) elapsed: Duration,
    /// The most it held of memory at once.
    ///
    /// Units: KiB; `None` when it was gone before it could be looked at.
    pub(super) peak_kib: Option<u64>,
    /// Lines it wrote.
    pub(super) lines: u64,
}

/// Runs a program to its end.
///
/// The kernel's account of a dead child (`ru_maxrss`) begins with the size of the process that started it, so the living
/// one is looked at whenever it has written something; its pipe is so small that it waits for that.
pub(super) fn run(command: &mut Command) -> Result<Ran> {
    let (before, started) = (cpu(UsageWho::RUSAGE_CHILDREN)?, Instant::now());
    let program = command.get_program().display().to_string();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().with_context(|| format!("cannot start {program}"))?;
    let mut output = child.stdout.take().context("a piped standard output")?;
    fcntl(&output, FcntlArg::F_SETPIPE_SZ(4096)).context("cannot make a pipe small")?;
    let (mut lines, mut peak_kib, mut buffer) = (0, None, [0; 4096]);
    loop {
        let got = output.read(&mut buffer).with_context(|| format!("cannot read what {program} says"))?;
        if got == 0 {
            break;
        }
        lines += buffer[..got].iter().map(|&byte| u64::from(byte == b'\n')).sum::<u64>();
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        peak_kib = proc_number(&status, "VmHWM").or(peak_kib);
    }
    let status = child.wait().with_context(|| format!("cannot wait for {program}"))?;
    ensure!(status.success(), "{program} ended with {status}");
    let used = cpu(UsageWho::RUSAGE_CHILDREN)?.saturating_sub(before);
    Ok(Ran { used, elapsed: started.elapsed(), peak_kib, lines })
}
