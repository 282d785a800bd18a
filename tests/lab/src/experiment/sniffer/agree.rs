//! The two witnesses side by side: what the kernel and the wire say of one living connection must be the same.
//!
//! What lives here: scenarios, and the comparison, which is not the proxy's own. What does not: how either witness knows.
//! Called by the experiment. Invariant: a scenario agrees only if both witnesses say what was made to happen, not merely the
//! same.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anabranch_sniffer::Token;
use anabranch_sniffer::event::{SubflowState, Verified};
use anabranch_sniffer::facts::KernelConnection;
use anabranch_sniffer::story::ConnectionFacts;
use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::json;

use super::figure;
use crate::client::{Protocol, Via};
use crate::experiment::world::ECHO_PORT;
use crate::experiment::{Options, PATIENCE, Subject, World};
use crate::link::Link;
use crate::proxy::{Proxy, ProxyConfig};
use crate::report::{Must, Report};
use crate::topology::{Family, Topology};

/// How long witnesses may take to say what happened: both tell all they know once a second.
const SETTLE: Duration = Duration::from_secs(6);
/// Longer than one witness may be behind the other before that is a disagreement, and until it is looked for.
const GRACE: Duration = Duration::from_secs(9);

/// Something that happens to a connection.
#[derive(Debug, Clone, Copy)]
struct Scenario {
    name: &'static str,
    family: Family,
    /// Before the connection begins: at the client, and at the edge.
    client: &'static [&'static str],
    edge: &'static [&'static str],
    /// While it lives, at the client, one after the other; each has come about before the next.
    steps: &'static [Step],
    /// The capture begins after all that.
    late: bool,
}

/// What is done, and what must then be so.
#[derive(Debug, Clone, Copy)]
struct Step {
    lines: &'static [&'static str],
    subflows: usize,
    /// Of them, those the client wants to be backups.
    backups: usize,
}

/// What one witness says: the token of this end, and every living subflow.
#[derive(Debug, Default, PartialEq, Eq)]
struct Said {
    token: Option<Token>,
    subflows: BTreeSet<Subflow>,
}

/// A living subflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Subflow {
    client: SocketAddr,
    edge: SocketAddr,
    backup_by_client: bool,
    backup_by_edge: bool,
}

/// What is needed of a line of `anabranch connections --json`.
#[derive(Debug, Deserialize)]
struct Line {
    kernel: Option<KernelConnection>,
    #[serde(default)]
    wire: Vec<ConnectionFacts>,
}

const fn step(lines: &'static [&'static str], subflows: usize, backups: usize) -> Step {
    Step { lines, subflows, backups }
}

/// Nothing but the join of the second link.
const PLAIN: Scenario = Scenario {
    name: "join over two links",
    family: Family::V4,
    client: &[],
    edge: &[],
    steps: &[step(&[], 2, 0)],
    late: false,
};

/// Every scenario. The endpoint of the client's second link has the number 4 for IPv4.
const SCENARIOS: &[Scenario] = &[
    PLAIN,
    Scenario { name: "join over IPv6", family: Family::V6, ..PLAIN },
    Scenario {
        name: "announced address",
        client: &["mptcp endpoint flush", "mptcp limits set subflow 2 add_addr_accepted 2"],
        edge: &["mptcp endpoint add 10.2.0.1 id 7 dev p2 signal"],
        ..PLAIN
    },
    Scenario {
        name: "backup join",
        client: &["mptcp endpoint del id 4", "mptcp endpoint add 10.2.0.2 id 4 dev c2 subflow backup"],
        steps: &[step(&[], 2, 1)],
        ..PLAIN
    },
    Scenario {
        name: "priority changed there and back",
        steps: &[
            step(&[], 2, 0),
            step(&["mptcp endpoint change id 4 backup"], 2, 1),
            step(&["mptcp endpoint change id 4 nobackup"], 2, 0),
        ],
        ..PLAIN
    },
    Scenario { name: "subflow removed", steps: &[step(&[], 2, 0), step(&["mptcp endpoint del id 4"], 1, 0)], ..PLAIN },
    Scenario {
        name: "subflow removed and joined again",
        steps: &[
            step(&[], 2, 0),
            step(&["mptcp endpoint del id 4"], 1, 0),
            step(&["mptcp endpoint add 10.2.0.2 id 4 dev c2 subflow"], 2, 0),
        ],
        ..PLAIN
    },
    Scenario { name: "capture begun late", late: true, ..PLAIN },
];

