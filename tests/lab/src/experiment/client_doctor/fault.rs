//! What can be wrong, staged.

use anyhow::{Context, Result};

use crate::emulator::{Impairment, Rewrite};
use crate::link::Link;
use crate::middlebox::{Middlebox, Phase, Toward};
use crate::topology::{Builder, Family, Topology};

/// One fault, and who is to be blamed for it.
pub(super) struct Fault {
    pub(super) name: &'static str,
    pub(super) topology: Builder,
    /// What is done once the proxy runs.
    pub(super) stage: fn(&Topology) -> Result<()>,
    /// Link and culprit; none where all is well.
    pub(super) culprits: &'static [(&'static str, &'static str)],
    pub(super) family: Family,
    /// Who is let in, if not everybody.
    pub(super) clients: Option<&'static [&'static str]>,
    /// With rates.
    pub(super) measured: bool,
}

fn two() -> Builder {
    Topology::builder().link(Link::new("one")).link(Link::new("two"))
}

fn second(link: Link) -> Builder {
    Topology::builder().link(Link::new("one")).link(link)
}

fn boxed(middlebox: Middlebox) -> Builder {
    second(Link::new("two").middlebox(middlebox))
}

fn fault(
    name: &'static str,
    culprits: &'static [(&'static str, &'static str)],
    stage: fn(&Topology) -> Result<()>,
) -> Fault {
    let family = Family::V4;
    Fault { name, topology: two(), stage, culprits, family, clients: None, measured: false }
}

fn nothing(_: &Topology) -> Result<()> {
    Ok(())
}

/// Rules for what comes in at `device`, which stay in force.
fn filter(rule: &str) -> String {
    format!(
        "table inet staged {{\n chain in {{\n  type filter hook prerouting priority -400; policy accept;\n  {rule}\n }}\n}}\n"
    )
}

/// Every fault.
pub(super) fn faults() -> Vec<Fault> {
    [well(), stripped(), dropped(), routed(), limited(), refused()].into_iter().flatten().collect()
}

fn well() -> Vec<Fault> {
    let shaped = Topology::builder().link(Link::new("one").mbit(40)).link(Link::new("two").mbit(20));
    vec![
        Fault { topology: shaped, measured: true, ..fault("all is well", &[], nothing) },
        Fault { family: Family::V6, ..fault("all is well over IPv6", &[], nothing) },
        Fault { topology: Topology::builder().link(Link::new("one")), ..fault("one link alone is well", &[], nothing) },
    ]
}

fn stripped() -> Vec<Fault> {
    use Phase::{Handshake, Later};
    use Toward::{Client, Edge};
    let case = |name, middlebox, culprits| Fault { topology: boxed(middlebox), ..fault(name, culprits, nothing) };
    // The field's name in capitals: another payload, the same request.
    let rewrite = Rewrite { find: "host: 10".into(), replace: "HOST: 10".into() };
    let rewriting = Link::new("two").impaired(Impairment { rewrite: Some(rewrite), ..Impairment::default() });
    vec![
        case("SYN and SYN-ACK stripped", Middlebox::strip_both(Handshake), &[("c2", "syn-stripped")]),
        case("SYN stripped", Middlebox::strip(Handshake, Edge), &[("c2", "syn-stripped")]),
        case("SYN-ACK stripped", Middlebox::strip(Handshake, Client), &[("c2", "syn-ack-stripped")]),
        case("later stripped to the edge", Middlebox::strip(Later, Edge), &[("c2", "stripped-to-edge")]),
        case("later stripped both ways", Middlebox::strip_both(Later), &[("c2", "stripped-to-edge")]),
        case("later stripped to the client", Middlebox::strip(Later, Client), &[("c2", "stripped-to-client")]),
        Fault {
            topology: second(rewriting).client_sysctl("net.mptcp.checksum_enabled", "1"),
            ..fault("payload rewritten", &[("c2", "rewritten")], nothing)
        },
    ]
}

