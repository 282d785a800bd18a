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
    /// By decades: the other values are logarithms.
    decades: bool,
}

/// So many decades at most have ticks within them, too.
const FEW_DECADES: f64 = 3.0;

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
        Self { low: (low / step).floor() * step, high: (high / step).ceil() * step, step, start, end, decades: false }
    }

    /// As [`Axis::over`], by decades: what is not above zero has no place. Whole decades, one at least.
    pub(super) fn decades(values: impl Iterator<Item = f64>, start: f64, end: f64) -> Self {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for power in values.filter(|value| *value > 0.0 && value.is_finite()).map(f64::log10) {
            (low, high) = (low.min(power.floor()), high.max(power.ceil()));
        }
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        Self { low, high: high.max(low + 1.0), step: 1.0, start, end, decades: true }
    }

    /// Where a value is.
    pub(super) fn place(&self, value: f64) -> f64 {
        // What has no logarithm stands where the axis begins.
        let value = if self.decades { value.max(f64::MIN_POSITIVE).log10().max(self.low) } else { value };
        self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)
    }

    /// The ticks, with their words.
    pub(super) fn ticks(&self) -> Vec<(f64, String)> {
        if self.decades {
            return self.ticks_of_decades();
        }
        let decimals = if self.step >= 1.0 { 0 } else { 2 };
        let mut ticks = Vec::new();
        let mut value = self.low;
        while value <= self.high + self.step / 2.0 {
            ticks.push((value, format!("{value:.decimals$}")));
            value += self.step;
        }
        ticks
    }

    /// Each power of ten, and between few of them 2 and 5 times it.
    fn ticks_of_decades(&self) -> Vec<(f64, String)> {
        let steps = if self.high - self.low <= FEW_DECADES { &[1.0, 2.0, 5.0][..] } else { &[1.0] };
        let (mut ticks, mut power) = (Vec::new(), self.low);
        while power <= self.high {
            let values = steps.iter().map(|step| step * 10f64.powf(power));
            // A tenth of a unit is said so; `{}` of 10^-1 × 2 may have a tail of digits.
            let words =
                |value: f64| if power < 0.0 { format!("{value:.*}", places(power)) } else { format!("{value:.0}") };
            ticks.extend(values.filter(|value| value.log10() <= self.high + 1e-9).map(|value| (value, words(value))));
            power += 1.0;
        }
        ticks
    }
}

/// The decimals that tell a value of the decade of `power`, which is below zero.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small whole number above zero")]
fn places(power: f64) -> usize {
    -power as usize
}
