//! Attributes (`struct nlattr`): a type, a length, a payload, padded to four bytes.
//!
//! Reading stops at the first attribute that claims more bytes than there are. A payload is asked for in a width; a
//! payload of another width is `None`, so a kernel that changes its mind is noticed rather than misread.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::abi::netlink::{ATTRIBUTE_HEADER, NLA_TYPE_MASK};

/// One attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attribute<'a> {
    /// Its type, without the flags for nesting and byte order.
    pub kind: u16,
    /// Its payload, without padding.
    pub payload: &'a [u8],
}

/// The attributes in a row of bytes, in their order.
#[derive(Debug, Clone, Copy, Default)]
pub struct Attributes<'a> {
    rest: &'a [u8],
}

impl<'a> Attributes<'a> {
    /// Reads `bytes` as attributes.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The first attribute of type `kind`.
    #[must_use]
    pub fn find(mut self, kind: u16) -> Option<Attribute<'a>> {
        Iterator::find(&mut self, |attribute| attribute.kind == kind)
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Attribute<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let length = usize::from(u16::from_ne_bytes(*self.rest.first_chunk()?));
        let kind = u16::from_ne_bytes(*self.rest.get(2..)?.first_chunk()?);
        let Some(payload) = self.rest.get(ATTRIBUTE_HEADER..length) else {
            self.rest = &[];
            return None;
        };
        // The last attribute's padding may be missing.
        self.rest = self.rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Attribute { kind: kind & NLA_TYPE_MASK, payload })
    }
}

impl<'a> Attribute<'a> {
    /// The payload as attributes.
    #[must_use]
    pub fn nested(&self) -> Attributes<'a> {
        Attributes::new(self.payload)
    }

    /// The payload as one byte.
    #[must_use]
    pub fn u8(&self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    /// The payload as a number in host order.
    #[must_use]
    pub fn u16(&self) -> Option<u16> {
        self.array().map(u16::from_ne_bytes)
    }

    /// The payload as a number in network order.
    #[must_use]
    pub fn be16(&self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    /// The payload as a number in host order.
    #[must_use]
    pub fn u32(&self) -> Option<u32> {
        self.array().map(u32::from_ne_bytes)
    }

    /// The payload as a number in host order.
    #[must_use]
    pub fn u64(&self) -> Option<u64> {
        self.array().map(u64::from_ne_bytes)
    }

    /// The payload as an address, by its length.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        let v4 = || self.array().map(|octets: [u8; 4]| Ipv4Addr::from(octets).into());
        v4().or_else(|| self.array().map(|octets: [u8; 16]| Ipv6Addr::from(octets).into()))
    }

    /// The payload as text, up to the first zero byte; `None` if it is not UTF-8.
    #[must_use]
    pub fn text(&self) -> Option<&'a str> {
        let end = self.payload.iter().position(|&byte| byte == 0).unwrap_or(self.payload.len());
        std::str::from_utf8(&self.payload[..end]).ok()
    }

    fn array<const N: usize>(&self) -> Option<[u8; N]> {
        self.payload.try_into().ok()
    }
}

#[cfg(test)]
mod tests;
