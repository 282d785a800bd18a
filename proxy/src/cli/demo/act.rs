//! The acts: what is shown, in order, and playing one.
//!
//! What lives here: the list, and one download with a meter beside it. What does not: how it looks (see `picture`).
//! Called by the demo. Invariant: the first act is what the others are compared with.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};

use anabranch_lab::client::{Protocol, Via};
use anyhow::{Context as _, Result, ensure};

use super::download::{Download, Downloaded};
use super::links::Links;
use super::meter::Meter;
use super::rule::{Course, Held, Progress, Rule};
use super::stage::{Stage, Witness};

/// Time between two pictures.
pub(super) const TICK: Duration = Duration::from_millis(150);

/// One act.
#[derive(Debug, Clone, Copy)]
pub(super) struct Act {
    /// Its name for machines.
    pub(super) name: &'static str,
    /// What the client speaks.
    pub(super) protocol: Protocol,
    /// Whether it goes through the proxy.
    pub(super) proxied: bool,
    /// Whether a policy holds one of the links for a third of the time.
    pub(super) steered: bool,
    /// What it shows.
    pub(super) heading: fn(&Links) -> String,
}

/// What is played, in order.
pub(super) const ACTS: &[Act] = &[
    Act {
        name: "tcp",
        protocol: Protocol::Tcp,
        proxied: false,
        steered: false,
        heading: |links| format!("Plain TCP over {}, the best single link", links.best().name),
    },
    Act {
        name: "anabranch",
        protocol: Protocol::Mptcp,
        proxied: true,
        steered: false,
        heading: |_| "Through anabranch: one CONNECT over Multipath TCP, a subflow on each link".to_owned(),
    },
    Act {
        name: "steered",
        protocol: Protocol::Mptcp,
        proxied: true,
        steered: true,
        heading: |links| {
            let Rule { link, rate, .. } = Rule::of(links);
            format!("The same, and a policy holds {link} to {rate} for the middle third")
        },
    },
];

/// What an act yielded.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Outcome {
    /// The act's name.
    pub(super) name: &'static str,
    /// Payload.
    ///
    /// Units: bytes.
    pub(super) bytes: u64,
    /// From the first SYN to the last byte.
    pub(super) elapsed: Duration,
    /// Payload rate of each link, on average; they sum up to the rate of the whole.
    ///
    /// Units: bit/s.
    pub(super) links: Vec<f64>,
    /// Whether every byte came as it was sent.
    pub(super) intact: bool,
    /// What the proxy recorded, when it was in between.
    pub(super) witness: Option<Witness>,
    /// What the act's policy came to, or why it was not held.
    pub(super) held: Option<Result<Held, String>>,
}

impl Outcome {
    /// Payload rate.
    ///
    /// Units: bit/s.
    #[allow(clippy::cast_precision_loss, reason = "sizes are far below 2^52")]
    pub(super) fn rate(&self) -> f64 {
        self.bytes as f64 * 8.0 / self.elapsed.as_secs_f64().max(1e-9)
    }
}

impl Act {
    /// Plays it; `watch` is called about every [`TICK`], and told whether the policy is in force.
    ///
    /// Errors: when the download failed or was stopped, or the lab failed.
    pub(super) fn play(
        &self,
        stage: &Stage,
        bytes: u64,
        stop: &AtomicBool,
        watch: &mut dyn FnMut(&Meter, bool),
    ) -> Result<(Outcome, Meter)> {
        let via = if self.proxied { Via::Connect(stage.proxy()) } else { Via::Direct };
        let download = Download { protocol: self.protocol, via, origin: stage.origin(), bytes };
        let (got, mut meter) = (AtomicU64::new(0), Meter::new(stage.carried(self.protocol)?, bytes));
        let started = Instant::now();
        let (over, held) = (AtomicBool::new(false), AtomicBool::new(false));
        let progress = Progress { started, got: &got, bytes, over: &over };
        let (downloaded, steered) = std::thread::scope(|scope| {
            let (rule, socket) = (stage.rule_file(), stage.control_socket());
            let held = &held;
            let steered = self.steered.then(|| scope.spawn(move || progress.steer(&rule, &socket, held)));
            let client = scope.spawn(|| stage.topology.client.run(|| download.run(&got, &over)));
            let _over = SetOnDrop(&over);
            let mut drawn = Instant::now();
            while !client.is_finished() {
                #[expect(clippy::disallowed_methods, reason = "the demo's own thread; no worker runs in this process")]
                std::thread::sleep(Duration::from_millis(5));
                over.fetch_or(stop.load(Ordering::Relaxed), Ordering::Relaxed);
                if drawn.elapsed() >= TICK {
                    drawn = Instant::now();
                    meter.push(started.elapsed(), &stage.carried(self.protocol)?, got.load(Ordering::Relaxed));
                    watch(&meter, held.load(Ordering::Relaxed));
                }
            }
            let downloaded = joined(client);
            over.store(true, Ordering::Relaxed);
            anyhow::Ok((downloaded, steered.map(joined)))
        })?;
        let downloaded = downloaded?.with_context(|| format!("the download of \"{}\" failed", self.name))?;
        ensure!(downloaded.checker.bytes == bytes, "{} bytes came instead of {bytes}", downloaded.checker.bytes);
        meter.push(downloaded.elapsed, &stage.carried(self.protocol)?, bytes);
        let mut outcome = self.outcome(&downloaded, &meter, steered);
        if self.proxied {
            let before = ACTS.iter().take_while(|act| act.name != self.name).filter(|act| act.proxied).count();
            outcome.witness = stage.witness(before + 1);
        }
        Ok((outcome, meter))
    }

    /// What the act yielded, all but what the proxy says.
    fn outcome(&self, downloaded: &Downloaded, meter: &Meter, course: Option<Result<Course, String>>) -> Outcome {
        let (bytes, elapsed) = (downloaded.checker.bytes, downloaded.elapsed);
        let mut outcome = Outcome {
            name: self.name,
            bytes,
            elapsed,
            links: meter.average(),
            intact: downloaded.checker.intact(bytes),
            witness: None,
            held: course.map(|course| course.map(|course| Held::of(course, meter))),
        };
        outcome.links = shares(&outcome.links, outcome.rate());
        outcome
    }
}

/// What a thread came to.
fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Ends the download with the act: whoever leaves early, by an error or a panic, does not wait for the last byte.
struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Splits `rate` as `links` are to each other: what the frames say about shares, scaled to what the reader got.
fn shares(links: &[f64], rate: f64) -> Vec<f64> {
    let sum: f64 = links.iter().sum();
    links.iter().map(|link| if sum > 0.0 { link / sum * rate } else { 0.0 }).collect()
}

#[cfg(test)]
mod tests;
