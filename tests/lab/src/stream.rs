//! The payload of every transfer: a stream whose byte at each offset both ends know.
//!
//! What lives here: the stream, and a checker that tells the first wrong byte. What does not: sockets.
//! Called by the clients and the origin. Invariant: the period is prime, so a slip by any buffer size shows.

use std::sync::OnceLock;

/// The stream repeats after this many bytes: the largest prime below 2^20.
const PERIOD: usize = 1_048_573;

/// One period of the stream, twice, so that any window of up to a period is contiguous.
fn table() -> &'static [u8] {
    static TABLE: OnceLock<Vec<u8>> = OnceLock::new();
    TABLE.get_or_init(|| {
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let mut once: Vec<u8> = Vec::with_capacity(2 * PERIOD);
        while once.len() < PERIOD {
            // xorshift64*: any fixed sequence without short repeats would do.
            state ^= state >> 12;
            state ^= state << 25;
            state ^= state >> 27;
            once.extend_from_slice(&state.wrapping_mul(0x2545_F491_4F6C_DD1D).to_be_bytes());
        }
        once.truncate(PERIOD);
        once.extend_from_within(..);
        once
    })
}

/// The stream's bytes from `offset` on.
///
/// Shape: at most `len` bytes and at most one period; never empty unless `len` is 0.
pub fn window(offset: u64, len: usize) -> &'static [u8] {
    let start = usize::try_from(offset % PERIOD as u64).unwrap_or(0);
    &table()[start..start + len.min(PERIOD)]
}

/// Follows received bytes and remembers where they first differ from the stream.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Checker {
    /// Bytes received.
    pub bytes: u64,
    /// Offset of the first wrong byte.
    pub first_wrong: Option<u64>,
}

impl Checker {
    /// Takes the next received bytes.
    pub fn push(&mut self, received: &[u8]) {
        for part in received.chunks(PERIOD) {
            let expected = window(self.bytes, part.len());
            if self.first_wrong.is_none() && part != expected {
                let at = part.iter().zip(expected).position(|(got, want)| got != want).unwrap_or(0);
                self.first_wrong = Some(self.bytes + at as u64);
            }
            self.bytes += part.len() as u64;
        }
    }

    /// Whether exactly `bytes` bytes came, all of them right.
    pub fn intact(&self, bytes: u64) -> bool {
        self.bytes == bytes && self.first_wrong.is_none()
    }

    /// How many of `bytes` bytes did not come whole: what is missing, or all after the first wrong one.
    pub fn lost(&self, bytes: u64) -> u64 {
        bytes.saturating_sub(self.first_wrong.map_or(self.bytes, |wrong| wrong.min(self.bytes)))
    }
}

#[cfg(test)]
mod tests;
