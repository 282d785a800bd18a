//! The target of a request: which host, which port.
//!
//! Lives here: reading an authority-form or absolute-form request target into a [`Target`], and writing it back for
//! `Host`. Does not live here: whether the target may be reached (`origin::guard`) and how (`origin::connect`).
//! Called by the request stack before anything is allocated for the request.
//! Invariant: a [`Target`] has exactly one meaning. Whatever a resolver or a socket could read in a second way
//! (`0x7f.1`, a bare `2130706433`, a single label that a search domain would complete) is refused here.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU16;
use std::sync::Arc;

use ::http::{HeaderValue, Uri, uri::Scheme};

/// Longest DNS name in its text form, without the trailing dot (RFC 1035 §2.3.4: 255 octets on the wire).
const MAX_NAME: usize = 253;
/// Longest label (RFC 1035 §2.3.4).
const MAX_LABEL: usize = 63;
/// Port of `http` when none is given (RFC 9110 §4.2.1).
const HTTP_PORT: NonZeroU16 = NonZeroU16::new(80).expect("80 is not zero");

/// Names that mean this host or this site and are never looked up in the public DNS
/// (RFC 6761 §6.3, RFC 6762 §3, RFC 8375, and `internal`, which ICANN reserved for private use in 2024).
const SITE_NAMES: [&str; 4] = ["localhost", "local", "internal", "home.arpa"];

/// A DNS name that is fit to be looked up.
///
/// Shape:   2 or more labels of 1..=63 letters, digits, `-` and `_`; at most 253 bytes; lower case; no trailing dot.
///          The last label is not a number, so the name is never an IPv4 address in disguise.
/// Source:  RFC 1035 §2.3.1 · RFC 1123 §2.1
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DnsName(Arc<str>);

impl DnsName {
    /// Reads a name as it stands in a request.
    ///
    /// Errors:  every [`BadAuthority`] that concerns a name; answer 400.
    pub fn parse(text: &str) -> Result<Self, BadAuthority> {
        let name = text.strip_suffix('.').unwrap_or(text);
        if name.is_empty() {
            return Err(BadAuthority::NoHost);
        }
        if name.len() > MAX_NAME {
            return Err(BadAuthority::NameTooLong);
        }
        let mut labels = 0_usize;
        let mut last = "";
        for label in name.split('.') {
            check_label(label)?;
            labels += 1;
            last = label;
        }
        if is_number(last) {
            return Err(BadAuthority::NumericName);
        }
        let name = name.to_ascii_lowercase();
        if is_site_name(&name) {
            return Err(BadAuthority::SiteName);
        }
        if labels < 2 {
            return Err(BadAuthority::SingleLabel);
        }
        Ok(Self(name.into()))
    }

    /// The name in lower case, without a trailing dot.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One label: letters, digits, `_` (seen in practice), and `-` inside.
fn check_label(label: &str) -> Result<(), BadAuthority> {
    let bytes = label.as_bytes();
    if bytes.is_empty() {
        return Err(BadAuthority::EmptyLabel);
    }
    if bytes.len() > MAX_LABEL {
        return Err(BadAuthority::LabelTooLong);
    }
    if !bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')) {
        return Err(BadAuthority::Character);
    }
    if label.starts_with('-') || label.ends_with('-') {
        return Err(BadAuthority::Hyphen);
    }
    Ok(())
}

/// Whether `inet_aton` would take the label for a number: all digits, or `0x` and hexadecimal digits (even none).
fn is_number(label: &str) -> bool {
    let hex = label.strip_prefix("0x").or_else(|| label.strip_prefix("0X"));
    label.bytes().all(|b| b.is_ascii_digit()) || hex.is_some_and(|h| h.bytes().all(|b| b.is_ascii_hexdigit()))
}

fn is_site_name(name: &str) -> bool {
    SITE_NAMES.iter().any(|site| name.strip_suffix(site).is_some_and(|head| head.is_empty() || head.ends_with('.')))
}

/// The host of a [`Target`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// An IPv4 address, written with four decimal numbers.
    V4(Ipv4Addr),
    /// An IPv6 address, written in brackets. It may still embed an IPv4 address: `origin::guard` looks inside.
    V6(Ipv6Addr),
    /// A name to be looked up.
    Name(DnsName),
}

