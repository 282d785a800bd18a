//! An edge with two access networks and a name server, on which all is well until somebody changes it.
//!
//! Invariant: nothing outside of its namespace and its directory is touched.

use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::netns::Namespace;
use crate::proxy::{Proxy, private_directory};

/// What the machine is to be fit for. The congestion control is one that nobody needs a capability for.
pub(super) const CONFIG: &str = r#"[limits]
connections = 400
[[listener]]
name = "edge"
address = "[::]:3128"
clients = ["10.0.0.0/8", "fd00::/8"]
congestion = "reno"
[resolver]
servers = ["127.0.0.1:5353"]
[timeouts]
dns = "1 s"
[[path]]
name = "dsl"
client = ["10.1.0.0/16"]
line = "40 Mbit/s"
[[path]]
name = "lte"
client = ["10.2.0.0/16"]
cost = 10
line = "20 Mbit/s"
[[policy]]
name = "lte slowly"
path = "lte"
action = "limit"
rate = "2 Mbit/s"
"#;

/// What a check said.
pub(super) struct Checked {
    pub(super) json: Value,
    pub(super) code: i32,
}

/// The machine; it goes with this value.
pub(super) struct Machine {
    pub(super) edge: Namespace,
    pub(super) directory: PathBuf,
    _names: NameServer,
}

/// Answers every question with "no such name".
struct NameServer {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Machine {
    pub(super) fn new() -> Result<Self> {
        let edge = Namespace::new("edge")?;
        for link in 1..=2 {
            edge.ip(&format!("link add p{link} type veth peer name far{link}"))?;
            edge.ip(&format!("address add 10.{link}.0.1/24 dev p{link}"))?;
            edge.ip(&format!("address add fd00:{link}::1/64 dev p{link} nodad"))?;
            edge.ip(&format!("link set p{link} up"))?;
            edge.ip(&format!("link set far{link} up"))?;
        }
        // What the host hands down to its namespaces is not what is looked at here.
        for link in ["all", "default", "p1", "p2", "far1", "far2"] {
            edge.sysctl(&format!("net.ipv4.conf.{link}.rp_filter"), "0")?;
        }
        for (key, value) in [
            ("net.ipv4.tcp_rmem", "4096 131072 6291456"),
            ("net.ipv4.tcp_wmem", "4096 16384 4194304"),
            ("net.ipv4.ip_local_port_range", "32768 60999"),
            ("net.core.somaxconn", "4096"),
        ] {
            edge.sysctl(key, value)?;
        }
        let names = NameServer::start(&edge)?;
        Ok(Self { edge, directory: private_directory("edge-check")?, _names: names })
    }

    /// Writes a configuration, with a control socket of its own.
    pub(super) fn configure(&self, text: &str) -> Result<PathBuf> {
        let file = self.directory.join("anabranch.toml");
        let socket = self.directory.join("control.sock");
        std::fs::write(&file, format!("{text}[control]\nsocket = \"{}\"\n", socket.display()))
            .context("cannot write a configuration")?;
        Ok(file)
    }

    /// Runs `edge check --json`, through another program if one is given.
    pub(super) fn check(&self, file: &Path, through: &[&str], more: &[&str]) -> Result<Checked> {
        let words = file.to_str().context("a path of text")?;
        let output = self.run(through, &[&["edge", "check", "--json", "--config", words], more].concat())?;
        let json = serde_json::from_slice(&output.stdout)
            .with_context(|| format!("not JSON: {}", String::from_utf8_lossy(&output.stderr)))?;
        Ok(Checked { json, code: output.status.code().unwrap_or(-1) })
    }

    /// Runs anabranch in the machine.
    pub(super) fn run(&self, through: &[&str], arguments: &[&str]) -> Result<Output> {
        let mut command: Command = match through {
            [] => self.edge.bound_command(Proxy::binary()?),
            [program, rest @ ..] => {
                let mut command = self.edge.bound_command(program);
                command.args(rest).arg(Proxy::binary()?);
                command
            }
        };
        command.args(arguments).output().context("cannot start anabranch")
    }

    /// Starts the proxy of a configuration and waits until it answers. It only carries bytes: what steering makes is not looked at.
    pub(super) fn start(&self, file: &Path) -> Result<Running> {
        let mut command = self.edge.bound_command(Proxy::binary()?);
        command.args(["run", "--role", "proxy", "--config"]).arg(file);
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        let running = Running(command.spawn().context("cannot start anabranch")?);
        let (socket, end) = (self.directory.join("control.sock"), Instant::now() + Duration::from_secs(10));
        while std::os::unix::net::UnixStream::connect(&socket).is_err() {
            ensure!(Instant::now() < end, "anabranch does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(running)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // A directory left in the temporary place is harmless.
        drop(std::fs::remove_dir_all(&self.directory));
    }
}

/// A proxy that runs; dropping it ends it.
pub(super) struct Running(std::process::Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Killing and reaping fail only when it is gone.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl NameServer {
    fn start(edge: &Namespace) -> Result<Self> {
        let socket = edge.run(|| UdpSocket::bind("127.0.0.1:5353"))?.context("a name server's socket")?;
        socket.set_read_timeout(Some(Duration::from_millis(50))).context("a time limit")?;
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let serve = move || {
            let mut question = [0; 512];
            while !told.load(Ordering::Relaxed) {
                if let Ok((length @ 12.., from)) = socket.recv_from(&mut question) {
                    // An answer, with recursion, of "no such name"; the question is repeated, and nothing else there.
                    question[2..4].copy_from_slice(&[0x81, 0x83]);
                    question[6..12].fill(0);
                    // Behind the name: type and class. What came with the question beside it (EDNS) is left out.
                    let name = question[12..length].iter().position(|&byte| byte == 0).unwrap_or(0);
                    let end = (12 + name + 5).min(length);
                    // Who asked may be gone.
                    drop(socket.send_to(&question[..end], from));
                }
            }
        };
        let thread = std::thread::Builder::new().name("name server".into()).spawn(serve).context("a thread")?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It panicked, which has been told.
            drop(thread.join());
        }
    }
}
