use super::*;
use crate::link::Links;
use crate::testing::{namespace, said};

const WORLD: &[&str] = &[
    "link add c1 type veth peer name p1",
    "link add c2 type veth peer name p2",
    "link set c1 up",
    "link set p1 up",
    "link set c2 up",
    "link set p2 up",
    "address add 192.168.1.2/24 dev c1",
    "address add 192.168.2.2/24 dev c2",
    "address add fd01::2/64 dev c1 nodad",
    "address add fd02::2/64 dev c2 nodad",
    "route add default via 192.168.1.1 dev c1 metric 100",
    "route add default via fd01::1 dev c1 metric 100",
];

fn net(text: &str) -> Net {
    let (address, length) = text.split_once('/').unwrap();
    Net { address: address.parse().unwrap(), length: length.parse().unwrap() }
}

#[test]
fn what_is_made_is_what_ip_shows_and_goes_again() {
    let ns = namespace(WORLD);
    let index = ns.run(|| Links::open().unwrap().find("c2").unwrap().unwrap().index).unwrap();
    let before: Vec<_> = dumps(&ns);
    let default = |to, gateway: &str| Route {
        table: 7302,
        to: net(to),
        gateway: Some(gateway.parse().unwrap()),
        interface: Some(index),
        source: None,
        metric: None,
        unicast: true,
    };
    let on_link = Route {
        to: net("192.168.2.0/24"),
        gateway: None,
        source: Some("192.168.2.2".parse().unwrap()),
        ..default("0.0.0.0/0", "192.168.2.1")
    };
    let routes = [on_link, default("0.0.0.0/0", "192.168.2.1"), default("::/0", "fd02::1")];
    let rule = |family, from| Rule { family, priority: 7300, from: Some(net(from)), table: 7302, plain: true };
    let rules = [rule(Family::V4, "192.168.2.2/32"), rule(Family::V6, "fd02::2/128")];
    ns.run(|| {
        let mut door = Routes::open().unwrap();
        for route in &routes {
            door.add_route(route).unwrap();
            assert_eq!(door.add_route(route).unwrap_err().errno(), Some(libc::EEXIST));
        }
        for rule in &rules {
            door.add_rule(rule).unwrap();
            assert_eq!(door.add_rule(rule).unwrap_err().errno(), Some(libc::EEXIST));
        }
        for (family, has) in [(Family::V4, &routes[..2]), (Family::V6, &routes[2..])] {
            let found = door.routes(family).unwrap();
            // IPv6 gives every route a metric.
            let same = |a: &Route, b: &Route| Route { metric: None, ..a.clone() } == *b;
            assert!(has.iter().all(|route| found.iter().any(|one| same(one, route))), "{found:#?}");
            let found = door.rules(family).unwrap();
            assert!(rules.iter().filter(|rule| rule.family == family).all(|rule| found.contains(rule)), "{found:#?}");
        }
    })
    .unwrap();
    let v4 = said(&ns, "ip route show table 7302");
    assert!(v4.contains("default via 192.168.2.1 dev c2 proto static"), "{v4}");
    assert!(v4.contains("192.168.2.0/24 dev c2 proto static scope link src 192.168.2.2"), "{v4}");
    let v6 = said(&ns, "ip -6 route show table 7302");
    assert!(v6.contains("default via fd02::1 dev c2 proto static"), "{v6}");
    assert!(said(&ns, "ip rule").contains("7300:\tfrom 192.168.2.2 lookup 7302"));
    assert!(said(&ns, "ip -6 rule").contains("7300:\tfrom fd02::2 lookup 7302"));
    ns.run(|| {
        let mut door = Routes::open().unwrap();
        rules.iter().for_each(|rule| door.delete_rule(rule).unwrap());
        routes.iter().rev().for_each(|route| door.delete_route(route).unwrap());
        assert_eq!(door.delete_route(&routes[0]).unwrap_err().errno(), Some(libc::ESRCH));
        assert_eq!(door.delete_rule(&rules[0]).unwrap_err().errno(), Some(libc::ENOENT));
    })
    .unwrap();
    assert_eq!(dumps(&ns), before);
}

fn dumps(ns: &crate::netns::NetNs) -> Vec<String> {
    // The links' own IPv6 routes come when they please.
    ["ip -4 route show table all", "ip -6 route show proto static", "ip rule", "ip -6 rule"]
        .iter()
        .map(|line| said(ns, line))
        .collect()
}

#[test]
fn a_packets_way_follows_its_source() {
    let ns = namespace(WORLD);
    let index = |name: &str| ns.run(|| Links::open().unwrap().find(name).unwrap().unwrap().index).unwrap();
    let (c1, c2) = (index("c1"), index("c2"));
    let way = |from: Option<&str>| {
        let to = "203.0.113.1".parse().unwrap();
        let from = from.map(|from| from.parse().unwrap());
        ns.run(|| Routes::open().unwrap().way(to, from)).unwrap()
    };
    assert_eq!(way(None).unwrap().interface, Some(c1));
    // Nothing sends it the right way yet.
    assert_eq!(way(Some("192.168.2.2")).unwrap().interface, Some(c1));
    for line in ["route add default via 192.168.2.1 dev c2 table 9", "rule add from 192.168.2.2 table 9"] {
        crate::testing::ip_in(&ns, line);
    }
    let right = way(Some("192.168.2.2")).unwrap();
    assert_eq!((right.interface, right.gateway), (Some(c2), Some("192.168.2.1".parse().unwrap())));
    assert_eq!(way(Some("192.168.9.9")).unwrap_err().errno(), Some(libc::ENETUNREACH));
}

#[test]
fn rules_that_ask_for_more_are_not_plain_and_addresses_say_what_they_are() {
    let lines = [
        "rule add from 10.0.0.0/8 table 8",
        "rule add fwmark 7 table 8",
        "rule add from 10.1.0.0/16 unreachable",
        "rule add from 10.2.0.0/16 to 10.3.0.0/16 table 8",
        "rule add not from 10.4.0.0/16 table 8",
        "address add 192.168.1.3/24 dev c1",
    ];
    let ns = namespace(&[WORLD, &lines[..]].concat());
    ns.run(|| {
        let mut door = Routes::open().unwrap();
        let rules = door.rules(Family::V4).unwrap();
        let plain: Vec<_> = rules.iter().filter(|rule| rule.plain && rule.from.is_some()).collect();
        assert_eq!(plain.len(), 1, "{rules:#?}");
        assert_eq!((plain[0].from, plain[0].table), (Some(net("10.0.0.0/8")), 8));
        assert!(rules.iter().any(|rule| rule.table == 254 && rule.plain && rule.priority == 32766));
        let addresses = door.addresses().unwrap();
        let of = |text: &str| *addresses.iter().find(|one| one.net == net(text)).unwrap();
        assert!(of("192.168.1.2/24").global && !of("192.168.1.2/24").passing);
        assert!(of("192.168.1.3/24").passing, "a second one of its network");
        assert!(!of("127.0.0.1/8").global && of("fd01::2/64").global && !of("fd01::2/64").passing);
    })
    .unwrap();
}
