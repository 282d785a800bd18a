//! What a reload has to do: two configurations in, one [`Change`] out.
//!
//! Pure and total. Every struct is taken apart without `..`, so that a new key does not compile until somebody has decided here what its
//! change means.

use crate::{Config, Control, Listener, Log, Name, Process, Sniffer, Steering};

/// What it takes to get from one configuration to another. A reload is all or nothing: a process always runs exactly one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The two are equal.
    Nothing,
    /// The running process can do it.
    Apply(Apply),
    /// Only a new process can do it: these keys have changed, and nothing is to be applied until then. Never empty.
    Restart(Vec<&'static str>),
}

/// What the running process has to do. At least one of the two.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Apply {
    /// Whether new sessions have to see a new configuration, sockets aside.
    pub swap: bool,
    /// Sockets to open and to close.
    pub listeners: Listeners,
}

/// Listening sockets to open and to close; sessions they have accepted go on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listeners {
    /// To open: names of the new configuration that the old one has not.
    pub add: Vec<Name>,
    /// To close: names of the old configuration that the new one has not.
    pub remove: Vec<Name>,
    /// To close and open again: in both, with something changed that only a new socket can have.
    pub replace: Vec<Name>,
}

impl Listeners {
    /// Whether no socket has to be touched.
    pub fn is_empty(&self) -> bool {
        self.add.is_empty() && self.remove.is_empty() && self.replace.is_empty()
    }
}

impl Config {
    /// What it takes to get from this configuration to the new one.
    pub fn diff(&self, new: &Self) -> Change {
        let Self {
            process: Process { workers, role, link },
            listeners,
            limits,
            http,
            pac,
            origin,
            resolver,
            timeouts,
            log: Log { format, access, level },
            control: Control { socket, group },
            sniffer: Sniffer { kernel, interfaces, interval },
            steering:
                Steering {
                    mode,
                    path_manager,
                    interval: steering_interval,
                    lease,
                    interfaces: steering_interfaces,
                    table,
                    device,
                    subflows,
                    on_stop,
                    adopt,
                    usage,
                },
            paths,
            subscribers,
            policies,
        } = self;

        let restart: Vec<_> = [
            ("process.workers", *workers != new.process.workers),
            ("process.role", *role != new.process.role),
            ("process.link", *link != new.process.link),
            ("origin.keep_alive", origin.keep_alive != new.origin.keep_alive),
            ("origin.idle_per_key", origin.idle_per_key != new.origin.idle_per_key),
            ("log.format", *format != new.log.format),
            ("log.level", *level != new.log.level),
            ("control.socket", *socket != new.control.socket),
            ("control.group", *group != new.control.group),
            ("sniffer.kernel", *kernel != new.sniffer.kernel),
            ("sniffer.interfaces", *interfaces != new.sniffer.interfaces),
            ("sniffer.interval", *interval != new.sniffer.interval),
            ("steering.path_manager", *path_manager != new.steering.path_manager),
            ("steering.interfaces", *steering_interfaces != new.steering.interfaces),
            ("steering.table", *table != new.steering.table),
            ("steering.device", *device != new.steering.device),
            ("steering.subflows", *subflows != new.steering.subflows),
            ("steering.lease", *lease != new.steering.lease),
            ("steering.adopt", *adopt != new.steering.adopt),
            ("steering.usage", *usage != new.steering.usage),
        ]
        .into_iter()
        .filter_map(|(key, changed)| changed.then_some(key))
        .collect();
        if !restart.is_empty() {
            return Change::Restart(restart);
        }

        let (sockets, swap_listeners) = diff_listeners(listeners, &new.listeners);
        let swap = swap_listeners
            || *limits != new.limits
            || *http != new.http
            || *pac != new.pac
            || *origin != new.origin
            || *resolver != new.resolver
            || *timeouts != new.timeouts
            || *access != new.log.access
            || *mode != new.steering.mode
            || *steering_interval != new.steering.interval
            || *on_stop != new.steering.on_stop
            || *paths != new.paths
            || *subscribers != new.subscribers
            || *policies != new.policies;
        if !swap && sockets.is_empty() {
            return Change::Nothing;
        }
        Change::Apply(Apply { swap, listeners: sockets })
    }
}

/// The sockets to touch, and whether anything else about the listeners has changed (their order included: it is what is printed).
fn diff_listeners(old: &[Listener], new: &[Listener]) -> (Listeners, bool) {
    let find = |among: &'_ [Listener], name: &Name| among.iter().position(|listener| listener.name == *name);
    let mut sockets = Listeners::default();
    let mut swap = false;
    for listener in old {
        match find(new, &listener.name) {
            None => sockets.remove.push(listener.name.clone()),
            Some(index) => {
                let (socket, rest) = compare(listener, &new[index]);
                if socket {
                    sockets.replace.push(listener.name.clone());
                }
                swap |= rest;
            }
        }
    }
    let added = new.iter().filter(|listener| find(old, &listener.name).is_none());
    sockets.add.extend(added.map(|listener| listener.name.clone()));
    let kept = |listeners: &[Listener], others: &[Listener]| -> Vec<Name> {
        listeners.iter().map(|listener| listener.name.clone()).filter(|name| find(others, name).is_some()).collect()
    };
    swap |= kept(old, new) != kept(new, old);
    (sockets, swap)
}

/// Whether the socket has changed, and whether the rest has.
fn compare(old: &Listener, new: &Listener) -> (bool, bool) {
    let Listener {
        name: _,
        mode,
        address,
        ipv6_only,
        clients,
        transport,
        congestion,
        backlog,
        fast_open,
        source,
        tls,
        credentials,
    } = old;
    let socket = *address != new.address
        || *ipv6_only != new.ipv6_only
        || *transport != new.transport
        || *congestion != new.congestion
        || *backlog != new.backlog
        || *fast_open != new.fast_open;
    let rest = *mode != new.mode
        || *clients != new.clients
        || *source != new.source
        || *tls != new.tls
        || *credentials != new.credentials;
    (socket, rest)
}

#[cfg(test)]
mod tests;
