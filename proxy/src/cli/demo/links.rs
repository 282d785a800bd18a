//! The access links a demo is built of: names, rates, round trips, and how they are written on the command line.
//!
//! What lives here: reading and checking them. What does not: building them (see `stage`).
//! Called by the command line, the stage and the picture. Invariant: sorted, the fastest first.

use std::str::FromStr;
use std::time::Duration;

use anabranch_config::BitRate;
use anabranch_lab::Link;
use anabranch_lab::emulator::Impairment;

/// Names in the order they are given out.
const NAMES: [&str; 4] = ["DSL", "LTE", "5G", "Wi-Fi"];
/// The emulator and the checking client are sure to keep up with this on a small machine.
const FASTEST: u64 = 500_000_000;

/// One access link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AccessLink {
    /// What it is called.
    pub(super) name: &'static str,
    /// Its rate in both directions, on the wire.
    pub(super) rate: BitRate,
    /// The time to the edge and back on an idle link.
    pub(super) round_trip: Duration,
}

/// The links of a demo.
///
/// Shape: 2..=4, the fastest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Links(Vec<AccessLink>);

impl Links {
    /// The links, the fastest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &AccessLink> {
        self.0.iter()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The fastest.
    pub(super) fn best(&self) -> &AccessLink {
        &self.0[0]
    }
}

impl AccessLink {
    /// The link as the lab builds it.
    pub(super) fn lab(&self) -> Link {
        let link = Link { rate: Some(self.rate.bits_per_second()), ..Link::new(self.name) };
        if self.round_trip.is_zero() {
            return link;
        }
        link.impaired(Impairment { delay: self.round_trip / 2, ..Impairment::default() })
    }

    /// What it is, in words.
    pub(super) fn words(&self) -> String {
        match self.round_trip {
            Duration::ZERO => self.rate.to_string(),
            round_trip => format!("{}, {} ms", self.rate, round_trip.as_millis()),
        }
    }
}

impl FromStr for Links {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut links = text.split(',').map(parse).collect::<Result<Vec<_>, _>>()?;
        if !(2..=NAMES.len()).contains(&links.len()) {
            return Err(format!("{} links; expected 2 to {}", links.len(), NAMES.len()));
        }
        links.sort_by_key(|&(rate, _)| std::cmp::Reverse(rate));
        let named = links.into_iter().zip(NAMES);
        Ok(Self(named.map(|((rate, round_trip), name)| AccessLink { name, rate, round_trip }).collect()))
    }
}

/// Reads `40 Mbit/s`, or `40 Mbit/s 20 ms` with a round trip.
fn parse(text: &str) -> Result<(BitRate, Duration), String> {
    let text = text.trim();
    let end = text.find("bit/s").map_or(text.len(), |at| at + "bit/s".len());
    let (rate, round_trip) = text.split_at(end);
    let rate: BitRate = rate.parse().map_err(|error| format!("\"{text}\": {error}"))?;
    if rate.bits_per_second() > FASTEST {
        return Err(format!("\"{text}\": too fast to emulate here; expected at most 500 Mbit/s"));
    }
    let round_trip = match round_trip.trim() {
        "" => Duration::ZERO,
        time => humantime::parse_duration(time).map_err(|error| format!("\"{text}\": {error}"))?,
    };
    if round_trip > Duration::from_secs(1) {
        return Err(format!("\"{text}\": expected a round trip of at most 1 s"));
    }
    Ok((rate, round_trip))
}

#[cfg(test)]
mod tests;