fn dropped() -> Vec<Fault> {
    vec![
        fault("SYN with MPTCP dropped", &[("c2", "syn-blackholed")], |t| {
            t.edge.nft(&filter("iifname \"p2\" tcp flags & (syn|ack) == syn tcp option mptcp subtype 0 drop"))
        }),
        fault("MPTCP given up after dropped SYNs", &[("c1", "mptcp-gave-up"), ("c2", "mptcp-gave-up")], |t| {
            t.client.sysctl("net.mptcp.blackhole_timeout", "3600")?;
            t.edge.nft(&filter("tcp flags & (syn|ack) == syn tcp option mptcp subtype 0 drop"))?;
            // One program that tried for as long as it takes.
            let proxy = std::net::SocketAddr::new(t.edge_address(1, Family::V4), crate::proxy::PORT);
            let patience = std::time::Duration::from_secs(8);
            t.client
                .run(|| crate::client::Protocol::Mptcp.connect(proxy, patience).map(drop))?
                .context("a connection that fell back")?;
            t.edge.nft("delete table inet staged\n")
        }),
        fault("joining SYN dropped", &[("c2", "join-silent")], |t| {
            t.edge.nft(&filter("iifname \"p2\" tcp flags & (syn|ack) == syn tcp option mptcp subtype 1 drop"))
        }),
        fault("port filtered", &[("c2", "blocked-port")], |t| {
            t.edge.nft(&filter("iifname \"p2\" tcp dport 3128 drop"))
        }),
        fault("port rejected", &[("c2", "blocked-port")], |t| {
            t.edge.nft(
                "table inet staged {\n chain in {\n  type filter hook input priority 0; policy accept;\n  \
                 iifname \"p2\" tcp dport 3128 reject with tcp reset\n }\n}\n",
            )
        }),
        Fault {
            topology: second(Link::new("two").impaired(Impairment { mtu: Some(1400), ..Impairment::default() })),
            ..fault("wrong MTU", &[("c2", "mtu")], nothing)
        },
    ]
}

fn routed() -> Vec<Fault> {
    let no_rule = |t: &Topology| t.client.ip("rule del from 10.2.0.2");
    vec![
        fault("missing rule", &[("c2", "wrong-route")], no_rule),
        fault("missing rule and strict rp_filter", &[("c2", "strict-filter")], |t| {
            t.client.sysctl("net.ipv4.conf.c2.rp_filter", "1")?;
            t.client.ip("rule del from 10.2.0.2")
        }),
        fault("answers by another link", &[("c2", "asymmetric")], |t| {
            t.edge.ip("route add 10.2.0.2/32 via 10.1.0.2 dev p1")
        }),
        fault("link down", &[("c2", "link-down")], |t| t.client.ip("link set c2 down")),
        fault("no route at all", &[("c2", "no-route")], |t| {
            // Its table leads nowhere, and says so.
            t.client.ip("route replace unreachable default table 2")?;
            t.client.ip("route add default via 10.2.0.1 dev c2 table 99")
        }),
    ]
}

fn limited() -> Vec<Fault> {
    vec![
        fault("no subflows allowed here", &[("c2", "own-limit")], |t| t.client.ip("mptcp limits set subflows 0")),
        fault("no subflows allowed at the edge", &[("c2", "edge-limit")], |t| t.edge.ip("mptcp limits set subflows 0")),
        fault("no endpoint", &[("c2", "no-endpoint")], |t| t.client.ip("mptcp endpoint flush")),
        fault("MPTCP switched off here", &[("c1", "mptcp-off"), ("c2", "mptcp-off")], |t| {
            t.client.sysctl("net.mptcp.enabled", "0")
        }),
        Fault {
            topology: two().edge_sysctl("net.mptcp.enabled", "0"),
            ..fault("plain listener", &[("c1", "not-offered"), ("c2", "not-offered")], nothing)
        },
        fault("a program manages paths here", &[("c2", "own-manager")], |t| {
            t.client.sysctl("net.mptcp.path_manager", "userspace")
        }),
        // As a proxy's kernel does whose path manager is a program that does not run; whether one runs the kernel asks of the whole
        // machine, so that cannot be staged beside other labs.
        fault("joins refused at the edge", &[("c2", "join-refused")], |t| {
            t.edge.nft(
                "table inet staged {\n chain in {\n  type filter hook input priority 0; policy accept;\n  \
                 tcp flags & (syn|ack) == syn tcp option mptcp subtype 1 reject with tcp reset\n }\n}\n",
            )
        }),
    ]
}

fn refused() -> Vec<Fault> {
    vec![
        Fault {
            clients: Some(&["10.1.0.0/24", "127.0.0.0/8"]),
            ..fault("not on the list of clients", &[("c2", "not-allowed")], nothing)
        },
        fault("no proxy there", &[("c1", "blocked-port"), ("c2", "blocked-port")], |t| {
            t.edge.nft(
                "table inet staged {\n chain in {\n  type filter hook input priority 0; policy accept;\n  \
                 tcp dport 3128 reject with tcp reset\n }\n}\n",
            )
        }),
    ]
}
