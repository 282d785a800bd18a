use std::path::Path;

use super::super::facts::{Capabilities, Clock, Descriptors, Dns, Door, Link, Listener, Names, Trial};
use super::super::{Feature, Key, Mend, Verdict};
use super::*;

/// An edge with two access networks and a policy that steers between them.
pub(crate) const CONFIG: &str = r#"
[limits]
connections = 10000
[[listener]]
name = "edge"
address = "[::]:3128"
clients = ["10.0.0.0/8"]
[[path]]
name = "dsl"
client = ["10.1.0.0/16"]
line = "40 Mbit/s"
[[path]]
name = "lte"
client = ["10.2.0.0/16"]
cost = 10
line = "20 Mbit/s"
[[policy]]
name = "lte slowly"
path = "lte"
action = "limit"
rate = "2 Mbit/s"
"#;

pub(crate) fn config(text: &str) -> Config {
    anabranch_config::parse(text, Path::new("edge.toml")).unwrap()
}

fn link(name: &str, address: &str) -> Link {
    Link {
        name: name.to_owned(),
        up: true,
        loopback: false,
        addresses: vec![address.parse().unwrap()],
        megabits: Some(10_000),
        segmentation: Some(true),
        receive: Some(true),
        qdisc: None,
    }
}

/// A machine on which all is well.
pub(crate) fn well() -> Facts {
    let sysctls = [
        ("fs/file-max", "2466170"),
        ("fs/nr_open", "1048576"),
        ("net/core/somaxconn", "4096"),
        ("net/ipv4/conf/all/rp_filter", "0"),
        ("net/ipv4/conf/p1/rp_filter", "2"),
        ("net/ipv4/conf/p2/rp_filter", "0"),
        ("net/ipv4/ip_local_port_range", "32768\t60999"),
        ("net/ipv4/ip_local_reserved_ports", ""),
        ("net/ipv4/ip_unprivileged_port_start", "1024"),
        ("net/ipv4/tcp_allowed_congestion_control", "reno cubic"),
        ("net/ipv4/tcp_available_congestion_control", "reno cubic bbr"),
        ("net/ipv4/tcp_fastopen", "1"),
        ("net/ipv4/tcp_rmem", "4096\t131072\t6291456"),
        ("net/ipv4/tcp_wmem", "4096\t16384\t4194304"),
        ("net/mptcp/allow_join_initial_addr_port", "1"),
        ("net/mptcp/enabled", "1"),
        ("net/mptcp/path_manager", "kernel"),
        ("net/mptcp/scheduler", "default"),
        ("net/netfilter/nf_conntrack_count", "100"),
        ("net/netfilter/nf_conntrack_max", "262144"),
    ];
    Facts {
        config_file: "/etc/anabranch/anabranch.toml".to_owned(),
        options: Vec::new(),
        root: false,
        kernel: "6.18.44-amd64".to_owned(),
        features: Feature::ALL.map(|feature| (feature, Trial::Works)).into(),
        sysctls: sysctls.map(|(key, value)| (Key::new(key), value.to_owned())).into(),
        event_listeners: Ok(0),
        daemon: None,
        subflow_limit: Ok(2),
        links: vec![link("p1", "10.1.0.1"), link("p2", "10.2.0.1")],
        names: Ok(Names::default()),
        chains: Vec::new(),
        hooks: Vec::new(),
        descriptors: Descriptors { whose: "this process".to_owned(), hard: 524_288 },
        capabilities: Capabilities {
            whose: "this process".to_owned(),
            held: ["CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_BPF", "CAP_PERFMON"].map(str::to_owned).into(),
            program: "/usr/bin/anabranch".to_owned(),
        },
        clock: Clock { unix_seconds: 1_800_000_000, synchronised: Ok(true) },
        listeners: vec![Listener { name: "edge".to_owned(), door: Door::Free }],
        dns: Dns {
            servers: vec!["192.0.2.53:53".parse().unwrap()],
            name: "example.com".to_owned(),
            answer: Ok("192.0.2.1".to_owned()),
        },
    }
}

fn set(facts: &mut Facts, key: &str, value: &str) {
    facts.sysctls.insert(Key::new(key), value.to_owned());
}

