//! What a TCP socket is to an MPTCP connection, decoded.

use crate::abi::sock_diag::{subflow_attr as attr, subflow_flag as flag};
use crate::netlink::attribute::Attributes;

/// How a subflow came to its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SubflowKind {
    /// It began the connection (MP_CAPABLE).
    Initial,
    /// It joined it (MP_JOIN).
    Joined,
}

/// `MPTCP_SUBFLOW_FLAG_*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SubflowFlags(pub u32);

/// A subflow, as its TCP socket knows it.
///
/// Shape: `local_token` names the connection. What may be missing on some kernel is `None`; sequence numbers are, without
/// CAP_NET_ADMIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subflow {
    /// The connection's token at this end.
    pub local_token: u32,
    /// The connection's token at the peer's end; zero where the kernel did not work it out (the passive end).
    pub remote_token: u32,
    /// Our number for the local address.
    pub local_id: Option<u8>,
    /// The peer's number for its address.
    pub remote_id: Option<u8>,
    /// Kind and condition.
    pub flags: SubflowFlags,
    /// Data sequence number of the mapping last received (RFC 8684 §3.3.1).
    pub map_seq: Option<u64>,
    /// Its subflow sequence number.
    pub map_subflow_seq: Option<u32>,
    /// Its length.
    pub map_data_len: Option<u16>,
    /// Sequence number at which the subflow's own counting begins.
    pub ssn_offset: Option<u32>,
    /// Bytes of mappings sent on the subflow.
    pub relative_write_seq: Option<u32>,
}

impl Subflow {
    /// Reads the nest `INET_ULP_INFO_MPTCP`; `None` without tokens and flags.
    pub(super) fn parse(attributes: Attributes<'_>) -> Option<Self> {
        let u32_of = |kind| attributes.find(kind).and_then(|a| a.u32());
        let u8_of = |kind| attributes.find(kind).and_then(|a| a.u8());
        Some(Self {
            local_token: u32_of(attr::TOKEN_LOC)?,
            remote_token: u32_of(attr::TOKEN_REM)?,
            local_id: u8_of(attr::ID_LOC),
            remote_id: u8_of(attr::ID_REM),
            flags: SubflowFlags(u32_of(attr::FLAGS)?),
            map_seq: attributes.find(attr::MAP_SEQ).and_then(|a| a.u64()),
            map_subflow_seq: u32_of(attr::MAP_SFSEQ),
            map_data_len: attributes.find(attr::MAP_DATALEN).and_then(|a| a.u16()),
            ssn_offset: u32_of(attr::SSN_OFFSET),
            relative_write_seq: u32_of(attr::RELWRITE_SEQ),
        })
    }
}

impl SubflowFlags {
    /// How it came to its connection; `None` while neither side said so.
    #[must_use]
    pub fn kind(self) -> Option<SubflowKind> {
        if self.has(flag::JOIN_REM | flag::JOIN_LOC) {
            Some(SubflowKind::Joined)
        } else if self.has(flag::MCAP_REM | flag::MCAP_LOC) {
            Some(SubflowKind::Initial)
        } else {
            None
        }
    }

    /// This end sent the SYN.
    #[must_use]
    pub fn opened_here(self) -> bool {
        self.has(flag::MCAP_LOC | flag::JOIN_LOC)
    }

    /// The peer said it is for when nothing else is left.
    #[must_use]
    pub fn backup_by_peer(self) -> bool {
        self.has(flag::BKUP_REM)
    }

    /// This end said it is for when nothing else is left.
    #[must_use]
    pub fn backup_by_us(self) -> bool {
        self.has(flag::BKUP_LOC)
    }

    /// Both ends are known to speak MPTCP on it.
    #[must_use]
    pub fn fully_established(self) -> bool {
        self.has(flag::FULLY_ESTABLISHED)
    }

    /// Its handshake is over.
    #[must_use]
    pub fn connected(self) -> bool {
        self.has(flag::CONNECTED)
    }

    /// The mapping last received is not used up.
    #[must_use]
    pub fn map_valid(self) -> bool {
        self.has(flag::MAPVALID)
    }

    fn has(self, any: u32) -> bool {
        self.0 & any != 0
    }
}
