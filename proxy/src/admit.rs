//! Who may use a listener, and how much: decided before anything is allocated for a connection.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use anabranch_config::{Limits, Prefix};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use parking_lot::Mutex;

/// Why a connection is turned away. Cheap to answer: nothing was read from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Its address is on no list of clients of this listener.
    NotAClient,
    /// The process carries as many connections as it may.
    TooMany,
    /// This client has as many connections as it may.
    TooManyOfThisClient,
    /// This client opens connections faster than it may.
    TooFast,
}

impl Refused {
    /// The word in logs and counters.
    #[must_use]
    pub fn as_label(self) -> &'static str {
        match self {
            Self::NotAClient => "not-a-client",
            Self::TooMany => "too-many-connections",
            Self::TooManyOfThisClient => "too-many-connections-of-client",
            Self::TooFast => "connection-rate",
        }
    }
}

/// What a client's diagnoses may cost in a minute: one each, and one a megabyte. A run of the doctor over three links behind one
/// translated address takes about sixty; more than this is at most 17 Mbit/s.
const DIAGNOSES: NonZeroU32 = NonZeroU32::new(128).expect("is not zero");

/// Whom limits apply to: an IPv4 address, or the /64 an IPv6 address is in (one household commands all of it).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientKey(u64);

impl ClientKey {
    /// The key of an address; IPv4-mapped ones count as IPv4.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            // The low half of ::/64 is not routable, so these keys cannot meet those of IPv6 clients.
            IpAddr::V4(v4) => Self(u64::from(v4.to_bits())),
            IpAddr::V6(v6) => Self(u64::try_from(v6.to_bits() >> 64).unwrap_or(u64::MAX)),
        }
    }
}

/// Counts connections and paces clients, for the whole process.
#[derive(Debug)]
pub struct Admission {
    open: AtomicU32,
    per_client: Mutex<HashMap<ClientKey, u32>>,
    connections: Pace,
    requests: Pace,
    diagnoses: DefaultKeyedRateLimiter<ClientKey>,
}

/// A rate per client that a reload may change.
#[derive(Debug)]
struct Pace {
    current: arc_swap::ArcSwap<(u32, DefaultKeyedRateLimiter<ClientKey>)>,
}

impl Pace {
    fn new(rate: u32) -> Self {
        Self { current: arc_swap::ArcSwap::from_pointee(Self::limiter(rate)) }
    }

    fn limiter(rate: u32) -> (u32, DefaultKeyedRateLimiter<ClientKey>) {
        let rate = NonZeroU32::new(rate).unwrap_or(NonZeroU32::MIN);
        (rate.get(), RateLimiter::keyed(Quota::per_second(rate)))
    }

    fn change(&self, rate: u32) {
        if self.current.load().0 != rate {
            self.current.store(Arc::new(Self::limiter(rate)));
        }
    }

    fn allows(&self, client: ClientKey) -> bool {
        self.current.load().1.check_key(&client).is_ok()
    }

    fn forget_quiet_clients(&self) {
        let current = self.current.load();
        current.1.retain_recent();
        current.1.shrink_to_fit();
    }
}

impl Admission {
    /// Starts with nobody admitted.
    #[must_use]
    pub fn new(limits: &Limits) -> Arc<Self> {
        Arc::new(Self {
            open: AtomicU32::new(0),
            per_client: Mutex::default(),
            connections: Pace::new(limits.connection_rate),
            requests: Pace::new(limits.request_rate),
            diagnoses: RateLimiter::keyed(Quota::per_minute(DIAGNOSES)),
        })
    }

    /// Takes over new rates; counts go on.
    pub fn change(&self, limits: &Limits) {
        self.connections.change(limits.connection_rate);
        self.requests.change(limits.request_rate);
    }

    /// Admits a connection or says why not.
    ///
    /// Errors: [`Refused`], checked in the order of its variants.
    pub fn admit(self: &Arc<Self>, peer: SocketAddr, clients: &[Prefix], limits: &Limits) -> Result<Permit, Refused> {
        if !clients.iter().any(|prefix| prefix.contains(peer.ip())) {
            return Err(Refused::NotAClient);
        }
        let client = ClientKey::of(peer.ip());
        if self.open.fetch_add(1, Ordering::Relaxed) >= limits.connections {
            self.open.fetch_sub(1, Ordering::Relaxed);
            return Err(Refused::TooMany);
        }
        // From here on the permit's drop gives back what was taken.
        let mut permit = Permit { admission: self.clone(), client, counted: false };
        permit.counted = {
            let mut counts = self.per_client.lock();
            let count = counts.entry(client).or_insert(0);
            let below = *count < limits.connections_per_client;
            *count += u32::from(below);
            below
        };
        if !permit.counted {
            return Err(Refused::TooManyOfThisClient);
        }
        if !self.connections.allows(client) {
            return Err(Refused::TooFast);
        }
        Ok(permit)
    }

    /// Connections admitted now.
    #[must_use]
    pub fn open(&self) -> u32 {
        self.open.load(Ordering::Relaxed)
    }

    /// Drops what is remembered of clients that have been quiet; call it now and then.
    pub fn forget_quiet_clients(&self) {
        self.connections.forget_quiet_clients();
        self.requests.forget_quiet_clients();
        self.diagnoses.retain_recent();
        self.diagnoses.shrink_to_fit();
    }
}

/// One admitted connection; dropping it makes room for another.
#[derive(Debug)]
pub struct Permit {
    admission: Arc<Admission>,
    client: ClientKey,
    counted: bool,
}

impl Permit {
    /// Whether this client may send a request now.
    #[must_use]
    pub fn allows_request(&self) -> bool {
        self.admission.requests.allows(self.client)
    }
}

impl Permit {
    /// Whether this client may have itself diagnosed now, with so many bytes to measure by.
    #[must_use]
    pub fn allows_diagnosis(&self, bytes: u64) -> bool {
        let cost = u32::try_from(1 + bytes.div_ceil(1_000_000)).unwrap_or(u32::MAX);
        let cost = NonZeroU32::new(cost).unwrap_or(NonZeroU32::MIN);
        matches!(self.admission.diagnoses.check_key_n(&self.client, cost), Ok(Ok(())))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.admission.open.fetch_sub(1, Ordering::Relaxed);
        if self.counted {
            let mut counts = self.admission.per_client.lock();
            if let Some(count) = counts.get_mut(&self.client) {
                *count -= 1;
                if *count == 0 {
                    counts.remove(&self.client);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
