//! `[resolver]`: how names become addresses.

use std::net::SocketAddr;

use crate::read::Section;
use crate::read::value::Server;

/// How names become addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolver {
    /// Name servers. Empty: those of the system's `resolv.conf`.
    pub servers: Vec<SocketAddr>,
    /// The most names remembered. 0: none.
    pub cache: u32,
}

impl Default for Resolver {
    fn default() -> Self {
        Self { servers: Vec::new(), cache: 8192 }
    }
}

impl Resolver {
    pub(crate) fn read(section: &mut Section<'_>) -> Self {
        const DNS: u16 = 53;
        let servers = section.list::<Server>("servers").unwrap_or_default();
        Self {
            servers: servers.into_iter().map(|Server(ip, port)| (ip, port.unwrap_or(DNS)).into()).collect(),
            cache: section.number("cache", 0..=10_000_000, Self::default().cache),
        }
    }
}
