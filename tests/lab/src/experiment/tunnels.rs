//! Thousands of idle tunnels and thousands of connections a second: what they cost, and that nothing of them stays.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::json;

use super::{Experiment, Options, PATIENCE, Subject};
use crate::client::{Protocol, Via};
use crate::floor::Floor;
use crate::link::Link;
use crate::netns::Namespace;
use crate::proxy::{PORT, Proxy, ProxyConfig, Usage, usage};
use crate::report::{Must, Report};
use crate::stats::percentile;
use crate::topology::{Family, Topology};

/// The experiment.
pub const EXPERIMENT: Experiment = Experiment {
    name: "tunnels",
    about: "idle tunnels and connection rate: cost, and return to the baseline",
    run: measure,
};

/// Threads that open, and that attempt.
const WORKERS: usize = 8;
/// One client stands for thousands here.
const LIMITS: &str = "[limits]\nconnections_per_client = 16384\nconnection_rate = 1000000\n";
/// Where the tunnels lead.
const ORIGIN: u16 = 7000;

fn measure(options: &Options) -> Result<Report> {
    let descriptors = raise_descriptors()?;
    // Each tunnel takes two descriptors here (client and origin) and two of the proxy.
    let room = usize::try_from(descriptors.saturating_sub(500) / 2)?;
    let wanted = options.pick(9000, 1000).min(room);
    let (rate, lasts) = (options.pick(2000, 1000), Duration::from_secs(options.pick(10, 2)));
    // The clients' ends stand elsewhere: the proxy's witness would count them among what it holds.
    let topology = Topology::builder().link(Link::new("one")).build()?;
    for ns in [&topology.client, &topology.edge, &topology.origin] {
        ns.sysctl("net.ipv4.ip_local_port_range", "10000 65000")?;
        ns.sysctl("net.core.somaxconn", "8192")?;
    }
    let (proxy, _floor) = match options.subject {
        Subject::Anabranch => {
            let config = ProxyConfig { extra: LIMITS.into(), ..ProxyConfig::default() };
            (Some(Proxy::start(&topology.edge, &config)?), None)
        }
        Subject::Floor => (None, Some(Floor::start(&topology.edge, PORT)?)),
    };
    let now = || proxy.as_ref().map_or_else(|| usage(std::process::id()), Proxy::usage);

    let mut report =
        Report::new("tunnels", json!({"tunnels": wanted, "attempts_per_s": rate, "seconds": lasts.as_secs()}));
    // The first tunnels also fill pools and caches: the baseline is taken after some.
    drop(hold(&topology, wanted.min(200))?);
    let baseline = settle(&now, None)?;
    let held = hold(&topology, wanted)?;
    std::thread::sleep(Duration::from_millis(500));
    let full = now()?;
    report.figure("tunnels", count(held.tunnels.len()));
    drop(held);
    let after_tunnels = settle(&now, Some(baseline))?;
    let attempts = attempt(&topology, rate, lasts)?;
    let after = settle(&now, Some(baseline))?;
    // The same load again: what grows with every load never returns.
    drop(hold(&topology, wanted)?);
    let again = settle(&now, Some(baseline))?;

    let kib = |value: u64| f64::from(u32::try_from(value).unwrap_or(u32::MAX));
    for (name, usage) in [
        ("baseline", baseline),
        ("full", full),
        ("after tunnels", after_tunnels),
        ("after attempts", after),
        ("after again", again),
    ] {
        report.raw_cell(name, json!({
            "unit": "KiB RSS", "median": usage.rss_kib, "min": usage.rss_kib, "max": usage.rss_kib, "n": 1, "usage": usage,
        }));
    }
    let per_tunnel = (kib(full.pss_kib) - kib(baseline.pss_kib)) / kib(wanted as u64);
    report.figure("pss_kib_per_tunnel", Some(per_tunnel));
    report.figure("descriptors_left", Some(kib(again.descriptors.max(after.descriptors)) - kib(baseline.descriptors)));
    report.figure("threads_left", Some(kib(again.threads) - kib(baseline.threads)));
    report.figure("rss_mib_left", Some((kib(again.rss_kib) - kib(baseline.rss_kib)) / 1024.0));
    report.figure("rss_mib_grown_by_repeating", Some((kib(again.rss_kib) - kib(after_tunnels.rss_kib)) / 1024.0));
    report.figure("attempts_per_s", Some(kib(attempts.done as u64) / attempts.elapsed.as_secs_f64()));
    report.figure("attempts_failed", count(attempts.failed));
    report.figure("attempt_us_p50", percentile(&attempts.micros, 0.5));
    report.figure("attempt_us_p99", percentile(&attempts.micros, 0.99));
    report.figure(
        "cpu_us_per_attempt",
        Some(kib(after.cpu_ticks - after_tunnels.cpu_ticks) * 1e4 / kib(attempts.done.max(1) as u64)),
    );
    if let Some(error) = attempts.error {
        report.note(format!("first failed attempt: {error}"));
    }
    report.require("tunnels", Must::AtLeast(kib(wanted as u64)));
    report.require("attempts_failed", Must::AtMost(0.0));
    report.require_of_a_busy_machine("attempts_per_s", Must::AtLeast(kib(rate as u64) * 0.9));
    report.require("descriptors_left", Must::AtMost(2.0));
    report.require("threads_left", Must::AtMost(2.0));
    report.require_of_a_busy_machine("rss_mib_left", Must::AtMost(8.0));
    if options.subject == Subject::Anabranch {
        report.require_of_a_busy_machine("pss_kib_per_tunnel", Must::AtMost(6.0));
    }
    Ok(report)
}

