//! One proxied pair of legs, and the table of those that live now.

mod steered;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use anabranch_config::Name;
use anabranch_sniffer::Token;
use parking_lot::Mutex;
use serde::Serialize;
use std::net::SocketAddr;
use tokio::time::Instant;

use crate::arrival::{Arrival, Facts, Fallback, Witness};
use crate::http::authority;
use crate::leg::Leg;
use crate::link::{Directive, News, SessionFacts, Sessions, Teller};
use crate::record::Upload;
use crate::relay::Carried;
use steered::Steered;

/// What is known of one accepted connection while it lives.
#[derive(Debug)]
pub struct Session {
    /// Counts up from 1 over the life of the process.
    pub id: u64,
    /// The listener that accepted it.
    pub listener: Name,
    /// Who connected; IPv4-mapped addresses are written as IPv4.
    pub client: SocketAddr,
    /// When it was accepted.
    pub started: Instant,
    /// How it arrived.
    pub arrival: Arrival,
    /// Payload of its answers, and of the tunnel that one of them may become.
    pub carried: Carried,
    /// Payload of its requests.
    pub uploaded: AtomicU64,
    /// Requests begun, tunnels included.
    pub requests: AtomicU32,
    /// Set when the process cuts the session off.
    pub cut_off: AtomicBool,
    leg: Weak<Leg>,
    witness: Arc<Witness>,
    fallen_back: OnceLock<Fallback>,
    most_subflows: AtomicU8,
    target: Mutex<Target>,
    subscriber: Mutex<Option<Arc<str>>>,
    /// The last upload that went on when its answer had ended.
    late: Mutex<Weak<Upload>>,
    teller: Arc<Teller>,
}

impl Session {
    /// Reads the MPTCP facts now; subflow counts are the most ever seen by this session.
    #[must_use]
    pub fn facts(&self) -> Facts {
        // What has been told once is final; asking again could claim another connection's count.
        let arrival = self.fallen_back.get().copied().map_or(self.arrival, Arrival::Plain);
        let mut now = match self.leg.upgrade() {
            Some(leg) => self.witness.facts(&*leg, arrival),
            None => Facts { fallback: None, subflows: 1, token: None },
        };
        if let Some(fallback) = now.fallback {
            now.fallback = Some(*self.fallen_back.get_or_init(|| fallback));
        }
        if let Arrival::Mptcp { token, .. } = self.arrival {
            now.token = Some(token);
        }
        let before = self.most_subflows.fetch_max(now.subflows, Ordering::Relaxed);
        now.subflows = now.subflows.max(before);
        now
    }

    /// Names the origin the session works for now, and the address it was reached at, once it was.
    pub fn set_target(&self, target: &authority::Target, address: Option<SocketAddr>) {
        let mut now = self.target.lock();
        let known = now.asked.as_ref().is_some_and(|asked| asked == target);
        if known && now.address == address {
            return;
        }
        if !known {
            (now.asked, now.name) = (Some(target.clone()), None);
        }
        now.address = address;
        drop(now);
        self.tell();
    }

    /// Names the subscriber, once credentials told.
    pub fn set_subscriber(&self, name: Arc<str>) {
        let former = self.subscriber.lock().replace(name.clone());
        if former != Some(name) {
            self.tell();
        }
    }

    /// Notes an upload that goes on although its answer has ended. One before it that still does is told as far as it has got.
    pub(crate) fn set_late(&self, upload: &Arc<Upload>) {
        let former = std::mem::replace(&mut *self.late.lock(), Arc::downgrade(upload));
        if let Some(former) = former.upgrade() {
            former.end();
        }
    }

    /// Tells whoever steers what is known of this session, if it is one to steer.
    fn tell(&self) {
        if let Some(token) = self.token() {
            self.teller.tell(|| News::Session(self.as_told(token)));
        }
    }

    fn token(&self) -> Option<Token> {
        match self.arrival {
            Arrival::Mptcp { token, .. } => Some(Token(token)),
            Arrival::Plain(_) => None,
        }
    }

    fn as_told(&self, token: Token) -> SessionFacts {
        let (origin, destination) = {
            let mut target = self.target.lock();
            (target.name().cloned(), target.address)
        };
        SessionFacts {
            session: self.id,
            token,
            listener: self.listener.to_shared(),
            client: self.client,
            subscriber: self.subscriber(),
            origin,
            destination,
        }
    }

    /// The subscriber, if credentials told.
    #[must_use]
    pub fn subscriber(&self) -> Option<Arc<str>> {
        self.subscriber.lock().clone()
    }

