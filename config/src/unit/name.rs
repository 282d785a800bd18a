//! Names: what a thing is called in the file, in the log, and in the kernel.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::Invalid;

/// Declares a checked string: its doc, its name, its rule (`&str -> Option<what is wrong>`) and what is expected.
macro_rules! checked_text {
    ($(#[$doc:meta])* $name:ident, $expected:literal, $wrong:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The text, shared: thousands of sessions name one listener.
            pub fn to_shared(&self) -> Arc<str> {
                self.0.clone()
            }
        }

        impl FromStr for $name {
            type Err = Invalid;

            fn from_str(text: &str) -> Result<Self, Invalid> {
                let wrong: fn(&str) -> Option<&'static str> = $wrong;
                match wrong(text) {
                    Some(what) => Err(Invalid::new(what, $expected)),
                    None => Ok(Self(text.into())),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

checked_text!(
    /// The name of a listener, a path or a policy.
    ///
    /// Shape:   1..=64 characters, none of them a control character, no space at either end
    Name,
    "a name of 1 to 64 printable characters",
    |text| match text {
        "" => Some("empty"),
        t if t.chars().count() > 64 => Some("too long"),
        t if t.chars().any(char::is_control) => Some("holds a control character"),
        t if t.trim() != t => Some("begins or ends with a space"),
        _ => None,
    }
);

checked_text!(
    /// Whoever pays for a line; also the user name of its credentials.
    ///
    /// Shape:   1..=64 characters without space, control character or `:` (RFC 7617 §2 ends a user name there)
    SubscriberId,
    "1 to 64 characters without spaces or \":\"",
    |text| match text {
        "" => Some("empty"),
        t if t.chars().count() > 64 => Some("too long"),
        t if t.chars().any(|c| c.is_control() || c.is_whitespace()) => Some("holds a space or control character"),
        t if t.contains(':') => Some("holds a colon"),
        _ => None,
    }
);

checked_text!(
    /// A congestion control algorithm, as the kernel names it.
    ///
    /// Shape:   1..=15 of `a-z 0-9 _ -`
    /// Kernel:  `TCP_CA_NAME_MAX` is 16 with the closing zero; `sysctl net.ipv4.tcp_available_congestion_control` lists them
    Congestion,
    "a congestion control algorithm of the kernel such as \"cubic\" or \"bbr\"",
    |text| match text {
        "" => Some("empty"),
        t if t.len() > 15 => Some("longer than the kernel's 15 characters"),
        t if !t.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-') =>
            Some("holds more than lower-case letters, digits, \"_\" and \"-\""),
        _ => None,
    }
);

checked_text!(
    /// A network interface, as the kernel names it.
    ///
    /// Shape:   1..=15 bytes without `/`, `:` and space, not `.` or `..`
    /// Kernel:  `dev_valid_name()`, `IFNAMSIZ` 16 with the closing zero
    IfaceName,
    "an interface name such as \"eth0\"",
    |text| match text {
        "" => Some("empty"),
        t if t.len() > 15 => Some("longer than the kernel's 15 bytes"),
        "." | ".." => Some("not an interface"),
        t if t.chars().any(|c| c == '/' || c == ':' || c.is_whitespace() || c.is_control()) =>
            Some("holds \"/\", \":\", a space or a control character"),
        _ => None,
    }
);

checked_text!(
    /// The name of an nftables table, as nft(8) takes it without quotes.
    ///
    /// Shape:   1..=32 letters, digits and `_`, a letter or `_` first
    TableName,
    "a name of at most 32 letters, digits and \"_\", such as \"anabranch\"",
    |text| match text {
        "" => Some("empty"),
        t if t.len() > 32 => Some("longer than 32 characters"),
        t if !t.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') => Some("holds something else than letters, digits and \"_\""),
        t if t.starts_with(|c: char| c.is_ascii_digit()) => Some("begins with a digit"),
        _ => None,
    }
);

checked_text!(
    /// The name the proxy goes by in `Via` and `Proxy-Status`.
    ///
    /// Shape:   an RFC 9110 token of 1..=64 characters
    /// Source:  RFC 9110 §5.6.2, §7.6.3
    Pseudonym,
    "a token (letters, digits, \"-\", \".\", \"_\" …) such as \"edge-1\"",
    |text| match text {
        "" => Some("empty"),
        t if t.len() > 64 => Some("longer than 64 characters"),
        t if !t.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)) =>
            Some("holds a character that no token may hold"),
        _ => None,
    }
);

checked_text!(
    /// A domain that browsers reach without the proxy, with everything below it.
    ///
    /// Shape:   1..=253 characters of labels of `a-z 0-9 - _`, without a dot at either end; written in lower case, as browsers compare
    PacDomain,
    "a domain in lower case such as \"intranet.example\"",
    |text| match text {
        "" => Some("empty"),
        t if t.len() > 253 => Some("too long"),
        t if t.split('.').any(|label| label.is_empty() || label.len() > 63) => Some("has an empty or too long label"),
        t if !t.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b)) =>
            Some("holds something else than lower-case letters, digits, \"-\", \"_\" and dots"),
        _ => None,
    }
);

checked_text!(
    /// One thing a browser tries: `DIRECT`, or a kind of proxy and where it listens.
    ///
    /// Shape:   `DIRECT`, or one of `PROXY HTTP HTTPS SOCKS SOCKS5` and `host:port`; no character that could end a string in JavaScript
    PacHop,
    "\"DIRECT\", or \"PROXY host:port\" (also HTTP, HTTPS, SOCKS, SOCKS5)",
    |text| {
        let Some((kind, place)) = text.split_once(' ') else {
            return (text != "DIRECT").then_some("neither DIRECT nor a proxy with its place");
        };
        let Some((host, port)) = place.rsplit_once(':') else { return Some("without a port") };
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let named = !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        if !["PROXY", "HTTP", "HTTPS", "SOCKS", "SOCKS5"].contains(&kind) {
            Some("of no kind that browsers know")
        } else if !port.parse::<u16>().is_ok_and(|number| number.to_string() == port && number != 0) {
            Some("without a port from 1 to 65535")
        } else if !named && bare.is_none_or(|bare| bare.parse::<std::net::Ipv6Addr>().is_err()) {
            Some("without a host, or an IPv6 address without brackets")
        } else {
            None
        }
    }
);
