//! A namespace with a name for messages, and the tools run inside it.
//!
//! What lives here: running `ip`, `tc`, `nft`, `ethtool`, sysctls and counters inside one namespace.
//! What does not: what to configure. Called by every other module.
//! Invariant: a tool that fails is an error with the tool's own words; nothing is guessed from its text.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use anabranch_kernel::netns::NetNs;
use anyhow::{Context, Result, bail, ensure};

/// Set in the process that was re-executed, so that it does not do so again.
const REENTERED: &str = "ANABRANCH_LAB_REENTERED";

/// A network namespace of the lab.
///
/// Shape: cheap to clone; ends with the last clone, process and socket in it.
#[derive(Debug, Clone)]
pub struct Namespace {
    name: String,
    ns: NetNs,
}

/// What an interface has carried.
///
/// Units: bytes and packets since the interface was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct InterfaceCounters {
    /// Bytes received.
    pub received_bytes: u64,
    /// Packets received.
    pub received_packets: u64,
    /// Bytes sent.
    pub sent_bytes: u64,
    /// Packets sent.
    pub sent_packets: u64,
}

impl Namespace {
    /// Makes a namespace with loopback up and addresses usable at once; `name` appears in messages only.
    ///
    /// Errors: without the privilege to make one; see [`re_enter_if_unprivileged`].
    pub fn new(name: impl Into<String>) -> Result<Self> {
        let name = name.into();
        let ns = NetNs::new().with_context(|| format!("cannot make the namespace {name}"))?;
        let this = Self { name, ns };
        this.ip("link set lo up")?;
        for family in ["default", "all"] {
            this.sysctl(&format!("net.ipv6.conf.{family}.accept_dad"), "0")?;
            this.sysctl(&format!("net.ipv6.conf.{family}.keep_addr_on_down"), "1")?;
        }
        // A dropped MPTCP SYN must not turn the next hour into plain TCP.
        this.sysctl("net.mptcp.blackhole_timeout", "0")?;
        Ok(this)
    }

    /// The name given at creation.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs `work` inside, on a thread of its own; sockets it opens and threads it starts stay inside.
    ///
    /// Panics: with the panic of `work`, passed on.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        self.ns.run(work).with_context(|| format!("in namespace {}", self.name))
    }

    /// A command whose process will start inside.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        self.ns.command(program)
    }

    /// A command whose process will start inside and is killed when the calling thread ends, however it ends.
    pub fn bound_command(&self, program: impl AsRef<OsStr>) -> Command {
        self.ns.bound_command(program)
    }

    /// A path that names the namespace to `ip link set DEV netns PATH`.
    pub fn path(&self) -> PathBuf {
        self.ns.path()
    }

    /// Runs `ip` with the words of `line`.
    ///
    /// Errors: with the tool's words when it fails.
    pub fn ip(&self, line: &str) -> Result<()> {
        self.tool("ip", line.split_whitespace()).map(drop)
    }

    /// Runs several `ip` lines in one process, in order, stopping at the first that fails.
    pub fn ip_batch(&self, lines: &[String]) -> Result<()> {
        self.feed(self.command("ip").args(["-batch", "-"]), &lines.join("\n"))
    }

    /// Runs `tc` with the words of `line`.
    pub fn tc(&self, line: &str) -> Result<()> {
        self.tool("tc", line.split_whitespace()).map(drop)
    }

    /// Loads nft rules from their source text.
    pub fn nft(&self, rules: &str) -> Result<()> {
        self.feed(self.command("nft").args(["-f", "-"]), rules)
    }

    /// Switches off what would merge, split or leave unfinished the frames of `device`, so that a shaper, an emulator
    /// and a tap see what a wire would carry.
    pub fn plain_frames(&self, device: &str) -> Result<()> {
        let off = ["-K", device, "tso", "off", "gso", "off", "gro", "off", "tx", "off"];
        self.tool("ethtool", off).map(drop)
    }

    /// Writes the sysctl `key` (dotted), as seen from inside.
    pub fn sysctl(&self, key: &str, value: &str) -> Result<()> {
        let path = format!("/proc/sys/{}", key.replace('.', "/"));
        self.run(|| std::fs::write(&path, value))?.with_context(|| format!("{}: {key} = {value}", self.name))
    }

    /// Runs a tool inside and returns its standard output.
    ///
    /// Errors: with the tool's standard error when it fails.
    pub fn tool(&self, program: &str, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Result<String> {
        let mut command = self.command(program);
        command.args(arguments);
        let output = command.output().with_context(|| format!("cannot start {program}"))?;
        self.checked(&command, &output)?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Bytes and packets of every interface inside, by name.
    pub fn interface_counters(&self) -> Result<BTreeMap<String, InterfaceCounters>> {
        let text = self.run(|| std::fs::read_to_string("/proc/thread-self/net/dev"))?.context("/proc/net/dev")?;
        Ok(parse_dev(&text))
    }

    /// The namespace's TCP, IP and MPTCP counters by name, such as `MPTcpExtMPTCPRetrans`.
    pub fn mib_counters(&self) -> Result<BTreeMap<String, u64>> {
        let text =
            self.run(|| std::fs::read_to_string("/proc/thread-self/net/netstat"))?.context("/proc/net/netstat")?;
        Ok(parse_mib(&text))
    }

    fn feed(&self, command: &mut Command, text: &str) -> Result<()> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("cannot start {:?}", command.get_program()))?;
        let mut input = child.stdin.take().context("a piped standard input")?;
        // A tool that stops at an error closes its input early; its exit status says so better than the write does.
        let written = input.write_all(text.as_bytes());
        drop(input);
        let output = child.wait_with_output().context("cannot wait for a tool")?;
        self.checked(command, &output).with_context(|| text.to_owned())?;
        written.context("cannot write to a tool")
    }

    fn checked(&self, command: &Command, output: &Output) -> Result<()> {
        ensure!(
            output.status.success(),
            "{}: {} {}: {}: {}",
            self.name,
            command.get_program().display(),
            command.get_args().map(|a| a.to_string_lossy()).collect::<Vec<_>>().join(" "),
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(())
    }
}

