//! What is remembered of connections, subflows and paths from one look to the next.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use anabranch_sniffer::{FourTuple, SubflowKind};

use super::line::RATE_CONSTANT;
use super::mind::Mind;
use super::rules::{PathId, RuleId, Rules};
use crate::rate::{Counter, Level, Loss, Meter};
use crate::view::{Connection, Subflow};

/// How it is known whose a connection is, the better way last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Known {
    /// By the address of a subflow that joined: nothing else is known.
    JoinedAddress,
    /// By the address of the initial subflow.
    InitialAddress,
    /// A joined subflow comes from one of its prefixes.
    Joined,
    /// The initial subflow does.
    Initial,
    /// Its credentials say so.
    Told,
}

/// A connection.
#[derive(Debug)]
pub(crate) struct ConnectionMemory {
    pub(crate) seen: Duration,
    subscriber: Option<(Known, Arc<str>)>,
    /// The client's address on the initial subflow, or as long as that is not known, on the first one seen.
    initial: Option<(Known, IpAddr)>,
    /// Payload that it delivered, both ways.
    pub(crate) used: u64,
    /// By policy and path: whether it had a cheaper way, and when it last had none.
    pub(crate) bare: Vec<((RuleId, PathId), Bare)>,
    pub(crate) subflows: Vec<SubflowMemory>,
}

/// Whether a connection has a cheaper way than one path.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Bare {
    pub(crate) had: bool,
    pub(crate) lost: Option<Duration>,
}

/// A subflow.
#[derive(Debug)]
pub(crate) struct SubflowMemory {
    pub(crate) flow: FourTuple,
    pub(crate) seen: Duration,
    pub(crate) path: Option<PathId>,
    interface: Option<Arc<str>>,
    download: Counter,
    upload: Counter,
    /// It was never looked at.
    new: bool,
    download_rate: Meter,
    upload_rate: Meter,
    queued: Level,
    loss: Loss,
    /// When something was last acknowledged: only then is its round-trip time a measure.
    pub(crate) measured: Duration,
    pub(crate) minds: Vec<(RuleId, Mind)>,
}

/// What a look at a subflow yields.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Pulse {
    /// Bytes since the last look.
    pub(crate) downloaded: u64,
    /// Bytes since the last look.
    pub(crate) uploaded: u64,
    /// In bit/s.
    pub(crate) download_rate: u64,
    /// In bit/s.
    pub(crate) upload_rate: u64,
    /// What is in flight as rate and round-trip time have it. `None`: the time is not known.
    pub(crate) in_flight: Option<u64>,
    /// It holds clearly more than that.
    pub(crate) choked: bool,
    /// Thousandths.
    pub(crate) loss: Option<u64>,
}

/// A queue that long, beyond what is in flight, is none yet.
const SLACK: u64 = 16 * 1024;

/// A new subflow that has moved more than this was not new when it was first seen.
const SUDDEN: u64 = 4_000_000;

impl ConnectionMemory {
    pub(crate) const fn new(now: Duration) -> Self {
        Self { seen: now, subscriber: None, initial: None, used: 0, bare: Vec::new(), subflows: Vec::new() }
    }

    /// Whose a connection is that is seen for the first time.
    pub(crate) fn of(rules: &Rules, connection: &Connection) -> Arc<str> {
        let mut memory = Self::new(Duration::ZERO);
        memory.told(connection);
        for subflow in &connection.subflows {
            memory.meet(rules, subflow);
        }
        memory.subscriber.map(|(_, name)| name).unwrap_or_default()
    }

    /// Whose it is: found once, and changed only for something known better.
    pub(crate) fn subscriber(&self) -> Option<&Arc<str>> {
        self.subscriber.as_ref().map(|(_, name)| name)
    }

    /// Takes in what its credentials say.
    pub(crate) fn told(&mut self, connection: &Connection) {
        if let Some(name) = &connection.subscriber {
            self.learn(Known::Told, || Some(name.clone()));
        }
    }

    /// Takes in a subflow that is seen for the first time.
    fn meet(&mut self, rules: &Rules, subflow: &Subflow) {
        let client = subflow.client().ip();
        let (named, address) = match subflow.kind {
            Some(SubflowKind::Joined) => (Known::Joined, Known::JoinedAddress),
            // One of unknown kind, where the watch began later, comes first if it is the initial one.
            _ => (Known::Initial, Known::InitialAddress),
        };
        if self.initial.is_none_or(|(known, _)| address > known) {
            self.initial = Some((address, client));
        }
        self.learn(named, || rules.subscriber_of(client).cloned());
        self.learn(address, || Some(address_name(client)));
    }

    fn learn(&mut self, known: Known, name: impl FnOnce() -> Option<Arc<str>>) {
        if self.subscriber.as_ref().is_none_or(|(other, _)| known > *other)
            && let Some(name) = name()
        {
            self.subscriber = Some((known, name));
        }
    }

    /// Finds out anew whose it is and on which paths: the rules have changed.
    pub(crate) fn reconsider(&mut self, rules: &Rules) {
        for subflow in &mut self.subflows {
            subflow.reconsider(rules);
        }
        // What credentials said stays said, and who was known by a subflow that is gone is still known, if there is such a name.
        let named = |(known, name): &(Known, Arc<str>)| {
            *known == Known::Told
                || (*known > Known::InitialAddress && rules.subscribers.iter().any(|(other, _)| other == name))
        };
        self.subscriber = self.subscriber.take().filter(named);
        if let Some((known, client)) = self.initial {
            if known == Known::InitialAddress {
                self.learn(Known::Initial, || rules.subscriber_of(client).cloned());
            }
            self.learn(known, || Some(address_name(client)));
        }
        let others: Vec<_> = self.subflows.iter().map(|subflow| subflow.flow.destination().ip()).collect();
        for client in others {
            self.learn(Known::Joined, || rules.subscriber_of(client).cloned());
        }
    }

