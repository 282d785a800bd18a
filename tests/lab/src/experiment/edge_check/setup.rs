//! A set-up: what it says it does, it does; what it did, it takes back to the last byte.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::machine::{CONFIG, Machine};
use super::{failures, mend};

/// A promise, and what it is held to.
type Promise = fn() -> Result<Vec<String>>;

pub(super) const ALL: &[(&str, Promise)] = &[
    ("setup mends, twice is once, and undo takes it back", back),
    ("what was there before comes back as it was", former),
    ("undo leaves what somebody has changed since", changed),
];

const DROP_IN: &str = "etc/sysctl.d/60-anabranch.conf";

/// What a set-up can mend: all of it is of the namespace.
const ILLS: &[(&str, &str)] = &[
    ("net.mptcp.enabled", "0"),
    ("net.mptcp.path_manager", "userspace"),
    ("net.ipv4.conf.p2.rp_filter", "1"),
    ("net.ipv4.tcp_rmem", "4096\t65536\t65536"),
    ("net.ipv4.ip_local_port_range", "40000\t40050"),
    ("net.core.somaxconn", "128"),
];

/// A machine with these ills, and a root for its files.
struct Ward {
    machine: Machine,
    file: PathBuf,
    root: PathBuf,
}

/// Sysctls by name, and files and directories below the root with their permissions.
#[derive(Debug, PartialEq, Eq)]
struct State {
    sysctls: BTreeMap<String, String>,
    files: BTreeMap<PathBuf, (u32, Option<String>)>,
}

impl Ward {
    fn new() -> Result<Self> {
        let machine = Machine::new()?;
        let file = machine.configure(CONFIG)?;
        let root = machine.directory.join("root");
        std::fs::create_dir_all(root.join("etc")).context("a root")?;
        for (key, value) in ILLS {
            machine.edge.sysctl(key, value)?;
        }
        Ok(Self { machine, file, root })
    }

