//! Socket options and ioctls on MPTCP and TCP sockets.
//!
//! Every call takes a borrowed descriptor, so it can be asked of any socket type. Who calls: the proxy, at accept and
//! when a session ends. What is not here: options socket2 already carries (congestion control, backlog, TFO).

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};

use thiserror::Error;

mod memory;
mod subflows;

use crate::abi;

pub use crate::mptcp_info::MptcpInfo;
pub use memory::{lock_receive_buffer, tcp_info, widen_receive_window};
pub use subflows::{FullInfo, SubflowInfo, mptcp_full_info, subflow_addresses, subflow_tcp_infos};

/// A socket option or ioctl the kernel refused.
#[derive(Debug, Error)]
#[error("socket call {name} was refused")]
pub struct SockoptError {
    /// Name of the option or ioctl, as in the kernel's headers.
    pub name: &'static str,
    /// What the kernel said.
    #[source]
    pub source: io::Error,
}

/// Asks `MPTCP_INFO` of a socket; `None` if the socket is not, or no longer, an MPTCP one.
///
/// Errors: [`SockoptError`] for anything but "not an MPTCP socket".
/// Kernel: v5.16; no capability.
pub fn mptcp_info(socket: BorrowedFd<'_>) -> Result<Option<MptcpInfo>, SockoptError> {
    let mut buffer = [0_u8; abi::MPTCP_INFO_SIZE];
    // The kernel writes min(its size, this length) and says how much it wrote.
    let mut length: libc::socklen_t = 96;
    // SAFETY: `buffer` is writable for `length` bytes and outlives the call; the kernel writes no more than `length`.
    let answer = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            abi::SOL_MPTCP,
            abi::MPTCP_INFO,
            buffer.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if answer == 0 {
        let written = usize::try_from(length).unwrap_or(0).min(buffer.len());
        return Ok(MptcpInfo::parse(&buffer[..written]));
    }
    let source = io::Error::last_os_error();
    match source.raw_os_error() {
        Some(libc::EOPNOTSUPP | libc::ENOPROTOOPT) => Ok(None),
        _ => Err(SockoptError { name: "MPTCP_INFO", source }),
    }
}

/// The cookie of the network namespace that a socket is in: a number that no other has, or will have until the machine is started again.
///
/// Kernel: v5.14 (`SO_NETNS_COOKIE`); no capability.
pub fn netns_cookie(socket: BorrowedFd<'_>) -> Result<u64, SockoptError> {
    let mut cookie = 0_u64;
    let mut length: libc::socklen_t = 8;
    // SAFETY: the option is eight bytes, which `cookie` is; both pointers are valid for the call.
    let answer = unsafe {
        let to = (&raw mut cookie).cast();
        libc::getsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_NETNS_COOKIE, to, &raw mut length)
    };
    match answer {
        0 => Ok(cookie),
        _ => Err(SockoptError { name: "SO_NETNS_COOKIE", source: io::Error::last_os_error() }),
    }
}

/// Lets a listener take data in the SYN (RFC 7413), with at most `queue` such connections waiting.
///
/// Kernel: `TCP_FASTOPEN`, tcp(7); on MPTCP listeners since v6.2; `net.ipv4.tcp_fastopen` must have bit 2.
pub fn set_fast_open(socket: &impl AsFd, queue: u32) -> Result<(), SockoptError> {
    let queue = libc::c_int::try_from(queue).unwrap_or(libc::c_int::MAX);
    // SAFETY: TCP_FASTOPEN reads one int through the pointer, which is valid for the call.
    let answer = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_FASTOPEN,
            (&raw const queue).cast(),
            4,
        )
    };
    if answer < 0 {
        return Err(SockoptError { name: "TCP_FASTOPEN", source: io::Error::last_os_error() });
    }
    Ok(())
}

/// Bytes written to a socket that its peer has not acknowledged (at data level on an MPTCP socket).
///
/// Source: `SIOCOUTQ`, tcp(7); `mptcp_ioctl` in Linux v6.18 `net/mptcp/protocol.c`.
pub fn unacknowledged(socket: BorrowedFd<'_>) -> Result<u32, SockoptError> {
    let mut queued: libc::c_int = 0;
    // SAFETY: SIOCOUTQ (the same number as TIOCOUTQ) writes one int through the pointer, which is valid for the call.
    let answer = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut queued) };
    if answer < 0 {
        return Err(SockoptError { name: "SIOCOUTQ", source: io::Error::last_os_error() });
    }
    // A negative count (the kernel's answer while a socket is being torn down) means nothing is waiting.
    Ok(u32::try_from(queued).unwrap_or(0))
}

#[cfg(test)]
mod tests;
