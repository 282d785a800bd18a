use std::net::IpAddr;

use super::*;
use crate::client::seen::{Address, Endpoint, Hook, Link, MAIN, Net, Route, Rule, Seen};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn link(index: u32, name: &str) -> Link {
    Link { index, name: name.to_owned(), up: true, inner: false, rp_filter: 0, leased: None }
}

fn address(interface: u32, text: &str) -> Address {
    let (address, length) = text.split_once('/').unwrap();
    Address { interface, net: Net { address: ip(address), length: length.parse().unwrap() }, lasting: true }
}

fn default(interface: u32, gateway: &str, table: u32) -> Route {
    let gateway = ip(gateway);
    Route { table, to: Net::everything(gateway), gateway: Some(gateway), interface: Some(interface), metric: 100 }
}

/// Two links, IPv4 alone, nothing configured.
fn bare() -> Seen {
    Seen {
        links: vec![link(2, "c1"), link(3, "c2")],
        addresses: vec![address(2, "192.168.1.2/24"), address(3, "192.168.2.2/24")],
        routes: vec![default(2, "192.168.1.1", MAIN), default(3, "192.168.2.1", MAIN)],
        limits: Some((2, 0)),
        mptcp: Some(true),
        path_manager: Some("kernel".to_owned()),
        ..Seen::default()
    }
}

fn wanted() -> Wanted {
    Wanted { proxy: "edge.example:3128".into(), program: "/usr/bin/anabranch".into(), ..Wanted::default() }
}

fn lines(seen: &Seen) -> Vec<String> {
    plan(seen, &wanted(), None, |_| None).steps.iter().map(Step::line).collect()
}

const BARE: [&str; 9] = [
    "ip route add 192.168.1.0/24 dev c1 src 192.168.1.2 table 7301 proto static",
    "ip route add default via 192.168.1.1 dev c1 table 7301 proto static",
    "ip rule add from 192.168.1.2 lookup 7301 pref 7300",
    "ip route add 192.168.2.0/24 dev c2 src 192.168.2.2 table 7302 proto static",
    "ip route add default via 192.168.2.1 dev c2 table 7302 proto static",
    "ip rule add from 192.168.2.2 lookup 7302 pref 7300",
    "ip mptcp limits set subflows 2 add_addr_accepted 1",
    "ip mptcp endpoint add 192.168.1.2 dev c1 subflow",
    "ip mptcp endpoint add 192.168.2.2 dev c2 subflow",
];

#[test]
fn two_bare_links_get_a_table_a_rule_and_an_endpoint_each() {
    assert_eq!(lines(&bare()), BARE);
}

/// What is there after steps have been done.
fn after(mut seen: Seen, steps: &[Step]) -> Seen {
    let index = |seen: &Seen, name: &str| seen.links.iter().find(|link| link.name == name).unwrap().index;
    for step in steps {
        match step.clone() {
            Step::Route { table, to, gateway, link, .. } => {
                let interface = Some(index(&seen, &link));
                seen.routes.push(Route { table, to, gateway, interface, metric: 0 });
            }
            Step::Rule { from, table, priority } => {
                seen.rules.push(Rule { priority, from: Some(Net::only(from)), table, v4: from.is_ipv4() });
            }
            Step::Limits { set, .. } => seen.limits = Some(set),
            Step::Endpoint { address, .. } => seen.endpoints.push(Endpoint { address, subflow: true }),
            Step::Sysctl { .. } => seen.mptcp = Some(true),
            Step::File { .. } | Step::BpfFs | Step::Programs { .. } => {}
        }
    }
    seen
}

#[test]
fn what_is_done_is_not_done_again_and_what_went_with_its_link_is() {
    let steps = plan(&bare(), &wanted(), None, |_| None).steps;
    let mut done = after(bare(), &steps);
    assert_eq!(lines(&done), Vec::<String>::new());
    // c2 went down and came back: its routes are gone, the rule and the endpoint are not.
    done.routes.retain(|route| route.table != 7302);
    assert_eq!(lines(&done), &BARE[3..5]);
    // Another address on c2, in the place of the first.
    let mut moved = after(bare(), &steps);
    moved.addresses[1] = address(3, "192.168.2.77/24");
    assert_eq!(
        lines(&moved),
        ["ip rule add from 192.168.2.77 lookup 7302 pref 7300", "ip mptcp endpoint add 192.168.2.77 dev c2 subflow"]
    );
}