    /// Runs `edge setup`; what it printed, if it ended well.
    fn setup(&self, what: &str, faults: &mut Vec<String>) -> Result<String> {
        let (file, root) = (self.file.to_str().context("text")?, self.root.to_str().context("text")?);
        // With too few descriptors there is something to do for services as well.
        let through = ["prlimit", "--nofile=512:512", "--"];
        let output = self.machine.run(&through, &["edge", "setup", what, "--config", file, "--root", root])?;
        if !output.status.success() {
            faults.push(format!("{what} ends with {}: {}", output.status, String::from_utf8_lossy(&output.stderr)));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn state(&self) -> Result<State> {
        let all = self.machine.edge.tool("sysctl", ["-a"])?;
        // Counters, and what the kernel draws at random, are nobody's setting.
        let volatile =
            ["nf_conntrack_count", "fs.dentry-state", "fs.inode-", "fs.file-nr", "kernel.random", "kernel.ns_last_pid"];
        let lines = all.lines().filter(|line| !volatile.iter().any(|word| line.contains(word)));
        let lines = lines.filter(|line| line.starts_with("net.") || line.starts_with("fs."));
        let pair = |line: &str| line.split_once(" = ").map(|(key, value)| (key.to_owned(), value.to_owned()));
        let mut files = BTreeMap::new();
        walk(&self.root, &mut files)?;
        Ok(State { sysctls: lines.filter_map(pair).collect(), files })
    }
}

fn walk(directory: &Path, found: &mut BTreeMap<PathBuf, (u32, Option<String>)>) -> Result<()> {
    for entry in std::fs::read_dir(directory).with_context(|| directory.display().to_string())? {
        let path = entry?.path();
        let about = path.metadata()?;
        let text = if about.is_dir() { None } else { Some(std::fs::read_to_string(&path)?) };
        found.insert(path.clone(), (about.permissions().mode(), text));
        if about.is_dir() {
            walk(&path, found)?;
        }
    }
    Ok(())
}

impl State {
    /// In words, what is different.
    fn differences(&self, other: &Self) -> Vec<String> {
        let keys = self.sysctls.keys().chain(other.sysctls.keys());
        let mut words: Vec<_> = keys
            .filter(|key| self.sysctls.get(*key) != other.sysctls.get(*key))
            .map(|key| format!("{key}: {:?}, then {:?}", self.sysctls.get(key), other.sysctls.get(key)))
            .collect();
        let paths = self.files.keys().chain(other.files.keys());
        let changed = paths.filter(|path| self.files.get(*path) != other.files.get(*path));
        words.extend(
            changed.map(|path| {
                format!("{}: {:?}, then {:?}", path.display(), self.files.get(path), other.files.get(path))
            }),
        );
        words.sort();
        words.dedup();
        words
    }
}

fn back() -> Result<Vec<String>> {
    let ward = Ward::new()?;
    let mut faults = Vec::new();
    let before = ward.state()?;
    if before.sysctls.len() < 100 {
        faults.push(format!("only {} sysctls are looked at", before.sysctls.len()));
    }
    let dry = ward.setup("--dry-run", &mut faults)?;
    faults.extend(before.differences(&ward.state()?).iter().map(|words| format!("a dry run changed {words}")));
    for (key, _) in ILLS {
        if !dry.lines().any(|line| line.starts_with("sysctl -w ") && line.contains(key)) {
            faults.push(format!("a dry run does not name {key}: {dry}"));
        }
    }
    ward.setup("--apply", &mut faults)?;
    let applied = ward.state()?;
    for words in [
        DROP_IN,
        "var/lib/anabranch/edge-setup.json",
        "etc/systemd/system/anabranch-proxy.service.d/60-edge-setup.conf",
    ] {
        if !applied.files.contains_key(&ward.root.join(words)) {
            faults.push(format!("{words} is not there"));
        }
    }
    let root = ward.root.to_str().context("text")?;
    let checked = ward.machine.check(&ward.file, &["prlimit", "--nofile=512:512", "--"], &["--root", root])?;
    let still =
        failures(&checked.json).into_iter().map(|name| format!("still fails: {name}, {}", mend(&checked.json, name)));
    faults.extend(still);
    let again = ward.setup("--apply", &mut faults)?;
    if !again.contains("nothing to set up") {
        faults.push(format!("a second --apply does something: {again}"));
    }
    faults.extend(applied.differences(&ward.state()?).iter().map(|words| format!("a second --apply changed {words}")));
    ward.setup("--undo", &mut faults)?;
    faults.extend(before.differences(&ward.state()?).iter().map(|words| format!("undo left {words}")));
    let nothing = ward.setup("--undo", &mut faults)?;
    if !nothing.contains("nothing to take back") {
        faults.push(format!("a second --undo does something: {nothing}"));
    }
    Ok(faults)
}

fn former() -> Result<Vec<String>> {
    let ward = Ward::new()?;
    let mut faults = Vec::new();
    let file = ward.root.join(DROP_IN);
    std::fs::create_dir_all(file.parent().context("a directory")?)?;
    std::fs::write(&file, "# an administrator's\nnet.core.somaxconn = 128\n")?;
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640))?;
    let before = ward.state()?;
    ward.setup("--apply", &mut faults)?;
    if ward.state()?.files.get(&file) == before.files.get(&file) {
        faults.push("the file is not written".into());
    }
    ward.setup("--undo", &mut faults)?;
    faults.extend(before.differences(&ward.state()?).iter().map(|words| format!("undo left {words}")));
    Ok(faults)
}

fn changed() -> Result<Vec<String>> {
    let ward = Ward::new()?;
    let mut faults = Vec::new();
    let before = ward.state()?;
    ward.setup("--apply", &mut faults)?;
    let (key, value) = ("net.ipv4.tcp_rmem", "4096 65536 9999999");
    ward.machine.edge.sysctl(key, value)?;
    let mut text = std::fs::read_to_string(ward.root.join(DROP_IN))?;
    text.push_str("net.core.somaxconn = 5000\n");
    std::fs::write(ward.root.join(DROP_IN), text)?;
    let said = ward.setup("--undo", &mut faults)?;
    for words in [key, DROP_IN] {
        if !said.lines().any(|line| line.starts_with("left as it is") && line.contains(words)) {
            faults.push(format!("{words} is not said to be left: {said}"));
        }
    }
    let mut left = before.differences(&ward.state()?);
    // The file's directory stays with it.
    left.retain(|words| !words.starts_with(key) && !words.contains("/etc/sysctl.d"));
    faults.extend(left.iter().map(|words| format!("undo left {words}")));
    Ok(faults)
}
