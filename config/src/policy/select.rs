//! Which subflows a policy is about, and when.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::read::value::words;
use crate::read::{FromToml, Section};
use crate::schedule::{Period, Schedule, UsedPer, Window, Zone};
use crate::unit::{ByteSize, Name, Percent, Prefix, SubscriberId, Timeout};

words! {
    /// Which subflows of a connection.
    pub SubflowSelector {
        /// The one that began it.
        Initial = "initial",
        /// Those that joined it.
        Joined = "joined",
    }
}

/// Usage above which a policy holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Used {
    /// How much.
    pub above: ByteSize,
    /// In what.
    pub per: UsedPer,
    /// Whose calendar.
    pub zone: Zone,
}

/// Which subflows a policy is about, and when. What is empty, or `None`, matches all; what is given has to match, all of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Select {
    /// On one of these paths. Empty: the policy is about the whole of connections.
    pub paths: Vec<Name>,
    /// Of one of these subscribers.
    pub subscribers: Vec<SubscriberId>,
    /// Of connections that one of these listeners accepted.
    pub listeners: Vec<Name>,
    /// Which of a connection.
    pub subflow: Option<SubflowSelector>,
    /// Of connections for an origin with one of these addresses.
    pub destinations: Vec<Prefix>,
    /// Of connections for an origin on one of these ports.
    pub ports: Vec<u16>,
    /// At these times.
    pub when: Option<Schedule>,
    /// Once so much has been used.
    pub used: Option<Used>,
    /// While their path carries more than so much of its capacity.
    pub load_above: Option<Percent>,
    /// While their smoothed round-trip time is above this.
    pub rtt_above: Option<Duration>,
    /// While more than so much of what is sent is sent again.
    pub loss_above: Option<Percent>,
}

impl Used {
    /// The calendar's period; `None` for the life of a connection.
    #[must_use]
    pub fn period(&self) -> Option<Period> {
        Period::new(self.per, self.zone.clone())
    }
}

impl Select {
    pub(super) fn read(section: &mut Section<'_>) -> Option<Self> {
        let ports: Vec<RangeInclusive<u16>> = choice(section, "port", NARROWER);
        if ports.iter().any(|range| range.start() != range.end()) {
            section.refuse("port", "a range", "expected single ports such as 443");
        }
        let times = read_times(section);
        let select = Self {
            paths: choice(section, "path", "expected the name of a [[path]], or a list of them"),
            subscribers: choice(section, "subscriber", NARROWER),
            listeners: choice(section, "listener", NARROWER),
            subflow: section.get("subflow"),
            destinations: choice(section, "destination", NARROWER),
            ports: ports.iter().map(|range| *range.start()).collect(),
            when: None,
            used: None,
            load_above: percent(section, "load_above"),
            rtt_above: section.get::<Timeout>("rtt_above").map(Timeout::get),
            loss_above: percent(section, "loss_above"),
        };
        // Not before every key has been asked for: one that nobody asks for is reported as unknown.
        let (when, used) = times?;
        Some(Self { when, used, ..select })
    }

    /// Whether something is said that only subflows have.
    pub(super) const fn names_subflows(&self) -> bool {
        self.subflow.is_some() || self.load_above.is_some() || self.rtt_above.is_some() || self.loss_above.is_some()
    }

    /// Whether it matches every subflow of its paths, always.
    pub(crate) fn is_about_paths_alone(&self) -> bool {
        Self { paths: Vec::new(), ..self.clone() } == Self::default()
    }

    /// Whether it matches all that another one matches, whenever that does.
    #[must_use]
    pub(crate) fn covers(&self, other: &Self) -> bool {
        // What is measured or counted holds at one time and not at another.
        let always =
            self.used.is_none() && self.load_above.is_none() && self.rtt_above.is_none() && self.loss_above.is_none();
        always
            && (self.when.is_none() || self.when == other.when)
            && holds_all(&self.paths, &other.paths)
            && holds_all(&self.subscribers, &other.subscribers)
            && holds_all(&self.listeners, &other.listeners)
            && (self.subflow.is_none() || self.subflow == other.subflow)
            && (self.destinations.is_empty()
                || !other.destinations.is_empty()
                    && other
                        .destinations
                        .iter()
                        .all(|one| self.destinations.iter().any(|prefix| prefix.net().contains(&one.net()))))
            && holds_all(&self.ports, &other.ports)
    }
}

/// Whether a list (empty: everything) holds all of another.
fn holds_all<T: PartialEq>(list: &[T], of: &[T]) -> bool {
    list.is_empty() || !of.is_empty() && of.iter().all(|one| list.contains(one))
}

/// What an empty list can have meant.
const NARROWER: &str = "name something, or leave the key out";

/// What is chosen of many. A list that is empty by mistake must not be everything.
fn choice<T: FromToml + PartialEq>(section: &mut Section<'_>, key: &'static str, expected: &str) -> Vec<T> {
    if section.is_empty_list(key) {
        section.refuse(key, "matches nothing", expected);
    }
    let (mut chosen, mut twice) = (Vec::new(), false);
    for one in section.one_or_list::<T>(key).unwrap_or_default() {
        if chosen.contains(&one) {
            twice = true;
        } else {
            chosen.push(one);
        }
    }
    if twice {
        section.refuse(key, "one of them twice", "expected each once");
    }
    chosen
}

fn percent(section: &mut Section<'_>, key: &'static str) -> Option<Percent> {
    section.number_of::<u8>(key, 1..=99).and_then(|percent| Percent::try_from(percent).ok())
}

/// When, and above what usage. `None`: something is wrong with one of them.
fn read_times(section: &mut Section<'_>) -> Option<(Option<Schedule>, Option<Used>)> {
    let windows = section.one_or_list::<Window>("when");
    let zone: Option<Zone> = section.get("zone");
    let (above, per) = (section.get("used_above"), section.get::<UsedPer>("used_per"));
    let (has_when, has_zone) = (section.has("when"), section.has("zone"));
    let (has_above, has_per) = (section.has("used_above"), section.has("used_per"));
    let mut right = true;
    let mut refuse = |key, what: &str, fix: &str| {
        section.refuse(key, what, fix);
        right = false;
    };
    if has_when && !has_zone {
        refuse(
            "zone",
            "missing, and \"when\" means nothing without it",
            "expected a time zone such as \"Europe/Berlin\" or \"UTC\"",
        );
    }
    if section.is_empty_list("when") {
        refuse("when", "never", "expected at least one window such as \"mon-fri 18:00-23:00\"");
    }
    if has_zone && !has_when && !has_per {
        refuse("zone", "nothing here depends on the time", "leave it out, or give \"when\" or \"used_per\"");
    }
    if has_above && !has_per {
        refuse("used_per", "missing", "expected \"connection\", \"day\", \"week\" or \"month\"");
    }
    if has_per && !has_above {
        refuse("used_above", "missing", "expected a size such as \"50 GB\"");
    }
    let schedule = zone.clone().zip(windows.filter(|windows| !windows.is_empty()));
    let schedule = schedule.map(|(zone, windows)| Schedule::new(windows, zone));
    let used = above.zip(per).map(|(above, per)| Used { above, per, zone: zone.unwrap_or_else(Zone::utc) });
    right.then_some((schedule, used))
}
