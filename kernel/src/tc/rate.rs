//! What a class may carry, in HTB's numbers.

use crate::abi::route::htb;

/// What is not said of a burst is this long at the rate: a tick of the slowest kernel clock.
const BURST_NANOS: u128 = 4_000_000;
/// And no less than one full packet.
const LEAST_BURST: u64 = 1600;
/// A class gets this part of a second's bytes in its turn, so that those with a higher rate get longer turns.
const QUANTUM_PART: u64 = 10;
/// In its turn a class sends a packet at least, and does not keep the others waiting for long.
const QUANTUM: std::ops::RangeInclusive<u64> = 1500..=60_000;
/// `PSCHED_SHIFT` of the kernel: its clock for tokens ticks every 64 ns, and has for as long as HTB counts in 64 bits.
const TICK_NANOS: u128 = 64;

/// What a class may carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClassSpec {
    /// At most, over time.
    ///
    /// Shape:   above zero
    /// Units:   bit/s, with all headers of the link
    pub rate: u64,
    /// At most, while tokens of the rate are left. `None`: as fast as the link can.
    ///
    /// Units:   bit/s
    pub ceil: Option<u64>,
    /// How much may go at once, after a pause. `None`: 4 ms of the rate.
    ///
    /// Units:   bytes
    pub burst: Option<u64>,
}

impl ClassSpec {
    /// A class that holds nobody: what one is until it is needed.
    pub const OPEN: Self = Self { rate: 100_000_000_000, ceil: None, burst: None };

    /// Bytes that may go at once.
    #[must_use]
    pub fn burst(&self) -> u64 {
        self.burst.unwrap_or_else(|| suits(self.rate)).max(LEAST_BURST)
    }

    /// The ceiling and the bytes that may go at once by it. Without one the burst alone decides.
    #[must_use]
    pub fn ceiling(&self) -> (u64, u64) {
        match self.ceil {
            Some(ceil) => (ceil.max(self.rate), suits(ceil)),
            None => (self.rate, self.burst()),
        }
    }

    /// Bytes it sends in its turn.
    #[must_use]
    pub fn quantum(&self) -> u64 {
        (self.rate / 8 / QUANTUM_PART).clamp(*QUANTUM.start(), *QUANTUM.end())
    }

    /// `struct tc_htb_opt`.
    pub(super) fn opt(&self) -> [u8; htb::OPT] {
        let (ceil, cburst) = self.ceiling();
        let mut bytes = [0; htb::OPT];
        bytes[..htb::SPEC].copy_from_slice(&spec(self.rate));
        bytes[htb::SPEC..htb::BUFFER].copy_from_slice(&spec(ceil));
        let quantum = u32::try_from(self.quantum()).unwrap_or(u32::MAX);
        let numbers = [ticks(self.rate, self.burst()), ticks(ceil, cburst), quantum];
        for (at, number) in (htb::BUFFER..).step_by(4).zip(numbers) {
            bytes[at..at + 4].copy_from_slice(&number.to_ne_bytes());
        }
        bytes
    }

    /// The words of `tc` for it.
    pub(super) fn words(&self) -> String {
        let (ceil, cburst) = self.ceiling();
        let Self { rate, .. } = self;
        format!("rate {rate}bit burst {}b ceil {ceil}bit cburst {cburst}b quantum {}", self.burst(), self.quantum())
    }
}

/// Bytes a second.
pub(super) const fn bytes(rate: u64) -> u64 {
    rate / 8
}

/// The burst that suits a rate.
fn suits(rate: u64) -> u64 {
    let bytes = u128::from(rate) / 8 * BURST_NANOS / 1_000_000_000;
    u64::try_from(bytes).unwrap_or(u64::MAX).max(LEAST_BURST)
}

/// `struct tc_ratespec`, with what tc says of a link with Ethernet headers. A rate beyond 32 bits has an attribute of its own.
fn spec(rate: u64) -> [u8; htb::SPEC] {
    let number = u32::try_from(bytes(rate)).unwrap_or(u32::MAX).to_ne_bytes();
    // cell_log 3, TC_LINKLAYER_ETHERNET, overhead 0, cell_align -1, mpu 0: with a link layer the kernel needs no table of rates.
    let mut spec = [3, 1, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0];
    spec[htb::SPEC_RATE..].copy_from_slice(&number);
    spec
}

/// How long so many bytes take at a rate, in the kernel's ticks: what HTB calls a buffer.
fn ticks(rate: u64, size: u64) -> u32 {
    let nanos = u128::from(size) * 1_000_000_000 / u128::from(bytes(rate).max(1));
    u32::try_from(nanos / TICK_NANOS).unwrap_or(u32::MAX)
}

/// How many bytes a buffer of so many ticks is at a rate.
pub(super) fn size(rate: u64, ticks: u32) -> u64 {
    let bytes = u128::from(ticks) * TICK_NANOS * u128::from(bytes(rate)) / 1_000_000_000;
    u64::try_from(bytes).unwrap_or(u64::MAX)
}
