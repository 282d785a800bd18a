//! What the kernel knows of one MPTCP connection (`struct mptcp_info`), as far as this kernel's structure goes.

use crate::abi;
use crate::fields::Fields;

/// What `MPTCP_INFO` says of one connection.
///
/// Source: `struct mptcp_info`, Linux v6.18 `include/uapi/linux/mptcp.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MptcpInfo {
    /// The local token (RFC 8684 §3.2): what clients put into their MP_JOIN, what `ss -M` prints.
    pub token: u32,
    /// The connection carries on as plain TCP (RFC 8684 §3.7).
    pub fallback: bool,
    /// Subflows beside the initial one, those still joining included.
    pub extra_subflows: u8,
    /// Next data sequence number to write.
    pub write_seq: Option<u64>,
    /// First data sequence number not acknowledged.
    pub snd_una: Option<u64>,
    /// Next data sequence number to receive.
    pub rcv_nxt: Option<u64>,
    /// Subflows alive, the initial one included; `None` before Linux 6.8.
    pub subflows_total: Option<u8>,
    /// DSS checksums are in use; `None` before Linux 5.16.
    pub checksum: Option<bool>,
    /// Data-level retransmissions; `None` before Linux 6.5.
    pub retransmits: Option<u32>,
    /// Bytes sent, those sent again not counted; `None` before Linux 6.5, as the next three.
    pub bytes_sent: Option<u64>,
    /// Bytes sent again, on whichever subflow.
    pub bytes_retrans: Option<u64>,
    /// Bytes received.
    pub bytes_received: Option<u64>,
    /// Bytes the peer acknowledged at data level.
    pub bytes_acked: Option<u64>,
}

impl MptcpInfo {
    /// Reads the structure from the bytes the kernel wrote; `None` if even the token is not covered.
    pub(crate) fn parse(written: &[u8]) -> Option<Self> {
        let of = Fields(written);
        Some(Self {
            token: of.u32(abi::mptcp_info::TOKEN)?,
            fallback: of.u32(abi::mptcp_info::FLAGS)? & abi::MPTCP_INFO_FLAG_FALLBACK != 0,
            extra_subflows: of.u8(abi::mptcp_info::SUBFLOWS)?,
            write_seq: of.u64(abi::mptcp_info::WRITE_SEQ),
            snd_una: of.u64(abi::mptcp_info::SND_UNA),
            rcv_nxt: of.u64(abi::mptcp_info::RCV_NXT),
            subflows_total: of.u8(abi::mptcp_info::SUBFLOWS_TOTAL),
            checksum: of.u8(abi::mptcp_info::CSUM_ENABLED).map(|enabled| enabled != 0),
            retransmits: of.u32(abi::mptcp_info::RETRANSMITS),
            bytes_sent: of.u64(abi::mptcp_info::BYTES_SENT),
            bytes_retrans: of.u64(abi::mptcp_info::BYTES_RETRANS),
            bytes_received: of.u64(abi::mptcp_info::BYTES_RECEIVED),
            bytes_acked: of.u64(abi::mptcp_info::BYTES_ACKED),
        })
    }

    /// Bytes the application gave and the peer has not acknowledged at data level: sent or not.
    ///
    /// Shape: the end of the stream counts as one byte while it is not acknowledged.
    #[must_use]
    pub fn waiting(&self) -> Option<u64> {
        Some(self.write_seq?.wrapping_sub(self.snd_una?))
    }

    /// Subflows the connection has now, the initial one included.
    ///
    /// Before Linux 6.8 the kernel counts joins still under way as well.
    #[must_use]
    pub fn subflows(&self) -> u8 {
        self.subflows_total.unwrap_or_else(|| self.extra_subflows.saturating_add(1))
    }
}
