//! Steering: policies that move traffic, and never harm.
//!
//! What lives here: the experiments about policies, one file each, and what they share: a stage with a proxy that is told policies, a
//! recording of what the client's interfaces carried meanwhile. What does not: how policies work. Called by the list of experiments.
//! Invariant: what is judged was counted at the client's interfaces or read by the receiving application, never told by the proxy.

pub mod backup;
pub mod close;
pub mod congested_path;
pub mod do_no_harm;
mod dump;
pub mod first_transfer;
pub mod kill;
pub mod overflow;
mod policies;
pub mod quota;
mod reference;
pub mod refusals;
pub mod router;
pub mod scale;
pub mod schedule;
pub mod share;
mod stage;
pub mod throttle;
mod trace;

use std::time::Duration;

use reference::{plain_tcp, single_mptcp};
use stage::{Recording, Setting, Stage};
use trace::{Trace, picture};

/// By windows of this width a path is held against its rate: at 2 Mbit/s, a tenth of 250 ms are four packets.
const HELD_WINDOW: Duration = Duration::from_secs(1);

/// A time in milliseconds.
const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A rate in bit/s, of one in Mbit/s.
#[allow(clippy::cast_precision_loss, reason = "rates are far below 2^52")]
fn mbit(mbit: u64) -> f64 {
    mbit as f64 * 1e6
}
