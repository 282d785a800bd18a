//! The rounds: everybody is started, then measured in turn.
//!
//! What lives here: who takes part, the order, what went wrong. What does not: measuring (`scenario`), telling (`table`). Called by
//! the binary. Invariant: in a round every scenario runs with all its peers one after the other, each round beginning with
//! another one; whoever does not take part is noted with the reason.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde::Serialize;

use crate::sample::Sample;
use crate::scenario::{Crowd, Scenario, Stage, all};
use crate::settle;
use crate::world::{Client, FIRST_PORT, Subject, World};
use anabranch_lab::peer::{self, Kind, PEERS, Peer, Running, Unusable, version};

/// What to run.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// How often.
    pub rounds: usize,
    /// Small enough for a trial.
    pub quick: bool,
    /// The most a send buffer may hold, everywhere; the kernel's own bound by default.
    ///
    /// Units: bytes
    pub send_buffer: Option<u64>,
    /// Threads, or workers, of whoever can have several; as many as cores by default.
    pub threads: Option<usize>,
    /// Scenarios whose name contains one of these; all by default.
    pub scenarios: Vec<String>,
    /// Peers whose name contains one of these, and the direct connection; all by default.
    pub peers: Vec<String>,
}

/// Whether somebody takes part.
#[derive(Debug, Clone, Serialize)]
pub struct Taking {
    /// Its name.
    pub peer: &'static str,
    /// Its version, in its own words.
    pub version: Option<String>,
    /// Where its MPTCP comes from, or why there is none.
    pub mptcp: String,
    /// Why it does not take part at all.
    pub absent: Option<String>,
    /// What a reader must know of it.
    pub note: &'static str,
}

/// One measured run.
#[derive(Debug, Clone)]
pub struct Measured {
    /// The scenario's place in the list.
    pub scenario: usize,
    /// The peer's name.
    pub peer: &'static str,
    /// The round, from 0.
    pub round: usize,
    /// Its figures, or what went wrong.
    pub result: Result<Sample, String>,
}

