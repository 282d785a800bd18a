//! How a connection arrived, and what became of its MPTCP: what the accepted socket can know (Linux 6.18, measured).
//!
//! A client whose SYN carried no MP_CAPABLE and one whose third ACK lost it both arrive as native TCP sockets; a
//! counter of the namespace tells them apart ([`Witness`]). A connection that falls back later keeps its MPTCP socket,
//! which from then on has no `MPTCP_INFO`: so what must be known of it is read at accept.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

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
    /// What kind of socket it is: one that falls back after the handshake stays an MPTCP socket.
    #[must_use]
    pub fn protocol(self) -> Protocol {
        match self {
            Self::Mptcp { .. } | Self::Plain(Fallback::LostTowardsClient | Fallback::Checksum) => Protocol::MPTCP,
            Self::Plain(Fallback::NotOffered | Fallback::NoMptcpOnSyn | Fallback::LostAfterSyn) => Protocol::TCP,
        }
    }

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
/// A look costs half as much as carrying a short connection (70 µs), so where plain clients come in hundreds a second, some are judged by
/// the look before.
#[derive(Debug)]
pub struct Witness {
    claims: Mutex<Claims>,
}

/// What was counted when last looked, what of it was claimed, and what further looks may cost.
#[derive(Debug)]
struct Claims {
    counted: Counted,
    claimed: Counted,
    credit: Duration,
    /// What the last look cost.
    price: Duration,
    /// When the credit was that.
    at: Instant,
}

#[derive(Debug, Default, Clone, Copy)]
struct Counted {
    lost_after_syn: u64,
    checksum: u64,
}

/// One part in so many of a core's time goes into looking for plain clients' sake, in the long run; so much at once.
const SHARE: u32 = 32;
const CREDIT: Duration = Duration::from_millis(10);

/// "MP_CAPABLE on the SYN, none on the third ACK."
const LOST_AFTER_SYN: &str = "MPCapableFallbackACK";

/// Checksums that failed here; MP_FAIL of our peers; ours, which peers answer with one of their own (RFC 8684 §3.7).
const CHECKSUM: [&str; 3] = ["DataCsumErr", "MPFailRx", "MPFailTx"];

impl Counted {
    /// What the namespace has counted so far; nothing on a kernel that does not count.
    fn now() -> Self {
        let [failed_here, fail_received, fail_sent] = CHECKSUM;
        let names = [LOST_AFTER_SYN, failed_here, fail_received, fail_sent];
        let [lost_after_syn, failed_here, received, sent] = mptcp_counters(names).unwrap_or_default();
        Self { lost_after_syn, checksum: failed_here + received.saturating_sub(sent) }
    }
}

impl Claims {
    fn look(&mut self) {
        self.counted = Counted::now();
    }

    /// Looks if the credit allows it.
    fn look_for_plain(&mut self, now: Instant) {
        self.credit = CREDIT.min(self.credit + now.saturating_duration_since(self.at) / SHARE);
        self.at = now;
        if self.credit >= self.price {
            let begun = Instant::now();
            self.look();
            self.price = begun.elapsed().min(CREDIT);
            self.credit = self.credit.saturating_sub(self.price);
        }
    }

    /// One of the connections that lost MP_CAPABLE after the SYN, if any is unclaimed as far as is known.
    fn claim_lost_after_syn(&mut self) -> bool {
        let unclaimed = |claims: &Self| claims.counted.lost_after_syn > claims.claimed.lost_after_syn;
        if !unclaimed(self) {
            self.look_for_plain(Instant::now());
        }
        let lost = unclaimed(self);
        self.claimed.lost_after_syn += u64::from(lost);
        lost
    }

    fn claim_checksum(&mut self) -> bool {
        self.look();
        let failed = self.counted.checksum > self.claimed.checksum;
        self.claimed.checksum += u64::from(failed);
        failed
    }
}

impl Default for Witness {
    fn default() -> Self {
        let counted = Counted::now();
        Self {
            claims: Mutex::new(Claims {
                counted,
                claimed: counted,
                credit: CREDIT,
                price: Duration::ZERO,
                at: Instant::now(),
            }),
        }
    }
}

impl Witness {
    /// Names how a just accepted socket arrived.
    #[must_use]
    pub fn judge(&self, socket: BorrowedFd<'_>, offered: bool) -> Arrival {
        if !offered {
            return Arrival::Plain(Fallback::NotOffered);
        }
        if let Ok(Some(MptcpInfo { token, checksum, .. })) = mptcp_info(socket) {
            return Arrival::Mptcp { token, checksum: checksum.unwrap_or(false) };
        }
        if matches!(SockRef::from(&socket).protocol(), Ok(Some(Protocol::MPTCP))) {
            // It fell back between the handshake and now: the first data had come already.
            let checksum = self.claims.lock().claim_checksum();
            return Arrival::Plain(if checksum { Fallback::Checksum } else { Fallback::LostTowardsClient });
        }
        let lost = self.claims.lock().claim_lost_after_syn();
        Arrival::Plain(if lost { Fallback::LostAfterSyn } else { Fallback::NoMptcpOnSyn })
    }

    /// Reads the facts of a leg now. A fallback, once told, is final (RFC 8684 §3.7): the caller keeps it.
    #[must_use]
    pub fn facts(&self, socket: &impl AsFd, arrival: Arrival) -> Facts {
        let (token, checksum) = match arrival {
            Arrival::Plain(fallback) => return Facts { fallback: Some(fallback), subflows: 1, token: None },
            Arrival::Mptcp { token, checksum } => (Some(token), checksum),
        };
        if checksum && self.claims.lock().claim_checksum() {
            return Facts { fallback: Some(Fallback::Checksum), subflows: 1, token };
        }
        match mptcp_info(socket.as_fd()) {
            Ok(Some(info)) if !info.fallback => Facts { fallback: None, subflows: info.subflows(), token },
            _ => Facts { fallback: Some(Fallback::LostTowardsClient), subflows: 1, token },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_claimed_without_a_look_and_looks_have_a_credit() {
        let mut claims = Witness::default().claims.into_inner();
        claims.counted.lost_after_syn += 2;
        assert!(claims.claim_lost_after_syn() && claims.claim_lost_after_syn());
        assert_eq!(claims.credit, CREDIT, "both were known of");
        assert!(!claims.claim_lost_after_syn() && claims.credit < CREDIT, "a look has its price");
        // Without credit no look, until time has brought some.
        let now = Instant::now();
        (claims.credit, claims.at, claims.counted.checksum) = (Duration::ZERO, now, u64::MAX);
        claims.price = Duration::from_micros(70);
        claims.look_for_plain(now + Duration::from_millis(2));
        assert_eq!(claims.counted.checksum, u64::MAX, "a thirty-second of two milliseconds does not pay for it");
        claims.look_for_plain(now + Duration::from_millis(4));
        assert_ne!(claims.counted.checksum, u64::MAX);
        claims.look_for_plain(now + Duration::from_secs(60));
        assert!(claims.credit <= CREDIT);
    }
}
