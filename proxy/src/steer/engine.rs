//! Throttling at work: facts → decisions → operations → facts again, on a thread of its own.
//!
//! It wakes when the kernel tells of a subflow, when the planner has something due, and every `steering.interval` while there is a
//! policy. Without one nothing is opened and nothing of the kernel's is touched. Invariant: what is done is what the planner said, and
//! the planner hears of each operation how it went.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TrySendError};
use std::time::{Duration, Instant};

use anabranch_config::{Config, OnStop, PathManagement, Steering, SteeringMode};
use anabranch_sniffer::Token;
use anabranch_throttle::intent::Decisions;
use anabranch_throttle::op::{Abilities, Op};
use anabranch_throttle::plan::{Planner, Settings};
use anabranch_throttle::policy::{Policies, Rules};
use anabranch_throttle::view::View;
use tokio::sync::oneshot;

use super::doors::{Closed, Doors};
use super::kernel::millis;
use super::metrics::Metrics;
use super::orders::{Order, Reply};
use super::usage::Ledger;
use super::view::{Interfaces, Scope, view};
use super::{Desk, now};
use crate::http::chain;
use crate::manager::Turns;

/// Subflows on their way from one state to the next are looked at this often: a drain takes a tenth of a second.
const TRANSITION: Duration = Duration::from_millis(5);

/// Addresses and usage are seen to this often.
const HOUSEKEEPING: Duration = Duration::from_secs(1);

/// What wakes the engine.
#[derive(Debug)]
pub(super) enum Wake {
    /// The kernel told something.
    Facts,
    /// The configuration has changed.
    Configured(Arc<Config>),
    /// Somebody at the control socket wants something.
    Order(Order, Reply),
    /// The process ends.
    Stop,
}

/// How long the engine rests. A turn takes 2.5 µs a connection, 25 ms at 9 000 of them: at most one part in so many of a core's time goes
/// into turns, more where facts come, and most where subflows are on their way to another state. A turn that took long because it waited,
/// for a disk perhaps, is no reason to rest for seconds: leases run, and what is due is due.
#[derive(Debug, PartialEq, Eq)]
struct Rest {
    /// When nobody tells anything.
    idle: Duration,
    /// When somebody does.
    told: Duration,
}

impl Rest {
    const IDLE: u32 = 20;
    const TOLD: u32 = 4;
    const MOVING: u32 = 2;

    /// Intervals it rests for at most.
    const MOST: u32 = 5;

    /// After a turn that took so long and wants the next one after `wait`, with something due by then, if anything is.
    fn after(took: Duration, wait: Duration, due: Option<Duration>, interval: Duration, moving: bool) -> Self {
        let at_least = |share: u32| took * (share - 1);
        let told = at_least(if moving { Self::MOVING } else { Self::TOLD }).min(interval);
        let idle = if moving { told } else { at_least(Self::IDLE).min(interval * Self::MOST) };
        let idle = due.map_or(idle, |due| idle.min(due));
        Self { idle: wait.max(idle).max(told), told }
    }
}

/// Policies at work.
pub(super) struct Engine<'a> {
    pub(super) desk: &'a Desk,
    pub(super) steering: Steering,
    /// What the configuration says, whatever was applied since.
    configured: Rules,
    pub(super) policies: Policies,
    pub(super) planner: Planner,
    pub(super) doors: Result<Doors, Closed>,
    interfaces: Interfaces,
    ports: Vec<u16>,
    pub(super) ledger: Ledger,
    tended: Duration,
    metrics: Metrics,
    /// What the last turn was followed by at most.
    allowed: Duration,
    /// What is known has to be from after this before anything is decided: while there was no policy, sockets were looked at rarely, and
    /// what they moved since would pass for a burst.
    fresh_after: u64,
}

