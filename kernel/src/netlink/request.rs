//! Requests: a message with its attributes, written front to back.

use std::net::IpAddr;

use crate::abi::netlink as abi;

/// A message on its way to the kernel.
///
/// Shape: header, fixed part, attributes, in the order of the calls. A message that grew past what its length fields can
/// say is not sent: [`crate::netlink::NetlinkSocket`] answers `EMSGSIZE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    bytes: Vec<u8>,
    too_long: bool,
}

impl Request {
    /// A request of type `kind` with `flags` beside `NLM_F_REQUEST`.
    #[must_use]
    pub fn new(kind: u16, flags: u16) -> Self {
        let mut bytes = vec![0; abi::HEADER];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&(flags | abi::NLM_F_REQUEST).to_ne_bytes());
        Self { bytes, too_long: false }
    }

    /// A request of a generic family, with the generic header.
    #[must_use]
    pub fn generic(family: u16, flags: u16, command: u8, version: u8) -> Self {
        Self::new(family, flags).fixed(&[command, version, 0, 0])
    }

    /// Appends the family's fixed part.
    #[must_use]
    pub fn fixed(mut self, bytes: &[u8]) -> Self {
        self.put(bytes);
        self
    }

    /// Appends an attribute.
    #[must_use]
    pub fn attribute(mut self, kind: u16, payload: &[u8]) -> Self {
        let start = self.open(kind);
        self.bytes.extend_from_slice(payload);
        self.close(start);
        self
    }

    /// Appends an attribute of one byte.
    #[must_use]
    pub fn u8(self, kind: u16, value: u8) -> Self {
        self.attribute(kind, &[value])
    }

    /// Appends a number in host order.
    #[must_use]
    pub fn u16(self, kind: u16, value: u16) -> Self {
        self.attribute(kind, &value.to_ne_bytes())
    }

    /// Appends a number in host order.
    #[must_use]
    pub fn u32(self, kind: u16, value: u32) -> Self {
        self.attribute(kind, &value.to_ne_bytes())
    }

    /// Appends text with the zero byte the kernel expects.
    #[must_use]
    pub fn text(mut self, kind: u16, value: &str) -> Self {
        let start = self.open(kind);
        self.bytes.extend_from_slice(value.as_bytes());
        self.bytes.push(0);
        self.close(start);
        self
    }

    /// Appends an address, under the type of its family.
    #[must_use]
    pub fn ip(self, v4: u16, v6: u16, address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => self.attribute(v4, &address.octets()),
            IpAddr::V6(address) => self.attribute(v6, &address.octets()),
        }
    }

    /// Appends an attribute whose payload is the attributes that `fill` appends.
    #[must_use]
    pub fn nest(mut self, kind: u16, fill: impl FnOnce(Self) -> Self) -> Self {
        let start = self.open(kind | abi::NLA_F_NESTED);
        self = fill(self);
        self.close(start);
        self
    }

    /// The flags this request has, for those who add one.
    pub(crate) fn with_flags(mut self, flags: u16) -> Self {
        let now = u16::from_ne_bytes([self.bytes[6], self.bytes[7]]);
        self.bytes[6..8].copy_from_slice(&(now | flags).to_ne_bytes());
        self
    }

    /// The finished message under a sequence number; `None` if it grew too long.
    #[must_use]
    pub fn finish(mut self, sequence: u32) -> Option<Vec<u8>> {
        let length = u32::try_from(self.bytes.len()).ok().filter(|_| !self.too_long)?;
        self.bytes[..4].copy_from_slice(&length.to_ne_bytes());
        self.bytes[8..12].copy_from_slice(&sequence.to_ne_bytes());
        Some(self.bytes)
    }

    fn open(&mut self, kind: u16) -> usize {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 2]);
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        start
    }

    fn close(&mut self, start: usize) {
        match u16::try_from(self.bytes.len() - start) {
            Ok(length) => self.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes()),
            Err(_) => self.too_long = true,
        }
        self.put(&[]);
    }

    /// Appends bytes and the padding after them.
    fn put(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests;