    /// The memory of a subflow, made where there is none.
    pub(crate) fn subflow(&mut self, rules: &Rules, subflow: &Subflow, now: Duration) -> &mut SubflowMemory {
        let known = self.subflows.iter().position(|memory| memory.flow == subflow.flow);
        if known.is_none() {
            self.meet(rules, subflow);
        }
        let index = known.unwrap_or_else(|| {
            self.subflows.push(SubflowMemory::new(rules, subflow, now));
            self.subflows.len() - 1
        });
        let memory = &mut self.subflows[index];
        memory.seen = now;
        if memory.interface != subflow.interface {
            memory.place(rules, subflow);
        }
        memory
    }
}

/// What a subscriber is called that nobody has named.
///
/// Shape:   an IPv4 address, or the /64 of an IPv6 address, within which a client changes its address as it likes
pub(crate) fn address_name(client: IpAddr) -> Arc<str> {
    match client.to_canonical() {
        IpAddr::V4(address) => address.to_string().into(),
        IpAddr::V6(address) => {
            let network = std::net::Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64));
            format!("{network}/64").into()
        }
    }
}

impl SubflowMemory {
    fn new(rules: &Rules, subflow: &Subflow, now: Duration) -> Self {
        let mut memory = Self {
            flow: subflow.flow,
            seen: now,
            path: None,
            interface: None,
            download: Counter::default(),
            upload: Counter::default(),
            new: true,
            download_rate: Meter::new(RATE_CONSTANT),
            upload_rate: Meter::new(RATE_CONSTANT),
            queued: Level::new(RATE_CONSTANT),
            loss: Loss::default(),
            measured: now,
            minds: Vec::new(),
        };
        memory.place(rules, subflow);
        memory
    }

    /// Finds its path.
    fn place(&mut self, rules: &Rules, subflow: &Subflow) {
        self.interface.clone_from(&subflow.interface);
        self.path = rules.path_of(self.flow.destination().ip(), self.interface.as_deref());
    }

    /// Finds its path anew: the rules have changed.
    fn reconsider(&mut self, rules: &Rules) {
        self.path = rules.path_of(self.flow.destination().ip(), self.interface.as_deref());
    }

    /// Looks at it. Over a gap, what was delivered tells no rate.
    pub(crate) fn look(&mut self, subflow: &Subflow, now: Duration, step: Duration, gap: bool) -> Pulse {
        if std::mem::take(&mut self.new) && subflow.download.saturating_add(subflow.upload) <= SUDDEN {
            // It began since the last look: what it has moved, it has moved since.
            (self.download, self.upload) = (Counter::from_zero(), Counter::from_zero());
        }
        let (downloaded, uploaded) = (self.download.advance(subflow.download), self.upload.advance(subflow.upload));
        let (downloaded, uploaded) = if gap { (0, 0) } else { (downloaded, uploaded) };
        if gap {
            (self.download_rate, self.upload_rate) = (Meter::new(RATE_CONSTANT), Meter::new(RATE_CONSTANT));
        }
        self.download_rate.push(downloaded, step);
        self.upload_rate.push(uploaded, step);
        self.loss.push(subflow.sent, subflow.retransmitted, step);
        if downloaded > 0 {
            self.measured = now;
        }
        self.queued.push(subflow.queued.unwrap_or(0), step);
        let rate = self.download_rate.rate();
        let in_flight = subflow.rtt.map(|rtt| bytes_in(rate, rtt));
        Pulse {
            downloaded,
            uploaded,
            download_rate: rate,
            upload_rate: self.upload_rate.rate(),
            in_flight,
            choked: in_flight.is_some_and(|bytes| self.queued.get() > bytes.saturating_add(bytes / 4 + SLACK)),
            loss: self.loss.per_mille(),
        }
    }

    /// The changes of mind of one policy.
    pub(crate) fn mind(&mut self, rule: RuleId) -> &mut Mind {
        let index = self.minds.iter().position(|(id, _)| *id == rule).unwrap_or_else(|| {
            self.minds.push((rule, Mind::default()));
            self.minds.len() - 1
        });
        &mut self.minds[index].1
    }
}

/// What a rate moves in a time.
///
/// Units:   bit/s in, bytes out
fn bytes_in(rate: u64, time: Duration) -> u64 {
    u64::try_from(u128::from(rate) * time.as_micros() / 8_000_000).unwrap_or(u64::MAX)
}

impl Bare {
    /// How long the costly path stays open after the cheaper one is back: it may be gone again in a moment.
    const BACK: Duration = Duration::from_secs(1);

    /// Takes in whether there is a cheaper way, and says whether to go on as if there were none.
    pub(crate) fn update(&mut self, cheaper: bool, now: Duration) -> bool {
        if cheaper {
            self.had = true;
            self.lost = self.lost.filter(|lost| now.saturating_sub(*lost) < Self::BACK);
        } else if self.had {
            self.lost = Some(now);
        }
        !cheaper || self.lost.is_some()
    }
}
