//! Constants and structure offsets of the kernel's user interface that no kept crate carries.
//!
//! Source: Linux v6.18 `include/uapi/linux/mptcp.h`, `include/linux/socket.h`.

pub(crate) mod bpf;
pub(crate) mod ethtool;
pub(crate) mod mptcp_pm;
pub(crate) mod netlink;
pub(crate) mod netlink_diag;
pub(crate) mod nft;
pub(crate) mod route;
pub(crate) mod rule;
pub(crate) mod sock_diag;

/// Level of the MPTCP socket options (`SOL_MPTCP`).
pub(crate) const SOL_MPTCP: libc::c_int = 284;

/// `MPTCP_INFO`: fills a `struct mptcp_info`.
pub(crate) const MPTCP_INFO: libc::c_int = 1;

/// `MPTCP_TCPINFO`: an array of `struct tcp_info`, one a subflow, behind a `struct mptcp_subflow_data`.
pub(crate) const MPTCP_TCPINFO: libc::c_int = 2;

/// `MPTCP_SUBFLOW_ADDRS`: an array of `struct mptcp_subflow_addrs` behind a `struct mptcp_subflow_data`.
pub(crate) const MPTCP_SUBFLOW_ADDRS: libc::c_int = 3;

/// `MPTCP_FULL_INFO`: fills a `struct mptcp_full_info` and the two arrays it points to. Since v6.5.
pub(crate) const MPTCP_FULL_INFO: libc::c_int = 4;

/// `MPTCP_INFO_FLAG_FALLBACK`: the connection carries on as plain TCP.
pub(crate) const MPTCP_INFO_FLAG_FALLBACK: u32 = 1;

/// Size of `struct mptcp_info` in Linux v6.18. Older kernels write less, newer ones may write more.
pub(crate) const MPTCP_INFO_SIZE: usize = 96;

/// `SO_BUF_LOCK` (`asm-generic/socket.h`, since v5.14): which buffers the kernel leaves alone.
pub(crate) const SO_BUF_LOCK: libc::c_int = 72;

/// `SOCK_RCVBUF_LOCK` (`linux/socket.h`): the receive buffer, in `SO_BUF_LOCK`.
pub(crate) const SOCK_RCVBUF_LOCK: libc::c_int = 2;

/// Byte offsets inside `struct mptcp_info` (Linux v6.18; fields are only ever appended).
pub(crate) mod mptcp_info {
    /// `mptcpi_subflows`: subflows beside the initial one, those still joining included.
    pub(crate) const SUBFLOWS: usize = 0;
    /// `mptcpi_flags`.
    pub(crate) const FLAGS: usize = 8;
    /// `mptcpi_token`: the local token.
    pub(crate) const TOKEN: usize = 12;
    /// `mptcpi_write_seq`.
    pub(crate) const WRITE_SEQ: usize = 16;
    /// `mptcpi_snd_una`.
    pub(crate) const SND_UNA: usize = 24;
    /// `mptcpi_rcv_nxt`.
    pub(crate) const RCV_NXT: usize = 32;
    /// `mptcpi_csum_enabled` (since v5.16).
    pub(crate) const CSUM_ENABLED: usize = 42;
    /// `mptcpi_retransmits` (since v6.5).
    pub(crate) const RETRANSMITS: usize = 44;
    /// `mptcpi_bytes_retrans` (since v6.5, as the next three).
    pub(crate) const BYTES_RETRANS: usize = 48;
    /// `mptcpi_bytes_sent`.
    pub(crate) const BYTES_SENT: usize = 56;
    /// `mptcpi_bytes_received`.
    pub(crate) const BYTES_RECEIVED: usize = 64;
    /// `mptcpi_bytes_acked`.
    pub(crate) const BYTES_ACKED: usize = 72;
    /// `mptcpi_subflows_total` (since v6.8): subflows alive, the initial one included.
    pub(crate) const SUBFLOWS_TOTAL: usize = 80;
}

/// `struct mptcp_subflow_data`: in front of the arrays of `MPTCP_TCPINFO` and `MPTCP_SUBFLOW_ADDRS`.
///
/// Source: Linux v6.18 `include/uapi/linux/mptcp.h`.
#[repr(C, align(8))]
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SubflowData {
    /// Size of this structure, by the caller.
    pub(crate) size_subflow_data: u32,
    /// Subflows there are, by the kernel.
    pub(crate) num_subflows: u32,
    /// Size of an element as the kernel has it; zero when asked.
    pub(crate) size_kernel: u32,
    /// Size of an element in the array: the caller's, or the kernel's if that is smaller.
    pub(crate) size_user: u32,
}

/// `struct mptcp_full_info`.
///
/// Source: Linux v6.18 `include/uapi/linux/mptcp.h`, `mptcp_getsockopt_full_info` in `net/mptcp/sockopt.c`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct FullInfoHeader {
    /// Size of `struct tcp_info` as the kernel has it; zero when asked.
    pub(crate) size_tcpinfo_kernel: u32,
    /// Distance between two of them: the caller's, or the kernel's if that is smaller.
    pub(crate) size_tcpinfo_user: u32,
    /// The same of `struct mptcp_subflow_info`.
    pub(crate) size_sfinfo_kernel: u32,
    /// The same of `struct mptcp_subflow_info`.
    pub(crate) size_sfinfo_user: u32,
    /// Subflows there are, by the kernel; zero when asked.
    pub(crate) num_subflows: u32,
    /// Elements both arrays have room for.
    pub(crate) size_arrays_user: u32,
    /// Address of the array of `struct mptcp_subflow_info`.
    pub(crate) subflow_info: u64,
    /// Address of the array of `struct tcp_info`.
    pub(crate) tcp_info: u64,
    /// `struct mptcp_info`.
    pub(crate) mptcp_info: [u8; MPTCP_INFO_SIZE],
}

/// Size of `struct mptcp_subflow_addrs`: two `struct __kernel_sockaddr_storage`.
pub(crate) const SUBFLOW_ADDRS_SIZE: usize = 256;
/// Where the remote address begins in it.
pub(crate) const SUBFLOW_ADDRS_REMOTE: usize = 128;
/// Size of `struct mptcp_subflow_info`: a number, aligned to eight bytes, and a `struct mptcp_subflow_addrs`.
pub(crate) const SUBFLOW_INFO_SIZE: usize = 264;
/// Where the addresses begin in it.
pub(crate) const SUBFLOW_INFO_ADDRS: usize = 8;
/// Size of `struct tcp_info` in Linux v6.18.
pub(crate) const TCP_INFO_SIZE: usize = 280;

const _: () = {
    assert!(size_of::<SubflowData>() == 16);
    assert!(size_of::<FullInfoHeader>() == 40 + MPTCP_INFO_SIZE);
    assert!(size_of::<libc::sockaddr_storage>() == SUBFLOW_ADDRS_REMOTE);
};
