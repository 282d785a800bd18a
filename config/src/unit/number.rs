//! Rates, sizes, times and shares: integers inside, humane strings only at the edge.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::Invalid;
use super::quantity::Kind;

const RATE: Kind = Kind {
    units: &[
        ("Tbit/s", 1_000_000_000_000),
        ("Gbit/s", 1_000_000_000),
        ("Mbit/s", 1_000_000),
        ("kbit/s", 1_000),
        ("bit/s", 1),
    ],
    hints: &[
        ("bps", "write \"bit/s\""),
        ("kbps", "write \"kbit/s\""),
        ("Mbps", "write \"Mbit/s\""),
        ("Gbps", "write \"Gbit/s\""),
        ("kbit", "write \"kbit/s\""),
        ("Mbit", "write \"Mbit/s\""),
        ("Gbit", "write \"Gbit/s\""),
        ("kbit/s", "write \"kbit/s\""),
        ("Mbit/s", "write \"Mbit/s\""),
        ("Gbit/s", "write \"Gbit/s\""),
        ("kB/s", "rates are in bits: 1 kB/s is \"8 kbit/s\""),
        ("MB/s", "rates are in bits: 1 MB/s is \"8 Mbit/s\""),
        ("GB/s", "rates are in bits: 1 GB/s is \"8 Gbit/s\""),
    ],
    expected: "a rate such as \"2 Mbit/s\"",
};

const SIZE: Kind = Kind {
    units: &[
        ("GiB", 1 << 30),
        ("GB", 1_000_000_000),
        ("MiB", 1 << 20),
        ("MB", 1_000_000),
        ("KiB", 1 << 10),
        ("kB", 1_000),
        ("B", 1),
    ],
    hints: &[
        ("KB", "write \"KiB\" (1024 bytes) or \"kB\" (1000 bytes)"),
        ("K", "write \"KiB\" (1024 bytes) or \"kB\" (1000 bytes)"),
        ("M", "write \"MiB\" or \"MB\""),
        ("G", "write \"GiB\" or \"GB\""),
        ("bytes", "write \"B\""),
    ],
    expected: "a size such as \"64 KiB\"",
};

const TIME: Kind = Kind {
    units: &[("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000), ("ms", 1)],
    hints: &[
        ("m", "write \"min\" for minutes, \"ms\" for milliseconds"),
        ("sec", "write \"s\""),
        ("seconds", "write \"s\""),
        ("minutes", "write \"min\""),
        ("hours", "write \"h\""),
        ("days", "write \"d\""),
        ("us", "the smallest unit is \"ms\""),
    ],
    expected: "a time such as \"30 s\"",
};

/// A rate of payload or wire bits.
///
/// Shape:   1..=u64::MAX
/// Units:   bit/s
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BitRate(u64);

impl BitRate {
    /// A rate of so many bit/s; `None` for zero.
    pub const fn from_bits_per_second(bits: u64) -> Option<Self> {
        if bits == 0 { None } else { Some(Self(bits)) }
    }

    /// The rate in bit/s, never zero.
    pub const fn bits_per_second(self) -> u64 {
        self.0
    }
}

/// A number of bytes.
///
/// Shape:   1..=u64::MAX
/// Units:   bytes
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(u64);

impl ByteSize {
    /// A size of so many bytes; `None` for zero.
    pub const fn from_bytes(bytes: u64) -> Option<Self> {
        if bytes == 0 { None } else { Some(Self(bytes)) }
    }

    /// The size in bytes, never zero.
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

/// How long something may take.
///
/// Shape:   1 ms ..= 7 d, whole milliseconds
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timeout(Duration);

impl Timeout {
    /// The longest timeout there is; a larger number is a mistake more often than a wish.
    pub const MOST: Duration = Duration::from_secs(7 * 86_400);

    /// The time itself.
    pub const fn get(self) -> Duration {
        self.0
    }
}

impl TryFrom<Duration> for Timeout {
    type Error = Invalid;

    fn try_from(time: Duration) -> Result<Self, Invalid> {
        if time.is_zero() || time > Self::MOST || !time.subsec_nanos().is_multiple_of(1_000_000) {
            return Err(Invalid::new("out of range", "whole milliseconds, at least \"1 ms\" and at most \"7 d\""));
        }
        Ok(Self(time))
    }
}

/// A share of a whole.
///
/// Shape:   1..=99; nothing and everything have words of their own
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Percent(u8);

impl Percent {
    /// The share in percent.
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl TryFrom<u8> for Percent {
    type Error = Invalid;

    fn try_from(percent: u8) -> Result<Self, Invalid> {
        if (1..=99).contains(&percent) {
            Ok(Self(percent))
        } else {
            Err(Invalid::new("out of range", "a whole number from 1 to 99"))
        }
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for BitRate {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        RATE.parse(text).map(Self)
    }
}

impl fmt::Display for BitRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        RATE.print(self.0, f)
    }
}

impl FromStr for ByteSize {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        SIZE.parse(text).map(Self)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        SIZE.print(self.0, f)
    }
}

impl FromStr for Timeout {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        Self::try_from(Duration::from_millis(TIME.parse(text)?))
    }
}

impl fmt::Display for Timeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        TIME.print(millis, f)
    }
}
