//! Address prefixes.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net};

use super::Invalid;

const EXPECTED: &str = "a prefix such as \"10.0.0.0/8\" or \"fd00::/8\"";

/// A set of addresses with the same leading bits.
///
/// Shape:   no host bit set; never inside `::ffff:0:0/96` (an IPv4 prefix says the same)
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix(IpNet);

impl Prefix {
    /// `127.0.0.0/8`
    pub const LOOPBACK_V4: Self = Self(IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8)));
    /// `::1/128`
    pub const LOOPBACK_V6: Self = Self(IpNet::V6(ipnet::Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128)));

    /// The prefix as a network.
    pub const fn net(self) -> IpNet {
        self.0
    }

    /// Whether the address lies in the prefix; an IPv4-mapped IPv6 address counts as the IPv4 address it is.
    pub fn contains(self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }

    /// Whether every address in the prefix is a loopback address.
    pub fn is_loopback(self) -> bool {
        [Self::LOOPBACK_V4, Self::LOOPBACK_V6].iter().any(|loopback| loopback.0.contains(&self.0))
    }
}

impl From<IpAddr> for Prefix {
    /// The prefix of one (canonical) address.
    fn from(address: IpAddr) -> Self {
        Self(address.to_canonical().into())
    }
}

impl TryFrom<IpNet> for Prefix {
    type Error = Invalid;

    fn try_from(net: IpNet) -> Result<Self, Invalid> {
        if let IpNet::V6(v6) = net
            && let Some(v4) = v6.addr().to_ipv4_mapped()
            && v6.prefix_len() >= 96
        {
            let right = Ipv4Net::new(v4, v6.prefix_len() - 96).map(|net| net.trunc().to_string()).unwrap_or_default();
            return Err(Invalid::new("IPv4-mapped IPv6 prefix", format!("the IPv4 prefix itself: \"{right}\"")));
        }
        if net.trunc() != net {
            let expected = format!("a prefix such as \"{}\" (or the address alone: \"{}\")", net.trunc(), net.addr());
            return Err(Invalid::new("host bits are set", expected));
        }
        Ok(Self(net))
    }
}

impl FromStr for Prefix {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if let Ok(net) = text.parse::<IpNet>() {
            return Self::try_from(net);
        }
        match text.parse::<IpAddr>() {
            Ok(address) => Self::try_from(IpNet::from(address)),
            Err(_) => Err(Invalid::new("not an address prefix", EXPECTED)),
        }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
