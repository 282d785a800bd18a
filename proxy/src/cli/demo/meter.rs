//! Rates out of counters.
//!
//! What lives here: the samples of one act, and rates over any part of them. What does not: taking them.
//! Called by the acts and the picture. Pure: time and counts come from outside.

use std::time::Duration;

/// Over so long the rate shown is averaged: short enough to live, long enough to be read.
const WINDOW: Duration = Duration::from_millis(700);

/// Counts at one moment.
#[derive(Debug, Clone, PartialEq)]
struct Sample {
    at: Duration,
    links: Vec<u64>,
    got: u64,
}

/// The samples of one act.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Meter {
    start: Vec<u64>,
    samples: Vec<Sample>,
    asked: u64,
}

impl Meter {
    /// Starts at the links' counts `start`, for a transfer of `asked` bytes.
    pub(super) fn new(start: Vec<u64>, asked: u64) -> Self {
        let samples = vec![Sample { at: Duration::ZERO, links: vec![0; start.len()], got: 0 }];
        Self { start, samples, asked }
    }

    /// Takes the links' counts at `at`, and the payload that has arrived; a moment before the last one counts as that.
    pub(super) fn push(&mut self, at: Duration, links: &[u64], got: u64) {
        let links = links.iter().zip(&self.start).map(|(now, start)| now.saturating_sub(*start)).collect();
        self.samples.push(Sample { at: at.max(self.end()), links, got });
    }

    /// Payload arrived, and payload asked for.
    ///
    /// Units: bytes.
    pub(super) fn progress(&self) -> (u64, u64) {
        (self.got(), self.asked)
    }

    /// What each link carries now.
    ///
    /// Units: bit/s.
    pub(super) fn now(&self) -> Vec<f64> {
        let end = self.end();
        self.between(end.saturating_sub(WINDOW), end)
    }

    /// What each link has carried on average.
    ///
    /// Units: bit/s.
    pub(super) fn average(&self) -> Vec<f64> {
        self.between(Duration::ZERO, self.end())
    }

    /// How long the rest takes at the rate of now; `None` while nothing moves.
    pub(super) fn left(&self) -> Option<Duration> {
        let rate = self.now().iter().sum::<f64>();
        #[allow(clippy::cast_precision_loss, reason = "sizes are far below 2^52")]
        let bits = self.asked.saturating_sub(self.got()) as f64 * 8.0;
        Duration::try_from_secs_f64(bits / rate).ok().filter(|left| *left < Duration::from_secs(3600))
    }

    /// Rates of every link over the last `count` steps of `step`, the oldest first; steps before the start are left out.
    pub(super) fn last(&self, count: u32, step: Duration) -> Vec<Vec<f64>> {
        // Steps stand still on the clock: a step's rate does not change once it is over.
        let steps = u32::try_from(self.end().as_millis() / step.as_millis().max(1)).unwrap_or(u32::MAX);
        (steps.saturating_sub(count)..steps).map(|n| self.between(step * n, step * (n + 1))).collect()
    }

    /// Rates of every link over the whole act in `count` parts.
    pub(super) fn whole(&self, count: u32) -> Vec<Vec<f64>> {
        let part = |n: u32| self.end() * n / count.max(1);
        (0..count).map(|n| self.between(part(n), part(n + 1))).collect()
    }

    /// The lowest rate of all links together in any `window` between two moments; `None` if none fits between.
    ///
    /// Units: bit/s.
    pub(super) fn lowest(&self, from: Duration, to: Duration, window: Duration) -> Option<f64> {
        let rate = |from, to| self.between(from, to).iter().sum();
        windows(from, to.min(self.end()), window).map(|(from, to)| rate(from, to)).min_by(f64::total_cmp)
    }

    /// The same of the payload that has arrived, in its order.
    ///
    /// Units: bit/s.
    pub(super) fn lowest_read(&self, from: Duration, to: Duration, window: Duration) -> Option<f64> {
        let got = |at| self.at(at, |sample| sample.got);
        let rate = |(from, to): (Duration, Duration)| (got(to) - got(from)) * 8.0 / (to - from).as_secs_f64();
        windows(from, to.min(self.end()), window).map(rate).min_by(f64::total_cmp)
    }

    fn got(&self) -> u64 {
        self.samples.last().map_or(0, |sample| sample.got)
    }

    fn end(&self) -> Duration {
        self.samples.last().map_or(Duration::ZERO, |sample| sample.at)
    }

    /// What each link carried between two moments.
    ///
    /// Units: bit/s.
    pub(super) fn between(&self, from: Duration, to: Duration) -> Vec<f64> {
        let seconds = to.saturating_sub(from).as_secs_f64();
        let (before, after) = (self.counts_at(from), self.counts_at(to));
        let rate = |(before, after): (f64, f64)| if seconds > 0.0 { (after - before) * 8.0 / seconds } else { 0.0 };
        before.into_iter().zip(after).map(rate).collect()
    }

    /// The links' counts at a moment.
    fn counts_at(&self, at: Duration) -> Vec<f64> {
        (0..self.start.len()).map(|link| self.at(at, |sample| sample.links[link])).collect()
    }

    /// A count at a moment, on the straight line between the samples around it.
    #[allow(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    fn at(&self, at: Duration, count: impl Fn(&Sample) -> u64) -> f64 {
        let after = self.samples.partition_point(|sample| sample.at < at).min(self.samples.len() - 1);
        let (left, right) = (&self.samples[after.saturating_sub(1)], &self.samples[after]);
        let span = right.at.saturating_sub(left.at).as_secs_f64();
        let share = if span > 0.0 { at.saturating_sub(left.at).as_secs_f64() / span } else { 1.0 };
        let (left, right) = (count(left) as f64, count(right) as f64);
        left + (right - left) * share.min(1.0)
    }
}

/// Windows between two moments, a fifth of their length apart.
fn windows(from: Duration, to: Duration, window: Duration) -> impl Iterator<Item = (Duration, Duration)> {
    let starts = (0_u32..).map(move |n| from + window * n / 5);
    starts.map(move |start| (start, start + window)).take_while(move |(_, end)| *end <= to)
}

#[cfg(test)]
mod tests;
