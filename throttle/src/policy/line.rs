//! A subscriber's line: what one subscriber moves over one path, and what that line can carry.

use std::time::Duration;

use super::clock::Since;
use crate::rate::Meter;

/// How fast rates follow: fast enough for decisions within a second, slow enough for bursts of acknowledgements.
pub(crate) const RATE_CONSTANT: Duration = Duration::from_millis(150);
/// Lapses so short are nothing: between two bursts, nothing waits.
pub(crate) const GRACE: Duration = Duration::from_millis(300);

/// One direction of a line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lane {
    meter: Meter,
    /// Bytes since the last look.
    grown: u64,
    learned: Learned,
}

/// What a line was seen to carry.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Learned {
    /// The highest rate while it was pressed, ageing slowly.
    peak: u64,
    /// The highest rate that proved to be all it has: opening another path took nothing off it.
    proven: u64,
    /// The band the rate has kept to while pressed.
    low: u64,
    high: u64,
    flat: Since,
}

/// A line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line {
    pub(crate) download: Lane,
    pub(crate) upload: Lane,
    /// Data waits for a connection that uses it.
    pub(crate) pressed: bool,
    /// A subflow on it holds more than it has in flight: the line is what it waits for.
    pub(crate) choked: bool,
    /// When anything was last seen of it.
    pub(crate) seen: Duration,
}

/// How long a rate has to keep below what was learned before that is unlearned.
const UNLEARN: Duration = Duration::from_secs(3);
/// After so long unconfirmed, a third of what was learned is left.
const AGEING: Duration = Duration::from_secs(3600);

impl Lane {
    const fn new() -> Self {
        Self { meter: Meter::new(RATE_CONSTANT), grown: 0, learned: Learned::new() }
    }

    /// Bytes that a subflow moved.
    pub(crate) fn add(&mut self, bytes: u64) {
        self.grown = self.grown.saturating_add(bytes);
    }

    /// Ends a look: what was added since the last one went by in `step`.
    pub(crate) fn settle(&mut self, pressed: bool, now: Duration, step: Duration) {
        self.meter.push(std::mem::take(&mut self.grown), step);
        self.learned.observe(self.meter.rate(), pressed, now, step);
    }

    /// Forgets how fast it was: that was before a time of which nothing is known.
    pub(crate) const fn reset(&mut self) {
        self.meter = Meter::new(RATE_CONSTANT);
        self.learned.flat = Since::new();
    }

    /// In bit/s.
    pub(crate) const fn rate(&self) -> u64 {
        self.meter.rate()
    }

    pub(crate) const fn learned(&self) -> &Learned {
        &self.learned
    }

    pub(crate) fn learned_mut(&mut self) -> &mut Learned {
        &mut self.learned
    }
}

impl Learned {
    const fn new() -> Self {
        Self { peak: 0, proven: 0, low: 0, high: 0, flat: Since::new() }
    }

    fn observe(&mut self, rate: u64, pressed: bool, now: Duration, step: Duration) {
        // Ages by step ÷ ageing of itself: exact enough for steps far below that.
        let aged = |value: u64| {
            let lost = u128::from(value) * step.as_micros() / AGEING.as_micros();
            value - u64::try_from(lost).unwrap_or(value).min(value)
        };
        (self.peak, self.proven) = (aged(self.peak), aged(self.proven));
        let (low, high) = (self.low.min(rate), self.high.max(rate));
        let flat = self.flat.update(pressed, now, GRACE);
        if !is_share(low, 8, high) || flat.is_none() {
            (self.low, self.high) = (rate, rate);
            self.flat = Since::new();
            self.flat.update(pressed, now, GRACE);
        } else {
            (self.low, self.high) = (low, high);
        }
        if !pressed {
            return;
        }
        self.peak = self.peak.max(rate);
        if is_share(rate, 11, self.proven) && self.proven != 0 {
            // It carries more than that after all.
            self.proven = 0;
        }
        if self.flat_for(now) >= UNLEARN && !is_share(self.high, 9, self.peak) {
            self.peak = self.high;
            // It may as well be the client that takes no more: that is for the next trial to find out.
            self.proven = 0;
        }
    }

    /// For how long the rate has kept to a narrow band with data waiting.
    pub(crate) fn flat_for(&self, now: Duration) -> Duration {
        self.flat.due(Duration::ZERO).map_or(Duration::ZERO, |begun| now.saturating_sub(begun))
    }

    /// The highest rate seen lately while it was pressed.
    pub(crate) const fn peak(&self) -> u64 {
        self.peak
    }

    /// What it can carry, where that was proven.
    pub(crate) const fn proven(&self) -> Option<u64> {
        if self.proven == 0 { None } else { Some(self.proven) }
    }

    /// Takes it as proven that it carries no more than this.
    pub(crate) fn prove(&mut self, rate: u64) {
        self.proven = rate;
    }
}

/// Whether `part` is at least so many tenths of `whole`.
pub(crate) const fn is_share(part: u64, tenths: u64, whole: u64) -> bool {
    part as u128 * 10 >= whole as u128 * tenths as u128
}

impl Line {
    pub(crate) const fn new(now: Duration) -> Self {
        Self { download: Lane::new(), upload: Lane::new(), pressed: false, choked: false, seen: now }
    }
}

#[cfg(test)]
mod tests;