impl<'a> Engine<'a> {
    pub(super) fn new(desk: &'a Desk, config: &Config, metrics: Metrics) -> Self {
        let configured = Rules::from(config);
        let mut policies = Policies::new(configured.clone());
        let ledger = Ledger::open(config.steering.usage.as_deref(), policies.usage());
        let mut engine = Self {
            desk,
            steering: config.steering.clone(),
            configured,
            policies,
            planner: Planner::new(Abilities::NONE, settings(&config.steering, desk.passing)),
            doors: Err(Closed::NoPolicy),
            interfaces: Interfaces::default(),
            ports: ports(config),
            ledger,
            tended: Duration::ZERO,
            metrics,
            allowed: Duration::ZERO,
            fresh_after: 0,
        };
        engine.name();
        if let Err(closed) = engine.open_or_close() {
            tracing::error!(why = %chain(&closed), "policies are not carried out; bytes are carried all the same");
        }
        engine
    }

    /// Lives until it is told to stop.
    pub(super) fn run(mut self, inbox: &Receiver<Wake>, turns: &Turns) {
        let mut lives = true;
        while lives {
            turns.count();
            // Who tells from here on is heard by the turn after this one.
            self.desk.poked.swap(false, Ordering::AcqRel);
            let began = Instant::now();
            let wait = self.tick();
            let moving = self.planner.in_transition().next().is_some();
            let rest = Rest::after(began.elapsed(), wait, self.due(now()), self.steering.interval, moving);
            self.allowed = rest.idle;
            lives = self.rest(inbox, &rest);
        }
        self.stop();
    }

    /// Waits for the next turn, and does meanwhile what it is told to; whether there is one.
    fn rest(&mut self, inbox: &Receiver<Wake>, rest: &Rest) -> bool {
        let began = Instant::now();
        let mut until = rest.idle;
        loop {
            match inbox.recv_timeout(until.saturating_sub(began.elapsed())) {
                Ok(Wake::Stop) | Err(RecvTimeoutError::Disconnected) => return false,
                Ok(Wake::Configured(config)) => self.configure(&config),
                Ok(Wake::Order(order, reply)) => {
                    let answer = self.obey(order);
                    // Who asked may have gone.
                    drop(reply.send(answer));
                }
                Ok(Wake::Facts) if began.elapsed() < rest.told => {
                    until = until.min(rest.told);
                    continue;
                }
                Ok(Wake::Facts) | Err(RecvTimeoutError::Timeout) => {}
            }
            return true;
        }
    }

    /// Whether something is to be done to the kernel.
    pub(super) fn acts(&self) -> bool {
        self.steering.mode == SteeringMode::Act
    }

    /// One turn; says how long to wait for the next.
    pub(super) fn tick(&mut self) -> Duration {
        let (at, mut tend) = (now(), false);
        self.metrics.turn(at, (!self.policies.is_empty()).then_some(self.steering.interval.max(self.allowed)));
        if at.saturating_sub(self.tended) >= HOUSEKEEPING {
            self.tended = at;
            self.interfaces.refresh();
            tend = true;
            self.ledger.keep(self.policies.usage());
            self.count();
        }
        if self.policies.is_empty() {
            return HOUSEKEEPING;
        }
        let fresh = self.desk.looked.load(Ordering::Acquire) > self.fresh_after || !self.desk.kernel_tells();
        let view = if fresh { self.look(at) } else { View { at, connections: Vec::new() } };
        self.policies.set_beyond(self.planner.beyond());
        // What holds for those to come needs no facts.
        let decisions = if fresh { self.policies.decide(&view) } else { self.policies.decide_unseen(at) };
        match &mut self.doors {
            Ok(doors) if self.steering.mode == SteeringMode::Act => {
                if tend {
                    doors.tend(&self.steering, &view);
                }
                let abilities = doors.abilities(self.desk);
                self.planner.set_abilities(abilities);
                let ops = self.planner.plan(&view, &decisions);
                self.act(&ops);
            }
            // What would be aimed at is said; whatever it would take is not there.
            _ => {
                self.planner.set_abilities(Abilities::NONE);
                drop(self.planner.plan(&view, &decisions));
            }
        }
        for change in self.planner.take_changes() {
            tracing::info!("{change}");
        }
        self.metrics.happen(&self.planner.take_tally());
        if fresh { self.wait(at) } else { TRANSITION }
    }

