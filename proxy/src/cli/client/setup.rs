//! `anabranch client setup`

use std::fs::{self, File};
use std::net::IpAddr;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anabranch_deploy::client::setup::{Journal, Keeper, Plan, Step, Wanted, plan, renew, stale};

use super::{Named, act, look, named_link, programs, state};
use crate::cli::{complain, exit, say};
use crate::http::chain;

/// What is to be done; saying what would be is the default.
#[derive(Debug, clap::Args)]
#[group(id = "what", required = false, multiple = false)]
struct What {
    /// Say what would be done, as lines that could be typed. The default.
    #[arg(long)]
    dry_run: bool,
    /// Do it, and note what was there before in /var/lib/anabranch/client-setup.json. Over a remote shell it is taken back unless
    /// confirmed.
    #[arg(long)]
    apply: bool,
    /// Put back what was there before; what somebody has changed since stays, and is named.
    #[arg(long)]
    undo: bool,
    /// Say that the machine is still reached: what was applied over a remote shell stays.
    #[arg(long)]
    confirm: bool,
    /// After a change of links: do again what the last --apply wanted, take back what is for addresses that are gone, and bring files that
    /// an earlier version wrote up to this one's.
    #[arg(long)]
    again: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The proxy; needed for --dry-run and --apply.
    #[arg(long, value_name = "HOST:PORT", required_unless_present_any = ["undo", "confirm", "again"])]
    proxy: Option<Named>,
    #[command(flatten)]
    what: What,
    /// Only this link, with its gateway where it is known better (NAME or NAME=GATEWAY); may be repeated.
    #[arg(long = "link", value_name = "LINK", value_parser = named_link)]
    links: Vec<(String, Option<IpAddr>)>,
    /// Leave programs alone that ask for TCP: those alone get MPTCP that ask for it, or that mptcpize starts.
    #[arg(long)]
    no_bpf: bool,
    /// A program that gets what it asks for, by the name of its process (/proc/PID/comm); may be repeated. anabranch itself always does.
    #[arg(long, value_name = "NAME", conflicts_with = "no_bpf")]
    except: Vec<String>,
    /// Have apt go by the proxy as well.
    #[arg(long)]
    apt: bool,
    /// How long an --apply over a remote shell waits to be confirmed.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    revert_after: u64,
    /// Where files are looked for and written; routes and endpoints are those of this network namespace all the same.
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
    /// Take back the attempt of this number unless it has been confirmed by then; started by --apply.
    #[arg(long, hide = true, requires = "undo")]
    unless_confirmed: Option<u64>,
}

/// Does what the command line says.
pub(super) fn run(arguments: &Arguments) -> Result<u8, u8> {
    let root = &arguments.root;
    if let Some(attempt) = arguments.unless_confirmed {
        return watch(root, attempt, Duration::from_secs(arguments.revert_after));
    }
    let what = &arguments.what;
    let changes = what.apply || what.undo || what.confirm || what.again;
    let _alone = if changes { alone(root)? } else { None };
    let mut journal = state::read(root).map_err(|error| os(&error))?;
    if what.undo {
        return undo(root, journal.unwrap_or_default(), true);
    }
    if what.confirm {
        return confirm(root, journal);
    }
    if let Some(journal) = &mut journal {
        programs::forget(root, journal);
    }
    if what.again {
        return again(root, journal);
    }
    let Some(proxy) = &arguments.proxy else { return Err(exit::USAGE) };
    let program = std::env::current_exe().map_err(|error| os(&error))?;
    let wanted = Wanted {
        proxy: proxy.text.clone(),
        links: arguments.links.clone(),
        apt: arguments.apt,
        program: program.display().to_string(),
        bpf: !arguments.no_bpf,
        except: programs::excepted(&program, &arguments.except),
    };
    let planned = look_and_plan(root, &wanted, Some(keeper(root)), journal.as_ref())?;
    say(&planned.text());
    say(&format!("programs: {}\nkept by: {}\n", planned.programs, keeper(root).as_str()));
    if !what.apply {
        return Ok(0);
    }
    let remote = std::env::var_os("SSH_CONNECTION").is_some();
    let attempt = u64::from(std::process::id()) << 32 | now();
    let before = journal.unwrap_or_default();
    let journal = Journal { wanted, confirmed: !remote, attempt, ..before.clone() };
    // Before anything is changed there is somebody who takes it back.
    if remote {
        start_watch(root, attempt, arguments.revert_after)?;
    }
    apply(root, &before, journal, &planned.steps)?;
    if remote {
        let seconds = arguments.revert_after;
        say(&format!(
            "taken back in {seconds} s, unless you still reach this machine and say: anabranch client setup --confirm\n"
        ));
    }
    Ok(0)
}

