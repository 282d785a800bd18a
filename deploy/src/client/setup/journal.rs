//! What was done, and the way back to what was there before.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::files::DHCPCD;
use super::{Step, Wanted};

/// The state file of a set-up.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Journal {
    /// What was wanted, for doing it again.
    pub wanted: Wanted,
    /// What was done, in order.
    pub steps: Vec<Step>,
    /// Directories that were made for files, in the order they were made; paths below the root.
    pub directories: Vec<String>,
    /// Somebody has said that the machine is still reached.
    pub confirmed: bool,
    /// The attempt whose watch may take it back.
    pub attempt: u64,
}

impl Journal {
    /// Adds steps to what was done before. Of what is changed twice, the first former state is what to go back to; but of a file that
    /// somebody has changed in between, what they made of it.
    pub fn add(&mut self, steps: &[Step]) {
        for step in steps {
            let former = self.steps.iter_mut().find(|done| same_thing(done, step));
            match (former, step) {
                (
                    Some(Step::File { former, text, earlier, executable, .. }),
                    Step::File { former: was, text: now, executable: script, .. },
                ) => {
                    // Somebody changed it since: theirs is what to go back to.
                    if was.is_some() && was.as_ref() != Some(text) && was != earlier && was != former {
                        former.clone_from(was);
                    }
                    // What is there until the file is written, should that never come.
                    if was.as_ref() == Some(text) && text != now {
                        *earlier = Some(text.clone());
                    }
                    text.clone_from(now);
                    *executable = *script;
                }
                (Some(Step::Limits { set, .. }), Step::Limits { set: now, .. }) => *set = *now,
                (Some(Step::Sysctl { value, .. }), Step::Sysctl { value: now, .. }) => value.clone_from(now),
                (Some(Step::Programs { except, .. }), Step::Programs { except: now, .. }) => except.clone_from(now),
                // A route that went with its link and is made again.
                (Some(_), _) => {}
                (None, _) => self.steps.push(step.clone()),
            }
        }
    }

    /// The tables that routes of ours are in.
    #[must_use]
    pub fn tables(&self) -> BTreeSet<u32> {
        let table = |step: &Step| if let Step::Route { table, .. } = step { Some(*table) } else { None };
        self.steps.iter().filter_map(table).collect()
    }

    /// Forgets the programs of network namespaces whose pins are gone: they went with the namespaces or with the kernel, and a container
    /// gets another namespace, and another program, with every start.
    pub fn forget_programs(&mut self, pinned: impl Fn(u64) -> bool) {
        self.steps.retain(|step| !matches!(step, Step::Programs { namespace, .. } if !pinned(*namespace)));
    }

    /// Its steps in the order in which they are taken back: what makes sockets MPTCP first, for without MPTCP it would leave the machine
    /// without TCP; the others from the last to the first.
    pub fn undoing(&self) -> impl Iterator<Item = &Step> {
        let programs = |step: &&Step| matches!(step, Step::Programs { .. });
        let of = |wanted: bool| self.steps.iter().rev().filter(move |step| programs(step) == wanted);
        of(true).chain(of(false))
    }

    /// Whether it names nothing but what a set-up does: whoever can write the state file would else choose what root writes.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        const PLACES: [&str; 14] = [
            "etc/profile.d/anabranch.sh",
            "etc/environment.d/60-anabranch.conf",
            "etc/apt/apt.conf.d/60anabranch",
            // An older version's.
            "etc/hotplug.d/iface/60-anabranch",
            "etc/hotplug.d/iface/61-anabranch-client",
            "etc/NetworkManager/dispatcher.d/60-anabranch",
            "etc/network/if-up.d/anabranch",
            "etc/network/if-post-down.d/anabranch",
            "etc/dhcp/dhclient-exit-hooks.d/anabranch",
            DHCPCD,
            "etc/systemd/system/anabranch-client.service",
            "etc/systemd/system/anabranch-client.timer",
            "etc/systemd/system/anabranch-client.path",
            "etc/systemd/system/multi-user.target.d/60-anabranch-client.conf",
        ];
        let below = |path: &String| {
            let whole = path.split('/').all(|part| !part.is_empty() && part != "..");
            // Only empty ones are ever removed.
            whole && (path == "etc" || path.starts_with("etc/") || "var/lib/anabranch".starts_with(path.as_str()))
        };
        let sound = |step: &Step| match step {
            Step::File { path, .. } => PLACES.contains(&path.as_str()),
            Step::Sysctl { key, .. } => key == "net.mptcp.enabled",
            _ => true,
        };
        self.steps.iter().all(sound) && self.directories.iter().all(below)
    }
}

fn same_thing(one: &Step, other: &Step) -> bool {
    match (one, other) {
        (Step::File { path: a, .. }, Step::File { path: b, .. }) => a == b,
        (Step::Sysctl { key: a, .. }, Step::Sysctl { key: b, .. }) => a == b,
        // Each network namespace has a program of its own.
        (Step::Programs { namespace: a, .. }, Step::Programs { namespace: b, .. }) => a == b,
        (Step::Limits { .. }, Step::Limits { .. }) => true,
        (one, other) => one == other,
    }
}

/// The steps of a journal that are for addresses the machine no longer has, and their tables' routes; they are to be taken back.
#[must_use]
pub fn stale(journal: &Journal, addresses: &[IpAddr]) -> Vec<Step> {
    let gone = |step: &&Step| step.address().is_some_and(|address| !addresses.contains(&address));
    let mut stale: Vec<_> = journal.steps.iter().filter(gone).cloned().collect();
    let tables = |steps: &[Step]| -> Vec<(u32, bool)> {
        let rules = steps.iter().filter_map(|step| match step {
            Step::Rule { from, table, .. } => Some((*table, from.is_ipv4())),
            _ => None,
        });
        rules.collect()
    };
    let kept: Vec<_> = journal.steps.iter().filter(|step| !stale.contains(step)).cloned().collect();
    let (empty, living) = (tables(&stale), tables(&kept));
    let routes = kept.iter().filter(|step| match step {
        Step::Route { table, to, .. } => {
            let of = (*table, to.address.is_ipv4());
            empty.contains(&of) && !living.contains(&of)
        }
        _ => false,
    });
    stale.extend(routes.cloned());
    stale
}
