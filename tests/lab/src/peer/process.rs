//! A proxy as a tree of processes: started from its recipe, asked whether its listener is what it says, ended whole.
//!
//! Called by the bench's rounds, by scenarios that need one of their own, and by `conversion`. Owned by whoever started it: dropping it ends the tree and removes
//! its directory. Invariant: a tree lives in a process namespace of its own, so that whatever becomes of this program, nothing of
//! it stays; what it writes below /run it writes into a file system of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::netns::Namespace;
use crate::proxy::{Proxy, private_directory};
use anabranch_kernel::sock_diag::{AddressFamily, Query, SockDiag, States};
use anabranch_kernel::tcp_info::TcpState;
use anyhow::{Context, Result, ensure};

use super::{Built, Kind, Mptcp, Peer, Recipe, Tree};

/// So long a proxy may take until it listens: the slowest one needs three seconds of a machine of its own.
const START: Duration = Duration::from_secs(30);

/// The first process of a tree: it has the place of `init`, so that all others end with it, and waits.
const FIRST: &str = "mount -t tmpfs tmpfs /run && mkdir /run/squid && chmod 1777 /run/squid && { \"$@\" & wait $!; }";

/// Where a proxy is to listen, and the origin for those that know only one.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The edge.
    pub edge: &'a Namespace,
    /// The proxy's port.
    pub port: u16,
    /// The origin's address.
    pub origin: std::net::SocketAddr,
    /// Threads, or workers, of whoever can have several; as many as cores by default. The floor has one.
    pub threads: Option<usize>,
}

/// Why somebody cannot be measured here.
#[derive(Debug)]
pub enum Unusable {
    /// It is not installed, or its user is nobody here.
    Missing(String),
    /// It is, and does not start.
    Broken(anyhow::Error),
}

impl Unusable {
    /// The reason, where one that cannot be measured is an error.
    pub fn into_error(self) -> anyhow::Error {
        match self {
            Self::Missing(words) => anyhow::anyhow!(words),
            Self::Broken(error) => error,
        }
    }
}

/// A running proxy.
#[derive(Debug)]
pub struct Running {
    child: Child,
    directory: PathBuf,
    /// Its port.
    pub port: u16,
    /// All its processes.
    pub tree: Tree,
    /// Whether its listener is an MPTCP one; asked of the kernel, not of the proxy.
    pub mptcp: bool,
    /// How it came to it.
    pub how: &'static str,
}

impl Running {
    /// Starts `peer` and waits until it listens.
    pub fn start(peer: &Peer, built: &Built, place: Place<'_>) -> Result<Self, Unusable> {
        let (command, files, how) = match peer.kind {
            Kind::Direct => return Err(Unusable::Broken(anyhow::anyhow!("there is no process"))),
            Kind::Floor => {
                let program = built.floor.as_ref().map_err(|error| Unusable::Missing(error.clone()))?;
                (vec![program.display().to_string(), place.port.to_string()], &[][..], "its own")
            }
            Kind::Ours(recipe) | Kind::Rival(recipe) => {
                let missing = |error: anyhow::Error| Unusable::Missing(format!("{error:#}"));
                let program = find(recipe.program).map_err(missing)?;
                recipe.user.map_or(Ok(()), expect_user).map_err(missing)?;
                let (command, how) = command(&recipe, &program, built, place.port);
                (command, recipe.files, how)
            }
        };
        Self::launch(peer, (&command, files), place, how).map_err(Unusable::Broken)
    }