/// Runs all scenarios at the same time, for most of it is waiting.
pub(super) fn measure(report: &mut Report, options: &Options) -> Result<()> {
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let running: Vec<_> = SCENARIOS.iter().map(|scenario| scope.spawn(|| play(scenario, options))).collect();
        running.into_iter().map(|one| one.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    });
    let (mut agreed, mut disagreements) = (0, 0);
    for (scenario, outcome) in SCENARIOS.iter().zip(outcomes) {
        let outcome = outcome.with_context(|| scenario.name.to_owned())?;
        let same = outcome.fault.is_none();
        agreed += u64::from(same);
        disagreements += outcome.disagreements;
        let cell = json!({
            "unit": "agreed", "median": u8::from(same), "min": u8::from(same), "max": 1, "n": scenario.steps.len(),
            "disagreements": outcome.disagreements,
        });
        report.raw_cell(scenario.name, cell);
        if let Some(fault) = outcome.fault {
            report.note(format!("{}: {fault}", scenario.name));
        }
    }
    report.figure("scenarios", Some(figure(SCENARIOS.len() as u64)));
    report.figure("scenarios_agreed", Some(figure(agreed)));
    report.figure("disagreements", Some(figure(disagreements)));
    report.require("scenarios_agreed", Must::AtLeast(figure(SCENARIOS.len() as u64)));
    report.require("disagreements", Must::AtMost(0.0));
    Ok(())
}

/// What came of a scenario.
struct Outcome {
    fault: Option<String>,
    disagreements: u64,
}

fn play(scenario: &Scenario, options: &Options) -> Result<Outcome> {
    // Until they are renamed there are no such interfaces to watch.
    let watched = if scenario.late { "\"late1\", \"late2\"" } else { "\"p1\", \"p2\"" };
    let config = ProxyConfig { extra: format!("[sniffer]\ninterfaces = [{watched}]\n"), ..ProxyConfig::default() };
    let links = Topology::builder().link(Link::new("one")).link(Link::new("two"));
    let world = World::start_with(&links, Subject::Anabranch, &config)?;
    let proxy = world.proxy.as_ref().context("a proxy with witnesses")?;
    let (client, edge) = (&world.topology.client, &world.topology.edge);
    scenario.client.iter().try_for_each(|line| client.ip(line))?;
    scenario.edge.iter().try_for_each(|line| edge.ip(line))?;
    if !scenario.late {
        wait_until_watched(proxy)?;
    }
    let origin = SocketAddr::new(world.topology.origin_address(scenario.family), ECHO_PORT);
    let via = Via::Connect(world.proxy_address(scenario.family));
    let mut tunnel = client.run(|| via.open(Protocol::Mptcp, origin, PATIENCE))?.context("a tunnel to be watched")?;
    let mut fault = None;
    for step in scenario.steps {
        echo(&mut tunnel)?;
        step.lines.iter().try_for_each(|line| client.ip(line))?;
        if scenario.late {
            // The second subflow joins meanwhile, unseen.
            std::thread::sleep(Duration::from_millis(500));
            for link in 1..=2 {
                edge.ip(&format!("link set p{link} name late{link}"))?;
            }
            wait_until_watched(proxy)?;
        }
        fault = settle(proxy, &mut tunnel, step, scenario.late)?;
        if fault.is_some() {
            break;
        }
    }
    let end = Instant::now() + if options.quick { Duration::from_millis(500) } else { GRACE };
    while Instant::now() < end {
        echo(&mut tunnel)?;
        std::thread::sleep(Duration::from_millis(100));
    }
    let status = proxy.ask("status")?;
    let counts = status["witnesses"]["disagreements"].as_object().into_iter().flatten();
    let disagreements = counts.filter_map(|(_, count)| count.as_u64()).sum();
    Ok(Outcome { fault, disagreements })
}

