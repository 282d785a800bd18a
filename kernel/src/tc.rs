//! Queueing disciplines and classes: HTB on a link of our own.
//!
//! What lives here: HTB's root and its classes, made, changed and read by routing netlink. What does not: which packets a class gets
//! (`nft`), which rate it should have. Called by `shaper`. Invariant: every class hangs directly below the root and is a leaf, with
//! a short first-in-first-out queue that HTB makes for it, as long as its link's `txqueuelen` says.
//!
//! Below the root, a class sends at its rate over time, at its ceiling while tokens of its rate are left; it borrows from nobody.
//! Source: tc-htb(8), Linux v6.18 `net/sched/sch_htb.c`, `net/sched/sch_api.c`.

mod class;
mod rate;
mod slot;

use crate::abi::route::{self as abi, htb, tca};
use crate::link;
use crate::netlink::attribute::Attributes;
use crate::netlink::{Dump, NetlinkError, NetlinkSocket, Protocol, Request};

pub(crate) use class::line;
pub use class::{Class, ClassStats};
pub use rate::ClassSpec;
pub use slot::Slot;

/// Packets that pass unheld while there is no class for them: as many as a class that is being made can delay.
const DIRECT_QUEUE: u32 = 1000;
/// Class changes in one datagram: their errors have to fit into what may wait to be read.
const CLASSES_AT_ONCE: usize = 512;
/// Room for that many errors.
const RECEIVE_BUFFER: usize = 4 * 1024 * 1024;

/// A queueing discipline at the root of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Qdisc {
    /// Its kind.
    pub kind: String,
    /// Its handle: major number, then sixteen zero bits. Zero: the kernel put it there by itself.
    pub handle: u32,
}

/// Whether a class is expected to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClassOp {
    /// It need not be: then it is made.
    Make,
    /// It is there.
    Change,
}

/// Traffic control in the network namespace it was opened in.
#[derive(Debug)]
pub struct TrafficControl {
    socket: NetlinkSocket,
}

impl TrafficControl {
    /// Opens the door.
    pub fn open() -> Result<Self, NetlinkError> {
        let socket = NetlinkSocket::open(Protocol::Route)?;
        socket.set_receive_buffer(RECEIVE_BUFFER)?;
        Ok(Self { socket })
    }

    /// The queueing disciplines at the roots of all links, with the numbers of the links.
    pub fn roots(&mut self) -> Result<Vec<(u32, Qdisc)>, NetlinkError> {
        let mut found = Vec::new();
        self.socket.dump(
            "RTM_GETQDISC",
            &"queueing disciplines",
            &header(abi::RTM_GETQDISC, 0, 0, [0; 2]),
            |dump| match dump {
                Dump::Start => found.clear(),
                Dump::Entry(message) => found.extend(root(message.payload)),
            },
        )?;
        Ok(found)
    }

    /// The links with a `clsact` or `ingress` beside their root, by number, and which of the two it is: its filters see packets that come
    /// in before nftables does.
    pub fn hooks(&mut self) -> Result<Vec<(u32, String)>, NetlinkError> {
        let mut found = Vec::new();
        let request = header(abi::RTM_GETQDISC, 0, 0, [0; 2]);
        self.socket.dump("RTM_GETQDISC", &"queueing disciplines", &request, |dump| match dump {
            Dump::Start => found.clear(),
            Dump::Entry(message) => found.extend(under(message.payload, abi::TC_H_CLSACT).map(|(i, q)| (i, q.kind))),
        })?;
        Ok(found)
    }

    /// Gives the link `index` the HTB of that number as its root. Packets without a class pass as they are.
    ///
    /// Errors: `ENOENT` — no HTB in this kernel.
    /// Kernel: CAP_NET_ADMIN, as everything that changes.
    pub fn add_htb(&mut self, index: u32, shard: u16) -> Result<(), NetlinkError> {
        self.socket.request("RTM_NEWQDISC", &format_args!("root of link {index}"), add_htb(index, shard), |_| {})
    }