#[test]
fn ipv6_alone_goes_by_link_local_routers_and_its_own_tables() {
    let mut seen = bare();
    seen.addresses = vec![address(2, "fd01::2/64"), address(3, "fd02::2/64")];
    seen.routes = vec![default(2, "fe80::1", MAIN), default(3, "fe80::1", MAIN)];
    let lines = lines(&seen);
    assert_eq!(lines[0], "ip -6 route add fd01::/64 dev c1 table 7301 proto static");
    assert_eq!(lines[4], "ip -6 route add default via fe80::1 dev c2 table 7302 proto static");
    assert_eq!(lines[5], "ip -6 rule add from fd02::2 lookup 7302 pref 7300");
}

#[test]
fn three_links_raise_the_limit_and_a_link_that_is_down_or_alone_is_left_out() {
    let mut seen = bare();
    seen.links.push(link(4, "c3"));
    seen.addresses.push(address(4, "10.3.0.2/24"));
    seen.routes.push(default(4, "10.3.0.1", MAIN));
    assert!(lines(&seen).contains(&"ip mptcp limits set subflows 3 add_addr_accepted 1".to_owned()));
    // Theirs is higher: it stays.
    seen.limits = Some((8, 4));
    assert!(!lines(&seen).iter().any(|line| line.contains("limits")));
    seen.links[1].up = false;
    let planned = plan(&seen, &wanted(), None, |_| None);
    assert!(planned.steps.iter().all(|step| !step.line().contains("c2")), "{}", planned.text());
    assert!(planned.notes.contains(&"c2 is down: left out".to_owned()));
    seen.links[2].up = false;
    let planned = plan(&seen, &wanted(), None, |_| None);
    assert!(planned.steps.is_empty() && planned.notes.iter().any(|note| note.contains("nothing to add up")));
}

#[test]
fn the_same_network_twice_is_told_apart_and_the_same_address_twice_is_not() {
    let mut seen = bare();
    seen.addresses[1] = address(3, "192.168.1.3/24");
    seen.routes[1] = default(3, "192.168.1.1", MAIN);
    let lines = lines(&seen);
    assert_eq!(lines[3], "ip route add 192.168.1.0/24 dev c2 src 192.168.1.3 table 7302 proto static");
    assert_eq!(lines[4], "ip route add default via 192.168.1.1 dev c2 table 7302 proto static");
    seen.addresses[1] = address(3, "192.168.1.2/24");
    let planned = plan(&seen, &wanted(), None, |_| None);
    assert!(planned.notes.iter().any(|note| note.contains("same address")), "{}", planned.text());
}

#[test]
fn what_others_have_made_is_left_alone() {
    let mut seen = bare();
    let rule = |text: &str, table| Rule { priority: 100, from: Some(Net::only(ip(text))), table, v4: true };
    seen.rules = vec![rule("192.168.1.2", 7301), rule("192.168.2.2", 9)];
    // c1 is sent where it belongs; c2 somewhere else.
    seen.routes.push(default(2, "192.168.1.1", 7301));
    seen.endpoints = vec![Endpoint { address: ip("192.168.2.2"), subflow: false }];
    let planned = plan(&seen, &wanted(), None, |_| None);
    assert!(
        !planned.steps.iter().any(|step| matches!(step, Step::Route { .. } | Step::Rule { .. })),
        "{}",
        planned.text()
    );
    assert_eq!(planned.notes.len(), 3, "{}", planned.text());
    // A table somebody uses is not taken.
    seen.rules = vec![rule("10.0.0.1", 7302)];
    seen.routes.truncate(2);
    seen.routes.push(default(2, "192.168.1.1", 7301));
    assert!(lines(&seen).iter().any(|line| line.contains("lookup 7303")));
}