/// Waits until every interface is watched.
fn wait_until_watched(proxy: &Proxy) -> Result<()> {
    let end = Instant::now() + SETTLE;
    loop {
        let status = proxy.ask("status")?;
        let interfaces = status["witnesses"]["interfaces"].as_object();
        let all = |interfaces: &serde_json::Map<String, _>| {
            !interfaces.is_empty() && interfaces.values().all(|one: &serde_json::Value| one["watched"] == true)
        };
        if interfaces.is_some_and(all) {
            return Ok(());
        }
        ensure!(Instant::now() < end, "not watched: {}", status["witnesses"]);
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Some bytes there and back: more at a time than a first window holds, so that every subflow carries some, and less than
/// what waits in buffers while nobody reads.
fn echo(tunnel: &mut TcpStream) -> Result<()> {
    let (sent, mut came) = (vec![b'!'; 64 << 10], vec![0; 64 << 10]);
    for _ in 0..4 {
        tunnel.write_all(&sent).context("a watched tunnel cannot be written to")?;
        tunnel.read_exact(&mut came).context("a watched tunnel cannot be read")?;
        ensure!(came == sent, "a watched tunnel changes bytes");
    }
    Ok(())
}

/// Waits until both witnesses say what must be so; the fault if they do not in time.
fn settle(proxy: &Proxy, tunnel: &mut TcpStream, step: &Step, late: bool) -> Result<Option<String>> {
    let end = Instant::now() + SETTLE;
    loop {
        echo(tunnel)?;
        let lines: Vec<Line> = serde_json::from_value(proxy.ask("connections")?).context("unexpected lines")?;
        let fault = compare(&lines, step, late);
        if fault.is_none() || Instant::now() > end {
            return Ok(fault);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// What is wrong with what the witnesses say; `None` when both say what must be so.
///
/// Shape: of a capture that began late, the wire may know no token and nothing of backups; what it knows must be right
fn compare(lines: &[Line], step: &Step, late: bool) -> Option<String> {
    let [line] = lines else { return Some(format!("{} connections, not one", lines.len())) };
    let Some(kernel) = &line.kernel else { return Some("the kernel knows nothing of it".into()) };
    let (kernel, wire) = (by_kernel(kernel), by_wire(&line.wire));
    let backups = kernel.subflows.iter().filter(|subflow| subflow.backup_by_client).count();
    if (kernel.subflows.len(), backups) != (step.subflows, step.backups) {
        return Some(format!("{step:?} was to come about, the kernel says {kernel:?}"));
    }
    let token = if late && wire.token.is_none() { None } else { kernel.token };
    let differs = kernel.subflows != wire.subflows || token != wire.token;
    differs.then(|| format!("the kernel says {kernel:?}, the wire {wire:?}"))
}

fn by_kernel(connection: &KernelConnection) -> Said {
    let living = connection.subflows.iter().filter(|subflow| subflow.established);
    let subflows = living.map(|subflow| Subflow {
        client: subflow.flow.destination(),
        edge: subflow.flow.source(),
        backup_by_client: subflow.backup_by_remote.unwrap_or(false),
        backup_by_edge: subflow.backup_by_local.unwrap_or(false),
    });
    Said { token: Some(connection.token), subflows: subflows.collect() }
}

fn by_wire(connections: &[ConnectionFacts]) -> Said {
    let all = connections.iter().flat_map(|connection| &connection.subflows);
    let living = all.filter(|one| one.state == SubflowState::Established && one.verified != Verified::No);
    let subflows = living.map(|subflow| Subflow {
        client: subflow.flow.source(),
        edge: subflow.flow.destination(),
        backup_by_client: subflow.backup.client,
        backup_by_edge: subflow.backup.server,
    });
    let token = connections.iter().find_map(|connection| connection.tokens.server);
    Said { token, subflows: subflows.collect() }
}

#[cfg(test)]
mod tests;