    /// Takes the root away that somebody gave the link `index`; that there is none is no error.
    pub fn delete_root(&mut self, index: u32) -> Result<(), NetlinkError> {
        let request = header(abi::RTM_DELQDISC, 0, index, [0, abi::TC_H_ROOT]);
        match self.socket.request("RTM_DELQDISC", &format_args!("root of link {index}"), request, |_| {}) {
            Err(error) if error.errno() == Some(libc::ENOENT) => Ok(()),
            done => done,
        }
    }

    /// Makes or changes classes of the link `index`, in few system calls; a failed one does not keep the others from it.
    ///
    /// Shape: all of the HTB that is there. Changing is O(1) a class, adding is O(classes there are).
    /// Errors: the first failure, when all were tried.
    pub fn set_classes(
        &mut self,
        index: u32,
        op: ClassOp,
        classes: impl IntoIterator<Item = (Slot, ClassSpec)>,
    ) -> Result<(), NetlinkError> {
        let mut first = None;
        let mut classes = classes.into_iter().peekable();
        while classes.peek().is_some() {
            let steps = classes.by_ref().take(CLASSES_AT_ONCE).map(|(slot, spec)| class::step(index, op, slot, spec));
            self.socket.batch(None, steps.collect(), None, |_, error| {
                first.get_or_insert(error);
            })?;
        }
        first.map_or(Ok(()), Err)
    }

    /// The classes of the link `index`, in the kernel's order.
    pub fn classes(&mut self, index: u32) -> Result<Vec<Class>, NetlinkError> {
        let mut found = Vec::new();
        let request = header(abi::RTM_GETTCLASS, 0, index, [0; 2]);
        self.socket.dump("RTM_GETTCLASS", &format_args!("link {index}"), &request, |dump| match dump {
            Dump::Start => found.clear(),
            Dump::Entry(message) => found.extend(class::parse(message.payload)),
        })?;
        Ok(found)
    }
}

/// The request behind [`TrafficControl::add_htb`].
fn add_htb(index: u32, shard: u16) -> Request {
    let mut init = [0; 20];
    init[..4].copy_from_slice(&htb::VERSION.to_ne_bytes());
    // What tc says as well; it is used for classes without a quantum, and ours have one.
    init[4..8].copy_from_slice(&10_u32.to_ne_bytes());
    header(abi::RTM_NEWQDISC, abi::NLM_F_CREATE | abi::NLM_F_EXCL, index, [slot::root(shard), abi::TC_H_ROOT])
        .text(tca::KIND, "htb")
        .nest(tca::OPTIONS, |options| options.attribute(htb::INIT, &init).u32(htb::DIRECT_QLEN, DIRECT_QUEUE))
}

/// The same as [`TrafficControl::add_htb`] by `tc`.
#[must_use]
pub fn htb_line(device: &str, shard: u16) -> String {
    format!("tc qdisc add dev {device} root handle {:x}: htb direct_qlen {DIRECT_QUEUE}", slot::root(shard) >> 16)
}

/// A request with a `struct tcmsg`.
fn header(kind: u16, flags: u16, index: u32, [handle, parent]: [u32; 2]) -> Request {
    let mut fixed = [0; abi::TC_HEADER];
    for (at, number) in [(abi::TC_INDEX, index), (abi::TC_HANDLE, handle), (abi::TC_PARENT, parent)] {
        fixed[at..at + 4].copy_from_slice(&number.to_ne_bytes());
    }
    Request::new(kind, flags).fixed(&fixed)
}

/// Reads a queueing discipline, if it is a link's root.
fn root(payload: &[u8]) -> Option<(u32, Qdisc)> {
    under(payload, abi::TC_H_ROOT)
}

/// Reads a queueing discipline, if that is its parent.
fn under(payload: &[u8], parent: u32) -> Option<(u32, Qdisc)> {
    let number = |at| link::number(payload, at);
    if number(abi::TC_PARENT)? != parent {
        return None;
    }
    let kind = Attributes::new(payload.get(abi::TC_HEADER..)?).find(tca::KIND)?.text()?.to_owned();
    Some((number(abi::TC_INDEX)?, Qdisc { kind, handle: number(abi::TC_HANDLE)? }))
}

#[cfg(test)]
mod tests;
