//! From what was found to what is to be said about it.
//!
//! One file a subject; each check is a function from facts and a configuration to findings, and looks at nothing else.

mod features;
mod links;
mod listeners;
mod machine;
mod mptcp;
mod tcp;

use anabranch_config::{Config, SteeringMode, Transport};

use super::{Facts, Finding};

/// Judges a machine for a configuration. The same checks come in the same order, whatever was found.
#[must_use]
pub fn judge(config: &Config, facts: &Facts) -> Vec<Finding> {
    let mut found = features::all(config, facts);
    found.extend(mptcp::all(config, facts));
    found.extend(tcp::all(config, facts));
    found.extend(links::all(config, facts));
    found.extend(machine::all(config, facts));
    found.extend(listeners::all(config, facts));
    found
}

/// Whether this configuration changes anything in the kernel for the sake of policies.
fn steers(config: &Config) -> bool {
    config.steering.mode == SteeringMode::Act && !config.policies.is_empty()
}

/// Whether it wants MPTCP at all.
fn wants_mptcp(config: &Config) -> bool {
    config.listeners.iter().any(|listener| listener.transport != Transport::Tcp) || !config.policies.is_empty()
}

/// Words of a list.
fn list<T: ToString>(words: impl IntoIterator<Item = T>) -> String {
    words.into_iter().map(|word| word.to_string()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
pub(crate) mod tests;
