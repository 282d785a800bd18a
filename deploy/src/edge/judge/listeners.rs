//! Listeners: whether they can be had and reached, and whether names are answered.

use std::net::IpAddr;

use anabranch_config::{Config, Listener};

use super::super::facts::Door;
use super::super::{Facts, Finding, Mend};
use super::list;

pub(super) fn all(config: &Config, facts: &Facts) -> Vec<Finding> {
    let mut found: Vec<_> = config.listeners.iter().map(|listener| judge(config, facts, listener)).collect();
    found.push(dns(config, facts));
    found
}

fn judge(config: &Config, facts: &Facts, listener: &Listener) -> Finding {
    let (name, address) = (&listener.name, listener.address);
    let why = "where no listener is, clients and their joins are refused";
    let ok = |evidence: String| Finding::ok(format!("listener-{name}"), evidence, why);
    let command = |line: String| Mend::Command(line);
    let door = facts.listeners.iter().find(|seen| seen.name == name.as_str()).map(|seen| &seen.door);
    let evidence = match door {
        None => return ok(format!("{address} was not tried")),
        Some(Door::Taken) => {
            return ok(format!("somebody else listens on {address}"))
                .fail(command(format!("ss -ltnp 'sport = :{}'", address.port())));
        }
        Some(Door::Elsewhere) => {
            return ok(format!("no interface has {}", address.ip())).fail(command("ip -brief address".to_owned()));
        }
        Some(Door::Denied) => {
            let line = format!("setcap cap_net_bind_service=ep {}", facts.capabilities.program);
            return ok(format!("{address} may not be listened on")).fail(command(line));
        }
        Some(Door::Failed(error)) => {
            let line = format!("ss -ltnp 'sport = :{}'", address.port());
            return ok(format!("{address}: {error}")).fail(command(line));
        }
        Some(Door::Ours { silent, .. }) if !silent.is_empty() => {
            let line = "nft list ruleset".to_owned();
            return ok(format!("anabranch listens on {address}, and does not answer on {}", list(silent)))
                .fail(command(line));
        }
        Some(Door::Ours { answers, .. }) => format!("anabranch answers on {}", list(answers)),
        Some(Door::Free) => format!("{address} is free"),
    };
    // In quotes, so that no other address is hit.
    let everywhere = || command(format!("sed -i 's|\"{address}\"|\"[::]:{}\"|' {}", address.port(), facts.config_file));
    if let Some(left_out) = left_out(config, facts, listener) {
        return ok(format!("{evidence}; bound to one address, it is not at {left_out}")).fail(everywhere());
    }
    if address.ip().is_loopback() {
        let line = format!(
            "${{EDITOR:-vi}} {}  # address = \"[::]:{}\", and in clients who may use it",
            facts.config_file,
            address.port()
        );
        return ok(format!("{evidence}; only this machine reaches it")).advise(command(line));
    }
    ok(evidence)
}

/// Where clients of a path arrive, and a listener bound to one address is not: `None` if it is wherever they do.
fn left_out(config: &Config, facts: &Facts, listener: &Listener) -> Option<String> {
    let bound = listener.address.ip();
    if bound.is_unspecified() || bound.is_loopback() {
        return None;
    }
    let arrive = config.paths.iter().flat_map(|path| {
        let on = move |link: &str| path.interface.as_ref().is_none_or(|interface| interface.as_str() == link);
        facts.lines().filter(move |link| on(&link.name)).filter_map(move |link| {
            let here = |ip: &&IpAddr| path.client.is_empty() || path.client.iter().any(|prefix| prefix.contains(**ip));
            let mut addresses = link.addresses.iter().filter(|ip| ip.is_ipv4() == bound.is_ipv4()).filter(here);
            // A link that has the address is one where the listener is.
            if link.addresses.contains(&bound) { None } else { addresses.next().map(|ip| (path, link, *ip)) }
        })
    });
    let words =
        arrive.map(|(path, link, ip)| format!("{ip} on {}, where clients of path {} arrive", link.name, path.name));
    let words: Vec<_> = words.collect();
    (!words.is_empty()).then(|| list(words))
}

fn dns(config: &Config, facts: &Facts) -> Finding {
    let ok = |evidence: String| Finding::ok("dns", evidence, "a client names its server, and the proxy has to find it");
    let servers = list(&facts.dns.servers);
    match &facts.dns.answer {
        Ok(answer) => ok(format!("{servers}: {} is {answer}", facts.dns.name)),
        Err(error) => {
            let own = !config.resolver.servers.is_empty();
            let file = if own { facts.config_file.as_str() } else { "/etc/resolv.conf" };
            let ask = facts.dns.servers.first().map_or_else(String::new, |server| {
                format!("  # then: dig -p {} @{} {}", server.port(), server.ip(), facts.dns.name)
            });
            let line = format!("${{EDITOR:-vi}} {file}{ask}");
            ok(format!("{servers}: no answer for {}: {error}", facts.dns.name)).fail(Mend::Command(line))
        }
    }
}
