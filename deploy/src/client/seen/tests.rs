use super::*;

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

fn default(interface: u32, gateway: &str, metric: u32, table: u32) -> Route {
    let gateway = ip(gateway);
    Route { table, to: Net::everything(gateway), gateway: Some(gateway), interface: Some(interface), metric }
}

fn seen() -> Seen {
    Seen {
        links: vec![Link { inner: true, ..link(1, "lo") }, link(2, "c1"), link(3, "c2")],
        addresses: vec![
            address(2, "192.168.1.2/24"),
            address(3, "192.168.2.2/24"),
            address(3, "fd02::2/64"),
            Address { lasting: false, ..address(3, "fd02::beef/64") },
        ],
        routes: vec![
            default(3, "192.168.2.1", 100, MAIN),
            default(2, "192.168.1.1", 200, MAIN),
            default(3, "fe80::1", 9, 7),
        ],
        ..Seen::default()
    }
}

fn names(ways: &Ways) -> Vec<String> {
    ways.ways.iter().map(|way| format!("{} {} {:?}", way.link, way.net, way.gateway.map(|g| g.to_string()))).collect()
}

#[test]
fn ways_are_lasting_addresses_with_a_gateway_best_first() {
    let ways = seen().ways(&[]);
    assert_eq!(
        names(&ways),
        [
            "c2 192.168.2.2/24 Some(\"192.168.2.1\")",
            "c1 192.168.1.2/24 Some(\"192.168.1.1\")",
            // Known from another table than main: not preferred, but there.
            "c2 fd02::2/64 Some(\"fe80::1\")"
        ]
    );
    assert!(ways.idle.is_empty());
}

#[test]
fn a_link_that_is_down_or_without_gateway_is_told_with_the_reason() {
    let mut seen = seen();
    seen.links[1].up = false;
    seen.routes.remove(0);
    seen.addresses.truncate(2);
    let ways = seen.ways(&[]);
    assert_eq!(ways.ways, []);
    assert_eq!(
        ways.idle,
        [("c1".to_owned(), "is down".to_owned()), ("c2".to_owned(), "has an address, but no gateway".to_owned())]
    );
    // A lease knows the gateway.
    seen.links[2].leased = Some(ip("192.168.2.254"));
    assert_eq!(names(&seen.ways(&[])), ["c2 192.168.2.2/24 Some(\"192.168.2.254\")"]);
    // And whoever types it knows better.
    let told = [("c2".to_owned(), Some(ip("192.168.2.9"))), ("c9".to_owned(), None)];
    let ways = seen.ways(&told);
    assert_eq!(names(&ways), ["c2 192.168.2.2/24 Some(\"192.168.2.9\")"]);
    assert_eq!(ways.idle, [("c9".to_owned(), "there is no such link".to_owned())]);
}

#[test]
fn nets_are_written_as_ip_writes_them() {
    for (address, length, text) in
        [("0.0.0.0", 0, "default"), ("10.0.0.1", 32, "10.0.0.1"), ("fd00::", 64, "fd00::/64")]
    {
        assert_eq!(Net { address: ip(address), length }.to_string(), text);
    }
    assert_eq!(Net { address: ip("192.168.1.2"), length: 24 }.network().to_string(), "192.168.1.0/24");
}