#[test]
fn files_are_those_of_whoever_runs_the_network() {
    let paths = |keeper, apt| -> Vec<String> {
        let wanted = Wanted { apt, ..wanted() };
        let steps = plan(&bare(), &wanted, Some(keeper), |_| None).steps;
        steps
            .into_iter()
            .filter_map(|step| if let Step::File { path, .. } = step { Some(path) } else { None })
            .collect()
    };
    assert_eq!(paths(Keeper::Nobody, true).len(), 3);
    assert!(paths(Keeper::NetworkManager, false).contains(&"etc/NetworkManager/dispatcher.d/60-anabranch".to_owned()));
    // With what brings links up, what takes them down, and what has leases.
    for path in
        ["network/if-up.d/anabranch", "network/if-post-down.d/anabranch", "dhcp/dhclient-exit-hooks.d/anabranch"]
    {
        assert!(paths(Keeper::Ifupdown, false).contains(&format!("etc/{path}")), "{path}");
    }
    assert_eq!(paths(Keeper::Networkd, false).len(), 6);
    // The package of OpenWrt has a 60-anabranch there.
    assert_eq!(
        paths(Keeper::OpenWrt, false),
        ["etc/profile.d/anabranch.sh", "etc/hotplug.d/iface/61-anabranch-client"]
    );
    for keeper in [Keeper::Nobody, Keeper::NetworkManager, Keeper::Ifupdown, Keeper::Networkd, Keeper::OpenWrt] {
        let wanted = Wanted { apt: true, ..wanted() };
        let mut journal = Journal::default();
        journal.add(&plan(&bare(), &wanted, Some(keeper), |_| None).steps);
        assert!(journal.is_sound(), "{keeper:?}");
    }
}

#[test]
fn the_one_hook_of_dhcpcd_is_not_taken_from_whoever_has_it() {
    let of = |there: Option<&str>| {
        let has = |path: &str| there.filter(|_| path == "etc/dhcpcd.exit-hook").map(str::to_owned);
        let planned = plan(&bare(), &wanted(), Some(Keeper::Ifupdown), has);
        let written = planned.steps.iter().any(|step| step.line().starts_with("write /etc/dhcpcd.exit-hook"));
        (written, planned.notes.iter().any(|note| note.contains("dhcpcd.exit-hook")))
    };
    assert_eq!(of(None), (true, false));
    assert_eq!(
        of(Some("# Written by `anabranch client setup`; `anabranch client setup --undo` takes it away.\n")),
        (true, false)
    );
    assert_eq!(of(Some("echo theirs\n")), (false, true));
}

/// Tried: when it tells of an address by `reapply`, the kernel has the former one.
#[test]
fn networkmanagers_script_waits_for_an_address_that_is_told_of_too_early() {
    let text = plan(&bare(), &wanted(), Some(Keeper::NetworkManager), |_| None).text();
    assert!(text.contains("in up | down) ;; dhcp4-change | dhcp6-change | reapply) sleep 1 ;; *) exit 0"), "{text}");
}

/// networkd writes `netif/state` only when the sum of all links changes, and tells of a change in pieces; systemd refuses a service that
/// is started too often, and with it the unit that starts it.
#[test]
fn networkds_units_see_every_link_and_do_not_tire() {
    let planned = plan(&bare(), &wanted(), Some(Keeper::Networkd), |_| None);
    let unit = |name: &str| {
        let lines = planned.steps.iter().map(Step::line);
        lines.into_iter().find(|line| line.starts_with(&format!("write /etc/systemd/system/{name}"))).unwrap()
    };
    let path = unit("anabranch-client.path");
    assert!(path.contains("PathChanged=/run/systemd/netif/links\n") && path.contains("Unit=anabranch-client.timer"));
    assert!(unit("anabranch-client.timer").contains("RemainAfterElapse=no") && unit("multi-user").contains(".timer"));
    for name in ["anabranch-client.timer", "anabranch-client.service"] {
        assert!(unit(name).contains("StartLimitIntervalSec=0"), "{name}");
    }
    // After an undo the units are loaded still.
    assert!(unit("anabranch-client.service").contains("ConditionPathExists=/var/lib/anabranch/client-setup.json"));
    assert!(planned.notes.iter().any(|note| note.contains("daemon-reload")), "{}", planned.text());
}

/// As systemd-networkd does with all rules when it configures one link.
#[test]
fn a_rule_that_somebody_took_comes_back_for_the_table_it_was_for() {
    let steps = plan(&bare(), &wanted(), None, |_| None).steps;
    let mut journal = Journal::default();
    journal.add(&steps);
    let mut done = after(bare(), &steps);
    done.rules.clear();
    done.routes.retain(|route| route.table != 7301);
    done.tables = journal.tables();
    assert_eq!(lines(&done), [BARE[0], BARE[1], BARE[2], BARE[5]]);
}

