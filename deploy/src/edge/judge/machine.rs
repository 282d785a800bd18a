//! The machine: descriptors, connection tracking, capabilities, the clock.

use anabranch_config::{Action, Config, Role};

use super::super::facts::Capabilities;
use super::super::{Facts, Finding, Mend};
use super::{list, steers};

const NR_OPEN: &str = "fs/nr_open";
const FILE_MAX: &str = "fs/file-max";
const TRACKED: &str = "net/netfilter/nf_conntrack_count";
const TRACKED_MOST: &str = "net/netfilter/nf_conntrack_max";
const UNPRIVILEGED: &str = "net/ipv4/ip_unprivileged_port_start";

/// A session has two, and the process has some of its own: as `run` counts them when it warns.
const DESCRIPTORS_A_SESSION: u64 = 2;
const DESCRIPTORS_BESIDE: u64 = 256;
/// Two subflows from the client, and the connection to the server.
const FLOWS_A_SESSION: u64 = 3;
/// Of so many parts of the table, all but one may be taken.
const TABLE_PARTS: u64 = 10;
/// 2025-01-01 and 2100-01-01: nobody ran this before, nobody will after.
const CLOCK: std::ops::Range<i64> = 1_735_689_600..4_102_444_800;

pub(super) fn all(config: &Config, facts: &Facts) -> Vec<Finding> {
    vec![
        descriptors(config, facts),
        files(config, facts),
        tracking(config, facts),
        capabilities(config, facts),
        clock(facts),
    ]
}

fn wanted(config: &Config) -> u64 {
    u64::from(config.limits.connections) * DESCRIPTORS_A_SESSION + DESCRIPTORS_BESIDE
}

fn descriptors(config: &Config, facts: &Facts) -> Finding {
    let (wanted, hard) = (wanted(config), facts.descriptors.hard);
    let evidence =
        format!("{} may have {hard}; {} connections take {wanted}", facts.descriptors.whose, config.limits.connections);
    let ok = Finding::ok("descriptors", evidence, "a client that comes when they are used up is not accepted");
    if hard >= wanted {
        return ok;
    }
    ok.fail(Mend::Descriptors { count: wanted.next_power_of_two(), options: facts.options.clone() })
}

fn files(config: &Config, facts: &Facts) -> Finding {
    let wanted = wanted(config);
    let ok = |evidence: String| {
        Finding::ok("open-files", evidence, "no limit of a process may be above what the kernel grants")
    };
    for (path, key) in [(NR_OPEN, "fs.nr_open"), (FILE_MAX, "fs.file-max")] {
        if let Some(most) = facts.number(path).filter(|&most| most < wanted) {
            return ok(format!("{key} = {most}, and {wanted} may be needed"))
                .fail(Mend::sysctl(path, wanted.next_power_of_two()));
        }
    }
    let number = |path| facts.number(path).map_or_else(|| "unknown".to_owned(), |number| number.to_string());
    ok(format!("fs.nr_open = {}, fs.file-max = {}", number(NR_OPEN), number(FILE_MAX)))
}

fn tracking(config: &Config, facts: &Facts) -> Finding {
    let ok = |evidence: String| {
        Finding::ok("conntrack", evidence, "when the table is full, new connections are dropped without a word")
    };
    let Some(most) = facts.number(TRACKED_MOST) else {
        return ok("connections are not tracked".to_owned());
    };
    let wanted = u64::from(config.limits.connections) * FLOWS_A_SESSION;
    let count = facts.number(TRACKED).unwrap_or_default();
    let evidence =
        format!("{count} of {most} entries are taken; {} connections take {wanted}", config.limits.connections);
    let mend = Mend::sysctl(TRACKED_MOST, wanted.max(most.saturating_mul(2)).next_power_of_two());
    if count >= most - most / TABLE_PARTS {
        ok(evidence).fail(mend)
    } else if most < wanted {
        ok(evidence).advise(mend)
    } else {
        ok(evidence)
    }
}

/// A capability, what it is for, and whether there is no going without.
type Need = (&'static str, &'static str, bool);

fn needs(config: &Config, facts: &Facts) -> Vec<Need> {
    let mut needs = Vec::new();
    let watches = config.process.role != Role::Proxy;
    if watches && (config.sniffer.kernel || steers(config)) {
        needs.push(("CAP_NET_ADMIN", "to hear the path manager's events and to steer", steers(config)));
    }
    if watches && !config.sniffer.interfaces.is_empty() {
        needs.push(("CAP_NET_RAW", "to read packets of sniffer.interfaces", true));
    }
    let paces =
        config.policies.iter().any(|policy| matches!(policy.action, Action::Limit { .. } | Action::Share { .. }));
    if watches && steers(config) && paces {
        needs.push(("CAP_BPF", "to pace single subflows", false));
        needs.push(("CAP_PERFMON", "to pace single subflows", false));
    }
    let first = facts.number(UNPRIVILEGED).unwrap_or(1024);
    let low = |listener: &anabranch_config::Listener| (1..first).contains(&listener.address.port().into());
    if config.listeners.iter().any(low) {
        needs.push(("CAP_NET_BIND_SERVICE", "for a listener's low port", true));
    }
    needs
}

fn capabilities(config: &Config, facts: &Facts) -> Finding {
    let Capabilities { whose, held, program } = &facts.capabilities;
    let needs = needs(config, facts);
    let missing: Vec<Need> = needs.iter().copied().filter(|(name, ..)| !facts.holds(name)).collect();
    let ok = |evidence: String| {
        Finding::ok("capabilities", evidence, "what a role may not do it leaves undone, and says so in the log")
    };
    if missing.is_empty() {
        let needed = if needs.is_empty() { "none".to_owned() } else { list(needs.iter().map(|(name, ..)| name)) };
        return ok(format!(
            "needed: {needed}; {whose} holds {}",
            if held.is_empty() { "none".to_owned() } else { list(held) }
        ));
    }
    let evidence = list(missing.iter().map(|(name, what, _)| format!("{name} ({what})")));
    let all: Vec<_> = needs.iter().map(|(name, ..)| name.to_lowercase()).collect();
    let mend = Mend::Command(format!("setcap {}=ep {program}", all.join(",")));
    let finding = ok(format!("{whose} lacks {evidence}"));
    if missing.iter().any(|&(_, _, needed)| needed) { finding.fail(mend) } else { finding.advise(mend) }
}

fn clock(facts: &Facts) -> Finding {
    let ok = |evidence: String| {
        Finding::ok("clock", evidence, "quotas, times of day, certificates and every line of the log go by it")
    };
    let now = facts.clock.unix_seconds;
    let mend = || Mend::Command("timedatectl set-ntp true".to_owned());
    if !CLOCK.contains(&now) {
        return ok(format!("it is the year {}, says the clock", year(now))).fail(mend());
    }
    match &facts.clock.synchronised {
        Ok(true) => ok(format!("the year {}, kept right", year(now))),
        Ok(false) => ok("nobody keeps it right".to_owned()).advise(mend()),
        Err(error) => ok(format!("whether anybody keeps it right cannot be told: {error}")).advise(mend()),
    }
}

/// The year, or the one beside it on its first and last day: a year of the Gregorian calendar has 365.2425 days.
fn year(unix_seconds: i64) -> i64 {
    1970 + unix_seconds.div_euclid(31_556_952)
}
