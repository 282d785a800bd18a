//! Times of the day and of the week, and periods of the calendar, in a time zone.
//!
//! The time-zone database is part of the program: what a file means does not depend on the machine it is read on.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, ToSpan as _};

use crate::read::value::words;
use crate::unit::Invalid;

/// A time zone of the IANA database, by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone(TimeZone, String);

/// A span of time that comes again: on some days of the week, from a time of the day to another.
///
/// Shape:   at least one day; an end that is not after the beginning is on the next day
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Days on which it begins, Monday first.
    days: [bool; 7],
    from: Time,
    /// `None`: the end of the day.
    to: Option<Time>,
}

/// When a policy holds: in any of some windows, in a zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    windows: Vec<Window>,
    zone: Zone,
}

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

const WINDOW: &str = "days and times such as \"mon-fri 18:00-23:00\", \"sat,sun 00:00-24:00\" or \"22:00-06:00\"";
const ZONE: &str = "a time zone such as \"Europe/Berlin\" or \"UTC\"";
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// A span of several days holds whatever began before it is over.
const BACK: i64 = 2;

impl Zone {
    /// Coordinated Universal Time.
    #[must_use]
    pub fn utc() -> Self {
        Self(TimeZone::UTC, "UTC".to_owned())
    }

    /// Its name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.1
    }

    fn local(&self, at: Duration) -> DateTime {
        self.0.to_datetime(timestamp(at))
    }

    /// The moment of a time on the wall; of one that a clock change leaves out, the moment after the gap; of one that comes twice, the
    /// first.
    fn moment(&self, at: DateTime) -> Duration {
        let zoned = self.0.to_ambiguous_zoned(at).compatible();
        zoned.ok().and_then(|zoned| Duration::try_from(zoned.timestamp().as_duration()).ok()).unwrap_or_default()
    }
}

impl FromStr for Zone {
    type Err = Invalid;

    fn from_str(name: &str) -> Result<Self, Invalid> {
        TimeZone::get(name).map(|zone| Self(zone, name.to_owned())).map_err(|_| Invalid::new("no time zone", ZONE))
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.1)
    }
}

/// The time as the calendar has it; what it does not reach is its end.
fn timestamp(at: Duration) -> Timestamp {
    let seconds = i64::try_from(at.as_secs()).unwrap_or(i64::MAX);
    let exact = i32::try_from(at.subsec_nanos()).ok().and_then(|nanos| Timestamp::new(seconds, nanos).ok());
    exact.unwrap_or(Timestamp::MAX)
}

impl Window {
    /// When it began last before a day is over, and when that ends, if it begins on that day.
    fn on(&self, day: Date, zone: &Zone) -> Option<(Duration, Duration)> {
        let index = usize::try_from(day.weekday().to_monday_zero_offset()).ok()?;
        if !self.days[index] {
            return None;
        }
        let next = day.tomorrow().ok()?;
        let end = match self.to {
            None => next.to_datetime(Time::midnight()),
            Some(to) if to > self.from => day.to_datetime(to),
            Some(to) => next.to_datetime(to),
        };
        Some((zone.moment(day.to_datetime(self.from)), zone.moment(end)))
    }
}

impl FromStr for Window {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let wrong = |what: &'static str| Invalid::new(what, WINDOW);
        let (days, times) = match text.trim().split_once(char::is_whitespace) {
            Some((days, times)) => (parse_days(days)?, times.trim()),
            None => ([true; 7], text.trim()),
        };
        let (from, to) = times.split_once('-').ok_or_else(|| wrong("no times from and to"))?;
        let (from, to) = (parse_time(from)?, parse_time(to)?);
        let from = from.ok_or_else(|| wrong("24:00 is an end and no beginning"))?;
        if to == Some(from) {
            return Err(wrong("it ends when it begins"));
        }
        Ok(Self { days, from, to })
    }
}

fn parse_days(text: &str) -> Result<[bool; 7], Invalid> {
    let day =
        |name: &str| DAYS.iter().position(|day| *day == name).ok_or_else(|| Invalid::new("no day of the week", WINDOW));
    let mut days = [false; 7];
    for part in text.split(',') {
        match part.split_once('-') {
            None => days[day(part)?] = true,
            Some((first, last)) => {
                let (first, last) = (day(first)?, day(last)?);
                // Round the end of the week, if need be.
                (0..=(last + 7 - first) % 7).for_each(|step| days[(first + step) % 7] = true);
            }
        }
    }
    Ok(days)
}

/// A time of the day; `None` for 24:00.
fn parse_time(text: &str) -> Result<Option<Time>, Invalid> {
    let wrong = || Invalid::new("no time of the day", WINDOW);
    let (hour, minute) = text.split_once(':').ok_or_else(wrong)?;
    let number = |digits: &str| -> Option<i8> {
        if digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse().ok() } else { None }
    };
    match (number(hour).ok_or_else(wrong)?, number(minute).ok_or_else(wrong)?) {
        (24, 0) => Ok(None),
        (hour, minute) => Time::new(hour, minute, 0, 0).map(Some).map_err(|_| wrong()),
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.days != [true; 7] {
            let named = self.days.iter().zip(DAYS).filter_map(|(on, day)| on.then_some(day));
            write!(f, "{} ", named.collect::<Vec<_>>().join(","))?;
        }
        write!(f, "{:02}:{:02}-", self.from.hour(), self.from.minute())?;
        match self.to {
            Some(to) => write!(f, "{:02}:{:02}", to.hour(), to.minute()),
            None => f.write_str("24:00"),
        }
    }
}

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
        self.spans(at, -BACK, 0).any(|(begin, end)| begin <= at && at < end)
    }

    /// When that may change next.
    #[must_use]
    pub fn next_change(&self, after: Duration) -> Option<Duration> {
        // A week, and a day to begin and one to end.
        let edges = self.spans(after, -BACK, 8).flat_map(|(begin, end)| [begin, end]);
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
        self.zone.moment(self.first(at).to_datetime(Time::midnight()))
    }

    /// When it ends, and the next one begins.
    #[must_use]
    pub fn end(&self, at: Duration) -> Duration {
        let length: Span = match self.per {
            UsedPer::Connection | UsedPer::Day => 1.day(),
            UsedPer::Week => 1.week(),
            UsedPer::Month => 1.month(),
        };
        let next = self.first(at).checked_add(length);
        next.map_or(Duration::MAX, |next| self.zone.moment(next.to_datetime(Time::midnight())))
    }

    /// Its first day.
    fn first(&self, at: Duration) -> Date {
        let today = self.zone.local(at).date();
        match self.per {
            UsedPer::Connection | UsedPer::Day => today,
            UsedPer::Week => {
                today.checked_sub(i64::from(today.weekday().since(Weekday::Monday)).days()).unwrap_or(today)
            }
            UsedPer::Month => today.first_of_month(),
        }
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.per, self.zone)
    }
}

#[cfg(test)]
mod tests;
