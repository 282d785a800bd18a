//! A scripted world: connections over lines of given capacities, a scheduler that fills what is free, and policies that are obeyed.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anabranch_config::{BitRate, Enforce, Per};
use anabranch_sniffer::{FourTuple, SubflowKind, Token};

use crate::intent::{Ceiling, Decisions, Direction, Hold, Intent};
use crate::policy::Policies;
use crate::policy::rules::{Act, PathRule, Rule, Rules, Thresholds};
use crate::view::{Connection, ConnectionKey, Subflow, SubflowKey, View};

pub(super) const MBIT: u64 = 1_000_000;
/// Saturday, 1 January 2000, 00:00 UTC.
pub(super) const START: Duration = Duration::from_secs(946_684_800);

/// The rules of a configuration file.
pub(super) fn configured(text: &str) -> Rules {
    let config = anabranch_config::parse(text, std::path::Path::new("test.toml"));
    Rules::from(&config.unwrap_or_else(|error| panic!("{error}")))
}

/// `dsl` (10.1.0.0/16, cost 1, 40 Mbit/s) and `lte` (10.2.0.0/16, cost 10).
pub(super) fn paths() -> Vec<PathRule> {
    vec![path("dsl", "10.1.0.0/16", 1, Some(40)), path("lte", "10.2.0.0/16", 10, None)]
}

pub(super) fn path(name: &str, client: &str, cost: u32, line: Option<u64>) -> PathRule {
    PathRule {
        name: name.into(),
        client: if client.is_empty() { Vec::new() } else { vec![client.parse().unwrap()] },
        interface: None,
        cost,
        capacity: None,
        line: line.map(|line| line * MBIT),
    }
}

pub(super) fn rule(name: &str, paths: &[usize], act: Act) -> Rule {
    Rule {
        name: name.into(),
        paths: paths.to_vec(),
        subscribers: Vec::new(),
        listeners: Vec::new(),
        kind: None,
        destinations: Vec::new(),
        ports: Vec::new(),
        when: None,
        used: None,
        gauges: Thresholds::default(),
        act,
        enforce: Enforce::Steer,
        dwell: Duration::from_secs(2),
    }
}

pub(super) fn rules(paths: Vec<PathRule>, policies: Vec<Rule>) -> Rules {
    Rules { paths, subscribers: Vec::new(), policies, ports: Vec::new() }
}

pub(super) fn mbit(rate: u64) -> BitRate {
    BitRate::from_bits_per_second(rate * MBIT).unwrap()
}

pub(super) fn limit(rate: u64, per: Per) -> Act {
    Act::Limit { ceiling: Ceiling { rate: mbit(rate), ceil: None, burst: None }, per, download: true, upload: false }
}

pub(super) const fn overflow() -> Act {
    Act::Overflow { limit: None, after: Duration::from_secs(1), hold: Duration::from_secs(5) }
}

/// Bytes that are to be moved one way.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Flow {
    /// What is asked for, in bit/s.
    pub(super) demand: u64,
    /// What is asked for and not moved.
    pub(super) backlog: u64,
    /// What the other end takes at most, in bit/s.
    pub(super) taken: Option<u64>,
}

#[derive(Debug, Clone)]
pub(super) struct Conn {
    pub(super) view: Connection,
    pub(super) download: Flow,
    pub(super) upload: Flow,
    joins: u16,
}

/// Everything.
pub(super) struct World {
    pub(super) policies: Policies,
    pub(super) at: Duration,
    pub(super) conns: Vec<Conn>,
    /// What each address can move each way, in bit/s.
    pub(super) lines: BTreeMap<IpAddr, u64>,
    pub(super) decisions: Decisions,
    /// Payload by address since the last reset.
    pub(super) moved: BTreeMap<IpAddr, u64>,
    /// How often what is wanted of some subflow became something else.
    pub(super) changes: usize,
    /// Milliseconds since the last tick that have gone by already.
    awake: u64,
}

pub(super) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