    fn line(&self) -> Line {
        let facts = self.facts();
        let (to_origin, to_client) = self.carried.read();
        let to_origin = to_origin.saturating_add(self.uploaded.load(Ordering::Relaxed));
        Line {
            session: self.id,
            listener: self.listener.to_string(),
            client: self.client,
            subscriber: self.subscriber().map(|name| name.to_string()),
            origin: self.target.lock().name().map(ToString::to_string),
            age_seconds: self.started.elapsed().as_secs(),
            requests: self.requests.load(Ordering::Relaxed),
            mptcp: facts.fallback.is_none(),
            fallback: facts.fallback.map(Fallback::as_label),
            subflows: facts.subflows,
            token: facts.token.map(Token),
            bytes_to_origin: to_origin,
            bytes_to_client: to_client,
        }
    }
}

/// The origin a session works for.
#[derive(Debug, Default)]
struct Target {
    asked: Option<authority::Target>,
    /// The same in words, once somebody has asked.
    name: Option<Arc<str>>,
    address: Option<SocketAddr>,
}

impl Target {
    fn name(&mut self) -> Option<&Arc<str>> {
        if self.name.is_none() {
            self.name = self.asked.as_ref().map(|asked| asked.to_string().into());
        }
        self.name.as_ref()
    }
}

/// One living session, as the control socket tells it.
#[derive(Debug, Serialize)]
pub struct Line {
    session: u64,
    listener: String,
    client: SocketAddr,
    subscriber: Option<String>,
    origin: Option<String>,
    age_seconds: u64,
    requests: u32,
    mptcp: bool,
    fallback: Option<&'static str>,
    subflows: u8,
    token: Option<Token>,
    bytes_to_origin: u64,
    bytes_to_client: u64,
}

impl Line {
    /// The local token of its client leg, if it is one over MPTCP.
    #[must_use]
    pub const fn token(&self) -> Option<Token> {
        self.token
    }
}

/// The sessions that live now.
#[derive(Debug)]
pub struct Registry {
    next: AtomicU64,
    living: Mutex<HashMap<u64, Weak<Session>>>,
    steered: Steered,
    teller: Arc<Teller>,
}

impl Registry {
    /// An empty table whose changes are told.
    #[must_use]
    pub fn new(teller: Arc<Teller>) -> Self {
        Self { next: AtomicU64::new(0), living: Mutex::default(), steered: Steered::new(), teller }
    }

    /// Whether somebody who steers is told of the sessions.
    #[must_use]
    pub fn is_followed(&self) -> bool {
        self.teller.is_heard()
    }

    /// Enters a session; it leaves when the returned value is dropped.
    pub fn enter(
        self: &Arc<Self>,
        leg: &Arc<Leg>,
        listener: Name,
        client: SocketAddr,
        (arrival, witness): (Arrival, &Arc<Witness>),
    ) -> Entered {
        let session = Arc::new(Session {
            id: self.next.fetch_add(1, Ordering::Relaxed) + 1,
            listener,
            client,
            started: Instant::now(),
            arrival,
            witness: witness.clone(),
            fallen_back: OnceLock::new(),
            carried: Carried::default(),
            uploaded: AtomicU64::new(0),
            requests: AtomicU32::new(0),
            cut_off: AtomicBool::new(false),
            leg: Arc::downgrade(leg),
            most_subflows: AtomicU8::new(1),
            target: Mutex::default(),
            subscriber: Mutex::new(None),
            late: Mutex::default(),
            teller: self.teller.clone(),
        });
        self.living.lock().insert(session.id, Arc::downgrade(&session));
        if let Some(token) = session.token() {
            self.steered.enter(token, leg);
        }
        session.tell();
        Entered { session, registry: self.clone() }
    }

    /// How many live now.
    #[must_use]
    pub fn len(&self) -> usize {
        self.living.lock().len()
    }

    /// Whether none lives now.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The living sessions, oldest first.
    #[must_use]
    pub fn lines(&self) -> Vec<Line> {
        self.living().iter().map(|session| session.line()).collect()
    }

    /// The lock is not held while each session is asked for what it knows.
    fn living(&self) -> Vec<Arc<Session>> {
        let mut sessions: Vec<_> = self.living.lock().values().filter_map(Weak::upgrade).collect();
        sessions.sort_by_key(|session| session.id);
        sessions
    }
}

impl Sessions for Registry {
    fn all(&self) -> Vec<SessionFacts> {
        let sessions = self.living();
        sessions.iter().filter_map(|session| Some(session.as_told(session.token()?))).collect()
    }

    fn obey(&self, directive: Directive) {
        self.steered.obey(directive);
    }

    fn release(&self) {
        self.steered.release();
    }
}

/// A session's place in the table.
#[derive(Debug)]
pub struct Entered {
    /// The session itself.
    pub session: Arc<Session>,
    registry: Arc<Registry>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.registry.living.lock().remove(&self.session.id);
        // An origin that reads no further could keep its line back for good.
        let late = self.session.late.lock().upgrade();
        if let Some(late) = late {
            late.end();
        }
        if let Some(token) = self.session.token() {
            self.registry.steered.leave(token, &self.session.leg);
            self.registry.teller.tell(|| News::Ended(self.session.id));
        }
    }
}
