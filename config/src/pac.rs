//! `[pac]`: what the served proxy auto-configuration (`/proxy.pac`, `/wpad.dat`) tells browsers.

use crate::read::Section;
use crate::unit::{PacDomain, PacHop, Prefix};

/// What the served proxy auto-configuration tells browsers.
///
/// Names without a dot, loopback and link-local addresses are always direct: the proxy would refuse them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pac {
    /// Domains that are reached directly, with everything below them.
    pub direct_domains: Vec<PacDomain>,
    /// Networks whose addresses, written in a URL, are reached directly. Names are not resolved for this: every page would wait for it.
    pub direct_networks: Vec<Prefix>,
    /// What is tried for everything else, in order. Empty: the listener that served the file, then directly.
    pub chain: Vec<PacHop>,
}

impl Pac {
    pub(crate) fn read(section: &mut Section<'_>) -> Self {
        if section.is_empty_list("chain") {
            section.refuse("chain", "empty", "expected what to try, such as [\"PROXY edge.example:3128\", \"DIRECT\"]");
        }
        Self {
            direct_domains: section.list("direct_domains").unwrap_or_default(),
            direct_networks: section.list("direct_networks").unwrap_or_default(),
            chain: section.list("chain").unwrap_or_default(),
        }
    }
}
