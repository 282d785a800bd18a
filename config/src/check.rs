//! What one section alone cannot know: names given twice, addresses taken twice, doors left open; and the warnings.
//!
//! Called by `parse` once every section is read. Reports into the sections; decides nothing about a single value.

mod policies;

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use crate::unit::Prefix;
use crate::{Config, Listener, Path, Read, Subscriber, Warning};
pub(crate) use policies::{Named, policies};

/// The listeners among themselves.
pub(crate) fn listeners(sections: &[Read<'_, Listener>]) {
    unique(sections, |listener| listener.name.as_str());
    for (index, (section, listener)) in sections.iter().enumerate() {
        let Some(listener) = listener else { continue };
        let before = sections[..index].iter().filter_map(|(section, other)| Some((section, other.as_ref()?)));
        for (other_section, other) in before {
            if clash(listener, other) {
                let what = format!("{} already listens there, at {}", other_section.title(), other.address);
                section.refuse("address", &what, "expected another port, or an address that overlaps no other");
            }
        }
        if listener.credentials.is_none() && !listener.address.ip().is_loopback() && is_world(&listener.clients) {
            let fix = "name the prefixes of your clients, or ask for credentials (credentials = \"users\")";
            section.refuse("clients", "an open proxy: the whole Internet may use it without credentials", fix);
        }
    }
}

/// The paths among themselves.
pub(crate) fn paths(sections: &[Read<'_, Path>]) {
    unique(sections, |path| path.name.as_str());
    let ways = |path: &Path| -> Vec<_> {
        let interface = path.interface.clone();
        if path.client.is_empty() {
            return vec![(None, interface)];
        }
        path.client.iter().map(|prefix| (Some(*prefix), interface.clone())).collect()
    };
    same_twice(sections, ways, |path| if path.client.is_empty() { "interface" } else { "client" });
}

/// The subscribers among themselves.
pub(crate) fn subscribers(sections: &[Read<'_, Subscriber>]) {
    unique(sections, |subscriber| subscriber.name.as_str());
    same_twice(sections, |subscriber| subscriber.client.clone(), |_| "client");
}

/// Refuses the second of two equal names.
fn unique<T>(sections: &[Read<'_, T>], name: impl Fn(&T) -> &str) {
    let mut seen = std::collections::HashSet::new();
    for (section, value) in sections {
        let Some(value) = value else { continue };
        if !seen.insert(name(value)) {
            section.refuse("name", "used before", "expected a name of its own");
        }
    }
}

/// Refuses the second section that claims the same thing.
fn same_twice<T, K: Eq + std::hash::Hash>(
    sections: &[Read<'_, T>],
    claims: impl Fn(&T) -> Vec<K>,
    key: impl Fn(&T) -> &'static str,
) {
    let mut seen = std::collections::HashMap::new();
    for (index, (section, value)) in sections.iter().enumerate() {
        let Some(value) = value else { continue };
        for claim in claims(value) {
            let first = *seen.entry(claim).or_insert(index);
            if first != index {
                let what = format!("{} matches exactly the same", sections[first].0.title());
                section.refuse(key(value), &what, "expected something that tells the two apart");
                break;
            }
        }
    }
}

/// Whether the kernel (or the reader of an access list) could not tell two listeners apart.
fn clash(a: &Listener, b: &Listener) -> bool {
    let port = a.address.port();
    port != 0 && port == b.address.port() && (covers(a, b.address) || covers(b, a.address))
}

/// Whether the listener also takes what is sent to the address.
fn covers(listener: &Listener, address: SocketAddr) -> bool {
    match (listener.address.ip(), address.ip()) {
        (IpAddr::V6(ours), IpAddr::V4(_)) => ours.is_unspecified() && !listener.ipv6_only,
        (ours, theirs) => ours == theirs || ours.is_ipv4() == theirs.is_ipv4() && ours.is_unspecified(),
    }
}

/// Whether the prefixes together hold all of the IPv4 or all of the IPv6 Internet.
fn is_world(prefixes: &[Prefix]) -> bool {
    // The unicast addresses that are given out: 1.0.0.0-223.255.255.255 (RFC 1122 §3.2.1.3 takes the rest) and 2000::/3 (RFC 4291 §2.4).
    const V4: &[&str] = &[
        "1.0.0.0/8",
        "2.0.0.0/7",
        "4.0.0.0/6",
        "8.0.0.0/5",
        "16.0.0.0/4",
        "32.0.0.0/3",
        "64.0.0.0/2",
        "128.0.0.0/2",
        "192.0.0.0/3",
    ];
    const V6: &[&str] = &["2000::/3"];
    // Aggregation leaves the largest prefixes there are, so whatever the union holds is inside one of them.
    let union = IpNet::aggregate(&prefixes.iter().map(|prefix| prefix.net()).collect());
    let holds = |text: &&str| {
        let part: IpNet = text.parse().expect("the constants above are prefixes");
        union.iter().any(|net| net.contains(&part))
    };
    V4.iter().all(holds) || V6.iter().all(holds)
}

impl Config {
    /// What is allowed but should be known; in the order of the file.
    pub fn warnings(&self) -> Vec<Warning> {
        let mut warnings = Vec::new();
        for listener in &self.listeners {
            let mut warn = |what: &str| {
                let subject = format!("listener \"{}\"", listener.name);
                warnings.push(Warning { subject, what: what.to_owned() });
            };
            let remote = !listener.address.ip().is_loopback();
            if remote && listener.credentials.is_some() && listener.tls.is_none() {
                warn(
                    "passwords cross the network in the clear; give the listener a certificate (tls = { certificate, key })",
                );
            }
            if remote && listener.clients.iter().all(|prefix| prefix.is_loopback()) {
                warn(
                    "listens to the network but lets only this machine in; name its users (clients = [\"10.0.0.0/8\"])",
                );
            }
        }
        let credentials = self.listeners.iter().any(|listener| listener.credentials.is_some());
        for subscriber in self.subscribers.iter().filter(|subscriber| subscriber.client.is_empty() && !credentials) {
            warnings.push(Warning {
                subject: format!("subscriber \"{}\"", subscriber.name),
                what: "matches nobody: it has no \"client\", and no listener asks for credentials".to_owned(),
            });
        }
        warnings.extend(policies::warnings(self));
        warnings
    }
}

#[cfg(test)]
mod tests;
