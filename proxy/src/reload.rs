//! The running configuration and how another one takes its place: parse → diff → prepare everything → swap, or keep.
//!
//! A reload that fails at any step changes nothing; it is logged and counted. Sessions keep the rules they began with.

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;

mod watch;

pub use watch::Watch;

use anabranch_config::{Change, Config, Listener, Name, Role};
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::app::StartError;
use crate::door::{Door, Hinges};
use crate::http::chain;
use crate::listen::{self, ListenError, Opened};
use crate::manager::Turns;
use crate::metrics::Metrics;
use crate::worker::{Assignment, Handle, Shared};

/// A listener that is open.
#[derive(Debug)]
struct Slot {
    name: Name,
    door: Arc<ArcSwap<Door>>,
    address: SocketAddr,
    mptcp: bool,
    /// Second handles on its sockets: what can be changed on an open socket is changed on it.
    sockets: Vec<TcpListener>,
    stop: CancellationToken,
}

/// One open listener, as `status` tells it.
#[derive(Debug, Clone, Serialize)]
pub struct Listening {
    /// Its name.
    pub name: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// `mptcp` or `tcp`.
    pub transport: &'static str,
}

/// What is open now; shared with the control socket.
pub type ListeningNow = Arc<Mutex<Vec<Listening>>>;

/// The running configuration, its listeners and its workers.
#[derive(Debug)]
pub struct House {
    config: Arc<Config>,
    hinges: Hinges,
    own: Vec<IpAddr>,
    workers: Vec<Handle>,
    slots: Vec<Slot>,
    generation: u64,
    listening: ListeningNow,
    /// The role that the command line names, whatever a file says.
    role: Option<Role>,
    /// Whether it names observing.
    observe: bool,
}

/// Listening sockets that are open already.
#[derive(Debug)]
pub enum Inherited {
    /// The service manager's: every one has to belong to a listener.
    Manager(Vec<TcpListener>),
    /// A predecessor's, which still listens: those that no listener needs are its own affair.
    Predecessor(Vec<TcpListener>),
}