impl Host {
    fn parse(text: &str) -> Result<Self, BadAuthority> {
        if text.is_empty() {
            return Err(BadAuthority::NoHost);
        }
        if let Some(inside) = text.strip_prefix('[') {
            let inside = inside.strip_suffix(']').ok_or(BadAuthority::Brackets)?;
            // `parse` knows neither zone identifiers (`%25eth0`) nor IPvFuture (`v1.x`): both fail here.
            return inside.parse().map(Self::V6).map_err(|_| BadAuthority::Ipv6);
        }
        if let Ok(address) = text.parse() {
            return Ok(Self::V4(address));
        }
        DnsName::parse(text).map(Self::Name)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4(address) => address.fmt(f),
            Self::V6(address) => write!(f, "[{address}]"),
            Self::Name(name) => name.fmt(f),
        }
    }
}

/// Where a request wants to go. `Display` gives the canonical `host:port`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    /// The host, read strictly.
    pub host: Host,
    /// The port, never 0.
    pub port: NonZeroU16,
}

impl Target {
    /// Reads the authority-form target of CONNECT.
    ///
    /// Errors:  [`BadAuthority`] - answer 400.
    /// Source:  RFC 9112 §3.2.3 · RFC 9110 §9.3.6 (the port is mandatory)
    pub fn from_connect(authority: &str) -> Result<Self, BadAuthority> {
        let (host, port) = split(authority)?;
        let port = parse_port(port.ok_or(BadAuthority::NoPort)?)?;
        Ok(Self { host: Host::parse(host)?, port })
    }

    /// Reads the absolute-form target of every other method.
    ///
    /// Errors:  [`BadAuthority::Https`] - answer 501; any other - answer 400.
    /// Source:  RFC 9112 §3.2.2 · RFC 9110 §4.2.1 (no port, or an empty one, is 80)
    pub fn from_absolute(uri: &Uri) -> Result<Self, BadAuthority> {
        match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP => {}
            Some(scheme) if *scheme == Scheme::HTTPS => return Err(BadAuthority::Https),
            Some(_) => return Err(BadAuthority::Scheme),
            None => return Err(BadAuthority::NotAbsolute),
        }
        let authority = uri.authority().ok_or(BadAuthority::NotAbsolute)?;
        let (host, port) = split(authority.as_str())?;
        let port = match port {
            None | Some("") => HTTP_PORT,
            Some(digits) => parse_port(digits)?,
        };
        Ok(Self { host: Host::parse(host)?, port })
    }

    /// Whether a value of `Host` is seen to be the one that [`Target::host_header`] would make: then it can stay. An IPv6 address has too many
    /// spellings to look.
    pub fn is_spelt(&self, host: &HeaderValue, default_port: u16) -> bool {
        let Ok((host, port)) = host.to_str().map_err(|_| BadAuthority::Character).and_then(split) else { return false };
        let port = match port {
            None => self.port.get() == default_port,
            Some(digits) => self.port.get() != default_port && parse_port(digits) == Ok(self.port),
        };
        port && match &self.host {
            Host::Name(name) => name.as_str() == host,
            // An IPv4 address has one spelling.
            Host::V4(address) => host.parse() == Ok(*address),
            Host::V6(_) => false,
        }
    }

    /// The value of `Host` for a request to this target.
    ///
    /// Shape:   `host`, or `host:port` where the port is not `default_port`.
    /// Panics:  never: hosts are letters, digits and `-_.:[]` by construction, all of them allowed in a field value.
    pub fn host_header(&self, default_port: u16) -> HeaderValue {
        let text = if self.port.get() == default_port { self.host.to_string() } else { self.to_string() };
        HeaderValue::from_maybe_shared(bytes::Bytes::from(text)).expect("a canonical target is visible ASCII")
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // One after the other: formatted arguments within arguments cost three times as much, and this is done for every request.
        self.host.fmt(f)?;
        f.write_str(":")?;
        self.port.fmt(f)
    }
}

