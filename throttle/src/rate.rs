//! Rates and losses from counters.
//!
//! What lives here: a counter's growth, a smoothed rate, the share of bytes sent again. What does not: whose they are (`policy`).
//! Invariant: the times between two looks may be anything, zero included, and a counter may fall back; neither makes a rate jump.

use std::time::Duration;

/// A counter that is looked at now and then.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counter {
    last: Option<u64>,
}

impl Counter {
    /// One that began at zero when nobody looked: what the first look shows is growth.
    #[must_use]
    pub const fn from_zero() -> Self {
        Self { last: Some(0) }
    }

    /// What it grew by since the last look.
    ///
    /// Shape:   0 at the first look, and when it has fallen back: what it counted before is not known to be new
    pub fn advance(&mut self, value: u64) -> u64 {
        let last = self.last.replace(value);
        value.saturating_sub(last.unwrap_or(value))
    }
}

/// A smoothed rate.
///
/// Shape:   a first-order low pass: what a steady rate is, it shows exactly, whatever the times between the looks
/// Units:   bit/s
#[derive(Debug, Clone, Copy)]
pub struct Meter {
    rate: u64,
    constant: Duration,
    /// Since the last push that counted.
    pending: Duration,
    /// Since something last went by.
    quiet: Duration,
    /// How long it was quiet before that.
    rhythm: Duration,
}

impl Meter {
    /// The longest time between two counts that is taken for their rhythm: beyond it, nothing goes by.
    const LONGEST: Duration = Duration::from_millis(1_200);

    /// One that forgets within a few times `constant`.
    #[must_use]
    pub const fn new(constant: Duration) -> Self {
        let none = Duration::ZERO;
        Self { rate: 0, constant, pending: none, quiet: none, rhythm: none }
    }

    /// Takes in that so many bytes went by in the time since the last look.
    ///
    /// Who looks more often than is counted sees nothing, and nothing, and then much. So nothing is believed only once it lasts longer
    /// than it did before.
    pub fn push(&mut self, bytes: u64, step: Duration) {
        self.pending = self.pending.saturating_add(step);
        self.quiet = self.quiet.saturating_add(step);
        if bytes > 0 {
            self.rhythm = std::mem::take(&mut self.quiet).min(Self::LONGEST);
        } else if self.quiet <= self.rhythm + self.rhythm / 4 {
            return;
        }
        // The implicit Euler step has no division by the step, so that one of length zero is nothing special.
        let (constant, step) = (self.constant.as_micros(), std::mem::take(&mut self.pending).as_micros());
        let moved = u128::from(bytes).saturating_mul(8_000_000);
        let rate = u128::from(self.rate).saturating_mul(constant).saturating_add(moved) / (constant + step);
        self.rate = u64::try_from(rate).unwrap_or(u64::MAX);
    }

    /// The rate now.
    ///
    /// Units:   bit/s
    #[must_use]
    pub const fn rate(&self) -> u64 {
        self.rate
    }
}

/// A smoothed level: of a queue, say.
#[derive(Debug, Clone, Copy)]
pub struct Level {
    value: u64,
    constant: Duration,
}

impl Level {
    /// One that forgets within a few times `constant`.
    #[must_use]
    pub const fn new(constant: Duration) -> Self {
        Self { value: 0, constant }
    }

    /// Takes in that it was at `value` for the time since the last look.
    pub fn push(&mut self, value: u64, step: Duration) {
        let (constant, step) = (self.constant.as_micros(), step.as_micros());
        let sum =
            u128::from(self.value).saturating_mul(constant).saturating_add(u128::from(value).saturating_mul(step));
        self.value = u64::try_from(sum / (constant + step)).unwrap_or(u64::MAX);
    }

    /// The level now.
    #[must_use]
    pub const fn get(&self) -> u64 {
        self.value
    }
}

/// The share of the bytes of a subflow that were sent again, over the last second or more.
#[derive(Debug, Clone, Copy, Default)]
pub struct Loss {
    sent: Counter,
    again: Counter,
    /// Bytes sent and sent again since `age` ago.
    filling: (u64, u64),
    age: Duration,
    /// The same of the window before, once it was long enough to mean something.
    full: Option<(u64, u64)>,
}

impl Loss {
    /// The least time a window takes.
    const SPAN: Duration = Duration::from_secs(1);
    /// The least a window holds: fifty full segments, below which one loss is more than 2 %.
    const LEAST: u64 = 50 * 1400;
    /// The most time a window takes: after that, what was lost says nothing about now.
    const MOST: Duration = Duration::from_secs(60);

    /// Takes in both counters, and the time since the last look.
    pub fn push(&mut self, sent: u64, again: u64, step: Duration) {
        let (sent, again) = (self.sent.advance(sent), self.again.advance(again));
        self.filling = (self.filling.0.saturating_add(sent), self.filling.1.saturating_add(again));
        self.age = self.age.saturating_add(step);
        if self.age >= Self::SPAN && self.filling.0 >= Self::LEAST {
            self.full = Some(std::mem::take(&mut self.filling));
            self.age = Duration::ZERO;
        } else if self.age >= Self::MOST {
            self.full = None;
            self.filling = (0, 0);
            self.age = Duration::ZERO;
        }
    }

    /// The share. `None`: too little was sent to tell.
    ///
    /// Units:   thousandths
    #[must_use]
    pub fn per_mille(&self) -> Option<u64> {
        let full = self.full?;
        // What fills up now counts along, so that a burst of losses shows before its window is over.
        let (sent, again) = (full.0.saturating_add(self.filling.0), full.1.saturating_add(self.filling.1));
        Some(u64::try_from(u128::from(again) * 1000 / u128::from(sent.max(1))).unwrap_or(u64::MAX).min(1000))
    }
}

#[cfg(test)]
mod tests;