#[test]
fn a_file_that_is_as_it_should_be_is_no_step_and_one_that_was_there_is_kept() {
    let first = plan(&bare(), &wanted(), Some(Keeper::Nobody), |_| Some("theirs".to_owned())).steps;
    let Some(Step::File { path, former, text, .. }) = first.iter().find(|step| !step.is_running()) else { panic!() };
    assert_eq!(former.as_deref(), Some("theirs"));
    let (known, right) = (path.clone(), text.clone());
    let second = plan(&bare(), &wanted(), Some(Keeper::Nobody), |path| (path == known).then(|| right.clone())).steps;
    assert!(second.iter().all(|step| !matches!(step, Step::File { path, .. } if *path == known)));
}

/// A set-up of an earlier version, whose files said something else, and what is there now.
fn earlier(keeper: Keeper) -> (Journal, std::collections::BTreeMap<String, String>) {
    let mut steps = plan(&bare(), &wanted(), Some(keeper), |_| None).steps;
    let mut there = std::collections::BTreeMap::new();
    for step in &mut steps {
        if let Step::File { path, text, .. } = step {
            text.push_str("# as it was in an earlier version\n");
            there.insert(path.clone(), text.clone());
        }
    }
    (Journal { wanted: wanted(), steps, ..Journal::default() }, there)
}

#[test]
fn files_of_an_earlier_version_are_renewed_and_the_first_of_what_was_there_is_kept() {
    for keeper in [Keeper::Networkd, Keeper::NetworkManager, Keeper::Ifupdown, Keeper::OpenWrt, Keeper::Nobody] {
        let (mut journal, mut there) = earlier(keeper);
        let planned = renew(&journal, keeper, |path| there.get(path).cloned());
        assert_eq!(planned.steps.len(), there.len(), "{keeper:?}: {}", planned.text());
        assert_eq!(planned.notes.len(), usize::from(keeper == Keeper::Networkd), "{}", planned.text());
        for step in &planned.steps {
            let Step::File { path, former, text, .. } = step else { panic!("{step:?}") };
            assert_eq!(former.as_ref(), there.get(path));
            there.insert(path.clone(), text.clone());
        }
        journal.add(&planned.steps);
        for step in &journal.steps {
            assert!(!matches!(step, Step::File { former: Some(_), .. }), "not what was there before: {step:?}");
        }
        assert!(journal.is_sound());
        let planned = renew(&journal, keeper, |path| there.get(path).cloned());
        assert!(planned.steps.is_empty() && planned.notes.is_empty(), "{}", planned.text());
    }
}

/// The journal is written first: a machine that goes down before the files has it say what is not there.
#[test]
fn a_renewal_that_was_interrupted_is_done_again() {
    let (mut journal, there) = earlier(Keeper::Ifupdown);
    let has = |path: &str| there.get(path).cloned();
    let planned = renew(&journal, Keeper::Ifupdown, has);
    for _ in 0..2 {
        journal.add(&planned.steps);
        let again = renew(&journal, Keeper::Ifupdown, has);
        assert!(again.notes.is_empty() && again.steps == planned.steps, "{}", again.text());
    }
    for step in &journal.steps {
        if let Step::File { path, former, earlier, .. } = step {
            assert!(former.is_none() && earlier.as_ref() == there.get(path), "{step:?}");
        }
    }
}

#[test]
fn what_somebody_has_changed_or_removed_since_is_not_renewed() {
    let (journal, mut there) = earlier(Keeper::Networkd);
    let [path, timer] = ["path", "timer"].map(|kind| format!("etc/systemd/system/anabranch-client.{kind}"));
    there.insert(path.clone(), "theirs\n".to_owned());
    there.remove(&timer);
    let planned = renew(&journal, Keeper::Networkd, |path| there.get(path).cloned());
    let renewed = |wanted: &str| planned.steps.iter().any(|step| step.line().starts_with(&format!("write /{wanted}:")));
    assert!(!renewed(&path) && !renewed(&timer) && planned.steps.len() == 4, "{}", planned.text());
    for note in [format!("/{path} has been changed since"), format!("/{timer} has been removed since")] {
        assert!(planned.notes.iter().any(|said| said.starts_with(&note)), "{}", planned.text());
    }
}

