//! `[[policy]]`: what should be true of the subflows of a path.

use crate::read::Section;
use crate::read::value::words;
use crate::unit::{BitRate, Name, Percent};

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

/// What is done with the subflows of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Used only while the cheaper paths are full.
    Overflow {
        /// The most it then carries. `None`: what it can.
        limit: Option<BitRate>,
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
        /// Whom the rate is for.
        per: Per,
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
    /// The path, one of [`Config::paths`](crate::Config::paths).
    pub path: Name,
    /// What is done.
    pub action: Action,
    /// How far it may go.
    pub enforce: Enforce,
}

/// The parameters of actions, and which action each belongs to.
const PARAMETERS: &[(&str, Verb)] =
    &[("limit", Verb::Overflow), ("percent", Verb::Share), ("rate", Verb::Limit), ("per", Verb::Limit)];

impl Policy {
    pub(crate) fn read(section: &mut Section<'_>) -> Option<Self> {
        let name: Option<Name> = section.require("name", "a name such as \"lte is for overflow\"");
        if let Some(name) = &name {
            section.named(name.as_str());
        }
        let path = section.require("path", "the name of a [[path]]");
        let verb = section.require::<Verb>("action", "\"overflow\", \"backup\", \"share\", \"close\" or \"limit\"");
        let limit = section.get("limit");
        let rate = match verb {
            Some(Verb::Limit) => section.require("rate", "a rate such as \"2 Mbit/s\""),
            _ => section.get("rate"),
        };
        let percent = match verb {
            Some(Verb::Share) if !section.has("percent") => {
                section.refuse("percent", "missing", "expected a whole number from 1 to 99");
                None
            }
            _ => section.number_of::<u8>("percent", 1..=99).and_then(|percent| Percent::try_from(percent).ok()),
        };
        let per = section.get_or("per", Per::Subscriber);
        let enforce = section.get_or("enforce", Enforce::Steer);
        for (key, owner) in PARAMETERS {
            if let Some(verb) = verb
                && verb != *owner
                && section.has(key)
            {
                let fix = format!("leave it out, or say action = \"{owner}\"");
                section.refuse(key, &format!("action \"{verb}\" has no \"{key}\""), &fix);
            }
        }
        let action = match verb? {
            Verb::Overflow => Action::Overflow { limit },
            Verb::Backup => Action::Backup,
            Verb::Share => Action::Share { percent: percent? },
            Verb::Close => Action::Close,
            Verb::Limit => Action::Limit { rate: rate?, per },
        };
        Some(Self { name: name?, path: path?, action, enforce })
    }
}
