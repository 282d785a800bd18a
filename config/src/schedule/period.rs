//! Periods of the calendar, over which usage is counted.

use std::fmt;
use std::time::Duration;

use jiff::civil::{Date, Time, Weekday};
use jiff::{Span, ToSpan as _};

use super::Zone;
use crate::read::value::words;

words! {
    /// Over what usage is counted.
    pub UsedPer {
        /// The life of a connection.
        Connection = "connection",
        /// A day of the calendar.
        Day = "day",
        /// A week, from Monday.
        Week = "week",
        /// A month.
        Month = "month",
    }
}

/// A period of the calendar in a zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Period {
    per: UsedPer,
    zone: Zone,
}

impl Period {
    /// A period; `None` for the life of a connection, which no calendar knows.
    #[must_use]
    pub fn new(per: UsedPer, zone: Zone) -> Option<Self> {
        (per != UsedPer::Connection).then_some(Self { per, zone })
    }

    /// When the period began in which a moment is.
    ///
    /// Units:   since the Unix epoch
    #[must_use]
    pub fn start(&self, at: Duration) -> Duration {
        self.midnight(self.first(at))
    }

    /// When it ends, and the next one begins.
    #[must_use]
    pub fn end(&self, at: Duration) -> Duration {
        self.next(self.first(at)).map_or(Duration::MAX, |next| self.midnight(next))
    }

    /// Its first day.
    fn first(&self, at: Duration) -> Date {
        let today = self.zone.local(at).date();
        let first = match self.per {
            UsedPer::Connection | UsedPer::Day => today,
            UsedPer::Week => {
                today.checked_sub(i64::from(today.weekday().since(Weekday::Monday)).days()).unwrap_or(today)
            }
            UsedPer::Month => today.first_of_month(),
        };
        // Clocks put back over midnight show the day before once more; what has begun does not end for that.
        self.next(first).filter(|next| self.midnight(*next) <= at).unwrap_or(first)
    }

    /// The first day of the period behind the one that begins on a day.
    fn next(&self, first: Date) -> Option<Date> {
        let length: Span = match self.per {
            UsedPer::Connection | UsedPer::Day => 1.day(),
            UsedPer::Week => 1.week(),
            UsedPer::Month => 1.month(),
        };
        first.checked_add(length).ok()
    }

    fn midnight(&self, day: Date) -> Duration {
        self.zone.moment(day.to_datetime(Time::midnight()))
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.per, self.zone)
    }
}
