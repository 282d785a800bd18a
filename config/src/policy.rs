//! `[[policy]]`: what should be true of the subflows of a path.

mod select;

use std::time::Duration;

use crate::rate;
use crate::read::Section;
use crate::read::value::words;
use crate::unit::{BitRate, ByteSize, Name, Percent, Timeout};
pub use select::{Select, SubflowSelector, Used};

words! {
    /// Whom a rate is for.
    pub Per {
        /// Each subscriber, over all of its connections.
        Subscriber = "subscriber",
        /// Each connection.
        Connection = "connection",
        /// Each subflow.
        Subflow = "subflow",
        /// Everybody under the policy together.
        Policy = "policy",
    }
}

words! {
    /// How far a policy may go.
    pub Enforce {
        /// As long as no connection ends up below what its best path alone would carry.
        Steer = "steer",
        /// Always: a contract.
        Always = "always",
    }
}

words! {
    /// Which way a rate is meant, seen from the subscriber.
    pub Directions {
        /// Towards the client.
        Download = "download",
        /// From the client.
        Upload = "upload",
        /// Each of the two.
        Both = "both",
    }
}

/// What is done with the subflows of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Used only while the cheaper paths are full.
    Overflow {
        /// The most it then carries. `None`: what it can.
        limit: Option<BitRate>,
        /// How long the cheaper paths have to be full.
        after: Duration,
        /// How long the cheaper paths alone have to suffice before it is used no more.
        hold: Duration,
    },
    /// Used only when no other path is left.
    Backup,
    /// Carries a share of each connection's bytes.
    Share {
        /// How much.
        percent: Percent,
    },
    /// Carries nothing: its subflows are closed.
    Close,
    /// Carries at most a rate.
    Limit {
        /// The rate.
        rate: BitRate,
        /// What it may carry at once. `None`: what suits the rate.
        burst: Option<ByteSize>,
        /// The most it carries while it has something left over; at least the rate. `None`: the rate.
        ceil: Option<BitRate>,
        /// Whom the rate is for.
        per: Per,
        /// Which way.
        directions: Directions,
    },
}

impl Action {
    /// The word in the file.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Overflow { .. } => "overflow",
            Self::Backup => "backup",
            Self::Share { .. } => "share",
            Self::Close => "close",
            Self::Limit { .. } => "limit",
        }
    }
}

words! {
    /// The word of an action, before its parameters are known.
    pub(crate) Verb {
        /// See [`Action::Overflow`].
        Overflow = "overflow",
        /// See [`Action::Backup`].
        Backup = "backup",
        /// See [`Action::Share`].
        Share = "share",
        /// See [`Action::Close`].
        Close = "close",
        /// See [`Action::Limit`].
        Limit = "limit",
    }
}

/// What should be true of the subflows of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// What it is called; unique.
    pub name: Name,
    /// Of which subflows, and when.
    pub select: Select,
    /// What is done.
    pub action: Action,
    /// How far it may go.
    pub enforce: Enforce,
    /// The least time between two changes of mind about a subflow by what is measured of it.
    pub dwell: Duration,
}

/// Keys that belong to some actions alone.
const PARAMETERS: &[(&str, Verb)] = &[
    ("limit", Verb::Overflow),
    ("after", Verb::Overflow),
    ("hold", Verb::Overflow),
    ("percent", Verb::Share),
    ("rate", Verb::Limit),
    ("burst", Verb::Limit),
    ("ceil", Verb::Limit),
    ("per", Verb::Limit),
    ("direction", Verb::Limit),
];

/// See [`Action::Overflow`].
const AFTER: Duration = Duration::from_secs(1);
/// See [`Action::Overflow`].
const HOLD: Duration = Duration::from_secs(5);
/// See [`Policy::dwell`].
const DWELL: Duration = Duration::from_secs(2);

/// A full packet with its headers: HTB lets no class have less.
///
/// Units:   bytes
const LEAST_BURST: u64 = 1600;
/// HTB counts a burst in ticks of 64 ns, and has 32 bits for it: 275 s.
///
/// Units:   seconds
const LONGEST_BURST: u64 = 240;

impl Policy {
    pub(crate) fn read(section: &mut Section<'_>) -> Option<Self> {
        let name: Option<Name> = section.require("name", "a name such as \"lte is for overflow\"");
        if let Some(name) = &name {
            section.named(name.as_str());
        }
        let select = Select::read(section);
        let verb = section.require::<Verb>("action", "\"overflow\", \"backup\", \"share\", \"close\" or \"limit\"");
        let action = read_action(section, verb);
        let enforce = section.get_or("enforce", Enforce::Steer);
        let time = |section: &mut Section<'_>, key, default| section.get::<Timeout>(key).map_or(default, Timeout::get);
        let dwell = time(section, "dwell", DWELL);
        let (verb, select, action) = (verb?, select?, action?);
        if select.paths.is_empty() && (verb != Verb::Limit || section.has("path")) {
            // What is there and wrong has been reported.
            if !section.has("path") {
                section.refuse("path", "missing", "expected the name of a [[path]], or a list of them");
            }
            return None;
        }
        let policy = Self { name: name?, select, action, enforce, dwell };
        policy.refuse_the_impossible(section).then_some(policy)
    }

