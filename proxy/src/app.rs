//! The composition root: the only file that creates the parts and joins them.
//!
//! The main thread keeps a small runtime for everything that is not a connection: signals, reload, the control socket,
//! housekeeping. Workers carry the connections. A stop goes: accept no more, let finish what runs, cut off the rest
//! after the grace time or when told to stop a second time, say how many.

use std::io::IsTerminal as _;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use anabranch_config::{Config, LogFormat, Role};
use prometheus_client::registry::Registry as MetricsRegistry;
use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::admit::Admission;
use crate::arrival::Witness;
use crate::control::{self, Subject};
use crate::door::{DoorError, Hinges};
use crate::link::{self, Directive, End, LinkError, News, Teller, Told};
use crate::listen::ListenError;
use crate::metrics::Metrics;
use crate::origin::own::{self, Outgoing};
use crate::origin::pool::Limits as PoolLimits;
use crate::record::AccessLog;
use crate::reload::{House, Watch};
use crate::session::Registry;
use crate::steer::{self, Steer};
use crate::worker::{Handle, Shared, WorkerError};

/// How often the machine's own addresses are read again, quiet clients forgotten and memory given back.
const HOUSEKEEPING: Duration = Duration::from_secs(3);

/// A peak is worth giving memory back for when so many sessions are gone (about 4 KiB each).
const PEAK: usize = 512;

