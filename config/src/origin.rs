//! `[origin]`: the servers that clients ask for.

use std::time::Duration;

use crate::read::Section;
use crate::read::value::OrOff;
use crate::unit::{Allow, Timeout};

/// The servers that clients ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Destinations let through although they are not globally routable. By default none is.
    pub allow: Vec<Allow>,
    /// How long an idle connection to a server is kept for the next request. `None`: not at all.
    pub keep_alive: Option<Duration>,
    /// The most idle connections kept to one server. At least 1.
    pub idle_per_key: u16,
}

impl Default for Origin {
    fn default() -> Self {
        Self { allow: Vec::new(), keep_alive: Some(Duration::from_secs(60)), idle_per_key: 64 }
    }
}

impl Origin {
    pub(crate) fn read(section: &mut Section<'_>) -> Self {
        let default = Self::default();
        let keep_alive = section.get::<OrOff<Timeout>>("keep_alive");
        Self {
            allow: section.list("allow").unwrap_or_default(),
            keep_alive: keep_alive.map_or(default.keep_alive, |time| time.into_option().map(Timeout::get)),
            idle_per_key: section.number("idle_per_key", 1..=65_535, default.idle_per_key),
        }
    }
}
