//! Links: the filter of return paths, offloads, and what others have hooked into them.

use anabranch_config::Config;

use super::super::facts::Names;
use super::super::{Facts, Finding, Key, Mend};
use super::{list, steers};

const ALL: &str = "net/ipv4/conf/all/rp_filter";
const STRICT: u64 = 1;
const LOOSE: u64 = 2;
/// Queueing disciplines that hold packets back.
const SHAPING: &[&str] = &["htb", "hfsc", "tbf", "cake", "netem", "cbq", "qfq", "drr", "ets", "prio"];

pub(super) fn all(config: &Config, facts: &Facts) -> Vec<Finding> {
    vec![
        rp_filter(facts),
        offload(facts),
        table(config, facts),
        device(config, facts),
        hooks(config, facts),
        qdisc(facts),
    ]
}

fn filter_of(link: &str) -> String {
    format!("net/ipv4/conf/{link}/rp_filter")
}

/// The kernel takes the stricter word of the link's own and the one for all; 2 is the greater number, and the looser.
fn rp_filter(facts: &Facts) -> Finding {
    let why =
        "with several access networks an answer may leave over another link than the question came by, and is dropped";
    let ok = |evidence: String| Finding::ok("rp-filter", evidence, why);
    let lines: Vec<_> = facts.lines().filter(|link| link.addresses.iter().any(std::net::IpAddr::is_ipv4)).collect();
    let overall = facts.number(ALL).unwrap_or_default();
    let of = |link: &str| facts.number(&filter_of(link)).unwrap_or_default().max(overall);
    let strict: Vec<_> = lines.iter().map(|link| link.name.as_str()).filter(|link| of(link) == STRICT).collect();
    match (lines.len(), &strict[..]) {
        (_, []) => ok("strict nowhere".to_owned()),
        (1, _) => ok(format!("strict on {}, the only link with an IPv4 address", list(&strict))),
        (count, _) => {
            let settings = strict.iter().map(|link| (Key::new(&filter_of(link)), LOOSE.to_string()));
            ok(format!("strict on {}, of {count} links", list(&strict))).fail(Mend::Sysctls(settings.collect()))
        }
    }
}

fn offload(facts: &Facts) -> Finding {
    let ok = |evidence: String| {
        Finding::ok("offload", evidence, "without TSO and GRO every 1500 bytes cost what 64 KiB cost with them")
    };
    let of = |off: fn(&super::super::facts::Link) -> bool| {
        facts.lines().filter(|link| off(link)).map(|link| link.name.as_str()).collect::<Vec<_>>()
    };
    let kinds = [
        ("TSO", "tso", of(|link| link.segmentation == Some(false))),
        ("GRO", "gro", of(|link| link.receive == Some(false))),
    ];
    let kinds: Vec<_> = kinds.iter().filter(|(_, _, links)| !links.is_empty()).collect();
    if kinds.is_empty() {
        return ok("TSO and GRO are on wherever a link says".to_owned());
    }
    let words = kinds.iter().map(|(word, _, links)| format!("{word} is off on {}", links.join(" and ")));
    let lines =
        kinds.iter().flat_map(|(_, flag, links)| links.iter().map(move |link| format!("ethtool -K {link} {flag} on")));
    ok(list(words)).advise(Mend::Command(lines.collect::<Vec<_>>().join(" && ")))
}

fn table(config: &Config, facts: &Facts) -> Finding {
    let name = format!("table netdev {}", config.steering.table);
    let ok = |evidence: String| {
        Finding::ok("nft-table", evidence, "anabranch touches no table of somebody else's, and caps nothing then")
    };
    taken(
        config,
        facts,
        (&name, "table", (&format!("nft list {name}"), &format!("nft delete {name}"))),
        |names| names.foreign_table.as_deref(),
        ok,
    )
}

fn device(config: &Config, facts: &Facts) -> Finding {
    let name = config.steering.device.as_str();
    let ok = |evidence: String| {
        Finding::ok("device", evidence, "anabranch touches no device of somebody else's, and caps nothing then")
    };
    taken(
        config,
        facts,
        (name, "device", (&format!("ip -details link show {name}"), &format!("ip link delete {name}"))),
        |names| names.foreign_device.as_deref(),
        ok,
    )
}

/// Whether a name of ours is somebody else's.
fn taken(
    config: &Config,
    facts: &Facts,
    (name, key, (show, delete)): (&str, &str, (&str, &str)),
    foreign: impl Fn(&Names) -> Option<&str>,
    ok: impl Fn(String) -> Finding,
) -> Finding {
    match facts.names.as_ref().map(foreign) {
        Err(error) => ok(format!("not known: {error}")).out_of_sight(facts),
        Ok(None) => ok(format!("{name} is free, or ours")),
        Ok(Some(words)) => {
            let finding = ok(format!("{name} is somebody else's: {words}"));
            // It may be in use: its owner decides, and another name does as well.
            let whose = format!(
                "{show}  # whose is it? Name another in steering.{key}; or, if it is of no use to anybody: {delete}"
            );
            let mend = Mend::Command(whose);
            if steers(config) && !config.steering.adopt { finding.fail(mend) } else { finding.advise(mend) }
        }
    }
}

/// What of others meets the same packets as our table. The device that is ours is not theirs.
fn hooks(config: &Config, facts: &Facts) -> Finding {
    let ok = |evidence: String| {
        Finding::ok("hooks", evidence, "what takes a packet away before our table has seen it takes it from its policy")
    };
    let ours = config.steering.device.as_str();
    let tables = facts.chains.iter().filter(|(_, link)| link != ours);
    let tables = tables
        .map(|(table, link)| (format!("table netdev {table} on {link}"), format!("nft list table netdev {table}")));
    let clsact = facts.hooks.iter().filter(|(link, _)| link != ours);
    let clsact = clsact.map(|(link, kind)| (format!("{kind} on {link}"), format!("tc filter show dev {link} ingress")));
    let (words, lines): (Vec<_>, Vec<_>) = tables.chain(clsact).unzip();
    match lines.first() {
        None => ok("nobody else's".to_owned()),
        Some(line) => ok(list(words)).advise(Mend::Command(line.clone())),
    }
}

fn qdisc(facts: &Facts) -> Finding {
    let ok = |evidence: String| {
        Finding::ok("qdisc", evidence, "a shaper behind ours holds a whole connection up by its slowest subflow")
    };
    let kind = |link: &&super::super::facts::Link| link.qdisc.as_deref().is_some_and(|kind| SHAPING.contains(&kind));
    let shaped: Vec<_> = facts.lines().filter(kind).collect();
    match shaped.first() {
        None => ok("no link is shaped".to_owned()),
        Some(first) => {
            let words =
                shaped.iter().map(|link| format!("{} on {}", link.qdisc.as_deref().unwrap_or_default(), link.name));
            ok(list(words)).advise(Mend::Command(format!("tc -s qdisc show dev {}", first.name)))
        }
    }
}
