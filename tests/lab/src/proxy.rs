//! The proxy under test as a child process: started with a configuration, its log read, drained at the end.
//!
//! What lives here: process, configuration file, log lines. What does not: what the log should say (experiments).
//! Owned by the experiment: dropping it kills the child and removes its directory.
//! Invariant: a proxy that did not say that it is ready was not started.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::netns::Namespace;

/// The port of the lab's listener.
pub const PORT: u16 = 3128;

/// What the proxy is configured with.
#[derive(Debug, Clone)]
pub struct ProxyConfig {
    /// The listener's address.
    pub address: String,
    /// Who may use it, and which origins it may dial.
    pub networks: Vec<String>,
    /// The congestion control of the listener; the proxy's own choice by default.
    pub congestion: Option<String>,
    /// More TOML, appended as it is.
    pub extra: String,
}

impl Default for ProxyConfig {
    fn default() -> Self {
        let networks = ["10.0.0.0/8", "fd00::/8", "127.0.0.0/8", "::1/128"].map(String::from).to_vec();
        Self { address: format!("[::]:{PORT}"), networks, congestion: None, extra: String::new() }
    }
}

/// A running proxy.
#[derive(Debug)]
pub struct Proxy {
    pid: u32,
    child: Mutex<Child>,
    directory: PathBuf,
    log: Arc<Log>,
}

/// What a process has used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Usage {
    /// Open descriptors.
    pub descriptors: u64,
    /// Threads.
    pub threads: u64,
    /// Resident memory.
    ///
    /// Units: KiB.
    pub rss_kib: u64,
    /// Proportional share of memory.
    ///
    /// Units: KiB.
    pub pss_kib: u64,
    /// Processor time of user and system.
    ///
    /// Units: clock ticks, 1/100 s.
    pub cpu_ticks: u64,
}

/// The child's lines, from both of its outputs.
#[derive(Debug, Default)]
struct Log {
    lines: Mutex<Vec<String>>,
    grown: Condvar,
}

impl Proxy {
    /// The binary to test: `ANABRANCH_BIN`, else `anabranch` beside the running program (or above its `deps`).
    pub fn binary() -> Result<PathBuf> {
        if let Some(path) = std::env::var_os("ANABRANCH_BIN") {
            return Ok(path.into());
        }
        let here = std::env::current_exe().context("cannot find this program")?;
        here.ancestors()
            .skip(1)
            .take(2)
            .map(|directory| directory.join("anabranch"))
            .find(|path| path.is_file())
            .context("no anabranch beside this program: build it, or set ANABRANCH_BIN")
    }

    /// Starts `anabranch run` in `ns` and waits until it is ready; it ends with the calling thread at the latest.
    ///
    /// Errors: with its log when it ends or stays silent for 10 s.
    pub fn start(ns: &Namespace, config: &ProxyConfig) -> Result<Self> {
        Self::start_binary(&Self::binary()?, ns, config)
    }

    /// As [`Proxy::start`], with the anabranch at `binary`: the demo starts the program that it is itself.
    pub fn start_binary(binary: &Path, ns: &Namespace, config: &ProxyConfig) -> Result<Self> {
        let directory = private_directory("proxy")?;
        let file = directory.join("anabranch.toml");
        fs::write(&file, config.render(&directory.join("control.sock"))).context("cannot write a configuration")?;
        let mut child = ns
            .bound_command(binary)
            .arg("run")
            .arg("--config")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", binary.display()))?;
        let log = Arc::new(Log::default());
        log.follow(child.stdout.take().context("a piped standard output")?)?;
        log.follow(child.stderr.take().context("a piped standard error")?)?;
        let this = Self { pid: child.id(), child: Mutex::new(child), directory, log };
        let end = Instant::now() + Duration::from_secs(10);
        while !this.log.wait(Duration::from_millis(50), |lines| lines.iter().any(|l| l.contains("\"ready\""))) {
            let ended = this.ended()?;
            if ended.is_some() || Instant::now() > end {
                bail!("the proxy does not get ready ({ended:?}):\n{}", this.log_lines().join("\n"));
            }
        }
        Ok(this)
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// How it ended, if it has.
    pub fn ended(&self) -> Result<Option<ExitStatus>> {
        self.child().try_wait().context("cannot ask for the proxy")
    }

    /// Fails, with the end of its log, if it has ended: what was measured then says nothing about it.
    pub fn expect_alive(&self) -> Result<()> {
        let Some(status) = self.ended()? else { return Ok(()) };
        let lines = self.log_lines();
        bail!("the proxy ended with {status}; its last words:\n{}", lines[lines.len().saturating_sub(20)..].join("\n"))
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The control socket's path.
    pub fn control_socket(&self) -> PathBuf {
        self.directory.join("control.sock")
    }

    /// What it answers to the command `what` (`status`, `connections`) of its own command line.
    ///
    /// Errors: with the command's words.
    pub fn ask(&self, what: &str) -> Result<Value> {
        let mut command = Command::new(Self::binary()?);
        let output = command.args([what, "--json", "--socket"]).arg(self.control_socket()).output();
        let output = output.with_context(|| format!("cannot start {what}"))?;
        ensure!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr).trim());
        serde_json::from_slice(&output.stdout).with_context(|| format!("{what} answers with something else than JSON"))
    }

