//! A made-up connection that a policy holds: for whoever asks what a policy will do while there is nothing to do it to.
//!
//! Its addresses are the path's first one and such as documents have (RFC 5737, RFC 3849).

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anabranch_sniffer::event::ConnId;
use anabranch_sniffer::{FourTuple, SubflowKind, Token};

use super::Policies;
use super::rules::{Act, Rule};
use crate::intent::{Ceiling, ClassKey, Decisions, Direction, Hold, Intent, Scope, Total};
use crate::view::{Connection, ConnectionKey, Subflow, SubflowKey, View};
use anabranch_config::Per;

/// What a policy would want of a connection that does not exist.
#[derive(Debug, Clone)]
pub struct Example {
    /// The policy's name.
    pub policy: Arc<str>,
    /// The subflow, and beside it one that is free.
    pub subflow: SubflowKey,
    /// The connection.
    pub view: View,
    /// What is wanted.
    pub decisions: Decisions,
}

/// Whose connections are made up: those that end here, or that pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    /// They end here.
    Ours,
    /// They pass.
    Passing,
}

const CLIENT_PORT: u16 = 50_000;

impl Policies {
    /// What a policy would want of a connection that it holds. `None`: that follows from what is carried, or there is no such policy.
    #[must_use]
    pub fn example(&self, policy: &str, of: Made, at: Duration) -> Option<Example> {
        let rule = self.rules.policies.iter().find(|rule| &*rule.name == policy)?;
        let key = match of {
            Made::Ours => ConnectionKey::Ours(Token(0)),
            Made::Passing => ConnectionKey::Passing(ConnId(0)),
        };
        let client = self.first_client(rule);
        let (server, other): (IpAddr, IpAddr) = match client {
            IpAddr::V4(_) => ([192, 0, 2, 1].into(), [203, 0, 113, 2].into()),
            IpAddr::V6(_) => ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1].into(), [0x2001, 0xdb8, 0, 0, 0, 0, 0, 2].into()),
        };
        let port = self.rules.ports.iter().map(|(_, port)| *port).find(|port| *port != 0).unwrap_or(443);
        let flow =
            |client: IpAddr| FourTuple::new(SocketAddr::new(server, port), SocketAddr::new(client, CLIENT_PORT)).ok();
        let (free, held) = (flow(other)?, flow(client)?);
        let subflow = SubflowKey { connection: key, flow: held };
        let path = rule.paths.first().map(|path| self.rules.paths[*path].name.clone());
        let decisions = wanted(rule, subflow, path)?;
        let subflows =
            vec![Subflow::just_begun(free, SubflowKind::Initial), Subflow::just_begun(held, SubflowKind::Joined)];
        let connection = Connection {
            key,
            listener: None,
            subscriber: None,
            destination: None,
            fallback: false,
            waiting: Some(0),
            subflows,
        };
        Some(Example {
            policy: rule.name.clone(),
            subflow,
            view: View { at, connections: vec![connection] },
            decisions,
        })
    }

    /// The first address of the policy's first path, as far as addresses say where that is.
    fn first_client(&self, rule: &Rule) -> IpAddr {
        let path = rule.paths.first().map(|path| &self.rules.paths[*path]);
        let prefix = path.and_then(|path| path.client.first());
        let unknown = IpAddr::from([198, 51, 100, 2]);
        prefix.map_or(unknown, |prefix| prefix.net().hosts().next().unwrap_or_else(|| prefix.net().addr()))
    }
}

/// What a policy wants of a subflow, or of its connection, once it holds.
fn wanted(rule: &Rule, subflow: SubflowKey, path: Option<Arc<str>>) -> Option<Decisions> {
    let subscriber: Arc<str> = subflow.flow.destination().ip().to_string().into();
    let class = |scope: Scope, direction| ClassKey { policy: rule.name.clone(), scope, direction };
    let hold = match rule.act {
        Act::Backup | Act::Overflow { limit: None, .. } => Hold::Backup,
        Act::Close => Hold::Closed,
        // The rate is a part of what the others carry.
        Act::Share { .. } => return None,
        Act::Overflow { limit: Some(rate), .. } => {
            let ceiling = Ceiling { rate, ceil: None, burst: None };
            let class = class(Scope::Subscriber(subscriber.clone()), Direction::Download);
            Hold::Rate { download: Some((class, ceiling)), upload: None }
        }
        Act::Limit { ceiling, per, .. } => {
            let scope = match per {
                Per::Policy => Scope::Policy,
                Per::Subscriber => Scope::Subscriber(subscriber.clone()),
                Per::Subflow if !rule.is_total() => Scope::Subflow(subflow),
                Per::Connection | Per::Subflow => Scope::Connection(subflow.connection),
            };
            let of = |direction| rule.act.covers(direction).then(|| (class(scope.clone(), direction), ceiling));
            let [download, upload] = [Direction::Download, Direction::Upload].map(of);
            if rule.is_total() {
                let total =
                    |(class, ceiling)| Total { connection: subflow.connection, class, ceiling, evidence: Vec::new() };
                let totals = download.into_iter().chain(upload).map(total).collect();
                return Some(Decisions { totals, ..Decisions::default() });
            }
            Hold::Rate { download, upload }
        }
    };
    let intent = Intent {
        subflow,
        policy: rule.name.clone(),
        path: path?,
        subscriber,
        hold,
        enforce: rule.enforce,
        evidence: Vec::new(),
    };
    Some(Decisions { intents: vec![intent], ..Decisions::default() })
}
