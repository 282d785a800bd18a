//! Who listens to the path manager's events.

use std::collections::BTreeSet;

use crate::abi::mptcp_pm as pm;
use crate::abi::netlink_diag as abi;
use crate::abi::sock_diag::SOCK_DIAG_BY_FAMILY;
use crate::fields::Fields;
use crate::netlink::attribute::Attributes;
use crate::netlink::{Dump, NetlinkSocket, Protocol, Request};

use super::{MptcpPmError, family};

/// How many sockets listen to [`super::Events`] in this network namespace.
///
/// Errors: those of the kernel; one that was built without `NETLINK_DIAG` answers `ENOENT`.
/// Kernel: v3.10; no capability.
pub fn listeners() -> Result<usize, MptcpPmError> {
    let mut socket = NetlinkSocket::open(Protocol::Generic)?;
    let group = family(&mut socket)?.group(pm::EVENTS).ok_or(MptcpPmError::Unsupported)?;
    // The kernel tells of a socket that is in a group twice: among all, and among those in groups.
    let mut found = BTreeSet::new();
    NetlinkSocket::open(Protocol::SockDiag)?.dump("SOCK_DIAG_BY_FAMILY", &"netlink sockets", &request(), |dump| {
        match dump {
            Dump::Start => found.clear(),
            Dump::Entry(message) => found.extend(listener(message.payload, group)),
        }
    })?;
    Ok(found.len())
}

fn request() -> Request {
    let mut fixed = [0; abi::REQUEST];
    fixed[abi::FAMILY] = abi::AF_NETLINK;
    fixed[abi::PROTOCOL] = abi::GENERIC;
    fixed[abi::SHOW..abi::SHOW + 4].copy_from_slice(&abi::SHOW_GROUPS.to_ne_bytes());
    Request::new(SOCK_DIAG_BY_FAMILY, 0).fixed(&fixed)
}

/// The inode of an answer's socket, if it is in a group. The bits are those of a row of the kernel's words, so on a machine whose
/// first byte is the highest they are not in the order of the bytes.
fn listener(payload: &[u8], group: u32) -> Option<u32> {
    let groups = Attributes::new(payload.get(abi::MESSAGE..)?).find(abi::GROUPS)?;
    let bit = usize::try_from(group.checked_sub(1)?).ok()?;
    let word = Fields(groups.payload).array::<{ size_of::<usize>() }>(bit / WORD * size_of::<usize>())?;
    let inode = Fields(payload).u32(abi::INODE)?;
    (usize::from_ne_bytes(word) >> (bit % WORD) & 1 == 1).then_some(inode)
}

/// Bits of a word of the kernel's.
const WORD: usize = usize::BITS as usize;
