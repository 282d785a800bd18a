//! The shaper: classes of a rate, and which subflows' packets go through them.
//!
//! What lives here: our nftables table and our IFBs as one thing, made, changed, read and taken away. What does not: who should be in
//! which class (`throttle`). Called by whoever steers subflows.
//! Invariant: only objects under our names that carry our marks are changed or taken away, or those that the caller was told to adopt;
//! a packet of a flow that is in no map goes its way untouched; what was put into a map, and what was said about joins, is over when
//! its lease is, unless it is said again.

mod commands;
mod error;
mod found;
mod open;
mod pool;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::link::Links;
use crate::netlink::{NetlinkError, Step};
use crate::nft::{self, Hook, Map, Nftables, WatchedChain};
use crate::tc::TrafficControl;

pub use crate::nft::{Direction, Flow, Join, Prefix, Then};
pub use crate::tc::{ClassSpec, ClassStats, Slot};
pub use commands::Commands;
pub use error::ShaperError;
pub use found::{Found, FoundDevice, FoundTable, neighbours};

/// How often interfaces are looked up anew because one went away meanwhile.
const WATCH_ATTEMPTS: usize = 4;

/// What our objects are called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// The nftables table, of the family `netdev`.
    ///
    /// Shape:   letters, digits and underscores, at most 32
    pub table: String,
    /// The IFB. Where many classes are needed there are more: `NAME-1`, `NAME-2`, of whose names `NAME` is the first twelve bytes.
    ///
    /// Shape:   an interface's name: at most 15 bytes
    pub device: String,
}

/// How a shaper is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Most classes, and half the most subflows under them.
    ///
    /// Shape:   1..=[`Slot::MOST`]
    pub subflows: u16,
    /// How long what is put into a map stays there.
    pub lease: Duration,
    /// Take over a table or an IFB under our names that does not carry our marks.
    pub adopt: bool,
}

/// Our table and our IFBs in the network namespace it was opened in.
///
/// Shape:   dropping it leaves everything as it is: [`Shaper::clear`] takes it away
#[derive(Debug)]
pub struct Shaper {
    names: Names,
    options: Options,
    links: Links,
    tc: TrafficControl,
    nft: Nftables,
    /// Numbers of the IFBs.
    devices: Vec<u32>,
    /// Classes there are: those of the slots 1..=made.
    made: u16,
    note: Option<String>,
}

impl Shaper {
    /// Puts flows into classes for a lease, in one transaction: those that are new, those that were in another class, and those
    /// whose lease begins anew.
    ///
    /// Shape:   a flow named twice goes where it was named last; a class nobody gave a rate holds nobody
    /// Errors: [`ShaperError::Families`], [`ShaperError::Slot`] — nothing is done; others — as well, as it is a transaction.
    pub fn put(&mut self, entries: &[(Direction, Flow, Slot)]) -> Result<(), ShaperError> {
        let mut maps: BTreeMap<Map, BTreeMap<Flow, Slot>> = BTreeMap::new();
        for &(direction, flow, slot) in entries {
            let (map, flow) = place(direction, flow)?;
            maps.entry(map).or_default().insert(flow, slot);
        }
        self.make(entries.iter().map(|&(_, _, slot)| slot))?;
        let (table, mut steps) = (&self.names.table, Vec::new());
        for (map, elements) in maps {
            let elements: Vec<_> = elements.into_iter().collect();
            let flows: Vec<_> = elements.iter().map(|&(flow, _)| flow).collect();
            steps.extend(nft::destroy(table, map, &flows));
            steps.extend(nft::put(table, map, self.options.lease, &elements));
        }
        Ok(self.nft.apply(steps)?)
    }

    /// Takes flows out of their classes, in one transaction; that one is in none is no error.
    ///
    /// Errors: [`ShaperError::Families`] — nothing is done.
    pub fn remove(&mut self, entries: &[(Direction, Flow)]) -> Result<(), ShaperError> {
        let mut maps: BTreeMap<Map, Vec<Flow>> = BTreeMap::new();
        for &(direction, flow) in entries {
            let (map, flow) = place(direction, flow)?;
            maps.entry(map).or_default().push(flow);
        }
        let steps = maps.into_iter().flat_map(|(map, flows)| nft::destroy(&self.names.table, map, &flows));
        Ok(self.nft.apply(steps.collect())?)
    }

