//! Netlink sockets, by socket diagnostics.
//!
//! Source: Linux v6.18 `include/uapi/linux/netlink_diag.h`.

/// `AF_NETLINK` and `NETLINK_GENERIC` in the width of the request.
pub(crate) const AF_NETLINK: u8 = 16;
pub(crate) const GENERIC: u8 = 16;

/// Size of `struct netlink_diag_req`, and what it says at which place.
pub(crate) const REQUEST: usize = 20;
pub(crate) const FAMILY: usize = 0;
pub(crate) const PROTOCOL: usize = 1;
pub(crate) const SHOW: usize = 8;
/// `NDIAG_SHOW_GROUPS`: answers name the multicast groups.
pub(crate) const SHOW_GROUPS: u32 = 2;

/// Size of `struct netlink_diag_msg`, and where it has the socket's inode.
pub(crate) const MESSAGE: usize = 28;
pub(crate) const INODE: usize = 16;
/// `NETLINK_DIAG_GROUPS`: a bit a group, the first for group 1, in words of the kernel's `unsigned long`.
pub(crate) const GROUPS: u16 = 1;

const _: () = assert!(AF_NETLINK as libc::c_int == libc::AF_NETLINK && GENERIC as libc::c_int == libc::NETLINK_GENERIC);
