//! Constants and structure offsets of the kernel's user interface that no kept crate carries.
//!
//! Source: Linux v6.18 `include/uapi/linux/mptcp.h`, `include/linux/socket.h`.

/// Level of the MPTCP socket options (`SOL_MPTCP`).
pub(crate) const SOL_MPTCP: libc::c_int = 284;

/// `MPTCP_INFO`: fills a `struct mptcp_info`.
pub(crate) const MPTCP_INFO: libc::c_int = 1;

/// `MPTCP_INFO_FLAG_FALLBACK`: the connection carries on as plain TCP.
pub(crate) const MPTCP_INFO_FLAG_FALLBACK: u32 = 1;

/// Size of `struct mptcp_info` in Linux v6.18. Older kernels write less, newer ones may write more.
pub(crate) const MPTCP_INFO_SIZE: usize = 96;

/// Byte offsets inside `struct mptcp_info` (Linux v6.18; fields are only ever appended).
pub(crate) mod mptcp_info {
    /// `mptcpi_subflows`: subflows beside the initial one, those still joining included.
    pub(crate) const SUBFLOWS: usize = 0;
    /// `mptcpi_flags`.
    pub(crate) const FLAGS: usize = 8;
    /// `mptcpi_token`: the local token.
    pub(crate) const TOKEN: usize = 12;
    /// `mptcpi_csum_enabled` (since v5.16).
    pub(crate) const CSUM_ENABLED: usize = 42;
    /// `mptcpi_retransmits` (since v6.5).
    pub(crate) const RETRANSMITS: usize = 44;
    /// `mptcpi_subflows_total` (since v6.8): subflows alive, the initial one included.
    pub(crate) const SUBFLOWS_TOTAL: usize = 80;
}
