//! The rules: what the configuration says of paths, subscribers and policies, in the form in which it is asked many times a second.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use anabranch_config::{BitRate, Enforce, Per, Prefix};
use anabranch_sniffer::SubflowKind;

use super::compile::{Schedule, UsedRule};
use crate::intent::{Ceiling, Direction};

/// A path, by its place in the file.
pub(crate) type PathId = usize;

/// A policy, by its place in the file.
pub(crate) type RuleId = usize;

/// What the configuration says of paths, subscribers and policies.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    pub(crate) paths: Vec<PathRule>,
    pub(crate) subscribers: Vec<(Arc<str>, Vec<Prefix>)>,
    pub(crate) policies: Vec<Rule>,
    /// The ports of listeners, by name.
    pub(crate) ports: Vec<(Arc<str>, u16)>,
}

/// A path.
#[derive(Debug, Clone)]
pub(crate) struct PathRule {
    pub(crate) name: Arc<str>,
    pub(crate) client: Vec<Prefix>,
    pub(crate) interface: Option<Arc<str>>,
    pub(crate) cost: u32,
    /// What the whole path carries, in bit/s.
    pub(crate) capacity: Option<u64>,
    /// What one subscriber's line of it carries, in bit/s.
    pub(crate) line: Option<u64>,
}

/// A policy.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    pub(crate) name: Arc<str>,
    /// Empty: the total of a connection, whatever its paths.
    pub(crate) paths: Vec<PathId>,
    pub(crate) subscribers: Vec<Arc<str>>,
    pub(crate) listeners: Vec<Arc<str>>,
    pub(crate) kind: Option<SubflowKind>,
    pub(crate) destinations: Vec<Prefix>,
    pub(crate) ports: Vec<u16>,
    pub(crate) when: Option<Schedule>,
    pub(crate) used: Option<UsedRule>,
    pub(crate) gauges: Thresholds,
    pub(crate) act: Act,
    pub(crate) enforce: Enforce,
    pub(crate) dwell: Duration,
}

/// What is measured of a subflow and its path, and above what a policy holds.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Thresholds {
    /// Thousandths of the path's capacity.
    pub(crate) load: Option<u64>,
    /// Microseconds.
    pub(crate) rtt: Option<u64>,
    /// Thousandths of the bytes sent.
    pub(crate) loss: Option<u64>,
}

/// What a policy does.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Act {
    Overflow { limit: Option<BitRate>, after: Duration, hold: Duration },
    Backup,
    Share { percent: u8 },
    Close,
    Limit { ceiling: Ceiling, per: Per, download: bool, upload: bool },
}

impl Thresholds {
    /// Nothing is measured.
    pub(crate) const fn is_empty(&self) -> bool {
        self.load.is_none() && self.rtt.is_none() && self.loss.is_none()
    }
}

impl Act {
    /// The word in the file.
    pub(crate) const fn as_str(&self) -> &'static str {
        match self {
            Self::Overflow { .. } => "overflow",
            Self::Backup => "backup",
            Self::Share { .. } => "share",
            Self::Close => "close",
            Self::Limit { .. } => "limit",
        }
    }

    /// Whether it acts on a direction. What demotes or closes acts on both, and can have neither alone.
    pub(crate) const fn covers(&self, direction: Direction) -> bool {
        match (self, direction) {
            (Self::Limit { download, .. }, Direction::Download) => *download,
            (Self::Limit { upload, .. }, Direction::Upload) => *upload,
            _ => true,
        }
    }

    /// Whether each direction can be taken without the other.
    pub(crate) const fn divides(&self) -> bool {
        matches!(self, Self::Limit { .. })
    }
}

impl Rule {
    /// It limits totals, not subflows.
    pub(crate) const fn is_total(&self) -> bool {
        self.paths.is_empty()
    }
}

impl PathRule {
    /// How closely it matches. `None`: not at all.
    ///
    /// Shape:   the length of the longest prefix that holds the address; 0 where the interface alone decides
    fn closeness(&self, client: IpAddr, interface: Option<&str>) -> Option<u8> {
        if let Some(wanted) = &self.interface
            && interface != Some(wanted)
        {
            return None;
        }
        if self.client.is_empty() {
            return Some(0);
        }
        let holding = self.client.iter().filter(|prefix| prefix.contains(client));
        holding.map(|prefix| prefix.net().prefix_len()).max()
    }

    /// What one subscriber gets of it at most, as far as anybody has said.
    pub(crate) fn line_capacity(&self) -> Option<u64> {
        self.line.or(self.capacity)
    }
}

impl Rules {
    /// The path of a subflow: the longest prefix wins, then the order of the file.
    pub(crate) fn path_of(&self, client: IpAddr, interface: Option<&str>) -> Option<PathId> {
        let mut best: Option<(u8, PathId)> = None;
        for (id, path) in self.paths.iter().enumerate() {
            if let Some(close) = path.closeness(client, interface)
                && best.is_none_or(|(other, _)| close > other)
            {
                best = Some((close, id));
            }
        }
        best.map(|(_, id)| id)
    }

    /// The subscriber whose address this is: the longest prefix wins, then the order of the file.
    pub(crate) fn subscriber_of(&self, client: IpAddr) -> Option<&Arc<str>> {
        let mut best: Option<(u8, &Arc<str>)> = None;
        for (name, prefixes) in &self.subscribers {
            let lengths =
                prefixes.iter().filter(|prefix| prefix.contains(client)).map(|prefix| prefix.net().prefix_len());
            if let Some(close) = lengths.max()
                && best.is_none_or(|(other, _)| close > other)
            {
                best = Some((close, name));
            }
        }
        best.map(|(_, name)| name)
    }
}
