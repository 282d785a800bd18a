//! Times of the day and of the week, and periods of the calendar, in a time zone.
//!
//! The time-zone database is part of the program: what a file means does not depend on the machine it is read on.

mod period;
mod window;
mod zone;

use std::fmt;
use std::time::Duration;

use jiff::ToSpan as _;

pub use period::{Period, UsedPer};
pub use window::Window;
pub use zone::Zone;

/// When a policy holds: in any of some windows, in a zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    windows: Vec<Window>,
    zone: Zone,
}

/// What began the day before may not be over; a day that a change of the calendar leaves out may lie between.
const BACK: i64 = 2;
/// Clocks put back over midnight show a day while something has begun on the next one.
const AHEAD: i64 = 1;

impl Schedule {
    /// Windows in a zone.
    ///
    /// Shape:   at least one window
    #[must_use]
    pub const fn new(windows: Vec<Window>, zone: Zone) -> Self {
        Self { windows, zone }
    }

    /// The windows.
    #[must_use]
    pub fn windows(&self) -> &[Window] {
        &self.windows
    }

    /// The zone.
    #[must_use]
    pub const fn zone(&self) -> &Zone {
        &self.zone
    }

    /// Whether it is the time.
    ///
    /// Units:   since the Unix epoch
    #[must_use]
    pub fn contains(&self, at: Duration) -> bool {
        self.spans(at, -BACK, AHEAD).any(|(begin, end)| begin <= at && at < end)
    }

    /// When that may change next.
    #[must_use]
    pub fn next_change(&self, after: Duration) -> Option<Duration> {
        // Every window begins within a week; what began before may end first.
        let edges = self.spans(after, -BACK, 7 + AHEAD).flat_map(|(begin, end)| [begin, end]);
        edges.filter(|edge| *edge > after).min()
    }

    /// Every span that begins on a day from so many before to so many after.
    fn spans(&self, at: Duration, first: i64, last: i64) -> impl Iterator<Item = (Duration, Duration)> {
        let today = self.zone.local(at).date();
        let days = (first..=last).filter_map(move |offset| today.checked_add(offset.days()).ok());
        days.flat_map(move |day| self.windows.iter().filter_map(move |window| window.on(day, &self.zone)))
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let windows: Vec<_> = self.windows.iter().map(ToString::to_string).collect();
        write!(f, "{} {}", windows.join(", "), self.zone)
    }
}

#[cfg(test)]
mod tests;
