//! The text of a story.

use std::fmt;
use std::time::Duration;

use super::{AnnouncementFacts, ConnectionFacts, Story, SubflowFacts};
use crate::event::{End, Ends, SubflowEnd, Verified};
use crate::id::SubflowKind;

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let facts = &self.0;
        headline(f, facts)?;
        if let Some(reason) = facts.fallback {
            let at = facts.fallback_at.unwrap_or(facts.established_at);
            writeln!(f, "  plain TCP {}: {reason}", after(facts, at))?;
        }
        totals(f, facts)?;
        for subflow in &facts.subflows {
            tell_subflow(f, facts, subflow)?;
        }
        for announcement in &facts.announcements {
            tell_announcement(f, facts, announcement)?;
        }
        if facts.joins_refused > 0 {
            writeln!(f, "  joins refused: {}", facts.joins_refused)?;
        }
        if facts.forged > 0 {
            writeln!(f, "  forgeries in its name: {}", facts.forged)?;
        }
        Ok(())
    }
}

fn headline(f: &mut fmt::Formatter<'_>, facts: &ConnectionFacts) -> fmt::Result {
    write!(f, "connection {}, MPTCP version {}", facts.connection, facts.version)?;
    for end in End::BOTH {
        if let Some(token) = facts.tokens[end] {
            write!(f, ", {end} token {token}")?;
        }
    }
    if facts.checksum {
        f.write_str(", with checksums")?;
    }
    if facts.late {
        f.write_str(", running before the watch began")?;
    }
    match (facts.end, facts.ended_at) {
        (Some(end), Some(at)) => writeln!(f, ": {end} {}", after(facts, at)),
        _ => writeln!(f, ": open"),
    }
}

fn totals(f: &mut fmt::Formatter<'_>, facts: &ConnectionFacts) -> fmt::Result {
    write!(f, "  {}", both(facts.bytes))?;
    for (count, what) in [
        (facts.retransmitted.sum(), "sent again by TCP"),
        (facts.data_retransmitted.sum(), "sent again as data"),
        (facts.data_reordered.sum(), "out of order"),
    ] {
        if count > 0 {
            write!(f, "; {count} bytes {what}")?;
        }
    }
    writeln!(f)
}

fn tell_subflow(f: &mut fmt::Formatter<'_>, facts: &ConnectionFacts, subflow: &SubflowFacts) -> fmt::Result {
    let SubflowFacts { flow, kind, opened_by, .. } = subflow;
    write!(f, "  subflow {}: {kind}, {flow}", subflow.subflow.number)?;
    if *kind == SubflowKind::Joined {
        write!(f, ", opened by the {opened_by}")?;
        if let Some(delay) = subflow.join_delay {
            write!(f, " {} after the connection", Span(delay))?;
        }
        match subflow.verified {
            Verified::Yes => {}
            Verified::No => f.write_str(", FORGED")?,
            Verified::Unknown => f.write_str(", not verified")?,
        }
    }
    match (subflow.backup.client, subflow.backup.server) {
        (false, false) => {}
        (true, false) => f.write_str(", backup as the client asks")?,
        (false, true) => f.write_str(", backup as the server asks")?,
        (true, true) => f.write_str(", backup as both ask")?,
    }
    writeln!(f)?;
    write!(f, "    {}{}", both(subflow.bytes), share(subflow.bytes.sum(), facts.bytes.sum()))?;
    match (subflow.end, subflow.ended_at) {
        (Some(SubflowEnd::Reset { by, reason }), Some(at)) => {
            write!(f, "; reset by the {by} {}", after(facts, at))?;
            if let Some(reason) = reason {
                write!(f, ": {reason}")?;
            }
        }
        (Some(SubflowEnd::Finished), Some(at)) => write!(f, "; closed {}", after(facts, at))?,
        (Some(SubflowEnd::Replaced), Some(at)) => write!(f, "; its ports taken by a new flow {}", after(facts, at))?,
        (Some(SubflowEnd::WithConnection), _) => f.write_str("; ended with the connection")?,
        (None, _) | (_, None) => write!(f, "; {}", subflow.state)?,
    }
    writeln!(f)
}

fn tell_announcement(f: &mut fmt::Formatter<'_>, facts: &ConnectionFacts, told: &AnnouncementFacts) -> fmt::Result {
    write!(f, "  {} announced address {}: {}", told.by, told.addr_id, told.address)?;
    if let Some(port) = told.port {
        write!(f, " port {port}")?;
    }
    write!(f, " {}", after(facts, told.at))?;
    if told.verified != Verified::Yes {
        f.write_str(", not verified")?;
    }
    if told.echoed {
        f.write_str(", echoed")?;
    }
    if told.withdrawn {
        f.write_str(", withdrawn")?;
    }
    writeln!(f)
}

fn both(bytes: Ends<u64>) -> String {
    format!("{} bytes to the server, {} to the client", bytes.client, bytes.server)
}

fn share(part: u64, whole: u64) -> String {
    match u128::from(part) * 100 {
        _ if whole == 0 => String::new(),
        hundredfold => format!(" ({} %)", (hundredfold + u128::from(whole) / 2) / u128::from(whole)),
    }
}

/// A time, as the distance from where the story begins.
fn after(facts: &ConnectionFacts, at: Duration) -> String {
    format!("after {}", Span(at.saturating_sub(facts.started_at.unwrap_or(facts.established_at))))
}

/// A span in the unit it is read best in.
struct Span(Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0.as_micros();
        match micros {
            0..1_000 => write!(f, "{micros} µs"),
            1_000..1_000_000 => write!(f, "{}.{} ms", micros / 1_000, micros % 1_000 / 100),
            _ => write!(f, "{}.{:02} s", micros / 1_000_000, micros % 1_000_000 / 10_000),
        }
    }
}
