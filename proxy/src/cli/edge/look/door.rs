//! Listeners: can their addresses be had, and if a running anabranch has them, does it answer?

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use anabranch_config::Config;
use anabranch_deploy::edge::facts::{Door, Link, Listener};

use super::process::Running;
use crate::http::chain;
use crate::listen::{ListenError, refuse_taken};

/// An address of this machine answers at once, unless something is in the way.
const PATIENCE: Duration = Duration::from_millis(500);
/// So many addresses are tried: an edge may have thousands.
const ADDRESSES: usize = 16;

/// Tries every listener.
pub(super) fn try_all(config: &Config, running: &[Running], links: &[Link]) -> Vec<Listener> {
    let of = |listener: &anabranch_config::Listener| {
        let has = |(name, address): &&(String, SocketAddr)| {
            // The one that runs may have been told another name; port 0 is whichever it got.
            let chosen = listener.address.port() == 0 && name == listener.name.as_str();
            *address == listener.address || (chosen && address.ip() == listener.address.ip())
        };
        let door = match running.iter().flat_map(|one| &one.listeners).find(has) {
            Some((_, address)) => reach(*address, listener.ipv6_only, links),
            None => bind(listener),
        };
        Listener { name: listener.name.to_string(), door }
    };
    config.listeners.iter().map(of).collect()
}

/// Connects to each address where a listener of ours ought to answer.
fn reach(address: SocketAddr, ipv6_only: bool, links: &[Link]) -> Door {
    let (mut answers, mut silent) = (Vec::new(), Vec::new());
    let own = links.iter().filter(|link| link.up).flat_map(|link| link.addresses.iter().copied());
    let all: Vec<IpAddr> = if address.ip().is_unspecified() {
        let families = |ip: &IpAddr| ip.is_ipv6() == address.is_ipv6() || (address.is_ipv6() && !ipv6_only);
        let local = |ip: &IpAddr| matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
        let loopback: IpAddr = if address.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
        let others = own.filter(families).filter(|ip| !local(ip) && !ip.is_loopback());
        std::iter::once(loopback).chain(others).take(ADDRESSES).collect()
    } else {
        vec![address.ip()]
    };
    for ip in all {
        let to = SocketAddr::new(ip, address.port());
        let reached = TcpStream::connect_timeout(&to, PATIENCE).is_ok();
        if reached { &mut answers } else { &mut silent }.push(to);
    }
    Door::Ours { answers, silent }
}

/// Tries whether the address can be had, and lets it go again.
fn bind(listener: &anabranch_config::Listener) -> Door {
    let Err(error) = refuse_taken(listener) else { return Door::Free };
    let kind = match &error {
        ListenError::Call { source, .. } => Some(source.kind()),
        ListenError::NoMptcp { .. } => None,
    };
    match kind {
        Some(ErrorKind::AddrInUse) => Door::Taken,
        Some(ErrorKind::AddrNotAvailable) => Door::Elsewhere,
        Some(ErrorKind::PermissionDenied) => Door::Denied,
        _ => Door::Failed(chain(&error)),
    }
}