    /// How long until there is something to do.
    fn wait(&self, at: Duration) -> Duration {
        if self.planner.in_transition().next().is_some() {
            return TRANSITION;
        }
        self.due(at).unwrap_or(self.steering.interval).clamp(Duration::from_millis(1), self.steering.interval)
    }

    /// How long until the next thing that is due, if any is.
    fn due(&self, at: Duration) -> Option<Duration> {
        let due = self.planner.next_deadline().into_iter().chain(self.policies.next_change(at)).min();
        due.map(|due| due.saturating_sub(at))
    }

    /// What is known now; what is on its way to another state is asked about first.
    pub(super) fn look(&mut self, at: Duration) -> View {
        let moving: Vec<_> = self.planner.in_transition().collect();
        if let Ok(doors) = &mut self.doors {
            doors.refresh(&moving, self.desk);
        }
        let sessions: HashMap<Token, _> = self.desk.proxies.lock().by_token().collect();
        let scope = Scope { sessions: &sessions, ports: &self.ports, passing: self.desk.passing };
        view(&self.desk.facts.lock(), &scope, &self.interfaces, at)
    }

    /// Takes over what a reload changed; what was applied by hand is void.
    fn configure(&mut self, config: &Config) {
        self.configured = Rules::from(config);
        self.ports = ports(config);
        self.steering = config.steering.clone();
        if let Err(closed) = self.replace(self.configured.clone()) {
            tracing::error!(why = %chain(&closed), "policies are not carried out; bytes are carried all the same");
        }
    }

    /// Puts other rules in force.
    ///
    /// Errors: the kernel cannot be steered: the rules are in force, and nothing is done about them
    pub(super) fn replace(&mut self, rules: Rules) -> Result<(), Closed> {
        if self.policies.is_empty() {
            self.fresh_after = millis(now());
        }
        self.policies.replace(rules);
        self.name();
        self.open_or_close()
    }

    /// Opens the kernel's doors where there is a policy, and closes them where there is none.
    fn open_or_close(&mut self) -> Result<(), Closed> {
        let policies = !self.policies.is_empty();
        self.desk.look_every(policies.then_some(self.steering.interval));
        let shape = policies && self.acts();
        // Only connections that begin under it obey: who means to apply policies later has it from the start.
        let manage = shape || self.acts() && self.steering.path_manager == PathManagement::Userspace;
        if !shape {
            self.release(true);
        }
        if !manage {
            if let Ok(doors) = std::mem::replace(&mut self.doors, Err(Closed::NoPolicy)) {
                doors.close();
            }
            return Ok(());
        }
        if self.doors.is_err() {
            self.doors = Doors::open(&self.steering, self.desk);
        }
        let doors = self.doors.as_mut().map_err(|closed| closed.clone())?;
        if !shape {
            doors.end_shaping();
            return Ok(());
        }
        let Err(closed) = doors.begin_shaping(&self.steering) else { return Ok(()) };
        // All of it or nothing: not even the path manager stays ours.
        if let Ok(doors) = std::mem::replace(&mut self.doors, Err(closed.clone())) {
            doors.close();
        }
        Err(closed)
    }

    /// Takes back everything that was done: what was held is let off gently, unless there is no time for that.
    #[allow(clippy::disallowed_methods, reason = "on a thread of its own, that has nothing else to do")]
    fn release(&mut self, gently: bool) {
        if gently {
            let began = now();
            loop {
                let view = self.look(now());
                let ops = self.planner.plan(&view, &Decisions::default());
                self.act(&ops);
                let Some(wait) = self.planner.letting_off() else { break };
                if now().saturating_sub(began) >= wait {
                    break;
                }
                std::thread::sleep(TRANSITION);
            }
        }
        let view = self.look(now());
        let ops = self.planner.release_all(&view);
        self.act(&ops);
        self.metrics.happen(&self.planner.take_tally());
        self.planner = Planner::new(Abilities::NONE, settings(&self.steering, self.desk.passing));
    }

