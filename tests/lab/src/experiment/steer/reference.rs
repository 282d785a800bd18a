//! What paths carry without any steering: what steering is held against.
//!
//! Called by the experiments about steering, in the same round as what is compared.

use std::time::Duration;

use anyhow::Result;

use super::{Stage, ms};
use crate::client::{Protocol, Way};
use crate::flow::FlowSpec;
use crate::topology::Family;

/// Slow start is over by then, also with 80 ms of round trip.
const WARM: Duration = ms(1_200);
const END: Duration = ms(2_700);

/// What some links carried together.
///
/// Units: bit/s of payload
#[derive(Debug, Clone, Copy)]
pub(super) struct Alone {
    /// The median window.
    pub(super) middle: f64,
    /// The mean.
    pub(super) mean: f64,
}

/// One plain TCP connection over each of `links`, at the same time.
pub(super) fn plain_tcp(stage: &Stage, links: &[u8], family: Family, way: Way) -> Result<Alone> {
    measure(stage, links, family, way, Protocol::Tcp)
}

/// An MPTCP connection over `link` without a second subflow; the client makes second ones again afterwards.
pub(super) fn single_mptcp(stage: &Stage, link: u8, family: Family, way: Way) -> Result<Alone> {
    stage.set_limits(0, 0)?;
    let alone = measure(stage, &[link], family, way, Protocol::Mptcp);
    stage.set_limits(2, 0)?;
    alone
}

fn measure(stage: &Stage, links: &[u8], family: Family, way: Way, protocol: Protocol) -> Result<Alone> {
    let mut recording = stage.record()?;
    for &link in links {
        recording.flow(family, FlowSpec { protocol, ..stage.spec(link, family, way) })?;
    }
    recording.wait_until(END);
    let total = recording.finish()?.total(way);
    Ok(Alone { middle: total.middle(WARM, END).unwrap_or(0.0), mean: total.rate(WARM, END) })
}