    /// Says what holds for subflows that are being joined, from their first packet on and for a lease; replaces what was said
    /// before, in one transaction. The first that matches decides.
    ///
    /// Errors: [`ShaperError::Missing`] — no `reject` in this kernel: say [`Then::Drop`] instead.
    pub fn arm(&mut self, joins: &[Join]) -> Result<(), ShaperError> {
        self.make(joins.iter().filter_map(|join| match join.then {
            Then::Class(slot) => Some(slot),
            Then::Refuse | Then::Drop => None,
        }))?;
        Ok(self.nft.apply(nft::arm(&self.names.table, self.options.lease, joins))?)
    }

    /// Lets what was said of joins hold for a lease more.
    pub fn renew_joins(&mut self) -> Result<(), ShaperError> {
        Ok(self.nft.apply(nft::alive(&self.names.table, self.options.lease).into())?)
    }

    /// Meets packets at these interfaces, by number, and at no others; answers which of them there are.
    ///
    /// Shape:   call it again when one came, went or was renamed
    pub fn watch(&mut self, interfaces: &[u32]) -> Result<Vec<u32>, ShaperError> {
        let mut attempts = WATCH_ATTEMPTS;
        loop {
            let links = self.links.list()?;
            let there: Vec<_> = links.iter().filter(|link| interfaces.contains(&link.index)).collect();
            let wanted = there.iter().flat_map(|link| {
                Hook::ALL.map(|hook| WatchedChain { hook, index: link.index, device: link.name.clone() })
            });
            let steps = self.difference(wanted.collect())?;
            attempts -= 1;
            match self.nft.apply(steps) {
                Ok(()) => return Ok(there.iter().map(|link| link.index).collect()),
                // An interface or its chain went away meanwhile.
                Err(error) if attempts > 0 && matches!(error.errno(), Some(libc::ENOENT | libc::ENODEV)) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The steps from the base chains there are to those that are wanted.
    fn difference(&mut self, wanted: Vec<WatchedChain>) -> Result<Vec<Step>, NetlinkError> {
        let table = &self.names.table;
        let there: Vec<_> = self.nft.chains(table)?.iter().filter_map(WatchedChain::of).collect();
        let gone = there.iter().filter(|chain| !wanted.contains(chain)).flat_map(|chain| chain.delete(table));
        let new = wanted.iter().filter(|chain| !there.contains(chain)).flat_map(|chain| chain.add(table));
        Ok(gone.chain(new).collect())
    }

    /// Leaves words with the IFB, for whoever opens a shaper of these names after this one.
    ///
    /// Shape:   at most 200 bytes, no line breaks; longer ones are cut
    pub fn note(&mut self, words: Option<&str>) -> Result<(), ShaperError> {
        let words = words.map(found::cut).filter(|words| !words.is_empty());
        self.links.set_alias(self.devices[0], &found::alias(words.as_deref()))?;
        self.note = words;
        Ok(())
    }

    /// The words left with the IFB: by this shaper, or by one before it.
    #[must_use]
    pub fn noted(&self) -> Option<&str> {
        self.note.as_deref()
    }

    /// Takes the table and the IFBs away.
    ///
    /// Errors: the first failure, when all were tried.
    pub fn clear(self) -> Result<(), ShaperError> {
        Self::sweep(&self.names, false).map(drop)
    }
}

/// Where a flow's packets of one direction are looked up, and as what.
fn place(direction: Direction, flow: Flow) -> Result<(Map, Flow), ShaperError> {
    let plain = |end: std::net::SocketAddr| std::net::SocketAddr::new(end.ip().to_canonical(), end.port());
    let plain = Flow { client: plain(flow.client), server: plain(flow.server) };
    if plain.client.is_ipv4() != plain.server.is_ipv4() {
        return Err(ShaperError::Families(flow));
    }
    Ok((Map { direction, v6: plain.client.is_ipv6() }, plain))
}

#[cfg(test)]
mod tests;
