//! What there is and what is wanted in; the steps between the two out.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::IpAddr;

use super::files::{DHCPCD, MARK, files, to_be_loaded};
use super::programs::programs;
use super::{Keeper, Step, Wanted};
use crate::client::seen::{Net, Seen, Way};

/// The first of our tables; one a link follows.
const FIRST_TABLE: u32 = 7301;
/// Where our rules stand: before `main` (32766) and before what most VPNs put there, behind VRFs (1000).
const PRIORITY: u32 = 7300;
/// The kernel takes no more endpoints, and no higher limits.
const MOST: usize = 8;

/// Steps, and what a person should know beside them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// What leads to the Internet, in words.
    pub found: Vec<String>,
    /// The steps, in order; each could be typed.
    pub steps: Vec<Step>,
    /// What is left alone, and why.
    pub notes: Vec<String>,
    /// How programs that know nothing of MPTCP get it, in words.
    pub programs: String,
}

impl Plan {
    /// For a reader.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::new();
        for (mark, lines) in [("found", &self.found), ("note ", &self.notes)] {
            for line in lines {
                writeln!(out, "{mark} {line}").unwrap_or_default();
            }
        }
        for step in &self.steps {
            writeln!(out, "{}", step.line()).unwrap_or_default();
        }
        if self.steps.is_empty() {
            out.push_str("nothing is left to do\n");
        }
        out
    }
}

/// What is to be done. `has` tells the text of files that are there; `keeper` is who runs the network, `None`: only the running kernel is
/// meant, files are as they are to be.
#[must_use]
pub fn plan(seen: &Seen, wanted: &Wanted, keeper: Option<Keeper>, has: impl Fn(&str) -> Option<String>) -> Plan {
    let mut plan = Plan::default();
    let ways = seen.ways(&wanted.links);
    for (link, why) in &ways.idle {
        plan.notes.push(format!("{link} {why}: left out"));
    }
    let mut usable: Vec<&Way> = Vec::new();
    for way in &ways.ways {
        let via =
            way.gateway.map_or_else(|| "a link between two ends".to_owned(), |gateway| format!("gateway {gateway}"));
        if let Some(other) = usable.iter().find(|other| other.net.address == way.net.address) {
            let both = format!("{} and {} have the same address {}", other.link, way.link, way.net.address);
            plan.notes.push(format!("{both}: packets cannot be told apart by it; {} is left out", way.link));
            continue;
        }
        plan.found.push(format!("{} {}/{}, {via}", way.link, way.net.address, way.net.length));
        usable.push(way);
    }
    if seen.mptcp.is_none() {
        plan.notes.push("this kernel has no MPTCP: the proxy is used over one link at a time".to_owned());
    }
    // Of one way there is nothing to add up, and the main table knows it.
    let several = |way: &&&Way| {
        usable.iter().filter(|other| other.net.address.is_ipv4() == way.net.address.is_ipv4()).count() > 1
    };
    let used: Vec<_> = usable.iter().filter(several).copied().collect();
    if used.is_empty() {
        plan.notes.push("no family has more than one link: nothing to add up yet".to_owned());
    }
    if seen.mptcp == Some(false) {
        plan.steps.push(sysctl("net.mptcp.enabled", "0", "1"));
    }
    if seen.path_manager.as_deref() == Some("userspace") {
        let words = "a program manages paths here (net.mptcp.path_manager userspace): endpoints say nothing to it";
        plan.notes.push(format!("{words}; if none runs: sysctl -w net.mptcp.path_manager=kernel"));
    }
    routing(seen, &used, &mut plan);
    if seen.mptcp.is_some() {
        paths(seen, &used, &mut plan);
    }
    programs(seen, wanted, &mut plan);
    if let Some(keeper) = keeper {
        if keeper == Keeper::Ifupdown && has(DHCPCD).is_some_and(|text| !text.starts_with(MARK)) {
            let words = "dhcpcd does not have this done again";
            plan.notes.push(format!(
                "/{DHCPCD} is somebody else's, and left alone: {words} unless it runs client setup --again"
            ));
        }
        let files = files(wanted, keeper, has);
        plan.notes.extend(to_be_loaded(&files));
        plan.steps.extend(files);
        if keeper == Keeper::Nobody {
            plan.notes
                .push("nobody runs the network here who would have this done again: do it at every boot".to_owned());
        }
    }
    plan
}

fn sysctl(key: &str, former: &str, value: &str) -> Step {
    Step::Sysctl { key: key.to_owned(), former: former.to_owned(), value: value.to_owned() }
}

