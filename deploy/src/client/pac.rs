//! Proxy auto-configuration: the rules of `[pac]` as the function browsers call.
//!
//! In ECMAScript 3 and with the oldest helper functions only: engines differ in everything newer. No name is resolved, for a browser would
//! wait for that before every request.

use std::fmt::Write as _;
use std::net::SocketAddr;

use anabranch_config::{Pac, PacHop, Prefix};

/// What the file is served as.
pub const CONTENT_TYPE: &str = "application/x-ns-proxy-autoconfig";

/// The script. `here` is what is tried first where the rules name nothing.
#[must_use]
pub fn script(pac: &Pac, here: &PacHop) -> String {
    let chain = match &pac.chain[..] {
        [] => format!("{here}; DIRECT"),
        chain => chain.iter().map(PacHop::as_str).collect::<Vec<_>>().join("; "),
    };
    let mut out = String::from("function FindProxyForURL(url, host) {\n  host = host.toLowerCase();\n");
    out.push_str("  if (host.charAt(0) == \"[\") host = host.substring(1, host.length - 1);\n");
    // The proxy refuses these, and carries no other schemes.
    out.push_str("  if (isPlainHostName(host) && host.indexOf(\":\") < 0) return \"DIRECT\";\n");
    out.push_str("  if (!/^(https?|wss?):/i.test(url)) return \"DIRECT\";\n");
    out.push_str("  if (/^(127\\.|169\\.254\\.|0\\.)/.test(host) && /^[0-9.]+$/.test(host)) return \"DIRECT\";\n");
    out.push_str("  if (host == \"::1\" || /^fe[89ab][0-9a-f]:/.test(host)) return \"DIRECT\";\n");
    for domain in pac.direct_domains.iter().map(|domain| domain.as_str()).chain(["localhost", "local"]) {
        writeln!(out, "  if (host == \"{domain}\" || dnsDomainIs(host, \".{domain}\")) return \"DIRECT\";")
            .unwrap_or_default();
    }
    for prefix in &pac.direct_networks {
        out.push_str(&network(prefix));
    }
    writeln!(out, "  return \"{chain}\";\n}}").unwrap_or_default();
    if pac.direct_networks.iter().any(|prefix| prefix.net().addr().is_ipv6()) {
        out.push_str(BITS);
    }
    out
}

/// The hop that leads back to where the file came from: as the client called it, where that can be trusted to be a name and a port, else the
/// address it reached.
#[must_use]
pub fn here(host: Option<&str>, reached: SocketAddr) -> PacHop {
    let canonical = SocketAddr::new(reached.ip().to_canonical(), reached.port());
    let by_address = || format!("PROXY {canonical}").parse().expect("an address and its port are a place");
    let Some(host) = host else { return by_address() };
    let host = host.to_ascii_lowercase();
    // A client that looks for its proxy calls it wpad, which says nothing to those that do not search there.
    if host == "wpad" || host.starts_with("wpad.") || host.starts_with("wpad:") {
        return by_address();
    }
    let with_port = if has_port(&host) { host } else { format!("{host}:{}", reached.port()) };
    format!("PROXY {with_port}").parse().unwrap_or_else(|_| by_address())
}

fn has_port(host: &str) -> bool {
    host.rsplit_once(':').is_some_and(|(before, _)| !before.starts_with('[') || before.ends_with(']'))
}

/// One line that recognises the addresses of a network.
fn network(prefix: &Prefix) -> String {
    match prefix.net() {
        ipnet::IpNet::V4(net) => format!(
            "  if (/^[0-9.]+$/.test(host) && isInNet(host, \"{}\", \"{}\")) return \"DIRECT\";\n",
            net.network(),
            net.netmask()
        ),
        ipnet::IpNet::V6(net) => {
            let bits: String = net.network().octets().iter().map(|octet| format!("{octet:08b}")).collect();
            let bits = &bits[..usize::from(net.prefix_len())];
            format!("  if (host.indexOf(\":\") >= 0 && bits(host).indexOf(\"{bits}\") == 0) return \"DIRECT\";\n")
        }
    }
}

/// The bits of an IPv6 address as text: there is no helper for it that all engines have.
const BITS: &str = r#"
function bits(address) {
  var halves = address.split("::");
  var head = halves[0] ? halves[0].split(":") : [];
  var tail = halves.length > 1 && halves[1] ? halves[1].split(":") : [];
  while (head.length + tail.length < 8) head.push("0");
  var groups = head.concat(tail);
  var out = "";
  for (var i = 0; i < 8; i++) {
    var text = parseInt(groups[i], 16).toString(2);
    while (text.length < 16) text = "0" + text;
    out += text;
  }
  return out;
}
"#;

#[cfg(test)]
mod tests;