/// Why a reload changed nothing.
#[derive(Debug, thiserror::Error)]
enum Kept {
    #[error("the configuration cannot be read")]
    Read(#[source] std::io::Error),
    #[error("the configuration is wrong")]
    Wrong(#[source] anabranch_config::Error),
    #[error("these keys need a restart: {0}")]
    Restart(String),
    #[error(transparent)]
    Prepare(#[from] StartError),
}

impl House {
    /// A house with its doors still to be opened.
    #[must_use]
    pub fn new(config: Arc<Config>, hinges: Hinges, own: Vec<IpAddr>, workers: Vec<Handle>) -> Self {
        let (slots, generation, listening, role, observe) = (Vec::new(), 0, Arc::default(), None, false);
        Self { config, hinges, own, workers, slots, generation, listening, role, observe }
    }

    /// Keeps to what the command line says on every reload.
    #[must_use]
    pub fn told(self, role: Option<Role>, observe: bool) -> Self {
        Self { role, observe, ..self }
    }

    /// The configuration in force.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The same, to keep.
    #[must_use]
    pub fn shared_config(&self) -> Arc<Config> {
        self.config.clone()
    }

    /// What is open, kept up to date.
    #[must_use]
    pub fn listening(&self) -> ListeningNow {
        self.listening.clone()
    }

    /// Name, address and transport of every open listener.
    #[must_use]
    pub fn addresses(&self) -> Vec<(Name, SocketAddr, &'static str)> {
        self.slots.iter().map(|slot| (slot.name.clone(), slot.address, transport(slot.mptcp))).collect()
    }

    /// Second handles on every open socket, once each, for a successor.
    #[must_use]
    pub fn sockets(&self) -> Vec<TcpListener> {
        let of = |slot: &Slot| {
            let shared = slot.sockets.first().is_some_and(listen::is_alone);
            let once = if shared { 1 } else { slot.sockets.len() };
            slot.sockets.iter().take(once).filter_map(|socket| socket.try_clone().ok()).collect::<Vec<_>>()
        };
        self.slots.iter().flat_map(of).collect()
    }

    /// What shows that the workers turn.
    pub(crate) fn turns(&self) -> impl Iterator<Item = Turns> {
        self.workers.iter().map(Handle::turns)
    }

    /// Opens every listener for the first time.
    ///
    /// Errors: [`StartError`]; every socket of the manager's has to belong to a listener, and every listener has to open.
    pub fn open(&mut self, shared: &Shared, inherited: Inherited) -> Result<(), StartError> {
        let config = self.config.clone();
        let doors = self.hinges.doors(&config, &self.own, self.generation)?;
        let mut prepared = Vec::new();
        let (mut sockets, all) = match inherited {
            Inherited::Manager(sockets) => (sockets, true),
            Inherited::Predecessor(sockets) => (sockets, false),
        };
        let suits = |socket: &TcpListener, listener: &Listener| all || listen::suits(socket, listener);
        let passed = |listener: &Listener| {
            let port = |socket: &TcpListener| socket.local_addr().is_ok_and(|at| at.port() == listener.address.port());
            // On a port of the predecessor's, the one we would find in the way is the predecessor.
            sockets.iter().any(|socket| is_on(socket, listener) || !all && port(socket))
        };
        for door in doors.iter().filter(|door| !passed(&door.listener)) {
            listen::refuse_taken(&door.listener)?;
        }
        for door in doors {
            let listener = &door.listener;
            let claimed = sockets.extract_if(.., |socket| is_on(socket, listener) && suits(socket, listener)).collect();
            prepared.push((self.prepare(listener, claimed)?, door));
        }
        if let Some(socket) = sockets.first().filter(|_| all) {
            let address = socket.local_addr().map_err(|source| StartError::Os { what: "getsockname", source })?;
            return Err(StartError::Unclaimed(address));
        }
        for (opened, door) in prepared {
            self.admit_through(shared, opened, door);
        }
        self.publish();
        Ok(())
    }

    /// Reads the file again and applies what changed, or keeps everything and says why.
    pub fn reload(&mut self, shared: &Shared, file: Option<&Path>, cause: &'static str) {
        let Some(file) = file else {
            tracing::info!(cause, "running on the embedded defaults: there is no file to read again");
            return;
        };
        let result = match self.try_reload(shared, file) {
            Ok(true) => {
                tracing::info!(cause, file = %file.display(), "configuration applied");
                "applied"
            }
            Ok(false) => {
                tracing::info!(cause, file = %file.display(), "configuration unchanged; certificates and credentials read again");
                "unchanged"
            }
            Err(kept) => {
                tracing::error!(cause, file = %file.display(), why = %chain(&kept), "reload refused; nothing has changed");
                "refused"
            }
        };
        Metrics::count(&shared.metrics.reloads, result);
    }

    fn try_reload(&mut self, shared: &Shared, file: &Path) -> Result<bool, Kept> {
        let text = std::fs::read_to_string(file).map_err(Kept::Read)?;
        let config = anabranch_config::parse(&text, file).map_err(Kept::Wrong)?;
        let config = Arc::new(config.for_role(self.role).observing(self.observe));
        let mut listeners = match self.config.diff(&config) {
            Change::Nothing => Default::default(),
            Change::Restart(keys) => return Err(Kept::Restart(keys.join(", "))),
            Change::Apply(apply) => apply.listeners,
        };
        // A socket closed loses the clients that are in its queue or in their handshake; so close none without need.
        let (tune, replace) = listeners.replace.into_iter().partition(|name| self.can_stay(&config, name));
        let tune: Vec<Name> = tune;
        listeners.replace = replace;
        // Prepare: everything that can fail.
        let hinges = if self.config.resolver == config.resolver && self.config.timeouts.dns == config.timeouts.dns {
            None
        } else {
            Some(Hinges::new(&config, &shared.outgoing, shared.instance).map_err(StartError::Door)?)
        };
        let generation = self.generation + 1;
        let made = hinges.as_ref().unwrap_or(&self.hinges).doors(&config, &self.own, generation);
        let doors = made.map_err(StartError::Door)?;
        let mut opened = Vec::new();
        for door in &doors {
            let name = &door.listener.name;
            if listeners.add.contains(name) || listeners.replace.contains(name) {
                // On a port of our own, the one we would find in the way is ourselves.
                if !self.slots.iter().any(|slot| slot.address.port() == door.listener.address.port()) {
                    listen::refuse_taken(&door.listener).map_err(StartError::Listen)?;
                }
                opened.push((self.prepare(&door.listener, Vec::new())?, door.clone()));
            }
        }
        // Swap: nothing below can fail.
        let changed = *self.config != *config;
        self.slots.retain(|slot| {
            let stays = !listeners.remove.contains(&slot.name) && !listeners.replace.contains(&slot.name);
            if !stays {
                slot.stop.cancel();
            }
            stays
        });
        for slot in &self.slots {
            if let Some(door) = doors.iter().find(|door| door.listener.name == slot.name) {
                slot.door.store(door.clone());
                if tune.contains(&slot.name) {
                    note(&door.listener, &listen::tune(&door.listener, &slot.sockets));
                }
            }
        }
        for (sockets, door) in opened {
            self.admit_through(shared, sockets, door);
        }
        shared.admission.change(&config.limits);
        shared.set_grace(config.timeouts.drain);
        if let Some(hinges) = hinges {
            self.hinges = hinges;
        }
        self.config = config;
        self.generation = generation;
        self.publish();
        Ok(changed)
    }

    /// Takes note of the machine's addresses; new doors are hung only if they differ.
    pub fn notice_addresses(&mut self, own: Option<Vec<IpAddr>>) {
        let Some(own) = own.filter(|own| *own != self.own) else { return };
        match self.hinges.doors(&self.config, &own, self.generation + 1) {
            Ok(doors) => {
                self.generation += 1;
                self.own = own;
                for door in doors {
                    if let Some(slot) = self.slots.iter().find(|slot| slot.name == door.listener.name) {
                        slot.door.store(door);
                    }
                }
                tracing::info!("the machine's addresses have changed; the destination guard knows them");
            }
            Err(error) => tracing::warn!(why = %chain(&error), "the destination guard keeps the former addresses"),
        }
    }

    /// Closes every listener and waits for the workers.
    pub fn join(self) {
        drop(self.slots);
        self.workers.into_iter().for_each(Handle::join);
    }

    fn prepare(&self, listener: &Listener, inherited: Vec<TcpListener>) -> Result<Opened, StartError> {
        let opened: Result<Opened, ListenError> = listen::open(listener, self.workers.len(), inherited);
        let opened = opened?;
        note(listener, &opened.notes);
        Ok(opened)
    }

    /// Whether a listener keeps its sockets: nothing has changed that is decided when a socket is made or bound.
    fn can_stay(&self, new: &Config, name: &Name) -> bool {
        let find = |config: &Config| {
            let found = config.listeners.iter().find(|listener| listener.name == *name);
            found.map(|listener| (listener.address, listener.ipv6_only, listener.transport))
        };
        find(&self.config) == find(new)
    }

    fn admit_through(&mut self, shared: &Shared, opened: Opened, door: Arc<Door>) {
        let name = door.listener.name.clone();
        let slot = Slot {
            name: name.clone(),
            door: Arc::new(ArcSwap::new(door)),
            address: opened.address,
            mptcp: opened.mptcp,
            // Without a second handle (no descriptor left) the socket keeps its options until it is opened again.
            sockets: opened.sockets.iter().filter_map(|socket| socket.try_clone().ok()).collect(),
            stop: shared.draining.child_token(),
        };
        // A predecessor may have had more workers: no socket may be left to nobody.
        for (worker, socket) in self.workers.iter().cycle().zip(opened.sockets) {
            worker.assign(Assignment {
                name: name.clone(),
                door: slot.door.clone(),
                socket,
                mptcp: slot.mptcp,
                stop: slot.stop.clone(),
            });
        }
        self.slots.push(slot);
    }

    fn publish(&self) {
        let open = self.slots.iter().map(|slot| Listening {
            name: slot.name.to_string(),
            address: slot.address,
            transport: transport(slot.mptcp),
        });
        *self.listening.lock() = open.collect();
    }
}

fn note(listener: &Listener, notes: &[String]) {
    for note in notes {
        tracing::warn!(listener = %listener.name, "{note}");
    }
}

fn transport(mptcp: bool) -> &'static str {
    if mptcp { "mptcp" } else { "tcp" }
}

fn is_on(socket: &TcpListener, listener: &Listener) -> bool {
    socket.local_addr().is_ok_and(|address| address == listener.address)
}
