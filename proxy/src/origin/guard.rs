//! May this address be dialled? Closed by default: only what is globally routable, and what the operator allowed.
//!
//! Lives here: the special-purpose blocks of IPv4 and IPv6, the ways an IPv4 address hides in an IPv6 one, and the
//! operator's allow list. Does not live here: names (`http::authority`) and sockets (`origin::connect`).
//! Called once for every address before it is dialled, after the lookup, so a name that resolves to an address of
//! ours gains nothing.
//!
//! Three things are not opened by a prefix that merely covers them, because nobody who writes `0.0.0.0/0` means them:
//! addresses of cloud metadata services and of our own interfaces need a rule of full length (`/32`, `/128`), and
//! loopback and "this network" need a rule inside their own block (`127.0.0.0/8` will do).

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

mod block;

use block::{block_of_v4, block_of_v6, embedded};

/// Addresses at which clouds hand out credentials to whoever asks from inside: AWS, GCP, Azure and others (first), AWS
/// ECS tasks, Alibaba, Azure's wire server, Oracle.
const METADATA_V4: [Ipv4Addr; 5] = [
    Ipv4Addr::new(169, 254, 169, 254),
    Ipv4Addr::new(169, 254, 170, 2),
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(168, 63, 129, 16),
    Ipv4Addr::new(192, 0, 0, 192),
];
/// The same for AWS over IPv6.
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

/// Why an address may not be dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Forbidden {
    /// 127.0.0.0/8, ::1.
    #[error("loopback address")]
    Loopback,
    /// 0.0.0.0/8 and ::, which Linux takes for this host.
    #[error("address of this network")]
    ThisNetwork,
    /// RFC 1918.
    #[error("private address")]
    Private,
    /// 100.64.0.0/10, the inside of a carrier-grade NAT (RFC 6598).
    #[error("shared address space")]
    SharedAddressSpace,
    /// 169.254.0.0/16, fe80::/10.
    #[error("link-local address")]
    LinkLocal,
    /// fec0::/10, deprecated by RFC 3879.
    #[error("site-local address")]
    SiteLocal,
    /// fc00::/7 (RFC 4193).
    #[error("unique local address")]
    UniqueLocal,
    /// 224.0.0.0/4, ff00::/8.
    #[error("multicast address")]
    Multicast,
    /// 255.255.255.255.
    #[error("broadcast address")]
    Broadcast,
    /// 192.0.0.0/24, 192.88.99.0/24 and 2001::/23 apart from Teredo: protocol assignments, none of them a web server.
    #[error("address of a protocol assignment")]
    ProtocolAssignment,
    /// Documentation prefixes (RFC 5737, RFC 3849, RFC 9637).
    #[error("documentation address")]
    Documentation,
    /// 198.18.0.0/15, 2001:2::/48.
    #[error("benchmarking address")]
    Benchmarking,
    /// 100::/64 and 100:0:0:1::/64.
    #[error("discard-only address")]
    DiscardOnly,
    /// 64:ff9b:1::/48: NAT64 to wherever the site likes (RFC 8215).
    #[error("local-use translation prefix")]
    LocalTranslation,
    /// 240.0.0.0/4, and every IPv6 address outside 2000::/3.
    #[error("reserved address")]
    Reserved,
    /// The metadata service of a cloud.
    #[error("cloud metadata address")]
    CloudMetadata,
    /// An address of one of our interfaces.
    #[error("own address")]
    OwnAddress,
    /// An IPv6 address that a translator or tunnel turns into this IPv4 address, itself forbidden.
    #[error("translates to {0}, which is forbidden")]
    Translated(Ipv4Addr),
}

impl Forbidden {
    /// A bounded label for counters and logs.
    pub fn as_label(self) -> &'static str {
        match self {
            Self::Loopback => "loopback",
            Self::ThisNetwork => "this_network",
            Self::Private => "private",
            Self::SharedAddressSpace => "shared_address_space",
            Self::LinkLocal => "link_local",
            Self::SiteLocal => "site_local",
            Self::UniqueLocal => "unique_local",
            Self::Multicast => "multicast",
            Self::Broadcast => "broadcast",
            Self::ProtocolAssignment => "protocol_assignment",
            Self::Documentation => "documentation",
            Self::Benchmarking => "benchmarking",
            Self::DiscardOnly => "discard_only",
            Self::LocalTranslation => "local_translation",
            Self::Reserved => "reserved",
            Self::CloudMetadata => "cloud_metadata",
            Self::OwnAddress => "own_address",
            Self::Translated(_) => "translated",
        }
    }

    /// How long the prefix of a rule must be to lift this: for IPv4, for IPv6.
    fn needs(self) -> Needs {
        match self {
            Self::CloudMetadata | Self::OwnAddress => Needs { v4: 32, v6: 128 },
            Self::Loopback | Self::ThisNetwork => Needs { v4: 8, v6: 128 },
            Self::LocalTranslation => Needs { v4: 32, v6: 48 },
            _ => Needs::ANY,
        }
    }
}

/// The shortest prefix of an allow rule that is taken to mean the address.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Needs {
    v4: u8,
    v6: u8,
}