/// All that a run yields.
#[derive(Debug)]
pub struct Outcome {
    /// The scenarios that ran.
    pub scenarios: Vec<Scenario>,
    /// Everybody asked for.
    pub taking: Vec<Taking>,
    /// Every run.
    pub measured: Vec<Measured>,
    /// Runs that began while others still had a hold on the machine: scenario, peer, round, what.
    pub unsettled: Vec<(usize, &'static str, usize, String)>,
    /// Who has no part in which scenario, and why.
    pub excluded: Vec<(String, &'static str, String)>,
}

/// A network, and the many clients in it once they were needed.
struct Place {
    world: World,
    crowd: Option<Crowd>,
}

/// A peer that takes part, with its process.
struct Entrant {
    index: usize,
    /// The network it is in.
    place: usize,
    peer: &'static Peer,
    running: Option<Running>,
}

impl Entrant {
    fn subject(&self) -> Subject {
        let running = self.running.as_ref();
        Subject { index: self.index, port: running.map(|r| r.port), tree: running.map(|r| r.tree) }
    }

    /// Why it has no part in a scenario.
    fn excluded_from(&self, scenario: &Scenario) -> Option<String> {
        let plain = scenario.client != Client::Tcp && self.running.as_ref().is_some_and(|running| !running.mptcp);
        let plain = plain.then_some("refused: its listener is not an MPTCP one");
        scenario.excludes(self.peer).or(plain).map(str::to_owned)
    }
}

/// Runs it all; `tell` is told what is going on.
pub fn run(options: &Options, tell: &dyn Fn(&str)) -> Result<Outcome> {
    let (_, descriptors) = getrlimit(Resource::RLIMIT_NOFILE).context("cannot read the descriptor limit")?;
    setrlimit(Resource::RLIMIT_NOFILE, descriptors, descriptors).context("cannot raise the descriptor limit")?;
    let chosen =
        |name: &str, texts: &[String]| texts.is_empty() || texts.iter().any(|text| name.contains(text.as_str()));
    let scenarios: Vec<_> = all().into_iter().filter(|s| chosen(&s.name, &options.scenarios)).collect();
    ensure!(!scenarios.is_empty(), "no scenario's name contains any of {:?}", options.scenarios);
    let new_place = || -> Result<Place> {
        Ok(Place { world: World::start(options.quick, options.send_buffer, options.threads)?, crowd: None })
    };
    let mut places = vec![new_place()?];
    let (mut entrants, mut taking) = (Vec::new(), Vec::new());
    for (index, peer) in PEERS.iter().enumerate() {
        if peer.kind != Kind::Direct && !chosen(peer.name, &options.peers) {
            continue;
        }
        if peer.alone {
            let mut place = new_place()?;
            place.world.offered = std::sync::Arc::clone(&places[0].world.offered);
            places.push(place);
        }
        let place = if peer.alone { places.len() - 1 } else { 0 };
        let (entrant, told) = enter(&places[place].world, (index, place), peer);
        tell(&format!("{:<16} {}", peer.name, told.absent.as_deref().unwrap_or(&told.mptcp)));
        entrants.extend(entrant);
        taking.push(told);
    }
    let mut outcome = Outcome { scenarios, taking, measured: Vec::new(), unsettled: Vec::new(), excluded: Vec::new() };
    for round in 0..options.rounds {
        for number in 0..outcome.scenarios.len() {
            // Each round begins with another one, so that no one always runs in another one's wake.
            let (count, scenario) = (entrants.len(), outcome.scenarios[number].clone());
            for at in (0..count).map(|at| (at + round) % count) {
                if let Some(why) = entrants[at].excluded_from(&scenario) {
                    if round == 0 {
                        outcome.excluded.push((scenario.name.clone(), entrants[at].peer.name, why));
                    }
                    continue;
                }
                // What the one before left behind must not be this one's.
                std::thread::sleep(Duration::from_millis(100));
                if let Some(words) = settle::wait()? {
                    tell(&format!("     {}, {}: {words}", scenario.name, entrants[at].peer.name));
                    outcome.unsettled.push((number, entrants[at].peer.name, round, words));
                }
                let reference = reference(&entrants, at);
                let Place { world, crowd } = &mut places[entrants[at].place];
                let mut stage = Stage { world, crowd, reference };
                let result = measure(&scenario, &mut stage, &mut entrants[at]);
                tell(&line(&scenario, entrants[at].peer.name, round, &result));
                outcome.measured.push(Measured { scenario: number, peer: entrants[at].peer.name, round, result });
            }
        }
    }
    Ok(outcome)
}

fn line(scenario: &Scenario, peer: &str, round: usize, result: &Result<Sample, String>) -> String {
    let words = match result {
        Ok(sample) => {
            let figures = scenario
                .metrics
                .iter()
                .filter_map(|metric| Some(format!("{} {:.3} {}", metric.name, sample.get(metric.name)?, metric.unit)));
            figures.collect::<Vec<_>>().join(", ")
        }
        Err(error) => format!("FAILED: {error}"),
    };
    format!("  {:>2} {:<40} {peer:<16} {words}", round + 1, scenario.name)
}

/// Starts somebody, if there is something to start.
fn enter(world: &World, (index, place): (usize, usize), peer: &'static Peer) -> (Option<Entrant>, Taking) {
    let mut told =
        Taking { peer: peer.name, version: version(peer), mptcp: "the kernel's".into(), absent: None, note: peer.note };
    if peer.kind == Kind::Direct {
        return (Some(Entrant { index, place, peer, running: None }), told);
    }
    match start(world, index, peer) {
        Ok(running) => {
            told.mptcp = if running.mptcp { running.how.into() } else { "NONE: its listener is plain TCP".into() };
            (Some(Entrant { index, place, peer, running: Some(running) }), told)
        }
        Err(error) => {
            told.mptcp = "-".into();
            told.absent = Some(match error {
                Unusable::Missing(words) => format!("MISSING: {words}"),
                Unusable::Broken(error) => format!("does not start: {error:#}"),
            });
            (None, told)
        }
    }
}

fn start(world: &World, index: usize, peer: &Peer) -> Result<Running, Unusable> {
    let port = FIRST_PORT + u16::try_from(index).unwrap_or(0);
    let place =
        peer::Place { edge: &world.topology.edge, port, origin: world.origin_of(index), threads: world.threads };
    Running::start(peer, &world.built, place)
}

/// Whose rate is the measure of an offered load: HAProxy's, else ours, else the own; of the same network.
fn reference(entrants: &[Entrant], at: usize) -> Subject {
    let near = |entrant: &&Entrant| entrant.place == entrants[at].place;
    let called = |name: &str| entrants.iter().filter(near).find(|entrant| entrant.peer.name == name);
    called("haproxy-latency").or_else(|| called("anabranch")).unwrap_or(&entrants[at]).subject()
}

/// Measures somebody once; who has ended meanwhile is started anew, and what it ended in counts as failed.
fn measure(scenario: &Scenario, stage: &mut Stage<'_>, entrant: &mut Entrant) -> Result<Sample, String> {
    let result = scenario.run(stage, entrant.peer, &entrant.subject());
    let alive = entrant.running.as_mut().map_or(Ok(()), Running::expect_alive);
    if let Err(error) = alive {
        // Its port is free again when it is gone.
        entrant.running = None;
        let anew = start(stage.world, entrant.index, entrant.peer);
        entrant.running = Some(anew.map_err(|again| format!("{error:#}; and it does not start again: {again:?}"))?);
        return Err(format!("{error:#}"));
    }
    result.map_err(|error| format!("{error:#}"))
}
