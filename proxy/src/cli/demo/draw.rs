//! Bars and sparklines of block characters.
//!
//! What lives here: values to glyphs. What does not: colours and layout (see `picture`). Called by the picture. Pure.

/// Eighths of a cell, from the left.
const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
/// Heights in eighths of a cell.
const HEIGHTS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// `value` of `full` as filled cells of `width`: whole ones, and eighths of the next.
fn eighths(value: f64, full: f64, width: usize) -> usize {
    let share = if full > 0.0 { (value / full).clamp(0.0, 1.0) } else { 0.0 };
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a share of 0..=1 times a terminal's width; NaN becomes 0"
    )]
    let eighths = (share * width as f64 * 8.0).round() as usize;
    eighths
}

/// A bar: `value` filled, and a track as far as `limit` goes, on a scale where `full` is `width` cells.
///
/// Shape: the filled part, the track; together at most `width` cells.
pub(super) fn bar(value: f64, limit: f64, full: f64, width: usize) -> (String, String) {
    let (filled, track) = (eighths(value, full, width), eighths(limit, full, width).div_ceil(8));
    let bar = "█".repeat(filled / 8) + EIGHTHS[filled % 8];
    let track = "░".repeat(track.saturating_sub(filled.div_ceil(8)));
    (bar, track)
}

/// Several values one after the other in one bar, in whole cells.
///
/// Shape: cells of each value, and of the track up to `width`.
pub(super) fn stack(values: &[f64], full: f64, width: usize) -> (Vec<usize>, usize) {
    let (mut sum, mut end) = (0.0, 0);
    let cell = |value: &f64| {
        sum += value;
        let before = end;
        end = (eighths(sum, full, width) + 4) / 8;
        end - before
    };
    let cells: Vec<_> = values.iter().map(cell).collect();
    (cells, width - end)
}

/// A sparkline: one cell a value, `full` the whole height; nothing is blank, however little is not.
pub(super) fn spark(values: impl IntoIterator<Item = f64>, full: f64) -> String {
    let cell = |value: f64| match eighths(value, full, 1) {
        0 if value < full / 1000.0 => ' ',
        height => HEIGHTS[height.clamp(1, 8) - 1],
    };
    values.into_iter().map(cell).collect()
}

#[cfg(test)]
mod tests;
