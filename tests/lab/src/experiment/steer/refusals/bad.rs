//! Policies that contradict themselves, their paths or the world.
//!
//! Called by the experiment.

use std::process::Output;

use super::{CONFIG, said};

/// A policy, or what it needs, that must be refused.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bad {
    pub(super) name: &'static str,
    /// The keys of its `[[policy]]`; or, where it begins with a bracket, the whole text behind the paths.
    keys: &'static str,
    /// What the refusal must name: the field, and the value or what would be right.
    names: &'static [&'static str],
}

const fn bad(name: &'static str, keys: &'static str, names: &'static [&'static str]) -> Bad {
    Bad { name, keys, names }
}

/// All of them.
pub(super) const ALL: &[Bad] = &[
    bad("an unknown path", "path = \"lan\"\naction = \"backup\"", &["path", "lan", "one"]),
    bad(
        "an unknown subscriber",
        "path = \"two\"\naction = \"backup\"\nsubscriber = [\"nobody\"]",
        &["subscriber", "nobody"],
    ),
    bad(
        "an unknown listener",
        "path = \"two\"\naction = \"backup\"\nlistener = [\"nowhere\"]",
        &["listener", "nowhere"],
    ),
    bad("an unknown action", "path = \"two\"\naction = \"slow\"", &["action", "slow", "backup"]),
    bad("an unknown key", "path = \"two\"\naction = \"backup\"\nspeed = 3", &["speed"]),
    bad("a rate above the capacity", "path = \"two\"\naction = \"limit\"\nrate = \"41 Mbit/s\"", &["rate", "41", "40"]),
    bad(
        "a ceiling below the rate",
        "path = \"two\"\naction = \"limit\"\nrate = \"4 Mbit/s\"\nceil = \"2 Mbit/s\"",
        &["ceil"],
    ),
    bad(
        "a ceiling above the capacity",
        "path = \"two\"\naction = \"limit\"\nrate = \"4 Mbit/s\"\nceil = \"41 Mbit/s\"",
        &["ceil"],
    ),
    bad("a limit without a rate", "path = \"two\"\naction = \"limit\"", &["rate"]),
    bad("a rate of zero", "path = \"two\"\naction = \"limit\"\nrate = \"0 Mbit/s\"", &["rate", "0"]),
    bad("a negative rate", "path = \"two\"\naction = \"limit\"\nrate = \"-2 Mbit/s\"", &["rate", "-2"]),
    bad(
        "a rate that overflows its unit",
        "path = \"two\"\naction = \"limit\"\nrate = \"99999999999999 Gbit/s\"",
        &["rate"],
    ),
    bad("a rate without a unit", "path = \"two\"\naction = \"limit\"\nrate = \"2\"", &["rate"]),
    bad(
        "a quota that overflows its unit",
        "path = \"two\"\naction = \"backup\"\nused_above = \"99999999999999 GB\"\nused_per = \"month\"",
        &["used_above"],
    ),
    bad(
        "a negative quota",
        "path = \"two\"\naction = \"backup\"\nused_above = \"-1 GB\"\nused_per = \"month\"",
        &["used_above"],
    ),
    bad("a quota without a period", "path = \"two\"\naction = \"backup\"\nused_above = \"1 GB\"", &["used_per"]),
    bad("a period without a quota", "path = \"two\"\naction = \"backup\"\nused_per = \"month\"", &["used_above"]),
    bad("a schedule without a zone", "path = \"two\"\naction = \"backup\"\nwhen = [\"18:00-23:00\"]", &["zone"]),
    bad("a zone without a schedule", "path = \"two\"\naction = \"backup\"\nzone = \"UTC\"", &["when"]),
    bad(
        "a zone that is none",
        "path = \"two\"\naction = \"backup\"\nwhen = [\"18:00-23:00\"]\nzone = \"Europe/Nowhere\"",
        &["zone", "Europe/Nowhere"],
    ),
    bad(
        "a schedule of no day",
        "path = \"two\"\naction = \"backup\"\nwhen = [\"moonday 18:00-23:00\"]\nzone = \"UTC\"",
        &["when", "moonday"],
    ),
    bad(
        "a schedule past the clock",
        "path = \"two\"\naction = \"backup\"\nwhen = [\"18:00-25:00\"]\nzone = \"UTC\"",
        &["when", "25:00"],
    ),
    bad("a share above all", "path = \"two\"\naction = \"share\"\npercent = 130", &["percent", "130"]),
    bad("a share of nothing", "path = \"two\"\naction = \"share\"\npercent = 0", &["percent"]),
    bad("a negative share", "path = \"two\"\naction = \"share\"\npercent = -30", &["percent"]),
    bad("a load above all", "path = \"two\"\naction = \"backup\"\nload_above = 180", &["load_above", "180"]),
    bad("a loss above all", "path = \"two\"\naction = \"backup\"\nloss_above = 180", &["loss_above", "180"]),
    bad("overflow of the cheapest path", "path = \"one\"\naction = \"overflow\"", &["overflow", "one"]),
    bad("closing every path there is", "path = [\"one\", \"two\"]\naction = \"close\"", &["close"]),
    bad("no path where one is needed", "action = \"backup\"", &["path"]),
    bad("a key of another action", "path = \"two\"\naction = \"backup\"\nrate = \"2 Mbit/s\"", &["rate"]),
    bad(
        "an upload limit that would do harm",
        "path = \"two\"\naction = \"limit\"\nrate = \"2 Mbit/s\"\ndirection = \"upload\"",
        &["upload", "always"],
    ),
    bad("overflow as a contract", "path = \"two\"\naction = \"overflow\"\nenforce = \"always\"", &["enforce"]),
    bad(
        "two of one name",
        "[[policy]]\nname = \"bad\"\npath = \"two\"\naction = \"backup\"\n[[policy]]\nname = \"bad\"\npath = \"one\"\naction = \"backup\"",
        &["name", "bad"],
    ),
    bad("a policy without a name", "[[policy]]\npath = \"two\"\naction = \"backup\"", &["name"]),
    bad(
        "a load of a path without capacity",
        "[[path]]\nname = \"wild\"\nclient = [\"10.9.0.0/24\"]\n[[policy]]\nname = \"bad\"\npath = \"wild\"\naction = \"backup\"\nload_above = 80",
        &["load_above", "capacity"],
    ),
];

impl Bad {
    /// The configuration with it.
    pub(super) fn text(&self, paths: &str) -> String {
        let policy = if self.keys.starts_with('[') { "" } else { "[[policy]]\nname = \"bad\"\n" };
        format!("{paths}{policy}{}\n", self.keys)
    }

    /// What is wrong with how it was refused.
    pub(super) fn faults(&self, checked: &Output, applied: &Output) -> Vec<String> {
        let mut faults = Vec::new();
        if checked.status.code() != Some(CONFIG) {
            faults.push(format!("check ends with {}, not with {CONFIG}", checked.status));
        }
        let words = said(checked) + &String::from_utf8_lossy(&checked.stdout);
        let missing: Vec<_> = self.names.iter().filter(|name| !words.contains(**name)).collect();
        if !missing.is_empty() {
            faults.push(format!("does not name {missing:?}: {words}"));
        }
        if applied.status.success() {
            faults.push("was applied".into());
        }
        faults
    }
}
