//! What makes a machine use all its links, and the way back: what was seen in, steps out.

mod files;
mod journal;
mod plan;
mod programs;
mod renew;
mod step;

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

pub use journal::{Journal, stale};
pub use plan::{Plan, plan};
pub use renew::renew;
pub use step::{BPF_FS, Step, pin};

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// The proxy, as `host:port`.
    pub proxy: String,
    /// The links that are meant, with a gateway where somebody knows better; empty: all that lead to the Internet.
    pub links: Vec<(String, Option<IpAddr>)>,
    /// apt goes by the proxy as well.
    pub apt: bool,
    /// The program that is run again when links change.
    pub program: String,
    /// Programs that ask for TCP get MPTCP by BPF, where the kernel lets that be done. A state file of before there was this has none.
    #[serde(default)]
    pub bpf: bool,
    /// Names of processes, as the kernel has them, that get what they ask for; anabranch's own are among them.
    #[serde(default)]
    pub except: Vec<String>,
}

/// Who runs the network of this machine, and has us run when it changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Keeper {
    /// OpenWrt's netifd: a script in `hotplug.d`.
    OpenWrt,
    /// NetworkManager: a dispatcher script.
    NetworkManager,
    /// systemd-networkd: units that watch its state.
    Networkd,
    /// ifupdown: scripts of its own and of its DHCP clients.
    Ifupdown,
    /// Nobody who would have us run.
    Nobody,
}

impl Keeper {
    /// Its name for a reader.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OpenWrt => "OpenWrt (netifd)",
            Self::NetworkManager => "NetworkManager",
            Self::Networkd => "systemd-networkd",
            Self::Ifupdown => "ifupdown",
            Self::Nobody => "nobody",
        }
    }
}

#[cfg(test)]
mod tests;