    fn launch(
        peer: &Peer,
        (command, files): (&[String], &[(&str, &str)]),
        place: Place<'_>,
        how: &'static str,
    ) -> Result<Self> {
        let directory = private_directory(peer.name)?;
        let fill = |text: &str| fill(text, peer, &directory, place);
        for (name, template) in files {
            fs::write(directory.join(name), fill(template)?).with_context(|| format!("cannot write {name}"))?;
        }
        if let Some(user) = recipe(peer).and_then(|recipe| recipe.user) {
            give_to(&directory, user)?;
        }
        let out = fs::File::create(directory.join("out")).context("cannot make a log")?;
        let child = place
            .edge
            .bound_command("unshare")
            .args(["--pid", "--fork", "--kill-child", "--mount", "--mount-proc", "--", "sh", "-c", FIRST, "sh"])
            .args(command.iter().map(|word| fill(word)).collect::<Result<Vec<_>>>()?)
            .stdin(Stdio::null())
            .stdout(out.try_clone().context("cannot share a log")?)
            .stderr(out)
            .spawn()
            .context("cannot start unshare")?;
        let tree = Tree(child.id());
        let mut this = Self { child, directory, port: place.port, tree, mptcp: false, how };
        this.mptcp = this.wait_until_it_listens(place.edge)?;
        Ok(this)
    }

    /// Whether it listens over MPTCP.
    fn wait_until_it_listens(&mut self, edge: &Namespace) -> Result<bool> {
        let end = Instant::now() + START;
        loop {
            let (tcp, mptcp) = edge.run(|| listeners(self.port))??;
            if tcp || mptcp {
                return Ok(mptcp);
            }
            let ended = self.child.try_wait().context("cannot ask for a proxy")?;
            ensure!(
                ended.is_none() && Instant::now() < end,
                "it does not listen ({ended:?}); it said: {}",
                self.said()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The end of what it said.
    pub fn said(&self) -> String {
        let text = fs::read_to_string(self.directory.join("out")).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(5)..].join(" | ")
    }

    /// Fails if it has ended: what was measured then says nothing about it.
    pub fn expect_alive(&mut self) -> Result<()> {
        let ended = self.child.try_wait().context("cannot ask for a proxy")?;
        ensure!(ended.is_none(), "it ended ({ended:?}); it said: {}", self.said());
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let members = self.tree.members().unwrap_or_default();
        // Killing and reaping fail only when it is gone.
        drop(self.child.kill());
        drop(self.child.wait());
        // The port is free, and the directory unused, when the last of them is gone.
        let end = Instant::now() + Duration::from_secs(5);
        while members.iter().any(|pid| Path::new(&format!("/proc/{pid}")).exists()) && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(5));
        }
        drop(fs::remove_dir_all(&self.directory));
    }
}

/// The version a peer tells, in a line.
pub fn version(peer: &Peer) -> Option<String> {
    let recipe = recipe(peer)?;
    let output = std::process::Command::new(find(recipe.program).ok()?).arg(recipe.version).output().ok()?;
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    text.lines().find(|line| line.contains(|c: char| c.is_ascii_digit())).map(|line| line.trim().to_owned())
}

fn recipe(peer: &Peer) -> Option<Recipe> {
    match peer.kind {
        Kind::Ours(recipe) | Kind::Rival(recipe) => Some(recipe),
        Kind::Direct | Kind::Floor => None,
    }
}

/// The words that start a recipe's program, and where its MPTCP comes from.
fn command(recipe: &Recipe, program: &Path, built: &Built, port: u16) -> (Vec<String>, &'static str) {
    let mut words: Vec<String> = Vec::new();
    if let Some(user) = recipe.user {
        words.extend(["setpriv", "--reuid", user, "--regid", user, "--clear-groups"].map(String::from));
        // For the congestion control of its listener, where an administrator has not allowed it to everybody.
        words.extend(["--inh-caps", "+net_admin", "--ambient-caps", "+net_admin"].map(String::from));
    }
    let how = match (recipe.mptcp, &built.listen) {
        (Mptcp::Own, _) => "its own",
        (Mptcp::Lent, Ok(preload)) => {
            let preload = format!("LD_PRELOAD={}", preload.display());
            words.extend(["env".into(), preload, format!("ANABRANCH_BENCH_PORT={port}")]);
            "a preload, on the listener alone"
        }
        (Mptcp::Lent, Err(_)) => {
            words.extend(["mptcpize", "run"].map(String::from));
            "mptcpize, towards the origin as well"
        }
    };
    words.push(program.display().to_string());
    words.extend(recipe.arguments.split(' ').map(String::from));
    (words, how)
}