    /// All lines logged so far.
    pub fn log_lines(&self) -> Vec<String> {
        self.log.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The access log so far: one object per ended session or request.
    pub fn access_log(&self) -> Vec<Value> {
        self.log_lines().iter().filter_map(|line| access_entry(line)).collect()
    }

    /// Waits until the access log has `count` entries; all of it by then, or what there is after `timeout`.
    pub fn wait_access_log(&self, count: usize, timeout: Duration) -> Vec<Value> {
        self.log.wait(timeout, |lines| lines.iter().filter_map(|line| access_entry(line)).count() >= count);
        self.access_log()
    }

    /// What the process uses now.
    pub fn usage(&self) -> Result<Usage> {
        usage(self.pid())
    }

    /// Asks it to drain and waits until it has ended.
    ///
    /// Errors: when it ends with a failure, or not within `timeout`.
    pub fn stop(self, timeout: Duration) -> Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.pid()).context("a process id")?);
        kill(pid, Signal::SIGTERM).context("cannot signal the proxy")?;
        let end = Instant::now() + timeout;
        loop {
            if let Some(status) = self.ended()? {
                ensure!(status.success(), "the proxy ended with {status}");
                return Ok(());
            }
            ensure!(Instant::now() < end, "the proxy did not drain within {timeout:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Killing and reaping fail only when it is gone; a directory left in the temporary place is harmless.
        let mut child = self.child();
        drop(child.kill());
        drop(child.wait());
        drop(child);
        drop(fs::remove_dir_all(&self.directory));
    }
}

impl ProxyConfig {
    /// The configuration file's text.
    fn render(&self, control: &std::path::Path) -> String {
        let networks = self.networks.iter().map(|n| format!("\"{n}\"")).collect::<Vec<_>>().join(", ");
        let congestion = self.congestion.as_ref().map(|name| format!("congestion = \"{name}\"\n")).unwrap_or_default();
        format!(
            "[[listener]]\nname = \"lab\"\naddress = \"{}\"\nclients = [{networks}]\n{congestion}\n[origin]\nallow = [{networks}]\n\n\
             [log]\nformat = \"json\"\naccess = \"full\"\n\n[control]\nsocket = \"{}\"\n{}",
            self.address,
            control.display(),
            self.extra
        )
    }
}

impl Log {
    fn follow(self: &Arc<Self>, output: impl Read + Send + 'static) -> Result<()> {
        let this = Arc::clone(self);
        let lines = BufReader::new(output).lines();
        std::thread::Builder::new()
            .name("proxy log".into())
            .spawn(move || {
                for line in lines.map_while(Result::ok) {
                    this.lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
                    this.grown.notify_all();
                }
            })
            .context("cannot start a thread for the proxy's log")?;
        Ok(())
    }

    /// Waits until the lines satisfy `done`, or `timeout` has passed; whether they do.
    fn wait(&self, timeout: Duration, done: impl Fn(&[String]) -> bool) -> bool {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.grown.wait_timeout_while(lines, timeout, |lines| !done(lines));
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }
}

/// The access entry in a log line: an object that says both who and how it ended, wherever the log nests its fields.
fn access_entry(line: &str) -> Option<Value> {
    let value: Value = serde_json::from_str(line).ok()?;
    let fields = value.get("fields").filter(|fields| fields.is_object()).unwrap_or(&value);
    (fields.get("outcome").is_some() && fields.get("bytes_to_client").is_some()).then(|| fields.clone())
}

/// What process `pid` uses now, from `/proc`.
pub fn usage(pid: u32) -> Result<Usage> {
    let read =
        |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).with_context(|| format!("{name} of {pid}"));
    let (status, rollup, stat) = (read("status")?, read("smaps_rollup")?, read("stat")?);
    let number = |text: &str, key: &str| -> Result<u64> {
        let line = text.lines().find_map(|line| line.strip_prefix(key)).with_context(|| format!("no {key}"))?;
        line.split_whitespace().next().and_then(|n| n.parse().ok()).with_context(|| format!("no number in {key}"))
    };
    // Fields 14 and 15; the second field, in brackets, may hold spaces.
    let after = stat.rsplit_once(')').context("no name in stat")?.1;
    let ticks: Vec<u64> = after.split_whitespace().skip(11).take(2).filter_map(|n| n.parse().ok()).collect();
    Ok(Usage {
        descriptors: fs::read_dir(format!("/proc/{pid}/fd")).context("cannot list descriptors")?.count() as u64,
        threads: number(&status, "Threads:")?,
        rss_kib: number(&status, "VmRSS:")?,
        pss_kib: number(&rollup, "Pss:")?,
        cpu_ticks: ticks.iter().sum(),
    })
}

/// How the lab's directories are called, followed by the process that made them.
const PREFIX: &str = "anabranch-lab-";

/// Makes a directory that no other run of the lab uses, open to its owner only.
///
/// The first one of a process also removes what killed runs have left.
pub fn private_directory(what: &str) -> Result<PathBuf> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    if number == 0 {
        sweep(&std::env::temp_dir()).context("cannot list the temporary directory")?;
    }
    let name = format!("{PREFIX}{}-{what}-{number}", std::process::id());
    let path = std::env::temp_dir().join(name);
    std::os::unix::fs::DirBuilderExt::mode(&mut fs::DirBuilder::new(), 0o700)
        .create(&path)
        .with_context(|| format!("cannot make {}", path.display()))?;
    Ok(path)
}

/// Removes the lab's directories in `place` whose process is no more.
fn sweep(place: &std::path::Path) -> std::io::Result<()> {
    for entry in fs::read_dir(place)? {
        let entry = entry?;
        let name = entry.file_name();
        let made_by = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split('-').next()?.parse::<u32>().ok());
        if made_by.is_some_and(|pid| !std::path::Path::new(&format!("/proc/{pid}")).exists()) {
            // Another user's, or swept by another run at this moment: either way not ours to remove.
            drop(fs::remove_dir_all(entry.path()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
