//! A link between the client and the edge, as a value.
//!
//! What lives here: what a link is to be like. What does not: building it (see `topology`).
//! Called by experiments. Invariant: a link without hops is one veth pair, shaped at both ends when it has a rate.

use std::time::Duration;

use serde::Serialize;

use crate::emulator::Impairment;
use crate::middlebox::Middlebox;

/// Payload bytes in a full frame over its length on the wire as the shaper counts it: 1448 of 1514, that is an MTU of
/// 1500 less IPv4, TCP and timestamps.
const PAYLOAD_SHARE: f64 = 1448.0 / 1514.0;

/// One access network.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Link {
    /// The name in messages.
    pub name: String,
    /// The rate of both directions; `None` leaves the link unshaped, with offloads on.
    ///
    /// Units: bit/s.
    pub rate: Option<u64>,
    /// The devices' MTU; below 1280 the link is of IPv4 only.
    ///
    /// Units: bytes.
    pub mtu: u16,
    /// What stands in the way, from the client to the edge.
    pub hops: Vec<Hop>,
}

/// Something in a link's way, in a namespace of its own.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum Hop {
    /// Delay, jitter, loss, MTU, rewriting: frame by frame, in user space.
    Emulator(Impairment),
    /// A router that removes MPTCP options.
    Middlebox(Middlebox),
    /// A router that cannot forward larger IPv4 packets than so many bytes and says so, as RFC 1191 wants it. IPv6 has no packets
    /// that small, and passes.
    Narrow(u16),
    /// A switch. What the edge's kernel has noted on a frame (that it came from an IFB, and taps need not see it) is gone behind it,
    /// as it is behind a wire.
    Switch,
}

impl Link {
    /// An unshaped link of MTU 1500.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), rate: None, mtu: 1500, hops: Vec::new() }
    }

    /// With a rate for each direction, in Mbit/s.
    #[must_use]
    pub fn mbit(mut self, mbit: u64) -> Self {
        self.rate = Some(mbit * 1_000_000);
        self
    }

    /// With a one-way delay in both directions, in milliseconds.
    #[must_use]
    pub fn delay_ms(self, ms: u64) -> Self {
        self.impaired(Impairment { delay: Duration::from_millis(ms), ..Impairment::default() })
    }

    /// With an emulator in the way.
    #[must_use]
    pub fn impaired(mut self, impairment: Impairment) -> Self {
        self.hops.push(Hop::Emulator(impairment));
        self
    }

    /// With a middlebox in the way.
    #[must_use]
    pub fn middlebox(mut self, middlebox: Middlebox) -> Self {
        self.hops.push(Hop::Middlebox(middlebox));
        self
    }

    /// With a router in the way behind which packets must be smaller, in bytes, and that says so.
    #[must_use]
    pub fn narrow(mut self, mtu: u16) -> Self {
        self.hops.push(Hop::Narrow(mtu));
        self
    }

    /// With a switch in the way.
    #[must_use]
    pub fn switched(mut self) -> Self {
        self.hops.push(Hop::Switch);
        self
    }

    /// What the link can carry of a transfer's payload at most.
    ///
    /// Units: bit/s; infinite when unshaped.
    #[allow(clippy::cast_precision_loss, reason = "rates are far below 2^52")]
    pub fn payload_capacity(&self) -> f64 {
        self.rate.map_or(f64::INFINITY, |rate| rate as f64 * PAYLOAD_SHARE)
    }
}
