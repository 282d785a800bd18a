//! A stage: the world with a source of flows and a proxy (or a router) that is told policies; and a recording of what happens on it.
//!
//! Called by the experiments about steering. Owned by the experiment: dropping it ends everything on it.
//! Invariant: a recording's times are all of one clock.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::policies::{STEERING, paths};
use super::trace::Trace;
use crate::client::{Protocol, Via, Way};
use crate::experiment::{Options, PATIENCE, Subject};
use crate::flow::{ALL_THERE_IS, Flow, FlowSpec, Source};
use crate::meter::{Clock, Meter};
use crate::proxy::{PORT, Proxy, ProxyConfig, private_directory};
use crate::topology::{Builder, Family, Topology};

/// The port flows come from.
const SOURCE: u16 = 7100;

/// What a stage is like.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Setting {
    /// The network.
    pub(super) links: Builder,
    /// The listener's congestion control, where it is not the proxy's own choice.
    pub(super) congestion: Option<&'static str>,
    /// More keys of `[steering]`, as lines of TOML.
    pub(super) steering: String,
    /// The proxy's configuration from its start on, behind the paths.
    pub(super) policies: String,
    /// The edge is a router, and clients' connections end at the origin.
    pub(super) passing: bool,
}

/// A network, its proxy, and the origin of flows.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) topology: Topology,
    pub(super) directory: PathBuf,
    config: ProxyConfig,
    proxy: Option<Proxy>,
    source: Source,
    passing: bool,
}

/// What happens on a stage, being recorded.
#[derive(Debug)]
pub(super) struct Recording<'a> {
    pub(super) stage: &'a Stage,
    pub(super) clock: Clock,
    pub(super) flows: Vec<Flow>,
    meter: Meter,
    marks: Vec<(Duration, String)>,
    faults: Vec<String>,
}

impl Setting {
    /// The links, with a proxy that has no policy yet.
    pub(super) fn new(links: Builder) -> Self {
        Self { links, congestion: None, steering: String::new(), policies: String::new(), passing: false }
    }

    /// The links of a router, which steers what passes.
    pub(super) fn router(links: Builder) -> Self {
        Self { passing: true, ..Self::new(links) }
    }

    /// With policies from the start.
    pub(super) fn with(mut self, policies: impl Into<String>) -> Self {
        self.policies = policies.into();
        self
    }
}

impl Stage {
    /// Builds it and starts the proxy.
    pub(super) fn start(setting: &Setting, options: &Options) -> Result<Self> {
        ensure!(options.subject == Subject::Anabranch, "the floor has no policies: nothing can be shown of it");
        let topology = setting.links.clone().switched().build()?;
        let role =
            if setting.passing { router(topology.links().len()) } else { STEERING.to_owned() + &setting.steering };
        let extra = format!("{role}\n{}{}", paths(topology.links()), setting.policies);
        let config = ProxyConfig { congestion: setting.congestion.map(Into::into), extra, ..ProxyConfig::default() };
        Self::build(topology, config, setting.passing)
    }

    fn build(topology: Topology, config: ProxyConfig, passing: bool) -> Result<Self> {
        if passing {
            for key in ["ipv4.ip_forward", "ipv6.conf.all.forwarding"] {
                topology.edge.sysctl(&format!("net.{key}"), "1")?;
            }
        }
        let proxy = Some(Proxy::start(&topology.edge, &config)?);
        let source = Source::start(&topology.origin, SOURCE, if passing { Protocol::Mptcp } else { Protocol::Tcp })?;
        Ok(Self { topology, directory: private_directory("stage")?, config, proxy, source, passing })
    }

    /// The proxy.
    pub(super) fn proxy(&self) -> Result<&Proxy> {
        self.proxy.as_ref().context("no proxy runs")
    }

