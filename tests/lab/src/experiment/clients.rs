//! Real clients, real origin: curl and wget, plain and under mptcpize, alone and several at once, fetch from nginx.

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::fallback::{WHOLE, name};
use super::{Experiment, Options, Subject, World};
use crate::link::Link;
use crate::origin::Nginx;
use crate::proxy::private_directory;
use crate::report::{Must, Report};
use crate::topology::{Family, Topology};

/// The experiment.
pub const EXPERIMENT: Experiment = Experiment {
    name: "clients",
    about: "curl, wget and parallel fetches from nginx, with and without mptcpize",
    run: measure,
};

/// nginx's port at the origin.
const NGINX_PORT: u16 = 8081;
/// Files an apt-like client fetches at once over one proxy.
const AT_ONCE: usize = 6;

/// A real client's command line.
struct Program {
    name: &'static str,
    /// Words; `PROXY`, `URL` and `OUT` are filled in. With several fetches, `URL OUT` repeats.
    line: &'static str,
    fetches: usize,
}

/// Every client; a new one is one line.
const PROGRAMS: &[Program] = &[
    Program { name: "curl", line: "curl -sS -f -m 60 -x PROXY URL -o OUT", fetches: 1 },
    Program { name: "curl tunnel", line: "curl -sS -f -m 60 --proxytunnel -x PROXY URL -o OUT", fetches: 1 },
    Program { name: "wget", line: "wget -q -T 60 -t 1 -e use_proxy=on -e http_proxy=PROXY URL -O OUT", fetches: 1 },
    Program {
        name: "parallel",
        line: "curl -sS -f -m 60 --no-progress-meter -Z -x PROXY URL -o OUT",
        fetches: AT_ONCE,
    },
];

fn measure(options: &Options) -> Result<Report> {
    let size = options.pick(10_000_000, 600_000);
    let topology = Topology::builder().link(Link::new("dsl").mbit(40)).link(Link::new("lte").mbit(20));
    let world = World::start(&topology, options.subject)?;
    let nginx = Nginx::start(&world.topology.origin, NGINX_PORT, &[size])?;
    let expected = sha256(&nginx.file(size))?;
    let mut report = Report::new("clients", json!({"links": topology.links(), "bytes": size, "origin": "nginx"}));
    let (mut fetches, mut intact, mut misnamed, mut seen) = (0, 0, 0, 0);
    for family in [Family::V4, Family::V6] {
        for program in PROGRAMS {
            for mptcp in [false, true] {
                let mut sums = Vec::new();
                let cell =
                    format!("{}{} {family:?}", if mptcp { "mptcpize " } else { "" }, program.name).to_lowercase();
                let started = std::time::Instant::now();
                match fetch(&world, program, family, mptcp, size) {
                    Ok(got) => sums = got,
                    Err(error) => report.fail(format!("{cell}: {error:#}")),
                }
                let elapsed = started.elapsed().as_secs_f64();
                let right = sums.iter().filter(|sum| **sum == expected).count();
                fetches += program.fetches;
                intact += right;
                if let Some(proxy) = &world.proxy {
                    let log = proxy.wait_access_log(seen + program.fetches, Duration::from_secs(2));
                    let wanted = if mptcp { WHOLE } else { "no-mptcp-on-syn" };
                    let named = log.iter().skip(seen).filter(|entry| name(entry) == wanted).count();
                    misnamed += program.fetches.saturating_sub(named);
                    seen = log.len();
                }
                #[allow(clippy::cast_precision_loss, reason = "sizes are far below 2^52")]
                report.cell(&cell, "Mbit/s", &[(size as f64) * (right as f64) * 8e-6 / elapsed]);
            }
        }
    }
    let count = |n: usize| Some(f64::from(u32::try_from(n).unwrap_or(u32::MAX)));
    report.figure("fetches", count(fetches));
    report.figure("intact", count(intact));
    report.require("intact", Must::AtLeast(count(fetches).unwrap_or(f64::INFINITY)));
    // The floor keeps no log: it has nothing to misname.
    if options.subject == Subject::Anabranch {
        report.figure("misnamed", count(misnamed));
        report.require("misnamed", Must::AtMost(0.0));
    }
    Ok(report)
}

/// Runs a program and returns the checksum of each file it fetched.
fn fetch(world: &World, program: &Program, family: Family, mptcp: bool, size: u64) -> Result<Vec<String>> {
    let directory = private_directory("fetch")?;
    let origin = std::net::SocketAddr::new(world.topology.origin_address(family), NGINX_PORT);
    let proxy = format!("http://{}", world.proxy_address(family));
    let url = format!("http://{origin}/{size}");
    let out = |n: usize| directory.join(n.to_string());
    let words: Vec<_> = program.line.split(' ').collect();
    let (fixed, repeated) = words.split_at(words.iter().position(|w| *w == "URL").context("a command line with URL")?);
    let mut arguments: Vec<String> = fixed.iter().map(|w| w.replace("PROXY", &proxy)).collect();
    for n in 0..program.fetches {
        let file = out(n).display().to_string();
        arguments.extend(repeated.iter().map(|w| w.replace("URL", &url).replace("OUT", &file)));
    }
    if mptcp {
        arguments.splice(0..0, ["mptcpize", "run"].map(String::from));
    }
    let mut command = world.topology.client.command(&arguments[0]);
    let output = command.args(&arguments[1..]).stdin(Stdio::null()).output().with_context(|| arguments[0].clone())?;
    let sums = explain(&output).and_then(|()| (0..program.fetches).map(|n| sha256(&out(n))).collect());
    std::fs::remove_dir_all(&directory).context("cannot remove the fetched files")?;
    sums
}

fn explain(output: &Output) -> Result<()> {
    ensure!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}

/// The checksum of a file, by the tool that nobody here wrote.
fn sha256(file: &Path) -> Result<String> {
    let output = std::process::Command::new("sha256sum").arg(file).output().context("cannot start sha256sum")?;
    explain(&output)?;
    let text = String::from_utf8(output.stdout).context("sha256sum's output")?;
    Ok(text.split(' ').next().unwrap_or_default().to_owned())
}
