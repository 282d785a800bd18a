//! Tunnels that carry all they can: processor time per byte, rate, stalls.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anabranch_lab::client;
use anyhow::{Context, Result, bail};
use tokio::sync::oneshot;

use crate::load::{Meter, PATIENCE, Way, bulk};
use crate::sample::{Look, Metric, Sample, count, sample};
use crate::world::{Subject, World};

pub(super) const METRICS: &[Metric] =
    &[Metric::less("CPU", "s/GB"), Metric::more("rate", "Mbit/s"), Metric::less("stalls", "")];

/// Runs it once.
pub(super) fn run(
    world: &World,
    subject: &Subject,
    way: Way,
    direction: client::Way,
    streams: usize,
) -> Result<Sample> {
    let own = Arc::new(Meter::default());
    // Counted where it arrives.
    let meter = if direction == client::Way::Download { &own } else { &world.origin.meter };
    let (stop, stopped) = oneshot::channel();
    let started = meter.started.load(Ordering::Relaxed);
    let all = || meter.started.load(Ordering::Relaxed) - started >= streams as u64;
    std::thread::scope(|scope| {
        let client = scope.spawn(|| world.topology.client.run(|| bulk::run(way, streams, direction, &own, stopped)));
        let measured = wait(&own, all).then(|| measure(world, subject, meter)).transpose();
        world.origin.end_transfers();
        drop(stop);
        let ended = client.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        match (measured?, ended) {
            (Some(sample), Ok(())) => Ok(sample),
            (_, Err(error)) => Err(error).context("a stream failed"),
            (None, Ok(())) => bail!("not all of {streams} streams began to carry within {PATIENCE:?}"),
        }
    })
}

/// Waits until `done`; whether it came to that before something failed, or time was up.
fn wait(meter: &Meter, done: impl Fn() -> bool) -> bool {
    let end = Instant::now() + PATIENCE;
    while !done() {
        if meter.errors.load(Ordering::Relaxed) > 0 || Instant::now() > end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    true
}

fn measure(world: &World, subject: &Subject, meter: &Meter) -> Result<Sample> {
    // The first round trips, and the second subflow's handshake, belong to nobody.
    std::thread::sleep(Duration::from_millis(world.pick(300, 150)));
    let look = || -> Result<_> { Ok((Look::now(subject.tree)?, meter.bytes(), meter.stalls.load(Ordering::Relaxed))) };
    let (from, bytes, stalls) = look()?;
    std::thread::sleep(Duration::from_millis(world.pick(1200, 400)));
    let (to, more_bytes, more_stalls) = look()?;
    let (seconds, cpu) = from.until(to);
    let carried = count(more_bytes - bytes);
    Ok(sample([
        ("CPU", cpu.map(|cpu| cpu / (carried / 1e9))),
        ("rate", Some(carried * 8e-6 / seconds)),
        ("stalls", Some(count(more_stalls - stalls))),
    ]))
}