impl World {
    pub(super) fn new(rules: Rules) -> Self {
        Self {
            policies: Policies::new(rules),
            at: START,
            conns: Vec::new(),
            lines: BTreeMap::new(),
            decisions: Decisions::default(),
            moved: BTreeMap::new(),
            changes: 0,
            awake: 0,
        }
    }

    /// A connection whose initial subflow comes from the first of these addresses, the others joined.
    pub(super) fn connect(&mut self, addresses: &[&str]) -> usize {
        let key = ConnectionKey::Ours(Token(u32::try_from(self.conns.len() + 1).unwrap()));
        let view = Connection {
            key,
            listener: Some("edge".into()),
            subscriber: None,
            destination: Some("203.0.113.9:443".parse().unwrap()),
            fallback: false,
            waiting: Some(0),
            subflows: Vec::new(),
        };
        self.conns.push(Conn { view, download: Flow::default(), upload: Flow::default(), joins: 0 });
        let number = self.conns.len() - 1;
        for address in addresses {
            self.join(number, address);
        }
        number
    }

    pub(super) fn join(&mut self, number: usize, address: &str) {
        self.lines.entry(ip(address)).or_insert(40 * MBIT);
        let conn = &mut self.conns[number];
        let kind = if conn.joins == 0 { SubflowKind::Initial } else { SubflowKind::Joined };
        conn.joins += 1;
        let ours = if ip(address).is_ipv4() { "10.0.0.1:3128" } else { "[fd00::1]:3128" };
        let client = SocketAddr::new(ip(address), 40_000 + conn.joins + 10 * u16::try_from(number % 1000).unwrap());
        conn.view.subflows.push(Subflow::just_begun(FourTuple::new(ours.parse().unwrap(), client).unwrap(), kind));
    }

    pub(super) fn subflow(&mut self, number: usize, address: &str) -> &mut Subflow {
        let subflows = &mut self.conns[number].view.subflows;
        subflows.iter_mut().find(|subflow| subflow.client().ip() == ip(address)).unwrap()
    }

    pub(super) fn view(&self) -> View {
        View { at: self.at, connections: self.conns.iter().map(|conn| conn.view.clone()).collect() }
    }

    /// What is wanted of a subflow.
    pub(super) fn intent(&self, number: usize, address: &str) -> Option<&Intent> {
        let of = |intent: &&Intent| {
            intent.subflow.connection == self.conns[number].view.key
                && intent.subflow.flow.destination().ip() == ip(address)
        };
        self.decisions.intents.iter().find(of)
    }

    pub(super) fn hold(&self, number: usize, address: &str) -> Option<&Hold> {
        self.intent(number, address).map(|intent| &intent.hold)
    }

    pub(super) fn decide(&mut self) {
        let before: BTreeMap<_, _> = self.wanted();
        self.decisions = self.policies.decide(&self.view());
        let after = self.wanted();
        let both = before.keys().chain(after.keys()).collect::<std::collections::BTreeSet<_>>();
        self.changes += both.into_iter().filter(|key| before.get(key) != after.get(key)).count();
    }