/// Routes and rules.
fn routing(seen: &Seen, ways: &[&Way], plan: &mut Plan) {
    let mut taken: BTreeSet<u32> =
        seen.routes.iter().map(|route| route.table).chain(seen.rules.iter().map(|rule| rule.table)).collect();
    let mut tables: BTreeMap<u32, u32> = BTreeMap::new();
    for way in ways {
        let rule = seen.rules.iter().find(|rule| rule.from == Some(Net::only(way.net.address)));
        if let Some(rule) = rule {
            let leads = leads(seen, rule.table, way);
            let ours = rule.priority == PRIORITY;
            if leads {
                plan.notes.push(format!("{} is sent to table {} already", way.net.address, rule.table));
            } else if ours {
                // The routes went when the link did.
                plan.steps.extend(routes(seen, way, rule.table));
            } else {
                let words = format!("a rule that is not ours sends {} to table {}", way.net.address, rule.table);
                plan.notes.push(format!("{words}, which does not lead to {}: left alone", way.link));
            }
            continue;
        }
        // Both families of a link go by one number, as long as it is not somebody's.
        let table = *tables.entry(way.index).or_insert_with(|| {
            let number = ours(seen, way)
                .unwrap_or_else(|| (FIRST_TABLE..).find(|number| !taken.contains(number)).unwrap_or(FIRST_TABLE));
            taken.insert(number);
            number
        });
        if !leads(seen, table, way) {
            plan.steps.extend(routes(seen, way, table));
        }
        plan.steps.push(Step::Rule { from: way.net.address, table, priority: PRIORITY });
    }
}

/// A table of ours that this link has already: another address of it was set up before, or only the rule has gone, as systemd-networkd
/// has all rules that are not its own go when it configures any link.
fn ours(seen: &Seen, way: &Way) -> Option<u32> {
    let tables = seen.rules.iter().filter(|rule| rule.priority == PRIORITY).map(|rule| rule.table);
    tables
        .chain(seen.tables.iter().copied())
        .find(|&table| seen.routes.iter().any(|route| route.table == table && route.interface == Some(way.index)))
}

/// Whether a table's default route leads over the link, in the address's family.
fn leads(seen: &Seen, table: u32, way: &Way) -> bool {
    let default = Net::everything(way.net.address);
    seen.routes.iter().any(|route| route.table == table && route.to == default && route.interface == Some(way.index))
}

fn routes(seen: &Seen, way: &Way, table: u32) -> Vec<Step> {
    let address = way.net.address;
    let whole = if address.is_ipv4() { 32 } else { 128 };
    let route = |to: Net, gateway: Option<IpAddr>, source: Option<IpAddr>| Step::Route {
        table,
        to,
        gateway,
        source,
        link: way.link.clone(),
    };
    let mut steps = Vec::new();
    let there = |to: Net| seen.routes.iter().any(|route| route.table == table && route.to == to);
    // Neighbours on the link are not to be sent to the router.
    let neighbours = way.net.network();
    if way.net.length < whole && !there(neighbours) {
        steps.push(route(neighbours, None, address.is_ipv4().then_some(address)));
    }
    steps.push(route(Net::everything(address), way.gateway, None));
    steps
}

/// Limits and endpoints.
fn paths(seen: &Seen, ways: &[&Way], plan: &mut Plan) {
    let of = |v4: bool| ways.iter().filter(|way| way.net.address.is_ipv4() == v4).count();
    let most = of(true).max(of(false)).min(MOST);
    // One more than the links beside the first: for an address that the proxy announces.
    let (subflows, accepted) = (u32::try_from(most).unwrap_or(0), u32::from(most > 0));
    if let Some(former) = seen.limits
        && (former.0 < subflows || former.1 < accepted)
    {
        plan.steps.push(Step::Limits { former, set: (former.0.max(subflows), former.1.max(accepted)) });
    }
    let mut room = MOST.saturating_sub(seen.endpoints.len());
    for way in ways {
        match seen.endpoints.iter().find(|endpoint| endpoint.address == way.net.address) {
            Some(endpoint) if endpoint.subflow => {}
            Some(_) => {
                plan.notes.push(format!(
                    "{} is an endpoint of somebody else's, not for subflows: left alone",
                    way.net.address
                ));
            }
            None if room == 0 => {
                plan.notes.push(format!("eight endpoints are all there can be: {} is none", way.net.address))
            }
            None => {
                room -= 1;
                plan.steps.push(Step::Endpoint { address: way.net.address, link: way.link.clone() });
            }
        }
    }
}
