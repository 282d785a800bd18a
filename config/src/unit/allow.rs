//! Destinations that the closed-by-default guard lets through.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use super::{Invalid, Prefix};

const EXPECTED: &str = "a destination such as \"10.20.0.0/16\", \"127.0.0.1:8080\" or \"[::1]:8080\"";

/// Destinations that may be dialled although they are not globally routable.
///
/// Shape:   a prefix, on one port or (`None`) on every port
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Allow {
    /// Addresses.
    pub prefix: Prefix,
    /// The one port, or every port. Never zero.
    pub port: Option<u16>,
}

impl Allow {
    /// Whether this entry lets the destination through.
    pub fn contains(&self, destination: SocketAddr) -> bool {
        self.prefix.contains(destination.ip()) && self.port.is_none_or(|port| port == destination.port())
    }
}

impl FromStr for Allow {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let (prefix, port) = match text.strip_prefix('[') {
            Some(rest) => match rest.split_once("]:") {
                Some((prefix, port)) if prefix.contains(':') => (prefix, Some(port)),
                _ => return Err(Invalid::new("brackets without an IPv6 address and a port", EXPECTED)),
            },
            None => match text.split_once(':') {
                Some((prefix, port)) if !port.contains(':') => (prefix, Some(port)),
                _ => (text, None),
            },
        };
        let port = match port.map(str::parse::<u16>) {
            None => None,
            Some(Ok(port)) if port != 0 => Some(port),
            Some(_) => return Err(Invalid::new("not a port", "a port from 1 to 65535")),
        };
        match prefix.parse() {
            Ok(prefix) => Ok(Self { prefix, port }),
            Err(Invalid { what, .. }) if what == "not an address prefix" => Err(Invalid::new(
                if text.contains(|c: char| c.is_ascii_alphabetic()) && !text.contains("::") {
                    "not an address (names are resolved first, then checked)"
                } else {
                    "not an address"
                },
                EXPECTED,
            )),
            Err(other) => Err(other),
        }
    }
}

impl fmt::Display for Allow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let net = self.prefix.net();
        let single = net.prefix_len() == net.max_prefix_len();
        let text = if single { net.addr().to_string() } else { net.to_string() };
        match (self.port, net.addr()) {
            (None, _) => f.write_str(&text),
            (Some(port), IpAddr::V4(_)) => write!(f, "{text}:{port}"),
            (Some(port), IpAddr::V6(_)) => write!(f, "[{text}]:{port}"),
        }
    }
}
