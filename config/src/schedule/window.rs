//! Spans of time that come again: some days of the week, from a time of the day to another.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::civil::{Date, Time};

use super::Zone;
use crate::unit::Invalid;

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

const WINDOW: &str = "days and times such as \"mon-fri 18:00-23:00\", \"sat,sun 00:00-24:00\" or \"22:00-06:00\"";
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

impl Window {
    /// When the span that begins on a day begins and ends, if one does.
    pub(super) fn on(&self, day: Date, zone: &Zone) -> Option<(Duration, Duration)> {
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
