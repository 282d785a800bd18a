//! One TOML value to one checked type.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;

use toml::de::DeValue;

use crate::schedule::{Window, Zone};
use crate::unit::{
    Allow, BitRate, ByteSize, Congestion, IfaceName, Invalid, Name, PacDomain, PacHop, PortSet, Prefix, Pseudonym,
    SubscriberId, TableName, Timeout,
};

/// A type that one TOML value can be.
pub(crate) trait FromToml: Sized {
    /// What several of them are called.
    const PLURAL: &'static str;

    /// Checks the value.
    fn from_toml(value: &DeValue<'_>) -> Result<Self, Invalid>;
}

/// The number, if the value is a whole number that fits.
pub(crate) fn integer(value: &DeValue<'_>) -> Option<i64> {
    match value {
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).ok(),
        _ => None,
    }
}

/// The text of a string, or why it is none.
fn text<'v>(value: &'v DeValue<'_>, expected: &'static str) -> Result<&'v str, Invalid> {
    match value {
        DeValue::String(text) => Ok(text),
        other => Err(Invalid::new(format!("{} where a string is meant", kind(other)), expected)),
    }
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) | DeValue::Float(_) => "a bare number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a section",
    }
}

macro_rules! from_text {
    ($($type:ty, $plural:literal, $expected:literal;)+) => {$(
        impl FromToml for $type {
            const PLURAL: &'static str = $plural;

            fn from_toml(value: &DeValue<'_>) -> Result<Self, Invalid> {
                text(value, $expected)?.parse()
            }
        }
    )+};
}

from_text! {
    Allow, "destinations", "a destination such as \"10.20.0.0/16\" or \"127.0.0.1:8080\"";
    BitRate, "rates", "a rate such as \"2 Mbit/s\"";
    ByteSize, "sizes", "a size such as \"64 KiB\"";
    Congestion, "algorithms", "a congestion control algorithm such as \"cubic\"";
    IfaceName, "interfaces", "an interface name such as \"eth0\"";
    Name, "names", "a name of 1 to 64 printable characters";
    PacDomain, "domains", "a domain in lower case such as \"intranet.example\"";
    PacHop, "hops", "\"DIRECT\" or \"PROXY host:port\"";
    Prefix, "prefixes", "a prefix such as \"10.0.0.0/8\"";
    Pseudonym, "pseudonyms", "a token such as \"edge-1\"";
    SubscriberId, "names", "1 to 64 characters without spaces or \":\"";
    TableName, "names", "a name of letters, digits and _";
    Timeout, "times", "a time such as \"30 s\"";
    Window, "times", "days and times such as \"mon-fri 18:00-23:00\"";
    Zone, "time zones", "a time zone such as \"Europe/Berlin\"";
}

impl FromToml for bool {
    const PLURAL: &'static str = "true or false";

    fn from_toml(value: &DeValue<'_>) -> Result<Self, Invalid> {
        match value {
            DeValue::Boolean(value) => Ok(*value),
            _ => Err(Invalid::new("neither true nor false", "true or false, without quotes")),
        }
    }
}

impl FromToml for String {
    const PLURAL: &'static str = "strings";

    fn from_toml(value: &DeValue<'_>) -> Result<Self, Invalid> {
        text(value, "a string in quotes").map(str::to_owned)
    }
}

impl FromToml for SocketAddr {
    const PLURAL: &'static str = "addresses with ports";

    fn from_toml(value: &DeValue<'_>) -> Result<Self, Invalid> {
        const EXPECTED: &str = "an address and a port such as \"[::]:3128\" or \"192.0.2.1:3128\"";
        let text = text(value, EXPECTED)?;
        text.parse().map_err(|_| {
            let what = match text.parse::<IpAddr>() {
                Ok(_) => "no port",
                Err(_) => "not an address and a port",
            };
            Invalid::new(what, EXPECTED)
        })
    }
}

impl FromToml for IpAddr {
    const PLURAL: &'static str = "addresses";