fn count(n: usize) -> Option<f64> {
    u32::try_from(n).ok().map(f64::from)
}

/// Raises the limit of open descriptors as far as the system lets, and returns it.
fn raise_descriptors() -> Result<u64> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).context("cannot read the descriptor limit")?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).context("cannot raise the descriptor limit")?;
    Ok(hard)
}

/// Memory this close to the baseline has returned to it.
const RETURNED_MIB: u64 = 6;

/// Waits until the process's descriptors and memory are back at `baseline`, or for 10 s; what it uses then.
fn settle(now: &dyn Fn() -> Result<Usage>, baseline: Option<Usage>) -> Result<Usage> {
    let end = Instant::now() + Duration::from_secs(10);
    std::thread::sleep(Duration::from_millis(300));
    loop {
        let usage = now()?;
        let returned = |b: Usage| {
            usage.descriptors <= b.descriptors
                && usage.threads <= b.threads
                && usage.rss_kib <= b.rss_kib + RETURNED_MIB * 1024
        };
        if baseline.is_none_or(returned) || Instant::now() > end {
            return Ok(usage);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Tunnels held open at both ends.
struct Held {
    tunnels: Vec<TcpStream>,
    _origins: Vec<TcpStream>,
}

/// Opens `wanted` tunnels and leaves them idle.
fn hold(topology: &Topology, wanted: usize) -> Result<Held> {
    let (client, proxy, origin) = places(topology);
    let listener =
        topology.origin.run(|| Protocol::Tcp.listen_at(origin))?.context("cannot bind the tunnels' origin")?;
    std::thread::scope(|scope| {
        let accepted = scope.spawn(|| listener.incoming().take(wanted).collect::<io::Result<Vec<_>>>());
        let workers: Vec<_> = (0..WORKERS)
            .map(|worker| {
                let share = wanted / WORKERS + usize::from(worker < wanted % WORKERS);
                scope.spawn(move || {
                    client.run(|| (0..share).map(|_| tunnel(proxy, origin)).collect::<io::Result<Vec<_>>>())
                })
            })
            .collect();
        let mut tunnels = Vec::new();
        let mut failed = None;
        for worker in workers {
            match worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))? {
                Ok(opened) => tunnels.extend(opened),
                Err(error) => failed = Some(error),
            }
        }
        if let Some(error) = failed {
            // Whoever waits for the missing tunnels is let go.
            socket2::SockRef::from(&listener).shutdown(std::net::Shutdown::Both).context("cannot stop listening")?;
            return Err(error).context("cannot open a tunnel");
        }
        let origins = accepted.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        Ok(Held { tunnels, _origins: origins })
    })
}

/// Where the clients are, the proxy's address for them, and the origin's.
fn places(topology: &Topology) -> (&Namespace, SocketAddr, SocketAddr) {
    let at = |ip, port| SocketAddr::new(ip, port);
    let (proxy, origin) = (topology.edge_address(1, Family::V4), topology.origin_address(Family::V4));
    (&topology.client, at(proxy, PORT), at(origin, ORIGIN))
}

fn tunnel(proxy: SocketAddr, origin: SocketAddr) -> io::Result<TcpStream> {
    Via::Connect(proxy).open(Protocol::Mptcp, origin, PATIENCE)
}

/// What attempts yielded.
struct Attempts {
    done: usize,
    failed: usize,
    elapsed: Duration,
    micros: Vec<f64>,
    error: Option<io::Error>,
}

/// Opens and closes `rate` tunnels a second for as long as `lasts`.
fn attempt(topology: &Topology, rate: usize, lasts: Duration) -> Result<Attempts> {
    let (client, proxy, origin) = places(topology);
    let listener =
        topology.origin.run(|| Protocol::Tcp.listen_at(origin))?.context("cannot bind the attempts' origin")?;
    let ended = AtomicBool::new(false);
    let started = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for stream in listener.incoming().map_while(Result::ok) {
                if ended.load(Ordering::Relaxed) {
                    break;
                }
                // Closed at once: the proxy's way back is short, and no descriptor is kept.
                drop(stream);
            }
        });
        let each =
            Duration::from_secs_f64(1.0) * u32::try_from(WORKERS).unwrap_or(1) / u32::try_from(rate).unwrap_or(1);
        let workers: Vec<_> = (0..WORKERS)
            .map(|_| {
                scope.spawn(move || {
                    client.run(|| {
                        let (mut micros, mut failed, mut error) = (Vec::new(), 0, None);
                        let mut next = started;
                        while next < started + lasts {
                            std::thread::sleep(next.saturating_duration_since(Instant::now()));
                            next += each;
                            let begun = Instant::now();
                            match tunnel(proxy, origin) {
                                Ok(_) => micros.push(begun.elapsed().as_secs_f64() * 1e6),
                                Err(e) => {
                                    failed += 1;
                                    error = error.or(Some(e));
                                }
                            }
                        }
                        (micros, failed, error)
                    })
                })
            })
            .collect();
        let mut all = Attempts { done: 0, failed: 0, elapsed: Duration::ZERO, micros: Vec::new(), error: None };
        for worker in workers {
            let (micros, failed, error) = worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            all.done += micros.len();
            all.micros.extend(micros);
            all.failed += failed;
            all.error = all.error.or(error);
        }
        all.elapsed = started.elapsed();
        ended.store(true, Ordering::Relaxed);
        // One more connection wakes the accepting thread.
        drop(topology.origin.run(|| TcpStream::connect(origin))?);
        Ok(all)
    })
}
