use super::*;
use crate::link::Link;
use crate::netns::NetNs;
use crate::testing::{ip_in, namespace, said};

fn names() -> Names {
    Names { table: "anabranch".to_owned(), device: "anabranch0".to_owned() }
}

fn options() -> Options {
    Options { subflows: 3000, lease: Duration::from_secs(10), adopt: false }
}

fn open() -> Shaper {
    Shaper::open(&names(), options()).unwrap()
}

fn flow(client: &str, server: &str) -> Flow {
    Flow { client: client.parse().unwrap(), server: server.parse().unwrap() }
}

fn prefix(address: &str, length: u8) -> Prefix {
    Prefix { address: address.parse().unwrap(), length }
}

fn spec(rate: u64) -> ClassSpec {
    ClassSpec { rate, ceil: None, burst: None }
}

fn link(name: &str) -> Option<Link> {
    Links::open().unwrap().find(name).unwrap()
}

/// A namespace with a pair of links, a0 and b0.
fn pair() -> NetNs {
    namespace(&["link add a0 type veth peer name b0", "link set a0 up", "link set b0 up"])
}

/// At least two of everything: nft itself makes a comparison of a set of one, and has for IPv6 too few registers for what the
/// kernel has enough for.
fn joins() -> Vec<Join> {
    let some = vec![prefix("10.1.0.0", 16), prefix("10.3.0.0", 24)];
    let others =
        vec![prefix("fd00::", 8), prefix("128.0.0.0", 2), prefix("fe80::1", 10), prefix("255.255.255.255", 32)];
    let most = vec![prefix("0.0.0.0", 2), prefix("8000::", 1), prefix("::", 2), prefix("192.0.0.0", 2)];
    vec![
        Join { prefixes: some, ports: vec![443, 80], then: Then::Class(Slot(3)) },
        Join { prefixes: others, ports: vec![], then: Then::Drop },
        Join { prefixes: most, ports: vec![1, 65535], then: Then::Refuse },
        Join { prefixes: vec![], ports: vec![80], then: Then::Refuse },
    ]
}

/// What of ours and of others there is: rules, queueing disciplines, classes, links; without what counts or is chosen anew.
fn dump(ns: &NetNs) -> String {
    let lines =
        ["nft list ruleset", "nft --debug=netlink list ruleset", "tc qdisc show", "tc class show dev a0", "ip -d link"];
    let all = lines.map(|line| said(ns, line)).join("\n");
    let lasting = |line: &str| {
        // What nft notes for itself about the last interval.
        let words: Vec<_> = line.split("userdata").next().unwrap_or(line).split_whitespace().collect();
        let left = |at: usize| at.checked_sub(1).is_some_and(|before| words[before] == "expires");
        let handle = |at: usize| words[0] == "netdev" && at > 2;
        let kept = (0..words.len()).filter(|&at| !left(at) && !handle(at));
        kept.map(|at| words[at]).collect::<Vec<_>>().join(" ")
    };
    // Classes and elements are told in the order of a table of hashes.
    let classes = link("anabranch0").map(|_| said(ns, "tc class show dev anabranch0")).unwrap_or_default();
    let (mut hashed, mut lines): (Vec<_>, Vec<_>) = all
        .lines()
        .chain(classes.lines())
        .map(lasting)
        .partition(|line| line.starts_with("element ") || line.starts_with("class "));
    hashed.sort();
    lines.extend(hashed);
    lines.join("\n")
}

fn assert_same(one: &str, other: &str) {
    let different = one.lines().zip(other.lines()).find(|(one, other)| one != other);
    assert_eq!(different, None, "\n{one}\n\n{other}");
    assert_eq!(one.lines().count(), other.lines().count());
}

/// What it takes to bring a shaper of `joins` about, by the shaper itself.
fn by_netlink(index: u32) -> Shaper {
    let mut shaper = open();
    shaper.make([Slot(3)]).unwrap();
    for slot in 1..=64 {
        shaper.set_classes(&[(Slot(slot), spec(2_000_000 * u64::from(slot)))]).unwrap();
    }
    shaper.watch(&[index]).unwrap();
    shaper.arm(&joins()).unwrap();
    let (v4, v6) = (flow("10.1.0.2:1000", "10.1.0.1:443"), flow("[fd00::2]:1000", "[fd00::1]:443"));
    shaper.put(&[(Direction::Download, v4, Slot(1)), (Direction::Upload, v6, Slot(64))]).unwrap();
    shaper
}

