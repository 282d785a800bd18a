//! What kind of link an interface is.

use std::io;
use std::mem::zeroed;
use std::os::fd::{AsFd as _, AsRawFd as _};

use super::filter::Framing;
use super::{PacketError, PacketSocket, len_of};

/// `ARPHRD_RAWIP`, which the C library lacks. Source: Linux v6.18 `include/uapi/linux/if_arp.h`.
const ARPHRD_RAWIP: u16 = 519;

/// What the frames of `interface` begin with; `None` for a link of another kind.
///
/// Errors: [`PacketError`] — no such interface, or no CAP_NET_RAW.
/// Kernel: CAP_NET_RAW.
pub fn framing(interface: &str) -> Result<Option<Framing>, PacketError> {
    let (socket, index) = PacketSocket::unbound(interface)?;
    // Bound to no protocol, it receives nothing; but then its name carries the kind of the link.
    socket.bind(index, 0)?;
    // SAFETY: sockaddr_ll is plain data, for which all zeroes is a value.
    let mut name: libc::sockaddr_ll = unsafe { zeroed() };
    let mut length = len_of(&name);
    // SAFETY: the pointer and the length describe `name`; the kernel writes at most that many bytes.
    let done = unsafe { libc::getsockname(socket.as_fd().as_raw_fd(), (&raw mut name).cast(), &raw mut length) };
    if done < 0 {
        return Err(socket.error("getsockname", io::Error::last_os_error()));
    }
    Ok(match name.sll_hatype {
        libc::ARPHRD_ETHER | libc::ARPHRD_LOOPBACK => Some(Framing::Ethernet),
        libc::ARPHRD_NONE | ARPHRD_RAWIP => Some(Framing::Ip),
        _ => None,
    })
}
