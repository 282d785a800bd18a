//! How much a TCP socket may receive before somebody reads it.

use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd as _, BorrowedFd};

use super::SockoptError;
use crate::abi;
use crate::tcp_info::TcpInfo;

/// Keeps the kernel from changing the size of a socket's receive buffer, which stays as it is; or lets it again.
///
/// Kernel: v5.14 (`SO_BUF_LOCK`); no capability. The send buffer's lock, if there was one, is gone afterwards.
pub fn lock_receive_buffer(socket: BorrowedFd<'_>, locked: bool) -> Result<(), SockoptError> {
    let locks = if locked { abi::SOCK_RCVBUF_LOCK } else { 0 };
    set(socket, libc::SOL_SOCKET, abi::SO_BUF_LOCK, locks, "SO_BUF_LOCK")
}

/// Makes the receive buffer of a TCP socket, which must not be locked, large enough to offer its peer `window` bytes at once, and lets it
/// offer them. One that is larger stays as it is.
///
/// Shape: at most half of what `net.ipv4.tcp_rmem` allows. `SO_RCVBUF` would be bounded by `net.core.rmem_max`, and leaves the window as it was.
/// Kernel: `SO_RCVLOWAT`, which sees to it since v4.18 that so much can arrive (`tcp_set_rcvlowat` in `net/ipv4/tcp.c`); it is one byte again
/// afterwards, as it is by default.
pub fn widen_receive_window(socket: BorrowedFd<'_>, window: u32) -> Result<(), SockoptError> {
    let window = libc::c_int::try_from(window).unwrap_or(libc::c_int::MAX);
    set(socket, libc::SOL_SOCKET, libc::SO_RCVLOWAT, window, "SO_RCVLOWAT")?;
    set(socket, libc::SOL_SOCKET, libc::SO_RCVLOWAT, 1, "SO_RCVLOWAT")
}

/// Asks `TCP_INFO` of a TCP socket; `None` if the kernel tells less than there was in v2.6.
///
/// Kernel: tcp(7); no capability.
pub fn tcp_info(socket: BorrowedFd<'_>) -> Result<Option<TcpInfo>, SockoptError> {
    let mut bytes = [0_u8; abi::TCP_INFO_SIZE];
    let mut length = socklen(abi::TCP_INFO_SIZE);
    // SAFETY: `bytes` is writable for `length` bytes and outlives the call; the kernel writes no more than that.
    let answer = unsafe {
        let to = bytes.as_mut_ptr().cast();
        libc::getsockopt(socket.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_INFO, to, &raw mut length)
    };
    match answer {
        0 => Ok(TcpInfo::parse(&bytes[..usize::try_from(length).unwrap_or(0).min(bytes.len())])),
        _ => Err(SockoptError { name: "TCP_INFO", source: io::Error::last_os_error() }),
    }
}

fn set(
    socket: BorrowedFd<'_>,
    level: libc::c_int,
    option: libc::c_int,
    value: libc::c_int,
    name: &'static str,
) -> Result<(), SockoptError> {
    // SAFETY: the option reads one int through the pointer, which is valid for the call.
    let answer = unsafe {
        let (from, length) = ((&raw const value).cast(), socklen(size_of::<libc::c_int>()));
        libc::setsockopt(socket.as_raw_fd(), level, option, from, length)
    };
    match answer {
        0 => Ok(()),
        _ => Err(SockoptError { name, source: io::Error::last_os_error() }),
    }
}

fn socklen(bytes: usize) -> libc::socklen_t {
    libc::socklen_t::try_from(bytes).unwrap_or(0)
}