#[test]
fn a_hook_that_an_earlier_version_did_not_have_comes_beside_those_it_had() {
    let (mut journal, mut there) = earlier(Keeper::Networkd);
    let timer = "etc/systemd/system/anabranch-client.timer";
    journal.steps.retain(|step| !step.line().starts_with(&format!("write /{timer}:")));
    there.remove(timer);
    let has = |path: &str| there.get(path).cloned();
    let added = |journal: &Journal, keeper| {
        let steps = renew(journal, keeper, has).steps;
        steps
            .iter()
            .filter(|step| matches!(step, Step::File { former: None, .. }))
            .map(Step::undo_line)
            .collect::<Vec<_>>()
    };
    assert_eq!(added(&journal, Keeper::Networkd), [format!("rm /{timer}")]);
    // Seen at another time another one may seem to run the network: it was not asked.
    assert_eq!(added(&journal, Keeper::Ifupdown), Vec::<String>::new());
    // The one of OpenWrt had another name; the package has a file by that name now.
    let old = "etc/hotplug.d/iface/60-anabranch";
    journal.steps =
        vec![Step::File { path: old.into(), former: None, text: "old".into(), earlier: None, executable: false }];
    let planned = renew(&journal, Keeper::OpenWrt, |path| (path == old).then(|| "the package's".to_owned()));
    assert_eq!(planned.steps.last().map(Step::undo_line).unwrap(), "rm /etc/hotplug.d/iface/61-anabranch-client");
}

#[test]
fn a_file_that_somebody_changed_between_two_set_ups_is_what_to_go_back_to() {
    let file = |former: Option<&str>, text: &str| Step::File {
        path: "etc/profile.d/anabranch.sh".into(),
        former: former.map(str::to_owned),
        text: text.into(),
        earlier: None,
        executable: false,
    };
    let mut journal = Journal::default();
    for (step, kept) in [
        (file(None, "first"), None),
        (file(Some("first"), "second"), None),
        (file(Some("theirs"), "third"), Some("theirs")),
        (file(Some("third"), "fourth"), Some("theirs")),
        // They removed it: there is nothing of theirs to lose.
        (file(None, "fourth"), Some("theirs")),
    ] {
        journal.add(std::slice::from_ref(&step));
        let (Step::File { text: wanted, .. }, [Step::File { former, text, .. }]) = (step, &journal.steps[..]) else {
            panic!()
        };
        assert_eq!((former.as_deref(), text), (kept, &wanted));
    }
}

#[test]
fn a_journal_goes_back_to_the_first_of_what_was_there() {
    let limits = |former, set| Step::Limits { former, set };
    let mut journal = Journal::default();
    journal.add(&[limits((2, 0), (2, 1))]);
    journal.add(&[limits((2, 1), (3, 1))]);
    assert_eq!(journal.steps, [limits((2, 0), (3, 1))]);
    let evil = |path: &str| Step::File {
        path: path.into(),
        former: None,
        text: String::new(),
        earlier: None,
        executable: true,
    };
    for path in ["etc/passwd", "etc/profile.d/../passwd", "/etc/profile.d/anabranch.sh"] {
        assert!(!Journal { steps: vec![evil(path)], ..Journal::default() }.is_sound(), "{path}");
    }
    let directories = vec!["etc/../usr".to_owned()];
    assert!(!Journal { directories, ..Journal::default() }.is_sound());
}

#[test]
fn what_is_for_an_address_that_is_gone_is_stale_with_its_routes() {
    let mut journal = Journal::default();
    journal.add(&plan(&bare(), &wanted(), None, |_| None).steps);
    assert!(stale(&journal, &[ip("192.168.1.2"), ip("192.168.2.2")]).is_empty());
    let gone: Vec<_> = stale(&journal, &[ip("192.168.1.2")]).iter().map(Step::line).collect();
    assert_eq!(gone.len(), 4, "{gone:?}");
    assert!(gone.iter().all(|line| line.contains("192.168.2.")), "{gone:?}");
}

fn hooked(mounted: bool, attached: Option<&[&str]>) -> Seen {
    let attached = attached.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
    Seen { hook: Hook::Bpf { namespace: 7, tried: true, mounted, passing: false, attached }, ..bare() }
}

fn for_all() -> Wanted {
    Wanted { bpf: true, except: vec!["anabranch".into()], ..wanted() }
}

