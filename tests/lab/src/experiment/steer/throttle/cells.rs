//! What is held to a rate, on which links, for whom.
//!
//! Called by the experiment. Invariant: the first cell is the one of the picture.

use std::time::Duration;

use crate::client::Way;
use crate::experiment::Options;
use crate::link::Link;
use crate::topology::{Builder, Family, Topology};

use super::super::policies::{limit, policy, total_upload};
use super::super::{Setting, ms};

/// What is done to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// A path is held to so many Mbit/s.
    Limit(u64),
    /// A path is made a backup.
    Backup,
    /// The whole is held to so many Mbit/s.
    Total(u64),
}

/// One case.
#[derive(Debug, Clone)]
pub(super) struct Cell {
    pub(super) name: &'static str,
    pub(super) setting: Setting,
    /// The link that is held, and those that are not.
    pub(super) held: u8,
    pub(super) free: &'static [u8],
    pub(super) family: Family,
    pub(super) way: Way,
    pub(super) connections: usize,
    pub(super) rule: Rule,
    /// What `add_addr_accepted` is at the client.
    pub(super) accepted: &'static [u8],
    /// The run ends then at the latest.
    pub(super) end: Duration,
}

/// Ten seconds after its beginning, bbr sends next to nothing for 200 ms to see the shortest round trip, whatever anybody else does.
const BEFORE_PROBE: Duration = ms(9_800);

impl Cell {
    /// The policy as text.
    pub(super) fn policies(&self) -> String {
        match self.rule {
            Rule::Limit(mbit) => limit(self.held, mbit),
            Rule::Backup => policy(self.held, "backup", ""),
            Rule::Total(mbit) => total_upload(mbit),
        }
    }
}

fn links(count: usize, mbit: u64, delay_ms: u64) -> Builder {
    (0..count).fold(Topology::builder(), |builder, number| {
        let link = Link::new(["dsl", "lte", "wifi"][number]).mbit(mbit);
        builder.link(if delay_ms > 0 { link.delay_ms(delay_ms) } else { link })
    })
}

/// The cells of a run. A quick one keeps those that say most.
pub(super) fn cells(options: &Options) -> Vec<Cell> {
    let near = Setting::new(links(2, 40, 0));
    let plain = Cell {
        name: "40 to 2 Mbit/s",
        setting: near.clone(),
        held: 2,
        free: &[1],
        family: Family::V4,
        way: Way::Download,
        connections: 1,
        rule: Rule::Limit(2),
        accepted: &[0, 2],
        end: Duration::MAX,
    };
    let delayed = |name, delay| Cell { name, setting: Setting::new(links(2, 40, delay)), ..plain.clone() };
    let initial = Cell { name: "the initial subflow", held: 1, free: &[2], ..plain.clone() };
    let far = delayed("20 ms delay each way", 20);
    let upload = Cell { name: "upload: demotion", way: Way::Upload, rule: Rule::Backup, ..plain.clone() };
    if options.quick {
        let quick = |cell: &Cell, accepted| Cell { accepted, ..cell.clone() };
        return vec![quick(&plain, &[0]), quick(&far, &[2]), quick(&initial, &[0]), quick(&upload, &[0])];
    }
    let bbr = Setting { congestion: Some("bbr"), ..Setting::new(links(2, 40, 20)) };
    vec![
        plain.clone(),
        Cell {
            name: "200 to 5 Mbit/s",
            setting: Setting::new(links(2, 200, 0)),
            rule: Rule::Limit(5),
            ..plain.clone()
        },
        Cell { name: "40 to 10 Mbit/s", rule: Rule::Limit(10), ..plain.clone() },
        initial,
        Cell { name: "three paths", setting: Setting::new(links(3, 40, 0)), free: &[1, 3], ..plain.clone() },
        Cell { name: "IPv6", family: Family::V6, ..plain.clone() },
        Cell { name: "50 connections at once", connections: 50, ..plain.clone() },
        Cell { name: "bbr, 20 ms delay each way", setting: bbr, end: BEFORE_PROBE, ..plain.clone() },
        far,
        delayed("40 ms delay each way", 40),
        upload,
        Cell { name: "upload: total limit of 10 Mbit/s", way: Way::Upload, rule: Rule::Total(10), ..plain },
    ]
}
