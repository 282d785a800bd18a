//! Bytes over time, and what is asked of them: rates of windows, when a rate settled, when it was back.
//!
//! What lives here: pure arithmetic over bins of 10 ms. What does not: who counted (`meter`, `flow`). Called by the experiments about
//! steering. Invariant: a window is judged only where it lies wholly within the span asked about; where nothing was noted, nothing came.

use std::time::Duration;

use crate::stats::{highest, median};

/// The width of a bin: what times are told to.
pub const BIN: Duration = Duration::from_millis(10);
/// The width of a window, within which rates are told.
pub const WINDOW: Duration = Duration::from_millis(250);

/// No experiment lasts longer; whatever claims to be later is noted as of then.
const LONGEST: Duration = Duration::from_secs(3_600);

/// Bytes over time.
///
/// Units: times are since the series' own beginning.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Series {
    bins: Vec<u64>,
}

impl Series {
    /// Notes that `bytes` came at `at`.
    pub fn add(&mut self, at: Duration, bytes: u64) {
        let bin = index(at.min(LONGEST));
        if self.bins.len() <= bin {
            self.bins.resize(bin + 1, 0);
        }
        self.bins[bin] += bytes;
    }

    /// Several series as one.
    pub fn sum<'a>(all: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut sum = Self::default();
        for one in all {
            sum.bins.resize(sum.bins.len().max(one.bins.len()), 0);
            sum.bins.iter_mut().zip(&one.bins).for_each(|(sum, bytes)| *sum += bytes);
        }
        sum
    }

    /// The bytes of a span.
    pub fn bytes(&self, from: Duration, to: Duration) -> u64 {
        let end = index(to).min(self.bins.len());
        self.bins.get(index(from)..end).unwrap_or_default().iter().sum()
    }

    /// All bytes.
    pub fn total(&self) -> u64 {
        self.bins.iter().sum()
    }

    /// When the first byte came.
    pub fn first(&self) -> Option<Duration> {
        self.bins.iter().position(|&bytes| bytes > 0).map(time)
    }

    /// The mean rate of a span.
    ///
    /// Units: bit/s
    pub fn rate(&self, from: Duration, to: Duration) -> f64 {
        bits(self.bytes(from, to)) / to.saturating_sub(from).max(BIN).as_secs_f64()
    }

    /// The rate of every window of [`WINDOW`] within a span, by when it begins: one every 10 ms.
    ///
    /// Units: bit/s
    pub fn windows(&self, from: Duration, to: Duration) -> Vec<(Duration, f64)> {
        self.windows_of(WINDOW, from, to)
    }

    /// As [`Series::windows`], of another width.
    fn windows_of(&self, wide: Duration, from: Duration, to: Duration) -> Vec<(Duration, f64)> {
        let (width, first, end) = (index(wide), index(from + BIN - Duration::from_nanos(1)), index(to));
        let bin = |at: usize| self.bins.get(at).copied().unwrap_or(0);
        let mut held: u64 = (first..first + width).map(bin).sum();
        let mut windows = Vec::new();
        for start in first..(end + 1).saturating_sub(width) {
            windows.push((time(start), bits(held) / wide.as_secs_f64()));
            held = held + bin(start + width) - bin(start);
        }
        windows
    }

    /// The rate of the poorest window of a span; `None` when none fits.
    pub fn poorest(&self, from: Duration, to: Duration) -> Option<f64> {
        self.poorest_window(from, to).map(|(_, rate)| rate)
    }

    /// The poorest window of a span, with when it begins; `None` when none fits.
    pub fn poorest_window(&self, from: Duration, to: Duration) -> Option<(Duration, f64)> {
        self.windows(from, to).into_iter().min_by(|one, other| one.1.total_cmp(&other.1))
    }

    /// The rate of the richest window of a span; `None` when none fits.
    pub fn richest(&self, from: Duration, to: Duration) -> Option<f64> {
        self.richest_over(WINDOW, from, to)
    }

    /// As [`Series::richest`], by windows of another width.
    pub fn richest_over(&self, wide: Duration, from: Duration, to: Duration) -> Option<f64> {
        highest(self.windows_of(wide, from, to).into_iter().map(|(_, rate)| rate))
    }

    /// The median of a span's windows; `None` when none fits.
    pub fn middle(&self, from: Duration, to: Duration) -> Option<f64> {
        median(&self.windows(from, to).into_iter().map(|(_, rate)| rate).collect::<Vec<_>>())
    }

    /// How long after `from` the first window begins from which on every window of the span carries at most `most`.
    ///
    /// Shape: `None` when the last one still carries more, or none fits
    pub fn settled(&self, from: Duration, to: Duration, most: f64) -> Option<Duration> {
        self.settled_over(WINDOW, from, to, most)
    }

    /// As [`Series::settled`], by windows of another width: of a low rate, a narrow window holds a handful of packets.
    pub fn settled_over(&self, wide: Duration, from: Duration, to: Duration, most: f64) -> Option<Duration> {
        let windows = self.windows_of(wide, from, to);
        let above = windows.iter().rposition(|&(_, rate)| rate > most);
        let first = above.map_or(0, |last| last + 1);
        windows.get(first).map(|(start, _)| start.saturating_sub(from))
    }

    /// How long after `from` the first window begins that carries at least `least`; `None` when none does.
    pub fn reached(&self, from: Duration, to: Duration, least: f64) -> Option<Duration> {
        let windows = self.windows(from, to);
        windows.iter().find(|&&(_, rate)| rate >= least).map(|(start, _)| start.saturating_sub(from))
    }

    /// How often it went from at most `low` to at least `high` or back within a span, judged by windows; what lies between is neither.
    ///
    /// Units: bit/s
    pub fn crossings(&self, from: Duration, to: Duration, low: f64, high: f64) -> usize {
        let (mut turns, mut above) = (0, None);
        for (_, rate) in self.windows(from, to) {
            let now = if rate >= high {
                Some(true)
            } else if rate <= low {
                Some(false)
            } else {
                None
            };
            if now.is_some() && above.is_some() && now != above {
                turns += 1;
            }
            above = now.or(above);
        }
        turns
    }

    /// How far the bytes since `from` have been above a line that begins at `from` and rises by `rate`, at most.
    ///
    /// Units: bit/s; bytes, 0 when they never were above
    #[allow(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    pub fn excess(&self, from: Duration, rate: f64) -> f64 {
        let (mut bytes, mut excess) = (0_u64, 0_f64);
        for (bin, more) in self.bins.iter().enumerate().skip(index(from)) {
            bytes += more;
            // To the end of the bin: within it, the order is not known.
            let allowed = rate / 8.0 * (time(bin + 1).saturating_sub(from)).as_secs_f64();
            excess = excess.max(bytes as f64 - allowed);
        }
        excess
    }

    /// Points for a curve: seconds of each window's middle and Mbit/s, one every 50 ms.
    pub fn curve(&self, to: Duration) -> Vec<(f64, f64)> {
        let windows = self.windows(Duration::ZERO, to).into_iter().step_by(5);
        windows.map(|(start, rate)| ((start + WINDOW / 2).as_secs_f64(), rate / 1e6)).collect()
    }
}

/// The bin of a time.
fn index(at: Duration) -> usize {
    usize::try_from(at.as_nanos() / BIN.as_nanos()).unwrap_or(usize::MAX)
}

/// When a bin begins.
fn time(bin: usize) -> Duration {
    BIN * u32::try_from(bin).unwrap_or(u32::MAX)
}

#[allow(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn bits(bytes: u64) -> f64 {
    bytes as f64 * 8.0
}

#[cfg(test)]
mod tests;
