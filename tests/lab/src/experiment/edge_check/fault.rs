//! The faults, each with the check that has to name it.

use std::any::Any;
use std::net::TcpListener;

use anyhow::{Context, Result};
use serde_json::Value;

use super::machine::Machine;

/// What is kept while the fault lasts.
type Held = Option<Box<dyn Any>>;

/// One thing that is wrong with a machine.
pub(super) struct Fault {
    pub(super) name: &'static str,
    /// The check that fails, the only one.
    pub(super) check: &'static str,
    /// In its evidence.
    pub(super) evidence: &'static str,
    /// In the command that mends it.
    pub(super) cure: &'static str,
    /// The configuration with the fault in it.
    pub(super) config: fn(&str) -> String,
    /// Anabranch runs before the fault is put.
    pub(super) running: bool,
    pub(super) put: fn(&Machine) -> Result<Held>,
    /// The program that the check is started by.
    pub(super) through: &'static [&'static str],
    /// What cannot be wrong on this machine alone is changed in what was found.
    pub(super) facts: Option<fn(&mut Value)>,
}

const fn fault(
    name: &'static str,
    check: &'static str,
    (evidence, cure): (&'static str, &'static str),
    put: fn(&Machine) -> Result<Held>,
) -> Fault {
    Fault { name, check, evidence, cure, config: str::to_owned, running: false, put, through: &[], facts: None }
}

fn nothing(_: &Machine) -> Result<Held> {
    Ok(None)
}

fn sysctl(machine: &Machine, key: &str, value: &str) -> Result<Held> {
    machine.edge.sysctl(key, value).map(|()| None)
}

pub(super) const ALL: &[Fault] = &[
    fault("MPTCP is switched off", "mptcp-enabled", ("= 0", "net.mptcp.enabled=1"), |m| {
        sysctl(m, "net.mptcp.enabled", "0")
    }),
    fault(
        "userspace path manager, nobody listens",
        "path-manager",
        ("every MP_JOIN is refused", "path_manager=kernel"),
        |m| sysctl(m, "net.mptcp.path_manager", "userspace"),
    ),
    fault("no subflow beside the first", "mptcp-limits", ("subflows 0", "ip mptcp limits set subflows"), |m| {
        m.edge.ip("mptcp limits set subflows 0").map(|()| None)
    }),
    fault("clients are told not to join", "mptcp-joins", ("= 0", "allow_join_initial_addr_port=1"), |m| {
        sysctl(m, "net.mptcp.allow_join_initial_addr_port", "0")
    }),
    fault("strict filter of return paths", "rp-filter", ("strict on p2", "net.ipv4.conf.p2.rp_filter=2"), |m| {
        sysctl(m, "net.ipv4.conf.p2.rp_filter", "1")
    }),
    fault("small receive buffers", "receive-buffer", ("up to 65536", "net.ipv4.tcp_rmem="), |m| {
        sysctl(m, "net.ipv4.tcp_rmem", "4096 65536 65536")
    }),
    fault("small send buffers", "send-buffer", ("up to 65536", "net.ipv4.tcp_wmem="), |m| {
        sysctl(m, "net.ipv4.tcp_wmem", "4096 16384 65536")
    }),
    fault("hardly any ports", "port-range", ("51 connections", "ip_local_port_range="), |m| {
        sysctl(m, "net.ipv4.ip_local_port_range", "40000 40050")
    }),
    Fault {
        config: |text| text.replace("[::]:3128", "10.1.0.1:3128"),
        ..fault("a listener bound to one address", "listener-edge", ("10.2.0.1 on p2", "[::]:3128"), nothing)
    },
    Fault {
        config: |text| text.replace("[::]:3128", "10.9.0.1:3128"),
        ..fault("an address of no interface", "listener-edge", ("no interface has 10.9.0.1", "ip -brief"), nothing)
    },
    fault("the port is somebody else's", "listener-edge", ("somebody else listens", "sport = :3128"), |m| {
        let taken = m.edge.run(|| TcpListener::bind("[::]:3128"))?.context("a listener in the way")?;
        Ok(Some(Box::new(taken)))
    }),
    Fault {
        running: true,
        ..fault("the port is blocked on one link", "listener-edge", ("does not answer on 10.2.0.1:3128", "nft"), |m| {
            m.edge.nft(
                "table inet wall {\n chain in {\n  type filter hook input priority 0; policy accept;\n  \
                 ip daddr 10.2.0.1 tcp dport 3128 drop\n }\n}\n",
            )?;
            Ok(None)
        })
    },
    Fault {
        config: |text| text.replace("127.0.0.1:5353", "127.0.0.1:5354"),
        ..fault("name servers do not answer", "dns", ("127.0.0.1:5354: no answer", "dig -p 5354 @127.0.0.1"), nothing)
    },
    fault(
        "a table of our name is somebody else's",
        "nft-table",
        ("somebody else's", "nft list table netdev anabranch  # whose is it?"),
        |m| m.edge.nft("table netdev anabranch {\n map theirs { type ipv4_addr : classid; }\n}\n").map(|()| None),
    ),
    fault(
        "a device of our name is somebody else's",
        "device",
        ("a veth without our mark", "ip -details link show anabranch0  # whose is it?"),
        |m| m.edge.ip("link add anabranch0 type veth peer name theirs0").map(|()| None),
    ),
    Fault {
        through: &["setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin", "--"],
        ..fault("without CAP_NET_ADMIN", "capabilities", ("lacks CAP_NET_ADMIN", "setcap cap_net_admin"), nothing)
    },
    Fault {
        through: &["prlimit", "--nofile=512:512", "--"],
        ..fault("few descriptors", "descriptors", ("may have 512", "LimitNOFILE="), nothing)
    },
    Fault {
        facts: Some(|facts| facts["clock"]["unix_seconds"] = 86_400.into()),
        ..fault("the clock begins in 1970", "clock", ("the year 1970", "timedatectl"), nothing)
    },
];