    fn wanted(&self) -> BTreeMap<SubflowKey, &'static str> {
        let word = |hold: &Hold| match hold {
            Hold::Backup => "backup",
            Hold::Rate { .. } => "rate",
            Hold::Closed => "closed",
        };
        self.decisions.intents.iter().map(|intent| (intent.subflow, word(&intent.hold))).collect()
    }

    /// Moves bytes for so many milliseconds, as the last decisions let them, and decides anew.
    pub(super) fn tick(&mut self, millis: u64) {
        for direction in [Direction::Download, Direction::Upload] {
            // What is left of each line, in bytes.
            let mut left: BTreeMap<_, _> =
                self.lines.iter().map(|(line, rate)| (*line, rate * millis / 8_000)).collect();
            for number in 0..self.conns.len() {
                self.carry(number, direction, millis, &mut left);
            }
        }
        self.at += Duration::from_millis(millis.saturating_sub(self.awake));
        self.awake = 0;
        self.decide();
    }

    pub(super) fn run(&mut self, seconds: u64) {
        for _ in 0..seconds * 10 {
            self.tick(100);
        }
    }

    /// Lets time go by without looking at the counters, and decides anew: as when something else wakes the loop.
    pub(super) fn wake(&mut self, millis: u64) {
        self.at += Duration::from_millis(millis);
        self.awake += millis;
        self.decide();
    }

    /// Rates over so many seconds, in tenths of Mbit/s, by address.
    pub(super) fn rates(&mut self, seconds: u64) -> BTreeMap<IpAddr, u64> {
        self.moved.clear();
        self.run(seconds);
        self.moved.iter().map(|(line, bytes)| (*line, bytes * 80 / MBIT / seconds)).collect()
    }

    fn carry(&mut self, number: usize, direction: Direction, millis: u64, left: &mut BTreeMap<IpAddr, u64>) {
        let holds: Vec<_> = (0..self.conns[number].view.subflows.len())
            .map(|index| {
                let key = SubflowKey {
                    connection: self.conns[number].view.key,
                    flow: self.conns[number].view.subflows[index].flow,
                };
                let intent = self.decisions.intents.iter().find(|intent| intent.subflow == key);
                intent.map(|intent| intent.hold.clone())
            })
            .collect();
        let conn = &mut self.conns[number];
        let flow = match direction {
            Direction::Download => &mut conn.download,
            Direction::Upload => &mut conn.upload,
        };
        // A sender writes as far as its buffer goes.
        flow.backlog = (flow.backlog + flow.demand * millis / 8_000).min(4_000_000);
        let mut offer = flow.backlog.min(flow.taken.map_or(u64::MAX, |rate| rate * millis / 8_000));
        let free = |index: usize, subflow: &Subflow| {
            subflow.is_live() && !subflow.backup_by_client && !matches!(holds[index], Some(Hold::Backup | Hold::Closed))
        };
        let any = conn.view.subflows.iter().enumerate().any(|(index, subflow)| free(index, subflow));
        let usable: Vec<_> = (0..holds.len())
            .filter(|index| {
                let subflow = &conn.view.subflows[*index];
                if any { free(*index, subflow) } else { subflow.is_live() }
            })
            .collect();
        let may: Vec<_> = usable
            .iter()
            .map(|index| {
                let line = left[&conn.view.subflows[*index].client().ip()];
                match (&holds[*index], direction) {
                    (Some(Hold::Rate { download: Some((_, ceiling)), .. }), Direction::Download) => {
                        line.min(ceiling.rate.bits_per_second() * millis / 8_000)
                    }
                    _ => line,
                }
            })
            .collect();
        let sum: u64 = may.iter().sum();
        offer = offer.min(sum);
        let starved = offer == sum;
        for (index, may) in usable.into_iter().zip(may) {
            let subflow = &mut conn.view.subflows[index];
            let line = subflow.client().ip();
            // Two subflows of one connection may share a line.
            let bytes = (offer * may).checked_div(sum).unwrap_or(0).min(left[&line]);
            *left.get_mut(&line).unwrap() -= bytes;
            *self.moved.entry(line).or_default() += bytes;
            flow.backlog -= bytes;
            match direction {
                Direction::Download => {
                    (subflow.download, subflow.sent) = (subflow.download + bytes, subflow.sent + bytes);
                    // In flight, and as much again unsent where the line is what it waits for.
                    let in_flight = bytes * 20 / millis.max(1);
                    subflow.queued = Some(if starved { in_flight * 2 + 30_000 } else { in_flight });
                }
                Direction::Upload => subflow.upload += bytes,
            }
        }
        if direction == Direction::Download {
            let queued: u64 = conn.view.subflows.iter().filter_map(|subflow| subflow.queued).sum();
            conn.view.waiting = Some(flow.backlog + queued);
        }
    }

    /// What came by one address, of everything.
    ///
    /// Units:   thousandths
    pub(super) fn share(&self, address: &str) -> u64 {
        let all: u64 = self.moved.values().sum();
        self.moved.get(&ip(address)).copied().unwrap_or(0) * 1000 / all.max(1)
    }
}

pub(super) fn name(text: &str) -> Arc<str> {
    text.into()
}
