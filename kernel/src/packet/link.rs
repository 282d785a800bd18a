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
    Ok(of_kind(name.sll_hatype))
}

/// What the frames of a kind of link (`ARPHRD_*`) begin with.
fn of_kind(kind: u16) -> Option<Framing> {
    match kind {
        libc::ARPHRD_ETHER | libc::ARPHRD_LOOPBACK => Some(Framing::Ethernet),
        libc::ARPHRD_NONE | ARPHRD_RAWIP => Some(Framing::Ip),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::namespace;

    #[test]
    fn the_framing_of_an_interface_is_its_own() {
        namespace(&["link add tap0 type veth peer name tap1"])
            .run(|| {
                assert_eq!(framing("tap0").unwrap(), Some(Framing::Ethernet));
                assert_eq!(framing("lo").unwrap(), Some(Framing::Ethernet));
                assert_eq!(framing("tap9").unwrap_err().call, "if_nametoindex");
            })
            .unwrap();
    }

    #[test]
    fn kinds_of_links_without_a_header_of_their_own_begin_with_ip() {
        // TUN is of the kind "none", mobile links are "raw IP"; PPP and tunnels are neither.
        assert_eq!((of_kind(0xfffe), of_kind(519)), (Some(Framing::Ip), Some(Framing::Ip)));
        assert_eq!((of_kind(512), of_kind(768), of_kind(0)), (None, None, None));
    }
}