/// What is not in order, with the words of the evidence and of the cure.
fn wrong(config: &Config, facts: &Facts) -> Vec<(String, Verdict, String, String)> {
    let findings = judge(config, facts).into_iter().filter(|finding| finding.verdict != Verdict::Ok);
    findings
        .map(|finding| {
            let mend = finding.mend.as_ref().map_or_else(String::new, Mend::command);
            (finding.name, finding.verdict, finding.evidence, mend)
        })
        .collect()
}

#[test]
fn a_machine_on_which_all_is_well_is_told_nothing_else() {
    assert_eq!(wrong(&config(CONFIG), &well()), []);
    let findings = judge(&config(CONFIG), &well());
    let names: std::collections::BTreeSet<_> = findings.iter().map(|finding| finding.name.as_str()).collect();
    assert_eq!(names.len(), findings.len(), "each name once");
    assert!(findings.iter().all(|finding| !finding.evidence.is_empty() && !finding.why.is_empty()));
}

/// One thing that is wrong, the check that has to say so and how, a word of its evidence and of its cure.
struct Fault {
    check: &'static str,
    verdict: Verdict,
    evidence: &'static str,
    cure: &'static str,
    put: fn(&mut Facts),
}

const fn fault(
    check: &'static str,
    verdict: Verdict,
    (evidence, cure): (&'static str, &'static str),
    put: fn(&mut Facts),
) -> Fault {
    Fault { check, verdict, evidence, cure, put }
}

use Verdict::{Advice, Failure};

