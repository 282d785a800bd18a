//! A client with several links and nothing configured: set up, its programs add the links up; taken back, everything is as it was.

mod chromium;
mod machine;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::{Experiment, Options};
use crate::origin::Nginx;
use crate::proxy::Proxy;
use crate::report::{Must, Report};
use chromium::Download;
use machine::{Machine, World, worlds};

/// The experiment.
pub const EXPERIMENT: Experiment = Experiment {
    name: "client-setup",
    about: "a bare client is set up, curl and wget add its links up, and all is taken back",
    run: measure,
};

/// A file that takes no time.
const SMALL: u64 = 300_000;
/// nginx's port at the origin.
const NGINX_PORT: u16 = 8081;
/// What programs fetch with; each goes by the environment that was written, as somebody types it.
const PROGRAMS: [(&str, &str); 2] =
    [("curl", "curl -sS -f -m 60 -o OUT URL"), ("wget", "wget -q -T 60 -t 1 -O OUT URL")];
/// What the set-up says when it has all programs get MPTCP.
const BY_BPF: &str = "programs: all of this network namespace at once, by BPF";
/// What it says when that cannot be.
const ONE_BY_ONE: &str = "programs: one by one, by the preload library";

fn measure(options: &Options) -> Result<Report> {
    // Starting a program and finding its rate take 50 ms and more: of a shorter transfer that is too much.
    let size = 40_000_000;
    let mut report = Report::new("client-setup", json!({"bytes": size}));
    let mut lowest = f64::INFINITY;
    for world in worlds().iter().filter(|world| options.cell.is_none_or(|cell| world.name.contains(cell))) {
        let share = of_world(world, size, options, &mut report).context(world.name)?;
        lowest = lowest.min(share);
    }
    if options.cell.is_none_or(|cell| "remote shell".contains(cell)) {
        remote_shell().context("remote shell")?;
    }
    if lowest.is_finite() {
        report.figure("lowest_share_of_sum", Some(lowest));
        // Of single rounds over three links the lowest lay between 0.91 and 0.95.
        report.require_of_a_busy_machine("lowest_share_of_sum", Must::AtLeast(options.pick(0.93, 0.9)));
    }
    Ok(report)
}

