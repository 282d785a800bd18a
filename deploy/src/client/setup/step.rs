//! One step with its undoing, and both as the line that a person would type.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::client::seen::Net;

/// One step. Everything that takes it back is in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Step {
    /// Sets a sysctl.
    Sysctl {
        /// Its name, dotted.
        key: String,
        /// The value before.
        former: String,
        /// The value after.
        value: String,
    },
    /// Makes a route in a table of ours.
    Route {
        /// The table.
        table: u32,
        /// Where it leads.
        to: Net,
        /// The next router.
        gateway: Option<IpAddr>,
        /// The address packets get that have none.
        source: Option<IpAddr>,
        /// The link's name.
        link: String,
    },
    /// Sends packets with a source to a table.
    Rule {
        /// The source.
        from: IpAddr,
        /// The table.
        table: u32,
        /// Its place in the order.
        priority: u32,
    },
    /// Sets how many subflows a connection may have, and how many announced addresses are used.
    Limits {
        /// Both before.
        former: (u32, u32),
        /// Both after.
        set: (u32, u32),
    },
    /// Has subflows made from an address.
    Endpoint {
        /// The address.
        address: IpAddr,
        /// The link's name.
        link: String,
    },
    /// Mounts a BPF file system at `/sys/fs/bpf`.
    BpfFs,
    /// Gives the programs of a network namespace MPTCP.
    Programs {
        /// The namespace's cookie.
        namespace: u64,
        /// The names that the program before excepted, of an earlier set-up. `None`: there was none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        former: Option<Vec<String>>,
        /// Names of processes that get what they ask for.
        except: Vec<String>,
    },
    /// Writes a file.
    File {
        /// Its path below the root.
        path: String,
        /// Its text before. `None`: there was none.
        former: Option<String>,
        /// Its text after.
        text: String,
        /// What an earlier version of ours wrote there, and what may still be there: the journal is written before the file.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        earlier: Option<String>,
        /// It is a script.
        executable: bool,
    },
}

/// Where a BPF file system belongs, below the root.
pub const BPF_FS: &str = "sys/fs/bpf";

/// The pin of the program for a network namespace, below the root.
#[must_use]
pub fn pin(namespace: u64) -> String {
    format!("{BPF_FS}/anabranch/mptcp-{namespace}")
}

impl Step {
    /// What is done, as one would type it.
    #[must_use]
    pub fn line(&self) -> String {
        match self {
            Self::Sysctl { key, value, .. } => format!("sysctl -w {key}={value}"),
            Self::Route { .. } => self.route("add"),
            Self::Rule { .. } => self.rule("add"),
            Self::Limits { set, .. } => limits(*set),
            Self::Endpoint { address, link } => format!("ip mptcp endpoint add {address} dev {link} subflow"),
            Self::BpfFs => format!("mount -t bpf -o nosuid,nodev,noexec,mode=700 bpf /{BPF_FS}"),
            Self::Programs { namespace, except, .. } => attach(*namespace, except),
            Self::File { path, text, .. } => format!("write /{path}:\n{}", indented(text)),
        }
    }

    /// What takes it back, as one would type it.
    #[must_use]
    pub fn undo_line(&self) -> String {
        match self {
            Self::Sysctl { key, former, .. } => format!("sysctl -w {key}={former}"),
            Self::Route { .. } => self.route("del"),
            Self::Rule { .. } => self.rule("del"),
            Self::Limits { former, .. } => limits(*former),
            Self::Endpoint { address, link } => format!("ip mptcp endpoint del id ID # of {address} dev {link}"),
            Self::BpfFs => format!("umount /{BPF_FS}  # if it is empty"),
            Self::Programs { namespace, former: None, .. } => format!("rm /{}", pin(*namespace)),
            Self::Programs { namespace, former: Some(former), .. } => attach(*namespace, former),
            Self::File { path, former: None, .. } => format!("rm /{path}"),
            Self::File { path, former: Some(_), .. } => format!("write /{path} as it was"),
        }
    }

    /// Whether it changes the running kernel, and so has to be done again when links come and go.
    #[must_use]
    pub fn is_running(&self) -> bool {
        !matches!(self, Self::File { .. })
    }

    /// The address it is for, if it is for one.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        match self {
            Self::Rule { from, .. } => Some(*from),
            Self::Endpoint { address, .. } => Some(*address),
            _ => None,
        }
    }

    fn route(&self, verb: &str) -> String {
        let Self::Route { table, to, gateway, source, link } = self else { return String::new() };
        let family = if to.address.is_ipv4() { "" } else { "-6 " };
        let via = gateway.map(|gateway| format!(" via {gateway}")).unwrap_or_default();
        let source = source.map(|source| format!(" src {source}")).unwrap_or_default();
        format!("ip {family}route {verb} {to}{via} dev {link}{source} table {table} proto static")
    }

    fn rule(&self, verb: &str) -> String {
        let Self::Rule { from, table, priority } = self else { return String::new() };
        let family = if from.is_ipv4() { "" } else { "-6 " };
        format!("ip {family}rule {verb} from {from} lookup {table} pref {priority}")
    }
}

fn attach(namespace: u64, except: &[String]) -> String {
    format!(
        "# attach to update_socket_protocol, pinned as /{}: sockets of this network namespace that ask for TCP get MPTCP, but for those of {}",
        pin(namespace),
        except.join(", ")
    )
}

fn limits((subflows, accepted): (u32, u32)) -> String {
    format!("ip mptcp limits set subflows {subflows} add_addr_accepted {accepted}")
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}\n")).collect::<String>().trim_end().to_owned()
}