    /// Kills the proxy as it stands.
    pub(super) fn kill(&self) -> Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.proxy()?.pid()).context("a process id")?);
        kill(pid, Signal::SIGKILL).context("cannot kill the proxy")
    }

    /// Starts a proxy of the same configuration.
    pub(super) fn restart(&mut self) -> Result<()> {
        self.proxy = None;
        self.proxy = Some(Proxy::start(&self.topology.edge, &self.config)?);
        Ok(())
    }

    /// Asks the proxy to end in peace.
    pub(super) fn stop(&mut self, patience: Duration) -> Result<()> {
        self.proxy.take().map_or(Ok(()), |proxy| proxy.stop(patience))
    }

    /// Runs `anabranch policy` with these words at the edge.
    pub(super) fn policy(&self, words: &[&str]) -> Result<Output> {
        let mut command = Command::new(Proxy::binary()?);
        command.arg("policy").args(words).arg("--socket").arg(self.proxy()?.control_socket());
        command.output().context("cannot start anabranch policy")
    }

    /// Puts policies (behind the paths of the links) in the place of those in force.
    pub(super) fn apply(&self, policies: &str) -> Result<()> {
        let file = self.directory.join("policies.toml");
        fs::write(&file, paths(self.topology.links()) + policies).context("cannot write policies")?;
        let file = file.to_str().context("a path of text")?;
        checked(&self.policy(&["apply", file])?).with_context(|| format!("policy apply of\n{policies}"))
    }

    /// Tells the proxy to read its configuration again.
    pub(super) fn reload(&self) -> Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.proxy()?.pid()).context("a process id")?);
        kill(pid, Signal::SIGHUP).context("cannot signal the proxy")
    }

    /// Takes all policies back.
    pub(super) fn clear(&self) -> Result<()> {
        checked(&self.policy(&["clear"])?).context("policy clear")
    }

    /// A flow over MPTCP that begins on link `link`, for as long as it is let.
    pub(super) fn spec(&self, link: u8, family: Family, way: Way) -> FlowSpec {
        let proxy = SocketAddr::new(self.topology.edge_address(link, family), PORT);
        let from = Some(self.topology.client_address(link, family));
        let (protocol, via) = (Protocol::Mptcp, if self.passing { Via::Direct } else { Via::Connect(proxy) });
        FlowSpec { protocol, via, from, way, demand: ALL_THERE_IS, bytes: None }
    }

    /// How many additional subflows the client makes, and of how many announced addresses.
    pub(super) fn set_limits(&self, subflows: usize, accepted: u8) -> Result<()> {
        self.topology.client.ip(&format!("mptcp limits set subflow {subflows} add_addr_accepted {accepted}"))
    }

    /// Subflows of the client's that live.
    pub(super) fn subflows(&self) -> Result<usize> {
        let words = ["-tniHO", "state", "established", "dport", &format!("= :{}", self.port())];
        let lines = self.topology.client.tool("ss", words)?;
        Ok(lines.lines().filter(|line| line.contains("tcp-ulp-mptcp")).count())
    }

    /// The port that clients' connections go to.
    const fn port(&self) -> u16 {
        if self.passing { SOURCE } else { PORT }
    }

    /// Starts to record.
    pub(super) fn record(&self) -> Result<Recording<'_>> {
        let devices: Vec<String> = (1..=self.topology.links().len()).map(|number| format!("c{number}")).collect();
        let clock = Clock::start();
        let meter = Meter::start(&self.topology.client, &devices, self.port(), clock)?;
        Ok(Recording { stage: self, clock, flows: Vec::new(), meter, marks: Vec::new(), faults: Vec::new() })
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // Left behind, it is swept by a later run.
        drop(fs::remove_dir_all(&self.directory));
    }
}

impl Recording<'_> {
    /// Starts a flow; its number.
    pub(super) fn flow(&mut self, family: Family, spec: FlowSpec) -> Result<usize> {
        let Stage { topology, source, .. } = self.stage;
        let origin = SocketAddr::new(topology.origin_address(family), source.port());
        self.flows.push(Flow::start(&topology.client, source, origin, spec, self.clock)?);
        Ok(self.flows.len() - 1)
    }

    /// Starts several flows of a kind at the same time, and waits until all have their connection.
    pub(super) fn crowd(&mut self, family: Family, spec: FlowSpec, count: usize) -> Result<()> {
        let Stage { topology, source, .. } = self.stage;
        let origin = SocketAddr::new(topology.origin_address(family), source.port());
        let start = || Flow::start(&topology.client, source, origin, spec, self.clock);
        let flows: Result<Vec<_>> = std::thread::scope(|scope| {
            let started: Vec<_> = (0..count).map(|_| scope.spawn(start)).collect();
            started
                .into_iter()
                .map(|flow| flow.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
                .collect()
        });
        self.flows.extend(flows?);
        Ok(())
    }

    /// Notes a moment.
    pub(super) fn mark(&mut self, words: impl Into<String>) -> Duration {
        let now = self.clock.now();
        self.marks.push((now, words.into()));
        now
    }

    /// Does something, and notes when it was begun; one that fails is a fault of the run, which goes on.
    pub(super) fn act(&mut self, words: &str, act: impl FnOnce(&Stage) -> Result<()>) -> Duration {
        let at = self.mark(words);
        if let Err(error) = act(self.stage) {
            self.faults.push(format!("{error:#}"));
        }
        at
    }

    /// Waits until then.
    pub(super) fn wait_until(&self, then: Duration) {
        self.clock.sleep_until(then);
    }

    /// Ends the flows and the recording.
    pub(super) fn finish(self) -> Result<Trace> {
        let stage = self.stage;
        let trace = self.finish_without_proxy()?;
        stage.proxy()?.expect_alive()?;
        Ok(trace)
    }

    /// As [`Recording::finish`], when the proxy was killed and flows have broken off.
    pub(super) fn finish_without_proxy(self) -> Result<Trace> {
        let end = self.clock.now();
        self.flows.iter().for_each(Flow::stop);
        let flows = self.flows.into_iter().map(|flow| flow.finish(PATIENCE)).collect::<Result<_>>()?;
        let reading = self.meter.stop()?;
        let mut faults = self.faults;
        if reading.missed > 0 {
            faults.push(format!("the meter missed {} frames", reading.missed));
        }
        Ok(Trace { paths: reading.devices, flows, marks: self.marks, faults, end })
    }
}

/// The role of a router with so many links.
fn router(links: usize) -> String {
    let devices = (1..=links).map(|number| format!("\"p{number}\"")).collect::<Vec<_>>().join(", ");
    format!("[process]\nrole = \"steer\"\n[sniffer]\ninterfaces = [{devices}]\n")
}

/// Fails with a tool's own words.
fn checked(output: &Output) -> Result<()> {
    ensure!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}
