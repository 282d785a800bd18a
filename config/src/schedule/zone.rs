//! Time zones: from moments to times on the wall and back.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};

use crate::unit::Invalid;

/// A time zone of the IANA database.
///
/// Shape:   named as the database spells it, however the file does
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone(TimeZone, String);

const ZONE: &str = "a time zone such as \"Europe/Berlin\" or \"UTC\"";

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

    /// What the clock on the wall shows; at the end of the calendar it stands still.
    pub(super) fn local(&self, at: Duration) -> DateTime {
        let seconds = i64::try_from(at.as_secs()).ok();
        let exact = seconds.zip(i32::try_from(at.subsec_nanos()).ok());
        let timestamp = exact.and_then(|(seconds, nanos)| Timestamp::new(seconds, nanos).ok());
        self.0.to_datetime(timestamp.unwrap_or(Timestamp::MAX))
    }

    /// When the clock on the wall first shows this time, or a later one where a clock change leaves it out. Never falls as the time rises.
    ///
    /// Shape:   the epoch for what is before it, [`Duration::MAX`] for what no calendar reaches
    pub(super) fn moment(&self, at: DateTime) -> Duration {
        let ambiguous = self.0.to_ambiguous_timestamp(at);
        let change = match ambiguous.offset() {
            // With the offset from behind the gap the time is before it: what follows is the change itself.
            AmbiguousOffset::Gap { after, .. } => after
                .to_timestamp(at)
                .ok()
                .and_then(|before| self.0.following(before).next())
                .map(|next| next.timestamp()),
            AmbiguousOffset::Unambiguous { .. } | AmbiguousOffset::Fold { .. } => None,
        };
        let moment = change.or_else(|| ambiguous.compatible().ok());
        moment.map_or(Duration::MAX, |moment| Duration::try_from(moment.as_duration()).unwrap_or(Duration::ZERO))
    }
}

impl FromStr for Zone {
    type Err = Invalid;

    fn from_str(name: &str) -> Result<Self, Invalid> {
        // The database in the program, and never the machine's, whatever else in the build asks for that one.
        let zone = TimeZoneDatabase::bundled().get(name).ok();
        let known = zone.and_then(|zone| zone.iana_name().map(str::to_owned).map(|name| (zone, name)));
        known.map(|(zone, name)| Self(zone, name)).ok_or_else(|| Invalid::new("no time zone", ZONE))
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.1)
    }
}