    /// Refuses what is understood and cannot be done.
    fn refuse_the_impossible(&self, section: &Section<'_>) -> bool {
        let total = self.select.paths.is_empty();
        if let Action::Limit { directions, per, .. } = self.action {
            if !total && directions != Directions::Download && self.enforce == Enforce::Steer {
                let what = "a cap on the upload of single subflows holds up the whole of their connection";
                let fix = "leave \"path\" out to limit the whole, say action = \"backup\", or make it a contract (enforce = \"always\")";
                section.refuse("direction", what, fix);
                return false;
            }
            if total && per == Per::Subflow {
                section.refuse(
                    "per",
                    "a policy without \"path\" knows no subflows",
                    "expected \"subscriber\", \"connection\" or \"policy\"",
                );
                return false;
            }
        }
        if total && self.select.names_subflows() {
            let key = if self.select.subflow.is_some() { "subflow" } else { "rtt_above, loss_above or load_above" };
            section.refuse(
                "path",
                &format!("missing, and {key} is a matter of subflows"),
                "expected the name of a [[path]]",
            );
            return false;
        }
        if self.enforce == Enforce::Always && matches!(self.action, Action::Overflow { .. } | Action::Share { .. }) {
            let what = format!(
                "\"{}\" moves traffic between paths, and is nothing without a second one",
                self.action.as_str()
            );
            section.refuse("enforce", &what, "expected \"steer\"; a \"limit\" can be a contract");
            return false;
        }
        true
    }
}

fn read_action(section: &mut Section<'_>, verb: Option<Verb>) -> Option<Action> {
    let time = |section: &mut Section<'_>, key, default| section.get::<Timeout>(key).map_or(default, Timeout::get);
    let limit = rate::read(section, "limit");
    let (after, hold) = (time(section, "after", AFTER), time(section, "hold", HOLD));
    let rate = rate::read(section, "rate");
    let (burst, ceil) = (section.get("burst"), rate::read(section, "ceil"));
    if let Some(rate) = rate {
        refuse_around(section, rate, ceil, burst);
    }
    let percent = section.number_of::<u8>("percent", 1..=99).and_then(|percent| Percent::try_from(percent).ok());
    let per = section.get_or("per", Per::Subscriber);
    let directions = section.get_or("direction", Directions::Download);
    refuse_foreign(section, verb?);
    Some(match verb? {
        Verb::Overflow => Action::Overflow { limit, after, hold },
        Verb::Backup => Action::Backup,
        Verb::Share => Action::Share { percent: percent? },
        Verb::Close => Action::Close,
        Verb::Limit => Action::Limit { rate: rate?, burst, ceil, per, directions },
    })
}

/// Refuses what does not fit the rate.
fn refuse_around(section: &Section<'_>, rate: BitRate, ceil: Option<BitRate>, burst: Option<ByteSize>) {
    if ceil.is_some_and(|ceil| ceil < rate) {
        section.refuse("ceil", "less than the rate", &format!("expected at least {rate}"));
    }
    let most = rate.bits_per_second() / 8 * LONGEST_BURST;
    match burst.map(ByteSize::bytes) {
        Some(burst) if burst < LEAST_BURST => {
            section.refuse("burst", "less than a packet", &format!("expected at least {LEAST_BURST} B"));
        }
        Some(burst) if burst > most => {
            let most = ByteSize::from_bytes(most).map_or_else(String::new, |most| most.to_string());
            let what = format!("more than {LONGEST_BURST} s of the rate, and the kernel counts no further");
            section.refuse("burst", &what, &format!("expected at most {most}"));
        }
        _ => {}
    }
}

/// Refuses the keys of other actions, and the absence of what the action cannot be without.
fn refuse_foreign(section: &Section<'_>, verb: Verb) {
    let needed = match verb {
        Verb::Limit => Some(("rate", "expected a rate such as \"2 Mbit/s\"")),
        Verb::Share => Some(("percent", "expected a whole number from 1 to 99")),
        Verb::Overflow | Verb::Backup | Verb::Close => None,
    };
    if let Some((key, expected)) = needed.filter(|(key, _)| !section.has(key)) {
        section.refuse(key, "missing", expected);
    }
    for (key, owner) in PARAMETERS.iter().filter(|(key, owner)| *owner != verb && section.has(key)) {
        let fix = format!("leave it out, or say action = \"{owner}\"");
        section.refuse(key, &format!("action \"{verb}\" has no \"{key}\""), &fix);
    }
}

#[cfg(test)]
mod tests;
