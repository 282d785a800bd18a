//! Requests about routes and rules, encoded in the order of iproute2.

use std::net::IpAddr;

use crate::abi::route::{self as link_abi, NLM_F_CREATE, NLM_F_EXCL};
use crate::abi::rule::{self as abi, at, fra, rta};
use crate::netlink::Request;

use super::{Family, Route, Rule};

pub(super) fn get_routes(family: Family) -> Request {
    Request::new(abi::RTM_GETROUTE, 0).fixed(&header(family))
}

pub(super) fn get_rules(family: Family) -> Request {
    Request::new(abi::RTM_GETRULE, 0).fixed(&header(family))
}

pub(super) fn get_addresses() -> Request {
    Request::new(link_abi::RTM_GETADDR, 0).fixed(&[0; link_abi::ADDRESS_HEADER])
}

pub(super) fn get_way(to: IpAddr, from: Option<IpAddr>) -> Request {
    let mut fixed = header(Family::of(to));
    fixed[at::DST_LEN] = whole(to);
    fixed[at::SRC_LEN] = from.map_or(0, whole);
    let request = Request::new(abi::RTM_GETROUTE, 0).fixed(&fixed).ip(rta::DST, rta::DST, to);
    match from {
        Some(from) => request.ip(rta::SRC, rta::SRC, from),
        None => request,
    }
}

pub(super) fn add_route(route: &Route) -> Request {
    let mut fixed = header(Family::of(route.to.address));
    fixed[at::PROTOCOL] = abi::STATIC;
    fixed[at::KIND] = abi::UNICAST;
    fixed[at::SCOPE] = scope(route);
    the_route(Request::new(abi::RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL), fixed, route)
}

pub(super) fn delete_route(route: &Route) -> Request {
    let mut fixed = header(Family::of(route.to.address));
    fixed[at::PROTOCOL] = abi::STATIC;
    fixed[at::KIND] = abi::UNICAST;
    fixed[at::SCOPE] = scope(route);
    the_route(Request::new(abi::RTM_DELROUTE, 0), fixed, route)
}

pub(super) fn add_rule(rule: &Rule) -> Request {
    the_rule(Request::new(abi::RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL), rule)
}

pub(super) fn delete_rule(rule: &Rule) -> Request {
    the_rule(Request::new(abi::RTM_DELRULE, 0), rule)
}

/// An IPv4 route without a router reaches no further than its link; IPv6 has no such scopes.
fn scope(route: &Route) -> u8 {
    if route.gateway.is_none() && route.to.address.is_ipv4() { abi::LINK } else { abi::UNIVERSE }
}

fn the_route(request: Request, mut fixed: [u8; abi::HEADER], route: &Route) -> Request {
    fixed[at::DST_LEN] = route.to.length;
    let mut request = request.fixed(&fixed);
    if route.to.length > 0 {
        request = request.ip(rta::DST, rta::DST, route.to.address);
    }
    if let Some(source) = route.source {
        request = request.ip(rta::PREFSRC, rta::PREFSRC, source);
    }
    if let Some(gateway) = route.gateway {
        request = request.ip(rta::GATEWAY, rta::GATEWAY, gateway);
    }
    if let Some(interface) = route.interface {
        request = request.u32(rta::OIF, interface);
    }
    if let Some(metric) = route.metric {
        request = request.u32(rta::PRIORITY, metric);
    }
    request.u32(rta::TABLE, route.table)
}

fn the_rule(request: Request, rule: &Rule) -> Request {
    let mut fixed = header(rule.family);
    fixed[at::KIND] = abi::TO_TABLE;
    fixed[at::TABLE] = abi::UNSPEC;
    fixed[at::SRC_LEN] = rule.from.map_or(0, |from| from.length);
    let mut request = request.fixed(&fixed).u32(fra::PRIORITY, rule.priority);
    if let Some(from) = rule.from {
        request = request.ip(fra::SRC, fra::SRC, from.address);
    }
    request.u32(fra::TABLE, rule.table)
}

fn header(family: Family) -> [u8; abi::HEADER] {
    let mut fixed = [0; abi::HEADER];
    fixed[at::FAMILY] = match family {
        Family::V4 => V4,
        Family::V6 => V6,
    };
    fixed
}

fn whole(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// `AF_INET` and `AF_INET6` in the width of the field.
const V4: u8 = 2;
const V6: u8 = 10;
const _: () = {
    assert!(V4 as libc::c_int == libc::AF_INET && V6 as libc::c_int == libc::AF_INET6);
    assert!(fra::DST == rta::DST && fra::TABLE == rta::TABLE);
};
