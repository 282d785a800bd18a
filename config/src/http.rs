//! `[http]`: how the proxy speaks HTTP.

use std::ops::RangeInclusive;

use crate::read::Section;
use crate::unit::{PortSet, Pseudonym};

/// How the proxy speaks HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Http {
    /// The name the proxy goes by in `Via` and `Proxy-Status`.
    pub pseudonym: Pseudonym,
    /// Ports that CONNECT may reach. The default is the web's two and everything that needs no privilege to listen on:
    /// below 1024 live mail and remote shells, which an open CONNECT gives to spammers.
    pub ports: PortSet,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            pseudonym: "anabranch".parse().expect("\"anabranch\" is a token"),
            ports: PortSet::from_ranges(vec![80..=80, 443..=443, 1024..=65535]),
        }
    }
}

impl Http {
    pub(crate) fn read(section: &mut Section<'_>) -> Self {
        let default = Self::default();
        let ports = section.one_or_list::<RangeInclusive<u16>>("ports");
        Self {
            pseudonym: section.get_or("pseudonym", default.pseudonym),
            ports: ports.map_or(default.ports, PortSet::from_ranges),
        }
    }
}