/// A process that cannot start.
#[derive(Debug, Error)]
pub enum StartError {
    /// A listening socket.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// Rules of a listener.
    #[error(transparent)]
    Door(#[from] DoorError),
    /// A worker thread.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// The control socket.
    #[error(transparent)]
    Control(#[from] control::ControlError),
    /// A socket of the service manager's that belongs to no listener.
    #[error("inherited socket on {0} belongs to no [[listener]]; add one with this address, or remove the socket")]
    Unclaimed(SocketAddr),
    /// The link between the proxy and who steers.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// Something else of the operating system's.
    #[error("{what} failed")]
    Os {
        /// The call.
        what: &'static str,
        /// What the kernel said.
        #[source]
        source: std::io::Error,
    },
}

/// What `run` is told.
#[derive(Debug)]
pub struct Options {
    /// The checked configuration.
    pub config: Config,
    /// Its file, if it came from one: read again on SIGHUP and when it changes.
    pub file: Option<PathBuf>,
    /// The role the command line names, whatever a file says; the configuration is that of this role already.
    pub role: Option<Role>,
}

/// Runs the proxy until SIGTERM or SIGINT; returns how many sessions were cut off.
///
/// Errors: [`StartError`], before the first connection is accepted; nothing is left behind.
pub fn run(options: Options) -> Result<usize, StartError> {
    anabranch_kernel::memory::keep_large_blocks_apart();
    let config = Arc::new(options.config);
    let (out, _guard) = tracing_appender::non_blocking(std::io::stdout());
    start_logging(&config);
    warn_about(&config);
    raise_descriptor_limit(&config);

    let mut families = MetricsRegistry::with_prefix("anabranch");
    let (teller, told) = Teller::new();
    let shared = Arc::new(Shared {
        admission: Admission::new(&config.limits),
        registry: Arc::new(Registry::new(teller.clone())),
        metrics: Arc::new(Metrics::register(&mut families)),
        access_log: AccessLog::new(out, config.log.format),
        witness: Arc::new(Witness::default()),
        outgoing: Outgoing::new(),
        draining: CancellationToken::new(),
        abort: CancellationToken::new(),
        cut_off: AtomicUsize::new(0),
        grace_ms: AtomicU64::new(0),
        instance: instance(),
    });
    shared.set_grace(config.timeouts.drain);
    let workers = start_workers(&config, &shared)?;
    // Without them the guard would let requests come back to this machine: no start.
    let own = own::addresses().map_err(|error| StartError::Os { what: "getifaddrs", source: error.source })?;
    let house = House::new(config.clone(), Hinges::new(&config, &shared.outgoing)?, own, workers).in_role(options.role);
    let (steer, link) = start_steering(&config)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| StartError::Os { what: "epoll_create", source })?;
    let told = Voice { teller, told, link };
    let desk = steer.as_ref().map(Steer::desk);
    let lived = runtime.block_on(live(house, &shared, (families, desk), options.file, told));
    if let Some(steer) = steer {
        steer.stop();
    }
    lived?;
    let cut_off = shared.cut_off.load(Ordering::Relaxed);
    if cut_off > 0 {
        tracing::warn!(cut_off, "sessions were cut off");
    } else {
        tracing::info!("drained: every session finished");
    }
    Ok(cut_off)
}

/// Where the steering side is, for the proxy.
enum Link {
    /// In this process.
    Here(End<News, Directive>),
    /// In another one, behind this socket.
    At(PathBuf),
    /// This process carries no bytes: it has nothing to tell.
    Nowhere,
}

/// What the sessions tell, and where to.
struct Voice {
    teller: Arc<Teller>,
    told: Told,
    link: Link,
}

/// How long a proxy waits before it looks again for who steers.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

impl Voice {
    /// Tells until the process ends. Nobody who listens is no failure: the proxy carries bytes all the same.
    async fn tell(mut self, sessions: Arc<Registry>) {
        match self.link {
            Link::Nowhere => {}
            Link::Here(end) => link::forward(&self.teller, &mut self.told, &*sessions, end).await,
            Link::At(path) => {
                let mut said = false;
                loop {
                    match link::connect(&path).await {
                        Ok(end) => {
                            tracing::info!(path = %path.display(), "linked to who steers");
                            said = false;
                            link::forward(&self.teller, &mut self.told, &*sessions, end).await;
                            tracing::warn!("the link to who steers is gone; it is looked for");
                        }
                        Err(error) if !said => {
                            said = true;
                            tracing::info!(why = %crate::http::chain(&error), "carrying bytes without; it is looked for");
                        }
                        Err(_) => {}
                    }
                    tokio::time::sleep(LOOK_AGAIN).await;
                }
            }
        }
    }
}

/// Starts what of the steering side belongs to this process.
fn start_steering(config: &Config) -> Result<(Option<Steer>, Link), StartError> {
    let role = config.process.role;
    let beside = || control::path(&config.control, role).map_or_else(|| control::default_path(role), |(path, _)| path);
    let path = || config.process.link.clone().unwrap_or_else(|| link::default_path(&beside()));
    let (proxy, link) = match role {
        Role::Proxy => return Ok((None, Link::At(path()))),
        Role::Both => {
            let (ours, theirs) = link::pair();
            (steer::Proxy::Here(theirs), Link::Here(ours))
        }
        Role::Steer => {
            (steer::Proxy::Elsewhere(link::listen(&path(), config.control.group.as_deref())?), Link::Nowhere)
        }
    };
    let steer =
        steer::start(config, proxy).map_err(|source| StartError::Os { what: "starting the witnesses", source })?;
    Ok((Some(steer), link))
}

/// The main thread's life.
async fn live(
    mut house: House,
    shared: &Arc<Shared>,
    (families, steer): (MetricsRegistry, Option<Arc<steer::Desk>>),
    file: Option<PathBuf>,
    voice: Voice,
) -> Result<(), StartError> {
    let os = |what| move |source| StartError::Os { what, source };
    let mut terminate = signal(SignalKind::terminate()).map_err(os("sigaction(SIGTERM)"))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(os("sigaction(SIGINT)"))?;
    let mut hangup = signal(SignalKind::hangup()).map_err(os("sigaction(SIGHUP)"))?;
    let mut watch = Watch::new(file.as_deref());
    // Before the listeners: a second instance ends here, before it can take a connection from the first.
    let desk = steer.clone();
    let subject = Subject { shared: shared.clone(), families, listening: house.listening(), steer };
    let _control = control::start(&house.config().control, house.config().process.role, subject)?;
    house.open(shared, inherited()?)?;
    for (name, address, kind) in house.addresses() {
        tracing::info!(listener = %name, %address, transport = kind, "listening");
    }
    tokio::spawn(voice.tell(shared.registry.clone()));
    notify_ready();
    tracing::info!("ready");
    let mut housekeeping = tokio::time::interval(HOUSEKEEPING);
    let mut peak = 0;
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => reload(&mut house, shared, (file.as_deref(), "SIGHUP"), desk.as_deref()),
            () = watch.changed() => reload(&mut house, shared, (file.as_deref(), "file change"), desk.as_deref()),
            _ = housekeeping.tick() => {
                shared.admission.forget_quiet_clients();
                house.notice_addresses(own_addresses());
                peak = give_back_after(peak, shared.registry.len());
            }
        }
    }
    let sessions = shared.registry.len();
    tracing::info!(sessions, grace_s = house.config().timeouts.drain.as_secs(), "draining");
    tell_manager(&[sd_notify::NotifyState::Stopping]);
    shared.draining.cancel();
    // The control socket goes on answering: whoever waits may ask what for.
    let mut drained = tokio::task::spawn_blocking(move || house.join());
    loop {
        tokio::select! {
            biased;
            joined = &mut drained => return joined.map_err(|error| os("joining the workers")(error.into())),
            _ = terminate.recv() => shared.abort.cancel(),
            _ = interrupt.recv() => shared.abort.cancel(),
            _ = hangup.recv() => tracing::info!("stopping: the configuration is not read any more"),
        }
    }
}

