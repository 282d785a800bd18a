//! What an operator may say: one TOML file, checked once, into types that cannot be wrong.
//!
//! Pure: text in, values or problems out; no file is opened and no name is resolved here. The text passes through `read` (the spanned
//! TOML tree, one key at a time) into one file a section; `check` compares sections with each other; `diff` says what a reload has to
//! do; `print` writes the effective configuration, `reference` says of every key what it is. Every key is optional, and what is left out is safe: see the `Default` of each section.

mod check;
mod control;
mod diff;
mod error;
mod http;
mod limits;
mod listener;
mod log;
mod origin;
mod pac;
mod path;
mod policy;
mod print;
mod process;
mod rate;
mod read;
pub mod reference;
mod resolver;
mod schedule;
mod sniffer;
mod steering;
mod subscriber;
mod timeouts;
pub mod unit;

pub use control::{Control, ControlSocket};
pub use diff::{Apply, Change, Listeners};
pub use error::{Error, Problem, Warning};
pub use http::Http;
pub use limits::Limits;
pub use listener::{Listener, Mode, Sources, Tls, Transport};
pub use log::{Access, Level, Log, LogFormat};
pub use origin::Origin;
pub use pac::Pac;
pub use path::Path;
pub use policy::{Action, Directions, Enforce, Per, Policy, Select, SubflowSelector, Used};
pub use process::{Process, Role};
pub use resolver::Resolver;
pub use schedule::{Period, Schedule, UsedPer, Window, Zone};
pub use sniffer::Sniffer;
pub use steering::{OnStop, PathManagement, Steering, SteeringMode};
pub use subscriber::Subscriber;
pub use timeouts::Timeouts;
pub use unit::{
    Allow, BitRate, ByteSize, Congestion, IfaceName, Name, PacDomain, PacHop, Percent, PortSet, Prefix, Pseudonym,
    Secret, SubscriberId, TableName,
};

use read::{Section, Source};
use toml::de::DeTable;

/// Everything an operator has said, and the defaults for the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// `[process]`
    pub process: Process,
    /// `[[listener]]`: names and addresses are unique; empty only in a process that does not carry bytes ([`Config::for_role`]).
    pub listeners: Vec<Listener>,
    /// `[limits]`
    pub limits: Limits,
    /// `[http]`
    pub http: Http,
    /// `[pac]`
    pub pac: Pac,
    /// `[origin]`
    pub origin: Origin,
    /// `[resolver]`
    pub resolver: Resolver,
    /// `[timeouts]`
    pub timeouts: Timeouts,
    /// `[log]`
    pub log: Log,
    /// `[control]`
    pub control: Control,
    /// `[sniffer]`
    pub sniffer: Sniffer,
    /// `[steering]`
    pub steering: Steering,
    /// `[[path]]`: names are unique.
    pub paths: Vec<Path>,
    /// `[[subscriber]]`: names are unique.
    pub subscribers: Vec<Subscriber>,
    /// `[[policy]]`: names are unique, and every path is one of `paths`.
    pub policies: Vec<Policy>,
}

impl Config {
    /// The same for a process of this role, if one is named: one file serves both processes, and the one that only steers
    /// opens no listener.
    #[must_use]
    pub fn for_role(mut self, role: Option<Role>) -> Self {
        self.process.role = role.unwrap_or(self.process.role);
        if self.process.role == Role::Steer {
            self.listeners.clear();
        }
        self
    }

    /// The same for a process that decides and logs what policies want, and touches nothing, if it is to be one.
    #[must_use]
    pub fn observing(mut self, observe: bool) -> Self {
        if observe {
            self.steering.mode = SteeringMode::Observe;
        }
        self
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            process: Process::default(),
            listeners: Listener::defaults(),
            limits: Limits::default(),
            http: Http::default(),
            origin: Origin::default(),
            pac: Pac::default(),
            resolver: Resolver::default(),
            timeouts: Timeouts::default(),
            log: Log::default(),
            control: Control::default(),
            sniffer: Sniffer::default(),
            steering: Steering::default(),
            paths: Vec::new(),
            subscribers: Vec::new(),
            policies: Vec::new(),
        }
    }
}

/// Checks the text of a configuration file.
///
/// Shape:   `file` is what messages call the text; relative paths in the text are meant from its directory
/// Errors:  everything that is wrong with the text, in the order of its lines; broken TOML is reported alone
pub fn parse(text: &str, file: &std::path::Path) -> Result<Config, Error> {
    let source = Source::new(text, file);
    let (table, broken) = DeTable::parse_recoverable(text);
    for error in &broken {
        source.broken(error);
    }
    // What a recovering parser makes of broken TOML is a guess; problems found in a guess would mislead.
    let config = if broken.is_empty() { read_all(&source, table.get_ref()) } else { Config::default() };
    let problems = source.into_problems();
    if problems.is_empty() { Ok(config) } else { Err(Error { problems }) }
}

/// Reads every section; what is wrong is in the source afterwards.
fn read_all<'a>(source: &'a Source<'a>, table: &'a DeTable<'a>) -> Config {
    let mut root = Section::root(source, table);
    let config = Config {
        process: Process::read(&mut root.table("process")),
        limits: Limits::read(&mut root.table("limits")),
        http: Http::read(&mut root.table("http")),
        pac: Pac::read(&mut root.table("pac")),
        origin: Origin::read(&mut root.table("origin")),
        resolver: Resolver::read(&mut root.table("resolver")),
        timeouts: Timeouts::read(&mut root.table("timeouts")),
        log: Log::read(&mut root.table("log")),
        control: Control::read(&mut root.table("control")),
        sniffer: Sniffer::read(&mut root.table("sniffer")),
        steering: Steering::read(&mut root.table("steering")),
        listeners: Vec::new(),
        paths: Vec::new(),
        subscribers: Vec::new(),
        policies: Vec::new(),
    };
    let listeners = read_each(&mut root, "listener", Listener::read);
    let paths = read_each(&mut root, "path", Path::read);
    let subscribers = read_each(&mut root, "subscriber", Subscriber::read);
    let policies = read_each(&mut root, "policy", Policy::read);

    check::listeners(&listeners);
    check::paths(&paths);
    check::subscribers(&subscribers);
    let defaults = if root.has("listener") { Vec::new() } else { Listener::defaults() };
    let named = check::Named::of(&paths, &subscribers, &listeners, &defaults);
    check::policies(&policies, &named);

    let listeners = if root.has("listener") { values(listeners) } else { defaults };
    Config { listeners, paths: values(paths), subscribers: values(subscribers), policies: values(policies), ..config }
}

/// A section of the file and what it says, if it says anything that can be used.
type Read<'a, T> = (Section<'a>, Option<T>);

fn read_each<'a, T>(
    root: &mut Section<'a>,
    key: &'static str,
    read: impl Fn(&mut Section<'a>) -> Option<T>,
) -> Vec<Read<'a, T>> {
    let read_one = |mut section: Section<'a>| {
        let value = read(&mut section);
        (section, value)
    };
    root.tables(key).into_iter().map(read_one).collect()
}

fn values<T>(sections: Vec<Read<'_, T>>) -> Vec<T> {
    sections.into_iter().filter_map(|(_, value)| value).collect()
}

#[cfg(test)]
mod tests;
