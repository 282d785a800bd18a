//! Making our objects, after what an earlier run left, and taking them away.

use crate::link::{Ifb, Links};
use crate::netlink::NetlinkError;
use crate::nft::{self, Layout, Nftables};
use crate::tc::TrafficControl;

use super::found::{self, Found, FoundDevice, MARK};
use super::{Names, Options, Shaper, ShaperError, Slot};

/// Packets that may wait in a class: HTB gives every new class a queue as long as its link's. Segments of a local socket wait there
/// as its pacing lets them; those that pass come one by one. At 2 Mbit/s and 1500 bytes it is a fifth of a second.
pub(super) const QUEUE: u32 = 32;
/// A map has room for this many times the subflows there may be: for those that were only armed, and for those that went.
const MAP_ROOM: u32 = 2;

impl Shaper {
    /// Makes the table and the IFB, in place of what an earlier run left of them.
    ///
    /// Shape:   what comes out is the same as after a clean start, but for [`Shaper::noted`], which outlives a crash; no interface is
    /// watched yet
    /// Errors: [`ShaperError::Foreign`], [`ShaperError::NotAnIfb`] — nothing is done; others — what was made is taken away again.
    /// Kernel: v6.3 with nf_tables, ifb and sch_htb; CAP_NET_ADMIN.
    pub fn open(names: &Names, options: Options) -> Result<Self, ShaperError> {
        let (mut links, mut tc, mut nft) = (Links::open()?, TrafficControl::open()?, Nftables::open()?);
        let found = found::look(names, &mut links, &mut tc, &mut nft)?;
        refuse_strangers(names, options.adopt, &found)?;
        let options = Options { subflows: options.subflows.clamp(1, Slot::MOST), ..options };

        // Rules first: they send packets to the IFBs.
        if found.table.is_some() {
            nft.apply(vec![nft::delete(&names.table)])?;
        }
        let (reused, strange) = match found.device {
            Some(device) if device.ours => (Some(device), None),
            strange => (None, strange),
        };
        found.beside.iter().chain(strange.map(|device| device.index).iter()).try_for_each(|&i| links.delete(i))?;
        let note = reused.as_ref().and_then(|device| device.note.clone());
        let made = make(names, options, (&mut links, &mut tc, &mut nft), reused);
        let device = made.inspect_err(|_| {
            // The first failure is the one to tell.
            drop(take_away(names, &mut links, &mut tc, &mut nft));
        })?;
        Ok(Self { names: names.clone(), options, links, tc, nft, devices: vec![device], made: 0, note })
    }

    /// Takes away what is ours under these names, whoever made it and whether or not it runs; answers what was there.
    ///
    /// Errors: [`ShaperError::Foreign`] — nothing is done, unless it is to be adopted; others — the first failure, when all was tried.
    pub fn sweep(names: &Names, adopt: bool) -> Result<Found, ShaperError> {
        let (mut links, mut tc, mut nft) = (Links::open()?, TrafficControl::open()?, Nftables::open()?);
        let found = found::look(names, &mut links, &mut tc, &mut nft)?;
        refuse_strangers(names, adopt, &found)?;
        let table = if found.table.is_some() { nft.apply(vec![nft::delete(&names.table)]) } else { Ok(()) };
        let devices = found.device.iter().map(|device| device.index).chain(found.beside.iter().copied());
        let devices = delete_all(&mut links, devices);
        table.and(devices)?;
        Ok(found)
    }
}

pub(super) fn layout(names: &Names, options: Options) -> Layout<'_> {
    Layout {
        table: &names.table,
        comment: MARK,
        size: u32::from(options.subflows) * MAP_ROOM,
        lease: options.lease,
        classes: options.subflows.into(),
    }
}

/// The IFB to make.
pub(super) const fn ifb(name: &str) -> Ifb<'_> {
    Ifb { name, address: found::BIRTH_MARK, queue: QUEUE }
}

/// Makes an IFB, ready for classes, and answers its number.
pub(super) fn make_ifb(name: &str, shard: u16, links: &mut Links, tc: &mut TrafficControl) -> Result<u32, ShaperError> {
    links.create_ifb(&ifb(name)).map_err(|error| match error.errno() {
        Some(libc::EEXIST) => {
            ShaperError::Foreign { what: "interface", name: name.to_owned(), found: "it came meanwhile".to_owned() }
        }
        _ => error.into(),
    })?;
    let link = links.find(name)?;
    let index = link.ok_or_else(|| NetlinkError::malformed("RTM_GETLINK", name, "it is gone again"))?.index;
    links.set_alias(index, &found::alias(None))?;
    links.no_addresses(index)?;
    tc.add_htb(index, shard)?;
    links.set_up(index)?;
    Ok(index)
}

/// Makes the table and the first IFB, and answers its number. One of ours is used again, for its note's sake, with a new HTB.
fn make(
    names: &Names,
    options: Options,
    (links, tc, nft): (&mut Links, &mut TrafficControl, &mut Nftables),
    reused: Option<FoundDevice>,
) -> Result<u32, ShaperError> {
    let index = match reused {
        Some(FoundDevice { index, note, .. }) => {
            tc.delete_root(index)?;
            links.set_alias(index, &found::alias(note.as_deref()))?;
            links.no_addresses(index)?;
            tc.add_htb(index, 0)?;
            links.set_up(index)?;
            index
        }
        None => make_ifb(&names.device, 0, links, tc)?,
    };
    nft.apply(layout(names, options).add())?;
    Ok(index)
}

/// Takes links away; the first failure, when all were tried.
fn delete_all(links: &mut Links, indices: impl IntoIterator<Item = u32>) -> Result<(), NetlinkError> {
    indices.into_iter().map(|index| links.delete(index)).fold(Ok(()), Result::and)
}

/// Takes away what is ours, as far as that goes.
fn take_away(
    names: &Names,
    links: &mut Links,
    tc: &mut TrafficControl,
    nft: &mut Nftables,
) -> Result<(), NetlinkError> {
    let found = found::look(names, links, tc, nft)?;
    let table = match found.table.filter(|table| table.ours) {
        Some(_) => nft.apply(vec![nft::delete(&names.table)]),
        None => Ok(()),
    };
    let device = found.device.filter(|device| device.ours).map(|device| device.index);
    let devices = delete_all(links, device.into_iter().chain(found.beside));
    table.and(devices)
}

/// Refuses what is under our names and not ours.
fn refuse_strangers(names: &Names, adopt: bool, found: &Found) -> Result<(), ShaperError> {
    let words = |words: &Option<String>, none: &str| {
        words.as_ref().map_or_else(|| none.to_owned(), |words| format!("it says \"{}\"", words.escape_default()))
    };
    if let Some(device) = found.device.as_ref().filter(|device| !device.ours) {
        let name = names.device.clone();
        if device.kind.as_deref() != Some("ifb") {
            let kind = device.kind.clone().unwrap_or_else(|| "a device of its own".to_owned());
            return Err(ShaperError::NotAnIfb { name, kind });
        }
        if !adopt {
            let found = words(&device.alias, "it has no alias");
            return Err(ShaperError::Foreign { what: "interface", name, found });
        }
    }
    match found.table.as_ref().filter(|table| !table.ours && !adopt) {
        None => Ok(()),
        Some(table) => {
            let found = words(&table.comment, "it has no comment");
            Err(ShaperError::Foreign { what: "table netdev", name: names.table.clone(), found })
        }
    }
}
