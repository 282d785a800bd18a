//! Requests and answers: processor time for each, how many a second, how long they take.

use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anabranch_lab::stats::percentile;
use anyhow::{Context, Result, ensure};

use crate::load::Way;
use crate::load::exchange::{Kind, Load, Ticket, run as exchange};
use crate::sample::{Look, Metric, Sample, count, sample};
use crate::world::{Subject, World};

pub(super) const METRICS: &[Metric] = &[
    Metric::less("CPU", "us/request"),
    Metric::more("rate", "1/s"),
    Metric::less("p50", "us"),
    Metric::less("p99", "us"),
];

pub(super) const METRICS_NEW: &[Metric] = &[
    Metric::less("CPU", "us/connection"),
    Metric::more("rate", "1/s"),
    Metric::less("p50", "us"),
    Metric::less("p99", "us"),
];

/// The rate is given: of the reference's it says nothing but that it was kept, of its own at which rate the delays are.
pub(super) const OFFERED: &[Metric] = &[
    Metric::less("p99", "us"),
    Metric::less("p50", "us"),
    Metric::less("CPU", "us/request"),
    Metric::more("rate", "1/s"),
];

/// Runs it once, by kind, size, clients and rate.
pub(super) fn run(
    world: &World,
    subject: &Subject,
    way: Way,
    (kind, size, clients, rate): (Kind, u64, u32, Option<f64>),
) -> Result<Sample> {
    let load = Load { way, kind, size, clients, rate };
    let ticket = Arc::new(Ticket::default());
    std::thread::scope(|scope| {
        let client = scope.spawn(|| world.topology.client.run(|| exchange(load, &ticket)));
        let measured = measure(world, subject, &ticket);
        ticket.stop.store(true, Ordering::Relaxed);
        let ended = client.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        let (times, failed) = ended.context("the load cannot run")?;
        let (mut figures, errors) = measured?;
        ensure!(errors == 0, "{errors} exchanges failed, the first: {}", failed.unwrap_or_default());
        ensure!(!times.is_empty(), "no exchange came to its end");
        figures.extend(sample([("p50", percentile(&times, 0.5)), ("p99", percentile(&times, 0.99))]));
        Ok(figures)
    })
}

/// Figures of the time between two looks, and how many exchanges failed by then.
fn measure(world: &World, subject: &Subject, ticket: &Ticket) -> Result<(Sample, u64)> {
    std::thread::sleep(Duration::from_millis(world.pick(200, 100)));
    let look = || -> Result<_> { Ok((Look::now(subject.tree)?, ticket.done.load(Ordering::Relaxed))) };
    ticket.noting.store(true, Ordering::Relaxed);
    let (from, done) = look()?;
    std::thread::sleep(Duration::from_millis(world.pick(1000, 300)));
    let (to, more) = look()?;
    ticket.noting.store(false, Ordering::Relaxed);
    let (seconds, cpu) = from.until(to);
    let exchanges = count(more - done);
    let figures = sample([("CPU", cpu.map(|cpu| cpu * 1e6 / exchanges)), ("rate", Some(exchanges / seconds))]);
    Ok((figures, ticket.errors.load(Ordering::Relaxed)))
}

/// What is asked for, of what can be answered.
const LOAD: f64 = 0.7;

/// At 70 % of what the reference answers as fast as it can, as it was when first asked: everybody is offered the same.
pub(super) fn offered(
    world: &World,
    subject: &Subject,
    way: Way,
    (reference, reference_way): (&Subject, Way),
    size: u64,
    clients: u32,
) -> Result<Sample> {
    let mut known = world.offered.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let rate = match known.entry(way.protocol) {
        Entry::Occupied(known) => *known.get(),
        Entry::Vacant(unknown) => *unknown.insert(flat_out(world, reference, reference_way, size, clients)? * LOAD),
    };
    drop(known);
    run(world, subject, way, (Kind::KeepAlive, size, clients, Some(rate)))
}

/// At 70 % of what it answers itself as fast as it can, a moment before: everybody is as busy as anybody.
pub(super) fn offered_its_own(world: &World, subject: &Subject, way: Way, size: u64, clients: u32) -> Result<Sample> {
    let rate = flat_out(world, subject, way, size, clients)? * LOAD;
    run(world, subject, way, (Kind::KeepAlive, size, clients, Some(rate)))
}

/// Requests a second.
fn flat_out(world: &World, subject: &Subject, way: Way, size: u64, clients: u32) -> Result<f64> {
    Ok(run(world, subject, way, (Kind::KeepAlive, size, clients, None))?["rate"])
}
