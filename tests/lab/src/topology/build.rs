//! Building a topology: namespaces, veth pairs, addresses, routes, shapers, path manager, hops.
//!
//! Called by `Builder::build` and `Topology::restore` only.
//! Invariant: a failure half-way leaves nothing, for the namespaces drop.

use std::net::IpAddr;

use anyhow::Result;

use super::{Builder, Family, ORIGIN_NET, Topology, address};
use crate::emulator::Emulator;
use crate::link::{Hop, Link};
use crate::netns::Namespace;

const FAMILIES: [Family; 2] = [Family::V4, Family::V6];
/// A device of a smaller MTU does not do IPv6 at all (RFC 8200 §5).
const LEAST_MTU_OF_V6: u16 = 1280;

pub(super) fn build(builder: &Builder) -> Result<Topology> {
    let (client, edge, origin) = (Namespace::new("client")?, Namespace::new("edge")?, Namespace::new("origin")?);
    for (ns, sysctls) in [(&client, &builder.client_sysctls), (&edge, &builder.edge_sysctls)] {
        for (key, value) in sysctls {
            ns.sysctl(key, value)?;
        }
    }
    let (mut hops, mut emulators) = (Vec::new(), Vec::new());
    let transit = builder.origin_link.clone().unwrap_or_else(|| Link::new("transit"));
    join((&edge, "o0"), (&origin, "s0"), ORIGIN_NET, &transit, &mut hops, &mut emulators)?;
    dress(&transit, [(&edge, "o0"), (&origin, "s0")])?;
    configure(&edge, "o0", ORIGIN_NET, 1, &FAMILIES)?;
    configure(&origin, "s0", ORIGIN_NET, 2, &FAMILIES)?;
    origin.ip_batch(&FAMILIES.map(|family| format!("route add default via {}", address(ORIGIN_NET, 1, family))))?;

    for (number, link) in (1..).zip(&builder.links) {
        let (c, p) = (format!("c{number}"), format!("p{number}"));
        join((&client, &c), (&edge, &p), number, link, &mut hops, &mut emulators)?;
        configure(&client, &c, number, 2, families(link))?;
        configure(&edge, &p, number, 1, families(link))?;
        dress(link, [(&client, &c), (&edge, &p)])?;
        rules(&client, number)?;
        client.ip_batch(&client_routes(number, families(link)))?;
        if number > 1 {
            for &family in families(link) {
                client.ip(&endpoint(number, family, address(number, 2, family)))?;
            }
        }
    }
    let extra = builder.links.len().saturating_sub(1).clamp(2, 8);
    for ns in [&client, &edge] {
        ns.ip(&format!("mptcp limits set subflow {extra} add_addr_accepted 0"))?;
    }
    Ok(Topology { client, edge, origin, links: builder.links.clone(), hops, emulators })
}

/// What a link carries.
pub(super) fn families(link: &Link) -> &'static [Family] {
    if link.mtu < LEAST_MTU_OF_V6 { &FAMILIES[..1] } else { &FAMILIES }
}

/// The id of the endpoint on link `link`: fixed, so that restoring can name it.
pub(super) fn endpoint_id(link: u8, family: Family) -> u8 {
    link * 2 + u8::from(family == Family::V6)
}

/// The `ip` line that makes the path manager use link `link` for additional subflows.
pub(super) fn endpoint(link: u8, family: Family, address: IpAddr) -> String {
    format!("mptcp endpoint add {address} id {} dev c{link} subflow", endpoint_id(link, family))
}

/// Rules: what has the link's address as source leaves by the link.
fn rules(client: &Namespace, link: u8) -> Result<()> {
    // One by one: a batch takes the family from its command line, and a rule takes it from nowhere else.
    for (flag, family) in [("-4", Family::V4), ("-6", Family::V6)] {
        client.ip(&format!("{flag} rule add from {} table {link}", address(link, 2, family)))?;
    }
    Ok(())
}

/// Routes of link `link` at the client, which vanish when its interface goes down.
pub(super) fn client_routes(link: u8, families: &[Family]) -> Vec<String> {
    families
        .iter()
        .flat_map(|&family| {
            let edge = address(link, 1, family);
            // In the main table the first link is preferred, by its metric.
            [
                format!("route replace default via {edge} dev c{link} table {link}"),
                format!("route replace default via {edge} dev c{link} metric {}", 100 + u16::from(link)),
            ]
        })
        .collect()
}

fn veth(left: &Namespace, left_device: &str, right: &Namespace, right_device: &str, mtu: u16) -> Result<()> {
    let path = right.path();
    left.ip(&format!(
        "link add {left_device} mtu {mtu} type veth peer name {right_device} mtu {mtu} netns {}",
        path.display()
    ))
}

fn configure(ns: &Namespace, device: &str, net: u8, host: u8, families: &[Family]) -> Result<()> {
    let mut lines = vec![format!("link set {device} up")];
    for &family in families {
        let (length, nodad) = if family == Family::V6 { (64, "nodad") } else { (24, "") };
        lines.push(format!("addr add {}/{length} dev {device} {nodad}", address(net, host, family)));
    }
    ns.ip_batch(&lines)
}

