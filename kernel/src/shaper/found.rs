//! What there is under our names, and whose it is.

use crate::link::{Link, Links};
use crate::netlink::NetlinkError;
use crate::nft::{Map, Nftables, Table};
use crate::tc::TrafficControl;

use super::{Names, Shaper, ShaperError, Slot};

/// What our table says of itself, and what our IFB's alias begins with.
pub(super) const MARK: &str = "anabranch";
/// The hardware address of our IFB: an alias cannot be given to a link at its birth, so a link that was just made has this alone.
/// Locally administered, then "anabr".
pub(super) const BIRTH_MARK: [u8; 6] = [0x02, b'a', b'n', b'a', b'b', b'r'];
/// What is between the mark and the note in an alias.
const NOTE: &str = ": ";
/// As much of the first IFB's name as has room before a hyphen and two digits.
const LONGEST_STEM: usize = 12;
/// Longest note, in bytes.
const LONGEST_NOTE: usize = 200;

/// What there is under our names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    /// The table.
    pub table: Option<FoundTable>,
    /// The IFB, or whatever has its name.
    pub device: Option<FoundDevice>,
    /// The numbers of the IFBs beside it that are ours.
    pub beside: Vec<u32>,
}

/// A table under our name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundTable {
    /// It carries our mark.
    pub ours: bool,
    /// What it says of itself.
    pub comment: Option<String>,
    /// Flows in its maps, if it is ours.
    pub flows: usize,
}

/// A link under our IFB's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundDevice {
    /// It carries our marks.
    pub ours: bool,
    /// Its number.
    pub index: u32,
    /// What it is: `ifb`, `veth`.
    pub kind: Option<String>,
    /// The words on it.
    pub alias: Option<String>,
    /// The words left by [`Shaper::note`].
    pub note: Option<String>,
    /// Its classes.
    pub classes: usize,
}

impl Found {
    /// Whether anything of ours is there.
    #[must_use]
    pub fn anything_ours(&self) -> bool {
        let device = self.device.as_ref().is_some_and(|device| device.ours);
        device || !self.beside.is_empty() || self.table.as_ref().is_some_and(|table| table.ours)
    }
}

impl Shaper {
    /// Looks what there is under our names, and whose it is; changes nothing.
    ///
    /// Errors: [`ShaperError::Missing`] — no nftables; [`ShaperError::NotPermitted`] — nor the right to look.
    pub fn observe(names: &Names) -> Result<Found, ShaperError> {
        let (mut links, mut tc, mut nft) = (Links::open()?, TrafficControl::open()?, Nftables::open()?);
        Ok(look(names, &mut links, &mut tc, &mut nft)?)
    }
}

/// Other tables of the family `netdev` that meet packets at interfaces, with the interface; each pair once.
///
/// Shape:   a chain of several interfaces is not told
/// Errors: as [`Shaper::observe`]
pub fn neighbours(names: &Names) -> Result<Vec<(String, String)>, ShaperError> {
    let chains = Nftables::open()?.chains_beside(&names.table)?;
    let mut found: Vec<_> = chains.into_iter().filter_map(|chain| Some((chain.table, chain.device?))).collect();
    found.sort();
    found.dedup();
    Ok(found)
}

pub(super) fn look(
    names: &Names,
    links: &mut Links,
    tc: &mut TrafficControl,
    nft: &mut Nftables,
) -> Result<Found, NetlinkError> {
    let table = nft.tables()?.into_iter().find(|table| table.name == names.table);
    let table = table.map(|table| found_table(names, table, nft)).transpose()?;
    let links = links.list()?;
    let found = links.iter().find(|link| link.name == names.device).map(|link| found_device(link, tc)).transpose()?;
    let named: Vec<_> = (1..=Slot(Slot::MOST).shard()).map(|shard| device(names, shard)).collect();
    let beside = links.iter().filter(|link| is_ours(link) && named.contains(&link.name)).map(|link| link.index);
    Ok(Found { table, device: found, beside: beside.collect() })
}

fn found_table(names: &Names, table: Table, nft: &mut Nftables) -> Result<FoundTable, NetlinkError> {
    let ours = table.comment.as_deref() == Some(MARK);
    let mut flows = 0;
    for map in Map::ALL.into_iter().filter(|_| ours) {
        flows += nft.elements(&names.table, map)?.len();
    }
    Ok(FoundTable { ours, comment: table.comment, flows })
}

fn found_device(link: &Link, tc: &mut TrafficControl) -> Result<FoundDevice, NetlinkError> {
    let (kind, alias) = (link.kind.clone(), link.alias.clone());
    let note = alias.as_deref().and_then(noted).map(str::to_owned);
    let classes = tc.classes(link.index)?.len();
    Ok(FoundDevice { ours: is_ours(link), index: link.index, kind, note, alias, classes })
}

fn is_ours(link: &Link) -> bool {
    let marked = link.alias.as_deref().is_some_and(is_marked) || link.address == BIRTH_MARK;
    marked && link.kind.as_deref() == Some("ifb")
}

/// The name of an IFB: the first has the one that was given.
pub(super) fn device(names: &Names, shard: u16) -> String {
    let name = &names.device;
    match shard {
        0 => name.clone(),
        // An interface's name is ASCII; one that is not is not shortened, and the kernel refuses it.
        _ => format!("{}-{shard}", name.get(..LONGEST_STEM.min(name.len())).unwrap_or(name)),
    }
}

/// The alias of our IFB.
pub(super) fn alias(note: Option<&str>) -> String {
    note.map_or_else(|| MARK.to_owned(), |note| format!("{MARK}{NOTE}{note}"))
}

/// As much of a note as an alias has room for.
pub(super) fn cut(words: &str) -> String {
    let mut end = words.len().min(LONGEST_NOTE);
    while !words.is_char_boundary(end) {
        end -= 1;
    }
    words[..end].chars().filter(|character| !character.is_control()).collect()
}

/// The note in an alias.
fn noted(alias: &str) -> Option<&str> {
    alias.strip_prefix(MARK)?.strip_prefix(NOTE).filter(|note| !note.is_empty())
}

fn is_marked(alias: &str) -> bool {
    alias == MARK || noted(alias).is_some()
}

const _: () = assert!(MARK.len() + NOTE.len() + LONGEST_NOTE < crate::abi::route::IFALIASZ);
