//! A machine on which policies cannot be carried out: no capability, no interface, names that somebody else has taken.
//!
//! Called by the experiment. Invariant: what was somebody else's is as it was.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::json;

use super::super::dump::Dump;
use super::super::ms;
use super::super::policies::{STEERING, limit, paths};
use crate::experiment::tell;
use crate::link::Link;
use crate::proxy::{PORT, Proxy, private_directory};
use crate::report::{Must, Report};
use crate::topology::{Family, Topology};

/// What is in the way.
struct Obstacle {
    name: &'static str,
    /// Put there before anabranch starts.
    put: fn(&Topology) -> Result<Option<Child>>,
    /// More keys of `[steering]`.
    steering: &'static str,
    /// Started without this capability.
    without: Option<&'static str>,
    /// What the refusal must name.
    names: &'static [&'static str],
    /// What stays as it is: parts of a dump. Beyond, anabranch goes on with what is left to it.
    stays: &'static [&'static str],
}

/// What a shaper consists of.
const SHAPER: &[&str] = &["ip link", "tc", "nft"];

const OBSTACLES: &[Obstacle] = &[
    Obstacle {
        name: "without CAP_NET_ADMIN",
        put: |_| Ok(None),
        steering: "",
        without: Some("net_admin"),
        names: &["CAP_NET_ADMIN", "polic"],
        stays: &[""],
    },
    Obstacle {
        name: "an interface that is not there",
        put: |_| Ok(None),
        steering: "interfaces = [\"nope0\"]",
        without: None,
        names: &["nope0"],
        stays: &[],
    },
    Obstacle {
        name: "a table of that name is somebody else's",
        put: |topology| {
            topology.edge.nft("table netdev anabranch {\n map theirs { type ipv4_addr : classid; }\n}\n").map(|()| None)
        },
        steering: "",
        without: None,
        names: &["table", "anabranch", "adopt"],
        stays: SHAPER,
    },
    Obstacle {
        name: "a device of that name is somebody else's",
        put: |topology| topology.edge.ip("link add anabranch0 type veth peer name theirs0").map(|()| None),
        steering: "",
        without: None,
        names: &["device", "anabranch0"],
        stays: SHAPER,
    },
    Obstacle {
        name: "an IFB of that name with somebody else's classes",
        put: |topology| {
            topology.edge.ip("link add anabranch0 type ifb")?;
            topology.edge.tc("qdisc add dev anabranch0 root handle 1: htb default 30")?;
            topology.edge.tc("class add dev anabranch0 parent 1: classid 1:30 htb rate 9mbit")?;
            Ok(None)
        },
        steering: "",
        without: None,
        names: &["anabranch0", "adopt"],
        stays: SHAPER,
    },
    Obstacle {
        name: "another path manager runs",
        put: mptcpd,
        steering: "",
        without: None,
        names: &["mptcpd"],
        stays: &["net.mptcp"],
    },
];

/// Starts anabranch in front of each obstacle: it says what is in the way, touches nothing, and carries bytes or ends.
pub(super) fn measure(report: &mut Report) -> Result<()> {
    let mut clear = 0_u32;
    for obstacle in OBSTACLES {
        let faults = face(obstacle).with_context(|| obstacle.name)?;
        report.raw_cell(obstacle.name, json!({"unit": "refused", "median": u8::from(faults.is_empty()), "n": 1}));
        tell(&format!(
            "  {:<48} {}",
            obstacle.name,
            if faults.is_empty() { "refused by name" } else { "NOT refused well" }
        ));
        clear += u32::from(faults.is_empty());
        faults.into_iter().for_each(|fault| report.fail(format!("{}: {fault}", obstacle.name)));
    }
    let all = f64::from(u32::try_from(OBSTACLES.len())?);
    report.figure("obstacles", Some(all));
    report.figure("obstacles_named", Some(f64::from(clear)));
    report.require("obstacles_named", Must::AtLeast(all));
    Ok(())
}