const FAULTS: &[Fault] = &[
    fault("kernel", Failure, ("5.10.0", "linux-image"), |f| f.kernel = "5.10.0-9-amd64".into()),
    fault("feature-mp-prio", Failure, ("missing: EINVAL; in Linux since 5.19", "CONFIG_MPTCP"), |f| {
        f.features.insert(Feature::MpPrio, Trial::Missing("EINVAL".into()));
    }),
    fault("feature-ifb", Failure, ("missing", "modprobe -a ifb"), |f| {
        f.features.insert(Feature::Ifb, Trial::Missing("no ifb".into()));
    }),
    fault("feature-bpf-iter-tcp", Advice, ("missing", "BTF"), |f| {
        f.features.insert(Feature::BpfIterTcp, Trial::Missing("no BTF".into()));
    }),
    fault("feature-nft-egress", Advice, ("not tried: no root", "sudo"), |f| {
        f.features.insert(Feature::NftEgress, Trial::Untried("no root".into()));
    }),
    fault("feature-mptcp", Failure, ("missing", "CONFIG_MPTCP"), |f| {
        f.features.insert(Feature::Mptcp, Trial::Missing("EPROTONOSUPPORT".into()));
    }),
    fault("mptcp-enabled", Failure, ("= 0", "sysctl -w net.mptcp.enabled=1"), |f| set(f, "net/mptcp/enabled", "0")),
    fault("mptcp-enabled", Failure, ("no net.mptcp", "CONFIG_MPTCP"), |f| {
        f.sysctls.remove(&Key::new("net/mptcp/enabled"));
    }),
    fault("path-manager", Failure, ("every MP_JOIN is refused", "net.mptcp.path_manager=kernel"), |f| {
        set(f, "net/mptcp/path_manager", "userspace");
    }),
    fault("path-manager", Failure, ("every MP_JOIN is refused", "net.mptcp.pm_type=0"), |f| {
        f.sysctls.remove(&Key::new("net/mptcp/path_manager"));
        set(f, "net/mptcp/pm_type", "1");
    }),
    fault("path-manager", Advice, ("cannot be told", "kernel"), |f| {
        set(f, "net/mptcp/path_manager", "userspace");
        f.event_listeners = Err("no diag".into());
    }),
    fault("path-manager", Failure, ("mptcpd runs as process 7", "disable --now mptcp"), |f| f.daemon = Some(7)),
    fault("path-manager", Advice, ("bpf_mesh", "kernel"), |f| set(f, "net/mptcp/path_manager", "bpf_mesh")),
    fault("mptcp-limits", Failure, ("subflows 0", "ip mptcp limits set subflows 8"), |f| f.subflow_limit = Ok(0)),
    fault("mptcp-joins", Failure, ("= 0", "allow_join_initial_addr_port=1"), |f| {
        set(f, "net/mptcp/allow_join_initial_addr_port", "0");
    }),
    fault("scheduler", Advice, ("bpf_red", "net.mptcp.scheduler=default"), |f| {
        set(f, "net/mptcp/scheduler", "bpf_red")
    }),
    fault("congestion-control", Failure, ("cubic is not there", "modprobe tcp_cubic"), |f| {
        set(f, "net/ipv4/tcp_available_congestion_control", "reno bbr");
    }),
    fault("congestion-control", Advice, ("cubic takes CAP_NET_ADMIN", "control=reno cubic'"), |f| {
        set(f, "net/ipv4/tcp_allowed_congestion_control", "reno");
    }),
    fault("receive-buffer", Failure, ("up to 262144", "'net.ipv4.tcp_rmem=4096 131072 2097152'"), |f| {
        set(f, "net/ipv4/tcp_rmem", "4096 131072 262144");
    }),
    fault("send-buffer", Failure, ("up to 65536", "'net.ipv4.tcp_wmem=4096 16384 2097152'"), |f| {
        set(f, "net/ipv4/tcp_wmem", "4096 16384 65536");
    }),
    fault("backlog", Advice, ("somaxconn = 128", "net.core.somaxconn=4096"), |f| set(f, "net/core/somaxconn", "128")),
    fault("port-range", Failure, ("40000 to 40099", "'net.ipv4.ip_local_port_range=16384 60999'"), |f| {
        set(f, "net/ipv4/ip_local_port_range", "40000 40099");
    }),
    fault("port-range", Advice, ("5000 connections", "port_range"), |f| {
        set(f, "net/ipv4/ip_local_port_range", "40000 44999");
    }),
    fault("port-range", Advice, ("a listener's own: 3128", "ip_local_reserved_ports=80,3128"), |f| {
        set(f, "net/ipv4/ip_local_port_range", "1024 60999");
        set(f, "net/ipv4/ip_local_reserved_ports", "80");
    }),
    fault("rp-filter", Failure, ("strict on p2, of 2 links", "net.ipv4.conf.p2.rp_filter=2"), |f| {
        set(f, "net/ipv4/conf/p2/rp_filter", "1");
    }),
    fault("offload", Advice, ("TSO is off on p1", "ethtool -K p1 tso on"), |f| f.links[0].segmentation = Some(false)),
    fault(
        "nft-table",
        Failure,
        (
            "netdev anabranch is somebody",
            "nft list table netdev anabranch  # whose is it? Name another in steering.table; or",
        ),
        |f| {
            f.names = Ok(Names { foreign_table: Some("theirs".into()), ..Names::default() });
        },
    ),
    fault(
        "device",
        Failure,
        ("anabranch0 is somebody", "anabranch0  # whose is it? Name another in steering.device; or"),
        |f| {
            f.names = Ok(Names { foreign_device: Some("a veth".into()), ..Names::default() });
        },
    ),
    fault("hooks", Advice, ("table netdev fw on p1, clsact on p2", "nft list table netdev fw"), |f| {
        f.chains = vec![("fw".into(), "p1".into())];
        f.hooks = vec![("p2".into(), "clsact".into()), ("anabranch0".into(), "clsact".into())];
    }),
    fault("qdisc", Advice, ("htb on p2", "tc -s qdisc show dev p2"), |f| f.links[1].qdisc = Some("htb".into())),
    fault("descriptors", Failure, ("may have 1024", "LimitNOFILE=32768"), |f| f.descriptors.hard = 1024),
    fault("open-files", Failure, ("fs.nr_open = 4096", "fs.nr_open=32768"), |f| set(f, "fs/nr_open", "4096")),
    fault("conntrack", Failure, ("9500 of 10000", "nf_conntrack_max=32768"), |f| {
        set(f, "net/netfilter/nf_conntrack_max", "10000");
        set(f, "net/netfilter/nf_conntrack_count", "9500");
    }),
    fault("conntrack", Advice, ("100 of 16384", "nf_conntrack_max=32768"), |f| {
        set(f, "net/netfilter/nf_conntrack_max", "16384");
    }),
    fault("capabilities", Failure, ("lacks CAP_NET_ADMIN", "setcap cap_net_admin"), |f| {
        f.capabilities.held.retain(|name| name != "CAP_NET_ADMIN");
    }),
    fault("capabilities", Advice, ("lacks CAP_BPF", "cap_bpf"), |f| {
        f.capabilities.held.retain(|name| name != "CAP_BPF")
    }),
    fault("clock", Failure, ("the year 1970", "timedatectl"), |f| f.clock.unix_seconds = 4_000),
    fault("clock", Advice, ("nobody keeps it right", "timedatectl"), |f| f.clock.synchronised = Ok(false)),
    fault("listener-edge", Failure, ("somebody else listens", "ss -ltnp 'sport = :3128'"), |f| {
        f.listeners[0].door = Door::Taken;
    }),
    fault("listener-edge", Failure, ("no interface has", "ip -brief address"), |f| {
        f.listeners[0].door = Door::Elsewhere
    }),
    fault("listener-edge", Failure, ("may not be listened on", "setcap"), |f| f.listeners[0].door = Door::Denied),
    fault("listener-edge", Failure, ("EMFILE", "ss"), |f| f.listeners[0].door = Door::Failed("EMFILE".into())),
    fault("listener-edge", Failure, ("does not answer on 10.2.0.1:3128", "nft list ruleset"), |f| {
        let [one, other] = ["10.1.0.1:3128", "10.2.0.1:3128"].map(|address| vec![address.parse().unwrap()]);
        f.listeners[0].door = Door::Ours { answers: one, silent: other };
    }),
    fault(
        "dns",
        Failure,
        ("no answer for example.com", "resolv.conf  # then: dig -p 53 @192.0.2.53 example.com"),
        |f| f.dns.answer = Err("timed out".into()),
    ),
];

