//! What of the data of one direction was passed over and may still come.
//!
//! Where several subflows carry a connection their queues differ, and dozens of pieces are under way at once: seen on 20 + 20
//! Mbit/s behind two queues. A list that grows with them costs a connection without any nothing.

/// Holes remembered per direction.
const MOST: usize = 64;

/// Numbers further apart than this are not compared: half of what a lower half can tell.
const FAR: u32 = 1 << 30;

/// What was passed over, as the lower halves of numbers.
#[derive(Debug, Clone, Default)]
pub(super) struct Holes {
    /// In the order of their numbers.
    list: Vec<(u32, u32)>,
    /// Below this holes had to be forgotten: what comes there may fill one, or not.
    unsure: Option<u32>,
}

/// What a piece of data was, byte by byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Filled {
    /// It filled holes.
    pub(super) late: u64,
    /// It had been mapped before.
    pub(super) again: u64,
}

impl Holes {
    /// Remembers a hole above all others; the oldest has to go when there are too many.
    pub(super) fn open(&mut self, from: u32, to: u32) {
        if from == to {
            return;
        }
        if self.list.len() == MOST {
            let (_, end) = self.list.remove(0);
            self.unsure = Some(end);
        }
        self.unsure = self.unsure.filter(|unsure| from.wrapping_sub(*unsure) < FAR);
        self.list.push((from, to));
    }

    /// Takes `from..to` out of the holes.
    pub(super) fn fill(&mut self, from: u32, to: u32) -> Filled {
        let len = to.wrapping_sub(from);
        let mut late = 0;
        if !self.list.is_empty() {
            for (first, last) in std::mem::take(&mut self.list) {
                // Numbers wrap: compared by their distance from the hole's beginning.
                let size = last.wrapping_sub(first);
                let begin = clamp(from.wrapping_sub(first), size);
                let end = clamp(to.wrapping_sub(first), size);
                late += end.saturating_sub(begin);
                let rest = if begin < end {
                    [(first, first.wrapping_add(begin)), (first.wrapping_add(end), last)]
                } else {
                    [(first, last), (last, last)]
                };
                self.list.extend(rest.into_iter().filter(|(from, to)| from != to));
            }
            self.list.truncate(MOST);
        }
        // All holes are above: what is below the mark is none of them.
        let unsure = self.unsure.map_or(0, |mark| clamp(mark.wrapping_sub(from), len));
        Filled { late: late.into(), again: len.saturating_sub(late).saturating_sub(unsure).into() }
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.list.len()
    }
}

/// A distance that may be backwards, cut to `0..=len`.
const fn clamp(offset: u32, len: u32) -> u32 {
    if offset > u32::MAX / 2 {
        0
    } else if offset > len {
        len
    } else {
        offset
    }
}
