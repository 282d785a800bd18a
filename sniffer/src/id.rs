//! Identities on the wire: token, address identifier, four-tuple, and how a subflow began.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The handle of an MPTCP connection at one of its ends.
///
/// Shape:   the 32 most significant bits of the SHA-256 of that end's key; each end has its own; reused after a close
/// Source:  RFC 8684 §3.2; printed as `ss -M` and `ip mptcp monitor` print it
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Token(pub u32);

/// The number of an address of one host, within one connection.
///
/// Source:  RFC 8684 §3.4.1 (ADD_ADDR) and §3.2 (MP_JOIN)
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AddrId(pub u8);

/// How a subflow began.
///
/// Source:  RFC 8684 §3.1 and §3.2
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SubflowKind {
    /// With MP_CAPABLE: it began the connection.
    Initial,
    /// With MP_JOIN: it joined a connection.
    Joined,
}

/// Addresses and ports of the segments of one direction of a TCP flow.
///
/// Shape:   both addresses of one family; IPv4 is never written as IPv4-mapped IPv6; no flow label and no scope, which
///          segments of one flow need not agree on
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Addresses")]
pub struct FourTuple {
    source: SocketAddr,
    destination: SocketAddr,
}

/// A four-tuple as it is read, before it is known to be one.
#[derive(Deserialize)]
struct Addresses {
    source: SocketAddr,
    destination: SocketAddr,
}

/// A text that is no token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a token; expected up to eight hexadecimal digits such as 7bd96dc8")]
pub struct NotAToken;

/// Two addresses between which no TCP flow can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{source_address} and {destination_address} are of different families")]
pub struct MixedFamilies {
    /// The one.
    pub source_address: IpAddr,
    /// The other.
    pub destination_address: IpAddr,
}

impl AddrId {
    /// The address of the initial subflow.
    pub const INITIAL: Self = Self(0);
}

impl SubflowKind {
    /// The word in logs, labels and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Initial => "initial",
            Self::Joined => "joined",
        }
    }
}

impl FourTuple {
    /// The four-tuple of segments from `source` to `destination`.
    ///
    /// Errors:  [`MixedFamilies`] — once IPv4-mapped addresses are taken for the IPv4 they are
    pub fn new(source: SocketAddr, destination: SocketAddr) -> Result<Self, MixedFamilies> {
        let plain = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
        let (source, destination) = (plain(source), plain(destination));
        if source.is_ipv4() != destination.is_ipv4() {
            return Err(MixedFamilies { source_address: source.ip(), destination_address: destination.ip() });
        }
        Ok(Self { source, destination })
    }

    /// Where its segments come from.
    #[must_use]
    pub const fn source(&self) -> SocketAddr {
        self.source
    }

    /// Where its segments go.
    #[must_use]
    pub const fn destination(&self) -> SocketAddr {
        self.destination
    }

    /// The other direction of the same flow.
    #[must_use]
    pub const fn reversed(self) -> Self {
        Self { source: self.destination, destination: self.source }
    }
}

impl TryFrom<Addresses> for FourTuple {
    type Error = MixedFamilies;

    fn try_from(read: Addresses) -> Result<Self, MixedFamilies> {
        Self::new(read.source, read.destination)
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

impl From<Token> for String {
    fn from(token: Token) -> Self {
        token.to_string()
    }
}

impl TryFrom<String> for Token {
    type Error = NotAToken;

    fn try_from(text: String) -> Result<Self, NotAToken> {
        text.parse()
    }
}

impl FromStr for Token {
    type Err = NotAToken;

    /// Takes what the tools print: hexadecimal digits, leading zeros or not, `0x` before them or not.
    fn from_str(text: &str) -> Result<Self, NotAToken> {
        let digits = text.strip_prefix("0x").unwrap_or(text);
        // The parser of numbers would take a sign.
        if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(NotAToken);
        }
        u32::from_str_radix(digits, 16).map(Self).map_err(|_| NotAToken)
    }
}

impl fmt::Display for AddrId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for SubflowKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for FourTuple {
    /// As tcpdump puts it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} > {}", self.source, self.destination)
    }
}

#[cfg(test)]
mod tests;
