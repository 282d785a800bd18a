//! Who listens to the path manager's events.

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
    let mut found = 0;
    NetlinkSocket::open(Protocol::SockDiag)?.dump("SOCK_DIAG_BY_FAMILY", &"netlink sockets", &request(), |dump| {
        match dump {
            Dump::Start => found = 0,
            Dump::Entry(message) => found += usize::from(listens(message.payload, group)),
        }
    })?;
    Ok(found)
}

fn request() -> Request {
    let mut fixed = [0; abi::REQUEST];
    fixed[abi::FAMILY] = abi::AF_NETLINK;
    fixed[abi::PROTOCOL] = abi::GENERIC;
    fixed[abi::SHOW..abi::SHOW + 4].copy_from_slice(&abi::SHOW_GROUPS.to_ne_bytes());
    Request::new(SOCK_DIAG_BY_FAMILY, 0).fixed(&fixed)
}

/// Whether an answer is of a socket that is in a group. The bits are those of a row of the kernel's words, so on a machine whose
/// first byte is the highest they are not in the order of the bytes.
fn listens(payload: &[u8], group: u32) -> bool {
    let said = payload.get(abi::MESSAGE..).map(Attributes::new).and_then(|said| said.find(abi::GROUPS));
    let Some((bit, said)) = group.checked_sub(1).and_then(|bit| usize::try_from(bit).ok()).zip(said) else {
        return false;
    };
    let word = Fields(said.payload).array::<{ size_of::<usize>() }>(bit / WORD * size_of::<usize>());
    word.is_some_and(|word| usize::from_ne_bytes(word) >> (bit % WORD) & 1 == 1)
}

/// Bits of a word of the kernel's.
const WORD: usize = 8 * size_of::<usize>();