/// As an ordinary user, re-executes this program as the root of a new user namespace; as root, does nothing.
///
/// Call first in `main`, before threads exist.
/// Errors: the machine allows no unprivileged user namespaces.
pub fn re_enter_if_unprivileged() -> Result<()> {
    if nix::unistd::geteuid().is_root() {
        return Ok(());
    }
    if std::env::var_os(REENTERED).is_some() {
        bail!("still not root after re-entering through a user namespace");
    }
    let error = Command::new("unshare")
        .args(["--user", "--map-root-user", "--net", "--mount", "--"])
        .arg(std::env::current_exe().context("cannot find this program")?)
        .args(std::env::args_os().skip(1))
        .env(REENTERED, "1")
        .exec();
    Err(error).context("cannot start unshare(1): the lab needs root or unprivileged user namespaces")
}

/// Reads the table of `/proc/net/dev`.
fn parse_dev(text: &str) -> BTreeMap<String, InterfaceCounters> {
    text.lines()
        .filter_map(|line| {
            let (name, rest) = line.split_once(':')?;
            let fields: Vec<u64> = rest.split_whitespace().map_while(|f| f.parse().ok()).collect();
            let &[received_bytes, received_packets, _, _, _, _, _, _, sent_bytes, sent_packets, ..] = &fields[..]
            else {
                return None;
            };
            let counters = InterfaceCounters { received_bytes, received_packets, sent_bytes, sent_packets };
            Some((name.trim().to_owned(), counters))
        })
        .collect()
}

/// Reads the pairs of lines (names, values) of `/proc/net/netstat`; names get their group's prefix.
fn parse_mib(text: &str) -> BTreeMap<String, u64> {
    let lines: Vec<_> = text.lines().collect();
    lines
        .chunks_exact(2)
        .flat_map(|pair| {
            let group = pair[0].split(':').next().unwrap_or_default();
            let names = pair[0].split_whitespace().skip(1).map(move |name| format!("{group}{name}"));
            names.zip(pair[1].split_whitespace().skip(1).filter_map(|value| value.parse().ok()))
        })
        .collect()
}

#[cfg(test)]
mod tests;
