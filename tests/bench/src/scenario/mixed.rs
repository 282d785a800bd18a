//! 200 clients that read slowly, and 8 that do not: whether the latter wait for the former.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::oneshot;
use tokio::task::LocalSet;

use super::exchange;
use crate::load::exchange::Kind;
use crate::load::{Meter, PATIENCE, WITHOUT_END, Way, drain_into, runtime};
use crate::sample::{Metric, Sample, count, sample};
use crate::world::{Subject, World};

pub(super) const METRICS: &[Metric] = &[
    Metric::less("p99 with slow ones", "us"),
    Metric::less("p99 with / without", ""),
    Metric::more("rate with slow ones", "1/s"),
    Metric::more("slow ones got", "of asked"),
];

const SLOW: usize = 200;
const FAST: u32 = 8;
const SIZE: u64 = 64 << 10;
/// What a slow one reads at a time, and how often: 64 KiB/s.
const SIP: usize = 16 << 10;
const EVERY: Duration = Duration::from_millis(250);

/// Runs it once: the fast ones alone, then beside the slow ones.
pub(super) fn run(world: &World, subject: &Subject, way: Way) -> Result<Sample> {
    let fast = || exchange::run(world, subject, way, (Kind::KeepAlive, SIZE, FAST, None));
    let alone = fast()?;
    let meter = Arc::new(Meter::default());
    let (stop, stopped) = oneshot::channel();
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| world.topology.client.run(|| sip_all(way, &meter, stopped)));
        let beside = wait(&meter).and_then(|()| {
            // Until what stands between is full, it takes all there is for them, at once.
            std::thread::sleep(Duration::from_millis(world.pick(2000, 1000)));
            let (bytes, from) = (meter.bytes(), Instant::now());
            let figures = fast()?;
            let asked = count(SLOW as u64) * count(SIP as u64) * from.elapsed().as_secs_f64() / EVERY.as_secs_f64();
            Ok((figures, count(meter.bytes() - bytes) / asked))
        });
        world.origin.end_transfers();
        drop(stop);
        slow.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?.context("the slow ones cannot run")?;
        let (beside, got) = beside?;
        ensure!(meter.errors.load(Ordering::Relaxed) == 0, "slow clients were let down");
        Ok(sample([
            ("p99 with slow ones", Some(beside["p99"])),
            ("p99 with / without", Some(beside["p99"] / alone["p99"])),
            ("rate with slow ones", Some(beside["rate"])),
            ("slow ones got", Some(got)),
        ]))
    })
}

/// Waits until every slow one has got something.
fn wait(meter: &Meter) -> Result<()> {
    let end = Instant::now() + PATIENCE;
    while meter.started.load(Ordering::Relaxed) < SLOW as u64 {
        ensure!(
            Instant::now() < end,
            "only {} slow ones of {SLOW} got anything",
            meter.started.load(Ordering::Relaxed)
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

fn sip_all(way: Way, meter: &Arc<Meter>, stop: oneshot::Receiver<()>) -> io::Result<()> {
    runtime()?.block_on(async {
        let local = LocalSet::new();
        for _ in 0..SLOW {
            let meter = Arc::clone(meter);
            local.spawn_local(async move {
                // How it ends once all is over says nothing.
                if sip(way, &meter).await.is_err() && !meter.is_ending() {
                    meter.errors.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        drop(local.run_until(stop).await);
        meter.end(local).await;
        Ok(())
    })
}

async fn sip(way: Way, meter: &Meter) -> io::Result<()> {
    let mut stream = way.connect().await?;
    stream.write_all(way.request(WITHOUT_END, true, false).as_bytes()).await?;
    let (mut cup, mut first) = (vec![0; SIP], true);
    loop {
        let got = stream.read(&mut cup).await?;
        if got == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        meter.bytes.fetch_add(got as u64, Ordering::Relaxed);
        meter.started.fetch_add(u64::from(std::mem::take(&mut first)), Ordering::Relaxed);
        if meter.is_ending() {
            return drain_into(&stream, meter).await;
        }
        tokio::time::sleep(EVERY).await;
    }
}
