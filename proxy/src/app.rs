//! The composition root: the only file that creates the parts and joins them.
//!
//! The main thread keeps a small runtime for everything that is not a connection: signals, reload, the control socket,
//! housekeeping. Workers carry the connections. A stop goes: accept no more, let finish what runs, cut off the rest
//! after the grace time or when told to stop a second time, say how many.

use std::io::IsTerminal as _;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use anabranch_config::{Config, LogFormat, Role};
use anabranch_kernel::memory;
use prometheus_client::registry::Registry as MetricsRegistry;
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use crate::admit::Admission;
use crate::arrival::Witness;
use crate::control::{self, Incumbent, Subject};
use crate::crew::{Crew, Post};
use crate::door::{DoorError, Hinges};
use crate::link::{self, Directive, End, LinkError, News, Teller, Told};
use crate::listen::ListenError;
use crate::manager::{self, Pulse, Turns};
use crate::metrics::Metrics;
use crate::origin::own::{self, Outgoing};
use crate::origin::pool::Limits as PoolLimits;
use crate::record::AccessLog;
use crate::reload::{House, Inherited, Watch};
use crate::session::Registry;
use crate::signals::{Signals, Word};
use crate::steer::{self, Steer};
use crate::succession::{self, Attempt, Heir, Successor};
use crate::worker::{Handle, Shared, WorkerError};

/// How often the machine's own addresses are read again, quiet clients forgotten and memory given back.
const HOUSEKEEPING: Duration = Duration::from_secs(3);

/// A client that connected just before another process took over is about to send its request: so long it may, and be served.
const LAST_REQUESTS: Duration = Duration::from_secs(10);

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
    /// The predecessor, of which this process was to take over.
    #[error("nothing can be taken over")]
    Succession(#[from] succession::Failed),
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
    /// Policies are decided and not carried out, whatever a file says; the configuration is of that kind already.
    pub observe: bool,
    /// Takes the place of a process that runs.
    pub heir: Option<Heir>,
}

/// Runs the proxy until SIGTERM or SIGINT; returns how many sessions were cut off.
///
/// Errors: [`StartError`], before the first connection is accepted; nothing is left behind.
pub fn run(options: Options) -> Result<usize, StartError> {
    // Now: once a package manager has put another program there, the kernel calls ours deleted.
    let program =
        std::env::current_exe().map_err(|source| StartError::Os { what: "readlink(/proc/self/exe)", source })?;
    let config = Arc::new(options.config);
    let (out, _guard) = tracing_appender::non_blocking(std::io::stdout());
    start_logging(&config);
    if let Err(error) = memory::take_no_huge_pages() {
        tracing::debug!(%error, "memory comes in huge pages where that is the default");
    }
    warn_about(&config);
    raise_descriptor_limit(&config);

    let mut families = MetricsRegistry::with_prefix("anabranch");
    let (teller, told) = Teller::new();
    let (crew, posts) = Crew::new(worker_count(&config));
    let crew = Arc::new(crew);
    families.register_collector(Box::new(crew.clone()));
    let shared = Arc::new(Shared {
        admission: Admission::new(&config.limits),
        registry: Arc::new(Registry::new(teller.clone())),
        metrics: Arc::new(Metrics::register(&mut families)),
        access_log: AccessLog::new(out, config.log.format),
        witness: Arc::new(Witness::default()),
        crew,
        outgoing: Outgoing::new(),
        draining: CancellationToken::new(),
        closing: CancellationToken::new(),
        abort: CancellationToken::new(),
        cut_off: AtomicUsize::new(0),
        grace_ms: AtomicU64::new(0),
        instance: instance(),
    });
    shared.set_grace(config.timeouts.drain);
    let workers = start_workers(&config, posts, &shared)?;
    // Without them the guard would let requests come back to this machine: no start.
    let own = own::addresses().map_err(|error| StartError::Os { what: "getifaddrs", source: error.source })?;
    let house = House::new(config.clone(), Hinges::new(&config, &shared.outgoing, shared.instance)?, own, workers)
        .told(options.role, options.observe);
    let (steer, link) = start_steering(&config, &mut families)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| StartError::Os { what: "epoll_create", source })?;
    let told = Voice { teller, told, link };
    let desk = steer.as_ref().map(Steer::desk);
    let turns = steer.as_ref().map(Steer::turns);
    let life = Life { house, file: options.file, program, heir: options.heir };
    let lived = runtime.block_on(live(life, &shared, (families, desk, turns), told));
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
fn start_steering(config: &Config, families: &mut MetricsRegistry) -> Result<(Option<Steer>, Link), StartError> {
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
    let metrics = steer::Metrics::register(families);
    let steer = steer::start(config, proxy, metrics)
        .map_err(|source| StartError::Os { what: "starting the witnesses", source })?;
    Ok((Some(steer), link))
}

