//! What was found on a machine, before anybody judges it.
//!
//! Everything can be written down and read again: what one machine looks like can be judged on another.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::{Feature, Key};

/// What was found, or why it could not be looked at.
pub type Seen<T> = Result<T, String>;

/// What was found on a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Where the configuration is that the machine is looked at for.
    pub config_file: String,
    /// What `edge setup` has to be told to set up for what was judged: `--config` and its file, and whatever else was named.
    #[serde(default)]
    pub options: Vec<String>,
    /// Whoever looked was root: what was out of its sight is not in sight of anybody with more rights.
    #[serde(default)]
    pub root: bool,
    /// The kernel's release, such as `6.18.44`.
    pub kernel: String,
    /// How each feature's trial went.
    pub features: BTreeMap<Feature, Trial>,
    /// Sysctls that are there.
    pub sysctls: BTreeMap<Key, String>,
    /// How many sockets listen to the path manager's events.
    pub event_listeners: Seen<usize>,
    /// The process number of an mptcpd.
    pub daemon: Option<u32>,
    /// Subflows the kernel's path manager allows beside the initial one.
    pub subflow_limit: Seen<u32>,
    /// The links, in the order of their numbers.
    pub links: Vec<Link>,
    /// What is under our names.
    pub names: Seen<Names>,
    /// Chains of others that meet packets of an interface: the table, the interface.
    pub chains: Vec<(String, String)>,
    /// Links whose packets pass a `clsact` or `ingress`: the link, which of the two.
    pub hooks: Vec<(String, String)>,
    /// How many descriptors a process may have.
    pub descriptors: Descriptors,
    /// What a process may do.
    pub capabilities: Capabilities,
    /// What the clock says.
    pub clock: Clock,
    /// The configured listeners, in order.
    pub listeners: Vec<Listener>,
    /// How the name servers answer.
    pub dns: Dns,
}

/// How a trial went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Trial {
    /// It works.
    Works,
    /// It does not, and why.
    Missing(String),
    /// It was refused to one that holds the capabilities it takes, and how.
    Refused(String),
    /// It could not be tried, and why.
    Untried(String),
}

/// One link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Its name.
    pub name: String,
    /// It is up.
    pub up: bool,
    /// It is a loopback.
    pub loopback: bool,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// Its speed, if it says.
    ///
    /// Units: Mbit/s.
    pub megabits: Option<u32>,
    /// TSO, if it says.
    pub segmentation: Option<bool>,
    /// GRO, if it says.
    pub receive: Option<bool>,
    /// The queueing discipline at its root that somebody put there.
    pub qdisc: Option<String>,
}

/// What is under the names that are ours.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Names {
    /// What a table says of itself that is not ours.
    pub foreign_table: Option<String>,
    /// What a device is that is not ours.
    pub foreign_device: Option<String>,
}

/// How many descriptors a process may have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Descriptors {
    /// Whose limit it is.
    pub whose: String,
    /// The hard limit.
    pub hard: u64,
}

/// What a process may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities {
    /// Whose they are.
    pub whose: String,
    /// Which of those that matter here, such as `CAP_NET_ADMIN`.
    pub held: Vec<String>,
    /// The program's file.
    pub program: String,
}

/// What the clock says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clock {
    /// Seconds since 1970.
    pub unix_seconds: i64,
    /// Whether somebody keeps it right.
    pub synchronised: Seen<bool>,
}

/// A configured listener.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    /// Its name.
    pub name: String,
    /// What came of trying its address.
    pub door: Door,
}

/// What came of trying a listener's address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Door {
    /// Nobody listens there, and one could.
    Free,
    /// The running anabranch does, and it answers on these addresses and not on those.
    Ours {
        /// Where a connection was made.
        answers: Vec<SocketAddr>,
        /// Where none was.
        silent: Vec<SocketAddr>,
    },
    /// Somebody else does.
    Taken,
    /// No interface has the address.
    Elsewhere,
    /// It may not be listened on.
    Denied,
    /// Something else is in the way.
    Failed(String),
}

/// How the name servers answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dns {
    /// Which were asked.
    pub servers: Vec<SocketAddr>,
    /// The name that was asked for.
    pub name: String,
    /// What they answered.
    pub answer: Seen<String>,
}

impl Facts {
    /// A sysctl's value.
    pub(super) fn sysctl(&self, path: &str) -> Option<&str> {
        self.sysctls.get(&Key::new(path)).map(|value| value.trim())
    }

    /// A sysctl that is a number.
    pub(super) fn number(&self, path: &str) -> Option<u64> {
        self.sysctl(path)?.parse().ok()
    }

    /// The links that traffic comes and goes over: up, no loopback, and with an address that others know.
    pub(super) fn lines(&self) -> impl Iterator<Item = &Link> {
        let known = |ip: &IpAddr| !matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
        self.links.iter().filter(move |link| link.up && !link.loopback && link.addresses.iter().any(known))
    }

    /// Whether a capability is held.
    pub(super) fn holds(&self, capability: &str) -> bool {
        self.capabilities.held.iter().any(|held| held == capability)
    }
}