#[test]
fn each_fault_is_named_by_its_check_and_by_no_other() {
    let config = config(CONFIG);
    for Fault { check, verdict, evidence, cure, put } in FAULTS {
        let mut facts = well();
        put(&mut facts);
        let mut found = wrong(&config, &facts);
        // One that may do less is refused more: that is no second fault.
        found.retain(|(name, ..)| *check != "capabilities" || name != "congestion-control");
        let [(name, found, words, mend)] = &found[..] else { panic!("{check}: {found:?}") };
        assert_eq!((name.as_str(), found), (*check, verdict), "{words}");
        assert!(words.contains(evidence), "{check}: {words} has no {evidence}");
        assert!(mend.contains(cure), "{check}: {mend} has no {cure}");
    }
}

#[test]
fn a_set_up_is_advised_for_the_configuration_that_was_judged() {
    let mut facts = well();
    facts.descriptors.hard = 1024;
    let cure = |facts: &Facts| wrong(&config(CONFIG), facts).remove(0).3;
    assert!(cure(&facts).starts_with("anabranch edge setup --apply  # LimitNOFILE=32768"), "{}", cure(&facts));
    facts.options = ["--config", "my edge.toml", "--role", "proxy"].map(str::to_owned).into();
    let told = "anabranch edge setup --apply --config 'my edge.toml' --role proxy  # LimitNOFILE=32768";
    assert!(cure(&facts).starts_with(told), "{}", cure(&facts));
}

#[test]
fn root_is_not_told_to_become_root() {
    let mut facts = well();
    facts.features.insert(Feature::NftEgress, Trial::Untried("it takes CAP_NET_ADMIN".into()));
    facts.names = Err("EPERM".into());
    facts.options = ["--config", "my edge.toml"].map(str::to_owned).into();
    let told = |facts: &Facts| wrong(&config(CONFIG), facts);
    assert_eq!(told(&facts).len(), 3);
    for (name, _, words, cure) in told(&facts) {
        assert_eq!(cure, "sudo anabranch edge check --config 'my edge.toml'", "{name}: {words}");
    }
    facts.root = true;
    assert_eq!(told(&facts).len(), 3);
    for (name, verdict, words, cure) in told(&facts) {
        assert!(verdict == Advice && cure.is_empty() && words.contains("root may not either"), "{name}: {words}");
    }
}

#[test]
fn one_socket_listens_and_two_listen() {
    let mut facts = well();
    set(&mut facts, "net/mptcp/path_manager", "userspace");
    for (count, words) in
        [(1, "userspace, 1 socket listens to its events"), (2, "userspace, 2 sockets listen to its events")]
    {
        facts.event_listeners = Ok(count);
        let findings = judge(&config(CONFIG), &facts);
        assert_eq!(findings.iter().find(|finding| finding.name == "path-manager").unwrap().evidence, words);
    }
}

