//! What policies want now, before anybody asks how that is done.
//!
//! What lives here: shapes. What does not: how they follow from a view (`policy`), how they are carried out (`plan`). Invariant: at
//! most one intent a subflow, and one total a connection and direction: the first policy that matches decides.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use anabranch_config::{BitRate, ByteSize, Enforce, Prefix};
use serde::{Deserialize, Serialize};

use crate::view::{ConnectionKey, SubflowKey};

/// A direction, seen from the subscriber.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Towards the client.
    Download,
    /// From the client.
    Upload,
}

/// Who shares a rate.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Everybody under the policy.
    Policy,
    /// One subscriber, by name, or by its address where it has none.
    Subscriber(Arc<str>),
    /// One connection.
    Connection(ConnectionKey),
    /// One subflow.
    Subflow(SubflowKey),
}

/// What shares one rate: one HTB class, or one bucket of the proxy's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ClassKey {
    /// The policy's name.
    pub policy: Arc<str>,
    /// Who.
    pub scope: Scope,
    /// Which way.
    pub direction: Direction,
}

/// How much a class may carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ceiling {
    /// At most, over time.
    pub rate: BitRate,
    /// At most, while it has something left over. `None`: the rate.
    pub ceil: Option<BitRate>,
    /// At once. `None`: what suits the rate.
    pub burst: Option<ByteSize>,
}

/// What a policy wants of a subflow.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "a rate is what is nearly always wanted")]
pub enum Hold {
    /// That it carries nothing while another subflow can.
    Backup,
    /// That it carries no more than its share of a class, in the directions named.
    ///
    /// Shape:   at least one
    Rate {
        /// Towards the client.
        download: Option<(ClassKey, Ceiling)>,
        /// From the client. Only of a contract: a cap on one upload subflow holds up the whole connection, unless another carries what
        /// its client sends.
        upload: Option<(ClassKey, Ceiling)>,
    },
    /// That there is none on this path.
    Closed,
}

/// What one policy wants of one subflow, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// Of which.
    pub subflow: SubflowKey,
    /// The policy's name.
    pub policy: Arc<str>,
    /// The path the subflow is on.
    pub path: Arc<str>,
    /// Whose it is: the name, or the address, that [`Scope::Subscriber`] has.
    pub subscriber: Arc<str>,
    /// What.
    pub hold: Hold,
    /// How far it may go.
    pub enforce: Enforce,
    /// The facts it rests on, in words with figures: "dsl at 38.2 of 40 Mbit/s for 1.2 s".
    pub evidence: Vec<String>,
}

/// What one policy wants of the whole of a connection: that the proxy carries it no faster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Total {
    /// Of which.
    pub connection: ConnectionKey,
    /// What shares the rate, and which way.
    pub class: ClassKey,
    /// How much.
    pub ceiling: Ceiling,
    /// The facts it rests on.
    pub evidence: Vec<String>,
}

/// What holds for subflows that are not there yet: their first packet puts them under it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arming {
    /// The policy's name.
    pub policy: Arc<str>,
    /// Whether it is a contract.
    pub enforce: Enforce,
    /// Where such subflows come from. Never empty.
    pub prefixes: Vec<Prefix>,
    /// The ports they come to. Empty: any.
    pub ports: Vec<u16>,
    /// What.
    pub hold: Armed,
}

/// What holds for a subflow from its MP_JOIN on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Armed {
    /// It carries no more than this towards the client, until it is known better.
    Rate(Ceiling),
    /// It is refused.
    Refused,
}

/// Everything policies want at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Decisions {
    /// Of subflows, in the order of their keys. A subflow without one is free.
    pub intents: Vec<Intent>,
    /// Of connections.
    pub totals: Vec<Total>,
    /// Of subflows to come.
    pub arming: Vec<Arming>,
    /// Listeners whose connections are bounded in what they hold unsent from the start, since a rate may be wanted of their
    /// subflows: true if any may.
    pub bound_from_accept: bool,
}

/// What a subflow's path and subscriber are, whether or not a policy wants anything of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Placement {
    /// The path, if one of the configured ones matches.
    pub path: Option<Arc<str>>,
    /// The subscriber: a configured name, or the address of the initial subflow.
    pub subscriber: Arc<str>,
    /// The client's end.
    pub client: SocketAddr,
}

/// A policy that decides about a subflow and leaves it free.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftFree {
    /// The policy's name.
    pub policy: Arc<str>,
    /// The path the subflow is on.
    pub path: Arc<str>,
    /// Whose it is.
    pub subscriber: Arc<str>,
    /// How far the policy may go.
    pub enforce: Enforce,
    /// That it wants nothing, and why.
    pub wants: &'static str,
    /// The facts that rests on.
    pub evidence: Arc<[String]>,
}

impl Direction {
    /// The word in logs, labels and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Download => "download",
            Self::Upload => "upload",
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Hold {
    /// In a few words for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Backup => f.write_str("backup"),
            Self::Closed => f.write_str("closed"),
            Self::Rate { download, upload } => {
                let each = [(Direction::Download, download), (Direction::Upload, upload)];
                let mut said = false;
                for (direction, (_, ceiling)) in each.into_iter().filter_map(|(way, rate)| Some((way, rate.as_ref()?)))
                {
                    write!(f, "{}{} of {direction}", if said { ", " } else { "at most " }, ceiling.rate)?;
                    said = true;
                }
                Ok(())
            }
        }
    }
}