/// Set up, measured, taken back; the lowest median share of the sum.
fn of_world(world: &World, size: u64, options: &Options, report: &mut Report) -> Result<f64> {
    let rounds = options.rounds(3, 1);
    let machine = Machine::new(world)?;
    let proxy = Proxy::start(&machine.topology.edge, &chromium::configuration())?;
    let nginx = Nginx::start(&machine.topology.origin, NGINX_PORT, &[size, SMALL])?;
    let before = machine.dump()?;
    let bare = machine.ask(&["--dry-run", "--apt"])?;
    ensure!(machine.dump()? == before, "saying what would be done changed something");
    let done = machine.ask(&["--apply", "--apt"])?;
    ensure!(done == bare && done.contains("ip mptcp endpoint add"), "said {bare}\nand then {done}");
    let well = machine.doctor()?;
    ensure!(well["diagnosis"]["failures"] == world.idle, "the doctor is not content: {}", well["diagnosis"]);
    let by_bpf = done.contains(BY_BPF);
    ensure!(by_bpf || done.contains(ONE_BY_ONE), "no word of programs:\n{done}");
    // Kernels before 6.6 have no hook, a user namespace has no right to it, and machines have policies.
    match anabranch_kernel::bpf::Multipath::attach(0, &[] as &[&str]) {
        Ok(_) => ensure!(by_bpf, "the kernel lets it be done by BPF:\n{done}"),
        Err(why) => {
            ensure!(!by_bpf && done.contains(&why.to_string()), "{why}, and the set-up said:\n{done}");
            let note = format!("programs under mptcpize, for no BPF here: {why}");
            if !report.notes.contains(&note) {
                report.note(note);
            }
        }
    }
    let how = if by_bpf { "" } else { "mptcpize run " };

    let capacity = machine.capacity(world);
    let mut lowest = f64::INFINITY;
    for (name, line) in PROGRAMS {
        let mut shares = Vec::new();
        for _ in 0..rounds {
            let started = Instant::now();
            machine.fetch(&format!("{how}{line}"), world.family, NGINX_PORT, size, &nginx)?;
            #[allow(clippy::cast_precision_loss, reason = "sizes are far below 2^52")]
            shares.push(size as f64 * 8.0 / started.elapsed().as_secs_f64() / capacity);
        }
        report.cell(&format!("{}: {name}", world.name), "of sum", &shares);
        lowest = lowest.min(crate::stats::median(&shares).unwrap_or(0.0));
    }

    if world.flap.is_some() && !options.quick {
        if chromium::installed() {
            let download = Download { machine: &machine, proxy: &proxy, nginx: &nginx, how };
            let shares: Vec<_> = download.measure(SMALL, size, rounds)?.iter().map(|rate| rate / capacity).collect();
            report.cell(&format!("{}: chromium", world.name), "of sum", &shares);
            lowest = lowest.min(crate::stats::median(&shares).unwrap_or(0.0));
        } else {
            report.note("chromium is not installed (apt-get install chromium): nothing of it was measured");
        }
    }
    // A second time there is nothing left to do, and what is lost with a link is done again.
    let twice = machine.ask(&["--apply", "--apt"])?;
    ensure!(twice.contains("nothing is left to do"), "done twice:\n{twice}");
    if let Some(flap) = world.flap {
        flap(&machine.topology)?;
        machine.setup(&["--again"])?;
        let well = machine.doctor()?;
        ensure!(well["diagnosis"]["failures"] == world.idle, "after a flap: {}", well["diagnosis"]);
    }
    let plain = format!(
        "curl -sS -f -m 20 -x http://{} -o /dev/null http://{}/{SMALL}",
        machine.proxy(),
        machine.origin(NGINX_PORT)
    );
    if by_bpf {
        over_mptcp(&machine, &plain)?;
    }
    machine.setup(&["--undo"])?;
    machine.expect(&before)?;
    // The same program asks for what it asked for before.
    let asked = machine.asked_for_mptcp()?;
    machine.finish(&plain)?;
    ensure!(machine.asked_for_mptcp()? == asked, "programs still get MPTCP after the undo");
    Ok(lowest)
}

/// A program that knows nothing of MPTCP has it, as ss and the kernel's counters say.
fn over_mptcp(machine: &Machine, line: &str) -> Result<()> {
    let asked = machine.asked_for_mptcp()?;
    let mut slow = machine.start(&line.replace("curl", "curl --limit-rate 200k"))?;
    let end = Instant::now() + Duration::from_secs(5);
    let seen = loop {
        let said = machine.topology.client.tool("ss", ["-HMnp"])?;
        if said.contains("\"curl\"") || Instant::now() > end {
            break said;
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    slow.wait()?;
    ensure!(seen.contains("\"curl\""), "ss -M shows no connection of curl's: {seen:?}");
    ensure!(machine.asked_for_mptcp()? > asked, "no SYN of curl's asked for MPTCP");
    Ok(())
}

/// Over a remote shell, what nobody confirms is taken back; what somebody confirms stays.
fn remote_shell() -> Result<()> {
    let machine = Machine::new(&worlds()[0])?;
    let before = machine.dump()?;
    let remote = |more: &[&str]| machine.run(&[&["--proxy", &machine.proxy(), "--apply"], more].concat(), true);
    remote(&["--revert-after", "2"])?;
    let set = machine.dump()?;
    ensure!(set != before, "nothing was applied");
    let end = Instant::now() + Duration::from_secs(20);
    while machine.dump()? != before {
        ensure!(Instant::now() < end, "not taken back");
        std::thread::sleep(Duration::from_millis(100));
    }
    remote(&["--revert-after", "3"])?;
    machine.setup(&["--confirm"])?;
    std::thread::sleep(Duration::from_secs(5));
    ensure!(machine.dump()? != before, "taken back though it was confirmed");
    machine.setup(&["--undo"])?;
    machine.expect(&before)
}