#[test]
fn what_the_machine_refuses_to_one_that_may_is_not_to_be_asked_again() {
    let mut facts = well();
    facts.features.insert(Feature::UpdateSocketProtocol, Trial::Refused("BPF_PROG_LOAD: EPERM".into()));
    let found = wrong(&config(CONFIG), &facts);
    let [(name, Advice, words, cure)] = &found[..] else { panic!("{found:?}") };
    assert_eq!((name.as_str(), cure.as_str()), ("feature-update-socket-protocol", ""));
    assert!(words.contains("(BPF_PROG_LOAD: EPERM)") && words.contains("a policy of this machine"), "{words}");
}

#[test]
fn every_check_has_a_fault_it_is_held_to() {
    let features = Feature::ALL.map(|feature| format!("feature-{}", feature.as_str()));
    for finding in judge(&config(CONFIG), &well()) {
        // What goes for one feature goes for all; Fast Open has a test of its own.
        if !features.contains(&finding.name) && finding.name != "fast-open" {
            assert!(FAULTS.iter().any(|fault| fault.check == finding.name), "{}", finding.name);
        }
    }
}

#[test]
fn what_nothing_needs_is_advice_and_no_failure() {
    let calm = config("[[listener]]\nname = \"edge\"\naddress = \"[::]:3128\"\nclients = [\"10.0.0.0/8\"]\n");
    let mut facts = well();
    for feature in Feature::ALL.into_iter().filter(|feature| *feature != Feature::Mptcp) {
        facts.features.insert(feature, Trial::Missing("not there".into()));
    }
    facts.names = Ok(Names { foreign_table: Some("theirs".into()), foreign_device: Some("theirs".into()) });
    facts.daemon = Some(7);
    facts.capabilities.held.clear();
    let found = wrong(&calm, &facts);
    assert!(!found.is_empty() && found.iter().all(|(_, verdict, ..)| *verdict == Advice), "{found:?}");
}

#[test]
fn a_proxy_without_capabilities_is_judged_as_one() {
    let mut facts = well();
    set(&mut facts, "net/ipv4/tcp_allowed_congestion_control", "reno");
    let proxy = config(CONFIG).for_role(Some(anabranch_config::Role::Proxy));
    let of = |config: &Config, facts: &Facts| {
        judge(config, facts).into_iter().find(|finding| finding.name == "congestion-control").unwrap().verdict
    };
    assert_eq!((of(&config(CONFIG), &facts), of(&proxy, &facts)), (Advice, Failure));
    facts.capabilities.held.clear();
    assert_eq!(of(&config(CONFIG), &facts), Failure);
}

#[test]
fn strict_filters_matter_where_there_is_more_than_one_link() {
    let mut facts = well();
    set(&mut facts, "net/ipv4/conf/all/rp_filter", "1");
    let of =
        |facts: &Facts| judge(&config(CONFIG), facts).into_iter().find(|finding| finding.name == "rp-filter").unwrap();
    // The greater of the two numbers counts: p1 is loose already.
    assert_eq!(of(&facts).evidence, "strict on p2, of 2 links");
    facts.links.remove(0);
    assert_eq!(of(&facts).verdict, Verdict::Ok);
    assert_eq!(of(&facts).evidence, "strict on p2, the only link with an IPv4 address");
}

#[test]
fn a_listener_bound_to_one_address_is_missing_where_other_clients_arrive() {
    let bound = config(&CONFIG.replace("[::]:3128", "10.1.0.1:3128"));
    let found = wrong(&bound, &well());
    let [(name, Failure, words, cure)] = &found[..] else { panic!("{found:?}") };
    assert_eq!(name, "listener-edge");
    assert_eq!(cure, "sed -i 's|\"10.1.0.1:3128\"|\"[::]:3128\"|' /etc/anabranch/anabranch.toml");
    assert!(
        words.contains("10.2.0.1 on p2, where clients of path lte arrive") && !words.contains("10.1.0.1 on"),
        "{words}"
    );
    // Where nobody arrives there is nothing to miss.
    let mut facts = well();
    facts.links[1].addresses = vec!["172.16.0.1".parse().unwrap()];
    assert_eq!(wrong(&bound, &facts), []);
}

