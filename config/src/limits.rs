//! `[limits]`: how much of this machine anybody may take.

use crate::read::Section;
use crate::unit::ByteSize;

const MOST: i64 = 10_000_000;

/// How much of this machine anybody may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Client connections at a time, of everybody together.
    pub connections: u32,
    /// Client connections at a time, of one client address. At most `connections`.
    pub connections_per_client: u32,
    /// New connections a second of one client address.
    pub connection_rate: u32,
    /// New requests a second of one client address.
    pub request_rate: u32,
    /// The longest request or response head. 8 KiB ..= 1 MiB.
    pub header_bytes: ByteSize,
    /// The most header fields of a request or response. 16..=1000.
    pub headers: u16,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 16_384,
            connections_per_client: 4096,
            connection_rate: 1000,
            request_rate: 10_000,
            header_bytes: HEADER_BYTES,
            headers: 100,
        }
    }
}

const fn kib(count: u64) -> ByteSize {
    match ByteSize::from_bytes(count * 1024) {
        Some(size) => size,
        None => panic!("only called with numbers above zero, at compile time"),
    }
}

const HEADER_BYTES: ByteSize = kib(64);
const LEAST_HEADER_BYTES: ByteSize = kib(8);
const MOST_HEADER_BYTES: ByteSize = kib(1024);

impl Limits {
    pub(crate) fn read(section: &mut Section<'_>) -> Self {
        let default = Self::default();
        let connections = section.number("connections", 1..=MOST, default.connections);
        // Somebody who lowers only the total means the total.
        let per_client = default.connections_per_client.min(connections);
        let connections_per_client = section.number("connections_per_client", 1..=MOST, per_client);
        if connections_per_client > connections {
            let fix = format!("expected at most \"connections\", which is {connections}");
            section.refuse("connections_per_client", "more than there are connections", &fix);
        }
        let mut header_bytes = section.get_or("header_bytes", default.header_bytes);
        if !(LEAST_HEADER_BYTES..=MOST_HEADER_BYTES).contains(&header_bytes) {
            section.refuse("header_bytes", "out of range", "expected a size from \"8 KiB\" to \"1 MiB\"");
            header_bytes = default.header_bytes;
        }
        Self {
            connections,
            connections_per_client,
            connection_rate: section.number("connection_rate", 1..=MOST, default.connection_rate),
            request_rate: section.number("request_rate", 1..=MOST, default.request_rate),
            header_bytes,
            headers: section.number("headers", 16..=1000, default.headers),
        }
    }
}
