//! A share of a connection's bytes: the path is held back so far that it carries its part, and never further.
//!
//! What lives here: the control of one connection, bytes in and a rate out. It owes the path what it lags behind its share, and
//! lets it carry its share of the present rate plus what it is owed over the next two seconds: an integral control with the rate as a
//! feed-forward, stable for every share. It never makes the path carry more: one that cannot reach its share is free.

use std::time::Duration;

use super::clock::Since;
use crate::rate::Meter;

/// The control of one connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Share {
    path: Meter,
    whole: Meter,
    /// What the path lags behind its share, in hundredths of a byte; negative: what it is ahead.
    owed: i64,
    /// What it may carry, in bit/s. `None`: it is free.
    rate: Option<u64>,
    next: Duration,
    idle: Since,
    unused: Since,
}

/// How fast rates follow: slower than a burst, faster than the integral.
const CONSTANT: Duration = Duration::from_millis(500);
/// The rate changes no more often than this: pacing a socket anew is cheap, not free.
const EVERY: Duration = Duration::from_millis(250);
/// What is owed is made good within this time.
const REPAY_MS: i64 = 2_000;
/// No more is owed than what the share is in this time, so that a slow start does not become a long excess.
const MOST_OWED_MS: u64 = 4_000;
/// The least rate, and the rate below which a connection is idle.
const LEAST: u64 = 64_000;
/// Ahead by less than this, in hundredths of a byte, is noise.
const NOISE: i64 = 64 * 1024 * 100;
/// For so long nothing of note, and it is idle.
const IDLE: Duration = Duration::from_secs(1);
/// For so long below its share though it may carry more, and it cannot.
const UNREACHED: Duration = Duration::from_secs(2);

impl Share {
    pub(crate) const fn new() -> Self {
        Self {
            path: Meter::new(CONSTANT),
            whole: Meter::new(CONSTANT),
            owed: 0,
            rate: None,
            next: Duration::ZERO,
            idle: Since::new(),
            unused: Since::new(),
        }
    }

    /// What the path may carry. `None`: it is free.
    ///
    /// Units:   bit/s
    pub(crate) const fn rate(&self) -> Option<u64> {
        self.rate
    }

    /// The rates of the path and of the whole connection.
    ///
    /// Units:   bit/s
    pub(crate) const fn rates(&self) -> (u64, u64) {
        (self.path.rate(), self.whole.rate())
    }

    /// Takes in what was delivered since the last look, over the path and in all.
    pub(crate) fn update(&mut self, percent: u8, path: u64, whole: u64, now: Duration, step: Duration) {
        self.path.push(path, step);
        self.whole.push(whole, step);
        let due = i128::from(whole) * i128::from(percent) - i128::from(path) * 100;
        // In hundredths of a byte: bit/s × percent × ms ÷ 8000 is hundredths of bytes in that time.
        let most = u128::from(self.whole.rate()) * u128::from(percent) * u128::from(MOST_OWED_MS) / 8_000;
        let most = i64::try_from(most).unwrap_or(i64::MAX).max(4 * NOISE);
        let owed = i64::try_from(i128::from(self.owed) + due).unwrap_or(if due < 0 { i64::MIN } else { i64::MAX });
        self.owed = owed.clamp(-most, most);

        let idle = self.idle.update(self.whole.rate() < LEAST, now, Duration::ZERO);
        if idle.is_some_and(|idle| idle >= IDLE) {
            self.rate = None;
            return;
        }
        // Pacing may be less exact than it should be: only a path that was offered nearly twice its share cannot reach it.
        let offered = self.rate.is_some_and(|rate| i128::from(rate) * 10 >= self.due(percent) * 18);
        let unused = self.unused.update(offered && self.owed > 0, now, Duration::ZERO);
        if unused.is_some_and(|unused| unused >= UNREACHED) {
            self.rate = None;
            self.unused = Since::new();
            return;
        }
        if now >= self.next {
            self.next = now.saturating_add(EVERY);
            self.adjust(percent);
        }
    }

    /// Its share of the present rate, in bit/s.
    fn due(&self, percent: u8) -> i128 {
        i128::from(self.whole.rate()) * i128::from(percent) / 100
    }

    fn adjust(&mut self, percent: u8) {
        let share = self.due(percent);
        // Hundredths of bytes over milliseconds, as bit/s: × 8 × 1000 ÷ 100.
        let repay = i128::from(self.owed) * 80 / i128::from(REPAY_MS);
        let want = u64::try_from((share + repay).max(i128::from(LEAST))).unwrap_or(u64::MAX);
        self.rate = match self.rate {
            None if self.owed >= -NOISE => None,
            None => Some(want),
            // A fall by more than a quarter would have the subflow drained first, each time.
            Some(rate) => {
                let next = want.clamp(rate / 5 * 4, rate.saturating_mul(2)).max(LEAST);
                Some(if next.abs_diff(rate) > rate / 32 { next } else { rate })
            }
        };
    }
}

#[cfg(test)]
mod tests;