    fn from_toml(value: &DeValue<'_>) -> Result<Self, Invalid> {
        const EXPECTED: &str = "an address such as \"192.0.2.1\" or \"2001:db8::1\"";
        text(value, EXPECTED)?.parse().map_err(|_| Invalid::new("not an address", EXPECTED))
    }
}

/// An address with a port, or an address alone (`None`: the default port of whatever it is).
pub(crate) struct Server(pub(crate) IpAddr, pub(crate) Option<u16>);

impl FromToml for Server {
    const PLURAL: &'static str = "servers";

    fn from_toml(value: &DeValue<'_>) -> Result<Self, Invalid> {
        const EXPECTED: &str = "an address such as \"192.0.2.53\" or \"[2001:db8::53]:53\"";
        let text = text(value, EXPECTED)?;
        if let Ok(address) = text.parse() {
            return Ok(Self(address, None));
        }
        match text.parse::<SocketAddr>() {
            Ok(address) if address.port() != 0 => Ok(Self(address.ip(), Some(address.port()))),
            Ok(_) => Err(Invalid::new("port 0", EXPECTED)),
            Err(_) => Err(Invalid::new("not an address", EXPECTED)),
        }
    }
}

impl FromToml for PathBuf {
    const PLURAL: &'static str = "files";

    fn from_toml(value: &DeValue<'_>) -> Result<Self, Invalid> {
        const EXPECTED: &str = "the path of a file, absolute or from this file's directory";
        match text(value, EXPECTED)? {
            "" => Err(Invalid::new("empty", EXPECTED)),
            path if path.contains('\0') => Err(Invalid::new("holds a zero byte", EXPECTED)),
            path => Ok(path.into()),
        }
    }
}

impl FromToml for RangeInclusive<u16> {
    const PLURAL: &'static str = "ports and ranges of ports";

    fn from_toml(value: &DeValue<'_>) -> Result<Self, Invalid> {
        if let DeValue::Integer(_) = value {
            // A number out of range fails in the same parser with the same words.
            let number = integer(value).map_or_else(|| "no port".to_owned(), |number| number.to_string());
            return PortSet::parse_range(&number);
        }
        PortSet::parse_range(text(value, "a port or a range of ports such as 443 or \"1024-65535\"")?)
    }
}

/// A value, or the word "off".
pub(crate) enum OrOff<T> {
    /// The word.
    Off,
    /// The value.
    On(T),
}

impl<T> OrOff<T> {
    /// `None` for off.
    pub(crate) fn into_option(self) -> Option<T> {
        match self {
            Self::Off => None,
            Self::On(value) => Some(value),
        }
    }
}

impl<T: FromToml> FromToml for OrOff<T> {
    const PLURAL: &'static str = T::PLURAL;

    fn from_toml(value: &DeValue<'_>) -> Result<Self, Invalid> {
        match value {
            DeValue::String(text) if text == "off" => Ok(Self::Off),
            other => T::from_toml(other)
                .map(Self::On)
                .map_err(|error| Invalid::new(error.what, format!("{} or \"off\"", error.expected))),
        }
    }
}

/// Makes an enum of plain words: `Display`, `ALL` words, `FromToml`.
macro_rules! words {
    ($(#[$doc:meta])* $vis:vis $name:ident { $($(#[$word_doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        $vis enum $name {
            $($(#[$word_doc])* $variant,)+
        }

        impl $name {
            /// The word in the file.
            $vis const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }

            /// Every word.
            $vis const ALL: &'static [Self] = &[$(Self::$variant),+];
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl crate::read::FromToml for $name {
            const PLURAL: &'static str = "words";

            fn from_toml(value: &toml::de::DeValue<'_>) -> Result<Self, crate::unit::Invalid> {
                let found = match value {
                    toml::de::DeValue::String(text) => Self::ALL.iter().find(|word| word.as_str() == text).copied(),
                    _ => None,
                };
                found.ok_or_else(|| {
                    let words: Vec<_> = Self::ALL.iter().map(|word| format!("\"{word}\"")).collect();
                    crate::unit::Invalid::new("not a word known here", words.join(" or "))
                })
            }
        }
    };
}

pub(crate) use words;