fn os(error: &(dyn std::error::Error + 'static)) -> u8 {
    complain(&format!("anabranch: {}", chain(error)));
    exit::OS
}

fn alone(root: &Path) -> Result<Option<File>, u8> {
    state::alone(root).map_err(|error| os(&act::ActError::File("the lock of client setup".to_owned(), error)))
}

fn now() -> u64 {
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    since.as_secs() & u64::from(u32::MAX)
}

fn look_and_plan(root: &Path, wanted: &Wanted, keeper: Option<Keeper>, journal: Option<&Journal>) -> Result<Plan, u8> {
    let mut seen = look::seen().map_err(|error| os(&error))?;
    seen.tables = journal.map(Journal::tables).unwrap_or_default();
    (seen.hook, seen.mptcpize) = (programs::look(root, journal), programs::installed("mptcpize"));
    Ok(plan(&seen, wanted, keeper, |path| fs::read_to_string(root.join(path)).ok()))
}

/// Who runs the network.
fn keeper(root: &Path) -> Keeper {
    let is = |path: &str| root.join(path).exists();
    let interfaces = fs::read_to_string(root.join("etc/network/interfaces")).unwrap_or_default();
    let configured = |line: &str| line.trim().starts_with("iface ") && !line.contains(" lo ");
    if is("etc/openwrt_release") {
        Keeper::OpenWrt
    } else if is("run/NetworkManager") {
        Keeper::NetworkManager
    } else if is("run/systemd/netif/state") {
        Keeper::Networkd
    } else if interfaces.lines().any(configured) || is("etc/network/if-up.d") && interfaces.contains("source") {
        Keeper::Ifupdown
    } else {
        Keeper::Nobody
    }
}

/// Does steps; the state file names them before they are done. One that fails takes all of this run back, to what was `before`: with
/// what was wanted and confirmed then, or the next change of links would try again what has failed, and the watch over this attempt
/// would take the earlier set-up back.
fn apply(root: &Path, before: &Journal, mut journal: Journal, steps: &[Step]) -> Result<(), u8> {
    journal.add(steps);
    write(root, &mut journal)?;
    for (at, step) in steps.iter().enumerate() {
        let mut made = Vec::new();
        let done = act::apply(root, step, &mut made);
        journal.directories.extend(made);
        write(root, &mut journal)?;
        if let Err(error) = done {
            let code = os(&error);
            complain(&format!("anabranch: at: {}; what was done before is taken back", step.line()));
            for step in steps[..=at].iter().rev() {
                drop(act::undo(root, step).map_err(|error| os(&error)));
            }
            let mut before = Journal { directories: journal.directories, ..before.clone() };
            if before.steps.is_empty() {
                tidy(root, &before.directories);
            } else {
                write(root, &mut before)?;
            }
            return Err(code);
        }
    }
    Ok(())
}

fn write(root: &Path, journal: &mut Journal) -> Result<(), u8> {
    let failed = |error| os(&act::ActError::File(format!("/{}", state::place(root)), error));
    journal.directories.extend(state::make_way(root, state::place(root)).map_err(failed)?);
    let text = serde_json::to_string_pretty(journal).map_err(|error| os(&error))?;
    state::write(root, &format!("{text}\n")).map_err(failed)
}

/// Takes everything back. MPTCP stays on where programs go on getting it.
fn undo(root: &Path, journal: Journal, aloud: bool) -> Result<u8, u8> {
    let mut failed = Vec::new();
    for step in journal.undoing() {
        let programs = |step: &Step| matches!(step, Step::Programs { .. });
        if matches!(step, Step::Sysctl { .. }) && failed.iter().any(programs) {
            complain("anabranch: left as it is, or programs would have no TCP: net.mptcp.enabled");
            failed.push(step.clone());
            continue;
        }
        if aloud {
            say(&format!("{}\n", step.undo_line()));
        }
        match act::undo(root, step) {
            Ok(None) => {}
            Ok(Some(left)) => say(&format!("note {left}\n")),
            Err(error) => {
                os(&error);
                failed.push(step.clone());
            }
        }
    }
    if failed.is_empty() {
        tidy(root, &journal.directories);
        if aloud && journal.steps.is_empty() {
            say("nothing is to be taken back\n");
        }
        return Ok(0);
    }
    let steps = journal.steps.iter().filter(|step| failed.contains(step)).cloned().collect();
    write(root, &mut Journal { steps, ..journal })?;
    Err(exit::OS)
}

/// Removes the state file and the directories that were made and are empty now.
fn tidy(root: &Path, directories: &[String]) {
    // One that was never written need not be removed; one that others use is not empty.
    drop(fs::remove_file(root.join(state::place(root))));
    for directory in directories.iter().rev() {
        drop(fs::remove_dir(root.join(directory)));
    }
}

fn confirm(root: &Path, journal: Option<Journal>) -> Result<u8, u8> {
    let Some(mut journal) = journal else {
        complain("anabranch: nothing is applied (or it has been taken back already)");
        return Err(exit::UNAVAILABLE);
    };
    journal.confirmed = true;
    write(root, &mut journal)?;
    say("confirmed: it stays\n");
    Ok(0)
}

/// Does again what is wanted, for the links there are now.
fn again(root: &Path, journal: Option<Journal>) -> Result<u8, u8> {
    let Some(mut journal) = journal else {
        complain("anabranch: nothing has been applied that could be done again");
        return Err(exit::UNAVAILABLE);
    };
    let seen = look::seen().map_err(|error| os(&error))?;
    let addresses: Vec<_> = seen.addresses.iter().map(|address| address.net.address).collect();
    let gone = stale(&journal, &addresses);
    for step in gone.iter().rev() {
        say(&format!("{}\n", step.undo_line()));
        drop(act::undo(root, step).map_err(|error| os(&error)));
    }
    journal.steps.retain(|step| !gone.contains(step));
    let planned = look_and_plan(root, &journal.wanted, None, Some(&journal))?;
    say(&planned.text());
    // Another kernel may have been started since.
    if journal.wanted.bpf {
        say(&format!("programs: {}\n", planned.programs));
    }
    apply(root, &journal.clone(), journal, &planned.steps)?;
    renew_files(root, keeper(root))?;
    Ok(0)
}

/// Brings files of an earlier version's up to this one's. Apart from the rest, so that links have their routes also where files cannot be
/// written.
fn renew_files(root: &Path, keeper: Keeper) -> Result<(), u8> {
    let Some(journal) = state::read(root).map_err(|error| os(&error))? else { return Ok(()) };
    let planned = renew(&journal, keeper, |path| fs::read_to_string(root.join(path)).ok());
    if planned != Plan::default() {
        say(&planned.text());
    }
    if planned.steps.is_empty() { Ok(()) } else { apply(root, &journal.clone(), journal, &planned.steps) }
}

/// Starts the one who takes an unconfirmed attempt back; it outlives this shell.
fn start_watch(root: &Path, attempt: u64, seconds: u64) -> Result<(), u8> {
    let program = std::env::current_exe().map_err(|error| os(&error))?;
    let mut command = Command::new(program);
    command.args(["client", "setup", "--undo", "--unless-confirmed", &attempt.to_string()]);
    command.args(["--revert-after", &seconds.to_string(), "--root"]).arg(root);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    command.spawn().map(drop).map_err(|error| os(&error))
}

/// Waits, then takes back what nobody has confirmed.
fn watch(root: &Path, attempt: u64, limit: Duration) -> Result<u8, u8> {
    // A session of its own: the end of the shell it came from is exactly what it is for.
    nix::unistd::setsid().ok();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(|error| os(&error))?;
    runtime.block_on(async { tokio::time::sleep(limit).await });
    let _alone = alone(root)?;
    match state::read(root).map_err(|error| os(&error))? {
        Some(journal) if !journal.confirmed && journal.attempt == attempt => undo(root, journal, false),
        _ => Ok(0),
    }
}

#[cfg(test)]
mod tests;
