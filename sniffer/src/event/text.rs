//! Events in plain words.

use std::fmt;

use super::{ConnectionEnd, Ends, Forgery, SubflowEnd, Verified, What};
use crate::id::Token;

impl fmt::Display for What {
    /// For people; may change.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ConnectionEstablished { connection, flow, tokens, late } => {
                let found = if *late { "found running" } else { "established" };
                write!(f, "connection {connection} {found}: {flow}{}", Tokens(tokens))
            }
            Self::Fallback { connection, flow, reason } => match connection {
                Some(connection) => write!(f, "connection {connection} is plain TCP from here on: {reason}"),
                None => write!(f, "plain TCP: {flow}: {reason}"),
            },
            Self::ConnectionClosed { connection, end } => write!(f, "connection {connection} {end}"),
            Self::SubflowEstablished { subflow, flow, kind, opened_by, backup, verified, join_delay, .. } => {
                let micros = join_delay.as_micros();
                write!(
                    f,
                    "subflow {subflow} established: {kind}, {flow}, opened by the {opened_by} after {micros} µs"
                )?;
                if backup.client || backup.server {
                    f.write_str(", as a backup")?;
                }
                match verified {
                    Verified::Yes => Ok(()),
                    Verified::No => f.write_str(", FORGED"),
                    Verified::Unknown => f.write_str(", not verified"),
                }
            }
            Self::SubflowClosed { subflow, end } => write!(f, "subflow {subflow} {end}"),
            Self::JoinRefused { connection, flow, reason } => {
                write!(f, "join refused: {flow}")?;
                match connection {
                    Some(connection) => write!(f, " to connection {connection}")?,
                    None => f.write_str(": its token is nobody's here")?,
                }
                reason.map_or(Ok(()), |reason| write!(f, ": {reason}"))
            }
            Self::Priority { subflow, by, backup: true } => write!(f, "subflow {subflow} made a backup by the {by}"),
            Self::Priority { subflow, by, backup: false } => {
                write!(f, "subflow {subflow} no longer a backup, says the {by}")
            }
            Self::Announced { connection, by, addr_id, address, port, verified } => {
                write!(f, "connection {connection}: the {by} announces address {addr_id}, {address}")?;
                if let Some(port) = port {
                    write!(f, " port {port}")?;
                }
                if *verified == Verified::Yes { Ok(()) } else { write!(f, ", verified: {verified}") }
            }
            Self::Echoed { connection, by, addr_id } => {
                write!(f, "connection {connection}: the {by} got the announcement of address {addr_id}")
            }
            Self::Withdrawn { connection, by, addr_id } => {
                write!(f, "connection {connection}: the {by} withdraws address {addr_id}")
            }
            Self::Forged { connection, flow, by, what } => {
                let what = match what {
                    Forgery::Join => "MP_JOIN",
                    Forgery::AddAddr => "ADD_ADDR",
                    Forgery::FastClose => "MP_FASTCLOSE",
                };
                write!(f, "connection {connection}: FORGED {what} in the name of the {by}: {flow}")
            }
            Self::Lost { count } => write!(f, "{count} events missed here: the reader was slower than the wire"),
        }
    }
}

struct Tokens<'a>(&'a Ends<Option<Token>>);

impl fmt::Display for Tokens<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (end, token) in [("client", self.0.client), ("server", self.0.server)] {
            if let Some(token) = token {
                write!(f, ", {end} token {token}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for ConnectionEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Finished => f.write_str("finished"),
            Self::FastClose { by } => write!(f, "aborted by the {by} (fast close)"),
            Self::NoSubflowLeft => f.write_str("ended without a subflow left"),
            Self::Idle => f.write_str("given up for silence"),
            Self::Evicted => f.write_str("forgotten to make room"),
        }
    }
}

impl fmt::Display for SubflowEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Finished => f.write_str("closed"),
            Self::Reset { by, reason } => {
                write!(f, "reset by the {by}")?;
                reason.map_or(Ok(()), |reason| write!(f, ": {reason}"))
            }
            Self::Replaced => f.write_str("lost its ports to a new flow"),
            Self::WithConnection => f.write_str("ended with the connection"),
        }
    }
}
