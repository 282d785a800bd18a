//! How a connection arrived, and what became of its MPTCP: what the accepted socket can know (Linux 6.18, measured).
//!
//! A client whose SYN carried no MP_CAPABLE and one whose third ACK lost it both arrive as native TCP sockets; a
//! counter of the namespace tells them apart ([`Witness`]). A connection that falls back later keeps its MPTCP socket,
//! which from then on has no `MPTCP_INFO`: so what must be known of it is read at accept.

use std::os::fd::{AsFd, BorrowedFd};

use anabranch_kernel::netstat::mptcp_counters;
use anabranch_kernel::sockopt::{MptcpInfo, mptcp_info};
use parking_lot::Mutex;
use socket2::{Protocol, SockRef};

/// Why a client leg is, or became, plain TCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fallback {
    /// The listener itself is plain TCP.
    NotOffered,
    /// No MP_CAPABLE on the SYN: a plain client, or the option was stripped before us. These look the same from here.
    NoMptcpOnSyn,
    /// The SYN carried MP_CAPABLE, the client's next segment did not.
    LostAfterSyn,
    /// The handshake was whole, the client's data came without MPTCP: our options do not reach it (or, rarer, its own
    /// are lost from the first data segment on).
    LostTowardsClient,
    /// A DSS checksum failed: something rewrites the payload (RFC 8684 §3.7).
    Checksum,
}

impl Fallback {
    /// The word in logs.
    #[must_use]
    pub fn as_label(self) -> &'static str {
        match self {
            Self::NotOffered => "not-offered",
            Self::NoMptcpOnSyn => "no-mptcp-on-syn",
            Self::LostAfterSyn => "lost-after-syn",
            Self::LostTowardsClient => "lost-towards-client",
            Self::Checksum => "checksum",
        }
    }
}

/// What was known of a client leg when it was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// Over MPTCP.
    Mptcp {
        /// The local token.
        token: u32,
        /// DSS checksums are in use.
        checksum: bool,
    },
    /// As plain TCP, and why.
    Plain(Fallback),
}

impl Arrival {
    /// The word in counters.
    #[must_use]
    pub fn as_label(self) -> &'static str {
        match self {
            Self::Mptcp { .. } => "mptcp",
            Self::Plain(fallback) => fallback.as_label(),
        }
    }
}

/// The MPTCP side of a client leg, at the moment it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// `None` while the leg is MPTCP.
    pub fallback: Option<Fallback>,
    /// Subflows alive, the initial one included; 1 for plain TCP.
    pub subflows: u8,
    /// The local token, if the leg is, or was, MPTCP.
    pub token: Option<u32>,
}

/// Assigns the namespace's fallback counts to the connections they were counted for.
///
/// The kernel counts, it does not say for whom; each count is claimed by one connection. Where several connections fall
/// back between two looks, or another program's listener does, a claim can go to the wrong one: the totals stay right.
#[derive(Debug)]
pub struct Witness {
    claimed: Mutex<Claimed>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Claimed {
    lost_after_syn: u64,
    checksum: u64,
}

/// "MP_CAPABLE on the SYN, none on the third ACK."
const LOST_AFTER_SYN: &str = "MPCapableFallbackACK";

/// Checksums that failed here; MP_FAIL of our peers; ours, which peers answer with one of their own (RFC 8684 §3.7).
const CHECKSUM: [&str; 3] = ["DataCsumErr", "MPFailRx", "MPFailTx"];

impl Claimed {
    /// What the namespace has counted so far; nothing on a kernel that does not count.
    fn counted() -> Self {
        let [failed_here, fail_received, fail_sent] = CHECKSUM;
        let names = [LOST_AFTER_SYN, failed_here, fail_received, fail_sent];
        let [lost_after_syn, failed_here, received, sent] = mptcp_counters(names).unwrap_or_default();
        Self { lost_after_syn, checksum: failed_here + received.saturating_sub(sent) }
    }
}

impl Default for Witness {
    fn default() -> Self {
        Self { claimed: Mutex::new(Claimed::counted()) }
    }
}

impl Witness {
    /// Names how a just accepted socket arrived.
    #[must_use]
    pub fn judge(&self, socket: BorrowedFd<'_>, offered: bool) -> Arrival {
        if !offered {
            return Arrival::Plain(Fallback::NotOffered);
        }
        if matches!(SockRef::from(&socket).protocol(), Ok(Some(Protocol::MPTCP))) {
            return match mptcp_info(socket) {
                Ok(Some(MptcpInfo { token, checksum, .. })) => {
                    Arrival::Mptcp { token, checksum: checksum.unwrap_or(false) }
                }
                // It fell back between the handshake and now: the first data had come already.
                Ok(None) | Err(_) if self.claim_checksum() => Arrival::Plain(Fallback::Checksum),
                Ok(None) | Err(_) => Arrival::Plain(Fallback::LostTowardsClient),
            };
        }
        let mut claimed = self.claimed.lock();
        if Claimed::counted().lost_after_syn > claimed.lost_after_syn {
            claimed.lost_after_syn += 1;
            return Arrival::Plain(Fallback::LostAfterSyn);
        }
        Arrival::Plain(Fallback::NoMptcpOnSyn)
    }

    /// Reads the facts of a leg now. A fallback, once told, is final (RFC 8684 §3.7): the caller keeps it.
    #[must_use]
    pub fn facts(&self, socket: &impl AsFd, arrival: Arrival) -> Facts {
        let (token, checksum) = match arrival {
            Arrival::Plain(fallback) => return Facts { fallback: Some(fallback), subflows: 1, token: None },
            Arrival::Mptcp { token, checksum } => (Some(token), checksum),
        };
        if checksum && self.claim_checksum() {
            return Facts { fallback: Some(Fallback::Checksum), subflows: 1, token };
        }
        match mptcp_info(socket.as_fd()) {
            Ok(Some(info)) if !info.fallback => Facts { fallback: None, subflows: info.subflows(), token },
            _ => Facts { fallback: Some(Fallback::LostTowardsClient), subflows: 1, token },
        }
    }

    fn claim_checksum(&self) -> bool {
        let mut claimed = self.claimed.lock();
        let failed = Claimed::counted().checksum > claimed.checksum;
        claimed.checksum += u64::from(failed);
        failed
    }
}