/// Splits host and port, the brackets of an IPv6 address kept with the host.
fn split(authority: &str) -> Result<(&str, Option<&str>), BadAuthority> {
    for byte in authority.bytes() {
        match byte {
            b'@' => return Err(BadAuthority::UserInfo),
            b'%' => return Err(BadAuthority::Percent),
            _ => {}
        }
    }
    if authority.starts_with('[') {
        let end = authority.find(']').ok_or(BadAuthority::Brackets)? + 1;
        let (host, rest) = authority.split_at(end);
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if rest.is_empty() => Ok((host, None)),
            None => Err(BadAuthority::Brackets),
        };
    }
    match authority.split_once(':') {
        // A second colon means an IPv6 address without brackets, or junk.
        Some((_, port)) if port.contains(':') => Err(BadAuthority::Brackets),
        Some((host, port)) => Ok((host, Some(port))),
        None => Ok((authority, None)),
    }
}

/// 1..=65535 in decimal, no sign, no leading zero.
fn parse_port(digits: &str) -> Result<NonZeroU16, BadAuthority> {
    let strict = digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
    if strict { digits.parse().map_err(|_| BadAuthority::Port) } else { Err(BadAuthority::Port) }
}

/// Why a request target was not taken. The messages never repeat what the client sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadAuthority {
    /// The target is not an absolute URI.
    #[error("request target is not in absolute form")]
    NotAbsolute,
    /// `https` in absolute form: we do not originate TLS; the caller answers 501.
    #[error("https is carried by CONNECT only")]
    Https,
    /// A scheme other than `http`.
    #[error("scheme is not http")]
    Scheme,
    /// `user@` or `user:password@`.
    #[error("user information in the target")]
    UserInfo,
    /// Percent-encoding in the authority, zone identifiers included.
    #[error("percent-encoding in the host")]
    Percent,
    /// CONNECT without a port.
    #[error("port missing")]
    NoPort,
    /// A port that is not 1..=65535 in plain decimal.
    #[error("port is not a number from 1 to 65535")]
    Port,
    /// No host.
    #[error("host missing")]
    NoHost,
    /// Brackets not closed, something other than a port behind them, or an IPv6 address without them.
    #[error("brackets of an ipv6 address missing or misplaced")]
    Brackets,
    /// Brackets around something that is not an IPv6 address.
    #[error("not an ipv6 address in brackets")]
    Ipv6,
    /// More than 253 bytes.
    #[error("name longer than 253 bytes")]
    NameTooLong,
    /// A label of more than 63 bytes.
    #[error("label longer than 63 bytes")]
    LabelTooLong,
    /// Two dots in a row, or one in front.
    #[error("empty label in the name")]
    EmptyLabel,
    /// Something other than letters, digits, `-`, `_` and `.`.
    #[error("character not allowed in a name")]
    Character,
    /// A label that begins or ends with `-`.
    #[error("label begins or ends with a hyphen")]
    Hyphen,
    /// The last label is a number: an IPv4 address in a form that only some readers understand.
    #[error("name ends in a number")]
    NumericName,
    /// A name without a dot: it would depend on a search domain.
    #[error("name of a single label")]
    SingleLabel,
    /// `localhost`, `*.local`, `*.internal`, `*.home.arpa`: this host or this site, not the Internet.
    #[error("name reserved for this host or site")]
    SiteName,
}

impl BadAuthority {
    /// A bounded label for counters and logs.
    pub fn as_label(self) -> &'static str {
        match self {
            Self::NotAbsolute => "not_absolute",
            Self::Https => "https",
            Self::Scheme => "scheme",
            Self::UserInfo => "user_info",
            Self::Percent => "percent",
            Self::NoPort => "no_port",
            Self::Port => "port",
            Self::NoHost => "no_host",
            Self::Brackets => "brackets",
            Self::Ipv6 => "ipv6",
            Self::NameTooLong => "name_too_long",
            Self::LabelTooLong => "label_too_long",
            Self::EmptyLabel => "empty_label",
            Self::Character => "character",
            Self::Hyphen => "hyphen",
            Self::NumericName => "numeric_name",
            Self::SingleLabel => "single_label",
            Self::SiteName => "site_name",
        }
    }
}

#[cfg(test)]
mod tests;
