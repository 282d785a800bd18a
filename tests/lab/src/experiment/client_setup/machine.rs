//! Clients whose links have addresses and default routes, as DHCP leaves them, and nothing else.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::link::Link;
use crate::middlebox::Middlebox;
use crate::origin::Nginx;
use crate::proxy::{PORT, Proxy, private_directory};
use crate::topology::{Builder, Family, Topology};

/// Where a set-up finds or mounts a BPF file system, below its root.
const BPF_FS: &str = "sys/fs/bpf";

/// A kind of client.
pub(super) struct World {
    pub(super) name: &'static str,
    topology: Builder,
    pub(super) family: Family,
    /// What makes it so, once all that the topology has configured at the client is gone.
    make: fn(&Topology) -> Result<()>,
    /// What happens to a link while it is set up.
    pub(super) flap: Option<fn(&Topology) -> Result<()>>,
    /// Links that carry nothing, with the rate of those that do, in Mbit/s.
    pub(super) idle: u64,
    rate: u64,
}

pub(super) fn worlds() -> Vec<World> {
    let two = || Topology::builder().link(Link::new("one").mbit(40)).link(Link::new("two").mbit(20));
    let three = || two().link(Link::new("three").mbit(10));
    let routers = Topology::builder()
        .link(Link::new("one").mbit(40).middlebox(Middlebox::default()))
        .link(Link::new("two").mbit(20).middlebox(Middlebox::default()));
    let world =
        |name, topology, rate, make| World { name, topology, family: Family::V4, make, flap: None, idle: 0, rate };
    vec![
        World {
            flap: Some(|t| {
                t.client.ip("link set c2 down")?;
                t.client.ip("link set c2 up")?;
                t.client.ip("route add default via 10.2.0.1 dev c2 metric 102")?;
                t.client.ip("route add default via fd00:2::1 dev c2 metric 102")
            }),
            ..world("two links", two(), 60, |_| Ok(()))
        },
        world("three links", three(), 70, |_| Ok(())),
        World {
            family: Family::V6,
            ..world("IPv6 only", two(), 60, |t| {
                t.client.ip("-4 address flush dev c1")?;
                t.client.ip("-4 address flush dev c2")
            })
        },
        World { idle: 1, ..world("one link of three down", three(), 50, |t| t.client.ip("link set c2 down")) },
        world("one private network behind two routers", routers, 60, translated),
    ]
}

/// Both links' networks and routers have the same addresses, as two home routers of one make do; each router translates.
fn translated(topology: &Topology) -> Result<()> {
    for (number, router) in (1..).zip(topology.hops()) {
        topology.client.ip(&format!("address flush dev c{number}"))?;
        topology.client.ip(&format!("address add 192.168.1.{}/24 dev c{number}", number + 1))?;
        topology.client.ip(&format!("route add default via 192.168.1.1 dev c{number} metric {}", 100 + number))?;
        router.ip("address add 192.168.1.1/24 dev near")?;
        router.nft(
            "table ip translate {\n chain out {\n  type nat hook postrouting priority 100; policy accept;\n  \
             oifname \"far\" masquerade\n }\n}\n",
        )?;
    }
    Ok(())
}

/// A client, and where its files are.
pub(super) struct Machine {
    pub(super) topology: Topology,
    root: PathBuf,
    family: Family,
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Before the files: an unmounted file system's pins are gone, and with them what is attached.
        nix::mount::umount2(&self.root.join(BPF_FS), nix::mount::MntFlags::MNT_DETACH).ok();
        // What stays in the temporary place is swept by the next run.
        drop(std::fs::remove_dir_all(&self.root));
    }
}

impl Machine {
    pub(super) fn new(world: &World) -> Result<Self> {
        let topology = world.topology.build()?;
        for link in 1..=topology.links().len() {
            for (family, net) in [("-4", "10."), ("-6", "fd00:")] {
                let address = if net == "10." { format!("10.{link}.0.2") } else { format!("fd00:{link}::2") };
                topology.client.ip(&format!("{family} rule del from {address} table {link}"))?;
                topology.client.ip(&format!("{family} route flush table {link}"))?;
            }
        }
        topology.client.ip("mptcp endpoint flush")?;
        topology.client.ip("mptcp limits set subflow 2 add_addr_accepted 0")?;
        (world.make)(&topology)?;
        let root = private_directory("client-setup")?;
        // Files of somebody else's that are in the way, and a network that ifupdown runs.
        for (path, text) in [
            ("etc/network/interfaces", "auto c1\niface c1 inet dhcp\n"),
            ("etc/profile.d/anabranch.sh", "# somebody's own\n"),
            ("etc/apt/apt.conf.d/50other", "// theirs\n"),
        ] {
            let file = root.join(path);
            std::fs::create_dir_all(file.parent().context("a directory")?)?;
            std::fs::write(file, text)?;
        }
        for directory in ["etc/network/if-up.d", BPF_FS] {
            std::fs::create_dir_all(root.join(directory))?;
        }
        Ok(Self { topology, root, family: world.family })
    }

    /// The proxy's address, as it is given.
    pub(super) fn proxy(&self) -> String {
        SocketAddr::new(self.topology.edge_address(1, self.family), PORT).to_string()
    }

    /// What the links that are up can carry of payload.
    ///
    /// Units: bit/s.
    #[allow(clippy::cast_precision_loss, reason = "rates are far below 2^52")]
    pub(super) fn capacity(&self, world: &World) -> f64 {
        let all: f64 = self.topology.links().iter().filter_map(|link| link.rate).map(|rate| rate as f64).sum();
        self.topology.payload_capacity() * (world.rate * 1_000_000) as f64 / all
    }

