//! What a shaper can fail with.

use thiserror::Error;

use crate::netlink::NetlinkError;

use super::{Flow, Slot};

/// Why shaping failed.
#[derive(Debug, Error)]
pub enum ShaperError {
    /// Something under one of our names was not made by us.
    #[error(
        "{what} {name} is not anabranch's ({found}); name another one in [steering], remove it, or take it over with adopt = true"
    )]
    Foreign {
        /// `table netdev` or `interface`.
        what: &'static str,
        /// Its name.
        name: String,
        /// What it is.
        found: String,
    },
    /// Something under our IFB's name is a link of another kind: nobody takes that over.
    #[error("interface {name} is no IFB but {kind}; name another device in [steering]")]
    NotAnIfb {
        /// Its name.
        name: String,
        /// Its kind.
        kind: String,
    },
    /// The kernel was built without something, or its module is not loaded and cannot be.
    #[error("the kernel has no {what}; load {module}, or leave caps to the other ways of throttling")]
    Missing {
        /// What.
        what: &'static str,
        /// The module that brings it, or the version.
        module: &'static str,
        /// What the kernel answered.
        source: NetlinkError,
    },
    /// The process may not change what packets go through.
    #[error("shaping takes CAP_NET_ADMIN in this network namespace")]
    NotPermitted(#[source] NetlinkError),
    /// The kernel refused.
    #[error("shaping failed")]
    Refused(#[source] NetlinkError),
    /// A flow with an IPv4 and an IPv6 end.
    #[error("{} and {} are of different families: no packet can be of both", .0.client, .0.server)]
    Families(Flow),
    /// No such class, or one that carries nothing.
    #[error("class {} with {rate} bit/s is out of range; classes are 1 to {most}, rates 8 bit/s and more", slot.0)]
    Slot {
        /// Its number.
        slot: Slot,
        /// Its rate.
        rate: u64,
        /// The highest number.
        most: u16,
    },
}

impl ShaperError {
    /// Whether the table, the IFB or a part of them is gone: somebody took it away. Opening anew makes it again.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Refused(error) if matches!(error.errno(), Some(libc::ENOENT | libc::ENODEV)))
    }
}

impl From<NetlinkError> for ShaperError {
    fn from(error: NetlinkError) -> Self {
        if error.is_not_permitted() {
            return Self::NotPermitted(error);
        }
        match missing(error.op, &error.object, error.errno()) {
            Some((what, module)) => Self::Missing { what, module, source: error },
            None => Self::Refused(error),
        }
    }
}

/// What is missing when an operation fails with an error number: the thing, and what brings it.
fn missing(op: &str, object: &str, number: Option<i32>) -> Option<(&'static str, &'static str)> {
    let unknown = matches!(number, Some(libc::EOPNOTSUPP | libc::EPROTONOSUPPORT | libc::EINVAL));
    let absent = number == Some(libc::ENOENT);
    match op {
        "socket" if unknown => Some(("nftables", "the module nf_tables")),
        "RTM_NEWLINK" if number == Some(libc::EOPNOTSUPP) => Some(("intermediate functional block", "the module ifb")),
        "RTM_NEWQDISC" if absent => Some(("hierarchical token bucket", "the module sch_htb")),
        "NFT_MSG_NEWTABLE" | "NFT_MSG_GETTABLE" if unknown => Some(("nftables for devices", "the module nf_tables")),
        "NFT_MSG_NEWCHAIN" if number == Some(libc::EOPNOTSUPP) => {
            Some(("nftables hook for outgoing packets", "Linux 5.16 or later with CONFIG_NETFILTER_EGRESS"))
        }
        "NFT_MSG_DESTROYSETELEM" if unknown => Some(("tolerant removal of elements", "Linux 6.3 or later")),
        "NFT_MSG_NEWRULE" if absent && object.contains(" fwd ") => {
            Some(("forwarding expression", "the module nft_fwd_netdev"))
        }
        "NFT_MSG_NEWRULE" if absent && object.contains("reject") => {
            Some(("refusing expression", "the module nft_reject_netdev"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
