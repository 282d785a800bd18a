//! The kernel: its release, what it can do, its sysctls.

use std::collections::BTreeMap;
use std::path::Path;

use anabranch_deploy::edge::facts::{Seen, Trial};
use anabranch_deploy::edge::{Feature, Key};
use anabranch_kernel::bpf::{BpfError, Multipath, Pacer};
use anabranch_kernel::mptcp_pm::PathManager;
use anabranch_kernel::probe;

use crate::http::chain;

/// What is read of each machine; of each link there is one more.
const SYSCTLS: &[&str] = &[
    "fs/file-max",
    "fs/nr_open",
    "net/core/somaxconn",
    "net/ipv4/conf/all/rp_filter",
    "net/ipv4/ip_local_port_range",
    "net/ipv4/ip_local_reserved_ports",
    "net/ipv4/ip_unprivileged_port_start",
    "net/ipv4/tcp_allowed_congestion_control",
    "net/ipv4/tcp_available_congestion_control",
    "net/ipv4/tcp_fastopen",
    "net/ipv4/tcp_rmem",
    "net/ipv4/tcp_wmem",
    "net/mptcp/allow_join_initial_addr_port",
    "net/mptcp/enabled",
    "net/mptcp/path_manager",
    "net/mptcp/pm_type",
    "net/mptcp/scheduler",
    "net/netfilter/nf_conntrack_count",
    "net/netfilter/nf_conntrack_max",
];

/// What is tried in a network namespace of its own.
const TRIED_APART: [Feature; 5] =
    [Feature::UserspacePathManager, Feature::MpPrio, Feature::SubflowDestroy, Feature::Ifb, Feature::NftEgress];

/// The kernel's release.
pub(super) fn release() -> String {
    read("kernel/osrelease").unwrap_or_default().trim().to_owned()
}

/// Tries each feature. Trials fail for want of a capability as they do for want of a feature, so without it there are none.
pub(super) fn features(may_try: bool, may_load: bool) -> BTreeMap<Feature, Trial> {
    let mut found = BTreeMap::new();
    let of = |trial: probe::Trial| trial.map_or_else(Trial::Missing, |()| Trial::Works);
    let trials = if may_try {
        probe::steering().map_err(|error| chain(&error))
    } else {
        Err("it takes CAP_NET_ADMIN".to_owned())
    };
    // Whether it is switched on here is another question, with a check of its own: there a trial elsewhere counts.
    let off = read("net/mptcp/enabled").is_some_and(|value| value.trim() == "0");
    let mptcp = match (probe::mptcp_socket(), &trials) {
        (Ok(()), _) => Trial::Works,
        (Err(_), Ok(trials)) if off => of(trials.priority.clone()),
        (Err(_), Err(why)) if off => Trial::Untried(why.clone()),
        (Err(error), _) => Trial::Missing(error.to_string()),
    };
    found.insert(Feature::Mptcp, mptcp);
    match trials {
        Ok(trials) => found.extend([
            (Feature::UserspacePathManager, of(trials.userspace)),
            (Feature::MpPrio, of(trials.priority)),
            (Feature::SubflowDestroy, of(trials.destroy)),
            (Feature::Ifb, of(trials.ifb)),
            (Feature::NftEgress, of(trials.egress)),
        ]),
        Err(why) => found.extend(TRIED_APART.map(|feature| (feature, Trial::Untried(why.clone())))),
    }
    let pacer = Pacer::open().map(drop);
    found.insert(Feature::BpfIterTcp, bpf(pacer, may_load));
    found.insert(
        Feature::UpdateSocketProtocol,
        // For a namespace that there is not.
        bpf(Multipath::attach(0, &[] as &[&str]).map(drop), may_load),
    );
    let named = Path::new("/proc/sys/net/mptcp/path_manager").exists();
    let missing = || Trial::Missing("there is no net.mptcp.path_manager".to_owned());
    found.insert(Feature::NamedPathManager, if named { Trial::Works } else { missing() });
    found
}

/// What came of loading a program: one that may and is refused all the same gains nothing by more rights.
fn bpf(loaded: Result<(), BpfError>, may_load: bool) -> Trial {
    match loaded {
        Ok(()) => Trial::Works,
        Err(BpfError::NotPermitted { op, source }) if may_load => Trial::Refused(format!("{op}: {source}")),
        Err(error @ BpfError::NotPermitted { .. }) => Trial::Untried(chain(&error)),
        Err(error) => Trial::Missing(chain(&error)),
    }
}

/// The sysctls that are there.
pub(super) fn sysctls<'a>(links: impl Iterator<Item = &'a str>) -> BTreeMap<Key, String> {
    let of_links = links.map(|link| format!("net/ipv4/conf/{link}/rp_filter"));
    let all = SYSCTLS.iter().map(|path| (*path).to_owned()).chain(of_links);
    all.filter_map(|path| Some((Key::new(&path), read(&path)?.trim().to_owned()))).collect()
}

fn read(path: &str) -> Option<String> {
    std::fs::read_to_string(Path::new("/proc/sys").join(path)).ok()
}

/// How many subflows the kernel's path manager allows beside the first.
pub(super) fn subflow_limit() -> Seen<u32> {
    PathManager::open()
        .and_then(|mut manager| manager.limits())
        .map(|limits| limits.subflows)
        .map_err(|error| chain(&error))
}

#[cfg(test)]
mod tests;