#[test]
fn programs_get_mptcp_by_bpf_where_that_can_be_and_the_plan_says_which_way_it_is() {
    let of = |seen: &Seen, wanted: &Wanted| {
        let planned = plan(seen, wanted, None, |_| None);
        let steps = planned.steps.iter().filter(|step| matches!(step, Step::BpfFs | Step::Programs { .. }));
        (steps.map(Step::undo_line).collect::<Vec<_>>(), planned.programs, planned.notes)
    };
    let (steps, words, _) = of(&hooked(false, None), &for_all());
    assert_eq!(steps, ["umount /sys/fs/bpf  # if it is empty", "rm /sys/fs/bpf/anabranch/mptcp-7"]);
    assert!(words.starts_with("all of") && words.contains("by BPF") && words.contains("but for anabranch;"), "{words}");
    assert_eq!(of(&hooked(true, None), &for_all()).0.len(), 1);
    // It is there already; or it is, and excepts others.
    assert!(of(&hooked(true, Some(&["anabranch"])), &for_all()).0.is_empty());
    let (steps, ..) = of(&hooked(true, Some(&["anabranch", "sshd"])), &for_all());
    assert!(steps.len() == 1 && steps[0].ends_with("but for those of anabranch, sshd"), "not as it was: {steps:?}");
    for (seen, wanted, reason) in [
        (hooked(true, None), wanted(), "--no-bpf"),
        (Seen { hook: Hook::Not("it is old".into()), ..bare() }, for_all(), "it is old"),
        (Seen { mptcp: None, ..hooked(true, None) }, for_all(), "no MPTCP"),
    ] {
        let (steps, words, notes) = of(&seen, &wanted);
        assert!(
            steps.is_empty() && words.contains(reason) && notes.len() == usize::from(seen.mptcp.is_none()),
            "{words}"
        );
    }
    assert!(of(&hooked(true, Some(&["anabranch"])), &wanted()).2[0].contains("--undo"));
    let library = |mptcpize| of(&Seen { mptcpize, ..hooked(true, None) }, &wanted()).1;
    assert!(library(false).contains("apt-get install mptcpize") && !library(true).contains("apt-get"));
}

fn program(namespace: u64, former: Option<&str>, except: &str) -> Step {
    Step::Programs { namespace, former: former.map(|name| vec![name.to_owned()]), except: vec![except.to_owned()] }
}

#[test]
fn a_journal_knows_a_program_for_each_namespace_and_one_of_an_older_version_wants_none() {
    let mut journal = Journal { wanted: for_all(), ..Journal::default() };
    journal.add(&[Step::BpfFs, program(1, None, "anabranch")]);
    journal.add(&[program(2, None, "anabranch")]);
    // Others are excepted now; to be taken back is what there was before the first.
    journal.add(&[program(1, Some("anabranch"), "sshd")]);
    assert_eq!(journal.steps, [Step::BpfFs, program(1, None, "sshd"), program(2, None, "anabranch")]);
    assert_eq!(journal.undoing().filter(|step| step.undo_line().starts_with("rm ")).count(), 2);
    assert!(journal.is_sound());
    // Another start of the machine, or of a container.
    let mut later = journal.clone();
    later.forget_programs(|namespace| namespace == 2);
    assert_eq!(later.steps, [Step::BpfFs, program(2, None, "anabranch")]);
    let text = serde_json::to_string(&journal).unwrap();
    assert_eq!(serde_json::from_str::<Journal>(&text).unwrap(), journal);
    let older = r#"{"proxy": "edge.example:3128", "links": [], "apt": false, "program": "/usr/bin/anabranch"}"#;
    assert_eq!(serde_json::from_str::<Wanted>(older).unwrap(), wanted());
    // What an older version wrote, and could read again.
    let older = r#"{"programs":{"namespace":2,"except":["anabranch"]}}"#;
    assert_eq!(serde_json::from_str::<Step>(older).unwrap(), program(2, None, "anabranch"));
    assert_eq!(serde_json::to_string(&program(2, None, "anabranch")).unwrap(), older);
}

#[test]
fn that_a_program_ends_with_the_command_is_said() {
    let notes = |passing| {
        let hook = Hook::Bpf { namespace: 7, tried: true, mounted: false, passing, attached: None };
        plan(&Seen { hook, ..bare() }, &for_all(), None, |_| None).notes
    };
    assert!(notes(false).is_empty());
    assert!(notes(true)[0].contains("nsenter --net="));
}

/// With the program attached and MPTCP off, no program could open a TCP socket.
#[test]
fn programs_lose_mptcp_before_the_kernel_does() {
    let sysctl = Step::Sysctl { key: "net.mptcp.enabled".into(), former: "0".into(), value: "1".into() };
    let program = program(7, None, "anabranch");
    let mut journal = Journal::default();
    // A later run had to put MPTCP on again.
    journal.add(&[Step::BpfFs, program.clone(), sysctl.clone()]);
    assert_eq!(journal.undoing().collect::<Vec<_>>(), [&program, &sysctl, &Step::BpfFs]);
}
