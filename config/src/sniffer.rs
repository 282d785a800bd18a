//! `[sniffer]`: how connections and subflows are watched.

use std::time::Duration;

use crate::read::Section;
use crate::unit::{IfaceName, Timeout};

/// How connections and subflows are watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sniffer {
    /// Whether the kernel of this machine is a witness: its path manager's events, and what its sockets know.
    pub kernel: bool,
    /// Interfaces whose packets are read. Empty: the wire is no witness.
    pub interfaces: Vec<IfaceName>,
    /// How often the kernel is asked for what its events do not carry: bytes, round-trip times, rates.
    pub interval: Duration,
}

impl Default for Sniffer {
    fn default() -> Self {
        // The kernel tells all there is of connections that end on this machine, and costs next to nothing.
        Self { kernel: true, interfaces: Vec::new(), interval: Duration::from_secs(1) }
    }
}

impl Sniffer {
    pub(crate) fn read(section: &mut Section<'_>) -> Self {
        let default = Self::default();
        let interfaces = section.list::<IfaceName>("interfaces").unwrap_or_default();
        if (1..interfaces.len()).any(|n| interfaces[..n].contains(&interfaces[n])) {
            section.refuse("interfaces", "one of them twice", "expected each interface once");
        }
        let interval = section.get::<Timeout>("interval").map_or(default.interval, Timeout::get);
        if !(Duration::from_millis(100)..=Duration::from_secs(60)).contains(&interval) {
            section.refuse("interval", "out of range", "expected 100 ms to 1 min");
        }
        Self { kernel: section.get_or("kernel", default.kernel), interfaces, interval }
    }
}