/// The same as lines.
fn by_lines(index: u32) -> Vec<String> {
    let names = names();
    let commands = Commands::new(&names, options());
    let mut lines = commands.open();
    for slot in 1..=64 {
        lines.extend(commands.new_class(Slot(slot), ClassSpec::OPEN));
        lines.push(commands.class(Slot(slot), spec(2_000_000 * u64::from(slot))));
    }
    lines.extend(commands.watch(index, "a0"));
    lines.extend(commands.arm(&joins()));
    let (v4, v6) = (flow("10.1.0.2:1000", "10.1.0.1:443"), flow("[fd00::2]:1000", "[fd00::1]:443"));
    lines.push(commands.put(Direction::Download, v4, Slot(1)).unwrap());
    lines.push(commands.put(Direction::Upload, v6, Slot(64)).unwrap());
    lines
}

#[test]
fn the_lines_do_what_the_shaper_does() {
    // Two namespaces where everything has the same numbers and addresses.
    let made =
        || namespace(&["link add a0 address 02:00:00:00:00:0a type veth peer name b0 address 02:00:00:00:00:0b"]);
    let (ours, theirs) = (made(), made());
    let index = ours.run(|| link("a0").unwrap().index).unwrap();
    ours.run(|| drop(by_netlink(index))).unwrap();
    let script = by_lines(index).join("\n");
    assert!(theirs.command("sh").args(["-e", "-c", &script]).status().unwrap().success(), "{script}");
    let (ours, theirs) = (ours.run(|| dump(&ours)).unwrap(), theirs.run(|| dump(&theirs)).unwrap());
    assert_same(&ours, &theirs);
    assert!(ours.contains("fwd to meta priority map @ifbs") && ours.contains("[ dynset update reg_key 1 set down4"));
}

#[test]
fn nothing_is_left_after_clear() {
    let ns = pair();
    ip_in(&ns, "link set a0 alias something");
    said(&ns, "nft add table netdev other");
    ns.run(|| {
        let before = dump(&ns);
        let mut shaper = by_netlink(link("a0").unwrap().index);
        shaper.set_classes(&[(Slot(3000), spec(1_000_000))]).unwrap();
        assert!(link("anabranch0-1").is_some() && link("anabranch0-2").is_some());
        assert_ne!(dump(&ns), before);
        shaper.clear().unwrap();
        assert_eq!(dump(&ns), before);
    })
    .unwrap();
}

#[test]
fn what_a_crash_left_is_made_as_new() {
    let clean = {
        let ns = pair();
        ns.run(|| {
            open().note(Some("path_manager=kernel")).unwrap();
            dump(&ns)
        })
        .unwrap()
    };
    let ns = pair();
    ns.run(|| {
        let mut shaper = by_netlink(link("a0").unwrap().index);
        shaper.note(Some("path_manager=kernel")).unwrap();
        shaper.set_classes(&[(Slot(3000), spec(1_000_000))]).unwrap();
        drop(shaper);
        let found = Shaper::observe(&names()).unwrap();
        let (table, device) = (found.table.clone().unwrap(), found.device.clone().unwrap());
        assert_eq!((table.ours, table.flows, table.comment.as_deref()), (true, 2, Some("anabranch")));
        assert_eq!((device.ours, device.classes, device.kind.as_deref()), (true, 1024, Some("ifb")));
        assert_eq!(device.note.as_deref(), Some("path_manager=kernel"));
        assert_eq!((found.beside.len(), found.anything_ours()), (2, true));

        let shaper = open();
        assert_eq!(shaper.noted(), Some("path_manager=kernel"));
        assert_same(&unaddressed(&dump(&ns)), &unaddressed(&clean));
        // A second crash does not lose it either.
        drop(shaper);
        assert_eq!(open().noted(), Some("path_manager=kernel"));
    })
    .unwrap();
}

