//! `anabranch client doctor`: real connections over every link, and what they tell.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anabranch_deploy::client::doctor::{Attempt, Evidence, Large, LinkEvidence, Machine, Together, judge};
use anabranch_deploy::client::seen::{Seen, Way};
use anabranch_deploy::client::view::MOST_BYTES;
use anabranch_kernel::netstat::mptcp_counters;
use anabranch_kernel::route::Routes;
use anabranch_kernel::sockopt::{mptcp_full_info, mptcp_info};
use anabranch_kernel::tcp_info::TcpState;
use serde_json::json;

use super::probe::{Connection, Dial};
use super::{FAILURES, Named, look, named_link};
use crate::cli::{complain, exit, say};
use crate::http::chain;

/// Enough for some dozen full segments.
const LARGE: u64 = 60_000;
/// A request of several full segments, well below the shortest head that a listener may insist on.
const PADDING: usize = 6_000;
/// How long a rate is measured at most.
const MEASURE: Duration = Duration::from_secs(4);
/// What is asked in passing takes no longer.
const BRIEF: Duration = Duration::from_secs(5);
/// Packets that are tried where larger ones vanish: what tunnels and access networks leave, down to what everybody must carry.
const SIZES: [u16; 8] = [1492, 1480, 1440, 1400, 1360, 1280, 1000, 576];

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The proxy.
    #[arg(long, value_name = "HOST:PORT")]
    proxy: Named,
    /// Credentials, where the listener asks for some.
    #[arg(long, value_name = "NAME:PASSWORD")]
    user: Option<String>,
    /// Only this link, with its gateway where it is known better (NAME or NAME=GATEWAY); may be repeated.
    #[arg(long = "link", value_name = "LINK", value_parser = named_link)]
    links: Vec<(String, Option<IpAddr>)>,
    /// Do not measure rates: nothing but a few kilobytes is sent.
    #[arg(long)]
    brief: bool,
    /// Print one JSON object: verdicts and the evidence they rest on.
    #[arg(long)]
    json: bool,
}

/// Tries, judges, prints.
pub(super) fn run(arguments: &Arguments) -> Result<u8, u8> {
    let os = |error: &(dyn std::error::Error + 'static)| {
        complain(&format!("anabranch: {}", chain(error)));
        exit::OS
    };
    let addresses = arguments.proxy.addresses()?;
    let seen = look::seen().map_err(|error| os(&error))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| os(&error))?;
    let evidence = runtime.block_on(gather(arguments, &addresses, &seen));
    let diagnosis = judge(&evidence);
    if arguments.json {
        say(&format!("{}\n", json!({"diagnosis": diagnosis, "evidence": evidence})));
    } else {
        say(&diagnosis.text());
    }
    Ok(if diagnosis.failures == 0 { 0 } else { FAILURES })
}

async fn gather(arguments: &Arguments, addresses: &[SocketAddr], seen: &Seen) -> Evidence {
    let ways = seen.ways(&arguments.links);
    let mut machine = Machine {
        mptcp: seen.mptcp,
        path_manager: seen.path_manager.clone(),
        subflows: seen.limits.map(|(subflows, _)| subflows),
        gave_up: false,
    };
    let (mut links, mut together) = (Vec::new(), Vec::new());
    for &to in addresses {
        let mut first = None;
        for way in ways.ways.iter().filter(|way| way.net.address.is_ipv4() == to.is_ipv4()) {
            let dial = Dial {
                to,
                host: &arguments.proxy.text,
                user: arguments.user.as_deref(),
                from: way.net.address,
                device: Some(&way.link),
                mptcp: false,
                mss: None,
            };
            let before = given_up();
            let link = over(dial, way, seen, arguments.brief).await;
            machine.gave_up |= given_up() > before;
            if first.is_none() && link.mptcp.view().is_some_and(|view| view.mptcp) {
                first = Some(dial);
            }
            links.push(link);
        }
        if let Some(dial) = first {
            together.extend(all(Dial { device: None, mptcp: true, ..dial }, arguments.brief).await);
        }
    }
    Evidence { proxy: arguments.proxy.text.clone(), machine, links, idle: ways.idle, together }
}

/// SYNs sent without MPTCP because the kernel has stopped asking for it.
fn given_up() -> u64 {
    mptcp_counters(["MPCapableSYNTXDisabled"]).map_or(0, |[count]| count)
}

