//! Median and percentiles of small samples.
//!
//! What lives here: pure arithmetic. Called by the experiments.
//! Invariant: an empty sample has no median; nothing becomes zero by being absent.

/// The value below which the share `p` of the sample lies, by nearest rank; `None` for an empty sample.
///
/// Shape: `p` in 0.0..=1.0; the sample may be unsorted.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a rank within a sample's length"
)]
pub fn percentile(sample: &[f64], p: f64) -> Option<f64> {
    let mut sorted = sample.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (p * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).or_else(|| sorted.last()).copied()
}

/// The middle of a sample, or the mean of the two middle values; `None` for an empty sample.
pub fn median(sample: &[f64]) -> Option<f64> {
    let mut sorted = sample.to_vec();
    sorted.sort_by(f64::total_cmp);
    let high = *sorted.get(sorted.len() / 2)?;
    Some(if sorted.len() % 2 == 1 { high } else { f64::midpoint(sorted[sorted.len() / 2 - 1], high) })
}

/// The standard error of a sample's middle: how far it would scatter from one such sample to the next; `None` for less than two values.
///
/// Source: the standard deviation ÷ √n; the median of an evenly spread sample scatters a little more, of one with outliers less.
#[allow(clippy::cast_precision_loss, reason = "a sample's length")]
pub fn standard_error(sample: &[f64]) -> Option<f64> {
    let n = sample.len() as f64;
    let mean = sample.iter().sum::<f64>() / n;
    let squares: f64 = sample.iter().map(|value| (value - mean).powi(2)).sum();
    (sample.len() > 1).then(|| (squares / (n - 1.0) / n).sqrt())
}

/// The smallest value; `None` for an empty sample.
pub fn lowest(sample: impl IntoIterator<Item = f64>) -> Option<f64> {
    sample.into_iter().min_by(f64::total_cmp)
}

/// The largest value; `None` for an empty sample.
pub fn highest(sample: impl IntoIterator<Item = f64>) -> Option<f64> {
    sample.into_iter().max_by(f64::total_cmp)
}

/// A value with so many decimals as a report is read with.
pub fn round(value: f64, decimals: i32) -> f64 {
    let scale = 10f64.powi(decimals);
    (value * scale).round() / scale
}

#[cfg(test)]
mod tests;