/// What the main thread tends.
struct Life {
    house: House,
    file: Option<PathBuf>,
    /// Where the program lies.
    program: PathBuf,
    /// Whose place it takes.
    heir: Option<Heir>,
}

/// Why a process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// It was asked to.
    Asked,
    /// Another one has taken over.
    Succeeded,
}

/// The main thread's life.
async fn live(
    Life { mut house, file, program, heir }: Life,
    shared: &Arc<Shared>,
    (families, steer, turns): (MetricsRegistry, Option<Arc<steer::Desk>>, Option<Turns>),
    voice: Voice,
) -> Result<(), StartError> {
    let mut signals = Signals::new().map_err(os("sigaction"))?;
    let mut watch = Watch::new(file.as_deref());
    let incumbent = if heir.is_some() { Incumbent::Leaves } else { Incumbent::Stays };
    let inherited = match &heir {
        Some(heir) => Inherited::Predecessor(heir.sockets()?),
        None => Inherited::Manager(manager::sockets().map_err(os("taking over an inherited socket"))?),
    };
    // Before the listeners: a second instance ends here, before it can take a connection from the first.
    let subject = Subject { shared: shared.clone(), families, listening: house.listening(), steer: steer.clone() };
    let _control = control::start(&house.config().control, house.config().process.role, subject, incumbent)?;
    house.open(shared, inherited)?;
    for (name, address, kind) in house.addresses() {
        tracing::info!(listener = %name, %address, transport = kind, "listening");
    }
    tokio::spawn(voice.tell(shared.registry.clone()));
    if let Some(heir) = heir {
        heir.take_over()?;
    }
    manager::tell(&[sd_notify::NotifyState::Ready]);
    tracing::info!("ready");
    let mut pulse = Pulse::new(house.turns().chain(turns));
    let mut attempt = Attempt::default();
    let mut housekeeping = tokio::time::interval(HOUSEKEEPING);
    let ending = loop {
        tokio::select! {
            word = signals.next() => match word {
                Word::Stop => break Ending::Asked,
                Word::Reload => reload(&mut house, shared, (file.as_deref(), "SIGHUP"), steer.as_deref()),
                Word::BeSucceeded => be_succeeded(&mut attempt, &program, &house),
            },
            outcome = attempt.outcome() => if let Some(()) = hand_over(outcome) { break Ending::Succeeded },
            () = watch.changed() => reload(&mut house, shared, (file.as_deref(), "file change"), steer.as_deref()),
            () = pulse.beat() => {}
            _ = housekeeping.tick() => {
                shared.admission.forget_quiet_clients();
                house.notice_addresses(own_addresses());
                memory::give_back();
            }
        }
    };
    drain(house, shared, ending, (signals, pulse)).await
}

fn os(what: &'static str) -> impl Fn(std::io::Error) -> StartError {
    move |source| StartError::Os { what, source }
}

/// Starts the program that lies where ours lay, to take our place.
fn be_succeeded(attempt: &mut Attempt, program: &Path, house: &House) {
    if house.config().process.role != Role::Proxy {
        // Only one may steer, and the next one begins once this one has ended.
        tracing::error!("SIGUSR2: only --role proxy hands over to another process; stop this one and start it again");
    } else if attempt.goes_on() {
        tracing::info!("SIGUSR2: a successor is starting already");
    } else {
        tracing::info!(program = %program.display(), "starting a successor");
        attempt.begin(program.to_owned(), house.sockets());
    }
}