    /// `client setup` for the proxy.
    pub(super) fn ask(&self, arguments: &[&str]) -> Result<String> {
        self.setup(&[&["--proxy", &self.proxy()], arguments].concat())
    }

    pub(super) fn setup(&self, arguments: &[&str]) -> Result<String> {
        self.run(arguments, false)
    }

    /// `client setup`, over a remote shell or not.
    pub(super) fn run(&self, arguments: &[&str], remote: bool) -> Result<String> {
        // Not bound to this thread: what an apply leaves behind to take it back outlives its shell.
        let mut command = self.topology.client.command(Proxy::binary()?);
        command.args(["client", "setup", "--root"]).arg(&self.root).args(arguments).env_remove("SSH_CONNECTION");
        if remote {
            command.env("SSH_CONNECTION", "192.0.2.1 1 192.0.2.2 22");
        }
        let output = command.output().context("cannot start the set-up")?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        ensure!(output.status.success(), "{arguments:?}: {}{}", text(&output.stdout), text(&output.stderr));
        Ok(text(&output.stdout))
    }

    /// What the doctor finds, without rates.
    pub(super) fn doctor(&self) -> Result<Value> {
        let mut command = self.topology.client.bound_command(Proxy::binary()?);
        command.args(["client", "doctor", "--brief", "--json", "--proxy", &self.proxy()]);
        let output = command.output().context("cannot start the doctor")?;
        serde_json::from_slice(&output.stdout)
            .with_context(|| format!("not JSON: {}", String::from_utf8_lossy(&output.stderr)))
    }

    /// Fetches a file with a program that knows the proxy from the environment that was written.
    pub(super) fn fetch(&self, line: &str, family: Family, port: u16, size: u64, nginx: &Nginx) -> Result<()> {
        let origin = SocketAddr::new(self.topology.origin_address(family), port);
        let out = self.root.join("fetched");
        let line = line.replace("OUT", &out.to_string_lossy()).replace("URL", &format!("http://{origin}/{size}"));
        let profile = self.root.join("etc/profile.d/anabranch.sh");
        let script = format!(". {}; exec {line}", profile.display());
        let mut command = self.topology.client.bound_command("sh");
        let output = command.args(["-c", &script]).output().context("cannot start sh")?;
        ensure!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        let same = std::fs::read(&out)? == std::fs::read(nginx.file(size))?;
        std::fs::remove_file(&out)?;
        ensure!(same, "{line}: not what the origin sent");
        Ok(())
    }

    /// nginx's address.
    pub(super) fn origin(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.topology.origin_address(self.family), port)
    }

    /// Runs a line to its end.
    pub(super) fn finish(&self, line: &str) -> Result<()> {
        let mut words = line.split(' ');
        self.topology.client.tool(words.next().unwrap_or_default(), words).map(drop)
    }

    /// A program's process, fetching a file with the environment that was written; for as long as the caller looks at it.
    pub(super) fn start(&self, line: &str) -> Result<std::process::Child> {
        let script = format!(". {}; exec {line}", self.root.join("etc/profile.d/anabranch.sh").display());
        let mut command = self.topology.client.bound_command("sh");
        command.args(["-c", &script]).spawn().context("cannot start sh")
    }

    /// SYNs that asked for MPTCP so far, as the client's kernel counts them.
    pub(super) fn asked_for_mptcp(&self) -> Result<u64> {
        Ok(self.topology.client.mib_counters()?.get("MPTcpExtMPCapableSYNTX").copied().unwrap_or(0))
    }

    /// A place for files of this machine.
    pub(super) fn place(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Everything a set-up may touch: routes, rules, endpoints, limits, the sysctl, files.
    pub(super) fn dump(&self) -> Result<BTreeMap<String, String>> {
        let mut dump = BTreeMap::new();
        for line in [
            "-4 route show table all",
            "-6 route show table all",
            "-4 rule",
            "-6 rule",
            "mptcp endpoint show",
            "mptcp limits show",
        ] {
            let said = self.topology.client.tool("ip", line.split(' '))?;
            // The links' own multicast and link-local routes come in no order.
            let mut lines: Vec<_> =
                said.lines().filter(|line| !line.contains("fe80::") && !line.contains("ff00::")).collect();
            lines.sort_unstable();
            dump.insert(format!("ip {line}"), lines.join("\n"));
        }
        let enabled = self.topology.client.run(|| std::fs::read_to_string("/proc/sys/net/mptcp/enabled"))??;
        dump.insert("net.mptcp.enabled".into(), enabled);
        files(&self.root, &mut dump)?;
        Ok(dump)
    }

    /// Fails with what is not as it was.
    pub(super) fn expect(&self, before: &BTreeMap<String, String>) -> Result<()> {
        let now = self.dump()?;
        let all = before.keys().chain(now.keys());
        let other: Vec<_> = all
            .filter(|key| before.get(*key) != now.get(*key))
            .map(|key| (key, before.get(key), now.get(key)))
            .collect();
        ensure!(other.is_empty(), "not as it was: {other:#?}");
        Ok(())
    }
}

fn files(directory: &Path, into: &mut BTreeMap<String, String>) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        let mode = std::fs::metadata(&path)?.permissions().mode();
        let text = if path.is_dir() {
            files(&path, into)?;
            String::new()
        } else if directory.ends_with("bpf/anabranch") {
            "a pin, which cannot be read".to_owned()
        } else {
            std::fs::read_to_string(&path)?
        };
        into.insert(path.display().to_string(), format!("{mode:o} {text}"));
    }
    Ok(())
}