impl Needs {
    const ANY: Self = Self { v4: 0, v6: 0 };
    const EXACT: Self = Self { v4: 32, v6: 128 };
}

/// The judge of addresses: immutable, shared by all workers, replaced on reload.
#[derive(Debug, Clone)]
pub struct Guard {
    allow: Vec<(IpNet, Option<u16>)>,
    own: HashSet<IpAddr>,
}

impl Guard {
    /// A guard with the operator's allow list and the addresses of our interfaces (`own::addresses`).
    ///
    /// Shape:   a rule without a port allows every port.
    pub fn new(allow: Vec<(IpNet, Option<u16>)>, own: impl IntoIterator<Item = IpAddr>) -> Self {
        // Unmapped once here, so that a rule or an interface written ::ffff:10.0.0.1 means 10.0.0.1.
        let own = own.into_iter().map(|ip| ip.to_canonical()).collect();
        Self { allow: allow.into_iter().map(|(net, port)| (unmap(net), port)).collect(), own }
    }

    /// Lets an address pass or says why not.
    ///
    /// A v4-mapped address is judged as its IPv4 address; the caller dials that (`IpAddr::to_canonical`).
    /// Errors:  [`Forbidden`] - do not dial; answer with `destination_ip_prohibited`.
    pub fn judge(&self, ip: IpAddr, port: u16) -> Result<(), Forbidden> {
        match ip.to_canonical() {
            IpAddr::V4(v4) => self.forbids_v4(v4, port, None).map_or(Ok(()), Err),
            IpAddr::V6(v6) => self.judge_v6(v6, port),
        }
    }

    fn judge_v6(&self, ip: Ipv6Addr, port: u16) -> Result<(), Forbidden> {
        let inner = embedded(ip);
        if let Some(reason) = self.reason_v6(ip)
            && !self.allowed(ip.into(), port, reason.needs())
            // Who allowed 10.0.0.1 allowed it in every wrapping; but no wrapping excuses an address of our own.
            && !(reason.needs() == Needs::ANY && inner.iter().any(|v4| self.allowed(v4.into(), port, Needs::ANY)))
        {
            // The hidden address says more than the wrapping, where both are forbidden.
            let hidden = inner.iter().find(|v4| self.forbids_v4(*v4, port, None).is_some());
            return Err(hidden.map_or(reason, Forbidden::Translated));
        }
        let hidden = inner.iter().find(|v4| self.forbids_v4(*v4, port, Some(ip)).is_some());
        hidden.map_or(Ok(()), |v4| Err(Forbidden::Translated(v4)))
    }

    /// The reason against an IPv4 address, if there is one that no rule lifts. `wrapping` is the IPv6 address around it,
    /// which a rule may name instead.
    fn forbids_v4(&self, ip: Ipv4Addr, port: u16, wrapping: Option<Ipv6Addr>) -> Option<Forbidden> {
        let reason = self.reason_v4(ip)?;
        let needs = reason.needs();
        let outer = if needs == Needs::ANY { Needs::ANY } else { Needs::EXACT };
        let lifted = self.allowed(ip.into(), port, needs)
            || wrapping.is_some_and(|wrapping| self.allowed(wrapping.into(), port, outer));
        (!lifted).then_some(reason)
    }

    fn reason_v4(&self, ip: Ipv4Addr) -> Option<Forbidden> {
        if METADATA_V4.contains(&ip) {
            return Some(Forbidden::CloudMetadata);
        }
        self.block_or_own(ip.into(), block_of_v4(ip))
    }

    fn reason_v6(&self, ip: Ipv6Addr) -> Option<Forbidden> {
        if ip == METADATA_V6 {
            return Some(Forbidden::CloudMetadata);
        }
        self.block_or_own(ip.into(), block_of_v6(ip))
    }

    /// Loopback stays loopback although it is ours too: a rule inside 127.0.0.0/8 is plain enough.
    fn block_or_own(&self, ip: IpAddr, block: Option<Forbidden>) -> Option<Forbidden> {
        match block {
            Some(Forbidden::Loopback | Forbidden::ThisNetwork) => block,
            _ if self.own.contains(&ip) => Some(Forbidden::OwnAddress),
            _ => block,
        }
    }

    fn allowed(&self, ip: IpAddr, port: u16, needs: Needs) -> bool {
        self.allow.iter().any(|(net, only)| {
            net.contains(&ip)
                && only.is_none_or(|p| p == port)
                && net.prefix_len() >= if ip.is_ipv4() { needs.v4 } else { needs.v6 }
        })
    }
}

/// A rule for v4-mapped addresses (::ffff:0:0/96 or longer) as the IPv4 rule it stands for.
fn unmap(net: IpNet) -> IpNet {
    if let IpNet::V6(v6) = net
        && let Some(bits) = v6.prefix_len().checked_sub(96)
        && let Some(v4) = v6.addr().to_ipv4_mapped()
        && let Ok(unmapped) = Ipv4Net::new(v4, bits)
    {
        return unmapped.into();
    }
    net
}

#[cfg(test)]
mod tests;