    /// Has every policy in force counted.
    fn name(&mut self) {
        self.metrics.name(self.policies.names());
    }

    /// Counts what there is now.
    fn count(&self) {
        self.metrics.hold(self.planner.held());
        self.policies.moved().for_each(|(policy, bytes)| self.metrics.moved(policy, bytes));
    }

    fn act(&mut self, ops: &[Op]) {
        if let Ok(doors) = &mut self.doors {
            doors.apply(ops, self.desk, |op, done| {
                tracing::debug!(?op, ?done, "steering");
                if done.as_ref().is_err_and(|failure| !failure.gone) {
                    self.metrics.fail(op.object());
                }
                self.planner.on_done(op, done, now());
            });
        }
    }

    fn stop(mut self) {
        self.ledger.keep(self.policies.usage());
        if self.steering.on_stop == OnStop::Keep {
            if let Ok(doors) = self.doors {
                doors.leave();
            }
            return;
        }
        self.release(false);
        if let Ok(doors) = self.doors {
            doors.close();
        }
    }
}

/// The ports of our listeners.
fn ports(config: &Config) -> Vec<u16> {
    config.listeners.iter().map(|listener| listener.address.port()).filter(|port| *port != 0).collect()
}

pub(super) fn settings(steering: &Steering, passing: bool) -> Settings {
    Settings { slots: steering.subflows, lease: steering.lease, passing }
}

impl Desk {
    /// Wakes the engine; one wake that waits is enough.
    pub(super) fn poke(&self) {
        if self.poked.swap(true, Ordering::AcqRel) {
            return;
        }
        if let Some(engine) = &*self.engine.lock() {
            match engine.try_send(Wake::Facts) {
                Ok(()) | Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {}
            }
        }
    }

    /// Has the engine do something; without one, the reply is dropped.
    pub fn order(&self, order: Order, reply: oneshot::Sender<super::orders::Answered>) {
        self.send(Wake::Order(order, reply));
    }

    /// Tells the engine of a changed configuration.
    pub fn configure(&self, config: Arc<Config>) {
        self.send(Wake::Configured(config));
    }

    pub(super) fn send(&self, wake: Wake) {
        let engine = self.engine.lock().clone();
        // It takes what it is sent within a turn; where it has ended, nobody waits for it.
        if engine.is_some_and(|engine| engine.send(wake).is_err()) {
            tracing::debug!("the engine has ended");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longer_a_turn_takes_the_longer_is_the_rest() {
        let ms = Duration::from_millis;
        let after = |took, wait, due, moving| {
            let Rest { idle, told } = Rest::after(took, wait, due, ms(100), moving);
            (idle, told)
        };
        // Few connections: as it was wanted.
        assert_eq!(after(ms(0), ms(100), None, false), (ms(100), ms(0)));
        assert_eq!(after(ms(0), ms(5), None, true), (ms(5), ms(0)));
        // Nine thousand, when nothing happens, when something is due, and when subflows are on their way.
        assert_eq!(after(ms(25), ms(100), None, false), (ms(475), ms(75)));
        assert_eq!(after(ms(25), ms(30), Some(ms(30)), false), (ms(75), ms(75)));
        assert_eq!(after(ms(25), ms(100), Some(ms(150)), false), (ms(150), ms(75)));
        assert_eq!(after(ms(25), ms(5), None, true), (ms(25), ms(25)));
        // A turn that waited for a disk, and one without a policy.
        assert_eq!(after(ms(4_000), ms(100), None, false), (ms(500), ms(100)));
        assert_eq!(after(ms(4_000), ms(5), None, true), (ms(100), ms(100)));
        assert_eq!(after(ms(1), ms(1_000), None, false), (ms(1_000), ms(3)));
    }
}