/// Everything about one link.
async fn over(dial: Dial<'_>, way: &Way, seen: &Seen, brief: bool) -> LinkEvidence {
    let leaves_by = Routes::open().and_then(|mut routes| routes.way(dial.to.ip(), Some(dial.from)));
    let leaves_by = leaves_by.ok().and_then(|route| route.interface);
    let link = seen.links.iter().find(|link| link.index == way.index);
    let mut out = LinkEvidence {
        name: way.link.clone(),
        address: dial.from,
        leaves_by: leaves_by.and_then(|index| Some(seen.links.iter().find(|link| link.index == index)?.name.clone())),
        strict: dial.from.is_ipv4() && link.is_some_and(|link| link.rp_filter == 1),
        endpoint: seen.endpoints.iter().any(|endpoint| endpoint.subflow && endpoint.address == dial.from),
        routed: small(Dial { device: None, ..dial }).await.0,
        bound: small(dial).await.0,
        large_down: Large::Skipped,
        large_up: Large::Skipped,
        mptcp: Attempt::Skipped,
        kept_at_connect: false,
        rate: None,
    };
    if out.bound.view().is_none() {
        return out;
    }
    (out.large_down, out.large_up) = large(dial).await;
    if seen.mptcp == Some(true) {
        (out.mptcp, out.kept_at_connect) = small(Dial { mptcp: true, ..dial }).await;
    }
    if !brief && out.large_down == Large::Pass {
        out.rate = rate(dial).await;
    }
    out
}

/// A small request, and whether this end was MPTCP when the handshake was over. The second request tells how it is once data has passed.
async fn small(dial: Dial<'_>) -> (Attempt, bool) {
    let mut connection = match Connection::open(dial).await {
        Ok(connection) => connection,
        Err(attempt) => return (attempt, false),
    };
    let kept = matches!(mptcp_info(std::os::fd::AsFd::as_fd(&connection)), Ok(Some(info)) if !info.fallback);
    let connect_ms = connection.connect_ms;
    let mut answer = connection.ask(0, 0, BRIEF).await;
    if dial.mptcp && answer.is_ok() {
        answer = connection.ask(0, 0, BRIEF).await;
    }
    match answer {
        Ok(reply) => (Attempt::Answered { connect_ms, view: Box::new(reply.view) }, kept),
        Err(attempt) => (attempt, kept),
    }
}

/// Whether large segments pass, down and up.
async fn large(dial: Dial<'_>) -> (Large, Large) {
    let (down, up) = (passes(dial, LARGE, 0).await, passes(dial, 0, PADDING).await);
    if down && up {
        return (Large::Pass, Large::Pass);
    }
    let headers = if dial.to.is_ipv4() { 40 } else { 60 };
    // The larger ones of SIZES vanish, the smaller ones pass: look for where that changes.
    let (mut low, mut high) = (0, SIZES.len());
    while low < high {
        let middle = usize::midpoint(low, high);
        let smaller = Dial { mss: Some(SIZES[middle] - headers), ..dial };
        if passes(smaller, LARGE, PADDING).await {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    let fits = SIZES.get(low).copied();
    let said = |passes| if passes { Large::Pass } else { Large::Vanish { fits } };
    (said(down), said(up))
}

async fn passes(dial: Dial<'_>, bytes: u64, padding: usize) -> bool {
    let Ok(mut connection) = Connection::open(dial).await else { return false };
    match connection.ask(bytes, padding, BRIEF).await {
        Ok(reply) => reply.whole,
        // Turned away is not lost.
        Err(attempt) => matches!(attempt, Attempt::Turned(..)),
    }
}

async fn rate(dial: Dial<'_>) -> Option<u64> {
    let mut connection = Connection::open(dial).await.ok()?;
    let reply = connection.ask(MOST_BYTES, 0, MEASURE).await.ok()?;
    per_second(reply.bytes, reply.elapsed)
}

/// Units: bit/s.
fn per_second(bytes: u64, elapsed: Duration) -> Option<u64> {
    let micros = u64::try_from(elapsed.as_micros()).ok().filter(|&micros| micros > 0)?;
    (bytes > 0).then(|| bytes.saturating_mul(8_000_000) / micros)
}

/// One connection, begun over one link, that the others are to join.
async fn all(dial: Dial<'_>, brief: bool) -> Option<Together> {
    let mut connection = Connection::open(dial).await.ok()?;
    // Joins begin when the first data has been acknowledged.
    connection.ask(0, 0, BRIEF).await.ok()?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let rate = if brief {
        None
    } else {
        let reply = connection.ask(MOST_BYTES, 0, MEASURE + BRIEF).await.ok();
        reply.and_then(|reply| per_second(reply.bytes, reply.elapsed))
    };
    let full = mptcp_full_info(std::os::fd::AsFd::as_fd(&connection)).ok().flatten();
    let of = |state: TcpState| -> Vec<IpAddr> {
        let subflows = full.iter().flat_map(|full| &full.subflows);
        let found = subflows.filter(|subflow| subflow.tcp.state == Some(state));
        let own = found.filter_map(|subflow| subflow.local).map(|local| local.ip().to_canonical());
        own.filter(|&address| address != dial.from).collect()
    };
    let (joined, waiting) = (of(TcpState::Established), of(TcpState::SynSent));
    let view = connection.ask(0, 0, BRIEF).await.ok().map(|reply| reply.view);
    Some(Together { first: dial.from, joined, waiting, view, rate })
}
