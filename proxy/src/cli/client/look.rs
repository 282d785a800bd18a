//! Looks at this machine.

use std::fs;
use std::net::IpAddr;

use anabranch_deploy::client::seen::{Address, Endpoint, Link, Net, Route, Rule, Seen};
use anabranch_kernel::link::{Link as KernelLink, Links};
use anabranch_kernel::mptcp_pm::{EndpointFlags, PathManager};
use anabranch_kernel::netlink::NetlinkError;
use anabranch_kernel::route::{self, Family, Routes};
use anabranch_kernel::sysctl::path_manager;

/// Table of this machine's own addresses, which says nothing of ways.
const LOCAL: u32 = 255;

/// Links that containers and virtual machines hang on, and tunnels that go over the others.
const INNER: &[&str] = &["bridge", "dummy", "ifb", "wireguard", "vxlan", "tun", "ipip", "gre", "sit", "nlmon"];

/// What is seen, by everybody: nothing here takes a privilege.
pub(super) fn seen() -> Result<Seen, NetlinkError> {
    let links = Links::open()?.list()?;
    let mut door = Routes::open()?;
    let addresses = door.addresses()?;
    let mut seen = Seen { mptcp: enabled(), ..Seen::default() };
    for family in [Family::V4, Family::V6] {
        seen.routes
            .extend(door.routes(family)?.iter().filter(|route| route.unicast && route.table != LOCAL).map(of_route));
        seen.rules.extend(door.rules(family)?.iter().map(of_rule));
    }
    seen.links = links.iter().map(of_link).collect();
    seen.addresses = addresses
        .iter()
        .map(|one| Address { interface: one.interface, net: of_net(one.net), lasting: one.global && !one.passing })
        .collect();
    // Without MPTCP there is neither; then that is what is told.
    if let Ok(mut manager) = PathManager::open() {
        seen.limits = manager.limits().ok().map(|limits| (limits.subflows, limits.add_addr_accepted));
        let endpoints = manager.endpoints().unwrap_or_default();
        let own = endpoints.iter().filter(|one| !one.flags.contains(EndpointFlags::IMPLICIT));
        seen.endpoints = own
            .map(|one| Endpoint { address: one.address, subflow: one.flags.contains(EndpointFlags::SUBFLOW) })
            .collect();
    }
    seen.path_manager = path_manager().ok().map(|kind| kind.to_string());
    Ok(seen)
}

fn of_net(net: route::Net) -> Net {
    Net { address: net.address, length: net.length }
}

fn of_route(route: &route::Route) -> Route {
    Route {
        table: route.table,
        to: of_net(route.to),
        gateway: route.gateway,
        interface: route.interface,
        metric: route.metric.unwrap_or(0),
    }
}

fn of_rule(rule: &route::Rule) -> Rule {
    let from = rule.from.filter(|_| rule.plain).map(of_net);
    Rule { priority: rule.priority, from, table: rule.table, v4: rule.family == Family::V4 }
}

fn of_link(link: &KernelLink) -> Link {
    let filter = |name: &str| {
        let text = fs::read_to_string(format!("/proc/sys/net/ipv4/conf/{name}/rp_filter")).unwrap_or_default();
        text.trim().parse().unwrap_or(0)
    };
    Link {
        index: link.index,
        name: link.name.clone(),
        up: link.up,
        inner: link.loopback || link.kind.as_deref().is_some_and(|kind| INNER.contains(&kind)),
        rp_filter: filter("all").max(filter(&link.name)),
        leased: leased(link),
    }
}

/// The gateway a DHCP client noted for a link: systemd-networkd, NetworkManager's own, dhclient.
fn leased(link: &KernelLink) -> Option<IpAddr> {
    let networkd = fs::read_to_string(format!("/run/systemd/netif/leases/{}", link.index)).ok();
    let lease = networkd.or_else(|| {
        let name = format!("-{}.lease", link.name);
        let entries = fs::read_dir("/var/lib/NetworkManager").ok()?.flatten();
        let found = entries.map(|entry| entry.path()).find(|path| path.to_string_lossy().ends_with(&name))?;
        fs::read_to_string(found).ok()
    });
    let routers = lease.as_deref().and_then(|text| text.lines().find_map(|line| line.strip_prefix("ROUTER=")));
    let router = routers.and_then(|list| list.split([' ', ',']).next()).and_then(|text| text.trim().parse().ok());
    router.or_else(|| {
        let text = fs::read_to_string(format!("/var/lib/dhcp/dhclient.{}.leases", link.name)).ok()?;
        let last = text.lines().rev().find_map(|line| line.trim().strip_prefix("option routers "))?;
        last.split([',', ';']).next()?.trim().parse().ok()
    })
}

fn enabled() -> Option<bool> {
    let text = fs::read_to_string("/proc/sys/net/mptcp/enabled").ok()?;
    Some(text.trim() != "0")
}
