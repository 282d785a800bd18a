//! The figures of one run, and of a cell's runs.
//!
//! Called by the experiment. Pure. Invariant: what never happened within a run counts as the longest it can have taken.

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

use super::cells::{Cell, Rule};
use super::play::{Free, Times};
use super::{Trace, settled};
use crate::experiment::steer::{HELD_WINDOW, mbit};
use crate::stats::{highest, lowest, median, round};

/// A held path may carry so much more than its rate.
const SLACK: f64 = 1.1;
/// A backup is not quite idle: a probe, a segment sent again.
const IDLE_MBIT: f64 = 0.4;
/// The sum is full again at this part of what it was.
const FULL: f64 = 0.95;

/// What one run yielded.
#[derive(Debug, Clone, Copy)]
pub(super) struct Figures {
    /// From the rule's coming until the held path never carried more than its rate again.
    ///
    /// Units: ms
    pub(super) settle: f64,
    pub(super) worst_window: Option<f64>,
    pub(super) worst_delivery: Option<f64>,
    /// When the lowest windows of the two begin.
    lowest: [Duration; 2],
    pub(super) steady: Option<f64>,
    /// From the rule's going until the sum was there again.
    ///
    /// Units: ms
    pub(super) release: f64,
    /// The held path's richest second from one second on ÷ its rate; of a backup: Mbit/s.
    pub(super) held_most: Option<f64>,
    /// The mean of it, likewise.
    pub(super) held_mean: f64,
    /// The sum before the rule came.
    ///
    /// Units: Mbit/s
    pub(super) full: Option<f64>,
    /// Plain TCP over the free path.
    ///
    /// Units: Mbit/s
    pub(super) free: f64,
    /// The client's subflows before and after.
    pub(super) subflows: (usize, usize),
}

impl Figures {
    /// Reads them from a trace.
    pub(super) fn of(cell: &Cell, times: &Times, free: &Free, trace: &Trace, subflows: (usize, usize)) -> Self {
        let (from, released) = settled(times, trace);
        let held = from - Duration::from_secs(1);
        // A total is held by how fast it is read: what the links carry follows in strides of whole receive windows, so what is
        // carried on to the origin is looked at.
        let total = if matches!(cell.rule, Rule::Total(_)) { trace.delivered() } else { trace.total(cell.way) };
        // What is delivered in order comes in steps where several paths are free: it is held against one of them.
        let paths = f64::from(u8::try_from(cell.free.len()).unwrap_or(u8::MAX));
        // What is held, to how much, and what the connection must carry all the same.
        let (watched, most, tcp, alone) = match cell.rule {
            Rule::Limit(rate) => (trace.frames(cell.held, cell.way).clone(), mbit(rate) * SLACK, free.tcp, free.alone),
            Rule::Backup => (trace.payload(cell.held, cell.way).clone(), IDLE_MBIT * 1e6, free.tcp, free.alone),
            Rule::Total(rate) => (total.clone(), mbit(rate) * SLACK, mbit(rate), mbit(rate)),
        };
        let single = if matches!(cell.rule, Rule::Total(_)) { tcp } else { tcp / paths };
        let full = total.middle(held.saturating_sub(Duration::from_millis(1_500)), held);
        let in_ms = |time: Option<Duration>, longest: Duration| time.unwrap_or(longest).as_secs_f64() * 1e3;
        let of = |value: Option<f64>, whole: f64| value.map(|value| value / whole.max(1.0));
        let rate = if cell.rule == Rule::Backup { 1e6 } else { most / SLACK };
        let (carried, delivered) =
            (total.poorest_window(held, trace.end), trace.delivered().poorest_window(held, trace.end));
        Self {
            settle: in_ms(watched.settled_over(HELD_WINDOW, held, released, most), released.saturating_sub(held)),
            worst_window: of(carried.map(|window| window.1), tcp),
            worst_delivery: of(delivered.map(|window| window.1), single),
            lowest: [carried, delivered].map(|window| window.unwrap_or_default().0),
            steady: of(Some(total.rate(from, released)), alone),
            release: in_ms(
                total.reached(released, trace.end, full.unwrap_or(f64::INFINITY) * FULL),
                trace.end.saturating_sub(released),
            ),
            held_most: of(watched.richest_over(HELD_WINDOW, from, released), rate),
            held_mean: watched.rate(from, released) / rate,
            full: full.map(|full| full / 1e6),
            free: free.tcp / 1e6,
            subflows,
        }
    }

    fn named(&self) -> [(&'static str, Option<f64>); 9] {
        [
            ("settle_ms", Some(self.settle)),
            ("worst_window_ratio", self.worst_window),
            ("worst_delivery_ratio", self.worst_delivery),
            ("steady_ratio", self.steady),
            ("release_ms", Some(self.release)),
            ("held_most_ratio", self.held_most),
            ("held_mean_ratio", Some(self.held_mean)),
            ("full_mbit", self.full),
            ("free_tcp_mbit", Some(self.free)),
        ]
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ratio = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |v| format!("{v:.3}"));
        write!(
            f,
            "settle {:4.0} ms, window {} at {:.1} s, delivery {} at {:.1} s, steady {}, release {:4.0} ms, held {} ({:.3})",
            self.settle,
            ratio(self.worst_window),
            self.lowest[0].as_secs_f64(),
            ratio(self.worst_delivery),
            self.lowest[1].as_secs_f64(),
            ratio(self.steady),
            self.release,
            ratio(self.held_most),
            self.held_mean
        )
    }
}

/// All runs of a cell.
#[derive(Debug, Clone)]
pub(super) struct Samples {
    pub(super) name: String,
    values: Vec<(&'static str, Vec<f64>)>,
}

impl Samples {
    /// With the first run.
    pub(super) fn new(name: String, figures: &Figures) -> Self {
        let values = figures.named().into_iter().map(|(name, value)| (name, value.into_iter().collect())).collect();
        Self { name, values }
    }

    /// Adds a run.
    pub(super) fn push(&mut self, figures: &Figures) {
        for ((_, values), (_, value)) in self.values.iter_mut().zip(figures.named()) {
            values.extend(value);
        }
    }

    /// A figure's median.
    pub(super) fn median(&self, figure: &str) -> Option<f64> {
        median(self.sample(figure))
    }

    fn sample(&self, figure: &str) -> &[f64] {
        self.values.iter().find(|(name, _)| *name == figure).map_or(&[], |(_, values)| values)
    }

    /// The cell of the report: the worst window's sample, and every figure's median and ends.
    pub(super) fn json(&self) -> Value {
        let rounded = |value: Option<f64>| value.map(|value| round(value, 3));
        let ends = |sample: &[f64]| (rounded(lowest(sample.iter().copied())), rounded(highest(sample.iter().copied())));
        let windows = self.sample("worst_window_ratio");
        let (min, max) = ends(windows);
        let mut cell =
            json!({"unit": "window", "median": rounded(median(windows)), "min": min, "max": max, "n": windows.len()});
        for (name, sample) in &self.values {
            let (min, max) = ends(sample);
            cell[*name] = json!({"median": rounded(median(sample)), "min": min, "max": max});
        }
        cell
    }
}