#[test]
fn links_that_nobody_knows_are_no_lines() {
    let mut facts = well();
    facts.links.push(Link { receive: Some(false), qdisc: Some("htb".into()), ..link("far1", "fe80::1") });
    facts.links.push(Link { receive: Some(false), up: false, ..link("off1", "10.3.0.1") });
    facts.links.push(Link { receive: Some(false), loopback: true, ..link("lo", "127.0.0.1") });
    assert_eq!(wrong(&config(CONFIG), &facts), []);
}

#[test]
fn configured_name_servers_are_mended_where_they_are_configured() {
    let own = config(&format!("[resolver]\nservers = [\"192.0.2.53\"]\n{CONFIG}"));
    let mut facts = well();
    facts.dns.answer = Err("timed out".into());
    let found = wrong(&own, &facts);
    assert!(found[0].3.starts_with("${EDITOR:-vi} /etc/anabranch/anabranch.toml  # "), "{found:?}");
}

#[test]
fn fast_open_wants_the_kernels_servers_to_take_it() {
    let wanted = config(&CONFIG.replace("clients", "fast_open = 256\nclients"));
    let found = wrong(&wanted, &well());
    assert!(
        matches!(&found[..], [(name, Failure, _, mend)] if name == "fast-open" && mend.ends_with("tcp_fastopen=3")),
        "{found:?}"
    );
    let mut facts = well();
    set(&mut facts, "net/ipv4/tcp_fastopen", "2");
    assert_eq!(wrong(&wanted, &facts), []);
}

fn receive_buffer(config: &Config, facts: &Facts) -> Finding {
    judge(config, facts).into_iter().find(|finding| finding.name == "receive-buffer").unwrap()
}

#[test]
fn without_configured_lines_buffers_are_measured_against_links() {
    let unsaid = config(&CONFIG.replace("line = \"40 Mbit/s\"\n", "").replace("line = \"20 Mbit/s\"\n", ""));
    let mut facts = well();
    let of = |facts: &Facts| receive_buffer(&unsaid, facts);
    // A gigabit at most, whatever the link says, and advice: nobody said that a client has as much.
    assert_eq!(of(&facts).verdict, Advice);
    assert!(of(&facts).mend.unwrap().command().ends_with("131072 25165824'"), "{:?}", of(&facts));
    facts.links.iter_mut().for_each(|link| link.megabits = Some(100));
    assert_eq!(of(&facts).verdict, Verdict::Ok);
    set(&mut facts, "net/ipv4/tcp_rmem", "4096 131072 500000");
    assert_eq!(of(&facts).verdict, Failure);
}

#[test]
fn a_path_without_a_line_gives_no_more_than_it_carries_for_all() {
    let facts = well();
    // Less than the edge's links: no gigabit is asked for.
    let narrow = config(&CONFIG.replace("line = ", "capacity = "));
    let found = receive_buffer(&narrow, &facts);
    assert!(found.verdict == Verdict::Ok && found.evidence.contains("may have 60 Mbit/s"), "{found:?}");
    // What all together have, no one client has: it is no failure, and no more than a guess.
    let wide = config(&CONFIG.replace("line = \"40 Mbit/s\"", "capacity = \"10 Gbit/s\""));
    let found = receive_buffer(&wide, &facts);
    assert!(found.verdict == Advice && found.evidence.contains("may have 1000 Mbit/s"), "{found:?}");
}

#[test]
fn a_line_left_out_is_not_taken_for_none() {
    let facts = well();
    let half = config(&CONFIG.replace("line = \"40 Mbit/s\"\n", ""));
    let found = receive_buffer(&half, &facts);
    assert!(found.verdict == Advice && found.evidence.contains("may have 1000 Mbit/s"), "{found:?}");
    // A line that was said is to be filled, whatever the other is.
    let half = config(&CONFIG.replace("line = \"40 Mbit/s\"\n", "").replace("20 Mbit/s", "2 Gbit/s"));
    assert_eq!(receive_buffer(&half, &facts).verdict, Failure);
}

#[test]
fn facts_survive_being_written_down() {
    let text = serde_json::to_string(&well()).unwrap();
    assert_eq!(serde_json::from_str::<Facts>(&text).unwrap(), well());
}