/// What a link is like, at its ends.
fn dress(link: &Link, ends: [(&Namespace, &str); 2]) -> Result<()> {
    for (ns, device) in ends {
        if link.rate.is_some() || !link.hops.is_empty() {
            ns.plain_frames(device)?;
        }
        if let Some(rate) = link.rate {
            shape(ns, device, rate)?;
        }
    }
    Ok(())
}

/// HTB with one class; the burst is small, for a larger one lets short transfers run above the rate.
fn shape(ns: &Namespace, device: &str, rate: u64) -> Result<()> {
    ns.tc(&format!("qdisc add dev {device} root handle 1: htb default 10"))?;
    ns.tc(&format!(
        "class add dev {device} parent 1: classid 1:10 htb rate {rate}bit burst 6k cburst 6k quantum 6000"
    ))?;
    ns.tc(&format!("qdisc add dev {device} parent 1:10 pfifo limit 100"))
}

/// The chain of veth pairs from one end through the link's hops to the other, and the hops at work.
fn join(
    (left, left_device): (&Namespace, &str),
    (right, right_device): (&Namespace, &str),
    number: u8,
    link: &Link,
    hops: &mut Vec<Namespace>,
    emulators: &mut Vec<Emulator>,
) -> Result<()> {
    let chain =
        link.hops.iter().map(|_| Namespace::new(format!("hop of {}", link.name))).collect::<Result<Vec<_>>>()?;
    let (mut before, mut device) = (left, left_device.to_owned());
    for ns in &chain {
        veth(before, &device, ns, "near", link.mtu)?;
        (before, device) = (ns, "far".to_owned());
    }
    veth(before, &device, right, right_device, link.mtu)?;
    for (hop, ns) in link.hops.iter().zip(&chain) {
        for device in ["near", "far"] {
            ns.plain_frames(device)?;
        }
        match hop {
            Hop::Emulator(impairment) => {
                for device in ["near", "far"] {
                    ns.ip(&format!("link set {device} addrgenmode none"))?;
                    ns.ip(&format!("link set {device} up"))?;
                }
                emulators.push(Emulator::start(ns, "near", "far", impairment.clone())?);
            }
            Hop::Middlebox(middlebox) => {
                route(ns, number, None)?;
                ns.nft(&middlebox.rules("near", "far"))?;
            }
            Hop::Narrow(mtu) => route(ns, number, Some(*mtu))?,
            Hop::Switch => switch(ns)?,
        }
    }
    hops.extend(chain);
    Ok(())
}

/// A bridge that forwards from its first frame on.
fn switch(ns: &Namespace) -> Result<()> {
    let mut lines = vec!["link add switch type bridge forward_delay 0 mcast_snooping 0".to_owned()];
    for device in ["near", "far", "switch"] {
        lines.push(format!("link set {device} addrgenmode none"));
        if device != "switch" {
            lines.push(format!("link set {device} master switch"));
        }
        lines.push(format!("link set {device} up"));
    }
    ns.ip_batch(&lines)
}

/// A router that is invisible to both sides: it answers for the other side's addresses on either. Its devices take frames of any
/// size; what may leave again over IPv4 its routes say, if `mtu` is given.
fn route(ns: &Namespace, net: u8, mtu: Option<u16>) -> Result<()> {
    for key in ["ipv4.ip_forward", "ipv6.conf.all.forwarding", "ipv4.conf.all.proxy_arp", "ipv6.conf.all.proxy_ndp"] {
        ns.sysctl(&format!("net.{key}"), "1")?;
    }
    let mut lines = Vec::new();
    for device in ["near", "far"] {
        ns.sysctl(&format!("net.ipv6.conf.{device}.proxy_ndp"), "1")?;
        for family in ["ipv4", "ipv6"] {
            ns.sysctl(&format!("net.{family}.neigh.{device}.proxy_delay"), "0")?;
        }
        lines.push(format!("link set {device} up"));
    }
    // Addresses of its own, so that it can ask for its neighbours.
    lines.push(format!("addr add {}/32 dev near", address(net, 251, Family::V4)));
    lines.push(format!("addr add {}/32 dev far", address(net, 252, Family::V4)));
    for family in FAMILIES {
        let (client, edge) = (address(net, 2, family), address(net, 1, family));
        let most = mtu.filter(|_| family == Family::V4).map(|mtu| format!(" mtu {mtu}")).unwrap_or_default();
        lines.push(format!("route add {client} dev near{most}"));
        lines.push(format!("route add {edge} dev far{most}"));
        lines.push(format!("route add default via {edge} dev far{most}"));
        if family == Family::V6 {
            lines.push(format!("neigh add proxy {edge} dev near"));
            lines.push(format!("neigh add proxy {client} dev far"));
        }
    }
    ns.ip_batch(&lines)
}
