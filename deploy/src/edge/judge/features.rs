//! The kernel, and what it has of what anabranch uses.

use anabranch_config::Config;

use super::super::facts::Trial;
use super::super::{Facts, Feature, Finding, Mend};
use super::{steers, wants_mptcp};

/// The oldest kernel anybody has tried it on.
const OLDEST: (u32, u32) = (6, 1);

pub(super) fn all(config: &Config, facts: &Facts) -> Vec<Finding> {
    let mut found = vec![kernel(facts)];
    found.extend(Feature::ALL.map(|feature| judge(config, facts, feature)));
    found
}

fn kernel(facts: &Facts) -> Finding {
    let ok = Finding::ok("kernel", format!("Linux {}", facts.kernel), "6.1, 6.12 and 6.18 have what is used here");
    match version(&facts.kernel) {
        Some(version) if version < OLDEST => ok.fail(Mend::Command("apt-get install linux-image-amd64".to_owned())),
        _ => ok,
    }
}

/// The first two numbers of a release.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn judge(config: &Config, facts: &Facts, feature: Feature) -> Finding {
    let (first, long) = feature.since();
    let (built, ask) = feature.brought_by();
    let since = format!("in Linux since {first} (with long support: {long})");
    let trial = facts.features.get(&feature).cloned().unwrap_or_else(|| Trial::Untried("nobody tried".to_owned()));
    let name = format!("feature-{}", feature.as_str());
    let with = |evidence: String| Finding::ok(name.clone(), evidence, feature.why());
    match trial {
        Trial::Works => with(format!("works; {since}")),
        // Whoever asks again gets the same answer: that is the machine's to decide, and there is another way.
        Trial::Refused(how) => with(format!(
            "refused ({how}), though the capabilities are there: a policy of this machine (lockdown, a security module, a container) \
             allows no such program; {since}"
        ))
        .regret(),
        Trial::Untried(why) => with(format!("not tried: {why}; {since}")).out_of_sight(facts),
        Trial::Missing(why) => {
            let finding = with(format!("missing: {why}; {since}, {built}"));
            let mend = Mend::Command(ask.to_owned());
            if needs(config, feature) { finding.fail(mend) } else { finding.advise(mend) }
        }
    }
}

/// Whether a configuration cannot do without.
fn needs(config: &Config, feature: Feature) -> bool {
    match feature {
        Feature::Mptcp => wants_mptcp(config),
        Feature::UserspacePathManager
        | Feature::MpPrio
        | Feature::SubflowDestroy
        | Feature::NftEgress
        | Feature::Ifb => steers(config),
        // Each of these has another way.
        Feature::BpfIterTcp | Feature::UpdateSocketProtocol | Feature::NamedPathManager => false,
    }
}