/// Lets go of the place, or says why the successor did not take it.
fn hand_over(outcome: Result<Successor, succession::Failed>) -> Option<()> {
    let handed = outcome.and_then(|successor| {
        let process = successor.process;
        // First: what the successor tells the manager, it tells as the main process.
        manager::tell(&[sd_notify::NotifyState::MainPid(process)]);
        successor.appoint().map(|()| process)
    });
    match handed {
        Ok(process) => tracing::info!(process, "another process has taken over"),
        Err(error) => {
            tracing::error!(why = %crate::http::chain(&error), "no successor; everything stays as it was");
            manager::tell(&[sd_notify::NotifyState::MainPid(std::process::id())]);
            return None;
        }
    }
    Some(())
}

/// Lets what runs finish, for as long as it may.
async fn drain(
    house: House,
    shared: &Arc<Shared>,
    ending: Ending,
    (mut signals, mut pulse): (Signals, Pulse),
) -> Result<(), StartError> {
    let timeouts = &house.config().timeouts;
    let grace = match ending {
        Ending::Asked => timeouts.drain,
        Ending::Succeeded => timeouts.handover,
    };
    let drain = timeouts.drain;
    tracing::info!(sessions = shared.registry.len(), grace_s = grace.as_secs(), "draining");
    if ending == Ending::Asked {
        manager::tell(&[sd_notify::NotifyState::Stopping]);
    }
    shared.set_grace(grace);
    shared.draining.cancel();
    pulse.answer_alone();
    // Who has handed over is asked to stop for the first time yet.
    let mut asked = ending == Ending::Asked;
    if asked {
        shared.closing.cancel();
    }
    let closing = tokio::time::sleep(LAST_REQUESTS);
    tokio::pin!(closing);
    let cut_off = tokio::time::sleep(grace + drain);
    tokio::pin!(cut_off);
    // The control socket goes on answering: whoever waits may ask what for.
    let mut drained = tokio::task::spawn_blocking(move || house.join());
    loop {
        tokio::select! {
            biased;
            joined = &mut drained => return joined.map_err(|error| os("joining the workers")(error.into())),
            word = signals.next() => match word {
                Word::Stop if asked => shared.abort.cancel(),
                Word::Stop => {
                    asked = true;
                    shared.closing.cancel();
                    tracing::info!(sessions = shared.registry.len(), grace_s = drain.as_secs(), "asked to stop");
                    cut_off.as_mut().reset(tokio::time::Instant::now() + drain);
                }
                Word::Reload => tracing::info!("stopping: the configuration is not read any more"),
                Word::BeSucceeded => tracing::info!("stopping: there is nothing to hand over any more"),
            },
            () = &mut closing, if !shared.closing.is_cancelled() => shared.closing.cancel(),
            () = &mut cut_off, if !shared.abort.is_cancelled() => shared.abort.cancel(),
            () = pulse.beat() => {}
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

fn worker_count(config: &Config) -> usize {
    let cores = || std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    // Who only steers has no connections to carry.
    if config.process.role == Role::Steer { 0 } else { config.process.workers.unwrap_or_else(cores).get() }
}

fn start_workers(config: &Config, posts: Vec<Post>, shared: &Arc<Shared>) -> Result<Vec<Handle>, StartError> {
    let pool = PoolLimits {
        per_key: if config.origin.keep_alive.is_some() { config.origin.idle_per_key.into() } else { 0 },
        total: 0,
        idle: config.origin.keep_alive.unwrap_or_default(),
    };
    let start = |post| Handle::start(post, shared.clone(), pool);
    Ok(posts.into_iter().map(start).collect::<Result<_, _>>()?)
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
    if hard < wanted && config.process.role != Role::Steer {
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
