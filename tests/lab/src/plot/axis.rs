//! An axis: from values to places, with ticks at round numbers.
//!
//! Called by `plot`. Invariant: whatever the values, also none or one, the axis has a length.

/// Ticks that an axis has at most.
const MOST_TICKS: f64 = 11.0;

/// An axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Axis {
    low: f64,
    high: f64,
    step: f64,
    start: f64,
    end: f64,
}

impl Axis {
    /// The axis from `start` to `end` of the paper on which all values have room; what is not a number has no place.
    pub(super) fn over(values: impl Iterator<Item = f64>, start: f64, end: f64) -> Self {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.filter(|value| value.is_finite()) {
            (low, high) = (low.min(value), high.max(value));
        }
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        if high - low < f64::EPSILON * high.abs().max(1.0) {
            high = low + 1.0;
        }
        // The first of 1, 2, 5, 10 … that gives few enough ticks.
        let raw = (high - low) / (MOST_TICKS - 1.0);
        let power = 10f64.powf(raw.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|n| n * power).into_iter().find(|&s| s >= raw).unwrap_or(power * 10.0);
        Self { low: (low / step).floor() * step, high: (high / step).ceil() * step, step, start, end }
    }

    /// Where a value is.
    pub(super) fn place(&self, value: f64) -> f64 {
        self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)
    }

    /// The ticks, with their words.
    pub(super) fn ticks(&self) -> Vec<(f64, String)> {
        let decimals = if self.step >= 1.0 { 0 } else { 2 };
        let mut ticks = Vec::new();
        let mut value = self.low;
        while value <= self.high + self.step / 2.0 {
            ticks.push((value, format!("{value:.decimals$}")));
            value += self.step;
        }
        ticks
    }
}
