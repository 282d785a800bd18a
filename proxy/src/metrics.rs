//! What the proxy counts. Created in `app.rs`, passed down; no global.
//!
//! Labels are closed sets (outcome, reason): never an address, a token or a name a client sent.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// One word of a closed set.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Reason {
    /// The word.
    pub reason: &'static str,
}

/// The proxy's counters.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Connections accepted, by how they arrived (`mptcp` or the fallback's name).
    pub accepted: Family<Reason, Counter>,
    /// Connections turned away before a request was read, by reason.
    pub turned_away: Family<Reason, Counter>,
    /// Failed accepts, by the kernel's word.
    pub accept_errors: Family<Reason, Counter>,
    /// Requests and tunnels that ended, by outcome.
    pub outcomes: Family<Reason, Counter>,
    /// Payload bytes written to origins.
    pub bytes_to_origin: Counter,
    /// Payload bytes written to clients.
    pub bytes_to_client: Counter,
    /// Reloads, by result (`applied`, `unchanged`, `refused`).
    pub reloads: Family<Reason, Counter>,
}

impl Metrics {
    /// Creates the counters and enters them into a registry.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register("connections_accepted", "Connections by how they arrived", metrics.accepted.clone());
        registry.register("connections_turned_away", "Connections refused at accept", metrics.turned_away.clone());
        registry.register("accept_errors", "Failed accepts", metrics.accept_errors.clone());
        registry.register("requests", "Requests and tunnels by outcome", metrics.outcomes.clone());
        registry.register("payload_to_origin_bytes", "Payload written to origins", metrics.bytes_to_origin.clone());
        registry.register("payload_to_client_bytes", "Payload written to clients", metrics.bytes_to_client.clone());
        registry.register("reloads", "Configuration reloads by result", metrics.reloads.clone());
        metrics
    }

    /// Counts one event of a family.
    pub fn count(family: &Family<Reason, Counter>, reason: &'static str) {
        family.get_or_create(&Reason { reason }).inc();
    }
}