/// A dump without the random addresses of the pair.
fn unaddressed(dump: &str) -> String {
    let lines = dump.lines().filter(|line| !line.starts_with("link/ether") || line.contains("02:61:6e"));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn half_of_ours_is_ours() {
    pair()
        .run(|| {
            // A link that was made and not marked yet, as after a crash between the two.
            let mut links = Links::open().unwrap();
            links.create_ifb(&open::ifb("anabranch0")).unwrap();
            let found = Shaper::observe(&names()).unwrap();
            assert!(found.anything_ours() && found.device.unwrap().ours);
            // An IFB beside the first, which is gone.
            let shaper = open();
            links.create_ifb(&open::ifb("anabranch0-7")).unwrap();
            links.delete(shaper.devices[0]).unwrap();
            assert_eq!(Shaper::observe(&names()).unwrap().beside.len(), 1);
            let shaper = open();
            assert_eq!(link("anabranch0-7"), None);
            assert_eq!(link("anabranch0").unwrap().alias.as_deref(), Some("anabranch"));
            shaper.clear().unwrap();
            assert_eq!(Shaper::observe(&names()).unwrap(), Found::default());
            // Clearing nothing is no error.
            assert_eq!(Shaper::sweep(&names(), false).unwrap(), Found::default());
        })
        .unwrap();
}

#[test]
fn what_is_not_ours_is_refused_unless_adopted() {
    let ns = pair();
    ip_in(&ns, "link add anabranch0 type ifb");
    ns.run(|| {
        let error = Shaper::open(&names(), options()).unwrap_err();
        assert!(matches!(&error, ShaperError::Foreign { what: "interface", name, .. } if name == "anabranch0"));
        assert!(error.to_string().contains("adopt = true"), "{error}");
        assert!(Shaper::sweep(&names(), false).is_err() && link("anabranch0").is_some());
        assert_eq!(said(&ns, "nft list ruleset"), "");

        let adopting = Options { adopt: true, ..options() };
        Shaper::open(&names(), adopting).unwrap().clear().unwrap();
        assert_eq!(link("anabranch0"), None);
    })
    .unwrap();

    said(&ns, "nft add table netdev anabranch");
    said(&ns, "nft add chain netdev anabranch theirs");
    ns.run(|| {
        let error = Shaper::open(&names(), options()).unwrap_err();
        assert!(matches!(&error, ShaperError::Foreign { what: "table netdev", .. }), "{error}");
        assert!(said(&ns, "nft list ruleset").contains("theirs") && link("anabranch0").is_none());
        Shaper::open(&names(), Options { adopt: true, ..options() }).unwrap();
        assert!(!said(&ns, "nft list ruleset").contains("theirs"));
        // From here on it is ours.
        open().clear().unwrap();
    })
    .unwrap();

    // A link that is no IFB is not taken over by anybody.
    let names = Names { device: "a0".to_owned(), ..names() };
    ns.run(|| {
        let error = Shaper::open(&names, Options { adopt: true, ..options() }).unwrap_err();
        assert!(matches!(&error, ShaperError::NotAnIfb { kind, .. } if kind == "veth"), "{error}");
        assert!(link("a0").is_some() && said(&ns, "nft list ruleset").is_empty());
    })
    .unwrap();
}

#[test]
fn an_ifb_of_somebody_else_beside_ours_is_left_alone() {
    let ns = pair();
    ip_in(&ns, "link add anabranch0-1 type ifb");
    ns.run(|| {
        let mut shaper = open();
        shaper.set_classes(&[(Slot(1024), spec(1_000_000))]).unwrap();
        let error = shaper.set_classes(&[(Slot(1025), spec(1_000_000))]).unwrap_err();
        assert!(matches!(&error, ShaperError::Foreign { name, .. } if name == "anabranch0-1"), "{error}");
        // What was there works on.
        shaper.set_classes(&[(Slot(1), spec(1_000_000))]).unwrap();
        shaper.clear().unwrap();
        assert!(link("anabranch0-1").is_some());
    })
    .unwrap();
}

#[test]
fn a_failed_opening_leaves_nothing() {
    let ns = pair();
    ns.run(|| {
        let before = dump(&ns);
        // The kernel takes no such name for an interface; it would take the table's.
        let names = Names { device: "an/other".to_owned(), ..names() };
        assert!(matches!(Shaper::open(&names, options()), Err(ShaperError::Refused(_))));
        let names = Names { table: "t".repeat(300), ..self::names() };
        assert!(Shaper::open(&names, options()).is_err());
        assert_eq!(dump(&ns), before);
    })
    .unwrap();
}

#[test]
fn interfaces_come_go_and_change_their_names() {
    let ns = pair();
    ns.run(|| {
        let mut shaper = open();
        let (a0, b0) = (link("a0").unwrap().index, link("b0").unwrap().index);
        // In the order of their numbers.
        let both = [a0.min(b0), a0.max(b0)];
        let chains = || {
            let said = said(&ns, "nft list ruleset");
            let mut devices: Vec<_> =
                said.split("device \"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()).collect();
            devices.sort();
            devices.join(" ")
        };
        assert_eq!(shaper.watch(&[a0, 9999]).unwrap(), [a0]);
        assert_eq!(chains(), "a0 a0");
        assert_eq!(shaper.watch(&[a0, b0]).unwrap(), both);
        assert_eq!(shaper.watch(&[a0, b0]).unwrap(), both);
        assert_eq!(chains(), "a0 a0 b0 b0");
        // Renamed: the kernel's chain is bound to the old name.
        ip_in(&ns, "link set a0 down");
        ip_in(&ns, "link set a0 name wan");
        assert_eq!(shaper.watch(&[a0, b0]).unwrap(), both);
        assert_eq!(chains(), "b0 b0 wan wan");
        // Gone, both ends of it.
        ip_in(&ns, "link delete wan");
        assert!(shaper.watch(&[a0, b0]).unwrap().is_empty());
        assert_eq!(chains(), "");
        // Back, under another number.
        ip_in(&ns, "link add a0 type veth peer name b0");
        let again = link("a0").unwrap().index;
        assert_eq!(shaper.watch(&[again]).unwrap(), [again]);
        assert_eq!(chains(), "a0 a0");
        // Gone to another namespace and back.
        let other = namespace(&[]);
        ip_in(&ns, &format!("link set a0 netns {}", other.path().display()));
        assert!(shaper.watch(&[again]).unwrap().is_empty());
        assert_eq!(chains(), "");
        assert!(shaper.watch(&[]).unwrap().is_empty());
        shaper.clear().unwrap();
    })
    .unwrap();
}

/// What is in a map: the flow as text, its slot, and how long it stays.
fn elements(shaper: &mut Shaper, map: &str) -> Vec<(String, Option<Slot>, Duration)> {
    let map = Map::ALL.into_iter().find(|one| one.name() == map).unwrap();
    let elements = shaper.nft.elements("anabranch", map).unwrap();
    let text = |flow: Flow| format!("{} {}", flow.client, flow.server);
    elements.into_iter().map(|one| (text(one.flow), one.slot, one.left.unwrap())).collect()
}

#[test]
fn flows_are_put_moved_renewed_and_removed() {
    pair()
        .run(|| {
            let mut shaper = open();
            let v4 = flow("10.1.0.2:1000", "10.1.0.1:443");
            // An address in other clothes is the same flow.
            let mapped = flow("[::ffff:10.1.0.2]:1000", "10.1.0.1:443");
            let v6 = flow("[fd00::2]:65535", "[fd00::1]:1");
            let down = Direction::Download;
            shaper.put(&[(down, v4, Slot(1)), (down, v6, Slot(2)), (Direction::Upload, v4, Slot(3))]).unwrap();
            shaper.put(&[(down, mapped, Slot(1500)), (down, v4, Slot(7))]).unwrap();
            let [(text, slot, left)] = elements(&mut shaper, "down4").try_into().unwrap();
            assert_eq!((text.as_str(), slot), ("10.1.0.2:1000 10.1.0.1:443", Some(Slot(7))));
            assert!(left > Duration::from_secs(9) && left <= Duration::from_secs(10), "{left:?}");
            let [(text, slot, _)] = elements(&mut shaper, "down6").try_into().unwrap();
            assert_eq!((text.as_str(), slot), ("[fd00::2]:65535 [fd00::1]:1", Some(Slot(2))));
            assert_eq!(elements(&mut shaper, "up4")[0].1, Some(Slot(3)));
            assert!(elements(&mut shaper, "up6").is_empty());

            shaper.remove(&[(down, v4), (down, mapped), (down, flow("10.9.9.9:1", "10.9.9.9:2"))]).unwrap();
            assert!(elements(&mut shaper, "down4").is_empty());
            assert_eq!(elements(&mut shaper, "down6").len(), 1);

            // Nothing of a call that makes no sense is done.
            let odd = flow("[fd00::2]:1", "10.1.0.1:443");
            let error = shaper.put(&[(down, v4, Slot(1)), (down, odd, Slot(1))]).unwrap_err();
            assert!(matches!(error, ShaperError::Families(wrong) if wrong == odd));
            for slot in [0, 3001] {
                let error = shaper.put(&[(down, v4, Slot(slot))]).unwrap_err();
                assert!(matches!(error, ShaperError::Slot { most: 3000, .. }), "{error}");
            }
            assert!(elements(&mut shaper, "down4").is_empty());
            shaper.put(&[]).unwrap();
            shaper.remove(&[]).unwrap();
        })
        .unwrap();
}

#[test]
fn many_flows_go_in_one_transaction() {
    pair()
        .run(|| {
            let mut shaper = Shaper::open(&names(), Options { subflows: 10_000, ..options() }).unwrap();
            let many = |count: u16| {
                (1..=count)
                    .map(|port| (Direction::Download, flow("[fd00::2]:1", &format!("[fd00::1]:{port}")), Slot(1)))
            };
            let all: Vec<_> = many(20_000).collect();
            shaper.put(&all).unwrap();
            assert_eq!(elements(&mut shaper, "down6").len(), 20_000);
            // The map is full: one more fails, and takes the others of its transaction along.
            let mut more = vec![(Direction::Download, flow("10.1.0.2:1", "10.1.0.1:2"), Slot(1))];
            more.push((Direction::Download, flow("[fd00::3]:1", "[fd00::1]:1"), Slot(1)));
            let ShaperError::Refused(error) = shaper.put(&more).unwrap_err() else { panic!() };
            assert_eq!(error.errno(), Some(libc::ENFILE));
            assert!(error.object.contains("fd00::3 . 1 . fd00::1 . 1 in map down6 of table anabranch"), "{error}");
            assert!(elements(&mut shaper, "down4").is_empty());
            // Renewing all of a full map is no matter.
            shaper.put(&all).unwrap();
            let flows: Vec<_> = all.iter().map(|&(way, flow, _)| (way, flow)).collect();
            shaper.remove(&flows).unwrap();
            assert!(elements(&mut shaper, "down6").is_empty());
        })
        .unwrap();
}

#[test]
fn classes_are_made_and_changed_where_they_belong() {
    let ns = pair();
    ns.run(|| {
        let mut shaper = open();
        assert!(shaper.counters().unwrap().is_empty());
        let wide = ClassSpec { rate: 40_000_000_000, ceil: Some(50_000_000_000), burst: Some(1_000_000) };
        shaper.set_classes(&[(Slot(2), spec(2_000_000)), (Slot(2050), wide), (Slot(1025), spec(8))]).unwrap();
        let counters = shaper.counters().unwrap();
        assert_eq!(counters.len(), 2112);
        assert!(counters.iter().map(|(slot, _)| slot.0).eq(1..=2112));
        assert_eq!(counters[0].1, ClassStats::default());
        let class = |device: &str, class: &str| said(&ns, &format!("tc class show dev {device} classid {class}"));
        assert!(class("anabranch0", "ab0:20").contains("rate 2Mbit ceil 2Mbit burst 1600b cburst 1600b"));
        assert!(class("anabranch0-2", "ab2:20").contains("rate 40Gbit ceil 50Gbit"));
        assert!(class("anabranch0-1", "ab1:10").contains("rate 8bit"));
        assert!(class("anabranch0-1", "ab1:20").contains("rate 100Gbit"));

        let error = shaper.set_classes(&[(Slot(1), spec(1_000_000)), (Slot(2), spec(7))]).unwrap_err();
        assert!(matches!(error, ShaperError::Slot { slot: Slot(2), rate: 7, .. }));
        assert!(class("anabranch0", "ab0:10").contains("rate 100Gbit"));
        assert!(shaper.set_classes(&[(Slot(3001), spec(1_000_000))]).is_err());

        // Taken away by somebody.
        said(&ns, "tc qdisc delete dev anabranch0 root");
        let error = shaper.set_classes(&[(Slot(1), spec(1_000_000))]).unwrap_err();
        let ShaperError::Refused(source) = &error else { panic!("{error}") };
        assert!(source.object.contains("class ab0:10 of link"), "{source}");
        assert!(error.is_gone(), "{source}");
        said(&ns, "nft flush ruleset");
        let error = shaper.put(&[(Direction::Download, flow("10.1.0.2:1", "10.1.0.1:2"), Slot(1))]).unwrap_err();
        assert!(error.is_gone());
        open().set_classes(&[(Slot(1), spec(1_000_000))]).unwrap();
    })
    .unwrap();
}

#[test]
fn joins_are_said_anew_as_a_whole() {
    let ns = pair();
    ns.run(|| {
        let mut shaper = open();
        let chain = || said(&ns, "nft list chain netdev anabranch join");
        shaper.arm(&joins()).unwrap();
        assert!(chain().contains("ip saddr { 10.1.0.0/16, 10.3.0.0/24 } tcp dport { 80, 443 } update @down4"));
        assert!(chain().contains("reject with tcp reset") && chain().contains("drop"));
        // As many prefixes as one message has no room for, neither sorted nor apart from each other.
        let many =
            |n: u16| prefix(&format!("10.{}.{}.0", n % 256, n / 256 * 2), if n.is_multiple_of(3) { 24 } else { 25 });
        let prefixes: Vec<_> = (0..5000).map(many).chain([prefix("10.0.0.0", 20)]).collect();
        shaper.arm(&[Join { prefixes, ports: vec![7, 7], then: Then::Drop }]).unwrap();
        assert!(chain().contains("tcp dport { 7 } drop") && !chain().contains("reject"));
        assert!(chain().len() > 50_000);
        shaper.renew_joins().unwrap();
        shaper
            .arm(&[Join { prefixes: vec![prefix("fd00::", 8)], ports: vec![], then: Then::Class(Slot(17)) }])
            .unwrap();
        assert!(chain().contains("update @down6 { ip6 saddr . tcp sport . ip6 daddr . tcp dport : ab0:110 } return"));
        shaper.arm(&[]).unwrap();
        assert!(!chain().contains("saddr"));
        // One that fails leaves what was said before.
        shaper.arm(&joins()).unwrap();
        let before = chain();
        let wrong = Join { prefixes: vec![prefix("10.0.0.0", 8)], ports: vec![], then: Then::Class(Slot(3001)) };
        assert!(shaper.arm(&[wrong]).is_err());
        assert_eq!(chain(), before);
        // Anonymous sets go with their rules.
        shaper.arm(&[]).unwrap();
        assert!(!said(&ns, "nft --debug=netlink list ruleset").contains("__set"));
    })
    .unwrap();
}

#[test]
fn notes_are_kept_with_the_device() {
    pair()
        .run(|| {
            let mut shaper = open();
            assert_eq!(shaper.noted(), None);
            let long = "ä".repeat(150) + "\n";
            shaper.note(Some(&long)).unwrap();
            assert_eq!(shaper.noted(), Some("ä".repeat(100).as_str()));
            let mut shaper = open();
            assert_eq!(shaper.noted(), Some("ä".repeat(100).as_str()));
            shaper.note(Some("a\nb")).unwrap();
            assert_eq!(link("anabranch0").unwrap().alias.as_deref(), Some("anabranch: ab"));
            shaper.note(None).unwrap();
            assert_eq!(open().noted(), None);
            assert_eq!(link("anabranch0").unwrap().alias.as_deref(), Some("anabranch"));
        })
        .unwrap();
}

#[test]
fn without_the_capability_nothing_is_done_and_it_is_named() {
    let ns = pair();
    ns.run(|| {
        // This thread is thrown away.
        let mut capabilities = rustix::thread::capabilities(None).unwrap();
        capabilities.effective.remove(rustix::thread::CapabilitySet::NET_ADMIN);
        rustix::thread::set_capabilities(None, capabilities).unwrap();
        let error = Shaper::open(&names(), options()).unwrap_err();
        assert!(
            matches!(error, ShaperError::NotPermitted(_)) && error.to_string().contains("CAP_NET_ADMIN"),
            "{error:?}"
        );
    })
    .unwrap();
    ns.run(|| assert_eq!(Shaper::observe(&names()).unwrap(), Found::default())).unwrap();
}

#[test]
fn what_others_hooked_into_interfaces_is_told() {
    let ns = namespace(&["link add a0 type veth peer name b0"]);
    let names = names();
    let look = || ns.run(|| (neighbours(&names).unwrap(), TrafficControl::open().unwrap().hooks().unwrap())).unwrap();
    assert_eq!(look(), (Vec::new(), Vec::new()));
    let rules =
        "add table netdev theirs; add chain netdev theirs in { type filter hook ingress device \"a0\" priority 0; }";
    assert!(ns.command("nft").arg(rules).status().unwrap().success());
    assert!(ns.command("tc").args(["qdisc", "add", "dev", "b0", "clsact"]).status().unwrap().success());
    let index = ns.run(|| Links::open().unwrap().find("b0").unwrap().unwrap().index).unwrap();
    assert_eq!(look(), (vec![("theirs".to_owned(), "a0".to_owned())], vec![(index, "clsact".to_owned())]));
}
