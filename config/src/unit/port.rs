//! Sets of TCP ports.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use super::Invalid;

const EXPECTED: &str = "a port or a range of ports such as \"443\" or \"1024-65535\"";

/// A set of TCP ports.
///
/// Shape:   disjoint ranges in rising order with a gap between any two; never holds port 0
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PortSet(Box<[RangeInclusive<u16>]>);

impl PortSet {
    /// Whether the port is in the set.
    pub fn contains(&self, port: u16) -> bool {
        self.0.iter().any(|range| range.contains(&port))
    }

    /// The ranges, in rising order.
    pub fn ranges(&self) -> &[RangeInclusive<u16>] {
        &self.0
    }

    /// The ranges as a set, overlapping and touching ones merged.
    pub(crate) fn from_ranges(mut ranges: Vec<RangeInclusive<u16>>) -> Self {
        ranges.sort_by_key(|range| *range.start());
        let mut merged: Vec<RangeInclusive<u16>> = Vec::new();
        for range in ranges {
            match merged.last_mut() {
                Some(last) if u32::from(*range.start()) <= u32::from(*last.end()) + 1 => {
                    *last = *last.start()..=*last.end().max(range.end());
                }
                _ => merged.push(range),
            }
        }
        Self(merged.into())
    }

    /// Parses `443` or `1024-65535`.
    pub(crate) fn parse_range(text: &str) -> Result<RangeInclusive<u16>, Invalid> {
        let port = |text: &str| match text.trim().parse::<u16>() {
            Ok(port) if port != 0 => Ok(port),
            _ => Err(Invalid::new("not a port from 1 to 65535", EXPECTED)),
        };
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let (first, last) = (port(first)?, port(last)?);
        if first > last {
            return Err(Invalid::new("the range ends before it begins", format!("\"{last}-{first}\"")));
        }
        Ok(first..=last)
    }
}

impl FromStr for PortSet {
    type Err = Invalid;

    /// Parses ranges between commas; the empty text is the empty set.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text.trim().is_empty() {
            return Ok(Self(Box::default()));
        }
        text.split(',').map(Self::parse_range).collect::<Result<_, _>>().map(Self::from_ranges)
    }
}

impl fmt::Display for PortSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, range) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            if range.start() == range.end() {
                write!(f, "{comma}{}", range.start())?;
            } else {
                write!(f, "{comma}{}-{}", range.start(), range.end())?;
            }
        }
        Ok(())
    }
}