fn face(obstacle: &Obstacle) -> Result<Vec<String>> {
    let topology = Topology::builder().link(Link::new("dsl").mbit(40)).link(Link::new("lte").mbit(40)).build()?;
    let mut other = (obstacle.put)(&topology)?;
    let before = Dump::of(&topology.edge)?;
    let directory = private_directory("refused")?;
    let file = write(&topology, &directory, obstacle.steering)?;
    let mut command = match obstacle.without {
        None => topology.edge.bound_command(Proxy::binary()?),
        Some(capability) => {
            let mut command = topology.edge.bound_command("setpriv");
            let without = format!("-{capability}");
            command.args(["--bounding-set", &without, "--inh-caps", &without, "--"]).arg(Proxy::binary()?);
            command
        }
    };
    let log = directory.join("log");
    let output = std::fs::File::create(&log).context("cannot make a log")?;
    let both = output.try_clone().context("cannot share a log")?;
    command.arg("run").arg("--config").arg(&file).stdin(Stdio::null()).stdout(output).stderr(both);
    let mut child = command.spawn().context("cannot start anabranch")?;
    let (words, ended) = wait(&mut child, &log, obstacle.names)?;
    let mut faults = Vec::new();
    let missing: Vec<_> = obstacle.names.iter().filter(|name| !words.contains(**name)).collect();
    if !missing.is_empty() {
        faults.push(format!("{missing:?} is not named: {}", tail(&words)));
    }
    // Refusing to steer is no reason not to carry bytes.
    let serves = topology.client.run(|| {
        std::net::TcpStream::connect_timeout(&(topology.edge_address(1, Family::V4), PORT).into(), ms(2_000)).is_ok()
    })?;
    if ended.is_none() && !serves {
        faults.push("it neither ends nor serves".into());
    }
    let mut differences = before.differences(&Dump::of(&topology.edge)?);
    differences.retain(|words| obstacle.stays.iter().any(|part| words[2..].starts_with(part)));
    differences.truncate(6);
    if !differences.is_empty() {
        faults.push(format!("half of it was done: {differences:?}"));
    }
    for child in [Some(&mut child), other.as_mut()].into_iter().flatten() {
        drop(child.kill());
        drop(child.wait());
    }
    drop(std::fs::remove_dir_all(&directory));
    Ok(faults)
}

fn write(topology: &Topology, directory: &Path, steering: &str) -> Result<PathBuf> {
    let file = directory.join("anabranch.toml");
    // The path manager is left alone: whether it may be changed is not the question.
    let steering = format!(
        "{}path_manager = \"auto\"\n{steering}\n",
        STEERING.lines().next().map_or_else(String::new, |head| format!("{head}\n"))
    );
    let text = format!(
        "[[listener]]\nname = \"lab\"\naddress = \"[::]:{PORT}\"\nclients = [\"10.0.0.0/8\"]\n[control]\nsocket = \"{}\"\n{steering}{}{}",
        directory.join("control.sock").display(),
        paths(topology.links()),
        limit(2, 2)
    );
    std::fs::write(&file, text).context("cannot write a configuration")?;
    Ok(file)
}

/// Waits until everything was named, it ended, or there was time enough; with all it said.
fn wait(child: &mut Child, log: &Path, names: &[&str]) -> Result<(String, Option<i32>)> {
    let end = Instant::now() + Duration::from_secs(5);
    loop {
        let mut words = String::new();
        std::fs::File::open(log).and_then(|mut file| file.read_to_string(&mut words)).context("cannot read a log")?;
        let ended = child.try_wait().context("cannot ask for anabranch")?;
        let named = names.iter().all(|name| words.contains(name)) && words.contains("listening");
        if named || ended.is_some() || Instant::now() > end {
            return Ok((words, ended.map(|status| status.code().unwrap_or(-1))));
        }
        std::thread::sleep(ms(50));
    }
}

fn tail(words: &str) -> String {
    let lines: Vec<&str> = words.lines().collect();
    lines[lines.len().saturating_sub(8)..].join("\n")
}

/// A process that is called as the path manager's daemon is.
fn mptcpd(topology: &Topology) -> Result<Option<Child>> {
    use std::os::unix::process::CommandExt;
    let sleep = Command::new("sh").args(["-c", "command -v sleep"]).output().context("sh")?;
    let program = String::from_utf8_lossy(&sleep.stdout).trim().to_owned();
    let directory = private_directory("mptcpd")?;
    let copy = directory.join("mptcpd");
    std::fs::copy(&program, &copy).with_context(|| program.clone())?;
    let child =
        topology.edge.bound_command(&copy).arg0("mptcpd").arg("60").spawn().context("cannot start a stand-in")?;
    Ok(Some(child))
}
