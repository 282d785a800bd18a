//! MPTCP: switched on, its path manager, its limits, its scheduler.

use anabranch_config::Config;

use super::super::facts::Facts;
use super::super::{Finding, Key, Mend};
use super::{steers, wants_mptcp};

const ENABLED: &str = "net/mptcp/enabled";
const PATH_MANAGER: &str = "net/mptcp/path_manager";
const PM_TYPE: &str = "net/mptcp/pm_type";
const SCHEDULER: &str = "net/mptcp/scheduler";
const JOINS: &str = "net/mptcp/allow_join_initial_addr_port";
/// As many as the kernel lets anybody ask for.
const MOST_SUBFLOWS: u32 = 8;

pub(super) fn all(config: &Config, facts: &Facts) -> Vec<Finding> {
    vec![enabled(config, facts), path_manager(config, facts), limits(config, facts), joins(facts), scheduler(facts)]
}

fn enabled(config: &Config, facts: &Facts) -> Finding {
    let why = "without it listeners get plain TCP, and every client one link";
    let with = |evidence: &str| Finding::ok("mptcp-enabled", evidence, why);
    let mend = Mend::sysctl(ENABLED, 1);
    match facts.sysctl(ENABLED) {
        Some("0") if wants_mptcp(config) => with("net.mptcp.enabled = 0").fail(mend),
        Some("0") => with("net.mptcp.enabled = 0").advise(mend),
        Some(value) => with(&format!("net.mptcp.enabled = {value}")),
        None => {
            with("there is no net.mptcp").fail(Mend::Command("grep CONFIG_MPTCP= /boot/config-$(uname -r)".to_owned()))
        }
    }
}

fn path_manager(config: &Config, facts: &Facts) -> Finding {
    let (key, named) = match facts.sysctl(PATH_MANAGER) {
        Some(name) => (PATH_MANAGER, Some(name)),
        None => (PM_TYPE, facts.sysctl(PM_TYPE).map(|number| if number == "1" { "userspace" } else { "kernel" })),
    };
    let kernel = || Mend::Now(Key::new(key), if key == PM_TYPE { "0" } else { "kernel" }.to_owned());
    let why = "under the userspace path manager the kernel refuses every join while nobody listens to its events";
    let with = |evidence: String| Finding::ok("path-manager", evidence, why);
    if let (Some(daemon), true) = (facts.daemon, steers(config)) {
        let evidence = format!("mptcpd runs as process {daemon}: two cannot manage the same subflows");
        return with(evidence).fail(Mend::Command("systemctl disable --now mptcp".to_owned()));
    }
    match (named, &facts.event_listeners) {
        (None, _) => with("not known: there is no net.mptcp".to_owned()),
        (Some("kernel"), _) => with("the kernel's own".to_owned()),
        (Some("userspace"), Ok(0)) => {
            with("userspace, and nobody listens to mptcp_pm_events: every MP_JOIN is refused".to_owned()).fail(kernel())
        }
        (Some("userspace"), Ok(1)) => with("userspace, 1 socket listens to its events".to_owned()),
        (Some("userspace"), Ok(count)) => with(format!("userspace, {count} sockets listen to its events")),
        (Some("userspace"), Err(error)) => {
            with(format!("userspace; whether anybody listens to its events cannot be told: {error}")).advise(kernel())
        }
        (Some(other), _) => with(format!("{other}, which anabranch does not know")).advise(kernel()),
    }
}

/// Joins beside the initial subflow: one for each further path. The kernel's path manager holds to them, and it is the one there is
/// whenever no policy needs the other.
fn limits(config: &Config, facts: &Facts) -> Finding {
    let further = u32::try_from(config.paths.len().saturating_sub(1)).unwrap_or(u32::MAX).clamp(1, MOST_SUBFLOWS);
    let with = |evidence: String| {
        Finding::ok("mptcp-limits", evidence, "a join beyond the limit is refused, and its link adds nothing")
    };
    let mend =
        || Mend::Command(format!("ip mptcp limits set subflows {MOST_SUBFLOWS} add_addr_accepted {MOST_SUBFLOWS}"));
    match facts.subflow_limit {
        Ok(limit) if limit < further => {
            with(format!("subflows {limit}, and clients join {further} beside the first")).fail(mend())
        }
        Ok(limit) => with(format!("subflows {limit} beside the first")),
        Err(ref error) if facts.sysctl(ENABLED).is_some() => with(format!("not known: {error}")).advise(mend()),
        Err(ref error) => with(format!("not known: {error}")),
    }
}

fn joins(facts: &Facts) -> Finding {
    let why = "clients are told not to join the address they first connected to, and stock clients know no other";
    let with = |evidence: String| Finding::ok("mptcp-joins", evidence, why);
    match facts.sysctl(JOINS) {
        Some("0") => with(format!("{} = 0", Key::new(JOINS))).fail(Mend::sysctl(JOINS, 1)),
        Some(value) => with(format!("{} = {value}", Key::new(JOINS))),
        None => with("this kernel always lets clients join the initial address".to_owned()),
    }
}

fn scheduler(facts: &Facts) -> Finding {
    let why = "demotion, overflow and pacing were measured with the kernel's default scheduler";
    let with = |evidence: String| Finding::ok("scheduler", evidence, why);
    match facts.sysctl(SCHEDULER) {
        None => with("the only one this kernel has".to_owned()),
        Some("default") => with("default".to_owned()),
        Some(other) => with(other.to_owned()).advise(Mend::sysctl(SCHEDULER, "default")),
    }
}