fn fill(text: &str, peer: &Peer, directory: &Path, place: Place<'_>) -> Result<String> {
    let cores = std::thread::available_parallelism().context("cannot count the cores")?;
    let threads = place.threads.unwrap_or_else(|| cores.get());
    let (_, files) = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE)?;
    let recipe = recipe(peer);
    let mut text = text.to_owned();
    // Their own words first: those may hold common ones.
    for (key, value) in recipe.iter().flat_map(|recipe| recipe.words) {
        text = text.replace(&format!("{{{key}}}"), value);
    }
    for (key, value) in [
        ("port", place.port.to_string()),
        ("origin", place.origin.ip().to_string()),
        ("oport", place.origin.port().to_string()),
        ("dir", directory.display().to_string()),
        ("threads", threads.to_string()),
        // squid keeps a table of as many.
        ("files", files.min(65_536).to_string()),
        ("user", recipe.and_then(|recipe| recipe.user).unwrap_or("root").to_owned()),
    ] {
        text = text.replace(&format!("{{{key}}}"), &value);
    }
    Ok(text)
}

/// Makes the directory and what is in it a user's.
fn give_to(directory: &Path, user: &str) -> Result<()> {
    let user = nix::unistd::User::from_name(user)?.with_context(|| format!("there is no user {user}"))?;
    let give = |path: &Path| nix::unistd::chown(path, Some(user.uid), Some(user.gid));
    give(directory).context("cannot give a directory away")?;
    for entry in fs::read_dir(directory).context("cannot list a directory")? {
        give(&entry.context("cannot list a directory")?.path()).context("cannot give a file away")?;
    }
    Ok(())
}

/// Fails if processes here cannot be a user's: a user namespace has those alone that were mapped into it.
fn expect_user(user: &str) -> Result<()> {
    let known = nix::unistd::User::from_name(user)?.with_context(|| format!("there is no user {user}"))?;
    let map = fs::read_to_string("/proc/self/uid_map").context("cannot read the users of this namespace")?;
    ensure!(is_mapped(&map, known.uid.as_raw()), "it runs as {user} alone, and this user namespace has no such user");
    Ok(())
}

/// Whether a user is one of a namespace's, by its map: first inside, first outside, how many (user_namespaces(7)).
fn is_mapped(map: &str, user: u32) -> bool {
    map.lines().any(|line| {
        let fields: Vec<u32> = line.split_whitespace().filter_map(|field| field.parse().ok()).collect();
        matches!(fields[..], [first, _, count] if user.checked_sub(first).is_some_and(|place| place < count))
    })
}

/// Where a program is: on the path, or where Debian keeps what an administrator runs.
fn find(program: &str) -> Result<PathBuf> {
    if program == "anabranch" {
        return Proxy::binary();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let more = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    let places = std::env::split_paths(&path).chain(more).map(|place| place.join(program));
    places.into_iter().find(|path| path.is_file()).with_context(|| format!("{program} is not installed"))
}

/// Whether there are listeners on `port` in the calling thread's namespace: plain ones, and MPTCP ones.
fn listeners(port: u16) -> Result<(bool, bool)> {
    let (mut tcp, mut mptcp) = (false, false);
    for family in [AddressFamily::V4, AddressFamily::V6] {
        let query = Query { family, states: States::of(TcpState::Listen), local_port: Some(port) };
        SockDiag::open()?.tcp(query, |socket| tcp |= socket.head.local.port() == port)?;
        SockDiag::open()?.mptcp(query, |socket| mptcp |= socket.head.local.port() == port)?;
    }
    Ok((tcp, mptcp))
}

#[cfg(test)]
mod tests;