/// Reads the configuration again; whoever steers hears of a change.
fn reload(
    house: &mut House,
    shared: &Shared,
    (file, cause): (Option<&Path>, &'static str),
    desk: Option<&steer::Desk>,
) {
    let before = house.shared_config();
    house.reload(shared, file, cause);
    let after = house.shared_config();
    if let Some(desk) = desk.filter(|_| !Arc::ptr_eq(&before, &after)) {
        desk.configure(after);
    }
}

/// Gives memory back once a peak of sessions has passed; returns the peak to compare with next time.
fn give_back_after(peak: usize, now: usize) -> usize {
    if peak >= PEAK && now < peak / 2 {
        anabranch_kernel::memory::give_back();
        return now;
    }
    peak.max(now)
}

fn start_workers(config: &Config, shared: &Arc<Shared>) -> Result<Vec<Handle>, StartError> {
    let cores = || std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    // Who only steers has no connections to carry.
    let carries = config.process.role != Role::Steer;
    let count = if carries { config.process.workers.unwrap_or_else(cores).get() } else { 0 };
    let pool = PoolLimits {
        per_key: if config.origin.keep_alive.is_some() { config.origin.idle_per_key.into() } else { 0 },
        total: 0,
        idle: config.origin.keep_alive.unwrap_or_default(),
    };
    let start = |index| Handle::start(index, shared.clone(), pool);
    Ok((0..count).map(start).collect::<Result<_, _>>()?)
}

fn start_logging(config: &Config) {
    let level = config.log.level.as_str();
    let filter = tracing_subscriber::EnvFilter::new(format!("warn,anabranch={level}"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    // Colours are for people: a journal or a file would keep the control characters.
    let builder = builder.with_ansi(std::io::stderr().is_terminal());
    let set = match config.log.format {
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
        LogFormat::Text => builder.try_init(),
    };
    if let Err(error) = set {
        tracing::debug!(%error, "somebody else writes the log already");
    }
}

fn warn_about(config: &Config) {
    for warning in config.warnings() {
        tracing::warn!("{warning}");
    }
}

/// Two descriptors a session, some for the rest; the soft limit goes up to the hard one.
fn raise_descriptor_limit(config: &Config) {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return };
    if soft < hard
        && let Err(error) = setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
    {
        tracing::debug!(%error, "the descriptor limit stays as it is");
    }
    let wanted = u64::from(config.limits.connections) * 2 + 256;
    if hard < wanted {
        tracing::warn!(
            limit = hard,
            wanted,
            "fewer descriptors than limits.connections may need; raise LimitNOFILE or lower the limit"
        );
    }
}

fn own_addresses() -> Option<Vec<IpAddr>> {
    own::addresses().map_err(|error| tracing::warn!(%error, "the machine's own addresses cannot be read")).ok()
}

/// A number that tells this process from every other with the same pseudonym.
fn instance() -> u32 {
    use std::hash::{BuildHasher as _, RandomState};
    let hash = RandomState::new().hash_one(std::process::id());
    u32::try_from(hash >> 32).unwrap_or_default()
}

/// The listening sockets of sd_listen_fds(3).
fn inherited() -> Result<Vec<TcpListener>, StartError> {
    let mut passed = listenfd::ListenFd::from_env();
    let mut sockets = Vec::new();
    for index in 0..passed.len() {
        let socket = passed.take_tcp_listener(index);
        sockets.extend(socket.map_err(|source| StartError::Os { what: "taking over an inherited socket", source })?);
    }
    Ok(sockets)
}

fn notify_ready() {
    tell_manager(&[sd_notify::NotifyState::Ready]);
}

fn tell_manager(states: &[sd_notify::NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "the service manager cannot be told");
    }
}
