//! Prefixes, and the intervals they cover together.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    /// An address in it. Bits beyond the length do not count.
    pub address: IpAddr,
    /// How many bits are fixed: at most 32 or 128. More is as much as there is.
    pub length: u8,
}

impl fmt::Display for Prefix {
    /// As nft reads it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, _) = self.range();
        write!(f, "{}/{}", address(self.is_v6(), first), self.length.min(self.bits()))
    }
}

impl Prefix {
    pub(super) const fn is_v6(&self) -> bool {
        self.address.is_ipv6()
    }

    const fn bits(&self) -> u8 {
        if self.is_v6() { 128 } else { 32 }
    }

    /// Its first and its last address, as numbers.
    fn range(&self) -> (u128, u128) {
        let number = match self.address {
            IpAddr::V4(address) => u128::from(address.to_bits()),
            IpAddr::V6(address) => address.to_bits(),
        };
        let free = u32::from(self.bits() - self.length.min(self.bits()));
        let mask = u128::MAX.checked_shr(128 - free).filter(|_| free > 0).unwrap_or(0);
        (number & !mask, number | mask)
    }
}

/// A border of intervals: an address from which on, or before which, the set has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Border {
    /// The address as it is on the wire.
    pub(super) key: Vec<u8>,
    /// The interval before it ends here.
    pub(super) end: bool,
}

/// The borders of what the prefixes of one family cover together, in their order.
///
/// Shape:   begins with the end of the interval of what is not covered, as nft does it, and has no end where the last address is covered
pub(super) fn borders(v6: bool, prefixes: &[Prefix]) -> Vec<Border> {
    let mut ranges: Vec<_> = prefixes.iter().filter(|prefix| prefix.is_v6() == v6).map(Prefix::range).collect();
    ranges.sort_unstable();
    let mut merged: Vec<(u128, u128)> = Vec::with_capacity(ranges.len());
    for (first, last) in ranges {
        match merged.last_mut() {
            Some(before) if first <= before.1.saturating_add(1) => before.1 = before.1.max(last),
            _ => merged.push((first, last)),
        }
    }
    let border = |number, end| Border { key: octets(address(v6, number)), end };
    let mut borders = Vec::with_capacity(2 * merged.len() + 1);
    if merged.first().is_some_and(|&(first, _)| first > 0) {
        borders.push(border(0, true));
    }
    let highest = if v6 { u128::MAX } else { u128::from(u32::MAX) };
    for (first, last) in merged {
        borders.push(border(first, false));
        if last < highest {
            borders.push(border(last + 1, true));
        }
    }
    borders
}

/// The address behind a number.
fn address(v6: bool, number: u128) -> IpAddr {
    match u32::try_from(number) {
        Ok(number) if !v6 => Ipv4Addr::from_bits(number).into(),
        _ => Ipv6Addr::from_bits(number).into(),
    }
}

pub(super) fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

#[cfg(test)]
mod tests;
