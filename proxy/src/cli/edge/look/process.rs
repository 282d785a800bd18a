//! Processes: the anabranch that runs, what it may do and how many descriptors it may have; without one, this process.

use std::net::SocketAddr;
use std::path::Path;

use anabranch_config::{Config, Role};
use anabranch_deploy::edge::facts::{Capabilities, Descriptors};
use bytes::Bytes;
use http::Method;
use nix::sys::resource::{Resource, getrlimit};
use serde_json::Value;

use crate::control::{client, path};

/// The capabilities that matter, by their bits.
const CAPABILITIES: &[(u32, &str)] =
    &[(10, "CAP_NET_BIND_SERVICE"), (12, "CAP_NET_ADMIN"), (13, "CAP_NET_RAW"), (38, "CAP_PERFMON"), (39, "CAP_BPF")];
/// The services that carry bytes.
const UNITS: [&str; 2] = ["anabranch-proxy.service", "anabranch.service"];
/// Where their files are, the later ones over the earlier.
const UNIT_PLACES: [&str; 3] = ["lib/systemd/system", "usr/lib/systemd/system", "etc/systemd/system"];

/// One that runs.
pub(super) struct Running {
    pid: u64,
    /// Its listeners: name, address.
    pub(super) listeners: Vec<(String, SocketAddr)>,
}

/// Those that answer on the sockets of this configuration: at most two, one for each job.
pub(super) async fn running(config: &Config) -> Vec<Running> {
    let mut found: Vec<Running> = Vec::new();
    for role in [Role::Both, Role::Steer] {
        let Some((socket, _)) = path(&config.control, role) else { continue };
        let Ok(answer) = client::ask(&socket, Method::GET, "/status", Bytes::new()).await else { continue };
        let Ok(status) = serde_json::from_slice::<Value>(&answer) else { continue };
        let Some(pid) = status["pid"].as_u64() else { continue };
        let listener =
            |value: &Value| Some((value["name"].as_str()?.to_owned(), value["address"].as_str()?.parse().ok()?));
        let listeners = status["listeners"].as_array().into_iter().flatten().filter_map(listener).collect();
        if found.iter().all(|known| known.pid != pid) {
            found.push(Running { pid, listeners });
        }
    }
    found
}

/// The capabilities of a process, by their bits.
fn effective(pid: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let digits = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(digits.trim(), 16).ok()
}

/// Whether this process has a capability.
fn has(wanted: &str) -> bool {
    let bits = effective("self").unwrap_or_default();
    CAPABILITIES.iter().any(|(bit, name)| *name == wanted && bits >> bit & 1 == 1)
}

/// Whether this process has what loading BPF programs takes. Nothing else may be in its way but a policy of the machine.
pub(super) fn may_load() -> bool {
    ["CAP_BPF", "CAP_PERFMON"].into_iter().all(has)
}

/// Whether this process may try what steering takes.
pub(super) fn may_try() -> bool {
    has("CAP_NET_ADMIN")
}

/// What they may do together.
pub(super) fn capabilities(running: &[Running]) -> Capabilities {
    let theirs: Vec<u64> = running.iter().filter_map(|one| effective(&one.pid.to_string())).collect();
    let (whose, bits) = if theirs.is_empty() {
        ("this process".to_owned(), effective("self").unwrap_or_default())
    } else {
        (format!("the running anabranch ({})", numbers(running)), theirs.iter().fold(0, |all, one| all | one))
    };
    let held = CAPABILITIES.iter().filter(|(bit, _)| bits >> bit & 1 == 1).map(|(_, name)| (*name).to_owned());
    let program = std::env::current_exe().map_or_else(|_| "anabranch".to_owned(), |path| path.display().to_string());
    Capabilities { whose, held: held.collect(), program }
}

/// Their process numbers, in words.
fn numbers(running: &[Running]) -> String {
    let pids: Vec<_> = running.iter().map(|one| one.pid.to_string()).collect();
    format!("{} {}", if pids.len() == 1 { "process" } else { "processes" }, pids.join(" and "))
}

/// How many descriptors the one that carries bytes has, its service will have, or this process has.
pub(super) fn descriptors(running: &[Running], root: &Path) -> Descriptors {
    let carries = running.iter().find(|one| !one.listeners.is_empty());
    let of_process =
        carries.and_then(|one| Some((format!("the running anabranch (process {})", one.pid), limit_of(one.pid)?)));
    let found =
        of_process.or_else(|| UNITS.iter().find_map(|unit| Some(((*unit).to_owned(), unit_limit(root, unit)?))));
    let (whose, hard) = found.unwrap_or_else(|| {
        let hard = getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |(_, hard)| hard);
        ("this process".to_owned(), hard)
    });
    Descriptors { whose, hard }
}

/// The hard limit of a process.
fn limit_of(pid: u64) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/limits")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    number(line.split_whitespace().nth(1)?)
}

/// What a unit's file says, or the last of what lies beside it.
fn unit_limit(root: &Path, unit: &str) -> Option<u64> {
    let mut files: Vec<_> = UNIT_PLACES.iter().map(|place| root.join(place).join(unit)).collect();
    let mut beside: Vec<_> = UNIT_PLACES
        .iter()
        .filter_map(|place| std::fs::read_dir(root.join(place).join(format!("{unit}.d"))).ok())
        .flat_map(|entries| entries.flatten().map(|entry| entry.path()))
        .collect();
    // Whatever directory they are in, they are read in the order of their names.
    beside.sort_by_key(|path| path.file_name().map(ToOwned::to_owned));
    files.extend(beside);
    let texts = files.iter().filter_map(|file| std::fs::read_to_string(file).ok());
    texts.filter_map(|text| limit_in(&text)).next_back()
}

/// The hard limit a unit's text asks for: `LimitNOFILE=HARD` or `LimitNOFILE=SOFT:HARD`.
fn limit_in(text: &str) -> Option<u64> {
    let said = text.lines().filter_map(|line| line.trim().strip_prefix("LimitNOFILE=")).next_back()?;
    number(said.rsplit(':').next()?.trim())
}

fn number(word: &str) -> Option<u64> {
    if matches!(word, "unlimited" | "infinity") { Some(u64::MAX) } else { word.parse().ok() }
}

#[cfg(test)]
mod tests;
